/* SPDX-License-Identifier: BSD-2-Clause */
/* A folder with keys of example.com for one test. Included once, by a test. */
#ifndef TESTS_SIGN_KEYS_H
#define TESTS_SIGN_KEYS_H

#include "gslb-dns/sign/sign.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char keys_folder[64];

static inline void keys_begin(void)
{
    snprintf(keys_folder, sizeof(keys_folder), "/tmp/gslb-keys-XXXXXX");
    ensure(mkdtemp(keys_folder) != NULL);
}

static inline void keys_end(void)
{
    DIR *d = opendir(keys_folder);
    struct dirent *entry;

    ensure(d != NULL);
    while ((entry = readdir(d)) != NULL)
        unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    ensure(rmdir(keys_folder) == 0);
}

static inline struct sign_policy keys_policy(void)
{
    return (struct sign_policy){
        .directory = keys_folder,
        .validity_s = 14 * 86400,
        .refresh_s = 4 * 86400,
        .dnskey_ttl_s = 3600,
        .zone_max_ttl_s = 86400,
        .propagation_delay_s = 3600,
        .parent_ds_ttl_s = 86400,
        .parent_propagation_delay_s = 3600,
    };
}

static inline void keys_make(uint8_t algorithm, uint16_t flags, int64_t now_s)
{
    struct errors errors = {0};
    char *base = sign_keygen("example.com", keys_folder, algorithm, flags, now_s, &errors);

    errors_print(&errors, stderr);
    ensure(base != NULL);
    free(base);
    errors_free(&errors);
}

/* NULL: not today; errors go to standard error unless the caller wants them. */
static inline struct sign_signer *keys_signer(const struct sign_policy *p, int64_t now_s,
                                              struct errors *errors)
{
    struct errors own = {0}, *to = errors != NULL ? errors : &own;
    struct sign_keyring *ring = sign_keyring_open("example.com", p, (struct place){0}, to);
    struct sign_signer *s =
        ring != NULL ? sign_signer_new(ring, now_s, (struct place){0}, to) : NULL;

    sign_keyring_release(ring);
    errors_print(&own, stderr);
    errors_free(&own);
    return s;
}

#endif
