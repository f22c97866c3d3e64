/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries to records: directives ($ORIGIN, $TTL, $INCLUDE, $GENERATE), the owner and TTL that an
 * entry leaves out, class and type in any order. What is left, the data, is rdata's. */
#include "gslb-dns/zone/zone_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    INCLUDE_DEPTH = 16,
    FILES_MAX = 4096,
    GENERATED_MAX = 1000000, /* records of one zone */
    PROGRESS_BYTES = 65536,  /* from one look at the clock to the next */
    FAULTS_MAX = 1000,       /* then the rest of the zone is not read */
};
static const size_t FILE_MAX_BYTES = (size_t)2 << 30;

/* One zone being read. Origin, owner and TTL are what the entry before left behind. */
struct zone_reader {
    struct draft *draft;
    struct errors *errors;
    size_t errors_before;
    struct wire_name origin;
    uint32_t owner; /* DRAFT_NONE: none yet, or it was bad */
    bool has_owner;
    bool has_default_ttl, has_last_ttl;
    uint32_t default_ttl, last_ttl;
    unsigned depth;
    size_t n_generated;
    struct rdata_context rdata;
    uint8_t *buffer; /* RDATA_MAX */
};

static void read_source(struct zone_reader *z, struct source *s);
static void read_file(struct zone_reader *z, const char *path, const struct source *from,
                      const struct token *at);

static bool is_exhausted(const struct zone_reader *z)
{
    return z->errors->n_errors - z->errors_before > FAULTS_MAX;
}

/* --- records ------------------------------------------------------------------------------ */

static void complain_outside(struct zone_reader *z, const struct source *s, const struct token *t,
                             const struct wire_name *name)
{
    char owner[WIRE_NAME_TEXT], apex[WIRE_NAME_TEXT], origin[WIRE_NAME_TEXT];

    scan_complain(s, t, z->errors, "%s is not in the zone %s (the origin here is %s)",
                  wire_name_format(name->bytes, owner),
                  wire_name_format(z->draft->apex.bytes, apex),
                  wire_name_format(z->origin.bytes, origin));
}

static void lower(struct wire_name *name)
{
    for (size_t i = 0; i < name->length; i++) /* length bytes lie below 'A' */
        name->bytes[i] = text_lower(name->bytes[i]);
}

static struct outcome read_owner(struct zone_reader *z, const struct source *s,
                                 const struct token *t)
{
    struct wire_name name;
    const char *why = scan_name(t->s, &z->origin, &name);

    z->has_owner = true;
    z->owner = DRAFT_NONE;
    if (why != NULL) {
        scan_complain(s, t, z->errors, "%s", why);
        return OUTCOME_FAILED;
    }
    lower(&name);
    if (!wire_name_is_below(&name, &z->draft->apex)) {
        complain_outside(z, s, t, &name);
        return OUTCOME_FAILED;
    }
    z->owner = draft_add_name(z->draft, &name);
    return OUTCOME_OK;
}

static bool is_class(struct str s)
{
    return str_is_nocase(s, "IN") || str_is_nocase(s, "CH") || str_is_nocase(s, "HS") ||
           str_is_nocase(s, "CS") || (s.n > 5 && str_is_nocase((struct str){s.p, 5}, "CLASS"));
}

static struct outcome read_class(struct zone_reader *z, const struct source *s,
                                 const struct token *t)
{
    if (str_is_nocase(t->s, "IN") || str_is_nocase(t->s, "CLASS1"))
        return OUTCOME_OK;
    scan_complain(s, t, z->errors, "class %.*s: only IN is served", scan_shown(t), t->s.p);
    return OUTCOME_FAILED;
}

struct record_head {
    bool has_class, has_ttl;
    uint32_t ttl_s;
    uint16_t type;
    size_t n; /* tokens that were read */
};

static struct outcome complain_type(struct zone_reader *z, const struct source *s,
                                    const struct token *t)
{
    const char *near = rdata_nearest_type(t->s);

    if (str_is_nocase(t->s, "ALIAS") || str_is_nocase(t->s, "ANAME"))
        scan_complain(s, t, z->errors,
                      "%.*s is no DNS type; give the name as a service, or write its addresses",
                      scan_shown(t), t->s.p);
    else if (near != NULL)
        scan_complain(s, t, z->errors, "unknown type %.*s; did you mean %s?", scan_shown(t), t->s.p,
                      near);
    else
        scan_complain(s, t, z->errors, "unknown type %.*s", scan_shown(t), t->s.p);
    return OUTCOME_FAILED;
}

static struct outcome read_type(struct zone_reader *z, const struct source *s,
                                const struct token *t, uint16_t *out)
{
    char buf[16];

    *out = t->is_quoted ? 0 : rdata_type(t->s);
    if (*out == 0)
        return complain_type(z, s, t);
    if (*out == WIRE_OPT || (*out >= 128 && *out <= 255)) { /* RFC 6895 section 3.1 */
        scan_complain(s, t, z->errors, "%s is for queries, it cannot stand in a zone",
                      wire_type_format(*out, buf));
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

/* [TTL] [class] type, the first two in any order. */
static struct outcome read_head(struct zone_reader *z, const struct source *s,
                                const struct entry *e, struct record_head *h)
{
    for (; h->n < e->n; h->n++) {
        const struct token *t = &e->tokens[h->n];

        if (!h->has_class && !t->is_quoted && is_class(t->s)) {
            if (has_failed(read_class(z, s, t)))
                return OUTCOME_FAILED;
            h->has_class = true;
        } else if (!h->has_ttl && !t->is_quoted && t->s.p[0] >= '0' && t->s.p[0] <= '9') {
            if (!scan_ttl(t->s, &h->ttl_s)) {
                scan_complain(s, t, z->errors,
                              "%.*s is no TTL: seconds, or a time like 1h30m, at most 2147483647",
                              scan_shown(t), t->s.p);
                return OUTCOME_FAILED;
            }
            h->has_ttl = true;
        } else {
            h->n++;
            return read_type(z, s, t, &h->type);
        }
    }
    scan_complain(s, &e->tokens[e->n - 1], z->errors, "record without a type");
    return OUTCOME_FAILED;
}

/* RFC 2308 section 4: $TTL's value, else that of the record before. */
static struct outcome choose_ttl(struct zone_reader *z, const struct source *s,
                                 const struct token *at, struct record_head *h)
{
    if (h->has_ttl) {
        z->has_last_ttl = true;
        z->last_ttl = h->ttl_s;
    } else if (z->has_default_ttl) {
        h->ttl_s = z->default_ttl;
    } else if (z->has_last_ttl) {
        h->ttl_s = z->last_ttl;
    } else {
        scan_complain(s, at, z->errors,
                      "record without a TTL, and none before it; write $TTL 3600 (or another "
                      "time) above");
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static struct outcome find_owner(struct zone_reader *z, const struct source *s,
                                 const struct entry *e)
{
    if (e->has_owner)
        return read_owner(z, s, &e->tokens[0]);
    if (!z->has_owner) {
        scan_complain(s, &e->tokens[0], z->errors, "record without an owner, and none before it");
        return OUTCOME_FAILED;
    }
    return z->owner == DRAFT_NONE ? OUTCOME_FAILED : OUTCOME_OK; /* was said before */
}

static void read_record(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    struct record_head h = {.n = e->has_owner};
    struct writer out = writer_of(z->buffer, RDATA_MAX);
    struct outcome outcome;
    const struct token *type;
    struct entry rest;

    if (has_failed(find_owner(z, s, e)) || has_failed(read_head(z, s, e, &h)))
        return;
    type = &e->tokens[h.n - 1];
    rest = (struct entry){.tokens = e->tokens + h.n, .n = e->n - h.n};
    if (has_failed(choose_ttl(z, s, type, &h)))
        return;
    z->rdata.source = s;
    outcome = rdata_parse(&z->rdata, h.type, type, &rest, &out);
    z->rdata.source = NULL;
    if (has_failed(outcome))
        return;
    if (out.is_full) {
        scan_complain(s, type, z->errors, "record is longer than 65535 bytes");
        return;
    }
    draft_add_record(z->draft, z->owner,
                     &(struct draft_record){.rdata = z->buffer,
                                            .rdata_bytes = (uint16_t)(out.p - z->buffer),
                                            .type = h.type,
                                            .ttl_s = h.ttl_s,
                                            .line = type->line,
                                            .file = s->file});
}

/* --- directives --------------------------------------------------------------------------- */

static struct outcome check_count(struct zone_reader *z, const struct source *s,
                                  const struct entry *e, size_t most, const char *what)
{
    if (e->n < 2) {
        scan_complain(s, &e->tokens[0], z->errors, "%.*s needs %s", STR_ARG(e->tokens[0].s), what);
        return OUTCOME_FAILED;
    }
    if (e->n > most) {
        scan_complain(s, &e->tokens[most], z->errors, "%.*s takes %s and nothing more",
                      STR_ARG(e->tokens[0].s), what);
        return OUTCOME_FAILED;
    }
    return OUTCOME_OK;
}

static struct outcome parse_origin(struct zone_reader *z, const struct source *s,
                                   const struct token *t, struct wire_name *out)
{
    const char *why = scan_name(t->s, &z->origin, out);

    if (why == NULL)
        return OUTCOME_OK;
    scan_complain(s, t, z->errors, "%s", why);
    return OUTCOME_FAILED;
}

static void do_origin(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    struct wire_name origin;

    if (has_failed(check_count(z, s, e, 2, "a name")) ||
        has_failed(parse_origin(z, s, &e->tokens[1], &origin)))
        return;
    z->origin = origin;
}

static void do_ttl(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    if (has_failed(check_count(z, s, e, 2, "a time")))
        return;
    if (!scan_ttl(e->tokens[1].s, &z->default_ttl)) {
        scan_complain(s, &e->tokens[1], z->errors,
                      "%.*s is no TTL: seconds, or a time like 1h30m, at most 2147483647",
                      scan_shown(&e->tokens[1]), e->tokens[1].s.p);
        return;
    }
    z->has_default_ttl = true;
}

/* Origin and owner of this file are the same again after the included one. */
static void do_include(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    struct wire_name origin = z->origin, inner = z->origin;
    uint32_t owner = z->owner;
    bool has_owner = z->has_owner;
    const char *slash = strrchr(s->path, '/');
    char *path;

    if (has_failed(check_count(z, s, e, 3, "a file, then perhaps an origin,")) ||
        (e->n == 3 && has_failed(parse_origin(z, s, &e->tokens[2], &inner))))
        return;
    if (z->depth == INCLUDE_DEPTH || z->draft->n_files == FILES_MAX) {
        scan_complain(s, &e->tokens[0], z->errors,
                      "more than %d files %s; does one include itself?",
                      z->depth == INCLUDE_DEPTH ? INCLUDE_DEPTH : FILES_MAX,
                      z->depth == INCLUDE_DEPTH ? "deep" : "in all");
        return;
    }
    if (e->tokens[1].s.n > 0 && e->tokens[1].s.p[0] == '/')
        slash = NULL;
    path = base_printf("%.*s%.*s", slash ? (int)(slash + 1 - s->path) : 0, s->path,
                       STR_ARG(e->tokens[1].s));
    z->origin = inner;
    z->has_owner = false;
    read_file(z, path, s, &e->tokens[1]);
    z->origin = origin;
    z->owner = owner;
    z->has_owner = has_owner;
    free(path);
}

static void do_generate(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    struct text line = {0};
    struct scan_range range;

    if (e->n < 5) {
        scan_complain(s, &e->tokens[0], z->errors,
                      "$GENERATE needs a range, an owner, a type and data: "
                      "$GENERATE 1-9 host$ A 192.0.2.$");
        return;
    }
    if (!scan_range(e->tokens[1].s, &range)) {
        scan_complain(s, &e->tokens[1], z->errors,
                      "%.*s is no range: START-STOP or START-STOP/STEP wanted",
                      scan_shown(&e->tokens[1]), e->tokens[1].s.p);
        return;
    }
    for (uint64_t i = range.start; i <= range.stop && !is_exhausted(z); i += range.step) {
        struct source made = *s;

        if (z->n_generated++ == GENERATED_MAX) {
            scan_complain(s, &e->tokens[0], z->errors, "$GENERATE makes more than %d records",
                          GENERATED_MAX);
            break;
        }
        if (!scan_generate(e, i, &line)) {
            scan_complain(
                s, &e->tokens[2], z->errors,
                "bad counter for the value %llu: ${OFFSET,WIDTH,BASE} wanted, base one of "
                "d o x X n N, the sum not negative",
                (unsigned long long)i);
            break;
        }
        made.is_generated = true;
        made.text = made.p = line.p;
        made.end = line.p + line.n;
        made.line = e->tokens[0].line;
        read_source(z, &made);
    }
    text_free(&line);
}

static void read_directive(struct zone_reader *z, const struct source *s, const struct entry *e)
{
    static const struct {
        const char *name;
        void (*obey)(struct zone_reader *z, const struct source *s, const struct entry *e);
    } directives[] = {{"$ORIGIN", do_origin},
                      {"$TTL", do_ttl},
                      {"$INCLUDE", do_include},
                      {"$GENERATE", do_generate}};

    for (size_t i = 0; i < COUNT_OF(directives); i++) {
        if (str_is_nocase(e->tokens[0].s, directives[i].name)) {
            directives[i].obey(z, s, e);
            return;
        }
    }
    scan_complain(s, &e->tokens[0], z->errors,
                  "unknown directive %.*s; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE",
                  scan_shown(&e->tokens[0]), e->tokens[0].s.p);
}

/* --- sources ------------------------------------------------------------------------------ */

static void tell_progress(const struct zone_reader *z, const struct source *s, const char **told)
{
    if (z->draft->progress == NULL || s->is_generated || s->p - *told < PROGRESS_BYTES)
        return;
    progress_add(z->draft->progress, EFFORT_TO_READ * (uint64_t)(s->p - *told));
    *told = s->p;
}

static void read_source(struct zone_reader *z, struct source *s)
{
    const char *told = s->p;
    struct entry e = {0};

    while (!is_exhausted(z) && scan_entry(s, &e, z->errors)) {
        tell_progress(z, s, &told);
        if (e.is_bad)
            continue;
        if (!s->is_generated && e.has_owner && !e.tokens[0].is_quoted && e.tokens[0].s.p[0] == '$')
            read_directive(z, s, &e);
        else
            read_record(z, s, &e);
    }
    free(e.tokens);
}

/* Zone text has no NUL; a file with one is something else. */
static struct outcome check_text(struct zone_reader *z, const struct source *s)
{
    const char *nul = memchr(s->text, '\0', (size_t)(s->end - s->text));
    unsigned line = 1;

    if (nul == NULL)
        return OUTCOME_OK;
    for (const char *p = s->text; p < nul; p++)
        line += *p == '\n';
    errors_add(z->errors, (struct place){.file = s->path, .line = line},
               "NUL byte; this is no zone file");
    return OUTCOME_FAILED;
}

static void complain_file(struct zone_reader *z, const char *path, const struct source *from,
                          const struct token *at)
{
    const char *why = errno == EFBIG    ? "larger than 2 GiB"
                      : errno == EINVAL ? "not a regular file"
                                        : strerror(errno);

    if (from != NULL)
        scan_complain(from, at, z->errors, "cannot read %s: %s", path, why);
    else
        errors_add(z->errors, (struct place){.file = path}, "cannot read the zone file: %s", why);
}

/* Fails with errno. A device or a pipe has no end, or another text at the next reload. */
static struct outcome look_at_file(const char *path, struct stat *out)
{
    if (stat(path, out) != 0)
        return OUTCOME_FAILED;
    errno = S_ISDIR(out->st_mode) ? EISDIR : EINVAL;
    return S_ISREG(out->st_mode) ? OUTCOME_OK : OUTCOME_FAILED;
}

/* What was read of a file, or is the zone as a whole. */
static void read_text(struct zone_reader *z, const struct zone_file *file, struct str text)
{
    struct draft *d = z->draft;
    struct source s = {.file = (uint16_t)d->n_files, .line = 1};

    BASE_GROW(d->files, d->n_files, d->files_cap);
    d->files[d->n_files++] = *file;
    s.path = file->path;
    s.text = s.p = text.p;
    s.end = text.p + text.n;
    z->depth++;
    if (!has_failed(check_text(z, &s)))
        read_source(z, &s);
    z->depth--;
}

static void read_file(struct zone_reader *z, const char *path, const struct source *from,
                      const struct token *at)
{
    struct zone_file file = {.path = NULL};
    char *text;
    size_t n;

    /* Looked at before it is read: a change in between shows as one at the next reload. */
    if (has_failed(look_at_file(path, &file.as_read)) ||
        has_failed(text_read_file(path, FILE_MAX_BYTES, &text, &n))) {
        complain_file(z, path, from, at);
        return;
    }
    file.path = base_strdup(path);
    read_text(z, &file, (struct str){text, n});
    free(text);
}

static void read_memory(struct zone_reader *z, const struct zone_source *from)
{
    struct zone_file file = {.path = base_strdup(from->path)};

    file.as_read.st_size = (off_t)from->text.n; /* its effort */
    read_text(z, &file, from->text);
}

void read_zone(struct draft *d, const struct zone_source *from)
{
    struct zone_reader z = {.draft = d,
                            .errors = d->errors,
                            .errors_before = d->errors->n_errors,
                            .origin = d->apex,
                            .owner = DRAFT_NONE,
                            .buffer = base_alloc(RDATA_MAX)};

    z.rdata = (struct rdata_context){.errors = d->errors, .origin = &z.origin};
    if (from->text.p != NULL)
        read_memory(&z, from);
    else
        read_file(&z, from->path, NULL, NULL);
    if (is_exhausted(&z))
        errors_add(d->errors, (struct place){.file = from->path},
                   "more than %d mistakes; the rest was not read", FAULTS_MAX);
    rdata_context_free(&z.rdata);
    free(z.buffer);
}
