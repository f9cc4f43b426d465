/* record.c - one record: the JSON text of a file, read into a worker.
 *
 *   { "worker_id": "w1",                      the name of the file
 *     "display_name": "First",                optional
 *     "created_at": "2026-06-26T00:00:00Z",
 *     "state": "stopped",                     optional: stopped or idle
 *     "items": [ { "role": "user", "text": "hello",
 *                  "created_at": "2026-06-26T00:00:01.5Z" } ] }
 *
 * Somebody else wrote it, so nothing in it is believed before it was looked
 * at. A record that does not fit makes its worker corrupt, with a diagnostic
 * that says what and where but never quotes it, and blocks nobody. Members
 * that are not listed above are passed over: they are the writer's business,
 * and none of them is shown.
 *
 * Items are kept as the JSON that a transcript shows, one behind the other,
 * so that an answer is a copy.
 */
#include "local_compat.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <sdk/mem.h>

/* A text is never longer than it stood in the file, and what is added to each
 * item is below 150 bytes: at most 3 MB, since an item has four JSON values. */
#define ITEMS_BYTES_MAX (2 * (size_t)YOI_RECORD_BYTES_MAX)

void lc_record_release(struct lc_worker *w) {
  yoi_sdk_str_free(&w->display_name);
  yoi_sdk_free(w->fault);
  yoi_sdk_free(w->items);
  yoi_sdk_free(w->ends);
  w->fault = NULL;
  w->items = NULL;
  w->ends = NULL;
  w->n_items = 0;
}

yoi_status lc_record_corrupt(struct lc_worker *w, const char *code, const char *fmt, ...) {
  lc_record_release(w);
  w->stopped = 0;
  w->created_at[0] = '\0';
  w->fault = yoi_sdk_malloc(sizeof *w->fault);
  if (!w->fault) return YOI_RESOURCE_EXHAUSTED;
  w->fault->code = code;
  va_list ap;
  va_start(ap, fmt);
  (void)vsnprintf(w->fault->message, sizeof w->fault->message, fmt, ap);
  va_end(ap);
  return YOI_OK;
}

static yoi_status malformed(struct lc_worker *w, const char *what) {
  return lc_record_corrupt(w, "record_malformed", "the record cannot be read: %s", what);
}

/* ---- times ------------------------------------------------------------ */

static int digits(const char *p, size_t n) {
  int v = 0;
  for (size_t i = 0; i < n; i++) {
    if (p[i] < '0' || p[i] > '9') return -1;
    v = v * 10 + p[i] - '0';
  }
  return v;
}

static int days_in(int year, int month) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return days[month - 1] + (month == 2 && leap);
}

/* YYYY-MM-DDTHH:MM:SSZ, with a fraction or without (RFC 3339, UTC only), to
 * milliseconds. */
static int read_time(yoi_str s, char out[YOI_SDK_TIME_SIZE]) {
  static const char form[] = "....-..-..T..:..:..";
  size_t n = sizeof form - 1;
  if (s.len < n + 1 || s.ptr[s.len - 1] != 'Z') return 0;
  for (size_t i = 0; i < n; i++)
    if (form[i] != '.' && form[i] != s.ptr[i]) return 0;
  int year = digits(s.ptr, 4), month = digits(s.ptr + 5, 2), day = digits(s.ptr + 8, 2);
  int hour = digits(s.ptr + 11, 2), minute = digits(s.ptr + 14, 2), second = digits(s.ptr + 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_in(year, month)) return 0;
  if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return 0;
  size_t fraction = s.len - 1 - n;
  if (fraction == 1 || (fraction && s.ptr[n] != '.')) return 0;
  if (fraction && digits(s.ptr + n + 1, 1) < 0) return 0;
  memcpy(out, s.ptr, n);
  memcpy(out + n, ".000Z", 6);
  for (size_t i = 1; i < fraction; i++) {
    if (digits(s.ptr + n + i, 1) < 0) return 0;
    if (i <= 3) out[n + i] = s.ptr[n + i];
  }
  return 1;
}

/* ---- items ------------------------------------------------------------ */

static int known_role(yoi_str role) {
  return yoi_sdk_str_is(role, "user") || yoi_sdk_str_is(role, "assistant") ||
         yoi_sdk_str_is(role, "system") || yoi_sdk_str_is(role, "tool");
}

/* One item as a transcript shows it. Records know neither turns nor steps. */
static int write_item(struct yoi_sdk_buf *out, const yoi_sdk_json *item, uint32_t sequence) {
  yoi_str role, text, time;
  char at[YOI_SDK_TIME_SIZE];
  if (yoi_sdk_json_type(item) != YOI_SDK_JSON_OBJECT) return 0;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(item, "role"), &role) || !known_role(role)) return 0;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(item, "text"), &text)) return 0;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(item, "created_at"), &time)) return 0;
  if (!read_time(time, at)) return 0;
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "sequence", sequence);
  yoi_sdk_jsonw_kraw(&w, "turn_id", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(&w, "step", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(&w, "role", role);
  yoi_sdk_jsonw_key(&w, "content");
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "type", YOI_LIT("text"));
  yoi_sdk_jsonw_kstr(&w, "text", text);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_kstr(&w, "created_at", yoi_sdk_str(at));
  yoi_sdk_jsonw_close(&w, '}');
  return 1;
}

static yoi_status read_items(struct lc_worker *w, const yoi_sdk_json *items) {
  if (yoi_sdk_json_type(items) != YOI_SDK_JSON_ARRAY)
    return malformed(w, "'items' is not an array");
  struct yoi_sdk_buf out;
  yoi_status st = YOI_OK;
  uint32_t n = 0;
  yoi_sdk_buf_init(&out, ITEMS_BYTES_MAX);
  w->ends = yoi_sdk_reallocarray(NULL, yoi_sdk_json_count(items), sizeof *w->ends);
  if (!w->ends) return YOI_RESOURCE_EXHAUSTED;
  for (const yoi_sdk_json *c = yoi_sdk_json_first(items); c; c = yoi_sdk_json_next(c)) {
    if (!write_item(&out, c, n + 1)) {
      st = lc_record_corrupt(w, "record_malformed",
                             "the record cannot be read: item %u needs a known 'role', a 'text' "
                             "and a 'created_at' in UTC",
                             n);
      goto out;
    }
    w->ends[n++] = (uint32_t)out.len;
  }
  w->items = yoi_sdk_buf_take(&out, NULL);
  if (w->items)
    w->n_items = n;
  else
    st = YOI_RESOURCE_EXHAUSTED;
out:
  yoi_sdk_buf_release(&out);
  return st;
}

/* ---- the record ------------------------------------------------------- */

static yoi_status read_head(struct lc_worker *w, const yoi_sdk_json *v) {
  const yoi_sdk_json *name = yoi_sdk_json_get(v, "display_name");
  const yoi_sdk_json *state = yoi_sdk_json_get(v, "state");
  yoi_str s;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) return malformed(w, "it is not an object");
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "worker_id"), &s) || !yoi_sdk_str_is(s, w->id))
    return malformed(w, "'worker_id' is not the name of its file");
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "created_at"), &s) || !read_time(s, w->created_at))
    return malformed(w, "'created_at' is no time in UTC");
  w->stopped = 1;
  if (state) {
    if (!yoi_sdk_json_str(state, &s)) s = YOI_LIT("");
    w->stopped = yoi_sdk_str_is(s, "stopped");
    if (!w->stopped && !yoi_sdk_str_is(s, "idle"))
      return malformed(w, "'state' is neither stopped nor idle");
  }
  if (!name) return YOI_OK;
  if (!yoi_sdk_json_str(name, &s) || s.len < 1 || s.len > YOI_DISPLAY_NAME_MAX)
    return malformed(w, "'display_name' is not a string of 1 to 256 bytes");
  w->display_name = yoi_sdk_str_dup(s);
  return w->display_name.ptr ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

yoi_status lc_record_read(struct lc_worker *w, yoi_str text) {
  struct yoi_sdk_json_error jerr;
  yoi_sdk_json *v = NULL;
  yoi_status st = yoi_sdk_json_check(text, 0, &jerr);
  if (st != YOI_OK)
    return lc_record_corrupt(w, "record_malformed",
                             "the record cannot be read: line %u, column %u: %s", jerr.line,
                             jerr.column, jerr.message);
  st = yoi_sdk_json_parse(text, 0, &v, NULL);
  if (st == YOI_OK) st = read_head(w, v);
  if (st == YOI_OK && !w->fault) st = read_items(w, yoi_sdk_json_get(v, "items"));
  yoi_sdk_json_free(v);
  return st;
}
