/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames live in one piece of memory (UMEM) shared with the kernel. The first half is lent to it
 * to receive into; the second half is ours to answer from. A query is read where it was received,
 * its answer is written into a frame of the second half, and both frames go back to their half.
 */
#include "gslb-dns/xdp/xdp_internal.h"

#include <errno.h>
#include <linux/if_link.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xdp/xsk.h>

enum {
    BATCH = 64,
    FRAME_BYTES = 4096, /* any answer of udp-payload-size with its headers */
    FRAMES = 1024,      /* in each half */
    UMEM_BYTES = 2 * FRAMES * FRAME_BYTES,
    SEND_TRIES = 16,
    BUSY_TRIES = 50, /* a second in all */
    BUSY_PAUSE_NS = 20 * 1000 * 1000,
    AGAIN_MS = 10,        /* when the link is down or its queue full */
    DRAIN_BATCHES = 4096, /* a flood must not keep a worker from stopping */
};

struct queue {
    struct queue_settings settings;
    char name[16];
    void *area;
    struct xsk_umem *umem;
    struct xsk_socket *socket;
    struct xsk_ring_prod fill, send;
    struct xsk_ring_cons completion, received;
    int stop;                   /* an eventfd */
    bool is_started, is_behind; /* frames wait to be sent that the kernel would not take */
    pthread_t thread;
    void *context;
    struct metrics_block *counters;
    struct packet_style style;
    uint64_t free_frames[FRAMES];
    uint32_t n_free;
    struct packet packets[BATCH];
    struct answer_query queries[BATCH];
    uint64_t frames[BATCH]; /* for the answers */
};

/* ---- one batch ---- */

static void take_completed(struct queue *q)
{
    uint32_t at = 0, n = xsk_ring_cons__peek(&q->completion, FRAMES, &at);

    for (uint32_t i = 0; i < n; i++)
        q->free_frames[q->n_free++] = *xsk_ring_cons__comp_addr(&q->completion, at + i);
    xsk_ring_cons__release(&q->completion, n);
}

/* Copied mode sends within the call, a few frames at a time; a driver that sends by itself needs
 * it only when it says so. */
static void kick_send(struct queue *q)
{
    q->is_behind = false;
    for (int i = 0; i < SEND_TRIES && xsk_ring_prod__needs_wakeup(&q->send); i++) {
        q->is_behind = sendto(xsk_socket__fd(q->socket), NULL, 0, MSG_DONTWAIT, NULL, 0) < 0;
        if (!q->is_behind ||
            (errno != EAGAIN && errno != EBUSY && errno != ENOBUFS && errno != EINTR))
            break;
    }
    take_completed(q);
}

static size_t gather_queries(struct queue *q, uint32_t at, uint32_t n_received)
{
    size_t n = 0;

    for (uint32_t i = 0; i < n_received; i++) {
        const struct xdp_desc *d = xsk_ring_cons__rx_desc(&q->received, at + i);
        struct packet *p = &q->packets[n];
        enum xdp_counter verdict = packet_parse(p, xsk_umem__get_data(q->area, d->addr), d->len);
        uint32_t headers, cap;

        if (verdict == XDP_COUNTER_RECEIVED && q->n_free == 0)
            verdict = XDP_COUNTER_SEND;
        if (unlikely(verdict != XDP_COUNTER_RECEIVED)) {
            metrics_add(q->counters, verdict, 1);
            continue;
        }
        headers = packet_headers_bytes(p);
        cap = q->settings.mtu + p->link_bytes;
        cap = (cap < FRAME_BYTES ? cap : FRAME_BYTES) - headers;
        q->frames[n] = q->free_frames[--q->n_free];
        q->queries[n] = (struct answer_query){
            .packet = p->payload,
            .packet_bytes = p->payload_bytes,
            .source = &p->source,
            .out = (uint8_t *)xsk_umem__get_data(q->area, q->frames[n]) + headers,
            .out_cap_bytes = cap};
        n++;
    }
    return n;
}

/* There is always room to send: the ring holds every frame of ours. */
static void send_answers(struct queue *q, size_t n)
{
    uint32_t n_sent = 0, at;

    for (size_t i = 0; i < n; i++) {
        const struct packet *p = &q->packets[i];
        uint32_t bytes = q->queries[i].out_bytes;

        if (bytes == 0) {
            q->free_frames[q->n_free++] = q->frames[i];
            continue;
        }
        q->style.ipv4_id++;
        packet_write_headers(xsk_umem__get_data(q->area, q->frames[i]), p, bytes, &q->style);
        ensure(xsk_ring_prod__reserve(&q->send, 1, &at) == 1);
        *xsk_ring_prod__tx_desc(&q->send, at) =
            (struct xdp_desc){.addr = q->frames[i], .len = packet_headers_bytes(p) + bytes};
        n_sent++;
    }
    xsk_ring_prod__submit(&q->send, n_sent);
    metrics_add(q->counters, XDP_COUNTER_ANSWERED, n_sent);
    kick_send(q);
}

/* Received frames go back to be filled again; the ring holds all of their half. */
static void give_back(struct queue *q, uint32_t at, uint32_t n)
{
    uint32_t to;

    ensure(xsk_ring_prod__reserve(&q->fill, n, &to) == n);
    for (uint32_t i = 0; i < n; i++)
        *xsk_ring_prod__fill_addr(&q->fill, to + i) =
            xsk_ring_cons__rx_desc(&q->received, at + i)->addr & ~(uint64_t)(FRAME_BYTES - 1);
    xsk_ring_prod__submit(&q->fill, n);
    xsk_ring_cons__release(&q->received, n);
}

static bool serve_batch(struct queue *q)
{
    uint32_t at, n_received = xsk_ring_cons__peek(&q->received, BATCH, &at);
    size_t n;

    if (n_received == 0)
        return false;
    metrics_add(q->counters, XDP_COUNTER_RECEIVED, n_received);
    take_completed(q);
    if (unlikely(q->n_free < BATCH))
        kick_send(q);
    n = gather_queries(q, at, n_received);
    if (n > 0) {
        snapshot_enter();
        q->settings.handler->answer(q->context, q->queries, n);
        snapshot_leave();
        send_answers(q, n);
    }
    give_back(q, at, n_received);
    return true;
}

static void *run_queue(void *arg)
{
    struct queue *q = arg;
    struct pollfd polls[] = {{.fd = q->stop, .events = POLLIN},
                             {.fd = xsk_socket__fd(q->socket), .events = POLLIN}};
    int n;

    pthread_setname_np(pthread_self(), q->name);
    snapshot_reader_start();
    for (;;) {
        if (serve_batch(q))
            continue;
        n = poll(polls, COUNT_OF(polls), q->is_behind ? AGAIN_MS : -1);
        if (n <= 0) {
            if (q->is_behind)
                kick_send(q);
            continue;
        }
        if (polls[0].revents != 0)
            break;
        if ((polls[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
            polls[1].fd = -1; /* the interface is gone: wait for the end alone */
    }
    for (int i = 0; i < DRAIN_BATCHES && serve_batch(q); i++)
        continue;
    snapshot_reader_stop();
    return NULL;
}

/* ---- set-up ---- */

static void *map_frames(void)
{
    void *area = mmap(NULL, UMEM_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

    if (area == MAP_FAILED)
        area = mmap(NULL, UMEM_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return area == MAP_FAILED ? NULL : area;
}

static void lend_frames(struct queue *q)
{
    uint32_t at;

    ensure(xsk_ring_prod__reserve(&q->fill, FRAMES, &at) == FRAMES);
    for (uint32_t i = 0; i < FRAMES; i++)
        *xsk_ring_prod__fill_addr(&q->fill, at + i) = (uint64_t)i * FRAME_BYTES;
    xsk_ring_prod__submit(&q->fill, FRAMES);
    for (uint32_t i = 0; i < FRAMES; i++)
        q->free_frames[q->n_free++] = (uint64_t)(FRAMES + i) * FRAME_BYTES;
}

/* What the host's own sockets would send with. */
static uint8_t default_hops(int family, int level, int option)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), hops = 0;
    socklen_t bytes = sizeof(hops);

    if (fd >= 0) {
        (void)getsockopt(fd, level, option, &hops, &bytes);
        close(fd);
    }
    return (uint8_t)(hops > 0 && hops < 256 ? hops : 64);
}

static int open_socket(struct queue *q, const char **what)
{
    const struct xsk_umem_config umem = {
        .fill_size = FRAMES, .comp_size = FRAMES, .frame_size = FRAME_BYTES};
    const struct xsk_socket_config config = {
        .rx_size = FRAMES,
        .tx_size = FRAMES,
        .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
        .bind_flags = (uint16_t)(XDP_USE_NEED_WAKEUP | (q->settings.is_generic ? XDP_COPY : 0))};
    int error;

    *what = "no memory for frames (RLIMIT_MEMLOCK?)";
    q->area = map_frames();
    if (q->area == NULL)
        return -errno;
    error = xsk_umem__create(&q->umem, q->area, UMEM_BYTES, &q->fill, &q->completion, &umem);
    if (error != 0)
        return error;
    *what = "no AF_XDP socket";
    return xsk_socket__create(&q->socket, q->settings.interface, q->settings.number, q->umem,
                              &q->received, &q->send, &config);
}

static void close_socket(struct queue *q)
{
    if (q->socket != NULL)
        xsk_socket__delete(q->socket);
    if (q->umem != NULL)
        (void)xsk_umem__delete(q->umem);
    if (q->area != NULL)
        munmap(q->area, UMEM_BYTES);
    q->socket = NULL, q->umem = NULL, q->area = NULL;
}

/* The kernel frees the receive queue of a socket that was closed a moment later, when its last
 * frames are gone: after a change of mode, or when the process before this one was killed. */
static int open_when_free(struct queue *q, const char **what)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_NS};
    int error;

    for (int i = 0; (error = open_socket(q, what)) == -EBUSY && i < BUSY_TRIES; i++) {
        close_socket(q);
        nanosleep(&pause, NULL);
    }
    return error;
}

struct queue *queue_open(const struct queue_settings *s, int *error, const char **what)
{
    struct queue *q = base_zalloc(1, sizeof(*q));

    q->settings = *s;
    q->stop = -1;
    snprintf(q->name, sizeof(q->name), "dns-xdp-%u", s->number);
    *error = open_when_free(q, what);
    if (*error != 0) {
        queue_close(q);
        return NULL;
    }
    lend_frames(q);
    q->style.ttl = default_hops(AF_INET, IPPROTO_IP, IP_TTL);
    q->style.hop_limit = default_hops(AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
    q->stop = eventfd(0, EFD_CLOEXEC);
    ensure(q->stop >= 0);
    q->counters = metrics_add_block(s->counters);
    q->context = s->handler->open(s->handler->arg, metrics_add_block(s->answers));
    return q;
}

void queue_start(struct queue *q)
{
    q->is_started = true;
    ensure(pthread_create(&q->thread, NULL, run_queue, q) == 0);
}

int queue_fd(const struct queue *q)
{
    return xsk_socket__fd(q->socket);
}

bool queue_is_zero_copy(const struct queue *q)
{
    struct xdp_options options = {0};
    socklen_t bytes = sizeof(options);

    return getsockopt(queue_fd(q), SOL_XDP, XDP_OPTIONS, &options, &bytes) == 0 &&
           (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

uint64_t queue_kernel_drops(const struct queue *q)
{
    struct xdp_statistics s = {0};
    socklen_t bytes = sizeof(s);

    if (getsockopt(queue_fd(q), SOL_XDP, XDP_STATISTICS, &s, &bytes) != 0)
        return 0;
    return s.rx_dropped + s.rx_ring_full;
}

void queue_close(struct queue *q)
{
    uint64_t one = 1;

    if (q->is_started) {
        ensure(write(q->stop, &one, sizeof(one)) == sizeof(one));
        pthread_join(q->thread, NULL);
    }
    if (q->context != NULL)
        q->settings.handler->close(q->context);
    close_socket(q);
    if (q->stop >= 0)
        close(q->stop);
    free(q);
}
