/* stream.c - the streams that end inside start: one RESULT or TOOL_OUTPUT, or nothing.
 *
 *   LIVE --next: the event--> GIVEN --next: END--> GIVEN --release--> gone
 *
 * cancel has nothing to ask for: the stream ends as it would have.
 */
#include <sdk/stream.h>

#include <sdk/mem.h>
#include <string.h>

struct one {
  yoi_stream stream;
  int given;
  yoi_event event;
  const yoi_event *events[1];
  char *taken; /* the caller's text, when it was handed over */
  char text[];
};

static yoi_status one_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                           yoi_error *err) {
  struct one *one = (struct one *)s;
  (void)err;
  if (one->given) return YOI_END;
  one->given = 1;
  *out_events = one->events;
  *out_n = 1;
  return YOI_OK;
}

static void one_cancel(yoi_stream *s) {
  (void)s;
}

static void one_release(yoi_stream *s) {
  struct one *one = (struct one *)s;
  if (!one) return;
  yoi_sdk_free(one->taken);
  yoi_sdk_free(one);
}

static const yoi_stream_ops one_ops = {
    .size = sizeof one_ops,
    .next = one_next,
    .cancel = one_cancel,
    .release = one_release,
};

/* With room for `room` bytes of text. */
static struct one *one_new(size_t room, uint32_t event_flags) {
  if (room > SIZE_MAX - sizeof(struct one)) return NULL;
  struct one *one = yoi_sdk_malloc(sizeof *one + room);
  if (!one) return NULL;
  *one = (struct one){
      .stream.ops = &one_ops,
      .event = {.size = sizeof one->event, .kind = YOI_EVENT_RESULT, .flags = event_flags},
  };
  one->events[0] = &one->event;
  return one;
}

yoi_stream *yoi_sdk_stream_one(yoi_str text, uint32_t event_flags) {
  struct one *one = one_new(text.len, event_flags);
  if (!one) return NULL;
  if (text.len) memcpy(one->text, text.ptr, text.len);
  one->event.text = (yoi_str){one->text, text.len};
  return &one->stream;
}

yoi_stream *yoi_sdk_stream_one_take(char *text, size_t len, uint32_t event_flags) {
  struct one *one = text ? one_new(0, event_flags) : NULL;
  if (!one) {
    yoi_sdk_free(text);
    return NULL;
  }
  one->taken = text;
  one->event.text = (yoi_str){text, len};
  return &one->stream;
}

yoi_stream *yoi_sdk_stream_output(yoi_str text) {
  yoi_stream *s = yoi_sdk_stream_one(text, 0);
  if (s) ((struct one *)s)->event.kind = YOI_EVENT_TOOL_OUTPUT;
  return s;
}

yoi_stream *yoi_sdk_stream_empty(void) {
  struct one *one = one_new(0, 0);
  if (!one) return NULL;
  one->given = 1;
  return &one->stream;
}
