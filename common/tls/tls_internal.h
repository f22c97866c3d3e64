/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of tls share. */
#ifndef COMMON_TLS_INTERNAL_H
#define COMMON_TLS_INTERNAL_H

#include "common/tls/tls.h"

/* Makes ctx issue and take tickets under the shared keys. */
void tickets_use(SSL_CTX *ctx);

#endif
