/* SPDX-License-Identifier: BSD-2-Clause */
/* The known names, sets of names, and the set of field lines. */
#include "edge-proxy/fields/fields.h"

#define NAME_BYTES 32
/* A power of two with room to spare, so that a look-up rarely takes a second step. */
#define SLOTS 1024
/* More nominated names than any honest Connection field has; see nominate(). */
#define NOMINATED_MAX 64

static const struct {
    struct str spelling;
    uint16_t flags;
} known[FIELD_ID_COUNT] = {[FIELD_OTHER] = {{"", 0}, 0},
#define KNOWN_(id, name, bits) [FIELD_##id] = {{(name), sizeof(name) - 1}, (bits)},
                           FIELDS_TABLE(KNOWN_)
#undef KNOWN_
};

/* Both are filled before main and never change. */
static char lower_names[FIELD_ID_COUNT][NAME_BYTES];
static uint8_t slots[SLOTS];

static inline unsigned slot_of(const char *p, size_t n)
{
    unsigned first = (uint8_t)p[0] | 0x20, middle = (uint8_t)p[n / 2] | 0x20;
    unsigned last = (uint8_t)p[n - 1] | 0x20;

    return (unsigned)(n * 37 + first * 5 + middle * 23 + last * 131) % SLOTS;
}

__attribute__((constructor)) static void build_names(void)
{
    for (unsigned id = 1; id < FIELD_ID_COUNT; id++) {
        struct str name = known[id].spelling;
        unsigned slot = slot_of(name.p, name.n);

        ensure(name.n < NAME_BYTES);
        for (size_t i = 0; i < name.n; i++)
            lower_names[id][i] = (char)text_lower((uint8_t)name.p[i]);
        while (slots[slot] != 0)
            slot = (slot + 1) % SLOTS;
        slots[slot] = (uint8_t)id;
    }
}

static inline bool is_same_8(const char *p, const char *lower)
{
    uint64_t a, b;

    memcpy(&a, p, 8);
    memcpy(&b, lower, 8);
    return (a | 0x2020202020202020) == b;
}

static inline bool is_same_4(const char *p, const char *lower)
{
    uint32_t a, b;

    memcpy(&a, p, 4);
    memcpy(&b, lower, 4);
    return (a | 0x20202020) == b;
}

/* Among token characters only the two cases of a letter become equal by setting bit 5. The last
 * step overlaps the one before. */
static inline bool is_name(const char *p, size_t n, const char *lower)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8) {
            if (!is_same_8(p + i, lower + i))
                return false;
        }
        return is_same_8(p + n - 8, lower + n - 8);
    }
    if (n >= 4)
        return is_same_4(p, lower) && is_same_4(p + n - 4, lower + n - 4);
    for (size_t i = 0; i < n; i++) {
        if ((p[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

static inline enum field_id identify(struct str name)
{
    unsigned id;

    if (name.n == 0 || name.n >= NAME_BYTES)
        return FIELD_OTHER;
    for (unsigned slot = slot_of(name.p, name.n); (id = slots[slot]) != 0;
         slot = (slot + 1) % SLOTS) {
        if (known[id].spelling.n == name.n && is_name(name.p, name.n, lower_names[id]))
            return id;
    }
    return FIELD_OTHER;
}

enum field_id fields_identify(struct str name)
{
    return identify(name);
}

struct str fields_spelling(enum field_id id)
{
    return known[id].spelling;
}

struct str fields_name(enum field_id id)
{
    return (struct str){lower_names[id], known[id].spelling.n};
}

unsigned fields_flags(enum field_id id)
{
    return known[id].flags;
}

bool fields_is_trailer_allowed(enum field_id id)
{
    return (known[id].flags & FIELD_NO_TRAILER) == 0;
}

void field_names_add(struct field_names *s, const char *name)
{
    enum field_id id = identify(str_of(name));

    if (id != FIELD_OTHER)
        field_id_set_add(&s->ids, id);
    else
        s->others[s->n_others++] = name;
}

/* The same for a name that has been identified already. */
static inline bool has_name(const struct field_names *s, enum field_id id, struct str name)
{
    if (id != FIELD_OTHER)
        return field_id_set_has(&s->ids, id);
    for (size_t i = 0; i < s->n_others; i++)
        if (str_is_nocase(name, s->others[i]))
            return true;
    return false;
}

bool field_names_has(const struct field_names *s, struct str name)
{
    return has_name(s, identify(name), name);
}

void fields_clear(struct fields *f)
{
    f->count = 0;
    memset(f->first, 0, sizeof(f->first));
    memset(f->repeated, 0, sizeof(f->repeated));
    memset(f->blocked, 0, sizeof(f->blocked));
}

static void block(struct fields *f, unsigned i)
{
    f->blocked[i / 64] |= (uint64_t)1 << (i % 64);
}

/* CGI makes one variable of all names that differ only in what is no letter or digit (RFC 3875
 * section 4.1.18). No known name is an alias. */
static inline bool is_alias(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = (uint8_t)name.p[i];

        if (c != '-' && (uint8_t)((c | 0x20) - 'a') >= 26 && (uint8_t)(c - '0') >= 10)
            return true;
    }
    return false;
}

static inline void index_line(struct fields *f, unsigned i)
{
    struct field *line = &f->v[i];
    enum field_id id = identify(line->name);
    unsigned blocking = FIELD_HOP;

    line->id = (uint16_t)id;
    line->is_alias = id == FIELD_OTHER && is_alias(line->name);
    if (id == FIELD_OTHER)
        return;
    if (f->first[id] == 0) {
        f->first[id] = (uint8_t)(i + 1);
    } else {
        f->repeated[id / 64] |= (uint64_t)1 << (id % 64);
        blocking |= FIELD_SINGLETON;
    }
    if (known[id].flags & blocking)
        block(f, i);
}

bool fields_add(struct fields *f, struct str name, struct str value)
{
    uint32_t i = f->count;

    if (i >= FIELDS_MAX)
        return false;
    f->v[i].name = name;
    f->v[i].value = value;
    index_line(f, i);
    f->count = i + 1;
    return true;
}

void fields_index(struct fields *f)
{
    uint32_t count = f->count;

    fields_clear(f);
    for (uint32_t i = 0; i < count; i++)
        index_line(f, i);
    f->count = count;
    fields_mark_hop_by_hop(f);
}

void fields_remove(struct fields *f, enum field_id id)
{
    uint32_t kept = 0;

    if (!fields_has(f, id))
        return;
    for (uint32_t i = 0; i < f->count; i++)
        if (f->v[i].id != id)
            f->v[kept++] = f->v[i];
    f->count = kept;
    fields_index(f);
}

int fields_next(const struct fields *f, int i)
{
    const struct field *at = &f->v[i];

    if (at->id != FIELD_OTHER && (f->repeated[at->id / 64] >> (at->id % 64) & 1) == 0)
        return -1;
    for (uint32_t j = (uint32_t)i + 1; j < f->count; j++) {
        if (f->v[j].id != at->id)
            continue;
        if (at->id != FIELD_OTHER || str_eq_nocase(f->v[j].name, at->name))
            return (int)j;
    }
    return -1;
}

int fields_find_name(const struct fields *f, struct str name)
{
    enum field_id id = fields_identify(name);

    if (id != FIELD_OTHER)
        return fields_find(f, id);
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->v[i].id == FIELD_OTHER && str_eq_nocase(f->v[i].name, name))
            return (int)i;
    }
    return -1;
}

unsigned fields_count(const struct fields *f, enum field_id id)
{
    unsigned count = 0;

    for (int i = fields_find(f, id); i >= 0; i = fields_next(f, i))
        count++;
    return count;
}

/* X-Forwarded-Ssl and its like tell the origin about the client as much as the known ones do. */
static bool is_pinned(struct str name, enum field_id id)
{
    const struct str prefix = STR("x-forwarded-");

    if (id != FIELD_OTHER)
        return known[id].flags & FIELD_PINNED;
    return name.n > prefix.n && str_eq_nocase((struct str){name.p, prefix.n}, prefix);
}

static void nominate(struct fields *f, struct str name)
{
    if (is_pinned(name, fields_identify(name)))
        return;
    for (int i = fields_find_name(f, name); i >= 0; i = fields_next(f, i))
        block(f, (unsigned)i);
}

/* A list longer than any honest one: whatever it could name stays here. This also bounds the
 * work, which is names times lines. */
static void nominate_all(struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (!is_pinned(f->v[i].name, f->v[i].id))
            block(f, i);
    }
}

void fields_mark_hop_by_hop(struct fields *f)
{
    unsigned names = 0;

    for (int i = fields_find(f, FIELD_CONNECTION); i >= 0; i = fields_next(f, i)) {
        struct str rest = f->v[i].value, name;

        while (fields_next_element(&rest, &name)) {
            if (++names > NOMINATED_MAX) {
                nominate_all(f);
                return;
            }
            nominate(f, name);
        }
    }
}

void fields_mark_names(struct fields *f, const struct field_names *names)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (has_name(names, f->v[i].id, f->v[i].name))
            block(f, i);
}
