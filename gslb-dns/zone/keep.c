/* SPDX-License-Identifier: BSD-2-Clause */
/* Zones that stay as they are, and zones that are not there. */
#include "gslb-dns/zone/zone_internal.h"

#include <string.h>

struct zone *zone_new_unavailable(const char *name, enum zone_absence why)
{
    uint64_t hashes[WIRE_LABELS_MAX + 1];
    struct zone *z = base_zalloc(1, sizeof(*z));
    struct zone_index *x = base_zalloc(1, sizeof(*x));
    struct zone_node *node;

    ensure(wire_name_parse(str_of(name), &z->apex));
    node = base_zalloc(1, sizeof(*node) + z->apex.length);
    *node = (struct zone_node){.service = ZONE_NO_SERVICE,
                               .name_bytes = (uint8_t)z->apex.length,
                               .n_labels = z->apex.n_labels,
                               .name = memcpy(node + 1, z->apex.bytes, z->apex.length)};
    zone_hash_suffixes(&z->apex, hashes);
    index_insert(x, hashes[z->apex.n_labels], 1); /* the block's first node */
    x->base = (const uint8_t *)node;
    x->max_labels = z->apex.n_labels;
    z->refs = 1;
    z->absence = why;
    z->index = x;
    z->root = node;
    z->memory = node;
    z->memory_bytes = sizeof(*z) + sizeof(*x) + sizeof(*node) + z->apex.length;
    return z;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool zone_is_unchanged(const struct zone *z)
{
    for (size_t i = 0; i < z->n_files; i++) {
        struct stat now;

        if (stat(z->files[i].path, &now) != 0 || !is_same_file(&now, &z->files[i].as_read))
            return false;
    }
    return true;
}
