# SPDX-License-Identifier: BSD-2-Clause
"""Asks one server many queries and returns what came: bytes, or None where no answer is due.

UDP goes out in windows. Behind each one follows a query that every server answers; a server with
one thread answers in order, so what is missing when that answer is there was dropped. A drop is
believed after a second try.
"""

import select
import socket
import struct
import time

from dns_client import read_tcp_message, tcp_frame

WINDOW = 40
SENTINEL_ID = 0xffff
TRIES, TRY_S = 3, 1.0  # for the sentinel
PATIENCE_S = 5.0       # for TCP
GRACE_S = 0.05  # for an answer that was overtaken by the sentinel's


class Silence(Exception):
    """A server that no longer answers."""


class Asker:
    def __init__(self, server, sentinel):
        self.server = server
        self.address, self.sentinel = ("127.0.0.1", server.port), sentinel
        self.name = server.name
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.connect(self.address)

    def close(self):
        self.sock.close()

    def ask(self, queries):
        """The answers, in the order of the queries. They are all UDP, or all TCP."""
        if queries and queries[0].tcp:
            return self._ask_tcp(queries)
        try:
            answers = self._ask_window(queries)
        except Silence:
            return self._ask_singly(queries)
        missing = [i for i, answer in enumerate(answers) if answer is None]
        if missing:
            for i, answer in zip(missing, self._ask_window([queries[i] for i in missing])):
                answers[i] = answer
        return answers

    def _ask_window(self, queries):
        answers, missing = [None] * len(queries), len(queries)
        for i, query in enumerate(queries):
            self.sock.send(struct.pack("!H", i) + query.packet)
        for _ in range(TRIES):
            self.sock.send(struct.pack("!H", SENTINEL_ID) + self.sentinel)
            until, has_sentinel = time.monotonic() + TRY_S, False
            while select.select([self.sock], [], [], max(0, until - time.monotonic()))[0]:
                packet = self.sock.recv(65535)
                number = struct.unpack_from("!H", packet)[0] if len(packet) >= 2 else None
                if number == SENTINEL_ID:
                    has_sentinel = True
                    until = min(until, time.monotonic() + GRACE_S)
                elif number is not None and number < len(answers) and answers[number] is None:
                    answers[number] = packet
                    missing -= 1
                if has_sentinel and missing == 0:
                    break
            if has_sentinel:
                return answers
        raise Silence(f"{self.name} no longer answers")

    def _ask_singly(self, queries):
        """A query among these hangs the server: it gets no answer, and the others another server."""
        self.server.restart()
        answers = []
        for query in queries:
            try:
                answers += self._ask_window([query])
            except Silence:
                answers.append(None)
                self.server.restart()
        return answers

    def _ask_tcp(self, queries):
        """All on one connection, all sent before the first answer is read. A server may close it on
        a query that it does not like; the others are asked again on another one."""
        answers, open_ones = [None] * len(queries), list(range(len(queries)))
        while open_ones:
            self._ask_connection(queries, open_ones, answers)
            left = [i for i in open_ones if answers[i] is None]
            # Of what was answered nothing is left; the first of the others closed the connection.
            open_ones = left if len(left) < len(open_ones) else left[1:]
        return answers

    def _ask_connection(self, queries, numbers, answers):
        with socket.create_connection(self.address, PATIENCE_S) as sock:
            sock.sendall(b"".join(tcp_frame(struct.pack("!H", i) + queries[i].packet) for i in numbers))
            for _ in numbers:
                try:
                    packet = read_tcp_message(sock)
                except (ConnectionError, socket.timeout):
                    return
                answers[struct.unpack_from("!H", packet)[0]] = packet
