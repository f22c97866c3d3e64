/* SPDX-License-Identifier: BSD-2-Clause */
/* What ends before any lookup. */
#include "gslb-dns/answer/answer_internal.h"

void verdict_answer(struct message *m, enum wire_verdict verdict, const struct wire_query *q,
                    const struct world *w)
{
    if (verdict == WIRE_CHAOS && chaos_answer(m, q, w))
        return;
    m->rcode = wire_verdict_rcode(verdict);
    if (verdict == WIRE_CHAOS)
        m->ede = EDE_NOT_AUTHORITATIVE;
    else if (verdict == WIRE_BAD_CLASS || verdict == WIRE_BAD_OPCODE)
        m->ede = EDE_NOT_SUPPORTED;
    else if (verdict == WIRE_BAD_METATYPE)
        m->ede = EDE_INVALID_QUERY_TYPE; /* RFC 9824 section 3.5 */
}
