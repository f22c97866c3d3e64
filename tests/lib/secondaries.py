# SPDX-License-Identifier: BSD-2-Clause
"""Other name servers as secondaries of example.com, which 127.0.0.1 has at a port. Each function
writes the configuration into a folder and returns how the server is started."""

SECRET = "c2VjcmV0IG9mIHR3byBzZXJ2ZXJzLCAzMiBieXRlcyE="


def knot(folder, port, primary):
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
    address: 127.0.0.1@{primary}
    key: backup
acl:
  - id: us
    key: backup
    action: notify
zone:
  - domain: example.com
    master: us
    acl: us
    storage: {folder}
""")
    return ["knotd", "-c", folder / "knot.conf"]


def nsd(folder, port, primary):
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
  zonefile: example.com.zone
  request-xfr: 127.0.0.1@{primary} backup
  allow-notify: 127.0.0.1 backup
""")
    return ["nsd", "-d", "-c", folder / "nsd.conf"]


def named(folder, port, primary):
    (folder / "named.conf").write_text(f"""
options {{ directory "{folder}"; pid-file "{folder}/named.pid"; session-keyfile "{folder}/session.key";
    managed-keys-directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; notify no; }};
controls {{ }};
key backup {{ algorithm hmac-sha256; secret "{SECRET}"; }};
zone "example.com" {{ type secondary; file "example.com.zone"; primaries {{ 127.0.0.1 port {primary} key backup; }}; }};
""")
    return ["named", "-g", "-n", "1", "-c", folder / "named.conf"]
