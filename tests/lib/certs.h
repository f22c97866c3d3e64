/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * certs: certificates for the unit tests of the channel, made when a test starts, in a folder of
 * their own that goes with it.
 */
#ifndef TESTS_LIB_CERTS_H
#define TESTS_LIB_CERTS_H

#include "common/base/base.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct certs {
    char dir[64];
    EVP_PKEY *ca_key[2]; /* the channel's CA ("ca.crt") and another one ("other-ca.crt") */
    X509 *ca[2];
    long serial;
};

/* What is asked of a certificate. */
struct certs_spec {
    const char *name;  /* NAME.crt and NAME.key in the folder */
    const char *san;   /* "URI:gslb://edge/e1", NULL: none */
    long from_s, to_s; /* from now; to 0: a year */
    int ca;
    bool is_rsa;
};

static inline const char *certs_path(const struct certs *c, const char *file)
{
    static char paths[8][128];
    static unsigned next;
    char *p = paths[next++ % 8];

    snprintf(p, sizeof(paths[0]), "%s/%s", c->dir, file);
    return p;
}

static inline void certs_write(const struct certs *c, const char *name, X509 *x, EVP_PKEY *key)
{
    char file[64];
    FILE *f;

    snprintf(file, sizeof(file), "%s.crt", name);
    f = fopen(certs_path(c, file), "w");
    ensure(f != NULL && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    snprintf(file, sizeof(file), "%s.key", name);
    f = fopen(certs_path(c, file), "w");
    ensure(f != NULL && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 &&
           fclose(f) == 0);
    ensure(chmod(certs_path(c, file), 0600) == 0);
}

static inline void certs_extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ensure(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static inline X509 *certs_make(struct certs *c, const struct certs_spec *spec, EVP_PKEY *key)
{
    bool is_ca = c->ca[spec->ca] == NULL;
    X509 *x = X509_new(), *issuer = is_ca ? x : c->ca[spec->ca];

    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++c->serial);
    X509_gmtime_adj(X509_getm_notBefore(x), spec->from_s - 60);
    X509_gmtime_adj(X509_getm_notAfter(x), spec->to_s ? spec->to_s : 365 * 86400L);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)spec->name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    X509_set_pubkey(x, key);
    certs_extend(x, issuer, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (spec->san != NULL)
        certs_extend(x, issuer, NID_subject_alt_name, spec->san);
    ensure(X509_sign(x, is_ca ? key : c->ca_key[spec->ca], EVP_sha256()) > 0);
    return x;
}

static inline void certs_issue(struct certs *c, struct certs_spec spec)
{
    EVP_PKEY *key = spec.is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    X509 *x = certs_make(c, &spec, key);

    certs_write(c, spec.name, x, key);
    X509_free(x);
    EVP_PKEY_free(key);
}

static inline void certs_start(struct certs *c)
{
    static const char *const names[] = {"ca", "other-ca"};

    *c = (struct certs){.dir = "/tmp/gslb-certs-XXXXXX"};
    ensure(mkdtemp(c->dir) != NULL);
    for (int i = 0; i < 2; i++) {
        struct certs_spec spec = {.name = names[i], .ca = i};

        c->ca_key[i] = EVP_EC_gen("P-256");
        c->ca[i] = certs_make(c, &spec, c->ca_key[i]);
        certs_write(c, names[i], c->ca[i], c->ca_key[i]);
    }
}

static inline void certs_end(struct certs *c)
{
    char command[128];

    for (int i = 0; i < 2; i++) {
        X509_free(c->ca[i]);
        EVP_PKEY_free(c->ca_key[i]);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", c->dir);
    ensure(system(command) == 0);
}

#endif
