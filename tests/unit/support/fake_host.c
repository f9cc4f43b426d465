/* fake_host.c - loops, timers, clocks, tokens, counters and a log in memory.
 *
 * One mutex guards all of it; nothing of others is called under it. The
 * models stand in fake_model.c, the tools in fake_tool.c. A fake host is for
 * tests: it aborts where a host would answer an error that no test asks for.
 */
#include "fake_host_impl.h"

#include <assert.h>
#include <errno.h>
#include <sdk/str.h>
#include <yoi/host_clock.h>
#include <yoi/host_grant.h>
#include <yoi/host_log.h>
#include <yoi/host_metrics.h>
#include <yoi/host_model.h>

#include "fake_tool.h"

static _Thread_local uint32_t this_loop = YOI_NO_LOOP;

void *fake_grow(void *p, size_t n, size_t size) {
  void *q = realloc(p, n * size);
  if (!q) abort();
  return q;
}

char *fake_dup(yoi_str s) {
  char *p = fake_grow(NULL, s.len + 1, 1);
  if (s.len) memcpy(p, s.ptr, s.len);
  p[s.len] = 0;
  return p;
}

struct fake_host *fake_of(const yoi_host *h) {
  return h->ctx;
}

/* ---- loops ---- */

static uint32_t loop_count(const yoi_host *h) {
  return fake_of(h)->n_loops;
}

static uint32_t loop_current(const yoi_host *h) {
  (void)h;
  return this_loop;
}

void fake_host_enter(uint32_t loop) {
  this_loop = loop;
}

static yoi_status loop_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  struct fake_host *fh = fake_of(h);
  assert(loop < fh->n_loops);
  pthread_mutex_lock(&fh->mu);
  yoi_status st = fh->closed ? YOI_UNAVAILABLE : YOI_OK;
  if (fh->fail_post > 0 && --fh->fail_post == 0) st = YOI_RESOURCE_EXHAUSTED;
  if (st == YOI_OK) {
    struct fake_task *t = fake_grow(NULL, 1, sizeof *t);
    *t = (struct fake_task){.fn = fn, .ctx = ctx};
    struct fake_task **tail = &fh->loops[loop].tasks;
    while (*tail) tail = &(*tail)->next;
    *tail = t;
    pthread_cond_broadcast(&fh->news);
  }
  pthread_mutex_unlock(&fh->mu);
  return st;
}

static yoi_status no_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                           void *ctx, uint64_t *out_id) {
  (void)h, (void)fd, (void)interest, (void)fn, (void)ctx, (void)out_id;
  return YOI_UNIMPLEMENTED;
}

static yoi_status no_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  (void)h, (void)id, (void)interest;
  return YOI_UNIMPLEMENTED;
}

static void no_unwatch(const yoi_host *h, uint64_t id) {
  (void)h, (void)id;
}

static yoi_status loop_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                             uint64_t *out_id) {
  struct fake_host *fh = fake_of(h);
  if (this_loop == YOI_NO_LOOP) return YOI_FAILED_PRECONDITION;
  pthread_mutex_lock(&fh->mu);
  yoi_status st = fh->closed ? YOI_UNAVAILABLE : YOI_OK;
  if (fh->fail_timer > 0 && --fh->fail_timer == 0) st = YOI_RESOURCE_EXHAUSTED;
  if (st == YOI_OK) {
    fh->timers = fake_grow(fh->timers, fh->n_timers + 1, sizeof *fh->timers);
    fh->timers[fh->n_timers++] = (struct fake_timer){
        .id = ++fh->last_id, .at = at_ns, .fn = fn, .ctx = ctx, .loop = this_loop};
    *out_id = fh->last_id;
  }
  pthread_mutex_unlock(&fh->mu);
  return st;
}

static void loop_timer_cancel(const yoi_host *h, uint64_t id) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  for (size_t i = 0; i < fh->n_timers; i++) {
    if (fh->timers[i].id != id) continue;
    assert(fh->timers[i].loop == this_loop);
    fh->timers[i] = fh->timers[--fh->n_timers];
    break;
  }
  pthread_mutex_unlock(&fh->mu);
}

static const yoi_host_loop loop_table = {
    .size = sizeof(yoi_host_loop),
    .count = loop_count,
    .current = loop_current,
    .post = loop_post,
    .watch = no_watch,
    .rewatch = no_rewatch,
    .unwatch = no_unwatch,
    .timer = loop_timer,
    .timer_cancel = loop_timer_cancel,
};

/* Takes a post, else the earliest due timer, of a loop. Called locked. */
static int take(struct fake_host *fh, uint32_t loop, struct fake_task *out) {
  struct fake_task *t = fh->loops[loop].tasks;
  if (t) {
    fh->loops[loop].tasks = t->next;
    *out = *t;
    free(t);
    return 1;
  }
  size_t best = fh->n_timers;
  for (size_t i = 0; i < fh->n_timers; i++)
    if (fh->timers[i].loop == loop && fh->timers[i].at <= fh->now &&
        (best == fh->n_timers || fh->timers[i].at < fh->timers[best].at))
      best = i;
  if (best == fh->n_timers) return 0;
  *out = (struct fake_task){.fn = fh->timers[best].fn, .ctx = fh->timers[best].ctx};
  fh->timers[best] = fh->timers[--fh->n_timers];
  return 1;
}

int fake_host_step(struct fake_host *fh, uint32_t loop) {
  struct fake_task t;
  pthread_mutex_lock(&fh->mu);
  int some = take(fh, loop, &t);
  pthread_mutex_unlock(&fh->mu);
  if (!some) return 0;
  uint32_t before = this_loop;
  this_loop = loop;
  t.fn(t.ctx);
  this_loop = before;
  return 1;
}

size_t fake_host_run(struct fake_host *fh) {
  size_t n = 0, round;
  do {
    round = 0;
    for (uint32_t i = 0; i < fh->n_loops; i++) round += (size_t)fake_host_step(fh, i);
    n += round;
    assert(n < 1000000);
  } while (round > 0);
  return n;
}

void fake_host_advance(struct fake_host *fh, uint64_t ms) {
  pthread_mutex_lock(&fh->mu);
  uint64_t end = fh->now + ms * 1000000u;
  for (;;) {
    uint64_t next = end;
    for (size_t i = 0; i < fh->n_timers; i++)
      if (fh->timers[i].at < next) next = fh->timers[i].at;
    if (next > fh->now) fh->now = next;
    pthread_cond_broadcast(&fh->news);
    pthread_mutex_unlock(&fh->mu);
    if (!fh->threaded) (void)fake_host_run(fh);
    pthread_mutex_lock(&fh->mu);
    if (fh->now >= end || fh->threaded) break;
  }
  fh->now = end;
  pthread_cond_broadcast(&fh->news);
  pthread_mutex_unlock(&fh->mu);
}

void fake_host_jump(struct fake_host *fh, uint64_t ms) {
  pthread_mutex_lock(&fh->mu);
  fh->now += ms * 1000000u;
  pthread_cond_broadcast(&fh->news);
  pthread_mutex_unlock(&fh->mu);
}

uint64_t fake_host_now(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  uint64_t now = fh->now;
  pthread_mutex_unlock(&fh->mu);
  return now;
}

size_t fake_host_timers(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  size_t n = fh->n_timers;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

void fake_host_fail_post(struct fake_host *fh, uint64_t n) {
  pthread_mutex_lock(&fh->mu);
  fh->fail_post = n;
  pthread_mutex_unlock(&fh->mu);
}

void fake_host_fail_timer(struct fake_host *fh, uint64_t n) {
  pthread_mutex_lock(&fh->mu);
  fh->fail_timer = n;
  pthread_mutex_unlock(&fh->mu);
}

static void *loop_thread(void *ctx) {
  struct fake_loop *loop = ctx;
  struct fake_host *fh = loop->fh;
  this_loop = (uint32_t)(loop - fh->loops);
  struct fake_task t;
  pthread_mutex_lock(&fh->mu);
  while (fh->threaded) {
    if (!take(fh, this_loop, &t)) {
      pthread_cond_wait(&fh->news, &fh->mu);
      continue;
    }
    pthread_mutex_unlock(&fh->mu);
    t.fn(t.ctx);
    pthread_mutex_lock(&fh->mu);
  }
  pthread_mutex_unlock(&fh->mu);
  return NULL;
}

void fake_host_threads(struct fake_host *fh) {
  fh->threaded = true;
  for (uint32_t i = 0; i < fh->n_loops; i++) {
    int rc = pthread_create(&fh->loops[i].thread, NULL, loop_thread, &fh->loops[i]);
    assert(rc == 0);
  }
}

void fake_host_threads_stop(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  fh->threaded = false;
  pthread_cond_broadcast(&fh->news);
  pthread_mutex_unlock(&fh->mu);
  for (uint32_t i = 0; i < fh->n_loops; i++) pthread_join(fh->loops[i].thread, NULL);
}

/* ---- clocks ---- */

static uint64_t clock_mono(const yoi_host *h) {
  return fake_host_now(fake_of(h));
}

static uint64_t clock_wall(const yoi_host *h) {
  return fake_host_now(fake_of(h)) + FAKE_WALL_OFFSET;
}

static const yoi_host_clock clock_table = {
    .size = sizeof(yoi_host_clock),
    .monotonic_ns = clock_mono,
    .wall_ns = clock_wall,
};

/* ---- tokens: index + 1 in the low half, generation in the high one ---- */

static uint64_t token_make(struct fake_host *fh, bool of_test, uint64_t cookie) {
  pthread_mutex_lock(&fh->mu);
  size_t i = 0;
  while (i < fh->n_tokens && fh->tokens[i].live) i++;
  if (i == fh->n_tokens) {
    fh->tokens = fake_grow(fh->tokens, i + 1, sizeof *fh->tokens);
    fh->tokens[fh->n_tokens++] = (struct fake_token){0};
  }
  uint32_t gen = fh->tokens[i].gen + 1;
  fh->tokens[i] =
      (struct fake_token){.live = true, .of_test = of_test, .cookie = cookie, .gen = gen};
  pthread_mutex_unlock(&fh->mu);
  return (uint64_t)gen << 32 | (uint64_t)(i + 1);
}

/* Called locked. */
static struct fake_token *token_find(struct fake_host *fh, uint64_t token) {
  size_t i = (size_t)(token & UINT32_MAX);
  if (i == 0 || i > fh->n_tokens) return NULL;
  struct fake_token *t = &fh->tokens[i - 1];
  return t->live && t->gen == (uint32_t)(token >> 32) ? t : NULL;
}

static yoi_status host_token_new(const yoi_host *h, uint64_t cookie, uint64_t *out,
                                 yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  (void)err;
  pthread_mutex_lock(&fh->mu);
  void (*on_token)(void *) = fh->on_token;
  void *ctx = fh->on_next_ctx;
  fh->on_token = NULL;
  pthread_mutex_unlock(&fh->mu);
  if (on_token) on_token(ctx);
  *out = token_make(fh, false, cookie);
  return YOI_OK;
}

void fake_host_on_token(struct fake_host *fh, void (*fn)(void *ctx), void *ctx) {
  pthread_mutex_lock(&fh->mu);
  fh->on_token = fn;
  fh->on_next_ctx = ctx;
  pthread_mutex_unlock(&fh->mu);
}

static void host_token_free(const yoi_host *h, uint64_t token) {
  fake_token_free(fake_of(h), token);
}

static void host_wake(const yoi_host *h, uint64_t token) {
  struct fake_host *fh = fake_of(h);
  if (token == 0) return;
  pthread_mutex_lock(&fh->mu);
  struct fake_token *t = token_find(fh, token);
  void (*wake)(void *, uint64_t) = NULL;
  uint64_t cookie = 0;
  if (!t) {
    fh->stale++;
  } else if (t->of_test) {
    t->wakes++;
    pthread_cond_broadcast(&fh->news);
  } else {
    wake = fh->holder_wake;
    cookie = t->cookie;
  }
  pthread_mutex_unlock(&fh->mu);
  if (wake) wake(fh->holder, cookie);
}

uint64_t fake_token(struct fake_host *fh) {
  return token_make(fh, true, 0);
}

void fake_token_free(struct fake_host *fh, uint64_t token) {
  pthread_mutex_lock(&fh->mu);
  struct fake_token *t = token_find(fh, token);
  if (t) t->live = false;
  pthread_mutex_unlock(&fh->mu);
}

uint32_t fake_token_wakes(struct fake_host *fh, uint64_t token) {
  pthread_mutex_lock(&fh->mu);
  struct fake_token *t = token_find(fh, token);
  assert(t);
  uint32_t n = t->wakes;
  t->wakes = 0;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

int fake_token_wait(struct fake_host *fh, uint64_t token, uint32_t ms) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += ms / 1000;
  until.tv_nsec += (long)(ms % 1000) * 1000000L;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  pthread_mutex_lock(&fh->mu);
  int rc = 0;
  while (token_find(fh, token)->wakes == 0 && rc != ETIMEDOUT)
    rc = pthread_cond_timedwait(&fh->news, &fh->mu, &until);
  uint32_t n = token_find(fh, token)->wakes;
  token_find(fh, token)->wakes = 0;
  pthread_mutex_unlock(&fh->mu);
  return n > 0;
}

uint64_t fake_host_stale_wakes(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  uint64_t n = fh->stale;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

size_t fake_host_tokens(struct fake_host *fh) {
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (size_t i = 0; i < fh->n_tokens; i++) n += fh->tokens[i].live && !fh->tokens[i].of_test;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

/* ---- metrics and log ---- */

/* By its name and the values of its labels, parted by commas. */
static yoi_status metrics_make(const yoi_host *h, const yoi_metric *metric, uint32_t *out_id) {
  struct fake_host *fh = fake_of(h);
  char value[256] = "";
  size_t at = 0;
  for (size_t k = 0; k < metric->n_labels; k++)
    at += (size_t)snprintf(value + at, sizeof value - at, "%s%.*s", k > 0 ? "," : "",
                           YOI_ARG(metric->labels[k].value));
  pthread_mutex_lock(&fh->mu);
  size_t i = 0;
  while (i < fh->n_metrics && !(yoi_sdk_str_is(metric->name, fh->metrics[i].name) &&
                                strcmp(value, fh->metrics[i].value) == 0))
    i++;
  if (i == fh->n_metrics) {
    fh->metrics = fake_grow(fh->metrics, i + 1, sizeof *fh->metrics);
    fh->metrics[fh->n_metrics++] =
        (struct fake_metric){.name = fake_dup(metric->name), .value = fake_dup(yoi_sdk_str(value))};
  }
  *out_id = (uint32_t)i + 1;
  pthread_mutex_unlock(&fh->mu);
  return YOI_OK;
}

static yoi_status metrics_counter(const yoi_host *h, yoi_str name, yoi_str help, yoi_str label,
                                  yoi_str value, uint32_t *out_id) {
  const yoi_metric_label one = {label, value};
  const yoi_metric metric = {sizeof metric, YOI_METRIC_COUNTER, name, help, &one, label.len > 0};
  return metrics_make(h, &metric, out_id);
}

static void metrics_move(const yoi_host *h, uint32_t id, uint64_t n, uint64_t ns) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  if (id > 0) {
    fh->metrics[id - 1].n += n;
    fh->metrics[id - 1].ns += ns;
  }
  pthread_mutex_unlock(&fh->mu);
}

static void metrics_add(const yoi_host *h, uint32_t id, uint64_t n) {
  metrics_move(h, id, n, 0);
}

static void metrics_sub(const yoi_host *h, uint32_t id, uint64_t n) {
  metrics_move(h, id, 0u - n, 0);
}

static void metrics_set(const yoi_host *h, uint32_t id, uint64_t n) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  if (id > 0) fh->metrics[id - 1].n = n;
  pthread_mutex_unlock(&fh->mu);
}

static void metrics_observe(const yoi_host *h, uint32_t id, uint64_t ns) {
  metrics_move(h, id, 1, ns);
}

static const yoi_host_metrics metrics_table = {
    .size = sizeof(yoi_host_metrics),
    .counter = metrics_counter,
    .add = metrics_add,
    .make = metrics_make,
    .sub = metrics_sub,
    .set = metrics_set,
    .observe = metrics_observe,
};

static struct fake_metric metric_of(struct fake_host *fh, const char *name, const char *value) {
  struct fake_metric found = {0};
  pthread_mutex_lock(&fh->mu);
  for (size_t i = 0; i < fh->n_metrics; i++)
    if (strcmp(fh->metrics[i].name, name) == 0 && strcmp(fh->metrics[i].value, value) == 0)
      found = fh->metrics[i];
  pthread_mutex_unlock(&fh->mu);
  return found;
}

uint64_t fake_metric(struct fake_host *fh, const char *name, const char *value) {
  return metric_of(fh, name, value).n;
}

uint64_t fake_metric_ns(struct fake_host *fh, const char *name, const char *value) {
  return metric_of(fh, name, value).ns;
}

static uint32_t log_enabled(const yoi_host *h, uint32_t level) {
  (void)h;
  return level > YOI_LOG_DEBUG;
}

static void log_add(struct fake_host *fh, const char *before, yoi_str s) {
  size_t n = strlen(before);
  fh->log = fake_grow(fh->log, fh->log_len + n + s.len + 1, 1);
  memcpy(fh->log + fh->log_len, before, n);
  if (s.len) memcpy(fh->log + fh->log_len + n, s.ptr, s.len);
  fh->log_len += n + s.len;
  fh->log[fh->log_len] = 0;
}

static void log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str request_id,
                      const yoi_log_field *fields, size_t n) {
  struct fake_host *fh = fake_of(h);
  (void)request_id;
  if (level <= YOI_LOG_DEBUG) return;
  pthread_mutex_lock(&fh->mu);
  log_add(fh, "", msg);
  for (size_t i = 0; i < n; i++) {
    log_add(fh, " ", fields[i].key);
    log_add(fh, "=", fields[i].value);
  }
  log_add(fh, "\n", (yoi_str){0});
  pthread_mutex_unlock(&fh->mu);
}

static const yoi_host_log log_table = {
    .size = sizeof(yoi_host_log),
    .enabled = log_enabled,
    .write = log_write,
};

const char *fake_log(struct fake_host *fh) {
  return fh->log ? fh->log : "";
}

/* ---- the host ---- */

static const void *host_get_interface(const yoi_host *h, yoi_str id) {
  (void)h;
  if (yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)) return &loop_table;
  if (yoi_sdk_str_is(id, YOI_HOST_CLOCK_ID)) return &clock_table;
  if (yoi_sdk_str_is(id, YOI_HOST_METRICS_ID)) return &metrics_table;
  if (yoi_sdk_str_is(id, YOI_HOST_LOG_ID)) return &log_table;
  if (yoi_sdk_str_is(id, YOI_HOST_MODEL_ID)) return &fake_model_table;
  if (yoi_sdk_str_is(id, YOI_HOST_TOOL_ID)) return &fake_tool_table;
  if (yoi_sdk_str_is(id, YOI_HOST_GRANT_ID)) return &fake_grant_table;
  return NULL;
}

struct fake_host *fake_host_new(uint32_t loops) {
  struct fake_host *fh = fake_grow(NULL, 1, sizeof *fh);
  *fh = (struct fake_host){.n_loops = loops, .now = 1000000000u};
  pthread_mutex_init(&fh->mu, NULL);
  pthread_cond_init(&fh->news, NULL);
  fh->loops = fake_grow(NULL, loops, sizeof *fh->loops);
  for (uint32_t i = 0; i < loops; i++) fh->loops[i] = (struct fake_loop){.fh = fh};
  fh->host = (yoi_host){
      .size = sizeof(yoi_host),
      .ctx = fh,
      .get_interface = host_get_interface,
      .token_new = host_token_new,
      .token_free = host_token_free,
      .wake = host_wake,
  };
  return fh;
}

const yoi_host *fake_host_instance(struct fake_host *fh) {
  return &fh->host;
}

void fake_host_holder(struct fake_host *fh, void (*wake)(void *self, uint64_t cookie), void *self) {
  pthread_mutex_lock(&fh->mu);
  fh->holder_wake = wake;
  fh->holder = self;
  pthread_mutex_unlock(&fh->mu);
}

void fake_host_close(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  fh->closed = true;
  fh->holder_wake = NULL;
  fh->n_timers = 0;
  for (uint32_t i = 0; i < fh->n_loops; i++)
    while (fh->loops[i].tasks) {
      struct fake_task *t = fh->loops[i].tasks;
      fh->loops[i].tasks = t->next;
      free(t);
    }
  pthread_mutex_unlock(&fh->mu);
}

void fake_host_reopen(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  fh->closed = false;
  pthread_mutex_unlock(&fh->mu);
}

void fake_host_free(struct fake_host *fh) {
  assert(fake_model_live(fh) == 0);
  assert(fake_tool_live(fh) == 0);
  assert(fake_host_tokens(fh) == 0);
  assert(fh->n_timers == 0);
  for (uint32_t i = 0; i < fh->n_loops; i++) assert(!fh->loops[i].tasks);
  fake_model_clear(fh);
  fake_tool_clear(fh);
  for (size_t i = 0; i < fh->n_metrics; i++) {
    free(fh->metrics[i].name);
    free(fh->metrics[i].value);
  }
  free(fh->metrics);
  free(fh->tokens);
  free(fh->timers);
  free(fh->loops);
  free(fh->log);
  pthread_cond_destroy(&fh->news);
  pthread_mutex_destroy(&fh->mu);
  free(fh);
}
