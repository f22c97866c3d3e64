/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/bytes/bytes.h"
#include "common/frame/frame.h"

#include <stdlib.h>

uint8_t *frame_pack(const Gslb__Frame *frame, size_t *n)
{
    size_t body = gslb__frame__get_packed_size(frame);
    uint8_t *bytes;

    if (body > FRAME_MAX_BYTES)
        return NULL;
    bytes = base_alloc(FRAME_HEAD_BYTES + body);
    bytes_put_u32(bytes, (uint32_t)body);
    gslb__frame__pack(frame, bytes + FRAME_HEAD_BYTES);
    *n = FRAME_HEAD_BYTES + body;
    return bytes;
}

/* Empty sub-messages cost two bytes on the wire and a hundred unpacked, so the size of a frame
 * alone does not bound its memory: the budget does. */
struct budget {
    struct arena *arena;
    size_t left;
};

static void *budget_alloc(void *arg, size_t n)
{
    struct budget *b = arg;

    if (n > b->left)
        return NULL;
    b->left -= n;
    return arena_alloc(b->arena, n);
}

static void budget_free(void *arg, void *p)
{
    /* The arena goes as a whole. */
    (void)arg;
    (void)p;
}

Gslb__Frame *frame_unpack(const uint8_t *bytes, size_t n, struct arena *arena)
{
    struct budget budget = {.arena = arena, .left = FRAME_ARENA_BYTES};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};

    return gslb__frame__unpack(&allocator, n, bytes);
}
