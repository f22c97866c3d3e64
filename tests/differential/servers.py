# SPDX-License-Identifier: BSD-2-Clause
"""The servers that are compared, each with all zones, one thread, and no rate limit."""

import shutil
import socket

from dns_client import DnsClient
from gslbtest import check, free_port, wait_until

PAYLOAD = 1232  # each server's own EDNS size


class Server:
    """name, the Debian package, the program; .port once it is configured."""

    name = package = program = None

    def __init__(self, site, zones):
        self.site, self.zones, self.port = site, zones, free_port()
        self.folder = site.path(self.name)
        self.folder.mkdir()

    @classmethod
    def is_installed(cls):
        return cls.find() is not None

    @classmethod
    def find(cls):
        return shutil.which(cls.program, path="/usr/sbin:/usr/bin:/usr/local/sbin:/sbin:/bin")

    def start(self):
        self.running = self.site.add_program(self.name, [self.find(), *self.configure()])
        return self._run()

    def restart(self):
        """Some queries hang some peers."""
        print(f"{self.name} hangs, and is started again", flush=True)
        self.running.kill()
        return self._run()

    def _run(self):
        self.running.start()
        client, apexes = DnsClient("127.0.0.1", self.port), list(self.zones)

        def has_zones():
            check(self.running.is_running(), f"{self.name} ended:\n{self.running.tail(6)}")
            while apexes:
                check(client.query(apexes[-1], "SOA", timeout_s=0.5).answer,
                      f"{self.name} does not serve {apexes[-1]}:\n{self.running.tail(6)}")
                apexes.pop()
            return True
        wait_until(has_zones, f"{self.name} to serve every zone", timeout_s=20)
        return self

    def configure(self):
        """Writes the configuration; the arguments that start it in the foreground."""
        raise NotImplementedError


class Nsd(Server):
    name, package, program = "nsd", "nsd", "nsd"

    def configure(self):
        (self.folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{self.port}
  server-count: 1
  username: ""
  database: ""
  zonesdir: "{self.folder}"
  zonelistfile: "{self.folder}/zone.list"
  xfrdfile: "{self.folder}/xfrd.state"
  xfrdir: "{self.folder}"
  pidfile: "{self.folder}/nsd.pid"
  rrl-ratelimit: 0
  minimal-responses: yes
  ipv4-edns-size: {PAYLOAD}
  tcp-query-count: 0
remote-control:
  control-enable: no
""" + "".join(f'zone:\n  name: "{apex}"\n  zonefile: "{path}"\n' for apex, path in self.zones.items()))
        return ["-d", "-c", self.folder / "nsd.conf"]


class Knot(Server):
    name, package, program = "knot", "knot", "knotd"

    def configure(self):
        (self.folder / "knot.conf").write_text(f"""
server:
    rundir: {self.folder}
    listen: 127.0.0.1@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: {PAYLOAD}
log:
  - target: stderr
    any: warning
database:
    storage: {self.folder}/db
template:
  - id: default
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
""" + "".join(f'  - domain: "{apex}"\n    file: "{path}"\n' for apex, path in self.zones.items()))
        return ["-c", self.folder / "knot.conf"]


class Bind(Server):
    name, package, program = "bind", "bind9", "named"

    def configure(self):
        (self.folder / "named.conf").write_text(f"""
options {{
    directory "{self.folder}";
    pid-file "{self.folder}/named.pid";
    session-keyfile "{self.folder}/session.key";
    managed-keys-directory "{self.folder}";
    listen-on port {self.port} {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    recursion no;
    dnssec-validation no;
    query-source address 127.0.0.1;
    notify no;
    minimal-responses yes;
    minimal-any yes;
    zero-no-soa-ttl no;
    edns-udp-size {PAYLOAD};
    max-udp-size {PAYLOAD};
    nocookie-udp-size {PAYLOAD};
    check-names master ignore;
    check-integrity no;
    check-wildcard no;
    allow-transfer {{ none; }};
    empty-zones-enable no;
    rrset-order {{ order cyclic; }};
}};
controls {{ }};
""" + "".join(f'zone "{apex}" {{ type primary; file "{path}"; }};\n' for apex, path in self.zones.items()))
        return ["-g", "-n", "1", "-c", self.folder / "named.conf"]


PEERS = (Nsd, Knot, Bind)


class Ours:
    """gslb-dns, started by the harness of the system tests."""

    name = "gslb-dns"

    def __init__(self, site, zones):
        def edit(config):
            config["zones"] = {apex.rstrip("."): str(path) for apex, path in zones.items()}
            config["services"] = {}
            config["workers"] = 1
        self.node = site.add_dns("ns1", edit)

    def start(self):
        self.node.start()
        self.port = self.node.port
        return self

    def restart(self):
        raise AssertionError("gslb-dns no longer answers")
