/* SPDX-License-Identifier: BSD-2-Clause */
/* control_request: what operators ask. */
#include "common/base/version.h"
#include "common/clock/clock.h"
#include "gslb-dns/control/control_internal.h"

#include <stdlib.h>
#include <string.h>

static Gslb__EdgeState state_on_wire(enum health_state s)
{
    static const Gslb__EdgeState states[] = {
        [HEALTH_UNKNOWN] = GSLB__EDGE_STATE__EDGE_UNKNOWN,
        [HEALTH_UP] = GSLB__EDGE_STATE__EDGE_UP,
        [HEALTH_DOWN] = GSLB__EDGE_STATE__EDGE_DOWN,
        [HEALTH_DRAINING] = GSLB__EDGE_STATE__EDGE_DRAINING,
        [HEALTH_RISING] = GSLB__EDGE_STATE__EDGE_RISING,
    };

    return states[s];
}

static char **addresses_on_wire(struct arena *a, const struct ip *ips, size_t n)
{
    char **texts = arena_alloc(a, (n + 1) * sizeof(*texts));

    for (size_t i = 0; i < n; i++) {
        char buf[ADDR_TEXT];

        ip_format(&ips[i], buf);
        texts[i] = arena_strndup(a, buf, strlen(buf));
    }
    return texts;
}

/* A copy of the report's head, so that its lists can be left out of this reply. */
static Gslb__Report *report_on_wire(struct arena *a, const Gslb__Report *r, bool is_short)
{
    Gslb__Report *copy = arena_copy(a, r, sizeof(*r));

    if (is_short)
        copy->n_origins = copy->n_listeners = 0;
    return copy;
}

static Gslb__EdgeStatus *edge_on_wire(struct arena *a, const struct control *c, size_t i,
                                      bool is_short)
{
    const struct control_edge *e = &c->edges[i];
    const struct health_edge *h = health_edge(c->health, i);
    const struct config_edge *config = &c->config->edges[i];
    Gslb__EdgeStatus *s = arena_alloc(a, sizeof(*s));
    int64_t now_ms = clock_mono_ms();

    gslb__edge_status__init(s);
    s->name = frame_borrow(config->name);
    s->state = state_on_wire(h->state);
    s->since_ms = (uint64_t)(now_ms > h->since_ms ? now_ms - h->since_ms : 0);
    s->reason = frame_borrow(h->reason);
    s->is_connected = e->peer != NULL;
    s->is_usable = h->is_usable;
    s->is_kept = h->is_kept;
    s->cache_hit_ratio = -1;
    if (e->report != NULL) {
        s->report_age_ms = (uint64_t)(now_ms > h->reported_ms ? now_ms - h->reported_ms : 0);
        s->report = report_on_wire(a, e->report, is_short);
        /* Rates of an edge that is not heard would be those of another time. */
        if (e->peer != NULL) {
            s->requests_per_s = e->rate.requests_per_s;
            s->cache_hit_ratio = e->rate.cache_hit_ratio;
        }
    }
    s->n_addresses = config->n_addresses;
    s->addresses = addresses_on_wire(a, config->addresses, config->n_addresses);
    s->remote = frame_borrow(e->remote);
    s->software = frame_borrow(e->software);
    return s;
}

static Gslb__RegionStatus *region_on_wire(struct arena *a, const struct control *c,
                                          const struct config_region *config, bool is_short)
{
    Gslb__RegionStatus *r = arena_alloc(a, sizeof(*r));

    gslb__region_status__init(r);
    r->name = frame_borrow(config->name);
    r->latitude = config->latitude;
    r->longitude = config->longitude;
    r->n_edges = config->n_edges;
    r->edges = arena_alloc(a, (config->n_edges + 1) * sizeof(*r->edges));
    for (size_t i = 0; i < config->n_edges; i++)
        r->edges[i] = edge_on_wire(a, c, config->first_edge + i, is_short);
    return r;
}

static Gslb__KeyStatus *key_on_wire(struct arena *a, const struct control_key_status *from)
{
    Gslb__KeyStatus *k = arena_alloc(a, sizeof(*k));

    gslb__key_status__init(k);
    k->tag = from->tag;
    k->role = frame_borrow(from->role);
    k->algorithm = frame_borrow(from->algorithm);
    k->state = frame_borrow(from->state);
    k->since_s = from->since_s;
    k->next = frame_borrow(from->next);
    k->next_s = from->next_s;
    k->wants_ds = from->wants_ds;
    k->ds = frame_borrow(from->ds);
    return k;
}

static Gslb__CopyStatus *copy_on_wire(struct arena *a, const struct control_copy_status *from)
{
    Gslb__CopyStatus *c = arena_alloc(a, sizeof(*c));

    gslb__copy_status__init(c);
    c->state = frame_borrow(from->state);
    c->primary = frame_borrow(from->primary);
    c->error = frame_borrow(from->error);
    c->confirmed_s = from->confirmed_s;
    c->refresh_in_s = from->refresh_in_s;
    c->expires_in_s = from->expires_in_s;
    c->is_saved = from->is_saved;
    return c;
}

static Gslb__ZoneStatus *zone_on_wire(struct arena *a, const struct control_zone_status *from)
{
    Gslb__ZoneStatus *z = arena_alloc(a, sizeof(*z));

    gslb__zone_status__init(z);
    z->name = frame_borrow(from->name);
    z->serial = from->serial;
    z->file_serial = from->file_serial;
    z->names = from->names;
    z->records = from->records;
    z->error = frame_borrow(from->error);
    z->is_missing = from->is_missing;
    z->n_keys = from->n_keys;
    z->keys = arena_alloc(a, (from->n_keys + 1) * sizeof(*z->keys));
    for (size_t i = 0; i < from->n_keys; i++)
        z->keys[i] = key_on_wire(a, &from->keys[i]);
    if (from->copy != NULL)
        z->copy = copy_on_wire(a, from->copy);
    return z;
}

static Gslb__ServiceStatus *service_on_wire(struct arena *a, const struct config *config,
                                            const struct config_service *from, const bool *usable)
{
    Gslb__ServiceStatus *s = arena_alloc(a, sizeof(*s));

    gslb__service_status__init(s);
    s->name = frame_borrow(from->name);
    s->policy = frame_borrow(from->policy);
    s->ttl_s = from->ttl_s;
    s->n_regions = from->n_regions;
    s->regions = arena_alloc(a, (from->n_regions + 1) * sizeof(*s->regions));
    for (size_t i = 0; i < from->n_regions; i++)
        s->regions[i] = frame_borrow(config->regions[from->regions[i]].name);
    if (usable == NULL)
        return s;
    s->n_is_usable = from->n_regions;
    s->is_usable = arena_alloc(a, (from->n_regions + 1) * sizeof(*s->is_usable));
    for (size_t i = 0; i < from->n_regions; i++)
        s->is_usable[i] = usable[i];
    return s;
}

static void fill_lists(struct arena *a, const struct control *c, const struct control_status *more,
                       bool is_short, Gslb__StatusReply *s)
{
    const struct config *config = c->config;

    s->n_regions = config->n_regions;
    s->regions = arena_alloc(a, (config->n_regions + 1) * sizeof(*s->regions));
    for (size_t i = 0; i < config->n_regions; i++)
        s->regions[i] = region_on_wire(a, c, &config->regions[i], is_short);
    s->n_zones = more->n_zones;
    s->zones = arena_alloc(a, (more->n_zones + 1) * sizeof(*s->zones));
    for (size_t i = 0; i < more->n_zones; i++)
        s->zones[i] = zone_on_wire(a, &more->zones[i]);
    s->n_services = config->n_services;
    s->services = arena_alloc(a, (config->n_services + 1) * sizeof(*s->services));
    for (size_t i = 0; i < config->n_services; i++)
        s->services[i] =
            service_on_wire(a, config, &config->services[i],
                            more->service_usable != NULL ? more->service_usable[i] : NULL);
}

static void on_status(struct control *c, struct control_peer *peer)
{
    Gslb__StatusReply status = GSLB__STATUS_REPLY__INIT;
    Gslb__Reply reply = GSLB__REPLY__INIT;
    struct control_status more = {0};
    struct arena a;

    arena_init(&a, 0);
    c->hooks.status(c->hooks.arg, &a, &more);
    status.node = c->own.name;
    status.software = "gslb-dns " GSLB_VERSION;
    status.uptime_ms = (uint64_t)(clock_mono_ms() - c->started_ms);
    status.loaded_at_s = more.loaded_at_s;
    status.load_error = frame_borrow(more.load_error);
    status.is_self_suspect = health_is_self_suspect(c->health);
    status.geo = frame_borrow(more.geo);
    fill_lists(&a, c, &more, false, &status);
    if (gslb__status_reply__get_packed_size(&status) > FRAME_MAX_BYTES - 1024)
        fill_lists(&a, c, &more, true, &status); /* a very large fleet: without its origins */
    reply.body_case = GSLB__REPLY__BODY_STATUS;
    reply.status = &status;
    frame_link_reply(peer->link, &reply);
    arena_free(&a);
}

static Gslb__ExplainRegion **explain_regions(struct arena *a, const struct control_explain *x)
{
    Gslb__ExplainRegion **list = arena_alloc(a, (x->n_regions + 1) * sizeof(*list));

    for (size_t i = 0; i < x->n_regions; i++) {
        list[i] = arena_alloc(a, sizeof(*list[i]));
        gslb__explain_region__init(list[i]);
        list[i]->name = frame_borrow(x->regions[i].name);
        list[i]->distance_km = x->regions[i].distance_km;
        list[i]->is_usable = x->regions[i].is_usable;
        list[i]->verdict = frame_borrow(x->regions[i].verdict);
    }
    return list;
}

static void send_explain(struct control_peer *peer, struct arena *a,
                         const struct control_explain *x)
{
    Gslb__ExplainReply e = GSLB__EXPLAIN_REPLY__INIT;
    Gslb__Reply reply = GSLB__REPLY__INIT;

    e.name = frame_borrow(x->name);
    e.asked = frame_borrow(x->asked);
    e.policy = frame_borrow(x->policy);
    e.client = frame_borrow(x->client);
    e.has_location = x->has_location;
    e.latitude = x->latitude;
    e.longitude = x->longitude;
    e.country = frame_borrow(x->country);
    e.location_source = frame_borrow(x->location_source);
    e.n_regions = x->n_regions;
    e.regions = explain_regions(a, x);
    e.n_addresses = x->n_addresses;
    e.addresses = addresses_on_wire(a, x->addresses, x->n_addresses);
    e.ttl_s = x->ttl_s;
    e.scope_bits = x->scope_bits;
    e.scope_prefix = frame_borrow(x->scope_prefix);
    e.chosen = frame_borrow(x->chosen);
    e.verdict = frame_borrow(x->verdict);
    e.n_steps = x->n_steps;
    e.steps = (char **)x->steps;
    reply.body_case = GSLB__REPLY__BODY_EXPLAIN;
    reply.explain = &e;
    frame_link_reply(peer->link, &reply);
}

static void on_explain(struct control *c, struct control_peer *peer,
                       const Gslb__ExplainRequest *request)
{
    struct control_question q = {request->name, request->client, request->what_if,
                                 request->n_what_if};
    struct control_explain x = {0};
    struct text error = {0};
    struct arena a;

    arena_init(&a, 0);
    if (has_failed(c->hooks.explain(c->hooks.arg, &q, &a, &x, &error)))
        frame_link_reply_text(peer->link, "", error.n > 0 ? error.p : "cannot be explained");
    else
        send_explain(peer, &a, &x);
    text_free(&error);
    arena_free(&a);
}

static void on_drain(struct control *c, struct control_peer *peer,
                     const Gslb__DrainRequest *request)
{
    struct text done = {0}, error = {0};

    control_drain(c, request, &done, &error);
    if (error.n > 0)
        frame_link_reply_text(peer->link, NULL, error.p);
    else
        control_reply_published(c, peer, done.p);
    text_free(&done);
    text_free(&error);
}

static void on_reload(struct control *c, struct control_peer *peer,
                      const Gslb__ReloadRequest *request)
{
    peer->ticket = ++c->next_ticket;
    frame_link_set_idle(peer->link, 0); /* the answer is ours to give */
    c->hooks.reload(c->hooks.arg, peer->ticket, request->zones, request->n_zones);
}

void control_finish_reload(struct control *c, uint64_t ticket, bool is_fine, const char *text)
{
    for (struct control_peer *p = c->peers; p != NULL; p = p->next) {
        if (p->ticket != ticket || ticket == 0)
            continue;
        p->ticket = 0;
        frame_link_set_idle(p->link, CONTROL_OPERATOR_IDLE_MS);
        if (is_fine)
            frame_link_reply_text(p->link, text, NULL);
        else
            frame_link_reply_text(p->link, NULL,
                                  text != NULL && text[0] != '\0' ? text : "refused");
        return;
    }
}

static void on_roll(struct control *c, struct control_peer *peer, const struct control_roll *roll)
{
    struct text done = {0}, error = {0};

    if (has_failed(c->hooks.roll(c->hooks.arg, roll, &done, &error)))
        frame_link_reply_text(peer->link, NULL, error.n > 0 ? error.p : "refused");
    else
        frame_link_reply_text(peer->link, done.n > 0 ? done.p : "", NULL);
    text_free(&done);
    text_free(&error);
}

static void on_roll_request(struct control *c, struct control_peer *peer,
                            const Gslb__RollRequest *r)
{
    on_roll(c, peer, &(struct control_roll){r->zone, r->kind, r->algorithm, r->is_abort, 0});
}

static void on_ds_seen(struct control *c, struct control_peer *peer, const Gslb__DsSeenRequest *r)
{
    if (r->tag == 0 || r->tag > UINT16_MAX)
        frame_link_reply_text(peer->link, NULL, "there is no key with this tag");
    else
        on_roll(c, peer, &(struct control_roll){r->zone, "", "", false, (uint16_t)r->tag});
}

static void on_refresh(struct control *c, struct control_peer *peer, const Gslb__RefreshRequest *r)
{
    struct text done = {0}, error = {0};

    if (has_failed(c->hooks.refresh(c->hooks.arg, r->zone, r->is_full, &done, &error)))
        frame_link_reply_text(peer->link, NULL, error.p);
    else
        frame_link_reply_text(peer->link, done.p, NULL);
    text_free(&done);
    text_free(&error);
}

static void on_metrics(struct control *c, struct control_peer *peer)
{
    struct text t = {0};

    control_write_metrics(c, &t);
    frame_link_reply_text(peer->link, t.p, NULL);
    text_free(&t);
}

void control_request(struct control *c, struct control_peer *peer, const Gslb__Request *request)
{
    switch (request->action_case) {
    case GSLB__REQUEST__ACTION_STATUS:
        on_status(c, peer);
        break;
    case GSLB__REQUEST__ACTION_EXPLAIN:
        on_explain(c, peer, request->explain);
        break;
    case GSLB__REQUEST__ACTION_SIMULATE:
        control_simulate_request(c, peer, request->simulate);
        break;
    case GSLB__REQUEST__ACTION_DRAIN:
        on_drain(c, peer, request->drain);
        break;
    case GSLB__REQUEST__ACTION_RELOAD:
        on_reload(c, peer, request->reload);
        break;
    case GSLB__REQUEST__ACTION_METRICS:
        on_metrics(c, peer);
        break;
    case GSLB__REQUEST__ACTION_ROLL:
        on_roll_request(c, peer, request->roll);
        break;
    case GSLB__REQUEST__ACTION_DS_SEEN:
        on_ds_seen(c, peer, request->ds_seen);
        break;
    case GSLB__REQUEST__ACTION_REFRESH:
        on_refresh(c, peer, request->refresh);
        break;
    case GSLB__REQUEST__ACTION_PURGE:
        control_purge_request(c, peer, request->purge);
        break;
    case GSLB__REQUEST__ACTION_ACME:
        control_acme_request(c, peer, request->acme);
        break;
    default:
        frame_link_reply_text(peer->link, NULL,
                              "this gslb-dns (" GSLB_VERSION ") does not know that request");
    }
}
