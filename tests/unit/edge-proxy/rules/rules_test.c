/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules as they are configured, on lines as request writes them. */
#include "edge-proxy/config/config.h"
#include "edge-proxy/rules/rules.h"
#include "tests/lib/config_fixture.h"

static const char CONFIG[] =
    "name: e1\nlisten: [127.0.0.1:80]\n"
    "pools:\n"
    "  app: {origins: [10.0.0.1:8080, \"[fd00::1]:80\"], host: app.internal, hide: [X-Own]}\n"
    "  open: {origins: [10.0.0.2:80], hide-origin: off}\n"
    "error-pages: {5xx: z}\n"
    "sites:\n"
    "  a.org:\n"
    "    response-headers: {set: {X-Site: s, X-Both: site}, add: {X-More: 1}, remove: [X-Old]}\n"
    "    error-pages: {404: z, 4xx: pem}\n"
    "    maintenance: {active: on, admit: [192.0.2.0/24]}\n"
    "    routes:\n"
    "      /: app\n"
    "      /set/: {pool: app, response-headers: {set: {X-Both: \"route {host}\", Cache-Control: "
    "no-cache}, remove: [x-more]}, request-headers: {add: {X-Client: \"{client}\"}}}\n"
    "      /app/: {pool: app, replace-prefix: /v2/}\n"
    "      /root: {pool: app, replace-prefix: /}\n"
    "      /deep: {pool: app, replace-prefix: /a/b}\n"
    "      /open/: {pool: open, replace-prefix: /}\n";

static struct config *config;
static struct rules_table *table;

static const struct config_route *route_of(const char *prefix)
{
    const struct config_site *site = &config->sites[0];

    for (size_t i = 0; i < site->n_routes; i++)
        if (strcmp(site->routes[i].prefix, prefix) == 0)
            return &site->routes[i];
    fail_msg("no route %s", prefix);
    return NULL;
}

static void write_name(void *arg, unsigned variable, struct writer *w)
{
    struct str s = str_of(config_variable_names[variable]);

    writer_add(w, s.p, s.n);
}

/* ---- Lines ---- */

static const struct {
    const char *name, *route;
    enum rules_side side;
    const char *lines, *want;
} LINES[] = {
    {"the site's rules on a route without any", "/", RULES_RESPONSE,
     "Date: d\r\nx-old: 1\r\nX-Site: origin\r\nX-More: 0\r\n",
     "Date: d\r\nX-More: 0\r\nX-Site: s\r\nX-Both: site\r\nX-More: 1\r\n"},
    {"the route has the last word", "/set/", RULES_RESPONSE,
     "X-More: 0\r\nCache-Control: max-age=1\r\ncache-control: private\r\nX-Both: o\r\n",
     "X-Site: s\r\nX-Both: route host\r\nCache-Control: no-cache\r\n"},
    {"a longer name is another", "/", RULES_RESPONSE, "X-Older: 1\r\nX-Ol: 1\r\n",
     "X-Older: 1\r\nX-Ol: 1\r\nX-Site: s\r\nX-Both: site\r\nX-More: 1\r\n"},
    {"no lines at all", "/", RULES_RESPONSE, "", "X-Site: s\r\nX-Both: site\r\nX-More: 1\r\n"},
    {"requests have their own", "/set/", RULES_REQUEST, "X-Old: 1\r\nX-Client: 1\r\n",
     "X-Old: 1\r\nX-Client: 1\r\nX-Client: client\r\n"},
    {"or none", "/", RULES_REQUEST, "X-Old: 1\r\n", "X-Old: 1\r\n"},
};

static void lines_go_and_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(LINES); i++) {
        char buf[512] = "HTTP/1.1 200 OK\r\n";
        struct writer w = writer_of(buf, sizeof(buf) - 1);
        uint8_t *lines = w.p += strlen(buf);

        writer_add(&w, LINES[i].lines, strlen(LINES[i].lines));
        rules_apply(table, route_of(LINES[i].route), LINES[i].side, &w, lines, write_name, NULL);
        *w.p = '\0';
        if (strcmp((char *)lines, LINES[i].want) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", LINES[i].name, (char *)lines, LINES[i].want);
        assert_memory_equal(buf, "HTTP/1.1 200 OK\r\n", 17);
    }
}

static void a_full_writer_stays_full(void **state)
{
    char buf[40];
    struct writer w = writer_of(buf, sizeof(buf));

    (void)state;
    rules_apply(table, route_of("/set/"), RULES_RESPONSE, &w, (uint8_t *)buf, write_name, NULL);
    assert_true(w.is_full);
    rules_apply(table, route_of("/set/"), RULES_RESPONSE, &w, (uint8_t *)buf, write_name, NULL);
    rules_turn_back(&config->pools[0], route_of("/"), &(struct rules_place){STR("http"), STR("a")},
                    &w, (uint8_t *)buf);
    assert_true(w.is_full);
}

static void names_are_hidden(void **state)
{
    const struct field_names *app = rules_hidden_names(table, 0);

    (void)state;
    assert_true(field_names_has(app, STR("server")));
    assert_true(field_names_has(app, STR("x-aspnet-version")));
    assert_true(field_names_has(app, STR("ALT-SVC")));
    assert_true(field_names_has(app, STR("x-own")));
    assert_false(field_names_has(app, STR("x-owner")));
    assert_false(field_names_has(app, STR("etag")));
    assert_null(rules_hidden_names(table, 1));
}

/* ---- Paths ---- */

static const struct {
    const char *route, *path, *want;
} PATHS[] = {
    {"/", "/app", "/app"},          {"/app/", "/app/", "/v2/"}, {"/app/", "/app/x/y", "/v2/x/y"},
    {"/root", "/root", "/"},        {"/root", "/root/x", "/x"}, {"/deep", "/deep", "/a/b"},
    {"/deep", "/deep/x", "/a/b/x"}, {"/open/", "/open/", "/"},  {"/open/", "/open/a%2Fb", "/a%2Fb"},
    {"/open/", "/open//x", "//x"},
};

static void prefixes_are_replaced(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(PATHS); i++) {
        char buf[64];
        struct writer w = writer_of(buf, sizeof(buf) - 1);

        rules_write_path(route_of(PATHS[i].route), str_of(PATHS[i].path), &w);
        *w.p = '\0';
        if (strcmp(buf, PATHS[i].want) != 0)
            fail_msg("%s on %s: %s", PATHS[i].path, PATHS[i].route, buf);
    }
}

/* ---- References ---- */

static const struct {
    const char *name, *route, *location, *want; /* want NULL: as it is */
} REFERENCES[] = {
    {"an origin's address", "/", "http://10.0.0.1:8080/x?q#f", "https://a.org:8443/x?q#f"},
    {"at another port", "/", "http://10.0.0.1/x", "https://a.org:8443/x"},
    {"IPv6", "/", "http://[fd00::1]/x", "https://a.org:8443/x"},
    {"the pool's host", "/", "https://APP.internal/x", "https://a.org:8443/x"},
    {"without a scheme", "/", "//app.internal/x", "https://a.org:8443/x"},
    {"without a path", "/", "http://10.0.0.1:8080", "https://a.org:8443"},
    {"without a path, with a query", "/", "http://10.0.0.1?q", "https://a.org:8443?q"},
    {"another site", "/", "https://login.org/x", NULL},
    {"an address that begins alike", "/", "http://10.0.0.10/x", NULL},
    {"the site itself, by another scheme", "/", "http://a.org/x", NULL},
    {"with a user, which is no authority of ours", "/", "http://u@10.0.0.1/x", NULL},
    {"a path", "/", "/x", NULL},
    {"no path", "/", "x", NULL},
    {"nothing", "/", "", NULL},
    {"another scheme", "/", "mailto:a@b", NULL},
    {"a replaced path", "/app/", "/v2/login?a", "/app/login?a"},
    {"a path outside", "/app/", "/other/login", NULL},
    {"a path that begins alike", "/deep", "/a/bc", NULL},
    {"an address and a replaced path", "/app/", "http://10.0.0.1:8080/v2/x",
     "https://a.org:8443/app/x"},
    {"an address and a path outside", "/app/", "http://10.0.0.1:8080/z", "https://a.org:8443/z"},
    {"everything is below /", "/root", "/x", "/root/x"},
    {"the root itself", "/root", "/", "/root/"},
    {"an origin that may be seen", "/open/", "http://10.0.0.2/x", NULL},
    {"but its paths are replaced", "/open/", "/x", "/open/x"},
};

static void references_lead_back(void **state)
{
    struct rules_place place = {STR("https"), STR("a.org:8443")};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(REFERENCES); i++) {
        const struct config_route *route = route_of(REFERENCES[i].route);
        const char *want = REFERENCES[i].want != NULL ? REFERENCES[i].want : REFERENCES[i].location;
        char buf[512], both[512];
        struct writer w = writer_of(buf, sizeof(buf) - 1);
        int n = snprintf(both, sizeof(both), "A: b\r\nLocation: %s\r\nContent-Location: %s\r\n",
                         REFERENCES[i].location, REFERENCES[i].location);

        writer_add(&w, both, (size_t)n);
        rules_turn_back(&config->pools[route->pool], route, &place, &w, (uint8_t *)buf);
        *w.p = '\0';
        snprintf(both, sizeof(both), "A: b\r\nLocation: %s\r\nContent-Location: %s\r\n", want,
                 want);
        if (strcmp(buf, both) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", REFERENCES[i].name, buf, both);
    }
}

static void an_unknown_place_changes_nothing(void **state)
{
    char buf[128] = "Location: http://10.0.0.1/x\r\n";
    struct writer w = writer_of(buf, sizeof(buf) - 1);

    (void)state;
    w.p += strlen(buf);
    rules_turn_back(&config->pools[0], route_of("/"), &(struct rules_place){STR("http"), STR("")},
                    &w, (uint8_t *)buf);
    assert_string_equal(buf, "Location: http://10.0.0.1/x\r\n");
}

/* ---- Pages and closed sites ---- */

static void the_narrowest_page_is_found(void **state)
{
    const struct config_pages *site = &config->sites[0].pages;

    (void)state;
    assert_int_equal(rules_find_page(site, 404)->status_low, 404);
    assert_int_equal(rules_find_page(site, 403)->status_high, 499);
    assert_int_equal(rules_find_page(site, 502)->status_low, 500); /* everybody's */
    assert_null(rules_find_page(site, 200));
    assert_null(rules_find_page(&config->pages, 404));
}

static void some_may_enter_a_closed_site(void **state)
{
    struct config_site open = config->sites[0];
    struct ip in, out;

    (void)state;
    assert_true(ip_parse(STR("192.0.2.9"), &in));
    assert_true(ip_parse(STR("198.51.100.1"), &out));
    assert_false(rules_is_closed(&config->sites[0], &in));
    assert_true(rules_is_closed(&config->sites[0], &out));
    open.maintenance.is_on = false;
    assert_false(rules_is_closed(&open, &out));
}

static int load_config(void **state)
{
    struct text said = {0};

    if (make_folder(state) != 0)
        return -1;
    config = load(CONFIG, &said);
    if (config == NULL) {
        fputs(said.p, stderr);
        return -1;
    }
    table = rules_table_new(config);
    text_free(&said);
    return 0;
}

static int free_config(void **state)
{
    rules_table_free(table);
    config_free(config);
    return remove_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_go_and_come),
        cmocka_unit_test(a_full_writer_stays_full),
        cmocka_unit_test(names_are_hidden),
        cmocka_unit_test(prefixes_are_replaced),
        cmocka_unit_test(references_lead_back),
        cmocka_unit_test(an_unknown_place_changes_nothing),
        cmocka_unit_test(the_narrowest_page_is_found),
        cmocka_unit_test(some_may_enter_a_closed_site),
    };

    return cmocka_run_group_tests_name("rules", tests, load_config, free_config);
}
