/* SPDX-License-Identifier: BSD-2-Clause */
/* Authorities, paths and cache keys. */
#include "edge-proxy/http/http.h"
#include "edge-proxy/http/scan.h"

#include <arpa/inet.h>

#define HOST_MAX 255

static bool is_ipv6_text(struct str s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Length of the reg-name or IPv4 address in front. */
static size_t host_name_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && (fields_char_class[(uint8_t)s.p[n]] & FIELDS_HOSTCHAR))
        n++;
    return n;
}

/* ":" *DIGIT; an empty port is the default one (RFC 3986 section 3.2.3). */
static bool parse_port(struct str s, uint16_t *port)
{
    uint64_t v;

    *port = 0;
    if (s.n <= 1)
        return s.n == 0 || s.p[0] == ':';
    if (s.p[0] != ':' || s.n > 6 || !fields_parse_digits((struct str){s.p + 1, s.n - 1}, &v))
        return false;
    *port = (uint16_t)v;
    return v >= 1 && v <= UINT16_MAX;
}

bool http_split_authority(struct str authority, struct str *host, uint16_t *port)
{
    const char *end;
    struct str rest;

    if (authority.n == 0)
        return false;
    if (authority.p[0] == '[') {
        end = memchr(authority.p, ']', authority.n);
        if (end == NULL)
            return false;
        end++;
        if (!is_ipv6_text((struct str){authority.p + 1, (size_t)(end - authority.p) - 2}))
            return false;
    } else {
        end = authority.p + host_name_length(authority);
        if (end == authority.p || end - authority.p > HOST_MAX)
            return false;
    }
    *host = (struct str){authority.p, (size_t)(end - authority.p)};
    rest = (struct str){end, authority.n - host->n};
    return parse_port(rest, port);
}

void http_write_key(struct writer *w, const struct http_head *head, bool is_tls)
{
    uint16_t usual = is_tls ? 443 : 80;
    uint8_t *p;

    fields_write_str(w, is_tls ? STR("https://") : STR("http://"));
    p = writer_make(w, head->host.n);
    for (size_t i = 0; p != NULL && i < head->host.n; i++)
        p[i] = text_lower((uint8_t)head->host.p[i]);
    if (head->port != 0 && head->port != usual) {
        writer_u8(w, ':');
        fields_write_u64(w, head->port);
    }
    fields_write_str(w, head->path);
    fields_write_str(w, head->query);
}

/* ---- Pseudo-header fields ---- */

static enum http_verdict take_method(struct http_head *head, struct str method)
{
    head->method_text = method;
    if (method.n > HTTP_METHOD_BYTES_MAX)
        return HTTP_METHOD_TOO_LONG;
    if (!fields_is_token(method))
        return HTTP_BAD_METHOD;
    head->method = http_method_of(method);
    return head->method == HTTP_METHOD_CONNECT ? HTTP_CONNECT_REFUSED : HTTP_DONE;
}

static enum http_verdict blame_path(char c)
{
    return c == '#' ? HTTP_TARGET_FRAGMENT : c == '\\' ? HTTP_TARGET_BACKSLASH : HTTP_BAD_TARGET;
}

/* No space, no control, no fragment: what follows becomes a request line again. */
static enum http_verdict take_path(struct http_head *head, struct str path)
{
    const char *p = path.p, *end = path.p + path.n;

    if (path.n == 0 || (path.p[0] != '/' && !str_eq(path, STR("*"))))
        return HTTP_BAD_TARGET;
    if (path.p[0] == '*') {
        head->form = HTTP_ASTERISK_FORM;
        head->path = path;
        return head->method == HTTP_METHOD_OPTIONS ? HTTP_DONE : HTTP_BAD_TARGET_FORM;
    }
    while (p < end && scan_is_member((uint8_t)*p, SCAN_PATH))
        p++;
    head->path = (struct str){path.p, (size_t)(p - path.p)};
    head->query = (struct str){p, (size_t)(end - p)};
    if (p < end && *p != '?')
        return blame_path(*p);
    while (p < end && scan_is_member((uint8_t)*p, SCAN_QUERY))
        p++;
    return p == end ? HTTP_DONE : blame_path(*p);
}

static uint16_t port_or_usual(uint16_t port)
{
    return port == 0 ? 443 : port; /* HTTP/2 is spoken over TLS only */
}

/* A Host that names something else than :authority is how one party is shown another site than the
 * next one (RFC 9113 section 8.3.1). */
static enum http_verdict take_authority(struct http_head *head, struct str authority)
{
    int i = fields_find(&head->fields, FIELD_HOST);
    struct str host;
    uint16_t port;

    if (i >= 0 && fields_next(&head->fields, i) >= 0)
        return HTTP_MANY_HOSTS;
    if (authority.n == 0 && i < 0)
        return HTTP_NO_HOST;
    head->authority = authority.n > 0 ? authority : head->fields.v[i].value;
    if (!http_split_authority(head->authority, &head->host, &head->port))
        return authority.n > 0 ? HTTP_BAD_AUTHORITY : HTTP_BAD_HOST;
    if (i < 0)
        return HTTP_DONE;
    if (!http_split_authority(head->fields.v[i].value, &host, &port))
        return HTTP_BAD_HOST;
    return str_eq_nocase(host, head->host) && port_or_usual(port) == port_or_usual(head->port)
               ? HTTP_DONE
               : HTTP_HOST_DIFFERS;
}

enum http_verdict http_take_pseudo(struct http_head *head, const struct http_pseudo *pseudo,
                                   const struct http_limits *limits)
{
    enum http_verdict v = take_method(head, pseudo->method);

    head->minor = 1;
    head->target = pseudo->path;
    head->scheme = pseudo->scheme;
    if (v == HTTP_DONE && pseudo->path.n > limits->target_bytes)
        v = HTTP_TARGET_TOO_LONG;
    if (v == HTTP_DONE && !str_eq(pseudo->scheme, STR("https")) &&
        !str_eq(pseudo->scheme, STR("http")))
        v = HTTP_BAD_TARGET_FORM;
    if (v == HTTP_DONE)
        v = take_path(head, pseudo->path);
    return v == HTTP_DONE ? take_authority(head, pseudo->authority) : v;
}

/* ---- Paths ---- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        return (c | 0x20) - 'a' + 10;
    return -1;
}

/* The byte that an escape at the front of s stands for, or -1 when there is none. */
static int escaped_byte(struct str s)
{
    int high, low;

    if (s.n < 3 || s.p[0] != '%')
        return -1;
    high = hex_value(s.p[1]);
    low = hex_value(s.p[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Only unreserved characters mean the same with and without their escape (RFC 3986 section
 * 6.2.2.2); %2F, %3F, %00 and the like stay as they are. */
void http_write_normal_path(struct writer *w, struct str path)
{
    static const char hex[] = "0123456789ABCDEF";

    while (path.n > 0) {
        int byte = escaped_byte(path);
        size_t taken = byte < 0 ? 1 : 3;

        if (byte < 0) {
            writer_u8(w, (uint8_t)path.p[0]);
        } else if (fields_char_class[byte] & FIELDS_UNRESERVED) {
            writer_u8(w, (uint8_t)byte);
        } else {
            writer_u8(w, '%');
            writer_u8(w, (uint8_t)hex[byte >> 4]);
            writer_u8(w, (uint8_t)hex[byte & 15]);
        }
        path = (struct str){path.p + taken, path.n - taken};
    }
}

static bool is_dot_segment(struct str segment)
{
    unsigned dots = 0;

    while (segment.n > 0) {
        size_t taken = escaped_byte(segment) == '.' ? 3 : 1;

        if (taken == 1 && segment.p[0] != '.')
            return false;
        segment = (struct str){segment.p + taken, segment.n - taken};
        dots++;
    }
    return dots == 1 || dots == 2;
}

bool http_path_has_dots(struct str path)
{
    for (size_t start = 0, i = 0; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '/')
            continue;
        if (is_dot_segment((struct str){path.p + start, i - start}))
            return true;
        start = i + 1;
    }
    return false;
}

bool http_path_has_prefix(struct str path, struct str prefix)
{
    if (path.n < prefix.n || !str_eq((struct str){path.p, prefix.n}, prefix))
        return false;
    return path.n == prefix.n || prefix.n == 0 || prefix.p[prefix.n - 1] == '/' ||
           path.p[prefix.n] == '/';
}
