/* SPDX-License-Identifier: BSD-2-Clause */
/* How keys and algorithms are written (RFC 4648 section 4; IANA's DNSSEC algorithm numbers). */
#include "gslb-dns/sign/sign_internal.h"

#include <stdio.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int digit_value(char c)
{
    for (int i = 0; i < 64; i++)
        if (DIGITS[i] == c)
            return i;
    return -1;
}

ssize_t base64_read(struct str text, uint8_t *out, size_t cap)
{
    uint32_t bits = 0;
    size_t n = 0, n_digits = 0, n_pad = 0;

    for (size_t i = 0; i < text.n; i++) {
        int value = digit_value(text.p[i]);

        if (text.p[i] == ' ' || text.p[i] == '\t')
            continue;
        if (text.p[i] == '=') {
            n_pad++;
            continue;
        }
        if (value < 0 || n_pad > 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        n_digits++;
        if (n_digits % 4 == 1)
            continue;
        if (n == cap)
            return -1;
        out[n++] = (uint8_t)(bits >> (n_digits % 4 == 2 ? 4 : n_digits % 4 == 3 ? 2 : 0));
    }
    return n_digits % 4 != 1 && (n_digits + n_pad) % 4 == 0 ? (ssize_t)n : -1;
}

void base64_write(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (i + 2 < n ? bytes[i + 2] : 0);

        *out++ = DIGITS[bits >> 18];
        *out++ = DIGITS[bits >> 12 & 63];
        *out++ = i + 1 < n ? DIGITS[bits >> 6 & 63] : '=';
        *out++ = i + 2 < n ? DIGITS[bits & 63] : '=';
    }
    *out = '\0';
}

static const struct {
    uint8_t number;
    const char *name;
} ALGORITHM_NAMES[] = {
    {1, "RSAMD5"},
    {3, "DSA"},
    {5, "RSASHA1"},
    {6, "DSA-NSEC3-SHA1"},
    {7, "RSASHA1-NSEC3-SHA1"},
    {8, "RSASHA256"},
    {10, "RSASHA512"},
    {12, "ECC-GOST"},
    {SIGN_ECDSAP256SHA256, "ECDSAP256SHA256"},
    {SIGN_ECDSAP384SHA384, "ECDSAP384SHA384"},
    {SIGN_ED25519, "ED25519"},
    {16, "ED448"},
};

uint8_t sign_algorithm_parse(struct str text)
{
    uint64_t number = 0;

    if (!text_parse_u64(text, &number))
        for (size_t i = 0; i < COUNT_OF(ALGORITHM_NAMES); i++)
            if (str_is_nocase(text, ALGORITHM_NAMES[i].name))
                number = ALGORITHM_NAMES[i].number;
    return number <= 255 && algorithm_find((uint8_t)number) != NULL ? (uint8_t)number : 0;
}

const char *sign_algorithm_name(uint8_t number)
{
    for (size_t i = 0; i < COUNT_OF(ALGORITHM_NAMES); i++)
        if (ALGORITHM_NAMES[i].number == number)
            return ALGORITHM_NAMES[i].name;
    return "?";
}
