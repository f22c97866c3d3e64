# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of an edge's TLS share: certificates of every kind, and visitors who are choosy."""

import socket
import ssl
import subprocess

from gslbtest import PATIENCE
from http_client import Connection

V = ssl.TLSVersion


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *map(str, args)], input=stdin, check=True, capture_output=True,
                          text=True).stdout


def issue(folder, ca, name, sans=(), rsa=False, days=90, extensions=()):
    """A certificate by the CA in the folder ca (ca.crt, ca.key): NAME.crt and NAME.key in folder, as
    an edge's tls section wants them."""
    certificate, key, request = (folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
    algorithm = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("req", "-new", "-newkey", *algorithm, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    config = folder / f"{name}.ext"
    config.write_text("\n".join(["basicConstraints=CA:FALSE", "subjectKeyIdentifier=hash",
                                 "authorityKeyIdentifier=keyid",
                                 *(["subjectAltName=" + ",".join(f"DNS:{san}" for san in sans)] if sans else []),
                                 *extensions]))
    openssl("x509", "-req", "-in", request, "-CA", ca / "ca.crt", "-CAkey", ca / "ca.key", "-CAcreateserial",
            "-days", days, "-extfile", config, "-out", certificate)
    key.chmod(0o600)
    return {"certificate": str(certificate), "key": str(key)}


def make_ca(folder, name):
    """A CA of its own in folder: ca.crt and ca.key."""
    folder.mkdir(exist_ok=True)
    openssl("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 90,
            "-keyout", folder / "ca.key", "-out", folder / "ca.crt", "-subj", f"/CN={name}")
    return folder


def revoke(ca, *pairs):
    """The CA's list of revoked certificates, ca.crl, with these pairs."""
    database, config = ca / "index.txt", ca / "ca.cnf"
    database.touch()
    config.write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={database}\ndefault_md=sha256\n"
                      "default_crl_days=30\nunique_subject=no\n")
    by = ["-config", config, "-cert", ca / "ca.crt", "-keyfile", ca / "ca.key"]
    for pair in pairs:
        openssl("ca", *by, "-revoke", pair["certificate"])
    openssl("ca", *by, "-gencrl", "-out", ca / "ca.crl")
    return str(ca / "ca.crl")


def context_for(site, **attributes):
    context = ssl.create_default_context(cafile=site.certs.ca)
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def dial(edge, context, server_name="www.example.com", session=None):
    sock = socket.create_connection((edge.address, edge.https_port), 10 * PATIENCE)
    try:
        return context.wrap_socket(sock, server_hostname=server_name, session=session)
    except BaseException:
        sock.close()
        raise


def connection_over(tls):
    c = Connection.__new__(Connection)
    c.sock, c.buffer = tls, b""
    return c


def get_over(tls, path="/", host="www.example.com", headers=()):
    return connection_over(tls).request("GET", path, host, headers)


def names_of(tls):
    return {name for kind, name in tls.getpeercert().get("subjectAltName", ()) if kind == "DNS"}


def common_name(tls):
    return dict(part[0] for part in tls.getpeercert()["subject"])["commonName"]
