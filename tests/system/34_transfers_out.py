#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones go out whole (AXFR, IXFR), signed by TSIG, to those who may have them and nobody else
(check items 43 and 45); dnspython, dig, NSD, Knot and BIND take them."""
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.exception  # noqa: E402
import dns.message  # noqa: E402
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402
import dns.tsig  # noqa: E402
import dns.tsigkeyring  # noqa: E402
import dns.rrset  # noqa: E402
import dns.zone  # noqa: E402

from dns_client import ede_of, read_tcp_message  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, check_in, free_port,  # noqa: E402
                      main, run_program, wait_until)
from name_servers import SECRET, SERVERS, start_secondary  # noqa: E402
from site_under_test import Site  # noqa: E402

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224", "hmac-sha1")
N_BIG = 30000
BIG = ("$ORIGIN big.example.\n$TTL 1h\n@ SOA ns1.example.com. h 7 1h 15m 2w 5m\n@ NS ns1.example.com.\n"
       + "sub NS ns.sub\nns.sub A 192.0.2.53\nunder.sub TXT \"occluded\"\nalias CNAME h1\n"
       + f"$GENERATE 1-{N_BIG} h$ A 192.0.2.1\n@ MX 10 h1\n*.wild TXT \"w\"\n")


def build():
    site = Site()
    (site.path("big.zone")).write_text(BIG)
    key_file = site.path("backup.key")
    key_file.write_text(f'key "backup" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    key_file.chmod(0o640)

    site.tls_port = free_port()

    def edit(config):
        config["listen-tls"] = [f"127.0.0.1:{site.tls_port}"]
        config["tls"] = {"certificates": [site.certs.site("ns.example.net")]}
        config["tsig-keys"] = {"backup": {"secret-file": "backup.key"}, "other": {"secret": SECRET},
                               **{f"by-{a}": {"algorithm": a, "secret": SECRET} for a in ALGORITHMS}}
        config["zones"] = {
            "example.com": {"file": config["zones"]["example.com"],
                            "allow-transfer": ["127.0.0.1 key backup", "key by-hmac-sha512",
                                               *(f"key by-{a}" for a in ALGORITHMS)]},
            "big.example": {"file": str(site.path("big.zone")), "allow-transfer": ["127.0.0.0/8"],
                            "steered": "omit"}}
        config["services"]["omitted.big.example"] = {}
    site.add_dns("ns1", edit).start()
    return site


def keyring(name="backup", secret=SECRET):
    return dns.tsigkeyring.from_text({name: secret})


def transfer(site, zone, key=None, algorithm="hmac-sha256", ring=None, rdtype="AXFR", **how):
    """The zone by dnspython, which judges what it gets; DNSException when it does not like it."""
    messages = dns.query.xfr("127.0.0.1", zone, rdtype, port=site.dns.port, timeout=20 * PATIENCE,
                             relativize=False, keyring=ring or (keyring(key) if key else None),
                             keyname=key, keyalgorithm=algorithm, **how)
    return dns.zone.from_xfr(messages, relativize=False, check_origin=True)


def names_of(zone):
    return {name.to_text() for name in zone.nodes}


@case
def all_of_a_zone_comes(site):
    zone = transfer(site, "big.example")
    check_equal(len(zone.nodes), N_BIG + 6)
    check_equal(zone.get_soa().serial, 7)
    check_equal(zone.find_rdataset("under.sub.big.example.", "TXT")[0].strings, (b"occluded",))
    check("omitted.big.example." not in names_of(zone), "a service is in the transfer")


@case
def messages_are_large_and_each_has_its_question(site):
    query = dns.message.make_query("big.example", "AXFR", use_edns=0)
    with socket.create_connection(("127.0.0.1", site.dns.port), 20 * PATIENCE) as sock:
        sock.settimeout(20 * PATIENCE)
        dns.query.send_tcp(sock, query)
        n_soa, sizes = 0, []
        while n_soa < 2:
            wire = read_tcp_message(sock)
            answer = dns.message.from_wire(wire, one_rr_per_rrset=True)
            check_equal((answer.id, answer.rcode(), len(answer.question)), (query.id, 0, 1))
            n_soa += sum(rrset.rdtype == 6 for rrset in answer.answer)
            check_equal(answer.edns, -1 if sizes else 0, "OPT in the first message alone")
            sizes.append(len(wire))
    check(min(sizes[:-1]) > 16000, f"sizes {sizes}")


@case
def services_are_their_addresses(site):
    addresses = {r.address for r in
                 transfer(site, "example.com", "backup").find_rdataset("www.example.com.", "A")}
    check_equal(addresses, {"127.0.0.11", "127.0.0.12", "127.0.0.13"})


@case_table({a: a for a in ALGORITHMS})
def every_algorithm_signs(site, algorithm):
    zone = transfer(site, "example.com", f"by-{algorithm}", algorithm)
    check_in("static.example.com.", names_of(zone))


@case
def ordinary_answers_are_signed_too(site):
    query = dns.message.make_query("static.example.com", "A", use_edns=0)
    query.use_tsig(keyring("other"), "other")
    for tcp in (False, True):
        answer = site.dns.client.send(query, tcp=tcp)
        check(answer.had_tsig, "signed")
        check_equal(answer.answer[0][0].address, "192.0.2.80")


@case
def strangers_get_nothing(site):
    for how in ({}, {"key": "other"}):
        query = dns.message.make_query("example.com", "AXFR", use_edns=0)
        if how:
            query.use_tsig(keyring("other"), "other")
        answer = site.dns.client.send(query, tcp=True)
        check_equal((answer.rcode(), answer.answer), (dns.rcode.REFUSED, []))
        check_equal(ede_of(answer)[0], 18)


@case
def a_key_alone_is_not_enough_where_an_address_is_asked_for(site):
    query = dns.message.make_query("example.com", "AXFR", use_edns=0)
    query.use_tsig(keyring(), "backup")
    answer = dns.query.tcp(query, "127.0.0.1", port=site.dns.port, source="127.0.0.9",
                           timeout=3 * PATIENCE)
    check_equal(answer.rcode(), dns.rcode.REFUSED)


@case_table({
    "a key that is not ours": ("nobody", SECRET, dns.tsig.PeerBadKey),
    "a wrong secret": ("backup", "d3Jvbmcgd3JvbmcgIQ==", dns.tsig.PeerBadSignature),
})
def bad_signatures_say_why(site, name, secret, error):
    query = dns.message.make_query("static.example.com", "A")
    query.use_tsig(keyring(name, secret), name)
    try:
        site.dns.client.send(query, tcp=True)
    except error:
        pass
    else:
        raise AssertionError("taken")


@case
def nothing_but_the_soa_goes_out_by_udp(site):
    query = dns.message.make_query("big.example", "AXFR", use_edns=0)
    check_equal(site.dns.client.send(query).rcode(), dns.rcode.NOTIMP)
    answer = site.dns.client.send(ixfr_query("big.example", 3))
    check_equal([rrset.rdtype for rrset in answer.answer], [6])


def ixfr_query(name, serial):
    """Of a client that has this serial."""
    query = dns.message.make_query(name, "IXFR")
    query.authority.append(dns.rrset.from_text(f"{name}.", 0, "IN", "SOA", f". . {serial} 0 0 0 0"))
    return query


@case_table({"as new as ours": (7, 1), "newer": (8, 1), "older": (6, None)})
def ixfr_says_when_there_is_nothing_new(site, serial, n_records):
    answer = site.dns.client.send(ixfr_query("big.example", serial), tcp=True)
    if n_records:
        check_equal(sum(len(rrset) for rrset in answer.answer), n_records)
    else:
        check(len(answer.answer) > 100, "all of it")


@case
def zones_of_others_are_not_transferred(site):
    query = dns.message.make_query("host.example.com", "AXFR", use_edns=0)
    check_equal(site.dns.client.send(query, tcp=True).rcode(), dns.rcode.NOTAUTH)


def dig_axfr(port, zone, *args):
    """What dig says of a transfer that it found nothing wrong with."""
    said = subprocess.run(["dig", "@127.0.0.1", "-p", str(port), "-y", f"hmac-sha256:backup:{SECRET}",
                           *args, zone, "AXFR"], capture_output=True, text=True, check=True).stdout
    check_in("XFR size", said)
    check("expected a TSIG" not in said and "failed" not in said, said[-2000:])
    return said.replace("\t\t", "\t")


@case
def dig_takes_it(site):
    check_in("cdn.example.com.\t3600\tIN\tCNAME\twww.example.com.",
             dig_axfr(site.dns.port, "example.com"))


@case
def dig_takes_it_over_tls(site):
    """RFC 9103: many records, over more than one message."""
    before = site.dns.metrics()['gslb_dns_queries_total{transport="tls",family="4"}']
    said = dig_axfr(site.tls_port, "big.example", "+tls", f"+tls-ca={site.certs.ca}",
                    "+tls-hostname=ns.example.net")
    check_in(f"h{N_BIG}.big.example.\t3600\tIN\tA\t192.0.2.1", said)
    check_in("(TLS)", said)
    after = site.dns.metrics()['gslb_dns_queries_total{transport="tls",family="4"}']
    check_equal(after, before + 1, "transfers over TLS")


@case
def tls_lets_nobody_in_who_is_not_listed(site):
    """Nor does it stand in for the key of a transfer."""
    said = subprocess.run(["dig", "@127.0.0.1", "-p", str(site.tls_port), "+tls", "example.com", "AXFR"],
                          capture_output=True, text=True, check=False).stdout
    check_in("Transfer failed", said)
    check("CNAME" not in said, said[-2000:])


@case
def a_slow_client_outlives_a_reload(site):
    """What it began with it ends with: one serial."""
    query = dns.message.make_query("big.example", "AXFR")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20 * PATIENCE)
        sock.connect(("127.0.0.1", site.dns.port))
        dns.query.send_tcp(sock, query)
        first, _ = dns.query.receive_tcp(sock, one_rr_per_rrset=True)
        site.path("big.zone").write_text(BIG.replace(" h 7 ", " h 8 "))
        site.dns.reload("ctl")
        serials = [rrset[0].serial for rrset in first.answer if rrset.rdtype == 6]
        while len(serials) < 2:
            answer, _ = dns.query.receive_tcp(sock, one_rr_per_rrset=True)
            serials += [rrset[0].serial for rrset in answer.answer if rrset.rdtype == 6]
    check_equal(serials, [7, 7])
    check_equal(transfer(site, "big.example").get_soa().serial, 8)


# ---- others as secondaries ----

@case_table({name: name for name in SERVERS})
def it_is_the_primary_of(site, name):
    with start_secondary(site, name, site.dns.port) as peer:
        if peer is None:
            return

        def has_it():
            answer = peer.client.query("cdn.example.com", "A", timeout_s=1)
            return answer.rcode() == 0 and len(answer.answer) == 2
        wait_until(has_it, f"{name} to serve the zone", 30, 0.2)
        check_equal(peer.client.addresses("www.example.com"), {"127.0.0.11", "127.0.0.12", "127.0.0.13"})


@case
def it_counts(site):
    check(site.dns.metric(r'gslb_dns_tsig_total\{verdict="badkey"') >= 1, "bad keys")
    check(site.dns.metric(r'gslb_dns_tsig_total\{verdict="ok"') >= 10, "good ones")
    check_equal(site.dns.metric(r"gslb_dns_transfers_under_way"), 0)
    check(site.dns.metric(r'gslb_dns_transfers_total\{outcome="finished"') >= 10, "finished")


@case_table({
    "no secret": ({"k": {}}, "needs one of 'secret-file' and 'secret'"),
    "two secrets": ({"k": {"secret": SECRET, "secret-file": "backup.key"}}, "needs one of"),
    "not base64": ({"k": {"secret": "se cret"}}, "is no base64"),
    "open to others": ({"k": {"secret-file": "open.key"}}, "others may read"),
    "an unknown algorithm": ({"k": {"algorithm": "hmac-md5", "secret": SECRET}}, "hmac-sha256"),
})
def bad_keys_are_told(site, keys, wanted):
    site.path("open.key").write_text(SECRET)
    site.path("open.key").chmod(0o644)
    path = site.path("bad.yaml")
    path.write_text(json.dumps({**site.dns.config, "tsig-keys": keys, "services": {},
                                "zones": {"big.example": str(site.path("big.zone"))}}, indent=1))
    result = run_program("gslb-dns", "--check", "-c", path)
    check(result.returncode != 0, "taken")
    check_in(wanted, result.stderr)
    if "secret-file" not in str(keys):
        check("se cret" not in result.stderr.replace("expected", ""), "the secret is shown")


@case
def a_secondary_to_notify_is_an_address_and_a_key(site):
    path = site.path("tls.yaml")
    path.write_text(json.dumps({**site.dns.config, "services": {},
                                "zones": {"big.example": {"file": str(site.path("big.zone")),
                                                          "notify": ["192.0.2.1 tls ns2.example"]}}}, indent=1))
    result = run_program("gslb-dns", "--check", "-c", path)
    check(result.returncode != 0, "taken")
    check_in("expected an address, perhaps with its port, then perhaps 'key NAME'", result.stderr)


main(build)
