/* engine.c - opens and closes a runtime, and tells its operations apart.
 *
 *   open -> start, wake (any thread) -> drain -> close
 *
 * At close the host has taken away every timer and post, every stream of
 * ours is released and no wake comes; what is left is memory: the store's
 * unfinished tickets, turns that will never run again, the workers.
 */
#include "engine.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>

#include "load.h"
#include "op.h"
#include "queue.h"

/* ---- host ---- */

void eng_log(const struct eng_engine *eng, uint32_t level, yoi_str msg, yoi_str request_id,
             const yoi_log_field *fields, size_t n) {
  if (eng->log && eng->log->enabled(eng->host, level))
    eng->log->write(eng->host, level, msg, request_id, fields, n);
}

uint64_t eng_mono(const struct eng_engine *eng) {
  return eng->clock->monotonic_ns(eng->host);
}

uint64_t eng_wall(const struct eng_engine *eng) {
  return eng->clock->wall_ns(eng->host);
}

static void make_metrics(struct eng_engine *eng) {
  const struct yoi_sdk_metrics *m = &eng->metrics;
  struct eng_metrics *x = &eng->metric;
  static const char *const ended[ENG_ENDED_COUNT] = {
      [ENG_COMPLETED] = "completed",
      [ENG_FAILED] = "failed",
      [ENG_CANCELLED] = "cancelled",
      [ENG_INTERRUPTED] = "interrupted",
  };
  static const char *const ends[ENG_END_COUNT] = {
#define ROW(sym, name, code, retry) [ENG_END_##sym] = name,
      ENG_ENDS(ROW)
#undef ROW
  };
  const struct {
    uint32_t *id, type;
    const char *name, *help, *kind;
  } rows[] = {
      {&x->events, YOI_METRIC_COUNTER, "yoi_events_total",
       "Events of all workers, each counted once.", NULL},
      {&x->tokens_in, YOI_METRIC_COUNTER, "yoi_model_tokens_total",
       "Tokens that models said they were given and gave.", "input"},
      {&x->tokens_out, YOI_METRIC_COUNTER, "yoi_model_tokens_total",
       "Tokens that models said they were given and gave.", "output"},
      {&x->loads, YOI_METRIC_COUNTER, "yoi_worker_loads_total",
       "Workers whose records were read since they were needed.", NULL},
      {&x->expired, YOI_METRIC_COUNTER, "yoi_workers_expired_total",
       "Stopped workers that were removed since they are kept no longer.", NULL},
      {&x->load_time, YOI_METRIC_HISTOGRAM, "yoi_worker_load_seconds",
       "From the first need of a worker that slept until it was there.", NULL},
      {&x->awake, YOI_METRIC_GAUGE, "yoi_workers_awake", "Workers that are in memory whole.", NULL},
      {&x->workers, YOI_METRIC_GAUGE, "yoi_workers", "Workers that there are.", NULL},
      {&x->watchers, YOI_METRIC_GAUGE, "yoi_watchers", "Event streams of workers.", NULL},
      {&x->running, YOI_METRIC_GAUGE, "yoi_turns_running", "Turns in progress.", NULL},
      {&x->turn_time, YOI_METRIC_HISTOGRAM, "yoi_turn_duration_seconds",
       "From an input's arrival to the end of its turn.", NULL},
      {&x->queue_time, YOI_METRIC_HISTOGRAM, "yoi_turn_queue_seconds",
       "From an input's arrival to its turn's first step.", NULL},
      {&x->first_delta, YOI_METRIC_HISTOGRAM, "yoi_model_first_delta_seconds",
       "From a step's beginning to the first its model says.", NULL},
      {&x->append_time, YOI_METRIC_HISTOGRAM, "yoi_store_append_seconds",
       "How long appends to histories took.", NULL},
  };
  for (size_t i = 0; i < ENG_ENDED_COUNT; i++)
    x->turns[i] = yoi_sdk_metric(m, YOI_METRIC_COUNTER, "yoi_turns_total",
                                 "Turns that ended, by state.", YOI_SDK_LABELS("state", ended[i]));
  for (size_t i = 0; i < ENG_END_COUNT; i++)
    x->ends[i] = yoi_sdk_metric(m, YOI_METRIC_COUNTER, "yoi_watchers_ended_total",
                                "Event streams that a runtime ended, by reason.",
                                YOI_SDK_LABELS("reason", ends[i]));
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    *rows[i].id = yoi_sdk_metric(m, rows[i].type, rows[i].name, rows[i].help,
                                 rows[i].kind ? YOI_SDK_LABELS("kind", rows[i].kind) : NULL);
}

/* ---- limits ---- */

static yoi_status read_limits(struct eng_engine *eng, yoi_str config, yoi_error *err) {
  uint64_t history = eng->options.history_max;
  if (history == 0) history = YOI_HISTORY_BYTES_MAX;
  const struct {
    const char *name;
    uint64_t *out;
    uint64_t max, standard;
  } rows[] = {
      {"workers", &eng->limits.workers, YOI_WORKERS_MAX, YOI_WORKERS_MAX},
      {"input_bytes", &eng->limits.input_bytes, YOI_INPUT_BYTES_MAX, YOI_INPUT_BYTES_MAX},
      {"queued_inputs", &eng->limits.queued_inputs, YOI_QUEUED_INPUTS_MAX, YOI_QUEUED_INPUTS_MAX},
      {"history_bytes", &eng->limits.history_bytes, history, history},
      {"transcript_items", &eng->limits.transcript_items, YOI_TRANSCRIPT_ITEMS_MAX,
       YOI_TRANSCRIPT_ITEMS_MAX},
      {"watchers", &eng->limits.watchers, YOI_WATCHERS_MAX, YOI_WATCHERS_MAX},
      {"loaded_workers", &eng->limits.loaded_workers, YOI_LOADED_WORKERS_MAX,
       YOI_LOADED_WORKERS_DEFAULT},
  };
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  if (config.len == 0) config = YOI_LIT("{}");
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
  const yoi_sdk_json *limits = yoi_sdk_json_get(tree, "limits");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const yoi_sdk_json *v = yoi_sdk_json_get(limits, rows[i].name);
    int64_t n = (int64_t)rows[i].standard;
    if (v && (!yoi_sdk_json_int(v, &n) || n < 1 || (uint64_t)n > rows[i].max))
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the limit '%s' is not within 1 and %llu",
                        rows[i].name, (unsigned long long)rows[i].max);
    *rows[i].out = (uint64_t)n;
  }
  yoi_sdk_json_free(tree);
  return st;
}

/* ---- life ---- */

static yoi_status find_host(struct eng_engine *eng, yoi_error *err) {
  const yoi_host *h = eng->host;
  eng->loop = yoi_sdk_host_get(h, YOI_HOST_LOOP_ID, sizeof *eng->loop);
  eng->clock = yoi_sdk_host_get(h, YOI_HOST_CLOCK_ID, sizeof *eng->clock);
  eng->models = yoi_sdk_host_get(h, YOI_HOST_MODEL_ID, sizeof *eng->models);
  eng->log = yoi_sdk_host_get(h, YOI_HOST_LOG_ID, sizeof *eng->log);
  eng->tools = yoi_sdk_host_get(h, YOI_HOST_TOOL_ID, sizeof *eng->tools);
  eng->grants = yoi_sdk_host_get(h, YOI_HOST_GRANT_ID, sizeof *eng->grants);
  eng->turns = yoi_sdk_host_get(h, YOI_HOST_TURN_ID, sizeof *eng->turns);
  eng->metrics = yoi_sdk_metrics_of(h);
  if (eng->loop && eng->clock && eng->models) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no loops, clocks or models");
}

/* What the store names. */
struct census {
  struct eng_engine *eng;
  bool busy, short_of_memory;
};

static void on_found(void *ctx, const struct eng_found *f) {
  struct census *c = ctx;
  struct eng_engine *eng = c->eng;
  yoi_status st = YOI_INVALID_ARGUMENT;
  struct eng_worker *w = NULL;
  if (yoi_sdk_id_valid(f->worker_id) && f->mark <= ENG_MARK_CORRUPT) {
    w = eng_worker_found(eng, f);
    st = w ? eng_enlist(eng, w) : YOI_RESOURCE_EXHAUSTED;
  }
  if (st == YOI_RESOURCE_EXHAUSTED) c->short_of_memory = true;
  if (st == YOI_OK && f->mark == ENG_MARK_BUSY) c->busy = true;
  if (st == YOI_INVALID_ARGUMENT || st == YOI_ALREADY_EXISTS)
    eng_log(eng, YOI_LOG_ERROR, YOI_LIT("a store named what is no worker, or one twice"),
            (yoi_str){0}, NULL, 0);
  if (!w) eng->store->ops->log_free(eng->store, f->log);
  eng_worker_unref(w);
}

static void load_busy(void *ctx) {
  eng_load_busy(ctx);
}

static yoi_status find_workers(struct eng_engine *eng, yoi_error *err) {
  struct census c = {.eng = eng};
  if (!eng->sleeps) return YOI_OK;
  yoi_status st = eng->store->ops->open(eng->store, on_found, &c, err);
  if (st == YOI_OK) st = eng_bundles_open(eng, err);
  if (st == YOI_OK && c.short_of_memory) st = yoi_sdk_fail_memory(err);
  /* Others may still be opened: loops run when the host is ready for it. */
  if (st == YOI_OK && c.busy && eng->loop->post(eng->host, 0, load_busy, eng) != YOI_OK)
    st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK && eng_expire_begin(eng) != YOI_OK) st = yoi_sdk_fail_memory(err);
  return st;
}

yoi_status eng_open(const yoi_host *host, yoi_str config, const struct eng_options *options,
                    void **out_self, yoi_error *err) {
  if (!options->store) return yoi_sdk_fail_memory(err);
  struct eng_engine *eng = yoi_sdk_calloc(1, sizeof *eng);
  if (!eng) {
    options->store->ops->close(options->store);
    return yoi_sdk_fail_memory(err);
  }
  eng->host = host;
  eng->options = *options;
  eng->store = options->store;
  eng->durable = yoi_sdk_str_is(options->state_kind, "durable");
  eng->sleeps = eng->store->ops->open != NULL;
  yoi_status st = find_host(eng, err);
  if (st == YOI_OK) st = read_limits(eng, config, err);
  if (st == YOI_OK &&
      (!eng_directory_init(&eng->directory) || !yoi_sdk_uuid7(eng_wall(eng), eng->instance_id)))
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "there is no randomness");
  if (st == YOI_OK) {
    const struct eng_around around = {
        host, eng->models, eng->tools, eng->grants,
        yoi_sdk_host_get(host, YOI_HOST_PLUGIN_ID, sizeof *around.plugins)};
    st = eng_specs_init(&eng->specs, &around, options->builtin, err);
  }
  if (st != YOI_OK) {
    eng->store->ops->close(eng->store);
    yoi_sdk_free(eng);
    return st;
  }
  eng_bundles_init(&eng->bundles);
  pthread_mutex_init(&eng->dir_mu, NULL);
  pthread_mutex_init(&eng->slots.mu, NULL);
  pthread_mutex_init(&eng->keep.mu, NULL);
  pthread_mutex_init(&eng->uses.mu, NULL);
  pthread_mutex_init(&eng->loads.mu, NULL);
  make_metrics(eng);
  st = find_workers(eng, err);
  if (st != YOI_OK) {
    eng_close(eng);
    return st;
  }
  *out_self = eng;
  return YOI_OK;
}

/* A page of all workers, without references; 0: those were all. */
static size_t next_workers(struct eng_engine *eng, yoi_str behind, struct eng_entry **out) {
  const struct eng_entry *seen;
  int more;
  return eng_directory_page(&eng->directory, behind, NULL, NULL, out, YOI_LIST_LIMIT_MAX, SIZE_MAX,
                            &seen, &more);
}

/* Operations that wait may hold a turn, and those that wait for a load have
 * not begun. */
static void close_waiting(struct eng_engine *eng) {
  struct eng_entry *entries[YOI_LIST_LIMIT_MAX];
  yoi_str behind = {0};
  for (size_t n; (n = next_workers(eng, behind, entries)) > 0; behind = entries[n - 1]->id)
    for (size_t i = 0; i < n; i++) {
      struct eng_worker *w = (struct eng_worker *)entries[i];
      w->n_waiting = 0;
      while (w->waiting) {
        struct eng_op *op = w->waiting;
        w->waiting = op->next;
        eng_op_unref(op);
      }
      if (w->load) eng_load_drop(w->load);
    }
}

static void close_turns(struct eng_engine *eng) {
  for (uint32_t i = 0; i < eng->slots.n; i++) {
    struct eng_turn *t = eng->slots.slots[i].turn;
    if (!t) continue;
    struct eng_worker *w = t->w;
    /* Each of them has a slot of its own. */
    w->turn = w->owed = NULL;
    if (w->queue) w->queue->first = NULL;
    eng_turn_destroy(t);
  }
  yoi_sdk_free(eng->slots.slots);
}

static void close_workers(struct eng_engine *eng) {
  struct eng_entry *entries[YOI_LIST_LIMIT_MAX];
  for (size_t n; (n = next_workers(eng, (yoi_str){0}, entries)) > 0;)
    for (size_t i = 0; i < n; i++) eng_forget(eng, (struct eng_worker *)entries[i]);
}

void eng_close(void *self) {
  struct eng_engine *eng = self;
  if (!eng) return;
  atomic_store(&eng->closing, true);
  eng->store->ops->stop(eng->store);
  close_waiting(eng);
  close_turns(eng);
  close_workers(eng);
  yoi_sdk_metric_sub(&eng->metrics, eng->metric.running, atomic_load(&eng->running));
  eng->store->ops->close(eng->store);
  eng_directory_release(&eng->directory);
  eng_table_release(&eng->keys);
  eng_bundles_release(&eng->bundles);
  eng_specs_release(&eng->specs);
  pthread_mutex_destroy(&eng->dir_mu);
  pthread_mutex_destroy(&eng->slots.mu);
  pthread_mutex_destroy(&eng->keep.mu);
  pthread_mutex_destroy(&eng->uses.mu);
  pthread_mutex_destroy(&eng->loads.mu);
  yoi_sdk_free(eng);
}

void eng_wake(void *self, uint64_t cookie) {
  eng_turn_wake(self, cookie);
}

/* ---- operations ---- */

static eng_start_fn *const starts[YOI_OP__END + 1] = {
    [YOI_OP_RUNTIME_DESCRIBE] = eng_start_describe,
    [YOI_OP_WORKER_CREATE] = eng_start_create,
    [YOI_OP_WORKER_LIST] = eng_start_list,
    [YOI_OP_WORKER_GET] = eng_start_get,
    [YOI_OP_WORKER_INPUT] = eng_start_input,
    [YOI_OP_WORKER_CANCEL] = eng_start_cancel,
    [YOI_OP_WORKER_STOP] = eng_start_stop,
    [YOI_OP_WORKER_DELETE] = eng_start_delete,
    [YOI_OP_WORKER_TRANSCRIPT] = eng_start_transcript,
    [YOI_OP_WORKER_EVENTS] = eng_start_events,
    [YOI_OP_WORKER_APPROVALS] = eng_start_approvals,
    [YOI_OP_WORKER_APPROVE] = eng_start_approve,
    [YOI_OP_WORKER_ARTEFACT] = eng_start_artefact,
    [YOI_OP_BUNDLE_PUT] = eng_start_bundle_put,
    [YOI_OP_BUNDLE_HAVE] = eng_start_bundle_have,
    [YOI_OP_BUNDLE_GET] = eng_start_bundle_get,
    [YOI_OP_BUNDLE_LIST] = eng_start_bundle_list,
    [YOI_OP_BUNDLE_DELETE] = eng_start_bundle_delete,
    [ENG_OP_EXPIRE] = eng_start_delete,
};

static yoi_status read_request(const yoi_request *in, yoi_request *out, yoi_error *err) {
  yoi_status st = yoi_sdk_take(out, sizeof *out, in, "the request", err);
  if (st != YOI_OK) return st;
  if (out->reserved != 0 ||
      (out->flags & ~(YOI_REQ_FOLLOW | YOI_REQ_ONCE | YOI_REQ_WORKSPACE)) != 0)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the request has unknown flags");
  if ((out->flags & YOI_REQ_FOLLOW) != 0 && out->op != YOI_OP_WORKER_INPUT)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "only input can be followed");
  if ((out->flags & YOI_REQ_ONCE) != 0 && out->op != YOI_OP_WORKER_EVENTS)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "only events end with what there is");
  if (((out->flags & YOI_REQ_WORKSPACE) != 0) != (out->workspace.len > 0))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the request's workspace is not valid");
  if (out->principal.len == 0 || out->principal.len > YOI_PRINCIPAL_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the request has no principal");
  return YOI_OK;
}

static yoi_status start_on(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                           yoi_stream **out, yoi_error *err) {
  /* What is just being accepted when a drain begins is either refused, since
   * it comes to see the drain, or waited for, since it is counted before. */
  bool accepts = req->op == YOI_OP_WORKER_CREATE || req->op == YOI_OP_WORKER_INPUT;
  if (w && !eng_scope_has(w, req)) w = NULL;
  if (accepts) atomic_fetch_add(&eng->active, 1);
  yoi_status st = starts[req->op](eng, req, w, out, err);
  if (accepts) eng_active_done(eng);
  return st;
}

static yoi_status loaded(struct eng_deferred *d, yoi_stream **out, yoi_error *err) {
  return start_on(d->eng, &d->req, d->workers[0], out, err);
}

yoi_status eng_start_found(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                           yoi_stream **out, yoi_error *err) {
  if (!atomic_load(&w->awake)) return eng_defer(eng, req, &w, 1, 0, loaded, out, err);
  yoi_status st = start_on(eng, req, w, out, err);
  eng_worker_unref(w);
  return st;
}

yoi_status eng_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  yoi_request r;
  yoi_status st = read_request(req, &r, err);
  if (st != YOI_OK) return st;
  if (r.op >= YOI_OP__END || !starts[r.op])
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                        "this runtime does not know the operation");
  bool of_worker = r.op != YOI_OP_RUNTIME_DESCRIBE && r.op != YOI_OP_WORKER_CREATE &&
                   r.op != YOI_OP_WORKER_LIST &&
                   (r.op < YOI_OP_BUNDLE_PUT || r.op > YOI_OP_BUNDLE_DELETE);
  if (!of_worker) return start_on(self, &r, NULL, out, err);
  if (!yoi_sdk_id_valid(r.worker_id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the worker id is not an identifier");
  struct eng_worker *w = eng_find(self, r.worker_id);
  if (!w) return start_on(self, &r, NULL, out, err);
  eng_use(w);
  return eng_start_found(self, &r, w, out, err);
}
