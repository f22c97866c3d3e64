# SPDX-License-Identifier: BSD-2-Clause
"""A name server that says what the case wants: addresses, failures, nothing.

    dns = NameServer()                       # dns.address: "127.0.0.1:PORT"
    dns.set("app.test", a=["127.0.0.1"], aaaa=[], ttl=1)
    dns.fail("app.test", "SERVFAIL")         # or NXDOMAIN, REFUSED, "silent", "truncated"
    dns.count("app.test")                    # questions for its A records so far
"""

import socketserver
import struct
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from gslbtest import free_port


class _Udp(socketserver.ThreadingMixIn, socketserver.UDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class NameServer:
    def __init__(self, host="127.0.0.1"):
        self.port = free_port()
        self.address = f"{host}:{self.port}"
        self._names, self._failures, self._asked = {}, {}, []
        owner = self

        class OverUdp(socketserver.BaseRequestHandler):
            def handle(self):
                data, sock = self.request
                answer = owner.answer(data, is_udp=True)
                if answer:
                    sock.sendto(answer, self.client_address)

        class OverTcp(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(2)) == 2:     # several questions may come
                    answer = owner.answer(self.rfile.read(struct.unpack("!H", head)[0]), is_udp=False)
                    if answer:
                        self.wfile.write(struct.pack("!H", len(answer)) + answer)

        self._servers = [_Udp((host, self.port), OverUdp), _Tcp((host, self.port), OverTcp)]
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def set(self, name, a=(), aaaa=(), ttl=1, cname=None):
        self._names[name] = {"A": list(a), "AAAA": list(aaaa), "ttl": ttl, "cname": cname}
        self._failures.pop(name, None)

    def fail(self, name, how):
        self._failures[name] = how

    def count(self, name, kind="A"):
        return self._asked.count((name, kind))

    def answer(self, data, is_udp):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        how = self._failures.get(name)
        self._asked.append((name, kind))
        if how == "silent":
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        if how == "truncated" and is_udp:
            reply.flags |= dns.flags.TC
        elif how in ("SERVFAIL", "REFUSED", "NXDOMAIN"):
            reply.set_rcode(dns.rcode.from_text(how))
        elif name not in self._names:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        else:
            self._add(reply, question.name.to_text(), self._names[name], kind)
        return reply.to_wire()

    @staticmethod
    def _add(reply, owner, entry, kind):
        if entry["cname"]:
            reply.answer.append(dns.rrset.from_text(owner, entry["ttl"], "IN", "CNAME", entry["cname"]))
            owner = entry["cname"]
        if entry.get(kind):
            reply.answer.append(dns.rrset.from_text(owner, entry["ttl"], "IN", kind, *entry[kind]))

    def stop(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()
