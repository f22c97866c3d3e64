/* SPDX-License-Identifier: BSD-2-Clause */
/* For the tests of the zone room: a zone from text in memory. */
#ifndef TESTS_ZONE_TEXT_H
#define TESTS_ZONE_TEXT_H

#include "gslb-dns/zone/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOA "@ 3600 SOA ns host 7 3600 600 86400 300\n"
#define APEX SOA "@ 3600 NS ns.example.net.\n"

static inline struct zone *load_bytes(const char *name, struct str text,
                                      const struct zone_service *services, size_t n_services,
                                      struct errors *errors)
{
    int fd = memfd_create("zone", MFD_CLOEXEC);
    char path[64];
    struct zone *z;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.p, text.n), text.n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    z = zone_load(
        &(struct zone_source){
            .name = name, .path = path, .services = services, .n_services = n_services},
        errors);
    close(fd);
    return z;
}

static inline struct zone *load_text(const char *name, const char *text,
                                     const struct zone_service *services, size_t n_services,
                                     struct errors *errors)
{
    return load_bytes(name, str_of(text), services, n_services, errors);
}

static inline struct zone *load_good(const char *name, const char *text)
{
    struct errors errors = {0};
    struct zone *z = load_text(name, text, NULL, 0, &errors);

    if (z == NULL)
        errors_print(&errors, stderr);
    errors_free(&errors);
    assert_non_null(z);
    return z;
}

static inline struct wire_name name_of(const char *text)
{
    struct wire_name n;

    assert_true(wire_name_parse(str_of(text), &n));
    return n;
}

static inline enum zone_verdict look_up(const struct zone_set *s, const struct wire_name *name,
                                        uint16_t type, struct zone_lookup *l)
{
    zone_prepare(s, name, type, l);
    zone_fetch(l);
    return zone_find(l, name, type);
}

/* The data of record i of an RRset, its pointers to the apex replaced by the apex. Its length. */
static inline size_t expand_rdata(const struct zone *z, const struct zone_rrset *r, unsigned i,
                                  uint8_t out[65535])
{
    size_t at = 0, n = 0, length, fixup = 0;

    assert_true(i < r->count);
    for (;; at += 12 + length) {
        length = (size_t)r->wire[at + 10] << 8 | r->wire[at + 11];
        while (fixup < r->n_fixups && r->fixups[fixup] < at + 12)
            fixup++;
        if (i-- == 0)
            break;
    }
    for (size_t k = at + 12; k < at + 12 + length;) {
        if (fixup < r->n_fixups && r->fixups[fixup] == k) {
            assert_int_equal(r->wire[k] << 8 | r->wire[k + 1], 0xc000);
            memcpy(out + n, z->apex.bytes, z->apex.length);
            n += z->apex.length;
            k += 2;
            fixup++;
        } else {
            out[n++] = r->wire[k++];
        }
    }
    return n;
}

#endif
