/* SPDX-License-Identifier: BSD-2-Clause */
/* answer, inside: the answer that is being composed, and the hands that write it. */
#ifndef GSLB_DNS_ANSWER_INTERNAL_H
#define GSLB_DNS_ANSWER_INTERNAL_H

#include "common/bytes/bytes.h"
#include "gslb-dns/answer/answer.h"
#include "gslb-dns/cookie/cookie.h"
#include "gslb-dns/transfer/transfer.h"

enum {
    CHAIN_MAX = 16,         /* CNAME and DNAME links in one answer */
    POINTER_LIMIT = 0x4000, /* what a compression pointer cannot reach */
    RECORD_HEAD = 12,       /* owner pointer, type, class, TTL, length of RDATA */
    POINTER_BITS = 0xc000,
    PROOFS_MAX = CHAIN_MAX + ZONE_PROOFS_MAX, /* a link that exists needs one at most */
};

/* Extended DNS Errors (RFC 8914 section 5.2) that say more than the RCODE does. */
enum ede {
    EDE_NONE = -1,
    EDE_OTHER = 0,
    EDE_NOT_READY = 14,
    EDE_PROHIBITED = 18,
    EDE_NOT_AUTHORITATIVE = 20,
    EDE_NOT_SUPPORTED = 21,
    EDE_NO_AUTHORITY = 22, /* "No Reachable Authority": of a copy */
    EDE_INVALID_DATA = 24,
    EDE_INVALID_QUERY_TYPE = 30,
};

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL, SECTION_COUNT };

struct compact;

/* One answer. Offsets count from the message's first byte. */
struct message {
    const struct answer_query *io;
    const struct world *world; /* NULL: there is none yet */
    uint8_t *out;
    uint32_t records_at; /* behind the question */
    uint32_t at;         /* where the next record goes */
    uint32_t limit;      /* where records must end: the OPT's room is kept back */
    uint32_t cap;        /* where the message must end */
    uint32_t opt_bytes;  /* with the options that are due in any case */
    uint16_t counts[SECTION_COUNT];
    enum wire_rcode rcode;
    bool is_authoritative, is_truncated;
    uint8_t scope; /* the longest of the chain, RFC 7871 section 7.2.1 */
    enum ede ede;
    const char *ede_text;         /* with EDE_OTHER */
    uint8_t cookie[COOKIE_BYTES]; /* where message_has_cookie: guard_judge's */
    struct tsig_session *tsig;    /* the answer is to be signed; NULL: it is not */
    struct answer_stream *stream;

    /* The name that is being answered: the question's, then the last link of the chain. */
    const struct wire_name *name;
    uint16_t name_at, apex_at, apex_bytes;

    struct compact *compact; /* where the zone denies so */
    bool is_compact;         /* and the asker knows that: RFC 9824 section 5.1 */
    bool is_unproved;        /* what was to be signed was not */
    uint16_t dnssec;         /* all bits set with DO=1: what ANDs a signature's size */
    uint16_t n_proofs;
    struct zone_proof proofs[PROOFS_MAX]; /* due in the authority section */
};

/* name with its suffix, the owner of a DNAME, replaced (RFC 6672 section 2.2); false: too long. */
MUST_USE bool answer_substitute(const struct wire_name *name, uint8_t owner_bytes,
                                const struct wire_name *target, struct wire_name *out);

/* What guards the answers of one thread. */
struct guard {
    struct metrics_block *counters;
    bool is_timed; /* the clocks have been read for this batch */
    uint32_t wall_s, mono_ms;
    uint32_t n_held; /* answers above the limit, for its slip */
};

enum guard_verdict {
    GUARD_PASS,
    GUARD_STOP, /* m is the answer: BADCOOKIE or TC */
    GUARD_DROP, /* no answer */
};

/* Does a cookie go back? */
static inline bool message_has_cookie(const struct wire_query *q, const struct world *w)
{
    return q->cookie_bytes > 0 && w != NULL && w->cookies != NULL;
}

/* Has guard_judge something to judge? */
static inline bool guard_is_due(const struct wire_query *q, const struct world *w)
{
    return w != NULL && (q->cookie_bytes > 0 || w->limit != NULL);
}

/* Fills m->cookie, and what an answer is that it stops. */
enum guard_verdict guard_judge(struct guard *g, struct message *m, const struct wire_query *q,
                               const struct world *w);

/* Is a query one that may have a PROXY header before it? */
static inline bool proxied_is_due(const struct answer_query *io, const struct world *w)
{
    return w != NULL && w->n_proxies > 0 && !answer_is_stream(io->transport);
}

/* Takes the header away from io, whose source becomes client where one is named. false: it is
 * missing or broken, or stands where none may; no answer is due. */
MUST_USE bool proxied_take_header(const struct world *w, struct answer_query *io,
                                  struct addr *client);

/* Answers a question of class CHAOS; false: nobody has configured that. */
MUST_USE bool chaos_answer(struct message *m, const struct wire_query *q, const struct world *w);

/* The answer to a query with which something is wrong. */
void verdict_answer(struct message *m, enum wire_verdict verdict, const struct wire_query *q,
                    const struct world *w);

/* Question and limits. */
void message_begin(struct message *m, const struct answer_query *io, const struct wire_query *q,
                   const struct world *w);
/* Tells where in the message a name stands that is a suffix of the current one. */
uint16_t message_suffix_at(const struct message *m, uint8_t name_bytes);
/* Sets the owners of compressed records from p to end. */
void message_set_owners(uint8_t *p, const uint8_t *end, uint16_t owner_at);
/* A whole RRset, with its signatures where they are wanted, or nothing; in the additional section
 * it may come without them (RFC 4035 section 3.1.1). false: it does not fit. owner_at: where its
 * owner name stands. */
MUST_USE bool message_add_rrset(struct message *m, enum section section,
                                const struct zone_rrset *rrset, uint16_t owner_at);
/* Addresses of one family, one record after the other: n of them go into an answer, from the first
 * on and going round. */
struct message_round {
    const uint8_t *wire, *sigs; /* signatures of those that go into the answer */
    size_t count, first, n;
    uint64_t random; /* for their order */
    uint16_t sig_bytes, n_sigs;
    bool is_v6;
};
/* Draws first: a random one, where not all go into the answer. */
void message_draw_round(struct message_round *r, uint64_t random);
/* All n with their signatures, in random order, or nothing; in the additional section they may come
 * without signatures. false: they do not fit. */
MUST_USE bool message_add_round(struct message *m, enum section section,
                                const struct message_round *r, uint16_t owner_at);
/* The addresses of one family that an answer from this site has, or n = 0; is_v6 tells which. */
struct message_round steered_round(const struct world_service *service,
                                   const struct world_site *site, bool is_v6, uint64_t random);
/* The addresses that a service gives this client, for its name as somebody's target; name_at: where
 * that stands. false: they do not fit. */
bool steered_add_target(struct message *m, uint16_t service, const struct ip *client,
                        uint32_t name_at, uint64_t random);
/* One record with the current name as owner. */
MUST_USE bool message_add_record(struct message *m, uint16_t type, uint32_t ttl_s,
                                 const uint8_t *rdata, uint16_t rdata_bytes);
/* With compact denial a name that is missing looks like one without data, unless the asker says
 * that it knows better: RFC 9824 sections 3.1 and 5.1. */
enum wire_rcode dnssec_absence_rcode(const struct message *m, const struct zone *z);
/* dnssec, only with DO=1: gathers what proves the verdict on the current name. */
void dnssec_prove(struct message *m, const struct zone_lookup *l, enum zone_verdict verdict);
/* The same for a steered name without an address of the type that was asked for. */
void dnssec_prove_missing(struct message *m, const struct zone_lookup *l, uint16_t type);
/* Writes what was gathered; false: it does not fit. */
MUST_USE bool dnssec_add_proofs(struct message *m);
/* DS and its signatures, or the proof that there is none (RFC 4035 section 3.1.4). A DS in an
 * unsigned zone means nothing, and is left out as others do. */
MUST_USE bool dnssec_add_delegation(struct message *m, const struct zone_node *cut);
/* Only the signatures of an RRset: what a query for RRSIG gets, whether DO is set or not. */
MUST_USE bool dnssec_add_signatures(struct message *m, const struct zone_rrset *r);

/* compact: records of compact denial, signed as they are asked for; one per thread. The one thing
 * on the path of a query that signs: 30 microseconds and more for a name that was not asked for
 * lately, and so no more than a share of the thread's time. */
struct compact *compact_new(struct metrics_block *counters);
void compact_free(struct compact *c);
/* A new answer: what the last one has gathered may go. */
void compact_begin(struct compact *c);
/* The NSEC for a name that does not exist, or that a wildcard answers for; it stays until the next
 * compact_begin. missing: of a steered name, the type that is not there now, or 0. false: the time
 * for it is spent, or there is no such NSEC. */
MUST_USE bool compact_prove(struct compact *c, const struct zone_lookup *l,
                            enum zone_verdict verdict, uint16_t missing,
                            const struct wire_name *name, struct zone_proof *out);
/* Makes of m what is due then: by UDP TC, by a stream SERVFAIL. */
void compact_refuse(struct message *m);

/* What is asked of a zone that is not available: SERVFAIL. */
static inline void message_say_absent(struct message *m, const struct zone *z)
{
    m->rcode = WIRE_SERVFAIL;
    m->ede = z->absence == ZONE_UNREACHABLE ? EDE_NO_AUTHORITY : EDE_INVALID_DATA;
    m->is_authoritative = false;
}

/* An error for which there is no code, in words. */
static inline void message_explain(struct message *m, const char *text)
{
    m->ede = EDE_OTHER;
    m->ede_text = text;
}
/* Leaves the question and, later, OPT; TC says so. */
void message_truncate(struct message *m);
/* The room that OPT takes with the options that are due in any case; 0 without EDNS. */
uint32_t opt_size(const struct wire_query *q, const struct world *w,
                  enum answer_transport transport);
/* Writes it behind the last record; others of its options come as far as they fit. */
void opt_write(struct message *m, const struct wire_query *q, const struct world *w);
/* Judges the query's TSIG and keeps room for the answer's; the RCODE tells if it is bad. */
void message_accept_tsig(struct message *m, struct tsig_session *session,
                         const struct wire_query *q, const struct world *w,
                         struct metrics_block *counters);
/* Ends what message_accept_tsig began, without an answer. */
void message_drop(struct message *m);
/* A NOTIFY: taken, or refused. */
void message_take_notify(struct message *m, const struct wire_query *q, const struct world *w,
                         struct metrics_block *counters);
/* A zone transfer: m->stream, which then takes the place of all else. Failure: the RCODE is set. */
MUST_USE struct outcome message_begin_transfer(struct message *m, const struct wire_query *q,
                                               const struct world *w);
/* Its first message; the rest goes to the query's stream. */
uint32_t message_send_transfer(struct message *m, struct answer_query *io);
/* Adds the signature that m->tsig asks for, and ends the session. */
void message_sign(struct message *m);
/* OPT, header, signature; the message's size. */
uint32_t message_finish(struct message *m, const struct wire_query *q, const struct world *w);

#endif
