/* describe.c - what is said of the remote: its own words where they are data,
 * ours where they could be anything.
 *
 *   display_name  as it is, without control characters
 *   kind, version  words: letters, digits and . _ + -; else they are empty
 *   instance_id, limits, counts  as they are, of the type that they must have
 *   api_version, state_kind                         known, and "remote"
 *   status        ready, degraded or draining as it says; degraded as long as it
 *                 is news that it was replaced; anything else of its is degraded
 *                 too
 *   capabilities  those of its operations that ops.h knows
 *   diagnostics   codes that are known, each with a message of ours
 */
#include "remote.h"

#include <sdk/mem.h>

#define NUMBERS_MAX 32 /* members of limits and counts */

static yoi_str text_of(const yoi_sdk_json *v, const char *name, size_t max) {
  yoi_str s = {0};
  if (yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s) && s.len > max)
    s.len = yoi_sdk_utf8_cut(s, max);
  return s;
}

/* What people see: nothing in it may move their cursor. */
static void copy_name(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v) {
  char name[YOI_DISPLAY_NAME_MAX];
  yoi_str s = text_of(v, "display_name", sizeof name);
  for (size_t i = 0; i < s.len; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    int c1 = c == 0xc2 && (unsigned char)s.ptr[i + 1] < 0xa0; /* U+0080 to U+009F */
    name[i] = c < ' ' || c == 0x7f || c1 ? ' ' : s.ptr[i];
    if (c1) name[++i] = ' ';
  }
  yoi_sdk_jsonw_kstr(w, "display_name", (yoi_str){name, s.len});
}

static void copy_word(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v, const char *name) {
  static const char letters[] = "._+-0123456789"
                                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  yoi_str s = text_of(v, name, YOI_NAME_MAX);
  for (size_t i = 0; i < s.len; i++)
    if (!s.ptr[i] || !strchr(letters, s.ptr[i])) s.len = 0;
  yoi_sdk_jsonw_kstr(w, name, s);
}

/* An object of numbers, with names as ours are. */
static void copy_numbers(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v, const char *name) {
  size_t n = 0;
  yoi_sdk_jsonw_key(w, name);
  yoi_sdk_jsonw_open(w, '{');
  for (const yoi_sdk_json *m = yoi_sdk_json_first(yoi_sdk_json_get(v, name)); m && n < NUMBERS_MAX;
       m = yoi_sdk_json_next(m), n++) {
    int64_t number;
    if (!yoi_sdk_json_int(m, &number) || !yoi_sdk_name_valid(yoi_sdk_json_key(m))) continue;
    yoi_sdk_jsonw_keyn(w, yoi_sdk_json_key(m));
    yoi_sdk_jsonw_int(w, number);
  }
  yoi_sdk_jsonw_close(w, '}');
}

static void copy_capabilities(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v) {
  uint64_t seen = 0;
  yoi_sdk_jsonw_key(w, "capabilities");
  yoi_sdk_jsonw_open(w, '[');
  for (const yoi_sdk_json *m = yoi_sdk_json_first(yoi_sdk_json_get(v, "capabilities")); m;
       m = yoi_sdk_json_next(m)) {
    yoi_str name;
    uint32_t op = yoi_sdk_json_str(m, &name) ? yoi_sdk_op_find(name) : 0;
    if (!rem_op_find(op) || (seen >> op & 1)) continue;
    seen |= (uint64_t)1 << op;
    yoi_sdk_jsonw_str(w, name);
  }
  yoi_sdk_jsonw_close(w, ']');
}

static void write_diagnostic(struct yoi_sdk_jsonw *w, const char *code, const char *severity,
                             const char *message, int64_t count, yoi_str last_at) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "code", yoi_sdk_str(code));
  yoi_sdk_jsonw_kstr(w, "severity", yoi_sdk_str(severity));
  yoi_sdk_jsonw_kstr(w, "message", yoi_sdk_str(message));
  yoi_sdk_jsonw_kint(w, "count", count);
  yoi_sdk_jsonw_kstr(w, "last_at", last_at);
  yoi_sdk_jsonw_close(w, '}');
}

/* One of the remote's; 0: nothing in it is known. */
static int copy_diagnostic(struct yoi_sdk_jsonw *w, const yoi_sdk_json *d) {
  static const char *const severities[] = {"info", "warning", "error"};
  yoi_str code, said = {0}, at;
  const char *severity = "warning";
  int64_t count = 1;
  uint64_t ns;
  if (!yoi_sdk_json_str(yoi_sdk_json_get(d, "code"), &code) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(d, "last_at"), &at) || !yoi_sdk_time_parse(at, &ns))
    return 0;
  int replaced = yoi_sdk_str_is(code, "remote_replaced");
  const char *name = replaced ? "remote_replaced" : yoi_sdk_code_name(yoi_sdk_code_find(code));
  if (!name) return 0;
  (void)yoi_sdk_json_str(yoi_sdk_json_get(d, "severity"), &said);
  for (size_t i = 0; i < sizeof severities / sizeof *severities; i++)
    if (yoi_sdk_str_is(said, severities[i])) severity = severities[i];
  (void)yoi_sdk_json_int(yoi_sdk_json_get(d, "count"), &count);
  write_diagnostic(w, name, severity, "the remote says so of itself", count > 0 ? count : 1, at);
  return 1;
}

struct state {
  uint64_t replaced, at_ns;
  uint32_t news;
};

static void write_diagnostics(struct yoi_sdk_jsonw *w, const yoi_sdk_json *v,
                              const struct state *s) {
  char at[YOI_SDK_TIME_SIZE];
  int n = 0;
  yoi_sdk_jsonw_key(w, "diagnostics");
  yoi_sdk_jsonw_open(w, '[');
  if (s->replaced) {
    yoi_sdk_time_text(s->at_ns, at);
    write_diagnostic(w, "remote_replaced", "warning", "another runtime answers at the remote",
                     (int64_t)s->replaced, yoi_sdk_str(at));
    n++;
  }
  for (const yoi_sdk_json *d = yoi_sdk_json_first(yoi_sdk_json_get(v, "diagnostics"));
       d && n < YOI_DIAGNOSTICS_MAX; d = yoi_sdk_json_next(d))
    n += copy_diagnostic(w, d);
  yoi_sdk_jsonw_close(w, ']');
}

static const char *status_of(const struct rem_instance *i, const yoi_sdk_json *v,
                             const struct state *s) {
  yoi_str said = {0};
  if (atomic_load(&i->draining)) return "draining";
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "status"), &said);
  if (yoi_sdk_str_is(said, "draining")) return "draining";
  return !s->news && yoi_sdk_str_is(said, "ready") ? "ready" : "degraded";
}

yoi_status rem_describe(struct rem_instance *i, yoi_str text, struct yoi_sdk_buf *out,
                        yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_jsonw w;
  if (yoi_sdk_json_parse(text, 0, &tree, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED,
                        "the remote answered with something that is no answer");
  const yoi_sdk_json *v = yoi_sdk_json_get(tree, "runtime");
  pthread_mutex_lock(&i->health.mu);
  struct state s = {i->health.replaced, i->health.replaced_wall_ns, i->health.news};
  pthread_mutex_unlock(&i->health.mu);
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "runtime");
  yoi_sdk_jsonw_open(&w, '{');
  copy_name(&w, v);
  copy_word(&w, v, "kind");
  copy_word(&w, v, "version");
  yoi_sdk_jsonw_kstr(&w, "api_version", YOI_LIT("1"));
  yoi_sdk_jsonw_kstr(&w, "instance_id", text_of(v, "instance_id", REM_INSTANCE_MAX));
  yoi_sdk_jsonw_kstr(&w, "state_kind", YOI_LIT("remote"));
  yoi_sdk_jsonw_kstr(&w, "status", yoi_sdk_str(status_of(i, v, &s)));
  copy_capabilities(&w, v);
  copy_numbers(&w, v, "limits");
  copy_numbers(&w, v, "counts");
  write_diagnostics(&w, v, &s);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_json_free(tree);
  return out->failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}
