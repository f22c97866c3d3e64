/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program: the main function that the two servers share: options, --check, start, run, stop, exit
 * codes. What they do between start and stop is theirs.
 */
#ifndef COMMON_PROGRAM_H
#define COMMON_PROGRAM_H

#include "common/base/base.h"
#include "common/error/error.h"

struct program {
    const char *name;
    const char *summary;  /* one sentence: what it does */
    const char *manual;   /* of its configuration: "gslb-dns.yaml(5)" */
    const char *signals;  /* what it does on which signal */
    const char *commands; /* NULL, or the usage of what it does besides serving */
    /* --check: everything that a start would read is judged, nothing is opened. */
    struct outcome (*check)(const char *path, struct errors *errors);
    /* Serves on return. NULL: errors say why not. path lives as long as the program. */
    void *(*start)(const char *path, struct errors *errors);
    void (*run)(void *running); /* until a signal stops it */
    void (*stop)(void *running);
};

/* The exit code: 0 fine, 1 cannot run or is not fine, 2 usage. */
int program_main(const struct program *p, int argc, char **argv);

/* What crashes from now on leaves no core dump, in which private keys would lie open. The limit of
 * the process says so, by which collectors like systemd-coredump go, too. program_main does it. */
void program_forbid_cores(void);

#endif
