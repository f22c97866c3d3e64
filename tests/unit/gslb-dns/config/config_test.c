/* SPDX-License-Identifier: BSD-2-Clause */
/* gslb-dns's config: the whole file, its defaults, and every rule between its parts. */
#include "gslb-dns/config/config.h"
#include "gslb-dns/steer/steer.h"
#include "tests/lib/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_whole_file_is_taken(void **state)
{
    struct text said = {0};
    struct config *c;
    char buf[ADDR_TEXT];

    (void)state;
    c = load("listen: [127.0.0.1:5300, \"[::1]:5300\"]\n"
             "workers: 2\n"
             "control: {listen: [127.0.0.1:8530], socket: run/s, certificate: pem, key: pem, ca: "
             "pem}\n"
             "metrics: 127.0.0.1:9153\n"
             "state: state\n"
             "geoip: {databases: [z, pem]}\n"
             "health: {stale-after: 2s, down-threshold: 2, up-threshold: 6, keep-last-view: off}\n"
             "udp-payload-size: 1400\n"
             "tcp: {idle-timeout: 5s, max-connections: 7}\n"
             "regions:\n"
             "  eu: {location: [53.35, -6.26], edges: {e1: [192.0.2.1, \"2001:db8::1\"], e2: "
             "[192.0.2.2]}}\n"
             "  us: {location: {latitude: 39, longitude: -77}, edges: {u1: {addresses: "
             "[192.0.2.3]}}}\n"
             "  ap: {location: [35, 139], edges: {a1: [192.0.2.4]}}\n"
             "region-order: [us]\n"
             "zones: {example.com.: z, 0/25.2.0.192.in-addr.arpa: {file: z}}\n"
             "services:\n"
             "  www.example.com.: {regions: [us, eu], policy: failover, ttl: 1m, max-addresses: 2, "
             "all-down: fallback, fallback: [192.0.2.9]}\n"
             "  Example.com: {}\n",
             &said);
    assert_string_equal(said.p, "");
    assert_int_equal(c->n_listen, 2);
    assert_string_equal(addr_format(&c->listen[1], buf), "[::1]:5300");
    assert_int_equal(c->workers, 2);
    assert_int_equal(c->control.n_listen, 1);
    assert_string_equal(c->control.socket_path, in_folder("run/s"));
    assert_string_equal(c->control.ca_path, in_folder("pem"));
    assert_int_equal(addr_port(&c->metrics), 9153);
    assert_string_equal(c->state_path, in_folder("state"));
    assert_int_equal(c->n_geo_paths, 2);
    assert_int_equal(c->health.stale_after_ms, 2000);
    assert_int_equal(c->health.keep_last_view_ms, 0);
    assert_int_equal(c->udp_payload_bytes, 1400);
    assert_int_equal(c->tcp_idle_ms, 5000);
    assert_int_equal(c->tcp_max_connections, 7);
    assert_int_equal(c->n_regions, 3);
    assert_string_equal(c->regions[1].name, "us");
    assert_true(c->regions[1].longitude == -77);
    assert_int_equal(c->regions[1].first_edge, 2);
    assert_int_equal(c->n_edges, 4);
    assert_string_equal(c->edges[2].name, "u1");
    assert_int_equal(c->edges[2].region, 1);
    assert_int_equal(c->edges[0].n_addresses, 2);
    assert_memory_equal(c->region_order, ((uint16_t[]){1, 0, 2}), 6);
    assert_string_equal(c->zones[0].name, "example.com");
    assert_string_equal(c->zones[1].path, in_folder("z"));
    assert_int_equal(c->n_services, 2);
    assert_string_equal(c->services[0].name, "www.example.com");
    assert_int_equal(c->services[0].place.line, 17);
    assert_string_equal(c->services[0].policy, "failover");
    assert_int_equal(c->services[0].n_regions, 2);
    assert_memory_equal(c->services[0].regions, ((uint16_t[]){1, 0}), 4);
    assert_int_equal(c->services[0].ttl_s, 60);
    assert_int_equal(c->services[0].max_addresses, 2);
    assert_int_equal(c->services[0].all_down, CONFIG_FALLBACK);
    assert_string_equal(ip_format(&c->services[0].fallback[0], buf), "192.0.2.9");
    assert_int_equal(c->services[1].n_regions, 3);
    assert_int_equal(c->services[1].ttl_s, 30);
    text_free(&said);
    config_free(c);
}

static void defaults_hold(void **state)
{
    struct text said = {0};
    struct config *c;

    (void)state;
    c = load("listen: [127.0.0.1]\nzones: {example.com: z}\n", &said);
    assert_string_equal(said.p, "");
    assert_int_equal(addr_port(&c->listen[0]), 53);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->udp_payload_bytes, 1232);
    assert_int_equal(c->tcp_idle_ms, 10000);
    assert_int_equal(c->tcp_max_connections, 1000);
    assert_int_equal(c->health.stale_after_ms, 3000);
    assert_int_equal(c->health.down_threshold, 1);
    assert_int_equal(c->health.up_threshold, 5);
    assert_int_equal(c->health.keep_last_view_ms, 600000);
    assert_int_equal(c->metrics.length, 0);
    assert_null(c->state_path);
    assert_null(c->control.socket_path);
    assert_int_equal(c->control.n_listen, 0);
    assert_int_equal(c->n_services, 0);
    text_free(&said);
    config_free(c);
}

/* Each text follows these two lines, so its own begin with line 3. */
#define HEAD "listen: [127.0.0.1:53]\nzones: {example.com: z}\n"
#define REGIONS                                                                                 \
    "regions: {eu-west: {location: [1, 2], edges: {e1: [192.0.2.1]}}, us-east: {location: [3, " \
    "4], "                                                                                      \
    "edges: {u1: [192.0.2.2]}}}\n"

#define POLICY "policies: {mine: {type: sticky, to: [eu-west, {to: us-east, weight: 3}]}}\n"
#define USE "services: {a.org: {policy: p}}\n"

static const struct mistake MISTAKES[] = {
    {"nothing wrong", "control: {socket: s}\nmetrics: off\n", ""},
    {"control without certificates", "control: {listen: [127.0.0.1:1]}\n",
     "3:11 control listens, so 'certificate' is required\n"
     "3:11 control listens, so 'key' is required\n"
     "3:11 control listens, so 'ca' is required\n"},
    {"control address twice",
     "control: {listen: [\"[::1]:1\", \"[0::1]:1\"], certificate: pem, key: pem, ca: pem}\n",
     "3:31 listen: [::1]:1 stands here twice\n"},
    {"control without port",
     "control: {listen: [127.0.0.1], certificate: pem, key: pem, ca: pem}\n",
     "3:20 listen: expected an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\", "
     "found '127.0.0.1'\n"},
    {"threshold zero", "health: {down-threshold: 0}\n",
     "3:26 down-threshold: 0 is out of range (1 to 1000 reports)\n"},
    {"payload", "udp-payload-size: 511\n",
     "3:19 udp-payload-size: 511 is out of range (512 to 4096 bytes)\n"},
    {"region without location", "regions: {eu: {edges: {e: [192.0.2.1]}}}\n",
     "3:11 required key 'location' is missing in region 'eu'\n"},
    {"region without edges", "regions: {eu: {location: [1, 2]}}\n",
     "3:11 required key 'edges' is missing in region 'eu'\n"},
    {"region with no edge", "regions: {eu: {location: [1, 2], edges: {}}}\n",
     "3:41 edges: must not be empty\n"},
    {"edge without address", "regions: {eu: {location: [1, 2], edges: {e: []}}}\n",
     "3:45 addresses: must not be empty\n"},
    {"latitude", "regions: {eu: {location: [90.1, 2], edges: {e: [192.0.2.1]}}}\n",
     "3:27 latitude: 90.1 is out of range (-90 to 90)\n"},
    {"longitude", "regions: {eu: {location: [9, 181], edges: {e: [192.0.2.1]}}}\n",
     "3:30 longitude: 181 is out of range (-180 to 180)\n"},
    {"location of one", "regions: {eu: {location: [9], edges: {e: [192.0.2.1]}}}\n",
     "3:26 location: expected [latitude, longitude] in degrees, found a list of 1\n"},
    {"edge in two regions",
     "regions:\n  eu: {location: [1, 2], edges: {e: [192.0.2.1]}}\n"
     "  us: {location: [1, 2], edges: {e: [192.0.2.2]}}\n",
     "5:34 edge 'e' stands already in region 'eu'\n"},
    {"address on two edges",
     "regions:\n  eu: {location: [1, 2], edges: {e: [192.0.2.1]}}\n"
     "  us: {location: [1, 2], edges: {u: [192.0.2.1]}}\n",
     "5:38 warning: 192.0.2.1 is also an address of edge 'e': if one is down, clients still get it "
     "from the other\n"},
    {"address twice on one edge",
     "regions: {eu: {location: [1, 2], edges: {e: [\"::1\", \"0::1\"]}}}\n",
     "3:53 addresses: ::1 stands here twice\n"},
    {"order: unknown", REGIONS "region-order: [us-eats]\n",
     "4:16 region-order: unknown region 'us-eats'; did you mean 'us-east'?\n"},
    {"order: twice", REGIONS "region-order: [us-east, us-east]\n",
     "4:25 region-order: region 'us-east' stands here twice\n"},
    {"zone twice", "zones: {a.org: z}\n", "3:1 key 'zones' stands here twice, first in line 2\n"},
    {"service: unknown region", REGIONS "services: {a.org: {regions: [eu-wets, us-east]}}\n",
     "4:30 service 'a.org': unknown region 'eu-wets'; did you mean 'eu-west'?\n"},
    {"service: region twice", REGIONS "services: {a.org: {regions: [us-east, us-east]}}\n",
     "4:39 service 'a.org': region 'us-east' stands here twice\n"},
    {"service: no regions", REGIONS "services: {a.org: {regions: []}}\n",
     "4:12 service 'a.org' has an empty list of regions; without the list it has all\n"},
    {"service without any region", "services: {a.org: {}}\n",
     "3:12 service 'a.org' has no region: the file has no regions\n"},
    {"service: region without address",
     "regions: {eu: {location: [1, 2], edges: {e: []}}}\nservices: {a.org: {}}\n",
     "3:45 addresses: must not be empty\n4:12 service 'a.org': none of its regions has an "
     "address\n"},
    {"service: policy", REGIONS "services: {a.org: {policy: nearset}}\n",
     "4:28 service 'a.org': expected nearest, failover, weighted, sticky or one of policies, not "
     "'nearset'\n"},
    {"service: no such policy",
     REGIONS POLICY "services: {a.org: {policy: mime}, b.org: {policy: mine}}\n",
     "5:28 service 'a.org': expected nearest, failover, weighted, sticky or one of policies, not "
     "'mime'; did you mean 'mine'?\n"},
    {"service: policy and regions",
     REGIONS POLICY "services: {a.org: {policy: mine, regions: [eu-west]}}\n",
     "5:44 service 'a.org': policy 'mine' names its regions; take the key 'regions' away\n"},
    {"policy: type", REGIONS "policies: {p: {type: geos, to: [eu-west]}}\n",
     "4:22 type: expected one of nearest, failover, geo, weighted, sticky, found 'geos'; did you "
     "mean 'geo'?\n"},
    {"policy: names",
     REGIONS "policies: {geo: {type: failover, to: [us-east]}, us-east: {type: "
             "failover, to: [eu-west]}}\n",
     "4:12 policy 'geo' has the name of a type; give it another\n"
     "4:12 warning: policy 'geo' is used by no service\n"
     "4:50 policy 'us-east' has the name of a region; give it another\n"
     "4:50 warning: policy 'us-east' is used by no service\n"},
    {"policy: unused", REGIONS POLICY "services: {a.org: {}}\n",
     "4:12 warning: policy 'mine' is used by no service\n"},
    {"policy: unknown branch", REGIONS "policies: {p: {type: failover, to: [eu-wets]}}\n" USE,
     "4:37 policy 'p': no region or policy is named 'eu-wets'; did you mean 'eu-west'?\n"},
    {"policy: nearest of policies",
     REGIONS "policies: {p: {type: nearest, to: [q]}, q: {type: sticky, to: [eu-west]}}\n" USE,
     "4:36 policy 'p': nearest ranks regions, and 'q' is a policy; type failover takes policies "
     "one after the other\n"},
    {"policy: cycle",
     REGIONS
     "policies:\n  p: {type: failover, to: [eu-west, q]}\n  q: {type: sticky, to: [p]}\n" USE,
     "5:3 policy 'p' leads back to itself: p -> q -> p\n"
     "6:3 policy 'q' leads back to itself: q -> p -> q\n"},
    {"policy: branch twice", REGIONS "policies: {p: {type: sticky, to: [eu-west, eu-west]}}\n" USE,
     "4:44 policy 'p': 'eu-west' stands here twice\n"},
    {"policy: never reached",
     REGIONS "policies: {p: {type: failover, to: [q, eu-west]}, q: {type: nearest, to: [us-east, "
             "eu-west]}}\n" USE,
     "4:40 policy 'p': 'eu-west' is never reached, for all its regions stand before it\n"},
    {"policy: reached past a rule",
     REGIONS "policies: {p: {type: failover, to: [q, eu-west]}, q: {type: geo, to: [us-east, {to: "
             "eu-west, countries: [DE]}]}}\n" USE,
     ""},
    {"policy: no default",
     REGIONS "policies: {p: {type: geo, to: [{to: eu-west, countries: "
             "[DE]}]}}\n" USE,
     "4:12 policy 'p' needs a branch without networks, countries and continents, for all other "
     "clients\n"},
    {"policy: two defaults", REGIONS "policies: {p: {type: geo, to: [us-east, eu-west]}}\n" USE,
     "4:41 policy 'p': this branch is never reached, for another one without networks, countries "
     "and continents stands in line 4\n"},
    {"policy: rules twice",
     REGIONS "policies: {p: {type: geo, to: [us-east, {to: eu-west, countries: [DE, DE], networks: "
             "[10.0.0.0/8], continents: [XX]}, {to: eu-west, networks: [10.0.0.0/8]}]}}\n" USE,
     "4:71 policy 'p': DE stands here twice\n"
     "4:113 continents: 'XX' must be one of AF, AN, AS, EU, NA, OC and SA\n"
     "4:144 policy 'p': 10.0.0.0/8 stands here twice\n"},
    {"policy: keys of other types",
     REGIONS "policies: {p: {type: failover, to: [{to: us-east, weight: 2}, {to: eu-west, bias: 1, "
             "countries: [DE]}]}}\n" USE,
     "4:37 policy 'p': weight is for types weighted and sticky, not failover\n"
     "4:63 policy 'p': bias is for type nearest, not failover\n"
     "4:63 policy 'p': networks, countries and continents are for type geo, not failover\n"},
    {"service: ttl", REGIONS "services: {a.org: {ttl: 25h}}\n",
     "4:25 ttl: 25h is out of range (at most 1d)\n"},
    {"service: addresses", REGIONS "services: {a.org: {max-addresses: 33}}\n",
     "4:35 max-addresses: 33 is out of range (1 to 32 addresses)\n"},
    {"service: fallback missing", REGIONS "services: {a.org: {all-down: fallback}}\n",
     "4:12 service 'a.org': all-down: fallback needs the key 'fallback'\n"},
    {"service: fallback unused", REGIONS "services: {a.org: {fallback: [192.0.2.9]}}\n",
     "4:20 warning: service 'a.org': fallback is never used without all-down: fallback\n"},
    {"service twice, other case", REGIONS "services: {a.org: {}, A.org.: {}}\n",
     "4:23 service 'A.org' is the same name as 'a.org' in line 4\n"},
    {"service: wildcard", REGIONS "services: {\"*.a.org\": {}}\n",
     "4:12 service name '*.a.org' is a wildcard; a service steers one name\n"},
    {"service: root", REGIONS "services: {.: {}}\n",
     "4:12 service name '.' is the root; a service steers a name in one of the zones\n"},
    {"service: empty label", REGIONS "services: {a..org: {}}\n",
     "4:12 service name 'a..org' has an empty label\n"},
    {"service: leading dot", REGIONS "services: {.org: {}}\n",
     "4:12 service name '.org' has an empty label\n"},
    {"service: space", REGIONS "services: {a b: {}}\n",
     "4:12 service name 'a b' is not a name in DNS: letters, digits, '-' and '_' in labels between "
     "dots\n"},
    {"service: long label",
     REGIONS "services:\n  "
             "a123456789b123456789c123456789d123456789e123456789f123456789"
             "1234.org: {}\n",
     "5:3 service name "
     "'a123456789b123456789c123456789d123456789e123456789f1234567891234.org' has a label longer "
     "than 63 characters\n"},
    {"missing database", "geoip: {databases: [nix]}\n", "3:21 databases: "},
};

static void mistakes_are_reported(void **state)
{
    (void)state;
    assert_int_equal(count_wrong(HEAD, MISTAKES, COUNT_OF(MISTAKES)), 0);
}

static void zones_and_listeners_are_checked(void **state)
{
    static const struct mistake CASES[] = {
        {"empty lists", "listen: []\nzones: {}\n",
         "1:9 listen: must not be empty\n2:8 zones: must not be empty\n"},
        {"nothing", "{}\n",
         "1:1 required key 'listen' is missing\n1:1 required key 'zones' is missing\n"},
        {"listener twice", "listen: [127.0.0.1, 127.0.0.1:53]\nzones: {a: z}\n",
         "1:21 listen: 127.0.0.1:53 stands here twice\n"},
        {"zone twice, other case", "listen: [127.0.0.1]\nzones: {a.org: z, A.ORG: z}\n",
         "2:19 zone 'A.ORG' is the same as 'a.org' in line 2\n"},
        {"zone's name", "listen: [127.0.0.1]\nzones: {a b: z}\n",
         "2:9 zone name 'a b' is not a name in DNS: letters, digits, '-' and '_' in labels between "
         "dots\n"},
        {"dnssec without keys",
         "listen: [127.0.0.1]\nzones: {a: {file: z, dnssec: {denial: nsec}}}\n",
         "2:22 required key 'keys' is missing in dnssec\n"},
        {"dnssec: refresh",
         "listen: [127.0.0.1]\nzones: {a: {file: z, dnssec: {keys: k, signature-validity: 2d}}}\n",
         "2:37 signature-refresh must be less than signature-validity, or signatures would be "
         "replaced as soon as they are made\n"},
        {"dnssec: salt",
         "listen: [127.0.0.1]\nzones: {a: {file: z, dnssec: {keys: k, denial: "
         "nsec3, nsec3: {salt: abc}}}}\n",
         "2:69 salt: 'abc' must be at most 255 bytes, two hexadecimal digits each\n"},
        {"dnssec: iterations",
         "listen: [127.0.0.1]\nzones: {a: {file: z, dnssec: {keys: k, "
         "denial: nsec3, nsec3: {iterations: 1}}}}\n",
         "2:37 warning: nsec3: iterations should be 0; validators may treat the zone as unsigned "
         "(RFC 9276 section 3.2)\n"},
        {"dnssec: nsec3 for nothing",
         "listen: [127.0.0.1]\nzones: {a: {file: z, dnssec: {keys: k, "
         "nsec3: {opt-out: yes}}}}\n",
         "2:37 warning: nsec3 is never used without denial: nsec3\n"},
        {"root zone", "listen: [127.0.0.1]\nzones: {.: z}\n", ""},
    };

    (void)state;
    assert_int_equal(count_wrong("", CASES, COUNT_OF(CASES)), 0);
}

/* The words of policy are listed in config, which cannot see steer above it. */
static void every_policy_can_be_configured(void **state)
{
    (void)state;
    for (size_t i = 0; steer_policies[i] != NULL; i++) {
        struct text said = {0}, yaml = {0};
        struct config *c;

        text_addf(&yaml,
                  "%s%spolicies: {mine: {type: %s, to: [eu-west]}}\n"
                  "services: {a.org: {policy: mine}}\n",
                  HEAD, REGIONS, steer_policies[i]->name);
        c = load(yaml.p, &said);
        assert_string_equal(said.p, "");
        assert_ptr_equal(steer_find_policy(str_of(c->policies[0].type)), steer_policies[i]);
        config_free(c);
        text_free(&said);
        text_free(&yaml);
    }
}

static void dnssec_needs_its_keys_alone(void **state)
{
    struct text said = {0};
    struct config *c = load("listen: [127.0.0.1:5300]\n"
                            "zones:\n"
                            "  a: {file: z, dnssec: k}\n"
                            "  b: {file: z, dnssec: {keys: k, denial: nsec3, nsec3: {opt-out: yes, "
                            "salt: aAbB}, signature-validity: 30d, publish-cds: delete, "
                            "serial: unixtime}}\n"
                            "  c: z\n",
                            &said);

    (void)state;
    assert_string_equal(said.p, "");
    assert_string_equal(c->zones[0].dnssec.keys_path, in_folder("k"));
    assert_int_equal(c->zones[0].dnssec.denial, CONFIG_NSEC);
    assert_int_equal(c->zones[0].dnssec.validity_s, 14 * 86400);
    assert_int_equal(c->zones[0].dnssec.nsec3_iterations, 0);
    assert_null(c->zones[0].dnssec.nsec3_salt);
    assert_true(c->zones[1].dnssec.is_nsec3_opt_out);
    assert_string_equal(c->zones[1].dnssec.nsec3_salt, "aAbB");
    assert_int_equal(c->zones[1].dnssec.validity_s, 30 * 86400);
    assert_int_equal(c->zones[1].dnssec.cds, CONFIG_CDS_DELETE);
    assert_int_equal(c->zones[1].dnssec.serial, CONFIG_SERIAL_UNIXTIME);
    assert_null(c->zones[2].dnssec.keys_path);
    config_free(c);
    text_free(&said);
}

static void the_manual_lists_every_key(void **state)
{
    (void)state;
    assert_int_equal(count_stale_lines("deploy/man/gslb-dns.yaml.5"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_file_is_taken),
        cmocka_unit_test(defaults_hold),
        cmocka_unit_test(mistakes_are_reported),
        cmocka_unit_test(zones_and_listeners_are_checked),
        cmocka_unit_test(every_policy_can_be_configured),
        cmocka_unit_test(dnssec_needs_its_keys_alone),
        cmocka_unit_test(the_manual_lists_every_key),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
