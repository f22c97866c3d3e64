/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificates that visitors are shown, as the configuration has them. */
#include "edge-proxy/listen/listen.h"

#include "common/tls/tls.h"

#include <stdlib.h>

/* RFC 7301. No overlap: an alert, as the RFC has it. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";

    return SSL_select_next_proto((unsigned char **)out, out_n, ours, sizeof(ours) - 1, offered,
                                 n) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

struct tls_server *listen_tls_new(const struct config *config, struct errors *errors)
{
    size_t n = config->tls.n_certificates;
    struct tls_files *pairs;
    struct tls_server *t;

    if (n == 0)
        return NULL;
    wire_prepare();
    pairs = base_zalloc(n, sizeof(*pairs));
    for (size_t i = 0; i < n; i++) {
        const struct config_certificate *c = &config->tls.certificates[i];

        pairs[i] = (struct tls_files){
            .certificate_path = c->certificate_path, .key_path = c->key_path, .place = c->place};
    }
    t = tls_server_new(&(struct tls_server_settings){.pairs = pairs,
                                                     .n_pairs = n,
                                                     .min_version = config->tls.min_version,
                                                     .name = "edge-proxy",
                                                     .alpn = on_alpn},
                       errors);
    free(pairs);
    return t;
}
