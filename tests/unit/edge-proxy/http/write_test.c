/* SPDX-License-Identifier: BSD-2-Clause */
/* Authorities, paths, cache keys, and what is written. */
#include "edge-proxy/http/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct http_head head;
static char out[1024];

static struct writer start(void)
{
    return writer_of(out, sizeof(out) - 1);
}

static const char *written(const struct writer *w)
{
    assert_false(w->is_full);
    *(char *)w->p = '\0';
    return out;
}

static void test_keys(void **state)
{
    static const struct {
        const char *name, *target, *host;
        bool is_tls;
        const char *want;
    } cases[] = {
        {"34: all parts", "/a?b", "h.example", true, "https://h.example/a?b"},
        {"35: host in lower case", "/A?B", "H.Example", false, "http://h.example/A?B"},
        {"35: usual port", "/", "h:80", false, "http://h/"},
        {"35: empty port", "/", "h:", false, "http://h/"},
        {"34: other port", "/", "h:80", true, "https://h:80/"},
        {"35: nothing is decoded", "/a%2Fb%3f;c/../%41", "h", true, "https://h/a%2Fb%3f;c/../%41"},
        {"16: absolute-form, empty path", "http://X?q", "h", false, "http://x/?q"},
        {"34: empty query is another key", "/a?", "h", false, "http://h/a?"},
        {"IPv6", "/", "[2001:DB8::1]:443", true, "https://[2001:db8::1]/"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct text t = {0};
        struct writer w = start();

        text_addf(&t, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].target, cases[i].host);
        http_head_clear(&head);
        assert_int_equal(http_parse_request(&head, t.p, t.n, &HTTP_LIMITS_DEFAULT), HTTP_DONE);
        http_write_key(&w, &head, cases[i].is_tls);
        if (strcmp(written(&w), cases[i].want) != 0)
            fail_msg("%s: '%s'", cases[i].name, out);
        text_free(&t);
    }
}

static void test_normal_paths(void **state)
{
    static const struct {
        const char *name, *path, *want;
        bool has_dots;
    } cases[] = {
        {"35: unreserved", "/%41%7e%5F%2d%30", "/A~_-0", false},
        {"35: the others in upper case", "/%2f%3f%23%00%3b%ff", "/%2F%3F%23%00%3B%FF", false},
        {"35: no second decoding", "/%2541", "/%2541", false},
        {"broken escapes", "/%4/%zz/%", "/%4/%zz/%", false},
        {"dot", "/a/./b", "/a/./b", true},
        {"two dots at the end", "/a/..", "/a/..", true},
        {"escaped dots", "/a/%2e%2E/b", "/a/../b", true},
        {"half escaped", "/.%2e", "/..", true},
        {"three dots", "/.../a", "/.../a", false},
        {"file with dots", "/a..b/.c", "/a..b/.c", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct writer w = start();

        http_write_normal_path(&w, str_of(cases[i].path));
        if (strcmp(written(&w), cases[i].want) != 0)
            fail_msg("%s: '%s'", cases[i].name, out);
        if (http_path_has_dots(str_of(cases[i].path)) != cases[i].has_dots)
            fail_msg("%s: dots", cases[i].name);
    }
}

static void test_prefixes(void **state)
{
    static const struct {
        const char *path, *prefix;
        bool want;
    } cases[] = {
        {"/a", "/a", true},    {"/a/b", "/a", true}, {"/ab", "/a", false},
        {"/a/b", "/a/", true}, {"/a", "/a/", false}, {"/anything", "/", true},
        {"/A", "/a", false},   {"*", "/", false},    {"/a", "", true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (http_path_has_prefix(str_of(cases[i].path), str_of(cases[i].prefix)) != cases[i].want)
            fail_msg("'%s' under '%s'", cases[i].path, cases[i].prefix);
    }
}

static void test_request_written(void **state)
{
    const struct str input = STR("GET http://b/c?d HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: 1\r\n"
                                 "Proxy: 2\r\nCookie: 3\r\nB:\r\n\r\n");
    struct field_id_set skip = {{0}};
    struct writer w = start();

    http_head_clear(&head);
    assert_int_equal(http_parse_request(&head, input.p, input.n, &HTTP_LIMITS_DEFAULT), HTTP_DONE);
    field_id_set_add(&skip, FIELD_HOST);
    http_write_request_line(&w, head.method_text, head.path, head.query);
    http_write_known(&w, FIELD_HOST, head.authority);
    http_write_forwardable(&w, &head.fields, &skip);
    http_write_known_u64(&w, FIELD_AGE, 7);
    http_write_end(&w);
    assert_string_equal(written(&w), "GET /c?d HTTP/1.1\r\nHost: b\r\nCookie: 3\r\nB: \r\n"
                                     "Age: 7\r\n\r\n");
}

static void test_status_written(void **state)
{
    struct writer w = start();

    http_write_status_line(&w, 404);
    assert_string_equal(written(&w), "HTTP/1.1 404 Not Found\r\n");
    w = start();
    http_write_status_line(&w, 299);
    assert_string_equal(written(&w), "HTTP/1.1 299 Unknown\r\n");
    assert_true(str_is(http_error_body(502), "502 Bad Gateway\n"));
    assert_true(http_error_body(299).n > 0);
}

/* Every refusal has a status with a name of its own, and a label that is unlike the others. */
static void test_verdict_table(void **state)
{
    for (unsigned v = 0; v < HTTP_VERDICT_COUNT; v++) {
        assert_int_equal(http_is_refusal(v), http_verdict_status(v) != 0);
        if (http_is_refusal(v))
            assert_string_not_equal(http_reason(http_verdict_status(v)), "Unknown");
        for (unsigned other = 0; other < v; other++)
            assert_string_not_equal(http_verdict_label(v), http_verdict_label(other));
    }
}

static void test_methods(void **state)
{
    for (unsigned m = 1; m < HTTP_METHOD_COUNT; m++) {
        assert_int_equal(http_method_of(str_of(http_method_name(m))), m);
        assert_true(!http_method_is_safe(m) || http_method_is_idempotent(m));
    }
    assert_int_equal(http_method_of(STR("get")), HTTP_METHOD_OTHER);
    assert_true(http_method_is_safe(HTTP_METHOD_GET));
    assert_false(http_method_is_safe(HTTP_METHOD_PUT));
    assert_false(http_method_is_idempotent(HTTP_METHOD_POST));
    assert_false(http_method_is_idempotent(HTTP_METHOD_OTHER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_normal_paths),
        cmocka_unit_test(test_prefixes),       cmocka_unit_test(test_request_written),
        cmocka_unit_test(test_status_written), cmocka_unit_test(test_verdict_table),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
