# SPDX-License-Identifier: BSD-2-Clause
"""The DNS servers that are compared, each with one thread and no logging.

configure(site) writes what a server wants into site.folder and returns the command that runs it in the
foreground; reload names the signal that makes it read its zones again.
"""

import dataclasses
import json
import pathlib
import signal
import subprocess

from dns_data import (NAMES, REGIONS, country_regions, database_type, make_keys, make_plain_zone,
                      make_signed_zone, make_zone, region_address)
from harness import Failed, Options, find_program

PLAIN = ["static", "nxdomain", "ecs", "source"]
SIGNED = ["signed-static", "signed-nxdomain", "signed-steered"]


@dataclasses.dataclass
class Site:
    """What is served: static.test or, signed, signed.test, with so many names; and steered.test,
    unless is_bare. zone: the file to serve in place of the usual one."""
    options: Options
    folder: pathlib.Path
    port: int
    is_signed: bool = False
    names: int = NAMES
    is_bare: bool = False
    zone: pathlib.Path = None
    more: dict = dataclasses.field(default_factory=dict)

    @property
    def apex(self):
        return "signed.test" if self.is_signed else "static.test"

    def plain_zone(self):
        return self.zone or make_plain_zone(self.options, self.apex, self.names)

    def signed_or_plain_zone(self):
        """For servers that do not sign themselves."""
        return make_signed_zone(self.options, self.names) if self.is_signed else self.plain_zone()


class GslbDns:
    """Signs both zones itself, with the keys that the peers' zones are signed with. All starts but the
    first one of a database have it in their cache."""
    name, package, programs, reload = "gslb-dns", "", [], signal.SIGHUP
    workloads = PLAIN + SIGNED

    @staticmethod
    def configure(site):
        options, folder = site.options, site.folder
        zones = {site.apex: {"file": str(site.plain_zone())}}
        config = {"listen": [f"127.0.0.1:{site.port}"], "workers": 1, "zones": zones}
        if not site.is_bare:
            regions = {name: {"location": place, "edges": {f"{name}-1": [region_address(name)]}}
                       for name, place in REGIONS.items()}
            (folder / "steered.test.zone").write_text(make_zone("steered.test", ""))
            zones["steered.test"] = {"file": "steered.test.zone"}
            config.update({"geoip": {"databases": [str(options.geoip)], "cache": str(options.data / "geo-cache")},
                           "regions": regions, "region-order": list(REGIONS),
                           "services": {"www.steered.test": {"policy": "nearest", "ttl": "60s"}}})
        for apex, zone in zones.items() if site.is_signed else ():
            zone["dnssec"] = {"keys": str(make_keys(options, apex))}
        (folder / "gslb-dns.yaml").write_text(json.dumps({**config, **site.more}))
        return [options.build / "bin/gslb-dns", "-c", folder / "gslb-dns.yaml"]


class Gdnsd:
    """Steers by coordinates, so that it needs a database of cities for that."""
    name, package, programs, reload = "gdnsd", "gdnsd", ["gdnsd"], None
    workloads = PLAIN

    @staticmethod
    def configure(site):
        options, folder, port = site.options, site.folder, site.port
        for part in ("zones", "run", "state"):
            (folder / part).mkdir()
        has_cities = "City" in database_type(options.geoip)
        www = "60 IN DYNA geoip!www" if has_cities else "60 IN A 192.0.2.1"
        (folder / "zones/static.test").write_text(site.plain_zone().read_text())
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
    name, package, programs, reload = "knot", "knot knot-module-geoip", ["knotd"], signal.SIGHUP
    workloads = PLAIN + SIGNED

    @staticmethod
    def configure(site):
        options, folder, port = site.options, site.folder, site.port
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
policy:
  - id: bench
    algorithm: ecdsap256sha256
template:
  - id: default
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: {site.apex}
    file: {site.signed_or_plain_zone()}
  - domain: steered.test
    file: {folder}/steered.test.zone
    module: mod-geoip/geo
""" + ("    dnssec-signing: on\n    dnssec-policy: bench\n" if site.is_signed else ""))
        for part in ("run", "db"):
            (folder / part).mkdir()
        for ksk in ("yes", "no") if site.is_signed else ():
            made = subprocess.run(
                [find_program("keymgr"), "-c", folder / "knot.conf", "steered.test", "generate",
                 "algorithm=ECDSAP256SHA256", f"ksk={ksk}", f"zsk={'no' if ksk == 'yes' else 'yes'}"],
                check=False, capture_output=True, text=True)
            if made.returncode != 0:
                raise Failed(f"keymgr: {made.stdout}{made.stderr}")
        return [find_program("knotd"), "-c", folder / "knot.conf"]


class Nsd:
    name, package, programs, reload = "nsd", "nsd", ["nsd"], signal.SIGHUP
    workloads = ["static", "nxdomain", "signed-static", "signed-nxdomain"]

    @staticmethod
    def configure(site):
        folder, port = site.folder, site.port
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
  name: {site.apex}
  zonefile: {site.signed_or_plain_zone()}
""")
        return [find_program("nsd"), "-d", "-c", folder / "nsd.conf"]


PEERS = [Gdnsd, Knot, Nsd]
