/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of proxy share. */
#ifndef COMMON_PROXY_INTERNAL_H
#define COMMON_PROXY_INTERNAL_H

#include "common/proxy/proxy.h"

/* Of version 2. */
enum { LOCAL = 0x20, PROXY = 0x21, UNSPEC = 0, INET = 1, INET6 = 2, STREAM = 1, DATAGRAM = 2 };
extern const uint8_t proxy_signature[PROXY_SIGNATURE];

/* proxy_v1.c. n > 0 */
enum proxy_verdict proxy_parse_v1(const uint8_t *p, size_t n, struct proxy_header *out);

#endif
