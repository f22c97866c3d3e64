/* SPDX-License-Identifier: BSD-2-Clause */
/* How many connections each client holds, whichever threads they are on. Asked once for each
 * connection that opens or closes, so that a lock costs nothing beside that. */
#include "gslb-dns/stream/stream_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    BUCKETS = 4096,
    SHARE = 8, /* one client may hold an eighth of all connections, … */
    LEAST = 8, /* … and this many in any case */
    TRANSPORTS = ANSWER_HTTPS + 1,
};

struct client {
    LIST_ENTRY(client) link;
    struct ip ip; /* an IPv4 address, an IPv6 /64 */
    size_t n;
};

struct shares {
    pthread_mutex_t lock;
    uint32_t seed;
    size_t n, n_by[TRANSPORTS]; /* written under the lock, read without */
    LIST_HEAD(bucket, client) buckets[BUCKETS];
};

struct shares *shares_new(void)
{
    struct shares *s = base_zalloc(1, sizeof(*s));

    pthread_mutex_init(&s->lock, NULL);
    if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) < 0)
        s->seed = (uint32_t)(uintptr_t)s;
    return s;
}

void shares_free(struct shares *s)
{
    ensure(s->n == 0);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct bucket *bucket_of(struct shares *s, const struct ip *ip)
{
    uint64_t hash = s->seed;

    for (size_t i = 0; i < 8; i++)
        hash = (hash ^ ip->bytes[i]) * 0x9e3779b97f4a7c15u;
    return &s->buckets[hash >> 52 & (BUCKETS - 1)];
}

static struct client *find_client(struct bucket *bucket, const struct ip *ip)
{
    struct client *c;

    LIST_FOREACH(c, bucket, link)
    {
        if (ip_eq(&c->ip, ip))
            return c;
    }
    c = base_zalloc(1, sizeof(*c));
    c->ip = *ip;
    LIST_INSERT_HEAD(bucket, c, link);
    return c;
}

static void add(struct shares *s, enum answer_transport t, size_t by)
{
    __atomic_store_n(&s->n, s->n + by, __ATOMIC_RELAXED);
    __atomic_store_n(&s->n_by[t], s->n_by[t] + by, __ATOMIC_RELAXED);
}

void shares_enter(struct shares *s, enum answer_transport t)
{
    pthread_mutex_lock(&s->lock);
    add(s, t, 1);
    pthread_mutex_unlock(&s->lock);
}

struct client *shares_claim(struct shares *s, const struct addr *peer, uint32_t max_connections)
{
    size_t limit = max_connections / SHARE > LEAST ? max_connections / SHARE : LEAST;
    struct ip ip = addr_ip(peer);
    struct client *c;

    if (ip.family == 6)
        ip_mask(&ip, 64);
    pthread_mutex_lock(&s->lock);
    c = find_client(bucket_of(s, &ip), &ip);
    if (c->n < limit) {
        c->n++;
    } else {
        c = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return c;
}

void shares_return(struct shares *s, struct client *client, enum answer_transport t)
{
    pthread_mutex_lock(&s->lock);
    add(s, t, (size_t)-1);
    if (client != NULL && --client->n == 0) {
        LIST_REMOVE(client, link);
        free(client);
    }
    pthread_mutex_unlock(&s->lock);
}

size_t shares_total(const struct shares *s)
{
    return __atomic_load_n(&s->n, __ATOMIC_RELAXED);
}

size_t shares_of(const struct shares *s, enum answer_transport t)
{
    return __atomic_load_n(&s->n_by[t], __ATOMIC_RELAXED);
}
