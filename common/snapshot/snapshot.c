/* SPDX-License-Identifier: BSD-2-Clause */
#define _LGPL_SOURCE
#define URCU_INLINE_SMALL_FUNCTIONS
#include "common/snapshot/snapshot.h"

#include <urcu/urcu-qsbr.h>

/* ThreadSanitizer does not see the ordering that liburcu makes by fences ("every reader left
 * before the writer goes on"); it is told here and nowhere else. */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *);
void __tsan_release(void *);
static char left_token;
#define TELL_LEFT() __tsan_release(&left_token)
#define TELL_WAITED() __tsan_acquire(&left_token)
#else
#define TELL_LEFT() ((void)0)
#define TELL_WAITED() ((void)0)
#endif

void snapshot_reader_start(void)
{
    urcu_qsbr_register_thread();
    urcu_qsbr_thread_offline();
}

void snapshot_reader_stop(void)
{
    urcu_qsbr_unregister_thread();
}

void snapshot_enter(void)
{
    urcu_qsbr_thread_online();
}

void snapshot_leave(void)
{
    TELL_LEFT();
    urcu_qsbr_thread_offline();
}

void *snapshot_read(const struct snapshot_slot *slot)
{
    return __atomic_load_n(&slot->current, __ATOMIC_ACQUIRE);
}

void *snapshot_publish(struct snapshot_slot *slot, void *fresh)
{
    void *old = __atomic_exchange_n(&slot->current, fresh, __ATOMIC_ACQ_REL);

    urcu_qsbr_synchronize_rcu();
    TELL_WAITED();
    return old;
}
