/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_state: the file in which drains survive a restart. One line each, "drain EDGE REASON";
 * written whole to a neighbour and renamed over the old one, so that a crash leaves one or the
 * other. Lines that are not understood (of another version) are skipped with a warning: a node
 * that does not start would be worse than a drain that is forgotten.
 */
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STATE_MAX_BYTES = 1 << 20 };

/* "NAME REASON", reason optional. */
static bool read_drain(struct str rest, struct control_drain *d)
{
    const char *space = memchr(rest.p, ' ', rest.n);
    size_t n = space ? (size_t)(space - rest.p) : rest.n;
    char reason[CONTROL_TEXT] = "";

    if (n == 0 || n >= sizeof(d->name))
        return false;
    *d = (struct control_drain){0};
    memcpy(d->name, rest.p, n);
    if (space != NULL)
        snprintf(reason, sizeof(reason), "%.*s", (int)(rest.n - n - 1), space + 1);
    text_clean(d->reason, sizeof(d->reason), reason);
    return true;
}

static void read_line(struct control *c, struct str line, struct errors *errors, struct place at)
{
    static const struct str key = STR("drain ");
    struct control_drain d;

    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#')
        return;
    if (line.n > key.n && memcmp(line.p, key.p, key.n) == 0 &&
        read_drain((struct str){line.p + key.n, line.n - key.n}, &d)) {
        BASE_GROW(c->drains, c->n_drains, c->cap_drains);
        c->drains[c->n_drains++] = d;
        return;
    }
    errors_warn(errors, at, "this line of the state file is not understood and is skipped");
    errors_set_excerpt(errors, line.p, line.n);
}

void control_load_state(struct control *c, const char *path, struct errors *errors,
                        struct place place)
{
    struct place at = {.file = path};
    char *bytes;
    size_t n;

    if (has_failed(text_read_file(path, STATE_MAX_BYTES, &bytes, &n))) {
        if (errno != ENOENT)
            errors_warn(errors, place, "cannot read the state file '%s': %s; drains are forgotten",
                        path, strerror(errno));
        return;
    }
    for (char *p = bytes, *end; p < bytes + n; p = end + 1) {
        end = memchr(p, '\n', (size_t)(bytes + n - p));
        if (end == NULL)
            end = bytes + n;
        at.line++;
        read_line(c, (struct str){p, (size_t)(end - p)}, errors, at);
    }
    free(bytes);
}

static struct outcome write_all(int fd, const struct text *t)
{
    size_t done = 0;

    while (done < t->n) {
        ssize_t n = write(fd, t->p + done, t->n - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return OUTCOME_FAILED;
        done += (size_t)n;
    }
    return fsync(fd) == 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

/* The rename itself must reach the disk too. */
static void sync_folder(const char *path)
{
    char *copy = base_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(copy);
}

static struct outcome replace_file(const char *path, const struct text *t)
{
    char *fresh = base_printf("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    struct outcome outcome = OUTCOME_FAILED;

    if (fd >= 0) {
        outcome = write_all(fd, t);
        close(fd);
    }
    if (!has_failed(outcome) && rename(fresh, path) != 0)
        outcome = OUTCOME_FAILED;
    free(fresh);
    return outcome;
}

struct outcome control_save_state(const struct control *c)
{
    struct outcome outcome;
    const char *path = c->config->state_path;
    struct text t = {0};

    if (path == NULL)
        return OUTCOME_OK;
    text_adds(&t, "# Drains that operators asked for. Written by gslb-dns.\n");
    for (size_t i = 0; i < c->n_drains; i++)
        text_addf(&t, "drain %s %s\n", c->drains[i].name, c->drains[i].reason);
    outcome = replace_file(path, &t);
    if (has_failed(outcome))
        log_error("control",
                  "cannot write the state file path=%s reason=\"%s\": drains will be "
                  "forgotten at the next start",
                  path, strerror(errno));
    else
        sync_folder(path);
    text_free(&t);
    return outcome;
}
