/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Places in a file of their own, so that a start need not read the database:
 *
 *   struct header | description, zeros up to a multiple of 8 | places | leaves of IPv4 | of IPv6
 *
 * in this machine's byte order. The header says which state of which files it is of, and has a
 * checksum of all that follows. Nothing is synced: what a crash leaves behind has another checksum,
 * and the database is read again. Nor is the file mapped: whoever cuts it short does not reach us.
 */
#define XXH_INLINE_ALL
#include "gslb-dns/geo/geo_internal.h"

#include "common/base/version.h"
#include "common/clock/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <xxhash.h>

/* To be raised when what is written, or what is read of a record, changes. */
enum { FORMAT = 1 };
enum {
    NAME_MAX_BYTES = 160, /* of the database's own name, in the file's */
    FILE_MAX_BYTES = 1 << 30,
    WRITE_BYTES = 1 << 20, /* at a time, between two looks at whether to stop */
};

struct header {
    char magic[16], version[16];
    uint32_t byte_order, format, header_bytes, n_files;
    uint64_t rules; /* geo_record_rules */
    struct geo_identity files[2];
    uint64_t checksum; /* of what follows, up to the end of the file */
    uint64_t text_bytes, n_places, n_v4, n_v6;
    uint32_t records, damaged_records;
};
_Static_assert(sizeof(struct header) % 8 == 0, "what follows is aligned");
#define CHECKSUMMED_FROM offsetof(struct header, text_bytes)

/* What must be equal in a file to be used; counts and checksum are zero. */
static struct header header_for(const struct geo_origin *origin)
{
    struct header h = {
        .magic = "gslb-dns places",
        .version = GSLB_VERSION,
        .byte_order = 0x01020304,
        .format = FORMAT,
        .header_bytes = sizeof(h),
        .n_files = origin->n_files,
        .rules = geo_record_rules(),
    };

    for (uint32_t i = 0; i < origin->n_files; i++)
        h.files[i] = origin->files[i];
    return h;
}

/* The name of the database for people, and a hash of all paths, so that several databases can have
 * files in one directory. */
static char *path_of(const struct geo_origin *origin, const char *directory)
{
    return base_printf("%s/%s-%016llx.places", directory, origin->name,
                       (unsigned long long)origin->paths_hash);
}

struct geo_origin geo_origin_of(const struct geo_db *db)
{
    struct geo_origin o = {.n_files = (uint32_t)db->n_files, .is_settled = true};

    snprintf(o.name, sizeof(o.name), "%.*s", NAME_MAX_BYTES, basename(db->files[0].path));
    for (size_t i = 0; i < db->n_files; i++) {
        const struct stat *st = &db->files[i].as_read;

        o.files[i] = (struct geo_identity){
            .bytes = (uint64_t)st->st_size,
            .inode = st->st_ino,
            .modified_s = st->st_mtim.tv_sec,
            .modified_ns = st->st_mtim.tv_nsec,
            .changed_s = st->st_ctim.tv_sec,
            .changed_ns = st->st_ctim.tv_nsec,
        };
        o.paths_hash =
            XXH3_64bits_withSeed(db->files[i].path, strlen(db->files[i].path), o.paths_hash + 1);
        o.is_settled = o.is_settled && db->files[i].is_settled;
    }
    return o;
}

/* ---- reading ---- */

/* Whether a prefix of this depth can begin here. */
static bool is_aligned(struct geo_position at, unsigned depth)
{
    if (likely(depth - 1 < 64))
        return (at.high & (((uint64_t)1 << (64 - depth)) - 1)) == 0 && at.low == 0;
    return depth == 0 ? (at.high | at.low) == 0
                      : (at.low & (((uint64_t)1 << (128 - depth)) - 1)) == 0;
}

/* Whether the leaves are a partition of the whole family, and lead to places that are there. */
static bool is_partition(const struct geo_leaves *l, unsigned bits, uint32_t n_places)
{
    struct geo_position at = {0, 0};

    for (size_t i = 0; i < l->n; i++) {
        unsigned depth = GEO_LEAF_DEPTH(l->words[i]);

        if (depth > bits || GEO_LEAF_CLASS(l->words[i]) >= n_places || !is_aligned(at, depth) ||
            (i > 0 && (at.high | at.low) == 0))
            return false;
        at = geo_end_of(at, depth);
    }
    return l->n > 0 && (at.high | at.low) == 0;
}

/* Where each part lies, when they fill the file just so. The counts are below 2^32: a file is no
 * larger, and the sum does not run over. */
static bool lay_out(struct geo_places *p, const struct header *h, char *file, size_t bytes)
{
    size_t at = sizeof(*h);

    if (h->text_bytes == 0 || h->text_bytes > bytes || h->text_bytes % 8 != 0 || h->n_places == 0 ||
        h->n_places > GEO_CLASSES_MAX || h->n_v4 > bytes || h->n_v6 > bytes ||
        at + h->text_bytes + h->n_places * sizeof(p->places[0]) +
                (h->n_v4 + h->n_v6) * sizeof(uint32_t) !=
            bytes)
        return false;
    if (file[at + h->text_bytes - 1] != '\0')
        return false;
    p->text = base_strdup(file + at);
    at += h->text_bytes;
    p->places = (void *)(file + at);
    p->n_places = (uint32_t)h->n_places;
    at += h->n_places * sizeof(p->places[0]);
    p->v4 = (struct geo_leaves){.words = (void *)(file + at), .n = h->n_v4};
    p->v6 = (struct geo_leaves){.words = p->v4.words + h->n_v4, .n = h->n_v6};
    p->records = h->records;
    p->damaged_records = h->damaged_records;
    return true;
}

struct geo_places *geo_places_parse(char *file, size_t bytes)
{
    struct geo_places *p = base_zalloc(1, sizeof(*p));
    struct header h;

    p->file = file;
    if (bytes >= sizeof(h)) {
        memcpy(&h, file, sizeof(h));
        if (lay_out(p, &h, file, bytes) && is_partition(&p->v4, 32, p->n_places) &&
            is_partition(&p->v6, 128, p->n_places))
            return p;
    }
    geo_places_free(p);
    return NULL;
}

/* NULL: it is of this state of these files. */
static const char *judge_header(const struct header *h, const struct geo_origin *origin)
{
    struct header wanted = header_for(origin);

    if (memcmp(h, &wanted, offsetof(struct header, version)) != 0)
        return "it is no such file";
    if (memcmp(h->version, wanted.version,
               offsetof(struct header, files) - offsetof(struct header, version)) != 0)
        return "another version wrote it";
    if (memcmp(h->files, wanted.files, sizeof(h->files)) != 0)
        return "the database has changed";
    return NULL;
}

static bool has_read(int fd, void *to, size_t n)
{
    ssize_t got;

    for (size_t at = 0; at < n; at += (size_t)got)
        if ((got = pread(fd, (char *)to + at, n - at, (off_t)at)) <= 0)
            return false;
    return true;
}

/* Why not, or NULL and *out. */
static const char *read_kept(int fd, const struct geo_origin *origin, struct geo_places **out)
{
    struct stat st;
    struct header h;
    const char *why;
    char *file;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES ||
        (size_t)st.st_size < sizeof(h) || !has_read(fd, &h, sizeof(h)))
        return "it is no such file";
    why = judge_header(&h, origin);
    if (why != NULL)
        return why;
    file = base_alloc_large((size_t)st.st_size);
    if (!has_read(fd, file, (size_t)st.st_size) ||
        h.checksum != XXH3_64bits(file + CHECKSUMMED_FROM, (size_t)st.st_size - CHECKSUMMED_FROM)) {
        free(file);
        return "it is damaged";
    }
    *out = geo_places_parse(file, (size_t)st.st_size);
    return *out == NULL ? "it is damaged" : NULL;
}

struct geo_places *geo_places_load(const struct geo_db *db, const char *directory,
                                   struct errors *errors, char **why)
{
    struct geo_origin origin = geo_origin_of(db);
    char *path = path_of(&origin, directory);
    int64_t started_us = clock_mono_us();
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct geo_places *p = NULL;
    const char *reason = fd < 0 ? strerror(errno) : read_kept(fd, &origin, &p);

    *why = p != NULL || (fd < 0 && errno == ENOENT) ? NULL : base_printf("%s: %s", path, reason);
    if (fd >= 0)
        close(fd);
    free(path);
    if (p == NULL)
        return NULL;
    p->origin = origin;
    geo_places_warn(p, db, errors);
    p->read_ms = (double)(clock_mono_us() - started_us) / 1000;
    return p;
}

/* ---- writing ---- */

static const char zeros[8];

struct part {
    const void *p;
    size_t n;
};

static struct header header_of(const struct geo_places *p, const struct part *parts, size_t n)
{
    struct header h = header_for(&p->origin);
    XXH3_state_t *hash = XXH3_createState();

    ensure(hash != NULL);
    h.text_bytes = parts[1].n + parts[2].n;
    h.n_places = p->n_places;
    h.n_v4 = p->v4.n;
    h.n_v6 = p->v6.n;
    h.records = p->records;
    h.damaged_records = p->damaged_records;
    XXH3_64bits_reset(hash);
    XXH3_64bits_update(hash, (char *)&h + CHECKSUMMED_FROM, sizeof(h) - CHECKSUMMED_FROM);
    for (size_t i = 1; i < n; i++)
        XXH3_64bits_update(hash, parts[i].p, parts[i].n);
    h.checksum = XXH3_64bits_digest(hash);
    XXH3_freeState(hash);
    return h;
}

static struct outcome write_part(int fd, const struct part *part, const _Atomic bool *stop)
{
    for (size_t at = 0; at < part->n;) {
        size_t n = part->n - at < WRITE_BYTES ? part->n - at : WRITE_BYTES;
        ssize_t done;

        errno = ECANCELED;
        if (*stop || (done = write(fd, (const char *)part->p + at, n)) <= 0)
            return OUTCOME_FAILED;
        at += (size_t)done;
    }
    return OUTCOME_OK;
}

static struct outcome write_places(int fd, const struct geo_places *p, const _Atomic bool *stop)
{
    size_t text_bytes = strlen(p->text) + 1;
    struct header h;
    struct part parts[] = {{&h, sizeof(h)},
                           {p->text, text_bytes},
                           {zeros, -text_bytes & 7},
                           {p->places, p->n_places * sizeof(p->places[0])},
                           {p->v4.words, p->v4.n * sizeof(uint32_t)},
                           {p->v6.words, p->v6.n * sizeof(uint32_t)}};

    h = header_of(p, parts, COUNT_OF(parts));
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (has_failed(write_part(fd, &parts[i], stop)))
            return OUTCOME_FAILED;
    return OUTCOME_OK;
}

/* Of two programs that write at once, one does. The name could have been renamed between its
 * opening and the lock: then the lock is one of the finished file. */
static int open_new(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat locked, named;

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 && stat(path, &named) == 0 &&
        locked.st_ino == named.st_ino && locked.st_dev == named.st_dev && ftruncate(fd, 0) == 0)
        return fd;
    errno = EBUSY;
    close(fd);
    return -1;
}

static struct outcome replace(const struct geo_places *p, const char *path, const char *fresh,
                              const _Atomic bool *stop)
{
    int fd = open_new(fresh), error;
    struct outcome outcome;

    if (fd < 0)
        return OUTCOME_FAILED;
    outcome = write_places(fd, p, stop);
    if (!has_failed(outcome) && rename(fresh, path) < 0)
        outcome = OUTCOME_FAILED;
    error = errno;
    if (has_failed(outcome))
        unlink(fresh);
    close(fd);
    errno = error;
    return outcome;
}

enum geo_kept geo_places_keep(const struct geo_places *p, const char *directory,
                              const _Atomic bool *stop, char **what)
{
    char *path = path_of(&p->origin, directory), *fresh = base_printf("%s.new", path);
    enum geo_kept kept = GEO_KEPT;

    (void)mkdir(directory, 0700); /* if it cannot be had, the file's failure says why */
    if (!p->origin.is_settled) {
        kept = GEO_KEPT_NOT;
        *what = base_printf("%s: the database was written to just before it was read", path);
    } else if (has_failed(replace(p, path, fresh, stop))) {
        kept = errno == ECANCELED || errno == EBUSY ? GEO_KEPT_NOT : GEO_KEPT_FAILED;
        *what = base_printf("%s: %s", path, strerror(errno));
    } else {
        *what = base_strdup(path);
    }
    free(path);
    free(fresh);
    return kept;
}
