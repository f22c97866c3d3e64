/* SPDX-License-Identifier: BSD-2-Clause */
/* Key files in the format of BIND's tools, which ldns writes too: K<zone>.+<algorithm>+<tag>.key
 * holds the DNSKEY record, .private the private key and the moments of the key's life. */
#include "gslb-dns/sign/sign_internal.h"

#include "common/bytes/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8192, TIME_DIGITS = 14 };

static const char *const TIME_TAGS[SIGN_TIME_COUNT] = {
#define X(name, tag) tag,
    SIGN_TIMES(X)
#undef X
};

static struct place whole(const char *path)
{
    return (struct place){.file = path};
}

/* ---- Text ---- */

/* Takes the next line off *text, without its end. */
static struct str next_line(struct str *text)
{
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end != NULL ? (size_t)(end - text->p) : text->n;
    struct str line = {text->p, n};

    text->p += end != NULL ? n + 1 : n;
    text->n -= end != NULL ? n + 1 : n;
    return str_trim(line.n > 0 && line.p[line.n - 1] == '\r' ? (struct str){line.p, line.n - 1}
                                                             : line);
}

static struct str next_word(struct str *line)
{
    size_t n = 0;
    struct str word;

    *line = str_trim(*line);
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    word = (struct str){line->p, n};
    line->p += n;
    line->n -= n;
    return word;
}

/* "20261130021314": seconds since 1970; 0: not a time. */
static int64_t parse_time(struct str s)
{
    struct tm tm = {0};
    unsigned part[6] = {0};
    static const uint8_t digits[] = {4, 2, 2, 2, 2, 2};

    if (s.n != TIME_DIGITS)
        return 0;
    for (size_t i = 0; i < COUNT_OF(part); i++)
        for (size_t d = 0; d < digits[i]; d++, s.p++) {
            if (*s.p < '0' || *s.p > '9')
                return 0;
            part[i] = 10 * part[i] + (unsigned)(*s.p - '0');
        }
    if (part[0] < 1970 || part[1] - 1 > 11 || part[2] - 1 > 30 || part[3] > 23 || part[4] > 59 ||
        part[5] > 60)
        return 0;
    tm.tm_year = (int)part[0] - 1900;
    tm.tm_mon = (int)part[1] - 1;
    tm.tm_mday = (int)part[2];
    tm.tm_hour = (int)part[3];
    tm.tm_min = (int)part[4];
    tm.tm_sec = (int)part[5];
    return timegm(&tm);
}

static void add_time(struct text *t, int64_t when)
{
    time_t seconds = (time_t)when;
    struct tm tm;
    char digits[32];

    gmtime_r(&seconds, &tm);
    strftime(digits, sizeof(digits), "%Y%m%d%H%M%S", &tm);
    text_adds(t, digits);
}

/* ---- Private key ---- */

struct private_file {
    const char *path;
    struct errors *errors;
    struct sign_key_facts *facts;
    uint8_t bytes[SIGN_PRIVATE_MAX];
    size_t n;
    bool is_bad;
};

/* NULL: the file is as it should be. It may be read by a group that the operator chose. */
static const char *judge_mode(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "is not a file";
    if (st->st_mode & S_IROTH)
        return "can be read by others";
    return st->st_mode & (S_IWGRP | S_IWOTH) ? "can be written by others" : NULL;
}

/* Into buf, without copies elsewhere; its bytes, or -1: errors say why not. */
static ssize_t read_private(const char *path, char buf[FILE_MAX_BYTES], struct errors *errors)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *wrong;
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) != 0) {
        errors_add(errors, whole(path), "cannot read the private key: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    wrong = judge_mode(&st);
    if (wrong != NULL) {
        errors_add(errors, whole(path), "the private key %s (mode %04o): chmod 600 %s", wrong,
                   (unsigned)st.st_mode & 07777, path);
        close(fd);
        return -1;
    }
    n = read(fd, buf, FILE_MAX_BYTES);
    close(fd);
    if (n >= 0 && n < FILE_MAX_BYTES)
        return n;
    errors_add(errors, whole(path), "is not a private key: too long");
    return -1;
}

static void take_algorithm(struct private_file *f, struct str value, unsigned line)
{
    struct str number = next_word(&value);
    uint64_t a;

    if (!text_parse_u64(number, &a) || a == 0 || a > 255) {
        errors_add(f->errors, (struct place){f->path, line, 0}, "Algorithm: is no number");
        f->is_bad = true;
    } else
        f->facts->algorithm = (uint8_t)a;
}

static void take_secret(struct private_file *f, struct str value, unsigned line)
{
    ssize_t n = base64_read(value, f->bytes, sizeof(f->bytes));

    if (n <= 0) {
        errors_add(f->errors, (struct place){f->path, line, 0},
                   "PrivateKey: is not a key in base64");
        f->is_bad = true;
    } else
        f->n = (size_t)n;
}

static void take_time(struct private_file *f, enum sign_time which, struct str value, unsigned line)
{
    f->facts->times[which] = parse_time(value);
    if (f->facts->times[which] != 0)
        return;
    errors_add(f->errors, (struct place){f->path, line, 0},
               "%s: is no time; it is written as YYYYMMDDHHMMSS, in UTC", TIME_TAGS[which]);
    f->is_bad = true;
}

/* Fields of RSA keys and such are passed over: their algorithm is refused by name. */
static void take_field(struct private_file *f, struct str tag, struct str value, unsigned line)
{
    uint64_t number;

    if (str_is(tag, "Algorithm"))
        take_algorithm(f, value, line);
    else if (str_is(tag, "PrivateKey"))
        take_secret(f, value, line);
    else if (str_is(tag, "Predecessor") && text_parse_u64(value, &number) && number <= 65535)
        f->facts->predecessor = (uint16_t)number;
    for (size_t i = 0; i < SIGN_TIME_COUNT; i++)
        if (str_is(tag, TIME_TAGS[i]))
            take_time(f, (enum sign_time)i, value, line);
}

static void parse_private(struct private_file *f, struct str text)
{
    struct str first = next_line(&text);

    if (!str_is(first, "Private-key-format: v1.2") && !str_is(first, "Private-key-format: v1.3")) {
        errors_add(f->errors, (struct place){f->path, 1, 0},
                   "is not a private key of the format v1.2 or v1.3 (dnssec-keygen's)");
        f->is_bad = true;
        return;
    }
    for (unsigned line = 2; text.n > 0; line++) {
        struct str value = next_line(&text);
        const char *colon = value.n > 0 ? memchr(value.p, ':', value.n) : NULL;
        size_t n = colon != NULL ? (size_t)(colon - value.p) : 0;

        if (n > 0)
            take_field(f, (struct str){value.p, n},
                       str_trim((struct str){colon + 1, value.n - n - 1}), line);
    }
}

/* Is this an algorithm to sign with? If not, says what to do. */
static const struct algorithm *judge_algorithm(const char *path, uint8_t number,
                                               struct errors *errors)
{
    const struct algorithm *a = algorithm_find(number);

    if (a != NULL)
        return a;
    if (number == 8 || number == 10 || number == 16)
        errors_add(errors, whole(path),
                   "algorithm %u (%s) is not supported; make a key of ECDSAP256SHA256, "
                   "ECDSAP384SHA384 or ED25519 by gslb-dns keygen",
                   number, sign_algorithm_name(number));
    else
        errors_add(errors, whole(path),
                   "algorithm %u (%s) must not be signed with (RFC 8624 section 3.1); make a key "
                   "of ECDSAP256SHA256 by gslb-dns keygen",
                   number, sign_algorithm_name(number));
    return NULL;
}

/* The private half and the facts. */
static struct outcome load_private(struct sign_key *k, const char *path, struct errors *errors)
{
    char buf[FILE_MAX_BYTES];
    struct private_file f = {.path = path, .errors = errors, .facts = &k->facts};
    ssize_t n = read_private(path, buf, errors);

    if (n < 0)
        return OUTCOME_FAILED;
    parse_private(&f, (struct str){buf, (size_t)n});
    crypto_wipe(buf, sizeof(buf));
    if (!f.is_bad)
        k->algorithm = judge_algorithm(path, k->facts.algorithm, errors);
    if (k->algorithm != NULL && f.n > 0)
        k->secret = secret_from_bytes(k->algorithm, f.bytes, f.n);
    if (k->algorithm != NULL && k->secret == NULL)
        errors_add(errors, whole(path), "holds no private key of %s",
                   sign_algorithm_name(k->facts.algorithm));
    crypto_wipe(&f.bytes, sizeof(f.bytes));
    return k->secret != NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

/* ---- Public key ---- */

/* RFC 4034 appendix B */
static uint16_t key_tag(const uint8_t *rdata, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += i & 1 ? rdata[i] : (uint32_t)rdata[i] << 8;
    return (uint16_t)(sum + (sum >> 16));
}

static void set_dnskey(struct sign_key *k, uint16_t flags)
{
    k->facts.flags = flags;
    bytes_put_u16(k->dnskey, flags);
    k->dnskey[2] = 3;
    k->dnskey[3] = k->algorithm->number;
    secret_public(k->secret, k->dnskey + 4);
    k->n_dnskey = (uint16_t)(4 + k->algorithm->public_bytes);
    k->facts.tag = key_tag(k->dnskey, k->n_dnskey);
}

/* The record's words: owner [TTL] [class] DNSKEY flags protocol algorithm key. What is wrong, or
 * NULL. */
static const char *parse_record(struct sign_key *k, struct str line, const struct wire_name *zone)
{
    struct str owner = next_word(&line), word = next_word(&line);
    struct wire_name name;
    uint64_t number, flags, protocol, algorithm;
    uint8_t key[SIGN_PUBLIC_MAX];
    ssize_t n;

    if (owner.n == 0 || !wire_name_parse(owner, &name))
        return "does not begin with a name";
    if (name.length != zone->length || memcmp(name.bytes, zone->bytes, name.length) != 0)
        return "is the key of another zone";
    if (text_parse_u64(word, &number))
        word = next_word(&line);
    if (str_is_nocase(word, "IN"))
        word = next_word(&line);
    if (!str_is_nocase(word, "DNSKEY") || !text_parse_u64(next_word(&line), &flags) ||
        !text_parse_u64(next_word(&line), &protocol) ||
        !text_parse_u64(next_word(&line), &algorithm))
        return "holds no DNSKEY record: ZONE IN DNSKEY FLAGS 3 ALGORITHM KEY";
    if (flags != SIGN_FLAGS_ZSK && flags != SIGN_FLAGS_SEP)
        return "has flags other than 256 and 257";
    n = base64_read(line, key, sizeof(key));
    set_dnskey(k, (uint16_t)flags);
    if (protocol != 3 || algorithm != k->algorithm->number || n != k->algorithm->public_bytes ||
        memcmp(key, k->dnskey + 4, (size_t)n) != 0)
        return "is not the public half of the private key beside it";
    return NULL;
}

static struct outcome load_public(struct sign_key *k, const char *path,
                                  const struct wire_name *zone, struct errors *errors)
{
    const char *wrong = "holds no DNSKEY record";
    char *text;
    size_t n;
    struct str left;

    if (has_failed(text_read_file(path, FILE_MAX_BYTES, &text, &n))) {
        errors_add(errors, whole(path), "cannot read the public key: %s", strerror(errno));
        return OUTCOME_FAILED;
    }
    left = (struct str){text, n};
    while (left.n > 0) {
        struct str line = next_line(&left);
        const char *comment = line.n > 0 ? memchr(line.p, ';', line.n) : NULL;

        if (comment != NULL)
            line.n = (size_t)(comment - line.p);
        if (line.n > 0) {
            wrong = parse_record(k, line, zone);
            break;
        }
    }
    free(text);
    if (wrong != NULL)
        errors_add(errors, whole(path), "%s", wrong);
    return wrong == NULL ? OUTCOME_OK : OUTCOME_FAILED;
}

/* ---- Both ---- */

/* Moments that a file leaves out. A file without any (v1.2) is a key in full use. */
static void complete_times(int64_t *t)
{
    if (t[SIGN_PUBLISH] == 0)
        t[SIGN_PUBLISH] = t[SIGN_ACTIVATE] != 0 ? t[SIGN_ACTIVATE] : t[SIGN_CREATED];
    if (t[SIGN_ACTIVATE] == 0)
        t[SIGN_ACTIVATE] = t[SIGN_PUBLISH];
}

char *key_file_prefix(const char *directory, const struct wire_name *zone)
{
    struct text t = {0};
    char name[WIRE_NAME_TEXT];

    text_addf(&t, "%s/K", directory);
    for (const char *p = wire_name_format(zone->bytes, name); *p != '\0'; p++) {
        bool is_plain = (uint8_t)(text_lower((uint8_t)*p) - 'a') < 26 || (uint8_t)(*p - '0') < 10 ||
                        strchr("-_.", *p) != NULL;

        text_addf(&t, is_plain ? "%c" : "%%%02X", (uint8_t)*p);
    }
    text_adds(&t, "+");
    return t.p;
}

static struct outcome check_name(const struct sign_key *k, struct errors *errors)
{
    char *want = base_printf("+%03u+%05u", k->facts.algorithm, k->facts.tag);
    size_t n = strlen(k->base), n_want = strlen(want);
    bool is_right = n >= n_want && strcmp(k->base + n - n_want, want) == 0;

    if (!is_right)
        errors_add(errors, whole(k->base),
                   "the key in it has the key tag %u and algorithm %u: its "
                   "files' names should end in %s",
                   k->facts.tag, k->facts.algorithm, want);
    free(want);
    return is_right ? OUTCOME_OK : OUTCOME_FAILED;
}

struct sign_key *key_read(const char *base, const struct wire_name *zone, struct errors *errors)
{
    struct sign_key *k = base_zalloc(1, sizeof(*k));
    char *private_path = base_printf("%s.private", base), *path = base_printf("%s.key", base);
    bool is_good;

    k->base = base_strdup(base);
    is_good = !has_failed(load_private(k, private_path, errors)) &&
              !has_failed(load_public(k, path, zone, errors)) && !has_failed(check_name(k, errors));
    free(private_path);
    free(path);
    if (is_good) {
        complete_times(k->facts.times);
        return k;
    }
    key_free(k);
    return NULL;
}

struct sign_key *key_generate(const struct algorithm *a, uint16_t flags)
{
    struct sign_key *k = base_zalloc(1, sizeof(*k));

    k->algorithm = a;
    k->facts.algorithm = a->number;
    k->secret = secret_generate(a);
    set_dnskey(k, flags);
    return k;
}

void key_free(struct sign_key *k)
{
    if (k == NULL)
        return;
    secret_free(k->secret);
    free(k->base);
    free(k);
}

/* ---- Writing ---- */

static struct outcome write_bytes(int fd, const struct text *t)
{
    size_t done = 0;
    ssize_t n;

    while (done < t->n) {
        n = write(fd, t->p + done, t->n - done);
        if (n < 0 && errno != EINTR)
            return OUTCOME_FAILED;
        done += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0 ? OUTCOME_OK : OUTCOME_FAILED;
}

/* An old file's mode and owner stay; what root makes belongs to the directory's owner, so that a
 * server that runs as that user can read it. */
static void set_owner(int fd, const char *path, mode_t mode)
{
    char *copy = base_strdup(path);
    struct stat old;

    if (stat(path, &old) == 0)
        mode = old.st_mode & 07777;
    else if (geteuid() != 0 || stat(dirname(copy), &old) != 0)
        old = (struct stat){.st_uid = (uid_t)-1, .st_gid = (gid_t)-1}; /* as it is */
    if (fchown(fd, old.st_uid, old.st_gid) == 0)
        fchmod(fd, mode);
    free(copy);
}

/* Beside the file and then in its place. */
static struct outcome replace_file(const char *path, const struct text *t, mode_t mode,
                                   struct errors *errors)
{
    char *fresh = base_printf("%s.new", path);
    int fd;
    bool is_written;

    unlink(fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0)
        set_owner(fd, path, mode);
    is_written = fd >= 0 && !has_failed(write_bytes(fd, t)) && rename(fresh, path) == 0;
    if (!is_written)
        errors_add(errors, whole(path), "cannot be written: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    if (!is_written)
        unlink(fresh);
    free(fresh);
    return is_written ? OUTCOME_OK : OUTCOME_FAILED;
}

static void add_base64(struct text *t, const uint8_t *bytes, size_t n)
{
    char buf[4 * ((SIGN_PUBLIC_MAX + 2) / 3) + 1];

    base64_write(bytes, n, buf);
    text_adds(t, buf);
    crypto_wipe(buf, sizeof(buf));
}

static struct outcome write_private(const struct sign_key *k, struct errors *errors)
{
    uint8_t bytes[SIGN_PRIVATE_MAX];
    char *path = base_printf("%s.private", k->base), *room = base_alloc(FILE_MAX_BYTES);
    struct text t = {room, 0, FILE_MAX_BYTES}; /* large enough never to move */
    struct outcome outcome;

    text_addf(&t, "Private-key-format: v1.3\nAlgorithm: %u (%s)\nPrivateKey: ", k->facts.algorithm,
              sign_algorithm_name(k->facts.algorithm));
    secret_private(k->secret, bytes);
    add_base64(&t, bytes, k->algorithm->private_bytes);
    crypto_wipe(bytes, sizeof(bytes));
    text_adds(&t, "\n");
    for (size_t i = 0; i < SIGN_TIME_COUNT; i++)
        if (k->facts.times[i] != 0) {
            text_addf(&t, "%s: ", TIME_TAGS[i]);
            add_time(&t, k->facts.times[i]);
            text_adds(&t, "\n");
        }
    if (k->facts.predecessor != 0)
        text_addf(&t, "Predecessor: %u\n", k->facts.predecessor);
    ensure(t.p == room);
    outcome = replace_file(path, &t, 0600, errors);
    crypto_wipe(t.p, t.n);
    text_free(&t);
    free(path);
    return outcome;
}

static struct outcome write_public(const struct sign_key *k, const struct wire_name *zone,
                                   struct errors *errors)
{
    char *path = base_printf("%s.key", k->base), name[WIRE_NAME_TEXT];
    struct text t = {0};
    struct outcome outcome;

    wire_name_format(zone->bytes, name);
    text_addf(&t, "; This is a %s key, keyid %u, for %s\n",
              k->facts.flags == SIGN_FLAGS_SEP ? "key-signing" : "zone-signing", k->facts.tag,
              name);
    for (size_t i = 0; i < SIGN_TIME_COUNT; i++)
        if (k->facts.times[i] != 0) {
            text_addf(&t, "; %s: ", TIME_TAGS[i]);
            add_time(&t, k->facts.times[i]);
            text_adds(&t, "\n");
        }
    text_addf(&t, "%s IN DNSKEY %u 3 %u ", name, k->facts.flags, k->facts.algorithm);
    add_base64(&t, k->dnskey + 4, k->algorithm->public_bytes);
    text_adds(&t, "\n");
    outcome = replace_file(path, &t, 0644, errors);
    text_free(&t);
    free(path);
    return outcome;
}

struct outcome key_write(const struct sign_key *k, const struct wire_name *zone,
                         struct errors *errors)
{
    /* The private one last: it holds the times that count, and where it stands the public one does.
     */
    if (has_failed(write_public(k, zone, errors)))
        return OUTCOME_FAILED;
    return write_private(k, errors);
}
