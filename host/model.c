/* host/model.c - yoi.host.model/1: models, called by the name that the config
 * gives them. late.c has their streams.
 *
 * Before one is called, policy is asked what of a budget is left: for the whole
 * turn at its first generation, since a turn may use what it is allowed to in
 * any of them, and what is counted for each would be counted many times. What a
 * caller says of the turn is never less than what is plain to see: the bytes
 * that it sends.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/mem.h>
#include <sdk/take.h>

#include "host.h"
#include "late.h"
#include "policy.h"
#include "stream.h"
#include "turn.h"

/* ---- the copy of a request --------------------------------------------- */

struct copy {
  struct yoi__work work; /* first: what a strand is given */
  yoi_model_request req;
  yoi_str messages[];
};

static yoi_status work_start(struct yoi__work *w, struct yoi__instance *in, uint64_t token,
                             yoi_stream **out, yoi_error *err) {
  struct copy *c = (struct copy *)w;
  c->req.token = token;
  return in->plugin->table.model.start(in->self, &c->req, out, err);
}

static void work_free(struct yoi__work *w) {
  yoi_sdk_free(w);
}

static yoi_str put(char **at, yoi_str s) {
  yoi_str copy = {*at, s.len};
  if (s.len > 0) memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return copy;
}

static struct yoi__work *copy_request(const void *request) {
  const yoi_model_request *req = request;
  size_t n = req->n_messages;
  size_t bytes = req->request_id.len + req->trace.len + req->tools.len + req->parameters.len;
  for (size_t i = 0; i < n; i++) bytes += req->messages[i].len;
  struct copy *c = yoi_sdk_malloc(sizeof *c + n * sizeof *c->messages + bytes);
  if (c == NULL) return NULL;
  char *at = (char *)&c->messages[n];
  c->work = (struct yoi__work){work_start, work_free};
  c->req = *req;
  c->req.request_id = put(&at, req->request_id);
  c->req.trace = put(&at, req->trace);
  c->req.tools = put(&at, req->tools);
  c->req.parameters = put(&at, req->parameters);
  for (size_t i = 0; i < n; i++) c->messages[i] = put(&at, req->messages[i]);
  c->req.messages = c->messages;
  return &c->work;
}

/* ---- what is of models --------------------------------------------------- */

static yoi_status model_failed(yoi_error *err, yoi_str name, const char *what) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "model '%.*s' %s", YOI_ARG(name), what);
  yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"not_found\",\"retryable\":false}"));
  return st;
}

static yoi_status start_now(struct yoi__instance *in, const void *req, yoi_stream **out,
                            yoi_error *err) {
  return in->plugin->table.model.start(in->self, req, out, err);
}

static yoi_status cannot_open(yoi_error *err, yoi_str name) {
  return model_failed(err, name, "cannot be opened");
}

/* A plugin that is refused is, to whoever asked, a model that has too much to
 * do. */
static yoi_status is_busy(yoi_error *err) {
  err->code = YOI_CODE_MODEL_ERROR;
  yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"overloaded\",\"retryable\":true}"));
  return YOI_UNAVAILABLE;
}

static void count_result(struct yoi__instance *in, yoi_status final, uint64_t call) {
  (void)call;
  yoi__late_count(in->top, &in->top->counters.models, final);
}

static const struct yoi__late_kind late_model = {start_now, copy_request, cannot_open, is_busy,
                                                 count_result};

/* ---- the interface ----------------------------------------------------- */

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

static int granted(const struct yoi__config *c, const struct yoi__instance *who, yoi_str name) {
  char grant[sizeof "model:" + YOI_NAME_MAX];
  int n = snprintf(grant, sizeof grant, "model:%.*s", YOI_ARG(name));
  return n > 0 && (size_t)n < sizeof grant &&
         yoi__config_granted(c, who->plugin, (yoi_str){grant, (size_t)n});
}

static int by_name(const void *a, const void *b) {
  return yoi_sdk_str_cmp(*(const yoi_str *)a, *(const yoi_str *)b);
}

static void model_list(const yoi_host *h, void (*each)(void *ctx, yoi_str name), void *ctx) {
  struct yoi__setup *s = yoi__setup_of(of(h));
  const struct yoi__config *c = s->config;
  yoi_str names[YOI_MODELS_MAX];
  size_t n = 0;
  for (size_t i = 0; i < c->n_models && n < YOI_MODELS_MAX; i++)
    if (granted(c, of(h), c->models[i].name)) names[n++] = c->models[i].name;
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; i++) each(ctx, names[i]);
  yoi__setup_give(s);
}

/* What a turn that begins so may use: what its caller holds it to, but at least
 * what is sent and what was asked for. */
static uint64_t tokens_of(const yoi_model_request *r) {
  uint64_t bytes = (uint64_t)r->tools.len + r->parameters.len;
  for (size_t i = 0; i < r->n_messages; i++) bytes += r->messages[i].len;
  uint64_t least = bytes / YOI_CONTEXT_BYTES_PER_TOKEN + r->max_output_tokens;
  uint64_t most = r->turn_tokens > 0 ? r->turn_tokens : YOI_TOKENS_MAX_PER_TURN;
  if (r->counted != 0) return 0;
  return most > least ? most : least;
}

static yoi_status ask_policy(struct yoi__setup *s, const struct yoi__instance *who, yoi_str name,
                             const yoi_model_request *r, yoi_error *err) {
  const struct yoi__model_question q = {.model = name,
                                        .principal = r->principal,
                                        .runtime_id = who->name,
                                        .worker_id = r->worker_id,
                                        .request_id = r->request_id,
                                        .tokens = tokens_of(r)};
  yoi_status st = yoi__policy_allows_model(s, &q, err);
  if (st != YOI_OK) yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"quota\",\"retryable\":false}"));
  return st;
}

yoi_status yoi__model_start(struct yoi__setup *s, struct yoi__instance *who, yoi_str name,
                            const yoi_model_request *req, yoi_stream **out, yoi_error *err) {
  const struct yoi__config *c = s->config;
  struct yoi__instance *in = NULL;
  for (size_t i = 0; i < c->n_models && in == NULL; i++)
    if (yoi_sdk_str_eq(c->models[i].name, name)) in = s->models[i];
  if (in == NULL || !granted(c, who, name)) {
    (void)model_failed(err, name, "is not there");
    return YOI_NOT_FOUND;
  }
  yoi_model_request r;
  yoi_status st = yoi_sdk_take(&r, sizeof r, req, "model request", err);
  if (st == YOI_OK) st = ask_policy(s, who, name, &r, err);
  if (st != YOI_OK) return st;
  /* What policy was told is none of the model's, and one of before 1.4 would have to
   * refuse a request with it. */
  r.worker_id = r.principal = (yoi_str){NULL, 0};
  r.turn_tokens = r.counted = 0;
  return yoi__late_start(s, in, &late_model, &r, r.token, r.deadline_ns, r.request_id, 0, out, err);
}

/* Of no turn, so with the setup that is current. */
static yoi_status model_start(const yoi_host *h, yoi_str name, const yoi_model_request *req,
                              yoi_stream **out, yoi_error *err) {
  return yoi__turn_table.model_start(h, 0, name, req, out, err);
}

const yoi_host_model yoi__model_table = {sizeof yoi__model_table, 0, model_list, model_start};

yoi_status yoi__model_counters(struct yoi_embed *host) {
  return yoi__late_counters(host, "yoi_model_requests_total",
                            "Generations asked of models, by how they ended.",
                            &host->counters.models);
}
