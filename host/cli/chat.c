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

enum state { IDLE, RUNNING, CANCELLING, LEAVING };

struct chat {
  struct yoi_embed *host;
  enum state state;
  int signals;   /* descriptor */
  int signalled; /* the signal that ends it */
  int failed;    /* a turn did not complete */
  int terminal;  /* standard input is one */
  yoi_str runtime, worker;
  struct cli_lines lines;
  struct cli_view view;
  struct yoi_sdk_buf ids, body;
};

static yoi_request request(const struct chat *c, uint32_t op, yoi_str body) {
  return (yoi_request){.size = sizeof(yoi_request), .op = op, .worker_id = c->worker, .body = body};
}

/* ---- a turn ------------------------------------------------------------ */
static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct chat *c = ctx;
  if (ev) {
    cli_view_event(&c->view, ev);
    return;
  }
  if (c->state != LEAVING && st != YOI_END) {
    cli_view_error(&c->view, "the turn was lost", err);
  } else if (c->state != LEAVING && !c->view.ended) {
    cli_view_note(&c->view, "the answer broke off");
  }
  if (!c->view.ok) c->failed = 1;
  if (c->state != LEAVING) c->state = IDLE;
}

static void on_cancel(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct chat *c = ctx;
  if (!ev && st != YOI_END && c->state != LEAVING) {
    cli_view_error(&c->view, "cannot cancel", err);
  }
}

static void say(struct chat *c, const char *text, size_t n) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_clear(&c->body);
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "content", (yoi_str){text, n});
  yoi_sdk_jsonw_close(&w, '}');
  yoi_request req = request(c, YOI_OP_WORKER_INPUT, yoi_sdk_buf_str(&c->body));
  req.flags = YOI_REQ_FOLLOW;
  cli_view_begin(&c->view);
  c->state = RUNNING;
  if (c->body.failed) {
    yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "the input is too large");
  } else if (yoi_call(c->host, c->runtime, &req, on_event, c, NULL, err) == YOI_OK) {
    return;
  }
  cli_view_error(&c->view, "the input was refused", err);
  c->failed = 1;
  c->state = IDLE;
}

static void cancel(struct chat *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_request req = request(c, YOI_OP_WORKER_CANCEL, (yoi_str){0});
  c->state = CANCELLING;
  if (yoi_call(c->host, c->runtime, &req, on_cancel, c, NULL, err) != YOI_OK) {
    cli_view_error(&c->view, "cannot cancel", err);
  }
}

/* ---- the loop ---------------------------------------------------------- */
static void on_signal(struct chat *c, int number) {
  if (number == SIGINT && c->state == RUNNING) {
    cancel(c);
    return;
  }
  c->signalled = number;
  c->state = LEAVING;
}

/* Between turns: the next input, a prompt, or the end. */
static void idle(struct chat *c, int *prompted) {
  char *text;
  size_t n;
  if (cli_lines_take(&c->lines, &text, &n)) {
    *prompted = 0;
    say(c, text, n);
    yoi_sdk_free(text);
  } else if (c->lines.ended) {
    c->state = LEAVING;
  } else if (!*prompted) {
    cli_view_prompt(&c->view);
    *prompted = 1;
  }
}

static int converse(struct chat *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  int prompted = 0, signal_no;
  while (c->state != LEAVING && !c->view.broken) {
    if (c->state == IDLE) idle(c, &prompted);
    if (c->state == LEAVING) break;
    /* A terminal is read during a turn too, for its Ctrl-D. */
    int reads = (c->state == IDLE || c->terminal) && cli_lines_open(&c->lines);
    struct pollfd fds[] = {{.fd = yoi_host_fd(c->host), .events = POLLIN},
                           {.fd = c->signals, .events = POLLIN},
                           {.fd = reads ? c->lines.fd : -1, .events = POLLIN}};
    if (poll(fds, sizeof fds / sizeof *fds, -1) < 0 && errno != EINTR) return CLI_INTERNAL;
    while ((signal_no = cli_signals_take(c->signals)) != 0) on_signal(c, signal_no);
    if (fds[2].revents && !cli_lines_read(&c->lines)) return CLI_INTERNAL;
    if (c->terminal && c->lines.ended && c->state != IDLE) c->state = LEAVING;
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
/* The first runtime that can make workers, as the host lists them. */
static int choose_runtime(struct chat *c, yoi_error *err) {
  char *text = NULL;
  yoi_str each, capability;
  size_t at = 0, n = 0;
  yoi_request req = request(c, YOI_OP_HOST_RUNTIMES, (yoi_str){0});
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

static int make_worker(struct chat *c, const char *worker_id, yoi_error *err) {
  struct yoi_sdk_jsonw w;
  char *text = NULL;
  size_t n = 0;
  yoi_sdk_jsonw_init(&w, &c->body);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr_opt(&w, "worker_id", yoi_sdk_str(worker_id));
  yoi_sdk_jsonw_kstr(&w, "display_name", YOI_LIT("chat"));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_request req = request(c, YOI_OP_WORKER_CREATE, yoi_sdk_buf_str(&c->body));
  if (yoi_call_sync(c->host, c->runtime, &req, &text, &n, err) != YOI_OK) return 0;
  yoi_event made = {.size = sizeof made, .kind = YOI_EVENT_RESULT, .text = {text, n}};
  if (c->view.json) cli_view_event(&c->view, &made);
  size_t begin = c->ids.len;
  yoi_str worker = yoi_sdk_json_raw_get(made.text, "worker");
  yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(worker, "worker_id"), &c->ids);
  c->worker = (yoi_str){c->ids.data + begin, c->ids.len - begin};
  yoi_free(text);
  return 1;
}

static void greet(struct chat *c, const struct cli_config *config) {
  struct yoi_sdk_buf model;
  if (!c->terminal || !c->view.terminal) return;
  yoi_sdk_buf_init(&model, YOI_CONFIG_BYTES_MAX);
  cli_config_model(config, &model);
  cli_view_note(&c->view, "model: %.*s; Ctrl-C cancels an answer, Ctrl-D leaves",
                YOI_ARG(yoi_sdk_buf_str(&model)));
  yoi_sdk_buf_release(&model);
}

struct options {
  const char *config, *runtime, *worker;
  int json;
};

static int parse(int argc, char **argv, struct options *o) {
  for (int i = 1; i < argc; i++) {
    const char **value = !strcmp(argv[i], "--runtime")  ? &o->runtime
                         : !strcmp(argv[i], "--worker") ? &o->worker
                                                        : NULL;
    if (value && i + 1 == argc) return cli_usage_error("'%s' wants a value", argv[i]);
    if (value) {
      *value = argv[++i];
    } else if (!strcmp(argv[i], "--json")) {
      o->json = 1;
    } else if (argv[i][0] == '-') {
      return cli_usage_error("unknown option '%s'", argv[i]);
    } else if (o->config) {
      return cli_usage_error("'%s' is one argument too many", argv[i]);
    } else {
      o->config = argv[i];
    }
  }
  return CLI_OK;
}

/* Makes the host, finds a place for the worker, makes it. */
static int open_host(struct chat *c, const struct cli_config *config, const struct options *o) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, 2 * YOI_CONFIG_BYTES_MAX);
  /* What is wrong with the part that is left out does not matter here; what
   * is wrong elsewhere is said with its place in the file. */
  yoi_status st = cli_config_for_chat(config, &text)
                      ? yoi_host_check(text.data, text.len, config->base_dir, NULL, NULL)
                      : YOI_INVALID_ARGUMENT;
  if (st != YOI_OK && cli_config_findings(config, 1) > 0) {
    yoi_sdk_buf_release(&text);
    return CLI_INVALID;
  }
  if (st != YOI_OK) yoi_sdk_fail_memory(err);
  if (st == YOI_OK) st = yoi_host_new(text.data, text.len, config->base_dir, &c->host, err);
  if (st == YOI_OK) st = yoi_host_start(c->host, err);
  yoi_sdk_buf_release(&text);
  if (st != YOI_OK) {
    cli_say_error("cannot start", err);
    return CLI_FAILED;
  }
  c->runtime = yoi_sdk_str(o->runtime);
  if ((!c->runtime.len && !choose_runtime(c, err)) || !make_worker(c, o->worker, err)) {
    cli_say_error("cannot make a worker", err);
    return CLI_FAILED;
  }
  return CLI_OK;
}

int cli_chat(int argc, char **argv) {
  struct chat c = {.state = IDLE, .signals = -1, .terminal = isatty(STDIN_FILENO)};
  struct cli_config config = {0};
  struct options o = {0};
  int code = parse(argc, argv, &o);
  if (code == CLI_OK) code = cli_config_read(o.config, &config);
  if (code != CLI_OK) return code;
  cli_lines_init(&c.lines, STDIN_FILENO);
  cli_view_init(&c.view, o.json);
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
  c.state = LEAVING;
  if (c.host && c.worker.len) yoi_host_drain(c.host, code == CLI_OK ? LEAVE_MS : 0, NULL);
  yoi_host_free(c.host);
  if (c.signals >= 0) close(c.signals);
  yoi_sdk_buf_release(&c.body);
  yoi_sdk_buf_release(&c.ids);
  cli_view_release(&c.view);
  cli_lines_release(&c.lines);
  cli_config_release(&config);
  return code;
}
