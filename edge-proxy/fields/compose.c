/* SPDX-License-Identifier: BSD-2-Clause */
/* Values that the proxy writes itself, with everything foreign in them quoted. */
#include "edge-proxy/fields/fields.h"

void fields_write_u64(struct writer *w, uint64_t v)
{
    char digits[20], *p = digits + sizeof(digits);

    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    writer_add(w, p, (size_t)(digits + sizeof(digits) - p));
}

static void write_i64(struct writer *w, int64_t v)
{
    if (v < 0)
        writer_u8(w, '-');
    fields_write_u64(w, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* A quoted string that is also a structured-field string: printable ASCII only (RFC 8941 section
 * 3.3.3). */
static void write_quoted(struct writer *w, struct str s)
{
    writer_u8(w, '"');
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];

        if (c == '"' || c == '\\')
            writer_u8(w, '\\');
        writer_u8(w, c >= 0x20 && c < 0x7f ? c : '?');
    }
    writer_u8(w, '"');
}

void fields_write_word(struct writer *w, struct str s)
{
    if (fields_is_token(s))
        fields_write_str(w, s);
    else
        write_quoted(w, s);
}

void fields_write_joined(struct writer *w, const struct fields *f, enum field_id id)
{
    bool is_first = true;

    for (int i = fields_find(f, id); i >= 0; i = fields_next(f, i)) {
        if (f->v[i].value.n == 0)
            continue;
        if (!is_first)
            fields_write_str(w, STR(", "));
        is_first = false;
        fields_write_str(w, f->v[i].value);
    }
}

/* What is there, and the comma for what follows. */
static void write_before(struct writer *w, const struct fields *f, enum field_id id)
{
    const uint8_t *start = w->p;

    if (f == NULL)
        return;
    fields_write_joined(w, f, id);
    if (w->p != start)
        fields_write_str(w, STR(", "));
}

void fields_write_via(struct writer *w, const struct fields *f, struct str version,
                      struct str pseudonym)
{
    write_before(w, f, FIELD_VIA);
    fields_write_str(w, version);
    writer_u8(w, ' ');
    fields_write_str(w, fields_is_token(pseudonym) ? pseudonym : STR("edge"));
}

void fields_write_cdn_loop(struct writer *w, const struct fields *f, struct str cdn_id)
{
    write_before(w, f, FIELD_CDN_LOOP);
    fields_write_str(w, cdn_id);
}

unsigned fields_count_cdn_loop(const struct fields *f, struct str cdn_id)
{
    unsigned count = 0;

    for (int i = fields_find(f, FIELD_CDN_LOOP); i >= 0; i = fields_next(f, i)) {
        struct str rest = f->v[i].value, element;

        while (fields_next_element(&rest, &element)) {
            struct field_param id;

            if (fields_next_param(&element, ';', &id) && str_eq_nocase(id.name, cdn_id))
                count++;
        }
    }
    return count;
}

/* RFC 7239 section 6: IPv6 stands in brackets, and therefore in quotes. */
static void write_node(struct writer *w, struct str address)
{
    if (memchr(address.p, ':', address.n) == NULL) {
        fields_write_word(w, address);
        return;
    }
    fields_write_str(w, STR("\"["));
    fields_write_str(w, address);
    fields_write_str(w, STR("]\""));
}

/* RFC 7239 section 6.3: an obfuscated identifier is "_" and letters, digits, ".", "_", "-". */
static void write_obfuscated(struct writer *w, struct str name)
{
    writer_u8(w, '_');
    for (size_t i = 0; i < name.n; i++) {
        bool is_fit = fields_char_class[(uint8_t)name.p[i]] & FIELDS_HOSTCHAR;

        writer_u8(w, is_fit ? (uint8_t)name.p[i] : '_');
    }
}

void fields_write_forwarded(struct writer *w, const struct fields *f, const struct forwarded *by)
{
    write_before(w, f, FIELD_FORWARDED);
    if (by->by.n > 0) {
        fields_write_str(w, STR("by="));
        write_obfuscated(w, by->by);
        writer_u8(w, ';');
    }
    fields_write_str(w, STR("for="));
    if (by->client.n > 0)
        write_node(w, by->client);
    else
        fields_write_str(w, STR("unknown"));
    if (by->host.n > 0) {
        fields_write_str(w, STR(";host="));
        fields_write_word(w, by->host);
    }
    fields_write_str(w, STR(";proto="));
    fields_write_str(w, by->proto);
}

void fields_write_x_forwarded_for(struct writer *w, const struct fields *f, struct str client)
{
    write_before(w, f, FIELD_X_FORWARDED_FOR);
    fields_write_str(w, client.n > 0 ? client : STR("unknown"));
}

/* RFC 8941 section 3.3.4: a token starts with a letter. */
static void write_sf_name(struct writer *w, struct str s)
{
    if (fields_is_token(s) && (unsigned)((s.p[0] | 0x20) - 'a') < 26)
        fields_write_str(w, s);
    else
        write_quoted(w, s);
}

void fields_write_cache_status(struct writer *w, const struct fields *f,
                               const struct cache_status *status)
{
    write_before(w, f, FIELD_CACHE_STATUS);
    write_sf_name(w, status->cache);
    if (status->is_hit) {
        fields_write_str(w, STR("; hit"));
    } else if (status->forward_reason != NULL) {
        fields_write_str(w, STR("; fwd="));
        fields_write_str(w, str_of(status->forward_reason));
    }
    if (status->forward_status != 0) {
        fields_write_str(w, STR("; fwd-status="));
        fields_write_u64(w, status->forward_status);
    }
    if (status->has_ttl) {
        fields_write_str(w, STR("; ttl="));
        write_i64(w, status->ttl_s);
    }
    if (status->is_stored)
        fields_write_str(w, STR("; stored"));
    if (status->is_collapsed)
        fields_write_str(w, STR("; collapsed"));
    if (status->key.n > 0) {
        fields_write_str(w, STR("; key="));
        write_quoted(w, status->key);
    }
    if (status->detail.n > 0) {
        fields_write_str(w, STR("; detail="));
        write_sf_name(w, status->detail);
    }
}
