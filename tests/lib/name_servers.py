# SPDX-License-Identifier: BSD-2-Clause
"""Other name servers beside ours, as secondaries and as primaries of example.com on 127.0.0.1.

    with start_secondary(site, "knot", primary_port) as peer: peer.client.query(...)
    with start_primary(site, "bind", secondary_port, zone_text) as peer: peer.change(zone_text)

Where a server is not installed peer is None. Messages are signed by the key "backup".
"""
import contextlib
import shutil
import subprocess

from dns_client import DnsClient
from gslbtest import Program, free_port, wait_until

SECRET = "c2VjcmV0IG9mIHR3byBzZXJ2ZXJzLCAzMiBieXRlcyE="
ZONE_FILE = "example.com.zone"


class Missing(Exception):
    """The server is not installed."""


# ---- configurations: each writes them into a folder and returns how the server is started

def _knot(folder, port, other, role):
    (folder / "db").mkdir()
    (folder / "knot.conf").write_text(f"""
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
log:
  - target: stderr
    any: info
database:
    storage: {folder}/db
key:
  - id: backup
    algorithm: hmac-sha256
    secret: {SECRET}
remote:
  - id: us
    address: 127.0.0.1@{other}
    key: backup
acl:
  - id: us
    key: backup
    action: {"notify" if role == "secondary" else "transfer"}
zone:
  - domain: example.com
    {"master" if role == "secondary" else "notify"}: us
    acl: us
    storage: {folder}
    file: {ZONE_FILE}
    {"" if role == "secondary" else "zonefile-load: difference"}
""")
    return ["knotd", "-c", folder / "knot.conf"]


def _nsd(folder, port, other, role):
    peers = (f"request-xfr: 127.0.0.1@{other} backup\n  allow-notify: 127.0.0.1 backup"
             if role == "secondary" else
             f"notify: 127.0.0.1@{other} backup\n  provide-xfr: 127.0.0.1 backup\n  store-ixfr: yes\n"
             "  create-ixfr: yes")
    (folder / "nsd.conf").write_text(f"""
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  database: ""
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
remote-control:
  control-enable: no
key:
  name: backup
  algorithm: hmac-sha256
  secret: "{SECRET}"
zone:
  name: example.com
  zonefile: {ZONE_FILE}
  {peers}
""")
    return ["nsd", "-d", "-c", folder / "nsd.conf"]


def _named(folder, port, other, role):
    zone = (f"type secondary; primaries {{ 127.0.0.1 port {other} key backup; }};"
            if role == "secondary" else
            f"type primary; allow-transfer {{ key backup; }}; notify explicit; ixfr-from-differences yes; "
            f"also-notify {{ 127.0.0.1 port {other} key backup; }};")
    (folder / "named.conf").write_text(f"""
options {{ directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key";
    managed-keys-directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; notify-delay 0; }};
controls {{ }};
key backup {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone "example.com" {{ file "{ZONE_FILE}"; {zone} }};
""")
    return ["named", "-g", "-n", "1", "-c", folder / "named.conf"]


SERVERS = {"knot": _knot, "nsd": _nsd, "bind": _named}


# ---- running them

class Peer:
    def __init__(self, site, name, other, role, port=None):
        self.folder = site.path(f"{name}-{role}")
        self.folder.mkdir()
        self.port = port or free_port()
        argv = SERVERS[name](self.folder, self.port, other, role)
        path = shutil.which(argv[0], path="/usr/sbin:/usr/bin")
        if path is None:
            raise Missing(f"{argv[0]} is not installed")
        self.program = Program(argv[0], [path, *argv[1:]], self.folder / "log", is_ours=False)
        self.client = DnsClient("127.0.0.1", self.port)
        self.zone_path = self.folder / ZONE_FILE

    def serial(self):
        """Of the zone as it is served now; None: it is not."""
        answer = self.client.query("example.com", "SOA", timeout_s=1)
        return answer.answer[0][0].serial if answer.answer else None

    def wait_serial(self, serial):
        wait_until(lambda: self.serial() == serial, f"{self.program.name} to serve {serial}", 30, 0.1)

    def change(self, text):
        """A primary's new zone file. Without a control channel all of them read it on SIGHUP."""
        self.zone_path.write_text(text)
        subprocess.run(["kill", "-HUP", str(self.program.pid)], check=True)


@contextlib.contextmanager
def start_secondary(site, name, primary_port, port=None):
    """None, and a word about it, where the server is not installed."""
    with _running(lambda: Peer(site, name, primary_port, "secondary", port)) as peer:
        yield peer


@contextlib.contextmanager
def start_primary(site, name, secondary_port, zone):
    with _running(lambda: Peer(site, name, secondary_port, "primary"), zone) as peer:
        yield peer


@contextlib.contextmanager
def _running(make, zone=None):
    try:
        peer = make()
    except Missing as missing:
        print(f"skipped: {missing}")
        yield None
        return
    if zone is not None:
        peer.zone_path.write_text(zone)
    peer.program.start()
    try:
        yield peer
    finally:
        peer.program.stop()
