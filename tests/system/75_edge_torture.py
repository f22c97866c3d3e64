#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sixty visitors at random against origins at random: answers of every framing, broken off, late,
refused, revalidated, with hints before them; visitors that abort; a cache far too small; plain and
TLS on both sides. Every body is verified, nobody hangs, and what fails is what an origin broke.

GSLB_SEED and GSLB_TORTURE_S choose another run.
"""
import asyncio
import collections
import os
import random
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, edge_site, total  # noqa: E402
from gslbtest import PATIENCE, case, check, check_equal, free_port, main, wait_until  # noqa: E402

SEED = int(os.environ.get("GSLB_SEED", "1"))
SECONDS = float(os.environ.get("GSLB_TORTURE_S", "8"))
VISITORS = 60
HANG_S = 20 * PATIENCE
FRESHNESS = ["max-age=1", "max-age=0", "max-age=2, stale-while-revalidate=3", "no-cache",
             "max-age=1, stale-if-error=5"]


def length_of(path):
    if path.startswith(("/big", "/s/big")):
        return 3_000_000
    return random.Random(path).choice([0, 1, 500, 5_000, 50_000, 66_000, 150_000])


def body_of(path):
    unit = path.encode() + b"."
    n = length_of(path)
    return (unit * (n // len(unit) + 1))[:n]


class TortureOrigin:
    """One of the three; asyncio, on the one loop of this test."""

    def __init__(self, seed):
        self.random, self.faults, self.requests = random.Random(seed), collections.Counter(), 0

    async def start(self, port, context=None):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port, ssl=context)

    async def serve(self, reader, writer):
        try:
            while await self.answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass
        finally:
            writer.close()

    async def answer(self, reader, writer):
        """One request; False: nothing more on this connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        method, path = head.split(b" ")[:2]
        path = path.decode()
        await self.skip_body(reader, head)
        self.requests += 1
        dice = self.random.random()
        if dice < 0.06:
            self.faults[path] += 1
            if dice < 0.03:
                writer.transport.abort()
            return False
        if dice < 0.08:
            await asyncio.sleep(self.random.random())
        if dice > 0.97:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        fields = self.fields(path)
        if b"if-none-match" in head and self.random.random() < 0.7:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n" + fields + b"\r\n")
        elif dice < 0.10:
            writer.write(b"HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nbad")
        elif method == b"head":
            writer.write(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % length_of(path))
        else:
            return await self.send_body(writer, path, b"HTTP/1.1 200 OK\r\n" + fields)
        await writer.drain()
        return True

    @staticmethod
    async def skip_body(reader, head):
        if b"chunked" in head:
            while n := int(await reader.readline(), 16):
                await reader.readexactly(n + 2)
            await reader.readline()
        elif b"content-length: " in head:
            await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))

    def fields(self, path):
        # One no-store has a path passed for minutes: only some paths ever say it.
        how = "no-store" if path.endswith("7") else self.random.choice(FRESHNESS)
        vary = self.random.choice(["", "Vary: Accept-Encoding\r\n", "Vary: X-R\r\n"])
        return (f'ETag: "{length_of(path)}"\r\n{vary}'
                f"Cache-Control: {how}\r\n").encode()

    async def send_body(self, writer, path, head):
        """By length, in chunks, or until the close; now and then broken off."""
        body, kind = body_of(path), self.random.random()
        if kind > 0.9:
            writer.write(head + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
            return False
        is_chunked = kind < 0.45
        writer.write(head + (b"Transfer-Encoding: chunked\r\n\r\n" if is_chunked
                             else b"Content-Length: %d\r\n\r\n" % len(body)))
        at = 0
        while at < len(body):
            piece = body[at:at + self.random.randint(1, 30000)]
            at += len(piece)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
            await writer.drain()
            if self.random.random() < 0.02:
                await asyncio.sleep(0.02)
            if at < len(body) and self.random.random() < 0.003:
                self.faults[path] += 1
                writer.transport.abort()
                return False
        if is_chunked:
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return True


class Visitors:
    def __init__(self, site, seed, is_fault):
        self.site, self.random, self.is_fault = site, random.Random(seed), is_fault
        self.seen, self.wrong = collections.Counter(), []
        self.until = time.monotonic() + SECONDS

    async def one(self):
        while time.monotonic() < self.until:
            path = "?"
            reader, writer = await self.connect()
            try:
                for _ in range(self.random.randint(1, 20)):
                    kind = "big" if self.random.random() < 0.02 else "p"
                    path = f"/{self.random.choice(['', 's/'])}{kind}{self.random.randint(0, 40)}"
                    if not await asyncio.wait_for(self.ask(reader, writer, path), HANG_S):
                        break
            except asyncio.TimeoutError:
                self.wrong.append(f"{path}: hangs")
            except (OSError, asyncio.IncompleteReadError) as error:
                self.seen["broken"] += 1
                if not self.is_fault(path):
                    self.wrong.append(f"{path}: broken off, {error!r}")
            finally:
                writer.close()

    async def connect(self):
        if self.random.random() < 0.7:
            return await asyncio.open_connection(self.site.edge.address, self.site.edge.http_port)
        return await asyncio.open_connection(self.site.edge.address, self.site.edge.https_port,
                                             ssl=self.site.trust, server_hostname=HOST)

    async def ask(self, reader, writer, path):
        """One request and its answer; False: the connection is over."""
        method = self.random.choice(["GET"] * 8 + ["HEAD", "POST"])
        writer.write(self.request(method, path))
        if self.random.random() < 0.05:
            return self.abort(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1"):
            head = await reader.readuntil(b"\r\n\r\n")
        status, head = int(head[9:12]), head.lower()
        self.seen[status] += 1
        if self.random.random() < 0.03:
            return self.abort(writer)
        body = b"" if method == "HEAD" or status in (204, 304) else await self.body(reader, head)
        self.judge(method, path, status, head, body)
        return b"connection: close" not in head

    def abort(self, writer):
        self.seen["aborted"] += 1
        writer.transport.abort()
        return False

    def request(self, method, path):
        dice = self.random.random
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nX-R: {self.random.randint(0, 3)}\r\n"
        for chance, line in ((0.5, "Accept-Encoding: gzip"), (0.1, 'If-None-Match: "500"'),
                             (0.1, "Range: bytes=10-99"), (0.05, "Cache-Control: no-cache"),
                             (0.03, "Authorization: Basic eDp5")):
            if dice() < chance:
                head += line + "\r\n"
        body = b""
        if method == "POST":
            body = b"x" * self.random.choice([0, 10, 70_000, 100_000])
            if dice() < 0.5:
                head += f"Content-Length: {len(body)}\r\n"
            else:
                head += "Transfer-Encoding: chunked\r\n"
                body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        return head.encode() + b"\r\n" + body

    @staticmethod
    async def body(reader, head):
        if b"content-length: " in head:
            return await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        if b"transfer-encoding: chunked" not in head:
            return await reader.read(-1)
        parts = []
        while n := int(await reader.readline(), 16):
            parts.append((await reader.readexactly(n + 2))[:-2])
        await reader.readexactly(2)
        return b"".join(parts)

    def judge(self, method, path, status, head, body):
        if status not in (200, 206, 304, 416, 500, 502, 504):
            self.wrong.append(f"{method} {path}: {status}")
        elif status in (502, 504) and not self.is_fault(path):
            self.wrong.append(f"{method} {path}: {status}, but its origin has done nothing")
        elif status == 206 and body != body_of(path)[10:100]:
            self.wrong.append(f"{method} {path}: another part of {len(body)} bytes")
        elif status == 200 and method != "HEAD" and body != body_of(path):
            self.wrong.append(f"{method} {path}: another body of {len(body)} bytes after {head!r}")


def build():
    def edit(config, site):
        config["cache"] = {"memory": "4MiB", "max-object": "1MiB"}
        config["pools"] = {
            "app": {"origins": [f"127.0.0.1:{port}" for port in site.ports[:2]],
                    "first-byte-timeout": "10s", "idle-timeout": "5s"},
            "secure": {"origins": [f"127.0.0.1:{site.ports[2]}"], "first-byte-timeout": "10s",
                       "tls": {"ca": str(site.certs.ca), "server-name": HOST}}}
        how = {"default-ttl": "1s", "client-no-cache": True}
        config["sites"][HOST]["routes"] = {"/": {"pool": "app", **how}, "/s/": {"pool": "secure", **how}}

    def more(site):
        site.ports = [free_port() for _ in range(3)]
    site = edge_site(edit, origins=0, build=more)
    site.trust = ssl.create_default_context(cafile=site.certs.ca)
    return site


async def torture(site):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = site.certs.site(HOST)
    context.load_cert_chain(pair["certificate"], pair["key"])
    origins = [TortureOrigin(SEED * 10 + i) for i in range(3)]
    for origin, port, secure in zip(origins, site.ports, (None, None, context)):
        await origin.start(port, secure)
    crowd = Visitors(site, SEED, lambda path: any(origin.faults[path] for origin in origins))
    await asyncio.gather(*[crowd.one() for _ in range(VISITORS)])
    for origin in origins:
        origin.server.close()
    return crowd, sum(origin.requests for origin in origins)


@case
def nobody_hangs_and_no_body_is_wrong(site):
    crowd, fetched = asyncio.run(torture(site))
    print(f"     seed={SEED} {dict(crowd.seen)} fetched={fetched}")
    check_equal(crowd.wrong[:5], [], f"{len(crowd.wrong)} answers")
    check(crowd.seen[200] > 50 * SECONDS / 8 / PATIENCE, f"too little happened: {crowd.seen}")


@case
def afterwards_nothing_is_held(site):
    def is_quiet():
        m = site.edge.metrics()
        opened = total(m, r"^edge_connections_total") - total(m, r"^edge_connections_closed_total")
        return opened == 0 and total(m, r"^edge_cache_bytes$") <= 4 << 20
    wait_until(is_quiet, "the connections to close and the cache to be within its budget")


main(build)
