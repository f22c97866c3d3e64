/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cookie: DNS cookies (RFC 7873) in the layout that all servers of a name can share (RFC 9018):
 *
 *   client cookie (8) | version 1 | reserved (3) | timestamp (4) | hash (8)
 *
 * A client that sends back the server's half has shown that it receives what is sent to its
 * address. Pure functions over secrets that their owner keeps; any thread. Hot path, but only for
 * queries that carry a cookie.
 */
#ifndef GSLB_DNS_COOKIE_H
#define GSLB_DNS_COOKIE_H

#include "common/addr/addr.h"
#include "common/base/base.h"
#include "common/siphash/siphash.h"
#include "common/text/text.h"

enum {
    COOKIE_CLIENT_BYTES = 8,
    COOKIE_BYTES = 24, /* both halves */
    COOKIE_SECRETS_MAX = 4,
    COOKIE_SECRET_DIGITS = 32,
};

/* The first makes cookies; the others are known too, staged or previous: RFC 9018 section 5. */
struct cookie_secrets {
    struct siphash_key keys[COOKIE_SECRETS_MAX];
    size_t n; /* at least 1 */
};

enum cookie_verdict {
    COOKIE_ABSENT, /* the client's half alone: it asks for one */
    COOKIE_VALID,
    COOKIE_INVALID, /* not from here, of another address, too old or from the future */
};

/* Judges the cookie of a query (n is 8, or 16 to 40 bytes) from client, and writes the one that
 * goes back: the same while it is younger than half an hour, else a new one. now_s: wall time. */
enum cookie_verdict cookie_judge(const struct cookie_secrets *secrets, const uint8_t *cookie,
                                 size_t n, const struct ip *client, uint32_t now_s,
                                 uint8_t out[COOKIE_BYTES]);

/* 32 hexadecimal digits; false: that is not what text is. */
MUST_USE bool cookie_parse_secret(struct str text, struct siphash_key *out);

#endif
