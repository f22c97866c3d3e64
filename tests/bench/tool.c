/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bench/tool.h"

#include "common/text/text.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

const size_t page_bytes[3] = {1 << 10, 64 << 10, 1 << 20};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * TOOL_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t tool_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void tool_die(const char *fmt, ...)
{
    int error = errno;
    va_list args;

    va_start(args, fmt);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", error ? ": " : "", error ? strerror(error) : "");
    exit(1);
}

uint64_t tool_number(const char *text, uint64_t min, uint64_t max)
{
    uint64_t value;

    errno = 0;
    if (!text_parse_u64(str_of(text), &value) || value < min || value > max)
        tool_die("'%s' is not a number from %lu to %lu", text, min, max);
    return value;
}

double tool_seconds(const char *text)
{
    double value;

    errno = 0;
    if (!text_parse_double(str_of(text), &value) || value < 0 || value > 600)
        tool_die("'%s' is not a number of seconds up to 600", text);
    return value;
}

uint32_t tool_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

/* The highest bit and the six below it: one by one up to 127, by twos up to 255, and so on. */
void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned shift = ns < HISTOGRAM_STEPS ? 0 : 57 - (unsigned)__builtin_clzll(ns);

    h->counts[shift * HISTOGRAM_STEPS + (ns >> shift)]++;
    h->n++;
}

double histogram_percentile_us(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)h->n), seen = 0;

    for (size_t i = 0; i < COUNT_OF(h->counts); i++) {
        seen += h->counts[i];
        if (seen > wanted) {
            size_t octave = i < 2 * HISTOGRAM_STEPS ? 0 : i / HISTOGRAM_STEPS - 1;

            return (double)((uint64_t)(i - octave * HISTOGRAM_STEPS) << octave) / 1e3;
        }
    }
    return 0;
}

void tool_parse_pids(const char *text, struct pids *out)
{
    while (*text) {
        size_t n = strcspn(text, ",");
        uint64_t pid;

        errno = 0;
        if (out->n == COUNT_OF(out->items) || !text_parse_u64((struct str){text, n}, &pid))
            tool_die("'%s' is not a list of at most %d process ids", text, TOOL_PIDS_MAX);
        out->items[out->n++] = (pid_t)pid;
        text += n + (text[n] == ',');
    }
}

/* A file of /proc into buf, terminated; empty when the process or thread is gone. */
static void read_proc(const char *path, char *buf, size_t cap)
{
    FILE *f = fopen(path, "re");
    size_t n = 0;

    if (f) {
        n = fread(buf, 1, cap - 1, f);
        fclose(f);
    }
    buf[n] = '\0';
}

/* The first number of each thread's schedstat: nanoseconds on a CPU. */
static uint64_t threads_ns(pid_t pid)
{
    char path[96], buf[128];
    uint64_t total = 0;
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
        read_proc(path, buf, sizeof(buf));
        total += strtoull(buf, NULL, 10);
    }
    if (dir)
        closedir(dir);
    return total;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
    return ticks * (TOOL_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* utime, the twelfth field behind the command's name. */
static uint64_t user_ns(pid_t pid)
{
    char path[64], buf[1024];
    const char *p;
    unsigned long ticks = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    read_proc(path, buf, sizeof(buf));
    p = strrchr(buf, ')');
    if (p == NULL || sscanf(p + 2, "%*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu", &ticks) != 1)
        return 0;
    return ticks_to_ns(ticks);
}

/* Everything but idle and iowait on the first CPU that the server may use. */
static uint64_t core_ns(const struct pids *server)
{
    char buf[16384], name[16];
    unsigned long user, nice, system, irq, softirq;
    const char *p;
    cpu_set_t cpus;
    int cpu = 0;

    if (server->n == 0 || sched_getaffinity(server->items[0], sizeof(cpus), &cpus))
        return 0;
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &cpus))
        cpu++;
    snprintf(name, sizeof(name), "\ncpu%d ", cpu);
    read_proc("/proc/stat", buf, sizeof(buf));
    p = strstr(buf, name);
    if (p == NULL || sscanf(p + strlen(name), "%lu %lu %lu %*u %*u %lu %lu", &user, &nice, &system,
                            &irq, &softirq) != 5)
        return 0;
    return ticks_to_ns(user + nice + system + irq + softirq);
}

void usage_read(const struct pids *server, struct usage *out)
{
    *out = (struct usage){0};
    for (size_t i = 0; i < server->n; i++) {
        out->server_ns += threads_ns(server->items[i]);
        out->server_user_ns += user_ns(server->items[i]);
    }
    out->self_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    out->core_ns = core_ns(server);
    out->at_ns = tool_now_ns();
}

void usage_print(const struct usage *from, const struct usage *to, uint64_t answers)
{
    double wall = (double)(to->at_ns - from->at_ns);
    double server = (double)(to->server_ns - from->server_ns);
    double per_answer = 1e3 * (double)(answers ? answers : 1);

    printf(",\"seconds\":%.3f,\"per_second\":%.0f,\"cpu_us\":%.4f,\"user_us\":%.3f",
           wall / TOOL_NS_PER_S, (double)answers / wall * TOOL_NS_PER_S, server / per_answer,
           (double)(to->server_user_ns - from->server_user_ns) / per_answer);
    printf(",\"server_share\":%.3f,\"load_share\":%.3f,\"noise\":%.3f", server / wall,
           (double)(to->self_ns - from->self_ns) / wall,
           ((double)(to->core_ns - from->core_ns) - server) / wall);
}

void histogram_print(const struct histogram *h)
{
    printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f", histogram_percentile_us(h, 0.5),
           histogram_percentile_us(h, 0.99), histogram_percentile_us(h, 0.999));
}

struct sockaddr_in tool_loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

int tool_listen(uint16_t port)
{
    struct sockaddr_in at = tool_loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096))
        tool_die("cannot listen on 127.0.0.1:%u", port);
    return fd;
}

void tool_watch(int epoll_fd, int operation, int fd, uint32_t events, void *arg)
{
    struct epoll_event event = {.events = events, .data.ptr = arg};

    if (epoll_ctl(epoll_fd, operation, fd, &event))
        tool_die("epoll_ctl");
}

struct page page_make(size_t body_bytes, const char *cache_control)
{
    char *head = base_printf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Cache-Control: %s\r\nContent-Length: %zu\r\n\r\n",
                             cache_control, body_bytes);
    struct page page = {.n = strlen(head) + body_bytes};

    page.bytes = base_alloc(page.n);
    memset(page.bytes, 'x', page.n);
    memcpy(page.bytes, head, strlen(head));
    free(head);
    return page;
}
