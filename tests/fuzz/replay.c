/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The main function of a fuzzer that does not search: it runs the files named by its arguments,
 * or those in the folders, through the fuzzer once. So what fuzzing has found stays found, with
 * any compiler and under any sanitizer.
 *
 *     NAME_fuzz FILE-OR-FOLDER...
 */
#include "common/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t n_max);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_MAX = 1 << 20 };

static char now_running[4096];
static unsigned n_inputs;

/* What libFuzzer offers to custom mutators: nothing is mutated here. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t n_max)
{
    (void)data;
    (void)n_max;
    return n;
}

static void say_which(void)
{
    ssize_t unused = write(STDERR_FILENO, "while running ", 14);

    unused = write(STDERR_FILENO, now_running, strlen(now_running));
    unused = write(STDERR_FILENO, "\n", 1);
    (void)unused;
}

static void on_signal(int number)
{
    say_which();
    signal(number, SIG_DFL);
    raise(number);
}

/* In memory of its own size, so that a byte read past the end is noticed. */
static void run_file(const char *path)
{
    static uint8_t buffer[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    size_t n;
    uint8_t *exact;

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    n = fread(buffer, 1, sizeof(buffer), file);
    fclose(file);
    exact = malloc(n > 0 ? n : 1);
    ensure(exact != NULL);
    memcpy(exact, buffer, n);
    snprintf(now_running, sizeof(now_running), "%s", path);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    n_inputs++;
}

static int is_no_dot(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_path(const char *path)
{
    struct stat status;
    struct dirent **entries;
    int n;

    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        run_file(path);
        return;
    }
    n = scandir(path, &entries, is_no_dot, alphasort);
    ensure(n >= 0);
    for (int i = 0; i < n; i++) {
        char inner[4096];

        snprintf(inner, sizeof(inner), "%s/%s", path, entries[i]->d_name);
        run_path(inner);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(say_which);
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%u inputs\n", n_inputs);
    return n_inputs > 0 ? 0 : 2;
}
