/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HTTP-date (RFC 9110 section 5.6.7), all three forms. Day, month and zone names match in any case,
 * and no zone but GMT or UTC is taken, as caches are told in RFC 9111 section 4.2. The day of the
 * week must be one, but need not be the right one: no peer checks it, so neither may we.
 */
#include "edge-proxy/fields/fields.h"

#define DAY_S 86400

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second; /* month from 1 */
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years from March on, so that the
 * leap day is the last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (int64_t)((month + 9) % 12) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static void civil_of(int64_t day, struct civil *c)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;

    c->day = (unsigned)(day_of_year - (153 * m + 2) / 5 + 1);
    c->month = (unsigned)(m < 10 ? m + 3 : m - 9);
    c->year = year_of_era + era * 400 + (c->month <= 2);
}

static unsigned days_in(int64_t year, unsigned month)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return lengths[month - 1] + (month == 2 && is_leap);
}

/* 60 seconds only for a leap second, at the end of a minute; it counts as the next one. */
static bool to_seconds(const struct civil *c, int64_t *out)
{
    if (c->day < 1 || c->day > days_in(c->year, c->month) || c->hour > 23 || c->minute > 59 ||
        c->second > 60)
        return false;
    *out = days_of(c->year, c->month, c->day) * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
    return true;
}

/* ---- Reading; each takes its piece from the front ---- */

static bool take(struct str *s, const char *what)
{
    size_t n = strlen(what);

    if (s->n < n || !str_is_nocase((struct str){s->p, n}, what))
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

static bool take_number(struct str *s, unsigned digits, unsigned *out)
{
    uint64_t v;

    if (s->n < digits || !fields_parse_digits((struct str){s->p, digits}, &v))
        return false;
    *out = (unsigned)v;
    s->p += digits;
    s->n -= digits;
    return true;
}

/* Index of the name that s starts with, or -1. */
static int take_name(struct str *s, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (take(s, names[i]))
            return (int)i;
    }
    return -1;
}

static bool take_month(struct str *s, unsigned *out)
{
    int i = take_name(s, months, COUNT_OF(months));

    *out = (unsigned)(i + 1);
    return i >= 0;
}

static bool take_time(struct str *s, struct civil *c)
{
    return take_number(s, 2, &c->hour) && take(s, ":") && take_number(s, 2, &c->minute) &&
           take(s, ":") && take_number(s, 2, &c->second);
}

static bool take_zone_and_end(struct str *s)
{
    return (take(s, " GMT") || take(s, " UTC")) && s->n == 0;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool read_imf(struct str s, struct civil *c)
{
    unsigned year;

    if (take_name(&s, days, COUNT_OF(days)) < 0 || !take(&s, ", ") ||
        !take_number(&s, 2, &c->day) || !take(&s, " ") || !take_month(&s, &c->month) ||
        !take(&s, " ") || !take_number(&s, 4, &year) || !take(&s, " "))
        return false;
    c->year = year;
    return take_time(&s, c) && take_zone_and_end(&s);
}

/* Sunday, 06-Nov-94 08:49:37 GMT. A year that would lie more than 50 years ahead is one of the
 * century before. */
static bool read_rfc850(struct str s, int64_t now_s, struct civil *c)
{
    struct civil now;
    unsigned year;

    if (take_name(&s, long_days, COUNT_OF(long_days)) < 0 || !take(&s, ", ") ||
        !take_number(&s, 2, &c->day) || !take(&s, "-") || !take_month(&s, &c->month) ||
        !take(&s, "-") || !take_number(&s, 2, &year) || !take(&s, " "))
        return false;
    civil_of(now_s / DAY_S, &now);
    c->year = now.year - now.year % 100 + year;
    if (c->year > now.year + 50)
        c->year -= 100;
    else if (c->year <= now.year - 50)
        c->year += 100;
    return take_time(&s, c) && take_zone_and_end(&s);
}

/* Sun Nov  6 08:49:37 1994 */
static bool read_asctime(struct str s, struct civil *c)
{
    unsigned year;

    if (take_name(&s, days, COUNT_OF(days)) < 0 || !take(&s, " ") || !take_month(&s, &c->month) ||
        !take(&s, " "))
        return false;
    if (!(take(&s, " ") ? take_number(&s, 1, &c->day) : take_number(&s, 2, &c->day)))
        return false;
    if (!take(&s, " ") || !take_time(&s, c) || !take(&s, " ") || !take_number(&s, 4, &year))
        return false;
    c->year = year;
    return s.n == 0;
}

bool fields_parse_date(struct str s, int64_t now_s, int64_t *out_s)
{
    struct civil c = {0};

    if (s.n < 24)
        return false;
    if (!(s.p[3] == ','   ? read_imf(s, &c)
          : s.p[3] == ' ' ? read_asctime(s, &c)
                          : read_rfc850(s, now_s, &c)))
        return false;
    return to_seconds(&c, out_s);
}

/* ---- Writing ---- */

static char *put_digits(char *p, unsigned digits, unsigned v)
{
    for (unsigned i = digits; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + digits;
}

static char *put(char *p, const char *what, size_t n)
{
    memcpy(p, what, n);
    return p + n;
}

static char *put_time(char *p, unsigned second_of_day)
{
    p = put_digits(p, 2, second_of_day / 3600);
    *p++ = ':';
    p = put_digits(p, 2, second_of_day / 60 % 60);
    *p++ = ':';
    return put_digits(p, 2, second_of_day % 60);
}

void fields_format_date(int64_t time_s, char out[FIELDS_DATE_BYTES])
{
    const int64_t year_0_s = days_of(0, 1, 1) * DAY_S;
    int64_t last_s = days_of(10000, 1, 1) * DAY_S - 1, day;
    struct civil c;
    char *p = out;

    time_s = time_s < year_0_s ? year_0_s : time_s > last_s ? last_s : time_s;
    day = (time_s - (time_s < 0 ? DAY_S - 1 : 0)) / DAY_S;
    civil_of(day, &c);
    p = put(p, days[((day + 4) % 7 + 7) % 7], 3);
    p = put(p, ", ", 2);
    p = put_digits(p, 2, c.day);
    *p++ = ' ';
    p = put(p, months[c.month - 1], 3);
    *p++ = ' ';
    p = put_digits(p, 4, (unsigned)c.year);
    *p++ = ' ';
    p = put_time(p, (unsigned)(time_s - day * DAY_S));
    put(p, " GMT", 4);
}
