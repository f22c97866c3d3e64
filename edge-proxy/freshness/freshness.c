/* SPDX-License-Identifier: BSD-2-Clause */
#include "edge-proxy/freshness/freshness.h"

const char *freshness_verdict_text(enum freshness_verdict v)
{
    static const char *const texts[] = {
#define X(name, text) [name] = text,
        FRESHNESS_VERDICTS(X)
#undef X
    };

    return texts[v];
}

/* RFC 9110 section 15.1. 206 is left out: partial responses are not stored. */
static bool is_heuristically_cacheable(unsigned status)
{
    switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
        return true;
    default:
        return false;
    }
}

/* Final, whole, and with semantics that storing does not break (RFC 9111 section 3). */
static bool is_understood(unsigned status)
{
    return status >= 200 && status < 600 && status != 206 && status != 304;
}

static bool has_vary_star(const struct fields *f)
{
    return fields_has_token(f, FIELD_VARY, "*");
}

static bool has_validator(const struct fields *f)
{
    return fields_has(f, FIELD_ETAG) || fields_has(f, FIELD_LAST_MODIFIED);
}

/* What the response says of its lifetime: the targeted field first (RFC 9213 section 2.1). */
struct lifetime_source {
    struct cache_control cc;
    bool is_targeted;
};

static int64_t date_of(const struct freshness_exchange *x)
{
    int64_t date;

    if (fields_has(x->response, FIELD_DATE) &&
        fields_parse_date(fields_value(x->response, FIELD_DATE), x->response_s, &date))
        return date;
    return x->response_s; /* RFC 9110 section 6.6.1: a recipient without a date uses its own */
}

/* s-maxage, max-age, Expires: RFC 9111 section 4.2.1. */
static bool explicit_lifetime(const struct freshness_exchange *x, const struct lifetime_source *s,
                              uint32_t *out_s)
{
    int64_t expires;

    if (cc_has(&s->cc, CC_S_MAXAGE)) {
        *out_s = s->cc.seconds[CC_S_MAXAGE];
        return true;
    }
    if (cc_has(&s->cc, CC_MAX_AGE)) {
        *out_s = s->cc.seconds[CC_MAX_AGE];
        return true;
    }
    if (s->is_targeted || !fields_has(x->response, FIELD_EXPIRES))
        return false;
    /* An invalid date, above all "0", is in the past (RFC 9111 section 5.3). */
    *out_s = 0;
    if (fields_count(x->response, FIELD_EXPIRES) == 1 &&
        fields_parse_date(fields_value(x->response, FIELD_EXPIRES), x->response_s, &expires) &&
        expires > date_of(x)) {
        int64_t span = expires - date_of(x);

        *out_s = span > FIELDS_SECONDS_MAX ? FIELDS_SECONDS_MAX : (uint32_t)span;
    }
    return true;
}

/* A tenth of the time since the last change (RFC 9111 section 4.2.2), at most a day. */
static uint32_t heuristic_lifetime(const struct freshness_exchange *x)
{
    int64_t modified, since;

    if (!fields_has(x->response, FIELD_LAST_MODIFIED) ||
        !fields_parse_date(fields_value(x->response, FIELD_LAST_MODIFIED), x->response_s,
                           &modified))
        return 0;
    since = date_of(x) - modified;
    if (since <= 0)
        return 0;
    return since / 10 > 86400 ? 86400 : (uint32_t)(since / 10);
}

/* RFC 9111 section 4.2.3. */
static uint32_t initial_age(const struct freshness_exchange *x)
{
    int64_t apparent = x->response_s - date_of(x);
    int64_t corrected = (int64_t)fields_read_age(x->response) + (x->response_s - x->request_s);
    int64_t age = apparent > corrected ? apparent : corrected;

    if (age < 0)
        return 0;
    return age > FIELDS_SECONDS_MAX ? FIELDS_SECONDS_MAX : (uint32_t)age;
}

/* RFC 9111 section 3.5; a certificate says no less of who asks than Authorization does. */
static bool has_credentials(const struct fields *request)
{
    return fields_has(request, FIELD_AUTHORIZATION) || fields_has(request, FIELD_CLIENT_CERT);
}

static bool allows_authorized(const struct cache_control *cc)
{
    return cc_has(cc, CC_PUBLIC) || cc_has(cc, CC_S_MAXAGE) || cc_has(cc, CC_MUST_REVALIDATE);
}

static void fill_lifetimes(const struct lifetime_source *s, struct freshness *out)
{
    const struct cache_control *cc = &s->cc;

    /* no-cache="field" asks to validate before those fields are sent: it is done for all. */
    out->always_validates = cc_has(cc, CC_NO_CACHE) || cc->no_cache_names.n > 0;
    out->never_stale = out->always_validates || cc_has(cc, CC_MUST_REVALIDATE) ||
                       cc_has(cc, CC_PROXY_REVALIDATE) || cc_has(cc, CC_S_MAXAGE);
    if (cc_has(cc, CC_STALE_WHILE_REVALIDATE))
        out->stale_while_revalidate_s = cc->seconds[CC_STALE_WHILE_REVALIDATE];
    if (cc_has(cc, CC_STALE_IF_ERROR))
        out->stale_if_error_s = cc->seconds[CC_STALE_IF_ERROR];
}

/* What forbids storing, whatever the lifetime (RFC 9111 section 3). */
static enum freshness_verdict judge_storing(const struct freshness_exchange *x,
                                            const struct cache_control *cc)
{
    struct cache_control asked;
    bool is_understood_only =
        cc_has(cc, CC_MUST_UNDERSTAND) && is_heuristically_cacheable(x->status);

    if (x->method != HTTP_METHOD_GET)
        return FRESHNESS_METHOD;
    if (!is_understood(x->status) || (cc_has(cc, CC_MUST_UNDERSTAND) && !is_understood_only))
        return FRESHNESS_STATUS;
    fields_read_cache_control(x->request, &asked);
    /* must-understand: no-store beside it is for caches that do not know it (5.2.2.3). */
    if ((cc_has(cc, CC_NO_STORE) && !is_understood_only) || cc_has(&asked, CC_NO_STORE))
        return FRESHNESS_NO_STORE;
    /* private="field" would let the rest be stored; keeping none of it is always allowed. */
    if (cc_has(cc, CC_PRIVATE) || cc->private_names.n > 0)
        return FRESHNESS_PRIVATE;
    if (has_credentials(x->request) && !allows_authorized(cc))
        return FRESHNESS_AUTHORIZATION;
    if (fields_has(x->response, FIELD_SET_COOKIE))
        return FRESHNESS_SET_COOKIE;
    if (has_vary_star(x->response))
        return FRESHNESS_VARY;
    return FRESHNESS_STORE;
}

enum freshness_verdict freshness_of_response(const struct freshness_exchange *x,
                                             struct freshness *out)
{
    struct lifetime_source source = {0};
    enum freshness_verdict verdict;
    bool is_explicit;

    *out = (struct freshness){0};
    source.is_targeted = fields_read_cdn_cache_control(x->response, &source.cc);
    if (!source.is_targeted)
        fields_read_cache_control(x->response, &source.cc);
    verdict = judge_storing(x, &source.cc);
    if (verdict != FRESHNESS_STORE)
        return verdict;
    fill_lifetimes(&source, out);
    out->initial_age_s = initial_age(x);
    is_explicit = explicit_lifetime(x, &source, &out->lifetime_s);
    if (!is_explicit && !cc_has(&source.cc, CC_PUBLIC) && !is_heuristically_cacheable(x->status))
        return FRESHNESS_STATUS;
    if (!is_explicit) {
        out->lifetime_s = heuristic_lifetime(x);
        if (out->lifetime_s == 0 && has_validator(x->response))
            out->lifetime_s = x->default_ttl_s;
    }
    /* Without a lifetime it is worth its room only if the origin can confirm it cheaply. */
    if ((out->lifetime_s <= out->initial_age_s || out->always_validates) &&
        !has_validator(x->response) && out->stale_while_revalidate_s == 0)
        return FRESHNESS_NOTHING;
    return FRESHNESS_STORE;
}

void freshness_of_request(enum http_method method, const struct fields *request, bool is_obeyed,
                          struct freshness_request *out)
{
    struct cache_control cc;

    *out = (struct freshness_request){.is_lookup_allowed =
                                          method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD};
    if (!fields_has(request, FIELD_CACHE_CONTROL) && !fields_has(request, FIELD_PRAGMA))
        return;
    fields_read_cache_control(request, &cc);
    out->is_only_if_cached = cc_has(&cc, CC_ONLY_IF_CACHED);
    out->is_no_store = cc_has(&cc, CC_NO_STORE);
    if (!is_obeyed)
        return;
    out->is_validation_wanted = cc_has(&cc, CC_NO_CACHE) ||
                                (cc_has(&cc, CC_MAX_AGE) && cc.seconds[CC_MAX_AGE] == 0) ||
                                (!fields_has(request, FIELD_CACHE_CONTROL) &&
                                 fields_has_token(request, FIELD_PRAGMA, "no-cache"));
}

uint32_t freshness_age_s(const struct freshness *f, int64_t resident_s)
{
    int64_t age = (int64_t)f->initial_age_s + (resident_s > 0 ? resident_s : 0);

    return age > FIELDS_SECONDS_MAX ? FIELDS_SECONDS_MAX : (uint32_t)age;
}

/* Seconds beyond the lifetime; negative: fresh. */
static int64_t staleness_s(const struct freshness *f, int64_t resident_s)
{
    return (int64_t)freshness_age_s(f, resident_s) - f->lifetime_s;
}

enum freshness_use freshness_use(const struct freshness *f, int64_t resident_s)
{
    int64_t stale_s = staleness_s(f, resident_s);

    if (f->always_validates)
        return FRESHNESS_STALE;
    if (stale_s < 0)
        return FRESHNESS_FRESH;
    if (!f->never_stale && stale_s < f->stale_while_revalidate_s)
        return FRESHNESS_STALE_USABLE;
    return FRESHNESS_STALE;
}

bool freshness_is_usable_on_error(const struct freshness *f, int64_t resident_s)
{
    return !f->never_stale && staleness_s(f, resident_s) < f->stale_if_error_s;
}
