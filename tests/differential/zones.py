# SPDX-License-Identifier: BSD-2-Clause
"""The zones: nasty ones by hand, and random ones by seed."""

import re

from differential.message import text_of

SOA = "@ 7200 SOA ns.invalid. hostmaster.invalid. 1 3600 900 1209600 600\n"

# RFC 4592 section 2.2.1
WILDCARDS = """
@                 3600 SOA   ns.example.com. h.example.com. 1 3600 900 1209600 86400
@                 3600 NS    ns.example.com.
@                 3600 NS    ns.example.net.
*                 3600 TXT   "this is a wildcard"
*                 3600 MX    10 host1
sub.*             3600 TXT   "this is not a wildcard"
host1             3600 A     192.0.2.1
_ssh._tcp.host1   3600 SRV   0 0 22 host1
_ssh._tcp.host2   3600 SRV   0 0 22 host2
subdel            3600 NS    ns.example.com.
subdel            3600 NS    ns.example.net.
"""

CUTS = SOA + """
@                 3600 NS    ns
@                 3600 NS    ns.glued
@                 3600 NS    ns.elsewhere.test.
ns                3600 A     192.0.2.2
ns                3600 AAAA  2001:db8::2
glued             3600 NS    ns.glued
glued             3600 NS    ns2.glued
ns.glued          3600 A     192.0.2.3
ns.glued          3600 A     192.0.2.4
ns2.glued         3600 AAAA  2001:db8::3
unglued           3600 NS    ns.unglued
away              3600 NS    ns1.elsewhere.test.
away              3600 NS    ns2.elsewhere.test.
inzone            3600 NS    ns
sibling           3600 NS    ns.glued
deep.glue         3600 NS    a.b.c.deep.glue
a.b.c.deep.glue   3600 A     192.0.2.5
itself            3600 NS    itself
itself            3600 A     192.0.2.6
signed            1800 NS    ns.signed
signed            900  DS    12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
signed            900  DS    12346 13 2 ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
ns.signed         3600 A     192.0.2.7
hidden            3600 NS    ns.hidden
ns.hidden         3600 A     192.0.2.8
hidden            3600 TXT   "occluded at the cut"
hidden            3600 MX    5 mail.hidden
mail.hidden       3600 A     192.0.2.9
www.hidden        3600 CNAME mail.hidden
*.hidden          3600 TXT   "occluded wildcard"
child.hidden      3600 NS    ns.child.hidden
child.hidden      3600 DS    1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
ns.child.hidden   3600 A     192.0.2.10
tocut             3600 CNAME www.glued
tohost            3600 CNAME glued
tohidden          3600 CNAME www.hidden
*.wild            3600 CNAME x.away
cut.below.ent     3600 NS    ns.elsewhere.test.
*.beside          3600 TXT   "beside a cut"
cut.beside        3600 NS    ns
mx                3600 MX    10 mail.glued
mx                3600 MX    20 ns.glued
srv               3600 SRV   1 2 3 ns
onlyds            3600 DS    1 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
""" + "".join(f"many 3600 NS ns{i}.many\nns{i}.many 3600 A 192.0.2.{i}\nns{i}.many 3600 AAAA 2001:db8::{i}\n"
              for i in range(1, 14))

ALIASES = SOA + """
@                 3600 NS    ns.elsewhere.test.
a                 3600 A     192.0.2.1
a                 3600 TXT   "the end of the chain"
one               300  CNAME two
two               200  CNAME three
three             100  CNAME a
self              3600 CNAME self
loop1             3600 CNAME loop2
loop2             3600 CNAME loop3
loop3             3600 CNAME loop1
away              3600 CNAME www.elsewhere.test.
other             3600 CNAME host1.example.
othernx           3600 CNAME nosuch.big.test.
top               3600 CNAME @
tonx              3600 CNAME nosuch
tonodata          3600 CNAME aaaa
toent             3600 CNAME ent
towild            3600 CNAME x.y.wild
towildalias       3600 CNAME x.aliases
aaaa              3600 AAAA  2001:db8::1
below.ent         3600 TXT   "makes ent an empty non-terminal"
*.wild            3600 A     192.0.2.2
*.wild            3600 AAAA  2001:db8::2
*.aliases         3600 CNAME one
*.wildself        3600 CNAME x.wildself
*.wildnx          3600 CNAME nosuch
*.wildaway        3600 CNAME www.elsewhere.test.
sub.*.wild        3600 TXT   "below an asterisk"
*.*.stars         3600 TXT   "two asterisks"
x.*.stars         3600 TXT   "below one"
d                 600  DNAME target
d                 3600 TXT   "beside a DNAME"
d                 3600 A     192.0.2.3
www.target        3600 A     192.0.2.4
alias.target      3600 CNAME www.d
*.wild.target     3600 TXT   "wildcard behind a DNAME"
dd                3600 DNAME d
dself             3600 DNAME x.dself
dloop1            3600 DNAME dloop2
dloop2            3600 DNAME dloop1
daway             0    DNAME elsewhere.test.
dtop              3600 DNAME @
droot             3600 DNAME .
dalias            3600 DNAME one
tod               3600 CNAME www.d
todd              3600 CNAME www.dd
todself           3600 CNAME d
dlong             3600 DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
mx                3600 MX    5 one
""" + "".join(f"chain{i} 3600 CNAME chain{i + 1}\n" for i in range(30)) + "chain30 3600 A 192.0.2.30\n"

BIG = SOA + "@ 3600 NS ns\nns 3600 A 192.0.2.1\n" + "".join(
    [f"a60 3600 A 192.0.2.{i}\n" for i in range(60)]
    + [f"aaaa40 3600 AAAA 2001:db8::{i}\n" for i in range(40)]
    + [f'txt100 3600 TXT "{i:03} {"t" * 90}"\n' for i in range(100)]
    + [f"mx30 3600 MX {i} host{i}\nhost{i} 3600 A 192.0.2.{i}\nhost{i} 3600 AAAA 2001:db8::{i}\n"
       for i in range(30)]
    + [f"srv20 3600 SRV 0 0 {i} host{i}\n" for i in range(20)]
    + [f"ns20 3600 NS far{i}.elsewhere.test.\n" for i in range(20)]
    + [f"edge{n} 3600 TXT {' '.join(chr(34) + 'e' * 200 + chr(34) for _ in range(n // 201))} "
       f"\"{'x' * (n % 201)}\"\n" for n in range(430, 500, 5)]
    + [f"*.wild 3600 TXT \"{i} {'w' * 60}\"\n" for i in range(12)]
    + ["cname 3600 CNAME a60\ncnametxt 3600 CNAME txt100\n*.alias 3600 CNAME a60\n"])

KINDS = SOA + r"""
@                 3600 NS    ns
@                 3600 MX    10 mail
@                 3600 TXT   "apex"
@                 3600 CAA   0 issue "ca.example.net"
@                 3600 HTTPS 1 . alpn=h2,h3 ipv4hint=192.0.2.7 ipv6hint=2001:db8::7
ns                3600 A     192.0.2.1
mail              300  A     192.0.2.2
mail              600  AAAA  2001:db8::2
_sip._tcp         3600 SRV   5 10 5060 mail
_none._tcp        3600 SRV   0 0 0 .
naptr             3600 NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@kinds.test!" .
naptr             3600 NAPTR 101 10 "s" "SIP+D2U" "" _sip._tcp
svcb              3600 SVCB  1 mail alpn=h2 port=8443 mandatory=port
svcb              3600 SVCB  2 . key65333=abc
svcalias          3600 SVCB  0 mail
https             3600 HTTPS 0 svcb
https1            3600 HTTPS 1 mail alpn="h2,h3" ech=AAAA no-default-alpn
_443._tcp         3600 TLSA  3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
ssh               3600 SSHFP 4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789
loc               3600 LOC   52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m
loc2              3600 LOC   42 21 54 S 71 06 18 W 24m
uri               3600 URI   10 1 "https://example.com/"
hinfo             3600 HINFO "PC" "Linux"
rp                3600 RP    mail.kinds.test. txt.kinds.test.
afsdb             3600 AFSDB 1 mail
ptr               3600 PTR   mail.kinds.test.
txt               3600 TXT   "" "two" "with \"quotes\" and \\ and \255\000"
txtlong           3600 TXT   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789abcde"
spf               3600 SPF   "v=spf1 -all"
unknown           3600 TYPE65280 \# 4 0a0b0c0d
unknown           3600 TYPE65281 \# 0
unknowna          3600 TYPE1 \# 4 c0000263
unknownmx         3600 TYPE15 \# 13 000a046d61696c04746573740000
cert              3600 CERT  PKIX 1 8 AQIDBA==
ds                3600 NS    ns.elsewhere.test.
ds                3600 DS    60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118
openpgp           3600 OPENPGPKEY AQIDBAUGBwg=
smimea            3600 SMIMEA 3 0 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
caa               3600 CAA   128 issuewild ";"
caa               3600 CAA   0 iodef "mailto:a@kinds.test"
ttl0              0    A     192.0.2.9
ttlmax            2147483647 A 192.0.2.10
mixed             3600 MX    1 MAIL
MiXeD             3600 TXT   "Mixed Case"
*.w               3600 MX    10 mail
*.w               3600 SRV   0 0 1 ns
*.w               3600 HTTPS 1 . alpn=h2
*.w               3600 TYPE65280 \# 1 aa
""".replace(r"\# 13 000a046d61696c04746573740000", r"\# 13 000a046d61696c047465737400")

ODD = SOA + r"""
@                 3600 NS    ns
ns                3600 A     192.0.2.1
\000              3600 TXT   "a zero byte"
\255\254          3600 TXT   "high bytes"
a\.b              3600 TXT   "a dot in a label"
sp\032ace         3600 TXT   "a space"
\042              3600 TXT   "an escaped asterisk is an asterisk"
\\                3600 TXT   "a backslash"
\"q\"             3600 TXT   "quotes"
\@                3600 TXT   "an at sign"
\$dollar          3600 TXT   "a dollar"
\;semi            3600 TXT   "a semicolon"
\(p\)             3600 TXT   "parentheses"
under_score       3600 A     192.0.2.2
-dash-            3600 A     192.0.2.3
1                 3600 A     192.0.2.4
xn--bcher-kva     3600 A     192.0.2.5
\193\194          3600 TXT   "bytes that differ from letters by one bit only: not folded"
to\000bin         3600 CNAME \000
toa.b             3600 MX    1 a\.b
""" + (f"{'m' * 63} 3600 A 192.0.2.63\n"
       f"{'n' * 63}.{'n' * 63} 3600 TXT \"two long labels\"\n"
       f"{'.'.join(['o' * 61] * 3)}.{'p' * 50} 3600 TXT \"nearly 255 bytes\"\n"
       f"{'.'.join('d' * 100)} 3600 TXT \"a hundred labels\"\n"
       f"*.{'.'.join('e' * 60)} 3600 TXT \"a wildcard far down\"\n")

NEST = SOA + """
@                 3600 NS    ns.elsewhere.test.
kid               3600 NS    ns.kid
kid               3600 NS    ns2.elsewhere.test.
kid               3600 DS    2 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
ns.kid            3600 A     192.0.2.1
nods              3600 NS    ns.nods
ns.nods           3600 A     192.0.2.3
tokid             3600 CNAME www.kid
tokidapex         3600 CNAME kid
www.kid           3600 A     192.0.2.99
*                 3600 TXT   "the parent's wildcard"
d                 3600 DNAME kid
"""
KID = SOA + """
@                 3600 NS    ns
@                 3600 TXT   "the child's apex"
ns                3600 A     192.0.2.2
www               3600 A     192.0.2.100
up                3600 CNAME ent.nest.test.
grand             3600 NS    ns.grand
ns.grand          3600 A     192.0.2.4
"""
# Served below nest.test, whose file knows nothing of it.
STRANGER = SOA + "@ 3600 NS ns\nns 3600 A 192.0.2.5\nwww 3600 A 192.0.2.6\n"
NODS = SOA + "@ 3600 NS ns.nods.nest.test.\nns 3600 A 192.0.2.7\n*.w 3600 A 192.0.2.8\n"
REVERSE = SOA + "@ 3600 NS ns.elsewhere.test.\n" + "".join(
    f"{i} 3600 PTR host{i}.big.test.\n" for i in range(1, 20)) + """
64/26             3600 NS    ns.elsewhere.test.
65                3600 CNAME 65.64/26
"""
# TTL of the SOA below its MINIMUM, and an NS RRset too big for a small answer.
APEX = "@ 30 SOA ns.invalid. h.invalid. 1 3600 900 1209600 600\n" + "".join(
    f"@ 3600 NS a-rather-long-name-{i}.a-rather-long-domain-{i}.test.\n" for i in range(13)) + """
@                 3600 A     192.0.2.1
@                 3600 DNAME apexes.example.
"""

BY_HAND = {
    "example.": WILDCARDS, "cuts.test.": CUTS, "aliases.test.": ALIASES, "big.test.": BIG,
    "kinds.test.": KINDS, "odd.test.": ODD, "nest.test.": NEST, "kid.nest.test.": KID,
    "very.strange.nest.test.": STRANGER, "nods.nest.test.": NODS, "2.0.192.in-addr.arpa.": REVERSE,
    "apex.test.": APEX,
}

LABELS = [b"a", b"b", b"c", b"*", b"www", b"ns", b"x", b"_tcp", b"A", b"1", b"\xc1", b"l" * 40]
PLAIN = {
    "A": lambda r: f"192.0.2.{r.randrange(256)}", "AAAA": lambda r: f"2001:db8::{r.randrange(65536):x}",
    "TXT": lambda r: f'"{"t" * r.choice([0, 3, 100, 250])}{r.randrange(100)}"',
    "HINFO": lambda r: f'"h{r.randrange(3)}" "o"', "TYPE65280": lambda r: f"\\# 2 {r.randrange(65536):04x}",
    "CAA": lambda r: f'0 issue "ca{r.randrange(9)}.test"',
    "DS": lambda r: f"{r.randrange(65536)} 13 2 {'ab' * 32}",
}
POINTING = {"MX": "{n} {name}", "SRV": "1 2 {n} {name}", "PTR": "{name}", "HTTPS": "{n} {name}",
            "RP": "{name} {name}", "NAPTR": '{n} 1 "s" "" "" {name}'}


class RandomZone:
    """Names over a small alphabet, so that they meet: wildcards, cuts, DNAMEs and chains among them."""

    def __init__(self, rng, apex, elsewhere):
        self.rng, self.apex, self.elsewhere = rng, apex, elsewhere
        self.names = [self._name() for _ in range(rng.randrange(5, 120))]
        self.dnames, self.lines, self.taken = [], [], set()

    def _name(self):
        return tuple(self.rng.choice(LABELS) for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4, 6])))

    def text(self):
        rng = self.rng
        self.lines = [f"@ {rng.choice([0, 60, 3600])} SOA ns h 1 3600 900 1209600 {rng.choice([0, 300, 90000])}",
                      "@ 3600 NS its-ns", "@ 3600 NS ns.elsewhere.test.",
                      "its-ns 3600 A 192.0.2.1"]  # BIND wants an address for each NS of the apex
        # None where parent and child zone meet, at "a": NSD keeps both in one tree and would refuse it.
        self.dnames = [name for name in self.names if rng.random() < 0.06 and name[-1].lower() != b"a"
                       and not self.apex.startswith("a.")]
        for name in self.names:
            key = tuple(label.lower() for label in name)
            if key not in self.taken and not self._is_below_dname(key):
                self.taken.add(key)
                self._add(name)
        self._add_types("@", rng.randrange(3))
        return "\n".join(self.lines) + "\n"

    def _is_below_dname(self, key):
        return any(len(key) > len(d) and key[-len(d):] == tuple(label.lower() for label in d)
                   for d in self.dnames)

    def _target(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return text_of(rng.choice(self.names)).rstrip(".")
        if kind < 0.75:
            return text_of(self._name()).rstrip(".")
        return rng.choice(["@", ".", f"www.{rng.choice(self.elsewhere)}", "ns.elsewhere.test."])

    def _add(self, name):
        rng, owner = self.rng, text_of(name).rstrip(".")
        kind = rng.random()
        if name in self.dnames:
            if name[0] != b"*":
                self.lines.append(f"{owner} {rng.randrange(900)} DNAME {self._target()}")
            self._add_types(owner, rng.randrange(2), has_ds=False)
        elif kind < 0.2:
            self.lines.append(f"{owner} {rng.randrange(900)} CNAME {self._target()}")
        elif kind < 0.35 and name[0] != b"*":
            ttl = rng.randrange(900)
            for target in {self._target() for _ in range(rng.randrange(1, 4))} | {f"ns.{owner}"}:
                self.lines.append(f"{owner} {ttl} NS {'ns.' + owner if target == '.' else target}")
            if rng.random() < 0.4:
                self.lines.append(f"{owner} 77 DS {PLAIN['DS'](rng)}")
        else:
            self._add_types(owner, rng.randrange(1, 4))

    def _add_types(self, owner, n, has_ds=True):
        rng = self.rng
        for rdtype in rng.sample([*PLAIN, *POINTING], n):
            if rdtype == "DS" and (owner == "@" or not has_ds):
                continue
            ttl, datas = rng.randrange(1000), {}
            for _ in range(rng.choice([1, 1, 2, 5, 30])):
                if rdtype in PLAIN:
                    data = PLAIN[rdtype](rng)
                else:
                    data = POINTING[rdtype].format(n=rng.randrange(1, 50), name=self._target())
                datas[data.lower()] = data
            self.lines += [f"{owner} {ttl} {rdtype} {data}" for data in datas.values()]


def make_zones(rng, n_random):
    """{apex: text of the zone file}"""
    zones = dict(BY_HAND)
    apexes = [f"rand{i}.test." for i in range(n_random)] + [f"a.rand{i}.test." for i in range(n_random // 3)]
    for apex in apexes:
        zones[apex] = RandomZone(rng, apex, [*BY_HAND, *apexes]).text()
    return {apex: f"$ORIGIN {apex}\n{text}" for apex, text in zones.items()}


# A name is the zone file's first word that has no blank before it.
OWNER = re.compile(r"^(?!\$)((?:\\.|[^\s\\])+)\s", re.M)
NAMES_IN_DATA = re.compile(r"\s(?:CNAME|DNAME|NS|MX \d+|SRV \d+ \d+ \d+|PTR)\s+((?:\\.|[^\s\\])+)$", re.M)


def names_of(apex, text):
    """The owner names and targets of a zone file, as zone files have them."""
    return sorted({word if word.endswith(".") and not word.endswith("\\.") else
                   apex if word == "@" else f"{word}.{apex}"
                   for word in OWNER.findall(text) + NAMES_IN_DATA.findall(text)})
