/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of tls share. */
#ifndef COMMON_TLS_INTERNAL_H
#define COMMON_TLS_INTERNAL_H

#include "common/tls/tls.h"

/* Makes ctx issue and take tickets under the shared keys. */
void tickets_use(SSL_CTX *ctx);

/* ---- Names of servers: tls_names.c ---- */

/* A certificate as it was loaded, in a context of its own. */
struct served {
    SSL_CTX *ctx;
    const char *path;
    struct place place;
    char *first_name; /* NULL: it has none */
    bool is_shown;    /* at least under one name */
    unsigned told;    /* how near its end was when it was last told; who makes and watches alone */
};

/* A context that holds several certificates of one name, by the kind of their keys. */
enum { SERVED_KINDS = 5 }; /* RSA, RSA-PSS, ECDSA, Ed25519, Ed448 */
struct served_set {
    SSL_CTX *ctx;
    size_t members[SERVED_KINDS], n;
};

struct served_name {
    char *name;    /* lower case; ".example.com" for "*.example.com" */
    size_t member; /* the certificate that has it */
    SSL_CTX *ctx;  /* once they are settled */
};

struct tls_server {
    size_t n_refs;
    bool is_unknown_refused;
    void (*on_name)(void *arg, const char *name, SSL *ssl);
    void *arg;
    SSL_CTX *fallback; /* for everybody else */
    struct served *served;
    size_t n_served;
    struct served_set *sets;
    size_t n_sets, cap_sets;
    struct served_name *names; /* sorted, once they are settled */
    size_t n_names, cap_names;
};

/* Notes the names of certificate i. */
void names_add(struct tls_server *t, size_t i);
/* After the last: gives each name its context, and t its fallback. make() is for names that have
 * several certificates. */
void names_settle(struct tls_server *t, SSL_CTX *(*make)(void *arg), void *arg);
/* The exact name, else the wildcard of its first label (RFC 9525 section 6.3). NULL: neither. */
SSL_CTX *names_find(const struct tls_server *t, const char *name);
void names_free(struct tls_server *t);

#endif
