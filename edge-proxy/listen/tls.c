/* SPDX-License-Identifier: BSD-2-Clause */
/* The certificates that visitors are shown, as the configuration has them. */
#include "edge-proxy/listen/listen.h"

#include "common/tls/tls.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* RFC 7301: the first of ours that the client offers. No overlap: an alert, as the RFC has it. */
static int choose_protocol(const char *ours, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *offered, unsigned n)
{
    return SSL_select_next_proto((unsigned char **)out, out_n, (const unsigned char *)ours,
                                 (unsigned)strlen(ours), offered, n) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *offered, unsigned n, void *arg)
{
    return choose_protocol("\x02h2\x08http/1.1", out, out_n, offered, n);
}

static int on_alpn_without_h2(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                              const unsigned char *offered, unsigned n, void *arg)
{
    return choose_protocol("\x08http/1.1", out, out_n, offered, n);
}

/* ---- The pairs of the configuration, and those of its folder ---- */

struct pairs {
    struct tls_files *items;
    size_t n, cap;
};

static void add_pair(struct pairs *p, struct tls_files pair)
{
    BASE_GROW(p->items, p->n, p->cap);
    p->items[p->n++] = pair;
}

static void free_pairs(struct pairs *p, size_t n_configured)
{
    for (size_t i = n_configured; i < p->n; i++) {
        free((char *)p->items[i].certificate_path);
        free((char *)p->items[i].key_path);
    }
    free(p->items);
}

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A pair, if that is what the entry of the folder stands for. */
static void add_entry(struct pairs *p, const struct config_tls *config, const char *entry)
{
    static const struct str suffix = STR(".crt");
    struct str name = str_of(entry);
    struct tls_files pair = {.place = config->folder_place};
    char *path = base_printf("%s/%s", config->folder, entry);

    if (name.n > suffix.n && entry[0] != '.' && strcmp(entry + name.n - suffix.n, suffix.p) == 0) {
        pair.key_path = base_printf("%.*s.key", (int)(strlen(path) - suffix.n), path);
        pair.certificate_path = path;
        add_pair(p, pair);
        return;
    }
    if (entry[0] != '.' && is_folder(path)) {
        pair.certificate_path = base_printf("%s/fullchain.pem", path);
        pair.key_path = base_printf("%s/privkey.pem", path);
        if (access(pair.certificate_path, F_OK) == 0) {
            add_pair(p, pair);
        } else {
            free((char *)pair.certificate_path);
            free((char *)pair.key_path);
        }
    }
    free(path);
}

static void add_folder(struct pairs *p, const struct config_tls *config, struct errors *errors)
{
    struct dirent **entries = NULL;
    size_t before = p->n;
    int n = scandir(config->folder, &entries, NULL, alphasort);

    if (n < 0) {
        errors_add(errors, config->folder_place, "cannot read the folder '%s': %s", config->folder,
                   strerror(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        add_entry(p, config, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    if (p->n == before)
        errors_add(errors, config->folder_place,
                   "no certificate in the folder '%s': expected NAME.crt and NAME.key, or "
                   "NAME/fullchain.pem and NAME/privkey.pem",
                   config->folder);
}

/* What the site that the client names asks of it. */
static void on_name(void *arg, const char *name, SSL *ssl)
{
    const struct generation *g = arg;
    struct str host = name != NULL ? str_of(name) : (struct str){NULL, 0};

    credential_ask(g->credentials, route_find_site(g->routes, host), ssl);
}

struct tls_server *listen_tls_new(const struct generation *g, struct errors *errors)
{
    const struct config *config = g->config;
    const struct config_tls *c = &config->tls;
    struct tls_server *t = NULL;
    struct pairs pairs = {0};

    for (size_t i = 0; i < c->n_certificates; i++)
        add_pair(&pairs, (struct tls_files){.certificate_path = c->certificates[i].certificate_path,
                                            .key_path = c->certificates[i].key_path,
                                            .place = c->certificates[i].place});
    if (c->folder != NULL)
        add_folder(&pairs, c, errors);
    wire_prepare();
    if (pairs.n > 0)
        t = tls_server_new(
            &(struct tls_server_settings){
                .pairs = pairs.items,
                .n_pairs = pairs.n,
                .min_version = c->min_version,
                .ticket_s = c->ticket_period_s,
                .is_unknown_refused = c->unknown_name == CONFIG_UNKNOWN_REJECT,
                .name = "edge-proxy",
                .alpn = config->http2.is_on ? on_alpn : on_alpn_without_h2,
                .on_name = on_name,
                .arg = (void *)g,
            },
            errors);
    free_pairs(&pairs, c->n_certificates);
    return t;
}
