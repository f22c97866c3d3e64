/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/gslbctl/gslbctl.h"

#include "common/base/version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LONG_CERTIFICATE = 256,
    LONG_KEY,
    LONG_CA,
    LONG_JSON,
    LONG_WATCH,
    LONG_REASON,
    LONG_ALGORITHM,
    LONG_ABORT,
    LONG_LIFETIME,
    LONG_FULL,
    LONG_SOFT,
    LONG_WHAT_IF,
    LONG_FOR,
    LONG_HELP
};

static void take_option(struct call *call, int option)
{
    switch (option) {
    case 's':
        call->target.socket_path = optarg;
        call->target.server = NULL;
        break;
    case 'S':
        call->target.server = optarg;
        break;
    case LONG_CERTIFICATE:
        call->target.certificate_path = optarg;
        break;
    case LONG_KEY:
        call->target.key_path = optarg;
        break;
    case LONG_CA:
        call->target.ca_path = optarg;
        break;
    case LONG_JSON:
        call->options |= OPTION_JSON;
        break;
    case LONG_WATCH:
        call->options |= OPTION_WATCH;
        break;
    case LONG_REASON:
        call->options |= OPTION_REASON;
        call->reason = optarg;
        break;
    case LONG_ALGORITHM:
        call->options |= OPTION_ALGORITHM;
        call->algorithm = optarg;
        break;
    case LONG_ABORT:
        call->options |= OPTION_ABORT;
        break;
    case LONG_LIFETIME:
        call->options |= OPTION_LIFETIME;
        call->lifetime = optarg;
        break;
    case LONG_FULL:
        call->options |= OPTION_FULL;
        break;
    case LONG_SOFT:
        call->options |= OPTION_SOFT;
        break;
    case LONG_FOR:
        call->options |= OPTION_FOR;
        call->lifetime = optarg;
        break;
    case LONG_WHAT_IF:
        call->options |= OPTION_WHAT_IF;
        if (call->n_what_if == WHAT_IF_MAX) {
            fprintf(stderr, "gslbctl: at most %d times --what-if\n", WHAT_IF_MAX);
            exit(GSLBCTL_USAGE);
        }
        call->what_if[call->n_what_if++] = optarg;
        break;
    case LONG_HELP:
        call->wants_help = true;
        break;
    case 'V':
        puts("gslbctl " GSLB_VERSION);
        exit(GSLBCTL_FINE);
    default:
        fputs("Try gslbctl --help.\n", stderr);
        exit(GSLBCTL_USAGE);
    }
}

struct call arguments_read(int argc, char **argv)
{
    static const struct option longs[] = {
        {"socket", required_argument, NULL, 's'},
        {"server", required_argument, NULL, 'S'},
        {"certificate", required_argument, NULL, LONG_CERTIFICATE},
        {"key", required_argument, NULL, LONG_KEY},
        {"ca", required_argument, NULL, LONG_CA},
        {"json", no_argument, NULL, LONG_JSON},
        {"watch", no_argument, NULL, LONG_WATCH},
        {"reason", required_argument, NULL, LONG_REASON},
        {"algorithm", required_argument, NULL, LONG_ALGORITHM},
        {"abort", no_argument, NULL, LONG_ABORT},
        {"lifetime", required_argument, NULL, LONG_LIFETIME},
        {"full", no_argument, NULL, LONG_FULL},
        {"soft", no_argument, NULL, LONG_SOFT},
        {"what-if", required_argument, NULL, LONG_WHAT_IF},
        {"for", required_argument, NULL, LONG_FOR},
        {"help", no_argument, NULL, LONG_HELP},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *socket_path = getenv("GSLBCTL_SOCKET");
    struct call call = {
        .target = {.socket_path = socket_path ? socket_path : GSLBCTL_DEFAULT_SOCKET,
                   .server = getenv("GSLBCTL_SERVER"),
                   .certificate_path = getenv("GSLBCTL_CERTIFICATE"),
                   .key_path = getenv("GSLBCTL_KEY"),
                   .ca_path = getenv("GSLBCTL_CA")},
    };
    int option;

    while ((option = getopt_long(argc, argv, "s:S:hV", longs, NULL)) != -1)
        take_option(&call, option == 'h' ? LONG_HELP : option);
    call.args = argv + optind;
    call.n_args = argc - optind;
    return call;
}
