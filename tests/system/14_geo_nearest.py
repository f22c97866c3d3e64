#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The nearest healthy region, worked out a second time: the database read by another reader, the
distance by another formula. Also what the scope of an answer promises. GSLB_SEED repeats a run."""
import ipaddress
import json
import math
import os
import random
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_client import addresses_of, ecs_of  # noqa: E402
from gslbtest import (TOP, case, case_table, check, check_equal, check_in, main,  # noqa: E402
                      run_program)
from mmdb import Mmdb, write_mmdb  # noqa: E402
from site_under_test import GEOIP, Site  # noqa: E402

SEED = int(os.environ.get("GSLB_SEED", random.randrange(1 << 32)))
PLACES = {
    "dublin": (53.35, -6.26), "virginia": (39.04, -77.49), "tokyo": (35.68, 139.69),
    "sao-paulo": (-23.55, -46.63), "sydney": (-33.87, 151.21), "singapore": (1.35, 103.82),
    "mumbai": (19.08, 72.88), "cape-town": (-33.92, 18.42), "oregon": (45.84, -119.7),
    "frankfurt": (50.11, 8.68), "auckland": (-36.85, 174.76), "dubai": (25.2, 55.27),
}
NUMBERS = {name: i + 1 for i, name in enumerate(PLACES)}
ORDER = ["singapore", "oregon", "dublin"]


def v4(region):
    return f"198.18.0.{NUMBERS[region]}"


def region_of(address):
    number = int(address.rpartition(".")[2]) if "." in address else int(address.rpartition(":")[2], 16)
    return list(PLACES)[number - 1]


def build():
    print(f"GSLB_SEED={SEED}")
    site = Site()

    def edit(config):
        config["regions"] = {
            name: {"location": list(place),
                   "edges": {f"{name}-1": [v4(name), f"fd00::{NUMBERS[name]:x}"]}}
            for name, place in PLACES.items()}
        config["region-order"] = ORDER
        config["services"]["half.example.com"] = {
            "regions": ["tokyo", "dublin", "virginia", "cape-town"]}
        config["services"]["first.example.com"] = {
            "policy": "failover", "regions": ["mumbai", "oregon", "tokyo"]}
    site.add_dns("ns1", edit)
    for name in PLACES:
        site.add_fake_edge(f"{name}-1", every_s=0.3)
    site.dns.start()
    for name in PLACES:
        site.wait_edge(f"{name}-1", "up")
    site.oracle = Oracle()
    site.rng = random.Random(SEED)
    site.clients = sample(site.oracle, site.rng)
    return site


class Oracle:
    """Where clients are and which region is nearest, without a line of the programs' code."""

    def __init__(self):
        self.db = Mmdb(GEOIP)
        text = (TOP / "gslb-dns/geo/country_centers.def").read_text()
        row = re.compile(r'X\("(\w\w)", "\w\w", (-?[\d.]+), (-?[\d.]+)\)')
        self.centers = {m[1]: (float(m[2]), float(m[3])) for m in row.finditer(text)}
        check(len(self.centers) > 230, f"{len(self.centers)} countries have a centre")

    def place(self, address):
        record, _ = self.db.find(address)
        return self.centers.get(record["country_code"]) if record else None

    def ranked(self, address, regions, order):
        """Regions by distance; without a location by the default order, the others behind it."""
        place = self.place(address)
        if place is None:
            return [r for r in order if r in regions] + [r for r in regions if r not in order]
        return sorted(regions, key=lambda r: haversine_km(place, PLACES[r]))


def haversine_km(a, b):
    (la1, lo1), (la2, lo2) = [tuple(map(math.radians, p)) for p in (a, b)]
    h = math.sin((la2 - la1) / 2) ** 2 + math.cos(la1) * math.cos(la2) * math.sin((lo2 - lo1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1, math.sqrt(h)))


def sample(oracle, rng):
    """Two IPv4 and two IPv6 addresses of every country that has such networks, some of nobody's."""
    by_country = {}
    for version, bits in ((4, 32), (6, 128)):
        for first, length, record in oracle.db.networks(version):
            nets = by_country.setdefault((record["country_code"], version), [])
            # Reservoir of two.
            if len(nets) < 2:
                nets.append((first, length))
            elif rng.random() < 0.01:
                nets[rng.randrange(2)] = (first, length)
    clients = []
    for (_, version), nets in by_country.items():
        bits = 32 if version == 4 else 128
        for first, length in nets:
            value = first + rng.getrandbits(bits - length) if length < bits else first
            clients.append(str((ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address)(value)))
    clients += ["10.1.2.3", "127.0.0.1", "192.168.1.1", "224.0.0.1", "0.0.0.1", "255.255.255.255",
                "fd00::1", "fe80::1", "::1", "ff02::1", "2001:db8::1"]
    clients += [str(ipaddress.IPv4Address(rng.getrandbits(32))) for _ in range(100)]
    clients += [str(ipaddress.IPv6Address(1 << 125 | rng.getrandbits(125))) for _ in range(100)]
    return clients


def full_subnet(address):
    return f"{address}/{128 if ':' in address else 32}"


def ask(site, address, name="www.example.com", rdtype="A"):
    got = site.dns.query(name, rdtype, subnet=full_subnet(address))
    addresses = addresses_of(got, rdtype)
    check_equal(len(addresses), 1, f"addresses for {address}")
    return region_of(addresses.pop()), ecs_of(got).scopelen


def check_nearest(site, name, regions, order, clients):
    wrong = []
    for client in clients:
        wanted = site.oracle.ranked(client, regions, order)[0]
        got, _ = ask(site, client, name)
        if got != wanted:
            wrong.append(f"{client} at {site.oracle.place(client)}: got {got}, wanted {wanted}")
    check(not wrong, f"{len(wrong)} of {len(clients)}: " + "; ".join(wrong[:5]))


@case
def sample_is_wide(site):
    check(len(site.clients) > 700, f"{len(site.clients)} clients")
    countries = {str(site.oracle.place(c)) for c in site.clients}
    check(len(countries) > 220, f"{len(countries)} places")
    answers = {site.oracle.ranked(c, PLACES, ORDER)[0] for c in site.clients}
    # (The centre of the USA's people is nearer to Virginia.)
    check_equal(answers, set(PLACES) - {"oregon"}, "every region is nearest to somebody")


@case
def every_client_gets_its_nearest_region(site):
    check_nearest(site, "www.example.com", list(PLACES), ORDER, site.clients)


@case
def ipv6_answers_agree(site):
    for client in site.clients[::4]:
        check_equal(ask(site, client)[0], ask(site, client, rdtype="AAAA")[0], client)


@case
def service_with_some_of_the_regions(site):
    regions = ["tokyo", "dublin", "virginia", "cape-town"]
    check_nearest(site, "half.example.com", regions, ["dublin"] + regions, site.clients[::2])


@case
def failover_policy_takes_the_first_for_everybody_at_scope_0(site):
    for client in site.clients[::20]:
        check_equal(ask(site, client, "first.example.com"), ("mumbai", 0), client)


@case
def scope_covers_what_it_says(site):
    """Random addresses inside the scope get the same region and the same scope; no two scopes
    overlap."""
    seen = {}
    for client in site.clients:
        region, scope = ask(site, client)
        network = ipaddress.ip_network(f"{client}/{scope}", strict=False)
        seen[network] = region
        for _ in range(3):
            other = network[site.rng.randrange(network.num_addresses)]
            check_equal(ask(site, str(other)), (region, scope), f"{other} in {network} of {client}")
    networks = sorted(seen, key=lambda n: (n.version, n.network_address, n.prefixlen))
    for a, b in zip(networks, networks[1:]):
        check(a.version != b.version or not b.subnet_of(a), f"{b} lies in {a}")


@case
def scope_is_maximal(site):
    """The other half of the next shorter prefix holds somebody whose regions rank otherwise: another
    answer, now or when a region is down."""
    n_proven = n_tried = 0
    for client in site.clients:
        _, scope = ask(site, client)
        if scope == 0 or ":" in client:
            continue
        n_tried += 1
        wide = ipaddress.ip_network(f"{client}/{scope - 1}", strict=False)
        other = next(n for n in wide.subnets() if ipaddress.ip_address(client) not in n)
        n_proven += has_other_ranking(site, other, client)
    check(n_tried > 300, f"{n_tried} tried")
    check_equal(n_proven, n_tried, "scopes proved to be maximal")


def has_other_ranking(site, network, client):
    ranking = site.oracle.ranked(client, list(PLACES), ORDER)
    value, end = int(network.network_address), int(network.broadcast_address)
    for _ in range(5000):
        if value > end:
            return False
        address = ipaddress.IPv4Address(value)
        if site.oracle.ranked(str(address), list(PLACES), ORDER) != ranking:
            return True
        length = site.oracle.db.find(str(address))[1]
        value = (value | (1 << (32 - length)) - 1) + 1
    return False


@case
def shorter_source_gets_an_answer_and_a_scope(site):
    # RFC 7871 section 7.2.1: the scope may be longer than the source.
    for client in site.clients[::7]:
        bits = 128 if ":" in client else 32
        for source in (bits // 4, bits // 2, bits * 3 // 4):
            network = ipaddress.ip_network(f"{client}/{source}", strict=False)
            got = site.dns.query("www.example.com", subnet=str(network))
            region = region_of(addresses_of(got).pop())
            base, scope = ask(site, str(network.network_address))
            check_equal((region, ecs_of(got).scopelen), (base, scope), str(network))


@case_table({"one": ["dublin"], "two neighbours": ["dublin", "frankfurt"],
             "half of the world": ["virginia", "oregon", "sao-paulo", "dublin", "frankfurt", "cape-town"]})
def regions_that_are_down_lose_their_clients_to_the_next(site, down):
    fakes = [fake for fake in site.fakes if fake.name.removesuffix("-1") in down]
    for fake in fakes:
        fake.say(can_serve=False, reason="origins down")
    for fake in fakes:
        site.wait_edge(fake.name, "down")
    try:
        left = [name for name in PLACES if name not in down]
        check_nearest(site, "www.example.com", left, ORDER, site.clients[::2])
        # (32) What is down does not change the scope: caches stay right when it comes back.
        for client in site.clients[::40]:
            check_equal(ask(site, client)[1], ask(site, client, rdtype="AAAA")[1])
    finally:
        for fake in fakes:
            fake.say(can_serve=True)
        for fake in fakes:
            site.wait_edge(fake.name, "up")


@case
def explain_says_the_same(site):
    for client in site.rng.sample(site.clients, 15):
        result = site.ctl("explain", "www.example.com", client, "--json")
        check_equal(result.returncode, 0, result.stderr)
        said = json.loads(result.stdout)
        ranked = site.oracle.ranked(client, list(PLACES), ORDER)
        check_equal(said["chosen"], ranked[0], client)
        check_equal([r["name"] for r in said["regions"]], ranked, client)
        check_equal(said["scope_bits"], ask(site, client)[1], client)
        place = site.oracle.place(client)
        check_equal(said["location"] is None, place is None, client)
        for region in said["regions"] if place else ():
            wanted = haversine_km(place, PLACES[region["name"]])
            check(abs(region["distance_km"] - wanted) < 0.1, f"{region} is not {wanted} km from {client}")


# ---- Databases of other layouts, made here; clients by their source address

def city(latitude, longitude, country="XX"):
    return {"country": {"iso_code": country}, "continent": {"code": "EU"},
            "location": {"latitude": float(latitude), "longitude": float(longitude)}}


def flat(latitude, longitude, country="XX"):
    return {"country_code": country, "latitude": float(latitude), "longitude": float(longitude)}


def flat_text(latitude, longitude, country="XX"):
    return {"country_code": country, "latitude": str(latitude), "longitude": str(longitude)}


@case_table({"MaxMind City, 24 bits": (city, 24), "MaxMind City, 28 bits": (city, 28),
             "MaxMind City, 32 bits": (city, 32), "flat, 24 bits": (flat, 24),
             "flat with texts, 28 bits": (flat_text, 28)})
def city_database(record, record_bits):
    """Three cities inside one /24, told apart to the address; and a network below another one."""
    where = {"127.1.0.0/25": record(35, 135), "127.1.0.128/26": record(52, 13),
             "127.1.0.192/32": record(-33, 151), "127.2.0.0/16": record(-23, -46),
             "127.2.7.0/24": record(52, 5), "2001:db8:1::/48": record(35, 139),
             "2001:db8:2::/64": record(53, -6)}
    with Site() as site:
        write_mmdb(site.path("city.mmdb"), where, record_bits=record_bits)

        def edit(config):
            config["geoip"]["databases"] = ["city.mmdb"]
        site.add_dns("ns1", edit).start()
        eu, jp, us = "127.0.0.11", "127.0.0.13", "127.0.0.12"
        for client, wanted, scope in (("127.1.0.5", jp, 25), ("127.1.0.130", eu, 26),
                                      ("127.1.0.192", jp, 32), ("127.2.1.1", us, None),
                                      ("127.2.7.9", eu, 24), ("127.9.9.9", us, None)):
            check_equal(site.dns.addresses("www.example.com", source=client), {wanted}, client)
            got = site.dns.query("www.example.com", subnet=f"{client}/32")
            check_equal(addresses_of(got), {wanted}, f"{client} by ECS")
            if scope is not None:
                check_equal(ecs_of(got).scopelen, scope, client)
        for client, wanted in (("2001:db8:1::5", jp), ("2001:db8:2::5", eu), ("2001:db8:3::5", us)):
            check_equal(site.dns.addresses("www.example.com", subnet=f"{client}/128"), {wanted}, client)
        before = site.dns.metrics()['gslb_dns_steered_total{by="source"}']
        check(before >= 3, f"{before} answers by source address")


@case
def country_database_of_maxmind_uses_the_centre():
    with Site() as site:
        write_mmdb(site.path("country.mmdb"),
                   {"127.1.0.0/16": {"country": {"iso_code": "JP"}},
                    "127.2.0.0/16": {"registered_country": {"iso_code": "DE"}},
                    "127.3.0.0/16": {"country": {"iso_code": "ZZ"}}},
                   version=4, database_type="GeoLite2-Country")
        site.add_dns("ns1", lambda c: c["geoip"].update(databases=["country.mmdb"])).start()
        for client, wanted in (("127.1.1.1", "13"), ("127.2.1.1", "11"), ("127.3.1.1", "12")):
            check_equal(site.dns.addresses("www.example.com", source=client), {f"127.0.0.{wanted}"})


@case
def one_database_for_each_family():
    with Site() as site:
        write_mmdb(site.path("4.mmdb"), {"127.1.0.0/16": city(53, -6)}, version=4)
        write_mmdb(site.path("6.mmdb"), {"2001:db8::/32": city(35, 135)}, version=6)
        site.add_dns("ns1", lambda c: c["geoip"].update(databases=["4.mmdb", "6.mmdb"])).start()
        check_equal(site.dns.addresses("www.example.com", source="127.1.1.1"), {"127.0.0.11"})
        check_equal(site.dns.addresses("www.example.com", subnet="2001:db8::/48"), {"127.0.0.13"})


@case
def without_a_database_the_region_order_decides():
    with Site() as site:
        def edit(config):
            del config["geoip"]
            config["region-order"] = ["ap-northeast"]
        site.add_dns("ns1", edit).start()
        got = site.dns.query("www.example.com", subnet="185.2.100.0/24")
        check_equal((addresses_of(got), ecs_of(got).scopelen), ({"127.0.0.13"}, 0))


@case
def damaged_databases_are_refused_by_name():
    whole = GEOIP.read_bytes()
    broken = {"cut": whole[:len(whole) // 3], "empty": b"", "text": b"not a database\n" * 100,
              "no metadata": whole[:-200].replace(b"\xab\xcd\xefMaxMind.com", b"x" * 14)}
    with Site() as site:
        node = site.add_dns("ns1")
        for what, data in broken.items():
            site.path("broken.mmdb").write_bytes(data)
            node.config["geoip"]["databases"] = ["broken.mmdb"]
            node.write_config()
            result = run_program("gslb-dns", "-c", node.config_path, "--check")
            check_equal(result.returncode, 1, what)
            check_in("broken.mmdb", result.stderr, what)
            check(re.search(r"ns1\.yaml:\d+:\d+: ", result.stderr), f"{what}: {result.stderr}")


main(build)
