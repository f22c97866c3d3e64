/* SPDX-License-Identifier: BSD-2-Clause */
/* May it be asked here? The first step of a request: what is answered without the cache or an
 * origin, and by what key the cache is asked for the rest. */
#include "edge-proxy/request/request_internal.h"

bool request_blame(struct request *r, enum guard_mischief what)
{
    return guard_blame(r->rw->shared->guard, r->use->g->guard, request_flow(r), &r->client.ip,
                       what);
}

/* What is refused or answered without looking at sites: 0 when there is nothing of the kind. */
static unsigned judge_request(const struct request *r)
{
    const struct fields *f = &r->head.fields;
    uint64_t hops;

    switch (r->head.method) {
    case HTTP_METHOD_TRACE: /* would show clients what we add for the origin */
    case HTTP_METHOD_PURGE: /* not for strangers */
    case HTTP_METHOD_CONNECT:
        return 405;
    case HTTP_METHOD_OPTIONS: /* RFC 9110 section 7.6.2 */
        if (r->head.form == HTTP_ASTERISK_FORM ||
            (fields_parse_digits(fields_value(f, FIELD_MAX_FORWARDS), &hops) && hops == 0))
            return 204;
        break;
    default:
        break;
    }
    if (fields_count_cdn_loop(f, str_of(request_config(r)->name)) > 0)
        return 508; /* RFC 8586 */
    /* Clients take dot segments out (RFC 3986 section 5.2.4); what still has them means to be
     * routed by one path and served by another. */
    return http_path_has_dots(r->head.path) ? 400 : 0;
}

static enum step_result turn_away(struct request *r, unsigned status, enum guard_mischief what)
{
    bool is_too_much = request_blame(r, what);

    request_answer(r, status);
    r->response.is_close_wanted = is_too_much || r->framing.body != HTTP_BODY_NONE;
    return STEP_WAIT;
}

/* After how many seconds the request may come again; 0: it may come now. Limits that it passes are
 * charged even when a later one turns it away: whoever knocks all the time waits longer. */
static uint32_t charge(struct request *r)
{
    const struct config_route *route = r->route.route;
    uint32_t longest_s = 0;

    for (size_t i = 0; i < route->n_rate_limits; i++) {
        const struct config_rate_limit *limit = &route->rate_limits[i];
        struct str key = {NULL, 0};
        uint32_t wait_s;

        if (limit->key != CONFIG_KEY_CLIENT)
            (void)request_find_key(r, limit->key, limit->key_name, &key); /* else by client */
        wait_s = guard_charge(r->rw->shared->guard, r->use->g->guard, limit, key, &r->client.ip);
        if (wait_s > longest_s)
            longest_s = wait_s;
    }
    return longest_s;
}

static bool wants_redirect(const struct request *r)
{
    return r->route.site->is_redirect_https && !r->client.is_tls && r->use->g->https_port != 0 &&
           r->head.host.n > 0;
}

static enum step_result answer_closed(struct request *r)
{
    const struct config_maintenance *m = &r->route.site->maintenance;

    r->retry_after_s = m->retry_after_s;
    request_answer(r, 503);
    if (m->page.body.p != NULL) {
        r->own_type = m->page.content_type;
        r->own_body = m->page.body;
        r->response = request_own_response(r, 503);
    }
    return STEP_WAIT;
}

/* Answers that need no origin: false: there is none. */
static bool answer_by_rules(struct request *r)
{
    unsigned status;

    if (wants_redirect(r)) {
        r->redirect = REDIRECT_HTTPS;
        /* 308 keeps the method where a 301 would turn a POST into a GET. */
        status = http_method_is_safe(r->head.method) ? 301 : 308;
    } else if (r->route.route->redirect_status != 0) {
        r->redirect = REDIRECT_ROUTE;
        status = r->route.route->redirect_status;
    } else {
        return false;
    }
    request_answer(r, status);
    return true;
}

static bool is_cacheable(const struct request *r)
{
    return r->route.route->is_cached && request_config(r)->cache.memory_bytes != 0 &&
           !r->is_upgrade && r->framing.body == HTTP_BODY_NONE && r->head.host.n > 0;
}

/* What the client says of its certificate itself counts for nothing: the field is ours (RFC 9440
 * section 4). It stands among the client's own from now on, for the origin and for Vary. false:
 * there is no room for it. */
static bool take_credential(struct request *r)
{
    struct fields *f = &r->head.fields;

    fields_remove(f, FIELD_CLIENT_CERT);
    fields_remove(f, FIELD_CLIENT_CERT_CHAIN);
    return r->client.certificate == NULL ||
           fields_add(f, fields_spelling(FIELD_CLIENT_CERT), str_of(r->client.certificate));
}

/* 0, or why what the connection has proved will not do for this site: another connection might (RFC
 * 9110 section 15.5.20). */
static unsigned judge_credential(const struct request *r)
{
    const struct config_site *site = r->route.site;

    if (r->client.is_tls)
        return r->client.policy == credential_policy(r->use->g->credentials, site) ? 0 : 421;
    return site->credentials.verify == CONFIG_VERIFY_REQUIRED && !wants_redirect(r) ? 403 : 0;
}

static enum step_result answer_misdirected(struct request *r, unsigned status)
{
    worker_count(request_flow(r), COUNT_MISDIRECTED);
    request_answer(r, status);
    r->response.is_misdirected = r->response.is_close_wanted = true;
    return STEP_WAIT;
}

enum step_result request_step_admit(struct request *r)
{
    unsigned status = judge_request(r);
    enum route_verdict found;

    if (!take_credential(r))
        return request_answer_with(r, 431);
    if (status != 0)
        return request_answer_with(r, status);
    found = route_find(r->use->g->routes, r->head.host, r->head.path, &r->route);
    if (found == ROUTE_NO_SITE)
        return turn_away(r, 421, GUARD_STRANGER);
    status = judge_credential(r);
    if (status != 0)
        return answer_misdirected(r, status);
    if (!guard_allows(r->use->g->guard, r->route.site, r->route.route, &r->client.ip))
        return turn_away(r, 403, GUARD_FORBIDDEN);
    if (rules_is_closed(r->route.site, &r->client.ip))
        return answer_closed(r);
    if (found == ROUTE_NO_PATH)
        return request_answer_with(r, 404);
    r->retry_after_s = charge(r);
    if (r->retry_after_s > 0)
        return turn_away(r, 429, GUARD_RATE); /* RFC 6585 section 4 */
    if (answer_by_rules(r))
        return STEP_WAIT;
    r->is_upgrade = str_is_nocase(r->framing.upgrade, "websocket") &&
                    r->head.method == HTTP_METHOD_GET && r->framing.body == HTTP_BODY_NONE;
    r->step = is_cacheable(r) ? REQUEST_LOOK_UP : REQUEST_SEND;
    if (r->step == REQUEST_SEND) {
        r->cache_status.forward_reason = "bypass";
        r->cache_counter = COUNT_CACHE_PASS;
    }
    return STEP_AGAIN;
}

/* ---- The key ---- */

/* Sites that ask for certificates have stored responses of their own, also when a reload has asked
 * for others meanwhile, or for none. No path has a space. */
void request_write_key(const struct request *r, struct writer *w)
{
    http_write_key(w, &r->head, r->client.is_tls);
    if (r->client.policy == CREDENTIAL_NONE)
        return;
    writer_u8(w, ' ');
    fields_write_u64(w, r->client.policy);
}
