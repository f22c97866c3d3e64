#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Certificates that sites ask their visitors for: optional, required, revoked; what origins are told of
them, and that neither tickets nor connections nor stored responses lead past them."""
import base64
import os
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program  # noqa: E402
from h2_client import H2Client  # noqa: E402
from tls_lab import V, connection_over, context_for, dial, get_over, issue, make_ca, openssl, revoke  # noqa: E402

REQUIRED, TWIN, OPTIONAL, REVOKED = (f"{name}.example.com" for name in ("required", "twin", "optional", "revoked"))
VERSIONS = {"1.2": V.TLSv1_2, "1.3": V.TLSv1_3}


def edit(config, site):
    ca = make_ca(site.path("clients"), "clients")
    site.alice, site.bob = (issue(ca, ca, name) for name in ("alice", "bob"))
    site.stranger = issue(site.folder, make_ca(site.path("others"), "others"), "stranger")
    site.ca = ca
    config["tls"] = {"certificates": [issue(site.folder, site.certs.folder, "www",
                                            [HOST, REQUIRED, TWIN, OPTIONAL, REVOKED])]}
    asked = {"verify": "required", "ca": [str(ca / "ca.crt")]}
    for name, how in ((REQUIRED, asked), (TWIN, asked), (OPTIONAL, {**asked, "verify": "optional"}),
                      (REVOKED, {**asked, "crl": [revoke(ca, site.bob)]})):
        config["sites"][name] = {"client-certificates": how, "routes": {"/": "app"}}


def build():
    return edge_site(edit)


def visitor(site, pair=None, **how):
    context = context_for(site, **how)
    if pair:
        context.load_cert_chain(pair["certificate"], pair["key"])
    return context


def visit(site, name, pair=None, path="/", host=None, headers=(), session=None, **how):
    """The answer; TLS 1.3 tells that it wants another certificate only when something is read."""
    with dial(site.edge, visitor(site, pair, **how), name, session) as tls:
        return get_over(tls, path, host or name, headers)


def is_refused(site, name, pair=None, **how):
    try:
        visit(site, name, pair, **how)
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
    return check(False, "it was served")


def field_of(pair):
    der = openssl("x509", "-in", pair["certificate"], "-outform", "DER", "-out", pair["certificate"] + ".der")
    check_equal(der, "")
    with open(pair["certificate"] + ".der", "rb") as file:
        return ":" + base64.b64encode(file.read()).decode() + ":"


def told(site, path):
    """What the origin got in Client-Cert, the last time."""
    return site.origin.seen(path)[-1].headers.get("client-cert")


@case_table(VERSIONS)
def the_origin_is_told(site, version):
    path = f"/told-{int(version)}"
    how = {"minimum_version": version, "maximum_version": version}
    with counted(site.edge, {"^edge_tls_client_certificates_total": 1}):
        check_equal(visit(site, REQUIRED, site.alice, path, **how).status, 200)
    check_equal(told(site, path), field_of(site.alice))
    check_equal(visit(site, OPTIONAL, site.bob, path, **how).status, 200)
    check_equal(told(site, path), field_of(site.bob))
    check_equal(visit(site, OPTIONAL, None, path, **how).status, 200)
    check_equal(told(site, path), None)


@case_table({"without": (REQUIRED, None, "no-client-certificate"),
             "of another CA": (REQUIRED, "stranger", "bad-client-certificate"),
             "of another CA where it is optional": (OPTIONAL, "stranger", "bad-client-certificate"),
             "revoked": (REVOKED, "bob", "bad-client-certificate")})
def others_are_refused(site, name, who, reason):
    pair = getattr(site, who) if who else None
    for version in VERSIONS.values():
        with counted(site.edge, {f'tls_failures_total.reason="{reason}"': 1}):
            is_refused(site, name, pair, minimum_version=version, maximum_version=version)
    check_equal(visit(site, name, site.alice).status, 200)


FORGED = [("Client-Cert", ":Zm9yZ2Vk:"), ("client-cert", ":Zm9yZ2Vk:"), ("Client-Cert-Chain", ":Zm9yZ2Vk:"),
          ("Client_Cert", ":Zm9yZ2Vk:"), ("Connection", "client-cert")]


@case_table({"to a site that asks for nothing": (HOST, None), "without": (OPTIONAL, None),
             "beside a real one": (OPTIONAL, "alice")})
def what_visitors_claim_goes(site, name, who):
    pair = getattr(site, who) if who else None
    check_equal(visit(site, name, pair, "/forged", headers=FORGED).status, 200)
    request = site.origin.seen("/forged")[-1]
    names = [field.lower() for field, _ in request.fields if "cert" in field.lower()]
    check_equal(names, ["client-cert"] if pair else [])
    if pair:
        check_equal(told(site, "/forged"), field_of(pair))


@case
def over_plain_http(site):
    site.edge.http.get("/open", host=HOST)
    check_equal(site.edge.http.get("/plain", host=REQUIRED).status, 403)
    check_equal(site.edge.http.get("/plain", host=OPTIONAL, headers=FORGED).status, 200)
    check_equal(len(site.origin.seen("/plain")), 1)
    check_equal(told(site, "/plain"), None)


@case
def http2(site):
    with H2Client(site.edge, site.certs.ca, REQUIRED, certificate=site.alice) as c:
        answer = c.answer(c.request("GET", "/h2", FORGED[1:2], host=REQUIRED))
        check_equal(answer.status, 200)
        check_equal(told(site, "/h2"), field_of(site.alice))


@case_table({"open to required": (HOST, REQUIRED, None), "required to open": (REQUIRED, HOST, "alice"),
             "optional, with one, to required": (OPTIONAL, REQUIRED, "alice"),
             "required to the one with a list": (REQUIRED, REVOKED, "bob")})
def a_connection_stays_in_its_policy(site, name, host, who):
    pair = getattr(site, who) if who else None
    with counted(site.edge, {"^edge_requests_misdirected_total": 2}):
        with dial(site.edge, visitor(site, pair), name) as tls:
            connection = connection_over(tls)
            answer = connection.request("GET", "/astray", host)
            check_equal((answer.status, answer.header("connection")), (421, "close"))
        with H2Client(site.edge, site.certs.ca, name, certificate=pair) as c:
            check_equal(c.answer(c.request("GET", "/astray", host=host)).status, 421)
            c.wait_goaway()
    check_equal(len(site.origin.seen("/astray")), 0)


@case
def sites_with_one_policy_share_a_connection(site):
    with dial(site.edge, visitor(site, site.alice), REQUIRED) as tls:
        check_equal(get_over(tls, "/shared", REQUIRED).status, 200)
        check_equal(get_over(tls, "/shared", TWIN).status, 200)
    check_equal(told(site, "/shared"), field_of(site.alice))


def session_of(site, name, pair, version):
    context = visitor(site, pair, minimum_version=version, maximum_version=version)
    with dial(site.edge, context, name) as tls:
        check_equal(get_over(tls, "/", name).status, 200)
        return context, tls.session


@case_table(VERSIONS)
def a_ticket_is_good_for_the_same_site(site, version):
    context, session = session_of(site, REQUIRED, site.alice, version)
    with dial(site.edge, context, REQUIRED, session) as tls:
        check_equal(get_over(tls, "/resumed", REQUIRED).status, 200)
        check(tls.session_reused, "not resumed")
    check_equal(told(site, "/resumed"), field_of(site.alice))


@case_table({f"{name} to {to}, {version}": (name, to, number)
             for name, to in ((HOST, REQUIRED), (OPTIONAL, REQUIRED)) for version, number in VERSIONS.items()})
def a_ticket_is_good_for_nothing_else(site, name, to, version):
    context, session = session_of(site, name, None, version)
    with counted(site.edge, {'tls_failures_total.reason="no-client-certificate"': 1, "^edge_tls_resumed_total": 0}):
        try:
            with dial(site.edge, context, to, session) as tls:
                get_over(tls, "/", to)
            check(False, "it was served")
        except (ssl.SSLError, ConnectionError):
            pass


def served_over(site, path, **fields):
    site.origin.serve(path, path.encode(), **fields)
    return len(site.origin.seen(path))


@case
def private_unless_it_says_otherwise(site):
    served_over(site, "/mine", cache_control="max-age=60")
    served_over(site, "/ours", cache_control="public, max-age=60")
    for _ in range(2):
        for path in ("/mine", "/ours"):
            check_equal(visit(site, REQUIRED, site.alice, path).status, 200)
    check_equal([len(site.origin.seen(path)) for path in ("/mine", "/ours")], [2, 1])
    is_refused(site, REQUIRED, None, path="/ours")


@case
def vary_tells_visitors_apart(site):
    served_over(site, "/vary", cache_control="public, max-age=60", vary="Client-Cert")
    for pair in (site.alice, site.bob, None, site.alice, site.bob, None):
        visit(site, OPTIONAL, pair, "/vary", headers=FORGED[:1])
    check_equal([request.headers.get("client-cert") for request in site.origin.seen("/vary")],
                [field_of(site.alice), field_of(site.bob), None])


@case
def a_site_that_opens_does_not_open_what_is_stored(site):
    served_over(site, "/secret", cache_control="public, max-age=600")
    check_equal(visit(site, REQUIRED, site.alice, "/secret").status, 200)
    rule = site.edge.config["sites"][REQUIRED]["client-certificates"]
    rule["verify"] = "off"
    site.edge.reload()
    try:
        check_equal(visit(site, REQUIRED, None, "/secret").header("cache-status").split(";")[1].strip(), "fwd=uri-miss")
        check_equal(len(site.origin.seen("/secret")), 2)
    finally:
        rule["verify"] = "required"
        site.edge.reload()


@case
def a_new_list_counts_at_once(site):
    with dial(site.edge, visitor(site, site.alice), REVOKED) as tls, \
            H2Client(site.edge, site.certs.ca, REVOKED, certificate=site.alice) as c:
        connection = connection_over(tls)
        check_equal(connection.request("GET", "/before", REVOKED).status, 200)
        check_equal(c.answer(c.request("GET", "/before", host=REVOKED)).status, 200)
        context, session = session_of(site, REVOKED, site.alice, V.TLSv1_2)
        revoke(site.ca, site.alice)
        site.edge.reload()
        check_equal(connection.request("GET", "/after", REVOKED).status, 421)
        check_equal(c.answer(c.request("GET", "/after", host=REVOKED)).status, 421)
    with counted(site.edge, {'tls_failures_total.reason="bad-client-certificate"': 2}):
        is_refused(site, REVOKED, site.alice)
        try:
            dial(site.edge, context, REVOKED, session)
            check(False, "the ticket was taken")
        except ssl.SSLError:
            pass
    check_equal(visit(site, REQUIRED, site.alice).status, 200)


@case_table({"no CA in it": ("ca", "no usable CA certificate"), "no list in it": ("crl", "no usable list of revoked")})
def a_mistake_is_refused(site, key, said):
    rule = site.edge.config["sites"][REVOKED]["client-certificates"]
    before = rule[key]
    rule[key] = [site.alice["key"]]
    try:
        site.edge.write_config()
        for text in (site.edge.ctl("reload").stderr,
                     run_program("edge-proxy", "-c", site.edge.config_path, "--check").stderr):
            check_in("error:", text)
            check_in(said, text)
            check_in("edge-1.yaml:", text)
    finally:
        rule[key] = before
        site.edge.reload()


main(build)
