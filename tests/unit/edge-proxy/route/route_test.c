/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *const www_hosts[] = {"www.example.com", "example.com"};
static const char *const wild_hosts[] = {"*.example.com"};
static const char *const deep_hosts[] = {"*.deep.example.com", "[2001:db8::1]"};
static const char *const any_hosts[] = {"*"};
static const struct config_route www_routes[] = {
    {.prefix = "/api/v2", .pool = 2}, {.prefix = "/api/", .pool = 1}, {.prefix = "/", .pool = 0}};
static const struct config_route api_routes[] = {{.prefix = "/only/", .pool = 5}};
#define SITE(n, h, r)                                                                             \
    {                                                                                             \
        .name = (n), .hosts = (h), .n_hosts = COUNT_OF(h), .routes = (r), .n_routes = COUNT_OF(r) \
    }
static const struct config_site sites[] = {
    SITE("www", www_hosts, www_routes),
    SITE("wild", wild_hosts, api_routes),
    SITE("deep", deep_hosts, www_routes),
    SITE("any", any_hosts, www_routes),
};

static const struct {
    const char *host, *path;
    const char *site; /* NULL: none */
    int pool;         /* -1: no route */
} cases[] = {
    {"www.example.com", "/", "www", 0},
    {"WWW.Example.COM", "/", "www", 0},
    {"www.example.com.", "/x", "www", 0},
    {"example.com", "/api/v2/x", "www", 2},
    {"example.com", "/api/v2", "www", 2},
    {"example.com", "/api/v22", "www", 1},
    {"example.com", "/api/", "www", 1},
    {"example.com", "/apis", "www", 0},
    {"a.example.com", "/only/x", "wild", 5},
    {"a.b.example.com", "/only/x", "wild", 5},
    {"a.example.com", "/other", "wild", -1},
    {"a.deep.example.com", "/", "deep", 0},
    {"deep.example.com", "/only/", "wild", 5},
    {"[2001:db8::1]", "/", "deep", 0},
    {"other.test", "/", "any", 0},
    {"", "/", "any", 0},
    {".", "/", "any", 0},
    {".example.com", "/only/", "wild", 5},
    {"xexample.com", "/", "any", 0},
};

static void check(const struct route_table *t, size_t i, const char *site)
{
    struct route out;
    enum route_verdict v = route_find(t, str_of(cases[i].host), str_of(cases[i].path), &out);
    enum route_verdict want = site == NULL        ? ROUTE_NO_SITE
                              : cases[i].pool < 0 ? ROUTE_NO_PATH
                                                  : ROUTE_FOUND;

    if (v != want)
        fail_msg("%s%s: verdict %d instead of %d", cases[i].host, cases[i].path, v, want);
    if (site != NULL)
        assert_string_equal(out.site->name, site);
    if (v == ROUTE_FOUND && out.route->pool != cases[i].pool)
        fail_msg("%s%s: pool %u", cases[i].host, cases[i].path, out.route->pool);
}

static void finds_the_closest(void **state)
{
    struct config config = {.sites = sites, .n_sites = COUNT_OF(sites)};
    struct route_table *t = route_table_new(&config);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(t, i, cases[i].site);
    route_table_free(t);
}

static void without_a_default_unknown_hosts_have_no_site(void **state)
{
    struct config config = {.sites = sites, .n_sites = COUNT_OF(sites) - 1};
    struct route_table *t = route_table_new(&config);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check(t, i, strcmp(cases[i].site, "any") == 0 ? NULL : cases[i].site);
    route_table_free(t);
}

static void a_very_long_host_has_no_name(void **state)
{
    struct config config = {.sites = sites, .n_sites = COUNT_OF(sites) - 1};
    struct route_table *t = route_table_new(&config);
    struct route out;
    char host[1000];

    (void)state;
    memset(host, 'a', sizeof(host));
    assert_int_equal(route_find(t, (struct str){host, sizeof(host)}, STR("/"), &out),
                     ROUTE_NO_SITE);
    route_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_closest),
        cmocka_unit_test(without_a_default_unknown_hosts_have_no_site),
        cmocka_unit_test(a_very_long_host_has_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
