/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/program/program.h"
#include "gslb-dns/main/keytool.h"
#include "gslb-dns/main/node.h"

static void *start(const char *path, struct errors *errors)
{
    return node_start(path, errors);
}

static void run(void *running)
{
    node_run(running);
}

static void stop(void *running)
{
    node_stop(running);
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "gslb-dns",
        .summary = "Authoritative DNS that answers each client with the nearest healthy edge.",
        .manual = "gslb-dns.yaml(5)",
        .signals = "HUP reloads, INT and TERM stop",
        .commands = KEYTOOL_USAGE,
        .check = node_check,
        .start = start,
        .run = run,
        .stop = stop,
    };

    if (argc > 1 && keytool_is_command(argv[1]))
        return keytool_main(argc - 1, argv + 1);
    return program_main(&program, argc, argv);
}
