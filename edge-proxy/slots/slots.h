/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slots: how many may be at work at once, and who waits until one is done. Knows nothing of
 * requests and origins: a count with a limit, and a queue.
 *
 *   slots_take ─▶ work ─▶ slots_give ─▶ slots_wake: the first of the queue is called
 *   no slot ─▶ slots_wait ... called: slots_take again ─▶ slots_stop_waiting, or wait on
 *
 * A slot is not handed over but tried for again by whom it was freed for: who is called may need
 * something else beside it, and may be gone. Newcomers look at slots_waiting first and queue up
 * behind the others, so that nobody is overtaken.
 * Place on the path: below upstream, which has slots for each pool (with a queue) and each origin.
 * Lifetime: counted references, as generations of the configuration share them: what was begun
 * under one counts under the next.
 * Threads: any. Taking and giving is an atomic operation each; only who waits, and who gives while
 * somebody waits, takes a lock.
 */
#ifndef EDGE_PROXY_SLOTS_H
#define EDGE_PROXY_SLOTS_H

#include "common/base/base.h"
#include "common/loop/loop.h"

struct slots;

/* limit 0: none. The caller has a reference. */
struct slots *slots_new(uint32_t limit);
struct slots *slots_hold(struct slots *s);
void slots_drop(struct slots *s);
/* Who is above a lower one may finish. The caller then wakes who may go on under a higher one. */
void slots_set_limit(struct slots *s, uint32_t limit);

/* ---- Counting ---- */

/* false: all are taken. */
MUST_USE bool slots_take(struct slots *s);
void slots_give(struct slots *s);
bool slots_has_room(const struct slots *s);

/* ---- Waiting ---- */

struct slots_waiter;
/* wake(arg) is called on l's thread, whenever it is worth looking again, until the waiting is
 * stopped. NULL: most wait already. Whoever has queued up looks once more whether there is room
 * and, if so, calls slots_wake: it may have come between the look and the queue. */
struct slots_waiter *slots_wait(struct slots *s, uint32_t most, struct loop *l,
                                void (*wake)(void *arg), void *arg);
/* On l's thread, with success or without; w is gone. A call under way goes to the next. */
void slots_stop_waiting(struct slots_waiter *w);
uint32_t slots_waiting(const struct slots *s);
/* Calls the first that is not being called already. */
void slots_wake(struct slots *s);
/* The same behind w, which can't use what there is. */
void slots_wake_behind(struct slots_waiter *w);

#endif
