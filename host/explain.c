/* host/explain.c - what the policies of a config would say: the dry run.
 *
 * A host is made that has nothing but policies, and asked in the same way as one
 * that runs. The question is held to what a host holds it to before it asks: a
 * request that would be refused, a tool that is not there, arguments that do not
 * fit its schema are errors here, not decisions.
 */
#include <sdk/json.h>
#include <sdk/schema.h>
#include <stdio.h>
#include <yoi/ops.h>

#include "host.h"
#include "listing.h"
#include "policy.h"
#include "take.h"

/* ---- a host of policies --------------------------------------------------------- */

struct asking {
  struct yoi__config *config;
  struct yoi_embed *host;
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
};

/* It says nothing in the log. */
static yoi_status start(struct asking *a, yoi_error *err) {
  struct yoi__config *c = a->config;
  c->n_runtimes = c->n_models = c->n_ingress = 0;
  c->step = 1;
  c->loops = 1;
  c->log_level = YOI_LOG_ERROR;
  yoi_status st = yoi__host_of(c, &a->host, err);
  if (st == YOI_OK) st = yoi_host_start(a->host, err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_init(&a->text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&a->w, &a->text);
  yoi_sdk_jsonw_open(&a->w, '{');
  yoi_sdk_jsonw_key(&a->w, "asked");
  yoi_sdk_jsonw_open(&a->w, '[');
  return YOI_OK;
}

static void write_decision(struct yoi_sdk_jsonw *w, const struct yoi__decision *d) {
  yoi_sdk_jsonw_kstr_opt(w, "plugin", d->plugin);
  yoi_sdk_jsonw_kstr(w, "decision", yoi_sdk_str(yoi__verdict_name(d->verdict)));
  yoi_sdk_jsonw_kstr_opt(w, "rule", yoi_sdk_str(d->rule));
  yoi_sdk_jsonw_kstr_opt(w, "reason", yoi_sdk_str(d->reason));
}

static void write_asked(void *ctx, const struct yoi__decision *d) {
  struct yoi_sdk_jsonw *w = ctx;
  yoi_sdk_jsonw_open(w, '{');
  write_decision(w, d);
  yoi_sdk_jsonw_close(w, '}');
}

static yoi_status finish(struct asking *a, const struct yoi__decision *d, char **out_text,
                         size_t *out_len, yoi_error *err) {
  yoi_sdk_jsonw_close(&a->w, ']');
  write_decision(&a->w, d);
  yoi_sdk_jsonw_close(&a->w, '}');
  return yoi__listing_take(&a->text, out_text, out_len, err);
}

static void release(struct asking *a) {
  yoi_host_free(a->host);
  yoi__config_free(a->config);
}

/* ---- an operation ---------------------------------------------------------------- */

yoi_status yoi_policy_explain(const char *json, size_t len, const char *base_dir,
                              yoi_str runtime_id, const yoi_request *req, char **out_text,
                              size_t *out_len, yoi_error *err) {
  struct asking a = {.host = NULL};
  struct yoi__decision d;
  yoi_request r;
  *out_text = NULL;
  yoi_status st = yoi__take_in(&r, sizeof r, req, "request", err);
  if (st == YOI_OK) st = yoi__request_check(&r, runtime_id, err);
  if (st == YOI_OK)
    st = yoi__config_load((yoi_str){json, len}, base_dir, NULL, NULL, &a.config, err);
  if (st == YOI_OK) st = start(&a, err);
  if (st == YOI_OK) {
    yoi__policy_decide(a.host, runtime_id, &r, write_asked, &a.w, &d);
    st = finish(&a, &d, out_text, out_len, err);
  }
  release(&a);
  return st;
}

/* ---- a call of a tool ------------------------------------------------------------- */

static yoi_status no_tool(const struct yoi__config *c, yoi_str name, yoi_error *err) {
  yoi_str near = {NULL, 0};
  for (size_t i = 0; i < c->n_tools && near.len == 0; i++) {
    const struct yoi__manifest *m = &c->tools[i].plugin->manifest;
    for (size_t k = 0; k < m->n_tools && near.len == 0; k++)
      near = yoi_sdk_nearest(name, &m->tools[k].name, 1);
  }
  return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no tool is called '%.*s'%s%.*s%s", YOI_ARG(name),
                      near.len > 0 ? ", did you mean '" : "", YOI_ARG(near),
                      near.len > 0 ? "'" : "");
}

static yoi_status find_tool(const struct yoi__config *c, const yoi_tool_call *call,
                            const struct yoi__manifest **out_of,
                            const struct yoi__manifest_tool **out, yoi_error *err) {
  *out = NULL;
  for (size_t i = 0; i < c->n_tools; i++) {
    const struct yoi__manifest *m = &c->tools[i].plugin->manifest;
    const struct yoi__manifest_tool *t = yoi__manifest_tool(m, call->name);
    if (t == NULL || (call->plugin.len > 0 && !yoi_sdk_str_eq(call->plugin, m->id))) continue;
    if (*out != NULL)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "tool '%.*s' is in '%.*s' and in '%.*s': say in which",
                          YOI_ARG(call->name), YOI_ARG((*out_of)->id), YOI_ARG(m->id));
    *out_of = m;
    *out = t;
  }
  return *out != NULL ? YOI_OK : no_tool(c, call->name, err);
}

struct finding {
  char pointer[128], message[256];
};

/* The first counts. */
static void on_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct finding *f = ctx;
  (void)is_key;
  if (f->message[0] != '\0') return;
  (void)snprintf(f->pointer, sizeof f->pointer, "%s", pointer);
  (void)snprintf(f->message, sizeof f->message, "%s", message);
}

static yoi_status check_arguments(const struct yoi__manifest_tool *t, yoi_str arguments,
                                  yoi_error *err) {
  struct finding f = {"", ""};
  struct yoi_sdk_json_error jerr;
  yoi_sdk_json *tree = NULL;
  yoi_status st = yoi_sdk_json_parse(arguments, 0, &tree, &jerr);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the arguments are no JSON: %s", jerr.message);
  st = yoi_sdk_schema_test(t->arguments, tree, "", on_finding, &f);
  yoi_sdk_json_free(tree);
  if (st == YOI_OK) return YOI_OK;
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the arguments do not fit: %s%s%s", f.pointer,
                      f.pointer[0] != '\0' ? ": " : "", f.message);
}

static yoi_status check_grants(yoi_str grants, yoi_error *err) {
  yoi_str e;
  size_t pos = 0;
  int good =
      grants.len == 0 || (yoi_sdk_json_check(grants, 0, NULL) == YOI_OK && grants.ptr[0] == '[');
  while (good && grants.len > 0 && yoi_sdk_json_raw_each(grants, &pos, &e)) good = e.ptr[0] == '"';
  return good ? YOI_OK
              : yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the grants are no array of strings");
}

/* Who asks, of what worker: as a request that touches one has it. Of which it is
 * may be left open. */
static yoi_status check_asker(yoi_str runtime_id, const yoi_tool_call *call, yoi_error *err) {
  yoi_request r = {.size = sizeof r,
                   .op = YOI_OP_WORKER_INPUT,
                   .origin = YOI_ORIGIN_EMBED,
                   .worker_id = call->worker_id.len > 0 ? call->worker_id : YOI_LIT("any"),
                   .principal = call->principal};
  return yoi__request_check(&r, runtime_id.len > 0 ? runtime_id : YOI_LIT("any"), err);
}

static yoi_status question_of(const struct yoi__config *c, yoi_str runtime_id,
                              const yoi_tool_call *call, struct yoi__tool_question *q,
                              yoi_error *err) {
  const struct yoi__manifest *m = NULL;
  const struct yoi__manifest_tool *t = NULL;
  yoi_status st = find_tool(c, call, &m, &t, err);
  if (st == YOI_OK) st = check_arguments(t, call->arguments, err);
  if (st == YOI_OK) st = check_grants(call->grants, err);
  if (st != YOI_OK) return st;
  *q = (struct yoi__tool_question){.tool_flags = t->flags,
                                   .bundle_verdict = call->bundle_verdict,
                                   .profile_verdict = call->profile_verdict,
                                   .principal = call->principal,
                                   .runtime_id = runtime_id,
                                   .worker_id = call->worker_id,
                                   .call_id = call->call_id,
                                   .tool = t->name,
                                   .plugin = m->id,
                                   .arguments = call->arguments,
                                   .grants = call->grants};
  return YOI_OK;
}

yoi_status yoi_policy_explain_tool(const char *json, size_t len, const char *base_dir,
                                   yoi_str runtime_id, const yoi_tool_call *call, char **out_text,
                                   size_t *out_len, yoi_error *err) {
  struct asking a = {.host = NULL};
  struct yoi__tool_question q;
  struct yoi__decision d;
  yoi_tool_call mine;
  *out_text = NULL;
  yoi_status st = yoi__take_in(&mine, sizeof mine, call, "call", err);
  if (st == YOI_OK) st = check_asker(runtime_id, &mine, err);
  if (st == YOI_OK)
    st = yoi__config_load((yoi_str){json, len}, base_dir, NULL, NULL, &a.config, err);
  if (st == YOI_OK) st = question_of(a.config, runtime_id, &mine, &q, err);
  if (st == YOI_OK) st = start(&a, err);
  if (st == YOI_OK) {
    yoi__policy_decide_tool(a.host, &q, write_asked, &a.w, &d);
    st = finish(&a, &d, out_text, out_len, err);
  }
  release(&a);
  return st;
}
