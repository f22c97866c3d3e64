/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/bytes/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_reader_stops_at_the_end(void **state)
{
    static const uint8_t WIRE[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct reader r = reader_of(WIRE, sizeof(WIRE));

    (void)state;
    assert_int_equal(reader_u8(&r), 1);
    assert_int_equal(reader_u16(&r), 0x0203);
    assert_int_equal(reader_u32(&r), 0x04050607);
    assert_int_equal(reader_left(&r), 2);
    assert_ptr_equal(reader_take(&r, 0), WIRE + 7);
    assert_false(r.is_bad);
    assert_int_equal(reader_u32(&r), 0); /* two bytes too few */
    assert_true(r.is_bad);
    assert_int_equal(reader_left(&r), 0);
    assert_int_equal(reader_u8(&r), 0); /* stays bad, though bytes were left */
    assert_null(reader_take(&r, 0));
}

static void a_writer_stops_at_the_end(void **state)
{
    uint8_t wire[9];
    struct writer w = writer_of(wire, 8);

    (void)state;
    memset(wire, 0xee, sizeof(wire));
    writer_u8(&w, 1);
    writer_u16(&w, 0x0203);
    writer_u32(&w, 0xf4050607);
    assert_int_equal(writer_room(&w), 1);
    writer_u16(&w, 0xaaaa);
    assert_true(w.is_full);
    writer_u8(&w, 0xbb); /* would fit, but something is missing before it */
    assert_null(writer_make(&w, 0));
    assert_memory_equal(wire, "\x01\x02\x03\xf4\x05\x06\x07\xee\xee", 9);
    w = writer_of(wire, 3);
    writer_add(&w, "abc", 3);
    writer_add(&w, NULL, 0);
    assert_false(w.is_full);
    assert_memory_equal(wire, "abc", 3);
}

static void numbers_keep_network_order(void **state)
{
    uint8_t at[4];

    (void)state;
    bytes_put_u16(at, 0xfedc);
    assert_memory_equal(at, "\xfe\xdc", 2);
    assert_int_equal(bytes_get_u16(at), 0xfedc);
    bytes_put_u32(at, 0xfedcba98);
    assert_memory_equal(at, "\xfe\xdc\xba\x98", 4);
    assert_true(bytes_get_u32(at) == 0xfedcba98);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_stops_at_the_end),
        cmocka_unit_test(a_writer_stops_at_the_end),
        cmocka_unit_test(numbers_keep_network_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
