/* SPDX-License-Identifier: BSD-2-Clause */
/* Heads on their way out. Names and values have been checked when they came in, or are ours. */
#include "edge-proxy/http/http.h"

void http_write_request_line(struct writer *w, struct str method, struct str path, struct str query)
{
    fields_write_str(w, method);
    writer_u8(w, ' ');
    fields_write_str(w, path);
    fields_write_str(w, query);
    fields_write_str(w, STR(" HTTP/1.1\r\n"));
}

void http_write_status_line(struct writer *w, unsigned status)
{
    fields_write_str(w, STR("HTTP/1.1 "));
    fields_write_u64(w, status);
    writer_u8(w, ' ');
    fields_write_str(w, str_of(http_reason(status)));
    fields_write_str(w, STR("\r\n"));
}

void http_write_field(struct writer *w, struct str name, struct str value)
{
    size_t n = name.n + value.n + 4;
    uint8_t *p = writer_make(w, n);

    if (p == NULL)
        return;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = ':';
    *p++ = ' ';
    if (value.n > 0)
        memcpy(p, value.p, value.n);
    p += value.n;
    *p++ = '\r';
    *p = '\n';
}

void http_write_known(struct writer *w, enum field_id id, struct str value)
{
    http_write_field(w, fields_spelling(id), value);
}

void http_write_known_u64(struct writer *w, enum field_id id, uint64_t value)
{
    fields_write_str(w, fields_spelling(id));
    fields_write_str(w, STR(": "));
    fields_write_u64(w, value);
    fields_write_str(w, STR("\r\n"));
}

void http_write_forwardable(struct writer *w, const struct fields *f,
                            const struct field_id_set *skip)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (!fields_is_forwardable(f, (int)i) ||
            (skip != NULL && field_id_set_has(skip, f->v[i].id)))
            continue;
        http_write_field(w, f->v[i].name, f->v[i].value);
    }
}

void http_write_end(struct writer *w)
{
    fields_write_str(w, STR("\r\n"));
}
