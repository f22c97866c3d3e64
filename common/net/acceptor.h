/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * acceptor: a listener of the control paths on an event base: accepts, and when the process is out
 * of files rests for a moment instead of spinning. Lives on the loop of its base.
 */
#ifndef COMMON_ACCEPTOR_H
#define COMMON_ACCEPTOR_H

#include "common/base/base.h"

#include <event2/event.h>

struct acceptor;

/* Takes over the listening, non-blocking fd; on_accept owns what it is given (non-blocking,
 * close-on-exec). */
struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_accept)(void *arg, int fd),
                              void *arg);
int acceptor_fd(const struct acceptor *a);
/* Closes the listener. */
void acceptor_free(struct acceptor *a);

#endif
