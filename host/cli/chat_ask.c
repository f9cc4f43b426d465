/* chat_ask.c - a person is asked whether a tool may run.
 *
 * On a terminal each open approval is a question, one after the other:
 *
 *             shown                    a line                  its ack
 *   open --------------> on the screen ------> worker.approve ---------> gone
 *
 * Elsewhere lines are commands: /approvals, /allow ID, /deny ID reason; on a
 * terminal they are too.
 *
 *  1. Only what is typed behind a question answers it: what was typed before,
 *     for whatever it was meant, is thrown away. And while a question is on the
 *     screen, nothing that a tool says comes behind it.
 *  2. The arguments are shown as they are (safe.c); when they are long, that
 *     there are more, and how much, is part of the question.
 *  3. Only a yes allows. What is no answer denies, and is the reason.
 *  4. Nobody waits for an answer that cannot come: a pipe that ends leaves the
 *     worker as it is, and says so.
 */
#include <ctype.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <string.h>
#include <unistd.h>
#include <yoi/limits.h>

#include "chat.h"

#define SHORT_MAX 2000 /* of arguments: about a screen */

/* A person answers here, not a program. */
static int person(const struct cli_chat *c) {
  return c->terminal && c->view.terminal && !c->view.json;
}

static void show(struct cli_chat *c, size_t i, size_t most) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, 8 * YOI_TOOL_ARGUMENTS_MAX);
  cli_calls_describe(&c->calls, i, most, &text);
  if (text.failed) c->calls.failed = 1;
  cli_view_remark(&c->view, yoi_sdk_buf_str(&text));
  yoi_sdk_buf_release(&text);
}

/* What this program does not do, whoever reads it. */
static void refuse(struct cli_chat *c, const char *why) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", why);
  cli_view_error(&c->view, "left out", err);
  c->failed = 1;
}

/* ---- answering ---- */

static void on_decided(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct cli_chat *c = ctx;
  if (ev) {
    if (c->view.json) cli_view_event(&c->view, ev);
    return;
  }
  c->deciding = 0;
  if (c->state == CLI_LEAVING) return;
  int taken = st == YOI_END, over = err && (err->code == YOI_CODE_APPROVAL_CONFLICT ||
                                            err->code == YOI_CODE_APPROVAL_NOT_FOUND);
  if (!taken) cli_view_error(&c->view, "the answer was not taken", err);
  if (taken || over) cli_calls_drop(&c->calls, yoi_sdk_str(c->approval));
  c->approval[0] = '\0';
}

static void decide(struct cli_chat *c, yoi_str id, int allow, yoi_str reason) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_jsonw w;
  memmove(c->approval, id.ptr, id.len); /* it may be there already */
  c->approval[id.len] = '\0';
  if (reason.len > YOI_REASON_MAX) reason.len = yoi_sdk_utf8_cut(reason, YOI_REASON_MAX);
  yoi_sdk_buf_clear(&c->body);
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "decision", allow ? YOI_LIT("allow") : YOI_LIT("deny"));
  yoi_sdk_jsonw_kstr_opt(&w, "reason", reason);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_request req = cli_chat_request(c, YOI_OP_WORKER_APPROVE, yoi_sdk_buf_str(&c->body));
  req.subject = yoi_sdk_str(c->approval);
  c->deciding = 1;
  if (yoi_call(c->host, c->runtime, &req, on_decided, c, NULL, err) == YOI_OK) return;
  on_decided(c, NULL, YOI_INTERNAL, err);
}

/* ---- commands ---- */

static yoi_str trim(yoi_str s) {
  while (s.len > 0 && isspace((unsigned char)s.ptr[0])) s.ptr++, s.len--;
  while (s.len > 0 && isspace((unsigned char)s.ptr[s.len - 1])) s.len--;
  return s;
}

/* Takes the first word off. */
static yoi_str word(yoi_str *line) {
  yoi_str w = {line->ptr, 0};
  while (w.len < line->len && !isspace((unsigned char)line->ptr[w.len])) w.len++;
  *line = trim((yoi_str){line->ptr + w.len, line->len - w.len});
  return w;
}

static void list(struct cli_chat *c) {
  if (c->view.json) {
    cli_view_approvals(&c->view, &c->calls);
    return;
  }
  if (c->calls.open.n == 0) cli_view_note(&c->view, "nothing waits for a person");
  for (size_t i = 0; i < c->calls.open.n; i++) show(c, i, YOI_TOOL_ARGUMENTS_MAX);
}

int cli_chat_command(struct cli_chat *c, yoi_str line) {
  yoi_str rest = trim(line), verb = word(&rest);
  int allow = yoi_sdk_str_is(verb, "/allow");
  if (yoi_sdk_str_is(verb, "/approvals")) {
    list(c);
    return 1;
  }
  if (!allow && !yoi_sdk_str_is(verb, "/deny")) return 0;
  yoi_str id = word(&rest);
  if (cli_calls_find(&c->calls, id) < c->calls.open.n) {
    decide(c, id, allow, rest);
    return 1;
  }
  refuse(c, "there is no such approval; /approvals lists them");
  return 1;
}

/* ---- questions ---- */

static void ask(struct cli_chat *c) {
  yoi_str id = cli_calls_id(&c->calls, 0);
  if (person(c) && cli_lines_forget(&c->lines))
    cli_view_note(&c->view, "what was typed before this question is left out");
  memcpy(c->approval, id.ptr, id.len);
  c->approval[id.len] = '\0';
  if (c->view.json) return;
  show(c, 0, SHORT_MAX);
  if (person(c))
    cli_view_ask(&c->view);
  else
    cli_view_note(&c->view, "answer with /allow ID, or /deny ID and why");
}

static int is_one_of(yoi_str s, const char *letter, const char *whole) {
  char low[8];
  if (s.len >= sizeof low) return 0;
  for (size_t i = 0; i < s.len; i++) low[i] = (char)tolower((unsigned char)s.ptr[i]);
  return yoi_sdk_str_is((yoi_str){low, s.len}, letter) ||
         yoi_sdk_str_is((yoi_str){low, s.len}, whole);
}

static void answer(struct cli_chat *c, yoi_str line) {
  line = trim(line);
  cli_view_answered(&c->view);
  if (cli_chat_command(c, line)) {
    if (!c->deciding) c->approval[0] = '\0'; /* the question comes again */
    return;
  }
  if (!person(c)) {
    refuse(c, "a call waits for a person, so this line is left out");
  } else if (is_one_of(line, "a", "all")) {
    show(c, 0, YOI_TOOL_ARGUMENTS_MAX);
    cli_view_ask(&c->view);
  } else if (is_one_of(line, "y", "yes")) {
    decide(c, cli_calls_id(&c->calls, 0), 1, (yoi_str){0});
  } else {
    decide(c, cli_calls_id(&c->calls, 0), 0, is_one_of(line, "n", "no") ? (yoi_str){0} : line);
  }
}

void cli_chat_ask(struct cli_chat *c) {
  char *text;
  size_t n;
  while (c->calls.open.n > 0 && !c->deciding && c->state == CLI_RUNNING) {
    if (!yoi_sdk_str_is(cli_calls_id(&c->calls, 0), c->approval)) ask(c);
    if (!cli_lines_take(&c->lines, &text, &n)) break;
    answer(c, (yoi_str){text, n});
    yoi_sdk_free(text);
  }
  if (c->calls.open.n == 0) cli_view_answered(&c->view);
  if (c->calls.open.n == 0 || c->deciding || !c->lines.ended || c->state != CLI_RUNNING) return;
  refuse(c, "a call waits for a person, and nobody is here to answer");
  c->state = CLI_LEAVING;
}
