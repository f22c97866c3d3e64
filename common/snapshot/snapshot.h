/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot: one query, one world. A writer builds a new immutable value, swaps one pointer, waits
 * until no reader can still hold the old one, and frees it. Readers take no lock. By liburcu's
 * quiescent-state flavour: a reader thread registers, is online while it may hold a snapshot, and
 * goes offline before it blocks.
 *
 *   reader:  snapshot_reader_start();
 *            for (;;) { wait for work;  snapshot_enter();
 *                       w = snapshot_read(&slot);  …use w…
 *                       snapshot_leave(); }
 *            snapshot_reader_stop();
 *   writer:  old = snapshot_publish(&slot, new);  free(old);      (one writer thread per slot)
 */
#ifndef COMMON_SNAPSHOT_H
#define COMMON_SNAPSHOT_H

struct snapshot_slot {
    void *current;
};

void snapshot_reader_start(void);
void snapshot_reader_stop(void);
/* Between these two a reader may hold snapshots; it must not block there. */
void snapshot_enter(void);
void snapshot_leave(void);
/* NULL before the first publication. */
void *snapshot_read(const struct snapshot_slot *slot);
/* Swaps, waits until all readers have left or seen the new value, returns the old one for the
 * caller to free. Blocks for as long as the slowest batch; not from inside enter/leave. */
void *snapshot_publish(struct snapshot_slot *slot, void *fresh);

#endif
