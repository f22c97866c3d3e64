/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/json/json.h"

#include <math.h>
#include <string.h>

struct json json_of(struct text *out)
{
    return (struct json){.out = out};
}

/* The length of the UTF-8 sequence at s, 0: it is not one (RFC 3629 section 4). */
static size_t utf8_length(const uint8_t *s, size_t n)
{
    size_t want = s[0] < 0x80                   ? 1
                  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                  : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                  : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                : 0;

    if (want == 0 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return want;
}

void json_quote(struct text *out, struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;

    text_add(out, "\"", 1);
    for (size_t i = 0, n; i < s.n; i += n) {
        n = utf8_length(p + i, s.n - i);
        if (n == 0) {
            text_adds(out, "\xef\xbf\xbd");
            n = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            text_addf(out, "\\%c", p[i]);
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            text_addf(out, "\\u%04x", p[i]);
        } else {
            text_add(out, p + i, n);
        }
    }
    text_add(out, "\"", 1);
}

static void begin(struct json *j, const char *key)
{
    if (j->has_items[j->depth])
        text_add(j->out, ",", 1);
    j->has_items[j->depth] = true;
    if (key != NULL) {
        json_quote(j->out, str_of(key));
        text_add(j->out, ":", 1);
    }
}

static void open_with(struct json *j, const char *key, const char *bracket)
{
    begin(j, key);
    text_add(j->out, bracket, 1);
    j->depth++;
    ensure(j->depth < COUNT_OF(j->has_items));
    j->has_items[j->depth] = false;
}

static void close_with(struct json *j, const char *bracket)
{
    ensure(j->depth > 0);
    j->depth--;
    text_add(j->out, bracket, 1);
}

void json_open_object(struct json *j, const char *key)
{
    open_with(j, key, "{");
}

void json_close_object(struct json *j)
{
    close_with(j, "}");
}

void json_open_array(struct json *j, const char *key)
{
    open_with(j, key, "[");
}

void json_close_array(struct json *j)
{
    close_with(j, "]");
}

void json_str(struct json *j, const char *key, struct str value)
{
    begin(j, key);
    json_quote(j->out, value);
}

void json_string(struct json *j, const char *key, const char *value)
{
    if (value != NULL) {
        json_str(j, key, str_of(value));
        return;
    }
    begin(j, key);
    text_adds(j->out, "null");
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
    begin(j, key);
    text_addf(j->out, "%llu", (unsigned long long)value);
}

void json_i64(struct json *j, const char *key, int64_t value)
{
    begin(j, key);
    text_addf(j->out, "%lld", (long long)value);
}

void json_double(struct json *j, const char *key, double value)
{
    begin(j, key);
    if (isfinite(value))
        text_addf(j->out, "%.6g", value);
    else
        text_adds(j->out, "null");
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin(j, key);
    text_adds(j->out, value ? "true" : "false");
}
