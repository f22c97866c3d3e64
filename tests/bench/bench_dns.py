# SPDX-License-Identifier: BSD-2-Clause
"""gslb-dns beside other authoritative DNS servers: a zone of 100,000 names, and one steered name."""

import json
import math
import pathlib
import random
import re
import socket
import struct

from harness import (TOP, Failed, Process, Rows, choose_peers, find_program, free_port, quiet_sample,
                     run_load, say)

NAMES, QUERIES = 100_000, 1 << 16
RATE = 20_000
WINDOW = 128

# name: (latitude, longitude); region k answers 192.0.2.k
REGIONS = {"us-east": (39.04, -77.49), "us-west": (37.77, -122.42), "eu-west": (53.35, -6.26),
           "ap-northeast": (35.68, 139.69), "sa-east": (-23.55, -46.63), "af-south": (-33.92, 18.42)}
# Whose place every database knows: subnet → region
KNOWN = {"193.1.0.0": "eu-west", "133.11.0.0": "ap-northeast", "143.107.0.0": "sa-east"}

# (key, title, rate of the open loop); for each key the query file and dnsload's options
WORKLOADS = [
    ("static", "DNS: a static A, random of 100,000 names", RATE),
    ("nxdomain", "DNS: NXDOMAIN", RATE),
    ("ecs", "DNS: steered A, a random /24 as client subnet", RATE),
    ("source", "DNS: steered A, random source address in 127.0.0.0/8", RATE),
]
LOADS = {"static": ("static", ["-R", 0, "-A", 1], []), "nxdomain": ("nxdomain", ["-R", 3], []),
         "ecs": ("ecs", ["-R", 0, "-A", 1], []), "source": ("source", ["-R", 0, "-A", 1], ["-S"])}


def encode_query(name, subnet=None, has_edns=False):
    """An A query in wire format (RFC 1035, 6891, 7871); subnet: three bytes."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack("!6H", 0, 0, 1, 0, 0, 1 if has_edns or subnet else 0)
    message += labels + b"\0" + struct.pack("!2H", 1, 1)
    if has_edns or subnet:
        option = struct.pack("!3H2B", 8, 7, 1, 24, 0) + subnet if subnet else b""
        message += b"\0" + struct.pack("!2HIH", 41, 1232, 0, len(option)) + option
    return message


def skip_name(message, at):
    while message[at] and message[at] < 0xC0:
        at += message[at] + 1
    return at + (2 if message[at] else 1)


def ask(port, query):
    """(rcode, [IPv4 address]) of the answer; OSError when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.25)
        sock.connect(("127.0.0.1", port))
        sock.send(query)
        message = sock.recv(4096)
    at, addresses = skip_name(message, 12) + 4, []
    for _ in range(struct.unpack("!H", message[6:8])[0]):
        at = skip_name(message, at)
        kind, _, _, length = struct.unpack("!2HIH", message[at:at + 10])
        if kind == 1:
            addresses.append(socket.inet_ntoa(message[at + 10:at + 14]))
        at += 10 + length
    return message[3] & 15, addresses


def static_address(i):
    return f"198.{18 + (i >> 16)}.{i >> 8 & 255}.{i & 255}"


def region_address(region):
    return f"192.0.2.{list(REGIONS).index(region) + 1}"


def random_subnet(rng):
    """Of the unicast space, three bytes."""
    while True:
        first = rng.randrange(1, 224)
        if first not in (10, 127):
            return bytes([first, rng.randrange(256), rng.randrange(256)])


def make_zone(origin, records):
    return (f"$ORIGIN {origin}.\n$TTL 1h\n@ IN SOA ns1 hostmaster 1 1h 15m 2w 5m\n@ IN NS ns1\n"
            f"ns1 IN A 127.0.0.1\n{records}")


def write_queries(path, queries):
    with open(path, "wb") as out:
        for query in queries:
            out.write(struct.pack("<H", len(query)) + query)


def make_data(data):
    """The zones and the queries, always the same."""
    if (data / "source.queries").exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20261123)
    hosts = "".join(f"h{i:06} IN A {static_address(i)}\n" for i in range(NAMES))
    (data / "static.test.zone").write_text(make_zone("static.test", hosts))
    write_queries(data / "static.queries", (encode_query(f"h{rng.randrange(NAMES):06}.static.test")
                                            for _ in range(QUERIES)))
    write_queries(data / "nxdomain.queries", (encode_query(f"n{rng.getrandbits(48):012x}.static.test")
                                              for _ in range(QUERIES)))
    write_queries(data / "ecs.queries", (encode_query("www.steered.test", random_subnet(rng))
                                         for _ in range(QUERIES)))
    write_queries(data / "source.queries", (encode_query("www.steered.test", has_edns=True)
                                            for _ in range(1024)))


def database_type(path):
    """The type a database says it is of, "GeoLite2-City" for one, from its metadata at the end."""
    with open(path, "rb") as database:
        database.seek(-min(128 << 10, path.stat().st_size), 2)
        metadata = database.read()
    start = metadata.rindex(b"database_type") + len("database_type")
    length = metadata[start] & 0x1F   # a short string's control byte
    return metadata[start + 1:start + 1 + length].decode(errors="replace")


def distance(a, b):
    """Great-circle distance in radians, places in degrees."""
    (lat1, lon1), (lat2, lon2) = (map(math.radians, place) for place in (a, b))
    half = math.sin((lat1 - lat2) / 2) ** 2 \
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon1 - lon2) / 2) ** 2
    return 2 * math.asin(math.sqrt(half))


def country_regions():
    """ISO code → nearest region, for servers that steer by a list of countries."""
    table = (TOP / "gslb-dns/geo/country_centers.def").read_text()
    rows = re.findall(r'^X\("(..)", "..", (-?[\d.]+), (-?[\d.]+)\)', table, re.M)
    return {code: min(REGIONS, key=lambda region: distance(REGIONS[region], (float(lat), float(lon))))
            for code, lat, lon in rows}


class GslbDns:
    name, package, programs = "gslb-dns", "", []
    workloads = list(LOADS)

    @staticmethod
    def configure(options, folder, port):
        regions = {name: {"location": place, "edges": {f"{name}-1": [region_address(name)]}}
                   for name, place in REGIONS.items()}
        (folder / "steered.test.zone").write_text(make_zone("steered.test", ""))
        (folder / "gslb-dns.yaml").write_text(json.dumps({
            "listen": [f"127.0.0.1:{port}"], "workers": 1,
            "geoip": {"databases": [str(options.geoip)]},
            "regions": regions, "region-order": list(REGIONS),
            "zones": {"static.test": str(options.data / "static.test.zone"),
                      "steered.test": "steered.test.zone"},
            "services": {"www.steered.test": {"policy": "nearest", "ttl": "60s"}}}))
        return [options.build / "bin/gslb-dns", "-c", folder / "gslb-dns.yaml"]


class Gdnsd:
    """Steers by coordinates, so that it needs a database of cities for that."""
    name, package, programs = "gdnsd", "gdnsd", ["gdnsd"]
    workloads = list(LOADS)

    @staticmethod
    def configure(options, folder, port):
        for part in ("zones", "run", "state"):
            (folder / part).mkdir()
        has_cities = "City" in database_type(options.geoip)
        www = "60 IN DYNA geoip!www" if has_cities else "60 IN A 192.0.2.1"
        (folder / "zones/static.test").write_text((options.data / "static.test.zone").read_text())
        (folder / "zones/steered.test").write_text(make_zone("steered.test", f"www {www}\n"))
        places = ", ".join(f"{name} => [{lat}, {lon}]" for name, (lat, lon) in REGIONS.items())
        addresses = ", ".join(f"{name} => {{ addrs_v4 => {region_address(name)} }}" for name in REGIONS)
        plugin = (f"plugins => {{ geoip => {{ maps => {{ world => {{ geoip2_db => {options.geoip}, "
                  f"datacenters => [{', '.join(REGIONS)}], auto_dc_coords => {{ {places} }}, "
                  "auto_dc_limit => 1 } }, resources => { www => { map => world, service_types => up, "
                  f"dcmap => {{ {addresses} }} }} }} }} }}\n" if has_cities else "")
        (folder / "config").write_text(
            "options => { listen => { 127.0.0.1 => { udp_threads => 1, tcp_threads => 1 } }, "
            f"dns_port => {port}, run_dir => {folder}/run, state_dir => {folder}/state }}\n" + plugin)
        return [find_program("gdnsd"), "-c", folder, "start"]

    @staticmethod
    def cannot(options, workload):
        if workload in ("ecs", "source") and "City" not in database_type(options.geoip):
            return "needs a database of cities (GEOIP=FILE)"
        return None


class Knot:
    """mod-geoip steers by a list of countries."""
    name, package, programs = "knot", "knot knot-module-geoip", ["knotd"]
    workloads = list(LOADS)

    @staticmethod
    def configure(options, folder, port):
        is_ours = database_type(options.geoip).startswith("country")
        key = "country_code" if is_ours else "country/iso_code"
        (folder / "geo.conf").write_text("www.steered.test:\n" + "".join(
            f'  - geo: "{code}"\n    A: {region_address(region)}\n'
            for code, region in country_regions().items()))
        zone = make_zone("steered.test", "www 60 IN A 192.0.2.1\n")
        (folder / "steered.test.zone").write_text(zone)
        (folder / "knot.conf").write_text(f"""
server:
    rundir: {folder}/run
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
log:
  - target: stderr
    any: warning
database:
    storage: {folder}/db
mod-geoip:
  - id: geo
    config-file: {folder}/geo.conf
    ttl: 60
    mode: geodb
    geodb-file: {options.geoip}
    geodb-key: [ {key} ]
template:
  - id: default
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: static.test
    file: {options.data}/static.test.zone
  - domain: steered.test
    file: {folder}/steered.test.zone
    module: mod-geoip/geo
""")
        (folder / "run").mkdir()
        return [find_program("knotd"), "-c", folder / "knot.conf"]


class Nsd:
    name, package, programs = "nsd", "nsd", ["nsd"]
    workloads = ["static", "nxdomain"]

    @staticmethod
    def configure(options, folder, port):
        (folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  database: ""
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  rrl-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
zone:
  name: static.test
  zonefile: {options.data}/static.test.zone
""")
        return [find_program("nsd"), "-d", "-c", folder / "nsd.conf"]


PEERS = [Gdnsd, Knot, Nsd]


def answers_last_name(port):
    rcode, addresses = ask(port, encode_query(f"h{NAMES - 1:06}.static.test"))
    return rcode == 0 and addresses == [static_address(NAMES - 1)]


def check_answers(port, workloads):
    """Before anything is measured: are the answers right?"""
    rng = random.Random(1)
    for i in rng.sample(range(NAMES), 20):
        got = ask(port, encode_query(f"h{i:06}.static.test"))
        if got != (0, [static_address(i)]):
            raise Failed(f"h{i:06}.static.test: rcode and addresses {got}")
    if ask(port, encode_query("none.static.test"))[0] != 3:
        raise Failed("none.static.test is not NXDOMAIN")
    for subnet, region in KNOWN.items() if "ecs" in workloads else ():
        got = ask(port, encode_query("www.steered.test", socket.inet_aton(subnet)[:3]))
        if got != (0, [region_address(region)]):
            raise Failed(f"www.steered.test for {subnet}/24: {got}, not {region}")
    if "source" in workloads:
        got = ask(port, encode_query("www.steered.test", has_edns=True))
        if got != (0, [region_address("us-east")]):
            raise Failed(f"www.steered.test for 127.0.0.1: {got}, not the default region")


def load(options, workload, port, server, is_floor=False, rate=None, seconds=None):
    queries, checks, sources = LOADS[workload]
    arguments = ["-p", port, "-f", options.data / f"{queries}.queries", "-d", seconds or options.seconds,
                 *sources, *([] if is_floor else checks)]
    arguments += ["-r", rate] if rate else ["-w", WINDOW]
    return run_load(options, "dnsload", arguments, server)


class Floor:
    """A process that stays blocked but for its own samples."""

    def __init__(self, options):
        self.options, self.port = options, free_port()
        self.process = Process("dnsfloor", [options.tools / "dnsfloor", self.port], options.work).start()
        self.process.wait_answer(lambda: ask(self.port, encode_query("floor.test")))

    def sample(self, workload):
        return load(self.options, workload, self.port, self.process, is_floor=True,
                    seconds=max(0.5, self.options.seconds / 2))


def measure(options, floor, entry, rows, folder):
    port = free_port()
    server = Process(entry.name, entry.configure(options, folder, port), folder)
    try:
        server.start()
        seconds = server.wait_answer(lambda: answers_last_name(port))
        workloads = chosen_workloads(options, entry)
        check_answers(port, workloads)
        memory = server.memory_bytes()
        for workload in workloads:
            beside = floor.sample(workload)
            busy = quiet_sample(lambda: load(options, workload, port, server))
            steady = load(options, workload, port, server, rate=RATE)
            rows.add(workload, entry.name, busy, steady, beside)
            options.record(bench="dns", server=entry.name, workload=workload, floor=beside, busy=busy,
                           steady=steady)
        rows.starts[entry.name].append((seconds, memory, server.memory_bytes()))
    finally:
        server.stop()


def chosen_workloads(options, entry):
    chosen = []
    for workload in entry.workloads:
        if options.only and workload not in options.only:
            continue
        reason = entry.cannot(options, workload) if hasattr(entry, "cannot") else None
        if reason:
            say(f"  {entry.name}: {workload} left out: {reason}")
        else:
            chosen.append(workload)
    return chosen


def measure_floor(options, floor, rows):
    for workload, _, rate in WORKLOADS:
        if not options.only or workload in options.only:
            busy = floor.sample(workload)
            steady = load(options, workload, floor.port, floor.process, is_floor=True, rate=rate)
            rows.add(workload, "(floor)", busy, steady, None)
            options.record(bench="dns", server="floor", workload=workload, busy=busy, steady=steady)


def run(options):
    """True: every server could be measured."""
    make_data(options.data)
    rows, entries = Rows(), [GslbDns, *choose_peers(options, PEERS)]
    floor = Floor(options)
    try:
        for repeat in range(options.repeats):
            measure_floor(options, floor, rows)
            for entry in entries:
                say(f"dns {repeat + 1}/{options.repeats}: {entry.name}")
                folder = pathlib.Path(options.work, f"{entry.name}-{repeat}")
                folder.mkdir()
                try:
                    measure(options, floor, entry, rows, folder)
                except Failed as why:
                    rows.fail(entry.name, why)
    finally:
        floor.process.stop()
    rows.print("answer", WORKLOADS)
    return not rows.failures
