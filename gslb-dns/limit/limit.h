/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limit: response rate limiting. Each answer by UDP is charged to the client's address and to the
 * networks around it at once, in a common/ratelimit table that all threads share:
 *
 *   IPv4  /32 × 1   /24 × 32   /20 × 256   /18 × 768
 *   IPv6  /128 × 1  /64 × 2    /56 × 3     /48 × 4     /32 × 64
 *
 * Every answer counts alike, whatever is in it (as in Knot; BIND keeps an account per kind): a
 * flood varies its questions, and a victim does not care which answers it gets.
 *
 * Lifetime: the table outlives reloads, the rest belongs to one generation. Any thread.
 */
#ifndef GSLB_DNS_LIMIT_H
#define GSLB_DNS_LIMIT_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/ratelimit/ratelimit.h"

enum { LIMIT_LEVELS_MAX = 5 };

struct limit {
    struct ratelimit *table; /* NULL: nothing is limited */
    uint32_t prices_v4[LIMIT_LEVELS_MAX], prices_v6[LIMIT_LEVELS_MAX];
    uint32_t slip; /* 1 in so many answers above the limit is sent, short; 0: none */
    const struct prefix *exempt;
    size_t n_exempt;
};

/* Sets the prices for per_second answers to one address. */
void limit_set_rate(struct limit *l, uint32_t per_second);

enum limit_verdict {
    LIMIT_PASSED,
    LIMIT_EXEMPT,
    LIMIT_BY_ADDRESS, /* this client asks too much */
    LIMIT_BY_NETWORK, /* it and its neighbours do */
};

/* Charges one answer to client. Hot path, when limiting is on. */
enum limit_verdict limit_charge(const struct limit *l, const struct ip *client, uint32_t now_ms);

#endif
