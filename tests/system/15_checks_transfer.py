#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What toy authoritative servers get wrong between servers: of the 48 checks (15_dns_checks.py) those
of zone transfers, NOTIFY and TSIG."""
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import dns.message  # noqa: E402
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402
import dns.rrset  # noqa: E402
import dns.tsigkeyring  # noqa: E402

from dns_client import addresses_of, read_tcp_message, tcp_frame  # noqa: E402
from dns_packets import opt, packet, question  # noqa: E402
from fake_primary import FakePrimary  # noqa: E402
from gslbtest import (PATIENCE, case, case_table, check, check_equal, free_port, main,  # noqa: E402
                      stays_true, wait_until)
from name_servers import SECRET, SERVERS, start_secondary  # noqa: E402
from site_under_test import Site  # noqa: E402

ALGORITHM = b"\x0bhmac-sha256\0"
FORMERR, REFUSED, NOTAUTH, BADSIG, BADKEY, BADTIME, BADTRUNC = 1, 5, 9, 16, 17, 18, 22
MAC_BYTES = 32
SOA, NOTIFY = 6, 4


def build():
    site = Site()

    def edit(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["zones"] = {"example.com": {"file": config["zones"]["example.com"],
                                           "allow-transfer": ["127.0.0.2"]}}
    site.add_dns("ns1", edit)
    for edge in ("us-east-1", "eu-west-1", "ap-northeast-1"):
        site.add_fake_edge(edge)
    return site.start()


# ---- transfers

def transfer(site):
    """All records, in their order, as they go to 127.0.0.2."""
    with socket.create_connection(("127.0.0.1", site.dns.port), 5 * PATIENCE, ("127.0.0.2", 0)) as sock:
        sock.sendall(tcp_frame(dns.message.make_query("example.com", "AXFR").to_wire()))
        records = []
        while sum(record.rdtype == SOA for record in records) < 2:
            message = dns.message.from_wire(read_tcp_message(sock), one_rr_per_rrset=True)
            check_equal(message.rcode(), 0)
            records += message.answer
    return records


@case
def check_43_a_zone_goes_out_whole(site):
    """SOA first and last, the same one; a steered name as the addresses that it has now."""
    records = transfer(site)
    check_equal((records[0].rdtype, records[-1].rdtype), (SOA, SOA))
    check_equal(records[0], records[-1])
    steered = {record[0].address for record in records if str(record.name) == "www.example.com."
               and record.rdtype == 1}
    check_equal(steered, {"127.0.0.11", "127.0.0.12", "127.0.0.13"})
    check_equal(len(records) - 1, len({record.to_text() for record in records}), "nothing twice but the SOA")


@case
def check_43_and_to_nobody_else(site):
    axfr = dns.message.make_query("example.com", "AXFR")
    check_equal(site.dns.client.send(axfr, tcp=True).rcode(), dns.rcode.REFUSED)
    check_equal(dns.query.udp(axfr, "127.0.0.1", port=site.dns.port, source="127.0.0.2",
                              timeout=5 * PATIENCE).rcode(), dns.rcode.NOTIMP, "never by UDP")
    ixfr = dns.message.make_query("example.com", "IXFR")
    ixfr.authority.append(dns.rrset.from_text("example.com.", 0, "IN", "SOA", ". . 0 0 0 0 0"))
    got = dns.query.udp(ixfr, "127.0.0.1", port=site.dns.port, source="127.0.0.2", timeout=5 * PATIENCE)
    check_equal([rrset.rdtype for rrset in got.answer], [SOA], "IXFR by UDP: come by TCP, RFC 1995 section 2")


# ---- NOTIFY

@case_table({"plain": b"", "with EDNS": opt()})
def check_44_a_strangers_notify_is_answered_and_ignored(site, record):
    """The same question back, opcode 4, and nothing is asked or logged for it (RFC 1996 section 3.10)."""
    asked = packet(*filter(None, [record]), body=question("example.com", SOA), flags=0x0400, opcode=NOTIFY)
    lines = len(site.dns.program.log_lines("(?i)notify|warn|error"))
    for _ in range(50):
        got = site.dns.client.raw(asked)
        check_equal((got[2] >> 3 & 15, got[2] >> 7, got[3] & 15), (NOTIFY, 1, REFUSED))
        check_equal(got[12:12 + len(question("example.com"))], question("example.com", SOA))
        check_equal(struct.unpack("!H", got[10:12])[0], bool(record), "OPT for OPT")
    check_equal(len(site.dns.program.log_lines("(?i)notify|warn|error")), lines, "not a line in the log")


@case_table({"of A": question("example.com", 1), "of two": question("example.com", SOA) * 2, "of nothing": b""})
def check_44_a_notify_of_anything_but_an_soa_is_formerr(site, body):
    counts = (len(body) // max(1, len(question("example.com"))), 0, 0, 0)
    got = site.dns.client.raw(packet(body=body, counts=counts, flags=0x0400, opcode=NOTIFY))
    check_equal((got[2] >> 3 & 15, got[3] & 15), (NOTIFY, FORMERR))


# ---- NOTIFY, as a secondary hears it

LAZY = "3600 3600 7200 5"


def secondary(serial):
    """A node that has example.com from a primary whose timers do not come into play."""
    site, primary = Site(), FakePrimary(timers=LAZY)
    primary.set_zone(serial)

    def edit(config):
        config["secondary"] = {"directory": "copies", "min-wait": "1s"}
        config["zones"] = {"example.com": {"primaries": [f"127.0.0.1:{primary.port}"]}}
        config["services"] = {}
    site.add_dns("ns1", edit).start()
    wait_for(site, serial)
    primary.asked.clear()
    return site, primary


def served_serial(client):
    answer = client.query("example.com", "SOA", timeout_s=1)
    return answer.answer[0][0].serial if answer.answer else None


def wait_for(site, serial):
    wait_until(lambda: served_serial(site.dns.client) == serial, f"serial {serial}")


def notify(site, serial=None):
    """The RCODE that a NOTIFY of the primary gets, with its serial as a hint or without."""
    message = dns.message.make_query("example.com", "SOA", use_edns=0)
    message.set_opcode(NOTIFY)
    if serial is not None:
        message.answer.append(dns.rrset.from_text("example.com.", 0, "IN", "SOA", f". . {serial} 1 1 1 1"))
    return site.dns.client.send(message).rcode()


@case
def check_44_serials_are_compared_as_rfc_1982_says():
    """By hint and by the primary's SOA alike: newer is what lies less than half the circle ahead."""
    site, primary = secondary(4294967290)
    for serial in (4294967295, 0, 2**31 - 1):
        primary.set_zone(serial)
        check_equal(notify(site, serial), dns.rcode.NOERROR)
        wait_for(site, serial)
    asked = len(primary.asked)
    for older in (0, 2**31 - 1, 2**31 - 2, 4294967295):     # the last is half the circle ahead
        check_equal(notify(site, older), dns.rcode.NOERROR)
    stays_true(lambda: len(primary.asked) == asked, "nothing is asked for what is no news", 1.5)
    primary.set_zone(7)                                     # whatever a NOTIFY says
    notify(site)
    wait_until(lambda: primary.count("SOA") > 3, "the primary to be asked")
    check_equal(served_serial(site.dns.client), 2**31 - 1)


@case
def check_44_a_flood_of_notifies_asks_for_one_soa_a_second():
    """Also if each brings another serial; and the last of them is not lost."""
    site, primary = secondary(1)
    began, serial = time.monotonic(), 1
    while time.monotonic() - began < 3:
        serial += 1
        notify(site, serial)
    took_s = time.monotonic() - began
    check(serial > 50, f"{serial} are no flood")
    check(1 <= primary.count("SOA") <= took_s + 1, f"{primary.count('SOA')} questions in {took_s:.1f} s")
    primary.set_zone(2)
    notify(site)
    wait_for(site, 2)


@case_table({name: name for name in SERVERS})
def check_44_other_secondaries_follow_beyond_the_last_number(name):
    """4294967295 and then 3, told by our NOTIFY and transferred from us."""
    site, port = Site(), free_port()
    zone = site.path("round.zone")
    text = "$ORIGIN example.com.\n$TTL 1h\n@ SOA ns1 h {} 1h 15m 2w 5m\n@ NS ns1\nns1 A 127.0.0.1\n"
    zone.write_text(text.format(4294967295))

    def edit(config):
        config["tsig-keys"] = {"backup": {"secret": SECRET}}
        config["zones"] = {"example.com": {"file": str(zone), "allow-transfer": ["key backup"],
                                           "notify": [f"127.0.0.1:{port} key backup"]}}
        config["services"] = {}
    site.add_dns("ns1", edit).start()
    with start_secondary(site, name, site.dns.port, port) as peer:
        if peer is None:
            return
        peer.wait_serial(4294967295)
        zone.write_text(text.format(3))
        site.dns.reload("ctl")
        peer.wait_serial(3)


# ---- TSIG

def signed(name="backup", secret=SECRET, at_s=None):
    """The bytes of a query, signed at this time."""
    query = dns.message.make_query("static.example.com", "A")
    query.use_tsig(dns.tsigkeyring.from_text({name: secret}), name)
    clock = dns.message.time
    if at_s is not None:
        dns.message.time = type("Clock", (), {"time": staticmethod(lambda: at_s)})
    try:
        return query.to_wire()
    finally:
        dns.message.time = clock


def with_mac_of(n):
    """A good query whose MAC has been cut to n bytes."""
    wire = signed()
    at = wire.rindex(ALGORITHM)
    rdata = wire[at:]
    mac_at = len(ALGORITHM) + 10
    rdata = rdata[:mac_at - 2] + struct.pack("!H", n) + rdata[mac_at:mac_at + n] + rdata[mac_at + MAC_BYTES:]
    return wire[:at - 2] + struct.pack("!H", len(rdata)) + rdata


def tsig_of(answer):
    """(bytes of the MAC, error, other data) of the TSIG at an answer's end."""
    rdata = answer[answer.rindex(ALGORITHM) + len(ALGORITHM):]
    mac_bytes = struct.unpack("!H", rdata[8:10])[0]
    _, error, other_bytes = struct.unpack("!HHH", rdata[10 + mac_bytes:16 + mac_bytes])
    other = rdata[16 + mac_bytes:]
    check_equal(len(other), other_bytes, "nothing behind it")
    return mac_bytes, error, other


@case
def check_45_a_good_signature_is_answered_with_one(site):
    for tcp in (False, True):
        got = site.dns.client.raw(signed(), tcp=tcp)
        check_equal(tsig_of(got), (MAC_BYTES, 0, b""))
        check_equal(got[3] & 15, 0)
    query = dns.message.make_query("static.example.com", "A")
    query.use_tsig(dns.tsigkeyring.from_text({"backup": SECRET}), "backup")
    check_equal(addresses_of(site.dns.client.send(query)), {"192.0.2.80"}, "dnspython verifies it")


@case_table({
    "an unknown key": (lambda: signed("nobody"), BADKEY),
    "another secret": (lambda: signed(secret="d3Jvbmcgd3JvbmcgIQ=="), BADSIG),
})
def check_45_what_cannot_be_trusted_is_told_so_unsigned(site, make, error):
    got = site.dns.client.raw(make())
    check_equal(got[3] & 15, NOTAUTH)
    check_equal(tsig_of(got), (0, error, b""))


@case_table({"late": -3600, "early": 3600})
def check_45_a_wrong_clock_is_told_the_time(site, offset_s):
    got = site.dns.client.raw(signed(at_s=int(time.time()) + offset_s))
    mac_bytes, error, other = tsig_of(got)
    check_equal((got[3] & 15, mac_bytes, error), (NOTAUTH, MAC_BYTES, BADTIME))
    check(abs(int.from_bytes(other, "big") - time.time()) < 60, "our time, RFC 8945 section 5.2.3")


@case
def check_45_shortened_macs_are_not_taken(site):
    """Below 10 bytes or half of the hash: FORMERR (RFC 8945 section 5.2.2.1); above: BADTRUNC."""
    for n in (0, 4, 9, 15):
        check_equal(site.dns.client.raw(with_mac_of(n))[3] & 15, FORMERR, f"{n} bytes")
    got = site.dns.client.raw(with_mac_of(16))
    check_equal(got[3] & 15, NOTAUTH)
    check(tsig_of(got)[1] in (BADTRUNC, BADSIG), f"{tsig_of(got)}")


@case
def check_45_tsig_stands_last(site):
    wire = signed()
    more = wire[:10] + struct.pack("!H", struct.unpack("!H", wire[10:12])[0] + 1) + wire[12:] + opt()
    check_equal(site.dns.client.raw(more)[3] & 15, FORMERR)


if __name__ == "__main__":
    sys.exit(main(build))
