/* rig.h - the plugin on libyoi's own loops, against the mock provider, with
 * nothing of a runtime in between.
 *
 *   rig_open(&r, 0, "\"retries\":0");            step mode
 *   struct say *s = rig_say(&r, "mode=text");    starts on loop 0
 *   rig_wait(&r, s); ... s->text, s->kind ...
 *   rig_close(&r);
 *
 * A `say` is a holder: its token wakes a task on its loop, which polls until
 * AGAIN. What it heard is one text, as in test_answer.c.
 */
#ifndef MODEL_OPENAI_RIG_H
#define MODEL_OPENAI_RIG_H

#include <arpa/inet.h>
#include <poll.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoi/host_secret.h>
#include <yoi/plugin.h>

#include "host/loop.h"
#include "plugins/model-openai/oai.h"

#define RIG_SAYS 512

struct rig;
struct say {
  struct rig *rig;
  yoi_stream *stream;
  uint32_t loop;
  char message[512];
  const char *tools, *parameters;
  uint64_t deadline_ns;
  int cancel_at;  /* events after which it cancels, -1 = never */
  int lazy;       /* polls once and then only when told */
  int n_events, n_again;
  _Atomic int wakes, posted;
  _Atomic int done;
  uint32_t last;
  yoi_status st;
  char text[65536];
  size_t len;
  struct yoi_sdk_error e;
  char kind[32];
};

struct rig {
  yoi_host host;
  struct yoi__loops *ls;
  struct yoi__owner owner; /* of the plugin's instance */
  struct yoi__owner holder;
  int step;
  void *self;
  const yoi_model *model;
  pid_t pid;
  int port;
  uint32_t n_says;
  struct say *says[RIG_SAYS];
  char log[8192];
};

/* ---- the host ------------------------------------------------------------ */

static uint32_t rig_count(const yoi_host *h) {
  return yoi__loops_count(((struct rig *)h->ctx)->ls);
}
static uint32_t rig_current(const yoi_host *h) {
  return yoi__loops_current(((struct rig *)h->ctx)->ls);
}
static yoi_status rig_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  struct rig *r = h->ctx;
  return yoi__loop_post(r->ls, &r->owner, loop, fn, ctx);
}
static yoi_status rig_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                            void *ctx, uint64_t *out_id) {
  struct rig *r = h->ctx;
  return yoi__loop_watch(r->ls, &r->owner, fd, interest, fn, ctx, out_id);
}
static yoi_status rig_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  struct rig *r = h->ctx;
  return yoi__loop_rewatch(r->ls, &r->owner, id, interest);
}
static void rig_unwatch(const yoi_host *h, uint64_t id) {
  struct rig *r = h->ctx;
  yoi__loop_unwatch(r->ls, &r->owner, id);
}
static yoi_status rig_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                            uint64_t *out_id) {
  struct rig *r = h->ctx;
  return yoi__loop_timer(r->ls, &r->owner, at_ns, fn, ctx, out_id);
}
static void rig_timer_cancel(const yoi_host *h, uint64_t id) {
  struct rig *r = h->ctx;
  yoi__loop_timer_cancel(r->ls, &r->owner, id);
}
static uint64_t rig_ns(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
static uint64_t rig_monotonic(const yoi_host *h) {
  (void)h;
  return rig_ns(CLOCK_MONOTONIC);
}
static uint64_t rig_wall(const yoi_host *h) {
  (void)h;
  return rig_ns(CLOCK_REALTIME);
}
static uint32_t rig_log_enabled(const yoi_host *h, uint32_t level) {
  (void)h;
  return level > YOI_LOG_DEBUG;
}
static void rig_log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str request_id,
                          const yoi_log_field *fields, size_t n) {
  struct rig *r = h->ctx;
  (void)level, (void)request_id;
  if (!r->step) return;
  size_t have = strlen(r->log);
  have += (size_t)snprintf(r->log + have, sizeof r->log - have, "%.*s", YOI_ARG(msg));
  for (size_t i = 0; i < n && have < 8000; i++)
    have += (size_t)snprintf(r->log + have, sizeof r->log - have, " %.*s=%.*s",
                             YOI_ARG(fields[i].key), YOI_ARG(fields[i].value));
}
static yoi_status rig_secret(const yoi_host *h, yoi_str name, char *buf, size_t cap,
                             size_t *out_len, yoi_error *err) {
  (void)h;
  if (!yoi_sdk_str_is(name, "llm") && !yoi_sdk_str_is(name, "empty") &&
      !yoi_sdk_str_is(name, "bad"))
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "secret '%.*s' has no value", YOI_ARG(name));
  const char *value = yoi_sdk_str_is(name, "llm")   ? "sk-canary-1234\n"
                      : yoi_sdk_str_is(name, "bad") ? "sk\r\nX-Evil: 1"
                                                    : "";
  *out_len = strlen(value);
  assert_true(*out_len <= cap);
  memcpy(buf, value, *out_len);
  return YOI_OK;
}

static const void *rig_get(const yoi_host *h, yoi_str id) {
  static const yoi_host_loop loop = {
      .size = sizeof loop, .count = rig_count, .current = rig_current, .post = rig_post,
      .watch = rig_watch, .rewatch = rig_rewatch, .unwatch = rig_unwatch, .timer = rig_timer,
      .timer_cancel = rig_timer_cancel};
  static const yoi_host_clock clock = {
      .size = sizeof clock, .monotonic_ns = rig_monotonic, .wall_ns = rig_wall};
  static const yoi_host_log log = {
      .size = sizeof log, .enabled = rig_log_enabled, .write = rig_log_write};
  static const yoi_host_secret secret = {.size = sizeof secret, .get = rig_secret};
  (void)h;
  return yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)     ? (const void *)&loop
         : yoi_sdk_str_is(id, YOI_HOST_CLOCK_ID)  ? (const void *)&clock
         : yoi_sdk_str_is(id, YOI_HOST_LOG_ID)    ? (const void *)&log
         : yoi_sdk_str_is(id, YOI_HOST_SECRET_ID) ? (const void *)&secret
                                                  : NULL;
}

/* ---- a holder ------------------------------------------------------------- */

static void say_note(struct say *s, const yoi_event *e) {
  static const char letters[] = "TRCUF";
  uint32_t kind = e->kind - YOI_EVENT_MODEL_TEXT;
  assert_true(kind < 5);
  s->n_events++;
  if (s->len + e->text.len + 8 > sizeof s->text) return;
  if (kind >= 2 || e->kind != s->last)
    s->len += (size_t)snprintf(s->text + s->len, 8, "%s%c:", s->len ? " " : "", letters[kind]);
  memcpy(s->text + s->len, e->text.ptr, e->text.len);
  s->text[s->len += e->text.len] = '\0';
  s->last = e->kind;
}

static void say_end(struct say *s, yoi_status st) {
  const char *kind = strstr(s->e.details, "\"kind\":\"");
  s->st = st;
  if (st > 0 && kind)
    snprintf(s->kind, sizeof s->kind, "%.*s", (int)strcspn(kind + 8, "\""), kind + 8);
  if (s->stream) s->stream->ops->release(s->stream);
  s->stream = NULL;
  s->done = 1;
}

static void say_poll(void *ctx) {
  struct say *s = ctx;
  s->posted = 0;
  while (s->stream) {
    const yoi_event *const *evs;
    size_t n;
    yoi_status st = s->stream->ops->next(s->stream, &evs, &n, yoi_sdk_error_init(&s->e));
    if (st == YOI_AGAIN) {
      s->n_again++;
      return;
    }
    if (st != YOI_OK) {
      const yoi_event *const *none;
      size_t zero;
      /* Final answers are sticky. */
      assert_int_equal(s->stream->ops->next(s->stream, &none, &zero, NULL), st);
      say_end(s, st);
      return;
    }
    for (size_t i = 0; i < n; i++) say_note(s, evs[i]);
    if (s->cancel_at >= 0 && s->n_events >= s->cancel_at) {
      s->cancel_at = -1;
      s->stream->ops->cancel(s->stream);
    }
    if (s->lazy) return;
  }
}

static void say_begin(void *ctx) {
  struct say *s = ctx;
  char json[700];
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, sizeof json);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "role", YOI_LIT("user"));
  yoi_sdk_jsonw_kstr(&w, "content", yoi_sdk_str(s->message));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_str message = yoi_sdk_buf_str(&b);
  yoi_model_request req = {
      .size = sizeof req,
      .token = (uint64_t)(uintptr_t)s,
      .deadline_ns = s->deadline_ns,
      .request_id = YOI_LIT("req-7"),
      .trace = YOI_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
      .messages = &message,
      .n_messages = 1,
      .tools = yoi_sdk_str(s->tools),
      .parameters = yoi_sdk_str(s->parameters),
  };
  yoi_status st = s->rig->model->start(s->rig->self, &req, &s->stream, yoi_sdk_error_init(&s->e));
  yoi_sdk_buf_release(&b);
  if (st != YOI_OK)
    say_end(s, st);
  else
    say_poll(s);
}

static void rig_wake(const yoi_host *h, uint64_t token) {
  struct rig *r = h->ctx;
  struct say *s = (struct say *)(uintptr_t)token;
  s->wakes++;
  if (!s->lazy && !atomic_exchange(&s->posted, 1))
    (void)yoi__loop_post(r->ls, &r->holder, s->loop, say_poll, s);
}

static struct say *rig_say_on(struct rig *r, uint32_t loop, const char *message) {
  assert_true(r->n_says < RIG_SAYS);
  struct say *s = calloc(1, sizeof *s);
  assert_non_null(s);
  r->says[r->n_says++] = s;
  s->rig = r;
  s->loop = loop;
  s->cancel_at = -1;
  snprintf(s->message, sizeof s->message, "%s", message);
  return s;
}

static void rig_go(struct say *s) {
  assert_int_equal(yoi__loop_post(s->rig->ls, &s->rig->holder, s->loop, say_begin, s), YOI_OK);
}

static struct say *rig_say(struct rig *r, const char *message) {
  struct say *s = rig_say_on(r, 0, message);
  rig_go(s);
  return s;
}

/* Steps (or waits) until *flag is set; 10 s are a failure. */
static void rig_until(struct rig *r, _Atomic int *flag) {
  uint64_t until = rig_ns(CLOCK_MONOTONIC) + 20000000000u;
  while (!*flag && rig_ns(CLOCK_MONOTONIC) < until) {
    if (r->step)
      yoi__loops_step(r->ls, 100);
    else
      poll(NULL, 0, 1); /* threads run; there is nothing to wait on */
  }
  assert_true(*flag);
}

static void rig_wait(struct rig *r, struct say *s) {
  rig_until(r, &s->done);
}

/* ---- the provider ----------------------------------------------------------- */

static void rig_provider(struct rig *r, const char *const *args) {
  const char *build = getenv("YOI_BUILD");
  char path[1024];
  const char *argv[8] = {path};
  int fds[2], n = 1;
  snprintf(path, sizeof path, "%s/tests/mock/provider", build ? build : "build");
  for (; args && *args && n < 7; args++) argv[n++] = *args;
  assert_int_equal(pipe(fds), 0);
  r->pid = fork();
  if (r->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when a test fails */
    dup2(fds[1], 1);
    close(fds[0]);
    execv(path, (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(fds[1]);
  char line[64] = "";
  size_t len = 0;
  while (!strchr(line, '\n')) {
    ssize_t got = read(fds[0], line + len, sizeof line - 1 - len);
    assert_true(got > 0);
    line[len += (size_t)got] = '\0';
  }
  close(fds[0]);
  r->port = (int)strtol(line + strlen("listening "), NULL, 10);
  assert_true(r->port > 0);
}

/* GET path of the mock; the body. */
static void rig_get_text(struct rig *r, const char *path, char *out, size_t cap) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port)};
  char request[256];
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
  int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n\r\n", path);
  assert_int_equal(send(fd, request, (size_t)n, MSG_NOSIGNAL), n);
  size_t len = 0;
  char *body = NULL;
  for (;;) {
    out[len] = '\0';
    body = strstr(out, "\r\n\r\n");
    const char *cl = strstr(out, "Content-Length: ");
    if (body && cl && strlen(body + 4) >= strtoul(cl + 16, NULL, 10)) break;
    ssize_t got = recv(fd, out + len, cap - 1 - len, 0);
    assert_true(got > 0);
    len += (size_t)got;
  }
  close(fd);
  memmove(out, body + 4, strlen(body + 4) + 1);
}

static uint64_t rig_stat(struct rig *r, const char *name) {
  char text[1024], key[64];
  rig_get_text(r, "/stats", text, sizeof text);
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = strstr(text, key);
  assert_non_null(at);
  return strtoull(at + strlen(key), NULL, 10);
}

/* Until a count of the mock is n; 5 s are a failure. */
static void rig_until_stat(struct rig *r, const char *name, uint64_t n) {
  uint64_t until = rig_ns(CLOCK_MONOTONIC) + 5000000000u;
  while (rig_stat(r, name) != n && rig_ns(CLOCK_MONOTONIC) < until)
    if (r->step) yoi__loops_step(r->ls, 10);
  assert_int_equal(rig_stat(r, name), n);
}

/* ---- open and close ------------------------------------------------------------ */

static yoi_status rig_try_open(struct rig *r, const char *config, yoi_error *err) {
  r->model = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_MODEL_ID));
  assert_non_null(r->model);
  return r->model->open(&r->host, yoi_sdk_str(config), &r->self, err);
}

static void rig_loops(struct rig *r, uint32_t threads) {
  memset(r, 0, sizeof *r);
  r->step = threads == 0;
  r->host = (yoi_host){
      .size = sizeof r->host, .ctx = r, .get_interface = rig_get, .wake = rig_wake};
  assert_int_equal(yoi__loops_new(threads ? threads : 1, r->step, &r->ls, NULL), YOI_OK);
  assert_int_equal(yoi__loops_start(r->ls, NULL), YOI_OK);
}

/* threads 0: one loop in step mode. more: members of the config. */
static void rig_open_with(struct rig *r, uint32_t threads, const char *more,
                          const char *const *args) {
  char config[2048];
  struct yoi_sdk_error e;
  rig_loops(r, threads);
  rig_provider(r, args);
  snprintf(config, sizeof config, "{\"base_url\":\"http://127.0.0.1:%d/v1\"%s%s}", r->port,
           *more ? "," : "", more);
  yoi_status st = rig_try_open(r, config, yoi_sdk_error_init(&e));
  if (st != YOI_OK) print_message("%s (%s)\n", e.message, e.private_detail);
  assert_int_equal(st, YOI_OK);
}

static void rig_open(struct rig *r, uint32_t threads, const char *more) {
  rig_open_with(r, threads, more, NULL);
}

static void rig_close(struct rig *r) {
  yoi__loops_purge(r->ls, &r->owner);
  if (r->self) r->model->close(r->self);
  yoi__loops_purge(r->ls, &r->holder);
  yoi__loops_free(r->ls);
  if (r->pid > 0) {
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
  }
  for (uint32_t i = 0; i < r->n_says; i++) free(r->says[i]);
}

#endif
