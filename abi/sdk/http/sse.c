/* sdk/http/sse.c - the event stream reader.
 *
 *   feed ---> line ---> field ---> data, type, id, retry
 *                 \---> blank ---> dispatch ---> fn
 *
 * Providers put one event on one `data:` line and usually end it within the
 * same read, so that this case is made cheap: the line is a view into the
 * chunk, the event's data is that view, nothing is copied. Only what a chunk
 * leaves unfinished is kept, in `line` or `data`.
 *
 * Invariants:
 *  1. Between two calls `view` is empty: it never outlives its chunk.
 *  2. `n_data` counts the data lines; with one, the data is `view` or `data`,
 *     with more it is `data`.
 *  3. A BOM holds no line end, so it is always the head of the first line,
 *     however the bytes were split; it is taken off there.
 *  4. Limits are compared with lengths of the stream, not of chunks, so that
 *     a split never decides whether a limit is met.
 */
#include <sdk/sse.h>

#include <sdk/str.h>
#include <string.h>

void yoi_sdk_sse_init(struct yoi_sdk_sse *s, size_t line_max, size_t event_max, yoi_sdk_sse_fn fn,
                      void *ctx) {
  memset(s, 0, sizeof *s);
  s->fn = fn;
  s->ctx = ctx;
  s->line_max = line_max ? line_max : YOI_SSE_LINE_MAX;
  s->event_max = event_max ? event_max : YOI_SSE_EVENT_MAX;
  s->retry_ms = UINT64_MAX;
  yoi_sdk_buf_init(&s->line, s->line_max);
  yoi_sdk_buf_init(&s->data, s->event_max);
  yoi_sdk_buf_init(&s->type, s->line_max);
  yoi_sdk_buf_init(&s->id, s->line_max);
  yoi_sdk_buf_init(&s->last_id, s->line_max);
}

static void forget_event(struct yoi_sdk_sse *s) {
  s->n_data = 0;
  s->view = (yoi_str){0};
  yoi_sdk_buf_clear(&s->data);
  yoi_sdk_buf_clear(&s->type);
}

void yoi_sdk_sse_clear(struct yoi_sdk_sse *s) {
  forget_event(s);
  yoi_sdk_buf_clear(&s->line);
  yoi_sdk_buf_clear(&s->id);
  yoi_sdk_buf_clear(&s->last_id);
  s->retry_ms = UINT64_MAX;
  s->stopped = YOI_OK;
  s->skip_lf = s->begun = s->id_set = 0;
}

void yoi_sdk_sse_release(struct yoi_sdk_sse *s) {
  yoi_sdk_buf_release(&s->line);
  yoi_sdk_buf_release(&s->data);
  yoi_sdk_buf_release(&s->type);
  yoi_sdk_buf_release(&s->id);
  yoi_sdk_buf_release(&s->last_id);
}

/* Copies the view away, because its chunk goes or a second line joins. */
static yoi_status spill(struct yoi_sdk_sse *s) {
  if (s->view.len) yoi_sdk_buf_adds(&s->data, s->view);
  s->view = (yoi_str){0};
  return s->data.failed;
}

static yoi_status add_data(struct yoi_sdk_sse *s, yoi_str value, int in_chunk) {
  size_t have = s->n_data ? s->data.len + s->view.len + 1 : 0;
  if (value.len > s->event_max || have > s->event_max - value.len) return YOI_OUT_OF_RANGE;
  if (s->n_data++ == 0 && in_chunk) {
    s->view = value;
    return YOI_OK;
  }
  yoi_status st = spill(s);
  if (st != YOI_OK) return st;
  if (s->n_data > 1) yoi_sdk_buf_addc(&s->data, '\n');
  yoi_sdk_buf_adds(&s->data, value);
  return s->data.failed;
}

static yoi_status set(struct yoi_sdk_buf *b, yoi_str value) {
  yoi_sdk_buf_clear(b);
  yoi_sdk_buf_adds(b, value);
  return b->failed;
}

static void set_retry(struct yoi_sdk_sse *s, yoi_str value) {
  uint64_t ms = 0;
  if (value.len == 0) return;
  for (size_t i = 0; i < value.len; i++) {
    unsigned digit = (unsigned)((unsigned char)value.ptr[i] - '0');
    if (digit > 9) return;
    /* A day is longer than anybody waits; saturate rather than wrap. */
    if (ms < 86400000u) ms = ms * 10 + digit;
  }
  s->retry_ms = ms < 86400000u ? ms : 86400000u;
}

static struct yoi_sdk_sse_event event_now(const struct yoi_sdk_sse *s) {
  return (struct yoi_sdk_sse_event){
      .type = s->type.len ? yoi_sdk_buf_str(&s->type) : YOI_LIT("message"),
      .data = s->view.len ? s->view : yoi_sdk_buf_str(&s->data),
      .id = yoi_sdk_buf_str(&s->id),
  };
}

static yoi_status dispatch(struct yoi_sdk_sse *s) {
  yoi_status st = YOI_OK;
  if (s->id_set) {
    st = set(&s->last_id, yoi_sdk_buf_str(&s->id));
    s->id_set = 0;
  }
  if (st == YOI_OK && s->n_data) {
    struct yoi_sdk_sse_event ev = event_now(s);
    if (s->fn(s->ctx, &ev) != 0) st = YOI_ABORTED;
  }
  forget_event(s);
  return st;
}

static yoi_status field(struct yoi_sdk_sse *s, yoi_str line, int in_chunk) {
  const char *colon = memchr(line.ptr, ':', line.len);
  yoi_str name = line, value = {0};
  if (colon == line.ptr) return YOI_OK; /* a comment */
  if (colon) {
    name.len = (size_t)(colon - line.ptr);
    value = (yoi_str){colon + 1, line.len - name.len - 1};
    if (value.len && value.ptr[0] == ' ') value.ptr++, value.len--;
  }
  if (yoi_sdk_str_is(name, "data")) return add_data(s, value, in_chunk);
  if (yoi_sdk_str_is(name, "event")) return set(&s->type, value);
  if (yoi_sdk_str_is(name, "id")) {
    if (value.len && memchr(value.ptr, 0, value.len)) return YOI_OK;
    s->id_set = 1;
    return set(&s->id, value);
  }
  if (yoi_sdk_str_is(name, "retry")) set_retry(s, value);
  return YOI_OK;
}

/* in_chunk: the bytes stay where they are until this feed returns. */
static yoi_status take_line(struct yoi_sdk_sse *s, yoi_str line, int in_chunk) {
  if (line.len > s->line_max) return YOI_OUT_OF_RANGE;
  if (!s->begun) {
    s->begun = 1;
    if (line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0) line.ptr += 3, line.len -= 3;
  }
  return line.len ? field(s, line, in_chunk) : dispatch(s);
}

static const char *find_end(const char *p, const char *end) {
  const char *lf = memchr(p, '\n', (size_t)(end - p));
  const char *cr = memchr(p, '\r', (size_t)((lf ? lf : end) - p));
  return cr ? cr : lf;
}

yoi_status yoi_sdk_sse_feed(struct yoi_sdk_sse *s, yoi_str chunk) {
  yoi_status st = s->stopped;
  const char *p = chunk.ptr, *end = chunk.ptr ? chunk.ptr + chunk.len : NULL;
  while (st == YOI_OK && p != end) {
    if (s->skip_lf) {
      s->skip_lf = 0;
      if (*p == '\n') {
        p++;
        continue;
      }
    }
    const char *eol = find_end(p, end);
    yoi_str part = {p, (size_t)((eol ? eol : end) - p)};
    if (s->line.len || !eol) {
      if (part.len > s->line_max - s->line.len) {
        st = YOI_OUT_OF_RANGE;
        break;
      }
      yoi_sdk_buf_adds(&s->line, part);
      st = s->line.failed;
      if (st != YOI_OK || !eol) break;
      st = take_line(s, yoi_sdk_buf_str(&s->line), 0);
      yoi_sdk_buf_clear(&s->line);
    } else {
      st = take_line(s, part, 1);
    }
    s->skip_lf = *eol == '\r';
    p = eol + 1;
  }
  if (st == YOI_OK) st = spill(s);
  s->view = (yoi_str){0};
  return s->stopped = st;
}

int yoi_sdk_sse_rest(struct yoi_sdk_sse *s, struct yoi_sdk_sse_event *out) {
  if (s->stopped != YOI_OK) return 0;
  s->stopped = YOI_ABORTED;
  if (s->line.len && take_line(s, yoi_sdk_buf_str(&s->line), 0) != YOI_OK) return 0;
  if (s->n_data == 0) return 0;
  *out = event_now(s);
  return 1;
}

yoi_str yoi_sdk_sse_last_id(const struct yoi_sdk_sse *s) { return yoi_sdk_buf_str(&s->last_id); }
