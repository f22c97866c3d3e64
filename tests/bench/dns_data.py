# SPDX-License-Identifier: BSD-2-Clause
"""What the DNS comparison is about: the zones, plain and signed, the queries, and one answer read."""

import math
import random
import re
import shutil
import socket
import struct
import subprocess
import time

from harness import TOP, Failed, find_program, say

NAMES, QUERIES = 100_000, 1 << 16
SIGNED_FOR_S = 14 * 86400   # of the four weeks that ldns-signzone signs for

# name: (latitude, longitude); region k answers 192.0.2.k
REGIONS = {"us-east": (39.04, -77.49), "us-west": (37.77, -122.42), "eu-west": (53.35, -6.26),
           "ap-northeast": (35.68, 139.69), "sa-east": (-23.55, -46.63), "af-south": (-33.92, 18.42)}
# Whose place every database knows: subnet → region
KNOWN = {"193.1.0.0": "eu-west", "133.11.0.0": "ap-northeast", "143.107.0.0": "sa-east"}

def encode_query(name, subnet=None, has_edns=False, dnssec=False):
    """An A query in wire format (RFC 1035, 6891, 7871); subnet: three bytes; dnssec: DO is set."""
    has_edns = has_edns or dnssec
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    message = struct.pack("!6H", 0, 0, 1, 0, 0, 1 if has_edns or subnet else 0)
    message += labels + b"\0" + struct.pack("!2H", 1, 1)
    if has_edns or subnet:
        option = struct.pack("!3H2B", 8, 7, 1, 24, 0) + subnet if subnet else b""
        message += b"\0" + struct.pack("!2HIH", 41, 1232, 0x8000 if dnssec else 0, len(option)) + option
    return message


def skip_name(message, at):
    while message[at] and message[at] < 0xC0:
        at += message[at] + 1
    return at + (2 if message[at] else 1)


def ask(port, query):
    """(rcode, [IPv4 address]) of the answer; OSError when there is none."""
    return ask_types(port, query)[:2]


def ask_types(port, query):
    """(rcode, [IPv4 address], {types in the answer and authority sections})"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.25)
        sock.connect(("127.0.0.1", port))
        sock.send(query)
        message = sock.recv(4096)
    at, addresses, types = skip_name(message, 12) + 4, [], set()
    for _ in range(sum(struct.unpack("!2H", message[6:10]))):
        at = skip_name(message, at)
        kind, _, _, length = struct.unpack("!2HIH", message[at:at + 10])
        types.add(kind)
        if kind == 1:
            addresses.append(socket.inet_ntoa(message[at + 10:at + 14]))
        at += 10 + length
    return message[3] & 15, addresses, types


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


def make_zone(origin, records, serial=1):
    return (f"$ORIGIN {origin}.\n$TTL 1h\n@ IN SOA ns1 hostmaster {serial} 1h 15m 2w 5m\n@ IN NS ns1\n"
            f"ns1 IN A 127.0.0.1\n{records}")


def make_hosts(origin, names=NAMES, serial=1, probe="192.0.2.1"):
    """A zone of so many names with an address each, and one more that tells versions apart."""
    return make_zone(origin, "".join(f"h{i:06} IN A {static_address(i)}\n" for i in range(names))
                     + f"probe IN A {probe}\n", serial)


def write_queries(path, queries):
    with open(path, "wb") as out:
        for query in queries:
            out.write(struct.pack("<H", len(query)) + query)


def make_data(data):
    """The zones and the queries, always the same."""
    if (data / "signed-steered.queries").exists():
        return
    data.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20261123)
    (data / "static.test.zone").write_text(make_hosts("static.test"))
    for prefix, dnssec in (("", False), ("signed-", True)):
        apex = "signed.test" if dnssec else "static.test"
        write_queries(data / f"{prefix}static.queries",
                      (encode_query(f"h{rng.randrange(NAMES):06}.{apex}", dnssec=dnssec) for _ in range(QUERIES)))
        write_queries(data / f"{prefix}nxdomain.queries",
                      (encode_query(f"n{rng.getrandbits(48):012x}.{apex}", dnssec=dnssec)
                       for _ in range(QUERIES)))
    write_queries(data / "ecs.queries", (encode_query("www.steered.test", random_subnet(rng))
                                         for _ in range(QUERIES)))
    write_queries(data / "source.queries", (encode_query("www.steered.test", has_edns=True)
                                            for _ in range(1024)))
    write_queries(data / "signed-steered.queries", (encode_query("www.steered.test", random_subnet(rng), dnssec=True)
                                                    for _ in range(QUERIES)))


def make_keys(options, zone):
    """A KSK and a ZSK by our own keygen, in the files that all tools know; their folder."""
    keys = options.data / f"keys-{zone}"
    if not list(keys.glob("*.private")):
        keys.mkdir(parents=True, exist_ok=True)
        subprocess.run([options.build / "bin/gslb-dns", "keygen", "-d", keys, "--split", zone], check=True,
                       capture_output=True)
    return keys


def make_signed_zone(options, names=NAMES):
    """signed.test with so many names, signed by ldns-signzone, for servers that do not sign."""
    out = options.data / f"signed.test-{names}.signed"
    if out.exists() and time.time() - out.stat().st_mtime < SIGNED_FOR_S:
        return out
    signer = find_program("ldns-signzone")
    if not signer:
        raise Failed("a signed zone needs ldns-signzone (apt-get install ldnsutils)")
    say(f"  signing {names:,} names by ldns-signzone, once")
    keys = [str(path)[:-len(".private")] for path in sorted(make_keys(options, "signed.test").glob("*.private"))]
    plain = make_plain_zone(options, "signed.test", names)
    subprocess.run([signer, "-o", "signed.test", "-f", f"{out}.new", plain, *keys], check=True,
                   capture_output=True)
    shutil.move(f"{out}.new", out)
    return out


def make_plain_zone(options, apex, names=NAMES):
    path = options.data / f"{apex}-{names}.zone"
    if not path.exists():
        path.write_text(make_hosts(apex, names))
    return path


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
