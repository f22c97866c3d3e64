/* SPDX-License-Identifier: BSD-2-Clause */
#include "gslb-dns/control/control_internal.h"

static void send_simulation(struct control_peer *peer, struct arena *a,
                            const struct control_simulation *x)
{
    Gslb__SimulateShare **shares = arena_alloc(a, (x->n_shares + 1) * sizeof(shares[0]));
    Gslb__SimulateReply s = GSLB__SIMULATE_REPLY__INIT;
    Gslb__Reply reply = GSLB__REPLY__INIT;

    for (size_t i = 0; i < x->n_shares; i++) {
        shares[i] = arena_alloc(a, sizeof(*shares[i]));
        gslb__simulate_share__init(shares[i]);
        shares[i]->region = frame_borrow(x->shares[i].region);
        shares[i]->share = x->shares[i].share;
        shares[i]->km = x->shares[i].km;
        shares[i]->then_share = x->shares[i].then_share;
        shares[i]->then_km = x->shares[i].then_km;
    }
    s.name = frame_borrow(x->name);
    s.shares = shares;
    s.n_shares = x->n_shares;
    s.n_clients = x->n_clients;
    s.n_unlocated = x->n_unlocated;
    s.moved = x->moved;
    s.km = x->km;
    s.then_km = x->then_km;
    s.has_then = x->has_then;
    reply.body_case = GSLB__REPLY__BODY_SIMULATE;
    reply.simulate = &s;
    frame_link_reply(peer->link, &reply);
}

void control_simulate_request(struct control *c, struct control_peer *peer,
                              const Gslb__SimulateRequest *request)
{
    struct control_crowd crowd = {
        .question = {request->name, "", request->what_if, request->n_what_if},
        .clients = request->clients,
        .weights = request->weights,
        .n_clients = request->n_clients};
    struct control_simulation x = {0};
    struct text error = {0};
    struct arena a;

    arena_init(&a, 0);
    if (request->n_weights != request->n_clients)
        frame_link_reply_text(peer->link, NULL, "as many weights as clients are needed");
    else if (has_failed(c->hooks.simulate(c->hooks.arg, &crowd, &a, &x, &error)))
        frame_link_reply_text(peer->link, NULL, error.n > 0 ? error.p : "cannot be simulated");
    else
        send_simulation(peer, &a, &x);
    text_free(&error);
    arena_free(&a);
}
