/* SPDX-License-Identifier: BSD-2-Clause */
/* edge-proxy's config: the whole file, its defaults, and every rule between its parts. */
#include "edge-proxy/config/config.h"
#include "tests/lib/config_fixture.h"

#include <openssl/tls1.h>

#define HEAD                                      \
    "name: e1\nlisten: [127.0.0.1:80]\n"          \
    "pools: {app: {origins: [127.0.0.1:9001]}}\n" \
    "sites: {www.a.org: {routes: {/: app}}}\n"

static void a_whole_file_is_taken(void **state)
{
    struct text said = {0};
    struct config *c;
    char buf[ADDR_TEXT];

    (void)state;
    c = load("name: eu-west-1\n"
             "workers: 3\n"
             "listen: [127.0.0.1:80, {address: \"[::1]:443\", tls: true}]\n"
             "tls: {certificates: [{certificate: pem, key: z}], min-version: 1.3}\n"
             "cache: {memory: 64MiB, max-object: 8MiB}\n"
             "pools:\n"
             "  app:\n"
             "    origins: [127.0.0.1:9001, {address: 127.0.0.1:9002, weight: 2}]\n"
             "    tls: {server-name: a.org, ca: pem, verify: off}\n"
             "    host: a.org:8080\n"
             "    check: {path: /health, host: h.org, interval: 5s, timeout: 2s, rise: 4, fall: 5, "
             "status: 204}\n"
             "    connect-timeout: 1s\n    first-byte-timeout: 2s\n    idle-timeout: 3s\n"
             "    keep-idle: 0\n"
             "  static: {origins: [\"[::1]:9003\"], tls: on, check: {interval: 500ms}}\n"
             "sites:\n"
             "  WWW.a.org:\n"
             "    aliases: [a.org, \"*.A.org\", \"[::1]\"]\n"
             "    redirect-to-https: on\n"
             "    routes: {/: app, /static/: {pool: static, cache: no, default-ttl: 1h, "
             "client-no-cache: yes}, /st: static}\n"
             "  \"*\": {routes: {/: app}}\n"
             "forwarded: both\n"
             "trusted-proxies: [10.0.0.0/8, \"::1\"]\n"
             "access-log: log/a.json\n"
             "limits: {header-timeout: 1s, keep-alive: 2s, body-idle: 3s, min-rate: off, "
             "head-size: 8k, buffers: 8MiB, "
             "max-connections: 50, target-connections: 20, drain: 4s, tunnel-idle: 5m}\n"
             "control: {servers: [127.0.0.1:8530, {name: ns2, address: 127.0.0.2:8530}], "
             "certificate: pem, key: pem, ca: pem, socket: run/e, report-interval: 500ms}\n"
             "metrics: \"[::1]:9154\"\n",
             &said);
    assert_string_equal(said.p, "");
    assert_string_equal(c->name, "eu-west-1");
    assert_int_equal(c->workers, 3);
    assert_int_equal(c->n_listeners, 2);
    assert_false(c->listeners[0].is_tls);
    assert_true(c->listeners[1].is_tls);
    assert_int_equal(c->listeners[0].proxies.n_from, 0);
    assert_int_equal(c->listeners[1].place.line, 3);
    assert_int_equal(c->listeners[1].place.column, 24);
    assert_int_equal(c->tls.min_version, TLS1_3_VERSION);
    assert_string_equal(c->tls.certificates[0].key_path, in_folder("z"));
    assert_true(c->cache.memory_bytes == 64 << 20);
    assert_true(c->cache.max_object_bytes == 8 << 20);
    assert_int_equal(c->n_pools, 2);
    assert_string_equal(c->pools[0].origins[0].name, "127.0.0.1:9001");
    assert_int_equal(c->pools[0].origins[0].weight, 1);
    assert_int_equal(c->pools[0].origins[1].weight, 2);
    assert_true(c->pools[0].tls.is_on);
    assert_true(c->pools[0].tls.is_unverified);
    assert_string_equal(c->pools[0].tls.server_name, "a.org");
    assert_string_equal(c->pools[0].host_header, "a.org:8080");
    assert_string_equal(c->pools[0].check.path, "/health");
    assert_string_equal(c->pools[0].check.host, "h.org");
    assert_int_equal(c->pools[0].check.interval_ms, 5000);
    assert_int_equal(c->pools[0].check.timeout_ms, 2000);
    assert_int_equal(c->pools[0].check.rise, 4);
    assert_int_equal(c->pools[0].check.fall, 5);
    assert_int_equal(c->pools[0].check.status_low, 204);
    assert_int_equal(c->pools[0].check.status_high, 204);
    assert_int_equal(c->pools[0].connect_timeout_ms, 1000);
    assert_int_equal(c->pools[0].first_byte_timeout_ms, 2000);
    assert_int_equal(c->pools[0].idle_timeout_ms, 3000);
    assert_int_equal(c->pools[0].keep_idle, 0);
    assert_true(c->pools[1].tls.is_on);
    assert_false(c->pools[1].tls.is_unverified);
    assert_int_equal(c->pools[1].check.timeout_ms, 500); /* not longer than the interval */
    assert_int_equal(c->n_sites, 2);
    assert_string_equal(c->sites[0].name, "WWW.a.org");
    assert_int_equal(c->sites[0].n_hosts, 4);
    assert_string_equal(c->sites[0].hosts[0], "www.a.org");
    assert_string_equal(c->sites[0].hosts[2], "*.a.org");
    assert_true(c->sites[0].is_redirect_https);
    assert_int_equal(c->sites[0].n_routes, 3);
    assert_string_equal(c->sites[0].routes[0].prefix, "/static/");
    assert_int_equal(c->sites[0].routes[0].pool, 1);
    assert_false(c->sites[0].routes[0].is_cached);
    assert_int_equal(c->sites[0].routes[0].default_ttl_s, 3600);
    assert_true(c->sites[0].routes[0].has_client_no_cache);
    assert_string_equal(c->sites[0].routes[1].prefix, "/st");
    assert_true(c->sites[0].routes[1].is_cached);
    assert_string_equal(c->sites[0].routes[2].prefix, "/");
    assert_int_equal(c->sites[0].routes[2].pool, 0);
    assert_string_equal(c->sites[1].hosts[0], "*");
    assert_int_equal(c->forwarded, CONFIG_FORWARDED_BOTH);
    assert_int_equal(c->trusted[1].length, 128);
    assert_string_equal(c->access_log_path, in_folder("log/a.json"));
    assert_int_equal(c->limits.header_timeout_ms, 1000);
    assert_int_equal(c->limits.keep_alive_ms, 2000);
    assert_int_equal(c->limits.body_idle_ms, 3000);
    assert_int_equal(c->limits.min_rate_bytes, 0);
    assert_int_equal(c->limits.head_bytes, 8192);
    assert_int_equal(c->limits.max_connections, 50);
    assert_int_equal(c->limits.target_connections, 20);
    assert_int_equal(c->limits.drain_ms, 4000);
    assert_int_equal(c->limits.tunnel_idle_ms, 300000);
    assert_int_equal(c->limits.buffer_bytes, 8 << 20);
    assert_int_equal(c->control.n_servers, 2);
    assert_string_equal(c->control.servers[0].name, "127.0.0.1:8530");
    assert_string_equal(c->control.servers[1].name, "ns2");
    assert_string_equal(addr_format(&c->control.servers[1].address, buf), "127.0.0.2:8530");
    assert_string_equal(c->control.socket_path, in_folder("run/e"));
    assert_int_equal(c->control.report_interval_ms, 500);
    assert_int_equal(addr_port(&c->metrics), 9154);
    text_free(&said);
    config_free(c);
}

static void defaults_hold(void **state)
{
    struct text said = {0};
    struct config *c = load(HEAD, &said);

    (void)state;
    assert_string_equal(said.p, "");
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->tls.min_version, TLS1_2_VERSION);
    assert_true(c->cache.memory_bytes == 256 << 20);
    assert_true(c->cache.max_object_bytes == 16 << 20);
    assert_false(c->pools[0].tls.is_on);
    assert_int_equal(c->pools[0].check.interval_ms, 0);
    assert_null(c->pools[0].host_header);
    assert_int_equal(c->pools[0].connect_timeout_ms, 3000);
    assert_int_equal(c->pools[0].first_byte_timeout_ms, 60000);
    assert_int_equal(c->pools[0].idle_timeout_ms, 60000);
    assert_true(c->sites[0].routes[0].is_cached);
    assert_false(c->sites[0].is_redirect_https);
    assert_int_equal(c->forwarded, CONFIG_FORWARDED_X);
    assert_int_equal(c->n_trusted, 0);
    assert_string_equal(c->access_log_path, "-");
    assert_int_equal(c->limits.header_timeout_ms, 10000);
    assert_int_equal(c->limits.keep_alive_ms, 60000);
    assert_int_equal(c->limits.body_idle_ms, 60000);
    assert_int_equal(c->limits.min_rate_bytes, 100);
    assert_int_equal(c->limits.max_connections, 20000);
    assert_int_equal(c->limits.target_connections, 15000);
    assert_int_equal(c->limits.drain_ms, 30000);
    assert_int_equal(c->limits.tunnel_idle_ms, 3600000);
    assert_true(c->limits.buffer_bytes > 64 << 20); /* half of any machine's */
    assert_int_equal(c->control.report_interval_ms, 1000);
    assert_int_equal(c->control.n_servers, 0);
    assert_null(c->control.socket_path);
    assert_int_equal(c->metrics.length, 0);
    text_free(&said);
    config_free(c);
}

/* HEAD's lines come first: these begin with line 5. */
static const struct mistake MISTAKES[] = {
    {"cache off", "cache: {memory: off}\n", ""},
    {"small cache, its own limit", "cache: {memory: 1MiB}\n", ""},
    {"cache too small", "cache: {memory: 512KiB}\n",
     "5:17 memory: 512KiB is out of range (1MiB to 16TiB)\n"},
    {"object too large", "cache: {memory: 20MiB, max-object: 11MiB}\n",
     "5:36 max-object: 11.0 MiB is more than half of memory (10.0 MiB)\n"},
    {"object without cache", "cache: {memory: off, max-object: 1MiB}\n",
     "5:34 warning: max-object is never used with memory: off\n"},
    {"a disk", "cache: {disk: {file: /tmp/store, size: 1GiB}}\n", ""},
    {"a disk without a file", "cache: {disk: {size: 1GiB}}\n",
     "5:9 required key 'file' is missing in disk\n"},
    {"a disk in no folder", "cache: {disk: {file: /no/such/store, size: 1GiB}}\n",
     "5:22 file: /no/such/: No such file or directory\n"},
    {"a disk too small", "cache: {disk: {file: /tmp/store, size: 1MiB}}\n",
     "5:40 size: 1MiB is out of range (16MiB to 256TiB)\n"},
    {"a disk without cache", "cache: {memory: off, disk: {file: /tmp/store, size: 1GiB}}\n",
     "5:35 warning: disk is never used with memory: off\n"},
    {"a disk with too large an index",
     "cache: {disk: {file: /tmp/store, size: 256TiB, object-size: 1KiB}}\n",
     "5:22 the index of 274877906944 responses would take more than half of this machine's "
     "memory; a larger object-size makes it smaller\n"},
    {"version", "tls: {min-version: 1.1}\n",
     "5:20 min-version: expected one of 1.2, 1.3, found '1.1'; did you mean '1.2'?\n"},
    {"certificate without key", "tls: {certificates: [{certificate: pem}]}\n",
     "5:22 required key 'key' is missing in certificate\n"},
    {"certificate missing", "tls: {certificates: [{certificate: nix, key: pem}]}\n",
     "5:36 certificate: "},
    {"certificate as text", "tls: {certificates: [pem]}\n",
     "5:22 certificates: expected a mapping {certificate: FILE, key: FILE}, found 'pem'\n"},
    {"control without certificates", "control: {servers: [127.0.0.1:8530]}\n",
     "5:21 control has servers, so 'certificate' is required\n"
     "5:21 control has servers, so 'key' is required\n"
     "5:21 control has servers, so 'ca' is required\n"},
    {"server by name", "control: {servers: [ns1:8530], certificate: pem, key: pem, ca: pem}\n",
     "5:21 address: expected an IP address with port such as 192.0.2.53:8530 (names are not "
     "resolved), found 'ns1:8530'\n"},
    {"server twice",
     "control: {servers: [127.0.0.1:1, {name: x, address: 127.0.0.1:1}], certificate: pem, key: "
     "pem, ca: pem}\n",
     "5:34 servers: 127.0.0.1:1 stands here twice\n"},
    {"forwarded", "forwarded: rfc7329\n",
     "5:12 forwarded: expected one of x-forwarded, rfc7239, both, found 'rfc7329'; did you mean "
     "'rfc7239'?\n"},
    {"trusted with host bits", "trusted-proxies: [10.0.0.1/8]\n",
     "5:19 trusted-proxies: expected a prefix such as 10.0.0.0/8, found '10.0.0.1/8'; did you mean "
     "10.0.0.0/8?\n"},
    {"access log empty", "access-log:\n",
     "5:1 'access-log' has no value; remove the line or give it one\n"},
    {"target above max", "limits: {max-connections: 10, target-connections: 20}\n",
     "5:51 target-connections: 20 is more than max-connections (10)\n"},
    {"head size", "limits: {head-size: 1KiB}\n",
     "5:21 head-size: 1KiB is out of range (4KiB to 32KiB)\n"},
};

#define SITE "sites: {a.org: {routes: {/: app}}}\n"
#define POOL "pools: {app: {origins: [127.0.0.1:1]}}\n"

/* Whole files. */
static const struct mistake FILES[] = {
    {"nothing", "{}\n",
     "1:1 required key 'name' is missing\n1:1 required key 'listen' is missing\n"
     "1:1 required key 'pools' is missing\n1:1 required key 'sites' is missing\n"},
    {"name", "name: a b\nlisten: [127.0.0.1:80]\n" POOL SITE,
     "1:7 name: 'a b' is not a name: letters, digits, '-', '_' and '.' only\n"},
    {"listener twice", "name: e\nlisten: [127.0.0.1:80, {address: 127.0.0.1:80}]\n" POOL SITE,
     "2:24 listen: 127.0.0.1:80 stands here twice, first in line 2\n"},
    {"load balancers that nobody is",
     "name: e\nlisten:\n  - address: 127.0.0.1:80\n"
     "    proxy-protocol: {others: serve}\n" POOL SITE,
     "4:5 required key 'from' is missing in proxy-protocol\n"},
    {"wrong words for load balancers",
     "name: e\nlisten:\n  - address: 127.0.0.1:80\n"
     "    proxy-protocol: {from: [10.0.0.1/8], others: pass}\n" POOL SITE,
     "4:29 from: expected a prefix such as 10.0.0.0/8, found '10.0.0.1/8'; did you mean "
     "10.0.0.0/8?\n4:50 others: expected one of refuse, serve, found 'pass'\n"},
    {"listener without port", "name: e\nlisten: [127.0.0.1]\n" POOL SITE,
     "2:10 address: expected an IP address with port"},
    {"TLS without certificates",
     "name: e\nlisten: [{address: 127.0.0.1:443, tls: true}]\n" POOL SITE,
     "2:10 listen: 127.0.0.1:443 speaks TLS, but tls has no certificates\n"},
    {"redirect without TLS",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL
     "sites: {a.org: {redirect-to-https: on, routes: {/: app}}}\n",
     "4:36 warning: site 'a.org' redirects to https, but no listener here speaks TLS\n"},
    {"pool of no route",
     "name: e\nlisten: [127.0.0.1:80]\n"
     "pools: {app: {origins: [127.0.0.1:1]}, b: {origins: [127.0.0.1:2]}}\n" SITE,
     "3:40 warning: pool 'b' is used by no route\n"},
    {"origin without a port",
     "name: e\nlisten: [127.0.0.1:80]\npools: {app: {origins: [app]}}\n" SITE,
     "3:25 address: 'app' has no port: 10.0.0.1:8080, app.example.net:8080"},
    {"origin twice",
     "name: e\nlisten: [127.0.0.1:80]\npools: {app: {origins: [127.0.0.1:1, 127.0.0.1:1]}}\n" SITE,
     "3:38 origins: 127.0.0.1:1 stands here twice; give it a weight instead\n"},
    {"origin at port 0",
     "name: e\nlisten: [127.0.0.1:0]\npools: {app: {origins: [127.0.0.1:0]}}\n" SITE,
     "3:25 address: nobody can be reached at port 0\n"},
    {"no origin", "name: e\nlisten: [127.0.0.1:80]\npools: {app: {origins: []}}\n" SITE,
     "3:24 origins: must not be empty\n"},
    {"weight",
     "name: e\nlisten: [127.0.0.1:80]\n"
     "pools: {app: {origins: [{address: 127.0.0.1:1, weight: 0}]}}\n" SITE,
     "3:56 weight: 0 is out of range (1 to 1000)\n"},
    {"check",
     "name: e\nlisten: [127.0.0.1:80]\npools:\n  app:\n    origins: [127.0.0.1:1]\n"
     "    check: {interval: 1s, timeout: 2s, path: health, status: 200-700, host: \"*.a\"}\n" SITE,
     "6:5 check: timeout (2000ms) is longer than interval (1000ms)\n"
     "6:46 path: 'health' does not begin with '/'\n"
     "6:62 status: expected a status or a range of them such as 200-399, found '200-700'\n"
     "6:77 host: '*.a' is a pattern, not a host\n"},
    {"pool's host",
     "name: e\nlisten: [127.0.0.1:80]\n"
     "pools: {app: {origins: [127.0.0.1:1], host: \"a.org:99999\"}}\n" SITE,
     "3:45 host: 'a.org:99999' has no valid port behind ':'\n"},
    {"pool is no mapping", "name: e\nlisten: [127.0.0.1:80]\npools: {app: off}\n" SITE,
     "3:14 pools: expected a mapping (key: value), found 'off'\n"},
    {"route to an unknown pool",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {/: app, /x: ap}}}\n",
     "4:38 route '/x': unknown pool 'ap'; did you mean 'app'?\n"},
    {"route without slash",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {/: app, x: app}}}\n",
     "4:34 route name 'x' does not begin with '/'\n"},
    {"route with a query",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {/: app, /x?a: app}}}\n",
     "4:34 route name '/x?a' has a query; routes are chosen by the path alone\n"},
    {"route twice",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {/: app, \"/\": app}}}\n",
     "4:34 routes: '/' stands here twice, first in line 4\n"},
    {"certificates without a CA",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL
     "sites: {a.org: {client-certificates: {verify: optional}, routes: {/: app}}}\n",
     "4:17 required key 'ca' is missing in client-certificates\n"},
    {"no route", "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {}}}\n",
     "3:9 warning: pool 'app' is used by no route\n4:25 routes: must not be empty\n"},
    {"host in two sites",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL
     "sites:\n  a.org: {routes: {/: app}}\n  b.org: {aliases: [A.org], routes: {/: app}}\n",
     "6:21 host 'a.org' stands already in site 'a.org'\n"},
    {"host twice in a site",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {aliases: [a.org], routes: {/: "
     "app}}}\n",
     "4:27 host 'a.org' stands in this site twice\n"},
    {"star in the middle",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {aliases: [w.*.org, \"*a.org\"], "
     "routes: {/: app}}}\n",
     "4:27 aliases: 'w.*.org' has '*' in a wrong place; \"*.example.com\" and \"*\" are "
     "understood\n"
     "4:36 aliases: '*a.org' has '*' in a wrong place; \"*.example.com\" and \"*\" are "
     "understood\n"},
    {"host with a port",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {\"a.org:80\": {routes: {/: app}}}\n",
     "4:9 site name 'a.org:80' has a port or a ':'; a site is named by its host alone, an IPv6 "
     "address is in brackets\n"},
    {"host with empty labels",
     "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a..org: {routes: {/: app}}}\n",
     "4:9 site name 'a..org' has an empty label, a final dot, or one longer than 63 characters\n"},
};

#define ROUTE(text) \
    "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {routes: {/: app, /x: " text "}}}\n"
#define SITE_WITH(text) \
    "name: e\nlisten: [127.0.0.1:80]\n" POOL "sites: {a.org: {" text ", routes: {/: app}}}\n"

/* What is done to messages. */
static const struct mistake RULES[] = {
    {"a redirect", ROUTE("{redirect: \"https://{host}{path}{query}\", redirect-status: 308}"), ""},
    {"neither pool nor redirect", ROUTE("{cache: off}"),
     "4:34 route '/x': required key 'pool' is missing (or redirect)\n"},
    {"both", ROUTE("{pool: app, redirect: /y}"),
     "4:60 route '/x': it leads to a pool already; a route has pool or redirect\n"},
    {"a status alone", ROUTE("{pool: app, redirect-status: 301}"),
     "4:34 route '/x': redirect-status without redirect\n"},
    {"a status of no redirect", ROUTE("{redirect: /y, redirect-status: 200}"),
     "4:70 redirect-status: expected one of 301, 302, 303, 307, 308, found '200'\n"},
    {"a redirect nowhere", ROUTE("{redirect: www.b.org}"),
     "4:49 redirect: 'www.b.org' is neither a URL with its scheme nor a path that begins with "
     "'/'\n"},
    {"an unknown variable", ROUTE("{redirect: \"/{paht}\"}"),
     "4:49 redirect: '/{paht}' has a variable that does not exist; a brace itself is written "
     "\"{{\"\n"},
    {"a replacement on a redirect", ROUTE("{redirect: /y, replace-prefix: /z}"),
     "4:69 route '/x': replace-prefix is for origins; a redirect says where it leads itself, by "
     "{path}\n"},
    {"a replacement without slash", ROUTE("{pool: app, replace-prefix: z}"),
     "4:66 replace-prefix: 'z' does not begin with '/'\n"},
    {"headers of all kinds",
     ROUTE("{pool: app, request-headers: {set: {X-A: \"{client} {{x}\"}, add: {X-B: b}, remove: "
           "[X-C]}, response-headers: {remove: [Via]}}"),
     ""},
    {"framing",
     SITE_WITH("response-headers: {set: {Content-Length: \"3\"}, remove: [transfer-encoding]}"),
     "4:42 header name 'Content-Length' is about where a message ends or about one connection: "
     "edge-proxy writes it itself\n"
     "4:73 remove: 'transfer-encoding' is about where a message ends or about one connection: "
     "edge-proxy writes it itself\n"},
    {"the host", SITE_WITH("request-headers: {set: {Host: b.org}}"),
     "4:41 header name 'Host' is set by 'host' of the pool\n"},
    {"a name with a space", SITE_WITH("request-headers: {remove: [\"X A\"]}"),
     "4:44 remove: 'X A' has a character that the name of a header field cannot have\n"},
    {"a value with spaces around", SITE_WITH("request-headers: {set: {X-A: \" a\"}}"),
     "4:46 value: ' a' has spaces at an end, which no header field keeps\n"},
    {"a page for a success", SITE_WITH("error-pages: {200: pem}"),
     "4:31 error page name '200' is not a status of errors: 400 to 599, or 4xx or 5xx for all of "
     "them\n"},
    {"pages",
     SITE_WITH("error-pages: {404: pem, 5xx: z}, maintenance: {page: pem, admit: [\"::1\"]}"), ""},
    {"a page that is not there", SITE_WITH("error-pages: {404: nix}"), "4:36 file: "},
    {"closed", SITE_WITH("maintenance: on"), ""},
    {"hidden",
     "name: e\nlisten: [127.0.0.1:80]\n"
     "pools: {app: {origins: [127.0.0.1:1], hide-origin: off, hide: [\"X:\"]}}\n" SITE,
     "3:64 hide: 'X:' has a character that the name of a header field cannot have\n"},
};

static void mistakes_are_reported(void **state)
{
    (void)state;
    assert_int_equal(count_wrong(HEAD, MISTAKES, COUNT_OF(MISTAKES)), 0);
    assert_int_equal(count_wrong("", FILES, COUNT_OF(FILES)), 0);
    assert_int_equal(count_wrong("", RULES, COUNT_OF(RULES)), 0);
}

static void special_words_are_understood(void **state)
{
    struct text said = {0};
    struct config *c = load(HEAD "access-log: off\ncache: {memory: off}\nmetrics: off\n", &said);

    (void)state;
    assert_string_equal(said.p, "");
    assert_null(c->access_log_path);
    assert_true(c->cache.memory_bytes == 0);
    assert_int_equal(c->metrics.length, 0);
    config_free(c);
    c = load(HEAD "cache: {memory: 2MiB}\nlimits: {max-connections: 1}\n", &said);
    assert_string_equal(said.p, "");
    assert_true(c->cache.max_object_bytes == 1 << 20); /* half of memory */
    assert_int_equal(c->limits.target_connections, 1);
    config_free(c);
    text_free(&said);
}

static void the_manual_lists_every_key(void **state)
{
    (void)state;
    assert_int_equal(count_stale_lines("deploy/man/edge-proxy.yaml.5"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_taken),        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(special_words_are_understood), cmocka_unit_test(mistakes_are_reported),
        cmocka_unit_test(the_manual_lists_every_key),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
