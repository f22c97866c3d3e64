/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * show_json: the schema of --json. Names are those of proto/channel.proto; times in the unit that
 * the name says; a figure that is not known is null. Fields are only ever added.
 */
#include "gslb-dns/gslbctl/gslbctl.h"

static void strings(struct json *j, const char *key, char *const *list, size_t n)
{
    json_open_array(j, key);
    for (size_t i = 0; i < n; i++)
        json_string(j, NULL, list[i]);
    json_close_array(j);
}

static const char *state_name(Gslb__EdgeState s)
{
    switch (s) {
    case GSLB__EDGE_STATE__EDGE_UP:
        return "up";
    case GSLB__EDGE_STATE__EDGE_DOWN:
        return "down";
    case GSLB__EDGE_STATE__EDGE_DRAINING:
        return "draining";
    case GSLB__EDGE_STATE__EDGE_RISING:
        return "rising";
    default:
        return "unknown";
    }
}

static void load(struct json *j, const Gslb__Load *l)
{
    json_open_object(j, "load");
    json_u64(j, "connections", l->connections);
    json_u64(j, "connections_target", l->connections_target);
    json_u64(j, "connections_limit", l->connections_limit);
    json_u64(j, "cpu_permille", l->cpu_permille);
    json_close_object(j);
}

static void cache(struct json *j, const Gslb__CacheFigures *c)
{
    json_open_object(j, "cache");
    json_u64(j, "hits_total", c->hits_total);
    json_u64(j, "lookups_total", c->lookups_total);
    json_u64(j, "bytes", c->bytes);
    json_u64(j, "bytes_limit", c->bytes_limit);
    json_u64(j, "objects", c->objects);
    json_close_object(j);
}

static void origins(struct json *j, const Gslb__Report *r)
{
    json_open_array(j, "origins");
    for (size_t i = 0; i < r->n_origins; i++) {
        const Gslb__Origin *o = r->origins[i];

        json_open_object(j, NULL);
        json_string(j, "pool", o->pool);
        json_string(j, "name", o->name);
        json_bool(j, "is_up", o->is_up);
        json_string(j, "reason", o->reason);
        json_u64(j, "since_ms", o->since_ms);
        json_u64(j, "connections", o->connections);
        json_open_array(j, "addresses");
        for (size_t k = 0; k < o->n_addresses; k++)
            json_string(j, NULL, o->addresses[k]);
        json_close_array(j);
        json_close_object(j);
    }
    json_close_array(j);
}

static void listeners(struct json *j, const Gslb__Report *r)
{
    json_open_array(j, "listeners");
    for (size_t i = 0; i < r->n_listeners; i++) {
        json_open_object(j, NULL);
        json_string(j, "address", r->listeners[i]->address);
        json_bool(j, "is_tls", r->listeners[i]->is_tls);
        json_bool(j, "is_open", r->listeners[i]->is_open);
        json_close_object(j);
    }
    json_close_array(j);
}

static void certificates(struct json *j, const Gslb__Report *r)
{
    json_open_array(j, "certificates");
    for (size_t i = 0; i < r->n_certificates; i++) {
        const Gslb__Certificate *c = r->certificates[i];

        json_open_object(j, NULL);
        json_string(j, "path", c->path);
        json_string(j, "name", c->name);
        json_string(j, "key", c->key);
        json_i64(j, "expires_in_s", c->expires_in_s);
        json_close_object(j);
    }
    json_close_array(j);
}

static void ticket_keys(struct json *j, const Gslb__Report *r)
{
    json_open_array(j, "ticket_keys");
    for (size_t i = 0; i < r->n_ticket_keys; i++) {
        const Gslb__TicketKeyStatus *k = r->ticket_keys[i];

        json_open_object(j, NULL);
        json_string(j, "id", k->id);
        json_bool(j, "is_shared", k->is_shared);
        json_bool(j, "is_making", k->is_making);
        json_i64(j, "begins_in_ms", k->begins_in_ms);
        json_i64(j, "ends_in_ms", k->ends_in_ms);
        json_close_object(j);
    }
    json_close_array(j);
}

static void report(struct json *j, const char *key, const Gslb__Report *r)
{
    json_open_object(j, key);
    json_u64(j, "sequence", r->sequence);
    json_u64(j, "uptime_ms", r->uptime_ms);
    json_bool(j, "can_serve", r->can_serve);
    json_string(j, "reason", r->reason);
    json_bool(j, "is_draining", r->is_draining);
    json_string(j, "drain_reason", r->drain_reason);
    if (r->load != NULL)
        load(j, r->load);
    if (r->cache != NULL)
        cache(j, r->cache);
    json_u64(j, "requests_total", r->requests_total);
    json_u64(j, "bytes_sent_total", r->bytes_sent_total);
    json_u64(j, "errors_total", r->errors_total);
    origins(j, r);
    listeners(j, r);
    if (r->n_certificates > 0)
        certificates(j, r);
    if (r->n_ticket_keys > 0)
        ticket_keys(j, r);
    json_close_object(j);
}

static void edge(struct json *j, const Gslb__EdgeStatus *e)
{
    json_open_object(j, NULL);
    json_string(j, "name", e->name);
    json_string(j, "state", state_name(e->state));
    json_u64(j, "since_ms", e->since_ms);
    json_string(j, "reason", e->reason);
    json_bool(j, "is_usable", e->is_usable);
    json_bool(j, "is_kept", e->is_kept);
    json_bool(j, "is_connected", e->is_connected);
    json_double(j, "requests_per_s", e->requests_per_s);
    if (e->cache_hit_ratio >= 0)
        json_double(j, "cache_hit_ratio", e->cache_hit_ratio);
    else
        json_string(j, "cache_hit_ratio", NULL);
    strings(j, "addresses", e->addresses, e->n_addresses);
    json_string(j, "remote", e->remote);
    json_string(j, "software", e->software);
    if (e->report != NULL) {
        json_u64(j, "report_age_ms", e->report_age_ms);
        report(j, "report", e->report);
    } else {
        json_string(j, "report_age_ms", NULL);
        json_string(j, "report", NULL);
    }
    json_close_object(j);
}

static void region(struct json *j, const Gslb__RegionStatus *r)
{
    json_open_object(j, NULL);
    json_string(j, "name", r->name);
    json_double(j, "latitude", r->latitude);
    json_double(j, "longitude", r->longitude);
    json_u64(j, "usable_edges", status_usable_edges(r));
    json_open_array(j, "edges");
    for (size_t i = 0; i < r->n_edges; i++)
        edge(j, r->edges[i]);
    json_close_array(j);
    json_close_object(j);
}

static void service(struct json *j, const Gslb__ServiceStatus *s)
{
    json_open_object(j, NULL);
    json_string(j, "name", s->name);
    json_string(j, "policy", s->policy);
    json_u64(j, "ttl_s", s->ttl_s);
    json_open_array(j, "regions");
    for (size_t i = 0; i < s->n_regions; i++) {
        json_open_object(j, NULL);
        json_string(j, "name", s->regions[i]);
        json_bool(j, "is_usable", i < s->n_is_usable && s->is_usable[i]);
        json_close_object(j);
    }
    json_close_array(j);
    json_close_object(j);
}

static void copy(struct json *j, const Gslb__CopyStatus *c)
{
    json_open_object(j, "copy");
    json_string(j, "state", c->state);
    json_string(j, "primary", c->primary[0] ? c->primary : NULL);
    json_string(j, "error", c->error[0] ? c->error : NULL);
    json_i64(j, "confirmed_s", c->confirmed_s);
    json_i64(j, "refresh_in_s", c->refresh_in_s);
    json_i64(j, "expires_in_s", c->expires_in_s);
    json_bool(j, "is_saved", c->is_saved);
    json_close_object(j);
}

static void zone(struct json *j, const Gslb__ZoneStatus *z)
{
    json_open_object(j, NULL);
    json_string(j, "name", z->name);
    json_u64(j, "serial", z->serial);
    if (z->n_keys > 0)
        json_u64(j, "file_serial", z->file_serial);
    json_u64(j, "names", z->names);
    json_u64(j, "records", z->records);
    json_string(j, "error", z->error[0] ? z->error : NULL);
    json_bool(j, "is_missing", z->is_missing);
    json_keys(j, z);
    if (z->copy != NULL)
        copy(j, z->copy);
    json_close_object(j);
}

void json_of_status(const Gslb__StatusReply *s, struct text *out)
{
    struct json j = json_of(out);

    json_open_object(&j, NULL);
    json_string(&j, "node", s->node);
    json_string(&j, "software", s->software);
    json_u64(&j, "uptime_ms", s->uptime_ms);
    json_i64(&j, "loaded_at_s", s->loaded_at_s);
    json_string(&j, "load_error", s->load_error[0] ? s->load_error : NULL);
    json_bool(&j, "is_self_suspect", s->is_self_suspect);
    json_string(&j, "geo", s->geo);
    json_open_array(&j, "regions");
    for (size_t i = 0; i < s->n_regions; i++)
        region(&j, s->regions[i]);
    json_close_array(&j);
    json_open_array(&j, "services");
    for (size_t i = 0; i < s->n_services; i++)
        service(&j, s->services[i]);
    json_close_array(&j);
    json_open_array(&j, "zones");
    for (size_t i = 0; i < s->n_zones; i++)
        zone(&j, s->zones[i]);
    json_close_array(&j);
    json_close_object(&j);
    text_adds(out, "\n");
}

void json_of_edge(const Gslb__Report *r, struct text *out)
{
    struct json j = json_of(out);

    report(&j, NULL, r);
    text_adds(out, "\n");
}

static void location(struct json *j, const Gslb__ExplainReply *e)
{
    if (!e->has_location) {
        json_string(j, "location", NULL);
        return;
    }
    json_open_object(j, "location");
    json_double(j, "latitude", e->latitude);
    json_double(j, "longitude", e->longitude);
    json_string(j, "country", e->country);
    json_string(j, "source", e->location_source);
    json_close_object(j);
}

static void ranked(struct json *j, const Gslb__ExplainRegion *r)
{
    json_open_object(j, NULL);
    json_string(j, "name", r->name);
    if (r->distance_km >= 0)
        json_double(j, "distance_km", r->distance_km);
    else
        json_string(j, "distance_km", NULL);
    json_bool(j, "is_usable", r->is_usable);
    json_string(j, "verdict", r->verdict);
    json_close_object(j);
}

static void json_known(struct json *j, const char *key, double value, bool is_known)
{
    if (is_known)
        json_double(j, key, value);
    else
        json_string(j, key, NULL);
}

void json_of_simulate(const Gslb__SimulateReply *s, struct text *out)
{
    struct json j = json_of(out);

    json_open_object(&j, NULL);
    json_string(&j, "name", s->name);
    json_u64(&j, "n_clients", s->n_clients);
    json_u64(&j, "n_unlocated", s->n_unlocated);
    json_known(&j, "moved", s->moved, s->has_then);
    json_known(&j, "km", s->km, s->km >= 0);
    json_known(&j, "then_km", s->then_km, s->has_then && s->then_km >= 0);
    json_open_array(&j, "shares");
    for (size_t i = 0; i < s->n_shares; i++) {
        const Gslb__SimulateShare *x = s->shares[i];

        json_open_object(&j, NULL);
        json_string(&j, "region", x->region[0] ? x->region : NULL);
        json_double(&j, "share", x->share);
        json_known(&j, "km", x->km, x->km >= 0);
        json_known(&j, "then_share", x->then_share, s->has_then);
        json_known(&j, "then_km", x->then_km, s->has_then && x->then_km >= 0);
        json_close_object(&j);
    }
    json_close_array(&j);
    json_close_object(&j);
    text_adds(out, "\n");
}

void json_of_explain(const Gslb__ExplainReply *e, struct text *out)
{
    struct json j = json_of(out);

    json_open_object(&j, NULL);
    json_string(&j, "name", e->name);
    json_string(&j, "asked", e->asked[0] ? e->asked : e->name);
    json_string(&j, "policy", e->policy);
    json_string(&j, "client", e->client);
    location(&j, e);
    strings(&j, "addresses", e->addresses, e->n_addresses);
    json_u64(&j, "ttl_s", e->ttl_s);
    json_u64(&j, "scope_bits", e->scope_bits);
    json_string(&j, "scope_prefix", e->scope_prefix);
    json_string(&j, "chosen", e->chosen[0] ? e->chosen : NULL);
    json_string(&j, "verdict", e->verdict);
    strings(&j, "steps", e->steps, e->n_steps);
    json_open_array(&j, "regions");
    for (size_t i = 0; i < e->n_regions; i++)
        ranked(&j, e->regions[i]);
    json_close_array(&j);
    json_close_object(&j);
    text_adds(out, "\n");
}
