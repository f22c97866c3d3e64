/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/program/program.h"

#include "common/base/version.h"
#include "common/handover/handover.h"
#include "common/log/log.h"

#include <getopt.h>
#include <stdio.h>
#include <sys/resource.h>

enum { EXIT_FINE = 0, EXIT_BAD = 1, EXIT_USAGE = 2, GO_ON = -1 };
enum { OPTION_CHECK = 256, OPTION_CORE_DUMPS };

struct options {
    const char *path;
    bool is_check;
    bool has_cores;
};

void program_forbid_cores(void)
{
    struct rlimit limit;

    ensure(getrlimit(RLIMIT_CORE, &limit) == 0);
    limit.rlim_cur = 0;
    ensure(setrlimit(RLIMIT_CORE, &limit) == 0);
}

static int print_usage(const struct program *p, FILE *out, int code)
{
    fprintf(
        out,
        "usage: %s -c FILE [--check] [--core-dumps] [-v]\n"
        "%s"
        "\n"
        "%s\n"
        "\n"
        "  -c, --config FILE   the configuration, %s\n"
        "      --check         read everything that a start would read, say what is wrong, exit\n"
        "      --core-dumps    may leave them after a crash, with private keys in them\n"
        "  -v, --verbose       log more\n"
        "  -V, --version       print the version\n"
        "  -h, --help          print this\n"
        "\n"
        "Signals: %s.\n"
        "Exit codes: 0 fine, 1 cannot run, 2 usage.\n",
        p->name, p->commands != NULL ? p->commands : "", p->summary, p->manual, p->signals);
    return code;
}

/* The exit code when the program is done already, else GO_ON. */
static int read_options(const struct program *p, int argc, char **argv, struct options *out)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"verbose", no_argument, NULL, 'v'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {"core-dumps", no_argument, NULL, OPTION_CORE_DUMPS},
        {NULL, 0, NULL, 0},
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
        case OPTION_CORE_DUMPS:
            out->has_cores = true;
            break;
        case 'v':
            log_set_level(LOG_LEVEL_DEBUG);
            break;
        case 'V':
            printf("%s %s\n", p->name, GSLB_VERSION);
            return EXIT_FINE;
        case 'h':
            return print_usage(p, stdout, EXIT_FINE);
        default:
            return print_usage(p, stderr, EXIT_USAGE);
        }
    }
    if (optind < argc)
        fprintf(stderr, "%s: what is '%s'?\n", p->name, argv[optind]);
    else if (out->path == NULL)
        fprintf(stderr, "%s: -c FILE is missing\n", p->name);
    else
        return GO_ON;
    return print_usage(p, stderr, EXIT_USAGE);
}

static int check(const struct program *p, const char *path)
{
    struct errors errors = {0};
    struct outcome outcome = p->check(path, &errors);

    errors_print(&errors, stderr);
    errors_free(&errors);
    if (has_failed(outcome))
        return EXIT_BAD;
    printf("%s: fine\n", path);
    return EXIT_FINE;
}

int program_main(const struct program *p, int argc, char **argv)
{
    struct options options = {0};
    struct errors errors = {0};
    void *running;
    int code = read_options(p, argc, argv, &options);

    if (code != GO_ON)
        return code;
    if (!options.has_cores)
        program_forbid_cores();
    handover_receive(argv);
    if (options.is_check)
        return check(p, options.path);
    running = p->start(options.path, &errors);
    errors_print(&errors, stderr);
    errors_free(&errors);
    if (running == NULL) {
        log_error("main", "not started; the errors above say why");
        return EXIT_BAD;
    }
    p->run(running);
    p->stop(running);
    log_info("main", "stopped");
    return EXIT_FINE;
}
