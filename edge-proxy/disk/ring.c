/* SPDX-License-Identifier: BSD-2-Clause */
/* The file: laid out once, locked while it is used, read and written at positions of the ring. */
#include "edge-proxy/disk/disk_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct file_header {
    char magic[8];
    uint32_t format, endian, heads, zero;
    uint64_t id;
    uint64_t file_bytes, directory_bytes;
};

static const char magic[8] = "GSLBDISK";
enum { FORMAT = 1, ENDIAN = 0x01020304 };

/* ---- Laying out ---- */

/* How many bytes there are to use: a device has its size, a file gets it. */
static bool size_of(int fd, uint64_t wanted, uint64_t *bytes, bool *is_device)
{
    struct stat st;

    *bytes = wanted;
    if (fstat(fd, &st) != 0)
        return false;
    *is_device = S_ISBLK(st.st_mode);
    if (!*is_device)
        return true;
    if (ioctl(fd, BLKGETSIZE64, bytes) != 0)
        return false;
    if (*bytes > wanted)
        *bytes = wanted;
    return true;
}

static bool is_all_zero(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    while (n > 0 && *p == 0)
        p++, n--;
    return n == 0;
}

/* A file that is there and holds something else is not ours to overwrite. */
static bool is_foreign(const struct file_header *h)
{
    return !is_all_zero(h, sizeof(*h)) && memcmp(h->magic, magic, sizeof(magic)) != 0;
}

static bool read_header(int fd, struct file_header *h)
{
    ssize_t n;

    memset(h, 0, sizeof(*h));
    n = pread(fd, h, sizeof(*h), 0);
    if (n < 0)
        return false;
    if ((size_t)n < sizeof(*h) && n > 0)
        h->magic[0] = ~magic[0]; /* too short to be anything of ours */
    return true;
}

/* Asked before it is taken: a file system that is filled to the last byte is everybody's trouble.
 */
static bool has_room(int fd, uint64_t bytes)
{
    struct statvfs fs;
    struct stat st;

    if (fstatvfs(fd, &fs) != 0 || fstat(fd, &st) != 0)
        return false;
    errno = ENOSPC;
    return (uint64_t)fs.f_bavail * fs.f_frsize + (uint64_t)st.st_blocks * 512 > bytes;
}

/* The space is taken now, so that the ring never meets a full file system. The old directory is
 * wiped by the new id. */
static bool lay_out(int fd, bool is_device, const struct file_header *h)
{
    int why = 0;

    if (!is_device && (!has_room(fd, h->file_bytes) || ftruncate(fd, (off_t)h->file_bytes) != 0))
        why = errno;
    if (why == 0 && !is_device)
        why = posix_fallocate(fd, 0, (off_t)h->file_bytes);
    if (why == 0 && pwrite(fd, h, sizeof(*h), 0) != sizeof(*h))
        why = errno;
    if (why != 0 && !is_device && ftruncate(fd, 0) != 0)
        return false; /* gives the space back; the first reason stands */
    errno = why;
    return why == 0;
}

static struct outcome fail(struct ring *g, const char **why, const char *reason)
{
    *why = reason != NULL ? reason : strerror(errno);
    ring_close(g);
    return OUTCOME_FAILED;
}

struct outcome ring_open(struct ring *g, const struct disk_settings *s, uint64_t directory_bytes,
                         const char **why, bool *is_busy)
{
    struct file_header h, wanted = {.format = FORMAT, .endian = ENDIAN, .heads = s->format};
    bool is_device;

    *is_busy = false;
    g->fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (g->fd < 0)
        return fail(g, why, NULL);
    if (flock(g->fd, LOCK_EX | LOCK_NB) != 0) {
        *is_busy = errno == EWOULDBLOCK;
        return fail(g, why, *is_busy ? "another process uses it" : NULL);
    }
    if (!size_of(g->fd, s->bytes, &wanted.file_bytes, &is_device) || !read_header(g->fd, &h))
        return fail(g, why, NULL);
    if (is_foreign(&h))
        return fail(g, why, "it holds something else; give the cache a new file");
    wanted.directory_bytes = (directory_bytes + DISK_PAGE - 1) / DISK_PAGE * DISK_PAGE;
    if (wanted.file_bytes < DISK_PAGE + 2 * wanted.directory_bytes + DISK_BYTES_MIN / 2)
        return fail(g, why, "it is too small");
    memcpy(wanted.magic, magic, sizeof(magic));
    wanted.id = h.id;
    if (memcmp(&h, &wanted, sizeof(h)) != 0) {
        ensure(getrandom(&wanted.id, sizeof(wanted.id), 0) == sizeof(wanted.id));
        if (!lay_out(g->fd, is_device, &wanted))
            return fail(g, why, NULL);
    }
    g->id = wanted.id;
    g->directory_at = DISK_PAGE;
    g->directory_bytes = wanted.directory_bytes;
    g->data_at = g->directory_at + 2 * g->directory_bytes;
    g->data_bytes = (wanted.file_bytes - g->data_at) / DISK_PAGE * DISK_PAGE;
    return OUTCOME_OK;
}

bool ring_renew(struct ring *g)
{
    ensure(getrandom(&g->id, sizeof(g->id), 0) == sizeof(g->id));
    return pwrite(g->fd, &g->id, sizeof(g->id), offsetof(struct file_header, id)) == sizeof(g->id);
}

void ring_close(struct ring *g)
{
    if (g->fd >= 0)
        close(g->fd);
    g->fd = -1;
}

/* ---- Reading and writing ---- */

/* One run of the file; a file that ends early is a device that lost its mind. */
static bool transfer(int fd, bool is_write, uint8_t *bytes, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t k = is_write ? pwrite(fd, bytes, n, (off_t)at) : pread(fd, bytes, n, (off_t)at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k == 0)
            errno = EIO;
        if (k <= 0)
            return false;
        bytes += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return true;
}

static bool go_round(const struct ring *g, bool is_write, uint64_t position, uint8_t *bytes,
                     size_t n)
{
    uint64_t offset = position % g->data_bytes;
    size_t first = g->data_bytes - offset < n ? (size_t)(g->data_bytes - offset) : n;

    ensure(n <= g->data_bytes);
    return transfer(g->fd, is_write, bytes, first, g->data_at + offset) &&
           transfer(g->fd, is_write, bytes + first, n - first, g->data_at);
}

bool ring_read(const struct ring *g, uint64_t position, void *out, size_t n)
{
    return go_round(g, false, position, out, n);
}

bool ring_write(const struct ring *g, uint64_t position, const void *bytes, size_t n)
{
    return go_round(g, true, position, (uint8_t *)bytes, n);
}
