/* frame.c - an event of the remote, checked once and shared by all who watch.
 *
 * An event of a kind that only a later version knows is a frame too, of kind 0: a
 * place that streams go on from and meet at, and given to nobody.
 *
 * Cursor and text are the remote's bytes. What is made here is the last event
 * of a stream, whose reason is one of those that api.md has; it says code and
 * cursor of our own knowledge.
 */
#include "remote.h"

#include <sdk/mem.h>

#define FRAME_HEAD sizeof(struct rem_frame)

struct rem_frame *rem_frame_new(uint32_t kind, yoi_str cursor, yoi_str text) {
  size_t n = cursor.len + text.len;
  if (n > UINT32_MAX - FRAME_HEAD) return NULL;
  struct rem_frame *f = yoi_sdk_malloc(FRAME_HEAD + n);
  if (!f) return NULL;
  *f = (struct rem_frame){.size = (uint32_t)(FRAME_HEAD + n),
                          .ev = {.size = sizeof f->ev, .kind = kind}};
  atomic_init(&f->refs, 1u);
  if (kind >= YOI_EVENT_WORKER_CREATED && kind < YOI_EVENT_TEXT_DELTA) f->ev.flags = YOI_EV_DURABLE;
  if (text.len) memcpy(f->text, text.ptr, text.len);
  if (cursor.len) memcpy(f->text + text.len, cursor.ptr, cursor.len);
  f->ev.text = (yoi_str){f->text, text.len};
  f->ev.cursor = (yoi_str){f->text + text.len, cursor.len};
  return f;
}

struct rem_frame *rem_frame_ref(struct rem_frame *f) {
  atomic_fetch_add_explicit(&f->refs, 1u, memory_order_relaxed);
  return f;
}

void rem_frame_unref(struct rem_frame *f) {
  if (f && atomic_fetch_sub(&f->refs, 1u) == 1) yoi_sdk_free(f);
}

uint32_t rem_frame_kind(yoi_str name) {
  enum { CONTROL = 1, DURABLE = 1, LIVE = 1, MODEL = 0, TOOL = 0 };
  static const struct {
    const char *name;
    uint32_t kind, shown;
  } kinds[] = {
#define KIND(sym, num, text, class) {text, num, class},
      YOI_EVENTS(KIND)
#undef KIND
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (kinds[i].shown && kinds[i].kind != YOI_EVENT_RESULT && yoi_sdk_str_is(name, kinds[i].name))
      return kinds[i].kind;
  return 0;
}

int rem_frame_fits(uint32_t kind, yoi_str cursor, yoi_str data) {
  int lasts = kind == YOI_EVENT_SNAPSHOT ||
              (kind >= YOI_EVENT_WORKER_CREATED && kind < YOI_EVENT_TEXT_DELTA);
  if (cursor.len > YOI_CURSOR_MAX || (lasts && cursor.len == 0)) return 0;
  for (size_t i = 0; i < cursor.len; i++)
    if (cursor.ptr[i] <= ' ' || cursor.ptr[i] > '~') return 0;
  if (kind == 0) return 1;
  if (data.len < 2 || data.ptr[0] != '{' || data.ptr[data.len - 1] != '}') return 0;
  return !memchr(data.ptr, '\n', data.len) && !memchr(data.ptr, '\r', data.len) &&
         yoi_sdk_json_check(data, 0, NULL) == YOI_OK && rem_event_fits(kind, data);
}

struct rem_frame *rem_frame_end(const char *reason, int32_t code, int retryable, yoi_str cursor) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  const char *name = yoi_sdk_code_name(code);
  yoi_sdk_buf_init(&b, 512);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "reason", yoi_sdk_str(reason));
  yoi_sdk_jsonw_key(&w, "code");
  if (name)
    yoi_sdk_jsonw_str(&w, yoi_sdk_str(name));
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_kbool(&w, "retryable", retryable);
  yoi_sdk_jsonw_key(&w, "cursor");
  if (cursor.len)
    yoi_sdk_jsonw_str(&w, cursor);
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, '}');
  struct rem_frame *f =
      b.failed ? NULL : rem_frame_new(YOI_EVENT_END, (yoi_str){0}, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
  return f;
}

int32_t rem_end_code(yoi_str data) {
  yoi_str name = yoi_sdk_json_raw_get(data, "code");
  int32_t code = 0;
  if (name.len > 2)
    code = rem_code_map(YOI_OP_WORKER_EVENTS,
                        yoi_sdk_code_find((yoi_str){name.ptr + 1, name.len - 2}));
  return code ? code : YOI_CODE_REMOTE_MALFORMED;
}

/* What is final between the two hosts is not for who watches here: a token that
 * was changed there will be changed here. */
int rem_end_retryable(yoi_str data) {
  return yoi_sdk_str_is(yoi_sdk_json_raw_get(data, "retryable"), "true") ||
         rem_end_code(data) == YOI_CODE_RUNTIME_UNAVAILABLE;
}
