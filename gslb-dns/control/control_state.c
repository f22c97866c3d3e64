/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * control_state: the file in which drains and challenges survive a restart. One line each,
 * "drain EDGE REASON", "drain-until END EDGE REASON" and "challenge NAME TEXT STAMP END
 * add|remove", the last two numbers as in struct acme_record, but its END in ms of the wall clock:
 * a node that is down for a while does not answer longer for it. Written whole to a neighbour and
 * renamed over the old one, so that a crash leaves one or the other. Lines that are not understood
 * (of another version) are skipped with a warning: a node that does not start would be worse than a
 * drain that is forgotten.
 */
#include "common/clock/clock.h"
#include "common/log/log.h"
#include "gslb-dns/control/control_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_MAX_BYTES = 4 << 20 };

/* A name in text form has no space: it is \032 there. */
#define CHALLENGE_FORMAT "%1023s %255s %" SCNu64 " %" SCNd64 " %7s"
static_assert(WIRE_NAME_TEXT >= 1024 && ACME_VALUE_MAX == 255, "CHALLENGE_FORMAT");

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

static bool take_drain(struct control *c, struct str rest)
{
    struct control_drain d;

    if (!read_drain(rest, &d))
        return false;
    BASE_GROW(c->drains, c->n_drains, c->cap_drains);
    c->drains[c->n_drains++] = d;
    return true;
}

/* One whose time is over ends soon after. */
static bool take_drain_until(struct control *c, struct str rest)
{
    const char *space = memchr(rest.p, ' ', rest.n);
    size_t n = space != NULL ? (size_t)(space - rest.p) : 0;
    uint64_t until_s;

    if (n == 0 || !text_parse_u64((struct str){rest.p, n}, &until_s) || until_s == 0 ||
        until_s > INT64_MAX || !take_drain(c, (struct str){space + 1, rest.n - n - 1}))
        return false;
    c->drains[c->n_drains - 1].until_s = (int64_t)until_s;
    return true;
}

/* One whose time is over is no mistake. */
static bool take_challenge(struct control *c, struct str rest)
{
    char line[WIRE_NAME_TEXT + ACME_VALUE_MAX + 64], name[WIRE_NAME_TEXT], word[8];
    struct acme_record r = {0};
    int64_t now_ms = clock_mono_ms(), end_ms;

    snprintf(line, sizeof(line), "%.*s", (int)rest.n, rest.p);
    if (rest.n >= sizeof(line) ||
        sscanf(line, CHALLENGE_FORMAT, name, r.value, &r.stamp, &end_ms, word) != 5 ||
        !wire_name_parse(str_of(name), &r.name) || !control_acme_is_value(r.value) ||
        (strcmp(word, "add") != 0 && strcmp(word, "remove") != 0))
        return false;
    r.is_removed = word[0] == 'r';
    r.expires_ms = now_ms + end_ms - 1000 * clock_wall_s();
    (void)acme_store_put(c->acme, &r, now_ms);
    return true;
}

static bool take_line(struct control *c, struct str line)
{
    static const struct {
        struct str key;
        bool (*take)(struct control *c, struct str rest);
    } kinds[] = {{STR("drain "), take_drain},
                 {STR("drain-until "), take_drain_until},
                 {STR("challenge "), take_challenge}};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const struct str *key = &kinds[i].key;

        if (line.n > key->n && memcmp(line.p, key->p, key->n) == 0)
            return kinds[i].take(c, (struct str){line.p + key->n, line.n - key->n});
    }
    return false;
}

static void read_line(struct control *c, struct str line, struct errors *errors, struct place at)
{
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#' || take_line(c, line))
        return;
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
            errors_warn(errors, place,
                        "cannot read the state file '%s': %s; drains and challenges are forgotten",
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

static void write_challenges(const struct control *c, struct text *t)
{
    size_t n;
    const struct acme_record *records = acme_store_records(c->acme, &n);
    int64_t to_wall_ms = 1000 * clock_wall_s() - clock_mono_ms();
    char name[WIRE_NAME_TEXT];

    for (size_t i = 0; i < n; i++)
        text_addf(t, "challenge %s %s %" PRIu64 " %" PRId64 " %s\n",
                  wire_name_format(records[i].name.bytes, name), records[i].value, records[i].stamp,
                  records[i].expires_ms + to_wall_ms, records[i].is_removed ? "remove" : "add");
}

struct outcome control_save_state(const struct control *c)
{
    struct outcome outcome;
    const char *path = c->config->state_path;
    struct text t = {0};

    if (path == NULL)
        return OUTCOME_OK;
    text_adds(&t, "# What operators asked for. Written by gslb-dns.\n");
    for (size_t i = 0; i < c->n_drains; i++) {
        const struct control_drain *d = &c->drains[i];

        if (d->until_s != 0)
            text_addf(&t, "drain-until %" PRId64 " %s %s\n", d->until_s, d->name, d->reason);
        else
            text_addf(&t, "drain %s %s\n", d->name, d->reason);
    }
    write_challenges(c, &t);
    outcome = text_replace_file(path, &(struct str){t.p, t.n}, 1, 0640);
    if (has_failed(outcome))
        log_error("control",
                  "cannot write the state file path=%s reason=\"%s\": drains and challenges will "
                  "be forgotten at the next start",
                  path, strerror(errno));
    text_free(&t);
    return outcome;
}
