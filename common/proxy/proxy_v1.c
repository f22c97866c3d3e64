/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Version 1 (section 2.1): one line of text.
 *
 *     PROXY TCP4 192.0.2.1 192.0.2.2 4660 443 CRLF
 *     PROXY UNKNOWN anything CRLF
 */
#include "common/proxy/proxy_internal.h"

#include <string.h>

static const struct str PREFIX = {"PROXY ", 6};

/* The words of a line are parted by one space each. */
static struct str take_word(struct str *line)
{
    const char *space = line->n > 0 ? memchr(line->p, ' ', line->n) : NULL;
    struct str word = {line->p, space != NULL ? (size_t)(space - line->p) : line->n};
    size_t taken = word.n + (space != NULL);

    *line = (struct str){line->p + taken, line->n - taken};
    return word;
}

static bool take_ip(struct str *line, uint8_t family, struct ip *out)
{
    return ip_parse(take_word(line), out) && out->family == family;
}

/* "0" or digits that do not begin with it. */
static bool take_port(struct str *line, uint16_t *out)
{
    struct str word = take_word(line);
    uint64_t port;

    if (word.n == 0 || (word.n > 1 && word.p[0] == '0') || !text_parse_u64(word, &port) ||
        port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

/* The line without PROXY and CRLF. */
static enum proxy_verdict read_line(struct str line, struct proxy_header *out)
{
    bool ends_in_space = line.n > 0 && line.p[line.n - 1] == ' ';
    struct str protocol = take_word(&line);
    uint8_t family = str_is(protocol, "TCP4") ? 4 : str_is(protocol, "TCP6") ? 6 : 0;
    struct ip source, destination;
    uint16_t source_port, port;

    if (str_is(protocol, "UNKNOWN")) /* the rest is skipped, whatever it is */
        return PROXY_OK;
    if (family == 0 || !take_ip(&line, family, &source) || !take_ip(&line, family, &destination) ||
        !take_port(&line, &source_port) || !take_port(&line, &port) || line.n > 0 || ends_in_space)
        return PROXY_BAD_ADDRESS;
    out->has_claim = true;
    out->source = addr_of_ip(&source, source_port);
    out->destination = addr_of_ip(&destination, port);
    return PROXY_OK;
}

enum proxy_verdict proxy_parse_v1(const uint8_t *p, size_t n, struct proxy_header *out)
{
    size_t known = n < PREFIX.n ? n : PREFIX.n, most = n < PROXY_V1_MAX ? n : PROXY_V1_MAX;
    struct proxy_header header = {0};
    const uint8_t *end;
    enum proxy_verdict verdict;

    if (memcmp(p, PREFIX.p, known) != 0)
        return PROXY_BAD_SIGNATURE;
    end = memchr(p, '\r', most);
    if (end == NULL || end + 1 == p + most)
        return n < PROXY_V1_MAX ? PROXY_MORE : PROXY_TOO_LONG;
    if (end[1] != '\n' || end < p + PREFIX.n)
        return PROXY_BAD_SIGNATURE;
    header.bytes = (size_t)(end + 2 - p);
    verdict =
        read_line((struct str){(const char *)p + PREFIX.n, (size_t)(end - p) - PREFIX.n}, &header);
    if (verdict == PROXY_OK)
        *out = header;
    return verdict;
}
