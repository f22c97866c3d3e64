/* SPDX-License-Identifier: BSD-2-Clause */
/* Purge marks: what operators may write, which marks fit what, and what becomes of too many. */
#include "edge-proxy/purge/purge.h"

#include "common/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void reading(void **state)
{
    static const struct {
        const char *name;
        enum purge_kind kind;
        const char *text, *want; /* want NULL: refused */
    } cases[] = {
        {"url", PURGE_URL, "www.example.com/a?b=c", "www.example.com/a?b=c"},
        {"scheme and usual port", PURGE_URL, "HTTPS://WWW.Example.com:443/A", "www.example.com/A"},
        {"http's usual port", PURGE_URL, "http://a.example:80/", "a.example/"},
        {"another port", PURGE_URL, "https://a.example:80/", "a.example:80/"},
        {"port without scheme", PURGE_URL, "a.example:443/", "a.example:443/"},
        {"no path", PURGE_URL, "http://a.example", "a.example/"},
        {"prefix is not half a host", PURGE_PREFIX, "a.example", "a.example/"},
        {"prefix", PURGE_PREFIX, "https://a.example/img/x", "a.example/img/x"},
        {"IPv6", PURGE_URL, "http://[2001:DB8::1]:80/x", "[2001:db8::1]/x"},
        {"no host", PURGE_URL, "/a", NULL},
        {"query in the host", PURGE_URL, "a.example?x", NULL},
        {"space", PURGE_URL, "a.example/a b", NULL},
        {"line", PURGE_URL, "a.example/a\r\nb", NULL},
        {"no url", PURGE_URL, "", NULL},
        {"host", PURGE_HOST, "WWW.Example.com", "www.example.com"},
        {"host with port", PURGE_HOST, "a.example:8080", "a.example"},
        {"IPv6 host", PURGE_HOST, "[2001:db8::1]:80", "[2001:db8::1]"},
        {"host with path", PURGE_HOST, "a.example/", NULL},
        {"tag", PURGE_TAG, "Product-7", "Product-7"},
        {"two tags", PURGE_TAG, "a,b", NULL},
        {"no tag", PURGE_TAG, "", NULL},
        {"all", PURGE_ALL, "", ""},
        {"all of something", PURGE_ALL, "x", NULL},
    };
    char buffer[PURGE_BUFFER_BYTES], shown[256];
    struct str out;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *why = purge_read(cases[i].kind, str_of(cases[i].text), buffer, &out);

        print_message("  %s\n", cases[i].name);
        if (cases[i].want == NULL) {
            assert_non_null(why);
            continue;
        }
        assert_null(why);
        snprintf(shown, sizeof(shown), "%.*s", (int)out.n, out.p);
        assert_string_equal(shown, cases[i].want);
    }
}

static void lengths(void **state)
{
    char text[PURGE_TEXT_MAX + 2], buffer[PURGE_BUFFER_BYTES];
    struct str out;

    memset(text, 'a', sizeof(text));
    assert_null(purge_read(PURGE_URL, (struct str){text, PURGE_TEXT_MAX}, buffer, &out));
    assert_int_equal(out.n, PURGE_TEXT_MAX + 1); /* the path that was missing */
    assert_non_null(purge_read(PURGE_URL, (struct str){text, PURGE_TEXT_MAX + 1}, buffer, &out));
}

static void apply(struct purge_marks *p, enum purge_kind kind, const char *what, bool is_soft)
{
    struct purge purge = {kind, str_of(what), is_soft};

    purge_apply(p, &purge, 1, 0);
}

static struct purge_stamps find(struct purge_marks *p, const char *key, const char *tag_list)
{
    struct purge_tags tags = {.n = 0};
    struct purge_stamps out;

    purge_tags_add(&tags, str_of(tag_list));
    purge_find(
        p,
        &(struct purge_subject){
            .key = str_of(key), .tags = tags.v, .n_tags = tags.n, .has_more_tags = tags.has_more},
        &out);
    return out;
}

static void fitting(void **state)
{
    static const struct {
        const char *name;
        enum purge_kind kind;
        const char *what, *key, *tags;
        bool fits;
    } cases[] = {
        {"url", PURGE_URL, "a.example/x", "https://a.example/x", "", true},
        {"url, other scheme", PURGE_URL, "a.example/x", "http://a.example/x", "", true},
        {"url with more in the key", PURGE_URL, "a.example/x", "http://a.example/x\nDE", "", true},
        {"url with a query", PURGE_URL, "a.example/x", "http://a.example/x?q", "", false},
        {"url, other case", PURGE_URL, "a.example/x", "http://a.example/X", "", false},
        {"host", PURGE_HOST, "a.example", "https://a.example/x", "", true},
        {"host, any port", PURGE_HOST, "a.example", "https://a.example:8443/x", "", true},
        {"host below", PURGE_HOST, "a.example", "https://www.a.example/x", "", false},
        {"host, IPv6", PURGE_HOST, "[::1]", "https://[::1]:8443/x", "", true},
        {"prefix", PURGE_PREFIX, "a.example/x/", "https://a.example/x/y?z", "", true},
        {"prefix, the whole", PURGE_PREFIX, "a.example/x/", "https://a.example/x/", "", true},
        {"prefix, shorter", PURGE_PREFIX, "a.example/x/", "https://a.example/x", "", false},
        {"prefix, beside", PURGE_PREFIX, "a.example/x/", "https://a.example/y/", "", false},
        {"tag", PURGE_TAG, "t2", "https://a.example/", "t1 t2 t3", true},
        {"tag, commas", PURGE_TAG, "t2", "https://a.example/", "t1,t2, t3", true},
        {"tag, other case", PURGE_TAG, "T2", "https://a.example/", "t1 t2", false},
        {"tag, part", PURGE_TAG, "t", "https://a.example/", "t1 t2", false},
        {"tag named as a host", PURGE_TAG, "a.example", "https://a.example/", "", false},
        {"all", PURGE_ALL, "", "https://a.example/", "", true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct purge_marks *p = purge_marks_new(PURGE_BUCKETS);
        struct purge_stamps found;

        print_message("  %s\n", cases[i].name);
        apply(p, cases[i].kind, cases[i].what, false);
        found = find(p, cases[i].key, cases[i].tags);
        assert_int_equal(found.hard, cases[i].fits ? purge_now(p) : 0);
        assert_int_equal(found.soft, 0);
        apply(p, cases[i].kind, cases[i].what, true);
        assert_int_equal(find(p, cases[i].key, cases[i].tags).soft,
                         cases[i].fits ? purge_now(p) : 0);
        purge_marks_free(p);
    }
}

/* Stamps follow the clock, and grow when it does not. */
static void stamps(void **state)
{
    struct purge_marks *p = purge_marks_new(4);
    struct purge all = {.kind = PURGE_ALL};
    static const struct {
        int64_t now_ms;
        uint64_t want;
    } steps[] = {{5000, 5000}, {5000, 5001}, {4000, 5002}, {6000, 6000}, {0, 6001}};

    assert_int_equal(purge_now(p), 0);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        purge_apply(p, &all, 1, steps[i].now_ms);
        assert_int_equal(purge_now(p), steps[i].want);
    }
    purge_marks_free(p);
}

static void more_tags_than_are_kept(void **state)
{
    struct purge_marks *p = purge_marks_new(4);
    char list[PURGE_TAGS_MAX * 8 + 8];
    size_t n = 0;

    for (int i = 0; i <= PURGE_TAGS_MAX; i++)
        n += (size_t)snprintf(list + n, sizeof(list) - n, "t%d ", i);
    apply(p, PURGE_TAG, "another", false);
    assert_int_equal(find(p, "http://a/", list).hard, purge_now(p));
    assert_int_equal(find(p, "http://a/", "t1").hard, 0);
    purge_marks_free(p);
}

/* ---- Against a model that forgets nothing ---- */

enum { STEPS = 6000, KEYS = 400 };

static uint64_t random_state = 1;
static unsigned pick(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

/* Short alphabets, so that prefixes nest. */
static void make_key(unsigned i, char out[64])
{
    snprintf(out, 64, "h%u/%c%c/%c%u", i % 3, 'a' + i / 3 % 3, 'a' + i / 9 % 3, 'a' + i / 27 % 2,
             i);
}

struct model_key {
    struct purge_stamps newest;
};

static bool fits(const struct purge *purge, unsigned i, const char *key)
{
    char tag[16];

    switch (purge->kind) {
    case PURGE_ALL:
        return true;
    case PURGE_HOST:
        return strncmp(key, purge->what.p, purge->what.n) == 0 && key[purge->what.n] == '/';
    case PURGE_PREFIX:
        return strncmp(key, purge->what.p, purge->what.n) == 0;
    case PURGE_URL:
        return str_eq(str_of(key), purge->what);
    case PURGE_TAG:
        snprintf(tag, sizeof(tag), "t%u", i % 16);
        return str_eq(str_of(tag), purge->what);
    }
    return false;
}

static void make_purge(struct purge *out, char text[64])
{
    *out = (struct purge){.kind = pick(40) == 0 ? PURGE_ALL : PURGE_HOST + pick(4),
                          .is_soft = pick(2) == 0};
    make_key(pick(KEYS), text);
    switch (out->kind) {
    case PURGE_ALL:
        text[0] = '\0';
        break;
    case PURGE_HOST:
        text[2] = '\0';
        break;
    case PURGE_PREFIX:
        text[3 + pick(6)] = '\0';
        break;
    case PURGE_URL:
        break;
    case PURGE_TAG:
        snprintf(text, 64, "t%u", pick(16));
        break;
    }
    out->what = str_of(text);
}

/* n_buckets: is the answer that of the model, or may it be wider? */
static void run_model(size_t n_buckets, bool is_exact)
{
    static struct model_key keys[KEYS];
    struct purge_marks *p = purge_marks_new(n_buckets);
    struct purge_figures figures;
    unsigned n_wider = 0;
    char key[64], url[80], tag[16], text[64];
    struct purge purge;

    memset(keys, 0, sizeof(keys));
    for (unsigned step = 0; step < STEPS; step++) {
        make_purge(&purge, text);
        purge_apply(p, &purge, 1, 0);
        for (unsigned i = 0; i < KEYS; i++) {
            struct purge_stamps *newest = &keys[i].newest, found;

            make_key(i, key);
            if (fits(&purge, i, key))
                *(purge.is_soft ? &newest->soft : &newest->hard) = purge_now(p);
            if (step % 8 != i % 8)
                continue;
            snprintf(url, sizeof(url), "https://%s", key);
            snprintf(tag, sizeof(tag), "t%u", i % 16);
            found = find(p, url, tag);
            /* A soft mark that a newer hard one covers may be forgotten. */
            if (found.hard < newest->hard ||
                (newest->soft > found.hard && found.soft < newest->soft))
                fail_msg("step %u: a purge of %s is not heeded", step, key);
            n_wider += found.hard > newest->hard || found.soft > newest->soft;
        }
    }
    purge_read_figures(p, &figures);
    assert_int_equal(figures.purges, STEPS);
    print_message("  %zu buckets: %u wider answers, %llu coarsened\n", n_buckets, n_wider,
                  (unsigned long long)figures.coarsened);
    if (is_exact)
        assert_int_equal(n_wider + figures.coarsened, 0);
    else
        assert_true(figures.coarsened > 0);
    purge_marks_free(p);
}

static void as_the_model(void **state)
{
    run_model(PURGE_BUCKETS, true);
}

static void never_less_than_the_model(void **state)
{
    run_model(1, false);
    run_model(8, false);
}

/* Too many prefixes: the oldest become their hosts, and what is newer than them stays. */
static void too_many_prefixes(void **state)
{
    struct purge_marks *p = purge_marks_new(PURGE_BUCKETS);
    uint64_t first, before_second;
    char text[32];

    apply(p, PURGE_PREFIX, "old.example/a/", false);
    first = purge_now(p);
    for (int i = 0; i < PURGE_PREFIXES; i++) {
        snprintf(text, sizeof(text), "h%d.example/a/", i);
        apply(p, PURGE_PREFIX, text, false);
        if (i == 0)
            before_second = purge_now(p);
    }
    assert_int_equal(find(p, "http://old.example/a/x", "").hard, first);
    assert_int_equal(find(p, "http://old.example/b", "").hard, first);
    assert_int_equal(find(p, "http://h0.example/a/", "").hard, before_second);
    assert_int_equal(find(p, "http://h0.example/b/", "").hard, 0);
    apply(p, PURGE_ALL, "", false);
    for (int i = 0; i < PURGE_PREFIXES; i++) { /* there is room for as many again */
        snprintf(text, sizeof(text), "g%d.example/a/", i);
        apply(p, PURGE_PREFIX, text, false);
    }
    assert_true(find(p, "http://g0.example/b/", "").hard <
                find(p, "http://g0.example/a/", "").hard);
    purge_marks_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading),
        cmocka_unit_test(lengths),
        cmocka_unit_test(fitting),
        cmocka_unit_test(stamps),
        cmocka_unit_test(more_tags_than_are_kept),
        cmocka_unit_test(as_the_model),
        cmocka_unit_test(never_less_than_the_model),
        cmocka_unit_test(too_many_prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
