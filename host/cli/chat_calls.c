/* chat_calls.c - which tools the worker calls, and what it needs a person for.
 *
 * What is known follows from the turn's events alone: the calls of the last
 * answer, for their names, and the approvals that are open, in their order. A
 * row is the object of the event as the runtime wrote it, so ids are compared
 * as they stand.
 */
#include "chat.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <string.h>
#include <yoi/limits.h>

static void add(struct cli_calls *c, struct cli_rows *rows, yoi_str row) {
  yoi_str *grown = yoi_sdk_reallocarray(rows->row, rows->n + 1, sizeof *grown);
  if (grown) rows->row = grown;
  yoi_str own = grown ? yoi_sdk_str_dup(row) : (yoi_str){0};
  if (own.ptr)
    rows->row[rows->n++] = own;
  else
    c->failed = 1;
}

static void drop(struct cli_rows *rows, size_t i) {
  yoi_sdk_str_free(&rows->row[i]);
  memmove(&rows->row[i], &rows->row[i + 1], (--rows->n - i) * sizeof *rows->row);
}

static void clear(struct cli_rows *rows) {
  while (rows->n > 0) drop(rows, rows->n - 1);
}

void cli_calls_release(struct cli_calls *c) {
  clear(&c->made);
  clear(&c->open);
  yoi_sdk_free(c->made.row);
  yoi_sdk_free(c->open.row);
  *c = (struct cli_calls){0};
}

/* The row whose member of that name is that; n when there is none. */
static size_t find(const struct cli_rows *rows, const char *member, yoi_str raw) {
  size_t i = 0;
  while (i < rows->n && !yoi_sdk_str_eq(yoi_sdk_json_raw_get(rows->row[i], member), raw)) i++;
  return i;
}

yoi_str cli_calls_name(const struct cli_calls *c, yoi_str call_id) {
  size_t i = find(&c->made, "id", call_id);
  return i < c->made.n ? yoi_sdk_json_raw_get(c->made.row[i], "name") : (yoi_str){0};
}

/* Empty when it is none. */
static yoi_str id_of(yoi_str raw) {
  int good = raw.len > 2 && raw.len <= YOI_ID_MAX + 2 && !memchr(raw.ptr, '\\', raw.len);
  return good ? (yoi_str){raw.ptr + 1, raw.len - 2} : (yoi_str){0};
}

yoi_str cli_calls_id(const struct cli_calls *c, size_t i) {
  yoi_str raw = yoi_sdk_json_raw_get(c->open.row[i], "approval_id");
  return id_of(raw);
}

size_t cli_calls_find(const struct cli_calls *c, yoi_str id) {
  size_t i = 0;
  while (i < c->open.n && !yoi_sdk_str_eq(cli_calls_id(c, i), id)) i++;
  return i;
}

void cli_calls_drop(struct cli_calls *c, yoi_str id) {
  size_t i = cli_calls_find(c, id);
  if (i < c->open.n) drop(&c->open, i);
}

/* The call of an approval that was asked for before anybody looked here. */
static void remember(struct cli_calls *c, yoi_str approval) {
  yoi_str call_id = yoi_sdk_json_raw_get(approval, "call_id");
  struct yoi_sdk_buf row;
  struct yoi_sdk_jsonw w;
  if (find(&c->made, "id", call_id) < c->made.n) return;
  yoi_sdk_buf_init(&row, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &row);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kraw(&w, "id", call_id);
  yoi_sdk_jsonw_kraw(&w, "name", yoi_sdk_json_raw_get(approval, "tool"));
  yoi_sdk_jsonw_close(&w, '}');
  if (row.failed)
    c->failed = 1;
  else
    add(c, &c->made, yoi_sdk_buf_str(&row));
  yoi_sdk_buf_release(&row);
}

void cli_calls_ask(struct cli_calls *c, yoi_str approval) {
  yoi_str id = yoi_sdk_json_raw_get(approval, "approval_id");
  remember(c, approval);
  if (id_of(id).len > 0 && find(&c->open, "approval_id", id) == c->open.n)
    add(c, &c->open, approval);
}

static void forget(struct cli_rows *rows, const char *member, yoi_str raw) {
  size_t i = find(rows, member, raw);
  if (i < rows->n) drop(rows, i);
}

void cli_calls_event(struct cli_calls *c, const yoi_event *ev) {
  switch (ev->kind) {
    case YOI_EVENT_MESSAGE_COMPLETED: /* another answer */
      clear(&c->made);
      break;
    case YOI_EVENT_TOOL_REQUESTED:
      add(c, &c->made, yoi_sdk_json_raw_get(ev->text, "call"));
      break;
    case YOI_EVENT_TOOL_APPROVAL_REQUESTED:
      cli_calls_ask(c, yoi_sdk_json_raw_get(ev->text, "approval"));
      break;
    case YOI_EVENT_TOOL_APPROVAL_RESOLVED:
      forget(&c->open, "approval_id", yoi_sdk_json_raw_get(ev->text, "approval_id"));
      break;
    case YOI_EVENT_TOOL_COMPLETED: /* cancelled with its turn */
      forget(&c->open, "call_id", yoi_sdk_json_raw_get(ev->text, "call_id"));
      break;
    case YOI_EVENT_TURN_ENDED:
      clear(&c->made);
      clear(&c->open);
      break;
    default:
      break;
  }
}

/* ---- in words ---- */

void cli_calls_add(struct yoi_sdk_buf *out, yoi_str object, const char *member, size_t most) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, 2 * YOI_MESSAGE_BYTES_MAX);
  yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(object, member), &text);
  if (text.failed) out->failed = text.failed;
  cli_safe(out, yoi_sdk_buf_str(&text), most);
  yoi_sdk_buf_release(&text);
}

static void add_line(struct yoi_sdk_buf *out, const char *head, yoi_str object, const char *member,
                     size_t most) {
  if (yoi_sdk_json_raw_get(object, member).len <= 2) return;
  yoi_sdk_buf_adds(out, yoi_sdk_str(head));
  cli_calls_add(out, object, member, most);
  yoi_sdk_buf_addc(out, '\n');
}

void cli_calls_describe(const struct cli_calls *c, size_t i, size_t most, struct yoi_sdk_buf *out) {
  yoi_str approval = c->open.row[i];
  add_line(out, "  permission is needed for: ", approval, "tool", YOI_NAME_MAX);
  add_line(out, "    plugin:    ", approval, "tool_plugin", YOI_ID_MAX);
  add_line(out, "    arguments: ", approval, "arguments", most);
  add_line(out, "    asked by:  rule ", approval, "rule", YOI_NAME_MAX);
  add_line(out, "    because:   ", approval, "reason", YOI_ERROR_MESSAGE_MAX);
  add_line(out, "    until:     ", approval, "expires_at", YOI_NAME_MAX);
  add_line(out, "    approval:  ", approval, "approval_id", YOI_NAME_MAX);
}
