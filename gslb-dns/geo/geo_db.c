/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/geo/geo_internal.h"

#include "common/clock/clock.h"
#include "common/text/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Where the metadata is looked for, from the end; the format says so. */
#define METADATA_WINDOW_BYTES (128 * 1024)
/* Records that are tried before a file counts as of no known layout. */
#define DETECT_RECORDS 10000
#define DATA_SECTION_GAP 16

/* The operator's file, which stays open: what is mapped is a copy of it. -1 with the reason in
 * errors. */
static int open_original(const char *path, struct stat *st, struct errors *errors,
                         struct place place)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, st) < 0) {
        errors_add(errors, place, "cannot read the GeoIP database \"%s\": %s", path,
                   strerror(errno));
    } else if (!S_ISREG(st->st_mode) || st->st_size > UINT32_MAX) {
        errors_add(errors, place, "the GeoIP database \"%s\" is %s", path,
                   S_ISREG(st->st_mode) ? "larger than the format allows" : "not a regular file");
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Copies a file into anonymous memory; -1 with errno. libmaxminddb only opens by name and maps what
 * it opens: were that the operator's file, a `cp` over it would cut it short under the mapping and
 * the next read would kill the server (SIGBUS). */
static int copy_into_memory(int from, size_t size, size_t *bytes)
{
    int to = memfd_create("geoip", MFD_CLOEXEC);
    off_t at = 0;
    ssize_t n = 0;

    while (to >= 0 && (size_t)at < size)
        if ((n = sendfile(to, from, &at, size - (size_t)at)) <= 0)
            break; /* 0: somebody has just cut it short; the checks of the copy will tell */
    *bytes = (size_t)at;
    if (to < 0 || n >= 0)
        return to;
    close(to);
    return -1;
}

/* The unsigned integer after a key of the metadata map. */
static bool has_metadata(struct str metadata, const char *key, uint64_t *value)
{
    const uint8_t *p = memmem(metadata.p, metadata.n, key, strlen(key));
    const uint8_t *end = (const uint8_t *)metadata.p + metadata.n;
    size_t n;

    if (p == NULL || end - p <= (ptrdiff_t)strlen(key))
        return false;
    p += strlen(key);
    n = *p++ & 0x1f;
    if (n > 4 || end - p < (ptrdiff_t)n)
        return false;
    for (*value = 0; n > 0; n--)
        *value = *value << 8 | *p++;
    return true;
}

/* Whether the search tree that the metadata tells of fits in the file. libmaxminddb 1.7 computes
 * the tree's size in 32 bits and trusts it: one flipped bit in node_count would have it read far
 * beyond the mapping while it opens the file. */
static bool is_plausible(int fd, size_t file_bytes)
{
    static const char marker[] = "\xab\xcd\xefMaxMind.com";
    size_t n = file_bytes < METADATA_WINDOW_BYTES ? file_bytes : METADATA_WINDOW_BYTES;
    char *end = base_alloc(n + 1);
    struct str metadata = {NULL, 0};
    uint64_t nodes = 0, record_bits = 0;
    bool is_sane = false;

    if (pread(fd, end, n, (off_t)(file_bytes - n)) == (ssize_t)n) {
        for (char *p = end; (p = memmem(p, n - (size_t)(p - end), marker, sizeof(marker) - 1));)
            p += sizeof(marker) - 1, metadata = (struct str){p, n - (size_t)(p - end)};
        is_sane = metadata.p != NULL && has_metadata(metadata, "node_count", &nodes) &&
                  has_metadata(metadata, "record_size", &record_bits) && nodes > 0 &&
                  nodes <= file_bytes && record_bits <= 32 &&
                  nodes * (record_bits * 2 / 8) + DATA_SECTION_GAP <= file_bytes;
    }
    free(end);
    return is_sane;
}

static bool is_gzip(int fd)
{
    uint8_t magic[2];

    return pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
}

/* Maps a copy; why not, or NULL. */
static const char *map_copy(MMDB_s *mmdb, int fd, size_t bytes)
{
    char name[64];
    int status;

    if (is_gzip(fd))
        return "it is compressed: gunzip it first";
    if (!is_plausible(fd, bytes))
        return "it is not a MaxMind DB file (.mmdb), or is cut short or damaged: fetch it again";
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    status = MMDB_open(name, MMDB_MODE_MMAP, mmdb);
    if (status == MMDB_SUCCESS)
        return NULL;
    return status == MMDB_FILE_OPEN_ERROR ? "/proc is not mounted" : MMDB_strerror(status);
}

/* The copy lives as long as its mapping. Why not, or NULL. */
static const char *map_original(struct geo_file *file)
{
    size_t bytes = 0;
    int copy = copy_into_memory(file->original, (size_t)file->as_read.st_size, &bytes);
    const char *why = copy < 0 ? strerror(errno) : map_copy(&file->mmdb, copy, bytes);

    if (copy >= 0)
        close(copy);
    file->is_mapped = why == NULL;
    return why;
}

static const struct geo_layout *detect_in_record(const MMDB_s *mmdb, uint8_t type,
                                                 MMDB_entry_s entry, unsigned *tried)
{
    if (type != MMDB_RECORD_TYPE_DATA)
        return NULL;
    ++*tried;
    return geo_record_detect(mmdb, entry.offset);
}

static const struct geo_layout *detect_layout(const MMDB_s *mmdb)
{
    const struct geo_layout *layout = NULL;
    MMDB_search_node_s node;
    unsigned tried = 0;

    for (uint32_t i = 0; i < mmdb->metadata.node_count && tried < DETECT_RECORDS; i++) {
        if (MMDB_read_node(mmdb, i, &node) != MMDB_SUCCESS)
            return NULL;
        layout = detect_in_record(mmdb, node.left_record_type, node.left_record_entry, &tried);
        if (layout == NULL)
            layout =
                detect_in_record(mmdb, node.right_record_type, node.right_record_entry, &tried);
        if (layout != NULL)
            return layout;
    }
    return NULL;
}

static void close_file(struct geo_file *file)
{
    if (file->is_mapped)
        MMDB_close(&file->mmdb);
    if (file->original >= 0)
        close(file->original);
    free(file->path);
}

/* The kernel's clock for file times ticks every 10 ms at most: two writes in one tick look alike.
 */
#define SETTLED_AFTER_NS 100000000

static bool is_settled(const struct stat *st)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - st->st_ctim.tv_sec) * 1000000000 + now.tv_nsec - st->st_ctim.tv_nsec >=
           SETTLED_AFTER_NS;
}

/* What was opened is close_file's, on failure too. */
static struct outcome open_file(struct geo_file *file, const char *path, struct errors *errors,
                                struct place place)
{
    *file = (struct geo_file){.path = base_strdup(path)};
    file->original = open_original(path, &file->as_read, errors, place);
    file->is_settled = file->original >= 0 && is_settled(&file->as_read);
    return file->original >= 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

static struct outcome read_file(struct geo_file *file, struct errors *errors, struct place place)
{
    const char *why = map_original(file);

    if (why != NULL) {
        errors_add(errors, place, "cannot use the GeoIP database \"%s\": %s", file->path, why);
        return OUTCOME_FAILED;
    }
    file->is_v4 = file->mmdb.metadata.ip_version == 4;
    file->layout = detect_layout(&file->mmdb);
    if (file->layout != NULL)
        return OUTCOME_OK;
    errors_add(errors, place,
               "the GeoIP database \"%s\" (%s) has neither countries nor coordinates: give a "
               "country or city database",
               file->path, file->mmdb.metadata.database_type);
    return OUTCOME_FAILED;
}

void geo_rest(struct geo_db *db)
{
    for (size_t i = 0; i < db->n_files; i++) {
        if (db->files[i].is_mapped)
            MMDB_close(&db->files[i].mmdb);
        db->files[i].is_mapped = false;
    }
}

/* The times of its name do not matter: a file that was replaced or removed is still this one. */
static bool is_as_read(const struct geo_file *file)
{
    struct stat now;

    return fstat(file->original, &now) == 0 && now.st_size == file->as_read.st_size &&
           now.st_mtim.tv_sec == file->as_read.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == file->as_read.st_mtim.tv_nsec;
}

/* An IPv4 file covers IPv4; an IPv6 one covers IPv6, and IPv4 when there is no file for that. */
static struct outcome assign_families(struct geo_db *db, struct errors *errors, struct place place)
{
    for (size_t i = 0; i < db->n_files; i++) {
        const struct geo_file *file = &db->files[i];
        const struct geo_file **family = file->is_v4 ? &db->v4 : &db->v6;

        if (*family != NULL) {
            errors_add(errors, place,
                       "\"%s\" and \"%s\" are both IPv%d databases: give one file for both "
                       "families or one for each",
                       (*family)->path, file->path, file->is_v4 ? 4 : 6);
            return OUTCOME_FAILED;
        }
        *family = file;
    }
    if (db->v4 == NULL)
        db->v4 = db->v6;
    return OUTCOME_OK;
}

struct geo_db *geo_open_resting(const char *const *paths, size_t n, struct errors *errors,
                                struct place place)
{
    struct geo_db *db = base_zalloc(1, sizeof(*db));
    bool is_good = n >= 1 && n <= COUNT_OF(db->files);

    if (!is_good)
        errors_add(errors, place,
                   "%zu GeoIP databases: give one file for both families or one for each", n);
    for (size_t i = 0; is_good && i < n; i++)
        is_good = !has_failed(open_file(&db->files[db->n_files++], paths[i], errors, place));
    if (!is_good) {
        geo_close(db);
        return NULL;
    }
    return db;
}

struct outcome geo_read(struct geo_db *db, struct errors *errors, struct place place)
{
    for (size_t i = 0; i < db->n_files; i++)
        if (has_failed(read_file(&db->files[i], errors, place)))
            return OUTCOME_FAILED;
    return assign_families(db, errors, place);
}

struct geo_db *geo_open(const char *const *paths, size_t n, struct errors *errors,
                        struct place place)
{
    struct geo_db *db = geo_open_resting(paths, n, errors, place);

    if (db != NULL && has_failed(geo_read(db, errors, place))) {
        geo_close(db);
        return NULL;
    }
    return db;
}

static struct outcome wake_first(struct geo_db *db)
{
    struct errors errors = {0};
    struct outcome outcome = geo_read(db, &errors, (struct place){0});

    errors_free(&errors);
    return outcome;
}

struct outcome geo_wake(struct geo_db *db)
{
    for (size_t i = 0; i < db->n_files; i++)
        if (!db->files[i].is_mapped && !is_as_read(&db->files[i]))
            return OUTCOME_FAILED;
    if (db->v4 == NULL && db->v6 == NULL)
        return wake_first(db);
    for (size_t i = 0; i < db->n_files; i++)
        if (!db->files[i].is_mapped && map_original(&db->files[i]) != NULL)
            return OUTCOME_FAILED;
    return OUTCOME_OK;
}

void geo_close(struct geo_db *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < db->n_files; i++)
        close_file(&db->files[i]);
    free(db);
}

bool geo_is_unchanged(const struct geo_db *db, const char *const *paths, size_t n)
{
    if (n != db->n_files)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct geo_file *file = &db->files[i];
        struct stat now;

        if (strcmp(paths[i], file->path) != 0 || stat(paths[i], &now) != 0 ||
            now.st_dev != file->as_read.st_dev || now.st_ino != file->as_read.st_ino ||
            !is_as_read(file))
            return false;
    }
    return true;
}

char *geo_describe(const struct geo_db *db)
{
    struct text out = {0};
    char when[CLOCK_ISO], size[TEXT_SHORT];

    for (size_t i = 0; i < db->n_files; i++) {
        const MMDB_s *mmdb = &db->files[i].mmdb;
        /* The date alone; a damaged year may be longer than four digits, which does no harm. */
        clock_format_iso((int64_t)(mmdb->metadata.build_epoch % INT32_MAX), when);
        text_addf(&out, "%s%s (%s), built %.10s, %s", i > 0 ? "; " : "",
                  basename(db->files[i].path), mmdb->metadata.database_type, when,
                  text_format_bytes((uint64_t)mmdb->file_size, size));
    }
    return out.p;
}

static bool locate_in_file(const struct geo_file *file, const struct ip *ip,
                           struct geo_location *out, unsigned *prefix_bits)
{
    struct addr address = addr_of_ip(ip, 0);
    int status = MMDB_SUCCESS;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&file->mmdb, &address.sa, &status);
    unsigned above = ip->family == 4 && file->mmdb.metadata.ip_version == 6 ? 96 : 0;

    if (status != MMDB_SUCCESS)
        return false;
    /* An IPv6 tree may end above ::/96: then all of IPv4 is one network. */
    *prefix_bits = found.netmask > above ? found.netmask - above : 0;
    return found.found_entry &&
           !has_failed(geo_record_read(&file->mmdb, file->layout, found.entry.offset, out)) &&
           (out->has_country || out->has_coordinates);
}

bool geo_locate(const struct geo_db *db, const struct ip *ip, struct geo_location *out,
                unsigned *prefix_bits)
{
    const struct geo_file *file = ip->family == 4 ? db->v4 : db->v6;

    *out = (struct geo_location){0};
    *prefix_bits = 0;
    for (size_t i = 0; i < GEO_EMBEDDINGS; i++) {
        const struct geo_embedding *e = &geo_embeddings[i];
        if (ip->family == 6 && prefix_has(&e->prefix, ip)) {
            struct ip v4 = geo_embedded_ip(e, ip);
            bool is_found = geo_locate(db, &v4, out, prefix_bits);
            *prefix_bits += 8u * e->at;
            return is_found;
        }
    }
    return file != NULL && locate_in_file(file, ip, out, prefix_bits);
}
