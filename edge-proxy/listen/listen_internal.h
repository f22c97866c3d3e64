/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of listen share. */
#ifndef EDGE_PROXY_LISTEN_INTERNAL_H
#define EDGE_PROXY_LISTEN_INTERNAL_H

#include "edge-proxy/listen/listen.h"

/* A connection's SSL: the default certificate until SNI says otherwise. Workers. */
SSL *tls_new_ssl(const struct listen_tls *t);
/* Makes ctx issue and take tickets under the shared keys. */
void tickets_use(SSL_CTX *ctx);

#endif
