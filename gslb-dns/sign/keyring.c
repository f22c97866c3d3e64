/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of a zone, as its directory has them. */
#include "gslb-dns/sign/sign_internal.h"

#include "common/clock/clock.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETTLED_S = 2 };

/* The path without its ending, if the file is a private key of the zone; the caller frees. */
static char *base_of(const char *directory, const char *name, const char *prefix)
{
    static const char ending[] = ".private";
    const char *file_prefix = strrchr(prefix, '/') + 1;
    size_t n = strlen(name), n_ending = sizeof(ending) - 1;

    if (strncasecmp(name, file_prefix, strlen(file_prefix)) != 0 || n < n_ending ||
        strcmp(name + n - n_ending, ending) != 0)
        return NULL;
    return base_printf("%s/%.*s", directory, (int)(n - n_ending), name);
}

static int compare_keys(const void *x, const void *y)
{
    const struct sign_key *a = *(struct sign_key *const *)x, *b = *(struct sign_key *const *)y;

    return a->facts.algorithm != b->facts.algorithm ? a->facts.algorithm - b->facts.algorithm
                                                    : a->facts.tag - b->facts.tag;
}

static struct outcome read_directory(struct sign_keyring *k, DIR *d, struct errors *errors)
{
    char *prefix = key_file_prefix(k->policy.directory, &k->zone);
    struct outcome outcome = OUTCOME_OK;
    struct dirent *entry;

    while ((entry = readdir(d)) != NULL) {
        char *base = base_of(k->policy.directory, entry->d_name, prefix);
        struct sign_key *key = base != NULL ? key_read(base, &k->zone, errors) : NULL;

        if (base != NULL && key == NULL)
            outcome = OUTCOME_FAILED;
        free(base);
        if (key == NULL)
            continue;
        BASE_GROW(k->keys, k->n, k->cap);
        k->keys[k->n++] = key;
    }
    free(prefix);
    if (k->n > 1)
        qsort(k->keys, k->n, sizeof(struct sign_key *), compare_keys);
    k->facts = base_zalloc(k->n, sizeof(k->facts[0]));
    for (size_t i = 0; i < k->n; i++)
        k->facts[i] = k->keys[i]->facts;
    return outcome;
}

/* Mixed from what tells one version of a file from another. newest_s: of all so far. */
static uint64_t stamp_of(uint64_t stamp, const char *path, int64_t *newest_s)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return stamp + 1;
    if (st.st_mtim.tv_sec > *newest_s)
        *newest_s = st.st_mtim.tv_sec;
    stamp = (stamp ^ st.st_ino) * 0x100000001b3;
    stamp = (stamp ^ (uint64_t)st.st_mtim.tv_sec) * 0x100000001b3;
    return (stamp ^ (uint64_t)st.st_mtim.tv_nsec) * 0x100000001b3;
}

static uint64_t find_stamp(const struct sign_keyring *k, int64_t *newest_s)
{
    uint64_t stamp = stamp_of(0xcbf29ce484222325, k->policy.directory, newest_s);

    for (size_t i = 0; i < k->n; i++) {
        char *path = base_printf("%s.private", k->keys[i]->base);

        stamp = stamp_of(stamp, path, newest_s);
        free(path);
    }
    return stamp;
}

bool sign_keyring_is_unchanged(const struct sign_keyring *k)
{
    int64_t newest_s = 0;

    return find_stamp(k, &newest_s) == k->stamp;
}

static struct outcome fill(struct sign_keyring *k, struct place at, struct errors *errors)
{
    const char *directory = k->policy.directory;
    DIR *d = opendir(directory);
    struct outcome outcome;
    char name[WIRE_NAME_TEXT];

    if (d == NULL) {
        errors_add(errors, at, "cannot read the directory of keys %s: %s", directory,
                   strerror(errno));
        return OUTCOME_FAILED;
    }
    outcome = read_directory(k, d, errors);
    closedir(d);
    if (has_failed(outcome) || k->n > 0)
        return outcome;
    wire_name_format(k->zone.bytes, name);
    errors_add(errors, at, "no key of %s in %s; make one: gslb-dns keygen -d %s %s", name,
               directory, directory, name);
    return OUTCOME_FAILED;
}

struct sign_keyring *sign_keyring_open(const char *zone, const struct sign_policy *policy,
                                       struct place at, struct errors *errors)
{
    struct sign_keyring *k = base_zalloc(1, sizeof(*k));
    int64_t newest_s = 0;

    k->refs = 1;
    k->policy = *policy;
    k->policy.directory = base_strdup(policy->directory);
    if (!wire_name_parse(str_of(zone), &k->zone))
        errors_add(errors, at, "'%s' is not a name in DNS", zone);
    else if (!has_failed(fill(k, at, errors))) {
        k->stamp = find_stamp(k, &newest_s);
        if (newest_s + SETTLED_S > clock_wall_s())
            k->stamp = 0; /* may be changing still: no later stamp is equal */
        return k;
    }
    sign_keyring_release(k);
    return NULL;
}

struct sign_keyring *sign_keyring_hold(struct sign_keyring *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void sign_keyring_release(struct sign_keyring *k)
{
    if (k == NULL || atomic_fetch_sub(&k->refs, 1) > 1)
        return;
    for (size_t i = 0; i < k->n; i++)
        key_free(k->keys[i]);
    free(k->keys);
    free(k->facts);
    free((char *)k->policy.directory);
    free(k);
}

size_t sign_keyring_keys(const struct sign_keyring *k, const struct sign_key_facts **out)
{
    *out = k->facts;
    return k->n;
}

void sign_write_ds(const struct sign_keyring *k, size_t i, uint8_t digest_type, struct text *out)
{
    const struct sign_key *key = k->keys[i];
    uint8_t digest[SIGN_DIGEST_MAX];
    char zone[WIRE_NAME_TEXT];
    size_t n = crypto_ds_digest(digest_type, k->zone.bytes, k->zone.length, key->dnskey,
                                key->n_dnskey, digest);

    text_addf(out, "%s IN DS %u %u %u ", wire_name_format(k->zone.bytes, zone), key->facts.tag,
              key->facts.algorithm, digest_type);
    for (size_t b = 0; b < n; b++)
        text_addf(out, "%02X", digest[b]);
    text_adds(out, "\n");
}

/* Is there a key with this tag, also of another algorithm? Signatures name keys by it. */
static bool is_taken(const char *prefix, uint16_t tag)
{
    bool is_there = false;

    for (unsigned a = 1; a < 256 && !is_there; a++) {
        char *path = base_printf("%s%03u+%05u.key", prefix, a, tag);

        is_there = access(path, F_OK) == 0;
        free(path);
    }
    return is_there;
}

struct sign_key *key_make(const struct wire_name *zone, const char *directory,
                          const struct algorithm *a, uint16_t flags)
{
    char *prefix = key_file_prefix(directory, zone);
    struct sign_key *k = key_generate(a, flags);

    while (is_taken(prefix, k->facts.tag)) {
        key_free(k);
        k = key_generate(a, flags);
    }
    k->base = base_printf("%s%03u+%05u", prefix, a->number, k->facts.tag);
    free(prefix);
    return k;
}

char *sign_keygen(const char *zone, const char *directory, uint8_t algorithm, uint16_t flags,
                  int64_t now_s, struct errors *errors)
{
    const struct algorithm *a = algorithm_find(algorithm);
    struct wire_name name;
    struct sign_key *k;
    char *base = NULL;

    ensure(a != NULL);
    if (!wire_name_parse(str_of(zone), &name)) {
        errors_add(errors, (struct place){0}, "'%s' is not a name in DNS", zone);
        return NULL;
    }
    k = key_make(&name, directory, a, flags);
    k->facts.times[SIGN_CREATED] = now_s;
    k->facts.times[SIGN_PUBLISH] = now_s;
    k->facts.times[SIGN_ACTIVATE] = now_s;
    if (!has_failed(key_write(k, &name, errors)))
        base = base_strdup(k->base);
    key_free(k);
    return base;
}
