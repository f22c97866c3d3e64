/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http: the HTTP/1.1 wire. Reads message heads and chunked bodies strictly, says where a message
 * ends, and writes heads. No I/O, no allocation.
 * Place on the path: session and upstream hand it their buffers and act on the verdict; what the
 * fields mean is in fields.
 * Lifetime: a head's slices point into the buffer it was parsed from (a missing path: at a
 * constant) and live until that buffer moves. Threads: no state; any thread.
 */
#ifndef EDGE_PROXY_HTTP_H
#define EDGE_PROXY_HTTP_H

#include "edge-proxy/fields/fields.h"

/* ---- Verdicts ---- */

/* X(name, status to answer with, label of its counter and of log lines). A status of 0: no
 * refusal. On the response side every refusal is a 502. */
#define HTTP_VERDICTS(X)                                               \
    X(DONE, 0, "done")                                                 \
    X(MORE, 0, "more")                                                 \
    X(DATA, 0, "data")                                                 \
    X(BAD_BYTE, 400, "illegal-byte")                                   \
    X(BAD_LINE_END, 400, "bare-cr-or-lf")                              \
    X(BAD_LEADING_LINES, 400, "too-many-leading-empty-lines")          \
    X(BAD_METHOD, 400, "bad-method")                                   \
    X(METHOD_TOO_LONG, 501, "method-too-long")                         \
    X(CONNECT_REFUSED, 501, "connect-refused")                         \
    X(BAD_TARGET, 400, "bad-target")                                   \
    X(TARGET_FRAGMENT, 400, "fragment-in-target")                      \
    X(TARGET_BACKSLASH, 400, "backslash-in-path")                      \
    X(BAD_TARGET_FORM, 400, "bad-target-form")                         \
    X(BAD_AUTHORITY, 400, "bad-authority")                             \
    X(TARGET_TOO_LONG, 414, "target-too-long")                         \
    X(BAD_VERSION, 400, "bad-version")                                 \
    X(VERSION_UNSUPPORTED, 505, "version-unsupported")                 \
    X(BAD_STATUS, 400, "bad-status")                                   \
    X(BAD_FIELD_NAME, 400, "bad-field-name")                           \
    X(SPACE_BEFORE_COLON, 400, "space-before-colon")                   \
    X(NO_COLON, 400, "field-without-colon")                            \
    X(OBS_FOLD, 400, "obs-fold")                                       \
    X(LEADING_SPACE, 400, "space-before-first-field")                  \
    X(TOO_MANY_FIELDS, 431, "too-many-fields")                         \
    X(HEAD_TOO_LARGE, 431, "head-too-large")                           \
    X(NO_HOST, 400, "host-missing")                                    \
    X(MANY_HOSTS, 400, "host-repeated")                                \
    X(BAD_HOST, 400, "host-invalid")                                   \
    X(HOST_DIFFERS, 400, "host-differs-from-authority")                \
    X(MISDIRECTED, 421, "host-not-in-certificate")                     \
    X(BAD_LENGTH, 400, "content-length-invalid")                       \
    X(MANY_LENGTHS, 400, "content-length-conflict")                    \
    X(LENGTH_AND_CODING, 400, "content-length-with-transfer-encoding") \
    X(BAD_CODING, 400, "transfer-encoding-invalid")                    \
    X(CODING_UNKNOWN, 501, "transfer-encoding-unknown")                \
    X(CODING_BEFORE_1_1, 400, "transfer-encoding-on-http-1.0")         \
    X(BAD_EXPECT, 417, "expectation-unknown")                          \
    X(BAD_CHUNK_SIZE, 400, "chunk-size-invalid")                       \
    X(CHUNK_TOO_LARGE, 413, "chunk-size-overflow")                     \
    X(BAD_CHUNK_EXTENSION, 400, "chunk-extension-invalid")             \
    X(CHUNK_EXTENSION_TOO_LONG, 400, "chunk-extension-too-long")       \
    X(BAD_CHUNK_END, 400, "chunk-not-ended-by-crlf")                   \
    X(TRAILER_TOO_LARGE, 431, "trailer-too-large")

enum http_verdict {
#define HTTP_ENUM_(name, status, label) HTTP_##name,
    HTTP_VERDICTS(HTTP_ENUM_)
#undef HTTP_ENUM_
        HTTP_VERDICT_COUNT
};
static inline bool http_is_refusal(enum http_verdict v)
{
    return v > HTTP_DATA;
}
uint16_t http_verdict_status(enum http_verdict v);
const char *http_verdict_label(enum http_verdict v);

/* ---- Methods ---- */

enum {
    HTTP_SAFE = 1 << 0,       /* RFC 9110 section 9.2.1 */
    HTTP_IDEMPOTENT = 1 << 1, /* RFC 9110 section 9.2.2 */
};
#define HTTP_METHODS(X)                     \
    X(GET, HTTP_SAFE | HTTP_IDEMPOTENT)     \
    X(HEAD, HTTP_SAFE | HTTP_IDEMPOTENT)    \
    X(POST, 0)                              \
    X(PUT, HTTP_IDEMPOTENT)                 \
    X(DELETE, HTTP_IDEMPOTENT)              \
    X(CONNECT, 0)                           \
    X(OPTIONS, HTTP_SAFE | HTTP_IDEMPOTENT) \
    X(TRACE, HTTP_SAFE | HTTP_IDEMPOTENT)   \
    X(PATCH, 0)                             \
    X(PURGE, HTTP_IDEMPOTENT)

enum http_method {
    HTTP_METHOD_OTHER, /* a token that is none of these; case counts */
#define HTTP_METHOD_ENUM_(name, flags) HTTP_METHOD_##name,
    HTTP_METHODS(HTTP_METHOD_ENUM_)
#undef HTTP_METHOD_ENUM_
        HTTP_METHOD_COUNT
};
enum http_method http_method_of(struct str text);
const char *http_method_name(enum http_method m); /* "" for HTTP_METHOD_OTHER */
bool http_method_is_safe(enum http_method m);
bool http_method_is_idempotent(enum http_method m);

/* ---- Heads ---- */

struct http_limits {
    uint32_t head_bytes;   /* start line and fields with their line ends */
    uint32_t target_bytes; /* of the request target */
    uint16_t fields;       /* field lines, at most FIELDS_MAX */
};
#define HTTP_METHOD_BYTES_MAX 32
#define HTTP_LIMITS_DEFAULT \
    ((struct http_limits){.head_bytes = 32768, .target_bytes = 8192, .fields = 100})

enum http_target_form {
    HTTP_ORIGIN_FORM,   /* /path?query */
    HTTP_ABSOLUTE_FORM, /* http://host/path?query */
    HTTP_ASTERISK_FORM, /* OPTIONS only */
};

/* Zero-initialise before the first parse of each message. */
struct http_head {
    /* Requests */
    enum http_method method;
    enum http_target_form form;
    struct str method_text;
    struct str target;    /* as received */
    struct str scheme;    /* of absolute-form, as received; else empty */
    struct str authority; /* of absolute-form, else Host; what the origin gets as Host. Empty only
                           * for HTTP/1.0 without Host */
    struct str host;      /* authority without port; IPv6 with its brackets; case as received */
    uint16_t port;        /* of authority; 0: none given */
    struct str path;      /* starts with '/' ("*" for asterisk-form) */
    struct str query;     /* from '?' on; empty: there is no '?'. path and query together are what
                           * is forwarded and keyed */
    /* Responses */
    uint16_t status;
    struct str reason;
    /* Both */
    uint8_t minor;       /* HTTP/1.0 or 1.1; there is nothing else to speak */
    uint32_t head_bytes; /* from the buffer's start to behind the empty line; leading empty lines
                          * included */
    struct fields fields;
    /* The parser's place, so that a growing buffer is not read again. */
    uint32_t scanned_bytes, scanned_line;
};

/* Makes a head ready for the next message (cheaper than zeroing all of it). */
void http_head_clear(struct http_head *head);

/* Reads a request head at buf (RFC 9112 sections 2 to 5). HTTP_DONE: all fields are filled and
 * head_bytes says where the body starts. HTTP_MORE: call again with the same bytes and more behind
 * them; the buffer may have moved. Else the refusal, the same at whatever points the input was
 * split; only method, target and minor may then be filled in. */
enum http_verdict http_parse_request(struct http_head *head, const char *buf, size_t n,
                                     const struct http_limits *limits);
/* The same for a response head (RFC 9112 section 4). Folded lines are unfolded in buf, with
 * spaces. A status of 1xx is DONE too: clear the head and go on for the next. */
enum http_verdict http_parse_response(struct http_head *head, char *buf, size_t n,
                                      const struct http_limits *limits);

/* What HTTP/2 has in place of a start line (RFC 9113 section 8.3.1). authority may be empty when
 * there is a Host. */
struct http_pseudo {
    struct str method, scheme, authority, path;
};
/* The same for a head whose fields are there already, as a list: everything that a start line and
 * Host would have said, read as strictly. The slices of pseudo must live as long as the head. */
enum http_verdict http_take_pseudo(struct http_head *head, const struct http_pseudo *pseudo,
                                   const struct http_limits *limits);

/* ---- Framing (RFC 9112 section 6.3) ---- */

enum http_body {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH,
    HTTP_BODY_CHUNKED,
    HTTP_BODY_UNTIL_CLOSE, /* responses only */
};
struct http_framing {
    enum http_body body;
    uint64_t length;       /* of HTTP_BODY_LENGTH; for a response to HEAD or a 304 what
                            * Content-Length said */
    bool has_length;       /* a Content-Length counts (also when the body is NONE) */
    bool is_keep_alive;    /* the connection can carry another message after this one */
    bool expects_continue; /* requests: Expect: 100-continue of a 1.1 client with a body */
    struct str upgrade;    /* requests and 101: Upgrade when Connection names it; else empty */
};
enum http_verdict http_request_framing(const struct http_head *head, struct http_framing *out);
/* Content-Length beside Transfer-Encoding: the coding wins, the connection closes after. */
enum http_verdict http_response_framing(const struct http_head *head, enum http_method request,
                                        struct http_framing *out);
/* A body can follow a response with this status to this method (RFC 9110 section 6.4.1). */
bool http_status_has_body(unsigned status, enum http_method request);

/* ---- Chunked bodies (RFC 9112 section 7.1) ---- */

#define HTTP_CHUNK_EXTENSION_MAX 256    /* bytes of extensions in one chunk */
#define HTTP_CHUNK_EXTENSIONS_MAX 16384 /* in one body */
#define HTTP_TRAILER_MAX 8192           /* bytes of the trailer section */

/* Zero-initialise for each body. */
struct http_chunked {
    uint8_t state;
    uint8_t digits;
    uint32_t extension_bytes, extension_total_bytes;
    uint32_t trailer_scanned, trailer_line;
    uint32_t trailer_bytes; /* of the trailer section with its empty line, once HTTP_DONE */
    uint64_t left_bytes;    /* of the current chunk */
};

/* Takes what it can from the front of *in. HTTP_DATA: *data is a piece of the body (never empty)
 * inside the input; call again. HTTP_MORE: more input is needed; bytes still in *in (of the
 * trailer section) must be fed again with more behind them. HTTP_DONE: the body has ended, *in is
 * what follows it. trailers: gets the permitted trailer lines, or NULL to check and drop them. */
enum http_verdict http_chunked_next(struct http_chunked *c, struct str *in, struct str *data,
                                    struct fields *trailers);

/* The lines of a trailer section that may be passed on (RFC 9110 section 6.5.1), with their CRLF.
 * section: as it was received, with its empty line. */
void http_write_trailers(struct writer *w, struct str section);

#define HTTP_CHUNK_HEAD_MAX 18 /* 16 digits and CRLF */
/* Before n > 0 bytes of data; CRLF must follow the data. */
void http_write_chunk_head(struct writer *w, uint64_t n);
#define HTTP_CHUNK_END "\r\n"
#define HTTP_LAST_CHUNK "0\r\n" /* trailer lines and an empty line follow */

/* ---- Targets and cache keys ---- */

/* A valid Host or authority: reg-name, IPv4 or [IPv6], optional port (0 when there is none). */
MUST_USE bool http_split_authority(struct str authority, struct str *host, uint16_t *port);
/* "https://host[:port]" in lower case with the default port left out, then path and query byte
 * for byte (RFC 9110 section 4.2.3): the primary cache key. */
void http_write_key(struct writer *w, const struct http_head *head, bool is_tls);
/* Path with needless escapes undone (%41 to A) and the others in upper case: give the result to
 * matching, key and origin alike, or to none of them. Never longer than the path. */
void http_write_normal_path(struct writer *w, struct str path);
/* Has the path a "." or ".." segment, also when escaped as %2e? */
bool http_path_has_dots(struct str path);
/* Does path lie at or below prefix, on a segment boundary ("/a" has "/a", "/a/b", not "/ab")? */
bool http_path_has_prefix(struct str path, struct str prefix);

/* ---- Writing ---- */

void http_write_request_line(struct writer *w, struct str method, struct str path,
                             struct str query);
void http_write_status_line(struct writer *w, unsigned status); /* with the usual reason */
void http_write_field(struct writer *w, struct str name, struct str value);
/* The same, by id, with the name as commonly spelled ("Cache-Control"). */
void http_write_known(struct writer *w, enum field_id id, struct str value);
void http_write_known_u64(struct writer *w, enum field_id id, uint64_t value);
/* Every forwardable line, as received; those in skip (NULL: none) are left out. */
void http_write_forwardable(struct writer *w, const struct fields *f,
                            const struct field_id_set *skip);
void http_write_end(struct writer *w); /* the empty line */

/* "Not Found"; "Unknown" for a number without a name. */
const char *http_reason(unsigned status);
/* The body of an answer that the proxy makes itself: plain text, one line, never anything that
 * came from the request. */
struct str http_error_body(unsigned status);
/* A whole 503 for those that nothing was read from: Retry-After and Connection: close. */
struct str http_busy_answer(void);

#endif
