/* SPDX-License-Identifier: BSD-2-Clause */
/* Active health checks: one probe after the other for each origin, all on the control loop. */
#include "edge-proxy/upstream/upstream_internal.h"

#include "common/clock/clock.h"
#include "common/log/log.h"
#include "common/proxy/proxy.h"
#include "common/siphash/siphash.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* What a probe reads of an answer at most. */
enum { PROBE_HEAD_BYTES = 16384, PROBE_BODY_BYTES = 32768, PROBE_REASON = UPSTREAM_REASON_BYTES };

/* From one look for an address to the next. */
enum { NO_ADDRESS_MS = 200 };

enum probe_step { PROBE_OPEN, PROBE_SEND, PROBE_READ, PROBE_READ_BODY };

struct probe {
    struct upstream_checks *checks;
    const struct upstream_pool *pool;
    struct upstream_origin *origin;
    struct wheel_timer timer; /* of the interval while nothing is open, else of the time allowed */
    enum probe_step step;
    struct dial_conn *c; /* NULL: nothing is open */
    char *request;
    size_t request_bytes, sent;
    struct buffer *answer; /* while open */
    struct body body;
    const regex_t *pattern; /* of the pool; NULL: none */
};

/* Looks for outliers among a pool's origins, each interval. */
struct watch {
    struct upstream_checks *checks;
    struct upstream_pool *pool;
    struct wheel_timer timer;
};

struct upstream_checks {
    struct worker *w;
    struct dial_worker *dial;
    struct probe *probes;
    size_t n;
    struct watch *watches;
    size_t n_watches;
    regex_t **patterns; /* by pool; NULL: it has none */
    size_t n_pools;
    uint64_t random;
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
                 p->pool->config->name, o->name, reason, lasted);
    else
        log_info("upstream", "origin is up pool=%s origin=%s was_down=%s", p->pool->config->name,
                 o->name, lasted);
    pool_tell_waiting(p->pool);
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
    buffer_give(p->checks->w, p->answer);
    p->answer = NULL;
}

/* A tenth more or less, so that neither the edges nor the origins come to be asked in step. */
static uint32_t jitter(struct upstream_checks *c, uint32_t ms)
{
    c->random = c->random * 6364136223846793005u + 1442695040888963407u;
    return ms - ms / 10 + (uint32_t)((c->random >> 33) % (ms / 5 + 1));
}

static uint32_t next_interval(const struct probe *p)
{
    const struct config_check *check = &p->pool->config->check;
    bool is_changing =
        p->origin->is_run_good == balance_is_down(p->pool->balance, p->origin->index);

    return jitter(p->checks, is_changing && check->fast_interval_ms != 0 ? check->fast_interval_ms
                                                                         : check->interval_ms);
}

static void finish_probe(struct probe *p, bool is_good, const char *reason)
{
    close_probe(p);
    note_result(p, is_good, reason);
    wheel_set(&p->checks->w->wheel, &p->timer, next_interval(p), start_probe);
}

/* What keeps us from asking says nothing about the origin. */
static void skip_probe(struct probe *p)
{
    close_probe(p);
    worker_count(p->checks->w, COUNT_CHECKS_SKIPPED);
    wheel_set(&p->checks->w->wheel, &p->timer, next_interval(p), start_probe);
}

static void finish_open(struct probe *p, dial_why why)
{
    char reason[DIAL_WHY_TEXT];

    if (dial_is_own_fault(dial_verdict(why)))
        skip_probe(p);
    else
        finish_probe(p, false, dial_why_text(why, reason));
}

static void on_probe_timeout(struct wheel_timer *t)
{
    static const char *const reasons[] = {
        [PROBE_OPEN] = "connect timeout",
        [PROBE_SEND] = "timeout",
        [PROBE_READ] = "no answer in time",
        [PROBE_READ_BODY] = "no whole body in time",
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

/* All of the body that is looked at is there. */
static void judge_body(struct probe *p)
{
    const struct config_check *check = &p->pool->config->check;
    struct str data = {"", 0};
    regmatch_t all;

    (void)body_peek(&p->body, p->answer, &data);
    if (http_is_refusal(p->body.failure) ||
        (p->body.is_eof && !p->body.is_ended && p->body.kind != HTTP_BODY_UNTIL_CLOSE)) {
        finish_probe(p, false, "the body broke off");
        return;
    }
    data.n = data.n < PROBE_BODY_BYTES ? data.n : PROBE_BODY_BYTES;
    all = (regmatch_t){.rm_so = 0, .rm_eo = (regoff_t)data.n};
    if (check->body != NULL && memmem(data.p, data.n, check->body, strlen(check->body)) == NULL)
        finish_probe(p, false, "the body lacks the text");
    else if (p->pattern != NULL && regexec(p->pattern, data.p, 1, &all, REG_STARTEND) != 0)
        finish_probe(p, false, "the body does not match");
    else
        finish_probe(p, true, "");
}

/* true: judged. */
static bool look_at_body(struct probe *p)
{
    struct str data = {"", 0};
    enum body_verdict v = body_peek(&p->body, p->answer, &data);

    if (v == BODY_WAIT || (v == BODY_DATA && !p->body.is_ended && !p->body.is_eof &&
                           data.n < PROBE_BODY_BYTES && !http_is_refusal(p->body.failure)))
        return false;
    judge_body(p);
    return true;
}

static void judge_head(struct probe *p, const struct http_head *head)
{
    const struct config_check *check = &p->pool->config->check;
    struct http_framing framing;
    char reason[PROBE_REASON];

    if (head->status < check->status_low || head->status > check->status_high) {
        snprintf(reason, sizeof(reason), "status %u", head->status);
        finish_probe(p, false, reason);
    } else if (check->body == NULL && p->pattern == NULL) {
        finish_probe(p, true, "");
    } else if (http_is_refusal(http_response_framing(head, HTTP_METHOD_GET, &framing))) {
        finish_probe(p, false, "not valid HTTP");
    } else {
        p->answer->start += head->head_bytes;
        body_start(&p->body, p->answer, framing.body, framing.length);
        p->step = PROBE_READ_BODY;
        (void)look_at_body(p);
    }
}

/* Interim responses are no answer yet (RFC 9110 section 15.2). */
static void look_at_head(struct probe *p)
{
    struct http_head *head = base_zalloc(1, sizeof(*head));
    struct str data = buffer_data(p->answer);
    enum http_verdict v;

    for (;;) {
        http_head_clear(head);
        v = http_parse_response(head, p->answer->bytes + p->answer->start, data.n,
                                &HTTP_LIMITS_DEFAULT);
        if (v != HTTP_DONE || head->status >= 200)
            break;
        p->answer->start += head->head_bytes;
        data = buffer_data(p->answer);
    }
    if (v == HTTP_DONE)
        judge_head(p, head);
    else if (v != HTTP_MORE || p->answer->end >= PROBE_HEAD_BYTES)
        finish_probe(p, false, "not valid HTTP");
    free(head);
}

static void end_of_answer(struct probe *p, enum wire_verdict w)
{
    if (p->step == PROBE_READ) {
        finish_probe(p, false, "closed without an answer");
    } else if (w == WIRE_ERROR) {
        finish_probe(p, false, "the body broke off");
    } else {
        body_set_eof(&p->body);
        judge_body(p);
    }
}

static void probe_read(struct probe *p)
{
    struct buffer *b = p->answer;
    size_t room = p->step == PROBE_READ ? PROBE_HEAD_BYTES - b->end : body_room(&p->body, b), n;
    enum wire_verdict w = wire_read(p->checks->w, dial_wire(p->c), b->bytes + b->end, room, &n);

    if (w == WIRE_AGAIN_READ || w == WIRE_AGAIN_WRITE)
        return;
    if (w != WIRE_OK) {
        end_of_answer(p, w);
        return;
    }
    b->end += (uint32_t)n;
    if (p->step == PROBE_READ)
        look_at_head(p);
    else
        (void)look_at_body(p);
}

static void on_event(void *arg, short what)
{
    struct probe *p = arg;

    if (p->step == PROBE_SEND)
        probe_send(p);
    else
        do
            probe_read(p);
        while (p->c != NULL && wire_has_pending(dial_wire(p->c)));
}

static void on_open(void *arg, dial_why why)
{
    struct probe *p = arg;

    if (why != 0) {
        finish_open(p, why);
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

/* A check brings nobody. */
static struct str check_preface(const struct upstream_pool *pool, char to[PROXY_WRITTEN_MAX])
{
    unsigned version = pool->config->send_proxy;

    return (struct str){to, version != 0 ? proxy_write(version, NULL, NULL, to) : 0};
}

static void start_probe(struct wheel_timer *t)
{
    struct probe *p = CONTAINER_OF(t, struct probe, timer);
    static const struct dial_ops ops = {on_open, on_event, on_timeout};
    uint32_t timeout_ms = p->pool->config->check.timeout_ms;
    struct dial_target targets[DIAL_TARGETS_MAX];
    size_t n = origin_targets(p->origin, targets);
    char preface[PROXY_WRITTEN_MAX];
    struct dial_order o = origin_order(p->origin, targets, n, check_host(p->pool),
                                       check_preface(p->pool, preface), timeout_ms);
    dial_why why;

    if (n == 0) { /* nobody is there: not known to be sick either */
        wheel_set(&p->checks->w->wheel, &p->timer, NO_ADDRESS_MS, start_probe);
        return;
    }
    p->c = dial_open(p->checks->dial, &o, &ops, p, &why);
    if (p->c == NULL) {
        finish_open(p, why);
        return;
    }
    p->answer = buffer_take(p->checks->w);
    p->step = PROBE_OPEN;
    p->sent = 0;
    wheel_set(&p->checks->w->wheel, &p->timer, timeout_ms, on_probe_timeout);
}

/* ---- Start and stop ---- */

static char *make_request(const struct upstream_pool *pool, const struct upstream_origin *o)
{
    const struct config_check *check = &pool->config->check;
    const char *host = check->host != NULL ? check->host : pool->config->host_header;

    if (check->path == NULL)
        return NULL;
    if (host == NULL) /* a place's is its name's */
        host = o->config->name;
    return base_printf("%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: edge-proxy-check\r\n"
                       "Accept: */*\r\nConnection: close\r\n\r\n",
                       check->method, check->path, host);
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
                      struct upstream_origin *o, const regex_t *pattern)
{
    struct probe *p = &c->probes[c->n++];
    uint32_t interval_ms = pool->config->check.interval_ms;

    p->checks = c;
    p->pool = pool;
    p->origin = o;
    p->request = make_request(pool, o);
    p->request_bytes = p->request != NULL ? strlen(p->request) : 0;
    p->pattern = pattern;
    /* At once where nothing is known; else spread over the interval. */
    wheel_set(&c->w->wheel, &p->timer, o->is_checked ? c->n * 37 % interval_ms : 0, start_probe);
}

static void look_for_outliers(struct wheel_timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    const struct config_ejection *c = &w->pool->config->ejection;
    uint64_t found = balance_find_outliers(w->pool->balance, c, clock_coarse_ms());

    for (; found != 0; found &= found - 1)
        origin_tell_ejection(&w->pool->origins[__builtin_ctzll(found)], w->checks->w,
                             BALANCE_OUTLIER);
    wheel_set(&w->checks->w->wheel, t, c->outlier_interval_ms, look_for_outliers);
}

static void add_watch(struct upstream_checks *c, struct upstream_pool *pool)
{
    struct watch *w = &c->watches[c->n_watches++];

    w->checks = c;
    w->pool = pool;
    wheel_set(&c->w->wheel, &w->timer, pool->config->ejection.outlier_interval_ms,
              look_for_outliers);
}

/* It has compiled when the configuration was read. */
static regex_t *compile(const char *pattern)
{
    regex_t *re;

    if (pattern == NULL)
        return NULL;
    re = base_alloc(sizeof(*re));
    ensure(regcomp(re, pattern, REG_EXTENDED) == 0);
    return re;
}

struct upstream_checks *upstream_checks_start(struct worker *w, struct upstream_pools *pools,
                                              void (*on_change)(void *arg), void *arg)
{
    struct upstream_checks *c = base_zalloc(1, sizeof(*c));

    *c = (struct upstream_checks){.w = w, .on_change = on_change, .arg = arg};
    pools->on_change = on_change;
    pools->on_change_arg = arg;
    c->dial = dial_worker_new(w, NULL);
    c->random = siphash_key_random().k0;
    c->probes = base_zalloc(count_checked(pools) + 1, sizeof(*c->probes));
    c->watches = base_zalloc(pools->n + 1, sizeof(*c->watches));
    c->patterns = base_zalloc(pools->n + 1, sizeof(*c->patterns));
    c->n_pools = pools->n;
    for (size_t i = 0; i < pools->n; i++) {
        struct upstream_pool *pool = &pools->pools[i];

        c->patterns[i] = compile(pool->config->check.body_pattern);
        for (size_t k = 0; pool->config->check.interval_ms != 0 && k < pool->n_origins; k++)
            add_probe(c, pool, &pool->origins[k], c->patterns[i]);
        if (pool->config->ejection.outlier_percent != 0)
            add_watch(c, pool);
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
    for (size_t i = 0; i < c->n_watches; i++)
        wheel_clear(&c->w->wheel, &c->watches[i].timer);
    for (size_t i = 0; i < c->n_pools; i++) {
        if (c->patterns[i] != NULL)
            regfree(c->patterns[i]);
        free(c->patterns[i]);
    }
    free(c->patterns);
    free(c->watches);
    free(c->probes);
    free(c);
}
