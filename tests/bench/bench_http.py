# SPDX-License-Identifier: BSD-2-Clause
"""edge-proxy beside other caching reverse proxies, in front of one origin."""

import http.client
import json
import os
import pathlib
import resource
import ssl
import subprocess

from harness import (LOAD_CORE, TOP, Failed, Process, Rows, choose_peers, find_program, free_port, number,
                     print_table, quiet_sample, run_load, say, start_pinned)

HOST = "www.example.com"
IDLE_CONNECTIONS, OBJECTS = 10_000, 100_000

# key: (title, rate of the open loop, path, body bytes, connections, which port, httpload's options)
WORKLOADS = {
    "hit-1k": ("HTTP: cache hit 1 KiB", 10_000, "/1k", 1 << 10, 64, "plain", []),
    "hit-64k": ("HTTP: cache hit 64 KiB", 5_000, "/64k", 64 << 10, 16, "plain", []),
    "hit-1m": ("HTTP: cache hit 1 MiB", 300, "/1m", 1 << 20, 8, "plain", []),
    "pass-1k": ("HTTP: passed through to the origin, 1 KiB", 5_000, "/nostore", 1 << 10, 64, "pass", []),
    "tls-1k": ("HTTPS: cache hit 1 KiB, connections kept", 10_000, "/1k", 1 << 10, 64, "tls", []),
    "tls-new": ("HTTPS: cache hit 1 KiB, a new connection each", None, "/1k", 1 << 10, 16, "tls", ["-N"]),
}


class Site:
    """What stands beside the proxies: certificates, the origin, the floor."""

    def __init__(self, options):
        self.options = options
        self.certificate, self.key, self.ca, self.bundle = self._make_certificates(options)
        self.origin_port = free_port()
        self.origin = Process("origin", [options.tools / "origin", self.origin_port], options.work,
                              LOAD_CORE).start()
        self.origin.wait_answer(lambda: self.count_fetched() is not None)
        self.floor_ports = {"plain": free_port(), "tls": free_port(), "pass": free_port()}
        ports = self.floor_ports
        self.floor = Process("httpfloor", [
            options.tools / "httpfloor", "-p", ports["plain"], "-s", ports["tls"], "-c", self.certificate,
            "-k", self.key, "-f", ports["pass"], "-o", self.origin_port], options.work).start()
        self.floor.wait_answer(lambda: get(ports["tls"], "/1k", self.ca))

    @staticmethod
    def _make_certificates(options):
        folder = options.work / "certs"
        make = [TOP / "deploy/certs/make-certs", "-d", folder]
        for what in (["ca"], ["site", HOST]):
            subprocess.run([*make, *what], check=True, stdout=subprocess.DEVNULL)
        certificate, key = folder / f"site-{HOST}.crt", folder / f"site-{HOST}.key"
        bundle = folder / "bundle.pem"
        bundle.write_text(certificate.read_text() + key.read_text())
        return certificate, key, folder / "ca.crt", bundle

    def count_fetched(self):
        return int(get(self.origin_port, "/count")[1])

    def sample_floor(self, workload):
        return load(self.options, workload, self.floor_ports, self.floor,
                    seconds=max(0.5, self.options.seconds / 2))

    def stop(self):
        self.floor.stop()
        self.origin.stop()


def get(port, path, ca=None):
    """(status, body) of one request on a connection of its own, over TLS when ca is given."""
    if ca:
        context = ssl.create_default_context(cafile=str(ca))
        connection = _TlsConnection("127.0.0.1", port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": HOST})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


class _TlsConnection(http.client.HTTPSConnection):
    """To an address, verified for HOST."""

    def connect(self):
        http.client.HTTPConnection.connect(self)
        self.sock = self._context.wrap_socket(self.sock, server_hostname=HOST)


class EdgeProxy:
    name, package, programs = "edge-proxy", "", []
    has_tls = True

    @staticmethod
    def configure(site, folder, ports):
        (folder / "edge-proxy.yaml").write_text(json.dumps({
            "name": "bench", "workers": 1, "access-log": "off",
            "listen": [{"address": f"127.0.0.1:{ports['plain']}"},
                       {"address": f"127.0.0.1:{ports['tls']}", "tls": True}],
            "tls": {"certificates": [{"certificate": str(site.certificate), "key": str(site.key)}]},
            "cache": {"memory": "1GiB", "max-object": "4MiB"},
            "pools": {"app": {"origins": [f"127.0.0.1:{site.origin_port}"]}},
            "sites": {HOST: {"routes": {"/": "app"}}},
            "limits": {"keep-alive": "1h", "max-connections": 20000}}))
        return [site.options.build / "bin/edge-proxy", "-c", folder / "edge-proxy.yaml"]


class Nginx:
    """Its cache is files, here in memory (/dev/shm)."""
    name, package, programs = "nginx", "nginx-light", ["nginx"]
    has_tls = True

    @staticmethod
    def configure(site, folder, ports):
        user = "user root; " if os.geteuid() == 0 else ""
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};"
                             for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
daemon off; {user}pid {folder}/nginx.pid; error_log {folder}/error.log crit;
worker_processes 1; worker_rlimit_nofile 24000;
events {{ worker_connections 20000; use epoll; multi_accept on; }}
http {{
  access_log off; log_not_found off; sendfile on; tcp_nodelay on; {temporary}
  keepalive_timeout 3600s; keepalive_requests 1000000000; client_header_timeout 3600s;
  open_file_cache max=5000 inactive=1h; open_file_cache_valid 1h; open_file_cache_min_uses 1;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:100m max_size=1g inactive=1d use_temp_path=off;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  upstream o {{ server 127.0.0.1:{site.origin_port}; keepalive 256; keepalive_requests 1000000000; }}
  ssl_certificate {site.certificate}; ssl_certificate_key {site.key}; ssl_protocols TLSv1.2 TLSv1.3;
  server {{
    listen 127.0.0.1:{ports['plain']} backlog=4096; listen 127.0.0.1:{ports['tls']} ssl backlog=4096;
    location / {{ proxy_cache c; proxy_pass http://o; }}
    location /1k {{ sendfile off; proxy_cache c; proxy_pass http://o; }}
  }}
}}
""")
        return [find_program("nginx"), "-c", folder / "nginx.conf", "-p", folder,
                "-e", folder / "error.log"]


class Haproxy:
    name, package, programs = "haproxy", "haproxy", ["haproxy"]
    has_tls = True

    @staticmethod
    def configure(site, folder, ports):
        (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 11000
  no strict-limits
  tune.bufsize 65536
  ssl-default-bind-options ssl-min-ver TLSv1.2 prefer-client-ciphers
  quiet
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
  timeout http-request 3600s
cache c
  total-max-size 1000
  max-object-size 4194304
  max-age 3600
frontend f
  bind 127.0.0.1:{ports['plain']} backlog 4096
  bind 127.0.0.1:{ports['tls']} backlog 4096 ssl crt {site.bundle} alpn http/1.1
  default_backend o
backend o
  http-request cache-use c
  http-response cache-store c
  server o 127.0.0.1:{site.origin_port} pool-max-conn -1 pool-purge-delay 3600s
""")
        return [find_program("haproxy"), "-db", "-f", folder / "haproxy.cfg"]


class Varnish:
    """It leaves TLS to another program, so those rows are without it."""
    name, package, programs = "varnish", "varnish", ["varnishd"]
    has_tls = False

    @staticmethod
    def configure(site, folder, ports):
        (folder / "bench.vcl").write_text(
            f'vcl 4.1;\nbackend default {{ .host = "127.0.0.1"; .port = "{site.origin_port}"; }}\n')
        parameters = ["thread_pools=1", "thread_pool_min=300", "thread_pool_max=3000",
                      "timeout_idle=3600", "backend_idle_timeout=3600", "http_gzip_support=off",
                      "listen_depth=4096"]
        return [find_program("varnishd"), "-F", "-j", "none", "-n", folder / "work", "-T", "none",
                "-a", f"127.0.0.1:{ports['plain']}", "-f", folder / "bench.vcl", "-s", "malloc,1G",
                *(word for parameter in parameters for word in ("-p", parameter))]


PEERS = [Nginx, Haproxy, Varnish]


def load(options, workload, ports, server, rate=None, seconds=None):
    _, _, path, body_bytes, connections, port, extra = WORKLOADS[workload]
    arguments = ["-p", ports[port], "-u", path, "-b", body_bytes, "-c", connections, "-H", HOST,
                 "-d", seconds or options.seconds, *(["-t"] if port == "tls" else []), *extra]
    if rate:
        arguments += ["-r", rate]
    return run_load(options, "httpload", arguments, server)


def check_answers(site, entry, ports):
    """Before anything is measured: right bodies, from the cache the second time if they may be."""
    doors = [("plain", None), ("tls", site.ca)] if entry.has_tls else [("plain", None)]
    for path, body_bytes in (("/1k", 1 << 10), ("/64k", 64 << 10), ("/1m", 1 << 20), ("/nostore", 1 << 10)):
        for port, ca in doors:
            fetched = []
            for _ in range(2):
                status, body = get(ports[port], path, ca)
                if status != 200 or body != b"x" * body_bytes:
                    raise Failed(f"{path} on the {port} port: {status} with {len(body)} bytes")
                fetched.append(site.count_fetched())
            is_cached = fetched[0] == fetched[1]
            if is_cached == (path == "/nostore"):
                raise Failed(f"{path} was {'' if is_cached else 'not '}served from the cache")


def sample_hits(site, workload, ports, server, **how):
    """A sample in which the origin is left alone, if it is one of hits."""
    before = site.count_fetched()
    sample = load(site.options, workload, ports, server, **how)
    fetched = site.count_fetched() - before
    if workload != "pass-1k" and fetched > sample["answers"] / 1000:
        raise Failed(f"{workload}: {fetched} of {sample['answers']} requests went to the origin")
    return sample


def measure(site, entry, rows, folder):
    options = site.options
    plain = free_port()
    ports = {"plain": plain, "pass": plain, "tls": free_port()}
    server = Process(entry.name, entry.configure(site, folder, ports), folder)
    try:
        server.start()
        seconds = server.wait_answer(lambda: get(plain, "/1k")[0] == 200)
        memory = server.memory_bytes()
        check_answers(site, entry, ports)
        for workload, (_, rate, *_) in WORKLOADS.items():
            if not is_chosen(options, entry, workload):
                continue
            beside = site.sample_floor(workload)
            busy = quiet_sample(lambda: sample_hits(site, workload, ports, server))
            steady = sample_hits(site, workload, ports, server, rate=rate) if rate else busy
            rows.add(workload, entry.name, busy, steady, beside)
            options.record(bench="http", server=entry.name, workload=workload, floor=beside, busy=busy,
                           steady=steady)
        rows.starts[entry.name].append((seconds, memory, server.memory_bytes()))
    finally:
        server.stop()


def is_chosen(options, entry, workload):
    is_possible = entry.has_tls or WORKLOADS[workload][5] != "tls"
    return is_possible and (not options.only or workload in options.only)


def measure_floor(site, rows):
    for workload, (_, rate, *_) in WORKLOADS.items():
        if not site.options.only or workload in site.options.only:
            busy = site.sample_floor(workload)
            steady = load(site.options, workload, site.floor_ports, site.floor, rate=rate) if rate else busy
            rows.add(workload, "(floor)", busy, steady, None)
            site.options.record(bench="http", server="floor", workload=workload, busy=busy, steady=steady)


def idle_memory(site, ports, port, server):
    """Bytes per idle connection, those of the kernel not counted."""
    before = server.memory_bytes()
    argv = [site.options.tools / "httpload", "-i", "-p", ports[port], "-u", "/1k", "-b", 1 << 10, "-H", HOST,
            "-c", IDLE_CONNECTIONS, *(["-t"] if port == "tls" else [])]
    with start_pinned(argv, LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load_tool:
        try:
            if load_tool.stdout.readline() != "ready\n":
                raise Failed(f"{IDLE_CONNECTIONS} connections to the {port} port could not be opened")
            return (server.memory_bytes() - before) / IDLE_CONNECTIONS
        finally:
            load_tool.stdin.close()


def object_memory(site, ports, server):
    """Bytes per cached object of 1 KiB, in the process; nginx keeps them in files besides."""
    before = server.memory_bytes()
    sample = run_load(site.options, "httpload", [
        "-p", ports["plain"], "-u", "/1k?%", "-b", 1 << 10, "-c", 16, "-H", HOST, "-n", OBJECTS], server)
    return (server.memory_bytes() - before) / sample["answers"]


def measure_memory(site, entry, folder):
    """A row: per idle connection plain and TLS, per object. A fresh process for each."""
    figures = []
    for number_of_case in range(3):
        case = folder / str(number_of_case)
        case.mkdir()
        plain = free_port()
        ports = {"plain": plain, "tls": free_port()}
        server = Process(entry.name, entry.configure(site, case, ports), case)
        try:
            server.start()
            server.wait_answer(lambda: get(plain, "/1k")[0] == 200)
            if number_of_case == 2:
                figures.append(object_memory(site, ports, server))
            elif number_of_case == 1 and not entry.has_tls:
                figures.append(None)
            else:
                figures.append(idle_memory(site, ports, "tls" if number_of_case else "plain", server))
        finally:
            server.stop()
    site.options.record(bench="http-memory", server=entry.name, idle_plain=figures[0],
                        idle_tls=figures[1], object=figures[2])
    return [entry.name, *(number(figure, 0) for figure in figures)]


def run_memory(site, entries, rows):
    table = []
    for entry in entries:
        say(f"http memory: {entry.name}")
        folder = site.options.work / f"{entry.name}-memory"
        folder.mkdir()
        try:
            table.append(measure_memory(site, entry, folder))
        except Failed as why:
            rows.fail(entry.name, why)
    print_table("HTTP: memory in the process", ["server", "bytes per idle connection", "idle TLS connection",
                                                "cached object of 1 KiB"], table)


def run(options):
    """True: every server could be measured."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    rows, entries = Rows(), [EdgeProxy, *choose_peers(options, PEERS)]
    site = Site(options)
    try:
        for repeat in range(options.repeats):
            measure_floor(site, rows)
            for entry in entries:
                say(f"http {repeat + 1}/{options.repeats}: {entry.name}")
                folder = pathlib.Path(options.work, f"{entry.name}-{repeat}")
                folder.mkdir()
                try:
                    measure(site, entry, rows, folder)
                except Failed as why:
                    rows.fail(entry.name, why)
        rows.print("request", [(key, row[0], row[1]) for key, row in WORKLOADS.items()])
        if options.memory:
            run_memory(site, entries, rows)
    finally:
        site.stop()
    return not rows.failures
