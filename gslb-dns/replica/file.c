/* SPDX-License-Identifier: BSD-2-Clause */
/* Replicas on disk. */
#include "gslb-dns/replica/replica_internal.h"

#include "common/siphash/siphash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first line has one length whatever the times are, so that it can be overwritten; it is far
 * shorter than a sector of any disk, which is written whole or not at all. */
#define TIMES_FORMAT "; gslb-dns replica 1, confirmed %016" PRId64 ", expires %016" PRId64 "\n"
#define TIMES_READ "; gslb-dns replica 1, confirmed %16" SCNd64 ", expires %16" SCNd64 "\n"
#define DIGEST_FORMAT "; %zu records, %zu bytes, digest %016" PRIx64 "\n"
#define DIGEST_READ "; %zu records, %zu bytes, digest %16" SCNx64 "\n"
#define ADVICE "; As its primary has it: to change the zone, change it there.\n"

enum { HEAD_LINE = 128, FOLDER_MODE = 0750, FILE_MODE = 0640 };
static const size_t FILE_MAX_BYTES = (size_t)2 << 30;

/* Of what a disk may do to a file, not of what somebody could. */
static uint64_t digest_of(struct str text)
{
    static const struct siphash_key none;

    return siphash_24(&none, text.p, text.n);
}

/* ---- reading ---- */

struct head {
    int64_t confirmed_s, expires_s;
    size_t n_records, n;
    uint64_t digest;
};

/* The next line, which p then stands behind; empty at the end. */
static struct str take_line(const char **p, const char *end)
{
    const char *begin = *p, *newline = memchr(begin, '\n', (size_t)(end - begin));

    *p = newline != NULL ? newline + 1 : end;
    return (struct str){begin, (size_t)(*p - begin)};
}

static bool read_head(struct str first, struct str second, struct head *out)
{
    char line[HEAD_LINE];

    if (first.n >= sizeof(line) || second.n >= sizeof(line))
        return false;
    snprintf(line, sizeof(line), "%.*s", STR_ARG(first));
    if (sscanf(line, TIMES_READ, &out->confirmed_s, &out->expires_s) != 2)
        return false;
    snprintf(line, sizeof(line), "%.*s", STR_ARG(second));
    return sscanf(line, DIGEST_READ, &out->n_records, &out->n, &out->digest) == 3;
}

/* The number that follows a space, reading on behind it. */
static bool take_number(const char **p, uint32_t *out)
{
    char *end;
    unsigned long value = strtoul(*p, &end, 10);

    if (end == *p || value > UINT32_MAX)
        return false;
    *out = (uint32_t)value;
    *p = end;
    return true;
}

/* "example.com. 3600 IN SOA ns. host. 7 3600 900 1209600 300", as we have written it: names have no
 * space in it. */
static bool read_soa_line(struct str line, const struct wire_name *apex, struct replica_soa *out)
{
    enum { TOKENS_BEFORE = 6 };
    char name[WIRE_NAME_TEXT];
    size_t n = strlen(wire_name_format(apex->bytes, name));
    const char *p = line.p;

    if (line.n <= n || memcmp(p, name, n) != 0 || line.p[line.n - 1] != '\n')
        return false;
    for (unsigned i = 0; i < TOKENS_BEFORE; i++) {
        p = memchr(p, ' ', (size_t)(line.p + line.n - p));
        if (p == NULL)
            return false;
        p++;
    }
    return take_number(&p, &out->serial) && take_number(&p, &out->refresh_s) &&
           take_number(&p, &out->retry_s) && take_number(&p, &out->expire_s);
}

/* NULL, or why it is not what was written. */
static const char *read_text(const char *bytes, size_t n, const struct wire_name *apex,
                             struct replica_stored *out)
{
    const char *p = bytes, *end = bytes + n;
    struct str first = take_line(&p, end), second = take_line(&p, end);
    struct replica_soa soa;
    struct text text = {0};
    struct head head;
    struct str body;

    if (!read_head(first, second, &head))
        return "it does not begin as it should";
    (void)take_line(&p, end); /* the advice */
    body = (struct str){p, (size_t)(end - p)};
    if (body.n != head.n || digest_of(body) != head.digest)
        return "it is not what was written";
    if (!read_soa_line(take_line(&p, end), apex, &soa))
        return "it is no copy of this zone";
    text_add(&text, body.p, body.n);
    out->replica = replica_new(&text, head.n_records, &soa);
    out->confirmed_s = head.confirmed_s;
    out->expires_s = head.expires_s;
    return NULL;
}

void replica_read(const char *path, const struct wire_name *apex, int64_t now_s,
                  struct replica_stored *out)
{
    const char *why;
    char *bytes;
    size_t n;

    *out = (struct replica_stored){.state = REPLICA_NONE};
    if (has_failed(text_read_file(path, FILE_MAX_BYTES, &bytes, &n))) {
        if (errno == ENOENT)
            return;
        out->state = REPLICA_DAMAGED;
        out->why = base_strdup(strerror(errno));
        return;
    }
    why = read_text(bytes, n, apex, out);
    free(bytes);
    if (why != NULL) {
        out->state = REPLICA_DAMAGED;
        out->why = base_strdup(why);
        return;
    }
    out->state = now_s < out->expires_s ? REPLICA_FRESH : REPLICA_EXPIRED;
}

/* ---- writing ---- */

/* The last folder of the path alone: what lies above it is for the operator to make. */
static void make_folder(const char *path)
{
    char *copy = base_strdup(path);

    (void)mkdir(dirname(copy), FOLDER_MODE); /* if it fails, so does what follows */
    free(copy);
}

struct outcome replica_write(const char *path, const struct replica *r, int64_t confirmed_s,
                             int64_t expires_s)
{
    struct str text = {r->text, r->n};
    struct text head = {0};
    struct outcome outcome;
    int why;

    make_folder(path);
    text_addf(&head, TIMES_FORMAT DIGEST_FORMAT ADVICE, confirmed_s, expires_s, r->n_records, r->n,
              digest_of(text));
    outcome = text_replace_file(path, (struct str[]){{head.p, head.n}, text}, 2, FILE_MODE);
    why = errno;
    text_free(&head);
    errno = why;
    return outcome;
}

struct outcome replica_confirm(const char *path, int64_t confirmed_s, int64_t expires_s)
{
    char line[HEAD_LINE];
    int n = snprintf(line, sizeof(line), TIMES_FORMAT, confirmed_s, expires_s), why;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_good;

    if (fd < 0)
        return OUTCOME_FAILED;
    is_good = pwrite(fd, line, (size_t)n, 0) == n && fdatasync(fd) == 0;
    why = errno;
    close(fd);
    errno = why;
    return is_good ? OUTCOME_OK : OUTCOME_FAILED;
}

struct outcome replica_set_aside(const char *path)
{
    char *aside = base_printf("%s.damaged", path);
    bool is_good = rename(path, aside) == 0;
    int why = errno;

    free(aside);
    errno = why;
    return is_good ? OUTCOME_OK : OUTCOME_FAILED;
}
