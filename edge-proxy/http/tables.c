/* SPDX-License-Identifier: BSD-2-Clause */
/* The facts that come in lists: verdicts, methods, reason phrases. */
#include "edge-proxy/http/http.h"

static const struct {
    uint16_t status;
    const char *label;
} verdicts[HTTP_VERDICT_COUNT] = {
#define VERDICT_(name, status, label) [HTTP_##name] = {status, label},
    HTTP_VERDICTS(VERDICT_)
#undef VERDICT_
};

uint16_t http_verdict_status(enum http_verdict v)
{
    return verdicts[v].status;
}

const char *http_verdict_label(enum http_verdict v)
{
    return verdicts[v].label;
}

static const struct {
    struct str name;
    unsigned flags;
} methods[HTTP_METHOD_COUNT] = {[HTTP_METHOD_OTHER] = {{"", 0}, 0},
#define METHOD_(name, flags) [HTTP_METHOD_##name] = {{#name, sizeof(#name) - 1}, (flags)},
                                HTTP_METHODS(METHOD_)
#undef METHOD_
};

enum http_method http_method_of(struct str text)
{
    if (text.n == 3 && memcmp(text.p, "GET", 3) == 0)
        return HTTP_METHOD_GET;
    for (unsigned m = 1; m < HTTP_METHOD_COUNT; m++) {
        if (str_eq(text, methods[m].name))
            return (enum http_method)m;
    }
    return HTTP_METHOD_OTHER;
}

const char *http_method_name(enum http_method m)
{
    return methods[m].name.p;
}

bool http_method_is_safe(enum http_method m)
{
    return methods[m].flags & HTTP_SAFE;
}

bool http_method_is_idempotent(enum http_method m)
{
    return methods[m].flags & HTTP_IDEMPOTENT;
}

/* RFC 9110 section 15, RFC 2518, 6585, 7725, 8297, 8470. */
#define REASONS(X)                            \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(103, "Early Hints")                     \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(203, "Non-Authoritative Information")   \
    X(204, "No Content")                      \
    X(205, "Reset Content")                   \
    X(206, "Partial Content")                 \
    X(300, "Multiple Choices")                \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(303, "See Other")                       \
    X(304, "Not Modified")                    \
    X(305, "Use Proxy")                       \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(402, "Payment Required")                \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(406, "Not Acceptable")                  \
    X(407, "Proxy Authentication Required")   \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(421, "Misdirected Request")             \
    X(422, "Unprocessable Content")           \
    X(425, "Too Early")                       \
    X(426, "Upgrade Required")                \
    X(428, "Precondition Required")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons")   \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")      \
    X(508, "Loop Detected")                   \
    X(511, "Network Authentication Required")

const char *http_reason(unsigned status)
{
    switch (status) {
#define REASON_(number, text) \
    case number:              \
        return text;
        REASONS(REASON_)
#undef REASON_
    default:
        return "Unknown";
    }
}

struct str http_busy_answer(void)
{
    return STR("HTTP/1.1 503 Service Unavailable\r\n"
               "Retry-After: 5\r\n"
               "Cache-Control: no-store\r\n"
               "Content-Length: 0\r\n"
               "Connection: close\r\n\r\n");
}

struct str http_error_body(unsigned status)
{
    switch (status) {
#define BODY_(number, text) \
    case number:            \
        return STR(#number " " text "\n");
        REASONS(BODY_)
#undef BODY_
    default:
        return STR("The request could not be served.\n");
    }
}
