/* SPDX-License-Identifier: BSD-2-Clause */
/* Random small zones against a reference that knows only a list of records, and walks RFC 1034
 * section 4.3.2 and RFC 4592 over it without any tree, hash or index. */
#include "tests/unit/gslb-dns/zone/zone_text.h"

#include <stdlib.h>

enum { RECORDS = 24, NAME = 32, SERVICE = 65000 /* as a type: the name is steered */ };

struct record {
    char owner[NAME]; /* "a.*.z" */
    unsigned type;
};

struct list {
    struct record records[RECORDS];
    size_t n;
};

static uint64_t state_of_random = 20240117;

static unsigned below(unsigned n)
{
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state_of_random >> 33) % n;
}

/* A name of up to three labels under z. */
static void random_name(char out[NAME], bool is_query)
{
    static const char *const labels[] = {"a.", "b.", "*.", "c."};
    size_t n = 0;

    for (unsigned depth = below(is_query ? 5 : 4); depth > 0; depth--) {
        unsigned label = below(is_query ? 4 : 3);

        memcpy(out + n, labels[label], 2);
        n += 2;
    }
    memcpy(out + n, "z", 2);
}

static bool has(const struct list *l, const char *name, unsigned type)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->records[i].owner, name) == 0 && (type == 0 || l->records[i].type == type))
            return true;
    }
    return false;
}

static bool is_at_or_below(const char *name, const char *above)
{
    size_t n = strlen(name), m = strlen(above);

    return n >= m && strcmp(name + n - m, above) == 0 && (n == m || name[n - m - 1] == '.');
}

static bool exists(const struct list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (is_at_or_below(l->records[i].owner, name))
            return true;
    }
    return false;
}

static const char *parent_of(const char *name)
{
    return strcmp(name, "z") == 0 ? NULL : strchr(name, '.') + 1;
}

static enum zone_verdict at_name(const struct list *l, const char *name, unsigned type)
{
    if ((type == WIRE_A || type == WIRE_AAAA) && has(l, name, SERVICE))
        return ZONE_STEERED;
    if (type == WIRE_ANY)
        return has(l, name, 0) ? ZONE_ANY : ZONE_NODATA;
    if (has(l, name, type))
        return ZONE_ANSWER;
    return has(l, name, WIRE_CNAME) ? ZONE_CNAME : ZONE_NODATA;
}

/* The verdict, and the name that it was found at. */
static enum zone_verdict reference(const struct list *l, const char *qname, unsigned type,
                                   char found[NAME])
{
    const char *above[8];
    size_t n = 0;

    for (const char *p = qname; p != NULL; p = parent_of(p))
        above[n++] = p;
    for (size_t i = n; i-- > 0;) { /* from the apex down */
        snprintf(found, NAME, "%s", above[i]);
        if (i < n - 1 && has(l, above[i], WIRE_NS) && above[i][0] != '*' &&
            !(i == 0 && type == WIRE_DS))
            return ZONE_REFERRAL;
        if (i > 0 && has(l, above[i], WIRE_DNAME))
            return ZONE_DNAME;
    }
    if (exists(l, qname))
        return at_name(l, qname, type);
    for (const char *p = qname; p != NULL; p = parent_of(p)) {
        if (!exists(l, p))
            continue;
        snprintf(found, NAME, "*.%.20s", p);
        if (exists(l, found))
            return at_name(l, found, type);
        snprintf(found, NAME, "%s", p);
        return ZONE_NXDOMAIN;
    }
    return ZONE_NOT_OURS;
}

static void add(struct list *l, const char *owner, unsigned type)
{
    if (l->n == RECORDS || has(l, owner, type))
        return;
    snprintf(l->records[l->n].owner, NAME, "%s", owner);
    l->records[l->n++].type = type;
}

/* Mostly what may stand together; zones that may not are refused by the loader, and left out. */
static void make_list(struct list *l)
{
    l->n = 0;
    add(l, "z", WIRE_SOA);
    add(l, "z", WIRE_NS);
    for (unsigned names = 1 + below(7); names > 0; names--) {
        char owner[NAME];

        random_name(owner, false);
        switch (has(l, owner, 0) ? 9 : below(9)) {
        case 0:
        case 1:
            add(l, owner, WIRE_CNAME);
            break;
        case 2:
            add(l, owner, WIRE_NS);
            if (below(2))
                add(l, owner, WIRE_DS);
            break;
        case 3:
            add(l, owner, WIRE_DNAME);
            break;
        case 4:
        case 5:
            add(l, owner, SERVICE);
            if (below(2))
                add(l, owner, WIRE_TXT);
            break;
        case 6:
        case 7:
            add(l, owner, WIRE_A);
            break;
        default:
            add(l, owner, WIRE_TXT);
        }
    }
}

static void write_text(const struct list *l, struct text *t, struct zone_service *services,
                       size_t *n_services)
{
    *n_services = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct record *r = &l->records[i];
        char buf[16];

        if (r->type == SERVICE) {
            services[(*n_services)++] = (struct zone_service){.name = name_of(r->owner)};
            continue;
        }
        text_addf(t, "%s. 60 %s ", r->owner, wire_type_format((uint16_t)r->type, buf));
        text_adds(t, r->type == WIRE_SOA   ? "a. b. 1 1 1 1 1\n"
                     : r->type == WIRE_A   ? "192.0.2.1\n"
                     : r->type == WIRE_TXT ? "x\n"
                     : r->type == WIRE_DS  ? "1 13 2 ab\n"
                                           : "elsewhere.example.\n");
    }
}

static void compare(const struct list *l, const struct zone *z, const char *text)
{
    static const unsigned types[] = {WIRE_A,  WIRE_AAAA, WIRE_TXT, WIRE_NS,   WIRE_DS,
                                     WIRE_MX, WIRE_ANY,  WIRE_SOA, WIRE_CNAME};
    struct zone_set *set = zone_set_new((struct zone *const[]){(struct zone *)z}, 1);

    for (unsigned i = 0; i < 200; i++) {
        char qname[NAME], want_at[NAME];
        unsigned type = types[below(COUNT_OF(types))];
        enum zone_verdict want, got;
        struct wire_name name, want_name;
        struct zone_lookup found;

        random_name(qname, true);
        name = name_of(qname);
        want = reference(l, qname, type, want_at);
        want_name = name_of(want_at);
        got = look_up(set, &name, (uint16_t)type, &found);
        if (got != want || found.node->name_bytes != want_name.length ||
            memcmp(found.node->name, want_name.bytes, want_name.length) != 0) {
            print_error("%s %u: %d, want %d at %s\n%s", qname, type, got, want, want_at, text);
            fail();
        }
    }
    zone_set_free(set);
}

static void test_random_zones(void **state)
{
    enum { ZONES = 1500 };
    unsigned loaded = 0;

    for (unsigned i = 0; i < ZONES; i++) {
        struct zone_service services[RECORDS];
        struct errors errors = {0};
        struct text t = {0};
        struct list l;
        struct zone *z;
        size_t n;

        make_list(&l);
        write_text(&l, &t, services, &n);
        z = load_text("z", t.p, services, n, &errors);
        if (z != NULL) {
            compare(&l, z, t.p);
            loaded++;
        }
        zone_release(z);
        errors_free(&errors);
        text_free(&t);
    }
    assert_true(loaded > ZONES / 3);
}

/* Many names, so that the index grows; each is found, and none that is not there. */
static void test_large_zone(void **state)
{
    enum { NAMES = 50000 };
    struct zone *z =
        load_good("example.com", "$TTL 60\n" APEX "$GENERATE 0-49999 h$ A 192.0.2.1\n");
    struct zone_set *set = zone_set_new(&z, 1);
    struct zone_lookup l;

    assert_int_equal(z->n_names, NAMES + 1);
    assert_int_equal(z->n_records, NAMES + 2);
    for (unsigned i = 0; i < 2 * NAMES; i++) {
        char text[NAME];
        struct wire_name name;

        snprintf(text, sizeof(text), "H%u.example.com", i);
        name = name_of(text);
        assert_int_equal(look_up(set, &name, WIRE_A, &l), i < NAMES ? ZONE_ANSWER : ZONE_NXDOMAIN);
    }
    zone_set_free(set);
    zone_release(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_zones),
        cmocka_unit_test(test_large_zone),
    };

    return cmocka_run_group_tests_name("zone random", tests, NULL, NULL);
}
