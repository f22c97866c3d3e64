/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools: who may be asked, in which order, and how TLS to them is verified. */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"
#include "common/tls/tls.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Building ---- */

static uint64_t hash_text(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *s != '\0'; s++)
        h = (h ^ (uint8_t)*s) * 0x100000001b3u;
    return h ^ h >> 29;
}

/* A CA file that was replaced is another identity: connections verified by the old one are not
 * used again. */
static void add_ca_identity(struct text *t, const char *path)
{
    struct stat st;

    if (path == NULL || stat(path, &st) != 0)
        return;
    text_addf(t, " ca=%s:%llu:%llu:%lld.%09ld", path, (unsigned long long)st.st_ino,
              (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static char *make_key(const struct config_pool *pool, const struct config_origin *origin)
{
    struct text t = {0};
    char address[ADDR_TEXT];

    text_adds(&t, addr_format(&origin->address, address));
    if (pool->tls.is_on) {
        text_addf(&t, " tls name=%s verify=%d",
                  pool->tls.server_name != NULL ? pool->tls.server_name : "",
                  !pool->tls.is_unverified);
        add_ca_identity(&t, pool->tls.ca_path);
    }
    return t.p;
}

static SSL_CTX *make_ssl_ctx(const struct config_pool *pool, struct errors *errors)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct tls_files files = {.ca_path = pool->tls.ca_path};

    ensure(ctx != NULL && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (!pool->tls.is_unverified)
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (pool->tls.ca_path != NULL) {
        if (!has_failed(tls_load_ca(ctx, &files, errors)))
            return ctx;
        SSL_CTX_free(ctx);
        return NULL;
    }
    ensure(SSL_CTX_set_default_verify_paths(ctx) == 1);
    return ctx;
}

static const struct upstream_pool *find_pool(const struct upstream_pools *all, const char *name)
{
    for (size_t i = 0; all != NULL && i < all->n; i++)
        if (strcmp(all->pools[i].config->name, name) == 0)
            return &all->pools[i];
    return NULL;
}

static const struct upstream_origin *find_same(const struct upstream_pool *p, const char *key)
{
    for (size_t k = 0; p != NULL && k < p->n_origins; k++)
        if (strcmp(p->origins[k].key, key) == 0)
            return &p->origins[k];
    return NULL;
}

static void inherit_state(struct upstream_origin *o, const struct upstream_origin *old,
                          bool is_active)
{
    o->changed_ms = old->changed_ms;
    memcpy(o->reason, old->reason, sizeof(o->reason));
    atomic_store(&o->failures, atomic_load(&old->failures));
    balance_inherit(o->pool->balance, o->index, old->pool->balance, old->index);
    if (!is_active) { /* nobody would ever bring it up again */
        balance_set_down(o->pool->balance, o->index, false, o->changed_ms);
        return;
    }
    o->is_checked = old->is_checked;
    o->run = old->run;
    o->is_run_good = old->is_run_good;
}

/* before: the same pool until now, or NULL. */
static void make_origin(struct upstream_pool *p, size_t i, const struct upstream_pool *before)
{
    struct upstream_origin *o = &p->origins[i];
    const struct upstream_origin *old;

    o->config = &p->config->origins[i];
    o->pool = p;
    o->index = i;
    o->key = make_key(p->config, o->config);
    o->key_hash = hash_text(o->key);
    o->changed_ms = clock_mono_ms();
    balance_set(p->balance, i, hash_text(o->config->name), o->config->weight, o->config->priority);
    old = find_same(before, o->key);
    if (old != NULL)
        inherit_state(o, old, p->config->check.interval_ms != 0);
    else if (before != NULL)
        balance_ramp(p->balance, i, o->changed_ms);
}

static void make_pool(struct upstream_pool *p, const struct config_pool *config,
                      const struct upstream_pool *before, struct errors *errors)
{
    p->config = config;
    p->n_origins = config->n_origins;
    p->origins = base_zalloc(p->n_origins + 1, sizeof(*p->origins));
    p->balance = balance_new(&config->balance, p->n_origins);
    for (size_t k = 0; k < p->n_origins; k++)
        make_origin(p, k, before);
    if (config->tls.is_on)
        p->ssl_ctx = make_ssl_ctx(config, errors);
}

struct upstream_pools *upstream_pools_new(const struct config *config,
                                          const struct upstream_pools *previous,
                                          struct errors *errors)
{
    struct upstream_pools *all = base_zalloc(1, sizeof(*all));
    size_t before = errors->n_errors;

    all->n = config->n_pools;
    all->body_idle_ms = config->limits.body_idle_ms;
    all->tunnel_idle_ms = config->limits.tunnel_idle_ms;
    all->pools = base_zalloc(all->n + 1, sizeof(*all->pools));
    for (size_t i = 0; i < all->n; i++)
        make_pool(&all->pools[i], &config->pools[i], find_pool(previous, config->pools[i].name),
                  errors);
    if (errors->n_errors == before)
        return all;
    upstream_pools_free(all);
    return NULL;
}

void upstream_pools_free(struct upstream_pools *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct upstream_pool *p = &all->pools[i];

        for (size_t k = 0; k < p->n_origins; k++)
            free(p->origins[k].key);
        free(p->origins);
        balance_free(p->balance);
        SSL_CTX_free(p->ssl_ctx);
    }
    free(all->pools);
    free(all);
}

/* ---- Choosing ---- */

struct upstream_origin *pool_pick(struct upstream_worker *u, const struct upstream_request *r)
{
    const struct upstream_pool *p = &r->pools->pools[r->pool];
    int i = balance_pick(p->balance, &u->turns[r->pool],
                         &(struct balance_query){
                             .tried = r->tried,
                             .key = r->key,
                             .has_key = r->has_key,
                             .seed = u->w->index,
                             .now_ms = clock_coarse_ms(),
                         });

    return i < 0 ? NULL : &p->origins[i];
}

void origin_note_failure(struct upstream_origin *o)
{
    uint32_t n = atomic_fetch_add_explicit(&o->failures, 1, memory_order_relaxed) + 1;

    if (n >= UPSTREAM_AVOID_AFTER)
        balance_eject(o->pool->balance, o->index, clock_coarse_ms() + UPSTREAM_AVOID_MS);
}

void origin_note_success(struct upstream_origin *o)
{
    if (atomic_load_explicit(&o->failures, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&o->failures, 0, memory_order_relaxed);
    balance_eject(o->pool->balance, o->index, 0);
}

bool upstream_has_other(const struct upstream_pools *all, uint16_t pool, uint64_t tried)
{
    return balance_has_other(all->pools[pool].balance, tried, clock_coarse_ms());
}

bool upstream_begin_retry(const struct upstream_pools *all, uint16_t pool)
{
    const struct upstream_pool *p = &all->pools[pool];

    return balance_begin_retry(p->balance, &p->config->retry, clock_coarse_ms());
}

void upstream_end_retry(const struct upstream_pools *all, uint16_t pool)
{
    balance_end_retry(all->pools[pool].balance);
}

/* ---- TLS ---- */

static void set_name(SSL *ssl, const char *name, bool is_verified)
{
    struct ip ip;
    bool is_ip = ip_parse(str_of(name), &ip);

    if (!is_ip) /* RFC 6066 section 3: no addresses in SNI */
        (void)SSL_set_tlsext_host_name(ssl, name);
    if (!is_verified)
        return;
    if (is_ip)
        ensure(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1);
    else
        ensure(SSL_set1_host(ssl, name) == 1);
}

SSL *pool_new_ssl(const struct upstream_pool *p, struct str host)
{
    SSL *ssl = SSL_new(p->ssl_ctx);
    char name[256];

    ensure(ssl != NULL);
    SSL_set_connect_state(ssl);
    if (p->config->tls.server_name != NULL) {
        set_name(ssl, p->config->tls.server_name, !p->config->tls.is_unverified);
    } else if (host.n > 0 && host.n < sizeof(name)) {
        if (host.p[0] == '[' && host.n > 2)
            host = (struct str){host.p + 1, host.n - 2};
        memcpy(name, host.p, host.n);
        name[host.n] = '\0';
        set_name(ssl, name, !p->config->tls.is_unverified);
    } else if (!p->config->tls.is_unverified) {
        /* Nothing to verify against: no certificate can match this. */
        ensure(SSL_set1_host(ssl, "name.missing.invalid") == 1);
    }
    return ssl;
}

/* ---- Status ---- */

size_t upstream_count_origins(const struct upstream_pools *all)
{
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        n += all->pools[i].n_origins;
    return n;
}

static bool is_origin_up(const struct upstream_pool *p, const struct upstream_origin *o)
{
    if (p->config->check.interval_ms != 0)
        return !balance_is_down(p->balance, o->index);
    return balance_is_usable(p->balance, o->index, clock_coarse_ms());
}

void upstream_origin_state(const struct upstream_pools *all, size_t i,
                           struct upstream_origin_state *out)
{
    const struct upstream_pool *p = all->pools;
    const struct upstream_origin *o;

    for (; i >= p->n_origins; p++)
        i -= p->n_origins;
    o = &p->origins[i];
    *out = (struct upstream_origin_state){
        .pool = p->config->name,
        .name = o->config->name,
        .is_up = is_origin_up(p, o),
        .reason = o->reason,
        .since_ms = (uint64_t)(clock_mono_ms() - o->changed_ms),
        .connections = balance_in_flight(p->balance, o->index),
        .share_permille = balance_ramp_permille(p->balance, o->index, clock_coarse_ms()),
        .is_panic = balance_is_panicking(p->balance, clock_coarse_ms()),
    };
    if (!out->is_up && p->config->check.interval_ms == 0) {
        int64_t began = balance_ejected_until(p->balance, o->index) - UPSTREAM_AVOID_MS;

        out->reason = "connect failed";
        out->since_ms = (uint64_t)(clock_coarse_ms() - began);
    }
}

bool upstream_is_pool_up(const struct upstream_pools *all, uint16_t pool)
{
    const struct upstream_pool *p = &all->pools[pool];

    for (size_t i = 0; i < p->n_origins; i++)
        if (is_origin_up(p, &p->origins[i]))
            return true;
    return false;
}
