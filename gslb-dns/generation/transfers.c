/* SPDX-License-Identifier: BSD-2-Clause */
/* Secrets that are shared with other servers, and which of these may do what with which zone. */
#include "gslb-dns/generation/generation_internal.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SECRET_FILE_MAX = 4096, SECRET_MAX = 512 };

/* The base64 in a secret's file: all of it, or what stands behind secret "…" of a key statement. */
static struct str find_secret(char *text)
{
    char *begin = strstr(text, "secret"), *end;

    if (begin != NULL && strchr(text, '{') != NULL && (begin = strchr(begin, '"')) != NULL) {
        end = strchr(++begin, '"');
        return (struct str){begin, end != NULL ? (size_t)(end - begin) : 0};
    }
    for (begin = text; *begin == ' ' || *begin == '\n'; begin++)
        ;
    for (end = begin + strlen(begin); end > begin && (end[-1] == '\n' || end[-1] == ' '); end--)
        ;
    return (struct str){begin, (size_t)(end - begin)};
}

static struct outcome check_mode(const struct config_tsig_key *k, struct errors *errors)
{
    struct stat st;

    if (stat(k->secret_path, &st) != 0 || (st.st_mode & 07) == 0)
        return OUTCOME_OK;
    errors_add(errors, k->place, "key '%s': others may read %s; chmod o= it", k->name,
               k->secret_path);
    return OUTCOME_FAILED;
}

/* The secret's bytes; 0: there are none, which is said without showing any. */
static size_t read_secret(const struct config_tsig_key *k, uint8_t out[SECRET_MAX],
                          struct errors *errors)
{
    char *text = NULL;
    size_t n_text = 0, n = 0;

    if (k->secret != NULL) {
        n = tsig_decode_secret(str_of(k->secret), out, SECRET_MAX);
    } else if (has_failed(check_mode(k, errors))) {
        return 0;
    } else if (has_failed(text_read_file(k->secret_path, SECRET_FILE_MAX, &text, &n_text))) {
        errors_add(errors, k->place, "key '%s': cannot read %s: %s", k->name, k->secret_path,
                   strerror(errno));
        return 0;
    } else {
        n = tsig_decode_secret(find_secret(text), out, SECRET_MAX);
        OPENSSL_cleanse(text, n_text);
        free(text);
    }
    if (n == 0)
        errors_add(errors, k->place,
                   "key '%s': %s%s no base64 of 1 to %d bytes; make one with: "
                   "openssl rand -base64 32",
                   k->name, k->secret_path != NULL ? k->secret_path : "the secret",
                   k->secret_path != NULL ? " holds" : " is", SECRET_MAX);
    return n;
}

struct outcome generation_load_tsig_keys(struct generation *g, struct errors *errors)
{
    const struct config *c = g->config;
    struct outcome outcome = OUTCOME_OK;

    g->tsig_keys = base_zalloc(c->n_tsig_keys, sizeof(struct tsig_key *));
    for (size_t i = 0; i < c->n_tsig_keys; i++) {
        const struct config_tsig_key *k = &c->tsig_keys[i];
        uint8_t secret[SECRET_MAX];
        size_t n = read_secret(k, secret, errors);
        struct wire_name name;

        ensure(wire_name_parse(str_of(k->name), &name)); /* the configuration has checked it */
        if (n > 0)
            g->tsig_keys[i] = tsig_key_new(&name, k->algorithm, secret, n);
        OPENSSL_cleanse(secret, sizeof(secret));
        if (g->tsig_keys[i] == NULL)
            outcome = OUTCOME_FAILED;
    }
    return outcome;
}

static struct world_peer *make_peers(const struct generation *g, const struct config_client *from,
                                     size_t n)
{
    struct world_peer *peers = n > 0 ? base_zalloc(n, sizeof(peers[0])) : NULL;

    for (size_t i = 0; i < n; i++)
        peers[i] = (struct world_peer){
            from[i].from, from[i].key != CONFIG_NO_KEY ? g->tsig_keys[from[i].key] : NULL};
    return peers;
}

/* Who may say that a copy's primary has a new version: the primaries, and who else is configured.
 */
static struct world_peer *make_notifiers(const struct generation *g,
                                         const struct config_zone_transfers *t)
{
    size_t n = t->n_primaries + t->n_notifiers;
    struct config_client *clients = base_zalloc(n + 1, sizeof(clients[0]));
    struct world_peer *peers;

    for (size_t i = 0; i < t->n_primaries; i++) {
        struct ip ip = addr_ip(&t->primaries[i].at);

        clients[i] = (struct config_client){{ip, (uint8_t)ip_bits(&ip)}, t->primaries[i].key};
    }
    for (size_t i = 0; i < t->n_notifiers; i++)
        clients[t->n_primaries + i] = t->notifiers[i];
    peers = make_peers(g, clients, n);
    free(clients);
    return peers;
}

static int by_apex(const void *a, const void *b)
{
    return world_compare_apexes(&((const struct world_zone *)a)->zone->apex,
                                &((const struct world_zone *)b)->zone->apex);
}

void generation_list_zones(struct generation *g)
{
    const struct config *c = g->config;

    g->zone_list = base_zalloc(c->n_zones, sizeof(g->zone_list[0]));
    for (size_t z = 0; z < c->n_zones; z++) {
        const struct config_zone_transfers *t = &c->zones[z].transfers;

        g->zone_list[z] = (struct world_zone){
            .zone = g->zone_array[z],
            .number = z,
            .transfer = make_peers(g, t->allow, t->n_allow),
            .n_transfer = t->n_allow,
            .notifiers = make_notifiers(g, t),
            .n_notifiers = t->n_primaries + t->n_notifiers,
            .services = g->zones[z]->services,
            .n_services = g->zones[z]->n_services,
            .omits_steered = t->steered == CONFIG_STEERED_OMIT,
            .history = g->histories[z],
            .full = g->full[z],
        };
    }
    qsort(g->zone_list, c->n_zones, sizeof(g->zone_list[0]), by_apex);
}

void generation_free_transfers(struct generation *g)
{
    for (size_t z = 0; g->zone_list != NULL && z < g->config->n_zones; z++) {
        free((void *)g->zone_list[z].transfer);
        free((void *)g->zone_list[z].notifiers);
    }
    free(g->zone_list);
    for (size_t i = 0; g->tsig_keys != NULL && i < g->config->n_tsig_keys; i++)
        tsig_key_free(g->tsig_keys[i]);
    free(g->tsig_keys);
}
