/* chat.c - yoi-host chat: a conversation in this terminal.
 *
 * A host of its own lives in this process, driven by steps of this one thread,
 * so that nothing here needs a lock. The config's ingress section is left
 * out: nothing listens, and what is said stays here. One worker holds the
 * conversation, so each input has all that was said before as its history.
 *
 *              a line                  its last event
 *    IDLE ----------------> RUNNING ----------------------> IDLE
 *      |                      | Ctrl-C: worker.cancel        ^
 *      |                      v      its last event          |
 *      |                  CANCELLING ------------------------+
 *      | Ctrl-C, Ctrl-D       | Ctrl-C, Ctrl-D
 *      v                      v
 *    LEAVING <----------------+
 *
 * A turn that waits for a person is RUNNING too; then lines are answers
 * (chat_ask.c). A worker that was there before, with a turn in progress, is
 * RUNNING from the beginning, and is watched until that has ended.
 *
 * A pipe works as well as a terminal: inputs are taken one after another, and
 * its end is the end of the conversation once the last turn is done.
 */
#include "chat.h"

#include <errno.h>
#include <poll.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yoi/limits.h>

#define LEAVE_MS 1000 /* for a cancelled turn to end in order */

yoi_request cli_chat_request(const struct cli_chat *c, uint32_t op, yoi_str body) {
  return (yoi_request){.size = sizeof(yoi_request), .op = op, .worker_id = c->worker, .body = body};
}

/* ---- a turn ------------------------------------------------------------ */
/* The view knows calls by name, until their turn has ended. */
static void on_news(struct cli_chat *c, const yoi_event *ev) {
  if (ev->kind != YOI_EVENT_TOOL_COMPLETED) cli_calls_event(&c->calls, ev);
  cli_view_event(&c->view, ev);
  if (ev->kind == YOI_EVENT_TOOL_COMPLETED) cli_calls_event(&c->calls, ev);
}

/* Of a turn that was there before; its last call may come much later. */
static void on_watched(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct cli_chat *c = ctx;
  if (!c->watch) return;
  if (ev) {
    on_news(c, ev);
    return;
  }
  c->watch = 0;
  if (c->state == CLI_LEAVING) return;
  if (st != YOI_END) cli_view_error(&c->view, "the turn was lost", err);
  if (!c->view.ok) c->failed = 1;
  c->state = CLI_IDLE;
}

static void end_watch(struct cli_chat *c) {
  uint64_t call = c->watch;
  if (!call || !c->view.ended) return;
  c->watch = 0;
  yoi_call_cancel(c->host, call);
  if (!c->view.ok) c->failed = 1;
  if (c->state != CLI_LEAVING) c->state = CLI_IDLE;
}

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct cli_chat *c = ctx;
  if (ev) {
    on_news(c, ev);
    return;
  }
  if (c->state != CLI_LEAVING && st != YOI_END) {
    cli_view_error(&c->view, "the turn was lost", err);
  } else if (c->state != CLI_LEAVING && !c->view.ended) {
    cli_view_note(&c->view, "the answer broke off");
  }
  if (!c->view.ok) c->failed = 1;
  if (c->state != CLI_LEAVING) c->state = CLI_IDLE;
}

static void on_cancel(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct cli_chat *c = ctx;
  if (!ev && st != YOI_END && c->state != CLI_LEAVING) {
    cli_view_error(&c->view, "cannot cancel", err);
  }
}

static void say(struct cli_chat *c, const char *text, size_t n) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_clear(&c->body);
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "content", (yoi_str){text, n});
  yoi_sdk_jsonw_close(&w, '}');
  yoi_request req = cli_chat_request(c, YOI_OP_WORKER_INPUT, yoi_sdk_buf_str(&c->body));
  req.flags = YOI_REQ_FOLLOW;
  cli_view_begin(&c->view);
  c->state = CLI_RUNNING;
  if (c->body.failed) {
    yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "the input is too large");
  } else if (yoi_call(c->host, c->runtime, &req, on_event, c, NULL, err) == YOI_OK) {
    return;
  }
  cli_view_error(&c->view, "the input was refused", err);
  c->failed = 1;
  c->state = CLI_IDLE;
}

static void cancel(struct cli_chat *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_request req = cli_chat_request(c, YOI_OP_WORKER_CANCEL, (yoi_str){0});
  c->state = CLI_CANCELLING;
  if (yoi_call(c->host, c->runtime, &req, on_cancel, c, NULL, err) != YOI_OK) {
    cli_view_error(&c->view, "cannot cancel", err);
  }
}

/* ---- the loop ---------------------------------------------------------- */
static void on_signal(struct cli_chat *c, int number) {
  if (number == SIGINT && c->state == CLI_RUNNING) {
    cli_view_answered(&c->view);
    cancel(c);
    return;
  }
  c->signalled = number;
  c->state = CLI_LEAVING;
}

/* Between turns: the next input, a prompt, or the end. */
static void idle(struct cli_chat *c, int *prompted) {
  char *text;
  size_t n;
  if (cli_lines_take(&c->lines, &text, &n)) {
    *prompted = 0;
    if (!cli_chat_command(c, (yoi_str){text, n})) say(c, text, n);
    yoi_sdk_free(text);
  } else if (c->lines.ended) {
    c->state = CLI_LEAVING;
  } else if (!*prompted) {
    cli_view_prompt(&c->view);
    *prompted = 1;
  }
}

static int converse(struct cli_chat *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  int prompted = 0, signal_no;
  while (c->state != CLI_LEAVING && !c->view.broken) {
    end_watch(c);
    if (c->state == CLI_RUNNING) cli_chat_ask(c);
    if (c->state == CLI_IDLE) idle(c, &prompted);
    if (c->state == CLI_LEAVING) break;
    if (c->calls.failed) return CLI_INTERNAL;
    /* A terminal is read during a turn too, for its Ctrl-D. */
    int wanted = c->state == CLI_IDLE || c->terminal || c->calls.open.n > 0;
    int reads = wanted && cli_lines_open(&c->lines);
    struct pollfd fds[] = {{.fd = yoi_host_fd(c->host), .events = POLLIN},
                           {.fd = c->signals, .events = POLLIN},
                           {.fd = reads ? c->lines.fd : -1, .events = POLLIN}};
    if (poll(fds, sizeof fds / sizeof *fds, -1) < 0 && errno != EINTR) return CLI_INTERNAL;
    while ((signal_no = cli_signals_take(c->signals)) != 0) on_signal(c, signal_no);
    if (fds[2].revents && !cli_lines_read(&c->lines)) return CLI_INTERNAL;
    if (c->terminal && c->lines.ended && c->state != CLI_IDLE) c->state = CLI_LEAVING;
    if (fds[0].revents && yoi_host_step(c->host, 0, err) != YOI_OK) {
      cli_view_error(&c->view, "the host failed", err);
      return CLI_INTERNAL;
    }
  }
  if (c->signalled) return 128 + c->signalled;
  if (c->view.broken) return CLI_INTERNAL;
  return c->failed && !c->terminal ? CLI_TURN : CLI_OK;
}

/* ---- beginning --------------------------------------------------------- */
struct options {
  const char *config, *url, *runtime, *worker, *profile;
  int json;
};

/* The first runtime that can make workers, as the host lists them. */
static int choose_runtime(struct cli_chat *c, yoi_error *err) {
  char *text = NULL;
  yoi_str each, capability;
  size_t at = 0, n = 0;
  yoi_request req = cli_chat_request(c, YOI_OP_HOST_RUNTIMES, (yoi_str){0});
  if (yoi_call_sync(c->host, (yoi_str){0}, &req, &text, &n, err) != YOI_OK) return 0;
  yoi_str all = yoi_sdk_json_raw_get((yoi_str){text, n}, "runtimes");
  while (!c->runtime.len && yoi_sdk_json_raw_each(all, &at, &each)) {
    yoi_str list = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(each, "runtime"), "capabilities");
    size_t i = 0;
    while (yoi_sdk_json_raw_each(list, &i, &capability)) {
      if (!yoi_sdk_str_is(capability, "\"worker.create\"")) continue;
      size_t begin = c->ids.len;
      yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(each, "runtime_id"), &c->ids);
      c->runtime = (yoi_str){c->ids.data + begin, c->ids.len - begin};
      break;
    }
  }
  yoi_free(text);
  if (c->runtime.len) return 1;
  yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "no runtime of this config makes workers");
  return 0;
}

#define BUILTIN "builtin:"

static void write_create(struct cli_chat *c, const struct options *o) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr_opt(&w, "worker_id", yoi_sdk_str(o->worker));
  yoi_sdk_jsonw_kstr(&w, "display_name", YOI_LIT("chat"));
  if (o->profile) {
    yoi_sdk_jsonw_kopen(&w, "profile", '{');
    yoi_sdk_jsonw_kstr(&w, "kind", YOI_LIT("builtin"));
    yoi_sdk_jsonw_kstr(&w, "value", yoi_sdk_str(o->profile + sizeof BUILTIN - 1));
    yoi_sdk_jsonw_close(&w, '}');
  }
  yoi_sdk_jsonw_close(&w, '}');
}

/* Asks the runtime for the worker, and shows the answer to scripts. */
static int ask_worker(struct cli_chat *c, uint32_t op, yoi_str body, struct yoi_sdk_buf *out,
                      yoi_error *err) {
  char *text = NULL;
  size_t n = 0;
  yoi_request req = cli_chat_request(c, op, body);
  if (yoi_call_sync(c->host, c->runtime, &req, &text, &n, err) != YOI_OK) return 0;
  yoi_event ev = {.size = sizeof ev, .kind = YOI_EVENT_RESULT, .text = {text, n}};
  if (c->view.json) cli_view_event(&c->view, &ev);
  yoi_sdk_buf_clear(out);
  yoi_sdk_buf_adds(out, ev.text);
  yoi_free(text);
  if (out->failed) yoi_sdk_fail_memory(err);
  return !out->failed;
}

/* One that was made otherwise is joined, unless it was said what it shall be. */
static int make_worker(struct cli_chat *c, const struct options *o, struct yoi_sdk_buf *out,
                       yoi_error *err) {
  write_create(c, o);
  if (!ask_worker(c, YOI_OP_WORKER_CREATE, yoi_sdk_buf_str(&c->body), out, err)) {
    if (err->code != YOI_CODE_WORKER_CONFLICT || o->profile) return 0;
    c->worker = yoi_sdk_str(o->worker);
    if (!ask_worker(c, YOI_OP_WORKER_GET, (yoi_str){0}, out, err)) return 0;
  }
  size_t begin = c->ids.len;
  yoi_str worker = yoi_sdk_json_raw_get(yoi_sdk_buf_str(out), "worker");
  yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(worker, "worker_id"), &c->ids);
  c->worker = (yoi_str){c->ids.data + begin, c->ids.len - begin};
  return 1;
}

/* What goes on in it already, and what it waits for. */
static int join(struct cli_chat *c, struct yoi_sdk_buf *text, yoi_error *err) {
  struct yoi_sdk_jsonw w;
  yoi_str worker = yoi_sdk_json_raw_get(yoi_sdk_buf_str(text), "worker"), each;
  yoi_str state = yoi_sdk_json_raw_get(worker, "state");
  if (!yoi_sdk_str_is(state, "\"running\"") && !yoi_sdk_str_is(state, "\"awaiting_approval\""))
    return 1;
  yoi_sdk_buf_clear(&c->body);
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kraw(&w, "cursor", yoi_sdk_json_raw_get(worker, "cursor"));
  yoi_sdk_jsonw_close(&w, '}');
  if (!ask_worker(c, YOI_OP_WORKER_APPROVALS, (yoi_str){0}, text, err)) return 0;
  yoi_str list = yoi_sdk_json_raw_get(yoi_sdk_buf_str(text), "approvals");
  for (size_t at = 0; yoi_sdk_json_raw_each(list, &at, &each);) cli_calls_ask(&c->calls, each);
  yoi_request req = cli_chat_request(c, YOI_OP_WORKER_EVENTS, yoi_sdk_buf_str(&c->body));
  cli_view_begin(&c->view);
  c->state = CLI_RUNNING;
  return yoi_call(c->host, c->runtime, &req, on_watched, c, &c->watch, err) == YOI_OK;
}

static void greet(struct cli_chat *c, const struct cli_config *config) {
  struct yoi_sdk_buf model;
  if (!c->terminal || !c->view.terminal) return;
  yoi_sdk_buf_init(&model, YOI_CONFIG_BYTES_MAX);
  if (yoi_sdk_str_is(c->runtime, CLI_REMOTE) && cli_remote_is(config->name))
    yoi_sdk_buf_adds(&model, YOI_LIT("what the other host has"));
  else
    cli_config_model(config, &model);
  cli_view_note(&c->view, "model: %.*s; Ctrl-C cancels an answer, Ctrl-D leaves",
                YOI_ARG(yoi_sdk_buf_str(&model)));
  yoi_sdk_buf_release(&model);
}

static int parse(int argc, char **argv, struct options *o) {
  const struct cli_option options[] = {
      {"--url", &o->url, NULL},
      {"--runtime", &o->runtime, NULL},
      {"--worker", &o->worker, NULL},
      {"--profile", &o->profile, NULL},
      {"--json", NULL, &o->json},
  };
  const char **const places[] = {&o->config};
  int code = cli_arguments(argc, argv, options, sizeof options / sizeof *options, places, 1);
  if (code == CLI_OK && o->profile && strncmp(o->profile, BUILTIN, sizeof BUILTIN - 1) != 0)
    return cli_usage_error("'%s' is no profile: it is builtin:NAME", o->profile);
  if (code == CLI_OK && o->url && (o->config || o->runtime))
    return cli_usage_error("'--url' stands for a config and its runtime");
  return code;
}

/* Makes the host, finds a place for the worker, makes it. */
static int open_host(struct cli_chat *c, const struct cli_config *config, const struct options *o) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_buf text;
  int code = cli_step_host(config, &c->host);
  if (code != CLI_OK) return code;
  c->runtime = yoi_sdk_str(o->url ? CLI_REMOTE : o->runtime);
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  int ok = (c->runtime.len > 0 || choose_runtime(c, err)) && make_worker(c, o, &text, err) &&
           join(c, &text, err);
  yoi_sdk_buf_release(&text);
  if (!ok) cli_say_error("cannot make a worker", err);
  return ok ? CLI_OK : CLI_FAILED;
}

int cli_chat(int argc, char **argv) {
  struct cli_chat c = {.state = CLI_IDLE, .signals = -1, .terminal = isatty(STDIN_FILENO)};
  struct cli_config config = {0};
  struct options o = {0};
  int code = parse(argc, argv, &o);
  if (code == CLI_OK)
    code = o.url ? cli_remote_config(o.url, &config) : cli_config_read(o.config, &config, NULL);
  if (code != CLI_OK) return code;
  cli_lines_init(&c.lines, STDIN_FILENO);
  cli_view_init(&c.view, o.json, &c.calls);
  yoi_sdk_buf_init(&c.ids, 2 * YOI_ID_MAX + 1);
  yoi_sdk_buf_init(&c.body, YOI_BODY_BYTES_MAX);
  /* Both ids point into this buffer, which therefore never moves. */
  code = yoi_sdk_buf_reserve(&c.ids, 2 * YOI_ID_MAX) ? CLI_OK : CLI_INTERNAL;
  if (code == CLI_OK) c.signals = cli_signals_open(0);
  if (code == CLI_OK && c.signals < 0) code = CLI_INTERNAL;
  if (code == CLI_OK) code = open_host(&c, &config, &o);
  if (code == CLI_OK) {
    greet(&c, &config);
    code = converse(&c);
    cli_view_fresh_line(&c.view);
  }
  cli_signals_exit_at_once();
  c.state = CLI_LEAVING;
  if (c.host && c.worker.len) yoi_host_drain(c.host, code == CLI_OK ? LEAVE_MS : 0, NULL);
  yoi_host_free(c.host);
  if (c.signals >= 0) close(c.signals);
  yoi_sdk_buf_release(&c.body);
  yoi_sdk_buf_release(&c.ids);
  cli_view_release(&c.view);
  cli_calls_release(&c.calls);
  cli_lines_release(&c.lines);
  cli_config_release(&config);
  return code;
}
