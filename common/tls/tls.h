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
    uint32_t ticket_s;             /* how long a session can be resumed; 0: TLS_TICKET_S */
    bool is_unknown_refused;       /* who names nobody, or a name that no certificate has */
    const char *name;              /* of the program: its tickets are good for itself alone */
    SSL_CTX_alpn_select_cb_func alpn;
    /* NULL, or told whom each client asks for (NULL: nobody), with the certificate chosen and
     * before an old session is looked for: the time to ask the client for a certificate. arg must
     * stay until all handshakes have ended. */
    void (*on_name)(void *arg, const char *name, SSL *ssl);
    void *arg;
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

/* ---- Session tickets ---- */

/* The keys are shared by all servers of the process. Its own ones are renewed every period (twelve
 * hours unless somebody wishes otherwise) and stay good for one more; any thread may call what
 * follows, but only one of them rotates and shares. */
enum { TLS_TICKET_S = 12 * 3600 };
/* Called now and then. */
void tls_tickets_rotate(int64_t now_s, int64_t period_s);

/* A key that the site's other servers have too. It makes tickets for a period from begins_ms
 * (clock_mono_ms) on, and is good for another one; before it begins it only takes them, from
 * servers whose clock is ahead. */
struct tls_ticket_key {
    uint8_t name[16], cipher[32], mac[32];
    int64_t begins_ms, period_ms;
    bool is_taken_only; /* makes none at all */
};
/* Adds what is new, up to so many at a time; what is over goes. While one of them makes tickets,
 * our own do not. true: there was a new one. */
enum { TLS_TICKET_KEYS_MAX = 64 };
bool tls_tickets_share(const struct tls_ticket_key *keys, size_t n);

/* The key of an epoch, wall clock / period, by HKDF (RFC 5869): whoever has the secret makes the
 * same. The times of out stay as they are. */
enum { TLS_TICKET_SECRET_BYTES = 32 };
void tls_ticket_derive(const uint8_t secret[TLS_TICKET_SECRET_BYTES], int64_t period_s,
                       int64_t epoch, struct tls_ticket_key *out);

/* What may be shown of a key: the beginning of its name, in hexadecimal. */
enum { TLS_TICKET_ID = 9, TLS_TICKET_STATES_MAX = TLS_TICKET_KEYS_MAX + 1 };
void tls_ticket_id(const struct tls_ticket_key *key, char out[TLS_TICKET_ID]);
struct tls_ticket_state {
    char id[TLS_TICKET_ID];
    bool is_shared, is_making;
    int64_t begins_in_ms, ends_in_ms; /* of a shared one */
};
/* All shared keys, then the process's current own one; returns how many. */
size_t tls_tickets_list(struct tls_ticket_state out[TLS_TICKET_STATES_MAX]);

/* Memory for secrets, zeroed: in no core dump, and not swapped out where that can be had. Freed, it
 * is wiped. */
void *tls_secret_alloc(size_t n);
void tls_secret_free(void *p, size_t n);

/* ---- What went wrong ---- */

/* Empties this thread's OpenSSL error queue into words ("certificate verify failed: unable to get
 * local issuer certificate" rather than a number); "" when the queue is empty. */
enum { TLS_ERROR_TEXT = 200 };
const char *tls_take_error(char buf[TLS_ERROR_TEXT]);
/* Why the last handshake on ssl failed: the verification's verdict if there is one, else the error
 * queue, else the system's error number why (0: the peer closed). */
const char *tls_handshake_error(const SSL *ssl, int why, char buf[TLS_ERROR_TEXT]);

#endif
