/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tsig: messages signed with a secret that two sides share (RFC 8945). A server verifies a query
 * and signs what it answers; a client signs its query and verifies the answers; both may be a
 * whole stream of messages, as zone transfers are (section 5.3.1).
 *
 *   server: tsig_read ─▶ tsig_accept ─▶ tsig_sign, once per message of the answer
 *   client: tsig_ask ─▶ tsig_check, once per message of the answer
 *
 * Pure: bytes in, bytes out, the time is handed in. A key is immutable and may be read by any
 * thread; a session belongs to one conversation and one thread at a time, and does not need its
 * key any more once it has begun. Secrets are held by OpenSSL alone and never shown.
 */
#ifndef GSLB_DNS_TSIG_H
#define GSLB_DNS_TSIG_H

#include "gslb-dns/wire/wire.h"

enum {
    TSIG_MAC_MAX = 64,
    TSIG_FUDGE_S = 300, /* RFC 8945 section 10 */
    /* The largest record that is ever added: name, algorithm, MAC, the time as other data. */
    TSIG_ROOM = WIRE_NAME_MAX + 10 + 32 + 16 + TSIG_MAC_MAX + 6,
};

/* The RCODEs of section 3, as the record's Error field holds them. */
enum tsig_verdict {
    TSIG_OK = 0,
    TSIG_MALFORMED = WIRE_FORMERR,
    TSIG_BADSIG = 16,
    TSIG_BADKEY = 17,
    TSIG_BADTIME = 18,
    TSIG_BADTRUNC = 22,
};
const char *tsig_verdict_name(enum tsig_verdict v); /* "BADSIG" */

struct tsig_key;
/* algorithm: "hmac-sha256" and the like; NULL when it is none of those in tsig_algorithms. */
struct tsig_key *tsig_key_new(const struct wire_name *name, const char *algorithm,
                              const uint8_t *secret, size_t n);
struct tsig_key *tsig_key_dup(const struct tsig_key *k);
void tsig_key_free(struct tsig_key *k); /* NULL: nothing */
const struct wire_name *tsig_key_name(const struct tsig_key *k);
const char *tsig_key_algorithm(const struct tsig_key *k);

/* Base64 (RFC 4648) as keys are written; returns the bytes' number, 0: not base64, or too long. */
size_t tsig_decode_secret(struct str text, uint8_t *out, size_t cap);

/* A message's TSIG record; pointers into the message. */
struct tsig_record {
    size_t at; /* where it begins, and the message proper ends */
    struct wire_name key, algorithm;
    uint64_t time_s;
    uint16_t fudge_s, mac_bytes, original_id, error, other_bytes;
    const uint8_t *mac, *other;
};

/* Reads the record at this offset, which must be the message's last bytes. False: malformed. */
MUST_USE bool tsig_read(const uint8_t *message, size_t n, size_t at, struct tsig_record *out);
/* Finds a message's TSIG record, the last one of the additional section; at 0: it has none.
 * False: the message cannot be walked through, or its TSIG stands elsewhere. */
MUST_USE bool tsig_find(const uint8_t *message, size_t n, struct tsig_record *out);

/* One conversation. */
struct tsig_session {
    struct evp_mac_ctx_st *mac; /* keyed; NULL: nothing is signed */
    struct wire_name key;
    uint8_t algorithm;
    uint8_t prior[TSIG_MAC_MAX]; /* the MAC that the next one builds on */
    uint16_t prior_bytes;
    bool is_first;      /* the next message of the answer is its first */
    unsigned n_pending; /* messages since the last signed one, client */
    uint64_t last_time_s;
    enum tsig_verdict verdict; /* server: of the query */
    uint64_t query_time_s;
    uint16_t query_fudge_s;
};

/* Server: judges a query. keys[0..n) are those that this server has. Whatever the verdict,
 * tsig_sign then ends an answer as it must: signed, or unsigned with the error in the record
 * (section 5.2). The session is to be ended. */
enum tsig_verdict tsig_accept(struct tsig_session *s, const struct tsig_key *const *keys, size_t n,
                              const uint8_t *message, const struct tsig_record *record,
                              uint64_t now_s);
/* What tsig_sign will add, at most TSIG_ROOM: to be kept back before an answer is composed. */
size_t tsig_room(const struct tsig_session *s);
/* Server: adds the record to a message of n bytes with room for TSIG_ROOM more; the new size. */
size_t tsig_sign(struct tsig_session *s, uint8_t *message, size_t n, uint64_t now_s);

/* Client: begins a session by signing a query. */
size_t tsig_ask(struct tsig_session *s, const struct tsig_key *key, uint8_t *message, size_t n,
                uint64_t now_s);
/* Client: judges one message of the answer. *n_proper gets its size without the record. Of a
 * stream's messages between the first and the last, up to 99 in a row may come unsigned (section
 * 5.3.1): is_settled tells whether all that has come is signed for. */
enum tsig_verdict tsig_check(struct tsig_session *s, const uint8_t *message, size_t n,
                             uint64_t now_s, size_t *n_proper);
bool tsig_is_settled(const struct tsig_session *s);

void tsig_end(struct tsig_session *s);

#endif
