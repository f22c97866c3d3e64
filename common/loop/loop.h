/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop: one thread, one libevent base, and a mailbox through which other threads hand it work.
 * Rooms that run on a loop use libevent's raw events directly on loop_base(); this room only owns
 * the thread, its start and stop, and the mailbox.
 */
#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include "common/base/base.h"

#include <event2/event.h>

struct loop;

/* name: at most 15 characters, shown by ps and perf. The loop does not run yet. */
struct loop *loop_new(const char *name);
struct event_base *loop_base(struct loop *l);
/* Runs on the calling thread until loop_stop. */
void loop_run(struct loop *l);
/* Runs on a thread of its own. */
void loop_start(struct loop *l);
/* Any thread: run(arg) is called on the loop's thread, in order of posting. */
void loop_post(struct loop *l, void (*run)(void *arg), void *arg);
/* Any thread; work that was posted before is done first. */
void loop_stop(struct loop *l);
/* Waits for a loop that loop_start started. */
void loop_join(struct loop *l);
/* After it has stopped; its events must be gone. */
void loop_free(struct loop *l);

#endif
