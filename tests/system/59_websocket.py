#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""WebSockets through an edge, by a real client and a real server (python3-websockets): messages both
ways, how a tunnel ends, how long it may rest, what a reload does to it."""
import asyncio
import http
import os
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import websockets  # noqa: E402

from edge_under_test import HOST, counted, edge_site, logged, wait_connections  # noqa: E402
from gslbtest import PATIENCE, case, case_table, check, check_equal, check_in, free_port, main, wait_until  # noqa: E402

SHORT, LONG = 0.4 * PATIENCE, 1.2 * PATIENCE    # body-idle and tunnel-idle, in seconds


class Server:
    """Echoes on every path but: /greet speaks first, /close ends by 1011, /forbidden is answered 403,
    /mute never says a word, /cut resets."""

    def __init__(self, port):
        self.address, self.port = f"127.0.0.1:{port}", port
        self.received, self.ends = [], []       # of all connections: messages; (path, code, reason)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = asyncio.run_coroutine_threadsafe(self.serve(), self.loop).result()

    async def serve(self):
        return await websockets.serve(self.talk, "127.0.0.1", self.port, process_request=self.judge,
                                      subprotocols=["chat"], ping_interval=None, max_size=1 << 24)

    async def judge(self, path, _headers):
        if path == "/health":
            return http.HTTPStatus.OK, [], b"ok"
        if path == "/forbidden":
            return http.HTTPStatus.FORBIDDEN, [("X-Why", "no")], b"not you"
        return None

    async def talk(self, ws):
        try:
            if ws.path == "/greet":
                await ws.send("welcome")
            if ws.path == "/close":
                await ws.close(1011, "of the origin")
                return
            async for message in ws:
                self.received.append(message)
                if ws.path == "/cut":
                    sock = ws.transport.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    ws.transport.abort()
                    return
                if ws.path != "/mute":
                    await ws.send(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            await ws.wait_closed()
            self.ends.append((ws.path, ws.close_code, ws.close_reason))

    def stop(self):
        self.server.close()
        asyncio.run_coroutine_threadsafe(self.server.wait_closed(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)


def build():
    server = Server(free_port())

    def edit(config, _site):
        config["pools"]["app"]["origins"] = [server.address]
        config["pools"]["app"]["check"].update({"interval": "1s"})
        config["limits"] = {"body-idle": f"{int(SHORT * 1000)}ms", "tunnel-idle": f"{int(LONG * 1000)}ms"}
    site = edge_site(edit, origins=0, build=lambda site: site.origins.append(server))
    site.server = server
    return site


def open_socket(site, path="/echo", tls=False, **how):
    """A client's connection: `async with` it."""
    edge = site.edge.https if tls else site.edge.http
    if tls:
        how.update(ssl=ssl.create_default_context(cafile=str(edge.ca)), server_hostname=HOST)
    how = {"ping_interval": None, "max_size": 1 << 24, "close_timeout": 10 * PATIENCE, **how}
    return websockets.connect(f"{'wss' if tls else 'ws'}://{HOST}{path}", host=edge.host, port=edge.port, **how)


def talk(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 20 * PATIENCE))


def wait_end(site, path):
    """How the origin saw the newest connection of that path end."""
    return wait_until(lambda: [end for end in site.server.ends if end[0] == path], f"the end of {path}")[-1]


@case_table({"plain": False, "tls": True})
def messages_pass_both_ways(site, tls):
    async def run():
        async with open_socket(site, tls=tls, subprotocols=["chat"]) as ws:
            check_equal(ws.subprotocol, "chat")
            for message in ("hello", "", b"\0\xff" * 3, "x" * 70000, b"y" * (1 << 20)):
                await ws.send(message)
                check_equal(await ws.recv(), message)
            await ws.send(["frag", "men", "ts"])
            check_equal(await ws.recv(), "fragments")
            await (await ws.ping(b"there?"))
            for i in range(100):
                await ws.send(str(i))
            check_equal([await ws.recv() for _ in range(100)], [str(i) for i in range(100)])
    with counted(site.edge, {"edge_tunnels_total": 1, "edge_responses_aborted": 0, "upstream_errors": 0}):
        talk(run())
    check_equal(logged(site.edge, "/echo")["status"], 101)


@case
def many_at_once(site):
    async def one(i):
        async with open_socket(site) as ws:
            for n in range(10):
                await ws.send(f"{i}-{n}")
                check_equal(await ws.recv(), f"{i}-{n}")

    async def run():
        await asyncio.gather(*(one(i) for i in range(50)))
    with counted(site.edge, {"edge_tunnels_total": 50}):
        talk(run())
    wait_connections(site.edge, 0)


@case
def the_visitor_closes(site):
    async def run():
        ws = await open_socket(site, "/bye")
        await ws.close(4001, "of the visitor")
        return ws.close_code
    check_equal(talk(run()), 4001)
    check_equal(wait_end(site, "/bye"), ("/bye", 4001, "of the visitor"))
    wait_connections(site.edge, 0)


@case
def the_origin_closes(site):
    async def run():
        ws = await open_socket(site, "/close")
        await ws.wait_closed()
        return ws.close_code, ws.close_reason
    check_equal(talk(run()), (1011, "of the origin"))
    wait_connections(site.edge, 0)


@case
def the_origin_speaks_first(site):
    async def run():
        async with open_socket(site, "/greet") as ws:
            return await ws.recv()
    check_equal(talk(run()), "welcome")


@case
def a_refusal_is_passed_on_and_is_no_tunnel(site):
    async def run():
        try:
            await open_socket(site, "/forbidden")
        except websockets.InvalidStatusCode as refused:
            return refused.status_code, refused.headers["X-Why"]
        return None
    with counted(site.edge, {"edge_tunnels_total": 0}):
        check_equal(talk(run()), (403, "no"))


@case
def frames_that_come_too_early_wait_for_the_101(site):
    """A visitor that does not wait: its frame is the origin's only after the switch."""
    frame = b"\x81\x85\0\0\0\0early"
    with site.edge.http.connect() as c:
        c.send(f"GET /echo HTTP/1.1\r\nHost: {HOST}\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode() + frame)
        response = c.read_head()
        check_equal((response.status, response.header("sec-websocket-accept")), (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        check_equal(c.take(7), b"\x81\x05early")
        c.send(b"\x88\x82\0\0\0\0\x03\xe8")
        check_equal(c.take(4), b"\x88\x02\x03\xe8")
        check(c.is_closed_by_peer(), "closed")


@case
def a_silent_tunnel_rests_longer_than_a_body_and_ends_in_order(site):
    async def run():
        async with open_socket(site) as ws:
            await asyncio.sleep(SHORT * 1.5)
            await ws.send("still here")
            check_equal(await ws.recv(), "still here")
            started = time.monotonic()
            await ws.wait_closed()
            check(time.monotonic() - started > LONG * 0.7, "not before its time")
            return ws.close_code
    with counted(site.edge, {'timeouts_total.at="tunnel"': 1, "upstream_errors": 0, "edge_responses_aborted": 0}):
        check_equal(talk(run()), 1006, "no close frame: the edge speaks no WebSocket")
    wait_connections(site.edge, 0)


@case
def words_of_one_side_keep_a_tunnel(site):
    async def run():
        async with open_socket(site, "/mute") as ws:
            for i in range(6):
                await ws.send(f"mute {i}")
                await asyncio.sleep(LONG * 0.4)
            await ws.close()
            return ws.close_code
    check_equal(talk(run()), 1000)
    check_in("mute 5", site.server.received)


@case
def a_visitor_that_vanishes_is_noticed_by_the_origin(site):
    async def run():
        ws = await open_socket(site, "/vanish")
        await ws.send("x")
        await ws.recv()
        ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.transport.abort()
    talk(run())
    check_equal(wait_end(site, "/vanish")[1], 1006)
    wait_connections(site.edge, 0)


@case
def an_origin_that_vanishes_ends_the_tunnel(site):
    async def run():
        ws = await open_socket(site, "/cut")
        await ws.send("x")
        await ws.wait_closed()
        return ws.close_code
    check_equal(talk(run()), 1006)
    wait_connections(site.edge, 0)


@case
def a_tunnel_outlives_reloads(site):
    """Even of its site: what it needs of the old configuration is kept until it ends."""
    sites = dict(site.edge.config["sites"])

    async def run():
        async with open_socket(site) as ws:
            for change in ({}, {"other.example": {"routes": {"/": "app"}}}, {}):
                site.edge.config["sites"] = change or sites
                site.edge.reload()
                await ws.send("after a reload")
                check_equal(await ws.recv(), "after a reload")
    talk(run())
    check_equal(site.edge.config["sites"], sites)


@case
def a_shutdown_waits_for_tunnels_no_longer_than_drain(site):
    site.edge.config["limits"]["drain"] = "300ms"
    site.edge.config["limits"]["tunnel-idle"] = "1h"
    site.edge.reload()

    async def run():
        ws = await open_socket(site)
        await asyncio.get_running_loop().run_in_executor(None, site.edge.stop)
        await ws.wait_closed()
    talk(run())


main(build)
