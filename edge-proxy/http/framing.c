/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a message ends (RFC 9112 section 6). Two parties that answer this question differently are
 * how requests are smuggled, so every doubt is a refusal; and a refusal closes the connection.
 */
#include "edge-proxy/http/http.h"

/* One line of 1*DIGIT (RFC 9110 section 8.6). Repeated equal values may be collapsed by the RFC;
 * nothing honest sends them in requests, and no origin should. */
static enum http_verdict read_length(const struct fields *f, struct http_framing *out)
{
    int i = fields_find(f, FIELD_CONTENT_LENGTH);
    struct str value;

    if (i < 0)
        return HTTP_DONE;
    value = f->v[i].value;
    if (fields_next(f, i) >= 0 || (value.n > 0 && memchr(value.p, ',', value.n) != NULL))
        return HTTP_MANY_LENGTHS;
    if (!fields_parse_digits(value, &out->length) || out->length > INT64_MAX)
        return HTTP_BAD_LENGTH;
    out->has_length = true;
    return HTTP_DONE;
}

/* A coding that exists, that we do not undo (RFC 9112 section 7). */
static bool is_other_coding(struct str s)
{
    static const char *const codings[] = {"gzip", "x-gzip", "deflate", "compress", "x-compress"};

    for (size_t i = 0; i < COUNT_OF(codings); i++) {
        if (str_is_nocase(s, codings[i]))
            return true;
    }
    return false;
}

/* Exactly "chunked", once, in one line; nothing that some recipient might read in another way. */
static enum http_verdict read_coding(const struct fields *f)
{
    int i = fields_find(f, FIELD_TRANSFER_ENCODING);
    struct str rest = f->v[i].value, element;

    if (fields_next(f, i) >= 0)
        return HTTP_BAD_CODING;
    if (str_is_nocase(rest, "chunked"))
        return HTTP_DONE;
    while (fields_next_element(&rest, &element) && is_other_coding(element)) {
        if (str_is_nocase(str_trim(rest), "chunked"))
            return HTTP_CODING_UNKNOWN;
    }
    return HTTP_BAD_CODING;
}

static bool is_persistent(const struct http_head *head)
{
    if (!fields_has(&head->fields, FIELD_CONNECTION))
        return head->minor >= 1;
    if (fields_has_token(&head->fields, FIELD_CONNECTION, "close"))
        return false;
    return head->minor >= 1 || fields_has_token(&head->fields, FIELD_CONNECTION, "keep-alive");
}

static struct str read_upgrade(const struct http_head *head)
{
    if (head->minor == 0 || !fields_has(&head->fields, FIELD_UPGRADE) ||
        !fields_has_token(&head->fields, FIELD_CONNECTION, "upgrade"))
        return (struct str){NULL, 0};
    return fields_value(&head->fields, FIELD_UPGRADE);
}

/* RFC 9110 section 10.1.1; a 1.0 client cannot have meant it. */
static enum http_verdict read_expect(const struct http_head *head, struct http_framing *out)
{
    int i = fields_find(&head->fields, FIELD_EXPECT);

    if (i < 0 || head->minor == 0)
        return HTTP_DONE;
    if (fields_next(&head->fields, i) >= 0 ||
        !str_is_nocase(head->fields.v[i].value, "100-continue"))
        return HTTP_BAD_EXPECT;
    out->expects_continue = out->body != HTTP_BODY_NONE;
    return HTTP_DONE;
}

enum http_verdict http_request_framing(const struct http_head *head, struct http_framing *out)
{
    enum http_verdict v;

    *out =
        (struct http_framing){.is_keep_alive = is_persistent(head), .upgrade = read_upgrade(head)};
    v = read_length(&head->fields, out);
    if (v != HTTP_DONE)
        return v;
    if (fields_has(&head->fields, FIELD_TRANSFER_ENCODING)) {
        if (out->has_length)
            return HTTP_LENGTH_AND_CODING;
        if (head->minor == 0)
            return HTTP_CODING_BEFORE_1_1;
        v = read_coding(&head->fields);
        if (v != HTTP_DONE)
            return v;
        out->body = HTTP_BODY_CHUNKED;
    } else if (out->length > 0) {
        out->body = HTTP_BODY_LENGTH;
    }
    return read_expect(head, out);
}

bool http_status_has_body(unsigned status, enum http_method request)
{
    return status >= 200 && status != 204 && status != 304 && request != HTTP_METHOD_HEAD;
}

/* 1xx and 204 carry no framing fields (RFC 9110 section 8.6); an origin that sends them may also
 * send the body, so nothing more is read from that connection. */
static enum http_verdict frame_without_body(const struct http_head *head, struct http_framing *out)
{
    bool is_coded = fields_has(&head->fields, FIELD_TRANSFER_ENCODING);

    if ((head->status < 200 || head->status == 204) && (is_coded || out->length > 0))
        out->is_keep_alive = false;
    if (is_coded || head->status < 200 || head->status == 204)
        out->has_length = false;
    if (!out->has_length)
        out->length = 0;
    return HTTP_DONE;
}

static enum http_verdict frame_coded(const struct http_head *head, struct http_framing *out)
{
    enum http_verdict v;

    if (head->minor == 0)
        return HTTP_CODING_BEFORE_1_1;
    v = read_coding(&head->fields);
    if (v != HTTP_DONE)
        return v;
    if (out->has_length)
        out->is_keep_alive = false;
    out->has_length = false;
    out->length = 0;
    out->body = HTTP_BODY_CHUNKED;
    return HTTP_DONE;
}

enum http_verdict http_response_framing(const struct http_head *head, enum http_method request,
                                        struct http_framing *out)
{
    enum http_verdict v;

    *out = (struct http_framing){.is_keep_alive = is_persistent(head)};
    if (head->status == 101)
        out->upgrade = read_upgrade(head);
    v = read_length(&head->fields, out);
    if (v != HTTP_DONE)
        return v;
    if (!http_status_has_body(head->status, request))
        return frame_without_body(head, out);
    if (fields_has(&head->fields, FIELD_TRANSFER_ENCODING))
        return frame_coded(head, out);
    if (out->has_length) {
        out->body = out->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
        return HTTP_DONE;
    }
    out->body = HTTP_BODY_UNTIL_CLOSE;
    out->is_keep_alive = false;
    return HTTP_DONE;
}
