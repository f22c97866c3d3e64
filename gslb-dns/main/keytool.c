/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/main/keytool.h"

#include "common/clock/clock.h"
#include "common/program/program.h"
#include "gslb-dns/sign/sign.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum { OPTION_CSK = 256, OPTION_KSK, OPTION_ZSK, OPTION_SPLIT };
enum { DS_SHA256 = 2, DS_SHA384 = 4 };

struct call {
    const char *directory, *algorithm, *zone;
    int shape; /* OPTION_CSK… */
};

bool keytool_is_command(const char *word)
{
    return strcmp(word, "keygen") == 0 || strcmp(word, "ds") == 0;
}

static int print_usage(FILE *out, int code)
{
    fputs("usage:\n" KEYTOOL_USAGE "\n"
          "keygen makes keys that sign ZONE from now on, and prints their files and the DS record\n"
          "for the parent; ds prints the DS records of the keys that are there.\n"
          "\n"
          "  -d DIR         of the key files (default: the working directory)\n"
          "  -a ALGORITHM   ECDSAP256SHA256 (the default), ECDSAP384SHA384 or ED25519\n"
          "  --csk          one key for everything (the default)\n"
          "  --ksk, --zsk   a key for keys, a key for data\n"
          "  --split        one of each\n"
          "  -h, --help     print this\n",
          out);
    return code;
}

/* The exit code when there is nothing to do any more, else -1. */
static int read_call(int argc, char **argv, struct call *call)
{
    static const struct option longs[] = {
        {"directory", required_argument, NULL, 'd'},
        {"algorithm", required_argument, NULL, 'a'},
        {"csk", no_argument, NULL, OPTION_CSK},
        {"ksk", no_argument, NULL, OPTION_KSK},
        {"zsk", no_argument, NULL, OPTION_ZSK},
        {"split", no_argument, NULL, OPTION_SPLIT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *call = (struct call){".", "ECDSAP256SHA256", NULL, OPTION_CSK};
    while ((option = getopt_long(argc, argv, "d:a:h", longs, NULL)) != -1) {
        if (option == 'd')
            call->directory = optarg;
        else if (option == 'a')
            call->algorithm = optarg;
        else if (option == 'h')
            return print_usage(stdout, EXIT_DONE);
        else if (option >= OPTION_CSK)
            call->shape = option;
        else
            return print_usage(stderr, EXIT_USAGE);
    }
    if (optind + 1 != argc)
        return print_usage(stderr, EXIT_USAGE);
    call->zone = argv[optind];
    return -1;
}

static int report(struct errors *errors)
{
    int code = errors->n_errors > 0 ? EXIT_FAILED : EXIT_DONE;

    errors_print(errors, stderr);
    errors_free(errors);
    return code;
}

/* DS records of keys for the parent; base NULL: of all that sign keys. */
static void print_ds(const struct call *call, bool is_alone, const char *base,
                     struct errors *errors)
{
    struct sign_policy policy = {.directory = call->directory};
    struct place at = {0};
    struct sign_keyring *ring = sign_keyring_open(call->zone, &policy, at, errors);
    const struct sign_key_facts *keys = NULL;
    size_t n = ring != NULL ? sign_keyring_keys(ring, &keys) : 0;
    struct text t = {0};

    for (size_t i = 0; i < n; i++) {
        bool is_meant = base == NULL || strtoul(strrchr(base, '+') + 1, NULL, 10) == keys[i].tag;

        if (!is_meant || keys[i].flags != SIGN_FLAGS_SEP)
            continue;
        sign_write_ds(ring, i, DS_SHA256, &t);
        if (!is_alone)
            sign_write_ds(ring, i, DS_SHA384, &t);
    }
    if (ring != NULL && t.n == 0 && base == NULL)
        errors_add(errors, at, "no key of %s in %s has the flags of a key-signing key", call->zone,
                   call->directory);
    if (t.n > 0)
        fputs(t.p, stdout);
    text_free(&t);
    sign_keyring_release(ring);
}

static void make_key(const struct call *call, uint8_t algorithm, uint16_t flags,
                     struct errors *errors)
{
    char *base = sign_keygen(call->zone, call->directory, algorithm, flags, clock_wall_s(), errors);

    if (base == NULL)
        return;
    printf("%s.key\n%s.private\n", base, base);
    if (flags == SIGN_FLAGS_SEP)
        print_ds(call, true, base, errors);
    free(base);
}

static int run_keygen(const struct call *call)
{
    uint8_t algorithm = sign_algorithm_parse(str_of(call->algorithm));
    struct errors errors = {0};

    if (algorithm == 0) {
        fprintf(stderr,
                "gslb-dns: '%s' is no algorithm to sign with: ECDSAP256SHA256, ECDSAP384SHA384 or "
                "ED25519\n",
                call->algorithm);
        return EXIT_USAGE;
    }
    if (mkdir(call->directory, 0700) != 0 && errno != EEXIST)
        errors_add(&errors, (struct place){call->directory, 0, 0}, "cannot be made: %s",
                   strerror(errno));
    if (errors.n_errors == 0 && call->shape != OPTION_ZSK)
        make_key(call, algorithm, SIGN_FLAGS_SEP, &errors);
    if (errors.n_errors == 0 && (call->shape == OPTION_ZSK || call->shape == OPTION_SPLIT))
        make_key(call, algorithm, SIGN_FLAGS_ZSK, &errors);
    return report(&errors);
}

static int run_ds(const struct call *call)
{
    struct errors errors = {0};

    print_ds(call, false, NULL, &errors);
    return report(&errors);
}

int keytool_main(int argc, char **argv)
{
    struct call call;
    int code = read_call(argc, argv, &call);

    if (code >= 0)
        return code;
    program_forbid_cores();
    return strcmp(argv[0], "keygen") == 0 ? run_keygen(&call) : run_ds(&call);
}
