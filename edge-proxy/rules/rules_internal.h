/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of rules share. */
#ifndef EDGE_PROXY_RULES_INTERNAL_H
#define EDGE_PROXY_RULES_INTERNAL_H

#include "edge-proxy/rules/rules.h"

struct rules_line {
    struct str all; /* with its CRLF */
    struct str name, value;
};
/* The next of field lines that are well-formed, because we wrote them; false: none is left. */
bool rules_next_line(struct str *rest, struct rules_line *out);

#endif
