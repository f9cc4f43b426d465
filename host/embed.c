/* host/embed.c - a host from its config to its end; the verbs of yoi.h.
 *
 *   start:  secrets -> loops and control thread -> policies -> runtimes
 *             -> ingresses
 *   free:   calls -> ingresses -> runtimes -> models, tools, policies -> threads
 *             -> memory
 *
 * Policies, runtimes and ingresses open at start, models and tools at first use. When a start
 * fails, what was opened is closed in the order of free, and the host is as
 * new.
 */
#include <sched.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bundle_sync.h"
#include "call.h"
#include "clock.h"
#include "given.h"
#include "host.h"
#include "ingress.h"
#include "late.h"
#include "model.h"
#include "policy.h"
#include "process.h"
#include "sockets.h"
#include "strand.h"
#include "stream.h"
#include "told.h"
#include "tool.h"
#include "turn.h"

#define STDERR 2
#define WAIT_STEP_MS 1000 /* how long a wait in step mode sleeps at most */

/* ---- waiting ----------------------------------------------------------- */

static yoi_status step_once(struct yoi_embed *host, int timeout_ms) {
  if (yoi__control_step(host->control) > 0) timeout_ms = 0;
  yoi_status st = yoi__loops_step(host->loops, timeout_ms);
  (void)yoi__control_step(host->control);
  return st;
}

static int wait_stepping(struct yoi_embed *host, int (*done)(void *ctx), void *ctx,
                         uint64_t until_ns) {
  for (;;) {
    if (done(ctx)) return 1;
    uint64_t now = yoi__now_ns();
    if (now >= until_ns) return 0;
    uint64_t left = (until_ns - now) / YOI__MS + 1;
    if (step_once(host, left < WAIT_STEP_MS ? (int)left : WAIT_STEP_MS) == YOI_OK) continue;
    if (yoi__loops_inside(host->loops)) return 0;
    sched_yield(); /* against the rule another thread steps, and does the work */
  }
}

int yoi__host_wait(struct yoi_embed *host, int (*done)(void *ctx), void *ctx, uint64_t until_ns) {
  int ok = 0;
  atomic_fetch_add(&host->waiters, 1u);
  if (host->step) {
    ok = wait_stepping(host, done, ctx, until_ns);
  } else {
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                             .tv_nsec = (long)(until_ns % 1000000000u)};
    pthread_mutex_lock(&host->idle_lock);
    int waited = 0;
    while (!(ok = done(ctx)) && waited == 0)
      waited = until_ns == UINT64_MAX
                   ? pthread_cond_wait(&host->idle, &host->idle_lock)
                   : pthread_cond_timedwait(&host->idle, &host->idle_lock, &until);
    pthread_mutex_unlock(&host->idle_lock);
  }
  atomic_fetch_sub(&host->waiters, 1u);
  return ok;
}

void yoi__host_notify(struct yoi_embed *host) {
  if (atomic_load(&host->waiters) == 0) return;
  if (host->step) {
    yoi__loops_wakeup(host->loops);
    return;
  }
  pthread_mutex_lock(&host->idle_lock);
  pthread_cond_broadcast(&host->idle);
  pthread_mutex_unlock(&host->idle_lock);
}

/* process-wide: how many forks lie between the first host's process and this one */
static _Atomic uint32_t forks;
static _Atomic int forks_are_seen; /* process-wide, as the handler is */

static void count_fork(void) {
  atomic_fetch_add(&forks, 1u);
}

/* 1: they are counted from here on. Twice would count by two, which is as good. */
static int see_forks(void) {
  if (!atomic_load(&forks_are_seen) && pthread_atfork(NULL, NULL, count_fork) == 0)
    atomic_store(&forks_are_seen, 1);
  return atomic_load(&forks_are_seen);
}

int yoi__host_here(const struct yoi_embed *host) {
  return host->forks == atomic_load_explicit(&forks, memory_order_relaxed);
}

yoi_status yoi__host_mine(const struct yoi_embed *host, yoi_error *err) {
  if (yoi__host_here(host)) return YOI_OK;
  (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                     "the host belongs to another process: this one was forked from it");
  return YOI_FAILED_PRECONDITION;
}

/* ---- new --------------------------------------------------------------- */

static yoi_status make_counters(struct yoi_embed *host) {
  uint32_t build = 0;
  const struct {
    uint32_t type;
    const char *name, *help, *label, *value;
    uint32_t *id;
  } all[] = {
      {YOI_METRIC_COUNTER, "yoi_wakes_stale_total", "Wakes of tokens that were freed.", NULL, NULL,
       &host->counters.wakes_stale},
      {YOI_METRIC_COUNTER, "yoi_log_dropped_total", "Log lines lost to a slow sink.", NULL, NULL,
       &host->counters.log_dropped},
      {YOI_METRIC_HISTOGRAM, "yoi_loop_lag_seconds", "How late timers of the event loops ran.",
       NULL, NULL, &host->counters.loop_lag},
      {YOI_METRIC_GAUGE, "yoi_plugins_mapped", "Plugins whose code is in the process.", NULL, NULL,
       &host->counters.plugins_mapped},
      {YOI_METRIC_COUNTER, "yoi_reloads_total", "Reloads of the config, by how they ended.",
       "result", "ok", &host->counters.reloads_ok},
      {YOI_METRIC_COUNTER, "yoi_reloads_total", "Reloads of the config, by how they ended.",
       "result", "refused", &host->counters.reloads_refused},
      {YOI_METRIC_GAUGE, "yoi_config_generation", "Which config of this process is in force.", NULL,
       NULL, &host->counters.generation},
      {YOI_METRIC_GAUGE, "yoi_build_info", "Always 1; its label is the version.", "version",
       yoi_version(), &build},
  };
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < sizeof all / sizeof *all && st == YOI_OK; i++)
    st = yoi__metrics_make_one(host->metrics, all[i].type, yoi_sdk_str(all[i].name),
                               yoi_sdk_str(all[i].help), yoi_sdk_str(all[i].label),
                               yoi_sdk_str(all[i].value), all[i].id);
  yoi__metrics_set(host->metrics, build, 1);
  yoi__metrics_set(host->metrics, host->counters.generation, 1);
  if (st == YOI_OK) st = yoi__model_counters(host);
  return st == YOI_OK ? yoi__tool_counters(host) : st;
}

static void host_release(struct yoi_embed *host) {
  yoi__calls_free(host->calls);
  yoi__puts_free(host->puts);
  yoi__registry_release(&host->registry);
  yoi__given_free(host->given);
  yoi__tokens_free(host->tokens);
  yoi__log_free(host->log);
  yoi__told_free(host->told);
  yoi__turns_free(host->turns);
  yoi__setups_free(host);
  yoi__metrics_free(host->metrics); /* instances that are freed are counted out */
  yoi__sockets_free(host->sockets);
  if (host->wake >= 0) close(host->wake);
  pthread_cond_destroy(&host->idle);
  pthread_mutex_destroy(&host->idle_lock);
  yoi_sdk_free(host);
}

yoi_status yoi__host_of(struct yoi__config *config, struct yoi_embed **out, yoi_error *err) {
  struct yoi_embed *host = yoi_sdk_calloc(1, sizeof *host);
  if (host == NULL) return yoi_sdk_fail_memory(err);
  host->step = config->step;
  host->wake = config->step ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
  host->forks = atomic_load(&forks);
  host->scrub = yoi__secrets_scrub(config->secrets);
  pthread_mutex_init(&host->idle_lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&host->idle, &monotonic);
  pthread_condattr_destroy(&monotonic);
  host->began_ns = yoi__process_began_ns();
  host->metrics = yoi__metrics_new();
  if (!see_forks() || host->metrics == NULL || make_counters(host) != YOI_OK) goto memory;
  host->log = yoi__log_new(STDERR, config->log_level, config->log_format,
                           yoi__metrics_cell(host->metrics, host->counters.log_dropped));
  host->tokens = yoi__tokens_new(yoi__metrics_cell(host->metrics, host->counters.wakes_stale));
  host->given = yoi__given_new();
  host->calls = yoi__calls_new(host);
  host->puts = yoi__puts_new();
  host->told = yoi__told_new();
  host->turns = yoi__turns_new();
  struct yoi__setup *setup = yoi__setup_new(host, config);
  if (setup != NULL) yoi__setup_switch(setup);
  if (setup == NULL || host->told == NULL || host->turns == NULL || host->log == NULL ||
      host->tokens == NULL || host->given == NULL || host->calls == NULL || host->puts == NULL)
    goto memory;
  yoi__log_scrub(host->log, host->scrub);
  if (yoi__registry_init(&host->registry) != YOI_OK) goto memory;
  if (config->step && host->wake < 0) {
    host_release(host);
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot make a host: out of descriptors");
    return YOI_RESOURCE_EXHAUSTED;
  }
  *out = host;
  return YOI_OK;
memory:
  host_release(host);
  return yoi_sdk_fail_memory(err);
}

yoi_status yoi_host_check(const char *json, size_t len, const char *base_dir, yoi_report_fn report,
                          void *ctx) {
  return yoi__config_load((yoi_str){json, len}, base_dir, report, ctx, NULL, NULL);
}

yoi_status yoi_default_config(char **out_text, size_t *out_len, yoi_error *err) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, YOI_CONFIG_BYTES_MAX);
  yoi__config_default(&text);
  size_t len = 0;
  *out_text = text.failed == 0 ? yoi_sdk_buf_take(&text, &len) : NULL;
  yoi_sdk_buf_release(&text);
  if (*out_text == NULL) return yoi_sdk_fail_memory(err);
  if (out_len != NULL) *out_len = len;
  return YOI_OK;
}

const char *yoi_version(void) {
  return "1.0.0";
}

/* ---- start ------------------------------------------------------------- */

yoi_status yoi__cannot(struct yoi__instance *in, const char *what, yoi_status st,
                       struct yoi_sdk_error *e, yoi_error *err) {
  char private_detail[YOI_ERROR_PRIVATE_MAX];
  char message[YOI_ERROR_MESSAGE_MAX];
  yoi__scrub_error(in->top->scrub, &e->e);
  (void)snprintf(private_detail, sizeof private_detail, "%s", e->private_detail);
  st = yoi__public_error(in, (yoi_str){0}, st, &e->e);
  (void)snprintf(message, sizeof message, "%s", e->message);
  (void)yoi_sdk_fail(err, e->e.code, "cannot %s %s '%.*s': %s", what,
                     yoi__kind_name(in->plugin->manifest.kind), YOI_ARG(in->name), message);
  yoi_sdk_fail_private(err, "%s", private_detail);
  return st;
}

struct opening {
  struct yoi_embed *host;
  yoi_error *err;
  yoi_status st;
};

/* [main] */
static void open_all(void *ctx) {
  struct opening *o = ctx;
  struct yoi_embed *host = o->host;
  const struct yoi__config *c = host->config;
  o->st = yoi__setup_fill(atomic_load(&host->setup), NULL, o->err);
  for (size_t i = 0; i < c->n_runtimes && o->st == YOI_OK; i++)
    o->st = yoi__runtime_open(host, &c->runtimes[i], NULL, o->err);
  for (size_t i = 0; i < c->n_ingress && o->st == YOI_OK; i++) {
    host->ingress[i] =
        yoi__instance_new(host, host->config, &c->ingress[i].instance, c->ingress[i].listen);
    o->st = host->ingress[i] == NULL ? yoi_sdk_fail_memory(o->err)
                                     : yoi__ingress_open(host->ingress[i], &c->ingress[i], NULL,
                                                         &host->bound[i], o->err);
    if (o->st == YOI_OK)
      o->st = yoi__ingress_start(host->ingress[i], &c->ingress[i], &host->bound[i], o->err);
  }
  /* What was opened may have asked for a model: none opens while all is undone,
   * least of all when the queue is emptied and the loops are gone. */
  if (o->st != YOI_OK) atomic_store(&host->phase, YOI__FREEING);
}

/* ---- stop -------------------------------------------------------------- */

static int is_stuck(const struct yoi__instance *in) {
  uint32_t state = atomic_load(&in->state);
  return state == YOI__OPEN || state == YOI__SHUT;
}

static void close_one(void *ctx, struct yoi__instance *in) {
  struct opening *o = ctx;
  if (in == NULL) return;
  yoi__instance_close(in);
  if (is_stuck(in)) o->st = YOI_INTERNAL;
}

/* [main] Ingresses hold streams of runtimes, runtimes those of models. Sets
 * the flag when one could not be closed. */
static void close_all(void *ctx) {
  struct opening *o = ctx;
  struct yoi_embed *host = o->host;
  const struct yoi__config *c = host->config;
  struct yoi__instance *in = NULL;
  for (size_t i = 0; host->ingress != NULL && i < c->n_ingress; i++) {
    close_one(o, host->ingress[i]);
    yoi__bound_close(&host->bound[i]); /* what a failed open left, and the file */
  }
  for (size_t i = 0; (in = yoi__registry_at(&host->registry, i)) != NULL; i++) close_one(o, in);
  for (in = host->left; in != NULL; in = in->next) close_one(o, in);
  yoi__setups_each(host, close_one, o);
  yoi__pools_stop(host);
}

static void free_list(struct yoi__instance **list) {
  while (*list != NULL) {
    struct yoi__instance *in = *list;
    *list = in->next;
    yoi__instance_free(in);
  }
}

/* 0: a plugin still holds on to what would be freed, so nothing is. */
static int stop_all(struct yoi_embed *host) {
  struct opening o = {.host = host};
  if (host->control != NULL) yoi__control_run(host->control, close_all, &o);
  if (o.st != YOI_OK) return 0;
  yoi__loops_free(host->loops);
  yoi__control_free(host->control);
  host->loops = NULL;
  host->control = NULL;
  yoi__drain_free(host->drain);
  host->drain = NULL;
  struct yoi__instance *in = NULL;
  for (size_t i = 0; (in = yoi__registry_at(&host->registry, i)) != NULL; i++)
    yoi__instance_free(in);
  free_list(&host->left);
  free_list(&host->stuck);
  yoi__setups_clear(host);
  free_list(&host->spare);
  for (size_t i = 0; host->ingress != NULL && i < host->config->n_ingress; i++)
    yoi__instance_free(host->ingress[i]);
  yoi_sdk_free(host->ingress);
  yoi_sdk_free(host->bound);
  host->ingress = NULL;
  host->bound = NULL;
  yoi__registry_clear(&host->registry);
  yoi__pools_free(host);
  return 1;
}

static uint32_t cores(void) {
  cpu_set_t set;
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return n > 0 ? (uint32_t)n : 1;
}

static yoi_status start_threads(struct yoi_embed *host, yoi_error *err) {
  const struct yoi__config *c = host->config;
  yoi_status st = yoi__loops_new(c->loops != 0 ? c->loops : cores(), c->step, &host->loops, err);
  if (st == YOI_OK && c->step) st = yoi__loops_wake_on(host->loops, host->wake, err);
  if (st == YOI_OK) yoi__loops_measure(host->loops, host->metrics, host->counters.loop_lag);
  if (st == YOI_OK) st = yoi__loops_start(host->loops, err);
  if (st == YOI_OK) st = yoi__control_new(c->step ? host->loops : NULL, &host->control, err);
  return st;
}

/* Who connects there waits, and nobody comes. */
static void log_unused(struct yoi_embed *host, const struct yoi__socket *s) {
  for (size_t i = 0; i < host->config->n_ingress; i++)
    if (host->config->ingress[i].socket == s) return;
  yoi__log_host(host->log, YOI_LOG_WARN, "socket is not used",
                &(yoi_log_field){YOI_LIT("name"), yoi_sdk_str(s->name)}, 1);
}

/* A plugin that was found and not taken is worth a warning, since somebody may
 * wait for it; where it lies and why is for the debug level. */
void yoi__log_passed(struct yoi_embed *host) {
  int debug = yoi__log_enabled(host->log, YOI_LOG_DEBUG);
  const struct yoi__passed *p;
  for (size_t i = 0; (p = yoi__catalogue_passed(host->config->plugins, i)) != NULL; i++) {
    const yoi_log_field fields[] = {
        {YOI_LIT("id"), p->id}, {YOI_LIT("path"), p->path}, {YOI_LIT("reason"), p->reason}};
    if (p->id.len > 0)
      yoi__log_host(host->log, YOI_LOG_WARN, "plugin passed over", fields, debug ? 3 : 1);
    else if (debug)
      yoi__log_host(host->log, YOI_LOG_DEBUG, "passed over", fields + 1, 2);
  }
  for (size_t i = 0; host->sockets != NULL && i < host->sockets->n; i++)
    log_unused(host, &host->sockets->all[i]);
}

/* Symbols of an application come before those of libraries: one that brings
 * its own cJSON is what everything here reads its configs with. */
static void log_json_library(struct yoi_embed *host) {
  const char *found, *built, *object = yoi_sdk_json_object();
  if (yoi_sdk_json_library(&found, &built) && object[0] == '\0') return;
  yoi__log_host(host->log, YOI_LOG_WARN, "another cJSON than this was built for is in the process",
                (yoi_log_field[]){{YOI_LIT("found"), yoi_sdk_str(found)},
                                  {YOI_LIT("expected"), yoi_sdk_str(built)},
                                  {YOI_LIT("object"), yoi_sdk_str(object)}},
                object[0] != '\0' ? 3 : 2);
}

yoi_status yoi_host_start(struct yoi_embed *host, yoi_error *err) {
  uint32_t fresh = YOI__NEW;
  yoi_status st = yoi__host_mine(host, err);
  if (st != YOI_OK) return st;
  if (!atomic_compare_exchange_strong(&host->phase, &fresh, YOI__STARTING)) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the host is started already");
    return YOI_FAILED_PRECONDITION;
  }
  atomic_store(&host->stepper, yoi__thread());
  struct opening o = {.host = host, .err = err};
  const struct yoi__config *c = host->config;
  yoi__log_passed(host);
  log_json_library(host);
  o.st = yoi__config_read_secrets(host->config, err);
  if (o.st == YOI_OK) {
    yoi__warn_short(host);
    yoi__warn_unset(host);
    host->ingress = yoi_sdk_calloc(c->n_ingress + 1, sizeof *host->ingress);
    host->bound = yoi_sdk_calloc(c->n_ingress + 1, sizeof *host->bound);
    if (host->ingress == NULL || host->bound == NULL) o.st = yoi_sdk_fail_memory(err);
  }
  if (o.st == YOI_OK) o.st = start_threads(host, err);
  if (o.st == YOI_OK) yoi__control_run(host->control, open_all, &o);
  if (o.st != YOI_OK) {
    int undone = stop_all(host); /* which needs no memory */
    atomic_store(&host->phase, undone ? YOI__NEW : YOI__STARTING);
    return o.st;
  }
  atomic_store(&host->phase, YOI__READY);
  yoi__log_host(host->log, YOI_LOG_INFO, "ready", NULL, 0);
  return YOI_OK;
}

/* What a plugin still holds on to is not freed, which was logged: a leak is safer
 * than a crash. But the application is through with the host, and frees what its
 * log works on. */
void yoi_host_free(struct yoi_embed *host) {
  if (host == NULL || !yoi__host_here(host)) return;
  uint32_t phase = atomic_exchange(&host->phase, YOI__FREEING);
  int free_it = phase != YOI__STARTING; /* a failed start that could not be undone */
  if (phase >= YOI__READY) {
    yoi__calls_end(host->calls);
    free_it = stop_all(host);
  }
  if (free_it)
    host_release(host);
  else
    yoi__log_silence(host->log);
}

/* ---- step mode --------------------------------------------------------- */

int yoi_host_fd(const struct yoi_embed *host) {
  return host->loops == NULL || !yoi__host_here(host) ? -1 : yoi__loops_fd(host->loops);
}

yoi_status yoi_host_step(struct yoi_embed *host, int timeout_ms, yoi_error *err) {
  yoi_status st = yoi__host_mine(host, err);
  if (st != YOI_OK) return st;
  if (!host->step || host->loops == NULL || host->control == NULL) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                       host->step ? "the host is not started" : "the host runs its own threads");
    return YOI_FAILED_PRECONDITION;
  }
  if (yoi__loops_inside(host->loops)) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a callback may not step");
    return YOI_FAILED_PRECONDITION;
  }
  st = step_once(host, timeout_ms);
  if (st == YOI_OK)
    atomic_store(&host->stepper, yoi__thread());
  else
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "another thread steps the host now");
  return st;
}

/* In signal handlers too, also while a start is undone: what it touches is there as
 * long as the host. */
void yoi_host_wakeup(struct yoi_embed *host) {
  uint64_t one = 1;
  if (host->wake < 0 || !yoi__host_here(host)) return;
  ssize_t n = write(host->wake, &one, sizeof one); /* a full counter is as readable as any */
  (void)n;
}
