/* SPDX-License-Identifier: BSD-2-Clause */
/* Active health checks: one probe after the other for each origin, all on the control loop. */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"

#include <stdlib.h>
#include <string.h>

/* What a probe reads of an answer: the head, and no body. */
enum { PROBE_BYTES = 16384, PROBE_REASON = UPSTREAM_REASON_BYTES };

enum probe_step { PROBE_OPEN, PROBE_SEND, PROBE_READ };

struct probe {
    struct upstream_checks *checks;
    const struct upstream_pool *pool;
    struct upstream_origin *origin;
    struct wheel_timer timer; /* of the interval while nothing is open, else of the time allowed */
    enum probe_step step;
    struct dial_conn *c; /* NULL: nothing is open */
    char *request;
    size_t request_bytes, sent, got;
    char *answer; /* PROBE_BYTES, while open */
};

struct upstream_checks {
    struct worker *w;
    struct dial_worker *dial;
    struct probe *probes;
    size_t n;
    void (*on_change)(void *arg);
    void *arg;
};

static void start_probe(struct wheel_timer *t);

/* ---- Verdicts ---- */

static void set_down(struct probe *p, bool is_down, const char *reason)
{
    struct upstream_origin *o = p->origin;
    char lasted[TEXT_SHORT];

    text_format_duration_ms((uint64_t)(clock_mono_ms() - o->changed_ms), lasted);
    balance_set_down(p->pool->balance, o->index, is_down, clock_coarse_ms());
    o->changed_ms = clock_mono_ms();
    snprintf(o->reason, sizeof(o->reason), "%s", is_down ? reason : "checks pass");
    if (is_down)
        log_warn("upstream", "origin is down pool=%s origin=%s reason=\"%s\" was_up=%s",
                 p->pool->config->name, o->config->name, reason, lasted);
    else
        log_info("upstream", "origin is up pool=%s origin=%s was_down=%s", p->pool->config->name,
                 o->config->name, lasted);
    p->checks->on_change(p->checks->arg);
}

/* The first result counts at once: nothing is known that it could contradict. */
static void note_result(struct probe *p, bool is_good, const char *reason)
{
    struct upstream_origin *o = p->origin;
    const struct config_check *check = &p->pool->config->check;
    bool is_down = balance_is_down(p->pool->balance, o->index);

    worker_count(p->checks->w, is_good ? COUNT_CHECKS_OK : COUNT_CHECKS_FAILED);
    o->run = o->is_checked && o->is_run_good == is_good ? o->run + 1 : 1;
    o->is_run_good = is_good;
    if (is_good == is_down && (!o->is_checked || o->run >= (is_good ? check->rise : check->fall)))
        set_down(p, !is_good, reason);
    o->is_checked = true;
}

static void close_probe(struct probe *p)
{
    if (p->c == NULL)
        return;
    dial_close(p->c);
    p->c = NULL;
    free(p->answer);
    p->answer = NULL;
}

static void finish_probe(struct probe *p, bool is_good, const char *reason)
{
    close_probe(p);
    note_result(p, is_good, reason);
    wheel_set(&p->checks->w->wheel, &p->timer, p->pool->config->check.interval_ms, start_probe);
}

static void on_probe_timeout(struct wheel_timer *t)
{
    static const char *const reasons[] = {
        [PROBE_OPEN] = "connect timeout",
        [PROBE_SEND] = "timeout",
        [PROBE_READ] = "no answer in time",
    };
    struct probe *p = CONTAINER_OF(t, struct probe, timer);

    finish_probe(p, false, reasons[p->step]);
}

/* ---- Steps ---- */

static void probe_send(struct probe *p)
{
    struct iovec iov = {p->request + p->sent, p->request_bytes - p->sent};
    size_t n;
    enum wire_verdict v = wire_write(p->checks->w, dial_wire(p->c), &iov, 1, &n);

    p->sent += n;
    if (v == WIRE_ERROR || v == WIRE_EOF) {
        finish_probe(p, false, "closed without an answer");
    } else if (p->sent < p->request_bytes || wire_has_rest(dial_wire(p->c))) {
        dial_want(p->c, EV_WRITE);
    } else {
        p->step = PROBE_READ;
        dial_want(p->c, EV_READ);
    }
}

static void judge_head(struct probe *p, const struct http_head *head)
{
    const struct config_check *check = &p->pool->config->check;
    char reason[PROBE_REASON];

    if (head->status >= check->status_low && head->status <= check->status_high) {
        finish_probe(p, true, "");
        return;
    }
    snprintf(reason, sizeof(reason), "status %u", head->status);
    finish_probe(p, false, reason);
}

static void probe_read(struct probe *p)
{
    struct http_head *head;
    size_t n;
    enum wire_verdict w;
    enum http_verdict v;

    w = wire_read(p->checks->w, dial_wire(p->c), p->answer + p->got, PROBE_BYTES - p->got, &n);
    p->got += n;
    if (w == WIRE_AGAIN_READ || w == WIRE_AGAIN_WRITE)
        return;
    if (w != WIRE_OK) {
        finish_probe(p, false, "closed without an answer");
        return;
    }
    head = base_zalloc(1, sizeof(*head));
    http_head_clear(head);
    v = http_parse_response(head, p->answer, p->got, &HTTP_LIMITS_DEFAULT);
    if (v == HTTP_DONE)
        judge_head(p, head);
    else if (v != HTTP_MORE || p->got == PROBE_BYTES)
        finish_probe(p, false, "not valid HTTP");
    free(head);
}

static void on_event(void *arg, short what)
{
    struct probe *p = arg;

    if (p->step == PROBE_SEND)
        probe_send(p);
    else
        probe_read(p);
}

static void on_open(void *arg, dial_why why)
{
    struct probe *p = arg;
    char reason[DIAL_WHY_TEXT];

    if (why != 0) {
        finish_probe(p, false, dial_why_text(why, reason));
    } else if (p->request == NULL) {
        finish_probe(p, true, "");
    } else {
        p->step = PROBE_SEND;
        probe_send(p);
    }
}

/* The probe's own timer is for all of it. */
static void on_timeout(void *arg)
{
}

/* Whom the check asks for, as requests would: without a port. */
static struct str check_host(const struct upstream_pool *pool)
{
    const char *authority = pool->config->check.host;
    struct str host = {NULL, 0};
    uint16_t port;

    if (authority == NULL)
        authority = pool->config->host_header;
    if (authority != NULL && !http_split_authority(str_of(authority), &host, &port))
        host = str_of(authority);
    return host;
}

static void start_probe(struct wheel_timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    static const struct dial_ops ops = {on_open, on_event, on_timeout};
    uint32_t timeout_ms = p->pool->config->check.timeout_ms;
    struct dial_order o = origin_order(p->pool, p->origin, check_host(p->pool), timeout_ms);
    char reason[DIAL_WHY_TEXT];
    dial_why why;

    p->c = dial_open(p->checks->dial, &o, &ops, p, &why);
    if (p->c == NULL) {
        finish_probe(p, false, dial_why_text(why, reason));
        return;
    }
    p->answer = base_alloc(PROBE_BYTES);
    p->step = PROBE_OPEN;
    p->sent = p->got = 0;
    wheel_set(&p->checks->w->wheel, &p->timer, timeout_ms, on_probe_timeout);
}

/* ---- Start and stop ---- */

static char *make_request(const struct upstream_pool *pool, const struct upstream_origin *o)
{
    const struct config_check *check = &pool->config->check;
    const char *host = check->host != NULL ? check->host : pool->config->host_header;
    char address[ADDR_TEXT];

    if (check->path == NULL)
        return NULL;
    if (host == NULL)
        host = addr_format(&o->config->address, address);
    return base_printf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: edge-proxy-check\r\n"
                       "Accept: */*\r\nConnection: close\r\n\r\n",
                       check->path, host);
}

static size_t count_checked(const struct upstream_pools *pools)
{
    size_t n = 0;

    for (size_t i = 0; i < pools->n; i++)
        if (pools->pools[i].config->check.interval_ms != 0)
            n += pools->pools[i].n_origins;
    return n;
}

static void add_probe(struct upstream_checks *c, const struct upstream_pool *pool,
                      struct upstream_origin *o)
{
    struct probe *p = &c->probes[c->n++];
    uint32_t interval_ms = pool->config->check.interval_ms;

    p->checks = c;
    p->pool = pool;
    p->origin = o;
    p->request = make_request(pool, o);
    p->request_bytes = p->request != NULL ? strlen(p->request) : 0;
    /* At once where nothing is known; else spread over the interval. */
    wheel_set(&c->w->wheel, &p->timer, o->is_checked ? c->n * 37 % interval_ms : 0, start_probe);
}

struct upstream_checks *upstream_checks_start(struct worker *w, struct upstream_pools *pools,
                                              void (*on_change)(void *arg), void *arg)
{
    struct upstream_checks *c = base_zalloc(1, sizeof(*c));

    *c = (struct upstream_checks){.w = w, .on_change = on_change, .arg = arg};
    c->dial = dial_worker_new(w, NULL);
    c->probes = base_zalloc(count_checked(pools) + 1, sizeof(*c->probes));
    for (size_t i = 0; i < pools->n; i++) {
        struct upstream_pool *pool = &pools->pools[i];

        for (size_t k = 0; pool->config->check.interval_ms != 0 && k < pool->n_origins; k++)
            add_probe(c, pool, &pool->origins[k]);
    }
    return c;
}

void upstream_checks_stop(struct upstream_checks *c)
{
    for (size_t i = 0; i < c->n; i++) {
        close_probe(&c->probes[i]);
        wheel_clear(&c->w->wheel, &c->probes[i].timer);
        free(c->probes[i].request);
    }
    dial_worker_free(c->dial);
    free(c->probes);
    free(c);
}
