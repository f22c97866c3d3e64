/* SPDX-License-Identifier: BSD-2-Clause */
#define XXH_INLINE_ALL
#include "gslb-dns/geo/geo_internal.h"

#include "common/text/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Latitude and longitude have paths of equal length, which differ in the last key alone. */
static const struct geo_layout layouts[] = {
    {
        .name = "MaxMind",
        .country = {"country", "iso_code"},
        .fallback_country = {"registered_country", "iso_code"},
        .continent = {"continent", "code"},
        .latitude = {"location", "latitude"},
        .longitude = {"location", "longitude"},
    },
    {
        .name = "flat",
        .country = {"country_code"},
        .continent = {"continent_code"},
        .latitude = {"latitude"},
        .longitude = {"longitude"},
    },
    {
        .name = "flat",
        .country = {"country"},
        .continent = {"continent"},
        .latitude = {"lat"},
        .longitude = {"lng"},
    },
};

struct center {
    char country[3], continent[3];
    double latitude, longitude;
};

static const struct center centers[] = {
#define X(country, continent, latitude, longitude) {country, continent, latitude, longitude},
#include "gslb-dns/geo/country_centers.def"
#undef X
};

uint64_t geo_record_rules(void)
{
    return XXH3_64bits(centers, sizeof(centers));
}

static int compare_country(const void *key, const void *center)
{
    return strcmp(key, ((const struct center *)center)->country);
}

void geo_place_at_center(struct geo_location *where)
{
    const struct center *c =
        bsearch(where->country, centers, COUNT_OF(centers), sizeof(centers[0]), compare_country);

    if (c == NULL)
        return;
    memcpy(where->continent, c->continent, sizeof(where->continent));
    where->latitude = c->latitude;
    where->longitude = c->longitude;
    where->has_coordinates = where->is_country_center = true;
}

enum found { FOUND, ABSENT, DAMAGED };

static enum found read_value(const MMDB_s *mmdb, uint32_t offset, const char *const *path,
                             MMDB_entry_data_s *out)
{
    MMDB_entry_s entry = {mmdb, offset};
    int status = MMDB_SUCCESS;

    if (path[0] == NULL)
        return ABSENT;
    status = MMDB_aget_value(&entry, out, path);
    if (status == MMDB_SUCCESS)
        return out->has_data ? FOUND : ABSENT;
    /* Neither is damage: the path goes through something that is no map, or the key is missing. */
    if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR ||
        status == MMDB_INVALID_LOOKUP_PATH_ERROR)
        return ABSENT;
    return DAMAGED;
}

/* Two letters, in upper case; anything else ("", "-", a name in full) counts as absent. */
static enum found read_code(const MMDB_s *mmdb, uint32_t offset, const char *const *path,
                            char out[3])
{
    MMDB_entry_data_s value;
    enum found found = read_value(mmdb, offset, path, &value);

    if (found != FOUND)
        return found;
    if (value.type != MMDB_DATA_TYPE_UTF8_STRING || value.data_size != 2)
        return ABSENT;
    for (unsigned i = 0; i < 2; i++) {
        uint8_t c = text_lower((uint8_t)value.utf8_string[i]);
        if (c < 'a' || c > 'z')
            return ABSENT;
        out[i] = (char)(c - 'a' + 'A');
    }
    out[2] = '\0';
    return FOUND;
}

static bool is_number(const MMDB_entry_data_s *value, double *out)
{
    struct str text;
    bool is_negative;

    switch (value->type) {
    case MMDB_DATA_TYPE_DOUBLE:
        *out = value->double_value;
        return true;
    case MMDB_DATA_TYPE_FLOAT:
        *out = (double)value->float_value;
        return true;
    case MMDB_DATA_TYPE_UTF8_STRING:
        text = (struct str){value->utf8_string, value->data_size};
        is_negative = text.n > 0 && text.p[0] == '-';
        if (is_negative)
            text = (struct str){text.p + 1, text.n - 1};
        if (!text_parse_double(text, out))
            return false;
        *out = is_negative ? -*out : *out;
        return true;
    default:
        return false;
    }
}

static enum found read_degrees(const MMDB_s *mmdb, uint32_t offset, const char *const *path,
                               double limit, double *out)
{
    MMDB_entry_data_s value;
    enum found found = read_value(mmdb, offset, path, &value);

    if (found != FOUND)
        return found;
    return is_number(&value, out) && isfinite(*out) && fabs(*out) <= limit ? FOUND : ABSENT;
}

/* Both stand in one map in some layouts: it is looked for once, which is a fifth of all reading. */
static enum found find_degrees_map(const MMDB_s *mmdb, const struct geo_layout *layout,
                                   uint32_t *offset)
{
    const char *const path[] = {layout->latitude[0], NULL};
    MMDB_entry_data_s value;
    enum found found;

    if (layout->latitude[0] == NULL || layout->latitude[1] == NULL)
        return FOUND; /* in the record itself */
    found = read_value(mmdb, *offset, path, &value);
    if (found == FOUND && value.type != MMDB_DATA_TYPE_MAP)
        return ABSENT;
    if (found == FOUND)
        *offset = value.offset;
    return found;
}

static enum found read_coordinates(const MMDB_s *mmdb, const struct geo_layout *layout,
                                   uint32_t offset, struct geo_location *out)
{
    size_t skip = layout->latitude[0] != NULL && layout->latitude[1] != NULL;
    double latitude = 0, longitude = 0;
    enum found found = find_degrees_map(mmdb, layout, &offset);

    if (found == FOUND)
        found = read_degrees(mmdb, offset, layout->latitude + skip, 90, &latitude);
    if (found == FOUND)
        found = read_degrees(mmdb, offset, layout->longitude + skip, 180, &longitude);
    if (found != FOUND)
        return found;
    /* Some databases write 0, 0 for unknown. Nobody lives there: it is open sea. */
    if (latitude == 0 && longitude == 0)
        return ABSENT;
    out->latitude = latitude;
    out->longitude = longitude;
    out->has_coordinates = true;
    return FOUND;
}

struct outcome geo_record_read(const MMDB_s *mmdb, const struct geo_layout *layout, uint32_t offset,
                               struct geo_location *out)
{
    enum found country, continent, coordinates;

    *out = (struct geo_location){0};
    country = read_code(mmdb, offset, layout->country, out->country);
    if (country == ABSENT)
        country = read_code(mmdb, offset, layout->fallback_country, out->country);
    continent = read_code(mmdb, offset, layout->continent, out->continent);
    coordinates = read_coordinates(mmdb, layout, offset, out);
    if (country == DAMAGED || continent == DAMAGED || coordinates == DAMAGED) {
        *out = (struct geo_location){0};
        return OUTCOME_FAILED;
    }
    out->has_country = country == FOUND;
    if (out->has_country && !out->has_coordinates)
        geo_place_at_center(out);
    return OUTCOME_OK;
}

const struct geo_layout *geo_record_detect(const MMDB_s *mmdb, uint32_t offset)
{
    struct geo_location where;

    for (size_t i = 0; i < COUNT_OF(layouts); i++)
        if (!has_failed(geo_record_read(mmdb, &layouts[i], offset, &where)) &&
            (where.has_country || where.has_coordinates))
            return &layouts[i];
    return NULL;
}

enum { HAS_COUNTRY = 1, HAS_COORDINATES = 2, IS_COUNTRY_CENTER = 4 };

struct geo_place geo_place_of(const struct geo_location *where)
{
    struct geo_place p = {0};

    if (where->has_country) {
        memcpy(p.country, where->country, sizeof(p.country));
        p.flags |= HAS_COUNTRY;
    }
    if (where->has_coordinates) {
        p.latitude = where->latitude;
        p.longitude = where->longitude;
        p.flags |= HAS_COORDINATES | (where->is_country_center ? IS_COUNTRY_CENTER : 0);
    }
    if (p.flags != 0)
        memcpy(p.continent, where->continent, sizeof(p.continent));
    return p;
}

struct geo_location geo_place_location(const struct geo_place *p)
{
    struct geo_location where = {
        .has_country = p->flags & HAS_COUNTRY,
        .has_coordinates = p->flags & HAS_COORDINATES,
        .is_country_center = p->flags & IS_COUNTRY_CENTER,
        .latitude = p->latitude,
        .longitude = p->longitude,
    };

    memcpy(where.country, p->country, sizeof(p->country));
    memcpy(where.continent, p->continent, sizeof(p->continent));
    return where;
}
