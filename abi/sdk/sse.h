/* sdk/sse.h - reading server-sent events, to the rules of the WHATWG HTML
 * standard, section 9.2 (event streams), bounded and without a copy where
 * the whole line lies in one chunk.
 *
 * Bytes are passed on as they are: text that is not UTF-8 is for the reader
 * of the data to refuse. Any split of a stream into chunks gives the same
 * events.
 */
#ifndef YOI_SDK_SSE_H
#define YOI_SDK_SSE_H

#include <sdk/str.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Borrowed for the call that hands it out. */
struct yoi_sdk_sse_event {
  yoi_str type; /* "message" when the stream named none */
  yoi_str data; /* lines joined with LF; may be empty */
  yoi_str id;   /* the last id seen, also from earlier events */
};

/* Returns 0 to go on. Anything else stops the reader for good. It must not
 * call into the same reader. */
typedef int (*yoi_sdk_sse_fn)(void *ctx, const struct yoi_sdk_sse_event *ev);

struct yoi_sdk_sse {
  yoi_sdk_sse_fn fn;
  void *ctx;
  struct yoi_sdk_buf line;    /* a line whose end has not come yet */
  struct yoi_sdk_buf data;    /* data lines of the event being read */
  struct yoi_sdk_buf type;    /* its type, empty = message */
  struct yoi_sdk_buf id;      /* id field as last seen */
  struct yoi_sdk_buf last_id; /* id as of the last event that ended */
  yoi_str view;               /* data while it is one line of this chunk */
  size_t line_max, event_max;
  uint64_t retry_ms;  /* UINT64_MAX = the stream named none */
  uint32_t n_data;    /* data lines of the event being read */
  yoi_status stopped; /* sticky answer of feed once it is not OK */
  uint8_t skip_lf;    /* the chunk ended in CR: a LF belongs to it */
  uint8_t begun;      /* the first line, and so a BOM, is behind us */
  uint8_t id_set;     /* `id` is not yet in `last_id` */
  uint8_t reserved;
};

/* Does not allocate. Maxima of 0 mean YOI_SSE_LINE_MAX, YOI_SSE_EVENT_MAX. */
void yoi_sdk_sse_init(struct yoi_sdk_sse *s, size_t line_max, size_t event_max,
                      yoi_sdk_sse_fn fn, void *ctx);
/* Ready for another stream with the same limits; keeps the memory. */
void yoi_sdk_sse_clear(struct yoi_sdk_sse *s);
void yoi_sdk_sse_release(struct yoi_sdk_sse *s);

/* Calls fn for each event that ends in chunk. OUT_OF_RANGE: a line or an
 * event is too long. RESOURCE_EXHAUSTED: memory. ABORTED: fn stopped it. Each
 * of these is the answer to every later feed. */
yoi_status yoi_sdk_sse_feed(struct yoi_sdk_sse *s, yoi_str chunk);
/* At the end of the stream: 1 and *out when an event was begun that its blank
 * line never ended. The standard drops it; whoever must tell a cut stream
 * from a sloppy one may look. Once; the reader is stopped then. */
int yoi_sdk_sse_rest(struct yoi_sdk_sse *s, struct yoi_sdk_sse_event *out);
/* For Last-Event-ID: the id as of the last event that ended; may be empty. */
yoi_str yoi_sdk_sse_last_id(const struct yoi_sdk_sse *s);

#ifdef __cplusplus
}
#endif
#endif
