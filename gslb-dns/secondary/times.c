/* SPDX-License-Identifier: BSD-2-Clause */
/* When what is due. Each wait is cut by up to a tenth, so that zones which began together do not
 * stay together, and none is longer than its SOA says. */
#include "gslb-dns/secondary/secondary_internal.h"

enum { FIRST_RETRY_S = 2, LAST_RETRY_S = 600 };

static uint32_t bounded(const struct secondary_settings *s, uint32_t wait_s)
{
    if (wait_s < s->min_wait_s)
        return s->min_wait_s;
    return wait_s > s->max_wait_s ? s->max_wait_s : wait_s;
}

static int64_t with_jitter(uint32_t wait_s, uint32_t random)
{
    int64_t ms = 1000 * (int64_t)wait_s;

    return ms - (int64_t)((uint64_t)random * (uint64_t)(ms / 10) >> 32);
}

int64_t times_refresh_ms(const struct secondary_settings *s, const struct replica_soa *soa,
                         uint32_t random)
{
    return with_jitter(bounded(s, soa->refresh_s), random);
}

int64_t times_retry_ms(const struct secondary_settings *s, const struct replica_soa *soa,
                       unsigned n_failures, uint32_t random)
{
    uint32_t wait_s = FIRST_RETRY_S;

    if (soa != NULL)
        return with_jitter(bounded(s, soa->retry_s), random);
    for (unsigned i = 1; i < n_failures && wait_s < LAST_RETRY_S; i++)
        wait_s *= 2;
    if (wait_s > LAST_RETRY_S)
        wait_s = LAST_RETRY_S;
    return with_jitter(wait_s > s->max_wait_s ? s->max_wait_s : wait_s, random);
}

/* A copy that expired before it could be asked for twice would come and go: RFC 1912 section 2.2
 * wants EXPIRE to be longer than the two others. */
int64_t times_expire_ms(const struct secondary_settings *s, const struct replica_soa *soa)
{
    int64_t least_s = (int64_t)bounded(s, soa->refresh_s) + bounded(s, soa->retry_s);

    return 1000 * (soa->expire_s > least_s ? (int64_t)soa->expire_s : least_s);
}

/* A NOTIFY without a serial is one of a serial that nobody knows. */
void bell_add(struct bell *to, const struct bell *from)
{
    if (!from->is_rung)
        return;
    if (!to->is_rung) {
        *to = *from;
        return;
    }
    to->source = from->source;
    if (!from->has_hint)
        to->has_hint = false;
    else if (to->has_hint && serial_is_newer(from->hint, to->hint))
        to->hint = from->hint;
}
