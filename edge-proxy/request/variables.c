/* SPDX-License-Identifier: BSD-2-Clause */
/* Parts of a request by the names that an operator knows them by. */
#include "edge-proxy/request/request_internal.h"

void request_write_variable(void *arg, unsigned variable, struct writer *w)
{
    struct request *r = arg;
    char text[ADDR_TEXT > REQUEST_ID_BYTES ? ADDR_TEXT : REQUEST_ID_BYTES];

    switch ((enum config_variable)variable) {
    case CONFIG_VARIABLE_CLIENT:
        fields_write_str(w, str_of(ip_format(&r->client.ip, text)));
        break;
    case CONFIG_VARIABLE_EDGE:
        fields_write_str(w, str_of(request_config(r)->name));
        break;
    case CONFIG_VARIABLE_HOST:
        fields_write_str(w, r->head.host);
        break;
    case CONFIG_VARIABLE_METHOD:
        fields_write_str(w, r->head.method_text);
        break;
    case CONFIG_VARIABLE_PATH:
        fields_write_str(w, r->head.path);
        break;
    case CONFIG_VARIABLE_QUERY:
        fields_write_str(w, r->head.query);
        break;
    case CONFIG_VARIABLE_REQUEST_ID:
        request_write_id(r, text);
        fields_write_str(w, (struct str){text, REQUEST_ID_BYTES});
        break;
    case CONFIG_VARIABLE_SCHEME:
        fields_write_str(w, r->client.is_tls ? STR("https") : STR("http"));
        break;
    case CONFIG_VARIABLE_TLS:
        if (r->client.tls_version != NULL)
            fields_write_str(w, str_of(r->client.tls_version));
        break;
    }
}

bool request_find_key(const struct request *r, enum config_hash_key kind, const char *name,
                      struct str *out)
{
    const struct fields *f = &r->head.fields;
    int line;

    switch (kind) {
    case CONFIG_KEY_CLIENT:
        *out = (struct str){(const char *)r->client.ip.bytes, ip_bits(&r->client.ip) / 8};
        return true;
    case CONFIG_KEY_PATH:
        *out = r->head.path;
        return true;
    case CONFIG_KEY_HEADER:
        line = fields_find_name(f, str_of(name));
        if (line >= 0)
            *out = f->v[line].value;
        return line >= 0;
    case CONFIG_KEY_COOKIE:
        return fields_find_cookie(f, str_of(name), out);
    }
    ensure(false);
}
