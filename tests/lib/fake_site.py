# SPDX-License-Identifier: BSD-2-Clause
"""A DNS node with a fake edge in each of the three regions: what tests of health start from."""

import time

from gslbtest import wait_until
from site_under_test import Site

EDGES = {"us-east-1": "127.0.0.12", "eu-west-1": "127.0.0.11", "ap-northeast-1": "127.0.0.13"}
IRISH, AMERICAN = "185.2.100.0/24", "8.8.8.0/24"


def build_site(edit=None, silent=()):
    """A node and a fake edge for each of the three regions, all up."""
    site = Site()

    def edit_all(config):
        config["health"]["keep-last-view"] = "off"
        if edit:
            edit(config)
    site.add_dns("ns1", edit_all).start()
    for name in EDGES:
        if name not in silent:
            site.add_fake_edge(name)
            site.wait_edge(name, "up")
    return site


def fake_of(site, name):
    return next(fake for fake in site.fakes if fake.name == name)


def answer_of(site, subnet=IRISH, name="www.example.com"):
    return site.dns.addresses(name, subnet=subnet)


def wait_answer(site, wanted, what, subnet=IRISH, timeout_s=10.0):
    """Waits for the answer; returns the seconds that it took."""
    started = time.monotonic()
    wait_until(lambda: answer_of(site, subnet) == wanted, what, timeout_s)
    return time.monotonic() - started
