# SPDX-License-Identifier: BSD-2-Clause
"""What is compared, and which differences are known, each with its reason.

A row of KNOWN excuses some aspects of the difference between our answer and a peer's, for queries
and answers for which its condition holds. What no row excuses fails the test.
"""

import dataclasses

from differential.message import TYPES, labels_of

def aspects_of(ours, theirs):
    """In which ways two answers differ; None is no answer at all."""
    if ours is None or theirs is None:
        return set() if ours is theirs else {"drop"}
    found = {flag for flag in ("aa", "tc", "ra", "ad", "cd", "rd", "z")
             if (flag in ours.flags) != (flag in theirs.flags)}
    for field in ("rcode", "opcode", "question"):
        if getattr(ours, field) != getattr(theirs, field):
            found.add(field)
    # What stands in a truncated answer is the server's to choose: RFC 2181 section 9.
    if "tc" not in ours.flags and "tc" not in theirs.flags:
        found |= _sections(ours, theirs)
    return found | _edns(ours.edns, theirs.edns)


def _sections(ours, theirs):
    found = set()
    for section, mine in ours.sections.items():
        other = theirs.sections[section]
        if mine == other:
            continue
        found.add(section if {k: v[1] for k, v in mine.items()} != {k: v[1] for k, v in other.items()}
                  else f"{section}-ttl")
    return found


def _edns(ours, theirs):
    if ours is None or theirs is None:
        return set() if ours is theirs else {"opt"}
    return {f"opt-{field}" for field in ours if ours[field] != theirs[field]}


@dataclasses.dataclass
class Row:
    name: str
    peers: str      # names, separated by blanks
    aspects: str    # that it excuses
    condition: object  # (query, ours, theirs) → bool
    reason: str

    def excuses(self, peer, query, ours, theirs):
        if peer in self.peers.split() and self.condition(query, ours, theirs):
            return set(self.aspects.split())
        return set()


def is_meta(query):
    return 128 <= query.rdtype < 255 or query.rdtype in (0, TYPES["OPT"])


def both(test):
    """Where both have answered."""
    return lambda query, ours, theirs: bool(ours and theirs) and bool(test(query, ours, theirs))


def options(*codes):
    """Where the answers differ in no other EDNS options."""
    return both(lambda query, ours, theirs: ours.edns and theirs.edns and
                set(ours.edns["options"]) ^ set(theirs.edns["options"]) <= set(codes))


def is_below(name, apex):
    return b"." + name[-len(apex):] == b"." + apex


def agrees(a, b):
    """No RRset stands in both with other data: one holds less than the other, that is all."""
    return all(b[key] == value for key, value in a.items() if key in b)


def is_optional_additional(query, ours, theirs):
    """Beyond glue, additional data is a courtesy: RFC 1034 section 4.3.2 step 6. What one of them
    adds must not contradict the other."""
    mine, other = ours.sections["additional"], theirs.sections["additional"]
    if not agrees(mine, other):
        return False
    if not ours.is_referral():
        return True
    # In a referral, the addresses below the cut are required: RFC 9471 section 3.
    cut = next(owner for owner, rdtype, _ in ours.sections["authority"] if rdtype == TYPES["NS"])
    return all(mine.get(key) == value for key, value in other.items() if is_below(key[0], cut))


NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN, NOTAUTH, BADVERS = 0, 1, 2, 3, 4, 5, 6, 9, 16

ALL = "nsd knot bind"
EVERYTHING = "rcode aa tc answer authority additional answer-ttl authority-ttl additional-ttl opt-options"
CLASS_ANY = 255
BESIDE_CNAME = tuple(TYPES[name] for name in ("RRSIG", "NSEC", "NSEC3", "KEY", "SIG", "NXT"))
ANY, TRANSFERS = TYPES["ANY"], (TYPES["AXFR"], TYPES["IXFR"])


def leaves_zone(query, ours, theirs):
    """The chain comes to a name of another of the zones, and as far as that the answers agree."""
    name, zone, seen = query.name.lower(), zone_of(query.name.lower()), set()
    while zone_of(name) == zone and name not in seen:
        key = (name, TYPES["CNAME"], 1)
        link = ours.sections["answer"].get(key)
        if link is None or theirs.sections["answer"].get(key) != link:
            return False
        seen.add(name)
        name = next(iter(link[1]))
    return name not in seen


APEXES = set()  # of all zones, set by the test


def zone_of(name):
    """The apex of the longest match among the zones."""
    while name not in APEXES and name != b"\0":
        name = name[1 + name[0]:]
    return name


def is_nested(query, ours, theirs):
    """The name's zone lies in another one, or another one in it."""
    apex = zone_of(query.name.lower())
    return apex != b"\0" and (zone_of(apex[1 + apex[0]:]) != b"\0" or
                              any(is_below(other, apex) for other in APEXES if other != apex))


def is_part_of_any(query, ours, theirs):
    if query.rdtype not in (ANY, TYPES["RRSIG"]):
        return False
    mine, other = ours.sections["answer"], theirs.sections["answer"]
    sets = [key for key in mine if query.rdtype != ANY or key[1] != TYPES["RRSIG"]]
    return len(sets) == 1 and agrees(mine, other) and (len(other) >= 1 or sets[0][1] == TYPES["DS"])


def links(answer):
    return {key: value for key, value in answer.sections["answer"].items() if key[1] == TYPES["CNAME"]}


def n_links(answer):
    return len(links(answer))


def has_dname(answer):
    return any(rdtype == TYPES["DNAME"] for _, rdtype, _ in answer.sections["answer"])


def is_cut_chain(query, ours, theirs):
    """Both follow the same chain, one of them less far."""
    mine, other = links(ours), links(theirs)
    return (min(len(mine), len(other)) >= 5 or len(mine) >= 10 and has_dname(ours)) and (
        mine.items() <= other.items() or other.items() <= mine.items())


DENIALS = [TYPES[name] for name in ("NSEC", "NSEC3")]


def is_more_proof(query, ours, theirs):
    """Both say the same, one of them with more NSEC or NSEC3 records; that ours suffice is proved
    answer for answer."""
    if not (query.edns and query.edns["do"]) or "tc" in ours.flags or "tc" in theirs.flags:
        return False
    mine, other = ({key: value for key, value in answer.sections["authority"].items()
                    if not is_denial(key)} for answer in (ours, theirs))
    return mine == other and agrees(ours.sections["authority"], theirs.sections["authority"]) and any(
        is_denial(key) for key in ours.sections["authority"])


def is_denial(key):
    _, rdtype, rdclass = key
    return rdtype in DENIALS or rdtype == TYPES["RRSIG"] and rdclass >> 16 in DENIALS


KNOWN = [
    Row("extended errors", ALL, "opt-options", options(15),
        "EDE (RFC 8914) is each server's own choice."),
    Row("options of their own", ALL, "opt-options", options(3, 9, 10, 12, 15),
        "Peers know EXPIRE, PADDING and cookies, and have an NSID without being told one."),
    Row("transfer", ALL, EVERYTHING + " drop",
        lambda query, ours, theirs: query.rdtype in TRANSFERS and ours and ours.rcode == REFUSED
        and ours.is_empty(),
        "No transfers here: REFUSED for any name; peers look first whether they have the zone."),
    Row("meta types", ALL, EVERYTHING,
        both(lambda query, ours, theirs: is_meta(query) and query.rdtype and ours.rcode == FORMERR),
        "128 to 254 and OPT are no data (RFC 6895 section 3.1): FORMERR. NSD and Knot look them up."),
    Row("type 0", "knot bind", EVERYTHING, both(lambda query, ours, theirs: query.rdtype == 0),
        "Reserved. We look it up as any unknown type, as NSD does; Knot and BIND say it is an error."),
    Row("errors without question", ALL, "question",
        both(lambda query, ours, theirs: not theirs.question and (query.opcode or theirs.rcode not in (NOERROR, NXDOMAIN))),
        "NSD, and BIND for other opcodes, answer errors by a header alone; we echo the question."),
    Row("several questions", ALL, "question rcode drop",
        lambda query, ours, theirs: ours and not ours.question and ours.rcode == FORMERR,
        "FORMERR (RFC 9619) with an empty question section; Knot drops, others echo one of them."),
    Row("class CH", ALL, EVERYTHING + " drop",
        lambda query, ours, theirs: query.rdclass == 3 and ours and ours.rcode == REFUSED,
        "Nothing is told about the server by version.bind and the like; NSID is the way to ask."),
    Row("class other than IN", ALL, EVERYTHING + " drop",
        lambda query, ours, theirs: query.rdclass != 1 and ours and ours.rcode == REFUSED
        and (theirs is None or query.rdclass == CLASS_ANY or not theirs.sections["answer"]),
        "REFUSED for any class but IN; NSD and Knot take ANY for IN, BIND tells FORMERR, NOTAUTH and "
        "silence apart by class."),
    Row("CD", "bind", "cd", both(lambda query, ours, theirs: "cd" in theirs.flags),
        "BIND copies CD. RFC 4035 section 3.1.6: clear in an authoritative answer."),
    Row("AD where nothing was answered", "bind", "ad", both(
        lambda query, ours, theirs: "ad" in theirs.flags and ("tc" in theirs.flags or theirs.is_empty())),
        "BIND sets AD where its answer holds nothing that is not validated; here it is always clear."),
    Row("DO with BADVERS", "nsd bind", "opt-do",
        both(lambda query, ours, theirs: ours.edns and ours.edns["do"] and theirs.rcode not in (NOERROR, NXDOMAIN)),
        "They clear DO in errors; RFC 3225 section 3 wants it copied."),
    Row("opcode", ALL, EVERYTHING + " drop",
        lambda query, ours, theirs: query.opcode and ours and ours.rcode == NOTIMP,
        "We have QUERY only; peers know NOTIFY and UPDATE, and refuse them in other words."),
    Row("opcode, OPT", "nsd", "opt", both(lambda query, ours, theirs: query.opcode and not theirs.edns),
        "NSD answers an unknown opcode without OPT (RFC 6891 section 6.1.1 wants one)."),
    Row("broken options", ALL, EVERYTHING,
        both(lambda query, ours, theirs: "broken-option" in query.traits and ours.rcode == FORMERR),
        "We check ECS (RFC 7871 section 7.2.1) and cookies (RFC 7873 section 5.2.2), which NSD and "
        "Knot have turned off, and so ignore."),
    Row("FORMERR without OPT", ALL, "opt",
        both(lambda query, ours, theirs: theirs.rcode == FORMERR and not theirs.edns),
        "They answer an OPT that cannot be read without one of their own; we have seen that it is there."),
    Row("records in a query", ALL, EVERYTHING + " opt",
        both(lambda query, ours, theirs: query.traits & {"records"} and ours.rcode == FORMERR),
        "Data in answer or authority, an OPT that is not the root's, bytes behind the message: FORMERR; "
        "each peer lets some of these pass."),
    Row("one tree for nested zones", "nsd", "rcode answer authority additional",
        both(lambda query, ours, theirs: is_nested(query, ours, theirs)
             and ours.rcode in (NOERROR, NXDOMAIN) and theirs.rcode in (NOERROR, NXDOMAIN)),
        "NSD keeps all zones in one tree: what only the parent's file has, occluded, makes names of the "
        "child exist, and the names above the child's apex keep the parent's wildcard away."),
    Row("chain into another zone", "nsd bind", EVERYTHING, both(leaves_zone),
        "NSD and BIND follow a CNAME into another zone that they serve; we leave that to the resolver."),
    Row("types that stand beside a CNAME", ALL, EVERYTHING,
        both(lambda query, ours, theirs: query.rdtype in BESIDE_CNAME and n_links(ours) > n_links(theirs)),
        "Asked for a type of DNSSEC that is not there (NSD: NSEC3; Knot: RRSIG, NSEC; BIND: KEY, SIG and NXT "
        "too), they do not follow the CNAME; RFC 1034 section 4.3.2 step 3a does."),
    Row("how far a chain is followed", ALL, EVERYTHING, both(is_cut_chain),
        "16 links here; NSD 15 but DNAMEs that lead to themselves once, Knot 20, BIND 11, and SERVFAIL."),
    Row("DNAME that leads below itself", "nsd", EVERYTHING, both(
        lambda query, ours, theirs: has_dname(ours) and has_dname(theirs) and
        n_links(theirs) > 0 and links(theirs).items() <= links(ours).items() and
        (n_links(ours) > n_links(theirs) or ours.rcode == YXDOMAIN)),
        "NSD applies a DNAME once; we do until the chain is too long or, YXDOMAIN, the name."),
    Row("what else is in YXDOMAIN", "knot", "answer authority",
        both(lambda query, ours, theirs: ours.rcode == theirs.rcode == YXDOMAIN),
        "Knot goes on with the DNAME's target where the name itself has become too long."),
    Row("NXDOMAIN for a name too long", "knot", "authority rcode", both(
        lambda query, ours, theirs: ours.rcode == YXDOMAIN and theirs.rcode == NXDOMAIN and
        has_dname(ours) and has_dname(theirs)),
        "It goes on, as above, and then does not find that target: RFC 6672 section 2.2 wants YXDOMAIN."),
    Row("names below a backslash", "nsd", EVERYTHING,
        both(lambda query, ours, theirs: b"\\" in labels_of(query.name)),
        "NSD does not see that \\\\.odd.test exists when a name below it is asked for, and takes *.odd.test."),
    Row("CNAME loop", "bind", "rcode opt-options", both(
        lambda query, ours, theirs: theirs.rcode == SERVFAIL and n_links(ours) and
        links(ours) == links(theirs)),
        "SERVFAIL there; here, as in NSD and Knot, the links without an end, and NOERROR."),
    Row("size", ALL, "tc rcode", both(
        lambda query, ours, theirs: not query.tcp and ("tc" in ours.flags or "tc" in theirs.flags)),
        "Glue is required (RFC 9471; NSD and BIND leave some out), other additional data is not; that our "
        "own TC is due is checked without the peers, and all are asked again by TCP."),
    Row("negative answer without SOA", "knot", "authority", both(
        lambda query, ours, theirs: not query.tcp and not theirs.sections["authority"]
        and theirs.n_bytes > 400 and links(theirs) == links(ours)),
        "Where a chain leaves no room, Knot omits the SOA without TC; ours is packed tighter, or has TC."),
    Row("type ANY and RRSIG", ALL, "answer additional tc", both(is_part_of_any),
        "One RRset (RFC 8482 section 4.1), or one's RRSIG, each server its own, or all (NSD, Knot by TCP); BIND "
        "has none for a name that has only DS."),
    Row("type ANY hangs it", "knot", "drop",
        lambda query, ours, theirs: query.rdtype == ANY and ours is not None and theirs is None,
        "Knot 3.2.6 goes into a loop where some big answers to ANY end; it is started again."),
    Row("type ANY below a DNAME", ALL, EVERYTHING,
        both(lambda query, ours, theirs: query.rdtype == ANY and has_dname(ours) and n_links(ours) == 1
             and ours.sections["answer"].items() <= theirs.sections["answer"].items()),
        "The DNAME and its CNAME are answer enough for ANY; NSD and Knot go on."),
    Row("data beside the question", "nsd", EVERYTHING + " opt question",
        both(lambda query, ours, theirs: query.traits & {"additional-in-query"} and theirs.rcode == FORMERR),
        "NSD takes nothing but OPT and TSIG in the additional section; we ignore what we do not know."),
    Row("flags of errors", "nsd bind", "rd cd ra tc z",
        both(lambda query, ours, theirs: theirs.rcode in (FORMERR, NOTIMP, BADVERS) and theirs.is_empty()),
        "NSD and BIND clear RD with FORMERR, and copy flags with NOTIMP; here RD is copied, the rest clear."),
    Row("broken packets", ALL, EVERYTHING + " opt drop question opcode",
        lambda query, ours, theirs: "mutated" in query.traits and ours is not None and (
            theirs is None or FORMERR in (ours.rcode, theirs.rcode) or NOTIMP in (ours.rcode, theirs.rcode)
            or BADVERS in (ours.rcode, theirs.rcode)),
        "Where the mistake is found first decides which error it is; some go unnoticed here or there."),
    Row("more proof than is needed", ALL, "authority", both(is_more_proof),
        "NSD, for one, adds the closest encloser to a wildcard's NODATA, and NSEC3 to answers that need none."),
    Row("additional data", ALL, "additional", both(is_optional_additional),
        "A courtesy but for glue; minimal responses differ in how minimal they are."),
]


def judge(peer, query, ours, theirs):
    """(the aspects that nothing excuses, the rows that excused others)"""
    left, used = aspects_of(ours, theirs), []
    for row in KNOWN:
        if not left:
            break
        excused = left & row.excuses(peer, query, ours, theirs)
        if excused:
            left -= excused
            used.append(row)
    return left, used
