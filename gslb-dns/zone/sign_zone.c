/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signs a draft: what the keys publish goes to the apex, a chain of NSEC or NSEC3 is made, and
 * every RRset that the zone speaks for with authority gets its signatures, on all cores. What
 * follows then treats the draft like one that came signed.
 */
#include "gslb-dns/zone/zone_internal.h"

#include "common/net/net.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPE_CDS = 59,
    TYPE_CDNSKEY = 60,
    BITMAP_MAX = 256 * 34, /* RFC 4034 section 4.1.2 */
    ITEMS_PER_TURN = 64,
};

/* --- what the file has of DNSSEC ---------------------------------------------------------- */

static bool is_made_here(uint16_t type)
{
    return type == WIRE_RRSIG || type == WIRE_NSEC || type == WIRE_NSEC3 ||
           type == WIRE_NSEC3PARAM || type == WIRE_DNSKEY || type == TYPE_CDS ||
           type == TYPE_CDNSKEY;
}

static void strip_name(struct draft *d, struct draft_name *n, const struct draft_record **first)
{
    uint32_t next, i = n->first;
    bool was_hash = draft_is_hash(n);

    n->first = n->last = DRAFT_NONE;
    for (; i != DRAFT_NONE; i = next) {
        struct draft_record *r = &d->records[i];

        next = r->next;
        r->next = DRAFT_NONE;
        if (is_made_here(r->type)) {
            *first = *first != NULL ? *first : r;
            continue;
        }
        if (n->first == DRAFT_NONE)
            n->first = i;
        else
            d->records[n->last].next = i;
        n->last = i;
    }
    n->flags &= (uint16_t) ~(DRAFT_HAS_NSEC | DRAFT_HAS_NSEC3);
    if (was_hash)
        n->flags |= DRAFT_IS_GONE;
}

void draft_strip(struct draft *d)
{
    const struct draft_record *first = NULL;

    for (uint32_t i = 0; i < d->n_names; i++)
        strip_name(d, &d->names[i], &first);
    if (first != NULL)
        errors_warn(d->errors, draft_place(d, first),
                    "this zone is signed here (dnssec:); the DNSKEY, RRSIG, NSEC and other such "
                    "records of its file are left out");
}

/* --- what is added ------------------------------------------------------------------------ */

static bool is_visible(const struct draft *d, uint32_t name)
{
    const struct draft_name *n = &d->names[name];

    return !(n->flags & DRAFT_IS_GONE) && (n->cut == DRAFT_NONE || n->cut == name);
}

static bool has_data(const struct draft_name *n)
{
    return n->first != DRAFT_NONE || n->service != ZONE_NO_SERVICE;
}

static void add_record(struct draft *d, uint32_t name, uint16_t type, uint32_t ttl_s,
                       const uint8_t *rdata, size_t n)
{
    draft_add_record(d, name,
                     &(struct draft_record){
                         .rdata = rdata, .rdata_bytes = (uint16_t)n, .type = type, .ttl_s = ttl_s});
}

/* RFC 9077 section 3: as long as a negative answer. */
static uint32_t negative_ttl(const struct draft *d)
{
    const struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);
    uint32_t minimum = bytes_get_u32(soa->rdata + soa->rdata_bytes - 4);

    return minimum < soa->ttl_s ? minimum : soa->ttl_s;
}

static void add_apex(struct draft *d, const struct sign_signer *s)
{
    size_t n;
    const struct sign_apex_rrset *sets = sign_apex_rrsets(s, &n);

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sets[i].n; k++)
            add_record(d, 0, sets[i].type, sets[i].ttl_s, sets[i].rdata[k].bytes,
                       sets[i].rdata[k].n);
    }
    if (sign_signer_denial(s) == SIGN_NSEC3) {
        const struct sign_nsec3 *p = sign_signer_nsec3(s);
        uint8_t rdata[5 + NSEC3_SALT_MAX] = {1, 0, (uint8_t)(p->iterations >> 8),
                                             (uint8_t)p->iterations, p->n_salt};

        memcpy(rdata + 5, p->salt, p->n_salt);
        add_record(d, 0, WIRE_NSEC3PARAM, 0, rdata, 5u + p->n_salt);
    }
}

/* --- bitmaps ------------------------------------------------------------------------------ */

enum { WINDOWS = 256, WINDOW_BYTES = 32 };

/* A set of types as bitmaps have it: RFC 4034 section 4.1.2. */
struct types {
    uint8_t bits[WINDOWS][WINDOW_BYTES];
    uint64_t used[WINDOWS / 64]; /* windows with a bit: one or two of all, as a rule */
};

static void clear_types(struct types *t)
{
    for (unsigned i = 0; i < COUNT_OF(t->used); i++) {
        for (; t->used[i] != 0; t->used[i] &= t->used[i] - 1)
            memset(t->bits[64 * i + (unsigned)__builtin_ctzll(t->used[i])], 0, WINDOW_BYTES);
    }
}

static void set_type(struct types *t, uint16_t type)
{
    unsigned window = type >> 8;

    t->bits[window][(type & 0xff) >> 3] |= (uint8_t)(0x80 >> (type & 7));
    t->used[window / 64] |= UINT64_C(1) << window % 64;
}

static size_t write_window(const struct types *t, unsigned window, uint8_t *out)
{
    uint8_t n = WINDOW_BYTES;

    while (t->bits[window][n - 1] == 0) /* it has one: it is used */
        n--;
    out[0] = (uint8_t)window;
    out[1] = n;
    memcpy(out + 2, t->bits[window], n);
    return 2u + n;
}

static size_t write_bitmap(const struct types *t, uint8_t *out)
{
    size_t at = 0;

    for (unsigned i = 0; i < COUNT_OF(t->used); i++) {
        for (uint64_t rest = t->used[i]; rest != 0; rest &= rest - 1)
            at += write_window(t, 64 * i + (unsigned)__builtin_ctzll(rest), out + at);
    }
    return at;
}

/* What stands at a name for those who ask this zone, and what its service can give (RFC 8198 would
 * hide that else). At a cut that is NS and DS. without: one of the service's types, or 0. */
static void collect_types(const struct draft *d, uint32_t name, uint16_t without, struct types *t)
{
    const struct draft_name *n = &d->names[name];
    bool is_signed = false;

    clear_types(t);
    for (uint32_t i = n->first; i != DRAFT_NONE; i = d->records[i].next) {
        uint16_t type = d->records[i].type;

        if (draft_is_variant(type))
            continue;
        if (n->cut == DRAFT_NONE || type == WIRE_NS || type == WIRE_DS) {
            set_type(t, type);
            is_signed = is_signed || n->cut == DRAFT_NONE || type == WIRE_DS;
        }
    }
    if (n->service != ZONE_NO_SERVICE) {
        if (n->has_a && without != WIRE_A)
            set_type(t, WIRE_A);
        if (n->has_aaaa && without != WIRE_AAAA)
            set_type(t, WIRE_AAAA);
        is_signed = is_signed || n->has_a || n->has_aaaa;
    }
    if (is_signed)
        set_type(t, WIRE_RRSIG);
}

/* A steered name whose service can give an address may yet have none for a client: then an NSEC
 * that lists the type would be no proof, and one without it is signed beside. */
static const uint16_t missing[] = {WIRE_A, WIRE_AAAA};

static unsigned count_missing(const struct draft_name *n)
{
    return n->service != ZONE_NO_SERVICE ? COUNT_OF(missing) : 0;
}

static uint16_t variant_of(uint16_t missing_type)
{
    return missing_type == WIRE_A ? DRAFT_WITHOUT_A : DRAFT_WITHOUT_AAAA;
}

/* --- NSEC --------------------------------------------------------------------------------- */

/* The names that have an NSEC, in order. */
static uint32_t *order_names(const struct draft *d, uint32_t *n)
{
    uint32_t *names = base_zalloc(d->n_names, sizeof(names[0]));

    *n = 0;
    for (uint32_t i = 0; i < d->n_names; i++) {
        if (is_visible(d, i) && has_data(&d->names[i]))
            names[(*n)++] = i;
    }
    chain_sort(d, names, *n);
    return names;
}

static size_t write_nsec(const struct draft *d, uint32_t name, const struct draft_name *next,
                         uint16_t without, struct types *t, uint8_t *out)
{
    collect_types(d, name, without, t);
    set_type(t, WIRE_RRSIG);
    set_type(t, WIRE_NSEC);
    memcpy(out, next->name, next->name_bytes);
    return next->name_bytes + write_bitmap(t, out + next->name_bytes);
}

static void add_nsec_chain(struct draft *d)
{
    struct types *t = base_zalloc(1, sizeof(*t));
    uint8_t rdata[WIRE_NAME_MAX + BITMAP_MAX];
    uint32_t n, *names = order_names(d, &n), ttl_s = negative_ttl(d);

    for (uint32_t i = 0; i < n; i++) {
        size_t bytes = write_nsec(d, names[i], &d->names[names[(i + 1) % n]], 0, t, rdata);

        add_record(d, names[i], WIRE_NSEC, ttl_s, rdata, bytes);
        for (unsigned k = 0; k < count_missing(&d->names[names[i]]); k++) {
            bytes = write_nsec(d, names[i], &d->names[names[(i + 1) % n]], missing[k], t, rdata);
            add_record(d, names[i], variant_of(missing[k]), ttl_s, rdata, bytes);
        }
    }
    free(names);
    free(t);
}

/* --- compact ------------------------------------------------------------------------------ */

/* What comes next is made up (RFC 9824 section 3): below the name as near as can be, or behind a
 * delegation and all that is below it (section 3.4). */
static void add_compact(struct draft *d, uint32_t name, uint16_t type, uint16_t without,
                        struct types *t, uint32_t ttl_s)
{
    const struct draft_name *at = &d->names[name];
    uint8_t rdata[WIRE_NAME_MAX + BITMAP_MAX];
    size_t n = at->cut == name ? zone_name_behind(at->name, at->name_bytes, rdata)
                               : zone_name_below(at->name, at->name_bytes, rdata);

    if (n == 0)
        return;
    collect_types(d, name, without, t);
    set_type(t, WIRE_RRSIG);
    set_type(t, WIRE_NSEC);
    n += write_bitmap(t, rdata + n);
    add_record(d, name, type, ttl_s, rdata, n);
}

static void add_compact_all(struct draft *d)
{
    struct types *t = base_zalloc(1, sizeof(*t));
    uint32_t ttl_s = negative_ttl(d);

    d->is_compact = true;
    for (uint32_t i = 0; i < d->n_names; i++) {
        if (!is_visible(d, i))
            continue;
        add_compact(d, i, WIRE_NSEC, 0, t, ttl_s);
        for (unsigned k = 0; k < count_missing(&d->names[i]); k++)
            add_compact(d, i, variant_of(missing[k]), missing[k], t, ttl_s);
    }
    free(t);
}

/* --- NSEC3 -------------------------------------------------------------------------------- */

struct hashed {
    uint8_t hash[SIGN_NSEC3_HASH_BYTES];
    uint32_t name;
};

static int by_hash(const void *a, const void *b)
{
    return memcmp(a, b, SIGN_NSEC3_HASH_BYTES);
}

/* RFC 5155 section 7.1; with opt-out a delegation without DS has none, nor an empty name that only
 * such make (section 6). */
static bool *find_hashable(const struct draft *d, bool is_opt_out)
{
    bool *is_in = base_zalloc(d->n_names, sizeof(is_in[0]));

    for (uint32_t i = d->n_names; i-- > 0;) { /* children have higher numbers */
        const struct draft_name *n = &d->names[i];
        bool is_insecure = n->cut == i && draft_first(d, n, WIRE_DS) == NULL;

        if (!is_visible(d, i))
            continue;
        if (has_data(n) && !(is_insecure && is_opt_out))
            is_in[i] = true;
        if (is_in[i] && n->parent != DRAFT_NONE)
            is_in[n->parent] = true;
    }
    return is_in;
}

static size_t write_nsec3(const struct draft *d, const struct sign_nsec3 *p,
                          const struct hashed *at, const struct hashed *next, uint16_t without,
                          struct types *t, uint8_t *rdata)
{
    size_t n = 5u + p->n_salt;

    rdata[0] = 1;
    rdata[1] = p->is_opt_out;
    bytes_put_u16(rdata + 2, p->iterations);
    rdata[4] = p->n_salt;
    memcpy(rdata + 5, p->salt, p->n_salt);
    rdata[n++] = SIGN_NSEC3_HASH_BYTES;
    memcpy(rdata + n, next->hash, SIGN_NSEC3_HASH_BYTES);
    n += SIGN_NSEC3_HASH_BYTES;
    collect_types(d, at->name, without, t);
    return n + write_bitmap(t, rdata + n);
}

static uint32_t add_owner(struct draft *d, const struct hashed *at)
{
    uint8_t wire[1 + NSEC3_LABEL + WIRE_NAME_MAX];
    struct wire_name owner;

    chain_write_hash(at->hash, wire);
    memcpy(wire + 1 + NSEC3_LABEL, d->apex.bytes, d->apex.length);
    ensure(wire_name_read(wire, 1u + NSEC3_LABEL + d->apex.length, &owner)); /* checked before */
    return draft_add_name(d, &owner);
}

static void add_nsec3(struct draft *d, const struct sign_nsec3 *p, const struct hashed *at,
                      const struct hashed *next, struct types *t, uint32_t ttl_s)
{
    uint8_t rdata[6 + NSEC3_SALT_MAX + SIGN_NSEC3_HASH_BYTES + BITMAP_MAX];
    uint32_t owner = add_owner(d, at);
    size_t n = write_nsec3(d, p, at, next, 0, t, rdata);

    add_record(d, owner, WIRE_NSEC3, ttl_s, rdata, n);
    for (unsigned k = 0; k < count_missing(&d->names[at->name]); k++) {
        n = write_nsec3(d, p, at, next, missing[k], t, rdata);
        add_record(d, owner, variant_of(missing[k]), ttl_s, rdata, n);
    }
}

static void add_nsec3_chain(struct draft *d, const struct sign_nsec3 *p)
{
    bool *is_in = find_hashable(d, p->is_opt_out);
    struct hashed *all = base_zalloc(d->n_names, sizeof(all[0]));
    struct types *t = base_zalloc(1, sizeof(*t));
    uint32_t n = 0, ttl_s = negative_ttl(d);

    for (uint32_t i = 0; i < d->n_names; i++) {
        if (!is_in[i])
            continue;
        all[n].name = i;
        sign_nsec3_hash(d->names[i].name, d->names[i].name_bytes, p->salt, p->n_salt, p->iterations,
                        all[n++].hash);
    }
    qsort(all, n, sizeof(all[0]), by_hash);
    for (uint32_t i = 0; i < n; i++)
        add_nsec3(d, p, &all[i], &all[(i + 1) % n], t, ttl_s);
    free(t);
    free(all);
    free(is_in);
}

/* --- signatures --------------------------------------------------------------------------- */

struct item {
    uint32_t name, first;              /* of the RRset */
    const struct sign_signature *made; /* in a thread's arena */
    uint8_t n_made;
};

struct work {
    struct draft *draft;
    const struct sign_signer *signer;
    const struct zone *previous;
    struct item *items;
    size_t n, cap;
    _Atomic size_t next;
    uint32_t outlive_s;
    uint16_t denial_type;
};

static void list_items(struct work *w)
{
    struct draft *d = w->draft;

    for (uint32_t i = 0; i < d->n_names; i++) {
        const struct draft_name *n = &d->names[i];
        uint16_t before = 0;

        if (!is_visible(d, i))
            continue;
        for (uint32_t r = n->first; r != DRAFT_NONE; r = d->records[r].next) {
            uint16_t type = d->records[r].type;

            if (type != before && (n->cut == DRAFT_NONE || type == WIRE_DS || type == WIRE_NSEC)) {
                BASE_GROW(w->items, w->n, w->cap);
                w->items[w->n++] = (struct item){.name = i, .first = r};
            }
            before = type;
        }
    }
}

static void sign_item(struct work *w, struct item *item, struct sign_context *c, struct arena *a,
                      struct sign_rdata *rdata)
{
    const struct draft *d = w->draft;
    const struct draft_record *first = &d->records[item->first];
    struct sign_signature made[SIGN_SIGNATURES_MAX];
    struct sign_rrset set = {.owner = d->names[item->name].name,
                             .type = draft_is_variant(first->type) ? w->denial_type : first->type,
                             .ttl_s = first->ttl_s,
                             .rdata = rdata,
                             .outlive_s = w->outlive_s};
    size_t n;

    for (uint32_t i = item->first; i != DRAFT_NONE && d->records[i].type == first->type;
         i = d->records[i].next)
        rdata[set.n++] = (struct sign_rdata){d->records[i].rdata, d->records[i].rdata_bytes};
    n = w->previous != NULL ? zone_keep_signatures(w->previous, &d->names[item->name], first->type,
                                                   w->signer, &set, made)
                            : 0;
    item->n_made = (uint8_t)(n > 0 ? n : sign_rrset(c, w->signer, &set, made));
    item->made = arena_copy(a, made, item->n_made * sizeof(made[0]));
}

struct signing_thread {
    struct work *work;
    struct arena arena;
    pthread_t thread;
};

static void *sign_some(void *arg)
{
    struct signing_thread *t = arg;
    struct work *w = t->work;
    struct sign_context *c = sign_context_new();
    struct sign_rdata *rdata = base_alloc((UINT16_MAX + 1) * sizeof(rdata[0]));
    size_t from;

    arena_init(&t->arena, 256 * 1024);
    while ((from = atomic_fetch_add(&w->next, ITEMS_PER_TURN)) < w->n) {
        for (size_t i = from; i < w->n && i < from + ITEMS_PER_TURN; i++)
            sign_item(w, &w->items[i], c, &t->arena, rdata);
    }
    free(rdata);
    sign_context_free(c);
    return NULL;
}

static void sign_items(struct work *w, struct signing_thread *threads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        threads[i].work = w;
    for (size_t i = 1; i < n; i++)
        ensure(pthread_create(&threads[i].thread, NULL, sign_some, &threads[i]) == 0);
    sign_some(&threads[0]);
    for (size_t i = 1; i < n; i++)
        pthread_join(threads[i].thread, NULL);
}

/* A copy elsewhere lives no longer: RFC 6781 section 4.4.2.1. */
static uint32_t outlive_of(const struct draft *d)
{
    const struct draft_record *soa = draft_first(d, &d->names[0], WIRE_SOA);
    uint32_t most = 0;

    for (uint32_t i = 0; i < d->n_records; i++)
        most = d->records[i].ttl_s > most ? d->records[i].ttl_s : most;
    return most + bytes_get_u32(soa->rdata + soa->rdata_bytes - 8);
}

static void add_signature(struct draft *d, const struct item *item,
                          const struct sign_signature *made)
{
    const struct draft_record *first = &d->records[item->first];

    draft_add_record(d, item->name,
                     &(struct draft_record){.rdata = made->rdata,
                                            .rdata_bytes = made->n,
                                            .type = WIRE_RRSIG,
                                            .covers = first->type,
                                            .ttl_s = first->ttl_s});
}

static void sign_all(struct draft *d, const struct sign_signer *s, const struct zone *previous)
{
    struct work w = {.draft = d,
                     .signer = s,
                     .previous = previous,
                     .outlive_s = outlive_of(d),
                     .denial_type = sign_signer_denial(s) == SIGN_NSEC3 ? WIRE_NSEC3 : WIRE_NSEC};
    size_t n_threads = net_cpu_count();
    struct signing_thread *threads;

    list_items(&w);
    n_threads = w.n < 2 * ITEMS_PER_TURN ? 1 : n_threads;
    threads = base_zalloc(n_threads, sizeof(threads[0]));
    sign_items(&w, threads, n_threads);
    for (size_t i = 0; i < w.n; i++) {
        for (unsigned k = 0; k < w.items[i].n_made; k++)
            add_signature(d, &w.items[i], &w.items[i].made[k]);
    }
    for (size_t i = 0; i < n_threads; i++)
        arena_free(&threads[i].arena);
    free(threads);
    free(w.items);
}

void draft_sign(struct draft *d, const struct sign_signer *s, const struct zone *previous)
{
    uint64_t digest;

    if (sign_signer_denial(s) == SIGN_NSEC3 && 1u + NSEC3_LABEL + d->apex.length > WIRE_NAME_MAX) {
        errors_add(d->errors, (struct place){.file = d->files[0].path},
                   "the zone's name is too long for NSEC3; choose denial: nsec");
        return;
    }
    digest = d->digest;
    d->signer = s;
    draft_raise_serial(d, s, previous);
    add_apex(d, s);
    if (sign_signer_denial(s) == SIGN_NSEC3)
        add_nsec3_chain(d, sign_signer_nsec3(s));
    else if (sign_signer_denial(s) == SIGN_COMPACT)
        add_compact_all(d);
    else
        add_nsec_chain(d);
    sign_all(d, s, previous);
    d->digest = digest; /* what the operator wrote, not what follows from it */
}
