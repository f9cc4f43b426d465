/* host/isolate/frame.h - messages over a SEQPACKET pair, and what is in them.
 *
 * A message is a kind, an id and a body. One whose body is larger than
 * YOI_ISOLATED_PIECE_BYTES goes as several packets, one behind the other; a
 * channel carries one message at a time in each direction.
 */
#ifndef YOI__FRAME_H
#define YOI__FRAME_H

#include <sdk/error.h>
#include <sdk/str.h>

#include "protocol.h"

/* ---- bodies --------------------------------------------------------------- */

/* Writing never fails at once: look at b->failed when all is in it. */
void yoi__put_u32(struct yoi_sdk_buf *b, uint32_t v);
void yoi__put_u64(struct yoi_sdk_buf *b, uint64_t v);
void yoi__put_str(struct yoi_sdk_buf *b, yoi_str s);
void yoi__put_error(struct yoi_sdk_buf *b, const yoi_error *e);

/* A body that is read: what is wrong with it stays wrong, and reads of it give
 * 0 and empty texts. Texts point into the body. */
struct yoi__reader {
  const char *at;
  size_t left;
  int bad;
};

struct yoi__reader yoi__reader_of(yoi_str body);
uint32_t yoi__get_u32(struct yoi__reader *r);
uint64_t yoi__get_u64(struct yoi__reader *r);
/* At most max bytes; text is UTF-8. */
yoi_str yoi__get_bytes(struct yoi__reader *r, size_t max);
yoi_str yoi__get_text(struct yoi__reader *r, size_t max);
/* e is one of yoi_sdk_error_init. */
void yoi__get_error(struct yoi__reader *r, yoi_error *e);
/* 1: all was good, and nothing is left. */
int yoi__reader_done(const struct yoi__reader *r);

/* ---- channels ------------------------------------------------------------- */

struct yoi__message {
  uint32_t kind;
  uint64_t id;
  yoi_str body; /* until the next recv */
  int fd;       /* that came along, the receiver's; -1: none */
};

struct yoi__unsent;           /* a message, or the rest of one */
#define YOI__UNSENT_BYTES 128 /* what one costs beside its body */

struct yoi__channel {
  int fd;      /* -1: none */
  int waiting; /* 1: a send waits for room (the worker); 0: it is queued */
  size_t max;  /* of a body that is received */
  char *packet;
  struct yoi_sdk_buf body; /* of a message in several packets */
  struct yoi__frame_head head;
  int partial, got_fd;
  struct yoi__unsent *first, **last;
  size_t queued;    /* bytes, with what each message costs */
  uint32_t answers; /* of the queued ones */
};

/* Takes over fd. max: of a body that it will take. RESOURCE_EXHAUSTED: memory. */
yoi_status yoi__channel_init(struct yoi__channel *c, int fd, int waiting, size_t max);
/* Closes, and drops what is queued. A zeroed one, too. */
void yoi__channel_release(struct yoi__channel *c);

/* Never waits. 1: *out is a message. 0: there is none yet. -1: it is over; *why
 * is a constant text, NULL when the other side has closed. */
int yoi__channel_recv(struct yoi__channel *c, struct yoi__message *out, const char **why);

/* Sends, or queues what does not go at once. fd: goes along, stays the
 * caller's; -1: none. OK; UNAVAILABLE: the other side is gone;
 * RESOURCE_EXHAUSTED: memory, or more bytes than YOI_ISOLATED_QUEUE_BYTES or
 * answers than YOI_ISOLATED_ASKS_MAX would wait; then nothing of it was queued, but
 * a part may have gone: the channel is of no use any more. */
yoi_status yoi__channel_send(struct yoi__channel *c, uint32_t kind, uint64_t id, yoi_str body,
                             int fd);
/* What is queued, as far as it goes. OK, or UNAVAILABLE. */
yoi_status yoi__channel_flush(struct yoi__channel *c);

#endif
