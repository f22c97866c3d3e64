/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/program/program.h"
#include "edge-proxy/main/edge.h"

static void *start(const char *path, struct errors *errors)
{
    return edge_start(path, errors);
}

static void run(void *running)
{
    edge_run(running);
}

static void stop(void *running)
{
    edge_stop(running);
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "edge-proxy",
        .summary =
            "Terminates TLS, serves from its cache, forwards to pools of origins, reports its "
            "health.",
        .manual = "edge-proxy.yaml(5)",
        .signals = "HUP reloads, USR1 opens the access log again, USR2 starts the program anew\n"
                   "(a new version) without a refused connection, INT and TERM finish open\n"
                   "requests and stop, a second one stops at once",
        .check = edge_check,
        .start = start,
        .run = run,
        .stop = stop,
    };

    return program_main(&program, argc, argv);
}
