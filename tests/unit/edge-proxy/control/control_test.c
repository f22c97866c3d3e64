/* SPDX-License-Identifier: BSD-2-Clause */
/* The edge's end against a node that this test plays, over TLS on loopback. */
#include "edge-proxy/control/control.h"

#include "common/clock/clock.h"
#include "common/frame/frame.h"
#include "common/net/acceptor.h"
#include "common/net/net.h"
#include "tests/lib/certs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct certs certs;

/* ---- The edge under test. */
static struct loop *loop;
static struct control *control;
static struct purge_marks *marks;
static struct purge_log *purges;
static bool can_serve;
static unsigned n_fills, n_drains, n_reloads;
static bool is_drained;
static uint64_t reload_ticket;

static void on_fill(void *arg, struct control_report *r)
{
    static const struct control_origin origins[] = {{.pool = "web", .name = "a", .is_up = true}};
    static const struct control_listener listeners[] = {{"[::]:443", true, true}};

    n_fills++;
    r->can_serve = can_serve;
    r->reason = can_serve ? NULL : arena_strndup(r->arena, "all origins down", 16);
    r->origins = origins;
    r->n_origins = 1;
    r->listeners = listeners;
    r->n_listeners = 1;
    r->connections = 7;
    r->cache_hits = 3;
}

static void on_drain(void *arg, bool is_on, const char *reason)
{
    n_drains++;
    is_drained = is_on;
}

static void on_reload(void *arg, uint64_t ticket)
{
    n_reloads++;
    reload_ticket = ticket;
}

static void on_metrics(void *arg, struct text *out)
{
    text_adds(out, "test_total 1\n");
}

/* ---- The node, as the test plays it. */
static struct node {
    struct acceptor *acceptor;
    struct addr at;
    SSL_CTX *tls;
    struct frame_link *link;
    struct tls_identity peer;
    uint64_t purge_journal, purge_sequence;
    unsigned n_accepted, n_opened, n_hellos, n_reports, n_results, n_closed;
    bool does_ack;
    uint64_t first_sequence; /* reports count also while there is nobody to send them to */
    char software[64];
    Gslb__Report report; /* without its lists */
    char reason[64], drain_reason[64], result_error[64];
    size_t n_origins, n_listeners;
    uint64_t result_id;
} node;

static void send_frame(Gslb__Frame *f)
{
    frame_link_send(node.link, f);
}

static void node_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    node.n_opened++;
    node.peer = *peer;
}

static void take_report(const Gslb__Report *r)
{
    Gslb__Ack ack = GSLB__ACK__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    if (node.n_reports++ == 0)
        node.first_sequence = r->sequence;
    node.report = *r;
    node.n_origins = r->n_origins;
    node.n_listeners = r->n_listeners;
    snprintf(node.reason, sizeof(node.reason), "%s", r->reason);
    snprintf(node.drain_reason, sizeof(node.drain_reason), "%s", r->drain_reason);
    ack.sequence = r->sequence;
    f.body_case = GSLB__FRAME__BODY_ACK;
    f.ack = &ack;
    if (node.does_ack)
        send_frame(&f);
}

static void node_frame(void *arg, struct frame_link *link, const Gslb__Frame *f)
{
    Gslb__Welcome welcome = GSLB__WELCOME__INIT;
    Gslb__Frame answer = GSLB__FRAME__INIT;

    switch (f->body_case) {
    case GSLB__FRAME__BODY_HELLO:
        node.n_hellos++;
        node.purge_journal = f->hello->purge_journal;
        node.purge_sequence = f->hello->purge_sequence;
        snprintf(node.software, sizeof(node.software), "%s", f->hello->software);
        welcome.is_known = true;
        welcome.node = "ns1";
        answer.body_case = GSLB__FRAME__BODY_WELCOME;
        answer.welcome = &welcome;
        send_frame(&answer);
        break;
    case GSLB__FRAME__BODY_REPORT:
        take_report(f->report);
        break;
    case GSLB__FRAME__BODY_RESULT:
        node.n_results++;
        node.result_id = f->result->id;
        snprintf(node.result_error, sizeof(node.result_error), "%s", f->result->error);
        break;
    default:
        fail_msg("frame %d", f->body_case);
    }
}

static void node_close(void *arg, struct frame_link *link, enum frame_close why, const char *detail)
{
    node.n_closed++;
    if (node.link == link)
        node.link = NULL;
}

static void node_accept(void *arg, int fd)
{
    static const struct frame_hooks hooks = {node_open, node_frame, node_close};
    struct frame_options o = {.base = loop_base(loop),
                              .tls = node.tls,
                              .side = TLS_SERVER,
                              .handshake_ms = 5000,
                              .hooks = &hooks};

    node.n_accepted++;
    node.link = frame_link_new(&o, fd);
}

static SSL_CTX *node_tls(const char *name)
{
    char c[64], k[64];
    struct errors errors = {0};
    struct tls_identity own;
    SSL_CTX *tls;

    snprintf(c, sizeof(c), "%s.crt", name);
    snprintf(k, sizeof(k), "%s.key", name);
    tls = tls_channel_new(
        TLS_SERVER,
        &(struct tls_files){
            certs_path(&certs, c), certs_path(&certs, k), certs_path(&certs, "ca.crt"), {0}},
        &own, &errors);
    assert_non_null(tls);
    return tls;
}

static void open_node(void)
{
    struct errors errors = {0};
    struct addr at;
    int fd;

    if (node.at.length == 0)
        assert_true(addr_parse(STR("127.0.0.1:0"), 0, &node.at));
    fd = net_listen_tcp(&node.at, 16, &errors, (struct place){0});
    assert_true(fd >= 0);
    assert_false(has_failed(net_local_addr(fd, &at)));
    node.at = at;
    node.acceptor = acceptor_new(loop_base(loop), fd, node_accept, NULL);
}

static void close_node(void)
{
    acceptor_free(node.acceptor);
    node.acceptor = NULL;
    if (node.link != NULL)
        frame_link_close(node.link, FRAME_CLOSE_STOPPED, NULL);
}

/* ---- */

static struct config_peer server;
static struct config config;
static char socket_path[128], crt[128], key[128], ca[128];

static void apply(const struct config *c)
{
    struct errors errors = {0};
    struct control_change *change = control_prepare(control, c, &errors);

    if (change == NULL)
        fail_msg("%s", errors_to_string(&errors));
    errors_free(&errors);
    control_commit(control, change);
}

static int start_with(const char *node_certificate)
{
    struct control_hooks hooks = {
        .fill = on_fill, .on_drain = on_drain, .reload = on_reload, .metrics = on_metrics};

    loop = loop_new("test");
    node = (struct node){.does_ack = true, .tls = node_tls(node_certificate)};
    open_node();
    server = (struct config_peer){"ns1", node.at};
    config = (struct config){.name = "e1",
                             .control = {.servers = &server,
                                         .n_servers = 1,
                                         .certificate_path = crt,
                                         .key_path = key,
                                         .ca_path = ca,
                                         .socket_path = socket_path,
                                         .report_interval_ms = 200}};
    can_serve = true;
    n_fills = n_drains = n_reloads = 0;
    marks = purge_marks_new(16);
    hooks.purges = purges = purge_log_open(marks, NULL);
    control = control_new(loop, &hooks);
    apply(&config);
    return 0;
}

static int start_edge(void **state)
{
    return start_with("dns");
}

static int stop_edge(void **state)
{
    control_free(control);
    purge_log_close(purges);
    purge_marks_free(marks);
    if (node.acceptor != NULL)
        close_node();
    SSL_CTX_free(node.tls);
    loop_free(loop);
    return 0;
}

static void turn(int64_t limit)
{
    if (clock_mono_ms() > limit)
        fail_msg("nothing happened");
    event_base_loop(loop_base(loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static void run_until(const unsigned *counter, unsigned value)
{
    int64_t limit = clock_mono_ms() + 20000;

    while (*counter < value)
        turn(limit);
}

static void send_drain(uint64_t id, bool is_on)
{
    Gslb__Drain drain = GSLB__DRAIN__INIT;
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    drain.is_on = is_on;
    drain.reason = "rack work";
    command.id = id;
    command.action_case = GSLB__COMMAND__ACTION_DRAIN;
    command.drain = &drain;
    f.body_case = GSLB__FRAME__BODY_COMMAND;
    f.command = &command;
    send_frame(&f);
}

static void test_says_hello_and_reports(void **state)
{
    run_until(&node.n_reports, 3);
    assert_int_equal(node.peer.role, TLS_ROLE_EDGE);
    assert_string_equal(node.peer.name, "e1");
    assert_int_equal(node.n_hellos, 1);
    assert_int_equal(strncmp(node.software, "edge-proxy ", 11), 0);
    assert_true(node.report.can_serve);
    assert_false(node.report.is_draining);
    assert_int_equal(node.n_origins, 1);
    assert_int_equal(node.n_listeners, 1);
    /* None lost, none twice. */
    assert_int_equal(node.report.sequence - node.first_sequence + 1, node.n_reports);
    assert_int_equal(control_connected_nodes(control), 1);
}

static void test_tells_a_new_verdict_at_once(void **state)
{
    static struct config slow;
    int64_t began, limit;

    slow = config;
    slow.control.report_interval_ms = 60000;
    apply(&slow);
    run_until(&node.n_reports, 1);
    can_serve = false;
    began = clock_mono_ms();
    limit = began + 20000;
    control_report_now(control);
    while (node.report.can_serve)
        turn(limit);
    assert_string_equal(node.reason, "all origins down");
    assert_true(clock_mono_ms() - began < 5000);
}

static void test_obeys_a_drain(void **state)
{
    run_until(&node.n_reports, 1);
    send_drain(42, true);
    run_until(&node.n_results, 1);
    assert_int_equal(node.result_id, 42);
    assert_string_equal(node.result_error, "");
    assert_true(is_drained && control_is_draining(control));
    run_until(&node.n_reports, node.n_reports + 1);
    assert_true(node.report.is_draining);
    assert_true(node.report.can_serve);
    assert_string_equal(node.drain_reason, "rack work");
    send_drain(43, true); /* again: nothing new */
    run_until(&node.n_results, 2);
    assert_int_equal(n_drains, 1);
    send_drain(44, false);
    run_until(&node.n_results, 3);
    assert_int_equal(n_drains, 2);
    assert_false(is_drained);
}

static void test_says_which_command_it_does_not_know(void **state)
{
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    run_until(&node.n_reports, 1);
    command.id = 9;
    f.body_case = GSLB__FRAME__BODY_COMMAND;
    f.command = &command;
    send_frame(&f);
    run_until(&node.n_results, 1);
    assert_non_null(strstr(node.result_error, "does not know"));
}

static void send_purges(uint64_t id, uint64_t journal, uint64_t after, unsigned n, bool is_reset)
{
    Gslb__Purge items[4], *list[4];
    Gslb__Purges message = GSLB__PURGES__INIT;
    Gslb__Command command = GSLB__COMMAND__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;
    char urls[4][16];

    for (unsigned i = 0; i < n; i++) {
        list[i] = &items[i];
        gslb__purge__init(list[i]);
        snprintf(urls[i], sizeof(urls[i]), "h/%u", (unsigned)after + i + 1);
        items[i].kind = GSLB__PURGE_KIND__PURGE_URL;
        items[i].what = urls[i];
    }
    message.journal = journal;
    message.after = after;
    message.n_purges = n;
    message.purges = list;
    message.is_reset = is_reset;
    command.id = id;
    command.action_case = GSLB__COMMAND__ACTION_PURGES;
    command.purges = &message;
    f.body_case = GSLB__FRAME__BODY_COMMAND;
    f.command = &command;
    send_frame(&f);
}

static uint64_t stamp_of(const char *of)
{
    struct purge_stamps out;

    purge_find(marks, &(struct purge_subject){.key = str_of(of)}, &out);
    return out.hard;
}

/* Each step: what the node sends, and how many purges that has been for /2, which is number 2 of
 * the journal, and for what none of them names. */
static void test_purges_in_order(void **state)
{
    static const struct {
        const char *name;
        uint64_t journal, after;
        unsigned n;
        bool is_reset, is_2_purged, is_all_purged;
        uint64_t sequence;
    } steps[] = {
        {"nothing yet", 7, 0, 0, false, false, false, 0},
        {"the first two", 7, 0, 2, false, true, false, 2},
        {"one again, one new", 7, 1, 2, false, false, false, 3},
        {"known ones", 7, 0, 3, false, false, false, 3},
        {"a gap", 7, 5, 1, false, true, true, 6},
        {"the next", 7, 6, 1, false, false, false, 7},
        {"another journal, from its beginning", 8, 0, 2, false, true, false, 2},
        {"another journal, which does not reach back", 9, 4, 0, false, true, true, 4},
        {"reset", 9, 9, 0, true, true, true, 9},
        {"after it", 9, 9, 1, false, false, false, 10},
    };

    run_until(&node.n_reports, 1);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        uint64_t was_2 = stamp_of("http://h/2"), was_all = stamp_of("http://other/");
        struct purge_source at = {.node = "ns1"};

        print_message("  %s\n", steps[i].name);
        send_purges(100 + i, steps[i].journal, steps[i].after, steps[i].n, steps[i].is_reset);
        run_until(&node.n_results, (unsigned)i + 1);
        assert_string_equal(node.result_error, "");
        assert_int_equal(stamp_of("http://h/2") > was_2, steps[i].is_2_purged);
        assert_int_equal(stamp_of("http://other/") > was_all, steps[i].is_all_purged);
        purge_log_position(purges, &at);
        assert_int_equal(at.journal, steps[i].journal);
        assert_int_equal(at.sequence, steps[i].sequence);
    }
    close_node();
    open_node();
    run_until(&node.n_hellos, 2);
    assert_int_equal(node.purge_journal, 9);
    assert_int_equal(node.purge_sequence, 10);
}

static void test_connects_again(void **state)
{
    run_until(&node.n_reports, 1);
    close_node();
    run_until(&n_fills, n_fills + 3); /* time passes without a node */
    assert_int_equal(control_connected_nodes(control), 0);
    open_node();
    run_until(&node.n_hellos, 2);
    run_until(&node.n_reports, node.n_reports + 1);
}

static void test_leaves_a_node_that_does_not_acknowledge(void **state)
{
    node.does_ack = false;
    run_until(&node.n_closed, 1);
    assert_in_range(node.n_reports, 2, 6);
    node.does_ack = true;
    run_until(&node.n_hellos, 2);
}

static int start_beside_an_edge(void **state)
{
    return start_with("impostor");
}

static void test_a_server_that_is_no_node(void **state)
{
    uint64_t before = frame_closed_count(FRAME_CLOSE_WRONG_ROLE);

    run_until(&node.n_closed, 1);
    assert_int_equal(frame_closed_count(FRAME_CLOSE_WRONG_ROLE), before + 1);
    assert_int_equal(node.n_hellos, 0);
}

static void test_new_configuration_keeps_the_link(void **state)
{
    static struct config none;

    run_until(&node.n_reports, 1);
    apply(&config);
    run_until(&node.n_reports, 4);
    assert_int_equal(node.n_accepted, 1);
    none = config;
    none.control.n_servers = 0;
    apply(&none);
    run_until(&node.n_closed, 1);
}

static const struct {
    const char *name, *certificate, *key, *error;
} bad_files[] = {
    {"another edge's certificate", "impostor.crt", "impostor.key",
     "this edge needs gslb://edge/e1"},
    {"a node's certificate", "dns.crt", "dns.key", "this edge needs gslb://edge/e1"},
    {"no such file", "nope.crt", "edge.key", "cannot read the certificate"},
};

static void test_bad_configuration(void **state)
{
    for (size_t i = 0; i < COUNT_OF(bad_files); i++) {
        struct config bad = config;
        struct errors errors = {0}, checked = {0};

        bad.control.certificate_path = certs_path(&certs, bad_files[i].certificate);
        bad.control.key_path = certs_path(&certs, bad_files[i].key);
        control_check(&bad, &checked);
        if (control_prepare(control, &bad, &errors) != NULL || errors.n_errors != 1 ||
            checked.n_errors != 1 || strstr(errors.items[0].message, bad_files[i].error) == NULL)
            fail_msg("%s: %s", bad_files[i].name, errors_to_string(&errors));
        errors_free(&errors);
        errors_free(&checked);
    }
}

/* ---- gslbctl on the edge's own socket. */
static struct operator
{
    struct frame_link *link;
    unsigned n_opened, n_replies;
    struct arena arena;
    const Gslb__Reply *reply;
}
operator;

static void operator_open(void *arg, struct frame_link *link, const struct tls_identity *peer)
{
    operator.n_opened++;
}

static void operator_frame(void *arg, struct frame_link *link, const Gslb__Frame *f)
{
    arena_free(&operator.arena);
    frame_link_keep(link, &operator.arena);
    operator.reply = f->reply;
    operator.n_replies++;
}

static void operator_close(void *arg, struct frame_link *link, enum frame_close why,
                           const char *detail)
{
    operator.link = NULL;
}

static void ask(Gslb__Request__ActionCase action)
{
    Gslb__StatusRequest status = GSLB__STATUS_REQUEST__INIT;
    Gslb__DrainRequest drain = GSLB__DRAIN_REQUEST__INIT;
    Gslb__Request request = GSLB__REQUEST__INIT;
    Gslb__Frame f = GSLB__FRAME__INIT;

    drain.is_on = true;
    request.action_case = action;
    if (action == GSLB__REQUEST__ACTION_DRAIN)
        request.drain = &drain;
    else
        request.status = &status; /* the other requests are empty too */
    f.body_case = GSLB__FRAME__BODY_REQUEST;
    f.request = &request;
    frame_link_send(operator.link, &f);
}

static void test_operator(void **state)
{
    static const struct frame_hooks hooks = {operator_open, operator_frame, operator_close};
    struct frame_options o = {
        .base = loop_base(loop), .side = TLS_CLIENT, .handshake_ms = 5000, .hooks = &hooks};
    int fd = net_connect_unix(socket_path);

    assert_true(fd >= 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    operator.link = frame_link_new(&o, fd);
    run_until(&operator.n_opened, 1);
    ask(GSLB__REQUEST__ACTION_STATUS);
    run_until(&operator.n_replies, 1);
    assert_int_equal(operator.reply->body_case, GSLB__REPLY__BODY_EDGE_STATUS);
    assert_int_equal(operator.reply->edge_status->load->connections, 7);
    ask(GSLB__REQUEST__ACTION_METRICS);
    run_until(&operator.n_replies, 2);
    assert_non_null(strstr(operator.reply->text->text, "test_total 1\n"));
    assert_non_null(
        strstr(operator.reply->text->text, "gslb_channel_node_connected{node=\"ns1\"}"));
    ask(GSLB__REQUEST__ACTION_DRAIN);
    run_until(&operator.n_replies, 3);
    assert_true(control_is_draining(control));
    ask(GSLB__REQUEST__ACTION_RELOAD);
    run_until(&n_reloads, 1);
    control_finish_reload(control, reload_ticket, true, "nothing changed");
    run_until(&operator.n_replies, 4);
    assert_string_equal(operator.reply->text->text, "nothing changed");
    frame_link_close(operator.link, FRAME_CLOSE_STOPPED, NULL);
    arena_free(&operator.arena);
}

static int start(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    certs_start(&certs);
    certs_issue(&certs, (struct certs_spec){.name = "edge", .san = "URI:gslb://edge/e1"});
    certs_issue(&certs, (struct certs_spec){.name = "impostor", .san = "URI:gslb://edge/e2"});
    certs_issue(&certs, (struct certs_spec){.name = "dns", .san = "URI:gslb://dns/ns1"});
    snprintf(socket_path, sizeof(socket_path), "%s/edge.sock", certs.dir);
    snprintf(crt, sizeof(crt), "%s/edge.crt", certs.dir);
    snprintf(key, sizeof(key), "%s/edge.key", certs.dir);
    snprintf(ca, sizeof(ca), "%s/ca.crt", certs.dir);
    return 0;
}

static int end(void **state)
{
    certs_end(&certs);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start_edge, stop_edge)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_says_hello_and_reports),
        TEST(test_tells_a_new_verdict_at_once),
        TEST(test_obeys_a_drain),
        TEST(test_says_which_command_it_does_not_know),
        TEST(test_purges_in_order),
        TEST(test_connects_again),
        TEST(test_leaves_a_node_that_does_not_acknowledge),
        cmocka_unit_test_setup_teardown(test_a_server_that_is_no_node, start_beside_an_edge,
                                        stop_edge),
        TEST(test_new_configuration_keeps_the_link),
        TEST(test_bad_configuration),
        TEST(test_operator),
    };

    return cmocka_run_group_tests(tests, start, end);
}
