/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tls: OpenSSL contexts, with messages that tell the operator which file is wrong and how to mend
 * it. The control channel's contexts are made here whole (TLS 1.3 only, certificates on both
 * sides, one private CA), and so are those of servers that anybody may visit (DNS over TLS, HTTPS);
 * origin connections of edge-proxy make their own and use the loaders below.
 *
 * Who a peer is: its certificate's subjectAltName URI, gslb://ROLE/NAME (proto/channel.proto).
 *
 * A context is made when a configuration is loaded and is immutable from then on; renewed
 * certificates take effect by making a new context and dropping the old one (connections keep a
 * reference of their own). Control thread for the making; any thread may use the result.
 */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include "common/base/base.h"
#include "common/error/error.h"

#include <openssl/ssl.h>

enum tls_role { TLS_ROLE_NONE, TLS_ROLE_EDGE, TLS_ROLE_DNS, TLS_ROLE_OPERATOR };
enum tls_side { TLS_SERVER, TLS_CLIENT };

/* Names are 1 to 63 letters, digits, '-', '_' or '.': safe in logs, tables and file names. */
enum { TLS_NAME = 64 };
struct tls_identity {
    enum tls_role role;
    char name[TLS_NAME];
};

/* "edge", "dns", "operator", "none". */
const char *tls_role_name(enum tls_role role);

/* The three files of one end of the channel; place is where the configuration names them. */
struct tls_files {
    const char *certificate_path, *key_path, *ca_path;
    struct place place;
};

/* A context for one side of the control channel: TLS 1.3 only, the peer must show a certificate
 * of the CA, no session resumption (each link proves itself anew). own gets the identity in our
 * certificate, which must have one. NULL: errors say why. A certificate with less than 14 days
 * to go, or a key that others may read, is a warning. The caller frees it by SSL_CTX_free. */
SSL_CTX *tls_channel_new(enum tls_side side, const struct tls_files *files,
                         struct tls_identity *own, struct errors *errors);

/* Loads a PEM chain (leaf first) and its key into ctx, with the checks and warnings above. */
MUST_USE struct outcome tls_load_pair(SSL_CTX *ctx, const struct tls_files *files,
                                      struct errors *errors);
/* Trusts the certificates in files->ca_path for verifying the peer, and nothing else. */
MUST_USE struct outcome tls_load_ca(SSL_CTX *ctx, const struct tls_files *files,
                                    struct errors *errors);

/* Who the (verified) peer is; TLS_ROLE_NONE when its certificate does not say. */
struct tls_identity tls_peer_identity(const SSL *ssl);
/* Would the peer that was let in earlier be let in by this context's CA too? Whether its
 * certificate has run out meanwhile does not matter. */
bool tls_is_peer_trusted(const SSL *ssl, const SSL_CTX *now);
/* Who a certificate is for, by its first gslb:// URI. */
struct tls_identity tls_certificate_identity(X509 *certificate);
/* "gslb://edge/eu-west-1" → identity; anything else → TLS_ROLE_NONE. */
struct tls_identity tls_identity_parse(const char *uri, size_t n);

/* Seconds until the context's own certificate expires (negative: since), INT64_MAX: has none. */
int64_t tls_expires_in_s(const SSL_CTX *ctx);

/* ---- Servers that anybody may visit ---- */

/* Contexts for several certificates, of which SNI picks: an exact name before a wildcard, and where
 * several certificates have the name the one whose kind of key the client can use, ECDSA before
 * RSA. The first is for everybody else. TLS 1.2 and 1.3, session tickets, no early data, idle
 * connections hold no buffers. Counted references, any thread: a reload makes a new one, and
 * handshakes that began under the old one hold it. */
struct tls_server;
struct tls_server_settings {
    const struct tls_files *pairs; /* ca_path is not read */
    size_t n_pairs;                /* at least one */
    int min_version;               /* TLS1_2_VERSION or TLS1_3_VERSION */
    bool is_unknown_refused;       /* who names nobody, or a name that no certificate has */
    const char *name;              /* of the program: its tickets are good for itself alone */
    SSL_CTX_alpn_select_cb_func alpn;
};

/* NULL: errors say why (a missing file, a key that does not match); an expired certificate, and one
 * that nobody will see, is a warning. */
struct tls_server *tls_server_new(const struct tls_server_settings *settings,
                                  struct errors *errors);
struct tls_server *tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t);
/* A connection's SSL, to be accepted: the default certificate until SNI says otherwise. t must stay
 * until the handshake has ended. NULL: out of memory. */
SSL *tls_server_ssl(const struct tls_server *t);

/* What is served, in the order of the settings; strings live as long as the server. */
struct tls_certificate {
    const char *path, *name; /* name: the first in it; NULL: it has none */
    const char *kind;        /* of its key: "EC", "RSA" */
    int64_t expires_in_s;    /* negative: since */
};
size_t tls_server_count(const struct tls_server *t);
struct tls_certificate tls_server_certificate(const struct tls_server *t, size_t i);
/* Logs which certificates have come near their end since they were loaded, or have come nearer.
 * Called now and then, by the thread that made t. */
void tls_server_warn_expiry(struct tls_server *t);

/* Session ticket keys are shared by all servers of the process. They are renewed every TLS_TICKET_S
 * and stay good for one more such time. */
enum { TLS_TICKET_S = 12 * 3600 };
/* Called now and then, always on the same thread. */
void tls_tickets_rotate(int64_t now_s);

/* ---- What went wrong ---- */

/* Empties this thread's OpenSSL error queue into words ("certificate verify failed: unable to get
 * local issuer certificate" rather than a number); "" when the queue is empty. */
enum { TLS_ERROR_TEXT = 200 };
const char *tls_take_error(char buf[TLS_ERROR_TEXT]);
/* Why the last handshake on ssl failed: the verification's verdict if there is one, else the error
 * queue, else the system's error number why (0: the peer closed). */
const char *tls_handshake_error(const SSL *ssl, int why, char buf[TLS_ERROR_TEXT]);

#endif
