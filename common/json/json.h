/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json: a writer (RFC 8259) into a text builder. Commas and nesting are its business; the caller
 * pairs the opens and closes. For status, explain and log lines off the hot path.
 */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/text/text.h"

struct json {
    struct text *out;
    unsigned depth;
    bool has_items[32]; /* per depth: a comma is due */
};

struct json json_of(struct text *out);
void json_open_object(struct json *j,
                      const char *key); /* key NULL: as an array's item or the top */
void json_close_object(struct json *j);
void json_open_array(struct json *j, const char *key);
void json_close_array(struct json *j);
void json_str(struct json *j, const char *key, struct str value);
void json_string(struct json *j, const char *key, const char *value); /* NULL gives null */
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_double(struct json *j, const char *key, double value); /* not finite: null */
void json_bool(struct json *j, const char *key, bool value);
/* Adds s with quotes and escapes. Bytes that are not UTF-8 become U+FFFD. */
void json_quote(struct text *out, struct str s);

#endif
