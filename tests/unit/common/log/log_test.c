/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/log/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* All that was said up to the end mark: a terminal may give it in pieces. */
static void read_until_end(int fd, char *said, size_t size)
{
    size_t n = 0;
    char *end;

    do {
        ssize_t got = read(fd, said + n, size - 1 - n);

        assert_true(got > 0);
        n += (size_t)got;
        said[n] = '\0';
        end = strstr(said, "<end>");
    } while (end == NULL);
    *end = '\0';
}

/* What a piece of work of 200 steps leaves on standard error, with a log line in its middle. */
static const char *run_work(int error_fd, int read_fd)
{
    static char said[4096];
    int kept = dup(STDERR_FILENO);
    struct progress p;

    assert_true(dup2(error_fd, STDERR_FILENO) >= 0);
    progress_start(&p, "working", 200);
    progress_step(&p, 50);
    progress_add(&p, 50); /* too soon to be drawn again */
    log_info("test", "half key=%s", "a\nb");
    p.drawn_ms = 1; /* as if time had passed */
    progress_add(&p, 1000);
    progress_end(&p);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    assert_int_equal(write(error_fd, "<end>", 5), 5);
    read_until_end(read_fd, said, sizeof(said));
    return said;
}

static void progress_is_drawn_on_a_terminal(void **state)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY), fd;
    const char *said, *line;

    (void)state;
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    fd = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(fd >= 0);
    said = run_work(fd, terminal);
    assert_memory_equal(said, "\rworking … 25 %\033[K\r\033[K", 24);
    line = strstr(said, "info  test: half key=a b");
    assert_non_null(line);
    assert_string_equal(strstr(line, "\r\n"), "\r\n\rworking … 100 %\033[K\r\033[K");
    close(fd);
    close(terminal);
}

static void progress_is_silent_in_a_pipe(void **state)
{
    const char *said;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    said = run_work(ends[1], ends[0]);
    assert_null(strstr(said, "working"));
    assert_null(strchr(said, '\033'));
    assert_non_null(strstr(said, "info  test: half key=a b\n"));
    assert_int_equal(strchr(said, '\n')[1], '\0');
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_is_drawn_on_a_terminal),
        cmocka_unit_test(progress_is_silent_in_a_pipe),
    };

    unsetenv("JOURNAL_STREAM");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
