/* SPDX-License-Identifier: BSD-2-Clause */
/* What hosts, paths and prefixes may look like. Each rule gives NULL, or what is wrong. */
#include "edge-proxy/config/config_internal.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

static bool is_letter_or_digit(uint8_t c)
{
    return (uint8_t)(text_lower(c) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

/* RFC 9110 section 5.6.2 */
static bool is_token_character(uint8_t c)
{
    return is_letter_or_digit(c) || memchr("!#$%&'*+-.^_`|~", c, 15) != NULL;
}

/* A host as the Host field and SNI carry it: a name, "*.name", "*", or an IP address. */
const char *config_check_host(struct str host)
{
    struct ip ip;
    size_t label = 0;

    if (str_is(host, "*"))
        return NULL;
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        return ip_parse((struct str){host.p + 1, host.n - 2}, &ip) && ip.family == 6
                   ? NULL
                   : "is not an IPv6 address in brackets";
    if (host.n > 2 && host.p[0] == '*' && host.p[1] == '.')
        host = (struct str){host.p + 2, host.n - 2};
    if (host.n > 253)
        return "is longer than a host name can be (253 characters)";
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = (uint8_t)host.p[i];

        if (c == '*')
            return "has '*' in a wrong place; \"*.example.com\" and \"*\" are understood";
        if (c == ':')
            return "has a port or a ':'; a site is named by its host alone, an IPv6 address is "
                   "in brackets";
        label = c == '.' ? 0 : label + 1;
        if (label > 63 || (c == '.' && (i == 0 || host.p[i - 1] == '.')) ||
            (c == '.' && i + 1 == host.n))
            return "has an empty label, a final dot, or one longer than 63 characters";
        if (c != '.' && c != '-' && c != '_' && !is_letter_or_digit(c))
            return "is not a host name: letters, digits, '-' and '_' in labels between dots";
    }
    return NULL;
}

const char *config_check_host_name(struct str *name)
{
    return config_check_host(*name);
}

/* What may be sent as a Host field: a host, and a port if need be. */
const char *config_check_authority(struct str text)
{
    const char *colon = memrchr(text.p, ':', text.n);
    uint64_t port;

    if (colon != NULL && colon > text.p && text.p[text.n - 1] != ']') {
        if (!text_parse_u64((struct str){colon + 1, text.n - (size_t)(colon - text.p) - 1},
                            &port) ||
            port == 0 || port > 65535)
            return "has no valid port behind ':'";
        text.n = (size_t)(colon - text.p);
    }
    return memchr(text.p, '*', text.n) ? "is a pattern, not a host" : config_check_host(text);
}

const char *config_check_origin(struct str text)
{
    const char *colon = memrchr(text.p, ':', text.n), *why;
    struct addr address;
    struct str host = text;

    if (addr_parse(text, 0, &address))
        return NULL;
    if (colon == NULL || text.p[text.n - 1] == ']')
        return "has no port: 10.0.0.1:8080, app.example.net:8080";
    host.n = (size_t)(colon - text.p);
    if (host.n == 0 || text.p[0] == '[' || memchr(host.p, ':', host.n) != NULL)
        return "is no address with port: 10.0.0.1:8080, [2001:db8::1]:8080";
    why = config_check_authority(text);
    if (why == NULL && (uint8_t)(host.p[host.n - 1] - '0') <= 9 &&
        strspn(host.p, "0123456789.") >= host.n)
        return "is neither an IP address nor a name";
    return why;
}

/* RFC 3986 section 3.3, as far as prefixes need it. */
const char *config_check_path(struct str path)
{
    if (path.n == 0 || path.p[0] != '/')
        return "does not begin with '/'";
    for (size_t i = 0; i < path.n; i++)
        if ((uint8_t)path.p[i] <= ' ' || (uint8_t)path.p[i] >= 0x7f)
            return "has a character that a path writes as %XX";
        else if (path.p[i] == '#')
            return "has '#', which never reaches a server";
    return NULL;
}

const char *config_check_hash_key(struct str key)
{
    const char *space = memchr(key.p, ' ', key.n);
    size_t n = space != NULL ? (size_t)(space - key.p) : key.n;
    bool has_name =
        str_is((struct str){key.p, n}, "header") || str_is((struct str){key.p, n}, "cookie");

    if (!has_name)
        return str_is(key, "client") || str_is(key, "path")
                   ? NULL
                   : "is none of 'client', 'path', 'header NAME' and 'cookie NAME'";
    if (n + 1 >= key.n)
        return "lacks the name behind 'header' or 'cookie'";
    for (size_t i = n + 1; i < key.n; i++)
        if (!is_token_character((uint8_t)key.p[i]))
            return "has a name with a character that no token has";
    return NULL;
}

void config_split_key(const char *key, enum config_hash_key *kind, const char **name)
{
    const char *space = strchr(key, ' ');

    *name = space != NULL ? space + 1 : NULL;
    if (space != NULL)
        *kind = key[0] == 'h' ? CONFIG_KEY_HEADER : CONFIG_KEY_COOKIE;
    else
        *kind = key[0] == 'c' ? CONFIG_KEY_CLIENT : CONFIG_KEY_PATH;
}

/* RFC 9110 section 5.1, and none that edge-proxy must write itself. */
const char *config_check_field_name(struct str name)
{
    static const char *const own[] = {
        "connection", "content-length",    "expect",  "keep-alive", "proxy-connection", "te",
        "trailer",    "transfer-encoding", "upgrade",
    };

    for (size_t i = 0; i < name.n; i++)
        if (!is_token_character((uint8_t)name.p[i]))
            return "has a character that the name of a header field cannot have";
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (str_is_nocase(name, own[i]))
            return "is about where a message ends or about one connection: edge-proxy writes it "
                   "itself";
    return str_is_nocase(name, "host") ? "is set by 'host' of the pool" : NULL;
}

const char *config_check_line_name(struct str *name)
{
    return config_check_field_name(*name);
}

const char *const config_variable_names[] = {
#define CONFIG_NAME_(id, name, help) name,
    CONFIG_VARIABLES(CONFIG_NAME_)
#undef CONFIG_NAME_
        NULL};

/* RFC 9110 section 5.5 */
const char *config_check_template(struct str value)
{
    if (str_trim(value).n != value.n)
        return "has spaces at an end, which no header field keeps";
    return template_parse(value, config_variable_names, NULL, NULL);
}

const char *config_check_statuses(struct str *statuses)
{
    struct str s = *statuses;
    bool is_class = s.n == 3 && s.p[1] == 'x' && s.p[2] == 'x';

    if (s.n != 3 || (s.p[0] != '4' && s.p[0] != '5') ||
        (!is_class && ((uint8_t)(s.p[1] - '0') > 9 || (uint8_t)(s.p[2] - '0') > 9)))
        return "is not a status of errors: 400 to 599, or 4xx or 5xx for all of them";
    return NULL;
}

/* As it will be compiled; the message is good until the next call. */
const char *config_check_pattern(struct str pattern)
{
    static char said[128];
    char *text = base_strndup(pattern.p, pattern.n), why[96];
    regex_t re;
    int v = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);

    free(text);
    if (v == 0) {
        regfree(&re);
        return NULL;
    }
    regerror(v, &re, why, sizeof(why));
    snprintf(said, sizeof(said), "is no regular expression: %s", why);
    return said;
}

const char *config_check_prefix(struct str *prefix)
{
    if (memchr(prefix->p, '?', prefix->n) != NULL)
        return "has a query; routes are chosen by the path alone";
    return config_check_path(*prefix);
}
