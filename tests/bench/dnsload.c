/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dnsload -p PORT -f QUERIES [-a ADDRESS] [-w WINDOW | -r RATE] [-d SECONDS] [-u WARM-UP]
 *         [-P PID,…] [-R RCODE] [-A ANSWERS] [-S]
 *
 * Asks a DNS server over UDP and checks every reply: its id, that it answers and repeats the
 * question and, with -R and -A, its rcode and the least number of answer records.
 *   -a  where it is, an IPv4 address (127.0.0.1)
 *   -f  records of a 16-bit little-endian length and a message in wire format
 *   -w  closed loop: so many queries are outstanding at any time (128). What the server can do.
 *   -r  open loop: so many queries per second on a fixed schedule. A reply's latency counts from
 *       when its query was due, so that a stall is not hidden by the load waiting for it.
 *   -S  each query comes from a random address of 127.0.0.0/8
 *   -P  the server's processes, whose CPU time is measured
 * Prints one JSON object.
 */
#include "tests/bench/tool.h"

#include "common/text/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH = 64,
    IDS = 65536,
    HEADER = 12, /* of a DNS message */
    REPLY_MAX = 4096,
    BUFFER = 4 << 20,
    QUERIES_MAX_BYTES = 256 << 20,
    TIMEOUT_NS = TOOL_NS_PER_S / 2,
    GIVE_UP_EVERY_NS = TOOL_NS_PER_S / 50,
};

struct query {
    uint8_t *bytes; /* its id is written in place */
    uint16_t n, question_bytes;
};

/* A query under way; due_ns 0: none has this id. */
struct flight {
    uint64_t due_ns;
    uint32_t query;
};

struct options {
    struct in_addr address;
    uint16_t port;
    const char *queries_path;
    uint32_t window, rate;
    double seconds, warm_up_seconds;
    int rcode; /* -1: any */
    unsigned answers;
    bool spreads_sources;
    struct pids server;
};

struct load {
    struct options options;
    int fd;
    struct sockaddr_in server;
    struct query *queries;
    uint32_t n_queries, next_query;
    struct flight flights[IDS];
    uint16_t next_id, oldest_id;
    uint32_t in_flight;
    uint64_t start_ns, from_ns, to_ns; /* measured: from .. to */
    uint64_t n_sent, n_due, n_answered, n_received, n_lost, n_wrong, n_bytes;
    struct histogram latency;
};

static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_iov[BATCH], in_iov[BATCH];
static uint8_t replies[BATCH][REPLY_MAX];
static union {
    char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct cmsghdr align;
} controls[BATCH];

static void read_options(int argc, char **argv, struct options *o)
{
    int c;

    *o = (struct options){.window = 128, .seconds = 2, .warm_up_seconds = 0.3, .rcode = -1};
    while ((c = getopt(argc, argv, "a:p:f:w:r:d:u:P:R:A:S")) != -1) {
        if (c == 'a' && inet_pton(AF_INET, optarg, &o->address) != 1)
            tool_die("%s is not an IPv4 address", optarg);
        else if (c == 'a')
            continue;
        else if (c == 'p')
            o->port = (uint16_t)tool_number(optarg, 1, 65535);
        else if (c == 'f')
            o->queries_path = optarg;
        else if (c == 'w')
            o->window = (uint32_t)tool_number(optarg, 1, IDS / 2);
        else if (c == 'r')
            o->rate = (uint32_t)tool_number(optarg, 1, 10000000);
        else if (c == 'd')
            o->seconds = tool_seconds(optarg);
        else if (c == 'u')
            o->warm_up_seconds = tool_seconds(optarg);
        else if (c == 'P')
            tool_parse_pids(optarg, &o->server);
        else if (c == 'R')
            o->rcode = (int)tool_number(optarg, 0, 15);
        else if (c == 'A')
            o->answers = (unsigned)tool_number(optarg, 0, 100);
        else if (c == 'S')
            o->spreads_sources = true;
        else
            exit(2);
    }
    errno = 0;
    if (o->port == 0 || o->queries_path == NULL || optind != argc)
        tool_die(
            "usage: dnsload -p PORT -f QUERIES [-a ADDRESS] [-w WINDOW | -r RATE] [-d SECONDS] …");
}

/* Where the question ends: its name, type and class (RFC 1035 section 4.1.2). */
static uint16_t measure_question(const uint8_t *message, size_t n)
{
    size_t at = HEADER;

    while (at < n && message[at])
        at += message[at] + 1u;
    if (at + 5 > n)
        tool_die("a query without a question");
    return (uint16_t)(at + 5 - HEADER);
}

static void load_queries(struct load *l)
{
    char *file;
    size_t bytes, cap = 0;

    if (has_failed(text_read_file(l->options.queries_path, QUERIES_MAX_BYTES, &file, &bytes)))
        tool_die("cannot read %s", l->options.queries_path);
    for (size_t at = 0; at + 2 <= bytes;) {
        uint8_t *p = (uint8_t *)file + at;
        size_t n = (size_t)(p[0] | p[1] << 8);

        if (at + 2 + n > bytes)
            tool_die("%s is cut off", l->options.queries_path);
        if (l->n_queries == cap)
            l->queries = base_realloc(l->queries, (cap = 2 * cap + 1024) * sizeof(*l->queries));
        l->queries[l->n_queries++] = (struct query){p + 2, (uint16_t)n, measure_question(p + 2, n)};
        at += 2 + n;
    }
    if (l->n_queries < BATCH)
        tool_die("%s: at least %d queries are needed", l->options.queries_path, BATCH);
    l->next_query = tool_random() % l->n_queries;
}

static void open_socket(struct load *l)
{
    int buffer = BUFFER;
    struct sockaddr_in any = {.sin_family = AF_INET};
    const struct sockaddr *server = (const struct sockaddr *)&l->server;

    l->server = tool_loopback(l->options.port);
    if (l->options.address.s_addr != 0)
        l->server.sin_addr = l->options.address;
    l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    if (l->options.spreads_sources ? bind(l->fd, (struct sockaddr *)&any, sizeof(any))
                                   : connect(l->fd, server, sizeof(l->server)))
        tool_die("cannot reach port %u", l->options.port);
}

static void prepare_control(struct load *l, size_t i)
{
    struct cmsghdr *c = &controls[i].align;

    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo));
    out[i].msg_hdr.msg_name = &l->server;
    out[i].msg_hdr.msg_namelen = sizeof(l->server);
    out[i].msg_hdr.msg_control = controls[i].bytes;
    out[i].msg_hdr.msg_controllen = sizeof(controls[i].bytes);
}

static void prepare_messages(struct load *l)
{
    for (size_t i = 0; i < BATCH; i++) {
        in_iov[i] = (struct iovec){replies[i], REPLY_MAX};
        in[i].msg_hdr.msg_iov = &in_iov[i];
        in[i].msg_hdr.msg_iovlen = 1;
        out[i].msg_hdr.msg_iov = &out_iov[i];
        out[i].msg_hdr.msg_iovlen = 1;
        if (l->options.spreads_sources)
            prepare_control(l, i);
    }
}

static void choose_source(size_t i)
{
    struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(&controls[i].align);
    uint32_t host = tool_random() & 0xffffff;

    info->ipi_spec_dst.s_addr = htonl(127u << 24 | (host ? host : 1));
}

static bool is_measured(const struct load *l, uint64_t ns)
{
    return ns >= l->from_ns && ns < l->to_ns;
}

/* When the next query is due: now in a closed loop, on the schedule in an open one. */
static uint64_t due_at(const struct load *l, uint64_t now)
{
    if (l->options.rate == 0)
        return now;
    return l->start_ns + l->n_sent * TOOL_NS_PER_S / l->options.rate;
}

static uint32_t count_due(const struct load *l, uint64_t now)
{
    uint64_t due;

    if (l->options.rate == 0)
        due = l->options.window - l->in_flight;
    else
        due = (now - l->start_ns) * l->options.rate / TOOL_NS_PER_S + 1 - l->n_sent;
    if (due > IDS / 2 - l->in_flight)
        due = IDS / 2 - l->in_flight;
    return due > BATCH ? BATCH : (uint32_t)due;
}

static void send_queries(struct load *l, uint64_t now)
{
    uint32_t n = count_due(l, now), first = l->next_query;
    int sent;

    for (uint32_t i = 0; i < n; i++) {
        struct query *q = &l->queries[(first + i) % l->n_queries];
        uint16_t id = (uint16_t)(l->next_id + i);

        q->bytes[0] = (uint8_t)(id >> 8);
        q->bytes[1] = (uint8_t)id;
        out_iov[i] = (struct iovec){q->bytes, q->n};
        if (l->options.spreads_sources)
            choose_source(i);
    }
    sent = n ? sendmmsg(l->fd, out, n, MSG_DONTWAIT) : 0;
    for (int i = 0; i < sent; i++) {
        uint64_t due = due_at(l, now);

        l->flights[l->next_id++] = (struct flight){due, l->next_query};
        l->next_query = (l->next_query + 1) % l->n_queries;
        l->n_sent++;
        l->in_flight++;
        l->n_due += is_measured(l, due);
    }
}

static bool is_right(const struct load *l, const struct query *q, const uint8_t *reply, size_t n)
{
    if (n < HEADER + (size_t)q->question_bytes ||
        memcmp(reply + HEADER, q->bytes + HEADER, q->question_bytes) != 0)
        return false;
    if (l->options.rcode >= 0 && (reply[3] & 15) != l->options.rcode)
        return false;
    return (unsigned)(reply[6] << 8 | reply[7]) >= l->options.answers;
}

static void take_reply(struct load *l, const uint8_t *reply, size_t n, uint64_t now)
{
    struct flight *f;

    if (n < HEADER || (reply[2] & 0x80) == 0)
        return;
    f = &l->flights[reply[0] << 8 | reply[1]];
    if (f->due_ns == 0) /* was given up */
        return;
    if (is_measured(l, now)) {
        l->n_answered++;
        l->n_bytes += n;
    }
    if (is_measured(l, f->due_ns)) {
        l->n_received++;
        histogram_add(&l->latency, now > f->due_ns ? now - f->due_ns : 0);
    }
    l->n_wrong += !is_right(l, &l->queries[f->query], reply, n);
    f->due_ns = 0;
    l->in_flight--;
}

static void receive_replies(struct load *l)
{
    int n = recvmmsg(l->fd, in, BATCH, MSG_DONTWAIT, NULL);
    uint64_t now = tool_now_ns();

    for (int i = 0; i < n; i++)
        take_reply(l, replies[i], in[i].msg_len, now);
}

/* In the order of their ids, which is the order of sending. */
static void give_up_old(struct load *l, uint64_t now)
{
    while (l->oldest_id != l->next_id) {
        struct flight *f = &l->flights[l->oldest_id];

        if (f->due_ns) {
            if (now < f->due_ns + TIMEOUT_NS)
                return;
            f->due_ns = 0;
            l->in_flight--;
            l->n_lost++;
        }
        l->oldest_id++;
    }
}

static void run(struct load *l, struct usage *from, struct usage *to)
{
    uint64_t now = tool_now_ns(), next_give_up = now + GIVE_UP_EVERY_NS;
    bool has_begun = false, has_ended = false;

    l->start_ns = now;
    l->from_ns = now + (uint64_t)(l->options.warm_up_seconds * TOOL_NS_PER_S);
    l->to_ns = l->from_ns + (uint64_t)(l->options.seconds * TOOL_NS_PER_S);
    while (!has_ended || (l->in_flight && now < l->to_ns + TIMEOUT_NS)) {
        now = tool_now_ns();
        if (!has_begun && now >= l->from_ns) {
            usage_read(&l->options.server, from);
            has_begun = true;
        }
        if (!has_ended && now >= l->to_ns) {
            usage_read(&l->options.server, to);
            has_ended = true;
        }
        if (!has_ended)
            send_queries(l, now);
        receive_replies(l);
        if (now >= next_give_up) {
            give_up_old(l, now);
            next_give_up = now + GIVE_UP_EVERY_NS;
        }
    }
}

int main(int argc, char **argv)
{
    struct load *l = base_zalloc(1, sizeof(*l));
    struct usage from, to;

    read_options(argc, argv, &l->options);
    load_queries(l);
    open_socket(l);
    prepare_messages(l);
    run(l, &from, &to);
    printf("{\"answers\":%lu,\"lost\":%lu,\"wrong\":%lu,\"bytes\":%.0f", l->n_answered,
           l->n_due - l->n_received, l->n_wrong,
           l->n_answered ? (double)l->n_bytes / (double)l->n_answered : 0);
    usage_print(&from, &to, l->n_answered);
    histogram_print(&l->latency);
    printf("}\n");
    return 0;
}
