#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""gslb-dns beside NSD, Knot and BIND: the same zones, the same queries, the same answers?

    SEED=N COUNT=N PHASES="plain signed" dns.py [NAME...]

NAME: peers to compare with, all that are installed by default. COUNT: queries of each phase.

    plain    zones without signatures; queries of all kinds, the broken ones too
    signed   the same zones signed by ldns-signzone and dnssec-signzone, DO set in most queries

Every difference must be one that differences.py lists with its reason; anything else is shown, one
example for each kind, and fails the test. Beside that, each of our answers must be well formed, be
the same over UDP and TCP, be truncated only where it does not fit, and prove what it says: by a
validator of our own over dnspython (tests/lib/dnssec_proof.py), a sample by unbound and delv.

AS=knot lets a peer play our part: so the test itself is tried.
"""

import os
import pathlib
import random
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
# Without the script's own folder, where this file would be taken for dnspython.
sys.path[:1] = [str(TESTS), str(TESTS / "lib")]
from differential.comparing import Findings, ask_all, check_transports  # noqa: E402
from differential.differences import APEXES, KNOWN  # noqa: E402
from differential.message import TYPES  # noqa: E402
from differential.proving import Prover, ask_validators, prove  # noqa: E402
from differential.queries import Generator  # noqa: E402
from differential.servers import PEERS, Ours  # noqa: E402
from differential.signing import missing_packages, sign_zones  # noqa: E402
from differential.transport import Asker  # noqa: E402
from differential.zones import make_zones  # noqa: E402
from dns_client import DnsClient  # noqa: E402
from gslbtest import cleanups  # noqa: E402
from site_under_test import Site  # noqa: E402

SEED = int(os.environ.get("SEED", "1"))
COUNT = int(os.environ.get("COUNT", "20000"))
PHASES = os.environ.get("PHASES", "plain").split()
N_RANDOM_ZONES = 12


def choose_peers():
    peers, wanted = [], sys.argv[1:] or [peer.name for peer in PEERS]
    unknown = set(wanted) - {peer.name for peer in PEERS}
    if unknown:
        sys.exit(f"no peer {', '.join(unknown)}; they are {', '.join(peer.name for peer in PEERS)}")
    for peer in PEERS:
        if peer.name not in wanted:
            continue
        if peer.is_installed():
            peers.append(peer)
        else:
            print(f"skipped {peer.name}: not installed (Debian package {peer.package})")
    return peers


def choose_ours():
    name = os.environ.get("AS")
    return next((peer for peer in PEERS if peer.name == name), Ours)


def write_zones(site, zones):
    site.path("zones").mkdir()
    files = {apex: site.path("zones") / f"{apex.replace('/', '-')}zone" for apex in zones}
    for apex, text in zones.items():
        files[apex].write_text(text)
    return files


class Phase:
    """One set of zones, one set of queries, and what came of it."""

    def __init__(self, name, peers):
        self.name, self.peers, self.is_signed = name, peers, name != "plain"
        self.findings, self.n_proved, self.n_validated = Findings(), 0, 0
        self.rng = random.Random(f"{SEED} {name}" if self.is_signed else SEED)
        self.zones, self.how = {}, {}
        self.seconds = 0.0

    def run(self, site):
        rng = self.rng
        self.zones = make_zones(rng, N_RANDOM_ZONES)
        files = write_zones(site, self.zones)
        if self.is_signed:
            signed = sign_zones(rng, site.path("signed"), files)
            files = {apex: zone.path for apex, zone in signed.items()}
            self.how = {apex: zone.how for apex, zone in signed.items() if zone.how}
        ours = choose_ours()
        servers = {"ours": ours(site, files).start()}
        servers.update({peer.name: peer(site, files).start() for peer in self.peers if peer is not ours})
        self.ask(site, servers, Generator(rng, self.zones, self.is_signed))
        site.stop()
        return self

    def ask(self, site, servers, generator):
        APEXES.clear()
        APEXES.update(apex.lower() for apex in generator.apexes)
        sentinel = generator._make(b"\7example\0", TYPES["SOA"], None).packet
        askers = {name: Asker(server, sentinel) for name, server in servers.items()}
        started = time.monotonic()
        queries = [generator.query() for _ in range(COUNT)]
        asked, truncated = ask_all(self.findings, askers, [query for query in queries if not query.tcp])
        asked_tcp, _ = ask_all(self.findings, askers, truncated + [query for query in queries if query.tcp])
        check_transports(self.findings, askers["ours"], asked)
        for asker in askers.values():
            asker.close()
        if self.how:
            self.prove(site, servers["ours"].port, asked + asked_tcp)
        self.seconds = time.monotonic() - started

    def prove(self, site, port, asked):
        prover = Prover(DnsClient("127.0.0.1", port), list(self.zones), self.how)
        self.n_proved = prove(self.findings, prover, "ours", asked)
        self.n_validated = ask_validators(self.findings, site, self.rng, prover, port, asked)

    def report(self):
        print(f"{self.name}: known differences:")
        for row in KNOWN:
            met = {peer.name: self.findings.used[row.name, peer.name] for peer in self.peers
                   if self.findings.used[row.name, peer.name]}
            if met:
                print(f"  {row.name}: {' '.join(f'{peer} {n}' for peer, n in met.items())}")
        for apex, how in self.how.items():
            print(f"  {apex} signed by {how}")
        self.findings.show()
        proofs = (f", {self.n_proved} answers proved, {self.n_validated} more by unbound and delv"
                  if self.is_signed else "")
        print(f"{self.name}: {COUNT} queries to {len(self.zones)} zones ({len(self.how)} signed), compared with "
              f"{', '.join(peer.name for peer in self.peers)}, seed {SEED}, {self.seconds:.0f} s{proofs}: "
              f"{len(self.findings.counts)} kinds of unknown differences", flush=True)


def report_unmet(phases):
    unmet = [row.name for row in KNOWN if not any(row.name == name for phase in phases
                                                  for name, _ in phase.findings.used)]
    if unmet:
        print(f"not met: {', '.join(unmet)}")


def main():
    peers, done = choose_peers(), []
    if not peers:
        print("skipped: there is nothing to compare with; install nsd, knot or bind9")
        return
    try:
        for name in PHASES:
            if name != "plain" and missing_packages():
                print(f"{name}: skipped: needs the Debian packages {', '.join(missing_packages())}")
                continue
            with Site() as site:
                done.append(Phase(name, peers).run(site))
            done[-1].report()
    finally:
        for clean_up in cleanups:
            clean_up()
    report_unmet(done)
    n_unknown = sum(len(phase.findings.counts) for phase in done)
    print(f"differential test: {sum(COUNT for _ in done)} queries in {len(done)} phases, "
          f"{n_unknown} kinds of unknown differences: {'FAILED' if n_unknown else 'passed'}")
    sys.exit(1 if n_unknown else 0)


main()
