/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tool: what the load generators, the floors and the origin of `make bench` share: a clock, a
 * histogram, the CPU time of the server under test, loopback sockets, HTTP answers made in advance.
 */
#ifndef TESTS_BENCH_TOOL_H
#define TESTS_BENCH_TOOL_H

#include "common/base/base.h"

#include <netinet/in.h>
#include <sys/types.h>

enum { TOOL_NS_PER_S = 1000000000, TOOL_PIDS_MAX = 64 };

uint64_t tool_now_ns(void);
/* Ends the program; errno's text is added when it is set. */
void tool_die(const char *fmt, ...) PRINTF_LIKE(1, 2) NORETURN;
/* An option's value; ends the program when it is not a number from min to max. */
uint64_t tool_number(const char *text, uint64_t min, uint64_t max);
double tool_seconds(const char *text);
uint32_t tool_random(void);

/* Durations from nanoseconds to minutes, 64 steps to each doubling: off by 1.6 % at most. */
enum { HISTOGRAM_STEPS = 64 };
struct histogram {
    uint64_t counts[64 * HISTOGRAM_STEPS];
    uint64_t n;
};
void histogram_add(struct histogram *h, uint64_t ns);
double histogram_percentile_us(const struct histogram *h, double share);

/* The processes whose CPU time is measured. */
struct pids {
    pid_t items[TOOL_PIDS_MAX];
    size_t n;
};
/* "123,456" */
void tool_parse_pids(const char *text, struct pids *out);

/* CPU time so far: of the server, of this program, and of whatever ran on the server's core. */
struct usage {
    uint64_t at_ns;
    uint64_t server_ns, server_user_ns, self_ns, core_ns;
};
void usage_read(const struct pids *server, struct usage *out);
/* What both load generators report, as members of a JSON object, a comma before each. */
void usage_print(const struct usage *from, const struct usage *to, uint64_t answers);
void histogram_print(const struct histogram *h);

struct sockaddr_in tool_loopback(uint16_t port);
int tool_listen(uint16_t port);
/* Registers (EPOLL_CTL_ADD) or changes what epoll reports for fd. */
void tool_watch(int epoll_fd, int operation, int fd, uint32_t events, void *arg);

/* The pages that origin and floor serve, /1k, /64k and /1m, as complete HTTP answers. */
struct page {
    char *bytes;
    size_t n;
};
struct page page_make(size_t body_bytes, const char *cache_control);
/* 0, 1, 2 for a request for /1k, /64k, /1m; a wrong one for anything else. */
static inline unsigned page_index(const char *request)
{
    if (request[5] == '6')
        return 1;
    return request[6] == 'm' ? 2 : 0;
}
extern const size_t page_bytes[3];

#endif
