/* host/hostops.c - what the host answers itself: readiness, metrics, its bundles,
 * and lists over all runtimes or over the bundles in one.
 *
 * A list asks each runtime through the same door as everybody, with a time
 * limit of its own, and all at once: the streams are started one after the
 * other (start never blocks) and then polled together under the caller's
 * token. A runtime that fails or is late becomes a diagnostic in its row.
 *
 *   start: a stream per row --> next: poll those not done --> AGAIN
 *                                      all done --> one RESULT, END
 *
 * Invariants
 *  1. Rows stand in byte order of runtime id, or of digest; each runtime, or
 *     bundle of the config, has exactly one.
 *  2. A row may hold an equal share of YOI_JSON_BYTES_MAX, so that no runtime
 *     takes the place of another; a larger answer is left out and says so.
 *  3. The sub-streams live until release, so cancel may touch them until then.
 */
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <sdk/stream.h>

#include <stdio.h>

#include "bundle.h"
#include "bundle_sync.h"
#include "clock.h"
#include "generation.h"
#include "host.h"
#include "process.h"
#include "stream.h"

struct row {
  struct yoi__instance *in;                /* a reference; of a bundle, lists.runtime */
  struct yoi__setup *setup;                /* lists.setup */
  const struct yoi__config_bundle *bundle; /* of lists over bundles */
  yoi_stream *stream;                      /* NULL: it failed at once, or was not asked */
  int done, failed;
  struct yoi_sdk_buf text;   /* the answer */
  struct yoi_sdk_error *why; /* when it failed; NULL: memory was short */
};

/* What the runtimes are asked, and how their answers begin. */
struct ask {
  uint32_t op;
  const char *member;
  char opening;
};

struct lists {
  yoi_stream head;
  struct yoi_embed *host;
  struct yoi__setup *setup; /* a reference: its bundles, its entries */
  uint32_t op;
  int one; /* host.runtime: the row itself is the answer */
  const struct ask *ask;
  struct yoi__instance *runtime;           /* a reference: whose bundles they are; else NULL */
  char request_id[YOI_REQUEST_ID_MAX + 1]; /* for the log */
  yoi_event event;
  const yoi_event *events[1];
  struct yoi_sdk_buf out;
  yoi_status final; /* END once the result was given, or out of memory */
  _Atomic uint32_t cancelled;
  size_t n;
  struct row rows[];
};

/* ---- rows -------------------------------------------------------------- */

static void write_time(struct yoi_sdk_jsonw *w, const char *key, uint64_t wall_ns) {
  char text[YOI_SDK_TIME_SIZE];
  yoi_sdk_jsonw_key(w, key);
  if (wall_ns == 0) {
    yoi_sdk_jsonw_null(w);
    return;
  }
  yoi_sdk_time_text(wall_ns, text);
  yoi_sdk_jsonw_str(w, yoi_sdk_str(text));
}

static const char *source_kind(yoi_str plugin_id) {
  static const char *const ours[][2] = {{"dev.yoi.embedded", "embedded"},
                                        {"dev.yoi.fs-store", "fs_store"},
                                        {"dev.yoi.http-remote", "remote_http"},
                                        {"dev.yoi.local-compat", "local_compat"}};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (yoi_sdk_str_is(plugin_id, ours[i][0])) return ours[i][1];
  return "plugin";
}

static void write_diagnostic(struct yoi_sdk_jsonw *w, const struct row *row) {
  yoi_sdk_jsonw_kopen(w, "diagnostics", '[');
  if (row->failed) {
    const char *code = row->why == NULL ? NULL : yoi_sdk_code_name(row->why->e.code);
    const char *message = row->why == NULL ? "out of memory" : row->why->message;
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(code == NULL ? "internal" : code));
    yoi_sdk_jsonw_kstr(w, "severity", YOI_LIT("error"));
    yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(message));
    yoi_sdk_jsonw_kint(w, "count", 1);
    write_time(w, "last_at", yoi__wall_ns());
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
}

static const struct yoi__config_runtime *entry_of(const struct row *row) {
  return yoi__setup_entry(row->setup, row->in);
}

static yoi_str display_name(const struct row *row) {
  return entry_of(row)->display_name;
}

/* The config gives it a name for people: that is the operator's. */
static int is_named(const struct row *row) {
  return !yoi_sdk_str_eq(display_name(row), row->in->plugin->manifest.display_name);
}

/* What the runtime says of itself, but for that name. */
static void write_description(struct yoi_sdk_jsonw *w, const struct row *row) {
  yoi_str said = yoi_sdk_json_raw_get(yoi_sdk_buf_str(&row->text), "runtime");
  yoi_sdk_json *tree = NULL;
  if (!is_named(row) || yoi_sdk_json_parse(said, 0, &tree, NULL) != YOI_OK) {
    yoi_sdk_jsonw_raw(w, said);
    return;
  }
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "display_name", display_name(row));
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); v != NULL; v = yoi_sdk_json_next(v)) {
    if (yoi_sdk_str_is(yoi_sdk_json_key(v), "display_name")) continue;
    yoi_sdk_jsonw_keyn(w, yoi_sdk_json_key(v));
    yoi_sdk_json_write(v, w);
  }
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_json_free(tree);
}

/* For as long as it does not answer: what it was called before. */
static void write_name(struct yoi_sdk_jsonw *w, const struct row *row) {
  struct yoi__instance *in = row->in;
  pthread_mutex_lock(&in->lock);
  if (in->said_name.len > 0 && !is_named(row))
    yoi_sdk_jsonw_kraw(w, "display_name", in->said_name);
  else
    yoi_sdk_jsonw_kstr(w, "display_name", display_name(row));
  pthread_mutex_unlock(&in->lock);
}

static void keep_name(struct yoi__instance *in, yoi_str raw) {
  const size_t most = 6 * YOI_DISPLAY_NAME_MAX + 2; /* each byte escaped */
  if (raw.len < 2 || raw.ptr[0] != '"' || raw.len > most) return;
  pthread_mutex_lock(&in->lock);
  if (!yoi_sdk_str_eq(in->said_name, raw)) {
    yoi_str fresh = yoi_sdk_str_dup(raw);
    if (fresh.ptr != NULL) {
      yoi_sdk_str_free(&in->said_name);
      in->said_name = fresh;
    }
  }
  pthread_mutex_unlock(&in->lock);
}

static void write_runtime(struct yoi_sdk_jsonw *w, const struct row *row) {
  const struct yoi__instance *in = row->in;
  const struct yoi__manifest *m = &in->plugin->manifest;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "runtime_id", in->name);
  yoi_sdk_jsonw_kopen(w, "source", '{');
  yoi_sdk_jsonw_kstr(w, "kind", yoi_sdk_str(source_kind(m->id)));
  yoi_sdk_jsonw_kstr(w, "plugin", m->id);
  yoi_sdk_jsonw_kbool(w, "isolated", m->isolated);
  yoi_sdk_jsonw_close(w, '}');
  write_time(w, "last_seen", atomic_load(&in->last_seen_ns));
  yoi_sdk_jsonw_key(w, "runtime");
  if (!row->failed) {
    write_description(w, row);
  } else {
    /* It did not answer, so nothing is claimed in its name. */
    yoi_sdk_jsonw_open(w, '{');
    write_name(w, row);
    yoi_sdk_jsonw_kstr(w, "version", m->version);
    yoi_sdk_jsonw_kstr(w, "status", YOI_LIT("unreachable"));
    yoi_sdk_jsonw_key(w, "capabilities");
    yoi_sdk_jsonw_raw(w, YOI_LIT("[]"));
    write_diagnostic(w, row);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, '}');
}

static void write_workers(struct yoi_sdk_jsonw *w, const struct row *row) {
  yoi_str text = row->failed ? (yoi_str){0} : yoi_sdk_buf_str(&row->text);
  yoi_str workers = yoi_sdk_json_raw_get(text, "workers");
  yoi_str next = yoi_sdk_json_raw_get(text, "next");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "runtime_id", row->in->name);
  yoi_sdk_jsonw_kraw(w, "workers", workers.len > 0 ? workers : YOI_LIT("[]"));
  yoi_sdk_jsonw_kraw(w, "next", next);
  yoi_sdk_jsonw_kbool(w, "truncated", next.len > 0 && !yoi_sdk_str_is(next, "null"));
  write_diagnostic(w, row);
  yoi_sdk_jsonw_close(w, '}');
}

/* The inside of a raw string is that text; what can stand in a bundle's id and
 * digest needs no escape. */
static int raw_is(yoi_str raw, yoi_str text) {
  return raw.len == text.len + 2 && memcmp(raw.ptr + 1, text.ptr, text.len) == 0;
}

static const char *availability(const struct row *row) {
  const struct yoi_sdk_bundle *it = row->bundle->it;
  if (!yoi__bundle_allowed(row->bundle, entry_of(row))) return "not_allowed";
  if (row->failed)
    return row->why != NULL && row->why->e.code == YOI_CODE_BUNDLE_NOT_FOUND ? "missing"
                                                                             : "unknown";
  yoi_str said = yoi_sdk_json_raw_get(yoi_sdk_buf_str(&row->text), "bundle");
  return raw_is(yoi_sdk_json_raw_get(said, "id"), it->id) &&
                 raw_is(yoi_sdk_json_raw_get(said, "digest"), yoi_sdk_str(it->digest))
             ? "available"
             : "mismatch";
}

static void write_bundle(struct yoi_sdk_jsonw *w, const struct row *row) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_bundle_write(row->bundle->it, w);
  yoi_sdk_jsonw_kstr(w, "status", yoi_sdk_str(availability(row)));
  write_time(w, "checked_at", yoi__wall_ns());
  yoi_sdk_jsonw_close(w, '}');
}

static void write_bundles(struct yoi_sdk_jsonw *w, const struct lists *l) {
  int one = l->op == YOI_OP_HOST_BUNDLE_SYNC;
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "runtime_id", l->runtime->name);
  yoi_sdk_jsonw_key(w, one ? "bundle" : "bundles");
  if (!one) yoi_sdk_jsonw_open(w, '[');
  for (size_t i = 0; i < l->n; i++) write_bundle(w, &l->rows[i]);
  if (!one) yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_close(w, '}');
}

static void write_result(struct lists *l) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &l->out);
  void (*write)(struct yoi_sdk_jsonw *, const struct row *) =
      l->op == YOI_OP_HOST_WORKERS ? write_workers : write_runtime;
  if (l->runtime != NULL) {
    write_bundles(&w, l);
    return;
  }
  if (l->one) {
    write(&w, &l->rows[0]);
    return;
  }
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kopen(&w, "runtimes", '[');
  for (size_t i = 0; i < l->n; i++) write(&w, &l->rows[i]);
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_close(&w, '}');
}

/* ---- polling ----------------------------------------------------------- */

static void row_failed(struct row *row, const yoi_error *why) {
  row->done = row->failed = 1;
  if (row->why == NULL) row->why = yoi_sdk_malloc(sizeof *row->why);
  if (row->why != NULL) yoi_sdk_error_copy(yoi_sdk_error_init(row->why), why);
}

/* What it said must be the object that the operation promises. */
static void row_finish(struct lists *l, struct row *row) {
  const char *member = l->ask->member;
  yoi_str text = yoi_sdk_buf_str(&row->text);
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  row->done = 1;
  if (row->text.failed != 0) {
    (void)yoi_sdk_fail(&e.e, YOI_CODE_PAYLOAD_TOO_LARGE, "the answer is too large to be listed");
  } else {
    yoi_str value = {0};
    if (text.len > 0 && text.ptr[0] == '{' && yoi_sdk_json_check(text, 0, NULL) == YOI_OK)
      value = yoi_sdk_json_raw_get(text, member);
    if (value.len > 0 && value.ptr[0] == l->ask->opening) {
      atomic_store(&row->in->last_seen_ns, yoi__wall_ns());
      if (l->ask->op == YOI_OP_RUNTIME_DESCRIBE)
        keep_name(row->in, yoi_sdk_json_raw_get(value, "display_name"));
      return;
    }
    (void)yoi_sdk_fail(&e.e, YOI_CODE_INTERNAL, "the answer has no member '%s'", member);
  }
  row_failed(row, &e.e);
}

static void row_poll(struct lists *l, struct row *row) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  for (;;) {
    const yoi_event *const *events = NULL;
    size_t n = 0;
    yoi_status st = row->stream->ops->next(row->stream, &events, &n, &e.e);
    if (st == YOI_AGAIN) return;
    if (st == YOI_END) {
      row_finish(l, row);
      return;
    }
    if (st != YOI_OK) {
      row_failed(row, &e.e);
      return;
    }
    for (size_t i = 0; i < n; i++)
      if (events[i]->kind == YOI_EVENT_RESULT) yoi_sdk_buf_adds(&row->text, events[i]->text);
  }
}

/* Whoever asks for one put is told why it failed; of a list, its row tells. */
static yoi_status put_failed(struct lists *l, yoi_error *err) {
  const struct row *row = &l->rows[0];
  l->final = YOI_RESOURCE_EXHAUSTED;
  if (row->why == NULL) return yoi_sdk_fail_memory(err);
  yoi_sdk_error_copy(err, &row->why->e);
  return l->final = row->why->e.code != 0 ? yoi_sdk_code_status(row->why->e.code) : YOI_CANCELLED;
}

static yoi_status lists_next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  struct lists *l = (struct lists *)stream;
  int puts = l->op == YOI_OP_HOST_BUNDLE_SYNC;
  if (puts && l->final > YOI_OK && l->rows[0].failed) return put_failed(l, err);
  if (l->final == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (l->final != YOI_OK) return l->final;
  if (atomic_load(&l->cancelled)) {
    (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cancelled");
    if (err != NULL) err->code = 0;
    return YOI_CANCELLED;
  }
  int waiting = 0;
  for (size_t i = 0; i < l->n; i++) {
    if (!l->rows[i].done) row_poll(l, &l->rows[i]);
    waiting |= !l->rows[i].done;
  }
  if (waiting) return YOI_AGAIN;
  if (puts) {
    const struct row *row = &l->rows[0];
    if (!row->failed || row->why != NULL)
      yoi__bundle_log(row->in, row->bundle, yoi_sdk_str(l->request_id),
                      row->failed ? YOI_INTERNAL : YOI_OK, row->failed ? &row->why->e : NULL);
    if (row->failed) return put_failed(l, err);
  }
  write_result(l);
  l->final = l->out.failed != 0 ? YOI_RESOURCE_EXHAUSTED : YOI_END;
  if (l->out.failed != 0) return yoi_sdk_fail_memory(err);
  l->event = (yoi_event){
      .size = sizeof l->event, .kind = YOI_EVENT_RESULT, .text = yoi_sdk_buf_str(&l->out)};
  l->events[0] = &l->event;
  *out_events = l->events;
  *out_n = 1;
  return YOI_OK;
}

static void lists_cancel(yoi_stream *stream) {
  struct lists *l = (struct lists *)stream;
  atomic_store(&l->cancelled, 1u);
  for (size_t i = 0; i < l->n; i++)
    if (l->rows[i].stream != NULL) l->rows[i].stream->ops->cancel(l->rows[i].stream);
}

static void lists_release(yoi_stream *stream) {
  struct lists *l = (struct lists *)stream;
  if (l == NULL) return;
  for (size_t i = 0; i < l->n; i++) {
    struct row *row = &l->rows[i];
    if (row->stream != NULL) row->stream->ops->release(row->stream);
    yoi_sdk_buf_release(&row->text);
    yoi_sdk_free(row->why);
    if (l->runtime == NULL) yoi__instance_unref(row->in);
  }
  if (l->runtime != NULL) yoi__instance_unref(l->runtime);
  yoi__setup_give(l->setup);
  yoi_sdk_buf_release(&l->out);
  yoi_sdk_free(l);
}

static const yoi_stream_ops lists_ops = {sizeof lists_ops, 0, lists_next, lists_cancel,
                                         lists_release};

/* ---- starting ---------------------------------------------------------- */

static const struct ask *ask_of(uint32_t op) {
  static const struct ask of_workers = {YOI_OP_WORKER_LIST, "workers", '['},
                          of_runtimes = {YOI_OP_RUNTIME_DESCRIBE, "runtime", '{'},
                          of_bundles = {YOI_OP_BUNDLE_HAVE, "bundle", '{'},
                          to_put = {YOI_OP_BUNDLE_PUT, "bundle", '{'};
  if (op == YOI_OP_HOST_WORKERS) return &of_workers;
  if (op == YOI_OP_HOST_BUNDLE_STATUS) return &of_bundles;
  return op == YOI_OP_HOST_BUNDLE_SYNC ? &to_put : &of_runtimes;
}

static void row_start(struct lists *l, struct row *row, const yoi_request *req, uint64_t until) {
  yoi_request sub = *req;
  struct yoi_sdk_error e;
  sub.op = l->ask->op;
  if (sub.op != YOI_OP_WORKER_LIST) sub.body = (yoi_str){0};
  if (row->bundle != NULL) sub.subject = yoi_sdk_str(row->bundle->it->digest);
  if (sub.op == YOI_OP_BUNDLE_PUT) {
    sub.body = row->bundle->bytes; /* takes as long as a put may */
  } else if (sub.deadline_ns == 0 || sub.deadline_ns > until) {
    sub.deadline_ns = until;
  }
  if (yoi__registry_route(l->host, row->in, &sub, &row->stream, yoi_sdk_error_init(&e)) != YOI_OK)
    row_failed(row, &e.e);
}

/* NULL: memory is short. */
static struct lists *lists_new(struct yoi__setup *setup, const yoi_request *req, size_t n) {
  struct lists *l = yoi_sdk_calloc(1, sizeof *l + n * sizeof *l->rows);
  if (l == NULL) return NULL;
  l->head.ops = &lists_ops;
  l->host = setup->host;
  l->setup = yoi__setup_ref(setup);
  l->op = req->op;
  l->ask = ask_of(req->op);
  l->n = n;
  yoi_sdk_buf_init(&l->out, 2 * (size_t)YOI_JSON_BYTES_MAX);
  for (size_t i = 0; i < n; i++) {
    l->rows[i].setup = setup;
    yoi_sdk_buf_init(&l->rows[i].text, YOI_JSON_BYTES_MAX / n);
  }
  return l;
}

/* Of one runtime, whose reference is taken over, or of all. */
static yoi_status lists_start(struct yoi__setup *setup, const yoi_request *req,
                              struct yoi__instance *only, yoi_stream **out, yoi_error *err) {
  struct yoi__instance *all[YOI_RUNTIMES_MAX] = {only};
  size_t n = only != NULL ? 1 : yoi__registry_acquire_all(&setup->host->registry, all);
  struct lists *l = lists_new(setup, req, n);
  if (l == NULL) {
    for (size_t i = 0; i < n; i++) yoi__instance_unref(all[i]);
    return yoi_sdk_fail_memory(err);
  }
  l->one = only != NULL;
  uint64_t until = yoi__now_ns() + YOI_LIST_ALL_MS * YOI__MS;
  for (size_t i = 0; i < n; i++) {
    l->rows[i].in = all[i];
    row_start(l, &l->rows[i], req, until);
  }
  *out = &l->head;
  return YOI_OK;
}

/* ---- bundles ------------------------------------------------------------ */

/* Of one bundle, or of all; takes over the reference. */
static yoi_status bundles_start(struct yoi__setup *setup, const yoi_request *req,
                                struct yoi__instance *in, const struct yoi__config_bundle *only,
                                yoi_stream **out, yoi_error *err) {
  size_t n = only != NULL ? 1 : yoi__bundle_count(setup->config, req->workspace);
  struct lists *l = lists_new(setup, req, n);
  if (l == NULL) {
    yoi__instance_unref(in);
    return yoi_sdk_fail_memory(err);
  }
  l->runtime = in;
  if (req->request_id.len < sizeof l->request_id)
    (void)snprintf(l->request_id, sizeof l->request_id, "%.*s", YOI_ARG(req->request_id));
  uint64_t until = yoi__now_ns() + YOI_LIST_ALL_MS * YOI__MS;
  const struct yoi__config_bundle *e = NULL;
  for (size_t i = 0; i < n; i++) {
    struct row *row = &l->rows[i];
    row->bundle = e = only != NULL ? only : yoi__bundle_behind(setup->config, req->workspace, e);
    row->in = in;
    if (!yoi__bundle_allowed(e, yoi__setup_entry(setup, in)))
      row->done = 1;
    else
      row_start(l, row, req, until);
  }
  *out = &l->head;
  return YOI_OK;
}

static yoi_status start_bundles(struct yoi__setup *setup, const yoi_request *req, yoi_stream **out,
                                yoi_error *err) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi__bundles_write(&w, setup->config, req->workspace);
  *out = text.failed != 0 ? NULL : yoi_sdk_stream_one(yoi_sdk_buf_str(&text), 0);
  yoi_sdk_buf_release(&text);
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static yoi_status start_sync(struct yoi__setup *setup, const yoi_request *req,
                             struct yoi__instance *in, yoi_stream **out, yoi_error *err) {
  const struct yoi__config_bundle *bundle =
      yoi__bundle_find(setup->config, req->workspace, req->subject);
  yoi_status st = YOI_OK;
  if (!yoi_sdk_digest_valid(req->subject))
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the digest is not valid");
  else if (bundle == NULL)
    st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_NOT_FOUND, "this host has no bundle '%.*s'",
                      YOI_ARG(req->subject));
  else
    st = yoi__bundle_check(bundle, yoi__setup_entry(setup, in), err);
  if (st == YOI_OK) return bundles_start(setup, req, in, bundle, out, err);
  yoi__instance_unref(in);
  return st;
}

/* ---- requests ----------------------------------------------------------- */

/* The one member that an operation's body may have; the rest is refused. */
static yoi_status body_member(yoi_str body, const char *name, yoi_sdk_json **out_tree,
                              const yoi_sdk_json **out, yoi_error *err) {
  *out_tree = NULL;
  *out = NULL;
  if (body.len == 0) return YOI_OK;
  if (yoi_sdk_json_parse(body, 0, out_tree, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the body is not valid JSON");
  if (yoi_sdk_json_type(*out_tree) != YOI_SDK_JSON_OBJECT)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the body is not an object");
  for (const yoi_sdk_json *v = yoi_sdk_json_first(*out_tree); v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str key = yoi_sdk_json_key(v);
    if (name == NULL || !yoi_sdk_str_is(key, name))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "unknown member '%.*s'",
                          (int)(key.len < 64 ? key.len : 64), key.ptr);
    *out = v;
  }
  return YOI_OK;
}

static yoi_status start_runtime(struct yoi__setup *setup, const yoi_request *req,
                                const yoi_sdk_json *member, yoi_stream **out, yoi_error *err) {
  yoi_str id = {0};
  if (!yoi_sdk_json_str(member, &id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "member 'runtime_id' is missing");
  if (!yoi_sdk_id_valid(id))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "the runtime id is not valid");
  int closing = 0;
  struct yoi__instance *in = yoi__registry_acquire(&setup->host->registry, id, &closing);
  if (in == NULL)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "there is no runtime '%.*s'", YOI_ARG(id));
  if (req->op == YOI_OP_HOST_BUNDLE_STATUS) return bundles_start(setup, req, in, NULL, out, err);
  if (req->op == YOI_OP_HOST_BUNDLE_SYNC) return start_sync(setup, req, in, out, err);
  return lists_start(setup, req, in, out, err);
}

static yoi_status start_workers(struct yoi__setup *setup, const yoi_request *req,
                                const yoi_sdk_json *member, yoi_stream **out, yoi_error *err) {
  int64_t limit = 1;
  if (member != NULL && (!yoi_sdk_json_int(member, &limit) || limit < 1))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'limit' is not a positive integer");
  if (limit > YOI_LIST_LIMIT_MAX)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'limit' is more than %d",
                        YOI_LIST_LIMIT_MAX);
  return lists_start(setup, req, NULL, out, err);
}

static yoi_status start_ready(struct yoi_embed *host, yoi_stream **out, yoi_error *err) {
  uint32_t phase = atomic_load(&host->phase);
  if (phase < YOI__READY)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "the host is starting");
  if (phase > YOI__READY)
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  *out = yoi_sdk_stream_one(YOI_LIT("{\"status\":\"ready\"}"), 0);
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static yoi_status start_metrics(struct yoi_embed *host, yoi_stream **out, yoi_error *err) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi__process_text(&text, host->began_ns);
  yoi__metrics_set(host->metrics, host->counters.plugins_mapped, yoi__generation_count());
  yoi__metrics_text(host->metrics, &text);
  *out = text.failed != 0 ? NULL : yoi_sdk_stream_one(yoi_sdk_buf_str(&text), 0);
  yoi_sdk_buf_release(&text);
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

yoi_status yoi__hostop_start(struct yoi_embed *host, const yoi_request *req, yoi_stream **out,
                             yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  const yoi_sdk_json *member = NULL;
  const char *name = NULL;
  if (req->op == YOI_OP_HOST_WORKERS) name = "limit";
  if (req->op == YOI_OP_HOST_RUNTIME || req->op == YOI_OP_HOST_BUNDLE_STATUS ||
      req->op == YOI_OP_HOST_BUNDLE_SYNC)
    name = "runtime_id";
  struct yoi__setup *s = yoi__setup_now(host);
  yoi_status st = body_member(req->body, name, &tree, &member, err);
  /* What asks runtimes ends with them; readiness and metrics stay. */
  if (st == YOI_OK && req->op >= YOI_OP_HOST_RUNTIMES && yoi__host_ending(host))
    st = yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  if (st == YOI_OK) switch (req->op) {
      case YOI_OP_HOST_READY:
        st = start_ready(host, out, err);
        break;
      case YOI_OP_HOST_METRICS:
        st = req->workspace.len > 0
                 ? yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "metrics are of all workspaces")
                 : start_metrics(host, out, err);
        break;
      case YOI_OP_HOST_RUNTIMES:
        st = lists_start(s, req, NULL, out, err);
        break;
      case YOI_OP_HOST_BUNDLES:
        st = start_bundles(s, req, out, err);
        break;
      case YOI_OP_HOST_RUNTIME:
      case YOI_OP_HOST_BUNDLE_STATUS:
      case YOI_OP_HOST_BUNDLE_SYNC:
        st = start_runtime(s, req, member, out, err);
        break;
      default:
        st = start_workers(s, req, member, out, err);
        break;
    }
  yoi__setup_give(s);
  yoi_sdk_json_free(tree);
  return st;
}
