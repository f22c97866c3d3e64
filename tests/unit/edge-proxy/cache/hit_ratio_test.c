/* SPDX-License-Identifier: BSD-2-Clause */
/* How many requests are hits, beside a least-recently-used list of as many bytes, on loads that are
 * the same each time; and that the cache stays within its bytes meanwhile. */
#include "edge-proxy/cache/cache.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW_S = 1900000000, POPULAR = 20000, REQUESTS = 150000, IDS = POPULAR + REQUESTS };

/* ---- Loads ---- */

static uint64_t random_state;
static double draw(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) / (double)(1ull << 53);
}

/* cumulated[i]: the share of requests for the objects up to i. */
static double cumulated[POPULAR];

static void make_zipf(double exponent)
{
    double sum = 0;

    for (int i = 0; i < POPULAR; i++)
        cumulated[i] = sum += pow(i + 1, -exponent);
    for (int i = 0; i < POPULAR; i++)
        cumulated[i] /= sum;
}

static unsigned draw_popular(void)
{
    double at = draw();
    unsigned low = 0, high = POPULAR - 1;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (cumulated[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct load {
    const char *name;
    double exponent;
    unsigned wonders_percent;         /* requests for what nobody asks for again */
    unsigned scan_every, scan_length; /* of what is asked for once in each of the scans */
    bool has_sizes;                   /* 64 B to 64 KiB, small ones more often */
    double least_gain;                /* over LRU, in points of a hundred */
};

/* What is asked for by request i. */
static unsigned pick_id(const struct load *l, unsigned i)
{
    if (l->scan_every != 0 && i % l->scan_every < l->scan_length)
        return POPULAR + i % l->scan_every;
    if (draw() * 100 < l->wonders_percent)
        return POPULAR + i;
    return draw_popular();
}

static uint32_t size_of_id(const struct load *l, unsigned id)
{
    uint64_t mixed = (id + 1) * 0x9e3779b97f4a7c15u;

    return l->has_sizes ? 64u << ((mixed >> 60) % 11) : 1024;
}

/* ---- Least recently used ---- */

struct lru {
    struct {
        unsigned newer, older; /* 0 is the list's head */
        bool is_stored;
    } at[IDS + 1];
    uint64_t bytes, limit;
};
static struct lru lru;

static void lru_unlink(unsigned x)
{
    lru.at[lru.at[x].newer].older = lru.at[x].older;
    lru.at[lru.at[x].older].newer = lru.at[x].newer;
}

static void lru_put_first(unsigned x)
{
    lru.at[x].newer = 0;
    lru.at[x].older = lru.at[0].older;
    lru.at[lru.at[0].older].newer = x;
    lru.at[0].older = x;
}

static bool lru_ask(const struct load *l, unsigned id, uint32_t overhead)
{
    unsigned x = id + 1;
    bool is_hit = lru.at[x].is_stored;

    if (is_hit) {
        lru_unlink(x);
    } else {
        lru.at[x].is_stored = true;
        lru.bytes += size_of_id(l, id) + overhead;
    }
    lru_put_first(x);
    while (lru.bytes > lru.limit) {
        unsigned oldest = lru.at[0].newer;

        lru_unlink(oldest);
        lru.at[oldest].is_stored = false;
        lru.bytes -= size_of_id(l, oldest - 1) + overhead;
    }
    return is_hit;
}

/* ---- The cache ---- */

static struct cache *cache;
static char body[64 << 10];

static void store(struct cache_lead *lead, uint32_t size)
{
    static struct fields none, response;
    struct freshness_exchange x = {.method = HTTP_METHOD_GET,
                                   .request = &none,
                                   .status = 200,
                                   .response = &response,
                                   .request_s = NOW_S,
                                   .response_s = NOW_S};
    struct cache_response r = {.exchange = &x, .body_bytes = size};
    struct cache_object *o;

    if (response.count == 0)
        assert_true(fields_add(&response, STR("cache-control"), STR("max-age=86400")));
    o = cache_lead_store(lead, &r);
    assert_non_null(o); /* a full cache makes room */
    assert_true(cache_fill_append(o, body, size, NULL));
    cache_fill_end(o, true);
    cache_object_release(o);
}

static bool cache_ask(const struct load *l, unsigned id)
{
    static struct fields none;
    struct cache_result got;
    char key[32];

    snprintf(key, sizeof(key), "http://h/%08u", id);
    cache_lookup(
        cache,
        &(struct cache_request){
            .key = str_of(key), .method = HTTP_METHOD_GET, .fields = &none, .now_s = NOW_S},
        &got);
    if (got.verdict == CACHE_HIT) {
        cache_object_release(got.object);
        return true;
    }
    assert_int_equal(got.verdict, CACHE_FETCH);
    store(got.lead, size_of_id(l, id));
    return false;
}

/* What a response takes beside its body. */
static uint32_t measure_overhead(void)
{
    static const struct load plain = {.name = "one"};
    struct cache_figures f;

    cache = cache_new(1 << 20, 1 << 20);
    (void)cache_ask(&plain, 0);
    cache_read_figures(cache, &f);
    cache_free(cache);
    return (uint32_t)(f.bytes - 1024);
}

static void run(const struct load *l, uint32_t overhead)
{
    uint64_t total = 0, n_lru = 0, n_ours = 0;
    struct cache_figures f;
    double gain;

    random_state = 1;
    make_zipf(l->exponent);
    for (unsigned id = 0; id < POPULAR; id++)
        total += size_of_id(l, id) + overhead;
    memset(&lru, 0, sizeof(lru));
    lru.limit = total / 10;
    cache = cache_new(lru.limit, 1 << 20);
    for (unsigned i = 0; i < REQUESTS; i++) {
        unsigned id = pick_id(l, i);

        n_lru += lru_ask(l, id, overhead);
        n_ours += cache_ask(l, id);
        if (i % 64 == 0) {
            cache_read_figures(cache, &f);
            assert_true(f.bytes <= lru.limit);
        }
    }
    gain = 100.0 * ((double)n_ours - (double)n_lru) / REQUESTS;
    print_message("  %-28s LRU %5.2f %%  ours %5.2f %%  gain %+.2f\n", l->name,
                  100.0 * (double)n_lru / REQUESTS, 100.0 * (double)n_ours / REQUESTS, gain);
    assert_int_equal(f.no_room, 0);
    if (gain < l->least_gain)
        fail_msg("%s: a gain of %.2f, not %.2f", l->name, gain, l->least_gain);
    cache_free(cache);
}

static void against_lru(void **state)
{
    static const struct load loads[] = {
        {.name = "Zipf 0.7", .exponent = 0.7, .least_gain = 4.5},
        {.name = "Zipf 0.9", .exponent = 0.9, .least_gain = 4},
        {.name = "Zipf 1.1", .exponent = 1.1, .least_gain = 2},
        {.name = "Zipf 0.9, scans",
         .exponent = 0.9,
         .scan_every = 15000,
         .scan_length = 5000,
         .least_gain = 1.5},
        {.name = "Zipf 0.9, one-hit wonders",
         .exponent = 0.9,
         .wonders_percent = 50,
         .least_gain = 7},
        {.name = "Zipf 0.9, sizes", .exponent = 0.9, .has_sizes = true, .least_gain = 4},
        {.name = "all of it",
         .exponent = 0.9,
         .wonders_percent = 30,
         .scan_every = 15000,
         .scan_length = 3000,
         .has_sizes = true,
         .least_gain = 4},
    };
    uint32_t overhead = measure_overhead();

    print_message("  a response takes %u bytes beside its body\n", overhead);
    for (size_t i = 0; i < COUNT_OF(loads); i++)
        run(&loads[i], overhead);
}

/* ---- Memory ---- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* What the heap holds beyond what there was, for each byte that is accounted for. */
static void heap_is_what_is_accounted_for(void **state)
{
    static const struct {
        const char *name;
        bool has_sizes;
    } cases[] = {{"1 KiB each", false}, {"64 B to 64 KiB", true}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct load l = {.name = cases[i].name, .has_sizes = cases[i].has_sizes};
        uint64_t before, heap;
        struct cache_figures f;

        cache = cache_new(64 << 20, 1 << 20);
        before = mallinfo2().uordblks + mallinfo2().hblkhd;
        for (unsigned id = 0; id < 3 * POPULAR; id++) /* several times its bytes */
            (void)cache_ask(&l, id);
        heap = mallinfo2().uordblks + mallinfo2().hblkhd - before;
        cache_read_figures(cache, &f);
        print_message("  %-16s %llu objects, accounted %llu B each, heap %llu B each\n", l.name,
                      (unsigned long long)f.objects, (unsigned long long)(f.bytes / f.objects),
                      (unsigned long long)(heap / f.objects));
        assert_true(f.bytes > (64 << 20) * 0.98);
        assert_true((double)heap < (double)f.bytes * 1.01);
        assert_true((double)heap > (double)f.bytes * 0.95);
        cache_free(cache);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(heap_is_what_is_accounted_for),
#endif
        cmocka_unit_test(against_lru),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
