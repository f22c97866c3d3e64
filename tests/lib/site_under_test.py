# SPDX-License-Identifier: BSD-2-Clause
"""A whole site on loopback for one test: certificates, configuration, zone, and the programs.

    site = Site()
    origin = site.add_origin("one")
    site.add_dns("ns1")                                  # site.dns is the first one
    site.add_edge("eu-west-1", origins=[origin])         # site.edges["eu-west-1"]
    site.start()                                         # nodes, then edges, until all is in use
    site.dns.addresses("www.example.com", subnet="185.2.100.0/24")
    site.edges["eu-west-1"].http.get("/")
    site.ctl("status", "--json")

Configurations are dicts in the shape of the YAML files (JSON is YAML); change node.config and call
node.reload(), or give add_dns and add_edge a function that edits the dict before the start.
The regions are those of the README: us-east, eu-west and ap-northeast, one edge each. Times are
short: reports each 200 ms, an edge is down after 1.5 s of silence, back after 2 good reports.
"""

import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

from dns_client import DnsClient
from fake_edge import FakeEdge
from gslbtest import (BUILD, PATIENCE, TOP, Program, check, check_equal, cleanups, free_port,
                      parse_metrics, program_path, wait_until)
from http_client import HttpClient
from origin import Origin

GEOIP = TOP / "deploy/geoip/geo-whois-asn-country.mmdb"

# name → (location, edges: name → addresses)
REGIONS = {
    "us-east": ([39.04, -77.49], {"us-east-1": ["127.0.0.12", "fd00::12"]}),
    "eu-west": ([53.35, -6.26], {"eu-west-1": ["127.0.0.11", "fd00::11"]}),
    "ap-northeast": ([35.68, 139.69], {"ap-northeast-1": ["127.0.0.13", "fd00::13"]}),
}

ZONE = """$ORIGIN example.com.
$TTL 1h
@       IN SOA ns1 hostmaster 2026112301 1h 15m 2w 5m
        IN NS  ns1
        IN NS  ns2
        IN MX  10 mail
        IN TXT "a site in three regions"
ns1     IN A   127.0.0.1
ns2     IN A   127.0.0.2
mail    IN A   192.0.2.25
static  IN A   192.0.2.80
        IN AAAA 2001:db8::80
alias   IN CNAME static
cdn     IN CNAME www
*.wild  IN TXT "wildcard"
deep.empty.terminal IN A 192.0.2.1
sub     IN NS  ns.sub
ns.sub  IN A   192.0.2.53
"""


class Node:
    """What gslb-dns and edge-proxy have in common: a configuration file, a process, a control
    socket, metrics."""

    binary = None

    def __init__(self, site, name, config):
        self.site, self.name, self.config = site, name, config
        self.config_path = site.path(f"{name}.yaml")
        self.socket = site.path(f"{name}.sock")
        self.program = Program(name, [program_path(self.binary), "-c", self.config_path],
                               site.path(f"{name}.log"))

    def write_config(self):
        self.config_path.write_text(json.dumps(self.config, indent=2))

    def start(self, wait=True):
        self.write_config()
        self.program.start()
        if wait:
            self.program.wait_ready()
        return self

    def reload(self, by="signal"):
        """Writes the configuration and has it read again; waits until that is done."""
        self.write_config()
        mark = self.program.mark()
        if by == "signal":
            self.program.signal(signal.SIGHUP)
            self.program.wait_log(r"\breloaded\b", since=mark)
        else:
            result = self.ctl("reload")
            check_equal(result.returncode, 0, f"gslbctl reload said {result.stderr}")

    def stop(self):
        self.program.stop()

    def kill(self):
        self.program.kill()

    def ctl(self, *args):
        return self.site.ctl(*args, socket=self.socket)

    def metrics(self):
        """{"name{labels}": value}, over HTTP as Prometheus would."""
        host, _, port = self.config["metrics"].rpartition(":")
        response = HttpClient(host, int(port)).get("/metrics", host=self.config["metrics"])
        check_equal(response.status, 200, "GET /metrics")
        return parse_metrics(response.text)

    def metric(self, pattern):
        """The sum of all counters whose name with labels matches the regular expression."""
        found = [value for name, value in self.metrics().items() if re.search(pattern, name)]
        check(found, f"{self.name} has no metric like {pattern}")
        return sum(found)


class DnsNode(Node):
    binary = "gslb-dns"

    def __init__(self, site, name, edit):
        self.port, self.control_port, metrics_port = free_port(), free_port(), free_port()
        zone = site.path(f"{name}.zone")
        zone.write_text(ZONE)
        self.zone_path = zone
        config = {
            "listen": [f"127.0.0.1:{self.port}", f"[::1]:{self.port}"] if site.has_ipv6
                      else [f"127.0.0.1:{self.port}"],
            "workers": 2,
            "metrics": f"127.0.0.1:{metrics_port}",
            "state": f"{name}.state",
            "control": {"listen": [f"127.0.0.1:{self.control_port}"], "socket": f"{name}.sock",
                        **site.certs.node("dns", name)},
            "geoip": {"databases": [str(GEOIP)]},
            "health": {"stale-after": f"{1500 * PATIENCE}ms", "up-threshold": 2},
            "regions": {region: {"location": location, "edges": dict(edges)}
                        for region, (location, edges) in REGIONS.items()},
            "region-order": ["us-east", "eu-west", "ap-northeast"],
            "zones": {"example.com": str(zone)},
            "services": {"www.example.com": {"ttl": "5s"}},
        }
        if edit:
            edit(config)
        super().__init__(site, name, config)
        self.client = DnsClient("127.0.0.1", self.port)

    # What tests say most often.
    def query(self, *args, **how):
        return self.client.query(*args, **how)

    def addresses(self, *args, **how):
        return self.client.addresses(*args, **how)

    def rcode(self, *args, **how):
        return self.client.rcode(*args, **how)

    def status(self):
        """gslbctl status --json, read. Exit code 1 says that something is down."""
        result = self.ctl("status", "--json")
        check(result.returncode in (0, 1), f"gslbctl status said {result.stderr}")
        return json.loads(result.stdout)


class EdgeNode(Node):
    binary = "edge-proxy"

    def __init__(self, site, name, origins, edit):
        self.address = edge_address(name)
        self.http_port, self.https_port, metrics_port = free_port(), free_port(), free_port()
        config = {
            "name": name,
            "workers": 2,
            "listen": [{"address": f"{self.address}:{self.http_port}"},
                       {"address": f"{self.address}:{self.https_port}", "tls": True}],
            "tls": {"certificates": [site.certs.site("www.example.com", "example.com")]},
            "cache": {"memory": "64MiB"},
            "pools": {"app": {"origins": [origin.address for origin in origins],
                              "check": {"path": "/health", "interval": "200ms", "timeout": "200ms",
                                        "rise": 1, "fall": 2}}},
            "sites": {"www.example.com": {"aliases": ["example.com"], "routes": {"/": "app"}}},
            "access-log": f"{name}.access.log",
            "metrics": f"127.0.0.1:{metrics_port}",
            "limits": {"drain-notice": "0s"},
            "control": {"servers": [f"127.0.0.1:{dns.control_port}" for dns in site.dns_nodes],
                        "report-interval": "200ms", "socket": f"{name}.sock",
                        **site.certs.node("edge", name)},
        }
        if edit:
            edit(config)
        super().__init__(site, name, config)
        self.access_log_path = site.path(f"{name}.access.log")
        self.http = HttpClient(self.address, self.http_port)
        self.https = HttpClient(self.address, self.https_port, ca=site.certs.ca)

    def access_log(self):
        """The lines so far, read."""
        if not self.access_log_path.exists():
            return []
        return [json.loads(line) for line in self.access_log_path.read_text().splitlines()]

    def get(self, *args, **how):
        return self.http.get(*args, **how)


def edge_address(name):
    """The IPv4 address that REGIONS has for an edge; other names listen on 127.0.0.1."""
    for _, edges in REGIONS.values():
        if name in edges:
            return edges[name][0]
    return "127.0.0.1"


class Certs:
    """The site's private CA, by the same script that operators use; each certificate is made when
    it is first wanted."""

    _shared = None

    def __init__(self, folder):
        self.folder = folder
        self.ca = folder / "ca.crt"
        self.make("ca", "test")

    @classmethod
    def shared(cls):
        """One CA for all sites of this process: making certificates takes longer than most cases."""
        if cls._shared is None:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="c"))
            cleanups.append(lambda: shutil.rmtree(folder, ignore_errors=True))
            cls._shared = cls(folder)
        return cls._shared

    def make(self, *args):
        subprocess.run([TOP / "deploy/certs/make-certs", "-d", self.folder, *args], check=True,
                       capture_output=True, text=True)

    def node(self, role, name):
        """The three keys of a control section."""
        if not (self.folder / f"{name}.crt").exists():
            self.make(*(["operator", name] if role == "operator" else ["node", role, name]))
        return {"certificate": str(self.folder / f"{name}.crt"),
                "key": str(self.folder / f"{name}.key"), "ca": str(self.ca)}

    def site(self, *hosts):
        """A pair for an edge's tls section."""
        stem = "site-" + hosts[0].replace("*", "_")
        if not (self.folder / f"{stem}.crt").exists():
            self.make("site", *hosts)
        return {"certificate": str(self.folder / f"{stem}.crt"),
                "key": str(self.folder / f"{stem}.key")}


class Site:
    def __init__(self):
        # Short, because of the sockets below it; inside the runner's folder, which goes away.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="s"))
        self.certs = Certs.shared()
        self.dns_nodes, self.edges, self.origins, self.programs = [], {}, [], []
        self.fakes = []
        cleanups.append(self.close)
        self.has_ipv6 = pathlib.Path("/proc/net/if_inet6").exists()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
            else:
                self.print_logs()
        finally:
            self.close()

    def path(self, name):
        return self.folder / name

    @property
    def dns(self):
        """The first DNS node."""
        return self.dns_nodes[0]

    def add_origin(self, name="origin", **how):
        origin = Origin(name, **how)
        self.origins.append(origin)
        return origin

    def add_dns(self, name="ns1", edit=None):
        """edit(config) changes the dict before it is first written."""
        node = DnsNode(self, name, edit)
        self.dns_nodes.append(node)
        self.programs.append(node.program)
        return node

    def add_edge(self, name, origins=None, edit=None):
        """An edge that reports to all DNS nodes added before it."""
        edge = EdgeNode(self, name, self.origins if origins is None else origins, edit)
        self.edges[name] = edge
        self.programs.append(edge.program)
        return edge

    def add_fake_edge(self, name, node=None, **said):
        """An edge that only speaks the control channel, to the first DNS node unless another is
        given; see fake_edge.py."""
        fake = FakeEdge(self, name, node, **said)
        self.fakes.append(fake)
        return fake

    def add_program(self, name, argv, env=None):
        """Somebody else's program (a resolver, a load generator), logged and ended with the site."""
        program = Program(name, argv, self.path(f"{name}.log"), env, is_ours=False)
        self.programs.append(program)
        return program

    def start(self):
        """Starts what is not running, and waits until every edge is up in every DNS node."""
        for node in [*self.dns_nodes, *self.edges.values()]:
            if not node.program.is_running():
                node.start(wait=False)
        for node in [*self.dns_nodes, *self.edges.values()]:
            node.program.wait_ready()
        for edge in self.edges:
            self.wait_edge(edge, "up")
        return self

    def wait_edge(self, name, state, timeout_s=15.0):
        """Waits until every running DNS node says that the edge is in this state."""
        def look():
            return all(edge_state(dns.status(), name) == state
                       for dns in self.dns_nodes if dns.program.is_running())
        wait_until(look, f"edge {name} to be {state}", timeout_s)

    def ctl(self, *args, socket=None, timeout_s=20):
        """gslbctl on a node's socket (the first DNS node's unless another is given)."""
        return subprocess.run([program_path("gslbctl"), "-s", str(socket or self.dns.socket),
                               *map(str, args)], capture_output=True, text=True, check=False,
                              timeout=timeout_s * PATIENCE)

    def stop(self):
        """Ends every program and asserts that each ended well. Edges first, as an operator would."""
        failures = []
        for program in reversed(self.programs):
            try:
                program.stop()
            except AssertionError as error:
                failures.append(str(error))
        check(not failures, "\n".join(failures))

    def close(self):
        """Leaves nothing behind, whatever happened."""
        for program in self.programs:
            if program.process is not None and program.process.poll() is None:
                program.process.kill()
                program.process.wait()
        for helper in [*self.fakes, *self.origins]:
            helper.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def print_logs(self):
        for program in self.programs:
            print(f"--- log of {program.name} ({program.log_path})\n{program.tail(40)}")


def edge_status(status, name):
    """An edge in what gslbctl status --json says; None: it is not there."""
    for region in status["regions"]:
        for edge in region["edges"]:
            if edge["name"] == name:
                return edge
    return None


def edge_state(status, name):
    edge = edge_status(status, name)
    return edge["state"] if edge else None


__all__ = ["BUILD", "GEOIP", "REGIONS", "ZONE", "Certs", "DnsNode", "EdgeNode", "Site", "edge_state",
           "edge_status"]
