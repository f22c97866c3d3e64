# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of edge-proxy share: one edge with its origins and no DNS node, and looking at
what it counted, logged and holds.

    site = edge_site(edit)                  # site.edge, site.origin; edit(config, site)
    with counted(site.edge, {r'verdict="no-colon"': 1}): …
    entry = logged(site.edge, "/page")      # the newest access log line of that path
"""

import contextlib
import hashlib
import os
import re
import socket
import struct
import threading
import time

from gslbtest import BUILD, check, wait_until
from site_under_test import Site

HOST = "www.example.com"
# What a sanitizer's shadow and quarantine add makes limits on memory meaningless there.
IS_SANITIZED = BUILD.name in ("asan", "tsan")


def edge_site(edit=None, name="edge-1", origins=1, build=None):
    """A started site of one edge on 127.0.0.1. build(site) may add origins of its own first."""
    site = Site()
    try:
        for number in range(origins):
            site.add_origin(f"origin-{number + 1}")
        if build:
            build(site)
        site.origin = site.origins[0] if site.origins else None
        site.edge = site.add_edge(name, origins=site.origins[:origins],
                                  edit=(lambda config: edit(config, site)) if edit else None)
        site.start()
    except BaseException:
        site.print_logs()
        site.close()
        raise
    return site


def total(metrics, pattern):
    return sum(value for name, value in metrics.items() if re.search(pattern, name))


@contextlib.contextmanager
def counted(node, wanted):
    """The counters that match each regular expression grow by exactly so much inside. A request is
    counted a moment after its client has the answer, so the end is waited for."""
    before = node.metrics()
    for pattern in wanted:
        check(any(re.search(pattern, name) for name in before), f"no metric like {pattern}")
    yield
    def grown():
        after = node.metrics()
        got = {pattern: int(total(after, pattern) - total(before, pattern)) for pattern in wanted}
        check(got == wanted, f"counted {got}, wanted {wanted}")
        return True
    wait_until(grown, "the counters")


def logged(edge, path, count=1):
    """Waits until the access log has count lines of that path (with its query); the newest."""
    def look():
        lines = [line for line in edge.access_log() if line["path"] == path]
        check(len(lines) >= count, f"{len(lines)} lines of {path}")
        return sorted(lines, key=lambda line: line["time"])     # each worker writes its own
    return wait_until(look, f"the access log to have {path}")[-1]


def memory_kib(node):
    """What the program holds of the machine's memory now."""
    with open(f"/proc/{node.program.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])


def open_files(node):
    return len(os.listdir(f"/proc/{node.program.pid}/fd"))


def connections(node):
    """Client connections that the edge holds open now."""
    m = node.metrics()
    return total(m, r"^edge_connections_total") - total(m, r"^edge_connections_closed_total")


def reset(connection):
    """Ends a client's connection by a reset, which says that it wants no answer any more (one that
    only has no more to say, as by close(), is answered as long as it can be)."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_connections(node, count):
    wait_until(lambda: connections(node) == count, f"{count} client connections")


def pattern_bytes(offset, n):
    """Bytes of an endless body that differ everywhere, by their offset."""
    block = b"".join(b"%07x\n" % i for i in range(offset // 8, (offset + n) // 8 + 2))
    return block[offset % 8:offset % 8 + n]


BLOCK = pattern_bytes(0, 1 << 20)


def stream_hash(total_bytes):
    """The SHA-256 of what stream_body sends."""
    digest = hashlib.sha256()
    sent = 0
    while sent < total_bytes:
        piece = BLOCK[:min(len(BLOCK), total_bytes - sent)]
        digest.update(piece)
        sent += len(piece)
    return digest.hexdigest()


def stream_body(send, total_bytes, progress=None, step=65536):
    """Sends total_bytes of BLOCK over and over; progress[0] says how many so far."""
    sent = 0
    while sent < total_bytes:
        at = sent % len(BLOCK)
        piece = BLOCK[at:at + min(step, total_bytes - sent)]
        send(piece)
        sent += len(piece)
        if progress is not None:
            progress[0] = sent


def drink(sock, total_bytes, already=b""):
    """Reads total_bytes from a socket without keeping them; their SHA-256."""
    digest = hashlib.sha256(already)
    left = total_bytes - len(already)
    while left > 0:
        data = sock.recv(min(1 << 18, left))
        check(data, f"closed {left} bytes early")
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()


def settled(read, what, quiet_s=0.4, timeout_s=20.0):
    """Waits until read() gives the same value for quiet_s; returns it."""
    state = {"value": None, "since": 0.0}

    def look():
        value, now = read(), time.monotonic()
        if value != state["value"]:
            state.update(value=value, since=now)
        return now - state["since"] >= quiet_s
    wait_until(look, f"{what} to settle", timeout_s)
    return state["value"]


def in_threads(count, function):
    """function(i) in count threads at once; returns the results, raises the first failure."""
    results, errors = [None] * count, []

    def run(i):
        try:
            results[i] = function(i)
        except Exception as error:  # handed to the case
            errors.append(error)
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


class RawOrigin:
    """An origin that knows no HTTP: it keeps every byte that arrives, by connection, and answers
    each request head it sees with the bytes it was given (health checks are answered and not
    kept). answer None: it says nothing."""

    OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: no-store\r\n\r\nok"

    def __init__(self, port, answer=OK):
        self.answer, self.then_close = answer, False
        self.received = []              # one bytearray per connection
        self._lock = threading.Lock()
        self._socks = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(256)
        self.address = f"127.0.0.1:{port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def clear(self):
        with self._lock:
            for part in self.received:
                part.clear()    # its connection may live on

    def open_sockets(self):
        with self._lock:
            return list(self._socks)

    def all_bytes(self):
        with self._lock:
            return b"".join(bytes(part) for part in self.received)

    def heads(self):
        """How many request lines arrived."""
        return len(re.findall(rb"^[A-Z!-~]+ [^ \r\n]+ HTTP/1\.1\r\n", self.all_bytes(), re.M))

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self):
        with self._lock:
            for sock in self._socks:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._socks.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        kept, pending = None, b""
        try:
            while data := sock.recv(65536):
                pending += data
                if kept is None and pending.startswith(b"GET /health "):
                    sock.sendall(self.OK)
                    return
                if kept is None:
                    kept = bytearray()
                    with self._lock:
                        self.received.append(kept)
                kept += data
                while b"\r\n\r\n" in pending:
                    head, _, pending = pending.partition(b"\r\n\r\n")
                    if b" HTTP/1." not in head:
                        continue    # the end of a chunked body
                    if self.answer is not None:
                        sock.sendall(self.answer)
                    if self.then_close:
                        return
        except OSError:
            pass
        finally:
            with self._lock:
                self._socks.discard(sock)
            sock.close()
