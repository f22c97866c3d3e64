/* SPDX-License-Identifier: BSD-2-Clause */
/* The marks: where they stand, how they are found, and how they give way. */
#include "edge-proxy/purge/purge.h"

#include "common/base/base.h"
#include "common/bytes/bytes.h"

#define XXH_INLINE_ALL
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct mark {
    uint64_t hash;
    struct purge_stamps stamps;
};

struct bucket {
    struct mark marks[PURGE_WAYS];
    struct purge_stamps floor;
};

/* Sorted by text. */
struct prefix {
    char *text;
    size_t n;
    int parent; /* the longest of the others that this one begins with; -1: none */
    struct purge_stamps stamps;
};

struct purge_marks {
    pthread_rwlock_t lock; /* everything but now, which is raised last */
    _Atomic uint64_t now;  /* the newest purge's stamp */
    struct purge_stamps all, any_tag;
    struct bucket *buckets;
    size_t n_buckets, n_prefixes;
    struct prefix prefixes[PURGE_PREFIXES];
    uint64_t n_purges, n_coarsened;
};

struct purge_marks *purge_marks_new(size_t n_buckets)
{
    struct purge_marks *p = base_zalloc(1, sizeof(*p));
    pthread_rwlockattr_t how;

    pthread_rwlockattr_init(&how);
    /* Readers come all the time; the purge must not wait for all of them to be gone. */
    pthread_rwlockattr_setkind_np(&how, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&p->lock, &how);
    pthread_rwlockattr_destroy(&how);
    p->n_buckets = n_buckets;
    p->buckets = base_zalloc(n_buckets, sizeof(p->buckets[0]));
    return p;
}

void purge_marks_free(struct purge_marks *p)
{
    for (size_t i = 0; i < p->n_prefixes; i++)
        free(p->prefixes[i].text);
    free(p->buckets);
    pthread_rwlock_destroy(&p->lock);
    free(p);
}

uint64_t purge_now(const struct purge_marks *p)
{
    return atomic_load_explicit(&p->now, memory_order_acquire);
}

/* ---- What marks are about ---- */

/* Without a secret: tags are kept as numbers over a restart, and whoever makes two of them meet, an
 * origin or the operator, purges more of its own. */
static uint64_t hash_of(enum purge_kind kind, struct str what)
{
    return XXH3_64bits_withSeed(what.p, what.n, kind);
}

/* A key without its scheme, and without what the site adds to the URL behind a control octet. */
static struct str url_of_key(struct str key)
{
    const char *start = memmem(key.p, key.n, "://", 3);
    struct str url = key;

    if (start != NULL)
        url = (struct str){start + 3, key.n - (size_t)(start + 3 - key.p)};
    for (size_t i = 0; i < url.n; i++)
        if ((uint8_t)url.p[i] < ' ')
            url.n = i;
    return url;
}

/* Without its port. */
static struct str host_of_url(struct str url)
{
    const char *slash = memchr(url.p, '/', url.n);
    struct str host = {url.p, slash != NULL ? (size_t)(slash - url.p) : url.n};
    const char *bracket = memchr(host.p, ']', host.n);
    const char *from = bracket != NULL ? bracket : host.p;
    const char *colon = memchr(from, ':', host.n - (size_t)(from - host.p));

    if (colon != NULL)
        host.n = (size_t)(colon - host.p);
    return host;
}

/* ---- Tags ---- */

static bool is_between_tags(char ch)
{
    return ch == ' ' || ch == ',' || ch == '\t';
}

void purge_tags_add(struct purge_tags *tags, struct str value)
{
    size_t i = 0;

    for (;;) {
        size_t start;

        while (i < value.n && is_between_tags(value.p[i]))
            i++;
        if (i == value.n)
            return;
        if (tags->n == PURGE_TAGS_MAX) {
            tags->has_more = true;
            return;
        }
        start = i;
        while (i < value.n && !is_between_tags(value.p[i]))
            i++;
        tags->v[tags->n++] = hash_of(PURGE_TAG, (struct str){value.p + start, i - start});
    }
}

/* ---- Reading marks ---- */

static void see(const struct purge_stamps *from, struct purge_stamps *newest)
{
    if (from->hard > newest->hard)
        newest->hard = from->hard;
    if (from->soft > newest->soft)
        newest->soft = from->soft;
}

static struct bucket *bucket_of(const struct purge_marks *p, uint64_t hash)
{
    return &p->buckets[hash % p->n_buckets];
}

static struct mark *find_mark(struct bucket *b, uint64_t hash)
{
    for (size_t i = 0; i < PURGE_WAYS; i++)
        if (b->marks[i].hash == hash)
            return &b->marks[i];
    return NULL;
}

static void see_mark(const struct purge_marks *p, uint64_t hash, struct purge_stamps *newest)
{
    struct bucket *b = bucket_of(p, hash);
    const struct mark *m = find_mark(b, hash);

    see(&b->floor, newest);
    if (m != NULL)
        see(&m->stamps, newest);
}

static bool starts_with(struct str s, const struct prefix *x)
{
    return s.n >= x->n && memcmp(s.p, x->text, x->n) == 0;
}

static int compare(struct str a, const struct prefix *x)
{
    int order = memcmp(a.p, x->text, a.n < x->n ? a.n : x->n);

    return order != 0 ? order : (a.n > x->n) - (a.n < x->n);
}

/* How many prefixes stand before s, or are s. */
static size_t count_up_to(const struct purge_marks *p, struct str s)
{
    size_t low = 0, high = p->n_prefixes;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare(s, &p->prefixes[middle]) < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* All prefixes of url are the nearest entry before it that is one, and that one's parents. */
static void see_prefixes(const struct purge_marks *p, struct str url, struct purge_stamps *newest)
{
    for (int i = (int)count_up_to(p, url) - 1; i >= 0; i = p->prefixes[i].parent)
        if (starts_with(url, &p->prefixes[i]))
            see(&p->prefixes[i].stamps, newest);
}

void purge_find(struct purge_marks *p, const struct purge_subject *s, struct purge_stamps *out)
{
    struct str url = url_of_key(s->key);
    uint64_t tag;

    pthread_rwlock_rdlock(&p->lock);
    *out = p->all;
    see_mark(p, hash_of(PURGE_HOST, host_of_url(url)), out);
    see_mark(p, hash_of(PURGE_URL, url), out);
    see_prefixes(p, url, out);
    if (s->has_more_tags)
        see(&p->any_tag, out);
    for (uint16_t i = 0; i < s->n_tags; i++) {
        memcpy(&tag, (const char *)s->tags + i * sizeof(tag), sizeof(tag));
        see_mark(p, tag, out);
    }
    pthread_rwlock_unlock(&p->lock);
}

/* ---- Making marks ---- */

/* The purge of everything has made it pointless. */
static bool is_outdone(const struct purge_marks *p, const struct purge_stamps *s)
{
    return s->hard <= p->all.hard && s->soft <= p->all.hard;
}

static uint64_t newest_of(const struct purge_stamps *s)
{
    return s->hard > s->soft ? s->hard : s->soft;
}

/* A mark that is free, or the oldest, which becomes its bucket's floor. */
static struct mark *make_mark(struct purge_marks *p, struct bucket *b)
{
    struct mark *oldest = &b->marks[0];

    for (size_t i = 0; i < PURGE_WAYS; i++) {
        struct mark *m = &b->marks[i];

        if (is_outdone(p, &m->stamps))
            return m;
        if (newest_of(&m->stamps) < newest_of(&oldest->stamps))
            oldest = m;
    }
    see(&oldest->stamps, &b->floor);
    p->n_coarsened++;
    return oldest;
}

static void set_mark(struct purge_marks *p, uint64_t hash, const struct purge_stamps *stamps)
{
    struct bucket *b = bucket_of(p, hash);
    struct mark *m = find_mark(b, hash);

    if (m == NULL) {
        m = make_mark(p, b);
        *m = (struct mark){.hash = hash};
    }
    see(stamps, &m->stamps);
}

static void drop_prefix(struct purge_marks *p, size_t i)
{
    free(p->prefixes[i].text);
    p->n_prefixes--;
    memmove(&p->prefixes[i], &p->prefixes[i + 1], (p->n_prefixes - i) * sizeof(p->prefixes[0]));
}

/* Those that the new one covers, and those that a purge of everything has covered. */
static void drop_covered(struct purge_marks *p, struct str what, const struct purge_stamps *stamps)
{
    for (size_t i = p->n_prefixes; i-- > 0;) {
        const struct prefix *x = &p->prefixes[i];
        bool is_inside = x->n > what.n && memcmp(x->text, what.p, what.n) == 0;
        bool is_covered = is_inside && (stamps->hard > 0 || x->stamps.hard == 0);

        if (is_covered || is_outdone(p, &x->stamps))
            drop_prefix(p, i);
    }
}

static void coarsen_oldest_prefix(struct purge_marks *p)
{
    size_t oldest = 0;
    const struct prefix *x;

    for (size_t i = 1; i < p->n_prefixes; i++)
        if (newest_of(&p->prefixes[i].stamps) < newest_of(&p->prefixes[oldest].stamps))
            oldest = i;
    x = &p->prefixes[oldest];
    set_mark(p, hash_of(PURGE_HOST, host_of_url((struct str){x->text, x->n})), &x->stamps);
    p->n_coarsened++;
    drop_prefix(p, oldest);
}

static void insert_prefix(struct purge_marks *p, struct str what)
{
    size_t at = count_up_to(p, what);
    char *text = base_alloc(what.n);

    memcpy(text, what.p, what.n);
    memmove(&p->prefixes[at + 1], &p->prefixes[at], (p->n_prefixes - at) * sizeof(p->prefixes[0]));
    p->prefixes[at] = (struct prefix){.text = text, .n = what.n};
    p->n_prefixes++;
}

static void find_parents(struct purge_marks *p)
{
    for (int i = 0; i < (int)p->n_prefixes; i++) {
        struct str text = {p->prefixes[i].text, p->prefixes[i].n};
        int parent = i - 1;

        while (parent >= 0 && !starts_with(text, &p->prefixes[parent]))
            parent = p->prefixes[parent].parent;
        p->prefixes[i].parent = parent;
    }
}

static void set_prefix(struct purge_marks *p, struct str what, const struct purge_stamps *stamps)
{
    size_t n;

    drop_covered(p, what, stamps);
    n = count_up_to(p, what);
    if (n == 0 || compare(what, &p->prefixes[n - 1]) != 0) {
        if (p->n_prefixes == PURGE_PREFIXES)
            coarsen_oldest_prefix(p);
        insert_prefix(p, what);
        n = count_up_to(p, what);
    }
    see(stamps, &p->prefixes[n - 1].stamps);
    find_parents(p);
}

static void apply(struct purge_marks *p, const struct purge *purge, uint64_t stamp)
{
    const struct purge_stamps stamps = {purge->is_soft ? 0 : stamp, purge->is_soft ? stamp : 0};

    switch (purge->kind) {
    case PURGE_ALL:
        see(&stamps, &p->all);
        break;
    case PURGE_PREFIX:
        set_prefix(p, purge->what, &stamps);
        break;
    case PURGE_TAG:
        see(&stamps, &p->any_tag);
        /* fall through */
    case PURGE_HOST:
    case PURGE_URL:
        set_mark(p, hash_of(purge->kind, purge->what), &stamps);
        break;
    }
}

static void apply_all(struct purge_marks *p, const struct purge *list, size_t n, uint64_t stamp)
{
    for (size_t i = 0; i < n; i++)
        apply(p, &list[i], stamp);
    p->n_purges += n;
    if (stamp > purge_now(p))
        atomic_store_explicit(&p->now, stamp, memory_order_release);
}

void purge_apply(struct purge_marks *p, const struct purge *list, size_t n, int64_t now_ms)
{
    uint64_t stamp;

    pthread_rwlock_wrlock(&p->lock);
    stamp = purge_now(p) + 1;
    if (now_ms > 0 && stamp < (uint64_t)now_ms)
        stamp = (uint64_t)now_ms;
    apply_all(p, list, n, stamp);
    pthread_rwlock_unlock(&p->lock);
}

void purge_apply_at(struct purge_marks *p, const struct purge *list, size_t n, uint64_t stamp)
{
    pthread_rwlock_wrlock(&p->lock);
    apply_all(p, list, n, stamp);
    pthread_rwlock_unlock(&p->lock);
}

/* ---- Reading what an operator wrote ---- */

/* "https://Host:443/path" without scheme and usual port, the host in lower case. */
static bool read_url(struct str text, struct writer *out)
{
    static const struct {
        struct str scheme, port;
    } schemes[] = {{STR("http://"), STR(":80")}, {STR("https://"), STR(":443")}};
    struct str port = {NULL, 0}, authority;
    const char *slash;

    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct str scheme = schemes[i].scheme;

        if (text.n < scheme.n || !str_eq_nocase((struct str){text.p, scheme.n}, scheme))
            continue;
        text = (struct str){text.p + scheme.n, text.n - scheme.n};
        port = schemes[i].port;
        break;
    }
    slash = memchr(text.p, '/', text.n);
    authority = (struct str){text.p, slash != NULL ? (size_t)(slash - text.p) : text.n};
    text = (struct str){text.p + authority.n, text.n - authority.n};
    if (port.n > 0 && authority.n > port.n &&
        memcmp(authority.p + authority.n - port.n, port.p, port.n) == 0)
        authority.n -= port.n;
    for (size_t i = 0; i < authority.n; i++)
        writer_u8(out, text_lower((uint8_t)authority.p[i]));
    if (text.n == 0)
        text = STR("/");
    writer_add(out, text.p, text.n);
    return authority.n > 0 && memchr(authority.p, '?', authority.n) == NULL;
}

static bool has_odd_octet(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

const char *purge_read(enum purge_kind kind, struct str text, char *buffer, struct str *out)
{
    struct writer w = writer_of(buffer, PURGE_BUFFER_BYTES);

    if (text.n > PURGE_TEXT_MAX)
        return "it is too long";
    if (has_odd_octet(text))
        return "it has a space or a control character";
    if ((kind == PURGE_ALL) != (text.n == 0))
        return text.n == 0 ? "it is empty" : "a purge of everything names nothing";
    switch (kind) {
    case PURGE_URL:
    case PURGE_PREFIX:
        if (!read_url(text, &w))
            return "it is not HOST/PATH, with or without http:// or https://";
        break;
    case PURGE_HOST:
        if (memchr(text.p, '/', text.n) != NULL)
            return "it is not a host";
        for (size_t i = 0; i < text.n; i++)
            writer_u8(&w, text_lower((uint8_t)text.p[i]));
        break;
    case PURGE_TAG:
        if (memchr(text.p, ',', text.n) != NULL)
            return "a tag has no comma";
        writer_add(&w, text.p, text.n);
        break;
    case PURGE_ALL:
        break;
    }
    *out = (struct str){buffer, (size_t)((char *)w.p - buffer)};
    if (kind == PURGE_HOST)
        *out = host_of_url(*out);
    return NULL;
}

void purge_read_figures(struct purge_marks *p, struct purge_figures *out)
{
    pthread_rwlock_rdlock(&p->lock);
    *out = (struct purge_figures){.purges = p->n_purges, .coarsened = p->n_coarsened};
    pthread_rwlock_unlock(&p->lock);
}
