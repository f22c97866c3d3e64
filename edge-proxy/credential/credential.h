/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credential: which certificate a site asks its visitors for, and which one a visitor has shown.
 * Place on the path: listen asks during the handshake, as soon as the name is known; session takes
 * what was shown when it has ended; request compares what the connection proved with what the site
 * wants.
 *
 * What is asked is a policy: optional or required, by these CAs, but not those that these lists
 * revoke. Policies with the same content are the same, on every edge and over reloads: they have
 * one number, the tickets of one resume no session of another, and stored responses of one are not
 * found under another. A list of revoked certificates that changes makes a new policy, so that
 * nobody gets by with what was proved under the old one.
 *
 * A certificate that is shown must be good, also where it is optional: else the handshake ends with
 * an alert. So it does where a required one is missing: strangers get no word of HTTP in, and cost
 * no more than a handshake.
 * Lifetime: the table is part of a generation. Threads: immutable once built; any thread.
 */
#ifndef EDGE_PROXY_CREDENTIAL_H
#define EDGE_PROXY_CREDENTIAL_H

#include "common/error/error.h"
#include "edge-proxy/config/config.h"

#include <openssl/ssl.h>

struct credential_table;
/* NULL: errors say why (a missing file, one without certificates). A list of revoked certificates
 * that has run out is a warning. */
struct credential_table *credential_table_new(const struct config *config, struct errors *errors);
void credential_table_free(struct credential_table *t);

/* The number of a site's policy; 0: it asks for nothing. */
enum { CREDENTIAL_NONE = 0 };
uint64_t credential_policy(const struct credential_table *t, const struct config_site *site);

/* Makes ssl, whose handshake has just begun, ask for what the site (NULL: unknown) wants. */
void credential_ask(const struct credential_table *t, const struct config_site *site, SSL *ssl);
/* The policy under which ssl's handshake was made. */
uint64_t credential_policy_of(const SSL *ssl);
/* The certificate that was shown and proved, as the value of Client-Cert (RFC 9440 section 2.1),
 * in *out, which the caller frees; NULL: none was shown. Fails when it is larger than
 * CREDENTIAL_MAX_BYTES, which no head has room for. */
enum { CREDENTIAL_MAX_BYTES = 4096 };
MUST_USE struct outcome credential_take(const SSL *ssl, const char **out);

#endif
