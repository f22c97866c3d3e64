/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fields: what HTTP field lines mean, whichever version carried them. A set of field lines with an
 * index by known name, and readers and writers for the values that a shared cache acts on.
 * Place on the path: below http (the HTTP/1.1 wire), used by session, request, cache, upstream.
 * Lifetime: nothing is copied or allocated; every slice points into the caller's bytes and lives
 * as long as they do. Threads: no state; any thread.
 */
#ifndef EDGE_PROXY_FIELDS_H
#define EDGE_PROXY_FIELDS_H

#include "common/bytes/bytes.h"
#include "common/text/text.h"

/* ---- Known names ---- */

enum {
    FIELD_SINGLETON = 1 << 0,  /* a second line is an error or is dropped; never joined by commas */
    FIELD_LIST = 1 << 1,       /* #rule: lines may be joined by ", " */
    FIELD_HOP = 1 << 2,        /* this hop only: never forwarded, never stored */
    FIELD_NO_TRAILER = 1 << 3, /* dropped when found in a trailer section */
    FIELD_PINNED = 1 << 4,     /* Connection cannot nominate it away */
    FIELD_DROP = 1 << 5,       /* dropped on sight: it only serves attacks (httpoxy) */
    FIELD_KEEP_304 = 1 << 6,   /* a 304 does not overwrite the stored one, RFC 9111 section 3.2 */
};

#define FIELD_CONTENT_ (FIELD_NO_TRAILER | FIELD_PINNED)
#define FIELD_CONTROL_ (FIELD_NO_TRAILER | FIELD_PINNED)

/* Every name the programs ask for, none longer than 31 bytes: the enum, the flags, the spelling
 * and the look-up come from this table. */
#define FIELDS_TABLE(X)                                                                       \
    X(ACCEPT, "Accept", FIELD_LIST)                                                           \
    X(ACCEPT_CHARSET, "Accept-Charset", FIELD_LIST)                                           \
    X(ACCEPT_ENCODING, "Accept-Encoding", FIELD_LIST)                                         \
    X(ACCEPT_LANGUAGE, "Accept-Language", FIELD_LIST)                                         \
    X(ACCEPT_RANGES, "Accept-Ranges", FIELD_LIST)                                             \
    X(AGE, "Age", FIELD_SINGLETON | FIELD_CONTROL_)                                           \
    X(ALLOW, "Allow", FIELD_LIST)                                                             \
    X(ALT_SVC, "Alt-Svc", FIELD_LIST)                                                         \
    X(AUTHORIZATION, "Authorization", FIELD_SINGLETON | FIELD_CONTROL_)                       \
    X(CACHE_CONTROL, "Cache-Control", FIELD_LIST | FIELD_CONTROL_)                            \
    X(CACHE_STATUS, "Cache-Status", FIELD_LIST | FIELD_PINNED)                                \
    X(CDN_CACHE_CONTROL, "CDN-Cache-Control", FIELD_LIST | FIELD_CONTROL_)                    \
    X(CDN_LOOP, "CDN-Loop", FIELD_LIST | FIELD_CONTROL_)                                      \
    X(CLIENT_CERT, "Client-Cert", FIELD_SINGLETON | FIELD_CONTROL_)                           \
    X(CLIENT_CERT_CHAIN, "Client-Cert-Chain", FIELD_LIST | FIELD_CONTROL_)                    \
    X(CONNECTION, "Connection", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)                    \
    X(CONTENT_ENCODING, "Content-Encoding", FIELD_LIST | FIELD_CONTENT_ | FIELD_KEEP_304)     \
    X(CONTENT_LANGUAGE, "Content-Language", FIELD_LIST | FIELD_CONTENT_)                      \
    X(CONTENT_LENGTH, "Content-Length", FIELD_SINGLETON | FIELD_CONTENT_ | FIELD_KEEP_304)    \
    X(CONTENT_LOCATION, "Content-Location", FIELD_SINGLETON | FIELD_CONTENT_)                 \
    X(CONTENT_RANGE, "Content-Range", FIELD_SINGLETON | FIELD_CONTENT_ | FIELD_KEEP_304)      \
    X(CONTENT_TYPE, "Content-Type", FIELD_SINGLETON | FIELD_CONTENT_ | FIELD_KEEP_304)        \
    X(COOKIE, "Cookie", FIELD_CONTROL_)                                                       \
    X(DATE, "Date", FIELD_SINGLETON | FIELD_CONTROL_)                                         \
    X(EARLY_DATA, "Early-Data", FIELD_SINGLETON | FIELD_CONTROL_)                             \
    X(ETAG, "ETag", FIELD_SINGLETON | FIELD_PINNED)                                           \
    X(EXPECT, "Expect", FIELD_LIST | FIELD_CONTROL_)                                          \
    X(EXPIRES, "Expires", FIELD_SINGLETON | FIELD_CONTROL_)                                   \
    X(FORWARDED, "Forwarded", FIELD_LIST | FIELD_CONTROL_)                                    \
    X(HOST, "Host", FIELD_SINGLETON | FIELD_CONTROL_)                                         \
    X(HTTP2_SETTINGS, "HTTP2-Settings", FIELD_SINGLETON | FIELD_HOP | FIELD_NO_TRAILER)       \
    X(IF_MATCH, "If-Match", FIELD_LIST | FIELD_CONTROL_)                                      \
    X(IF_MODIFIED_SINCE, "If-Modified-Since", FIELD_SINGLETON | FIELD_CONTROL_)               \
    X(IF_NONE_MATCH, "If-None-Match", FIELD_LIST | FIELD_CONTROL_)                            \
    X(IF_RANGE, "If-Range", FIELD_SINGLETON | FIELD_CONTROL_)                                 \
    X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", FIELD_SINGLETON | FIELD_CONTROL_)           \
    X(KEEP_ALIVE, "Keep-Alive", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)                    \
    X(LAST_MODIFIED, "Last-Modified", FIELD_SINGLETON | FIELD_PINNED)                         \
    X(LINK, "Link", FIELD_LIST)                                                               \
    X(LOCATION, "Location", FIELD_SINGLETON | FIELD_CONTROL_)                                 \
    X(MAX_FORWARDS, "Max-Forwards", FIELD_SINGLETON | FIELD_CONTROL_)                         \
    X(ORIGIN, "Origin", FIELD_SINGLETON | FIELD_CONTROL_)                                     \
    X(PRAGMA, "Pragma", FIELD_LIST | FIELD_CONTROL_)                                          \
    X(PROXY, "Proxy", FIELD_DROP | FIELD_HOP | FIELD_NO_TRAILER)                              \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)    \
    X(PROXY_AUTHENTICATION_INFO, "Proxy-Authentication-Info", FIELD_HOP | FIELD_NO_TRAILER)   \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization", FIELD_HOP | FIELD_NO_TRAILER)               \
    X(PROXY_CONNECTION, "Proxy-Connection", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)        \
    X(RANGE, "Range", FIELD_SINGLETON | FIELD_CONTROL_)                                       \
    X(REFERER, "Referer", FIELD_SINGLETON)                                                    \
    X(RETRY_AFTER, "Retry-After", FIELD_SINGLETON | FIELD_NO_TRAILER)                         \
    X(SERVER, "Server", FIELD_SINGLETON)                                                      \
    X(SET_COOKIE, "Set-Cookie", FIELD_CONTROL_)                                               \
    X(STRICT_TRANSPORT_SECURITY, "Strict-Transport-Security", FIELD_SINGLETON | FIELD_PINNED) \
    X(SURROGATE_CONTROL, "Surrogate-Control", FIELD_LIST | FIELD_CONTROL_)                    \
    X(SURROGATE_KEY, "Surrogate-Key", FIELD_NO_TRAILER)                                       \
    X(TE, "TE", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)                                    \
    X(TRAILER, "Trailer", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)                          \
    X(TRANSFER_ENCODING, "Transfer-Encoding", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)      \
    X(UPGRADE, "Upgrade", FIELD_LIST | FIELD_HOP | FIELD_NO_TRAILER)                          \
    X(USER_AGENT, "User-Agent", FIELD_SINGLETON)                                              \
    X(VARY, "Vary", FIELD_LIST | FIELD_CONTROL_)                                              \
    X(VIA, "Via", FIELD_LIST | FIELD_PINNED)                                                  \
    X(WARNING, "Warning", FIELD_LIST)                                                         \
    X(WWW_AUTHENTICATE, "WWW-Authenticate", FIELD_LIST | FIELD_CONTROL_)                      \
    X(X_ACCEL_EXPIRES, "X-Accel-Expires", FIELD_SINGLETON)                                    \
    X(X_FORWARDED_FOR, "X-Forwarded-For", FIELD_LIST | FIELD_CONTROL_)                        \
    X(X_FORWARDED_HOST, "X-Forwarded-Host", FIELD_LIST | FIELD_CONTROL_)                      \
    X(X_FORWARDED_PORT, "X-Forwarded-Port", FIELD_LIST | FIELD_CONTROL_)                      \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto", FIELD_LIST | FIELD_CONTROL_)                    \
    X(X_HTTP_METHOD_OVERRIDE, "X-HTTP-Method-Override", FIELD_SINGLETON | FIELD_PINNED)       \
    X(X_ORIGINAL_URL, "X-Original-URL", FIELD_SINGLETON | FIELD_PINNED)                       \
    X(X_POWERED_BY, "X-Powered-By", 0)                                                        \
    X(X_REAL_IP, "X-Real-IP", FIELD_SINGLETON | FIELD_CONTROL_)                               \
    X(X_REQUEST_ID, "X-Request-ID", FIELD_SINGLETON)                                          \
    X(X_REWRITE_URL, "X-Rewrite-URL", FIELD_SINGLETON | FIELD_PINNED)

enum field_id {
    FIELD_OTHER, /* not in the table */
#define FIELD_ENUM_(id, name, flags) FIELD_##id,
    FIELDS_TABLE(FIELD_ENUM_)
#undef FIELD_ENUM_
        FIELD_ID_COUNT
};

/* The id of a name, in any case; FIELD_OTHER when it is not in the table. */
enum field_id fields_identify(struct str name);
/* Of a known field: its name as commonly spelled and in lower case, and its flags. "" and 0 for
 * FIELD_OTHER. */
struct str fields_spelling(enum field_id id);
struct str fields_name(enum field_id id);
unsigned fields_flags(enum field_id id);

/* ---- Sets of names ---- */

struct field_id_set {
    uint64_t bits[(FIELD_ID_COUNT + 63) / 64];
};
static inline void field_id_set_add(struct field_id_set *s, enum field_id id)
{
    s->bits[id / 64] |= (uint64_t)1 << (id % 64);
}
static inline bool field_id_set_has(const struct field_id_set *s, enum field_id id)
{
    return s->bits[id / 64] >> (id % 64) & 1;
}

/* The same with names that are not in the table. Zero-initialise. */
struct field_names {
    struct field_id_set ids;
    const char **others; /* the owner's, with room for all it adds */
    size_t n_others;
};
/* name must live as long as the set. */
void field_names_add(struct field_names *s, const char *name);
bool field_names_has(const struct field_names *s, struct str name);

/* ---- A set of field lines ---- */

#define FIELDS_MAX 128

struct field {
    struct str name, value; /* value without white space at either end */
    uint16_t id;            /* enum field_id */
    bool is_alias; /* "_", "." and their like in the name: CGI-like origins read them as the
                    * dash form, so policy may drop it */
};

struct fields {
    uint32_t count;
    uint8_t first[FIELD_ID_COUNT]; /* index + 1 of the first line of a known field, 0: none */
    uint64_t repeated[(FIELD_ID_COUNT + 63) / 64]; /* known fields with more than one line */
    uint64_t blocked[FIELDS_MAX / 64]; /* lines that stay on this hop: see fields_is_forwardable */
    struct field v[FIELDS_MAX];
};

/* Empties the set (does not touch v). */
void fields_clear(struct fields *f);
/* Adds a line whose name is a token and whose value is legal, as the parsers guarantee.
 * false: FIELDS_MAX lines are there already. */
MUST_USE bool fields_add(struct fields *f, struct str name, struct str value);
/* Takes all lines of a known field out; the others keep their order. */
void fields_remove(struct fields *f, enum field_id id);
/* For parsers that fill in name and value of v and count by themselves: all the rest, and
 * fields_mark_hop_by_hop with it. */
void fields_index(struct fields *f);

/* Index of the first line, or -1. */
static inline int fields_find(const struct fields *f, enum field_id id)
{
    return (int)f->first[id] - 1;
}
static inline bool fields_has(const struct fields *f, enum field_id id)
{
    return f->first[id] != 0;
}
/* Value of the first line; {NULL, 0} when there is none. */
static inline struct str fields_value(const struct fields *f, enum field_id id)
{
    return f->first[id] ? f->v[f->first[id] - 1].value : (struct str){NULL, 0};
}
/* The next line with the same name as line i (known or not), or -1. */
int fields_next(const struct fields *f, int i);
/* The first line with this name, in any case and known or not (for Vary), or -1. */
int fields_find_name(const struct fields *f, struct str name);
/* How many lines carry this known field. */
unsigned fields_count(const struct fields *f, enum field_id id);

/* Works out which lines end at this hop: those of the table and those that Connection nominates,
 * but never a pinned one (RFC 9110 section 7.6.1). The parsers call it; callers that build a set
 * by hand do so once after the last line. */
void fields_mark_hop_by_hop(struct fields *f);
/* false: line i is for this hop only, or repeats a field that has one value, of which recipients
 * read the first or the last: it is neither forwarded nor stored (RFC 9111 section 3.1). */
static inline bool fields_is_forwardable(const struct fields *f, int i)
{
    return (f->blocked[i / 64] >> (i % 64) & 1) == 0;
}
/* Lines with these names end at this hop, too. */
void fields_mark_names(struct fields *f, const struct field_names *names);
/* A trailer line that may be passed on (RFC 9110 section 6.5.1). */
bool fields_is_trailer_allowed(enum field_id id);

/* ---- Characters, tokens and lists (RFC 9110 section 5.6) ---- */

enum {
    FIELDS_TCHAR = 1 << 0,      /* token character */
    FIELDS_UNRESERVED = 1 << 1, /* RFC 3986 unreserved */
    FIELDS_HOSTCHAR = 1 << 2,   /* may stand in a reg-name or IPv4 address */
    FIELDS_HEX = 1 << 3,
    FIELDS_DIGIT = 1 << 4,
};
extern const uint8_t fields_char_class[256];
bool fields_is_token(struct str s);

/* One element of a comma list. Empty elements are skipped; commas in quoted strings do not
 * count. false: no element left. */
bool fields_next_element(struct str *rest, struct str *element);
/* One "name[=value]" of a list such as Cache-Control or of parameters, separated by `separator`.
 * The value of a quoted string is given without its quotes and still with its backslashes. */
struct field_param {
    struct str name, value;
    bool has_value, is_quoted;
};
bool fields_next_param(struct str *rest, char separator, struct field_param *out);
/* Does any line of a list field hold this token (case folded; "close" in Connection)? */
bool fields_has_token(const struct fields *f, enum field_id id, const char *token);

/* The value of a cookie by its name, whose case counts (RFC 6265 section 5.4); the first of
 * several. false: there is none. */
MUST_USE bool fields_find_cookie(const struct fields *f, struct str name, struct str *value);
/* The next "name=value" of a Cookie line, without white space around it. */
bool fields_next_cookie(struct str *rest, struct str *pair);

/* ---- Cache-Control (RFC 9111 section 5.2, RFC 5861, RFC 8246, RFC 9213) ---- */

#define FIELDS_SECONDS_MAX \
    ((uint32_t)1 << 31) /* what overflow is read as, RFC 9111 section 1.2.2 */

/* X(name, "directive", kind): FLAG takes no argument, SECONDS delta-seconds, NAMES an optional
 * list of field names. */
#define FIELDS_DIRECTIVES(X)                                     \
    X(NO_STORE, "no-store", FLAG)                                \
    X(NO_CACHE, "no-cache", NAMES)                               \
    X(PRIVATE, "private", NAMES)                                 \
    X(PUBLIC, "public", FLAG)                                    \
    X(MUST_REVALIDATE, "must-revalidate", FLAG)                  \
    X(PROXY_REVALIDATE, "proxy-revalidate", FLAG)                \
    X(MUST_UNDERSTAND, "must-understand", FLAG)                  \
    X(NO_TRANSFORM, "no-transform", FLAG)                        \
    X(IMMUTABLE, "immutable", FLAG)                              \
    X(ONLY_IF_CACHED, "only-if-cached", FLAG)                    \
    X(MAX_AGE, "max-age", SECONDS)                               \
    X(S_MAXAGE, "s-maxage", SECONDS)                             \
    X(STALE_WHILE_REVALIDATE, "stale-while-revalidate", SECONDS) \
    X(STALE_IF_ERROR, "stale-if-error", SECONDS)                 \
    X(MAX_STALE, "max-stale", SECONDS)                           \
    X(MIN_FRESH, "min-fresh", SECONDS)

enum cache_directive {
#define CC_ENUM_(id, name, kind) CC_##id,
    FIELDS_DIRECTIVES(CC_ENUM_)
#undef CC_ENUM_
        CC_COUNT
};

struct cache_control {
    uint32_t present;           /* bit per directive; NO_CACHE and PRIVATE only without names */
    uint32_t seconds[CC_COUNT]; /* of the present SECONDS directives; invalid reads as 0 (stale),
                                 * a bare max-stale as FIELDS_SECONDS_MAX */
    struct str no_cache_names, private_names; /* comma lists; for fields_next_element */
};

static inline bool cc_has(const struct cache_control *cc, enum cache_directive d)
{
    return cc->present >> d & 1;
}
/* All lines of Cache-Control. Unknown directives are ignored, the first of duplicates counts, two
 * name lists for one directive make it unqualified. */
void fields_read_cache_control(const struct fields *f, struct cache_control *out);
/* CDN-Cache-Control (RFC 9213): a structured dictionary. false: absent, empty or malformed, and
 * then Cache-Control decides. When true Cache-Control and Expires do not count. */
MUST_USE bool fields_read_cdn_cache_control(const struct fields *f, struct cache_control *out);
/* Age: the first line if it is all digits, at most FIELDS_SECONDS_MAX; else 0. */
uint32_t fields_read_age(const struct fields *f);

/* ---- Dates (RFC 9110 section 5.6.7), in seconds since 1970 ---- */

/* IMF-fixdate, RFC 850 or asctime, strictly. now_s places the two-digit years of RFC 850. */
MUST_USE bool fields_parse_date(struct str s, int64_t now_s, int64_t *out_s);
#define FIELDS_DATE_BYTES 29
/* IMF-fixdate, not terminated; years 0 to 9999. */
void fields_format_date(int64_t time_s, char out[FIELDS_DATE_BYTES]);

/* ---- Validators, conditions and ranges (RFC 9110 sections 8.8, 13 and 14) ---- */

struct etag {
    struct str opaque; /* with its quotes */
    bool is_weak;
};
/* The whole of s is one entity tag. */
MUST_USE bool fields_parse_etag(struct str s, struct etag *out);
bool fields_etag_is_strong_match(const struct etag *a, const struct etag *b);
bool fields_etag_is_weak_match(const struct etag *a, const struct etag *b);

/* What is known of the representation at hand. */
struct validators {
    struct str etag;         /* ETag as stored; empty: none */
    int64_t last_modified_s; /* Last-Modified, else Date (RFC 9111 section 4.3.2); -1: none */
    int64_t date_s;          /* Date of that response, for the strength of dates; -1: none */
};
/* GET and HEAD only: the client's If-None-Match, or without that If-Modified-Since, says that what
 * it holds is current: answer 304 (RFC 9110 section 13.2.2). */
bool fields_is_not_modified(const struct fields *request, const struct validators *v,
                            int64_t now_s);
/* If-Range holds, or there is none: Range counts. Strong comparison only (13.1.5). */
bool fields_is_range_current(const struct fields *request, const struct validators *v,
                             int64_t now_s);

struct byte_range {
    uint64_t first, last; /* inclusive, within the representation */
};
#define FIELDS_RANGES_MAX 8
enum range_verdict {
    RANGE_IGNORE,        /* no, other or malformed Range, or too many or overlapping: send all */
    RANGE_SATISFIABLE,   /* *count ranges, in the client's order */
    RANGE_UNSATISFIABLE, /* 416 with Content-Range: bytes star/size */
};
/* Range of a GET against a representation of size_bytes (RFC 9110 section 14.2). */
enum range_verdict fields_read_ranges(const struct fields *request, uint64_t size_bytes,
                                      struct byte_range out[FIELDS_RANGES_MAX], unsigned *count);
/* "bytes 0-99/1234" or, with no range, "bytes star/1234". */
void fields_write_content_range(struct writer *w, const struct byte_range *range,
                                uint64_t size_bytes);
/* Content-Range of a 206: true when well-formed; *size_bytes UINT64_MAX when unknown. */
MUST_USE bool fields_parse_content_range(struct str s, struct byte_range *range,
                                         uint64_t *size_bytes);

/* ---- Content codings ---- */

enum {
    CODING_GZIP = 1 << 0,
    CODING_BR = 1 << 1,
    CODING_ZSTD = 1 << 2,
    CODING_IDENTITY = 1 << 3,
};
/* The codings that the client takes (q > 0, "*" and the identity rule of RFC 9110 section 12.5.3
 * applied); x-gzip is gzip. No Accept-Encoding: identity alone, which every client takes. */
unsigned fields_read_accept_encoding(const struct fields *request);

/* ---- Composed values: written whole or the writer is full ---- */

/* All lines of a list field joined by ", ". */
void fields_write_joined(struct writer *w, const struct fields *f, enum field_id id);
/* token if it is one, else quoted-string; bytes that a quoted string cannot hold become '?'. */
void fields_write_word(struct writer *w, struct str s);
/* "1.1 pseudonym" (version: as it was received) after the lines that are there (f NULL: none); RFC
 * 9110 section 7.6.3. */
void fields_write_via(struct writer *w, const struct fields *f, struct str version,
                      struct str pseudonym);
/* CDN-Loop after the lines that are there; RFC 8586. */
void fields_write_cdn_loop(struct writer *w, const struct fields *f, struct str cdn_id);
/* How often our own id stands in CDN-Loop (a loop when > 0). */
unsigned fields_count_cdn_loop(const struct fields *f, struct str cdn_id);

struct forwarded {
    struct str client; /* address as text, IPv6 without brackets */
    struct str host;   /* as the client gave it */
    struct str proto;  /* "http" or "https" */
    struct str by;     /* our pseudonym, written as an obfuscated _identifier; empty: none */
};
/* f: the request, when its peer is trusted and its lines are to be kept in front; else NULL. */
void fields_write_forwarded(struct writer *w, const struct fields *f, const struct forwarded *by);
void fields_write_x_forwarded_for(struct writer *w, const struct fields *f, struct str client);

/* RFC 9211. Members with their zero value are left out (ttl: has_ttl). */
struct cache_status {
    struct str cache;           /* our name */
    bool is_hit;                /* else forward_reason says why not */
    const char *forward_reason; /* "bypass", "method", "uri-miss", "vary-miss", "miss", "request",
                                 * "stale", "partial" */
    uint16_t forward_status;
    bool is_stored, is_collapsed, has_ttl;
    int64_t ttl_s;
    struct str key, detail;
};
/* After the lines that are there (f NULL: none). */
void fields_write_cache_status(struct writer *w, const struct fields *f,
                               const struct cache_status *status);

/* ---- Numbers ---- */

/* 1*DIGIT, nothing else, no overflow (RFC 9110 section 8.6). */
MUST_USE bool fields_parse_digits(struct str s, uint64_t *out);
void fields_write_u64(struct writer *w, uint64_t v);
/* Inline: with a literal it is a few moves. */
static inline void fields_write_str(struct writer *w, struct str s)
{
    writer_add(w, s.p, s.n);
}

#endif
