/* SPDX-License-Identifier: BSD-2-Clause */
/* What a world shows of the store. A signed zone with challenges is made anew only when it or they
 * have changed: worlds come with every verdict of health. */
#include "common/arena/arena.h"
#include "gslb-dns/acme/acme.h"

#include <stdlib.h>
#include <string.h>

/* A signed zone with challenges. */
struct amended {
    const struct zone *base;          /* counted, as is what follows */
    const struct sign_signer *signer; /* with what it was made anew */
    const struct zone *zone;
    const struct zone_text *texts; /* in the view's arena, as are their names */
    size_t n_texts;
};

struct acme_view {
    struct arena arena;
    struct acme_overlay *overlay;
    struct zone_set *set;
    struct amended *amended;
    size_t n;
};

/* Whose zone of these, by its number, the name is; n: of none. */
static size_t find_zone(const struct acme_zones *zones, const struct wire_name *name)
{
    struct zone_lookup l;
    size_t i = 0;

    zone_prepare(zones->set, name, WIRE_TXT, &l);
    while (i < zones->n && zones->zones[i] != l.zone)
        i++;
    return i;
}

/* The texts of one zone in the order of the store. Those of all zones have room in texts. */
static size_t list_texts(const struct acme_store *s, const struct acme_zones *zones, size_t zone,
                         int64_t now_ms, struct zone_text *texts)
{
    size_t n_records, n = 0;
    const struct acme_record *records = acme_store_records(s, &n_records);

    for (size_t i = 0; i < n_records; i++)
        if (acme_is_answered(&records[i], now_ms) && find_zone(zones, &records[i].name) == zone)
            texts[n++] = (struct zone_text){
                .name = &records[i].name, .text = records[i].value, .ttl_s = ACME_TTL_S};
    return n;
}

static bool has_same_texts(const struct amended *a, const struct zone_text *texts, size_t n)
{
    if (a->n_texts != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (a->texts[i].name->length != texts[i].name->length ||
            memcmp(a->texts[i].name->bytes, texts[i].name->bytes, texts[i].name->length) != 0 ||
            strcmp(a->texts[i].text, texts[i].text) != 0)
            return false;
    return true;
}

/* The version that another view has of this; NULL: none. */
static const struct zone *find_made(const struct acme_view *v, const struct amended *a)
{
    for (size_t i = 0; v != NULL && i < v->n; i++)
        if (v->amended[i].base == a->base && v->amended[i].signer == a->signer &&
            has_same_texts(&v->amended[i], a->texts, a->n_texts))
            return v->amended[i].zone;
    return NULL;
}

/* The store's records may change while the view lives. */
static const struct zone_text *copy_texts(struct arena *a, const struct zone_text *texts, size_t n)
{
    struct zone_text *copy = arena_copy(a, texts, n * sizeof(texts[0]));

    for (size_t i = 0; i < n; i++) {
        copy[i].name = arena_copy(a, texts[i].name, sizeof(*texts[i].name));
        copy[i].text = arena_strndup(a, texts[i].text, strlen(texts[i].text));
    }
    return copy;
}

static void amend(struct acme_view *v, const struct acme_view *previous,
                  const struct acme_zones *zones, size_t zone, const struct zone_text *texts,
                  size_t n)
{
    struct amended a = {
        .base = zones->zones[zone], .signer = zones->signers[zone], .texts = texts, .n_texts = n};
    const struct zone *made = find_made(previous, &a);

    a.zone = made != NULL ? zone_hold(made) : zone_amend(a.base, a.signer, texts, n);
    a.texts = copy_texts(&v->arena, texts, n);
    zone_hold(a.base);
    sign_hold(a.signer);
    v->amended[v->n++] = a;
}

static void amend_zones(struct acme_view *v, const struct acme_view *previous,
                        const struct acme_store *s, const struct acme_zones *zones, int64_t now_ms)
{
    size_t n_records, n;
    struct zone_text *texts;

    acme_store_records(s, &n_records);
    texts = base_zalloc(n_records, sizeof(texts[0]));
    for (size_t z = 0; z < zones->n; z++) {
        if (zones->signers[z] == NULL || !acme_is_signed(zones->zones[z]))
            continue;
        n = list_texts(s, zones, z, now_ms, texts);
        if (n > 0)
            amend(v, previous, zones, z, texts, n);
    }
    free(texts);
}

static struct zone_set *make_set(const struct acme_view *v, const struct acme_zones *zones)
{
    struct zone **all = base_zalloc(zones->n, sizeof(all[0]));
    struct zone_set *set;

    for (size_t i = 0; i < zones->n; i++) {
        all[i] = (struct zone *)zones->zones[i];
        for (size_t k = 0; k < v->n; k++)
            if (v->amended[k].base == zones->zones[i])
                all[i] = (struct zone *)v->amended[k].zone;
    }
    set = zone_set_new(all, zones->n);
    free(all);
    return set;
}

struct acme_view *acme_view_new(const struct acme_store *s, const struct acme_zones *zones,
                                const struct acme_view *previous, int64_t now_ms)
{
    struct acme_view *v;
    size_t n;

    acme_store_records(s, &n);
    if (n == 0)
        return NULL;
    v = base_zalloc(1, sizeof(*v));
    arena_init(&v->arena, 4096);
    v->amended = base_zalloc(zones->n, sizeof(v->amended[0]));
    v->overlay = acme_overlay_new(s, zones->set, now_ms);
    amend_zones(v, previous, s, zones, now_ms);
    if (v->n > 0)
        v->set = make_set(v, zones);
    return v;
}

void acme_view_free(struct acme_view *v)
{
    if (v == NULL)
        return;
    if (v->set != NULL)
        zone_set_free(v->set);
    for (size_t i = 0; i < v->n; i++) {
        zone_release(v->amended[i].zone);
        zone_release(v->amended[i].base);
        sign_release(v->amended[i].signer);
    }
    acme_overlay_free(v->overlay);
    free(v->amended);
    arena_free(&v->arena);
    free(v);
}

const struct acme_overlay *acme_view_overlay(const struct acme_view *v)
{
    return v != NULL ? v->overlay : NULL;
}

const struct zone_set *acme_view_zones(const struct acme_view *v)
{
    return v != NULL ? v->set : NULL;
}
