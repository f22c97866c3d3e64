/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which certificates a name gets. Each name has a context: that of its certificate, or, where
 * several certificates have the name, one that holds the first of each kind of key (OpenSSL then
 * takes the one that the client can use, ECDSA before RSA). Names with the same certificates share
 * it.
 */
#include "common/tls/tls_internal.h"

#include "common/text/text.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 255 };

/* ---- Finding ---- */

static SSL_CTX *find(const struct tls_server *t, const char *name)
{
    size_t low = 0, high = t->n_names;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, t->names[middle].name);

        if (order == 0)
            return t->names[middle].ctx;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

SSL_CTX *names_find(const struct tls_server *t, const char *name)
{
    char lower[NAME_MAX_BYTES + 1];
    size_t n = strlen(name);
    const char *dot;
    SSL_CTX *ctx;

    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n > NAME_MAX_BYTES)
        return NULL;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)text_lower((uint8_t)name[i]);
    lower[n] = '\0';
    ctx = find(t, lower);
    dot = strchr(lower, '.');
    return ctx == NULL && dot != NULL ? find(t, dot) : ctx;
}

/* ---- Noting ---- */

static void add_name(struct tls_server *t, const unsigned char *name, int n, size_t member)
{
    char *lower;

    if (n > 2 && name[0] == '*' && name[1] == '.') {
        name++;
        n--;
    }
    if (n <= 0 || n > NAME_MAX_BYTES || memchr(name, '*', (size_t)n) != NULL ||
        memchr(name, '\0', (size_t)n) != NULL)
        return;
    lower = base_strndup((const char *)name, (size_t)n);
    for (int i = 0; i < n; i++)
        lower[i] = (char)text_lower((uint8_t)lower[i]);
    BASE_GROW(t->names, t->n_names, t->cap_names);
    t->names[t->n_names++] = (struct served_name){.name = lower, .member = member};
}

/* subjectAltName alone counts (RFC 9525 section 6.3): the common name has not for years. */
void names_add(struct tls_server *t, size_t member)
{
    struct served *s = &t->served[member];
    X509 *x = SSL_CTX_get0_certificate(s->ctx);
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const unsigned char *text;
        int n;

        if (name->type != GEN_DNS)
            continue;
        text = ASN1_STRING_get0_data(name->d.dNSName);
        n = ASN1_STRING_length(name->d.dNSName);
        if (s->first_name == NULL)
            s->first_name = base_strndup((const char *)text, (size_t)n);
        add_name(t, text, n, member);
    }
    GENERAL_NAMES_free(names);
}

/* ---- Settling ---- */

static int compare_names(const void *a, const void *b)
{
    const struct served_name *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    if (order != 0)
        return order;
    return x->member < y->member ? -1 : x->member > y->member;
}

static int kind_of(const struct tls_server *t, size_t member)
{
    return EVP_PKEY_get_base_id(SSL_CTX_get0_privatekey(t->served[member].ctx));
}

/* Of two certificates with one kind of key the first in the configuration is used. */
static void put_member(struct tls_server *t, struct served_set *set, size_t member)
{
    for (size_t i = 0; i < set->n; i++)
        if (kind_of(t, set->members[i]) == kind_of(t, member))
            return;
    if (set->n == SERVED_KINDS)
        return;
    set->members[set->n++] = member;
    t->served[member].is_shown = true;
}

static SSL_CTX *make_set(struct tls_server *t, struct served_set *set, SSL_CTX *(*make)(void *arg),
                         void *arg)
{
    set->ctx = make(arg);
    for (size_t i = 0; i < set->n; i++) {
        SSL_CTX *from = t->served[set->members[i]].ctx;
        STACK_OF(X509) *chain = NULL;

        SSL_CTX_get0_chain_certs(from, &chain);
        ensure(SSL_CTX_use_cert_and_key(set->ctx, SSL_CTX_get0_certificate(from),
                                        SSL_CTX_get0_privatekey(from), chain, 1) == 1);
    }
    BASE_GROW(t->sets, t->n_sets, t->cap_sets);
    t->sets[t->n_sets++] = *set;
    return set->ctx;
}

static SSL_CTX *set_context(struct tls_server *t, struct served_set *set,
                            SSL_CTX *(*make)(void *arg), void *arg)
{
    if (set->n == 1)
        return t->served[set->members[0]].ctx;
    for (size_t i = t->n_sets; i-- > 0;)
        if (t->sets[i].n == set->n &&
            memcmp(t->sets[i].members, set->members, set->n * sizeof(set->members[0])) == 0)
            return t->sets[i].ctx;
    return make_set(t, set, make, arg);
}

void names_settle(struct tls_server *t, SSL_CTX *(*make)(void *arg), void *arg)
{
    size_t kept = 0;

    t->fallback = t->served[0].ctx;
    t->served[0].is_shown = true;
    if (t->n_names > 0)
        qsort(t->names, t->n_names, sizeof(t->names[0]), compare_names);
    for (size_t i = 0, end; i < t->n_names; i = end) {
        struct served_name *first = &t->names[i];
        struct served_set set = {0};

        for (end = i; end < t->n_names && strcmp(t->names[end].name, first->name) == 0; end++)
            put_member(t, &set, t->names[end].member);
        first->ctx = set_context(t, &set, make, arg);
        /* Whoever knows one kind of key only, and names nobody, is served as well. */
        if (first->member == 0 && set.n > 1)
            t->fallback = first->ctx;
        for (size_t k = i + 1; k < end; k++)
            free(t->names[k].name);
        t->names[kept++] = *first;
    }
    t->n_names = kept;
}

void names_free(struct tls_server *t)
{
    for (size_t i = 0; i < t->n_names; i++)
        free(t->names[i].name);
    for (size_t i = 0; i < t->n_sets; i++)
        SSL_CTX_free(t->sets[i].ctx);
    free(t->names);
    free(t->sets);
}
