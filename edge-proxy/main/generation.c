/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/main/edge.h"

#include <stdlib.h>

/* Redirects lead to the usual port where there is a choice. */
static uint16_t find_https_port(const struct config *config)
{
    uint16_t found = 0;

    for (size_t i = 0; i < config->n_listeners; i++) {
        uint16_t port = addr_port(&config->listeners[i].address);

        if (config->listeners[i].is_tls && (found == 0 || port == 443))
            found = port;
    }
    return found;
}

static void load_tls(struct generation *g, struct errors *errors)
{
    const struct config *c = g->config;

    g->tls = listen_tls_new(g, errors);
    for (size_t i = 0; c->tls.n_certificates == 0 && c->tls.folder == NULL && i < c->n_listeners;
         i++)
        if (c->listeners[i].is_tls)
            errors_add(errors, c->listeners[i].place,
                       "this listener speaks TLS but there is no certificate; add one under "
                       "tls: certificates:");
}

struct generation *generation_load(const char *path, const struct generation *previous,
                                   struct errors *errors)
{
    struct config *config = config_load(path, errors);
    size_t before = errors->n_errors;
    struct generation *g;

    if (config == NULL)
        return NULL;
    g = base_zalloc(1, sizeof(*g));
    g->config = config;
    g->https_port = find_https_port(config);
    g->routes = route_table_new(config);
    g->credentials = credential_table_new(config, errors);
    load_tls(g, errors);
    g->pools = upstream_pools_new(config, previous != NULL ? previous->pools : NULL, errors);
    g->rules = rules_table_new(config);
    g->guard = guard_rules_new(config);
    if (errors->n_errors == before)
        return g;
    generation_free(g);
    return NULL;
}

void generation_free(struct generation *g)
{
    if (g->pools != NULL)
        upstream_pools_free(g->pools);
    route_table_free(g->routes);
    rules_table_free(g->rules);
    guard_rules_free(g->guard);
    tls_server_unref(g->tls);
    credential_table_free(g->credentials);
    config_free(g->config);
    free(g);
}
