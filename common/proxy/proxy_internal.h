/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of proxy share. */
#ifndef COMMON_PROXY_INTERNAL_H
#define COMMON_PROXY_INTERNAL_H

#include "common/proxy/proxy.h"

/* proxy_v1.c. n > 0 */
enum proxy_verdict proxy_parse_v1(const uint8_t *p, size_t n, struct proxy_header *out);

#endif
