/* SPDX-License-Identifier: BSD-2-Clause */
/* Who answers: the names of class CHAOS that BIND began and RFC 4892 describes. */
#include "gslb-dns/answer/answer_internal.h"

#include <string.h>

enum { TEXT_MAX = 255 };

static const struct chaos_name {
    const char *wire;
    uint8_t bytes;
    bool is_version;
} names[] = {
#define NAME(wire, is_version)         \
    {                                  \
        wire, sizeof(wire), is_version \
    }
    NAME("\7version\4bind", true),
    NAME("\7version\6server", true),
    NAME("\2id\6server", false),
    NAME("\10hostname\4bind", false),
#undef NAME
};

static const char *find_text(const struct wire_query *q, const struct world *w)
{
    if (q->qclass != WIRE_CLASS_CH || (q->qtype != WIRE_TXT && q->qtype != WIRE_ANY))
        return NULL;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (q->qname.length == names[i].bytes &&
            memcmp(q->qname.bytes, names[i].wire, names[i].bytes) == 0)
            return names[i].is_version ? w->chaos_version : w->chaos_id;
    }
    return NULL;
}

bool chaos_answer(struct message *m, const struct wire_query *q, const struct world *w)
{
    const char *text = w != NULL ? find_text(q, w) : NULL;
    uint8_t rdata[1 + TEXT_MAX];

    if (text == NULL)
        return false;
    rdata[0] = (uint8_t)strnlen(text, TEXT_MAX);
    memcpy(rdata + 1, text, rdata[0]);
    m->is_authoritative = true;
    if (!message_add_record(m, WIRE_TXT, 0, rdata, (uint16_t)(1 + rdata[0])))
        message_truncate(m);
    else
        bytes_put_u16(m->out + m->records_at + 4, WIRE_CLASS_CH);
    return true;
}
