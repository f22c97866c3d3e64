/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the tsig room share. */
#ifndef GSLB_DNS_TSIG_INTERNAL_H
#define GSLB_DNS_TSIG_INTERNAL_H

#include "common/bytes/bytes.h"
#include "gslb-dns/tsig/tsig.h"

#include <openssl/evp.h>

struct tsig_algorithm {
    const char *name, *digest; /* ours, OpenSSL's */
    struct wire_name wire;
    uint16_t mac_bytes;
};

struct tsig_key {
    struct wire_name name;
    uint8_t algorithm;
    EVP_MAC_CTX *mac; /* keyed; copied for each use */
};

/* The number of an algorithm; -1: not one of ours. */
int tsig_algorithm_find(const char *name);
int tsig_algorithm_find_wire(const struct wire_name *name);
/* The table's row, with its wire name filled in. */
const struct tsig_algorithm *tsig_algorithm(int number);
bool tsig_name_eq(const struct wire_name *a, const struct wire_name *b);

#endif
