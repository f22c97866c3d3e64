/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 9111 as tables: what may be stored and for how long, and when it may be used. */
#include "edge-proxy/freshness/freshness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW 1900000000 /* Sun, 17 Mar 2030 17:46:40 GMT */
#define DATE "Date: Sun, 17 Mar 2030 17:46:40 GMT\n"
#define AN_HOUR_LATER "Sun, 17 Mar 2030 18:46:40 GMT"
#define TEN_DAYS_BEFORE "Thu, 07 Mar 2030 17:46:40 GMT"

/* "Name: value\n" lines into a set. */
static void read_fields(const char *lines, struct fields *out)
{
    fields_clear(out);
    for (const char *p = lines; *p != '\0';) {
        const char *end = strchr(p, '\n'), *colon = strchr(p, ':');

        assert_true(fields_add(out, (struct str){p, (size_t)(colon - p)},
                               str_trim((struct str){colon + 1, (size_t)(end - colon - 1)})));
        p = end + 1;
    }
    fields_mark_hop_by_hop(out);
}

struct store_case {
    const char *name;
    const char *request, *response;
    unsigned status;
    enum freshness_verdict want;
    uint32_t lifetime_s, age_s;
};

static const struct store_case store_cases[] = {
    {"max-age", "", DATE "Cache-Control: max-age=60\n", 200, FRESHNESS_STORE, 60, 0},
    {"s-maxage beats max-age (4.2.1)", "", DATE "Cache-Control: max-age=60, s-maxage=30\n", 200,
     FRESHNESS_STORE, 30, 0},
    {"max-age beats Expires (5.3)", "",
     DATE "Cache-Control: max-age=60\nExpires: " AN_HOUR_LATER "\n", 200, FRESHNESS_STORE, 60, 0},
    {"Expires minus Date", "", DATE "Expires: " AN_HOUR_LATER "\n", 200, FRESHNESS_STORE, 3600, 0},
    {"Expires 0 is stale", "", DATE "Expires: 0\n", 200, FRESHNESS_NOTHING, 0, 0},
    {"Expires 0 with a validator is kept to be validated", "", DATE "Expires: 0\nETag: \"a\"\n",
     200, FRESHNESS_STORE, 0, 0},
    {"CDN-Cache-Control first (RFC 9213)", "",
     DATE "Cache-Control: no-store\nCDN-Cache-Control: max-age=10\n", 200, FRESHNESS_STORE, 10, 0},
    {"heuristic: a tenth since Last-Modified (4.2.2)", "",
     DATE "Last-Modified: " TEN_DAYS_BEFORE "\n", 200, FRESHNESS_STORE, 86400, 0},
    {"no heuristic for a status without one", "", DATE "Last-Modified: " TEN_DAYS_BEFORE "\n", 302,
     FRESHNESS_STATUS, 0, 0},
    {"explicit freshness on 302", "", DATE "Cache-Control: max-age=5\n", 302, FRESHNESS_STORE, 5,
     0},
    {"nothing to go by", "", DATE, 200, FRESHNESS_NOTHING, 0, 0},
    {"Age counts (4.2.3)", "", DATE "Age: 20\nCache-Control: max-age=60\n", 200, FRESHNESS_STORE,
     60, 20},
    {"Age that is no number is ignored", "", DATE "Age: abc\nCache-Control: max-age=60\n", 200,
     FRESHNESS_STORE, 60, 0},
    {"arrives stale, no validator", "", DATE "Age: 90\nCache-Control: max-age=60\n", 200,
     FRESHNESS_NOTHING, 0, 90},
    {"no-store", "", DATE "Cache-Control: no-store, max-age=60\n", 200, FRESHNESS_NO_STORE, 0, 0},
    {"request no-store", "Cache-Control: no-store\n", DATE "Cache-Control: max-age=60\n", 200,
     FRESHNESS_NO_STORE, 0, 0},
    {"private", "", DATE "Cache-Control: private, max-age=60\n", 200, FRESHNESS_PRIVATE, 0, 0},
    {"private with names", "", DATE "Cache-Control: private=\"x-a\", max-age=60\n", 200,
     FRESHNESS_PRIVATE, 0, 0},
    {"Authorization (3.5)", "Authorization: x\n", DATE "Cache-Control: max-age=60\n", 200,
     FRESHNESS_AUTHORIZATION, 0, 0},
    {"a client certificate", "Client-Cert: :eA==:\n", DATE "Cache-Control: max-age=60\n", 200,
     FRESHNESS_AUTHORIZATION, 0, 0},
    {"Authorization with public", "Authorization: x\n", DATE "Cache-Control: public, max-age=60\n",
     200, FRESHNESS_STORE, 60, 0},
    {"Authorization with s-maxage", "Authorization: x\n", DATE "Cache-Control: s-maxage=60\n", 200,
     FRESHNESS_STORE, 60, 0},
    {"Set-Cookie is not stored", "", DATE "Cache-Control: max-age=60\nSet-Cookie: a=b\n", 200,
     FRESHNESS_SET_COOKIE, 0, 0},
    {"Vary star (4.1)", "", DATE "Cache-Control: max-age=60\nVary: a, *\n", 200, FRESHNESS_VARY, 0,
     0},
    {"206 is not stored", "", DATE "Cache-Control: max-age=60\n", 206, FRESHNESS_STATUS, 0, 0},
    {"must-understand lifts no-store for known statuses (5.2.2.3)", "",
     DATE "Cache-Control: must-understand, no-store, max-age=60\n", 200, FRESHNESS_STORE, 60, 0},
    {"must-understand keeps out unknown statuses", "",
     DATE "Cache-Control: must-understand, max-age=60\n", 599, FRESHNESS_STATUS, 0, 0},
    {"404 with max-age", "", DATE "Cache-Control: max-age=60\n", 404, FRESHNESS_STORE, 60, 0},
    {"500 without freshness", "", DATE, 500, FRESHNESS_STATUS, 0, 0},
};

static void test_storing(void **state)
{
    for (size_t i = 0; i < COUNT_OF(store_cases); i++) {
        const struct store_case *c = &store_cases[i];
        struct fields request, response;
        struct freshness got;
        struct freshness_exchange x = {
            .method = HTTP_METHOD_GET,
            .request = &request,
            .status = c->status,
            .response = &response,
            .request_s = NOW,
            .response_s = NOW,
        };

        read_fields(c->request, &request);
        read_fields(c->response, &response);
        if (freshness_of_response(&x, &got) != c->want ||
            (c->want == FRESHNESS_STORE &&
             (got.lifetime_s != c->lifetime_s || got.initial_age_s != c->age_s)))
            fail_msg("%s: %s, lifetime %u, age %u", c->name,
                     freshness_verdict_text(freshness_of_response(&x, &got)), got.lifetime_s,
                     got.initial_age_s);
    }
}

struct use_case {
    const char *name;
    const char *cache_control;
    int64_t resident_s;
    enum freshness_use want;
    bool is_usable_on_error;
};

static const struct use_case use_cases[] = {
    {"fresh to the last second", "max-age=10", 9, FRESHNESS_FRESH, true},
    {"stale at its lifetime (4.2)", "max-age=10", 10, FRESHNESS_STALE, false},
    {"stale-while-revalidate (RFC 5861 3)", "max-age=10, stale-while-revalidate=5", 14,
     FRESHNESS_STALE_USABLE, false},
    {"… and its end", "max-age=10, stale-while-revalidate=5", 15, FRESHNESS_STALE, false},
    {"must-revalidate forbids it (4.2.4)",
     "max-age=10, must-revalidate, stale-while-revalidate=5, stale-if-error=9", 12, FRESHNESS_STALE,
     false},
    {"proxy-revalidate too", "max-age=10, proxy-revalidate, stale-if-error=9", 12, FRESHNESS_STALE,
     false},
    {"s-maxage implies it (5.2.2.10)", "s-maxage=10, stale-if-error=9", 12, FRESHNESS_STALE, false},
    {"stale-if-error (RFC 5861 4)", "max-age=10, stale-if-error=9", 18, FRESHNESS_STALE, true},
    {"… and its end", "max-age=10, stale-if-error=9", 19, FRESHNESS_STALE, false},
    {"no-cache is never fresh", "no-cache, max-age=10", 0, FRESHNESS_STALE, false},
    {"no-cache with names is taken for all", "no-cache=\"x\", max-age=10", 0, FRESHNESS_STALE,
     false},
};

static void test_use(void **state)
{
    for (size_t i = 0; i < COUNT_OF(use_cases); i++) {
        const struct use_case *c = &use_cases[i];
        char *lines = base_printf(DATE "ETag: \"a\"\nCache-Control: %s\n", c->cache_control);
        struct fields request, response;
        struct freshness f;
        struct freshness_exchange x = {
            .method = HTTP_METHOD_GET,
            .request = &request,
            .status = 200,
            .response = &response,
            .request_s = NOW,
            .response_s = NOW,
        };

        fields_clear(&request);
        read_fields(lines, &response);
        assert_int_equal(freshness_of_response(&x, &f), FRESHNESS_STORE);
        if (freshness_use(&f, c->resident_s) != c->want)
            fail_msg("%s: use %d", c->name, freshness_use(&f, c->resident_s));
        if (freshness_is_usable_on_error(&f, c->resident_s) != c->is_usable_on_error)
            fail_msg("%s: on error", c->name);
        free(lines);
    }
}

static void test_requests(void **state)
{
    struct fields f;
    struct freshness_request r;

    read_fields("Cache-Control: no-cache\n", &f);
    freshness_of_request(HTTP_METHOD_GET, &f, false, &r);
    assert_false(r.is_validation_wanted); /* a shared edge is not a client's to bypass */
    freshness_of_request(HTTP_METHOD_GET, &f, true, &r);
    assert_true(r.is_validation_wanted);
    read_fields("Pragma: no-cache\n", &f);
    freshness_of_request(HTTP_METHOD_GET, &f, true, &r);
    assert_true(r.is_validation_wanted);
    read_fields("Cache-Control: only-if-cached\n", &f);
    freshness_of_request(HTTP_METHOD_HEAD, &f, false, &r);
    assert_true(r.is_only_if_cached && r.is_lookup_allowed);
    freshness_of_request(HTTP_METHOD_POST, &f, false, &r);
    assert_false(r.is_lookup_allowed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storing),
        cmocka_unit_test(test_use),
        cmocka_unit_test(test_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
