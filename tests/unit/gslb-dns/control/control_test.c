/* SPDX-License-Identifier: BSD-2-Clause */
/* The node's end against edges and operators that this test plays, over TLS on loopback. */
#include "gslb-dns/control/control.h"

#include "common/clock/clock.h"
#include "common/frame/frame.h"
#include "common/net/net.h"
#include "tests/lib/certs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct certs certs;

/* ---- The node under test. */
static struct loop *loop;
static struct control *control;
static unsigned n_changes, n_reloads;
static uint64_t reload_ticket;
static size_t n_reload_zones;

static void on_health_change(void *arg)
{
    n_changes++;
    control_published(control, control_changes(control));
}

static void on_reload(void *arg, uint64_t ticket, char *const *zones, size_t n_zones)
{
    n_reloads++;
    reload_ticket = ticket;
    n_reload_zones = n_zones;
    if (n_zones > 0)
        assert_string_equal(zones[0], "example.com");
}

static struct outcome on_explain(void *arg, const struct control_question *q, struct arena *arena,
                                 struct control_explain *out, struct text *error)
{
    const char *name = q->name, *client = q->client;
    static const struct control_explain_region regions[] = {{"eu", 12.5, true, "chosen"}};

    if (strcmp(name, "www.example.com") != 0) {
        text_addf(error, "no service '%s'", name);
        return OUTCOME_FAILED;
    }
    *out = (struct control_explain){.name = name,
                                    .client = client,
                                    .regions = regions,
                                    .n_regions = 1,
                                    .chosen = "eu",
                                    .scope_bits = 17};
    return OUTCOME_OK;
}

static void on_status(void *arg, struct arena *arena, struct control_status *out)
{
    static const struct control_zone_status zones[] = {
        {.name = "example.com", .serial = 7, .names = 3, .records = 9}};

    out->loaded_at_s = 1700000000;
    out->geo = "test";
    out->zones = zones;
    out->n_zones = 1;
}

static void on_metrics(void *arg, struct text *out)
{
    text_adds(out, "test_total 1\n");
}

static const struct config_edge edges[] = {{.name = "e1", .region = 0},
                                           {.name = "e2", .region = 0}};
static const struct config_edge edges_swapped[] = {{.name = "new", .region = 0},
                                                   {.name = "e1", .region = 0}};
static const struct config_region regions[] = {{.name = "eu", .n_edges = 2}};
static struct addr listen_at;
static struct config config, other;
static char state_path[128], socket_path[128], crt[128], key[128], ca[128];

static void fill_config(struct config *c, const struct config_edge *list)
{
    assert_true(addr_parse(STR("127.0.0.1:0"), 0, &listen_at));
    *c = (struct config){
        .path = "test.yaml",
        .state_path = state_path,
        .regions = regions,
        .n_regions = 1,
        .edges = list,
        .n_edges = 2,
        .metrics = listen_at,
        .health = {.stale_after_ms = 60000, .down_threshold = 2, .up_threshold = 2},
        .control = {.listen = &listen_at,
                    .n_listen = 1,
                    .socket_path = socket_path,
                    .certificate_path = crt,
                    .key_path = key,
                    .ca_path = ca},
    };
}

static void apply(const struct config *c)
{
    struct errors errors = {0};
    struct control_change *change = control_prepare(control, c, &errors);

    if (change == NULL)
        fail_msg("%s", errors_to_string(&errors));
    errors_free(&errors);
    control_commit(control, change);
}

static int start_node(void **state)
{
    static const struct control_hooks hooks = {.on_health_change = on_health_change,
                                               .reload = on_reload,
                                               .explain = on_explain,
                                               .status = on_status,
                                               .metrics = on_metrics};

    loop = loop_new("test");
    control = control_new(loop, &hooks);
    fill_config(&config, edges);
    fill_config(&other, edges_swapped);
    apply(&config);
    return 0;
}

static int stop_node(void **state)
{
    control_free(control);
    control = NULL;
    loop_free(loop);
    unlink(state_path);
    return 0;
}

/* ---- A peer that the test plays, on the same loop. */
struct peer {
    struct frame_link *link;
    SSL_CTX *tls;
    unsigned n_opened, n_closed, n_welcomes, n_acks, n_commands, n_replies;
    bool is_known, is_drain_on;
    uint64_t command_id;
    enum frame_close why;
    struct arena arena;
    const Gslb__Reply *reply;
};

static void peer_open(void *arg, struct frame_link *link, const struct tls_identity *id)
{
    ((struct peer *)arg)->n_opened++;
}

static void peer_frame(void *arg, struct frame_link *link, const Gslb__Frame *f)
{
    struct peer *p = arg;

    switch (f->body_case) {
    case GSLB__FRAME__BODY_WELCOME:
        p->n_welcomes++;
        p->is_known = f->welcome->is_known;
        break;
    case GSLB__FRAME__BODY_ACK:
        p->n_acks++;
        break;
    case GSLB__FRAME__BODY_COMMAND:
        p->n_commands++;
        p->command_id = f->command->id;
        p->is_drain_on = f->command->drain->is_on;
        break;
    case GSLB__FRAME__BODY_REPLY:
        arena_free(&p->arena);
        frame_link_keep(link, &p->arena);
        p->reply = f->reply;
        p->n_replies++;
        break;
    default:
        fail_msg("frame %d", f->body_case);
    }
}

static void peer_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    struct peer *p = arg;

    p->n_closed++;
    p->why = why;
    p->link = NULL;
}

static void connect_peer(struct peer *p, const char *name)
{
    static const struct frame_hooks hooks = {peer_open, peer_frame, peer_close};
    struct frame_options o = {.base = loop_base(loop),
                              .side = TLS_CLIENT,
                              .handshake_ms = 5000,
                              .hooks = &hooks,
                              .arg = p};
    int fd;

    *p = (struct peer){0};
    if (name == NULL) {
        fd = net_connect_unix(socket_path);
        fcntl(fd, F_SETFL, O_NONBLOCK);
    } else {
        char c[64], k[64];
        struct errors errors = {0};
        struct tls_identity own;
        struct addr to = control_listen_addr(control, 0);

        snprintf(c, sizeof(c), "%s.crt", name);
        snprintf(k, sizeof(k), "%s.key", name);
        p->tls = tls_channel_new(
            TLS_CLIENT, &(struct tls_files){certs_path(&certs, c), certs_path(&certs, k), ca, {0}},
            &own, &errors);
        assert_non_null(p->tls);
        o.tls = p->tls;
        fd = net_connect_tcp(&to);
    }
    assert_true(fd >= 0);
    p->link = frame_link_new(&o, fd);
}

static void drop_peer(struct peer *p)
{
    if (p->link != NULL)
        frame_link_close(p->link, FRAME_CLOSE_STOPPED, NULL);
    SSL_CTX_free(p->tls);
    arena_free(&p->arena);
}

static void turn(int64_t limit)
{
    if (clock_mono_ms() > limit)
        fail_msg("nothing happened");
    event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void run_until(const unsigned *counter, unsigned value)
{
    int64_t limit = clock_mono_ms() + 10000;

    while (*counter < value)
        turn(limit);
}

static void run_until_state(size_t edge, enum health_state state)
{
    int64_t limit = clock_mono_ms() + 10000;

    while (health_edge(control_health(control), edge)->state != state)
        turn(limit);
}

static void send_hello(struct peer *p)
{
    Gslb__Hello hello = GSLB__HELLO__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    hello.protocol = 1;
    hello.software = "edge-proxy test\033[31m";
    hello.report_interval_ms = 1000;
    f.body_case = GSLB__FRAME__BODY_HELLO;
    f.hello = &hello;
    frame_link_send(p->link, &f);
}

static void send_report(struct peer *p, bool can_serve, bool is_draining, uint64_t uptime_ms)
{
    Gslb__Report r = GSLB__REPORT__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;
    unsigned acks = p->n_acks;

    r.can_serve = can_serve;
    r.reason = can_serve ? "" : "all origins down";
    r.is_draining = is_draining;
    r.uptime_ms = uptime_ms;
    r.requests_total = 100;
    f.body_case = GSLB__FRAME__BODY_REPORT;
    f.report = &r;
    frame_link_send(p->link, &f);
    run_until(&p->n_acks, acks + 1);
}

static void obey(struct peer *p)
{
    Gslb__Result r = GSLB__RESULT__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    r.id = p->command_id;
    f.body_case = GSLB__FRAME__BODY_RESULT;
    f.result = &r;
    frame_link_send(p->link, &f);
}

static void ask(struct peer *p, Gslb__Request *request)
{
    Gslb__Frame f = GSLB__FRAME__INIT;

    f.body_case = GSLB__FRAME__BODY_REQUEST;
    f.request = request;
    frame_link_send(p->link, &f);
}

static void ask_drain(struct peer *p, const char *edge, bool is_on)
{
    Gslb__DrainRequest drain = GSLB__DRAIN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    unsigned replies = p->n_replies;

    drain.edge = (char *)edge;
    drain.is_on = is_on;
    drain.reason = "rack work";
    request.action_case = GSLB__REQUEST__ACTION_DRAIN;
    request.drain = &drain;
    ask(p, &request);
    run_until(&p->n_replies, replies + 1);
}

static void connect_edge(struct peer *p, const char *name)
{
    connect_peer(p, name);
    run_until(&p->n_opened, 1);
    send_hello(p);
    run_until(&p->n_welcomes, 1);
}

/* ---- Tests. */

static void test_an_edge_comes_up_and_goes_down(void **state)
{
    struct peer e;
    unsigned changes = n_changes;

    connect_edge(&e, "edge1");
    assert_true(e.is_known);
    send_report(&e, true, false, 1000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UP);
    assert_int_equal(n_changes, changes); /* a fresh node presumed it */
    send_report(&e, false, false, 2000);
    send_report(&e, false, false, 3000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DOWN);
    assert_string_equal(health_edge(control_health(control), 0)->reason, "all origins down");
    assert_int_equal(n_changes, changes + 1);
    drop_peer(&e);
}

static const struct {
    const char *name, *certificate;
    enum frame_close want;
} refused[] = {
    {"an edge that is not listed", "stranger", FRAME_CLOSE_UNKNOWN_NAME},
    {"another node", "dns", FRAME_CLOSE_WRONG_ROLE},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        uint64_t before = frame_closed_count(refused[i].want);
        struct peer p;

        connect_peer(&p, refused[i].certificate);
        run_until(&p.n_closed, 1);
        if (frame_closed_count(refused[i].want) != before + 1 || p.is_known)
            fail_msg("%s", refused[i].name);
        drop_peer(&p);
    }
}

static void test_an_edge_may_not_ask(void **state)
{
    uint64_t before = frame_closed_count(FRAME_CLOSE_UNEXPECTED);
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    struct peer e;

    connect_edge(&e, "edge1");
    request.action_case = GSLB__REQUEST__ACTION_STATUS;
    request.status = &status;
    ask(&e, &request);
    run_until(&e.n_closed, 1);
    assert_int_equal(frame_closed_count(FRAME_CLOSE_UNEXPECTED), before + 1);
    drop_peer(&e);
}

static void test_second_connection_replaces_the_first(void **state)
{
    uint64_t before = frame_closed_count(FRAME_CLOSE_REPLACED);
    struct peer first, second;

    connect_edge(&first, "edge1");
    send_report(&first, true, false, 1000);
    connect_edge(&second, "edge1");
    run_until(&first.n_closed, 1);
    assert_int_equal(frame_closed_count(FRAME_CLOSE_REPLACED), before + 1);
    assert_true(health_edge(control_health(control), 0)->is_connected);
    send_report(&second, true, false, 2000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UP);
    drop_peer(&first);
    drop_peer(&second);
}

static void test_drain_is_told_kept_and_told_again(void **state)
{
    struct peer e, o;
    char *bytes;
    size_t n;

    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    connect_edge(&e, "edge1");
    send_report(&e, true, false, 100000);
    ask_drain(&o, "e1", true);
    assert_string_equal(o.reply->error, "");
    run_until(&e.n_commands, 1);
    assert_true(e.is_drain_on);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DRAINING);
    assert_false(health_edge(control_health(control), 0)->is_usable);
    assert_false(has_failed(text_read_file(state_path, 4096, &bytes, &n)));
    assert_non_null(strstr(bytes, "drain e1 rack work\n"));
    free(bytes);
    obey(&e);
    send_report(&e, true, true, 101000);
    drop_peer(&e);

    /* A new process of the edge is told again. */
    connect_edge(&e, "edge1");
    send_report(&e, true, false, 0);
    run_until(&e.n_commands, 1);
    assert_true(e.is_drain_on);
    drop_peer(&e);

    /* So is it by a new process of the node, from its state file. */
    control_free(control);
    loop_free(loop);
    drop_peer(&o);
    start_node(NULL);
    connect_edge(&e, "edge1");
    send_report(&e, true, false, 10);
    run_until(&e.n_commands, 1);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DRAINING);
    assert_string_equal(health_edge(control_health(control), 0)->reason, "rack work");

    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    ask_drain(&o, "e1", false);
    run_until(&e.n_commands, 2);
    assert_false(e.is_drain_on);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UP);
    drop_peer(&e);
    drop_peer(&o);
}

/* The drain holds, and the operator hears that it is not kept. */
static void test_a_drain_that_cannot_be_kept(void **state)
{
    char *in_the_way = base_printf("%s.new", state_path);
    struct peer o;

    assert_int_equal(mkdir(in_the_way, 0700), 0);
    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    ask_drain(&o, "e1", true);
    assert_string_equal(o.reply->error, "");
    assert_non_null(strstr(o.reply->text->text, "state file could not be written"));
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DRAINING);
    rmdir(in_the_way);
    free(in_the_way);
    drop_peer(&o);
}

static void test_undrained_elsewhere(void **state)
{
    struct peer e, o;

    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    connect_edge(&e, "edge1");
    send_report(&e, true, false, 100000);
    ask_drain(&o, "e1", true);
    run_until(&e.n_commands, 1);
    obey(&e);
    send_report(&e, true, true, 101000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DRAINING);
    send_report(&e, true, false, 102000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UP);
    drop_peer(&e);
    drop_peer(&o);
}

static void test_an_edge_that_drains_by_itself(void **state)
{
    struct peer e;

    connect_edge(&e, "edge1");
    send_report(&e, true, true, 1000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_DRAINING);
    send_report(&e, true, false, 2000);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UP);
    drop_peer(&e);
}

static void test_drain_of_a_stranger(void **state)
{
    struct peer o;

    connect_peer(&o, "operator");
    run_until(&o.n_opened, 1);
    ask_drain(&o, "e9", true);
    assert_string_equal(o.reply->error, "no edge 'e9' in the configuration; did you mean 'e1'?");
    drop_peer(&o);
}

static void test_status(void **state)
{
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    const Gslb__EdgeStatus *s;
    struct peer e, o;

    connect_edge(&e, "edge1");
    send_report(&e, true, false, 1000);
    connect_peer(&o, "operator");
    run_until(&o.n_opened, 1);
    request.action_case = GSLB__REQUEST__ACTION_STATUS;
    request.status = &status;
    ask(&o, &request);
    run_until(&o.n_replies, 1);
    assert_int_equal(o.reply->body_case, GSLB__REPLY__BODY_STATUS);
    assert_string_equal(o.reply->status->node, "ns1");
    assert_int_equal(o.reply->status->n_regions, 1);
    assert_int_equal(o.reply->status->regions[0]->n_edges, 2);
    s = o.reply->status->regions[0]->edges[0];
    assert_string_equal(s->name, "e1");
    assert_string_equal(s->software, "edge-proxy test?[31m");
    assert_int_equal(s->state, GSLB__EDGE_STATE__EDGE_UP);
    assert_true(s->is_usable && s->is_connected);
    assert_int_equal(s->report->requests_total, 100);
    assert_int_equal(o.reply->status->regions[0]->edges[1]->state, GSLB__EDGE_STATE__EDGE_UNKNOWN);
    assert_string_equal(o.reply->status->zones[0]->name, "example.com");
    drop_peer(&e);
    drop_peer(&o);
}

static void test_explain(void **state)
{
    Gslb__ExplainRequest explain = GSLB__EXPLAIN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    struct peer o;

    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    explain.name = "www.example.com";
    explain.client = "192.0.2.1";
    request.action_case = GSLB__REQUEST__ACTION_EXPLAIN;
    request.explain = &explain;
    ask(&o, &request);
    run_until(&o.n_replies, 1);
    assert_string_equal(o.reply->explain->chosen, "eu");
    assert_int_equal(o.reply->explain->scope_bits, 17);
    assert_string_equal(o.reply->explain->regions[0]->verdict, "chosen");
    explain.name = "nope";
    ask(&o, &request);
    run_until(&o.n_replies, 2);
    assert_string_equal(o.reply->error, "no service 'nope'");
    drop_peer(&o);
}

static void test_reload_is_answered_later(void **state)
{
    Gslb__ReloadRequest reload = GSLB__RELOAD_REQUEST__INIT;
    char *zone[] = {frame_borrow("example.com")};
    Gslb__Request request = GSLB__REQUEST__INIT;
    struct peer o;

    n_reloads = 0;
    connect_peer(&o, NULL);
    run_until(&o.n_opened, 1);
    request.action_case = GSLB__REQUEST__ACTION_RELOAD;
    request.reload = &reload;
    ask(&o, &request);
    run_until(&n_reloads, 1);
    assert_int_equal(o.n_replies, 0);
    assert_int_equal(n_reload_zones, 0);
    control_finish_reload(control, 0, true, "nobody");
    control_finish_reload(control, reload_ticket, false, "x.yaml:3:4: error: no");
    run_until(&o.n_replies, 1);
    assert_string_equal(o.reply->error, "x.yaml:3:4: error: no");
    reload.zones = zone;
    reload.n_zones = 1;
    ask(&o, &request);
    run_until(&n_reloads, 2);
    assert_int_equal(n_reload_zones, 1);
    drop_peer(&o);
    /* The operator has gone: its ticket is nobody's. */
    control_finish_reload(control, reload_ticket, true, "done");
}

static void test_new_configuration_keeps_links(void **state)
{
    struct peer one, two;
    struct addr before = control_listen_addr(control, 0), after;

    connect_edge(&one, "edge1");
    connect_edge(&two, "edge2");
    send_report(&one, true, false, 1000);
    send_report(&two, true, false, 1000);
    apply(&other); /* e2 has gone, e1 has another index */
    after = control_listen_addr(control, 0);
    assert_true(addr_eq(&before, &after));
    run_until(&two.n_closed, 1);
    assert_int_equal(one.n_closed, 0);
    assert_int_equal(health_edge(control_health(control), 0)->state, HEALTH_UNKNOWN);
    assert_int_equal(health_edge(control_health(control), 1)->state, HEALTH_UP);
    send_report(&one, false, false, 2000);
    send_report(&one, false, false, 3000);
    assert_int_equal(health_edge(control_health(control), 1)->state, HEALTH_DOWN);
    drop_peer(&one);
    drop_peer(&two);
    apply(&config);
}

static void test_bad_configuration_changes_nothing(void **state)
{
    struct config bad = config;
    struct errors errors = {0};
    struct peer e;

    connect_edge(&e, "edge1");
    bad.control.key_path = certs_path(&certs, "operator.key");
    assert_null(control_prepare(control, &bad, &errors));
    assert_int_equal(errors.n_errors, 1);
    assert_non_null(strstr(errors.items[0].message, "does not belong to"));
    errors_free(&errors);
    errors = (struct errors){0};
    bad = config;
    bad.control.certificate_path = certs_path(&certs, "edge1.crt");
    bad.control.key_path = certs_path(&certs, "edge1.key");
    assert_null(control_prepare(control, &bad, &errors));
    assert_non_null(strstr(errors.items[0].message, "needs gslb://dns/NAME"));
    errors_free(&errors);
    send_report(&e, true, false, 1000);
    drop_peer(&e);
}

static void test_lost_link(void **state)
{
    struct peer e;
    struct config quick = config;

    quick.health.stale_after_ms = 200;
    apply(&quick);
    connect_edge(&e, "edge1");
    send_report(&e, true, false, 1000);
    drop_peer(&e);
    run_until_state(0, HEALTH_DOWN);
    assert_false(health_edge(control_health(control), 0)->is_connected);
    apply(&config);
}

static void test_metrics(void **state)
{
    struct text t = {0};

    control_write_metrics(control, &t);
    assert_non_null(strstr(t.p, "test_total 1\n"));
    assert_non_null(strstr(t.p, "gslb_edge_usable{edge=\"e1\",region=\"eu\"} "));
    assert_non_null(strstr(t.p, "gslb_channel_certificate_expires_seconds "));
    text_free(&t);
}

static int start(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "edge1", .san = "URI:gslb://edge/e1"});
    certs_issue(&certs, (struct certs_spec){.name = "edge2", .san = "URI:gslb://edge/e2"});
    certs_issue(&certs, (struct certs_spec){.name = "stranger", .san = "URI:gslb://edge/e3"});
    certs_issue(&certs, (struct certs_spec){.name = "dns", .san = "URI:gslb://dns/ns1"});
    certs_issue(&certs, (struct certs_spec){.name = "operator", .san = "URI:gslb://operator/jo"});
    snprintf(state_path, sizeof(state_path), "%s/state", certs.dir);
    snprintf(socket_path, sizeof(socket_path), "%s/control.sock", certs.dir);
    snprintf(crt, sizeof(crt), "%s/dns.crt", certs.dir);
    snprintf(key, sizeof(key), "%s/dns.key", certs.dir);
    snprintf(ca, sizeof(ca), "%s/ca.crt", certs.dir);
    return 0;
}

static int end(void **state)
{
    certs_end(&certs);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_node, stop_node)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_edge_comes_up_and_goes_down),
        TEST(test_refused),
        TEST(test_an_edge_may_not_ask),
        TEST(test_second_connection_replaces_the_first),
        TEST(test_drain_is_told_kept_and_told_again),
        TEST(test_a_drain_that_cannot_be_kept),
        TEST(test_undrained_elsewhere),
        TEST(test_an_edge_that_drains_by_itself),
        TEST(test_drain_of_a_stranger),
        TEST(test_status),
        TEST(test_explain),
        TEST(test_reload_is_answered_later),
        TEST(test_new_configuration_keeps_links),
        TEST(test_bad_configuration_changes_nothing),
        TEST(test_lost_link),
        TEST(test_metrics),
    };

    return cmocka_run_group_tests(tests, start, end);
}
