/* SPDX-License-Identifier: BSD-2-Clause */
/* Zone text from anybody: loads or is refused with a reason, and what is loaded can be asked. */
#include "gslb-dns/zone/zone.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void ask(struct zone *z, const uint8_t *data, size_t n)
{
    struct zone_set *set = zone_set_new(&z, 1);
    struct zone_lookup l;
    struct wire_name name;

    for (size_t at = 0; at < n; at++) { /* names as the text has them, and as they come */
        struct str word = {(const char *)data + at, n - at < 20 ? n - at : 20};

        if (!wire_name_parse(word, &name) && !wire_name_read(data + at, n - at, &name))
            continue;
        zone_prepare(set, &name, data[at], &l);
        zone_fetch(&l);
        l.zone = z;
        if (zone_find_next(&l, &name, data[at]) == ZONE_CNAME)
            zone_target_name(z, l.rrset, &name);
    }
    for (unsigned i = 0; i < z->root->n_rrsets; i++)
        ensure(z->root->rrsets[i].count > 0);
    zone_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    struct errors errors = {0};
    char path[64];
    struct zone *z;

    if (fd < 0)
        fd = memfd_create("zone", MFD_CLOEXEC);
    ensure(fd >= 0 && ftruncate(fd, 0) == 0);
    ensure(pwrite(fd, data, n, 0) == (ssize_t)n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    z = zone_load(&(struct zone_source){.name = "a", .path = path}, &errors);
    ensure((z == NULL) == (errors.n_errors > 0));
    if (z != NULL)
        ask(z, data, n);
    zone_release(z);
    errors_free(&errors);
    return 0;
}
