/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes from an HTTP/2 client, behind a preface that is right; the first byte of the input says
 * in how large pieces they come, and whether anything is collected in between. Beside not crashing:
 * what is said back is bounded, every stream that began ends with its connection, and nothing of a
 * generation stays behind.
 */
#include "edge-proxy/request/request_internal.h"
#include "tests/lib/h2_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n);

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static void collect(struct h2 *h)
{
    size_t all = 0;
    struct str out;

    while ((out = h2_collect(h)).n > 0) {
        ensure(out.n <= H2_OUT_BYTES + H2_FRAME_HEAD_BYTES + H2_FRAME_BYTES);
        all += out.n;
        ensure(all < 8 << 20);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    static struct h2_fixture *f;
    size_t step, at = 1;
    struct h2 *h;

    if (f == NULL)
        f = h2_fixture_new();
    if (n == 0)
        return 0;
    step = (input[0] & 0x7f) == 0 ? n : input[0] & 0x7f;
    h = h2_open(f->hw, &h2_fixture_ops, NULL, &f->client);
    h2_receive(h, preface, sizeof(preface) - 1);
    while (at < n && !h2_is_over(h)) {
        size_t part = n - at < step ? n - at : step;

        h2_receive(h, (const char *)input + at, part);
        at += part;
        if (input[0] & 0x80)
            collect(h);
        event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
    }
    collect(h);
    ensure(h2_count_streams(h) <= h2_config.http2.streams);
    h2_drain(h);
    collect(h);
    h2_free(h);
    event_base_loop(f->worker.base, EVLOOP_NONBLOCK);
    ensure(f->rw->current->n_requests == 0);
    return 0;
}
