/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is digested (RFC 8945 section 4.3), in this order:
 *
 *   the MAC before, with its length   of the query for the first answer, then of the answer before
 *   the message(s)                    without TSIG, ARCOUNT without it, the original ID
 *   the variables                     all of them; of later messages of a stream the times alone
 */
#include "gslb-dns/tsig/tsig_internal.h"

#include <openssl/crypto.h>
#include <string.h>

enum { HEADER_ARCOUNT = 10, UNSIGNED_MAX = 99, MAC_LEAST = 10 };

/* ---- the digest ---- */

static void digest(struct tsig_session *s, const void *bytes, size_t n)
{
    ensure(EVP_MAC_update(s->mac, bytes, n) == 1);
}

static void digest_u16(struct tsig_session *s, uint16_t v)
{
    uint8_t p[2];

    bytes_put_u16(p, v);
    digest(s, p, sizeof(p));
}

static void put_u48(uint8_t *p, uint64_t v)
{
    bytes_put_u16(p, (uint16_t)(v >> 32));
    bytes_put_u32(p + 2, (uint32_t)v);
}

static void digest_prior(struct tsig_session *s)
{
    digest_u16(s, s->prior_bytes);
    digest(s, s->prior, s->prior_bytes);
}

/* A message of n bytes without its record, whose header may count it. */
static void digest_message(struct tsig_session *s, const uint8_t *message, size_t n, uint16_t id,
                           unsigned n_counted)
{
    uint8_t header[WIRE_HEADER];

    memcpy(header, message, WIRE_HEADER);
    bytes_put_u16(header, id);
    bytes_put_u16(header + HEADER_ARCOUNT,
                  (uint16_t)(bytes_get_u16(message + HEADER_ARCOUNT) - n_counted));
    digest(s, header, WIRE_HEADER);
    digest(s, message + WIRE_HEADER, n - WIRE_HEADER);
}

static void digest_times(struct tsig_session *s, uint64_t time_s, uint16_t fudge_s)
{
    uint8_t p[8];

    put_u48(p, time_s);
    bytes_put_u16(p + 6, fudge_s);
    digest(s, p, sizeof(p));
}

static void digest_variables(struct tsig_session *s, uint64_t time_s, uint16_t fudge_s,
                             uint16_t error, const uint8_t *other, uint16_t other_bytes)
{
    const struct tsig_algorithm *a = tsig_algorithm(s->algorithm);

    digest(s, s->key.bytes, s->key.length);
    digest_u16(s, WIRE_CLASS_ANY);
    digest(s, "\0\0\0\0", 4); /* TTL */
    digest(s, a->wire.bytes, a->wire.length);
    digest_times(s, time_s, fudge_s);
    digest_u16(s, error);
    digest_u16(s, other_bytes);
    digest(s, other, other_bytes);
}

static void digest_begin(struct tsig_session *s)
{
    ensure(EVP_MAC_init(s->mac, NULL, 0, NULL) == 1); /* with the key that it has */
}

static uint16_t digest_end(struct tsig_session *s, uint8_t mac[TSIG_MAC_MAX])
{
    size_t n;

    ensure(EVP_MAC_final(s->mac, mac, &n, TSIG_MAC_MAX) == 1);
    return (uint16_t)n;
}

static void keep_prior(struct tsig_session *s, const uint8_t *mac, uint16_t n)
{
    memcpy(s->prior, mac, n);
    s->prior_bytes = n;
}

/* ---- the record, written ---- */

struct fields {
    uint64_t time_s;
    uint16_t fudge_s, error, mac_bytes, other_bytes;
    const uint8_t *mac, *other;
};

static size_t put_record(const struct tsig_session *s, uint8_t *message, size_t n,
                         const struct fields *f)
{
    const struct tsig_algorithm *a = tsig_algorithm(s->algorithm);
    struct writer w = writer_of(message + n, TSIG_ROOM);
    uint8_t *length, *times;

    writer_add(&w, s->key.bytes, s->key.length);
    writer_u16(&w, WIRE_TSIG);
    writer_u16(&w, WIRE_CLASS_ANY);
    writer_u32(&w, 0);
    length = writer_make(&w, 2);
    writer_add(&w, a->wire.bytes, a->wire.length);
    times = writer_make(&w, 6);
    ensure(length != NULL && times != NULL);
    put_u48(times, f->time_s);
    writer_u16(&w, f->fudge_s);
    writer_u16(&w, f->mac_bytes);
    writer_add(&w, f->mac, f->mac_bytes);
    writer_add(&w, message, 2); /* the original ID */
    writer_u16(&w, f->error);
    writer_u16(&w, f->other_bytes);
    writer_add(&w, f->other, f->other_bytes);
    ensure(!w.is_full);
    bytes_put_u16(length, (uint16_t)(w.p - length - 2));
    bytes_put_u16(message + HEADER_ARCOUNT,
                  (uint16_t)(bytes_get_u16(message + HEADER_ARCOUNT) + 1));
    return (size_t)(w.p - message);
}

/* ---- server ---- */

static const struct tsig_key *find_key(const struct tsig_key *const *keys, size_t n,
                                       const struct tsig_record *r, int algorithm)
{
    for (size_t i = 0; i < n; i++)
        if (tsig_name_eq(&keys[i]->name, &r->key) && keys[i]->algorithm == algorithm)
            return keys[i];
    return NULL;
}

static void begin(struct tsig_session *s, const struct tsig_key *key)
{
    s->key = key->name;
    s->algorithm = key->algorithm;
    s->mac = EVP_MAC_CTX_dup(key->mac);
    ensure(s->mac != NULL);
    s->is_first = true;
}

/* Section 5.2.2.1: a truncated MAC has at least half the digest and ten bytes. We do not take any
 * shorter one than whole, as section 5.2.4 lets a policy say, but tell the two apart. */
static enum tsig_verdict judge_length(const struct tsig_session *s, uint16_t mac_bytes)
{
    uint16_t whole = tsig_algorithm(s->algorithm)->mac_bytes;

    if (mac_bytes > whole)
        return TSIG_MALFORMED;
    if (mac_bytes == whole)
        return TSIG_OK;
    return mac_bytes < MAC_LEAST || mac_bytes < whole / 2 ? TSIG_MALFORMED : TSIG_BADTRUNC;
}

static bool is_in_time(uint64_t signed_s, uint16_t fudge_s, uint64_t now_s)
{
    return now_s <= signed_s + fudge_s && signed_s <= now_s + fudge_s;
}

static enum tsig_verdict judge_query(struct tsig_session *s, const uint8_t *message,
                                     const struct tsig_record *r, uint64_t now_s)
{
    enum tsig_verdict length = judge_length(s, r->mac_bytes);
    uint8_t mac[TSIG_MAC_MAX];

    if (length == TSIG_MALFORMED)
        return length;
    digest_begin(s);
    digest_message(s, message, r->at, r->original_id, 1);
    digest_variables(s, r->time_s, r->fudge_s, r->error, r->other, r->other_bytes);
    digest_end(s, mac);
    if (CRYPTO_memcmp(mac, r->mac, r->mac_bytes) != 0)
        return TSIG_BADSIG;
    keep_prior(s, r->mac, r->mac_bytes);
    if (length != TSIG_OK)
        return length; /* section 5.2.4: what was signed is known to be so */
    return is_in_time(r->time_s, r->fudge_s, now_s) ? TSIG_OK : TSIG_BADTIME;
}

enum tsig_verdict tsig_accept(struct tsig_session *s, const struct tsig_key *const *keys, size_t n,
                              const uint8_t *message, const struct tsig_record *r, uint64_t now_s)
{
    int algorithm = tsig_algorithm_find_wire(&r->algorithm);
    const struct tsig_key *key = find_key(keys, n, r, algorithm);

    memset(s, 0, sizeof(*s));
    s->key = r->key;
    s->query_time_s = r->time_s;
    s->query_fudge_s = r->fudge_s;
    if (key == NULL) {
        /* Echoed in the unsigned error; one that we do not know gives way to the default. */
        s->algorithm = (uint8_t)(algorithm < 0 ? 0 : algorithm);
        s->verdict = TSIG_BADKEY;
        return s->verdict;
    }
    begin(s, key);
    s->verdict = judge_query(s, message, r, now_s);
    return s->verdict;
}

size_t tsig_room(const struct tsig_session *s)
{
    const struct tsig_algorithm *a = tsig_algorithm(s->algorithm);

    return s->key.length + 10u + a->wire.length + 16u + a->mac_bytes + 6u;
}

/* BADKEY and BADSIG: an empty MAC, and nothing is digested (section 5.3.2). */
static size_t put_unsigned(const struct tsig_session *s, uint8_t *message, size_t n)
{
    struct fields f = {
        .time_s = s->query_time_s, .fudge_s = s->query_fudge_s, .error = (uint16_t)s->verdict};

    return put_record(s, message, n, &f);
}

size_t tsig_sign(struct tsig_session *s, uint8_t *message, size_t n, uint64_t now_s)
{
    uint8_t mac[TSIG_MAC_MAX], server_time[6];
    struct fields f = {.time_s = now_s, .fudge_s = TSIG_FUDGE_S, .mac = mac};

    if (s->verdict == TSIG_BADKEY || s->verdict == TSIG_BADSIG)
        return put_unsigned(s, message, n);
    if (s->verdict == TSIG_MALFORMED)
        return n;
    f.error = (uint16_t)s->verdict;
    if (s->verdict == TSIG_BADTIME) { /* the client's time, ours as other data: section 5.2.3 */
        f.time_s = s->query_time_s;
        f.fudge_s = s->query_fudge_s;
        put_u48(server_time, now_s);
        f.other = server_time;
        f.other_bytes = sizeof(server_time);
    }
    digest_begin(s);
    digest_prior(s);
    digest_message(s, message, n, bytes_get_u16(message), 0);
    if (s->is_first)
        digest_variables(s, f.time_s, f.fudge_s, f.error, f.other, f.other_bytes);
    else
        digest_times(s, f.time_s, f.fudge_s);
    f.mac_bytes = digest_end(s, mac);
    keep_prior(s, mac, f.mac_bytes);
    s->is_first = false;
    return put_record(s, message, n, &f);
}

/* ---- client ---- */

size_t tsig_ask(struct tsig_session *s, const struct tsig_key *key, uint8_t *message, size_t n,
                uint64_t now_s)
{
    uint8_t mac[TSIG_MAC_MAX];
    struct fields f = {.time_s = now_s, .fudge_s = TSIG_FUDGE_S, .mac = mac};

    memset(s, 0, sizeof(*s));
    begin(s, key);
    digest_begin(s);
    digest_message(s, message, n, bytes_get_u16(message), 0);
    digest_variables(s, f.time_s, f.fudge_s, 0, NULL, 0);
    f.mac_bytes = digest_end(s, mac);
    keep_prior(s, mac, f.mac_bytes);
    n = put_record(s, message, n, &f);
    digest_begin(s);
    digest_prior(s);
    return n;
}

static enum tsig_verdict judge_answer(struct tsig_session *s, const uint8_t *message,
                                      const struct tsig_record *r, uint64_t now_s)
{
    uint8_t mac[TSIG_MAC_MAX];

    if (!tsig_name_eq(&r->key, &s->key) || tsig_algorithm_find_wire(&r->algorithm) != s->algorithm)
        return TSIG_BADKEY;
    if (r->mac_bytes != tsig_algorithm(s->algorithm)->mac_bytes)
        return r->error != 0 ? (enum tsig_verdict)r->error : TSIG_BADTRUNC;
    digest_message(s, message, r->at, r->original_id, 1);
    if (s->is_first)
        digest_variables(s, r->time_s, r->fudge_s, r->error, r->other, r->other_bytes);
    else
        digest_times(s, r->time_s, r->fudge_s);
    digest_end(s, mac);
    if (CRYPTO_memcmp(mac, r->mac, r->mac_bytes) != 0)
        return TSIG_BADSIG;
    if (r->error != 0)
        return (enum tsig_verdict)r->error;
    if (!is_in_time(r->time_s, r->fudge_s, now_s) || r->time_s < s->last_time_s)
        return TSIG_BADTIME;
    return TSIG_OK;
}

enum tsig_verdict tsig_check(struct tsig_session *s, const uint8_t *message, size_t n,
                             uint64_t now_s, size_t *n_proper)
{
    struct tsig_record r;
    enum tsig_verdict v;

    *n_proper = n;
    if (!tsig_find(message, n, &r))
        return TSIG_MALFORMED;
    if (r.at == 0) { /* the first message must be signed */
        if (s->is_first || ++s->n_pending > UNSIGNED_MAX)
            return TSIG_BADSIG;
        digest_message(s, message, n, bytes_get_u16(message), 0);
        return TSIG_OK;
    }
    *n_proper = r.at;
    v = judge_answer(s, message, &r, now_s);
    if (v != TSIG_OK)
        return v;
    s->last_time_s = r.time_s;
    s->n_pending = 0;
    s->is_first = false;
    keep_prior(s, r.mac, r.mac_bytes);
    digest_begin(s);
    digest_prior(s);
    return TSIG_OK;
}

bool tsig_is_settled(const struct tsig_session *s)
{
    return s->mac == NULL || (!s->is_first && s->n_pending == 0);
}

void tsig_end(struct tsig_session *s)
{
    EVP_MAC_CTX_free(s->mac);
    s->mac = NULL;
}
