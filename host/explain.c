/* host/explain.c - what the policies of a config would say: the dry run.
 *
 * A host is made that has nothing but policies, and asked in the same way as one
 * that runs. The question is held to what a host holds it to before it asks: a
 * request that would be refused, a tool that is not there, arguments that do not
 * fit its schema are errors here, not decisions.
 */
#include <sdk/json.h>
#include <sdk/take.h>
#include <yoi/ops.h>

#include "host.h"
#include "listing.h"
#include "policy.h"
#include "tool.h"

/* ---- a host of policies --------------------------------------------------------- */

struct asking {
  struct yoi__config *config;
  struct yoi_embed *host;
  struct yoi__setup *setup;
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
  a->setup = yoi__setup_now(a->host);
  yoi_sdk_buf_init(&a->text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&a->w, &a->text);
  yoi_sdk_jsonw_open(&a->w, '{');
  yoi_sdk_jsonw_kopen(&a->w, "asked", '[');
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
  yoi_sdk_buf_release(&a->text);
  yoi__setup_give(a->setup);
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
  yoi_status st = yoi_sdk_take(&r, sizeof r, req, "request", err);
  if (st == YOI_OK) st = yoi__request_check(&r, runtime_id, err);
  if (st == YOI_OK)
    st = yoi__config_load((yoi_str){json, len}, base_dir, NULL, NULL, &a.config, err);
  if (st == YOI_OK) st = start(&a, err);
  if (st == YOI_OK) {
    yoi__policy_decide(a.setup, runtime_id, &r, write_asked, &a.w, &d);
    st = finish(&a, &d, out_text, out_len, err);
  }
  release(&a);
  return st;
}

/* ---- a call of a tool ------------------------------------------------------------- */

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

yoi_status yoi_policy_explain_tool(const char *json, size_t len, const char *base_dir,
                                   yoi_str runtime_id, const yoi_tool_call *call, char **out_text,
                                   size_t *out_len, yoi_error *err) {
  struct asking a = {.host = NULL};
  struct yoi__tool_question q;
  struct yoi__decision d;
  yoi_tool_call mine;
  *out_text = NULL;
  yoi_status st = yoi_sdk_take(&mine, sizeof mine, call, "call", err);
  if (st == YOI_OK) st = check_asker(runtime_id, &mine, err);
  if (st == YOI_OK) st = check_grants(mine.grants, err);
  if (st == YOI_OK)
    st = yoi__config_load((yoi_str){json, len}, base_dir, NULL, NULL, &a.config, err);
  if (st == YOI_OK) st = start(&a, err);
  if (st == YOI_OK) st = yoi__tool_question_of(a.setup, runtime_id, &mine, &q, err);
  if (st == YOI_OK) {
    yoi__policy_decide_tool(a.setup, &q, write_asked, &a.w, &d);
    st = finish(&a, &d, out_text, out_len, err);
  }
  release(&a);
  return st;
}
