/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/siphash/siphash.h"

#include "common/base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* From the reference implementation's vectors: key 00 01 .. 0f, message 00 01 .. of n bytes. */
static const struct {
    size_t n;
    uint64_t want;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31u},
    {1, 0x74f839c593dc67fdu},
    {8, 0x93f5f5799a932462u},
    {15, 0xa129ca6149be45e5u},
};

static void vectors_of_the_reference(void **state)
{
    uint8_t key[SIPHASH_KEY_BYTES], message[64];
    struct siphash_key k;

    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    memcpy(key, message, sizeof(key));
    k = siphash_key_of(key);
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        assert_int_equal(siphash_24(&k, message, vectors[i].n), vectors[i].want);
}

static void random_keys_differ(void **state)
{
    struct siphash_key a = siphash_key_random(), b = siphash_key_random();

    assert_memory_not_equal(&a, &b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_reference),
        cmocka_unit_test(random_keys_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
