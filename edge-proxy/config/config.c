/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads the file, then looks for what the table cannot see: names that refer to each other, and
 * numbers that must agree. */
#include "edge-proxy/config/config_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEFAULT_MAX_OBJECT = 16 << 20, DEFAULT_CHECK_MS = 1000 };

static const char *addr_name(struct check *k, const struct addr *a)
{
    char buf[ADDR_TEXT];
    const char *text = addr_format(a, buf);

    return arena_strndup(k->arena, text, strlen(text));
}

static void check_listeners(struct check *k)
{
    const struct config *c = k->config;
    struct conf_index seen = {0};

    for (size_t i = 0; i < c->n_listeners; i++) {
        const struct config_listener *l = &c->listeners[i];
        const char *name = addr_name(k, &l->address);
        size_t before;

        if (l->is_tls && c->tls.n_certificates == 0 && c->tls.folder == NULL)
            conf_error(k->f, l->place, "listen: %s speaks TLS, but tls has no certificates", name);
        if (l->address.length == 0)
            continue;
        before = conf_index_put(&seen, name, i);
        if (before != CONF_NONE)
            conf_error(k->f, l->place, "listen: %s stands here twice, first in line %u", name,
                       c->listeners[before].place.line);
    }
    conf_index_free(&seen);
}

static uint64_t physical_bytes(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static const char *beside(struct arena *a, const char *path)
{
    size_t n = strlen(path) + sizeof(".purges");
    char *out = arena_alloc(a, n);

    snprintf(out, n, "%s.purges", path);
    return out;
}

static void finish_disk(struct check *k)
{
    enum { INDEX_BYTES = 20 };
    struct config_disk *disk = &k->config->cache.disk;
    const char *slash;
    struct stat st;
    char *folder;

    if (disk->path == NULL)
        return;
    if (k->config->cache.memory_bytes == 0)
        conf_warn(k->f, disk->place, "disk is never used with memory: off");
    if (disk->purges_path == NULL && strncmp(disk->path, "/dev/", 5) == 0)
        conf_error(k->f, disk->place, "a device needs purges: a file on another disk");
    if (disk->purges_path == NULL)
        disk->purges_path = beside(k->arena, disk->path);
    slash = strrchr(disk->path, '/');
    folder = base_strndup(disk->path, (size_t)(slash - disk->path) + 1);
    if (stat(folder, &st) != 0)
        conf_error(k->f, disk->place, "file: %s: %s", folder, strerror(errno));
    if (disk->bytes / disk->record_bytes > physical_bytes() / 2 / INDEX_BYTES)
        conf_error(k->f, disk->place,
                   "the index of %llu responses would take more than half of this machine's "
                   "memory; a larger object-size makes it smaller",
                   (unsigned long long)(disk->bytes / disk->record_bytes));
    free(folder);
}

static void finish_cache(struct check *k)
{
    struct config_cache *cache = &k->config->cache;
    char object[TEXT_SHORT], half[TEXT_SHORT];

    finish_disk(k);
    if (cache->memory_bytes == 0) {
        if (cache->max_object_bytes != 0)
            conf_warn(k->f, k->file->object_place, "max-object is never used with memory: off");
        return;
    }
    if (cache->max_object_bytes == 0)
        cache->max_object_bytes = cache->memory_bytes / 2 < DEFAULT_MAX_OBJECT
                                      ? cache->memory_bytes / 2
                                      : DEFAULT_MAX_OBJECT;
    if (cache->max_object_bytes > cache->memory_bytes / 2)
        conf_error(k->f, k->file->object_place, "max-object: %s is more than half of memory (%s)",
                   text_format_bytes(cache->max_object_bytes, object),
                   text_format_bytes(cache->memory_bytes / 2, half));
}

static void finish_limits(struct check *k)
{
    struct config_limits *l = &k->config->limits;

    if (l->buffer_bytes == 0)
        l->buffer_bytes = physical_bytes() / 2;
    if (l->target_connections == 0)
        l->target_connections = l->max_connections / 4 * 3 + l->max_connections % 4 * 3 / 4;
    if (l->target_connections == 0)
        l->target_connections = 1;
    if (l->target_connections > l->max_connections)
        conf_error(k->f, k->file->target_place,
                   "target-connections: %u is more than max-connections (%u)",
                   l->target_connections, l->max_connections);
}

/* A listener may leave its port to the kernel; whom we connect to may not. */
static void check_port(struct check *k, const struct addr *a, struct place at)
{
    if (a->length != 0 && addr_port(a) == 0)
        conf_error(k->f, at, "address: nobody can be reached at port 0");
}

static void check_servers(struct check *k)
{
    struct config_control *c = &k->config->control;
    struct config_peer *servers = (struct config_peer *)c->servers; /* the arena's */
    struct conf_index seen = {0};
    struct place at = c->n_servers > 0 ? k->file->server_places[0] : c->tls_place;

    for (size_t i = 0; i < c->n_servers; i++) {
        const char *address = addr_name(k, &servers[i].address);

        check_port(k, &servers[i].address, k->file->server_places[i]);
        if (servers[i].name == NULL)
            servers[i].name = address;
        if (servers[i].address.length != 0 && conf_index_put(&seen, address, i) != CONF_NONE)
            conf_error(k->f, k->file->server_places[i], "servers: %s stands here twice", address);
    }
    conf_index_free(&seen);
    if (c->n_servers == 0)
        return;
    if (c->certificate_path == NULL)
        conf_error(k->f, at, "control has servers, so 'certificate' is required");
    if (c->key_path == NULL)
        conf_error(k->f, at, "control has servers, so 'key' is required");
    if (c->ca_path == NULL)
        conf_error(k->f, at, "control has servers, so 'ca' is required");
}

static void finish_check(struct check *k, struct config_check *check, struct place place)
{
    if (check->timeout_ms == 0)
        check->timeout_ms =
            check->interval_ms < DEFAULT_CHECK_MS ? check->interval_ms : DEFAULT_CHECK_MS;
    if (check->timeout_ms > check->interval_ms)
        conf_error(k->f, place, "check: timeout (%ums) is longer than interval (%ums)",
                   check->timeout_ms, check->interval_ms);
    if ((check->body != NULL || check->body_pattern != NULL) &&
        (check->path == NULL || strcmp(check->method, "HEAD") == 0))
        conf_error(k->f, place,
                   "check: no answer has a body to look into %s; add a path, or use GET",
                   check->path == NULL ? "without a path" : "by HEAD");
}

static void finish_balance(struct config_balance *b)
{
    config_split_key(b->hash_key != NULL ? b->hash_key : "path", &b->key, &b->key_name);
}

/* An address is written in one way only, so that no other is taken for another origin. */
static void take_address(struct check *k, struct config_origin *o)
{
    const char *colon;
    uint64_t number;

    if (addr_parse(str_of(o->name), 0, &o->address)) {
        o->name = addr_name(k, &o->address);
        check_port(k, &o->address, o->place);
        return;
    }
    o->name = config_lower_case(k, o->name);
    colon = strrchr(o->name, ':');
    ensure(colon != NULL && text_parse_u64(str_of(colon + 1), &number));
    o->port = (uint16_t)number;
    o->host = arena_strndup(k->arena, o->name, (size_t)(colon - o->name));
}

static void build_pool(struct check *k, const struct file_pool *from, struct config_pool *out)
{
    struct config_origin *origins = (struct config_origin *)from->origins; /* the arena's */
    struct conf_index seen = {0};
    size_t n_places = 0;

    *out = from->pool;
    k->config->has_send_proxy |= out->send_proxy != 0;
    out->is_limited = out->max_requests != 0;
    out->origins = origins;
    out->n_origins = from->n_origins;
    for (size_t i = 0; i < from->n_origins; i++) {
        if (origins[i].name == NULL)
            continue;
        take_address(k, &origins[i]);
        out->is_limited |= origins[i].max_requests != 0;
        n_places += origins[i].resolve == CONFIG_RESOLVE_ALL && origins[i].host != NULL
                        ? origins[i].max_addresses
                        : 1;
        if (conf_index_put(&seen, origins[i].name, i) != CONF_NONE)
            conf_error(k->f, from->origin_places[i],
                       "origins: %s stands here twice; give it a "
                       "weight instead",
                       origins[i].name);
    }
    conf_index_free(&seen);
    if (n_places > CONFIG_POOL_PLACES)
        conf_error(k->f, from->place,
                   "pool '%s': with max-addresses for each name, %zu origins; %d are possible",
                   out->name, n_places, CONFIG_POOL_PLACES);
    finish_balance(&out->balance);
    if ((out->tls.certificate_path == NULL) != (out->tls.key_path == NULL))
        conf_error(k->f, out->tls.place, "tls: certificate and key go together");
    finish_check(k, &out->check, from->check_place);
}

static void build_pools(struct check *k)
{
    const struct file *file = k->file;
    struct config_pool *pools = arena_zalloc(k->arena, file->n_pools * sizeof(*pools));

    for (size_t i = 0; i < file->n_pools; i++) {
        build_pool(k, &file->pools[i], &pools[i]);
        conf_index_put(&k->pools, pools[i].name, i);
    }
    k->config->pools = pools;
    k->is_used = arena_zalloc(k->arena, file->n_pools);
    k->config->n_pools = file->n_pools;
}

static void warn_unused_pools(struct check *k)
{
    for (size_t i = 0; i < k->file->n_pools; i++)
        if (!k->is_used[i])
            conf_warn(k->f, k->file->pools[i].place, "pool '%s' is used by no route",
                      k->config->pools[i].name);
}

static void finish_access_log(struct check *k)
{
    struct config *c = k->config;

    if (strcmp(c->access_log_path, "off") == 0)
        c->access_log_path = NULL;
    else if (strcmp(c->access_log_path, "stdout") == 0)
        c->access_log_path = "-";
    else
        c->access_log_path = conf_path(k->f, str_of(c->access_log_path));
}

static void build(struct check *k)
{
    check_listeners(k);
    finish_cache(k);
    finish_limits(k);
    finish_access_log(k);
    check_servers(k);
    build_pools(k);
    config_build_sites(k);
    warn_unused_pools(k);
    conf_index_free(&k->pools);
}

struct config *config_load(const char *path, struct errors *errors)
{
    struct file file = {0};
    struct config *c = base_zalloc(1, sizeof(*c));
    size_t n_before = errors->n_errors;
    struct check k = {.file = &file, .config = c};
    struct arena arena;

    arena_init(&arena, 0);
    k.arena = &arena;
    k.f = conf_open(path, &arena, errors);
    if (k.f != NULL) {
        conf_fill(k.f, &config_schema, &file);
        *c = file.config;
        c->path = arena_strndup(&arena, path, strlen(path));
        build(&k);
        conf_close(k.f);
    }
    c->arena = arena;
    if (errors->n_errors == n_before)
        return c;
    config_free(c);
    return NULL;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    arena_free(&c->arena);
    free(c);
}

void config_describe(struct text *out)
{
    conf_describe(&config_schema, out);
}
