/* SPDX-License-Identifier: BSD-2-Clause */
/* control_report: what the hooks tell, in the channel's words. */
#include "common/clock/clock.h"
#include "edge-proxy/control/control_internal.h"

static Gslb__Origin **origins_on_wire(struct arena *a, const struct control_report *from)
{
    Gslb__Origin **list = arena_alloc(a, (from->n_origins + 1) * sizeof(*list));

    for (size_t i = 0; i < from->n_origins; i++) {
        const struct control_origin *o = &from->origins[i];

        list[i] = arena_alloc(a, sizeof(*list[i]));
        gslb__origin__init(list[i]);
        list[i]->pool = frame_borrow(o->pool);
        list[i]->name = frame_borrow(o->name);
        list[i]->is_up = o->is_up;
        list[i]->reason = frame_borrow(o->reason);
        list[i]->since_ms = o->since_ms;
        list[i]->connections = o->connections;
        list[i]->addresses = (char **)o->addresses;
        list[i]->n_addresses = o->n_addresses;
    }
    return list;
}

static Gslb__Listener **listeners_on_wire(struct arena *a, const struct control_report *from)
{
    Gslb__Listener **list = arena_alloc(a, (from->n_listeners + 1) * sizeof(*list));

    for (size_t i = 0; i < from->n_listeners; i++) {
        list[i] = arena_alloc(a, sizeof(*list[i]));
        gslb__listener__init(list[i]);
        list[i]->address = frame_borrow(from->listeners[i].address);
        list[i]->is_tls = from->listeners[i].is_tls;
        list[i]->is_open = from->listeners[i].is_open;
    }
    return list;
}

static Gslb__Load *load_on_wire(struct arena *a, const struct control_report *from)
{
    Gslb__Load *load = arena_alloc(a, sizeof(*load));

    gslb__load__init(load);
    load->connections = from->connections;
    load->connections_target = from->connections_target;
    load->connections_limit = from->connections_limit;
    load->cpu_permille = from->cpu_permille;
    return load;
}

static Gslb__CacheFigures *cache_on_wire(struct arena *a, const struct control_report *from)
{
    Gslb__CacheFigures *cache = arena_alloc(a, sizeof(*cache));

    gslb__cache_figures__init(cache);
    cache->hits_total = from->cache_hits;
    cache->lookups_total = from->cache_lookups;
    cache->bytes = from->cache_bytes;
    cache->bytes_limit = from->cache_bytes_limit;
    cache->objects = from->cache_objects;
    return cache;
}

static Gslb__Certificate **certificates_on_wire(struct arena *a, const struct control_report *from)
{
    Gslb__Certificate **list = arena_alloc(a, (from->n_certificates + 1) * sizeof(*list));

    for (size_t i = 0; i < from->n_certificates; i++) {
        const struct control_certificate *c = &from->certificates[i];

        list[i] = arena_alloc(a, sizeof(*list[i]));
        gslb__certificate__init(list[i]);
        list[i]->path = frame_borrow(c->path);
        list[i]->name = frame_borrow(c->name);
        list[i]->key = frame_borrow(c->kind);
        list[i]->expires_in_s = c->expires_in_s;
    }
    return list;
}

Gslb__Report *control_build_report(struct control *c, struct arena *a, bool is_for_operator)
{
    struct control_report from = {.arena = a, .is_for_operator = is_for_operator};
    Gslb__Report *r = arena_alloc(a, sizeof(*r));

    c->hooks.fill(c->hooks.arg, &from);
    gslb__report__init(r);
    r->sequence = c->sequence;
    r->uptime_ms = (uint64_t)(clock_mono_ms() - c->started_ms);
    r->can_serve = from.can_serve;
    r->reason = frame_borrow(from.reason);
    r->is_draining = c->is_draining;
    r->drain_reason = c->drain_reason;
    r->load = load_on_wire(a, &from);
    r->n_origins = from.n_origins;
    r->origins = origins_on_wire(a, &from);
    r->cache = cache_on_wire(a, &from);
    r->requests_total = from.requests;
    r->bytes_sent_total = from.bytes_sent;
    r->errors_total = from.errors;
    r->n_listeners = from.n_listeners;
    r->listeners = listeners_on_wire(a, &from);
    r->n_certificates = from.n_certificates;
    r->certificates = certificates_on_wire(a, &from);
    if (is_for_operator)
        r->ticket_keys = control_list_tickets(a, &r->n_ticket_keys);
    return r;
}
