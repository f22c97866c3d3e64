/* SPDX-License-Identifier: BSD-2-Clause */
/* The cache against a model of it: a long random sequence of requests, fetches that take their
 * time, purges and passing time, in which each look-up must end as the model says. */
#include "edge-proxy/cache/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 60, TAGS = 8, HOSTS = 3, STEPS = 60000, PURGES_MAX = 4000, NOW_S = 1900000000 };

/* What is known of a key. */
struct entry {
    bool is_stored, is_soft;
    int64_t stored_s, soft_s;
    uint32_t lifetime_s, grace_s;
    unsigned tag, n_purges; /* when it was asked for */

    struct cache_lead *lead; /* a fetch under way */
    struct cache_object *old;
    unsigned lead_n_purges;
};

struct made_purge {
    struct purge purge;
    char text[PURGE_BUFFER_BYTES];
    int64_t at_s;
};

/* The model keeps all purges ever made and looks through them at each request. */
struct model {
    struct cache *cache;
    struct loop *loop;
    int64_t now_s;
    struct entry keys[KEYS];
    struct made_purge purges[PURGES_MAX];
    unsigned n_purges;
    unsigned n_verdicts[CACHE_UNAVAILABLE + 1], n_hard, n_soft;
};

static uint64_t random_state = 7; /* deterministic */
static unsigned pick(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static void make_key(unsigned i, char out[64])
{
    snprintf(out, 64, "https://h%u/%c/%c/%u", i % HOSTS, 'a' + i / 3 % 2, 'a' + i / 6 % 3, i);
}

static void no_wake(void *arg, enum cache_wake why, unsigned fail_status)
{
}

static void look(struct model *m, unsigned i, struct cache_result *out)
{
    static struct fields none;
    char key[64];

    make_key(i, key);
    cache_lookup(m->cache,
                 &(struct cache_request){.key = str_of(key),
                                         .method = HTTP_METHOD_GET,
                                         .fields = &none,
                                         .now_s = m->now_s,
                                         .waker = {m->loop, no_wake, NULL}},
                 out);
}

static bool fits(const struct purge *purge, unsigned i, unsigned tag)
{
    char key[64], name[16];
    const char *url = key + strlen("https://");

    make_key(i, key);
    snprintf(name, sizeof(name), "t%u", tag);
    switch (purge->kind) {
    case PURGE_ALL:
        return true;
    case PURGE_HOST:
    case PURGE_PREFIX:
        return strncmp(url, purge->what.p, purge->what.n) == 0;
    case PURGE_URL:
        return str_eq(str_of(url), purge->what);
    case PURGE_TAG:
        return str_eq(str_of(name), purge->what);
    }
    return false;
}

/* Heeds the purges that came after what is stored was asked for. */
static void heed_purges(struct model *m, unsigned i)
{
    struct entry *e = &m->keys[i];
    bool was_soft = e->is_soft;

    for (unsigned k = e->n_purges; k < m->n_purges && e->is_stored; k++) {
        const struct made_purge *p = &m->purges[k];

        if (!fits(&p->purge, i, e->tag))
            continue;
        if (!p->purge.is_soft) {
            e->is_stored = false;
            m->n_hard++;
        } else if (!was_soft) { /* the newest that there is at the first look */
            e->is_soft = true;
            e->soft_s = p->at_s;
        }
    }
    m->n_soft += e->is_stored && e->is_soft && !was_soft;
}

static enum cache_verdict want_verdict(struct model *m, unsigned i)
{
    struct entry *e = &m->keys[i];
    int64_t lifetime_s, beyond_s;

    heed_purges(m, i);
    lifetime_s = e->lifetime_s;
    if (e->is_soft && e->soft_s - e->stored_s < lifetime_s)
        lifetime_s = e->soft_s > e->stored_s ? e->soft_s - e->stored_s : 0;
    beyond_s = m->now_s - e->stored_s - lifetime_s;
    if (e->is_stored && beyond_s < 0)
        return CACHE_HIT;
    if (e->is_stored && beyond_s < e->grace_s)
        return CACHE_STALE;
    if (e->lead != NULL)
        return CACHE_PASS; /* nobody joins here */
    return e->is_stored ? CACHE_REVALIDATE : CACHE_FETCH;
}

static void request(struct model *m, unsigned i)
{
    struct entry *e = &m->keys[i];
    enum cache_verdict want = want_verdict(m, i);
    struct cache_result got;

    look(m, i, &got);
    if (got.verdict != want)
        fail_msg("key %u at %lld: verdict %d, not %d", i, (long long)m->now_s, got.verdict, want);
    m->n_verdicts[want]++;
    if (got.lead != NULL) {
        assert_null(e->lead);
        e->lead = got.lead;
        e->lead_n_purges = m->n_purges;
        e->old = got.object;
    } else if (got.object != NULL) {
        cache_object_release(got.object);
    }
}

/* ---- The origin's answers ---- */

static struct cache_object *take_answer(struct model *m, struct entry *e, struct purge_tags *tags)
{
    struct fields none, response;
    struct freshness_exchange x = {.method = HTTP_METHOD_GET,
                                   .request = &none,
                                   .status = 200,
                                   .response = &response,
                                   .request_s = m->now_s,
                                   .response_s = m->now_s};
    struct cache_response r = {.exchange = &x, .body_bytes = 4};
    char control[64], tag[16], date[FIELDS_DATE_BYTES];
    struct cache_object *o;

    fields_clear(&none);
    fields_clear(&response);
    snprintf(control, sizeof(control), "max-age=%u, stale-while-revalidate=%u", e->lifetime_s,
             e->grace_s);
    assert_true(fields_add(&response, STR("cache-control"), str_of(control)));
    assert_true(fields_add(&response, STR("etag"), STR("\"v\"")));
    fields_format_date(m->now_s, date);
    assert_true(fields_add(&response, STR("date"), (struct str){date, sizeof(date)}));
    if (e->old != NULL && pick(2) == 0)
        return cache_lead_refresh(e->lead, &x); /* the tags stay what they were */
    e->tag = pick(TAGS);
    snprintf(tag, sizeof(tag), "x t%u", e->tag);
    purge_tags_add(tags, str_of(tag));
    cache_lead_tag(e->lead, tags);
    o = cache_lead_store(e->lead, &r);
    assert_non_null(o);
    assert_true(cache_fill_append(o, "body", 4, &(struct cache_waker){m->loop, no_wake, NULL}));
    cache_fill_end(o, true);
    return o;
}

static void end_fetch(struct model *m, unsigned i)
{
    struct entry *e = &m->keys[i];
    struct purge_tags tags = {.n = 0};

    if (e->lead == NULL)
        return;
    if (pick(5) == 0) {
        cache_lead_fail(e->lead, 0);
    } else {
        e->lifetime_s = 1 + pick(100);
        e->grace_s = pick(2) * 50;
        cache_object_release(take_answer(m, e, &tags));
        e->is_stored = true;
        e->is_soft = false;
        e->stored_s = m->now_s;
        e->n_purges = e->lead_n_purges;
    }
    if (e->old != NULL)
        cache_object_release(e->old);
    e->lead = NULL;
    e->old = NULL;
}

static void purge(struct model *m)
{
    struct made_purge *p = &m->purges[m->n_purges++];
    char text[64];

    p->purge = (struct purge){.kind = pick(30) == 0 ? PURGE_ALL : PURGE_HOST + pick(4),
                              .is_soft = pick(2) == 0};
    p->at_s = m->now_s;
    make_key(pick(KEYS), text);
    if (p->purge.kind == PURGE_ALL)
        text[0] = '\0';
    else if (p->purge.kind == PURGE_HOST)
        memmove(text, text + strlen("https://"), 2), text[2] = '\0';
    else if (p->purge.kind == PURGE_PREFIX)
        text[strlen("https://h0/") + 2 * pick(3)] = '\0';
    else if (p->purge.kind == PURGE_TAG)
        snprintf(text, sizeof(text), "t%u", pick(TAGS));
    assert_null(purge_read(p->purge.kind, str_of(text), p->text, &p->purge.what));
    purge_apply(cache_purges(m->cache), &p->purge, 1, m->now_s * 1000);
}

static void as_the_model(void **state)
{
    static struct model m = {.now_s = NOW_S};
    struct cache_figures f;

    m.cache = cache_new(64 << 20, 1 << 20);
    m.loop = loop_new("model");
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned what = pick(100);

        if (what < 65)
            request(&m, pick(KEYS));
        else if (what < 92)
            end_fetch(&m, pick(KEYS));
        else if (what < 97)
            m.now_s += pick(20);
        else if (m.n_purges < PURGES_MAX)
            purge(&m);
    }
    cache_read_figures(m.cache, &f);
    assert_int_equal(f.purged, m.n_hard);
    assert_int_equal(f.purged_soft, m.n_soft);
    assert_int_equal(f.evictions, 0);
    print_message("  hit %u, stale %u, revalidate %u, fetch %u, pass %u; purged %u, softly %u\n",
                  m.n_verdicts[CACHE_HIT], m.n_verdicts[CACHE_STALE],
                  m.n_verdicts[CACHE_REVALIDATE], m.n_verdicts[CACHE_FETCH],
                  m.n_verdicts[CACHE_PASS], m.n_hard, m.n_soft);
    for (unsigned i = 0; i <= CACHE_PASS; i++)
        assert_true(i == CACHE_WAIT || m.n_verdicts[i] > 100);
    for (unsigned i = 0; i < KEYS; i++)
        end_fetch(&m, i);
    event_base_loop(loop_base(m.loop), EVLOOP_NONBLOCK);
    loop_free(m.loop);
    cache_free(m.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
