#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The fast path over a veth pair between two network namespaces: answers in both modes, what goes
to the kernel, and nothing attached when the server is gone. Skipped where that is not permitted."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
from gslbtest import case, case_table, check, check_equal, check_in  # noqa: E402
from xdp_lab import Lab, main_or_skip  # noqa: E402


@case_table({"native": "native", "generic": "generic", "auto": "true"})
def answers_and_counts(mode):
    with Lab() as lab:
        program = lab.start("dns", f"{{v0: {mode}}}")
        program.wait_log("xdp: attached interface=v0")
        for server in ("@10.77.0.1", "@fd77::1"):
            check_equal(lab.ask(server), "192.0.2.1", server)
        m = lab.metrics()
        check_equal(m["gslb_dns_xdp_received_total"], 2)
        check_equal(m["gslb_dns_xdp_answered_total"], 2)
        check_equal(lab.ask("+tcp", "@10.77.0.1"), "192.0.2.1", "TCP goes to the kernel")
        check(lab.metrics()["gslb_dns_xdp_passed_total"] > m["gslb_dns_xdp_passed_total"], "passed")
        program.stop()
        check(not lab.attached(), "a program is still attached")


@case
def nothing_stays_attached_after_a_kill():
    with Lab() as lab:
        program = lab.start("dns", "{v0: native}")
        check(lab.attached(), "nothing is attached")
        program.kill()
        check(not lab.attached(), "a program is still attached")


@case
def a_second_instance_serves_by_sockets():
    with Lab() as lab:
        lab.start("first", "{v0: native}")
        second = lab.start("second", "{v0: native}", port=54)
        check_in("sockets serve", second.log())
        check_equal(lab.ask("-p", "54", "@10.77.0.1"), "192.0.2.1")


@case
def an_absent_interface_is_a_warning():
    with Lab() as lab:
        program = lab.start("dns", "{nowhere0: true}")
        check_in("xdp: nowhere0: there is no such interface; sockets serve", program.log())
        check_equal(lab.ask("@10.77.0.1"), "192.0.2.1")


main_or_skip()
