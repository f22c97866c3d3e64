/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/base/version.h"
#include "common/log/log.h"
#include "edge-proxy/main/edge.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: edge-proxy -c FILE [--check] [-v]\n"
    "\n"
    "Terminates TLS, serves from its cache, forwards to pools of origins, reports its health.\n"
    "\n"
    "  -c, --config FILE   the configuration, edge-proxy.yaml(5)\n"
    "      --check         read everything that a start would read, say what is wrong, exit\n"
    "  -v, --verbose       log more\n"
    "  -V, --version       print the version\n"
    "  -h, --help          print this\n"
    "\n"
    "Signals: HUP reloads, USR1 opens the access log again, INT and TERM finish open requests and\n"
    "stop, a second one stops at once. Exit codes: 0 fine, 1 cannot run, 2 usage.\n";

struct options {
    const char *path;
    bool is_check;
};

enum { OPTION_CHECK = 256 };

/* The exit code when the program is done already, else -1. */
static int read_options(int argc, char **argv, struct options *out)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, OPTION_CHECK},
        {"verbose", no_argument, NULL, 'v'},      {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:vVh", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->path = optarg;
            break;
        case OPTION_CHECK:
            out->is_check = true;
            break;
        case 'v':
            log_set_level(LOG_LEVEL_DEBUG);
            break;
        case 'V':
            puts("edge-proxy " GSLB_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc)
        fprintf(stderr, "edge-proxy: what is '%s'?\n", argv[optind]);
    else if (out->path == NULL)
        fputs("edge-proxy: -c FILE is missing\n", stderr);
    else
        return -1;
    fputs(usage, stderr);
    return 2;
}

static int check(const char *path)
{
    struct errors errors = {0};
    struct outcome outcome = edge_check(path, &errors);

    errors_print(&errors, stderr);
    errors_free(&errors);
    if (has_failed(outcome))
        return 1;
    printf("%s: fine\n", path);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct errors errors = {0};
    struct edge *edge;
    int code = read_options(argc, argv, &options);

    if (code >= 0)
        return code;
    if (options.is_check)
        return check(options.path);
    edge = edge_start(options.path, &errors);
    errors_print(&errors, stderr);
    errors_free(&errors);
    if (edge == NULL) {
        log_error("main", "not started; the errors above say why");
        return 1;
    }
    edge_run(edge);
    edge_stop(edge);
    return 0;
}
