/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/ledger/ledger.h"

#include "common/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { FILE_MODE = 0640 };

struct ledger {
    char *path; /* NULL: in memory */
    const char *room;
    uint64_t id, first;
    char **lines;
    size_t n, cap, n_kept;
    int fd; /* for appending; -1: none */
    off_t size;
};

static void drop_oldest(struct ledger *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(l->lines[i]);
    l->n -= n;
    l->first += n;
    if (l->n > 0) /* else there may be no lines at all, not even an address */
        memmove(l->lines, l->lines + n, l->n * sizeof(l->lines[0]));
}

static void add_line(struct ledger *l, const char *line, size_t n)
{
    char *copy = base_alloc(n + 1);

    memcpy(copy, line, n);
    copy[n] = '\0';
    BASE_GROW(l->lines, l->n, l->cap);
    l->lines[l->n++] = copy;
}

/* ---- The file ---- */

static void write_lines(const struct ledger *l, struct text *t)
{
    text_addf(t, "ledger 1 %016" PRIx64 " %" PRIu64 "\n", l->id, l->first);
    for (size_t i = 0; i < l->n; i++)
        text_addf(t, "%s\n", l->lines[i]);
}

static struct outcome open_for_append(struct ledger *l)
{
    l->fd = open(l->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    l->size = l->fd >= 0 ? lseek(l->fd, 0, SEEK_END) : 0;
    return l->fd >= 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

/* All of it, in place of what is there. */
static struct outcome write_anew(struct ledger *l)
{
    struct text t = {0};
    struct outcome outcome;

    write_lines(l, &t);
    outcome = text_replace_file(l->path, &(struct str){t.p, t.n}, 1, FILE_MODE);
    text_free(&t);
    if (has_failed(outcome))
        return outcome;
    if (l->fd >= 0)
        close(l->fd);
    return open_for_append(l);
}

static bool read_head(struct ledger *l, struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    char line[64];

    if (end == NULL || (size_t)(end - rest->p) >= sizeof(line))
        return false;
    snprintf(line, sizeof(line), "%.*s", (int)(end - rest->p), rest->p);
    *rest = (struct str){end + 1, rest->n - (size_t)(end + 1 - rest->p)};
    return sscanf(line, "ledger 1 %" SCNx64 " %" SCNu64, &l->id, &l->first) == 2 && l->id != 0 &&
           l->first != 0;
}

/* False: it is no ledger. */
static bool read_lines(struct ledger *l, struct str rest, bool *is_torn)
{
    if (!read_head(l, &rest))
        return false;
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);

        *is_torn = end == NULL;
        if (*is_torn)
            return true;
        add_line(l, rest.p, (size_t)(end - rest.p));
        rest = (struct str){end + 1, rest.n - (size_t)(end + 1 - rest.p)};
    }
    return true;
}

static void put_aside(const struct ledger *l)
{
    char *aside = base_printf("%s.bad", l->path);

    log_error(l->room, "this file is not what it should be and is begun anew path=%s kept_as=%s",
              l->path, aside);
    (void)rename(l->path, aside);
    free(aside);
}

static void begin(struct ledger *l)
{
    l->first = 1;
    do {
        ensure(getrandom(&l->id, sizeof(l->id), 0) == sizeof(l->id));
    } while (l->id == 0);
}

static void read_file(struct ledger *l)
{
    bool is_torn = false, is_there;
    struct outcome outcome;
    char *bytes = NULL;
    size_t n = 0;

    is_there = !has_failed(text_read_file(l->path, LEDGER_FILE_MAX, &bytes, &n));
    if (is_there && read_lines(l, (struct str){bytes, n}, &is_torn)) {
        outcome = is_torn ? write_anew(l) : open_for_append(l);
    } else {
        if (is_there || errno == EFBIG)
            put_aside(l);
        begin(l);
        outcome = write_anew(l);
    }
    free(bytes);
    if (has_failed(outcome))
        log_error(l->room, "cannot write path=%s reason=\"%s\"", l->path, strerror(errno));
}

struct ledger *ledger_open(const char *path, size_t n_kept, const char *room)
{
    struct ledger *l = base_zalloc(1, sizeof(*l));

    l->room = room;
    l->n_kept = n_kept;
    l->fd = -1;
    if (path == NULL) {
        begin(l);
        return l;
    }
    l->path = base_strdup(path);
    read_file(l);
    return l;
}

void ledger_close(struct ledger *l)
{
    if (l->fd >= 0)
        close(l->fd);
    drop_oldest(l, l->n);
    free(l->lines);
    free(l->path);
    free(l);
}

/* ---- Lines ---- */

uint64_t ledger_id(const struct ledger *l)
{
    return l->id;
}

bool ledger_is_in_file(const struct ledger *l)
{
    return l->path != NULL;
}

uint64_t ledger_first(const struct ledger *l)
{
    return l->first;
}

uint64_t ledger_last(const struct ledger *l)
{
    return l->first + l->n - 1;
}

const char *ledger_line(const struct ledger *l, uint64_t number)
{
    ensure(number >= l->first && number <= ledger_last(l));
    return l->lines[number - l->first];
}

/* What was written in part must not be there later. */
static struct outcome append_to_file(struct ledger *l, const struct text *t)
{
    int why;

    if (l->fd < 0 && has_failed(write_anew(l)))
        return OUTCOME_FAILED;
    errno = EIO;
    if (write(l->fd, t->p, t->n) == (ssize_t)t->n && fdatasync(l->fd) == 0) {
        l->size += (off_t)t->n;
        return OUTCOME_OK;
    }
    why = errno;
    if (ftruncate(l->fd, l->size) != 0) {
        close(l->fd); /* the next one writes all anew */
        l->fd = -1;
    }
    errno = why;
    return OUTCOME_FAILED;
}

struct outcome ledger_append(struct ledger *l, const char *const *lines, size_t n)
{
    struct outcome outcome = OUTCOME_OK;
    struct text t = {0};

    for (size_t i = 0; i < n; i++)
        text_addf(&t, "%s\n", lines[i]);
    if (l->path != NULL && n > 0)
        outcome = append_to_file(l, &t);
    text_free(&t);
    if (has_failed(outcome))
        return outcome;
    for (size_t i = 0; i < n; i++)
        add_line(l, lines[i], strlen(lines[i]));
    if (l->n > 2 * l->n_kept) {
        drop_oldest(l, l->n - l->n_kept);
        if (l->path != NULL && has_failed(write_anew(l)))
            log_warn(l->room, "cannot shorten the file path=%s reason=\"%s\"", l->path,
                     strerror(errno));
    }
    return OUTCOME_OK;
}
