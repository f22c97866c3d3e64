/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys, and who may transfer a zone from whom: lists of words that name addresses and keys. */
#include "gslb-dns/config/config_internal.h"

#include <stdlib.h>
#include <string.h>

/* One of a list's texts, word by word. */
struct words {
    struct str left;
    struct str word;
};

static bool next_word(struct words *w)
{
    w->left = str_trim(w->left);
    w->word = (struct str){w->left.p, 0};
    while (w->word.n < w->left.n && w->left.p[w->word.n] != ' ' && w->left.p[w->word.n] != '\t')
        w->word.n++;
    w->left.p += w->word.n;
    w->left.n -= w->word.n;
    return w->word.n > 0;
}

struct reading {
    struct conf *f;
    const struct conf_index *keys;
    struct arena *arena;
    struct place at;
    bool has_tls; /* servers may be asked over TLS */
};

/* The word after "key"; what is wrong is said. */
static struct outcome read_key(struct reading *r, struct words *w, uint32_t *out)
{
    char name[256], hint[CONF_HINT];
    size_t found;

    if (*out != CONFIG_NO_KEY || !next_word(w) || w->word.n >= sizeof(name)) {
        conf_error(r->f, r->at, "'key' is followed by the name of one key of tsig-keys");
        return OUTCOME_FAILED;
    }
    snprintf(name, sizeof(name), "%.*s", STR_ARG(w->word));
    if (name[w->word.n - 1] == '.')
        name[w->word.n - 1] = '\0';
    found = conf_index_get(r->keys, name);
    if (found == CONF_NONE) {
        conf_error(r->f, r->at, "unknown key '%s'%s; keys stand under tsig-keys", name,
                   conf_hint(r->f, r->keys, name, hint));
        return OUTCOME_FAILED;
    }
    *out = (uint32_t)found;
    return OUTCOME_OK;
}

/* "192.0.2.0/24", "key NAME", "192.0.2.1 key NAME" */
static struct outcome read_peer(struct reading *r, const char *text, struct config_client *out)
{
    struct words w = {.left = str_of(text)};

    *out = (struct config_client){.key = CONFIG_NO_KEY};
    while (next_word(&w)) {
        if (str_is(w.word, "key")) {
            if (has_failed(read_key(r, &w, &out->key)))
                return OUTCOME_FAILED;
        } else if (out->from.ip.family != 0 || !prefix_parse(w.word, &out->from)) {
            conf_error(r->f, r->at,
                       "'%.*s': expected an address, a prefix like 192.0.2.0/24, 'key NAME', or "
                       "an address and a key",
                       STR_ARG(w.word));
            return OUTCOME_FAILED;
        }
    }
    return OUTCOME_OK;
}

/* The word after "tls"; what is wrong is said. */
static struct outcome read_tls_name(struct reading *r, struct words *w, const char **out)
{
    struct str name = {NULL, 0};

    if (*out == NULL && next_word(w)) {
        name = w->word;
        if (config_check_dns_name(&name, "-_") == NULL && !str_is(name, ".")) {
            *out = arena_strndup(r->arena, name.p, name.n);
            return OUTCOME_OK;
        }
    }
    conf_error(r->f, r->at,
               "'tls' is followed by the one name that the server's certificate is for");
    return OUTCOME_FAILED;
}

/* "192.0.2.1", "[2001:db8::1]:5353 key NAME"; the port is 53. Of a primary also "tls NAME", and
 * then the port is 853. */
static struct outcome read_server(struct reading *r, const char *text, struct config_server *out)
{
    struct words w = {.left = str_of(text)};
    struct str at = {NULL, 0};

    *out = (struct config_server){.key = CONFIG_NO_KEY};
    while (next_word(&w)) {
        if (str_is(w.word, "key")) {
            if (has_failed(read_key(r, &w, &out->key)))
                return OUTCOME_FAILED;
        } else if (r->has_tls && str_is(w.word, "tls")) {
            if (has_failed(read_tls_name(r, &w, &out->tls_name)))
                return OUTCOME_FAILED;
        } else if (at.p == NULL && w.word.n > 0) {
            at = w.word;
        } else {
            at.n = 0;
            break;
        }
    }
    if (at.n > 0 && addr_parse(at, out->tls_name != NULL ? 853 : 53, &out->at))
        return OUTCOME_OK;
    conf_error(r->f, r->at,
               "'%s': expected an address, perhaps with its port, then perhaps 'key NAME'%s", text,
               r->has_tls ? " and 'tls NAME'" : "");
    return OUTCOME_FAILED;
}

static void read_peers(struct reading *r, struct arena *a, const struct config_list *from,
                       const struct config_client **out, size_t *n)
{
    struct config_client *peers = arena_zalloc(a, (from->n + 1) * sizeof(peers[0]));

    for (size_t i = 0; i < from->n; i++) {
        r->at = from->places[i];
        if (!has_failed(read_peer(r, from->texts[i], &peers[*n])))
            (*n)++;
    }
    *out = peers;
}

static void read_servers(struct reading *r, struct arena *a, const struct config_list *from,
                         const struct config_server **out, size_t *n)
{
    struct config_server *servers = arena_zalloc(a, (from->n + 1) * sizeof(servers[0]));

    for (size_t i = 0; i < from->n; i++) {
        r->at = from->places[i];
        if (!has_failed(read_server(r, from->texts[i], &servers[*n])))
            (*n)++;
    }
    *out = servers;
}

static void check_key(struct conf *f, const struct config_tsig_key *k)
{
    if ((k->secret == NULL) == (k->secret_path == NULL))
        conf_error(f, k->place, "key '%s' needs one of 'secret-file' and 'secret'", k->name);
}

/* A copy must be able to prove what it says. The chain of NSEC or NSEC3 names services and their
 * types: without them it would contradict itself; and with compact denial there is no chain. */
static void check_copies(struct conf *f, const struct config_zone *z)
{
    if (z->dnssec.keys_path != NULL && z->transfers.n_allow > 0 &&
        z->dnssec.denial == CONFIG_COMPACT)
        conf_error(
            f, z->place,
            "zone '%s' has 'denial: compact', which signs when it is asked, and a secondary has "
            "no key for that: take 'nsec' or 'nsec3', or 'allow-transfer' away",
            z->name);
    if (z->dnssec.keys_path != NULL && z->transfers.n_allow > 0 &&
        z->transfers.steered == CONFIG_STEERED_OMIT)
        conf_error(f, z->place,
                   "zone '%s' is signed here, and services cannot be left out of what is signed: "
                   "take 'steered: omit' away, or 'allow-transfer'",
                   z->name);
}

/* A copy is served as it is: what would sign it is at the primary, whose serials it has. */
static void check_copy(struct conf *f, const struct config *c, const struct config_zone *z)
{
    bool is_copy = z->transfers.primaries_text.n > 0;

    if (is_copy == (z->path != NULL))
        conf_error(f, z->place,
                   is_copy ? "zone '%s' has 'file' and 'primaries': take one of them away"
                           : "zone '%s' needs 'file' or 'primaries'",
                   z->name);
    else if (is_copy && c->secondary.directory == NULL)
        conf_error(f, z->place,
                   "zone '%s' has primaries: say where its copy is kept, secondary: {directory: "
                   "/var/lib/gslb-dns/zones}",
                   z->name);
    if (is_copy && z->dnssec.keys_path != NULL)
        conf_error(
            f, z->place,
            "zone '%s' has primaries, and is served as they have it: sign it there, and take "
            "'dnssec' away",
            z->name);
    if (!is_copy && z->transfers.notifiers_text.n > 0)
        conf_error(f, z->place, "zone '%s' has 'allow-notify', but no 'primaries' to ask then",
                   z->name);
}

/* DIRECTORY/example.com.zone. A zone's name may have a '/' between two labels (RFC 2317), which the
 * name of a file cannot have; '@' is in no zone's name. */
static const char *copy_path(struct arena *a, const char *directory, const char *zone)
{
    char *path = base_printf("%s/%s.zone", directory, strcmp(zone, ".") == 0 ? "@" : zone);
    const char *kept;

    for (char *p = path + strlen(directory) + 1; *p != '\0'; p++)
        *p = *p == '/' ? '@' : (char)text_lower((uint8_t)*p);
    kept = arena_strndup(a, path, strlen(path));
    free(path);
    return kept;
}

static void read_primaries(struct reading *r, struct arena *a, const struct config *c,
                           struct config_zone *z)
{
    struct config_zone_transfers *t = &z->transfers;

    check_copy(r->f, c, z);
    r->has_tls = true;
    read_servers(r, a, &t->primaries_text, &t->primaries, &t->n_primaries);
    r->has_tls = false;
    read_peers(r, a, &t->notifiers_text, &t->notifiers, &t->n_notifiers);
    if (t->n_primaries > 0 && c->secondary.directory != NULL)
        z->path = copy_path(a, c->secondary.directory, z->name);
}

void config_read_transfers(struct conf *f, struct arena *a, struct config *c)
{
    struct conf_index keys = {.is_folded = true};
    struct config_zone *zones = (struct config_zone *)c->zones; /* ours, in the arena */
    struct reading r = {.f = f, .keys = &keys, .arena = a};

    for (size_t i = 0; i < c->n_tsig_keys; i++) {
        check_key(f, &c->tsig_keys[i]);
        if (conf_index_put(&keys, c->tsig_keys[i].name, i) != CONF_NONE)
            conf_error(f, c->tsig_keys[i].place, "key '%s' stands here twice",
                       c->tsig_keys[i].name);
    }
    for (size_t z = 0; z < c->n_zones; z++) {
        struct config_zone_transfers *t = &zones[z].transfers;

        read_peers(&r, a, &t->allow_text, &t->allow, &t->n_allow);
        read_servers(&r, a, &t->notify_text, &t->notify, &t->n_notify);
        check_copies(f, &zones[z]);
        read_primaries(&r, a, c, &zones[z]);
    }
    if (c->secondary.min_wait_s > c->secondary.max_wait_s)
        conf_error(f, c->secondary.place, "min-wait must not be longer than max-wait");
    conf_index_free(&keys);
}
