/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon: what a long-running program owes its supervisor. Signals as a file descriptor for the
 * loop, readiness to systemd (sd_notify's datagram), the limit of open files.
 * Main thread, at start.
 */
#ifndef COMMON_DAEMON_H
#define COMMON_DAEMON_H

#include "common/base/base.h"
#include "common/error/error.h"

#include <signal.h>

/* For the time before daemon_open_signals, when a long load goes on and there is nothing to close
 * yet: INT and TERM end the program as they do by themselves, HUP waits to be read. */
void daemon_hold_reloads(void);
/* Blocks HUP, INT, TERM, USR1 and one more (0: none) in this and all later threads, ignores PIPE;
 * the returned signalfd reports the blocked ones. */
int daemon_open_signals(int also);
/* The next signal from it, 0: none. */
int daemon_take_signal(int fd);
/* "READY=1", "RELOADING=1\nMONOTONIC_USEC=…", "STATUS=…": nothing happens outside systemd. */
void daemon_notify(const char *state);
/* Raises the soft limit of open files to the hard one, and gives it. Fails when it is below least,
 * without which the program could not even start. */
struct outcome daemon_raise_file_limit(uint64_t least, uint64_t *limit,
                                       struct errors *errors) MUST_USE;

#endif
