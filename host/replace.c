/* host/replace.c - a runtime that the new config describes in other words.
 *
 *   check   what is its state? memory with workers: refused, nothing happens
 *   close   a gate takes its place; turns end or are interrupted at the deadline,
 *           watches end with their cursor; nobody holds it any more; closed
 *   open    the new one
 *   done    the gate leads to it, and what waited goes on there
 *
 *           any step fails: undo. What is still open is taken back as it is; what
 *           was closed is opened again in its old words, and the gate leads there.
 *
 * Two of one runtime are never open at the same time: what is on a disk, or at
 * another host, has one owner.
 *
 * Invariants:
 *  1. From close to done or undo the id is known all the time: what is asked
 *     waits, with its deadline.
 *  2. A runtime whose state is memory is closed only when it was seen without a
 *     worker while nothing else could reach it.
 *  3. One that cannot say what its state is is taken for memory that is in use,
 *     unless what it says is that another host does not answer.
 */
#include "replace.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>

#include "call.h"
#include "clock.h"
#include "gate.h"
#include "runtimes.h"

#define QUIET_MS 1000 /* for what runs in a memory that seemed empty */

static void find(struct yoi__plan *p, size_t i, const char *why) {
  char at[48] = "";
  const struct yoi__config_runtime *r = &p->config->runtimes[i];
  if (!r->drop_in) (void)snprintf(at, sizeof at, "/runtimes/%zu", i);
  yoi__findings_add(&p->found, at, 0, "runtime '%.*s' cannot be replaced: %s", YOI_ARG(r->id), why);
}

/* ---- asking it ---------------------------------------------------------------- */

struct answer {
  struct yoi_embed *host;
  _Atomic int over;
  yoi_status st;
  int32_t code;
  struct yoi_sdk_buf text;
};

static void on_answer(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct answer *a = ctx;
  if (ev != NULL) {
    if (ev->kind == YOI_EVENT_RESULT) yoi_sdk_buf_adds(&a->text, ev->text);
    return;
  }
  struct yoi_embed *host = a->host;
  a->st = st == YOI_END ? YOI_OK : st;
  a->code = err != NULL ? err->code : 0;
  atomic_store(&a->over, 1);
  yoi__host_notify(host);
}

static int is_over(void *ctx) {
  return atomic_load(&((struct answer *)ctx)->over);
}

/* The application's thread; a unary operation, whose deadline ends the wait. */
static void ask(struct yoi__instance *in, uint32_t op, yoi_str body, struct answer *out) {
  const yoi_request req = {.size = sizeof req,
                           .op = op,
                           .origin = YOI_ORIGIN_EMBED,
                           .deadline_ns = yoi__now_ns() + YOI_LIST_ALL_MS * YOI__MS,
                           .principal = YOI_LIT("host"),
                           .request_id = YOI_LIT("reload"),
                           .body = body};
  struct yoi_sdk_error e;
  *out = (struct answer){.host = in->top};
  yoi_sdk_buf_init(&out->text, YOI_JSON_BYTES_MAX);
  yoi_status st = yoi__call_runtime(in, &req, on_answer, out, yoi_sdk_error_init(&e));
  if (st != YOI_OK) { /* else it may be over by now, and what it says there */
    out->st = st;
    out->code = e.e.code;
    return;
  }
  while (!yoi__host_wait(in->top, is_over, out, UINT64_MAX)) continue;
}

enum kind { NOT_SAID, MEMORY, ELSEWHERE };

/* Durable and remote are one thing here: what it keeps is not in it. */
static enum kind kind_of(struct yoi__instance *in) {
  struct answer a;
  ask(in, YOI_OP_RUNTIME_DESCRIBE, (yoi_str){NULL, 0}, &a);
  yoi_str text = yoi_sdk_buf_str(&a.text), said = {NULL, 0};
  if (a.st == YOI_OK && !a.text.failed && yoi_sdk_json_check(text, 0, NULL) == YOI_OK)
    said = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(text, "runtime"), "state_kind");
  int away = a.st != YOI_OK &&
             (a.code == YOI_CODE_RUNTIME_UNAVAILABLE || a.code == YOI_CODE_REMOTE_MALFORMED);
  enum kind kind = NOT_SAID;
  if (yoi_sdk_str_is(said, "\"memory\""))
    kind = MEMORY;
  else if (yoi_sdk_str_is(said, "\"durable\"") || yoi_sdk_str_is(said, "\"remote\"") || away)
    kind = ELSEWHERE;
  yoi_sdk_buf_release(&a.text);
  return kind;
}

/* 0 only when it said so. */
static int has_workers(struct yoi__instance *in) {
  struct answer a;
  size_t at = 0;
  yoi_str one;
  ask(in, YOI_OP_WORKER_LIST, YOI_LIT("{\"limit\":1}"), &a);
  yoi_str text = yoi_sdk_buf_str(&a.text), workers = {NULL, 0};
  if (a.st == YOI_OK && !a.text.failed && yoi_sdk_json_check(text, 0, NULL) == YOI_OK)
    workers = yoi_sdk_json_raw_get(text, "workers");
  int none = workers.len > 1 && workers.ptr[0] == '[' && !yoi_sdk_json_raw_each(workers, &at, &one);
  yoi_sdk_buf_release(&a.text);
  return !none;
}

static const char has_some[] = "its state is memory, and it has workers: they would be lost";

void yoi__replace_check(struct yoi__plan *p) {
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    if (e->fate != YOI__REPLACE) continue;
    enum kind kind = kind_of(e->old);
    e->memory = kind == MEMORY;
    if (kind == NOT_SAID)
      find(p, i, "it does not say what its state is");
    else if (e->memory && has_workers(e->old))
      find(p, i, has_some);
  }
}

/* ---- closing ------------------------------------------------------------------- */

struct step {
  struct yoi__plan *plan;
  size_t i;
  yoi_status st;
};

/* [main] */
static void raise_gate(void *ctx) {
  struct step *s = ctx;
  struct yoi__plan *p = s->plan;
  struct yoi__plan_entry *e = &p->runtimes[s->i];
  const struct yoi__config_runtime *r = &p->config->runtimes[s->i];
  struct yoi__instance *in = yoi__instance_new(p->host, p->config, &r->instance, r->id);
  s->st = YOI_RESOURCE_EXHAUSTED;
  if (in == NULL) return;
  in->entry = r;
  atomic_store(&in->deadline_ms, r->deadline_ms);
  in->gate = yoi__gate_new();
  if (in->gate == NULL) {
    yoi__instance_forget(in);
    return;
  }
  e->gate = in;
  s->st = YOI_OK;
  yoi__registry_exchange(&p->host->registry, &e->old, 1, &e->gate, 1);
}

/* What had found it before the gate stood is through, and has left no worker. */
static int is_empty(struct yoi_embed *host, struct yoi__instance *old) {
  yoi__instance_shut(old);
  int quiet =
      yoi__host_wait(host, yoi__instance_unreferenced, old, yoi__now_ns() + QUIET_MS * YOI__MS);
  yoi__instance_reopen(old);
  return quiet && !has_workers(old);
}

yoi_status yoi__replace_close(struct yoi__plan *p, yoi_error *err) {
  struct yoi__instance *all[YOI_RUNTIMES_MAX];
  size_t n = 0;
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    struct step s = {.plan = p, .i = i};
    if (e->fate != YOI__REPLACE) continue;
    yoi__control_run(p->host->control, raise_gate, &s);
    if (s.st != YOI_OK) return yoi_sdk_fail_memory(err);
    if (e->memory && !is_empty(p->host, e->old)) {
      find(p, i, has_some);
      return YOI_FAILED_PRECONDITION;
    }
    all[n++] = e->old;
  }
  if (n == 0) return YOI_OK;
  uint64_t deadline_ns = yoi__now_ns() + p->config->drain_ms * YOI__MS;
  for (size_t i = 0; i < p->config->n_runtimes; i++) p->runtimes[i].drained = 1;
  (void)yoi__drain_some(p->host, all, n, deadline_ns);
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    if (e->fate != YOI__REPLACE) continue;
    e->held = !yoi__retire(p->host, e->old, yoi__retire_until(deadline_ns));
    if (!e->held) continue;
    find(p, i, "it is still held, and closes when it was let go");
    st = YOI_DEADLINE_EXCEEDED;
  }
  return st;
}

yoi_status yoi__replace_open(struct yoi__plan *p, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < p->config->n_runtimes && st == YOI_OK; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    if (e->fate == YOI__REPLACE)
      st = yoi__runtime_make(p->host, p->config, &p->config->runtimes[i], p->setup, &e->in, err);
  }
  return st;
}

/* ---- done, or undone -------------------------------------------------------------- */

/* It is in nobody's way; some may hold it through what they began there. */
static void lower_gate(struct yoi_embed *host, struct yoi__plan_entry *e,
                       struct yoi__instance *to) {
  yoi__gate_open(e->gate, to);
  yoi__instance_shut(e->gate);
  e->gate->next = host->left;
  host->left = e->gate;
  e->gate = NULL;
}

void yoi__replace_done(struct yoi__plan *p) {
  for (size_t i = 0; i < p->config->n_runtimes; i++)
    if (p->runtimes[i].gate != NULL) lower_gate(p->host, &p->runtimes[i], p->runtimes[i].in);
}

static struct yoi__instance *open_again(struct yoi_embed *host, yoi_str id) {
  struct yoi__config *c = host->config;
  struct yoi__instance *in = NULL;
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  size_t i = 0;
  while (i < c->n_runtimes && !yoi_sdk_str_eq(c->runtimes[i].id, id)) i++;
  if (i < c->n_runtimes) (void)yoi__runtime_make(host, c, &c->runtimes[i], NULL, &in, err);
  if (in == NULL)
    yoi__log_failure(host->log, YOI_LOG_ERROR, "runtime is gone: it cannot be opened again", id,
                     (yoi_str){0}, err);
  return in;
}

void yoi__replace_undo(struct yoi__plan *p) {
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    if (e->gate == NULL) continue;
    if (e->in != NULL) yoi__close_and_forget(e->in);
    struct yoi__instance *to = e->old;
    if (e->held)
      to = NULL;
    else if (e->drained)
      to = open_again(p->host, p->config->runtimes[i].id);
    yoi__registry_exchange(&p->host->registry, &e->gate, 1, &to, to != NULL);
    lower_gate(p->host, e, to);
  }
}
