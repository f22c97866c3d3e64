/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking up, and leading fetches. All decisions about one key are made under its shard's lock;
 * what needs memory or wakes others happens outside it.
 */
#include "edge-proxy/cache/cache_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- Leads ---- */

static struct cache_lead *lead_new(struct cache *c, struct cache_shard *s,
                                   const struct cache_request *r, uint64_t hash)
{
    struct cache_lead *lead = base_alloc(sizeof(*lead) + r->key.n);

    *lead = (struct cache_lead){.cache = c,
                                .shard = s,
                                .hash = hash,
                                .now_s = r->now_s,
                                .key_bytes = r->key.n,
                                .stamp = purge_now(c->purges)};
    memcpy(lead->key, r->key.p, r->key.n);
    waiters_init(&lead->waiters);
    return lead;
}

static struct str lead_key(const struct cache_lead *lead)
{
    return (struct str){lead->key, lead->key_bytes};
}

static void take_off(struct cache_shard *s, struct cache_lead *lead)
{
    lead->next = s->flights;
    lead->prev = &s->flights;
    if (lead->next != NULL)
        lead->next->prev = &lead->next;
    s->flights = lead;
}

static struct cache_lead *find_flight(struct cache_shard *s, const struct cache_request *r,
                                      uint64_t hash)
{
    for (struct cache_lead *f = s->flights; f != NULL; f = f->next)
        if (f->hash == hash && str_eq(lead_key(f), r->key))
            return f;
    return NULL;
}

/* Ends a lead: with the lock, insert what came of it (or NULL) and take its waiters; without it,
 * wake them. */
static void land(struct cache_lead *lead, struct cache_object *fresh, enum cache_wake why,
                 unsigned fail_status)
{
    struct cache_shard *s = lead->shard;
    struct cache_object *dropped = NULL;
    struct waiter_list waiters;

    pthread_mutex_lock(&s->lock);
    if (!lead->is_solo) {
        *lead->prev = lead->next;
        if (lead->next != NULL)
            lead->next->prev = lead->prev;
    }
    if (fresh != NULL) {
        fresh->stamp = lead->stamp; /* older purges are none of its business */
        atomic_store_explicit(&fresh->checked, lead->stamp, memory_order_relaxed);
        store_insert(s, fresh, &dropped);
    }
    waiters_take(&lead->waiters, &waiters);
    pthread_mutex_unlock(&s->lock);
    store_release_dropped(dropped);
    if (fresh != NULL && lead->cache->disk != NULL)
        persist_replace(lead->cache, fresh);
    waiters_wake(&waiters, why, fail_status);
    if (lead->object != NULL)
        cache_object_release(lead->object);
    free(lead);
}

void cache_lead_tag(struct cache_lead *lead, const struct purge_tags *tags)
{
    lead->tags = tags;
}

void cache_lead_pass(struct cache_lead *lead)
{
    struct cache_object *marker =
        object_new_pass(lead->cache, lead_key(lead), lead->hash, lead->now_s);

    land(lead, marker, CACHE_WAKE_LOOK, 0);
    if (marker != NULL)
        cache_object_release(marker);
}

void cache_lead_fail(struct cache_lead *lead, unsigned status)
{
    land(lead, NULL, status == 0 ? CACHE_WAKE_LOOK : CACHE_WAKE_FAIL, status);
}

/* Not stored. Only what holds for every request makes the key one that is passed: an error may be
 * this request's own fault, or the origin's for a moment, and credentials are one client's. What is
 * stored stays then, and nobody can drive others past the cache. */
static void refuse(struct cache_lead *lead, const struct cache_response *r)
{
    if (r->verdict == FRESHNESS_AUTHORIZATION)
        land(lead, NULL, CACHE_WAKE_LOOK, 0);
    else if (r->exchange->status >= 400)
        land(lead, NULL, CACHE_WAKE_PASS, 0);
    else
        cache_lead_pass(lead);
}

struct cache_object *cache_lead_store(struct cache_lead *lead, struct cache_response *r)
{
    struct freshness fresh;
    struct cache_object *o = NULL;
    struct cache_body *body;

    r->verdict = freshness_of_response(r->exchange, &fresh);
    if (r->verdict == FRESHNESS_STORE) {
        o = object_new(lead->cache, lead_key(lead), lead->hash, r->exchange, &fresh, lead->tags);
        body = o != NULL ? body_reserve(lead->cache, lead->shard, r->body_bytes) : NULL;
        if (body != NULL) {
            o->body = body;
            land(lead, o, CACHE_WAKE_LOOK, 0);
            return o;
        }
        if (o != NULL)
            cache_object_release(o);
    }
    refuse(lead, r);
    return NULL;
}

/* A 304 that names another representation than the one we hold confirms nothing. */
static bool is_about(const struct cache_object *o, const struct fields *update)
{
    struct cache_info info;
    struct etag ours, theirs;

    cache_object_info(o, o->stored_s, &info);
    return !fields_has(update, FIELD_ETAG) || info.validators.etag.n == 0 ||
           !fields_parse_etag(info.validators.etag, &ours) ||
           !fields_parse_etag(fields_value(update, FIELD_ETAG), &theirs) ||
           fields_etag_is_weak_match(&ours, &theirs);
}

struct cache_object *cache_lead_refresh(struct cache_lead *lead, const struct freshness_exchange *x)
{
    struct cache_object *old = cache_object_hold(lead->object), *o = NULL;
    struct freshness_exchange merged_x = *x;
    struct fields merged;
    struct freshness fresh;
    struct purge_tags tags;

    object_merge_fields(old, x->response, &merged);
    if (lead->tags == NULL || lead->tags->n == 0) {
        object_read_tags(old, &tags);
        lead->tags = &tags;
    }
    merged_x.status = old->status;
    merged_x.response = &merged;
    if (is_about(old, x->response) && freshness_of_response(&merged_x, &fresh) == FRESHNESS_STORE)
        o = object_new(lead->cache, lead_key(lead), lead->hash, &merged_x, &fresh, lead->tags);
    if (o == NULL) {
        /* It answers the requests that wait for it and is not kept. */
        cache_lead_pass(lead);
        return old;
    }
    o->body = old->body;
    atomic_fetch_add_explicit(&o->body->refs, 1, memory_order_relaxed);
    land(lead, o, CACHE_WAKE_LOOK, 0);
    cache_object_release(old);
    return o;
}

/* ---- Look-up ---- */

struct found {
    struct cache_object *object; /* the selected variant */
    struct cache_object *purged; /* to be released without the lock */
    bool has_key, is_pass;
};

static void find(struct cache_shard *s, const struct cache_request *r, uint64_t hash,
                 struct found *out)
{
    struct cache_object *next;

    *out = (struct found){0};
    for (struct cache_object *o = store_first(s, hash); o != NULL; o = next) {
        next = o->chain;
        if (o->hash != hash || !str_eq(object_key(o), r->key))
            continue;
        if (object_check_purges(o) == PURGE_HARD) {
            s->purged++;
            store_remove(s, o, &out->purged);
            continue;
        }
        out->has_key = true;
        if (o->kind == OBJECT_PASS) {
            out->is_pass = r->now_s - o->stored_s < CACHE_PASS_S;
            return;
        }
        if (object_is_selected(o, r->fields)) {
            out->object = o;
            return;
        }
    }
}

static void raise_frequency(struct cache_object *o)
{
    uint8_t f = atomic_load_explicit(&o->frequency, memory_order_relaxed);

    if (f < CACHE_FREQUENCY_MAX)
        atomic_store_explicit(&o->frequency, (uint8_t)(f + 1), memory_order_relaxed);
}

static bool is_growing(const struct cache_object *o)
{
    return atomic_load_explicit(&o->body->state, memory_order_relaxed) == BODY_FILLING;
}

/* A stored response that may be used as it is, or after a refresh. */
static void use_object(struct cache_shard *s, const struct cache_request *r, struct cache_object *o,
                       enum freshness_use use, struct cache_result *out)
{
    raise_frequency(o);
    out->object = cache_object_hold(o);
    /* At once: the window of a growing body must not move on before it is read. */
    if (use != FRESHNESS_STALE && r->reader != NULL)
        reader_attach(r->reader, o);
    if (use == FRESHNESS_FRESH) {
        out->verdict = CACHE_HIT;
        s->hits++;
    } else if (use == FRESHNESS_STALE_USABLE) {
        out->verdict = CACHE_STALE;
        s->hits++;
    } else {
        out->verdict = CACHE_REVALIDATE;
    }
}

/* Stale before it has come whole: no time for a refresh, whose object would share a body that may
 * still break off. */
static bool is_growing_stale(const struct cache_result *r)
{
    return r->verdict == CACHE_STALE && is_growing(r->object);
}

/* The verdict on what was found, as far as it needs no fetch. */
static enum cache_verdict judge(struct cache_shard *s, const struct found *found,
                                const struct freshness_request *asked,
                                const struct cache_request *r, struct cache_result *out)
{
    struct freshness fresh;
    enum freshness_use use;

    if (found->is_pass) {
        out->forward_reason = "uri-miss";
        return out->verdict = asked->is_only_if_cached ? CACHE_UNAVAILABLE : CACHE_PASS;
    }
    if (found->object == NULL) {
        out->forward_reason = found->has_key ? "vary-miss" : "uri-miss";
        return out->verdict = asked->is_only_if_cached ? CACHE_UNAVAILABLE : CACHE_FETCH;
    }
    fresh = object_freshness(found->object);
    use = freshness_use(&fresh, r->now_s - found->object->stored_s);
    out->forward_reason = "stale";
    if (asked->is_validation_wanted) {
        use = FRESHNESS_STALE;
        out->forward_reason = "request";
    }
    if (use == FRESHNESS_STALE && asked->is_only_if_cached)
        return out->verdict = CACHE_UNAVAILABLE;
    /* There is no confirming what has not come whole. */
    if (use == FRESHNESS_STALE && is_growing(found->object))
        return out->verdict = CACHE_FETCH;
    use_object(s, r, found->object, use, out);
    return out->verdict;
}

/* Would all who waited for this fetch have to ask the origin again? Then nobody waits. */
static bool is_solo(const struct found *found, const struct freshness_request *asked)
{
    return asked->is_validation_wanted ||
           (found->object != NULL && found->object->fresh.always_validates);
}

/* A fetch is due: this request leads it, or waits for the one that does. */
static void lead_or_wait(struct cache_shard *s, const struct cache_request *r,
                         struct cache_lead *flight, struct cache_lead **fresh,
                         struct cache_result *out)
{
    if (flight == NULL || (*fresh)->is_solo) {
        if (!(*fresh)->is_solo)
            take_off(s, *fresh);
        if (out->object != NULL)
            (*fresh)->object = cache_object_hold(out->object);
        out->lead = *fresh;
        *fresh = NULL;
        return;
    }
    if (out->verdict == CACHE_STALE) /* somebody refreshes it already */
        return;
    if (!r->is_joining_allowed) {
        out->verdict = CACHE_PASS;
        return;
    }
    s->collapsed += !flight->is_load;
    out->verdict = CACHE_WAIT;
    out->is_loading = flight->is_load;
    out->waiter = waiters_add(&flight->waiters, s, &r->waker);
}

/* Before the disk is asked: it may have them, too. */
static void drop_purged(struct cache *c, struct cache_object *purged)
{
    for (const struct cache_object *o = purged; o != NULL && c->disk != NULL; o = o->chain)
        persist_replace(c, o);
    store_release_dropped(purged);
}

/* Memory has nothing that this request may use: the disk may have. */
static bool is_load_due(const struct cache *c, const struct cache_request *r,
                        const struct cache_result *out)
{
    return c->disk != NULL && out->lead != NULL && out->verdict == CACHE_FETCH &&
           out->object == NULL && !out->lead->is_solo && r->is_joining_allowed;
}

/* Hands the lead to the disk, and waits for it as any other request does. */
static void try_load(struct cache *c, struct cache_result *out)
{
    if (persist_load(c, out->lead)) {
        out->verdict = CACHE_WAIT;
        out->is_loading = true;
        out->lead = NULL;
    } else {
        out->lead->is_load = false;
        cache_waiter_cancel(out->waiter);
        out->waiter = NULL;
    }
}

/* What the request alone decides. */
static bool is_passed(const struct cache *c, const struct cache_request *r,
                      const struct freshness_request *asked, struct cache_result *out)
{
    *out = (struct cache_result){.verdict = CACHE_PASS, .forward_reason = "bypass"};
    if (!asked->is_lookup_allowed) {
        out->forward_reason = "method";
        return true;
    }
    return r->key.n > CACHE_KEY_MAX ||
           atomic_load_explicit(&c->memory_bytes, memory_order_relaxed) == 0;
}

void cache_lookup(struct cache *c, const struct cache_request *r, struct cache_result *out)
{
    struct cache_lead *fresh = NULL;
    struct freshness_request asked;
    struct cache_object *surplus = NULL;
    struct cache_shard *s;
    struct found found;
    uint64_t hash;

    freshness_of_request(r->method, r->fields, r->is_reload_obeyed, &asked);
    if (is_passed(c, r, &asked, out))
        return;
    hash = store_hash(c, r->key);
    s = store_shard(c, hash);
    pthread_mutex_lock(&s->lock);
    s->lookups++;
    find(s, r, hash, &found);
    judge(s, &found, &asked, r, out);
    if (out->verdict != CACHE_HIT && out->verdict != CACHE_PASS &&
        out->verdict != CACHE_UNAVAILABLE) {
        if (r->method == HTTP_METHOD_HEAD || asked.is_no_store) {
            /* Its response cannot be stored: it goes through, and nobody waits for it. */
            if (out->verdict != CACHE_STALE)
                out->verdict = CACHE_PASS;
        } else if (!is_growing_stale(out)) {
            fresh = lead_new(c, s, r, hash);
            fresh->is_solo = is_solo(&found, &asked);
            lead_or_wait(s, r, find_flight(s, r, hash), &fresh, out);
        }
    }
    if (out->object != NULL && (out->verdict == CACHE_WAIT || out->verdict == CACHE_PASS)) {
        surplus = out->object;
        out->object = NULL;
    }
    if (is_load_due(c, r, out)) {
        out->lead->is_load = true;
        out->waiter = waiters_add(&out->lead->waiters, s, &r->waker);
    }
    pthread_mutex_unlock(&s->lock);
    drop_purged(c, found.purged);
    if (out->waiter != NULL && out->lead != NULL)
        try_load(c, out);
    else if ((out->verdict == CACHE_HIT || out->verdict == CACHE_STALE) &&
             persist_is_due(out->object))
        persist_write(c, out->object);
    if (surplus != NULL)
        cache_object_release(surplus);
    free(fresh);
}

void cache_invalidate(struct cache *c, struct str key)
{
    uint64_t hash = store_hash(c, key);
    struct cache_shard *s = store_shard(c, hash);
    struct cache_object *dropped = NULL, *next;

    pthread_mutex_lock(&s->lock);
    for (struct cache_object *o = store_first(s, hash); o != NULL; o = next) {
        next = o->chain;
        if (o->hash == hash && str_eq(object_key(o), key))
            store_remove(s, o, &dropped);
    }
    for (struct cache_lead *f = s->flights; f != NULL; f = f->next)
        if (f->hash == hash && f->is_load && str_eq(lead_key(f), key))
            f->is_invalidated = true;
    pthread_mutex_unlock(&s->lock);
    store_release_dropped(dropped);
    if (c->disk != NULL)
        disk_remove_key(c->disk, key);
}
