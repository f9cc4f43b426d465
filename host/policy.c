/* host/policy.c - asks the policies, and takes the strictest.
 *
 *   an operation:  policies                               none: allow
 *   a tool call:   policies ---> bundle ---> profile      none: read-only tools
 *                  the host's    of the request           allow, others ask
 *   a generation:  policies that know of it               none: allow
 *
 * Inside the host's layer and across the layers the strictest wins, so a request
 * can only restrict.
 *
 * Invariants:
 *  1. What is not understood is deny: an error, an answer that is not there at
 *     once or comes too late, a text that is none of the four words.
 *  2. Silence is deny as soon as there is a policy at all. Of a generation it is
 *     allow: the input was allowed, and a budget is all that there is to say.
 *  3. A policy is told what the caller sent, before anybody has validated it,
 *     and never a secret, a path or an address of the host.
 *  4. All are asked, also behind a deny: those that count see each question.
 *  5. The host's layer never abstains, so what the bundle and the profile allow
 *     does not lift its silence.
 */
#include "policy.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <yoi/ops.h>

#include "clock.h"
#include "host.h"

static const char *const names[] = {[YOI_VERDICT_ABSTAIN] = "abstain",
                                    [YOI_VERDICT_ALLOW] = "allow",
                                    [YOI_VERDICT_ASK] = "ask",
                                    [YOI_VERDICT_DENY] = "deny"};

/* A runtime may say anything of its layers; what is no verdict is the strictest. */
static uint32_t verdict_of(uint32_t said) {
  return said < YOI_VERDICT_DENY ? said : YOI_VERDICT_DENY;
}

const char *yoi__verdict_name(uint32_t verdict) {
  return names[verdict_of(verdict)];
}

int yoi__policy_is_asked(uint32_t op) {
  return op != YOI_OP_HOST_READY && op != YOI_OP_HOST_METRICS;
}

/* ---- one policy ------------------------------------------------------------ */

/* The inside of a raw JSON string, scrubbed, then cut to what fits. */
static void take_text(struct yoi__scrub *scrub, yoi_str raw, char *out, size_t cap) {
  struct yoi__scrub_set *set = yoi__scrub_take(scrub);
  struct yoi_sdk_buf b, clean;
  yoi_sdk_buf_init(&b, YOI_ERROR_PRIVATE_MAX);
  yoi_sdk_buf_init(&clean, YOI_JSON_BYTES_MAX);
  int good = raw.len > 1 && raw.ptr[0] == '"' && yoi_sdk_json_raw_unescape(raw, &b) && !b.failed;
  yoi_str text = yoi_sdk_buf_str(&b);
  if (good && yoi_sdk_scrub_text(yoi__scrub_of(set), text, 0, &clean))
    text = yoi_sdk_buf_str(&clean);
  if (good && !clean.failed)
    (void)snprintf(out, cap, "%.*s", (int)yoi_sdk_utf8_cut(text, cap - 1), text.ptr);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&clean);
  yoi__scrub_give(set);
}

static void fail(struct yoi__decision *d, const char *reason) {
  d->verdict = YOI_VERDICT_DENY;
  d->rule[0] = '\0';
  (void)snprintf(d->reason, sizeof d->reason, "%s", reason);
}

static void read_answer(struct yoi__scrub *scrub, yoi_str text, struct yoi__decision *d) {
  yoi_str word = yoi_sdk_json_check(text, 0, NULL) == YOI_OK
                     ? yoi_sdk_json_raw_get(text, "decision")
                     : (yoi_str){NULL, 0};
  for (uint32_t v = YOI_VERDICT_ABSTAIN; v <= YOI_VERDICT_DENY; v++) {
    size_t n = strlen(names[v]);
    if (word.len != n + 2 || memcmp(word.ptr + 1, names[v], n) != 0) continue;
    d->verdict = v;
    take_text(scrub, yoi_sdk_json_raw_get(text, "rule"), d->rule, sizeof d->rule);
    take_text(scrub, yoi_sdk_json_raw_get(text, "reason"), d->reason, sizeof d->reason);
    return;
  }
  fail(d, "the policy gave no decision");
}

static void log_failure(struct yoi__instance *in, const char *msg, const yoi_error *err) {
  int debug = yoi__log_enabled(in->top->log, YOI_LOG_DEBUG);
  yoi__log_host(in->top->log, YOI_LOG_ERROR, msg,
                (yoi_log_field[]){{YOI_LIT("plugin"), in->name},
                                  {YOI_LIT("error"), yoi_sdk_str(err->message)},
                                  {YOI_LIT("private"), yoi_sdk_str(err->private_detail)}},
                debug ? 3 : 2);
}

static void ask(struct yoi__instance *in, const yoi_policy_request *req, struct yoi__decision *d) {
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  const yoi_event *const *events = NULL;
  size_t n = 0;
  yoi_stream *s = NULL;
  *d = (struct yoi__decision){.verdict = YOI_VERDICT_DENY, .plugin = in->plugin->manifest.id};
  yoi_status st = in->plugin->table.policy.start(in->self, req, &s, err);
  if (st == YOI_OK && s == NULL) st = YOI_INTERNAL;
  if (st == YOI_OK) st = s->ops->next(s, &events, &n, err);
  if (st == YOI_OK && n == 1 && events[0]->kind == YOI_EVENT_RESULT) {
    read_answer(in->top->scrub, events[0]->text, d);
  } else {
    fail(d, st == YOI_AGAIN ? "the policy did not decide at once" : "the policy failed");
    log_failure(in, "a policy gave no decision", err);
  }
  if (s != NULL) {
    if (st == YOI_AGAIN) s->ops->cancel(s);
    s->ops->release(s);
  }
  if (yoi__now_ns() > req->deadline_ns) {
    fail(d, "the policy took too long");
    log_failure(in, "a policy took too long", err);
  }
}

/* ---- all of them ------------------------------------------------------------- */

/* ABSTAIN: none has said anything. A config is refused whose policies do not
 * know what they are asked about, but for generations. */
static void ask_all(struct yoi__setup *s, yoi_policy_request *r, yoi__policy_each each, void *ctx,
                    struct yoi__decision *out) {
  int of_model = yoi_sdk_str_is(r->operation, YOI__MODEL_START);
  *out = (struct yoi__decision){.verdict = YOI_VERDICT_ABSTAIN};
  for (size_t i = 0; i < s->config->n_policies; i++) {
    struct yoi__instance *in = s->policies[i];
    struct yoi__decision d;
    if (of_model && !yoi__manifest_knows(&in->plugin->manifest, r->operation)) continue;
    r->deadline_ns = yoi__now_ns() + YOI_POLICY_DEADLINE_MS * YOI__MS;
    if (yoi__instance_ref(in)) {
      ask(in, r, &d);
      yoi__instance_unref(in);
    } else {
      d = (struct yoi__decision){.verdict = YOI_VERDICT_DENY, .plugin = in->name};
    }
    if (each != NULL) each(ctx, &d);
    if (d.verdict > out->verdict) *out = d;
  }
}

/* `without`: what holds when there are none. */
static void host_layer(struct yoi__setup *s, yoi_policy_request *r, uint32_t without,
                       yoi__policy_each each, void *ctx, struct yoi__decision *out) {
  ask_all(s, r, each, ctx, out);
  if (s->config->n_policies == 0)
    out->verdict = without;
  else if (out->verdict == YOI_VERDICT_ABSTAIN)
    fail(out, "no policy allows it");
}

static yoi_policy_request about(yoi_str runtime_id, const yoi_request *req) {
  return (yoi_policy_request){.size = sizeof(yoi_policy_request),
                              .origin = req->origin,
                              .operation = yoi_sdk_str(yoi_sdk_op_name(req->op)),
                              .principal = req->principal,
                              .runtime_id = runtime_id,
                              .worker_id = req->worker_id,
                              .subject = req->subject,
                              .body = req->body,
                              .request_id = req->request_id};
}

void yoi__policy_decide(struct yoi__setup *s, yoi_str runtime_id, const yoi_request *req,
                        yoi__policy_each each, void *ctx, struct yoi__decision *out) {
  yoi_policy_request r = about(runtime_id, req);
  host_layer(s, &r, YOI_VERDICT_ALLOW, each, ctx, out);
}

static yoi_policy_request about_tool(const struct yoi__tool_question *q) {
  return (yoi_policy_request){.size = sizeof(yoi_policy_request),
                              .origin = q->origin,
                              .operation = YOI_LIT(YOI__TOOL_START),
                              .principal = q->principal,
                              .runtime_id = q->runtime_id,
                              .worker_id = q->worker_id,
                              .request_id = q->request_id,
                              .tool = q->tool,
                              .plugin = q->plugin,
                              .arguments = q->arguments,
                              .grants = q->grants,
                              .tool_flags = q->tool_flags,
                              .asked_again = q->asked_again};
}

/* A layer that has a word of its own. */
static void layer(const char *name, uint32_t said, yoi__policy_each each, void *ctx,
                  struct yoi__decision *out) {
  struct yoi__decision d = {.verdict = verdict_of(said)};
  (void)snprintf(d.rule, sizeof d.rule, "%s", name);
  if (d.verdict == YOI_VERDICT_DENY)
    (void)snprintf(d.reason, sizeof d.reason, "the %s does not allow it", name);
  if (d.verdict == YOI_VERDICT_ABSTAIN) return;
  if (each != NULL) each(ctx, &d);
  if (d.verdict > out->verdict) *out = d;
}

void yoi__policy_decide_tool(struct yoi__setup *s, const struct yoi__tool_question *q,
                             yoi__policy_each each, void *ctx, struct yoi__decision *out) {
  yoi_policy_request r = about_tool(q);
  int read_only = (q->tool_flags & YOI_TOOL_READ_ONLY) != 0;
  if (s->config->n_policies > 0) {
    host_layer(s, &r, YOI_VERDICT_DENY, each, ctx, out);
  } else {
    *out = (struct yoi__decision){.verdict = YOI_VERDICT_ABSTAIN};
    layer("builtin", read_only ? YOI_VERDICT_ALLOW : YOI_VERDICT_ASK, each, ctx, out);
  }
  layer("bundle", q->bundle_verdict, each, ctx, out);
  layer("profile", q->profile_verdict, each, ctx, out);
}

/* ---- the audit log ------------------------------------------------------------- */

#define FIELDS_MAX 12

struct line {
  yoi_log_field fields[FIELDS_MAX];
  size_t n;
};

static void put(struct line *l, const char *name, yoi_str value) {
  if (value.len > 0 && l->n < FIELDS_MAX)
    l->fields[l->n++] = (yoi_log_field){yoi_sdk_str(name), value};
}

static struct line line_about(const yoi_policy_request *r, const char *decision) {
  static const char *const origins[] = {"", "embed", "runtime", "browser"};
  struct line l = {.n = 0};
  put(&l, "decision", yoi_sdk_str(decision));
  put(&l, "operation", r->operation);
  put(&l, "principal", r->principal);
  put(&l, "origin", yoi_sdk_str(origins[r->origin <= YOI_ORIGIN_BROWSER ? r->origin : 0]));
  put(&l, "runtime", r->runtime_id);
  put(&l, "worker", r->worker_id);
  put(&l, "tool", r->tool);
  put(&l, "tool_plugin", r->plugin);
  if (yoi_sdk_str_is(r->operation, YOI__MODEL_START)) put(&l, "model", r->subject);
  return l;
}

static void write_line(struct yoi_embed *host, const yoi_policy_request *r, const struct line *l) {
  yoi__log_write(host->log, YOI_LOG_INFO, (yoi_str){0}, YOI_LIT("policy"), r->request_id, l->fields,
                 l->n);
}

static void audit(struct yoi__setup *s, const yoi_policy_request *r, yoi_str call_id,
                  const struct yoi__decision *d) {
  uint32_t wanted = s->config->audit;
  if (wanted == YOI__AUDIT_NONE || (wanted == YOI__AUDIT_DENIED && d->verdict == YOI_VERDICT_ALLOW))
    return;
  struct line l = line_about(r, yoi__verdict_name(d->verdict));
  put(&l, "call", call_id);
  put(&l, "plugin", d->plugin);
  put(&l, "rule", yoi_sdk_str(d->rule));
  put(&l, "reason", yoi_sdk_str(d->reason));
  write_line(s->host, r, &l);
}

void yoi__policy_audit_tool(struct yoi__setup *s, const struct yoi__tool_question *q,
                            const struct yoi__decision *d) {
  yoi_policy_request r = about_tool(q);
  audit(s, &r, q->call_id, d);
}

void yoi__policy_audit_approval(struct yoi__setup *s, const struct yoi__tool_question *q,
                                yoi_str approval_id, yoi_str approved_by) {
  yoi_policy_request r = about_tool(q);
  if (s->config->audit == YOI__AUDIT_NONE) return;
  struct line l = line_about(&r, "approved");
  put(&l, "call", q->call_id);
  put(&l, "approval", approval_id);
  put(&l, "approved_by", approved_by);
  write_line(s->host, &r, &l);
}

/* ---- asking before an operation ------------------------------------------------ */

yoi_status yoi__policy_allows(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                              yoi_error *err) {
  struct yoi__decision d;
  if (!atomic_load_explicit(&host->decides, memory_order_acquire)) return YOI_OK;
  struct yoi__setup *s = yoi__setup_now(host);
  yoi_policy_request r = about(runtime_id, req);
  host_layer(s, &r, YOI_VERDICT_ALLOW, NULL, NULL, &d);
  audit(s, &r, (yoi_str){NULL, 0}, &d);
  yoi__setup_give(s);
  if (d.verdict == YOI_VERDICT_ALLOW) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "policy does not allow '%s'%s%s",
                      yoi_sdk_op_name(req->op), d.reason[0] != '\0' ? ": " : "", d.reason);
}

/* A caller that names nobody is counted by its runtime. */
yoi_status yoi__policy_allows_model(struct yoi__setup *s, const struct yoi__model_question *q,
                                    yoi_error *err) {
  yoi_policy_request r = {.size = sizeof r,
                          .operation = YOI_LIT(YOI__MODEL_START),
                          .principal = q->principal.len > 0 ? q->principal : q->runtime_id,
                          .runtime_id = q->runtime_id,
                          .worker_id = q->worker_id,
                          .subject = q->model,
                          .request_id = q->request_id,
                          .tokens = q->tokens};
  struct yoi__decision d;
  if (s->config->n_policies == 0 && s->config->audit != YOI__AUDIT_ALL) return YOI_OK;
  ask_all(s, &r, NULL, NULL, &d);
  if (d.verdict == YOI_VERDICT_ABSTAIN) d.verdict = YOI_VERDICT_ALLOW;
  audit(s, &r, (yoi_str){NULL, 0}, &d);
  if (d.verdict == YOI_VERDICT_ALLOW) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "policy does not allow the model '%.*s'%s%s",
                      YOI_ARG(q->model), d.reason[0] != '\0' ? ": " : "", d.reason);
}
