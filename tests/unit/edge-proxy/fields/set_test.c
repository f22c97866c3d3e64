/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of names, the set of lines, what stays on this hop, and composed values. */
#include "edge-proxy/fields/fields.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct fields set;

/* "Name: value" lines, separated by '\n'. */
static void fill(const char *lines)
{
    fields_clear(&set);
    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n"), name = strcspn(lines, ":");

        assert_true(fields_add(&set, (struct str){lines, name},
                               str_trim((struct str){lines + name + 1, n - name - 1})));
        lines += n + (lines[n] == '\n');
    }
    fields_mark_hop_by_hop(&set);
}

static void test_names(void **state)
{
    for (unsigned id = 1; id < FIELD_ID_COUNT; id++) {
        struct str name = fields_name(id), spelling = fields_spelling(id);
        char upper[32];

        assert_int_equal(fields_identify(name), id);
        assert_int_equal(fields_identify(spelling), id);
        for (size_t i = 0; i < name.n; i++)
            upper[i] = name.p[i] >= 'a' && name.p[i] <= 'z' ? (char)(name.p[i] - 32) : name.p[i];
        assert_int_equal(fields_identify((struct str){upper, name.n}), id);
        assert_int_equal(fields_identify((struct str){name.p, name.n - 1}) == id, false);
        upper[name.n - 1] = '~';
        assert_int_equal(fields_identify((struct str){upper, name.n}), FIELD_OTHER);
    }
    assert_int_equal(fields_identify(STR("content_length")), FIELD_OTHER);
    assert_int_equal(fields_identify(STR("")), FIELD_OTHER);
    assert_int_equal(fields_identify(STR("x-a-name-that-is-longer-than-all-of-the-others")),
                     FIELD_OTHER);
}

static void test_a_field_is_taken_out(void **state)
{
    fill("A: 1\nClient-Cert: x\nConnection: b\nB: 2\nCLIENT-CERT: y\nClient-Cert-Chain: z");
    fields_remove(&set, FIELD_CLIENT_CERT);
    assert_int_equal(set.count, 4);
    assert_false(fields_has(&set, FIELD_CLIENT_CERT));
    assert_int_equal(fields_find_name(&set, STR("client-cert")), -1);
    assert_int_equal(fields_find(&set, FIELD_CONNECTION), 1);
    assert_int_equal(fields_find(&set, FIELD_CLIENT_CERT_CHAIN), 3);
    assert_int_equal(set.blocked[0], 1 << 1 | 1 << 2); /* Connection, and what it names */
    fields_remove(&set, FIELD_COOKIE);
    assert_int_equal(set.count, 4);
    assert_true(fields_add(&set, fields_spelling(FIELD_CLIENT_CERT), STR(":MIIB:")));
    assert_true(str_is(fields_value(&set, FIELD_CLIENT_CERT), ":MIIB:"));
}

static const struct {
    const char *name, *lines;
    const char *kept; /* names of the lines that are forwarded */
} hops[] = {
    {"22: the usual ones",
     "Connection: close\nKeep-Alive: 5\nProxy-Connection: a\nTE: trailers\nTransfer-Encoding: "
     "chunked\nUpgrade: x\nTrailer: y\nA: b",
     "A "},
    {"22: nominated", "Connection: x-a, X-B\nX-A: 1\nx-b: 2\nX-AB: 3\nX-a: 4", "X-AB "},
    {"22: nominated in two lines", "X-A: 1\nConnection: x-a\nConnection: x-b\nX-B: 2\nC: 3", "C "},
    {"22: a known one", "Connection: accept-language\nAccept-Language: de\nA: b", "A "},
    {"22: never the pinned ones",
     "Connection: host, content-length, cookie, authorization, x-forwarded-for, "
     "x-forwarded-proto, x-forwarded-ssl, cache-control, forwarded\nHost: a\nContent-Length: "
     "1\nCookie: b\nAuthorization: c\nX-Forwarded-For: d\nX-Forwarded-Proto: e\nX-Forwarded-Ssl: "
     "f\nCache-Control: g\nForwarded: h",
     "Host Content-Length Cookie Authorization X-Forwarded-For X-Forwarded-Proto X-Forwarded-Ssl "
     "Cache-Control Forwarded "},
    {"33: httpoxy", "Proxy: http://evil\nA: b", "A "},
    {"33: what has one value is sent once",
     "Content-Type: a\nAccept: 1\nContent-Type: b\nAccept: 2\nAuthorization: x\nAuthorization: y\n"
     "Set-Cookie: 1\nSet-Cookie: 2",
     "Content-Type Accept Accept Authorization Set-Cookie Set-Cookie "},
    {"22: nominates nothing that is there", "Connection: x-a, , \"x-b\"\nX-B: 1", "X-B "},
};

static void test_hop_by_hop(void **state)
{
    for (size_t i = 0; i < COUNT_OF(hops); i++) {
        struct text kept = {0};

        fill(hops[i].lines);
        text_adds(&kept, "");
        for (uint32_t j = 0; j < set.count; j++) {
            if (fields_is_forwardable(&set, (int)j))
                text_addf(&kept, "%.*s ", STR_ARG(set.v[j].name));
        }
        if (strcmp(kept.p, hops[i].kept) != 0)
            fail_msg("%s: kept '%s'", hops[i].name, kept.p);
        text_free(&kept);
    }
}

/* A Connection with more names than lines could have: all that is not pinned goes. */
static void test_endless_connection(void **state)
{
    struct text t = {0};

    text_adds(&t, "Host: a\nX-Last: 1\nConnection: ");
    for (int i = 0; i < 100; i++)
        text_addf(&t, "n%d,", i);
    fill(t.p);
    assert_true(fields_is_forwardable(&set, 0));
    assert_false(fields_is_forwardable(&set, 1));
    text_free(&t);
}

static void test_find(void **state)
{
    fill("A: 1\nAccept: 2\na: 3\nB: 4\naccept: 5\nSet-Cookie: 6\nA_B: 7");
    assert_int_equal(fields_find(&set, FIELD_ACCEPT), 1);
    assert_int_equal(fields_next(&set, 1), 4);
    assert_int_equal(fields_next(&set, 4), -1);
    assert_int_equal(fields_next(&set, 5), -1);
    assert_int_equal(fields_find_name(&set, STR("A")), 0);
    assert_int_equal(fields_next(&set, 0), 2);
    assert_int_equal(fields_find_name(&set, STR("ACCEPT")), 1);
    assert_int_equal(fields_find_name(&set, STR("c")), -1);
    assert_int_equal(fields_count(&set, FIELD_ACCEPT), 2);
    assert_int_equal(fields_count(&set, FIELD_VARY), 0);
}

/* Names that CGI makes the variables of others from. */
static void test_aliases(void **state)
{
    fill("X-Real-IP: 1\nx9-9: 2\nX_Real_IP: 3\nX.Real.IP: 4\nX-Real~IP: 5\nContent_Length: 6\nX!: "
         "7");
    for (uint32_t i = 0; i < set.count; i++)
        assert_int_equal(set.v[i].is_alias, i >= 2);
}

static void test_full(void **state)
{
    fields_clear(&set);
    for (int i = 0; i < FIELDS_MAX; i++)
        assert_true(fields_add(&set, STR("Via"), STR("x")));
    assert_false(fields_add(&set, STR("Via"), STR("x")));
    assert_int_equal(fields_count(&set, FIELD_VIA), FIELDS_MAX);
}

/* ---- Composed values ---- */

static char out[512];

static const char *written(const struct writer *w)
{
    assert_false(w->is_full);
    *(char *)w->p = '\0';
    return out;
}

static struct writer start(void)
{
    return writer_of(out, sizeof(out) - 1);
}

static void test_via(void **state)
{
    struct writer w = start();

    fill("Via: 1.0 a\nVia:\nvia: 1.1 b (c, d)\nCDN-Loop: edge; a=\"b,edge\", other, EDGE");
    fields_write_via(&w, &set, STR("1.1"), STR("edge-1"));
    assert_string_equal(written(&w), "1.0 a, 1.1 b (c, d), 1.1 edge-1");
    w = start();
    fields_write_via(&w, NULL, STR("1.0"), STR("not a token"));
    assert_string_equal(written(&w), "1.0 edge");
    assert_int_equal(fields_count_cdn_loop(&set, STR("edge")), 2);
    assert_int_equal(fields_count_cdn_loop(&set, STR("ed")), 0);
    w = start();
    fields_write_cdn_loop(&w, &set, STR("edge"));
    assert_string_equal(written(&w), "edge; a=\"b,edge\", other, EDGE, edge");
}

static void test_forwarded(void **state)
{
    struct forwarded by = {STR("192.0.2.1"), STR("a.example:8080"), STR("https"), STR("edge 1")};
    struct writer w = start();

    fill("Forwarded: for=10.0.0.1\nX-Forwarded-For: 10.0.0.1, 10.0.0.2");
    fields_write_forwarded(&w, &set, &by);
    assert_string_equal(
        written(&w), "for=10.0.0.1, by=_edge_1;for=192.0.2.1;host=\"a.example:8080\";proto=https");
    by = (struct forwarded){.client = STR("2001:db8::1"), .proto = STR("http")};
    w = start();
    fields_write_forwarded(&w, NULL, &by);
    assert_string_equal(written(&w), "for=\"[2001:db8::1]\";proto=http");
    w = start();
    fields_write_x_forwarded_for(&w, &set, STR("2001:db8::1"));
    assert_string_equal(written(&w), "10.0.0.1, 10.0.0.2, 2001:db8::1");
    w = start();
    fields_write_x_forwarded_for(&w, NULL, STR("192.0.2.1"));
    assert_string_equal(written(&w), "192.0.2.1");
}

static void test_cache_status(void **state)
{
    struct cache_status status = {
        .cache = STR("edge-1"), .is_hit = true, .has_ttl = true, .ttl_s = -5};
    struct writer w = start();

    fill("Cache-Status: origin; hit");
    fields_write_cache_status(&w, &set, &status);
    assert_string_equal(written(&w), "origin; hit, edge-1; hit; ttl=-5");
    status = (struct cache_status){.cache = STR("1edge"),
                                   .forward_reason = "uri-miss",
                                   .forward_status = 304,
                                   .is_stored = true,
                                   .is_collapsed = true,
                                   .key = STR("a\"b\\c\xff\r\n"),
                                   .detail = STR("two words")};
    w = start();
    fields_write_cache_status(&w, NULL, &status);
    assert_string_equal(written(&w), "\"1edge\"; fwd=uri-miss; fwd-status=304; stored; collapsed; "
                                     "key=\"a\\\"b\\\\c???\"; detail=\"two words\"");
}

static void test_too_small(void **state)
{
    char small[8];
    struct writer w = writer_of(small, sizeof(small));

    fields_write_via(&w, NULL, STR("1.1"), STR("pseudonym"));
    assert_true(w.is_full);
}

static void test_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 9, 10, 12345, UINT64_MAX};

    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct writer w = start();
        uint64_t again;

        fields_write_u64(&w, numbers[i]);
        assert_true(fields_parse_digits(str_of(written(&w)), &again));
        assert_true(again == numbers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_field_is_taken_out),
        cmocka_unit_test(test_hop_by_hop),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_endless_connection),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_via),
        cmocka_unit_test(test_forwarded),
        cmocka_unit_test(test_cache_status),
        cmocka_unit_test(test_too_small),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_aliases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
