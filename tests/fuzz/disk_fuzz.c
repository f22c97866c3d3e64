/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes where a record of the cache's disk should lie, its checksums made right as far as the
 * input wishes: read whole and within bounds, or bad. */
#include "edge-proxy/disk/disk_internal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { DATA_BYTES = 2 << 20, SEAL_HEADER = 1, SEAL_REST = 2 };

static struct ring ring;
static uint8_t *file; /* the ring's, mapped */

static void open_ring(void)
{
    ring =
        (struct ring){.fd = memfd_create("ring", MFD_CLOEXEC), .id = 7, .data_bytes = DATA_BYTES};
    ensure(ring.fd >= 0 && ftruncate(ring.fd, DATA_BYTES) == 0);
    file = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, 0);
    ensure(file != MAP_FAILED);
}

/* What was told of a record. */
struct told {
    uint64_t head_bytes, body_bytes;
    unsigned sum; /* a sanitizer sees each byte read */
    bool has_head;
};

static bool take_head(void *arg, const struct record *r, struct str head)
{
    struct told *t = arg;

    ensure(!t->has_head && head.n == r->head_bytes);
    t->has_head = true;
    t->head_bytes = head.n;
    for (size_t i = 0; i < head.n; i++)
        t->sum += (uint8_t)head.p[i];
    return true;
}

static bool take_body(void *arg, const void *bytes, size_t n)
{
    struct told *t = arg;

    ensure(t->has_head && n > 0 && n <= DISK_PIECE);
    t->body_bytes += n;
    for (size_t i = 0; i < n; i++)
        t->sum += ((const uint8_t *)bytes)[i];
    return true;
}

/* The checksums that the record's lengths ask for, as far as there is room for them. */
static void seal_rest(const struct record *r)
{
    uint64_t at = sizeof(*r), left = r->body_bytes;
    uint64_t n = r->head_bytes <= DISK_HEAD_MAX ? r->head_bytes : 0;

    for (bool is_head = true; at + n + 8 <= DATA_BYTES / 2 && (is_head || n > 0); is_head = false) {
        uint64_t checksum = record_checksum(&ring, at, file + at, n);

        memcpy(file + at + n, &checksum, sizeof(checksum));
        at += n + 8;
        if (!is_head)
            left -= n;
        n = left < DISK_PIECE ? left : DISK_PIECE;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static uint8_t window_bytes[DISK_BUFFER];
    struct ring_window window = {.bytes = window_bytes};
    struct told told = {0};
    struct record_sink sink = {take_head, take_body, &told};
    enum record_verdict verdict;
    struct record r, again;

    if (file == NULL)
        open_ring();
    if (n < 1 + sizeof(r) || n > 1 << 16)
        return 0;
    memset(file, 0, DATA_BYTES / 2);
    memcpy(file, data + 1, n - 1);
    memcpy(&r, file, sizeof(r));
    if ((data[0] & SEAL_HEADER) != 0) {
        struct record form = record_of(RECORD_STORED, r.hash, r.variant);

        form.head_bytes = r.head_bytes % (DISK_HEAD_MAX + 2);
        form.body_bytes = r.body_bytes % (DATA_BYTES / DISK_BODY_MAX_SHARE + 2);
        record_seal(&ring, &form, 0, r.epoch);
        memcpy(file, &form, sizeof(form));
        r = form;
    }
    if ((data[0] & SEAL_REST) != 0)
        seal_rest(&r);
    verdict = record_read(&ring, &window, 0, 0, &again, &sink);
    ensure(verdict == RECORD_WHOLE || verdict == RECORD_BAD);
    if (verdict == RECORD_WHOLE && again.kind == RECORD_STORED)
        ensure(told.head_bytes == again.head_bytes && told.body_bytes == again.body_bytes &&
               record_bytes(&again) >= sizeof(again) + told.head_bytes + told.body_bytes);
    return 0;
}
