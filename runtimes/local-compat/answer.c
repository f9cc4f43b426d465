/* answer.c - what this runtime says, in the shapes of the API.
 *
 * What a record does not know is null: a projection makes nothing up. Bodies
 * are checked like everywhere: a member that is not known is refused.
 */
#include "local_compat.h"

#include <string.h>

/* ---- bodies ----------------------------------------------------------- */

struct ask {
  int64_t start, limit;
  yoi_str after, state;
};

static yoi_status refuse(yoi_error *err, const char *what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", what);
}

static yoi_status read_member(struct ask *a, const yoi_sdk_json *m, int list, yoi_error *err) {
  static const char *const states[] = {"idle", "running", "awaiting_approval", "stopped",
                                       "corrupt"};
  yoi_str name = yoi_sdk_json_key(m);
  if (yoi_sdk_str_is(name, "limit")) {
    if (!yoi_sdk_json_int(m, &a->limit) || a->limit < 1)
      return refuse(err, "'limit' is not an integer from 1");
    if (a->limit > YOI_LIST_LIMIT_MAX)
      return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'limit' is larger than %d",
                          YOI_LIST_LIMIT_MAX);
    return YOI_OK;
  }
  if (!list && yoi_sdk_str_is(name, "start")) {
    if (yoi_sdk_json_int(m, &a->start) && a->start >= 0) return YOI_OK;
    return refuse(err, "'start' is not an integer from 0");
  }
  if (list && yoi_sdk_str_is(name, "after")) {
    if (yoi_sdk_json_str(m, &a->after) && yoi_sdk_id_valid(a->after)) return YOI_OK;
    return refuse(err, "'after' is not a worker id");
  }
  if (list && yoi_sdk_str_is(name, "state")) {
    for (size_t i = 0; yoi_sdk_json_str(m, &a->state) && i < sizeof states / sizeof states[0]; i++)
      if (yoi_sdk_str_is(a->state, states[i])) return YOI_OK;
    return refuse(err, "'state' is not the state of a worker");
  }
  return refuse(err, "the body has a member that is not known");
}

/* Texts in *a belong to *tree, which the caller frees in any case. */
static yoi_status read_body(struct ask *a, yoi_str body, int list, yoi_sdk_json **tree,
                            yoi_error *err) {
  *tree = NULL;
  if (body.len == 0) return YOI_OK;
  struct yoi_sdk_json_error jerr;
  yoi_status st = yoi_sdk_json_parse(body, 0, tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the body is not valid JSON: %s", jerr.message);
  if (yoi_sdk_json_type(*tree) != YOI_SDK_JSON_OBJECT)
    return refuse(err, "the body is not an object");
  for (const yoi_sdk_json *m = yoi_sdk_json_first(*tree); m && st == YOI_OK;
       m = yoi_sdk_json_next(m))
    st = read_member(a, m, list, err);
  return st;
}

/* ---- the runtime ------------------------------------------------------ */

static void diagnostic(struct yoi_sdk_jsonw *w, const char *code, const char *severity,
                       const char *message, size_t count, const char *at) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(code));
  yoi_sdk_jsonw_kstr(w, "severity", yoi_sdk_str(severity));
  yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(message));
  yoi_sdk_jsonw_kint(w, "count", (int64_t)count);
  yoi_sdk_jsonw_kstr(w, "last_at", yoi_sdk_str(at));
  yoi_sdk_jsonw_close(w, '}');
}

static void diagnostics(const struct lc *lc, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_key(w, "diagnostics");
  yoi_sdk_jsonw_open(w, '[');
  diagnostic(w, "read_only_projection", "info",
             "shows records as they were read when the runtime was opened, and changes nothing", 1,
             lc->read_at);
  if (lc->missing)
    diagnostic(w, "records_missing", "warning",
               "there is no folder 'records' and 'root' names no other", 1, lc->read_at);
  if (lc->corrupt)
    diagnostic(w, "records_corrupt", "error", "records that cannot be read", lc->corrupt,
               lc->read_at);
  if (lc->ignored)
    diagnostic(w, "records_ignored", "warning", "files whose name is no worker id", lc->ignored,
               lc->read_at);
  if (lc->left_out)
    diagnostic(w, "records_left_out", "error", "files beyond the number that is read", lc->left_out,
               lc->read_at);
  yoi_sdk_jsonw_close(w, ']');
}

void lc_answer_describe(const struct lc *lc, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "runtime");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "display_name", YOI_LIT("Local records"));
  yoi_sdk_jsonw_kstr(&w, "kind", YOI_LIT("read_only_projection"));
  yoi_sdk_jsonw_kstr(&w, "version", YOI_LIT("1.0.0"));
  yoi_sdk_jsonw_kstr(&w, "api_version", YOI_LIT("1"));
  yoi_sdk_jsonw_kstr(&w, "instance_id", yoi_sdk_str(lc->instance_id));
  yoi_sdk_jsonw_kstr(&w, "state_kind", YOI_LIT("durable"));
  yoi_sdk_jsonw_kstr(&w, "status", lc->left_out ? YOI_LIT("degraded") : YOI_LIT("ready"));
  yoi_sdk_jsonw_kraw(
      &w, "capabilities",
      YOI_LIT("[\"runtime.describe\",\"worker.list\",\"worker.get\",\"worker.transcript\"]"));
  yoi_sdk_jsonw_key(&w, "limits");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "workers", YOI_RECORDS_MAX);
  yoi_sdk_jsonw_kint(&w, "transcript_items", YOI_TRANSCRIPT_ITEMS_MAX);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_key(&w, "counts");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "workers", (int64_t)lc->n);
  yoi_sdk_jsonw_kint(&w, "corrupt", (int64_t)lc->corrupt);
  yoi_sdk_jsonw_close(&w, '}');
  diagnostics(lc, &w);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

/* ---- workers ---------------------------------------------------------- */

static yoi_str state_of(const struct lc_worker *worker) {
  if (worker->fault) return YOI_LIT("corrupt");
  return worker->stopped ? YOI_LIT("stopped") : YOI_LIT("idle");
}

static void text_or_null(struct yoi_sdk_jsonw *w, const char *key, yoi_str s) {
  yoi_sdk_jsonw_key(w, key);
  if (s.len)
    yoi_sdk_jsonw_str(w, s);
  else
    yoi_sdk_jsonw_null(w);
}

static void write_worker(const struct lc *lc, const struct lc_worker *worker, int detail,
                         struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "worker_id", yoi_sdk_str(worker->id));
  yoi_sdk_jsonw_kstr(w, "state", state_of(worker));
  text_or_null(w, "display_name", worker->display_name);
  yoi_sdk_jsonw_kraw(w, "intent", YOI_LIT(""));
  yoi_sdk_jsonw_kraw(w, "profile", YOI_LIT(""));
  yoi_sdk_jsonw_kraw(w, "config_bundle", YOI_LIT(""));
  yoi_sdk_jsonw_kraw(w, "capabilities",
                     worker->fault ? YOI_LIT("[\"worker.get\"]")
                                   : YOI_LIT("[\"worker.get\",\"worker.transcript\"]"));
  text_or_null(w, "created_at", yoi_sdk_str(worker->created_at));
  yoi_sdk_jsonw_kraw(w, "cursor", YOI_LIT(""));
  if (worker->fault) {
    yoi_sdk_jsonw_key(w, "diagnostics");
    yoi_sdk_jsonw_open(w, '[');
    diagnostic(w, worker->fault->code, "error", worker->fault->message, 1, lc->read_at);
    yoi_sdk_jsonw_close(w, ']');
  }
  if (detail) yoi_sdk_jsonw_kraw(w, "spec", YOI_LIT(""));
  yoi_sdk_jsonw_close(w, '}');
}

void lc_answer_get(const struct lc *lc, const struct lc_worker *worker, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "worker");
  write_worker(lc, worker, 1, &w);
  yoi_sdk_jsonw_close(&w, '}');
}

/* The next worker from i on that is asked for; lc->n when there is none. */
static size_t find(const struct lc *lc, const struct ask *a, size_t i) {
  while (i < lc->n && a->state.len && !yoi_sdk_str_eq(state_of(&lc->workers[i]), a->state)) i++;
  return i;
}

static void write_list(const struct lc *lc, const struct ask *a, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  const char *last = "";
  size_t i = 0;
  while (i < lc->n && yoi_sdk_str_cmp(yoi_sdk_str(lc->workers[i].id), a->after) <= 0) i++;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "workers");
  yoi_sdk_jsonw_open(&w, '[');
  i = find(lc, a, i);
  for (int64_t n = 0; n < a->limit && i < lc->n; n++) {
    last = lc->workers[i].id;
    write_worker(lc, &lc->workers[i], 0, &w);
    i = find(lc, a, i + 1);
  }
  yoi_sdk_jsonw_close(&w, ']');
  text_or_null(&w, "next", yoi_sdk_str(i < lc->n ? last : ""));
  yoi_sdk_jsonw_close(&w, '}');
}

yoi_status lc_answer_list(const struct lc *lc, yoi_str body, struct yoi_sdk_buf *out,
                          yoi_error *err) {
  struct ask a = {.limit = YOI_LIST_LIMIT_DEFAULT};
  yoi_sdk_json *tree;
  yoi_status st = read_body(&a, body, 1, &tree, err);
  if (st == YOI_OK) write_list(lc, &a, out);
  yoi_sdk_json_free(tree);
  return st;
}

static void write_transcript(const struct lc_worker *worker, const struct ask *a,
                             struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  int64_t total = worker->n_items;
  int64_t start = a->start < total ? a->start : total;
  int64_t end = total - start > a->limit ? start + a->limit : total;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "transcript");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "start", a->start);
  yoi_sdk_jsonw_kint(&w, "limit", a->limit);
  yoi_sdk_jsonw_kint(&w, "total", total);
  yoi_sdk_jsonw_key(&w, "next_start");
  if (end < total)
    yoi_sdk_jsonw_int(&w, end);
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_key(&w, "items");
  yoi_sdk_jsonw_open(&w, '[');
  for (int64_t i = start; i < end; i++) {
    uint32_t from = i ? worker->ends[i - 1] : 0;
    yoi_sdk_jsonw_raw(&w, (yoi_str){worker->items + from, worker->ends[i] - from});
  }
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

yoi_status lc_answer_transcript(const struct lc_worker *worker, yoi_str body,
                                struct yoi_sdk_buf *out, yoi_error *err) {
  struct ask a = {.limit = YOI_TRANSCRIPT_ITEMS_MAX};
  yoi_sdk_json *tree;
  yoi_status st = read_body(&a, body, 0, &tree, err);
  if (st == YOI_OK && worker->fault)
    st = yoi_sdk_fail(err, YOI_CODE_STORE_CORRUPT, "%s", worker->fault->message);
  if (st == YOI_OK) write_transcript(worker, &a, out);
  yoi_sdk_json_free(tree);
  return st;
}
