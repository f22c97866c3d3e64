/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines "Name: value" with any values, given to every reader of the fields room. Beside not
 * crashing: what is written reads as what was meant.
 */
#include "edge-proxy/fields/fields.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static struct fields set;

static bool is_clean(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = (uint8_t)value.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static void read_set(struct str in)
{
    fields_clear(&set);
    while (in.n > 0) {
        const char *end = memchr(in.p, '\n', in.n);
        struct str line = {in.p, end ? (size_t)(end - in.p) : in.n}, name = line, value;
        const char *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;

        in.p += line.n + (end != NULL);
        in.n -= line.n + (end != NULL);
        if (colon == NULL)
            continue;
        name.n = (size_t)(colon - line.p);
        value = str_trim((struct str){colon + 1, line.n - name.n - 1});
        if (fields_is_token(name) && is_clean(value) && !fields_add(&set, name, value))
            break;
    }
    fields_mark_hop_by_hop(&set);
}

static void check_cache_control(void)
{
    struct cache_control cc;

    fields_read_cache_control(&set, &cc);
    for (unsigned d = 0; d < CC_COUNT; d++)
        ensure(cc.seconds[d] <= FIELDS_SECONDS_MAX);
    if (fields_read_cdn_cache_control(&set, &cc))
        ensure(fields_has(&set, FIELD_CDN_CACHE_CONTROL));
    ensure(fields_read_age(&set) <= FIELDS_SECONDS_MAX);
}

static void check_ranges(void)
{
    static const uint64_t sizes[] = {0, 1, 1000, UINT64_MAX};
    struct byte_range ranges[FIELDS_RANGES_MAX];
    unsigned count;

    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        enum range_verdict v = fields_read_ranges(&set, sizes[s], ranges, &count);

        ensure(count <= FIELDS_RANGES_MAX && (v != RANGE_SATISFIABLE || count > 0));
        for (unsigned i = 0; v == RANGE_SATISFIABLE && i < count; i++)
            ensure(ranges[i].first <= ranges[i].last && ranges[i].last < sizes[s]);
    }
}

static void check_dates(void)
{
    int64_t date_s, again_s;
    char text[FIELDS_DATE_BYTES];

    for (uint32_t i = 0; i < set.count; i++) {
        if (!fields_parse_date(set.v[i].value, 1700000000, &date_s))
            continue;
        fields_format_date(date_s, text);
        if (date_s < 253402300800) /* the leap second that ends the year 9999 has no text */
            ensure(fields_parse_date((struct str){text, sizeof(text)}, 0, &again_s) &&
                   again_s == date_s);
    }
}

static void check_conditions(void)
{
    struct validators v = {.etag = fields_value(&set, FIELD_ETAG),
                           .last_modified_s = 1000000000,
                           .date_s = 1000000001};
    struct byte_range range;
    uint64_t size;

    fields_is_not_modified(&set, &v, 1700000000);
    fields_is_range_current(&set, &v, 1700000000);
    if (fields_parse_content_range(fields_value(&set, FIELD_CONTENT_RANGE), &range, &size))
        ensure(range.first <= range.last && range.last < size);
    ensure(fields_read_accept_encoding(&set) < 16);
}

static void check_written(void)
{
    static uint8_t out[16384];
    struct writer w = writer_of(out, sizeof(out));
    struct str other = fields_value(&set, FIELD_USER_AGENT);
    struct forwarded by = {.client = STR("2001:db8::1"), .host = other, .proto = STR("https")};
    struct cache_status status = {.cache = other, .is_hit = true, .key = other, .detail = other};

    fields_write_via(&w, &set, STR("1.1"), STR("edge"));
    fields_write_cdn_loop(&w, &set, STR("edge"));
    fields_write_forwarded(&w, &set, &by);
    fields_write_x_forwarded_for(&w, &set, STR("192.0.2.1"));
    fields_write_cache_status(&w, &set, &status);
    ensure(is_clean((struct str){(const char *)out, sizeof(out) - writer_room(&w)}));
    ensure(fields_count_cdn_loop(&set, STR("edge")) <= 16384);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    char *copy = malloc(n + 1);

    memcpy(copy, input, n);
    read_set((struct str){copy, n});
    check_cache_control();
    check_ranges();
    check_dates();
    check_conditions();
    check_written();
    free(copy);
    return 0;
}
