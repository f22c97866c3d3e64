/* SPDX-License-Identifier: BSD-2-Clause */
/* Signatures: examples of the RFCs, and ldns as an independent validator. */
#include "gslb-dns/sign/sign_internal.h"

#include "common/bytes/bytes.h"
#include "common/clock/clock.h"
#include "tests/unit/gslb-dns/sign/keys.h"

#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static size_t read_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned byte;

    for (; hex[0] != '\0'; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        out[n++] = (uint8_t)byte;
    }
    return n;
}

/* ---- RFC 6979 appendix A.2.5 and A.2.6 ---- */

static const char P256[] = "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721";
static const char P384[] = "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D8"
                           "96D5724E4C70A825F872C9EA60D2EDF5";
static const struct {
    const char *name;
    uint8_t algorithm;
    const char *key, *message, *want;
} nonces[] = {
    {"A.2.5, SHA-256, sample", 13, P256, "sample",
     "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
     "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
    {"A.2.5, SHA-256, test", 13, P256, "test",
     "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
     "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"},
    {"A.2.6, SHA-384, sample", 14, P384, "sample",
     "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C"
     "81A648152E44ACF96E36DD1E80FABE46"
     "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94F"
     "A329C145786E679E7B82C71A38628AC8"},
    {"A.2.6, SHA-384, test", 14, P384, "test",
     "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB"
     "0542A7F0812998DA8F1DD3CA3CF023DB"
     "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E0"
     "6A739F040649A667BF3B828246BAA5A5"},
};

static void nonces_are_those_of_rfc_6979(void **state)
{
    for (size_t i = 0; i < COUNT_OF(nonces); i++) {
        uint8_t bytes[SIGN_PRIVATE_MAX], want[SIGN_SIGNATURE_MAX], got[SIGN_SIGNATURE_MAX];
        size_t n = read_hex(nonces[i].key, bytes), n_want = read_hex(nonces[i].want, want);
        struct secret *s = secret_from_bytes(algorithm_find(nonces[i].algorithm), bytes, n);
        struct crypto *c = crypto_new();

        print_message("%s\n", nonces[i].name);
        assert_non_null(s);
        crypto_sign(c, s, (const uint8_t *)nonces[i].message, strlen(nonces[i].message), got);
        assert_memory_equal(got, want, n_want);
        crypto_free(c);
        secret_free(s);
    }
}

/* ---- RFC 6605 section 6, RFC 8080 section 6: keys, tags and DS as printed there ---- */

static const struct {
    const char *name;
    uint8_t algorithm;
    const char *zone, *private_key, *public_key;
    uint16_t tag;
    uint8_t digest_type;
    const char *digest;
} examples[] = {
    {"RFC 6605 section 6.1", 13, "example.net", "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=",
     "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
     55648, 2, "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"},
    {"RFC 6605 section 6.2", 14, "example.net",
     "WURgWHCcYIYUPWgeLmiPY2DJJk02vgrmTfitxgqcL4vwW7BOrbawVmVe0d9V94SR",
     "xKYaNhWdGOfJ+nPrL8/arkwf2EY3MDJ+SErKivBVSum1w/egsXvSADtNJhyem5RCOpgQ6K8X1DRSEkrbYQ+OB+v8"
     "/uX45NBwY8rp65F6Glur8I/mlVNgF6W/qTI37m40",
     10771, 4,
     "72d7b62976ce06438e9c0bf319013cf801f09ecc84b8d7e9495f27e305c6a9b0"
     "563a9b5f4d288405c3008a946df983d6"},
    {"RFC 8080 section 6.1", 15, "example.com", "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=",
     "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=", 3613, 2,
     "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"},
};

static void write_file(const char *ending, size_t i, mode_t mode, const char *text)
{
    char path[200];
    FILE *f;

    snprintf(path, sizeof(path), "%s/K%s.+%03u+%05u.%s", keys_folder, examples[i].zone,
             examples[i].algorithm, examples[i].tag, ending);
    f = fopen(path, "w");
    ensure(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0);
}

static struct sign_key *read_example(size_t i, struct wire_name *zone, struct errors *errors)
{
    char text[1000], base[200];

    snprintf(text, sizeof(text), "Private-key-format: v1.2\nAlgorithm: %u (%s)\nPrivateKey: %s\n",
             examples[i].algorithm, sign_algorithm_name(examples[i].algorithm),
             examples[i].private_key);
    write_file("private", i, 0600, text);
    snprintf(text, sizeof(text), "%s. 3600 IN DNSKEY 257 3 %u %s\n", examples[i].zone,
             examples[i].algorithm, examples[i].public_key);
    write_file("key", i, 0644, text);
    snprintf(base, sizeof(base), "%s/K%s.+%03u+%05u", keys_folder, examples[i].zone,
             examples[i].algorithm, examples[i].tag);
    assert_true(wire_name_parse(str_of(examples[i].zone), zone));
    return key_read(base, zone, errors);
}

static void keys_are_those_of_rfc_6605_and_8080(void **state)
{
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        uint8_t want[SIGN_DIGEST_MAX], got[SIGN_DIGEST_MAX];
        struct errors errors = {0};
        struct wire_name zone;
        struct sign_key *k = read_example(i, &zone, &errors);
        size_t n = read_hex(examples[i].digest, want);

        print_message("%s\n", examples[i].name);
        errors_print(&errors, stderr);
        assert_non_null(k);
        assert_int_equal(k->facts.tag, examples[i].tag);
        assert_int_equal(crypto_ds_digest(examples[i].digest_type, zone.bytes, zone.length,
                                          k->dnskey, k->n_dnskey, got),
                         n);
        assert_memory_equal(got, want, n);
        key_free(k);
        errors_free(&errors);
    }
}

/* RFC 8080 section 6.1, as corrected: Ed25519 has no nonce, so the signature is the printed one. */
static void ed25519_signs_as_in_rfc_8080(void **state)
{
    static const char want[] =
        "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==";
    static const uint8_t owner[] = "\7example\3com", mx[] = "\0\12\4mail\7example\3com";
    struct sign_rdata rdata = {mx, sizeof(mx)};
    struct sign_rrset r = {owner, WIRE_MX, 3600, &rdata, 1, 0};
    uint8_t head[18 + sizeof(owner)] = {0, WIRE_MX, 15, 2, 0, 0, 0x0e, 0x10},
                      got[SIGN_SIGNATURE_MAX];
    char text[100];
    struct errors errors = {0};
    struct wire_name zone;
    struct sign_key *k = read_example(2, &zone, &errors);
    struct scratch scratch = {0};
    struct crypto *c = crypto_new();

    bytes_put_u32(head + 8, 1440021600);
    bytes_put_u32(head + 12, 1438207200);
    bytes_put_u16(head + 16, 3613);
    memcpy(head + 18, owner, sizeof(owner));
    canonical_rrset(&scratch, head, sizeof(head), &r);
    crypto_sign(c, k->secret, scratch.bytes, scratch.n, got);
    base64_write(got, 64, text);
    assert_string_equal(text, want);
    crypto_free(c);
    scratch_free(&scratch);
    key_free(k);
}

/* ---- RFC 5155 appendix A: salt aabbccdd, 12 iterations; and RFC 9276's form ---- */

static const struct {
    const char *name, *want; /* in base32hex */
} hashes[] = {
    {"example", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"},
    {"a.example", "35mthgpgcu1qg68fab165klnsnk3dpvl"},
    {"ai.example", "gjeqe526plbf1g8mklp59enfd789njgi"},
    {"*.w.example", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"},
    {"xx.example", "t644ebqk9bibcna874givr6joj62mlhv"},
};

static void nsec3_hashes_are_those_of_rfc_5155(void **state)
{
    static const uint8_t salt[] = {0xaa, 0xbb, 0xcc, 0xdd};

    for (size_t i = 0; i < COUNT_OF(hashes); i++) {
        uint8_t got[SIGN_NSEC3_HASH_BYTES];
        char text[40] = "";
        struct wire_name name;

        assert_true(wire_name_parse(str_of(hashes[i].name), &name));
        sign_nsec3_hash(name.bytes, name.length, salt, sizeof(salt), 12, got);
        ldns_b32_ntop_extended_hex(got, sizeof(got), text, sizeof(text));
        assert_string_equal(text, hashes[i].want);
    }
}

/* ---- ldns verifies ---- */

/* Each in a form that is not canonical: upper case, out of order, twice. */
static const struct {
    const char *name;
    const char *records[4];
} sets[] = {
    {"A", {"www.example.com. 300 IN A 192.0.2.9", "www.example.com. 300 IN A 192.0.2.1"}},
    {"twice", {"www.example.com. 300 IN A 192.0.2.9", "www.example.com. 300 IN A 192.0.2.9"}},
    {"wildcard", {"*.w.example.com. 60 IN TXT \"A\" \"b\"", "*.w.example.com. 60 IN TXT \"\""}},
    {"NS", {"example.com. 1 IN NS B.Example.COM.", "example.com. 1 IN NS a.example.com."}},
    {"SOA", {"example.com. 7200 IN SOA NS.Example.com. Host.Example.com. 1 2 3 4 5"}},
    {"MX", {"example.com. 7200 IN MX 20 A.example.com.", "example.com. 7200 IN MX 10 B.c."}},
    {"SRV", {"_x._tcp.example.com. 9 IN SRV 1 2 3 HOST.example.com."}},
    {"NAPTR", {"example.com. 9 IN NAPTR 1 2 \"U\" \"E2U+sip\" \"!^.*$!sip:A@b!\" Repl.Example."}},
    {"RP", {"example.com. 9 IN RP Mail.Example.com. Text.example.COM."}},
    {"AFSDB", {"example.com. 9 IN AFSDB 1 Host.Example.com."}},
    {"KX", {"example.com. 9 IN KX 1 Host.Example.com."}},
    {"PX", {"example.com. 9 IN PX 1 Map.Example.com. MAP.x400."}},
    {"DNAME", {"sub.example.com. 9 IN DNAME Other.Example."}},
    {"HINFO", {"example.com. 9 IN HINFO \"PC\" \"Linux\""}},
    {"NSEC", {"example.com. 9 IN NSEC \\000.Example.com. A NS SOA RRSIG NSEC"}},
    {"CAA", {"example.com. 9 IN CAA 0 issue \"CA.Example\""}},
    {"TYPE65400", {"example.com. 9 IN TYPE65400 \\# 3 414243"}},
    {"root label owner", {"example.com. 9 IN AAAA 2001:db8::2", "example.com. 9 IN AAAA ::1"}},
};

/* Uncompressed wire form of RDATA, not canonical. */
static size_t rdata_of(const ldns_rr *rr, uint8_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *f = ldns_rr_rdf(rr, i);

        memcpy(out + n, ldns_rdf_data(f), ldns_rdf_size(f));
        n += ldns_rdf_size(f);
    }
    return n;
}

static ldns_rr *rr_from_wire(const uint8_t *owner, uint16_t type, uint32_t ttl_s,
                             const uint8_t *rdata, size_t n)
{
    uint8_t wire[2000];
    size_t n_owner = canonical_name_bytes(owner), pos = 0;
    ldns_rr *rr = NULL;

    memcpy(wire, owner, n_owner);
    bytes_put_u16(wire + n_owner, type);
    bytes_put_u16(wire + n_owner + 2, 1);
    bytes_put_u32(wire + n_owner + 4, ttl_s);
    bytes_put_u16(wire + n_owner + 8, (uint16_t)n);
    memcpy(wire + n_owner + 10, rdata, n);
    assert_int_equal(ldns_wire2rr(&rr, wire, n_owner + 10 + n, &pos, LDNS_SECTION_ANSWER),
                     LDNS_STATUS_OK);
    return rr;
}

static ldns_rr_list *dnskeys_of(const struct sign_signer *s)
{
    ldns_rr_list *keys = ldns_rr_list_new();
    size_t n;
    const struct sign_apex_rrset *apex = sign_apex_rrsets(s, &n);

    assert_int_equal(apex[0].type, WIRE_DNSKEY);
    for (size_t i = 0; i < apex[0].n; i++)
        ldns_rr_list_push_rr(keys, rr_from_wire((const uint8_t *)"\7example\3com", WIRE_DNSKEY,
                                                apex[0].ttl_s, apex[0].rdata[i].bytes,
                                                apex[0].rdata[i].n));
    return keys;
}

static void verify(const struct sign_rrset *r, const struct sign_signature *signatures, size_t n,
                   ldns_rr_list *rrs, ldns_rr_list *keys, int64_t now_s)
{
    for (size_t i = 0; i < n; i++) {
        ldns_rr *rrsig =
            rr_from_wire(r->owner, WIRE_RRSIG, r->ttl_s, signatures[i].rdata, signatures[i].n);
        ldns_rr_list *good = ldns_rr_list_new();
        ldns_rr_list *copy = ldns_rr_list_clone(rrs);

        assert_int_equal(ldns_verify_rrsig_keylist_time(copy, rrsig, keys, now_s, good),
                         LDNS_STATUS_OK);
        ldns_rr_list_free(good);
        ldns_rr_list_deep_free(copy);
        ldns_rr_free(rrsig);
    }
}

/* Signs and verifies one of sets; how many signatures there were. */
static size_t sign_and_verify(size_t set, const struct sign_signer *s, int64_t now_s)
{
    static uint8_t bytes[4][500];
    struct sign_rdata rdata[4];
    struct sign_signature signatures[SIGN_SIGNATURES_MAX];
    struct sign_context *c = sign_context_new();
    ldns_rr_list *rrs = ldns_rr_list_new(), *keys = dnskeys_of(s);
    struct sign_rrset r = {.rdata = rdata};
    size_t n;

    for (; r.n < 4 && sets[set].records[r.n] != NULL; r.n++) {
        ldns_rr *rr;

        assert_int_equal(ldns_rr_new_frm_str(&rr, sets[set].records[r.n], 0, NULL, NULL),
                         LDNS_STATUS_OK);
        rdata[r.n] = (struct sign_rdata){bytes[r.n], (uint16_t)rdata_of(rr, bytes[r.n])};
        r.owner = r.n == 0 ? ldns_rdf_data(ldns_rr_owner(rr)) : r.owner;
        r.type = (uint16_t)ldns_rr_get_type(rr);
        r.ttl_s = ldns_rr_ttl(rr);
        ldns_rr_list_push_rr(rrs, rr);
    }
    if (strcmp(sets[set].name, "twice") == 0)
        ldns_rr_free(ldns_rr_list_pop_rr(rrs));
    n = sign_rrset(c, s, &r, signatures);
    verify(&r, signatures, n, rrs, keys, now_s);
    for (size_t i = 0; i < n; i++)
        assert_true(sign_is_current(s, &r, signatures[i].rdata, signatures[i].n));
    ldns_rr_list_deep_free(rrs);
    ldns_rr_list_deep_free(keys);
    sign_context_free(c);
    return n;
}

enum { NOW_S = 1800000000 };

static void ldns_verifies(void **state)
{
    static const uint8_t algorithms[] = {13, 14, 15};
    struct sign_policy p = keys_policy();

    for (size_t a = 0; a < COUNT_OF(algorithms); a++) {
        struct sign_signer *s;

        keys_make(algorithms[a], SIGN_FLAGS_SEP, NOW_S);
        s = keys_signer(&p, NOW_S, NULL);
        assert_non_null(s);
        for (size_t i = 0; i < COUNT_OF(sets); i++) {
            print_message("%u %s\n", algorithms[a], sets[i].name);
            assert_int_equal(sign_and_verify(i, s, NOW_S), a + 1);
        }
        sign_release(s);
    }
}

/* ---- Windows ---- */

struct times {
    uint32_t inception_s, expiration_s;
    uint8_t rdata[SIGN_RRSIG_MAX];
    uint16_t n;
};

static struct times sign_name(const struct sign_signer *s, unsigned number, uint32_t outlive_s)
{
    uint8_t owner[] = "\4n000\7example\3com", address[4] = {192, 0, 2, 1};
    struct sign_rdata rdata = {address, 4};
    struct sign_rrset r = {owner, WIRE_A, 300, &rdata, 1, outlive_s};
    struct sign_signature out[SIGN_SIGNATURES_MAX];
    struct sign_context *c = sign_context_new();
    struct times t;

    snprintf((char *)owner + 2, 4, "%03u", number);
    owner[5] = 7;
    assert_int_equal(sign_rrset(c, s, &r, out), 1);
    t = (struct times){bytes_get_u32(out[0].rdata + 12), bytes_get_u32(out[0].rdata + 8), {0}, 0};
    t.n = out[0].n;
    memcpy(t.rdata, out[0].rdata, out[0].n);
    sign_context_free(c);
    return t;
}

/* Over a month of ticks: valid at all times with enough left, renewed now and then, not all at
 * once, and two nodes agree within a tick. */
static void signatures_are_renewed_in_windows(void **state)
{
    enum { NAMES = 40, TICKS = 30 * 24 };
    struct sign_policy p = keys_policy();
    struct times last[NAMES] = {0};
    unsigned n_renewed = 0, n_most = 0;

    keys_make(SIGN_ECDSAP256SHA256, SIGN_FLAGS_SEP, NOW_S);
    for (int64_t now_s = NOW_S; now_s < NOW_S + TICKS * SIGN_TICK_S; now_s += 6 * SIGN_TICK_S) {
        struct sign_signer *s = keys_signer(&p, now_s, NULL);
        int64_t next_s = sign_signer_next_s(s);
        struct sign_signer *other = keys_signer(&p, next_s - 1, NULL);
        unsigned n_now = 0;

        assert_true(next_s > now_s && next_s <= now_s + SIGN_TICK_S);
        for (unsigned i = 0; i < NAMES; i++) {
            struct times t = sign_name(s, i, 0), u = sign_name(other, i, 0);

            assert_true(t.inception_s + 3600 <= now_s);
            assert_true(t.expiration_s >= now_s + p.refresh_s);
            assert_int_equal(t.expiration_s - t.inception_s, p.validity_s + 3600);
            assert_int_equal(t.n, u.n);
            assert_memory_equal(t.rdata, u.rdata, t.n);
            n_now += last[i].expiration_s != 0 && t.expiration_s != last[i].expiration_s;
            last[i] = t;
        }
        n_renewed += n_now;
        n_most = n_now > n_most ? n_now : n_most;
        sign_release(s);
        sign_release(other);
    }
    assert_in_range(n_renewed, 2 * NAMES, 3 * NAMES);
    assert_in_range(n_most, 1, NAMES / 4);
}

/* Check 37: expiration lies beyond max TTL + SOA expire. */
static void validity_covers_what_outlives_it(void **state)
{
    struct sign_policy p = keys_policy();
    uint32_t outlive_s = 41 * 86400;

    keys_make(SIGN_ED25519, SIGN_FLAGS_SEP, NOW_S);
    for (int64_t now_s = NOW_S; now_s < NOW_S + 20 * 86400; now_s += 86400) {
        struct sign_signer *s = keys_signer(&p, now_s, NULL);

        for (unsigned i = 0; i < 20; i++)
            assert_true(sign_name(s, i, outlive_s).expiration_s > now_s + outlive_s);
        sign_release(s);
    }
}

/* ---- Serials ---- */

enum { TICK_0 = NOW_S / SIGN_TICK_S * 64, STEP_S = 90 }; /* NOW_S begins a tick */
enum { STEPS = 2 };                                      /* a new key is published, and signs */

static void serials_follow_file_keys_and_clock(void **state)
{
    static const struct {
        const char *name;
        enum sign_serial policy;
        uint32_t file;
        int64_t at_s; /* after NOW_S */
        uint32_t want;
    } cases[] = {
        {"increment, a tick begins", SIGN_SERIAL_INCREMENT, 7, 0, 7 + TICK_0},
        {"the file's grows", SIGN_SERIAL_INCREMENT, 8, 0, 8 + TICK_0},
        {"before the step", SIGN_SERIAL_INCREMENT, 7, STEP_S - 1, 7 + TICK_0},
        {"at the step", SIGN_SERIAL_INCREMENT, 7, STEP_S, 7 + TICK_0 + STEPS},
        {"the tick's last second", SIGN_SERIAL_INCREMENT, 7, SIGN_TICK_S - 1, 7 + TICK_0 + STEPS},
        {"the next tick", SIGN_SERIAL_INCREMENT, 7, SIGN_TICK_S, 7 + TICK_0 + 64},
        {"RFC 1982: it wraps", SIGN_SERIAL_INCREMENT, UINT32_MAX, 0, TICK_0 - 1},
        {"unixtime, a tick begins", SIGN_SERIAL_UNIXTIME, 7, 0, NOW_S},
        {"at the step", SIGN_SERIAL_UNIXTIME, 7, STEP_S + 1, NOW_S + STEP_S},
        {"the next tick", SIGN_SERIAL_UNIXTIME, 7, SIGN_TICK_S + 1, NOW_S + SIGN_TICK_S},
        {"the file is younger", SIGN_SERIAL_UNIXTIME, NOW_S + 5, 10, NOW_S + 5},
        {"RFC 1982: later by wrapping", SIGN_SERIAL_UNIXTIME, 4000000000, 0, NOW_S},
        {"keep", SIGN_SERIAL_KEEP, 7, STEP_S, 7},
    };
    size_t n_wrong = 0;

    keys_make(SIGN_ECDSAP256SHA256, SIGN_FLAGS_SEP, NOW_S - 86400);
    keys_make(SIGN_ECDSAP256SHA256, SIGN_FLAGS_ZSK, NOW_S + STEP_S);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sign_policy p = keys_policy();
        struct sign_signer *s;
        uint32_t got;

        p.serial = cases[i].policy;
        s = keys_signer(&p, NOW_S + cases[i].at_s, NULL);
        assert_non_null(s);
        got = sign_serial(s, cases[i].file);
        if (got != cases[i].want) {
            print_error("%s: %u, not %u\n", cases[i].name, got, cases[i].want);
            n_wrong++;
        }
        assert_int_equal(sign_raises_serial(s), cases[i].policy != SIGN_SERIAL_KEEP);
        sign_release(s);
    }
    assert_int_equal(n_wrong, 0);
}

static int begin(void **state)
{
    keys_begin();
    return 0;
}

static int end(void **state)
{
    keys_end();
    return 0;
}

#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonces_are_those_of_rfc_6979),
        WITH_KEYS(keys_are_those_of_rfc_6605_and_8080),
        WITH_KEYS(ed25519_signs_as_in_rfc_8080),
        cmocka_unit_test(nsec3_hashes_are_those_of_rfc_5155),
        WITH_KEYS(ldns_verifies),
        WITH_KEYS(signatures_are_renewed_in_windows),
        WITH_KEYS(validity_covers_what_outlives_it),
        WITH_KEYS(serials_follow_file_keys_and_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
