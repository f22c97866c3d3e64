/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/text/text.h"
#include "common/tls/tls.h"

#include <openssl/x509v3.h>
#include <string.h>

static const char *const role_names[] = {
    [TLS_ROLE_NONE] = "none",
    [TLS_ROLE_EDGE] = "edge",
    [TLS_ROLE_DNS] = "dns",
    [TLS_ROLE_OPERATOR] = "operator",
};

const char *tls_role_name(enum tls_role role)
{
    ensure((size_t)role < COUNT_OF(role_names));
    return role_names[role];
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

static bool is_name(struct str s)
{
    if (s.n == 0 || s.n >= TLS_NAME)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_byte(s.p[i]))
            return false;
    return true;
}

static enum tls_role role_parse(struct str s)
{
    for (size_t i = TLS_ROLE_NONE + 1; i < COUNT_OF(role_names); i++)
        if (str_is(s, role_names[i]))
            return (enum tls_role)i;
    return TLS_ROLE_NONE;
}

struct tls_identity tls_identity_parse(const char *uri, size_t n)
{
    static const struct str scheme = STR("gslb://");
    struct tls_identity id = {.role = TLS_ROLE_NONE};
    struct str role, name;
    const char *slash;

    if (n <= scheme.n || memcmp(uri, scheme.p, scheme.n) != 0)
        return id;
    role = (struct str){uri + scheme.n, n - scheme.n};
    slash = memchr(role.p, '/', role.n);
    if (slash == NULL)
        return id;
    name = (struct str){slash + 1, (size_t)(role.p + role.n - slash - 1)};
    role.n = (size_t)(slash - role.p);
    if (!is_name(name))
        return id;
    id.role = role_parse(role);
    if (id.role != TLS_ROLE_NONE)
        memcpy(id.name, name.p, name.n);
    return id;
}

struct tls_identity tls_certificate_identity(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct tls_identity id = {.role = TLS_ROLE_NONE};

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && id.role == TLS_ROLE_NONE; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *uri;

        if (name->type != GEN_URI)
            continue;
        uri = name->d.uniformResourceIdentifier;
        id = tls_identity_parse((const char *)ASN1_STRING_get0_data(uri),
                                (size_t)ASN1_STRING_length(uri));
    }
    GENERAL_NAMES_free(names);
    return id;
}

struct tls_identity tls_peer_identity(const SSL *ssl)
{
    X509 *certificate = SSL_get0_peer_certificate(ssl);

    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return (struct tls_identity){.role = TLS_ROLE_NONE};
    return tls_certificate_identity(certificate);
}
