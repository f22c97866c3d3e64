#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Trees of policies, worked out a second time for networks of the whole database: rules, biases and
draws; and what the scopes of such answers promise. GSLB_SEED repeats a run."""
import ipaddress
import json
import math
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from dns_client import addresses_of, ecs_of  # noqa: E402
from gslbtest import TOP, case, check, check_equal, check_in, main  # noqa: E402
from mmdb import Mmdb  # noqa: E402
from site_under_test import GEOIP, Site  # noqa: E402

SEED = int(os.environ.get("GSLB_SEED", random.randrange(1 << 32)))
REGIONS = ["dublin", "frankfurt", "virginia", "oregon", "tokyo"]
PLACES = dict(zip(REGIONS, [(53.35, -6.26), (50.11, 8.68), (39.04, -77.49), (45.84, -119.7), (35.68, 139.69)]))
NETWORKS = {"oregon": ["10.0.0.0/8", "192.0.2.128/25"], "europe": ["10.20.0.0/16", "2001:db8::/32"]}
EUROPE = {"dublin": -300, "frankfurt": 0}
WEIGHTS = {"dublin": 60, "virginia": 30, "tokyo": 10}
DAY = 86400


def build():
    print(f"GSLB_SEED={SEED}")
    site = Site()

    def edit(config):
        config["regions"] = {name: {"location": list(place), "edges": {
            f"{name}-1": [f"198.18.0.{i + 1}", f"fd00::{i + 1:x}"]}}
            for i, (name, place) in enumerate(PLACES.items())}
        config["region-order"] = ["virginia"]
        config["policies"] = {
            "europe": {"type": "nearest", "to": [
                {"to": name, "bias": bias} for name, bias in EUROPE.items()]},
            "asia": {"type": "failover", "to": ["tokyo", "europe"]},
            "world": {"type": "geo", "to": [
                {"to": "europe", "networks": NETWORKS["europe"], "continents": ["EU", "AF"]},
                {"to": "asia", "continents": ["AS"], "countries": ["EG"]},
                {"to": "oregon", "networks": NETWORKS["oregon"], "countries": ["BR", "IS"]},
                "virginia"]},
            "shares": {"type": "weighted", "to": [
                {"to": name, "weight": weight} for name, weight in WEIGHTS.items()]},
            "kept": {"type": "sticky", "to": [
                {"to": name, "weight": weight} for name, weight in WEIGHTS.items()]},
            "mixed": {"type": "geo", "to": [{"to": "kept", "continents": ["EU"]}, "oregon"]},
        }
        for name in ("world", "shares", "kept", "mixed"):
            config["services"][f"{name}.example.com"] = {"policy": name, "ttl": "1d"}
    site.add_dns("ns1", edit)
    for name in PLACES:
        site.add_fake_edge(f"{name}-1", every_s=0.3)
    site.dns.start()
    for name in PLACES:
        site.wait_edge(f"{name}-1", "up")
    site.db = Mmdb(GEOIP)
    site.rng = random.Random(SEED)
    site.centers, site.continents = read_centers()
    site.clients = sample(site)
    return site


def read_centers():
    text = (TOP / "gslb-dns/geo/country_centers.def").read_text()
    rows = list(re.finditer(r'X\("(\w\w)", "(\w\w)", (-?[\d.]+), (-?[\d.]+)\)', text))
    check(len(rows) > 230, f"{len(rows)} countries have a centre")
    return ({m[1]: (float(m[3]), float(m[4])) for m in rows}, {m[1]: m[2] for m in rows})


def sample(site):
    """Addresses of networks all over the database, and around the networks of the rules."""
    clients = []
    for version, bits, make in ((4, 32, ipaddress.IPv4Address), (6, 128, ipaddress.IPv6Address)):
        networks = list(site.db.networks(version))
        for first, length, _ in site.rng.sample(networks, min(len(networks), 500)):
            clients.append(str(make(first + site.rng.getrandbits(bits - length) if length < bits else first)))
    return clients + ["10.0.0.1", "10.19.255.255", "10.20.0.1", "10.21.0.0", "9.255.255.255", "11.0.0.0",
                      "192.0.2.127", "192.0.2.128", "2001:db8::1", "2001:db9::1", "127.0.0.1"]


def haversine_km(a, b):
    (la1, lo1), (la2, lo2) = [tuple(map(math.radians, p)) for p in (a, b)]
    h = math.sin((la2 - la1) / 2) ** 2 + math.cos(la1) * math.cos(la2) * math.sin((lo2 - lo1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1, math.sqrt(h)))


def country_of(site, client):
    record, _ = site.db.find(client)
    return record["country_code"] if record else None


def europe(site, client, up):
    place = site.centers.get(country_of(site, client))
    names = [n for n in EUROPE if n in up]
    if place is None:
        return names[0] if names else None
    return min(names, key=lambda n: haversine_km(place, PLACES[n]) + EUROPE[n], default=None)


def world(site, client, up=frozenset(REGIONS)):
    """The rules as the manual has them: the longest network, the country, the continent, the rest."""
    address, country = ipaddress.ip_address(client), country_of(site, client)
    nets = [(ipaddress.ip_network(n).prefixlen, to) for to, list_ in NETWORKS.items() for n in list_
            if address in ipaddress.ip_network(n)]
    continent = site.continents.get(country)
    if nets:
        to = max(nets)[1]
    elif country in ("EG", "BR", "IS"):
        to = {"EG": "asia"}.get(country, "oregon")
    else:
        to = {"EU": "europe", "AF": "europe", "AS": "asia"}.get(continent, "virginia")
    if to == "asia":
        return "tokyo" if "tokyo" in up else europe(site, client, up)
    return europe(site, client, up) if to == "europe" else to if to in up else None


MASK = (1 << 64) - 1


def mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ z >> 27) * 0x94d049bb133111eb & MASK
    return z ^ z >> 31


def draw(client, up=frozenset(REGIONS), window=None):
    address = ipaddress.ip_address(client)
    key = mix(int(address) >> 8 if address.version == 4 else int(address) >> 80 | 1 << 48)
    if window is not None:
        key = mix(key + window & MASK)

    def score(name):
        h = 0xcbf29ce484222325
        for byte in name.encode():
            h = (h ^ byte) * 0x100000001b3 & MASK
        return -math.log(((mix(key ^ h) >> 12) + 0.5) / 2 ** 52) / WEIGHTS[name]
    return min((n for n in WEIGHTS if n in up), key=score)


def ask(site, client, name, rdtype="A"):
    got = site.dns.query(f"{name}.example.com", rdtype, subnet=f"{client}/{128 if ':' in client else 32}")
    addresses = addresses_of(got, rdtype)
    check_equal(len(addresses), 1, f"addresses for {client}")
    last = addresses.pop().replace(":", ".").rpartition(".")[2]
    return REGIONS[int(last) - 1], ecs_of(got).scopelen


def check_all(site, name, wanted, clients):
    wrong = [f"{c} in {country_of(site, c)}: {got}, wanted {wanted(c)}" for c in clients
             if (got := ask(site, c, name)[0]) != wanted(c)]
    check(not wrong, f"{len(wrong)} of {len(clients)}: " + "; ".join(wrong[:5]))


@case
def rules_send_each_client_along_its_branch(site):
    check_equal({world(site, c) for c in site.clients}, set(REGIONS), "every region is somebody's")
    check_all(site, "world", lambda c: world(site, c), site.clients)


@case
def draws_are_those_of_the_formula(site):
    check_all(site, "kept", draw, site.clients)
    window = int(time.time()) // DAY
    check_all(site, "shares", lambda c: draw(c, window=window), site.clients)
    check_equal(int(time.time()) // DAY, window, "no midnight passed")


@case
def draws_have_the_shares_of_their_weights(site):
    counts = dict.fromkeys(WEIGHTS, 0)
    for _ in range(2000):
        counts[ask(site, str(ipaddress.IPv4Address(site.rng.getrandbits(32))), "shares")[0]] += 1
    for name, weight in WEIGHTS.items():
        p = weight / 100
        check(abs(counts[name] - 2000 * p) < 5 * math.sqrt(2000 * p * (1 - p)), f"{name}: {counts[name]}")


@case
def every_type_of_record_names_the_same_site(site):
    for name in ("world", "shares", "kept", "mixed"):
        for client in site.clients[::25]:
            check_equal(ask(site, client, name), ask(site, client, name, "AAAA"), f"{name} {client}")


@case
def scopes_hold_what_they_say(site):
    for name in ("world", "kept", "mixed"):
        seen = set()
        for client in site.clients[::3]:
            region, scope = ask(site, client, name)
            network = ipaddress.ip_network(f"{client}/{scope}", strict=False)
            seen.add(network)
            for _ in range(2):
                other = str(network[site.rng.randrange(network.num_addresses)])
                check_equal(ask(site, other, name), (region, scope), f"{name}: {other} in {network}")
        networks = sorted(seen, key=lambda n: (n.version, n.network_address, n.prefixlen))
        for a, b in zip(networks, networks[1:]):
            check(a.version != b.version or not b.subnet_of(a), f"{name}: {b} lies in {a}")
    check_equal(ask(site, "192.0.2.130", "world"), ("oregon", 25))
    check(ask(site, "10.20.1.1", "world")[1] <= 16, "a network is one scope")
    check_equal(ask(site, "10.20.1.1", "kept")[1], 24)


@case
def a_region_that_is_down_takes_only_its_own_clients_along(site):
    fake = next(f for f in site.fakes if f.name == "dublin-1")
    fake.say(can_serve=False, reason="origins down")
    site.wait_edge("dublin-1", "down")
    try:
        up = frozenset(REGIONS) - {"dublin"}
        check_all(site, "world", lambda c: world(site, c, up), site.clients[::2])
        check_all(site, "kept", lambda c: draw(c, up), site.clients[::2])
        for client in site.clients[::2]:
            check(draw(client) in ("dublin", draw(client, up)), f"{client} would move")
    finally:
        fake.say(can_serve=True)
        site.wait_edge("dublin-1", "up")


@case
def explain_tells_each_step(site):
    for name in ("world", "kept", "mixed"):
        for client in site.rng.sample(site.clients, 8):
            result = site.ctl("explain", f"{name}.example.com", client, "--json")
            check_equal(result.returncode, 0, result.stderr)
            said, (region, scope) = json.loads(result.stdout), ask(site, client, name)
            check_equal((said["chosen"], said["scope_bits"]), (region, scope), client)
            check(said["steps"][0].startswith(f"{name} ("), said["steps"][0])
            check_in(f": {region}, ", said["steps"][-1])
    steps = json.loads(site.ctl("explain", "world.example.com", "10.20.1.1", "--json").stdout)["steps"]
    check_equal(steps[0], "world (geo): europe, by network")


@case
def what_if_answers_for_a_world_that_is_not(site):
    up = frozenset(REGIONS) - {"dublin", "tokyo"}
    for client in site.rng.sample(site.clients, 8):
        said = json.loads(site.ctl("explain", "world.example.com", client, "--json", "--what-if", "down=dublin",
                                   "--what-if", "down=tokyo-1").stdout)
        check_equal(said["chosen"], world(site, client, up), client)
        check_equal(ask(site, client, "world")[0], world(site, client), "nothing has changed")
    result = site.ctl("explain", "world.example.com", "10.0.0.1", "--what-if", "down=dubin")
    check_equal(result.returncode, 1)
    check_in("no region or edge is named 'dubin'", result.stdout + result.stderr)
    result = site.ctl("explain", "world.example.com", "10.0.0.1", "--what-if", "dublin")
    check_in("'dublin' is not of the form down=NAME or up=NAME", result.stdout + result.stderr)
    # All at once: what all-down says.
    downs = [word for name in REGIONS for word in ("--what-if", f"down={name}")]
    said = json.loads(site.ctl("explain", "kept.example.com", "10.0.0.1", "--json", *downs).stdout)
    check_in("all-down: serve-all", said["verdict"])


def shares_of(site, weights, up):
    """Share and mean distance of each region for clients with weights."""
    sums = {}
    for client, weight in weights.items():
        region, place = world(site, client, up), site.centers.get(country_of(site, client))
        total, located, km = sums.get(region, (0, 0, 0))
        here = weight if place and region else 0
        sums[region] = (total + weight, located + here, km + (here and here * haversine_km(place, PLACES[region])))
    everybody = sum(weights.values())
    return {r: (total / everybody, km / located if located else None) for r, (total, located, km) in sums.items()}


@case
def simulate_adds_clients_up(site):
    weights = {client: 1 + i % 7 for i, client in enumerate(site.clients)}
    path = site.path("clients")
    path.write_text("# replayed\n\n" + "".join(f"{c} {w}  # {i}\n" for i, (c, w) in enumerate(weights.items())))
    result = site.ctl("simulate", "world.example.com", str(path), "--json", "--what-if", "down=tokyo")
    check_equal(result.returncode, 0, result.stderr)
    said = json.loads(result.stdout)
    check_equal(said["n_clients"], len(weights))
    now = shares_of(site, weights, frozenset(REGIONS))
    then = shares_of(site, weights, frozenset(REGIONS) - {"tokyo"})
    check_equal({s["region"] for s in said["shares"] if s["share"] > 0}, set(now))
    for s in said["shares"]:
        for (share, km), names in ((now.get(s["region"], (0, None)), ("share", "km")),
                                   (then.get(s["region"], (0, None)), ("then_share", "then_km"))):
            check(abs(s[names[0]] - share) < 1e-3, f"{s} is not {share}")
            check((s[names[1]] is None) == (km is None) and (km is None or abs(s[names[1]] - km) < 1), f"{s}: {km} km")
    check(abs(said["moved"] - now["tokyo"][0]) < 1e-3, f"{said['moved']} moved")


@case
def simulate_without_clients_asks_the_database(site):
    said = json.loads(site.ctl("simulate", "kept.example.com", "--json").stdout)
    check(said["n_clients"] > 30000, f"{said['n_clients']} networks")
    for s in said["shares"]:
        check(abs(s["share"] - WEIGHTS[s["region"]] / 100) < 0.02, f"{s}")
        check_equal(s["then_share"], None)
    shown = site.ctl("simulate", "world.example.com", "--what-if", "down=virginia")
    check_equal(shown.returncode, 0, shown.stderr)
    check_in("would move", shown.stdout)
    path = site.path("broken")
    path.write_text("10.0.0.1 1\n10.0.0.2 heavy\n")
    result = site.ctl("simulate", "world.example.com", str(path))
    check_equal(result.returncode, 2)
    check_in("broken:2: 'heavy' is no weight above 0", result.stderr)
    path.write_text("10.0.0\n")
    check_in("'10.0.0' is neither an IP address", site.ctl("simulate", "world.example.com", str(path)).stderr)
    check_in("is no steered name", site.ctl("simulate", "ns1.example.com").stderr)


@case
def a_reload_takes_other_rules(site):
    before = ask(site, "198.51.100.1", "world")[0]
    check_equal(before, "virginia")
    old = json.dumps(site.dns.config)
    site.dns.config["policies"]["world"]["to"][2]["networks"].append("198.51.100.0/24")
    site.dns.write_config()
    check_equal(site.ctl("reload").returncode, 0)
    check_equal(ask(site, "198.51.100.1", "world"), ("oregon", 24))
    site.dns.config = json.loads(old)
    site.dns.config["policies"]["world"]["to"][3] = "asai"
    site.dns.write_config()
    result = site.ctl("reload")
    check(result.returncode != 0, "a mistake is refused")
    check_in("no region or policy is named 'asai'; did you mean 'asia'?", result.stdout + result.stderr)
    check_equal(ask(site, "198.51.100.1", "world"), ("oregon", 24))


main(build)
