/* host/tool.c - yoi.host.tool/1: what tools there are, and calls of them.
 *
 *   find     the manifest's word, no code of the plugin
 *   decide   judge(): is it there -> do the arguments fit -> are the grants
 *            there -> what do the layers of policy say
 *   start    judge() once more, then allow -> run; ask -> run with an approval;
 *            deny -> refused
 *
 * Invariants:
 *  1. Nothing of a plugin runs before judge() has said allow, or ask and there
 *     is an approval. There is no other place in the host that starts a tool.
 *  2. A call has its handle from before the plugin's start until the stream's
 *     release: with it, and only with it, the plugin reaches mounts, hosts and
 *     the operator's words (given.c); a stale one reaches nothing.
 *  3. What a model is told of a refusal names what it wrote, never what the host
 *     has beside.
 */
#include "tool.h"

#include <stdio.h>
#include <string.h>

#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <sdk/take.h>

#include "clock.h"
#include "given.h"
#include "host.h"
#include "late.h"
#include "policy.h"
#include "stream.h"
#include "told.h"
#include "turn.h"

/* ---- which one ----------------------------------------------------------- */

struct found {
  struct yoi__instance *in;
  const struct yoi__manifest_tool *tool;
};

static yoi_status no_tool(yoi_error *err, yoi_str name, const char *why) {
  (void)yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "tool '%.*s' %s",
                     (int)yoi_sdk_utf8_cut(name, YOI_NAME_MAX), name.ptr, why);
  return YOI_NOT_FOUND;
}

static yoi_status look_up(const struct yoi__setup *s, yoi_str plugin, yoi_str name,
                          struct found *out, yoi_error *err) {
  size_t n = 0;
  for (size_t i = 0; i < s->config->n_tools; i++) {
    const struct yoi__manifest *m = &s->config->tools[i].plugin->manifest;
    if (plugin.len > 0 && !yoi_sdk_str_eq(m->id, plugin)) continue;
    const struct yoi__manifest_tool *t = yoi__manifest_tool(m, name);
    if (t == NULL) continue;
    *out = (struct found){s->tools[i], t};
    n++;
  }
  if (n == 0) return no_tool(err, name, "is not there");
  return n == 1 ? YOI_OK : no_tool(err, name, "is one of several plugins: name one");
}

yoi_status yoi__tool_find(struct yoi__setup *s, yoi_str plugin, yoi_str name, yoi_tool_info *out,
                          yoi_error *err) {
  struct found f = {NULL, NULL};
  yoi_status st = look_up(s, plugin, name, &f, err);
  if (st != YOI_OK) return st;
  const struct yoi__plugin *p = f.in->plugin;
  yoi_tool_info info = {.size = sizeof info,
                        .flags = f.tool->flags,
                        .max_ms = f.tool->max_ms,
                        .name = f.tool->name,
                        .plugin = p->manifest.id,
                        .version = p->manifest.version,
                        .digest = yoi_sdk_str(p->digest),
                        .description = f.tool->description,
                        .parameters = f.tool->parameters,
                        .grants = f.tool->grants};
  if (!yoi__told_keep(s->host->told, &info)) return yoi_sdk_fail_memory(err);
  uint32_t size = out->size < sizeof info ? out->size : (uint32_t)sizeof info;
  memcpy(out, &info, size);
  out->size = size;
  return YOI_OK;
}

/* ---- may it run ------------------------------------------------------------ */

/* Findings for a model: the first few, in one line. */
struct findings {
  char text[YOI_ERROR_MESSAGE_MAX - 64];
  size_t len, n;
};

static void take_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct findings *f = ctx;
  (void)is_key;
  if (f->n++ >= 4) return;
  int n = snprintf(f->text + f->len, sizeof f->text - f->len, "%s'%s': %s", f->len > 0 ? "; " : "",
                   pointer, message);
  if (n < 0) return;
  f->len += (size_t)n;
  if (f->len >= sizeof f->text) f->len = sizeof f->text - 1;
}

static yoi_status check_arguments(const struct yoi__manifest_tool *t, yoi_str arguments,
                                  yoi_error *err) {
  struct yoi_sdk_json_error e;
  struct findings f = {.len = 0};
  yoi_sdk_json *v = NULL;
  if (arguments.len > YOI_TOOL_ARGUMENTS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the arguments are larger than %d bytes",
                        YOI_TOOL_ARGUMENTS_MAX);
  yoi_status st = yoi_sdk_json_parse(arguments, 0, &v, &e);
  if (st == YOI_INVALID_ARGUMENT)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the arguments are no JSON: %s", e.message);
  if (st == YOI_OK) st = yoi_sdk_schema_test(t->arguments, v, "", take_finding, &f);
  yoi_sdk_json_free(v);
  if (st == YOI_OK) return st;
  if (f.n == 0) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the arguments do not fit: %.*s",
                      (int)yoi_sdk_utf8_cut((yoi_str){f.text, f.len}, sizeof f.text), f.text);
}

/* 1: there is one of that kind, a raw JSON string. */
static int has_kind(yoi_str grants, yoi_str kind) {
  yoi_str raw, word = {kind.ptr + 1, kind.len - 2};
  for (size_t pos = 0; yoi_sdk_json_raw_each(grants, &pos, &raw);)
    if (raw.len > word.len + 2 && memcmp(raw.ptr + 1, word.ptr, word.len) == 0 &&
        raw.ptr[1 + word.len] == ':')
      return 1;
  return 0;
}

/* Those of the call are in force, and all kinds that the tool needs are there. */
static yoi_status check_grants(struct yoi__setup *s, const struct found *f, yoi_str grants,
                               yoi_error *err) {
  yoi_str kind;
  yoi_status st = yoi__given_check(s, f->in->plugin, grants, err);
  for (size_t pos = 0; st == YOI_OK && yoi_sdk_json_raw_each(f->tool->grants, &pos, &kind);)
    if (!has_kind(grants, kind))
      st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "the tool needs a grant of the kind '%.*s'",
                        (int)kind.len - 2, kind.ptr + 1);
  return st;
}

static struct yoi__tool_question question(const struct found *f, yoi_str runtime_id,
                                          const yoi_tool_call *call) {
  return (struct yoi__tool_question){
      .tool_flags = f->tool->flags,
      .asked_again = (call->flags & YOI_TOOL_CALL_DECIDED) != 0,
      .bundle_verdict = call->bundle_verdict,
      .profile_verdict = call->profile_verdict,
      .principal = call->principal,
      .runtime_id = runtime_id,
      .worker_id = call->worker_id,
      .call_id = call->call_id,
      .request_id = call->request_id,
      .tool = f->tool->name,
      .plugin = f->in->plugin->manifest.id,
      .arguments = call->arguments,
      .grants = call->grants,
  };
}

yoi_status yoi__tool_question_of(struct yoi__setup *s, yoi_str runtime_id,
                                 const yoi_tool_call *call, struct yoi__tool_question *out,
                                 yoi_error *err) {
  struct found f = {NULL, NULL};
  yoi_status st = look_up(s, call->plugin, call->name, &f, err);
  if (st == YOI_OK) st = check_arguments(f.tool, call->arguments, err);
  if (st == YOI_OK) *out = question(&f, runtime_id, call);
  return st;
}

static void deny_grants(struct yoi__decision *d, const char *why) {
  *d = (struct yoi__decision){.verdict = YOI_VERDICT_DENY};
  (void)snprintf(d->rule, sizeof d->rule, "grants");
  (void)snprintf(d->reason, sizeof d->reason, "%.*s",
                 (int)yoi_sdk_utf8_cut(yoi_sdk_str(why), sizeof d->reason - 1), why);
}

/* OK: *d says what policy says. A grant that is not there is a decision too:
 * deny, by the host. */
static yoi_status judge(struct yoi__setup *s, const struct yoi__instance *who,
                        const yoi_tool_call *call, struct found *f, struct yoi__tool_question *q,
                        struct yoi__decision *d, yoi_error *err) {
  struct yoi_sdk_error e;
  if (call->principal.len == 0)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "a call without a principal");
  yoi_status st = look_up(s, call->plugin, call->name, f, err);
  if (st == YOI_OK) st = check_arguments(f->tool, call->arguments, err);
  if (st != YOI_OK) return st;
  *q = question(f, who->name, call);
  st = check_grants(s, f, call->grants, yoi_sdk_error_init(&e));
  if (st == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (st == YOI_OK)
    yoi__policy_decide_tool(s, q, NULL, NULL, d);
  else
    deny_grants(d, e.message);
  /* What a person was asked about before has its own line: allows(). */
  if (d->verdict != YOI_VERDICT_ASK || call->approval.len == 0) yoi__policy_audit_tool(s, q, d);
  return YOI_OK;
}

static void put_text(char *out, size_t cap, yoi_str s) {
  size_t n = yoi_sdk_utf8_cut(s, cap - 1);
  if (n > 0) memcpy(out, s.ptr, n);
  out[n] = '\0';
}

yoi_status yoi__tool_decide(struct yoi__setup *s, struct yoi__instance *who,
                            const yoi_tool_call *call, yoi_tool_decision *out, yoi_error *err) {
  yoi_tool_call c;
  struct found f = {NULL, NULL};
  struct yoi__tool_question q;
  struct yoi__decision d;
  yoi_tool_decision said = {.size = sizeof said};
  yoi_status st = yoi_sdk_take(&c, sizeof c, call, "tool call", err);
  if (st == YOI_OK) st = judge(s, who, &c, &f, &q, &d, err);
  if (st != YOI_OK) return st;
  said.verdict = d.verdict;
  put_text(said.plugin, sizeof said.plugin, d.plugin);
  put_text(said.rule, sizeof said.rule, yoi_sdk_str(d.rule));
  put_text(said.reason, sizeof said.reason, yoi_sdk_str(d.reason));
  uint32_t size = out->size < sizeof said ? out->size : (uint32_t)sizeof said;
  memcpy(out, &said, size);
  out->size = size;
  return YOI_OK;
}

/* ---- running it ------------------------------------------------------------ */

struct copy {
  struct yoi__work work; /* first: what a strand is given */
  yoi_tool_request req;
};

static yoi_status start_now(struct yoi__instance *in, const void *req, yoi_stream **out,
                            yoi_error *err) {
  return in->plugin->table.tool.start(in->self, req, out, err);
}

static yoi_status work_start(struct yoi__work *w, struct yoi__instance *in, uint64_t token,
                             yoi_stream **out, yoi_error *err) {
  struct copy *c = (struct copy *)w;
  c->req.token = token;
  return start_now(in, &c->req, out, err);
}

static void work_free(struct yoi__work *w) {
  yoi_sdk_free(w);
}

static struct yoi__work *copy_request(const void *request) {
  const yoi_tool_request *req = request;
  const yoi_str *const from[] = {&req->name,       &req->arguments,
                                 &req->worker_id,  &req->idempotency_key,
                                 &req->request_id, &req->trace};
  size_t bytes = 0;
  for (size_t i = 0; i < 6; i++) bytes += from[i]->len;
  struct copy *c = yoi_sdk_malloc(sizeof *c + bytes);
  if (c == NULL) return NULL;
  c->work = (struct yoi__work){work_start, work_free};
  c->req = *req;
  yoi_str *const to[] = {&c->req.name,       &c->req.arguments,
                         &c->req.worker_id,  &c->req.idempotency_key,
                         &c->req.request_id, &c->req.trace};
  char *at = (char *)(c + 1);
  for (size_t i = 0; i < 6; i++) {
    *to[i] = (yoi_str){at, from[i]->len};
    if (from[i]->len > 0) memcpy(at, from[i]->ptr, from[i]->len);
    at += from[i]->len;
  }
  return &c->work;
}

static yoi_status cannot_open(yoi_error *err, yoi_str name) {
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "plugin '%.*s' cannot be opened", YOI_ARG(name));
}

static yoi_status is_busy(yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the tool has too much to do");
}

static void call_over(struct yoi__instance *in, yoi_status final, uint64_t call) {
  yoi__late_count(in->top, &in->top->counters.tools, final);
  yoi__given_close(in->top, call);
}

static const struct yoi__late_kind late_tool = {start_now, copy_request, cannot_open, is_busy,
                                                call_over};

/* Policy's answer, and what a person has said. */
static yoi_status allows(struct yoi__setup *s, const yoi_tool_call *c,
                         const struct yoi__tool_question *q, const struct yoi__decision *d,
                         yoi_error *err) {
  const char *colon = d->reason[0] != '\0' ? ": " : "";
  if (d->verdict == YOI_VERDICT_ALLOW) return YOI_OK;
  if (d->verdict != YOI_VERDICT_ASK)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "the call is not allowed%s%s", colon,
                        d->reason);
  if (c->approval.len > 0) {
    yoi__policy_audit_approval(s, q, c->approval, c->approved_by);
    return YOI_OK;
  }
  (void)yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "a person has to be asked%s%s", colon, d->reason);
  return YOI_FAILED_PRECONDITION;
}

yoi_status yoi__tool_start(struct yoi__setup *s, struct yoi__instance *who,
                           const yoi_tool_call *call, yoi_stream **out, yoi_error *err) {
  yoi_tool_call c;
  struct found f = {NULL, NULL};
  struct yoi__tool_question q;
  struct yoi__decision d;
  yoi_status st = yoi_sdk_take(&c, sizeof c, call, "tool call", err);
  if (st == YOI_OK) st = judge(s, who, &c, &f, &q, &d, err);
  if (st == YOI_OK) st = allows(s, &c, &q, &d, err);
  if (st != YOI_OK) return st;
  uint64_t until = yoi__now_ns() + f.tool->max_ms * YOI__MS;
  yoi_tool_request req = {
      .size = sizeof req,
      .deadline_ns = c.deadline_ns != 0 && c.deadline_ns < until ? c.deadline_ns : until,
      .token = c.token,
      .name = f.tool->name,
      .arguments = c.arguments,
      .worker_id = c.worker_id,
      .idempotency_key = c.idempotency_key,
      .request_id = c.request_id,
      .trace = c.trace};
  st = yoi__given_open(s, f.in, c.grants, &req.call, err);
  if (st != YOI_OK) return st;
  return yoi__late_start(s, f.in, &late_tool, &req, c.token, req.deadline_ns, c.request_id,
                         req.call, out, err);
}

/* ---- the interface: of no turn, so with the setup that is current ---------- */

static yoi_status tool_find(const yoi_host *h, yoi_str plugin, yoi_str name, yoi_tool_info *out,
                            yoi_error *err) {
  return yoi__turn_table.tool_find(h, 0, plugin, name, out, err);
}

static yoi_status tool_decide(const yoi_host *h, const yoi_tool_call *call, yoi_tool_decision *out,
                              yoi_error *err) {
  return yoi__turn_table.tool_decide(h, 0, call, out, err);
}

static yoi_status tool_start(const yoi_host *h, const yoi_tool_call *call, yoi_stream **out,
                             yoi_error *err) {
  return yoi__turn_table.tool_start(h, 0, call, out, err);
}

const yoi_host_tool yoi__tool_table = {sizeof yoi__tool_table, 0, tool_find, tool_decide,
                                       tool_start};

yoi_status yoi__tool_counters(struct yoi_embed *host) {
  return yoi__late_counters(host, "yoi_tool_calls_total",
                            "Calls of tools that were started, by how they ended.",
                            &host->counters.tools);
}
