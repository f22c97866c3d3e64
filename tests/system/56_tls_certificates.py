#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which certificate a visitor of an edge is shown: several per name, a folder of them, strangers
refused, their end foretold, and files that change."""
import json
import os
import shutil
import ssl
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from edge_under_test import HOST, counted, edge_site  # noqa: E402
from gslbtest import case, case_table, check, check_equal, check_in, main, run_program  # noqa: E402
from tls_lab import V, common_name, context_for, dial, get_over, issue  # noqa: E402


def edit(config, site):
    site.live = site.path("live")
    for folder in (site.live, site.live / "acme.example.com", site.live / "notes"):
        folder.mkdir()
    make = lambda *args, **how: issue(site.folder, site.certs.folder, *args, **how)  # noqa: E731
    config["tls"] = {"certificates": [make("www-ec", [HOST]), make("www-rsa", [HOST], rsa=True)],
                     "folder": str(site.live)}
    issue(site.live, site.certs.folder, "folder", ["*.folder.example.com"])
    pair = make("acme", ["acme.example.com"], days=5)
    shutil.copy(pair["certificate"], site.live / "acme.example.com/fullchain.pem")
    shutil.copy(pair["key"], site.live / "acme.example.com/privkey.pem")
    (site.live / "README").write_text("not a certificate")
    config["sites"][HOST]["aliases"] += ["*"]


def build():
    return edge_site(edit)


def shown(site, server_name=HOST, **how):
    with dial(site.edge, context_for(site, **how), server_name) as tls:
        check_equal(get_over(tls, "/", server_name).status, 200)
        return common_name(tls)


def rsa_context(site):
    context = context_for(site, maximum_version=V.TLSv1_2)
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return context


@case_table({"1.2": V.TLSv1_2, "1.3": V.TLSv1_3})
def ecdsa_before_rsa(site, version):
    check_equal(shown(site, minimum_version=version, maximum_version=version), "www-ec")


@case
def rsa_for_those_who_know_nothing_else(site):
    with dial(site.edge, rsa_context(site)) as tls:
        check_equal(common_name(tls), "www-rsa")


@case_table({"a pair in the folder": ("a.folder.example.com", "folder"),
             "as ACME clients keep them": ("acme.example.com", "acme")})
def a_folder_of_certificates(site, name, certificate):
    check_equal(shown(site, name), certificate)


@case
def near_ends_are_told(site):
    check_in("acme.example.com/fullchain.pem' expires in", site.edge.program.tail(200))
    left = {name: value for name, value in site.edge.metrics().items() if "tls_certificate_expires" in name}
    check_equal(len(left), 4)
    near = [name for name, value in left.items() if value < 14 * 86400]
    check_equal(len(near), 1)
    check_in("acme.example.com/fullchain.pem", near[0])
    check_in('key="EC"', near[0])


@case
def gslbctl_shows_them(site):
    result = site.edge.ctl("status", "--json")
    certificates = json.loads(result.stdout)["certificates"]
    check_equal([(c["name"], c["key"]) for c in certificates],
                [(HOST, "EC"), (HOST, "RSA"), ("acme.example.com", "EC"), ("*.folder.example.com", "EC")])
    check(4 * 86400 < certificates[2]["expires_in_s"] < 5 * 86400 + 60, "days left")
    check_in("certificate acme.example.com EC, ", site.edge.ctl("status").stdout)


@case_table({"unknown name": ("nobody.example", "UNRECOGNIZED_NAME"), "no name": (None, "ALERT")})
def strangers_are_refused(site, name, alert):
    site.edge.config["tls"]["unknown-name"] = "reject"
    site.edge.reload()
    try:
        with counted(site.edge, {'tls_failures_total.reason="unknown-name"': 1}):
            try:
                dial(site.edge, context_for(site, check_hostname=False), name)
                check(False, "a stranger was served")
            except ssl.SSLError as error:
                check_in(alert, str(error).upper())
        check_equal(shown(site), "www-ec")
    finally:
        del site.edge.config["tls"]["unknown-name"]
        site.edge.reload()
    with dial(site.edge, context_for(site, check_hostname=False), "nobody.example") as tls:
        check_equal(common_name(tls), "www-ec")


@case
def a_new_file_in_the_folder_is_taken_by_a_reload(site):
    with dial(site.edge, context_for(site)) as established:
        issue(site.live, site.certs.folder, "late", ["late.example.com"])
        site.edge.reload(by="gslbctl")
        check_equal(shown(site, "late.example.com"), "late")
        check_equal(get_over(established, "/still").status, 200)


@case_table({
    "certificate without its key": ("lonely.crt", None, "lonely.key"),
    "junk": ("junk.crt", "junk.key", "junk.crt"),
})
def a_mistake_in_the_folder_keeps_what_was(site, certificate, key, said):
    files = [site.live / name for name in (certificate, key) if name]
    for file in files:
        file.write_text("junk\n")
    if key is None:
        shutil.copy(site.live / "late.crt", files[0])
    try:
        for text in (site.edge.ctl("reload").stderr,
                     run_program("edge-proxy", "-c", site.edge.config_path, "--check").stderr):
            check_in("error:", text)
            check_in(said, text)
        check_equal(shown(site, "late.example.com"), "late")
    finally:
        for file in files:
            file.unlink()
        site.edge.reload()


@case_table({"missing": ("nowhere", "cannot read the folder"), "empty": ("empty", "no certificate in the folder")})
def a_useless_folder_is_refused(site, name, said):
    (site.folder / "empty").mkdir(exist_ok=True)
    site.edge.config["tls"]["folder"] = str(site.path(name))
    try:
        site.edge.write_config()
        text = site.edge.ctl("reload").stderr
        check_in(said, text)
        check_in("edge-1.yaml:", text)
    finally:
        site.edge.config["tls"]["folder"] = str(site.live)
        site.edge.reload()


@case
def hidden_certificates_are_warned_of(site):
    site.edge.config["tls"]["certificates"].append(issue(site.folder, site.certs.folder, "twin", [HOST]))
    mark = site.edge.program.mark()
    try:
        site.edge.reload()
        check_in("twin.crt': certificates before it have its names", site.edge.program.tail(20))
    finally:
        site.edge.config["tls"]["certificates"].pop()
        site.edge.reload()
    check(not site.edge.program.log_lines("error", mark), "nothing went wrong")


main(build)
