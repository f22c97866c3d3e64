/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy: the header by which a load balancer says whom it brings, PROXY protocol versions 1 and 2
 * (haproxy's proxy-protocol.txt, sections 2.1 and 2.2). Pure functions over bytes; whether the
 * sender may be believed is the caller's to know. No state; any thread.
 */
#ifndef COMMON_PROXY_H
#define COMMON_PROXY_H

#include "common/addr/addr.h"
#include "common/base/base.h"

enum proxy_verdict {
    PROXY_OK,
    PROXY_MORE, /* so far it is right */
    PROXY_BAD_SIGNATURE,
    PROXY_BAD_VERSION, /* no such version, or neither LOCAL nor PROXY */
    PROXY_BAD_ADDRESS, /* a family that no network has, or not what its family's look like */
    PROXY_BAD_TLV,
    PROXY_BAD_CHECKSUM,
    PROXY_TOO_LONG,
};

/* The longest header that is taken; real ones have some dozen bytes, or some hundred with TLVs. */
enum { PROXY_MAX = 4096, PROXY_SIGNATURE = 12, PROXY_FIXED = 16 };
enum { PROXY_V1_MAX = 107 }; /* section 2.1, with its CRLF */

/* Which versions are taken, or'ed. */
enum { PROXY_V1 = 1, PROXY_V2 = 2 };

struct proxy_header {
    size_t bytes;   /* of the whole header: what follows is the protocol's own */
    bool has_claim; /* false: LOCAL, UNKNOWN. The connection stands for itself */
    struct addr source, destination;
};

/* Reads the header at the beginning of n bytes; nothing beyond it is looked at. A checksum that is
 * there (PP2_TYPE_CRC32C) is right. out is set with PROXY_OK only. */
enum proxy_verdict proxy_parse(const uint8_t *p, size_t n, unsigned versions,
                               struct proxy_header *out);
/* How many bytes a header of version 2 has, as far as n of them tell: after reading so many, ask
 * again. */
size_t proxy_bytes_wanted(const uint8_t *p, size_t n);
/* Writes one for who is at source and came to destination; NULL: for nobody but the sender (LOCAL,
 * UNKNOWN). Of two families both are written as IPv6. Returns its bytes, not terminated. */
enum { PROXY_WRITTEN_MAX = PROXY_V1_MAX };
size_t proxy_write(unsigned version, const struct addr *source, const struct addr *destination,
                   char out[PROXY_WRITTEN_MAX]);
/* Whether these bytes begin as a header of version 2 does. */
bool proxy_has_signature(const uint8_t *p, size_t n);

#endif
