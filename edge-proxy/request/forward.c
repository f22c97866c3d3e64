/* SPDX-License-Identifier: BSD-2-Clause */
/* The head of the request as the origin gets it: what does not depend on the version of HTTP. */
#include "edge-proxy/request/request_internal.h"

/* What we write ourselves, or what must not get through: inputs that origins act on but that no
 * cache key holds. */
static const enum field_id REPLACED[] = {
    FIELD_HOST,
    FIELD_CONTENT_LENGTH,
    FIELD_EXPECT,
    FIELD_VIA,
    FIELD_CDN_LOOP,
    FIELD_MAX_FORWARDS,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PORT,
    FIELD_FORWARDED,
    FIELD_X_REAL_IP,
    FIELD_X_REQUEST_ID,
    FIELD_EARLY_DATA,
    FIELD_X_ORIGINAL_URL,
    FIELD_X_REWRITE_URL,
    FIELD_X_HTTP_METHOD_OVERRIDE,
};
/* A fetch for the cache asks for the whole representation, by the cache's own validators. */
static const enum field_id OWN_IN_FETCH[] = {
    FIELD_IF_MATCH, FIELD_IF_NONE_MATCH, FIELD_IF_MODIFIED_SINCE, FIELD_IF_UNMODIFIED_SINCE,
    FIELD_IF_RANGE, FIELD_RANGE,
};

static bool is_peer_trusted(const struct request *r)
{
    const struct config *c = request_config(r);

    for (size_t i = 0; i < c->n_trusted; i++)
        if (prefix_has(&c->trusted[i], &r->client.ip))
            return true;
    return false;
}

/* What CGI-like origins would take for another field. */
static void block_aliases(struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->v[i].is_alias)
            f->blocked[i / 64] |= (uint64_t)1 << (i % 64);
}

static void start_field(struct writer *w, struct str name_and_colon)
{
    fields_write_str(w, name_and_colon);
}

static void end_field(struct writer *w)
{
    fields_write_str(w, STR("\r\n"));
}

static void write_x_forwarded(struct request *r, struct writer *w, const struct fields *kept,
                              struct str client)
{
    struct str proto = r->client.is_tls ? STR("https") : STR("http"), host = r->head.authority;

    start_field(w, STR("X-Forwarded-For: "));
    fields_write_x_forwarded_for(w, kept, client);
    end_field(w);
    if (kept != NULL && fields_has(kept, FIELD_X_FORWARDED_PROTO))
        proto = fields_value(kept, FIELD_X_FORWARDED_PROTO);
    http_write_field(w, STR("X-Forwarded-Proto"), proto);
    if (kept != NULL && fields_has(kept, FIELD_X_FORWARDED_HOST))
        host = fields_value(kept, FIELD_X_FORWARDED_HOST);
    if (host.n > 0)
        http_write_field(w, STR("X-Forwarded-Host"), host);
}

static void write_forwarded(struct request *r, struct writer *w)
{
    const struct config *c = request_config(r);
    const struct fields *kept = is_peer_trusted(r) ? &r->head.fields : NULL;
    char text[ADDR_TEXT];
    struct forwarded by = {
        .client = str_of(ip_format(&r->client.ip, text)),
        .host = r->head.authority,
        .proto = r->client.is_tls ? STR("https") : STR("http"),
    };

    if (c->forwarded != CONFIG_FORWARDED_RFC7239)
        write_x_forwarded(r, w, kept, by.client);
    if (c->forwarded != CONFIG_FORWARDED_X) {
        start_field(w, STR("Forwarded: "));
        fields_write_forwarded(w, kept, &by);
        end_field(w);
    }
}

/* "HTTP/2.0" without its name, which Via may leave out (RFC 9110 section 7.6.3). */
static struct str received_version(const struct request *r)
{
    return str_of(r->client.protocol + sizeof("HTTP/") - 1);
}

static void write_path(struct request *r, struct writer *w)
{
    const struct config *c = request_config(r);
    const struct fields *f = &r->head.fields;
    uint64_t hops;

    start_field(w, STR("Via: "));
    fields_write_via(w, f, received_version(r), str_of(c->name));
    end_field(w);
    start_field(w, STR("CDN-Loop: "));
    fields_write_cdn_loop(w, f, str_of(c->name));
    end_field(w);
    if (r->head.method == HTTP_METHOD_OPTIONS &&
        fields_parse_digits(fields_value(f, FIELD_MAX_FORWARDS), &hops) && hops > 0)
        http_write_known_u64(w, FIELD_MAX_FORWARDS, hops - 1);
}

/* That a proxy in front of us took the request from early data must reach the origin, which alone
 * can judge whether it may be replayed (RFC 8470 section 5.1); any value means "1". */
static void write_early_data(struct request *r, struct writer *w)
{
    if (fields_has(&r->head.fields, FIELD_EARLY_DATA))
        http_write_known(w, FIELD_EARLY_DATA, STR("1"));
}

static void write_request_id(struct request *r, struct writer *w)
{
    char id[REQUEST_ID_BYTES];

    if (fields_has(&r->head.fields, FIELD_X_REQUEST_ID) && is_peer_trusted(r)) {
        http_write_known(w, FIELD_X_REQUEST_ID, fields_value(&r->head.fields, FIELD_X_REQUEST_ID));
        return;
    }
    request_write_id(r, id);
    http_write_known(w, FIELD_X_REQUEST_ID, (struct str){id, REQUEST_ID_BYTES});
}

/* RFC 9111 section 4.3.1 */
static void write_validators(struct request *r, struct writer *w)
{
    struct cache_info info;

    cache_object_info(r->object, r->sent_s, &info);
    if (info.validators.etag.n > 0)
        http_write_known(w, FIELD_IF_NONE_MATCH, info.validators.etag);
    if (info.last_modified.n > 0)
        http_write_known(w, FIELD_IF_MODIFIED_SINCE, info.last_modified);
}

void forward_describe(void *arg, struct upstream_start *out)
{
    const struct request *r = arg;
    const char *authority = request_config(r)->pools[r->route.route->pool].host_header;

    *out = (struct upstream_start){
        .method = r->lead != NULL ? STR("GET") : r->head.method_text,
        .authority = authority != NULL ? str_of(authority) : r->head.authority,
        /* RFC 9110 section 10.1.4: for a response to be stored nobody in particular asks. */
        .takes_trailers =
            r->lead == NULL && fields_has_token(&r->head.fields, FIELD_TE, "trailers"),
    };
}

void forward_write_target(void *arg, struct writer *w)
{
    struct request *r = arg;

    rules_write_path(r->route.route, r->head.path, w);
    fields_write_str(w, r->head.query);
}

void forward_write_fields(void *arg, struct writer *w)
{
    struct request *r = arg;
    struct field_id_set skip = {{0}};
    uint8_t *lines = w->p;

    r->sent_s = clock_wall_s(); /* it may have waited */
    for (size_t i = 0; i < COUNT_OF(REPLACED); i++)
        field_id_set_add(&skip, REPLACED[i]);
    for (size_t i = 0; r->lead != NULL && i < COUNT_OF(OWN_IN_FETCH); i++)
        field_id_set_add(&skip, OWN_IN_FETCH[i]);
    block_aliases(&r->head.fields);
    http_write_forwardable(w, &r->head.fields, &skip);
    if (r->framing.has_length && r->lead == NULL)
        http_write_known_u64(w, FIELD_CONTENT_LENGTH, r->framing.length);
    write_path(r, w);
    write_forwarded(r, w);
    write_request_id(r, w);
    write_early_data(r, w);
    if (r->lead != NULL && r->object != NULL)
        write_validators(r, w);
    rules_apply(r->use->g->rules, r->route.route, RULES_REQUEST, w, lines, request_write_variable,
                r);
}
