/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a primary's messages: the first byte says what was asked for, then messages follow,
 * each with its length. What is taken as a zone or as differences becomes a copy, which the zone
 * files' reader must be able to read, if not to like. */
#include "common/bytes/bytes.h"
#include "gslb-dns/secondary/secondary_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HAVE = 7 };

static const char base_text[] =
    "example.com. 60 IN SOA ns.example.com. h.example.com. 7 3600 600 86400 300\n"
    "example.com. 60 IN NS ns.example.com.\n"
    "ns.example.com. 60 IN A 192.0.2.1\n";

static void load(struct replica *r)
{
    struct errors errors = {0};
    struct zone_source source = {.name = "example.com", .path = "copy", .text = {r->text, r->n}};

    zone_release(zone_load(&source, &errors));
    for (size_t i = 0; i < errors.n; i++) /* what we write has no mistake of form */
        ensure(strstr(errors.items[i].message, "closing quote") == NULL &&
               strstr(errors.items[i].message, "unknown") == NULL &&
               strstr(errors.items[i].message, "escape") == NULL);
    errors_free(&errors);
}

static struct replica *make_base(void)
{
    struct replica_soa soa = {HAVE, 3600, 600, 86400};
    struct replica *base = base_zalloc(1, sizeof(*base));

    base->refs = 1;
    base->soa = soa;
    base->n_records = 3;
    base->text = base_strdup(base_text);
    base->n = sizeof(base_text) - 1;
    return base;
}

static void take(struct incoming *in, enum incoming_verdict v)
{
    struct replica *base, *r = NULL;
    char *why = NULL;

    if (v == INCOMING_WHOLE) {
        r = replica_of_lines(&in->lines, &in->soa);
    } else if (v == INCOMING_CHANGES) {
        base = make_base();
        r = replica_amend(base, &in->lines, &in->soa, &why);
        ensure((r == NULL) == (why != NULL));
        replica_release(base);
        free(why);
    }
    if (r != NULL)
        load(r);
    replica_release(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum incoming_verdict v = INCOMING_MORE;
    struct wire_name apex;
    struct incoming in;
    struct reader r;

    if (size < 1)
        return 0;
    ensure(wire_name_parse(STR("example.com"), &apex));
    incoming_begin(&in, (enum incoming_kind)(data[0] % 3), &apex);
    in.have = HAVE;
    in.max_records = 1000;
    r = reader_of(data + 1, size - 1);
    while (v == INCOMING_MORE && reader_left(&r) > 2) {
        size_t n = reader_u16(&r);
        const uint8_t *message;
        uint8_t *copy; /* of its own, so that reads beyond it are seen */

        n = n < reader_left(&r) ? n : reader_left(&r);
        message = reader_take(&r, n);
        copy = base_alloc(n + 1);
        memcpy(copy, message, n);
        copy = base_realloc(copy, n > 0 ? n : 1);
        if (in.n_bytes == 0 && n >= 2)
            in.id = bytes_get_u16(copy);
        v = incoming_take(&in, copy, n);
        free(copy);
    }
    take(&in, v);
    incoming_end(&in);
    return 0;
}
