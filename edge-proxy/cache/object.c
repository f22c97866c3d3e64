/* SPDX-License-Identifier: BSD-2-Clause */
/* Stored responses: how their fields are kept, selected by Vary, and brought up to date. */
#include "edge-proxy/cache/cache_internal.h"

#include <stdlib.h>
#include <string.h>

enum { VARY_MAX = 4096, LINES_MAX = 65536 };

/* ---- Vary ---- */

/* The value of one selecting field, in the form that is compared: what Accept-Encoding means rather
 * than how it is spelled, any other field with its lines joined. */
static void write_selecting_value(struct writer *w, const struct fields *request, struct str name)
{
    int i = fields_find_name(request, name);
    bool is_first = true;

    if (str_is_nocase(name, "accept-encoding")) {
        writer_u8(w, (uint8_t)('0' + fields_read_accept_encoding(request)));
        return;
    }
    for (; i >= 0; i = fields_next(request, i)) {
        if (!is_first)
            writer_add(w, ", ", 2);
        is_first = false;
        writer_add(w, request->v[i].value.p, request->v[i].value.n);
    }
    if (is_first)
        writer_u8(w, 1); /* absent is not the same as empty */
}

/* "name\0value\0" for each field that Vary lists, names in lower case. */
static void write_vary(struct writer *w, const struct fields *response,
                       const struct fields *request)
{
    for (int i = fields_find(response, FIELD_VARY); i >= 0; i = fields_next(response, i)) {
        struct str rest = response->v[i].value, name;

        while (fields_next_element(&rest, &name)) {
            for (size_t k = 0; k < name.n; k++)
                writer_u8(w, text_lower((uint8_t)name.p[k]));
            writer_u8(w, 0);
            write_selecting_value(w, request, name);
            writer_u8(w, 0);
        }
    }
}

bool object_is_selected(const struct cache_object *o, const struct fields *request)
{
    struct str vary = object_vary(o);
    char value[VARY_MAX];

    while (vary.n > 0) {
        struct str name = {vary.p, strlen(vary.p)};
        size_t value_bytes = strlen(vary.p + name.n + 1);
        struct writer w = writer_of(value, sizeof(value));

        write_selecting_value(&w, request, name);
        if (w.is_full || !str_eq((struct str){value, (size_t)((char *)w.p - value)},
                                 (struct str){vary.p + name.n + 1, value_bytes}))
            return false;
        vary.p += name.n + value_bytes + 2;
        vary.n -= name.n + value_bytes + 2;
    }
    return true;
}

/* ---- Field lines ---- */

/* What is stored of a response's fields: what goes end to end, without what is worked out anew for
 * each answer (RFC 9111 section 3.1). */
static void write_lines(struct writer *w, const struct fields *f, int64_t response_s)
{
    struct field_id_set skip = {0};

    field_id_set_add(&skip, FIELD_AGE);
    field_id_set_add(&skip, FIELD_CONTENT_LENGTH);
    field_id_set_add(&skip, FIELD_SET_COOKIE);
    http_write_forwardable(w, f, &skip);
    if (!fields_has(f, FIELD_DATE)) {
        char date[FIELDS_DATE_BYTES];

        fields_format_date(response_s, date);
        http_write_known(w, FIELD_DATE, (struct str){date, sizeof(date)});
    }
}

/* Reads the stored lines back; slices point into the object. */
static void read_lines(const struct cache_object *o, struct fields *out)
{
    struct str lines = object_lines(o);

    fields_clear(out);
    while (lines.n > 0) {
        const char *end = memchr(lines.p, '\r', lines.n);
        const char *colon = memchr(lines.p, ':', lines.n);
        struct str name = {lines.p, (size_t)(colon - lines.p)};
        struct str value = {colon + 1, (size_t)(end - colon - 1)};

        if (!fields_add(out, name, str_trim(value)))
            return;
        lines.n -= (size_t)(end - lines.p) + 2;
        lines.p = end + 2;
    }
}

/* Does the 304 bring new lines for the field that is line i of stored? */
static bool is_replaced(const struct fields *stored, uint32_t i, const struct fields *update)
{
    return fields_find_name(update, stored->v[i].name) >= 0 &&
           (fields_flags(stored->v[i].id) & FIELD_KEEP_304) == 0;
}

void object_merge_fields(const struct cache_object *o, const struct fields *update,
                         struct fields *out)
{
    struct fields stored;

    read_lines(o, &stored);
    fields_clear(out);
    for (uint32_t i = 0; i < stored.count; i++)
        if (!is_replaced(&stored, i, update) &&
            !fields_add(out, stored.v[i].name, stored.v[i].value))
            break;
    for (uint32_t i = 0; i < update->count; i++)
        if (fields_is_forwardable(update, (int)i) &&
            (fields_flags(update->v[i].id) & FIELD_KEEP_304) == 0 &&
            !fields_add(out, update->v[i].name, update->v[i].value))
            break;
    fields_mark_hop_by_hop(out);
}

/* ---- Objects ---- */

static struct cache_object *alloc_object(struct cache *c, struct str key, uint64_t hash,
                                         size_t more_bytes)
{
    size_t bytes = sizeof(struct cache_object) + key.n + more_bytes;
    size_t own_bytes = bytes + CACHE_MALLOC_OVERHEAD + CACHE_INDEX_OVERHEAD;
    struct cache_object *o;

    if (!store_reserve(c, own_bytes))
        return NULL;
    o = base_alloc(bytes);
    *o = (struct cache_object){
        .refs = 1,
        .key_bytes = (uint16_t)key.n,
        .own_bytes = (uint32_t)own_bytes,
        .hash = hash,
        .cache = c,
        .last_modified_s = -1,
        .date_s = -1,
    };
    memcpy(o->data, key.p, key.n);
    return o;
}

/* Where value, one of the fields that were written, stands in the stored lines. */
static void locate(const struct cache_object *o, const char *name, uint32_t *offset,
                   uint16_t *bytes)
{
    struct fields stored;
    int i;

    read_lines(o, &stored);
    i = fields_find_name(&stored, str_of(name));
    if (i < 0 || stored.v[i].value.n > UINT16_MAX)
        return;
    *offset = (uint32_t)(stored.v[i].value.p - object_lines(o).p);
    *bytes = (uint16_t)stored.v[i].value.n;
}

static void note_validators(struct cache_object *o, const struct freshness_exchange *x)
{
    int64_t t;

    if (fields_has(x->response, FIELD_ETAG))
        locate(o, "etag", &o->etag_offset, &o->etag_bytes);
    if (fields_has(x->response, FIELD_LAST_MODIFIED) &&
        fields_parse_date(fields_value(x->response, FIELD_LAST_MODIFIED), x->response_s, &t)) {
        o->last_modified_s = t;
        locate(o, "last-modified", &o->last_modified_offset, &o->last_modified_bytes);
    }
    if (fields_has(x->response, FIELD_DATE) &&
        fields_parse_date(fields_value(x->response, FIELD_DATE), x->response_s, &t))
        o->date_s = t;
}

struct cache_object *object_new(struct cache *c, struct str key, uint64_t hash,
                                const struct freshness_exchange *x, const struct freshness *f,
                                const struct purge_tags *tags)
{
    size_t tags_bytes = tags != NULL ? tags->n * sizeof(tags->v[0]) : 0;
    static _Thread_local char scratch[VARY_MAX + LINES_MAX];
    struct writer vary = writer_of(scratch, VARY_MAX);
    struct writer lines = writer_of(scratch + VARY_MAX, LINES_MAX);
    size_t vary_bytes, lines_bytes;
    struct cache_object *o;

    write_vary(&vary, x->response, x->request);
    write_lines(&lines, x->response, x->response_s);
    if (vary.is_full || lines.is_full)
        return NULL;
    vary_bytes = (size_t)((char *)vary.p - scratch);
    lines_bytes = (size_t)((char *)lines.p - scratch - VARY_MAX);
    o = alloc_object(c, key, hash, vary_bytes + lines_bytes + tags_bytes);
    if (o == NULL)
        return NULL;
    memcpy(o->data + key.n, scratch, vary_bytes);
    memcpy(o->data + key.n + vary_bytes, scratch + VARY_MAX, lines_bytes);
    if (tags != NULL) {
        memcpy(o->data + key.n + vary_bytes + lines_bytes, tags->v, tags_bytes);
        o->n_tags = tags->n;
        o->has_more_tags = tags->has_more;
    }
    o->kind = OBJECT_RESPONSE;
    o->status = (uint16_t)x->status;
    o->vary_bytes = (uint32_t)vary_bytes;
    o->lines_bytes = (uint32_t)lines_bytes;
    o->stored_s = x->response_s;
    o->fresh = *f;
    note_validators(o, x);
    return o;
}

struct cache_object *object_restore(struct cache *c, uint64_t hash, const struct cache_object *of,
                                    const char *data)
{
    struct cache_object *o = alloc_object(c, (struct str){data, of->key_bytes}, hash,
                                          object_data_bytes(of) - of->key_bytes);
    uint32_t own_bytes;

    if (o == NULL)
        return NULL;
    own_bytes = o->own_bytes;
    *o = *of;
    o->refs = 1;
    o->own_bytes = own_bytes;
    o->hash = hash;
    o->cache = c;
    o->kind = OBJECT_RESPONSE;
    o->is_persisted = true;
    memcpy(o->data, data, object_data_bytes(o));
    return o;
}

struct cache_object *object_new_pass(struct cache *c, struct str key, uint64_t hash, int64_t now_s)
{
    struct cache_object *o = alloc_object(c, key, hash, 0);

    if (o != NULL) {
        o->kind = OBJECT_PASS;
        o->stored_s = now_s;
    }
    return o;
}

void object_read_tags(const struct cache_object *o, struct purge_tags *out)
{
    struct purge_subject s = object_subject(o);

    out->n = s.n_tags;
    out->has_more = s.has_more_tags;
    memcpy(out->v, s.tags, s.n_tags * sizeof(out->v[0]));
}

/* ---- Purges ---- */

/* Notes that a soft purge makes it stale, from that purge on. */
static void note_soft(struct cache_object *o, const struct purge_stamps *newest)
{
    uint32_t none = 0;

    if (newest->soft > o->stamp &&
        atomic_compare_exchange_strong(&o->soft_s, &none, (uint32_t)(newest->soft / 1000)))
        atomic_fetch_add_explicit(&o->cache->purged_soft, 1, memory_order_relaxed);
}

enum purge_verdict object_check_purges(const struct cache_object *o)
{
    struct cache_object *mine = (struct cache_object *)o; /* what is noted is atomic */
    uint64_t now = purge_now(o->cache->purges);
    struct purge_subject subject;
    struct purge_stamps newest;

    if (unlikely(atomic_load_explicit(&o->checked, memory_order_relaxed) != now)) {
        subject = object_subject(o);
        purge_find(o->cache->purges, &subject, &newest);
        /* One that knows of purges which we have lost may be subject to them. */
        if (newest.hard > o->stamp || o->stamp > now)
            return PURGE_HARD;
        note_soft(mine, &newest);
        atomic_store_explicit(&mine->checked, now, memory_order_relaxed);
    }
    return atomic_load_explicit(&o->soft_s, memory_order_relaxed) != 0 ? PURGE_SOFT : PURGE_NONE;
}

struct freshness object_freshness(const struct cache_object *o)
{
    uint32_t soft_s = atomic_load_explicit(&o->soft_s, memory_order_relaxed), age_s;
    struct freshness f = o->fresh;

    if (soft_s != 0) {
        age_s =
            freshness_age_s(&f, (int64_t)soft_s > o->stored_s ? (int64_t)soft_s - o->stored_s : 0);
        if (age_s < f.lifetime_s)
            f.lifetime_s = age_s;
    }
    return f;
}

/* ---- References ---- */

struct cache_object *cache_object_hold(struct cache_object *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void cache_object_release(struct cache_object *o)
{
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (o->body != NULL)
        body_release(o->body);
    store_unreserve(o->cache, o->own_bytes);
    free(o);
}

void cache_object_info(const struct cache_object *o, int64_t now_s, struct cache_info *out)
{
    struct freshness fresh = object_freshness(o);
    struct str lines = object_lines(o);
    bool is_whole = atomic_load_explicit(&o->body->state, memory_order_acquire) == BODY_WHOLE;

    *out = (struct cache_info){
        .status = o->status,
        .lines = lines,
        .body_bytes = is_whole ? atomic_load_explicit(&o->body->available, memory_order_relaxed)
                               : o->body->expected_bytes,
        .validators =
            {
                .etag = {lines.p + o->etag_offset, o->etag_bytes},
                /* RFC 9111 section 4.3.2: without Last-Modified the Date stands in. */
                .last_modified_s = o->last_modified_s >= 0 ? o->last_modified_s : o->date_s,
                .date_s = o->date_s,
            },
        .last_modified = {lines.p + o->last_modified_offset, o->last_modified_bytes},
        .age_s = freshness_age_s(&fresh, now_s - o->stored_s),
    };
    out->ttl_s = (int64_t)fresh.lifetime_s - out->age_s;
}

bool cache_object_is_usable_on_error(const struct cache_object *o, int64_t now_s)
{
    enum purge_verdict purged = object_check_purges(o);
    struct freshness fresh = object_freshness(o);

    return purged != PURGE_HARD && freshness_is_usable_on_error(&fresh, now_s - o->stored_s);
}
