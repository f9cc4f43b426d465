/* offline.c - dev.yoi.fs-store's "yoi.offline/1": the verbs on a store that no
 * host holds.
 *
 * docs/store.md has them for people. Each reads everything first and changes
 * nothing before it knows what there is. Invariants:
 *  1. Without "apply" no byte of the store changes, and no time of a file but
 *     that of the last access.
 *  2. Every finding is counted: an error says that something is lost or that
 *     a host would not take it, a warning that a host mends it by itself, or
 *     that somebody was here.
 */
#include "offline.h"

#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what is said ----------------------------------------------------------- */

void fs_off_say(struct fs_off *o, uint32_t kind, const struct yoi_sdk_buf *json) {
  if (o->stop != YOI_OK) return;
  if (json->failed)
    o->stop = YOI_RESOURCE_EXHAUSTED;
  else if (o->sink->say(o->sink->ctx, kind, yoi_sdk_buf_str(json)) != YOI_OK)
    o->stop = YOI_CANCELLED;
}

void fs_off_progress(struct fs_off *o, const char *what, uint64_t done, uint64_t total) {
  if (o->stop == YOI_OK &&
      o->sink->progress(o->sink->ctx, yoi_sdk_str(what), done, total) != YOI_OK)
    o->stop = YOI_CANCELLED;
}

static void find(struct fs_off *o, const char *severity, const char *code, const struct fs_place *p,
                 const char *text) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "severity", yoi_sdk_str(severity));
  yoi_sdk_jsonw_kstr_opt(&w, "code", yoi_sdk_str(code));
  yoi_sdk_jsonw_kstr_opt(&w, "file", yoi_sdk_str(p->file));
  if (p->line > 0) {
    yoi_sdk_jsonw_kint(&w, "line", (int64_t)p->line);
    yoi_sdk_jsonw_kint(&w, "offset", (int64_t)p->at);
  }
  yoi_sdk_jsonw_kstr_opt(&w, "worker", yoi_sdk_str(p->worker));
  yoi_sdk_jsonw_kstr(&w, "message", yoi_sdk_str(text));
  yoi_sdk_jsonw_close(&w, '}');
  fs_off_say(o, YOI_OFFLINE_FINDING, &b);
  yoi_sdk_buf_release(&b);
}

void fs_off_error(struct fs_off *o, const struct fs_place *p, const char *code, const char *fmt,
                  ...) {
  char text[YOI_ERROR_MESSAGE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  o->errors++;
  find(o, "error", code, p, text);
}

void fs_off_warn(struct fs_off *o, const struct fs_place *p, const char *code, const char *fmt,
                 ...) {
  char text[YOI_ERROR_MESSAGE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  o->warnings++;
  if (o->check) find(o, "warning", code, p, text);
}

void fs_off_step(struct fs_off *o, const struct fs_place *p, const char *fmt, ...) {
  char text[YOI_ERROR_MESSAGE_MAX];
  int n = o->apply ? 0 : snprintf(text, sizeof text, "would ");
  va_list args;
  va_start(args, fmt);
  vsnprintf(text + n, sizeof text - (size_t)n, fmt, args);
  va_end(args);
  o->steps++;
  find(o, "info", o->apply ? "done" : "plan", p, text);
}

yoi_status fs_off_fail(struct fs_off *o, const char *what, const char *file, int error) {
  (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_ERROR, "%s '%s'%s%s", what, file,
                     error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
  yoi_sdk_fail_private(o->err, "root '%s'", o->path);
  return YOI_INTERNAL;
}

static void summary(struct fs_off *o, const char *message) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "message", yoi_sdk_str(message));
  yoi_sdk_jsonw_kint(&w, "errors", (int64_t)o->errors);
  yoi_sdk_jsonw_kint(&w, "warnings", (int64_t)o->warnings);
  yoi_sdk_jsonw_kint(&w, "workers", (int64_t)o->n);
  yoi_sdk_jsonw_close(&w, '}');
  fs_off_say(o, YOI_OFFLINE_SUMMARY, &b);
  yoi_sdk_buf_release(&b);
}

static yoi_status unsound(struct fs_off *o, const char *then) {
  (void)yoi_sdk_fail(o->err, YOI_CODE_STORE_CORRUPT, "the store is damaged, %llu error%s%s",
                     (unsigned long long)o->errors, o->errors == 1 ? "" : "s", then);
  yoi_sdk_fail_private(o->err, "root '%s'", o->path);
  return YOI_DATA_LOSS;
}

/* ---- the verbs --------------------------------------------------------------- */

static yoi_status check(struct fs_off *o) {
  char text[YOI_ERROR_MESSAGE_MAX];
  if (o->errors > 0) return unsound(o, "");
  snprintf(text, sizeof text, "the store is sound: %zu worker%s", o->n, o->n == 1 ? "" : "s");
  summary(o, text);
  return o->stop;
}

static yoi_status repair(struct fs_off *o) {
  yoi_status st = fs_off_settle(o, true);
  if (st != YOI_OK) return st;
  summary(o, o->steps == 0 ? "the store is sound: there is nothing to repair"
             : o->apply    ? "repaired: `check` says whether all is sound now"
                           : "nothing was changed; with --yes it would be");
  return o->stop;
}

static yoi_status compact(struct fs_off *o) {
  if (o->errors > 0) return unsound(o, "; repair it first");
  yoi_status st = fs_off_settle(o, false);
  if (st != YOI_OK) return st;
  summary(o, o->steps == 0 ? "there is nothing to compact"
             : o->apply    ? "compacted"
                           : "nothing was changed; with --yes it would be");
  return o->stop;
}

static yoi_status export(struct fs_off *o) {
  yoi_status st = fs_off_export(o);
  if (st != YOI_OK) return st;
  if (o->errors > 0) return unsound(o, "; what can be read of it is exported");
  summary(o, "exported");
  return o->stop;
}

static yoi_status cat(struct fs_off *o) {
  yoi_status st = fs_off_cat(o);
  if (st != YOI_OK) return st;
  const struct fs_seen *w = fs_off_find(o, o->worker);
  return w != NULL && fs_off_damaged(w) ? unsound(o, "; this is what can be read of the worker")
                                        : o->stop;
}

enum option { OPTION_WORKER = 1, OPTION_PRIVATE = 2, OPTION_TO = 4, OPTION_APPLY = 8 };

static const struct verb {
  const char *name;
  int options; /* of OPTION_* */
  yoi_status (*run)(struct fs_off *o);
} verbs[] = {
    {"check", 0, check},
    {"repair", OPTION_APPLY, repair},
    {"compact", OPTION_APPLY, compact},
    {"export", OPTION_WORKER | OPTION_PRIVATE | OPTION_TO, export},
    {"cat", OPTION_WORKER | OPTION_PRIVATE, cat},
    {"stat", 0, fs_off_stat},
};

/* ---- options ------------------------------------------------------------------ */

static yoi_status read_option(struct fs_off *o, const struct verb *v, const yoi_sdk_json *m) {
  static const char *const names[] = {"worker", "private", "to", "apply"};
  yoi_str key = yoi_sdk_json_key(m), s = {0};
  int flag = 0;
  size_t i = 0;
  while (i < 4 && !yoi_sdk_str_is(key, names[i])) i++;
  if (i == 4 || (v->options & (1 << i)) == 0)
    return yoi_sdk_fail(o->err, YOI_CODE_INVALID_REQUEST, "'%s' has no option '%.*s'", v->name,
                        YOI_ARG(key));
  int ok = i == 0 || i == 2 ? yoi_sdk_json_str(m, &s) && s.len > 0 : yoi_sdk_json_bool(m, &flag);
  if (!ok)
    return yoi_sdk_fail(o->err, YOI_CODE_INVALID_REQUEST, "option '%s': expected %s", names[i],
                        i == 0 || i == 2 ? "a text" : "true or false");
  if (i == 0 && !yoi_sdk_id_valid(s))
    return yoi_sdk_fail(o->err, YOI_CODE_INVALID_IDENTIFIER,
                        "option 'worker': expected the id of a worker");
  if (i == 0) o->worker = s;
  if (i == 1) o->is_private = flag != 0;
  if (i == 2) o->to = s.ptr; /* of the tree, so it ends with a NUL */
  if (i == 3) o->apply = flag != 0;
  return YOI_OK;
}

static yoi_status run(struct fs_off *o, const struct verb *v, const yoi_sdk_json *options) {
  yoi_status st = YOI_OK;
  for (const yoi_sdk_json *m = yoi_sdk_json_first(options); m != NULL && st == YOI_OK;
       m = yoi_sdk_json_next(m))
    st = read_option(o, v, m);
  if (st == YOI_OK && v->run == cat && o->worker.len == 0)
    st = yoi_sdk_fail(o->err, YOI_CODE_INVALID_REQUEST, "'cat' needs the option 'worker'");
  if (st != YOI_OK) return st;
  o->check = v->run == check || v->run == repair;
  o->mends = v->run == repair && o->apply;
  st = fs_off_root_open(o);
  if (st == YOI_OK) st = fs_off_scan(o);
  if (st == YOI_OK) st = v->run(o);
  fs_off_release(o);
  if (o->stop == YOI_RESOURCE_EXHAUSTED || st == YOI_RESOURCE_EXHAUSTED)
    return yoi_sdk_fail_memory(o->err);
  if (o->stop != YOI_OK && st <= YOI_CANCELLED) {
    (void)yoi_sdk_fail(o->err, YOI_CODE_INTERNAL, "it was stopped");
    return YOI_CANCELLED;
  }
  return st;
}

static yoi_status offline_run(yoi_str config, yoi_str verb, yoi_str options,
                              const yoi_offline_sink *sink, yoi_error *err) {
  struct fs_off o = {
      .sink = sink, .err = err, .root = {.fd = -1, .log_fd = -1, .workers_fd = -1, .lock_fd = -1}};
  yoi_sdk_json *tree = NULL, *asked = NULL;
  yoi_str root = {0};
  size_t i = 0, n = sizeof verbs / sizeof *verbs;
  while (i < n && !yoi_sdk_str_is(verb, verbs[i].name)) i++;
  if (i == n)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "there is no verb '%.*s'",
                        YOI_ARG(verb));
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, NULL);
  if (st == YOI_OK) st = yoi_sdk_json_parse(options, 0, &asked, NULL);
  if (st == YOI_RESOURCE_EXHAUSTED) {
    st = yoi_sdk_fail_memory(err);
  } else if (st != YOI_OK || !yoi_sdk_json_str(yoi_sdk_json_get(tree, "root"), &root) ||
             root.len == 0) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "config member 'root': expected the path of a folder");
  } else {
    o.path = root.ptr;
    st = run(&o, &verbs[i], asked);
  }
  yoi_sdk_json_free(asked);
  yoi_sdk_json_free(tree);
  return st;
}

const yoi_offline fs_offline_table = {.size = sizeof fs_offline_table, .run = offline_run};
