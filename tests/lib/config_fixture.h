/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of both programs' config rooms share: a folder with the files that a configuration
 * names, loading a text as a file there, and tables of mistakes. Included after the program's
 * config.h.
 */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64] = "/tmp/gslb-config-XXXXXX";

/* Good until the next call. */
static const char *in_folder(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in_folder(name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* "z" and "pem" are there to be named. */
static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    write_file("z", "");
    write_file("pem", "");
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"z", "pem", "a.yaml"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        unlink(in_folder(names[i]));
    return rmdir(folder);
}

/* Loads a text as a file; said gets "line:column message" per mistake and warning. */
static struct config *load(const char *yaml, struct text *said)
{
    struct errors errors = {0};
    struct config *c;

    write_file("a.yaml", yaml);
    c = config_load(in_folder("a.yaml"), &errors);
    text_adds(said, "");
    for (size_t i = 0; i < errors.n; i++)
        text_addf(said, "%u:%u %s%s\n", errors.items[i].line, errors.items[i].column,
                  errors.items[i].is_warning ? "warning: " : "", errors.items[i].message);
    assert_true((c == NULL) == (errors.n_errors > 0));
    errors_free(&errors);
    return c;
}

struct mistake {
    const char *name, *yaml, *want; /* want without a last line end: what is said begins so */
};

/* Loads head and each mistake behind it; prints and counts those that are not reported as wanted.
 */
static inline size_t count_wrong(const char *head, const struct mistake *mistakes, size_t n)
{
    size_t n_wrong = 0;

    for (const struct mistake *m = mistakes; m < mistakes + n; m++) {
        struct text said = {0}, yaml = {0};
        size_t length = strlen(m->want);
        bool is_prefix = length > 0 && m->want[length - 1] != '\n';

        text_addf(&yaml, "%s%s", head, m->yaml);
        config_free(load(yaml.p, &said));
        if (is_prefix ? strncmp(said.p, m->want, length) != 0 : strcmp(said.p, m->want) != 0) {
            print_error("%s:\nsaid   %swanted %s", m->name, said.p, m->want);
            n_wrong++;
        }
        text_free(&said);
        text_free(&yaml);
    }
    return n_wrong;
}

/* The page has config's reference, word for word, between two comments that mark it. Says how to
 * bring it up to date otherwise. */
static inline size_t count_stale_lines(const char *page)
{
    static const char BEGIN[] = ".\\\" reference: begin\n", END[] = ".\\\" reference: end\n";
    struct text want = {0};
    const char *begin, *end;
    size_t n, n_stale = 0;
    char *text;

    assert_false(has_failed(text_read_file(page, 1 << 20, &text, &n)));
    begin = strstr(text, BEGIN);
    end = strstr(text, END);
    assert_true(begin != NULL && end != NULL && begin < end);
    begin += sizeof(BEGIN) - 1;
    config_describe(&want);
    if ((size_t)(end - begin) != want.n || memcmp(begin, want.p, want.n) != 0) {
        if (getenv("UPDATE_MANUAL") != NULL) {
            FILE *f = fopen(page, "w");

            assert_non_null(f);
            fprintf(f, "%.*s%s%s", (int)(begin - text), text, want.p, end);
            fclose(f);
        }
        print_error("%s lags behind the table of keys: run this test with UPDATE_MANUAL=1\n", page);
        n_stale++;
    }
    free(text);
    text_free(&want);
    return n_stale;
}

#endif
