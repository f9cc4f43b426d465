/* tool_host.c - the loop, the tokens and the calls of the host for tools.
 *
 *   start -> LIVE --next: OK--> LIVE (news stays)
 *             |  \--next: AGAIN--> WAITING --wake of its token--> LIVE
 *             +--next: END or an error--> ENDED; next is asked once more
 */
#include "tool_host_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>

#define CALL_MS 60000
#define CALL_TOKEN 0x8000000000000000u /* with the call's id: of its request */

struct tool_host *tool_host_from(const yoi_host *h) {
  return h->ctx;
}

static uint64_t now_ns(clockid_t clock) {
  struct timespec ts;
  TOOL_MUST(clock_gettime(clock, &ts) == 0);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void add(struct tool_text *t, yoi_str s) {
  t->data = realloc(t->data, t->len + s.len + 1);
  TOOL_MUST(t->data != NULL);
  if (s.len) memcpy(t->data + t->len, s.ptr, s.len);
  t->len += s.len;
  t->data[t->len] = 0;
}

static void ring(struct tool_host *th) {
  uint64_t one = 1;
  TOOL_MUST(write(th->bell, &one, sizeof one) == sizeof one);
}

struct tool_named *tool_named(struct tool_named *all, yoi_str name, int add) {
  for (size_t i = 0; i < TOOL_NAMES; i++)
    if (all[i].name[0] && yoi_sdk_str_is(name, all[i].name)) return &all[i];
  if (!add) return NULL;
  struct tool_named *n = all;
  while (n->name[0] && n < all + TOOL_NAMES - 1) n++;
  TOOL_MUST(!n->name[0] && name.len > 0 && name.len < sizeof n->name);
  memcpy(n->name, name.ptr, name.len);
  n->name[name.len] = 0;
  return n;
}

struct tool_call *tool_call_find(struct tool_host *th, uint64_t id) {
  pthread_mutex_lock(&th->mu);
  struct tool_call *c = th->calls;
  while (c && c->id != id) c = c->next;
  pthread_mutex_unlock(&th->mu);
  return c;
}

/* ---- clock and log ---- */

static uint64_t clock_monotonic(const yoi_host *h) {
  (void)h;
  return now_ns(CLOCK_MONOTONIC);
}

static uint64_t clock_wall(const yoi_host *h) {
  uint64_t wall = tool_host_from(h)->wall;
  return wall ? wall : now_ns(CLOCK_REALTIME);
}

void tool_host_wall(struct tool_host *th, uint64_t ns) {
  th->wall = ns;
}

static const yoi_host_clock clock_table = {
    .size = sizeof(yoi_host_clock),
    .monotonic_ns = clock_monotonic,
    .wall_ns = clock_wall,
};

static uint32_t log_enabled(const yoi_host *h, uint32_t level) {
  (void)h;
  return level > YOI_LOG_DEBUG;
}

static void log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str request_id,
                      const yoi_log_field *fields, size_t n) {
  struct tool_host *th = tool_host_from(h);
  (void)request_id;
  if (level <= YOI_LOG_DEBUG) return;
  pthread_mutex_lock(&th->mu);
  add(&th->log, msg);
  for (size_t i = 0; i < n; i++) {
    add(&th->log, YOI_LIT(" "));
    add(&th->log, fields[i].key);
    add(&th->log, YOI_LIT("="));
    add(&th->log, fields[i].value);
  }
  add(&th->log, YOI_LIT("\n"));
  pthread_mutex_unlock(&th->mu);
}

const char *tool_host_log(struct tool_host *th) {
  return th->log.data ? th->log.data : "";
}

static const yoi_host_log log_table = {
    .size = sizeof(yoi_host_log),
    .enabled = log_enabled,
    .write = log_write,
};

/* ---- the loop ---- */

static int on_loop(struct tool_host *th) {
  return pthread_equal(pthread_self(), th->thread);
}

static uint32_t loop_count(const yoi_host *h) {
  (void)h;
  return 1;
}

static uint32_t loop_current(const yoi_host *h) {
  return on_loop(tool_host_from(h)) ? 0 : YOI_NO_LOOP;
}

static yoi_status loop_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  struct tool_host *th = tool_host_from(h);
  TOOL_MUST(loop == 0);
  pthread_mutex_lock(&th->mu);
  yoi_status st = th->closing ? YOI_UNAVAILABLE : YOI_OK;
  if (st == YOI_OK) {
    struct tool_task *t = malloc(sizeof *t), **tail = &th->tasks;
    TOOL_MUST(t != NULL);
    *t = (struct tool_task){.fn = fn, .ctx = ctx};
    while (*tail) tail = &(*tail)->next;
    *tail = t;
  }
  pthread_mutex_unlock(&th->mu);
  ring(th);
  return st;
}

static yoi_status loop_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                             void *ctx, uint64_t *out_id) {
  struct tool_host *th = tool_host_from(h);
  if (!on_loop(th)) return YOI_FAILED_PRECONDITION;
  for (size_t i = 0; i < th->n_watches; i++)
    TOOL_MUST(!th->watches[i].id || th->watches[i].fd != fd);
  th->watches = realloc(th->watches, (th->n_watches + 1) * sizeof *th->watches);
  TOOL_MUST(th->watches != NULL && fd >= 0);
  *out_id = ++th->last_id;
  th->watches[th->n_watches++] = (struct tool_watch){*out_id, fd, interest, fn, ctx};
  return YOI_OK;
}

static struct tool_watch *watch_find(struct tool_host *th, uint64_t id) {
  TOOL_MUST(on_loop(th));
  for (size_t i = 0; i < th->n_watches; i++)
    if (id && th->watches[i].id == id) return &th->watches[i];
  return NULL;
}

static yoi_status loop_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  struct tool_watch *w = watch_find(tool_host_from(h), id);
  if (!w) return YOI_NOT_FOUND;
  w->interest = interest;
  return YOI_OK;
}

/* Its row stays until the step is over, which counts on their places. */
static void loop_unwatch(const yoi_host *h, uint64_t id) {
  struct tool_watch *w = watch_find(tool_host_from(h), id);
  if (w) w->id = 0;
}

static yoi_status loop_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                             uint64_t *out_id) {
  struct tool_host *th = tool_host_from(h);
  if (!on_loop(th)) return YOI_FAILED_PRECONDITION;
  th->timers = realloc(th->timers, (th->n_timers + 1) * sizeof *th->timers);
  TOOL_MUST(th->timers != NULL);
  *out_id = ++th->last_id;
  th->timers[th->n_timers++] = (struct tool_timer){*out_id, at_ns, fn, ctx};
  return YOI_OK;
}

static void loop_timer_cancel(const yoi_host *h, uint64_t id) {
  struct tool_host *th = tool_host_from(h);
  TOOL_MUST(on_loop(th));
  for (size_t i = 0; i < th->n_timers; i++)
    if (th->timers[i].id == id) {
      th->timers[i] = th->timers[--th->n_timers];
      return;
    }
}

static const yoi_host_loop loop_table = {
    .size = sizeof(yoi_host_loop),
    .count = loop_count,
    .current = loop_current,
    .post = loop_post,
    .watch = loop_watch,
    .rewatch = loop_rewatch,
    .unwatch = loop_unwatch,
    .timer = loop_timer,
    .timer_cancel = loop_timer_cancel,
};

/* Only what was posted before: a task that posts itself ends. */
static int run_tasks(struct tool_host *th) {
  pthread_mutex_lock(&th->mu);
  struct tool_task *t = th->tasks;
  th->tasks = NULL;
  pthread_mutex_unlock(&th->mu);
  int ran = t != NULL;
  while (t) {
    struct tool_task *next = t->next;
    t->fn(t->ctx);
    free(t);
    t = next;
  }
  return ran;
}

static int run_timers(struct tool_host *th) {
  int ran = 0;
  for (uint64_t now = now_ns(CLOCK_MONOTONIC);; ran = 1) {
    size_t best = th->n_timers;
    for (size_t i = 0; i < th->n_timers; i++)
      if (th->timers[i].at <= now &&
          (best == th->n_timers || th->timers[i].at < th->timers[best].at))
        best = i;
    if (best == th->n_timers) return ran;
    struct tool_timer t = th->timers[best];
    th->timers[best] = th->timers[--th->n_timers];
    t.fn(t.ctx);
  }
}

/* Milliseconds until the next timer, at most ms. */
static int until_timer(struct tool_host *th, int ms) {
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  for (size_t i = 0; i < th->n_timers; i++) {
    uint64_t left = th->timers[i].at > now ? (th->timers[i].at - now + 999999u) / 1000000u : 0;
    if (left < (uint64_t)ms) ms = (int)left;
  }
  return ms;
}

static int run_watches(struct tool_host *th, int ms) {
  size_t n = th->n_watches, kept = 0;
  int ran = 0;
  struct pollfd *fds = calloc(n + 1, sizeof *fds);
  TOOL_MUST(fds != NULL);
  for (size_t i = 0; i < n; i++) {
    uint32_t interest = th->watches[i].interest;
    fds[i].fd = th->watches[i].fd;
    if (interest & YOI_FD_READ) fds[i].events |= POLLIN;
    if (interest & YOI_FD_WRITE) fds[i].events |= POLLOUT;
  }
  fds[n] = (struct pollfd){.fd = th->bell, .events = POLLIN};
  int ready = poll(fds, n + 1, ms);
  TOOL_MUST(ready >= 0 || errno == EINTR);
  for (size_t i = 0; ready > 0 && i < n; i++) {
    short got = fds[i].revents;
    struct tool_watch w = th->watches[i];
    TOOL_MUST(!w.id || !(got & POLLNVAL)); /* closed before it was unwatched */
    if (!w.id || !got) continue;
    w.fn(w.ctx, w.fd,
         (got & POLLIN ? YOI_FD_READ : 0) | (got & POLLOUT ? YOI_FD_WRITE : 0) |
             (got & (POLLERR | POLLHUP) ? YOI_FD_ERROR : 0));
    ran = 1;
  }
  if (ready > 0 && fds[n].revents) {
    uint64_t rings;
    ran |= read(th->bell, &rings, sizeof rings) > 0;
  }
  free(fds);
  for (size_t i = 0; i < th->n_watches; i++)
    if (th->watches[i].id) th->watches[kept++] = th->watches[i];
  th->n_watches = kept;
  return ran;
}

size_t tool_host_watches(struct tool_host *th) {
  size_t n = 0;
  for (size_t i = 0; i < th->n_watches; i++) n += th->watches[i].id != 0;
  return n;
}

size_t tool_host_timers(struct tool_host *th) {
  return th->n_timers;
}

/* ---- tokens ---- */

static yoi_status token_new(const yoi_host *h, uint64_t cookie, uint64_t *out_token,
                            yoi_error *err) {
  struct tool_host *th = tool_host_from(h);
  size_t i = 0;
  TOOL_MUST(th->table->thread_model == YOI_PARALLEL);
  pthread_mutex_lock(&th->mu);
  while (i < TOOL_TOKENS && th->tokens[i].token) i++;
  if (i < TOOL_TOKENS) {
    th->tokens[i].token = *out_token = ++th->last_id;
    th->tokens[i].cookie = cookie;
  }
  pthread_mutex_unlock(&th->mu);
  if (i < TOOL_TOKENS) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "%d tokens are live", TOOL_TOKENS);
}

static void token_free(const yoi_host *h, uint64_t token) {
  struct tool_host *th = tool_host_from(h);
  pthread_mutex_lock(&th->mu);
  for (size_t i = 0; token && i < TOOL_TOKENS; i++)
    if (th->tokens[i].token == token) th->tokens[i].token = 0;
  pthread_mutex_unlock(&th->mu);
}

static void host_wake(const yoi_host *h, uint64_t token) {
  struct tool_host *th = tool_host_from(h);
  uint64_t cookie = 0;
  int own = 0;
  pthread_mutex_lock(&th->mu);
  for (struct tool_call *c = th->calls; c; c = c->next)
    if (token == (c->id | CALL_TOKEN)) c->news = 1;
  for (size_t i = 0; token && !own && i < TOOL_TOKENS; i++)
    if (th->tokens[i].token == token) own = 1, cookie = th->tokens[i].cookie;
  pthread_mutex_unlock(&th->mu);
  if (own) th->table->wake(th->self, cookie);
  ring(th);
}

/* ---- calls ---- */

/* What a model may read says nothing of where a mount is. */
static void look_at_error(struct tool_host *th, const struct yoi_sdk_error *e) {
  TOOL_MUST(yoi_sdk_utf8_valid(yoi_sdk_str(e->message)));
  for (size_t i = 0; i < TOOL_NAMES; i++) {
    if (!th->mounts[i].name[0]) continue;
    TOOL_MUST(!strstr(e->message, th->mounts[i].value) && !strstr(e->details, th->mounts[i].value));
  }
}

static void take_events(struct tool_call *c, const yoi_event *const *events, size_t n) {
  TOOL_MUST(n >= 1);
  for (size_t i = 0; i < n; i++) {
    TOOL_MUST(events[i]->kind == YOI_EVENT_TOOL_OUTPUT || events[i]->kind == YOI_EVENT_TOOL_STATUS);
    TOOL_MUST(yoi_sdk_utf8_valid(events[i]->text) &&
              (!events[i]->text.len || !memchr(events[i]->text.ptr, 0, events[i]->text.len)));
    if (events[i]->kind == YOI_EVENT_TOOL_OUTPUT) {
      add(&c->output, events[i]->text);
      c->result.n_output++;
    } else {
      add(&c->progress, events[i]->text);
      add(&c->progress, YOI_LIT("\n"));
      c->result.n_progress++;
    }
  }
}

/* One next of a call with news; 1 when it was asked. */
static int call_step(struct tool_call *c) {
  const yoi_event *const *events = NULL;
  struct tool_host *th = c->th;
  size_t n = 0;
  pthread_mutex_lock(&th->mu);
  int news = c->news && !c->ended;
  c->news = 0;
  pthread_mutex_unlock(&th->mu);
  if (!news) return 0;
  yoi_error *err = yoi_sdk_error_init(&c->result.error);
  yoi_status st = c->stream->ops->next(c->stream, &events, &n, err);
  if (st == YOI_OK) {
    take_events(c, events, n);
    pthread_mutex_lock(&th->mu);
    c->news = 1;
    pthread_mutex_unlock(&th->mu);
  } else if (st != YOI_AGAIN) {
    TOOL_MUST(c->stream->ops->next(c->stream, &events, &n, NULL) == st);
    look_at_error(th, &c->result.error);
    c->result.status = st;
    c->ended = 1;
  }
  return 1;
}

int tool_host_step(struct tool_host *th, int ms) {
  int ran = run_tasks(th) | run_timers(th);
  for (struct tool_call *c = th->calls; c; c = c->next) ran |= call_step(c);
  return run_watches(th, ran ? 0 : until_timer(th, ms)) | ran;
}

static void unlink_call(struct tool_call *c) {
  struct tool_host *th = c->th;
  pthread_mutex_lock(&th->mu);
  struct tool_call **at = &th->calls;
  while (*at != c) at = &(*at)->next;
  *at = c->next;
  pthread_mutex_unlock(&th->mu);
}

static void call_end(struct tool_call *c, struct tool_result *out) {
  add(&c->output, (yoi_str){NULL, 0}); /* so that there is one */
  add(&c->progress, (yoi_str){NULL, 0});
  c->result.output = c->output.data;
  c->result.output_len = c->output.len;
  c->result.progress = c->progress.data;
  TOOL_MUST(yoi_sdk_utf8_valid((yoi_str){c->result.output, c->result.output_len}));
  *out = c->result;
  (void)yoi_sdk_error_init(&out->error);
  yoi_sdk_error_copy(&out->error.e, &c->result.error.e);
  if (c->stream) c->stream->ops->release(c->stream);
  unlink_call(c); /* behind the release: until then the call's id is good */
  free(c->grants);
  free(c);
}

static yoi_str borrowed(const char *text) {
  char *copy = strdup(text ? text : "");
  TOOL_MUST(copy != NULL);
  return (yoi_str){copy, strlen(copy)};
}

struct tool_call *tool_call_start(struct tool_host *th, const char *name, const char *arguments,
                                  const char *grants, uint64_t deadline_ms,
                                  struct tool_result *out) {
  struct tool_call *c = calloc(1, sizeof *c);
  TOOL_MUST(c != NULL && th->opened && on_loop(th));
  c->th = th;
  c->news = 1;
  c->id = ++th->last_id;
  c->grants = strdup(grants);
  TOOL_MUST(c->grants != NULL);
  pthread_mutex_lock(&th->mu);
  c->next = th->calls;
  th->calls = c;
  pthread_mutex_unlock(&th->mu);
  yoi_tool_request *req = calloc(1, sizeof *req); /* gone when start returned */
  TOOL_MUST(req != NULL);
  *req = (yoi_tool_request){
      .size = sizeof *req,
      .deadline_ns = now_ns(CLOCK_MONOTONIC) + (deadline_ms ? deadline_ms : CALL_MS) * 1000000u,
      .token = c->id | CALL_TOKEN,
      .call = c->id,
      .name = borrowed(name),
      .arguments = borrowed(arguments),
      .worker_id = borrowed("ada"),
      .idempotency_key = borrowed("0123456789abcdef0123456789abcdef"
                                  "0123456789abcdef0123456789abcdef"),
      .request_id = borrowed("request-1"),
  };
  yoi_error *err = yoi_sdk_error_init(&c->result.error);
  c->result.status = th->table->start(th->self, req, &c->stream, err);
  memset((char *)(uintptr_t)req->arguments.ptr, 'X', req->arguments.len);
  free((char *)(uintptr_t)req->name.ptr);
  free((char *)(uintptr_t)req->arguments.ptr);
  free((char *)(uintptr_t)req->worker_id.ptr);
  free((char *)(uintptr_t)req->idempotency_key.ptr);
  free((char *)(uintptr_t)req->request_id.ptr);
  free(req);
  if (c->result.status == YOI_OK) {
    TOOL_MUST(c->stream != NULL);
    c->result.started = 1;
    return c;
  }
  TOOL_MUST(c->stream == NULL && c->result.status > 0);
  look_at_error(th, &c->result.error);
  c->ended = 1;
  call_end(c, out);
  return NULL;
}

int tool_call_ended(const struct tool_call *c) {
  return c->ended;
}

const struct tool_result *tool_call_result(const struct tool_call *c) {
  return &c->result;
}

/* A cancel is news: the plugin wakes, but a stream may also end by itself. */
void tool_call_cancel(struct tool_call *c) {
  c->stream->ops->cancel(c->stream);
  host_wake(&c->th->host, c->id | CALL_TOKEN);
}

void tool_call_finish(struct tool_call *c, struct tool_result *out) {
  uint64_t last = now_ns(CLOCK_MONOTONIC) + CALL_MS * 1000000ull;
  while (!c->ended) {
    (void)tool_host_step(c->th, 100);
    TOOL_MUST(now_ns(CLOCK_MONOTONIC) < last);
  }
  call_end(c, out);
}

void tool_call_drop(struct tool_call *c) {
  struct tool_result r;
  call_end(c, &r);
  tool_result_release(&r);
}

void tool_host_call(struct tool_host *th, const char *name, const char *arguments,
                    const char *grants, struct tool_result *out) {
  struct tool_call *c = tool_call_start(th, name, arguments, grants, 0, out);
  if (c) tool_call_finish(c, out);
}

void tool_result_release(struct tool_result *r) {
  free(r->output);
  free(r->progress);
  r->output = r->progress = NULL;
}

/* ---- the instance ---- */

static const void *get_interface(const yoi_host *h, yoi_str id) {
  static const struct {
    const char *id;
    const void *table;
  } rows[] = {
      {YOI_HOST_LOG_ID, &log_table},          {YOI_HOST_CLOCK_ID, &clock_table},
      {YOI_HOST_LOOP_ID, &loop_table},        {YOI_HOST_GRANT_ID, &tool_grant_table},
      {YOI_HOST_MOUNT_ID, &tool_mount_table}, {YOI_HOST_NET_ID, &tool_net_table},
  };
  int serial = tool_host_from(h)->table->thread_model != YOI_PARALLEL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (yoi_sdk_str_is(id, rows[i].id) && !(serial && rows[i].table == &loop_table))
      return rows[i].table;
  return NULL;
}

struct tool_host *tool_host_new(const yoi_tool *table) {
  struct tool_host *th = calloc(1, sizeof *th);
  TOOL_MUST(th != NULL && table->size >= sizeof *table);
  th->host = (yoi_host){.size = sizeof th->host,
                        .ctx = th,
                        .get_interface = get_interface,
                        .token_new = token_new,
                        .token_free = token_free,
                        .wake = host_wake};
  th->table = table;
  th->thread = pthread_self();
  th->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  TOOL_MUST(th->bell >= 0 && pthread_mutex_init(&th->mu, NULL) == 0);
  return th;
}

const yoi_host *tool_host_of(struct tool_host *th) {
  return &th->host;
}

yoi_status tool_host_try_open(struct tool_host *th, const char *config, yoi_error *err) {
  yoi_str text = borrowed(config);
  TOOL_MUST(!th->opened);
  yoi_status st = th->table->open(&th->host, text, &th->self, err);
  free((char *)(uintptr_t)text.ptr);
  th->opened = st == YOI_OK;
  return st;
}

void tool_host_open(struct tool_host *th, const char *config) {
  struct yoi_sdk_error e;
  yoi_status st = tool_host_try_open(th, config, yoi_sdk_error_init(&e));
  if (st != YOI_OK) (void)fprintf(stderr, "open: %s\n", e.message);
  TOOL_MUST(st == YOI_OK);
}

void tool_host_free(struct tool_host *th) {
  TOOL_MUST(th->calls == NULL);
  (void)run_tasks(th); /* what releases posted */
  pthread_mutex_lock(&th->mu);
  th->closing = 1;
  pthread_mutex_unlock(&th->mu);
  th->n_watches = th->n_timers = 0; /* rule 4 of host_loop.h */
  if (th->opened && th->table->close) th->table->close(th->self);
  TOOL_MUST(th->tasks == NULL && th->n_watches == 0 && th->n_timers == 0);
  for (size_t i = 0; i < TOOL_TOKENS; i++) TOOL_MUST(th->tokens[i].token == 0);
  for (size_t i = 0; i < TOOL_NAMES; i++) {
    if (th->mounts[i].name[0]) close(th->mounts[i].fd);
    free(th->mounts[i].value);
    free(th->nets[i].value);
    free(th->values[i].value);
  }
  close(th->bell);
  free(th->watches);
  free(th->timers);
  free(th->log.data);
  pthread_mutex_destroy(&th->mu);
  free(th);
}
