/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GSLB_DNS_EXPLAIN_INTERNAL_H
#define GSLB_DNS_EXPLAIN_INTERNAL_H

#include "gslb-dns/answer/answer.h"
#include "gslb-dns/explain/explain.h"

MUST_USE struct outcome explain_read_client(const char *text, struct ip *out, struct text *error);
MUST_USE struct outcome explain_find_service(const struct explain_world *w, const char *name,
                                             const struct ip *client,
                                             struct answer_explanation *out, struct text *error);

#endif
