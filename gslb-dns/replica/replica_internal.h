/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the replica room share. */
#ifndef GSLB_DNS_REPLICA_INTERNAL_H
#define GSLB_DNS_REPLICA_INTERNAL_H

#include "gslb-dns/replica/replica.h"

#include <stdatomic.h>

/* Takes the text over. */
struct replica *replica_new(struct text *text, size_t n_records, const struct replica_soa *soa);

#endif
