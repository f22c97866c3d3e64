# SPDX-License-Identifier: BSD-2-Clause
"""Validators that nobody here wrote, set upon a zone that a server under test has signed.

    anchor = fetch_dnskeys(site.dns.client, "example.com")
    resolver = start_unbound(site, "unbound", {"example.com": site.dns.port}, anchors=[anchor])
    check_secure(resolver, "www.example.com", "A")              # validated: AD is set
    check_in("fully validated", delv(site, site.dns.port, anchor, "www.example.com", "A"))
    check_equal(SignedZone("example.com", anchor).faults_of(message), [])   # dnssec_proof.py

The trust anchor is what the server itself publishes: that it is the right one is the business of
the tests of keys; here it has to be consistent.
"""

import base64
import os
import shutil
import subprocess

import dns.flags
import dns.rcode
import dns.rdatatype

from dns_client import DnsClient
from dnssec_proof import SignedZone
from gslbtest import PATIENCE, check, check_equal, free_port, wait_until

RD, CD = 0x100, 0x10


def find_tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    check(path, f"{name} is not installed (Debian package {package}): run deploy/setup test")
    return path


def fetch_dnskeys(client, zone):
    """The DNSKEY RRset, its own signature checked."""
    message = client.query(zone, "DNSKEY", tcp=True, dnssec=True)
    keys = next((rrset for rrset in message.answer if rrset.rdtype == dns.rdatatype.DNSKEY), None)
    check(keys, f"{zone} has no DNSKEY:\n{message}")
    check_equal(SignedZone(zone, keys).faults_of(message), [], f"DNSKEY of {zone}")
    return keys


def start_unbound(site, name, zones, anchors=(), more="", probe=None):
    """A resolver that knows where these zones are, {zone: port}, and validates below the anchors
    (DNSKEY RRsets). probe: a name that has an A record, asked until it answers."""
    port, path = free_port(), site.path(f"{name}.conf")
    anchor_file = site.path(f"{name}.anchors")
    anchor_file.write_text("".join(f"{keys.to_text()}\n" for keys in anchors))
    zone_lines = "".join(f'  local-zone: "{zone}." transparent\n' for zone in zones)
    stubs = "".join(f'stub-zone:\n  name: "{zone}"\n  stub-addr: 127.0.0.1@{where}\n'
                    for zone, where in zones.items())
    path.write_text(f"""server:
  interface: 127.0.0.1@{port}
  port: {port}
  do-ip6: no
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  directory: "{site.folder}"
  pidfile: "{site.path(name)}.pid"
  do-not-query-localhost: no
  verbosity: 1
  val-log-level: 2
  num-threads: 1
  qname-minimisation: yes
  harden-referral-path: no
  use-caps-for-id: yes
  {f'trust-anchor-file: "{anchor_file}"' if anchors else ""}
{zone_lines}  {more}
remote-control:
  control-enable: no
{stubs}""")
    site.add_program(name, [find_tool("unbound", "unbound"), "-d", "-c", path]).start()
    resolver = DnsClient("127.0.0.1", port)
    asked = probe or next(iter(zones))
    wait_until(lambda: resolver.query(asked, "A" if probe else "SOA", flags=RD, timeout_s=0.5).answer,
               f"{name} to answer")
    return resolver


def check_secure(resolver, name, rdtype="A", rcode="NOERROR", **how):
    """The validating resolver has an answer, and has validated it; returns it."""
    message = resolver.query(name, rdtype, flags=RD, dnssec=True, **how)
    check_equal(dns.rcode.to_text(message.rcode()), rcode, f"{name} {rdtype} through a validator")
    check(message.flags & dns.flags.AD, f"{name} {rdtype} is not validated:\n{message}")
    return message


def check_bogus(resolver, name, rdtype="A"):
    """The resolver refuses to believe it, and would not if it did not validate."""
    message = resolver.query(name, rdtype, flags=RD, dnssec=True)
    check_equal(dns.rcode.to_text(message.rcode()), "SERVFAIL", f"{name} {rdtype} is bogus")
    unchecked = resolver.query(name, rdtype, flags=RD | CD, dnssec=True)
    check(unchecked.rcode() != dns.rcode.SERVFAIL, f"{name} {rdtype} fails also unchecked")


def delv(site, port, anchor, name, rdtype="A"):
    """What BIND's validator says of a name, asked of the authoritative server itself."""
    zone, keys = anchor.name, site.path(f"delv-{anchor.name}{port}.keys")
    lines = "".join(f'  "{zone}" static-key {key.flags} {key.protocol} {int(key.algorithm)} '
                    f'"{base64.b64encode(key.key).decode()}";\n' for key in anchor if key.flags & 1)
    keys.write_text(f"trust-anchors {{\n{lines}}};\n")
    result = subprocess.run(
        [find_tool("delv", "bind9-dnsutils"), "@127.0.0.1", "-p", str(port), "-a", keys,
         f"+root={zone}", name, rdtype],
        capture_output=True, text=True, check=False, timeout=20 * PATIENCE)
    return result.stdout + result.stderr


__all__ = ["SignedZone", "check_bogus", "check_secure", "delv", "fetch_dnskeys", "find_tool",
           "start_unbound"]
