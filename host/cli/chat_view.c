/* chat_view.c - events, as a person or a script reads them.
 *
 * For scripts (--json) each event is one line: {"event", "cursor"?, "data"},
 * data as the runtime wrote it; a refusal is {"event":"error","data":{"code",
 * "message"}}. For people the text appears as it comes, and how a turn ended
 * is said in words when it did not simply end.
 *
 *  1. What a model says never reaches a terminal as a control sequence, nor
 *     what names, reasons and errors hold: only line feeds and tabs pass.
 *  2. message.completed replaces the deltas of its step; since they are on the
 *     screen already, it is shown only when none came.
 *  3. Standard output has the model's words (and --json lines) only; when it
 *     is no terminal, remarks go to standard error, and so does what tools say.
 *  4. What a tool says stands behind a bar, so that it looks like nothing else
 *     here, and is not shown while a question is open.
 */
#include "chat.h"

#include <sdk/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yoi/limits.h>

/* Largest text that is taken out of an event: a whole message. */
#define VIEW_MAX (2 * YOI_MESSAGE_BYTES_MAX)
#define CALL_MAX 200 /* of a call's arguments, in the line that says it is made */

struct words {
  const char *name, *says;
};

/* By turn.reason; a missing row is shown by its name. */
static const struct words reasons[] = {
    {"length", "the answer was cut: the model's limit of length"},
    {"content_filter", "the provider's filter ended the answer"},
    {"step_limit", "ended: too many steps in one turn"},
    {"time_limit", "ended: the turn took too long"},
    {"token_limit", "ended: the turn used too many tokens"},
    {"tool_output_limit", "ended: the tools gave too much output"},
    {"store_error", "failed: the history could not be written"},
    {"internal", "failed inside the host; its log says more"},
    {"cancel_requested", "cancelled"},
    {"worker_stopped", "ended: the worker was stopped"},
    {"shutting_down", "ended: the host shuts down"},
    {"host_restarted", "interrupted: the host was started again"},
};

/* By turn.error.details.kind, one row for each of YOI_MODEL_ERRORS. */
static const struct words model_errors[] = {
    {"connect", "the model cannot be reached; is its server running?"},
    {"tls", "no trusted connection to the model's server"},
    {"first_byte_timeout", "the model did not begin to answer in time"},
    {"stalled", "the model stopped in the middle of its answer"},
    {"total_timeout", "the model took too long"},
    {"closed", "the model's server closed the connection"},
    {"malformed", "the model's server answered with something that is no answer"},
    {"too_large", "the model's answer was too large"},
    {"unauthorized", "the model's server refused the key"},
    {"not_found", "there is no such model, its address is wrong, or it cannot be opened"},
    {"invalid_request", "the model's server refused the request"},
    {"rate_limited", "too many requests to the model; wait a little"},
    {"quota", "the quota at the model's provider is used up"},
    {"overloaded", "the model's server is overloaded; try again"},
    {"server_error", "the model's server failed; try again"},
};
#define ONE(name, retryable) +1
_Static_assert(sizeof model_errors / sizeof *model_errors == 0 YOI_MODEL_ERRORS(ONE),
               "each kind of model error has its words");
#undef ONE

void cli_view_init(struct cli_view *v, int json, const struct cli_calls *calls) {
  *v = (struct cli_view){.json = json, .terminal = isatty(STDOUT_FILENO), .ok = 1, .calls = calls};
  yoi_sdk_buf_init(&v->buf, VIEW_MAX);
}

void cli_view_release(struct cli_view *v) {
  yoi_sdk_buf_release(&v->buf);
}

void cli_view_begin(struct cli_view *v) {
  v->shown = v->ended = v->ok = 0;
}

static void out(struct cli_view *v, const char *text, size_t n) {
  if (!n) return;
  if (fwrite(text, 1, n, stdout) != n || fflush(stdout) != 0) v->broken = 1;
  v->mid_line = text[n - 1] != '\n';
}

/* Where remarks go. */
static FILE *aside(const struct cli_view *v) {
  return v->terminal ? stdout : stderr;
}

void cli_view_fresh_line(struct cli_view *v) {
  if (v->telling == 2) fputc('\n', aside(v));
  v->telling = 0;
  if (v->mid_line && !v->json) out(v, "\n", 1);
}

void cli_view_prompt(struct cli_view *v) {
  if (!v->terminal || v->json || !isatty(STDIN_FILENO)) return;
  cli_view_fresh_line(v);
  out(v, "> ", 2);
  v->mid_line = 0; /* the person's own line feed ends it */
}

void cli_view_note(struct cli_view *v, const char *fmt, ...) {
  if (v->json) return;
  char line[CLI_LINE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  cli_view_fresh_line(v);
  fprintf(aside(v), "(%s)\n", cli_plain(line));
  fflush(aside(v));
  if (v->asking) cli_view_ask(v);
}

void cli_view_remark(struct cli_view *v, yoi_str text) {
  if (v->json) return;
  cli_view_fresh_line(v);
  fwrite(text.ptr, 1, text.len, aside(v));
  fflush(aside(v));
}

void cli_view_ask(struct cli_view *v) {
  static const char words[] = "allow it? [y]es, [n]o, [a]ll of the arguments, or why not: ";
  cli_view_fresh_line(v);
  out(v, words, sizeof words - 1);
  v->asking = 1;
}

void cli_view_answered(struct cli_view *v) {
  if (v->asking) v->mid_line = 0; /* by the person's own line feed */
  v->asking = 0;
}

/* Length of the control character at i, 0 when it is none: C0 (but line feed
 * and tab), DEL and C1. */
static size_t control_at(yoi_str s, size_t i) {
  unsigned char c = (unsigned char)s.ptr[i];
  if (c < 0x20) return c != '\n' && c != '\t';
  if (c == 0x7f) return 1;
  return c == 0xc2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xa0 ? 2 : 0;
}

char *cli_plain(char *text) {
  yoi_str s = {text, strlen(text)};
  size_t to = 0;
  s.len -= yoi_sdk_utf8_tail(s);
  for (size_t i = 0; i < s.len;) {
    size_t n = control_at(s, i);
    if (!n) text[to++] = text[i];
    i += n ? n : 1;
  }
  text[to] = 0;
  return text;
}

/* Model text; a terminal gets it without control characters. */
static void show(struct cli_view *v, yoi_str s) {
  size_t begin = 0;
  if (v->telling) cli_view_fresh_line(v);
  if (!v->terminal) {
    out(v, s.ptr, s.len);
    return;
  }
  for (size_t i = 0; i < s.len; i++) {
    size_t n = control_at(s, i);
    if (!n) continue;
    out(v, s.ptr + begin, i - begin);
    begin = i + n;
    i += n - 1;
  }
  out(v, s.ptr + begin, s.len - begin);
}

/* The string member of a JSON object, unescaped into v->buf; "" when absent. */
static yoi_str text_of(struct cli_view *v, yoi_str object, const char *name) {
  yoi_sdk_buf_clear(&v->buf);
  yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(object, name), &v->buf);
  return yoi_sdk_buf_str(&v->buf);
}

static const char *say(const struct words *rows, size_t n, yoi_str name) {
  for (size_t i = 0; i < n; i++) {
    if (yoi_sdk_str_is(name, rows[i].name)) return rows[i].says;
  }
  return NULL;
}

/* A tool's words, line by line. */
static void tell(struct cli_view *v, yoi_str s) {
  FILE *to = aside(v);
  if (v->asking) return;
  if (!v->telling) cli_view_fresh_line(v);
  for (size_t i = 0; i < s.len;) {
    size_t n = control_at(s, i);
    if (!n && v->telling != 2) fputs("  | ", to);
    if (!n) fputc(s.ptr[i], to);
    if (!n) v->telling = s.ptr[i] == '\n' ? 1 : 2;
    i += n ? n : 1;
  }
  fflush(to);
}

static void tool_requested(struct cli_view *v, yoi_str data) {
  yoi_str call = yoi_sdk_json_raw_get(data, "call");
  struct yoi_sdk_buf line;
  yoi_sdk_buf_init(&line, CLI_LINE_MAX);
  cli_calls_add(&line, call, "name", YOI_NAME_MAX);
  yoi_sdk_buf_addc(&line, ' ');
  cli_calls_add(&line, call, "arguments", CALL_MAX);
  cli_view_note(v, "%.*s", YOI_ARG(yoi_sdk_buf_str(&line)));
  yoi_sdk_buf_release(&line);
}

static void tool_completed(struct cli_view *v, yoi_str data) {
  yoi_str name = cli_calls_name(v->calls, yoi_sdk_json_raw_get(data, "call_id"));
  yoi_str error = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(data, "item"), "error");
  struct yoi_sdk_buf line;
  yoi_sdk_buf_init(&line, 2 * CLI_LINE_MAX);
  if (name.len > 2)
    yoi_sdk_buf_add(&line, name.ptr + 1, name.len - 2);
  else
    yoi_sdk_buf_adds(&line, YOI_LIT("the call"));
  yoi_sdk_buf_adds(&line, YOI_LIT(": "));
  cli_calls_add(&line, data, "status", YOI_NAME_MAX);
  if (error.len > 0) {
    yoi_sdk_buf_adds(&line, YOI_LIT(", "));
    cli_calls_add(&line, error, "message", YOI_ERROR_MESSAGE_MAX);
  }
  cli_view_note(v, "%.*s", YOI_ARG(yoi_sdk_buf_str(&line)));
  yoi_sdk_buf_release(&line);
}

static void message_completed(struct cli_view *v, yoi_str data) {
  yoi_str item = yoi_sdk_json_raw_get(data, "item"), part;
  size_t at = 0;
  if (!yoi_sdk_str_is(text_of(v, item, "role"), "assistant")) return;
  yoi_str content = yoi_sdk_json_raw_get(item, "content");
  while (!v->shown && yoi_sdk_json_raw_each(content, &at, &part)) {
    show(v, text_of(v, part, "text"));
  }
  v->shown = 0;
  cli_view_fresh_line(v);
}

static void turn_ended(struct cli_view *v, yoi_str data) {
  yoi_str turn = yoi_sdk_json_raw_get(data, "turn");
  yoi_str details = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(turn, "error"), "details");
  const char *says = NULL;
  v->ended = 1;
  v->ok = yoi_sdk_str_is(text_of(v, turn, "state"), "completed");
  if (v->json) return;
  yoi_str reason = text_of(v, turn, "reason");
  if (yoi_sdk_str_is(reason, "stop")) return;
  if (yoi_sdk_str_is(reason, "model_error")) {
    yoi_str kind = text_of(v, details, "kind");
    says = say(model_errors, sizeof model_errors / sizeof *model_errors, kind);
    if (!says) says = "the model failed";
  } else {
    says = say(reasons, sizeof reasons / sizeof *reasons, reason);
  }
  if (says) {
    cli_view_note(v, "%s", says);
  } else {
    cli_view_note(v, "ended: %.*s", YOI_ARG(reason));
  }
}

static void json_line(struct cli_view *v, const yoi_event *ev) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_clear(&v->buf);
  yoi_sdk_jsonw_init(&w, &v->buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "event", yoi_sdk_str(yoi_sdk_event_name(ev->kind)));
  yoi_sdk_jsonw_kstr_opt(&w, "cursor", ev->cursor);
  yoi_sdk_jsonw_kraw(&w, "data", ev->text);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_buf_addc(&v->buf, '\n');
  if (!v->buf.failed) out(v, v->buf.data, v->buf.len);
}

void cli_view_event(struct cli_view *v, const yoi_event *ev) {
  if (v->json) json_line(v, ev);
  if (ev->kind == YOI_EVENT_TURN_ENDED) turn_ended(v, ev->text);
  if (v->json) return;
  switch (ev->kind) {
    case YOI_EVENT_TEXT_DELTA:
      v->shown = 1;
      show(v, text_of(v, ev->text, "text"));
      break;
    case YOI_EVENT_MESSAGE_COMPLETED:
      message_completed(v, ev->text);
      break;
    case YOI_EVENT_TOOL_REQUESTED:
      tool_requested(v, ev->text);
      break;
    case YOI_EVENT_TOOL_PROGRESS:
      tell(v, text_of(v, ev->text, "text"));
      break;
    case YOI_EVENT_TOOL_COMPLETED:
      tool_completed(v, ev->text);
      break;
    case YOI_EVENT_DIAGNOSTIC:
      cli_view_note(v, "%.*s", YOI_ARG(text_of(v, ev->text, "message")));
      break;
    default:
      break;
  }
}

void cli_view_approvals(struct cli_view *v, const struct cli_calls *calls) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kopen(&w, "approvals", '[');
  for (size_t i = 0; i < calls->open.n; i++) yoi_sdk_jsonw_raw(&w, calls->open.row[i]);
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_close(&w, '}');
  const yoi_event ev = {
      .size = sizeof ev, .kind = YOI_EVENT_RESULT, .text = yoi_sdk_buf_str(&text)};
  if (!text.failed) json_line(v, &ev);
  yoi_sdk_buf_release(&text);
}

void cli_view_error(struct cli_view *v, const char *what, const yoi_error *err) {
  v->ok = 0;
  if (!v->json) {
    cli_view_fresh_line(v);
    cli_say_error(what, err);
    return;
  }
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_clear(&v->buf);
  yoi_sdk_jsonw_init(&w, &v->buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "event", YOI_LIT("error"));
  yoi_sdk_jsonw_kopen(&w, "data", '{');
  yoi_sdk_jsonw_kstr(&w, "code", yoi_sdk_str(yoi_sdk_code_name(err->code)));
  yoi_sdk_jsonw_kstr(&w, "message", yoi_sdk_str(err->message));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_buf_addc(&v->buf, '\n');
  if (!v->buf.failed) out(v, v->buf.data, v->buf.len);
}
