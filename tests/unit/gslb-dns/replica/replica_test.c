/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of zones: text that says what the records said, differences, files and what becomes of
 * them. */
#include "tests/unit/gslb-dns/zone/zone_text.h"

#include "common/bytes/bytes.h"
#include "gslb-dns/replica/replica.h"

#include <errno.h>
#include <fcntl.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- records as lines ---- */

/* Of each type the data as it should stand in the line; NULL: as it stands here. */
static const struct {
    const char *record, *line;
} print_cases[] = {
    {"A.Example.COM. 300 IN A 192.0.2.1", "a.example.com. 300 IN A 192.0.2.1"},
    {"a.example.com. 300 IN AAAA 2001:db8::1", NULL},
    {"a.example.com. 300 IN NS Ns.Example.NET.", NULL},
    {"a.example.com. 300 IN CNAME .", NULL},
    {"a.example.com. 300 IN MX 10 mail.example.com.", NULL},
    {"a.example.com. 300 IN TXT \"a \\\"b\\\" ; ( @ \\\\ $\" \"\" \"\\000\\255\"", NULL},
    {"a.example.com. 300 IN SPF \"v=spf1 -all\"", NULL},
    {"a.example.com. 300 IN PTR b.example.com.", NULL},
    {"a.example.com. 300 IN SRV 1 2 65535 b.example.com.", NULL},
    {"a.example.com. 300 IN SOA ns. host. 4294967295 2147483647 2 3 4", NULL},
    {"a.example.com. 300 IN DNAME example.net.", NULL},
    {"a.example.com. 300 IN RP a. b.", NULL},
    {"a.example.com. 300 IN AFSDB 1 a.", NULL},
    {"a.example.com. 300 IN KX 1 a.", NULL},
    {"a.example.com. 300 IN MINFO a. b.", NULL},
    {"a.example.com. 300 IN HINFO \"PDP 11\" \"UNIX\"", NULL},
    {"a.example.com. 300 IN NAPTR 100 10 \"u\" \"sip+E2U\" \"!^.*$!sip:a@b!\" .", NULL},
    {"a.example.com. 300 IN CAA 0 issue \"ca.example\"", NULL},
    {"a.example.com. 300 IN SSHFP 1 1 0123456789abcdef0123456789abcdef01234567", NULL},
    {"a.example.com. 300 IN TLSA 3 1 1 00112233445566778899aabbccddeeff", NULL},
    {"a.example.com. 300 IN DS 1 13 2 "
     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
     NULL},
    {"a.example.com. 300 IN DNSKEY 257 3 13 aaaa", NULL},
    {"a.example.com. 300 IN RRSIG A 13 3 300 20301231235959 20201231235959 1 example.com. aaaa",
     NULL},
    {"a.example.com. 300 IN NSEC b.example.com. A RRSIG NSEC TYPE65280", NULL},
    {"a.example.com. 300 IN NSEC3 1 0 0 - 0123456789abcdefghijklmnopqrstuv A RRSIG",
     "a.example.com. 300 IN NSEC3 1 0 0 -  0123456789abcdefghijklmnopqrstuv A RRSIG"},
    {"a.example.com. 300 IN NSEC3PARAM 1 0 0 -", NULL},
    {"a.example.com. 300 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
     "a.example.com. 300 IN LOC 52 22 23.000 N 04 53 32.000 E -2m 0.00m 10000m 10m"},
    {"a.example.com. 300 IN URI 10 1 \"https://example.com/\"", NULL},
    {"a.example.com. 300 IN HTTPS 1 . alpn=h2,h3 port=8443", NULL},
    {"a.example.com. 300 IN SVCB 0 b.example.com.", NULL},
    {"a.example.com. 300 IN TYPE65280 \\# 3 0102ff", NULL},
    {"a.example.com. 300 IN TYPE65280 \\# 0 ", NULL},
    {"\\$a\\.b\\032c.example.com. 300 IN A 192.0.2.1", NULL},
    {"*.example.com. 300 IN A 192.0.2.1", NULL},
};

static size_t wire_of(const char *record, uint8_t *out)
{
    uint8_t *wire;
    ldns_rr *rr;
    size_t n;

    assert_int_equal(ldns_rr_new_frm_str(&rr, record, 0, NULL, NULL), LDNS_STATUS_OK);
    assert_int_equal(ldns_rr2wire(&wire, rr, LDNS_SECTION_ANSWER, &n), LDNS_STATUS_OK);
    memcpy(out, wire, n);
    LDNS_FREE(wire);
    ldns_rr_free(rr);
    return n;
}

static void read_one(const char *text, uint8_t *message, uint8_t *buffer,
                     struct zone_wire_record *out)
{
    struct reader r = reader_of(message, wire_of(text, message));
    const char *why = zone_read_record(&r, message, buffer, out);

    if (why != NULL)
        fail_msg("%s: %s", text, why);
}

/* The line, and the data that zone_load makes of it. */
static void records_become_lines_and_come_back(void **state)
{
    uint8_t message[1024], *buffer = base_alloc(ZONE_RDATA_MAX), *again = base_alloc(65535);

    for (size_t i = 0; i < COUNT_OF(print_cases); i++) {
        const char *want =
            print_cases[i].line != NULL ? print_cases[i].line : print_cases[i].record;
        struct zone_wire_record record;
        struct text line = {0};
        struct errors errors = {0};
        struct zone_set *set;
        struct zone_lookup l;
        struct zone *z;

        read_one(print_cases[i].record, message, buffer, &record);
        zone_print_record(&record, &line);
        if (strncmp(line.p, want, strlen(want)) != 0 || strcmp(line.p + strlen(want), "\n") != 0)
            fail_msg("%s: %s", want, line.p);
        text_adds(&line, APEX);
        z = record.type == WIRE_SOA ? NULL : load_text("example.com", line.p, NULL, 0, &errors);
        if (record.type != WIRE_SOA && z == NULL) {
            errors_print(&errors, stderr);
            fail_msg("%s", line.p);
        }
        if (z != NULL) {
            set = zone_set_new(&z, 1);
            zone_prepare(set, &record.owner, record.type, &l);
            if (zone_find(&l, &record.owner, record.type) == ZONE_ANSWER) {
                size_t n = expand_rdata(z, l.rrset, 0, again);

                if (n != record.rdata_bytes || memcmp(again, record.rdata, n) != 0)
                    fail_msg("%s does not come back", line.p);
                assert_int_equal(l.rrset->ttl_s, 300);
            }
            zone_set_free(set);
        }
        zone_release(z);
        errors_free(&errors);
        text_free(&line);
    }
    free(buffer);
    free(again);
}

/* ---- whole, and changed ---- */

#define SOA_OF(serial) \
    "example.com. 60 IN SOA ns.example.com. host.example.com. " serial " 3600 600 86400 300"

static struct replica *make(const char *soa, const char *const *records)
{
    uint8_t message[1024], *buffer = base_alloc(ZONE_RDATA_MAX);
    struct replica_lines lines = {0};
    struct zone_wire_record record;
    struct replica *r;

    for (; *records != NULL; records++) {
        read_one(*records, message, buffer, &record);
        replica_add(&lines, &record);
    }
    read_one(soa, message, buffer, &record);
    r = replica_of_lines(&lines, &record);
    free(buffer);
    return r;
}

static struct replica *amend(const struct replica *base, const char *soa,
                             const char *const *changes, char **why)
{
    uint8_t message[1024], *buffer = base_alloc(ZONE_RDATA_MAX);
    struct replica_lines lines = {0};
    struct zone_wire_record record;
    struct replica *r;

    for (; *changes != NULL; changes++) {
        read_one(*changes + 1, message, buffer, &record);
        replica_add_change(&lines, **changes == '+', &record);
    }
    read_one(soa, message, buffer, &record);
    r = replica_amend(base, &lines, &record, why);
    replica_lines_free(&lines);
    free(buffer);
    return r;
}

#define A_1 "a.example.com. 60 IN A 192.0.2.1"
#define A_2 "a.example.com. 60 IN A 192.0.2.2"
#define A_1_LONGER "a.example.com. 61 IN A 192.0.2.1"
#define B_1 "b.example.com. 60 IN A 192.0.2.1"
static const char *const base_records[] = {A_1, B_1, NULL};

static const struct {
    const char *name, *changes[6], *want; /* NULL: they do not fit */
    const char *why;
} change_cases[] = {
    {"one goes", {"-" B_1}, SOA_OF("8") "\n" A_1 "\n", NULL},
    {"one comes", {"+" A_2}, SOA_OF("8") "\n" A_1 "\n" B_1 "\n" A_2 "\n", NULL},
    {"one goes, one comes", {"-" A_1, "+" A_2}, SOA_OF("8") "\n" B_1 "\n" A_2 "\n", NULL},
    {"the same goes and comes", {"-" A_1, "+" A_1}, SOA_OF("8") "\n" A_1 "\n" B_1 "\n", NULL},
    {"the same comes and goes", {"+" A_2, "-" A_2}, SOA_OF("8") "\n" A_1 "\n" B_1 "\n", NULL},
    {"another TTL", {"-" A_1, "+" A_1_LONGER}, SOA_OF("8") "\n" B_1 "\n" A_1_LONGER "\n", NULL},
    {"nothing", {NULL}, SOA_OF("8") "\n" A_1 "\n" B_1 "\n", NULL},
    {"one goes that is not there", {"-" A_2}, NULL, "is to go that is not there: " A_2},
    {"one goes twice", {"-" A_1, "-" A_1}, NULL, "is to go"},
    {"one goes with another TTL", {"-" A_1_LONGER}, NULL, "is to go"},
    {"one comes that is there", {"+" A_1}, NULL, "is to come that is there: " A_1},
};

static void differences_are_applied_or_refused(void **state)
{
    for (size_t i = 0; i < COUNT_OF(change_cases); i++) {
        struct replica *base = make(SOA_OF("7"), base_records), *r;
        char *why = NULL;

        assert_int_equal(base->soa.serial, 7);
        assert_int_equal(base->n_records, 3);
        r = amend(base, SOA_OF("8"), change_cases[i].changes, &why);
        if ((r == NULL) != (change_cases[i].want == NULL))
            fail_msg("%s: %s", change_cases[i].name, why != NULL ? why : "taken");
        if (r != NULL) {
            size_t n = 0;

            assert_int_equal(r->soa.serial, 8);
            if (strcmp(r->text, change_cases[i].want) != 0 || strlen(r->text) != r->n)
                fail_msg("%s:\n%s", change_cases[i].name, r->text);
            for (size_t k = 0; k < r->n; k++)
                n += r->text[k] == '\n';
            assert_int_equal(r->n_records, n);
        } else if (strstr(why, change_cases[i].why) == NULL) {
            fail_msg("%s: %s", change_cases[i].name, why);
        }
        free(why);
        replica_release(r);
        replica_release(base);
    }
}

/* ---- files ---- */

static char *make_folder(void)
{
    char *folder = base_strdup("/tmp/replica-XXXXXX");

    assert_non_null(mkdtemp(folder));
    return folder;
}

struct place_on_disk {
    char *folder, *path;
};

static int set_up(void **state)
{
    struct place_on_disk *p = base_zalloc(1, sizeof(*p));

    p->folder = make_folder();
    p->path = base_printf("%s/zones/example.com.zone", p->folder);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place_on_disk *p = *state;
    char *command = base_printf("rm -r %s", p->folder);

    assert_int_equal(system(command), 0);
    free(command);
    free(p->folder);
    free(p->path);
    free(p);
    return 0;
}

static void what_is_written_is_read(void **state)
{
    struct place_on_disk *p = *state;
    struct replica *r = make(SOA_OF("7"), base_records);
    struct wire_name apex = name_of("example.com");
    struct replica_stored got;

    replica_read(p->path, &apex, 1000, &got);
    assert_int_equal(got.state, REPLICA_NONE);
    assert_false(has_failed(replica_write(p->path, r, 1000, 2000)));
    replica_read(p->path, &apex, 1999, &got);
    assert_int_equal(got.state, REPLICA_FRESH);
    assert_string_equal(got.replica->text, r->text);
    assert_memory_equal(&got.replica->soa, &r->soa, sizeof(r->soa));
    assert_int_equal(got.replica->n_records, 3);
    assert_int_equal(got.confirmed_s, 1000);
    replica_release(got.replica);
    replica_read(p->path, &apex, 2000, &got);
    assert_int_equal(got.state, REPLICA_EXPIRED);
    replica_release(got.replica);
    assert_false(has_failed(replica_confirm(p->path, 3000, 4000)));
    replica_read(p->path, &apex, 2000, &got);
    assert_int_equal(got.state, REPLICA_FRESH);
    assert_int_equal(got.expires_s, 4000);
    replica_release(got.replica);
    replica_release(r);
}

static void a_file_that_goes_cannot_be_confirmed(void **state)
{
    struct place_on_disk *p = *state;

    assert_true(has_failed(replica_confirm(p->path, 1, 2)));
    assert_int_equal(errno, ENOENT);
}

static void a_folder_that_cannot_be_written_is_told(void **state)
{
    struct place_on_disk *p = *state;
    struct replica *r = make(SOA_OF("7"), base_records);
    int fd = open(p->folder, O_RDONLY | O_DIRECTORY);
    char *path = base_printf("%s/no/such/example.com.zone", p->folder);

    assert_true(has_failed(replica_write(path, r, 1, 2)));
    assert_int_equal(errno, ENOENT);
    close(fd);
    free(path);
    replica_release(r);
}

static const struct {
    const char *name, *from, *to; /* in the file */
    const char *why;
} damages[] = {
    {"a bit of a record", "192.0.2.2", "192.0.2.3", "not what was written"},
    {"its digest", "digest ", "digest f", "not what was written"},
    {"cut short", "b.example.com.", "", "not what was written"},
    {"the head", "gslb-dns replica", "gslb-dns rabbits", "does not begin"},
    {"another version of it", "replica 1", "replica 9", "does not begin"},
    {"the second line", "records", "rabbits", "does not begin"},
    {"all of it", NULL, "", "does not begin"},
};

static void damage_is_seen(void **state)
{
    struct place_on_disk *p = *state;
    const char *const records[] = {A_2, B_1, NULL};
    struct wire_name apex = name_of("example.com"), other = name_of("example.org");
    struct replica *r = make(SOA_OF("7"), records);
    struct replica_stored got;

    for (size_t i = 0; i < COUNT_OF(damages); i++) {
        struct text bytes = {0};
        char *text, *at;
        size_t n;

        assert_false(has_failed(replica_write(p->path, r, 1000, 2000)));
        assert_false(has_failed(text_read_file(p->path, 1 << 20, &text, &n)));
        at = damages[i].from != NULL ? strstr(text, damages[i].from) : text;
        assert_non_null(at);
        text_add(&bytes, text, (size_t)(at - text));
        text_adds(&bytes, damages[i].to);
        if (damages[i].from != NULL && damages[i].to[0] != '\0')
            text_adds(&bytes, at + strlen(damages[i].from));
        assert_false(has_failed(text_replace_file(
            p->path, &(struct str){bytes.p != NULL ? bytes.p : "", bytes.n}, 1, 0640)));
        replica_read(p->path, &apex, 1000, &got);
        if (got.state != REPLICA_DAMAGED || strstr(got.why, damages[i].why) == NULL)
            fail_msg("%s: state %d %s", damages[i].name, got.state, got.why);
        assert_null(got.replica);
        free(got.why);
        text_free(&bytes);
        free(text);
    }
    assert_false(has_failed(replica_write(p->path, r, 1000, 2000)));
    replica_read(p->path, &other, 1000, &got);
    assert_int_equal(got.state, REPLICA_DAMAGED);
    free(got.why);
    assert_false(has_failed(replica_set_aside(p->path)));
    replica_read(p->path, &apex, 1000, &got);
    assert_int_equal(got.state, REPLICA_NONE);
    replica_release(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_become_lines_and_come_back),
        cmocka_unit_test(differences_are_applied_or_refused),
        cmocka_unit_test_setup_teardown(what_is_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_goes_cannot_be_confirmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_written_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_seen, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
