/* SPDX-License-Identifier: BSD-2-Clause */
/* conf: every mistake, and how it is reported. */
#include "tests/unit/common/conf/sample.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct mistake {
    const char *name, *yaml, *want;
} MISTAKES[] = {
    /* The YAML that is refused. */
    {"empty", "", "0:0 the file is empty\n"},
    {"only a comment", "# nothing\n", "0:0 the file is empty\n"},
    {"null document", "---\n", "0:0 the file is empty\n"},
    {"two documents", "text: a\n---\ntext: b\n",
     "2:1 a second document begins here; one file holds one configuration\n"},
    {"scalar at the top", "hello\n",
     "1:1 expected a mapping (key: value) at the top, found text\n"},
    {"list at the top", "- a\n", "1:1 expected a mapping (key: value) at the top, found a list\n"},
    {"anchor", "text: &x abc\n",
     "1:7 anchor '&x': anchors are not supported, write the value out\n"},
    {"alias", "text: &x abc\nword: *x\n",
     "1:7 anchor '&x': anchors are not supported, write the value out\n"
     "2:7 alias '*x': aliases are not supported, write the value out, or in quotes if it is meant "
     "to begin with '*'\n"},
    {"tag", "text: !!str abc\n",
     "1:7 tag 'tag:yaml.org,2002:str': tags are not supported, every key knows its own type\n"},
    {"merge key", "inner: {<<: {wait: 1s}}\n",
     "1:9 merge keys ('<<') are not supported, write the keys out\n"},
    {"collection as key", "{[a]: b, {c: d}: e}\n",
     "1:2 a key must be one word, not a list\n1:10 a key must be one word, not a mapping\n"},
    {"tab", "inner:\n\twait: 1s\n",
     "2:1 not valid YAML: found character that cannot start any token while scanning for the next "
     "token (indent by spaces, not by tabs; a value that begins with '@', '`' or '%' needs "
     "quotes)\n"},
    {"bare star", "text: *.example.com\n",
     "1:8 not valid YAML: did not find expected alphabetic or numeric character while scanning an "
     "alias (a value that begins with '*' or '&' needs quotes)\n"},
    {"colon in a value", "text: a: b\n",
     "1:8 not valid YAML: mapping values are not allowed in this context (wrong indentation, or a "
     "value with ': ' that needs quotes)\n"},
    {"bracket left open", "numbers: [1,\ntext: b\n",
     "3:1 not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that "
     "begins in line 1 (a bracket is not closed, or an IPv6 address needs quotes)\n"},
    {"IPv6 without quotes", "ip: [::1]\n",
     "1:6 not valid YAML: did not find expected node content while parsing a flow node (an IPv6 "
     "address needs quotes)\n"},
    {"line without colon", "text: a\nwords\nyes: on\n",
     "3:1 not valid YAML: could not find expected ':' while scanning a simple key that begins in "
     "line 2 (this line is no 'key: value')\n"},
    {"not UTF-8", "text: a\nword: \xff\n", "2:7 not UTF-8: invalid leading UTF-8 octet 0xff\n"},
    {"control character", "text: a\nword: \x01\n",
     "2:7 control character 0x01; a text file cannot hold it\n"},
    {"line break in a text", "text: \"a\\nb\"\n",
     "1:7 a text with a line break or control character (0x0a) fits no key\n"},
    {"NUL in a text", "text: \"a\\0b\"\n",
     "1:7 a text with a line break or control character (0x00) fits no key\n"},
    /* Keys. */
    {"unknown key, near", "cuont: 3\n", "1:1 unknown key 'cuont'; did you mean 'count'?\n"},
    {"unknown key, far", "inner: {zebra: 3}\n",
     "1:9 unknown key 'zebra' in inner; known here: wait, small\n"},
    {"unknown key of a named thing", "map: {a: {size: 1, colour: red}}\n",
     "1:20 unknown key 'colour' in thing 'a'; did you mean 'color'?\n"},
    {"key twice", "count: 3\ntext: a\ncount: 4\n",
     "3:1 key 'count' stands here twice, first in line 1\n"},
    {"name twice", "map:\n  a: 1\n  b: 2\n  a: 3\n",
     "4:3 map: 'a' stands here twice, first in line 2\n"},
    {"name with a space", "map: {a b: 1}\n",
     "1:7 thing name 'a b' is not a name: letters, digits, '-', '_' and '.' only\n"},
    {"name empty", "map: {\"\": 1}\n", "1:7 thing name '' is empty\n"},
    {"key without value", "count:\ntext: ~\n",
     "1:1 'count' has no value; remove the line or give it one\n"
     "2:1 'text' has no value; remove the line or give it one\n"},
    {"name without value", "map: {a: }\n", "1:7 'a' has no value\n"},
    {"item without value", "numbers:\n  - 1\n  -\n", "3:4 numbers: an item without a value\n"},
    {"required of an item", "map: {a: {color: red}}\n",
     "1:7 required key 'size' is missing in thing 'a'\n"},
    {"required of a list's item", "list: [{color: red}]\n",
     "1:8 required key 'size' is missing in thing\n"},
    /* Kinds of nodes. */
    {"text for a section", "inner: 5\n", "1:8 inner: expected a mapping (key: value), found '5'\n"},
    {"list for a section", "inner: [5]\n",
     "1:8 inner: expected a mapping (key: value), found a list\n"},
    {"text for a list", "numbers: 5\n",
     "1:10 numbers: expected a list, each item a whole number: write [5]\n"},
    {"mapping for a list", "numbers: {a: 5}\n",
     "1:10 numbers: expected a list, each item a whole number, found a mapping\n"},
    {"list for names", "map: [a]\n", "1:6 map: expected a mapping (NAME: thing), found a list\n"},
    {"list for a number", "count: [1]\n",
     "1:8 count: expected a whole number, or auto, found a list\n"},
    {"bracket address", "addr: [a]\n",
     "1:7 addr: expected an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\", or "
     "off, found a list (an IPv6 address in brackets needs quotes)\n"},
    {"list for a shorthand", "map: {a: [1]}\n",
     "1:10 size: expected a whole number, found a list\n"},
    {"too many items", "numbers: [1, 2, 3, 4]\n",
     "1:10 numbers: 4 items are too many (at most 3)\n"},
    {"short tuple", "point: [1]\n", "1:8 point: expected [x, y], found a list of 1\n"},
    /* Values. */
    {"number", "count: four\n", "1:8 count: expected a whole number, or auto, found 'four'\n"},
    {"number negative", "count: -1\n", "1:8 count: expected a whole number, or auto, found '-1'\n"},
    {"number with unit", "big: 10k\n", "1:6 big: expected a whole number, found '10k'\n"},
    {"number above", "count: 100000\n", "1:8 count: 100000 is out of range (1 to 256 threads)\n"},
    {"number below", "count: 0\n", "1:8 count: 0 is out of range (1 to 256 threads)\n"},
    {"number beyond 64 bits", "big: 18446744073709551616\n",
     "1:6 big: 18446744073709551616 is too large\n"},
    {"number beyond its member", "inner: {small: 65536}\n", "1:16 small: 65536 is too large\n"},
    {"in a list", "numbers: [1, x, 70000]\n",
     "1:14 numbers: expected a whole number, found 'x'\n1:17 numbers: 70000 is too large\n"},
    {"duration without unit", "wait: 30\n",
     "1:7 wait: expected a duration such as 30s (units: ms, s, m, h, d), found '30'; its unit is "
     "missing: 30s?\n"},
    {"duration", "wait: soon\n",
     "1:7 wait: expected a duration such as 30s (units: ms, s, m, h, d), found 'soon'\n"},
    {"duration above", "wait: 2h\n", "1:7 wait: 2h is out of range (at most 1h)\n"},
    {"duration below", "inner: {wait: 99ms}\n", "1:15 wait: 99ms is out of range (100ms to 1h)\n"},
    {"duration beyond its member", "ttl: 60000d\n", "1:6 ttl: 60000d is too large\n"},
    {"parts of a second", "ttl: 1500ms\n",
     "1:6 ttl: expected a duration such as 30s (units: s, m, h, d), found '1500ms'\n"},
    {"size", "bytes: 1.5MiB\n",
     "1:8 bytes: expected a size such as 64MiB (units: KiB, MiB, GiB), found '1.5MiB'\n"},
    {"size below", "bytes: 512k\n", "1:8 bytes: 512k is out of range (at least 1MiB)\n"},
    {"bool", "yes: maybe\n", "1:6 yes: expected true or false, found 'maybe'\n"},
    {"bool of YAML 1.1", "yes: y\n", "1:6 yes: expected true or false, found 'y'\n"},
    {"double", "ratio: half\n", "1:8 ratio: expected a number, found 'half'\n"},
    {"double not finite", "ratio: .nan\n", "1:8 ratio: expected a number, found '.nan'\n"},
    {"double above", "ratio: 1.01\n", "1:8 ratio: 1.01 is out of range (0 to 1)\n"},
    {"tuple's range", "point: [1, -91]\n", "1:12 y: -91 is out of range (-90 to 90)\n"},
    {"enum, near", "color: gren\n",
     "1:8 color: expected one of red, green, found 'gren'; did you mean 'green'?\n"},
    {"enum, far", "color: ultraviolet\n",
     "1:8 color: expected one of red, green, found 'ultraviolet'\n"},
    {"enum's case", "word: RED\n", "1:7 word: expected one of red, green, found 'RED'\n"},
    {"ip", "ip: 192.0.2.256\n",
     "1:5 ip: expected an IP address such as 192.0.2.1 or \"2001:db8::1\", found '192.0.2.256'\n"},
    {"prefix's host bits", "prefix: 10.1.2.3/8\n",
     "1:9 prefix: expected a prefix such as 10.0.0.0/8, found '10.1.2.3/8'; did you mean "
     "10.0.0.0/8?\n"},
    {"prefix too long", "prefix: 10.0.0.0/33\n",
     "1:9 prefix: expected a prefix such as 10.0.0.0/8, found '10.0.0.0/33'\n"},
    {"address without port", "addr: 10.0.0.1\n",
     "1:7 addr: expected an IP address with port such as 192.0.2.1:80 or \"[2001:db8::1]:80\", or "
     "off, found '10.0.0.1'\n"},
    {"address by name", "addr53: localhost\n",
     "1:9 addr53: expected an IP address, with a port unless it is 53, found 'localhost'\n"},
    {"port too large", "addr53: 10.0.0.1:65536\n",
     "1:9 addr53: expected an IP address, with a port unless it is 53, found '10.0.0.1:65536'\n"},
    {"empty text", "text: \"\"\n", "1:7 text: '' must not be empty\n"},
    {"text's own rule", "text: aB\n", "1:7 text: 'aB' has capitals\n"},
    {"empty path", "path: ''\n", "1:7 path: expected the path of a file, found ''\n"},
    {"missing file", "file: nix/da\n",
     "1:7 file: /etc/demo/nix/da cannot be read: No such file or directory\n"},
    {"custom", "even: 3\n", "1:7 even: expected an even number, found '3'\n"},
    {"column in characters", "{text: \"äöü\", word: gren}\n",
     "1:21 word: expected one of red, green, found 'gren'; did you mean 'green'?\n"},
    {"many at once, in the order of lines",
     "cuont: 4\ncount: four\nmap: {a: 11, b: x}\ninner:\n  wait: 5\nyes: 1\n",
     "1:1 unknown key 'cuont'; did you mean 'count'?\n"
     "2:8 count: expected a whole number, or auto, found 'four'\n"
     "3:10 size: 11 is out of range (at most 10)\n"
     "3:17 size: expected a whole number, found 'x'\n"
     "5:9 wait: expected a duration such as 30s (units: ms, s, m, h, d), found '5'; its unit is "
     "missing: 5s?\n"
     "6:6 yes: expected true or false, found '1'\n"},
};

static void mistakes_are_reported(void **state)
{
    size_t n_wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(MISTAKES); i++) {
        struct loaded l;

        load(&l, MISTAKES[i].yaml);
        if (strcmp(l.said.p, MISTAKES[i].want) != 0) {
            print_error("%s:\nsaid   %swanted %s", MISTAKES[i].name, l.said.p, MISTAKES[i].want);
            n_wrong++;
        }
        unload(&l);
    }
    assert_int_equal(n_wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
