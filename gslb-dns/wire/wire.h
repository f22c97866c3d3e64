/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire: the DNS message on the wire (RFC 1035 section 4), read and begun. A query is parsed into a
 * struct wire_query with a verdict; nothing is allocated and nothing is kept. First step of the
 * answer path; any thread.
 */
#ifndef GSLB_DNS_WIRE_H
#define GSLB_DNS_WIRE_H

#include "common/addr/addr.h"
#include "common/base/base.h"

enum {
    WIRE_HEADER = 12,
    WIRE_NAME_MAX = 255,
    WIRE_LABELS_MAX = 127,
    WIRE_UDP_MIN = 512, /* RFC 1035 section 4.2.1 */
    WIRE_TCP_MAX = 65535,
    WIRE_ECS_MAX = 4 + 4 + 16, /* the whole option */
};

enum wire_type {
    WIRE_A = 1,
    WIRE_NS = 2,
    WIRE_CNAME = 5,
    WIRE_SOA = 6,
    WIRE_PTR = 12,
    WIRE_MX = 15,
    WIRE_TXT = 16,
    WIRE_AAAA = 28,
    WIRE_SRV = 33,
    WIRE_NAPTR = 35,
    WIRE_DNAME = 39,
    WIRE_OPT = 41,
    WIRE_DS = 43,
    WIRE_RRSIG = 46,
    WIRE_NSEC = 47,
    WIRE_DNSKEY = 48,
    WIRE_NSEC3 = 50,
    WIRE_NSEC3PARAM = 51,
    WIRE_SVCB = 64,
    WIRE_HTTPS = 65,
    WIRE_NXNAME = 128,
    WIRE_TSIG = 250,
    WIRE_IXFR = 251,
    WIRE_AXFR = 252,
    WIRE_ANY = 255,
};

enum { WIRE_CLASS_IN = 1, WIRE_CLASS_CH = 3, WIRE_CLASS_ANY = 255 };

enum wire_rcode {
    WIRE_NOERROR = 0,
    WIRE_FORMERR = 1,
    WIRE_SERVFAIL = 2,
    WIRE_NXDOMAIN = 3,
    WIRE_NOTIMP = 4,
    WIRE_REFUSED = 5,
    WIRE_YXDOMAIN = 6,
    WIRE_NOTAUTH = 9,
    WIRE_BADVERS = 16,
    WIRE_BADCOOKIE = 23,
};

/* A name in uncompressed wire form, ASCII letters folded to lower case, with the offset of each
 * label's length byte. The root has no label; bytes always end with the root's zero. */
struct wire_name {
    uint8_t length; /* with the final zero */
    uint8_t n_labels;
    uint8_t offsets[WIRE_LABELS_MAX + 1];
    uint8_t bytes[WIRE_NAME_MAX + 1];
};

/* EDNS Client Subnet as it came (RFC 7871 section 6). */
struct wire_ecs {
    bool is_present;
    uint8_t source_bits;
    struct ip address; /* zero-filled beyond the source */
};

/* What the query says. Filled by wire_parse_query up to the point where its verdict fell; qname,
 * qtype and qclass mean something only with a question, the EDNS fields only with EDNS. */
struct wire_query {
    uint16_t id;
    uint8_t flags_high;      /* QR Opcode AA TC RD */
    bool has_question;       /* without one and yet WIRE_OK: a cookie only, RFC 7873 section 5.4 */
    uint16_t question_bytes; /* QNAME QTYPE QCLASS, at offset WIRE_HEADER, echoed as they came */
    uint16_t qtype, qclass;
    struct wire_name qname;
    bool has_edns, has_do;
    bool has_co; /* compact answers OK, RFC 9824 section 5.1 */
    uint8_t edns_version;
    uint16_t udp_payload_bytes; /* at least 512 */
    struct wire_ecs ecs;
    bool has_nsid, has_keepalive, has_padding;
    uint8_t cookie_bytes;  /* 0: none */
    const uint8_t *cookie; /* in the packet */
    uint16_t tsig_at;      /* where its TSIG record begins, RFC 8945; 0: it is not signed */
};

/* Name, RCODE, counter label. One row per way in which a query ends before it is looked up. */
#define WIRE_VERDICTS(X)                                                            \
    X(WIRE_OK, WIRE_NOERROR, "ok")                                                  \
    X(WIRE_DROP_RUNT, WIRE_NOERROR, "runt")         /* below 12 bytes: no answer */ \
    X(WIRE_DROP_RESPONSE, WIRE_NOERROR, "response") /* QR=1: no answer */           \
    X(WIRE_BAD_OPCODE, WIRE_NOTIMP, "opcode")                                       \
    X(WIRE_BAD_COUNT, WIRE_FORMERR, "count") /* RFC 9619; records in the answer or  \
                                                authority section, as NSD has it */ \
    X(WIRE_BAD_NAME, WIRE_FORMERR, "name")                                          \
    X(WIRE_BAD_RECORD, WIRE_FORMERR, "record")                                      \
    X(WIRE_BAD_TRAILING, WIRE_FORMERR, "trailing")                                  \
    X(WIRE_BAD_OPT, WIRE_FORMERR, "opt")                                            \
    X(WIRE_BAD_ECS, WIRE_FORMERR, "ecs")                                            \
    X(WIRE_BAD_COOKIE, WIRE_FORMERR, "cookie")                                      \
    X(WIRE_BAD_VERSION, WIRE_BADVERS, "version")                                    \
    X(WIRE_BAD_METATYPE, WIRE_FORMERR, "metatype")                                  \
    X(WIRE_TRANSFER, WIRE_REFUSED, "transfer") /* AXFR, IXFR */                     \
    X(WIRE_NOTIFY, WIRE_REFUSED, "notify")     /* RFC 1996 */                       \
    X(WIRE_BAD_NOTIFY, WIRE_FORMERR, "bad_notify")                                  \
    X(WIRE_BAD_CLASS, WIRE_REFUSED, "class")                                        \
    X(WIRE_CHAOS, WIRE_REFUSED, "chaos") /* unless somebody answers it */

enum wire_verdict {
#define X(name, rcode, label) name,
    WIRE_VERDICTS(X)
#undef X
        WIRE_VERDICT_COUNT
};

/* Reads a whole message (RFC 1035 section 4.1, RFC 6891 section 6.1). *q need not be cleared
 * before; it borrows from the packet. */
enum wire_verdict wire_parse_query(struct wire_query *q, const uint8_t *packet, size_t n);
enum wire_rcode wire_verdict_rcode(enum wire_verdict v);
const char *wire_verdict_label(enum wire_verdict v);

/* Text to name and back (RFC 1035 section 5.1: \. and \DDD). A missing final dot is added. */
MUST_USE bool wire_name_parse(struct str text, struct wire_name *out);
#define WIRE_NAME_TEXT 1024
const char *wire_name_format(const uint8_t *wire, char buf[WIRE_NAME_TEXT]);
/* From uncompressed wire bytes; false: not a name within n bytes. */
MUST_USE bool wire_name_read(const uint8_t *wire, size_t n, struct wire_name *out);
/* Is name at or below parent? Both lower case. */
bool wire_name_is_below(const struct wire_name *name, const struct wire_name *parent);
/* Steps over a name that may be compressed, in a message that begins at packet; false: not a name.
 */
struct reader;
MUST_USE bool wire_skip_name(struct reader *r, const uint8_t *packet);
/* Reads such a name, its letters' case kept, and steps over it; the length, 0: not a name. */
size_t wire_unpack_name(struct reader *r, const uint8_t *packet, uint8_t out[WIRE_NAME_MAX]);
/* "A", "TYPE65280" */
const char *wire_type_format(uint16_t type, char buf[16]);

#endif
