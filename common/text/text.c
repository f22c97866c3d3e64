/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct str str_of(const char *z)
{
    return (struct str){z, strlen(z)};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (text_lower((uint8_t)a.p[i]) != text_lower((uint8_t)b.p[i]))
            return false;
    return true;
}

bool str_is_nocase(struct str a, const char *z)
{
    return str_eq_nocase(a, str_of(z));
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Digits from the front of s; leaves the rest in s. False when there is none or it overflows. */
static bool take_digits(struct str *s, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;

    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s->p[i] - '0'), &value))
            return false;
    if (i == 0)
        return false;
    s->p += i;
    s->n -= i;
    *out = value;
    return true;
}

bool text_parse_u64(struct str s, uint64_t *out)
{
    return take_digits(&s, out) && s.n == 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool parse_with_unit(struct str s, const struct unit *units, size_t n_units, uint64_t *out)
{
    uint64_t value;

    if (!take_digits(&s, &value))
        return false;
    if (s.n > 1 && s.p[0] == ' ')
        s = (struct str){s.p + 1, s.n - 1};
    for (size_t i = 0; i < n_units; i++)
        if (str_is(s, units[i].name))
            return !__builtin_mul_overflow(value, units[i].factor, out);
    return false;
}

bool text_parse_duration_ms(struct str s, uint64_t *out_ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
    };

    if (str_is(s, "0")) {
        *out_ms = 0;
        return true;
    }
    return parse_with_unit(s, units, COUNT_OF(units), out_ms);
}

bool text_parse_bytes(struct str s, uint64_t *out_bytes)
{
    static const struct unit units[] = {
        {"", 1},          {"B", 1},          {"k", 1 << 10},      {"K", 1 << 10}, {"KiB", 1 << 10},
        {"m", 1 << 20},   {"M", 1 << 20},    {"MiB", 1 << 20},    {"g", 1 << 30}, {"G", 1 << 30},
        {"GiB", 1 << 30}, {"T", 1ull << 40}, {"TiB", 1ull << 40},
    };

    return parse_with_unit(s, units, COUNT_OF(units), out_bytes);
}

bool text_parse_double(struct str s, double *out)
{
    char buf[64], *end;

    if (s.n == 0 || s.n >= sizeof(buf) || s.p[0] == ' ')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (strchr("0123456789+-.eE", s.p[i]) == NULL)
            return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    errno = 0;
    *out = strtod(buf, &end);
    return errno == 0 && *end == '\0';
}

const char *text_format_bytes(uint64_t bytes, char buf[TEXT_SHORT])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t i = 0;

    for (; value >= 1024 && i + 1 < COUNT_OF(names); i++)
        value /= 1024;
    snprintf(buf, TEXT_SHORT, i == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, names[i]);
    return buf;
}

const char *text_format_duration_ms(uint64_t ms, char buf[TEXT_SHORT])
{
    uint64_t s = ms / 1000;

    if (ms < 1000)
        snprintf(buf, TEXT_SHORT, "%ums", (unsigned)ms);
    else if (s < 60)
        snprintf(buf, TEXT_SHORT, "%us", (unsigned)s);
    else if (s < 3600)
        snprintf(buf, TEXT_SHORT, "%um %us", (unsigned)(s / 60), (unsigned)(s % 60));
    else if (s < 86400)
        snprintf(buf, TEXT_SHORT, "%uh %um", (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
    else
        snprintf(buf, TEXT_SHORT, "%llud %uh", (unsigned long long)(s / 86400),
                 (unsigned)(s / 3600 % 24));
    return buf;
}

void text_clean(char *to, size_t size, const char *from)
{
    size_t n = 0;

    for (; *from != '\0' && n + 1 < size; from++)
        to[n++] = (char)((unsigned char)*from < 0x20 || *from == 0x7f ? '?'
                         : *from == '"'                               ? '\''
                                                                      : *from);
    to[n] = '\0';
}

unsigned text_distance(struct str a, struct str b)
{
    enum { LONGEST = 48 };
    unsigned char rows[3][LONGEST + 1];

    if (a.n > LONGEST || b.n > LONGEST)
        return 255;
    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned char *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = up[j - 1] + (a.p[i - 1] != b.p[j - 1]);

            if (up[j] + 1u < best)
                best = up[j] + 1u;
            if (row[j - 1] + 1u < best)
                best = row[j - 1] + 1u;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                up2[j - 2] + 1u < best)
                best = up2[j - 2] + 1u;
            row[j] = (unsigned char)best;
        }
    }
    return rows[a.n % 3][b.n];
}

static void reserve(struct text *t, size_t more)
{
    size_t want = t->n + more + 1;

    if (want <= t->cap)
        return;
    t->cap = want > 2 * t->cap ? want : 2 * t->cap;
    t->p = base_realloc(t->p, t->cap);
}

void text_add(struct text *t, const void *bytes, size_t n)
{
    reserve(t, n);
    if (n > 0)
        memcpy(t->p + t->n, bytes, n);
    t->n += n;
    t->p[t->n] = '\0';
}

void text_adds(struct text *t, const char *z)
{
    text_add(t, z, strlen(z));
}

void text_vaddf(struct text *t, const char *fmt, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    ensure(n >= 0);
    reserve(t, (size_t)n);
    vsnprintf(t->p + t->n, (size_t)n + 1, fmt, args);
    t->n += (size_t)n;
}

void text_addf(struct text *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    text_vaddf(t, fmt, args);
    va_end(args);
}

void text_free(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

struct outcome text_read_file(const char *path, size_t max, char **out, size_t *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct text t = {0};
    ssize_t got;

    if (fd < 0)
        return OUTCOME_FAILED;
    do {
        reserve(&t, 65536);
        got = read(fd, t.p + t.n, 65536);
        if (got > 0)
            t.n += (size_t)got;
        if (t.n > max) {
            errno = EFBIG;
            got = -1;
        }
    } while (got > 0 || (got < 0 && errno == EINTR));
    int why = errno;
    close(fd);
    if (got < 0) {
        text_free(&t);
        errno = why;
        return OUTCOME_FAILED;
    }
    t.p[t.n] = '\0';
    *out = t.p;
    *n = t.n;
    return OUTCOME_OK;
}

static int hex_digit(char c)
{
    char low = (char)(c | 0x20);

    if (c >= '0' && c <= '9')
        return c - '0';
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool text_parse_hex(struct str s, uint8_t *out, size_t n)
{
    if (s.n != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(s.p[2 * i]), low = hex_digit(s.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static struct outcome write_piece(int fd, struct str piece)
{
    while (piece.n > 0) {
        ssize_t n = write(fd, piece.p, piece.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return OUTCOME_FAILED;
        piece.p += n;
        piece.n -= (size_t)n;
    }
    return OUTCOME_OK;
}

static struct outcome write_pieces(int fd, const struct str *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_failed(write_piece(fd, pieces[i])))
            return OUTCOME_FAILED;
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

struct outcome text_replace_file(const char *path, const struct str *pieces, size_t n,
                                 unsigned mode)
{
    char *fresh = base_printf("%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode), why;
    struct outcome outcome = OUTCOME_FAILED;

    if (fd >= 0)
        outcome = write_pieces(fd, pieces, n);
    why = errno;
    if (fd >= 0)
        close(fd);
    if (!has_failed(outcome) && rename(fresh, path) != 0) {
        why = errno;
        outcome = OUTCOME_FAILED;
    }
    if (has_failed(outcome) && fd >= 0)
        (void)unlink(fresh); /* on a full disk it takes what is left */
    else if (!has_failed(outcome))
        sync_folder(path);
    free(fresh);
    errno = why;
    return outcome;
}
