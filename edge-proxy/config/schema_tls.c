/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: what visitors meet before HTTP. */
#include "edge-proxy/config/config_internal.h"

#include <openssl/tls1.h>

static const struct conf_field CERTIFICATE_FIELDS[] = {
    {
        .key = "certificate",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_certificate, certificate_path),
        .is_required = true,
        .help = "The certificate and its chain, PEM.",
    },
    {
        .key = "key",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct config_certificate, key_path),
        .is_required = true,
        .help = "Its private key, PEM.",
    },
};
static const struct conf_struct CERTIFICATE = {
    .what = "certificate",
    .size = sizeof(struct config_certificate),
    CONF_FIELDS(CERTIFICATE_FIELDS),
    .place = CONF_AT(struct config_certificate, place),
};

const struct conf_choice config_tls_versions[] = {
    {"1.2", TLS1_2_VERSION},
    {"1.3", TLS1_3_VERSION},
    {NULL, 0},
};

static const struct conf_choice UNKNOWN_NAMES[] = {
    {"default", CONFIG_UNKNOWN_DEFAULT},
    {"reject", CONFIG_UNKNOWN_REJECT},
    {NULL, 0},
};

static const struct conf_field TLS_FIELDS[] = {
    {
        .key = "certificates",
        .kind = CONF_STRUCT,
        .slot = CONF_LIST(struct config_tls, certificates, n_certificates),
        .of = &CERTIFICATE,
        .expects = "a mapping {certificate: FILE, key: FILE}",
        .help = "What visitors are shown: one whose names match, exactly or by a wildcard for one "
                "label, else the first. Of several with the same name, those with different "
                "kinds of key (ECDSA, RSA) are all used: whoever can gets ECDSA.",
    },
    {
        .key = "folder",
        .kind = CONF_PATH,
        .slot = CONF_ONE(struct config_tls, folder),
        .place = CONF_AT(struct config_tls, folder_place),
        .help = "More certificates, after those of certificates: each NAME.crt in this folder with "
                "NAME.key beside it, and each folder in it with fullchain.pem and privkey.pem (as "
                "ACME clients keep them), in the order of their names.",
    },
    {
        .key = "unknown-name",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_tls, unknown_name),
        .choices = UNKNOWN_NAMES,
        .preset = "default",
        .help = "What becomes of visitors who name (SNI) what no certificate has, or nobody: "
                "default shows them the first certificate; reject ends the handshake with the "
                "alert unrecognized_name, or missing_extension.",
    },
    {
        .key = "ticket-period",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct config_tls, ticket_period_s),
        .preset = "12h",
        .min = "1s",
        .max = "7d",
        .help = "How long a visitor can resume a session, and how long this edge makes its tickets "
                "by one key of its own; a key is good for one more such time. The keys that nodes "
                "share (ticket-period in gslb-dns.yaml) go before, and have times of their own.",
    },
    {
        .key = "min-version",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_tls, min_version),
        .choices = config_tls_versions,
        .preset = "1.2",
        .help = "The oldest version of TLS that visitors may speak.",
    },
};
const struct conf_struct config_tls_schema = {
    .what = "tls",
    .size = sizeof(struct config_tls),
    CONF_FIELDS(TLS_FIELDS),
};
