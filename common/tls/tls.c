/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/tls/tls.h"

#include "common/text/text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DAY_S = 86400, WARN_DAYS = 14 };

const char *tls_take_error(char buf[TLS_ERROR_TEXT])
{
    const char *file, *data;
    int line, flags;
    unsigned long code = ERR_peek_last_error_all(&file, &line, NULL, &data, &flags);
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    buf[0] = '\0';
    if (reason != NULL)
        snprintf(buf, TLS_ERROR_TEXT, "%s", reason);
    else if (code != 0)
        snprintf(buf, TLS_ERROR_TEXT, "OpenSSL error %lx", code);
    ERR_clear_error();
    return buf;
}

const char *tls_handshake_error(const SSL *ssl, int why, char buf[TLS_ERROR_TEXT])
{
    long verdict = SSL_get_verify_result(ssl);

    if (verdict != X509_V_OK) {
        ERR_clear_error();
        snprintf(buf, TLS_ERROR_TEXT, "certificate: %s", X509_verify_cert_error_string(verdict));
        return buf;
    }
    tls_take_error(buf);
    if (buf[0] == '\0')
        snprintf(buf, TLS_ERROR_TEXT, "%s", why ? strerror(why) : "closed by the peer");
    return buf;
}

/* OpenSSL says "system lib" where the operator needs "Permission denied". */
static struct outcome check_readable(const char *what, const char *path,
                                     const struct tls_files *files, struct errors *errors)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        errors_add(errors, files->place, "cannot read the %s '%s': %s", what, path,
                   strerror(errno));
        return OUTCOME_FAILED;
    }
    close(fd);
    return OUTCOME_OK;
}

static void warn_if_open(const char *path, const struct tls_files *files, struct errors *errors)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
        errors_warn(errors, files->place,
                    "the key '%s' is open to every user of this machine (mode %04o): chmod o= it",
                    path, (unsigned)st.st_mode & 07777);
}

/* The key of a daemon has nobody to type its passphrase. */
static int refuse_passphrase(char *buf, int size, int is_writing, void *arg)
{
    bool *was_asked = arg;

    *was_asked = true;
    return -1;
}

/* A key of another algorithm than the certificate's is taken without a word, beside it. */
static bool is_mismatch(const SSL_CTX *ctx, bool is_loaded)
{
    unsigned long code = ERR_peek_last_error();

    if (is_loaded)
        return SSL_CTX_check_private_key(ctx) != 1;
    return ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH;
}

static struct outcome load_certificate(SSL_CTX *ctx, const struct tls_files *files,
                                       struct errors *errors)
{
    char why[TLS_ERROR_TEXT];

    if (has_failed(check_readable("certificate", files->certificate_path, files, errors)))
        return OUTCOME_FAILED;
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate_path) == 1)
        return OUTCOME_OK;
    errors_add(errors, files->place,
               "no usable certificate in '%s' (%s): expected PEM, beginning with "
               "-----BEGIN CERTIFICATE-----",
               files->certificate_path, tls_take_error(why));
    return OUTCOME_FAILED;
}

static struct outcome load_key(SSL_CTX *ctx, const struct tls_files *files, struct errors *errors)
{
    char why[TLS_ERROR_TEXT];
    bool is_encrypted = false, is_loaded;

    if (has_failed(check_readable("key", files->key_path, files, errors)))
        return OUTCOME_FAILED;
    SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &is_encrypted);
    is_loaded = SSL_CTX_use_PrivateKey_file(ctx, files->key_path, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    if (is_loaded && !is_mismatch(ctx, is_loaded)) {
        warn_if_open(files->key_path, files, errors);
        return OUTCOME_OK;
    }
    if (is_encrypted)
        errors_add(errors, files->place,
                   "the key '%s' has a passphrase, which nobody can type here: take it off with "
                   "openssl pkey",
                   files->key_path);
    else if (is_mismatch(ctx, is_loaded))
        errors_add(errors, files->place,
                   "the key '%s' does not belong to the certificate '%s': one of the two is old",
                   files->key_path, files->certificate_path);
    else
        errors_add(errors, files->place,
                   "no usable key in '%s' (%s): expected PEM, beginning with -----BEGIN PRIVATE "
                   "KEY-----",
                   files->key_path, tls_take_error(why));
    ERR_clear_error();
    return OUTCOME_FAILED;
}

int64_t tls_expires_in_s(const SSL_CTX *ctx)
{
    const X509 *certificate = SSL_CTX_get0_certificate(ctx);
    int days = 0, seconds = 0;

    if (certificate == NULL ||
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1)
        return INT64_MAX;
    return (int64_t)days * DAY_S + seconds;
}

static void warn_of_expiry(const SSL_CTX *ctx, const struct tls_files *files, struct errors *errors)
{
    int64_t left_s = tls_expires_in_s(ctx);
    char text[TEXT_SHORT];

    if (left_s < 0)
        errors_warn(
            errors, files->place, "the certificate '%s' expired %s ago: peers will refuse it",
            files->certificate_path, text_format_duration_ms((uint64_t)-left_s * 1000, text));
    else if (left_s < WARN_DAYS * DAY_S)
        errors_warn(errors, files->place, "the certificate '%s' expires in %s: renew it",
                    files->certificate_path,
                    text_format_duration_ms((uint64_t)left_s * 1000, text));
}

struct outcome tls_load_pair(SSL_CTX *ctx, const struct tls_files *files, struct errors *errors)
{
    ERR_clear_error();
    if (has_failed(load_certificate(ctx, files, errors)) ||
        has_failed(load_key(ctx, files, errors)))
        return OUTCOME_FAILED;
    warn_of_expiry(ctx, files, errors);
    return OUTCOME_OK;
}

struct outcome tls_load_ca(SSL_CTX *ctx, const struct tls_files *files, struct errors *errors)
{
    char why[TLS_ERROR_TEXT];

    ERR_clear_error();
    if (has_failed(check_readable("CA file", files->ca_path, files, errors)))
        return OUTCOME_FAILED;
    if (SSL_CTX_load_verify_file(ctx, files->ca_path) == 1)
        return OUTCOME_OK;
    errors_add(errors, files->place,
               "no usable CA certificate in '%s' (%s): expected PEM, beginning with "
               "-----BEGIN CERTIFICATE-----",
               files->ca_path, tls_take_error(why));
    return OUTCOME_FAILED;
}
