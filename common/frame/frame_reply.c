/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/frame/frame.h"

void frame_link_reply(struct frame_link *link, Gslb__Reply *reply)
{
    Gslb__Frame frame = GSLB__FRAME__INIT;

    frame.body_case = GSLB__FRAME__BODY_REPLY;
    frame.reply = reply;
    frame_link_send(link, &frame);
}

void frame_link_reply_text(struct frame_link *link, const char *text, const char *error)
{
    Gslb__TextReply body = GSLB__TEXT_REPLY__INIT;
    Gslb__Reply reply = GSLB__REPLY__INIT;

    body.text = frame_borrow(text);
    reply.error = frame_borrow(error);
    reply.body_case = GSLB__REPLY__BODY_TEXT;
    reply.text = &body;
    frame_link_reply(link, &reply);
}
