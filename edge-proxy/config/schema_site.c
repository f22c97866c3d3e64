/* SPDX-License-Identifier: BSD-2-Clause */
/* Of edge-proxy.yaml: sites and their routes. */
#include "edge-proxy/config/config_internal.h"

/* What {names} stand for, as the manual tells it. */
#define VARIABLE_HELP_(id, name, help) " {" name "}, " help ";"
#define VARIABLES_HELP CONFIG_VARIABLES(VARIABLE_HELP_)

static const struct conf_field LINE_FIELDS[] = {
    {
        .key = "value",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_line, value),
        .is_required = true,
        .check = config_check_template,
        .help = "Its value. May stand for the whole header. {Names} are replaced:" VARIABLES_HELP
                " a brace itself is written \"{{\".",
    },
};
static const struct conf_struct LINE = {
    .what = "header",
    .size = sizeof(struct file_line),
    CONF_FIELDS(LINE_FIELDS),
    .shorthand = "value",
    .name = CONF_AT(struct file_line, name),
    .check_name = config_check_line_name,
};

static const struct conf_field RULES_FIELDS[] = {
    {
        .key = "remove",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_field_rules, remove, n_remove),
        .check = config_check_field_name,
        .expects = "the name of a header field",
        .max_items = 256,
        .help = "Header fields that are taken out.",
    },
    {
        .key = "set",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_field_rules, set, n_set),
        .of = &LINE,
        .max_items = 64,
        .help = "Header fields that are written, in place of those that came.",
    },
    {
        .key = "add",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_field_rules, add, n_add),
        .of = &LINE,
        .max_items = 64,
        .help = "Header fields that are written besides those that came.",
    },
};
static const struct conf_struct RULES = {
    .what = "headers",
    .size = sizeof(struct file_field_rules),
    CONF_FIELDS(RULES_FIELDS),
};

static const struct conf_field PAGE_FIELDS[] = {
    {
        .key = "file",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file_page, path),
        .is_required = true,
        .help = "The page, at most 1MiB, read at each reload. May stand for the whole entry. Its "
                "Content-Type goes by the ending: .html, .json, .xml, .svg, else plain text.",
    },
};
const struct conf_struct config_page_schema = {
    .what = "error page",
    .size = sizeof(struct file_page),
    CONF_FIELDS(PAGE_FIELDS),
    .shorthand = "file",
    .name = CONF_AT(struct file_page, status),
    .place = CONF_AT(struct file_page, place),
    .check_name = config_check_statuses,
};

static const struct conf_field MAINTENANCE_FIELDS[] = {
    {
        .key = "active",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_site, maintenance.is_on),
        .preset = "false",
        .help = "Whether the site is closed. May stand for all of this: maintenance: on.",
    },
    {
        .key = "page",
        .kind = CONF_FILE,
        .slot = CONF_ONE(struct file_site, maintenance_path),
        .place = CONF_AT(struct file_site, maintenance_place),
        .help = "What visitors see. Absent: the page for 503.",
    },
    {
        .key = "retry-after",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct file_site, maintenance.retry_after_s),
        .preset = "5m",
        .min = "1s",
        .max = "30d",
        .help = "When to come again.",
    },
    {
        .key = "admit",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_site, maintenance.admitted, maintenance.n_admitted),
        .help = "Addresses from which the site is open even so.",
    },
};
static const struct conf_struct MAINTENANCE = {
    .what = "maintenance",
    .size = sizeof(struct file_site),
    CONF_FIELDS(MAINTENANCE_FIELDS),
    .shorthand = "active",
};

static const struct conf_choice VERIFY[] = {
    {"off", CONFIG_VERIFY_OFF},
    {"optional", CONFIG_VERIFY_OPTIONAL},
    {"required", CONFIG_VERIFY_REQUIRED},
    {NULL, 0},
};

static const struct conf_field CREDENTIALS_FIELDS[] = {
    {
        .key = "verify",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct config_credentials, verify),
        .choices = VERIFY,
        .preset = "required",
        .help = "Whether visitors must show one; a bad one is refused also where it is optional. "
                "Refused visitors get a TLS alert.",
    },
    {
        .key = "ca",
        .kind = CONF_FILE,
        .slot = CONF_LIST(struct config_credentials, ca_paths, n_ca),
        .is_required = true,
        .max_items = 64,
        .help = "CAs whose certificates are good, PEM; no others are, nor the system's. Their "
                "names are shown to visitors.",
    },
    {
        .key = "crl",
        .kind = CONF_FILE,
        .slot = CONF_LIST(struct config_credentials, crl_paths, n_crl),
        .max_items = 64,
        .help = "Lists of revoked certificates, PEM, read at each reload: one of every CA from the "
                "visitor's up to the root. One that is missing or has run out refuses everybody "
                "whom it could be about. Absent: nothing is revoked.",
    },
    {
        .key = "depth",
        .kind = CONF_NUMBER,
        .slot = CONF_ONE(struct config_credentials, depth),
        .preset = "3",
        .max = "10",
        .help = "How many CAs may stand between a visitor's certificate and one of ca.",
    },
};
static const struct conf_struct CREDENTIALS = {
    .what = "client-certificates",
    .size = sizeof(struct config_credentials),
    CONF_FIELDS(CREDENTIALS_FIELDS),
};

static const struct conf_choice REDIRECT_STATUSES[] = {
    {"301", 301}, {"302", 302}, {"303", 303}, {"307", 307}, {"308", 308}, {NULL, 0},
};

static const char *check_redirect(struct str text)
{
    const char *wrong = config_check_template(text);

    if (wrong != NULL)
        return wrong;
    if (text.n > 0 && (text.p[0] == '/' || text.p[0] == '{'))
        return NULL;
    return memmem(text.p, text.n, "://", 3) != NULL
               ? NULL
               : "is neither a URL with its scheme nor a path that begins with '/'";
}

static const char *check_replacement(struct str text)
{
    return config_check_prefix(&text);
}

static const struct conf_field ROUTE_FIELDS[] = {
    {
        .key = "pool",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_route, pool),
        .place = CONF_AT(struct file_route, pool_place),
        .help = "The pool that serves it. May stand for the whole route: /: app. A route without "
                "one has redirect.",
    },
    {
        .key = "redirect",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_route, redirect),
        .place = CONF_AT(struct file_route, redirect_place),
        .check = check_redirect,
        .help =
            "Where visitors are sent instead: a URL or path with {names} as in headers, such as "
            "https://www.example.com{path}{query}.",
    },
    {
        .key = "redirect-status",
        .kind = CONF_ENUM,
        .slot = CONF_ONE(struct file_route, redirect_status),
        .choices = REDIRECT_STATUSES,
        .help = "The status of that redirect: 301 and 302 let visitors turn a POST into a GET, 308 "
                "and 307 do not. Absent: 302.",
    },
    {
        .key = "replace-prefix",
        .kind = CONF_STRING,
        .slot = CONF_ONE(struct file_route, route.replacement),
        .place = CONF_AT(struct file_route, replacement_place),
        .check = check_replacement,
        .help = "What the origin is asked for in place of the route's prefix: with /app/ replaced "
                "by /, /app/x is /x there. Paths in its redirects are turned back.",
    },
    {
        .key = "request-headers",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_route, request),
        .of = &RULES,
        .help = "What is done to the header of requests on their way to the origin, after and over "
                "what the site says. Cached responses are the same for everybody: what depends on "
                "the visitor belongs on routes with cache: off.",
    },
    {
        .key = "response-headers",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_route, response),
        .of = &RULES,
        .help =
            "What is done to the header of responses on their way to the visitor, wherever they "
            "come from, after and over what the site says.",
    },
    {
        .key = "allow",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_route, route.access.allowed, route.access.n_allowed),
        .help = "Networks that may come; others are answered 403. Absent: all may.",
    },
    {
        .key = "deny",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_route, route.access.denied, route.access.n_denied),
        .help = "Networks that may not come, also of those in allow.",
    },
    {
        .key = "rate-limits",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_route, rate_limits, n_rate_limits),
        .of = &config_rate_limit_schema,
        .max_items = 8,
        .help = "How many requests may come; more are answered 429 with Retry-After. Hits of the "
                "cache count, too.",
    },
    {
        .key = "own-errors",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_route, route.has_own_errors),
        .preset = "false",
        .help = "Whether error-pages also take the place of what an origin sends with such a "
                "status.",
    },
    {
        .key = "cache",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_route, route.is_cached),
        .preset = "true",
        .help = "Whether responses may come from the cache and go into it.",
    },
    {
        .key = "default-ttl",
        .kind = CONF_DURATION_S,
        .slot = CONF_ONE(struct file_route, route.default_ttl_s),
        .preset = "0s",
        .max = "365d",
        .help = "Freshness of responses that have a validator and say nothing themselves.",
    },
    {
        .key = "client-no-cache",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_route, route.has_client_no_cache),
        .preset = "false",
        .help = "Whether a visitor's Cache-Control: no-cache makes the proxy ask the origin.",
    },
};
static const struct conf_struct ROUTE = {
    .what = "route",
    .size = sizeof(struct file_route),
    CONF_FIELDS(ROUTE_FIELDS),
    .shorthand = "pool",
    .name = CONF_AT(struct file_route, route.prefix),
    .place = CONF_AT(struct file_route, place),
    .check_name = config_check_prefix,
};

static const struct conf_field SITE_FIELDS[] = {
    {
        .key = "aliases",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_site, aliases, n_aliases),
        .item_places = CONF_AT(struct file_site, alias_places),
        .check = config_check_host,
        .expects = "a host",
        .help = "More hosts of this site. \"*.example.com\" stands for all names below "
                "example.com, \"*\" for any host that no other site has.",
    },
    {
        .key = "redirect-to-https",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_site, is_redirect_https),
        .place = CONF_AT(struct file_site, redirect_place),
        .preset = "false",
        .help = "Whether requests without TLS are sent to https.",
    },
    {
        .key = "request-headers",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_site, request),
        .of = &RULES,
        .help = "What is done to the header of requests on their way to an origin, on all routes.",
    },
    {
        .key = "response-headers",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_site, response),
        .of = &RULES,
        .help = "What is done to the header of responses on their way to the visitor, on all "
                "routes.",
    },
    {
        .key = "error-pages",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_site, pages, n_pages),
        .of = &config_page_schema,
        .help = "Bodies of the answers that edge-proxy makes itself for this site, by status.",
    },
    {
        .key = "tag-fields",
        .kind = CONF_STRING,
        .slot = CONF_LIST(struct file_site, tag_fields, n_tag_fields),
        .check = config_check_field_name,
        .expects = "the name of a field",
        .max_items = 8,
        .help = "Response fields in which origins name the tags of a response, between spaces or "
                "commas, for gslbctl purge tag. Absent: Surrogate-Key and Cache-Tag.",
    },
    {
        .key = "show-tags",
        .kind = CONF_BOOL,
        .slot = CONF_ONE(struct file_site, has_shown_tags),
        .preset = "false",
        .help = "Whether visitors get those fields, too: for another cache in front.",
    },
    {
        .key = "allow",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_site, access.allowed, access.n_allowed),
        .help = "Networks that may come; others are answered 403. Absent: all may.",
    },
    {
        .key = "deny",
        .kind = CONF_PREFIX,
        .slot = CONF_LIST(struct file_site, access.denied, access.n_denied),
        .help = "Networks that may not come, also of those in allow.",
    },
    {
        .key = "client-certificates",
        .kind = CONF_STRUCT,
        .slot = CONF_ONE(struct file_site, credentials),
        .place = CONF_AT(struct file_site, credentials.place),
        .of = &CREDENTIALS,
        .help = "Visitors show a certificate of their own (mutual TLS). Origins get it in the "
                "field Client-Cert (RFC 9440), which nobody else can bring in. A connection that "
                "was made under other conditions than the site of a request has is answered 421; "
                "without TLS, where one is required, 403. Responses to a request with a "
                "certificate are stored only if they say that they are for all (public, s-maxage "
                "or must-revalidate), and Vary: Client-Cert tells visitors apart.",
    },
    {
        .key = "maintenance",
        .kind = CONF_STRUCT,
        .slot = CONF_SECTION(struct file_site),
        .of = &MAINTENANCE,
        .help = "A site that is closed for a while answers 503.",
    },
    {
        .key = "routes",
        .kind = CONF_STRUCT,
        .slot = CONF_MAP(struct file_site, routes, n_routes),
        .of = &ROUTE,
        .is_required = true,
        .help = "Prefixes of the path; the longest that matches takes the request.",
    },
};
const struct conf_struct config_site_schema = {
    .what = "site",
    .size = sizeof(struct file_site),
    CONF_FIELDS(SITE_FIELDS),
    .name = CONF_AT(struct file_site, name),
    .place = CONF_AT(struct file_site, place),
    .check_name = config_check_host_name,
};
