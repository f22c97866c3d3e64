/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/arena/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Every size around and beyond a block: aligned, writable, and nobody else's. */
static void growing_keeps_objects_apart(void **state)
{
    enum { N = 2000 };
    struct arena a;
    uint8_t *objects[N];
    size_t sizes[N];

    (void)state;
    arena_init(&a, 4096);
    for (size_t i = 0; i < N; i++) {
        sizes[i] = i % 7 == 0 ? i * 5 : i % 100;
        objects[i] = i % 3 == 0 ? arena_alloc_packed(&a, sizes[i]) : arena_alloc(&a, sizes[i]);
        assert_non_null(objects[i]);
        if (i % 3 != 0)
            assert_int_equal((uintptr_t)objects[i] % 8, 0);
        memset(objects[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < sizes[i]; j++)
            assert_int_equal(objects[i][j], i & 0xff);
    assert_true(a.total_bytes > 4096);
    arena_free(&a);
    assert_null(a.blocks);
    assert_non_null(arena_alloc(&a, 1)); /* usable again */
    arena_free(&a);
}

static void a_large_object_leaves_the_block_open(void **state)
{
    struct arena a;
    char *first, *second;

    (void)state;
    arena_init(&a, 4096);
    first = arena_alloc(&a, 8);
    assert_non_null(arena_alloc(&a, 100000));
    second = arena_alloc(&a, 8);
    assert_ptr_equal(second, first + 8);
    arena_free(&a);
}

static void fixed_refuses_what_does_not_fit(void **state)
{
    _Alignas(8) char buffer[64];
    struct arena a;

    (void)state;
    arena_init_fixed(&a, buffer, sizeof(buffer));
    assert_ptr_equal(arena_alloc(&a, 1), buffer);
    assert_ptr_equal(arena_alloc(&a, 8), buffer + 8);
    assert_ptr_equal(arena_alloc_packed(&a, 3), buffer + 16);
    assert_ptr_equal(arena_alloc(&a, 40), buffer + 24);
    assert_false(a.is_full);
    assert_null(arena_alloc(&a, 1));
    assert_true(a.is_full);
    assert_null(arena_zalloc(&a, 1));
    assert_null(arena_copy(&a, "x", 1));
    assert_null(arena_strndup(&a, "x", 1));
    arena_init_fixed(&a, buffer, sizeof(buffer));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc_packed(&a, 65));
    assert_non_null(arena_alloc_packed(&a, 64)); /* a refusal takes nothing */
}

static void copies_are_whole(void **state)
{
    struct arena a;
    char *copy;

    (void)state;
    arena_init(&a, 0);
    copy = arena_strndup(&a, "abcdef", 3);
    assert_string_equal(copy, "abc");
    assert_memory_equal(arena_copy(&a, "a\0b", 3), "a\0b", 3);
    assert_memory_equal(arena_zalloc(&a, 16), "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_non_null(arena_copy(&a, NULL, 0));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(growing_keeps_objects_apart),
        cmocka_unit_test(a_large_object_leaves_the_block_open),
        cmocka_unit_test(fixed_refuses_what_does_not_fit),
        cmocka_unit_test(copies_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
