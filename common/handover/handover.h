/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handover: a program that is replaced by a newer one without a refused connection. The old process
 * starts the program anew and leaves it all of its listening sockets; what waits in their queues is
 * accepted by whichever comes first. When the new process is ready it says so, and the old one
 * stops accepting and finishes what it has; when it ends without a word, the old one goes on as
 * before.
 *
 *   old   handover_start ─▶ posix_spawn, with the sockets and a pipe ─▶ pipe readable: took over,
 * or end of file: failed new   handover_receive (before anything is opened) ─▶ net_listen_* finds
 * its sockets handover_finish (ready to serve): tells the old one, closes what nobody wanted
 *
 * Nothing is told but file descriptors: the new process reads its configuration itself.
 * Main thread.
 */
#ifndef COMMON_HANDOVER_H
#define COMMON_HANDOVER_H

#include "common/base/base.h"

#include <sys/types.h>

/* At the start of the program: remembers how it was started, and takes what the process before
 * has left. */
void handover_receive(char **argv);
/* Ready to serve. */
void handover_finish(void);

struct handover {
    pid_t pid;
    int fd; /* becomes readable when handover_look has something to say; closed by it */
};
/* Starts the program that now lies where this one was started from, with the same arguments. Fails
 * with errno set. */
MUST_USE struct outcome handover_start(struct handover *out);

enum handover_state { HANDOVER_WAIT, HANDOVER_DONE, HANDOVER_FAILED };
enum handover_state handover_look(struct handover *h);

#endif
