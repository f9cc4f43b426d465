/* host/reload.c - yoi_host_reload: all of a new config, or nothing of it.
 *
 *   text --check--> config --plan--> prepared --switch--> in force --> the rest goes
 *             |              |            |
 *             +--------------+------------+--> refused: what was made is closed,
 *                                              the host is as it was
 *
 * Runtimes that are replaced are the exception: two of one are never open at
 * once, so one is closed before the other is opened, behind a gate, as the last
 * step but one; when it fails the old one is opened again (replace.c).
 *
 * Prepared means: secrets read, code of changed plugins loaded, policies open,
 * new runtimes open, new listeners bound and their ingresses open. What is left
 * then cannot fail, and happens in one task: the new ingresses accept, the
 * setup is switched, the table of runtimes is exchanged. What is not in the
 * config any more stops accepting, drains and is closed behind that, while the
 * host already answers with the new one.
 *
 * Invariants:
 *  1. Until the switch nobody but what is being opened sees anything of the new
 *     config: not who asks, not a turn, not a runtime that is kept.
 *  2. What is opened for it sees it from the first moment (setup.h, ahead): a
 *     runtime that goes on with turns when it opens has the models of its config.
 *  3. What is undone is undone in the order opposite to its making.
 *  4. Secrets that changed in their files have their new values with the switch.
 */
#include "reload.h"

#include <sdk/mem.h>
#include <stdio.h>

#include "clock.h"
#include "generation.h"
#include "ingress.h"
#include "replace.h"
#include "runtimes.h"

struct reloading {
  struct yoi__plan plan;
  struct yoi__plan_words words;
  yoi_error *err;
  yoi_status st;
};

/* ---- preparing ------------------------------------------------------------- */

/* Code beside code: what would be too much, or does not load, is said now and
 * not by the first turn that needs it. */
static yoi_status load_code(const struct yoi__config_instance *c, yoi_error *err) {
  struct yoi__plugin *p = c->plugin;
  if (p->linked != NULL || yoi__generation_others(p->manifest.id, p->digest) == 0) return YOI_OK;
  return yoi__plugin_load(p, err);
}

static yoi_status load_all(const struct yoi__config *c, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < c->n_runtimes && st == YOI_OK; i++)
    st = load_code(&c->runtimes[i].instance, err);
  for (size_t i = 0; i < c->n_models && st == YOI_OK; i++)
    st = load_code(&c->models[i].instance, err);
  for (size_t i = 0; i < c->n_tools && st == YOI_OK; i++) st = load_code(&c->tools[i], err);
  for (size_t i = 0; i < c->n_policies && st == YOI_OK; i++)
    st = load_code(&c->policies[i].instance, err);
  for (size_t i = 0; i < c->n_ingress && st == YOI_OK; i++)
    st = load_code(&c->ingress[i].instance, err);
  return st;
}

static yoi_status open_runtimes(struct yoi__plan *p, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < p->config->n_runtimes && st == YOI_OK; i++)
    if (p->runtimes[i].fate == YOI__ADD)
      st = yoi__runtime_make(p->host, p->config, &p->config->runtimes[i], p->setup,
                             &p->runtimes[i].in, err);
  return st;
}

/* NULL for NULL. */
static struct yoi__bound *bound_of(struct yoi_embed *host, const struct yoi__instance *in) {
  for (size_t k = 0; in != NULL && k < host->config->n_ingress; k++)
    if (host->ingress[k] == in) return &host->bound[k];
  return NULL;
}

static yoi_status open_ingresses(struct yoi__plan *p, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < p->config->n_ingress && st == YOI_OK; i++) {
    if (p->ingress[i].fate == YOI__KEEP) continue;
    const struct yoi__config_ingress *c = &p->config->ingress[i];
    struct yoi__instance *in = yoi__instance_new(p->host, p->config, &c->instance, c->listen);
    if (in == NULL) return yoi_sdk_fail_memory(err);
    p->ingress[i].in = in;
    st = yoi__ingress_open(in, c, bound_of(p->host, p->ingress[i].old), &p->bound[i], err);
  }
  return st;
}

/* The last thing that may fail. */
static yoi_status start_ingresses(struct yoi__plan *p, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < p->config->n_ingress && st == YOI_OK; i++)
    if (p->ingress[i].fate != YOI__KEEP)
      st = yoi__ingress_start(p->ingress[i].in, &p->config->ingress[i], &p->bound[i], err);
  return st;
}

/* [main] */
static void undo(void *ctx) {
  struct yoi__plan *p = ctx;
  for (size_t i = 0; p->ingress != NULL && i < p->config->n_ingress; i++) {
    if (p->ingress[i].fate == YOI__KEEP || p->ingress[i].in == NULL) continue;
    yoi__close_and_forget(p->ingress[i].in);
    yoi__bound_close(&p->bound[i]);
  }
  for (size_t i = 0; i < p->config->n_runtimes; i++)
    if (p->runtimes[i].fate == YOI__ADD && p->runtimes[i].in != NULL)
      yoi__close_and_forget(p->runtimes[i].in);
  yoi__replace_undo(p);
  yoi__setup_give(p->setup);
  yoi__config_free(p->config);
}

/* ---- the switch -------------------------------------------------------------- */

static void switch_runtimes(struct yoi__plan *p) {
  struct yoi__instance *in[YOI_RUNTIMES_MAX] = {NULL}, *out[YOI_RUNTIMES_MAX] = {NULL};
  size_t n = 0, n_out = 0;
  while (n_out < p->n_gone) {
    out[n_out] = p->gone[n_out];
    n_out++;
  }
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    struct yoi__plan_entry *e = &p->runtimes[i];
    if (e->fate != YOI__KEEP) in[n++] = e->in;
    if (e->gate != NULL) out[n_out++] = e->gate;
    atomic_store(&e->in->deadline_ms, p->config->runtimes[i].deadline_ms);
  }
  yoi__registry_exchange(&p->host->registry, out, n_out, in, n);
  yoi__replace_done(p);
  for (size_t i = 0; i < n; i++) yoi__setup_ahead(in[i], NULL);
}

/* The arrays of the host are as in its config. */
static void switch_ingresses(struct yoi__plan *p) {
  struct yoi_embed *host = p->host;
  struct yoi__bound *bound = host->bound;
  for (size_t i = 0; i < p->config->n_ingress; i++) {
    p->listening[i] = p->ingress[i].in;
    for (size_t k = 0; p->ingress[i].old != NULL && k < p->n_gone_ingress; k++)
      if (p->gone_ingress[k] == p->ingress[i].old)
        yoi__bound_inherit(&p->bound[i], &p->gone_bound[k]);
  }
  yoi_sdk_free(host->ingress);
  host->ingress = p->listening;
  host->bound = p->bound;
  p->listening = NULL;
  p->bound = NULL;
  yoi_sdk_free(bound);
}

/* Secrets of what is kept are read again, each by its own config. */
static void refresh_kept(struct yoi__plan *p) {
  for (size_t i = 0; i < p->config->n_ingress; i++)
    if (p->ingress[i].fate == YOI__KEEP) yoi__refresh_secrets(p->ingress[i].in);
  for (size_t i = 0; i < p->config->n_runtimes; i++)
    if (p->runtimes[i].fate == YOI__KEEP) yoi__refresh_secrets(p->runtimes[i].in);
}

/* ---- the steps, in their order ----------------------------------------------- */

/* [main] */
static void plan_it(void *ctx) {
  struct reloading *r = ctx;
  struct yoi__plan *p = &r->plan;
  yoi__secrets_join(p->config->secrets, p->host->config->secrets);
  r->st = yoi__plan_make(p, r->err);
}

/* [main] */
static void prepare(void *ctx) {
  struct reloading *r = ctx;
  struct yoi__plan *p = &r->plan;
  struct yoi_embed *host = p->host;
  r->st = yoi__config_read_secrets(p->config, r->err);
  if (r->st == YOI_OK) r->st = load_all(p->config, r->err);
  if (r->st == YOI_OK) {
    p->setup = yoi__setup_new(host, p->config);
    r->st = p->setup == NULL ? yoi_sdk_fail_memory(r->err)
                             : yoi__setup_fill(p->setup, atomic_load(&host->setup), r->err);
  }
  if (r->st == YOI_OK) r->st = open_runtimes(p, r->err);
  if (r->st == YOI_OK) r->st = open_ingresses(p, r->err);
}

/* [main] */
static void finish(void *ctx) {
  struct reloading *r = ctx;
  struct yoi__plan *p = &r->plan;
  r->st = yoi__replace_open(p, r->err);
  if (r->st == YOI_OK) r->st = start_ingresses(p, r->err);
  if (r->st != YOI_OK) return;
  yoi__plan_say(p, &r->words);
  yoi__secrets_commit(p->config->secrets);
  yoi__setup_switch(p->setup);
  switch_runtimes(p);
  switch_ingresses(p);
  refresh_kept(p);
  yoi__warn_short(p->host);
  yoi__warn_unset(p->host);
  yoi__log_passed(p->host);
  yoi__config_free(p->config); /* the setup has its own reference */
}

static int is_good(const struct reloading *r) {
  return r->st == YOI_OK && r->plan.found.n == 0 && !r->plan.found.failed;
}

/* 1: the host has the new config. */
static int run(struct reloading *r) {
  struct yoi__plan *p = &r->plan;
  struct yoi__control *control = p->host->control;
  yoi__control_run(control, plan_it, r);
  if (is_good(r)) yoi__replace_check(p);
  if (is_good(r)) yoi__control_run(control, prepare, r);
  if (is_good(r)) r->st = yoi__replace_close(p, r->err);
  if (is_good(r)) yoi__control_run(control, finish, r);
  if (is_good(r)) return 1;
  yoi__control_run(control, undo, p);
  return 0;
}

/* ---- what is not there any more ------------------------------------------------ */

/* The application's thread. 1: work had to be cancelled, or something is held. */
static int let_go(struct yoi__plan *p) {
  struct yoi_embed *host = p->host;
  struct yoi__instance *all[YOI_RUNTIMES_MAX + YOI_INGRESS_MAX];
  size_t n = 0;
  uint64_t deadline_ns = yoi__now_ns() + host->config->drain_ms * YOI__MS;
  for (size_t i = 0; i < p->n_gone_ingress; i++) {
    yoi__bound_forget(&p->gone_bound[i]);
    all[n++] = p->gone_ingress[i];
  }
  for (size_t i = 0; i < p->n_gone; i++) all[n++] = p->gone[i];
  if (n == 0) return 0;
  int late = yoi__drain_some(host, all, n, deadline_ns);
  for (size_t i = 0; i < n; i++) late |= !yoi__retire(host, all[i], yoi__retire_until(deadline_ns));
  for (size_t i = 0; i < p->n_gone_ingress; i++) yoi__bound_close(&p->gone_bound[i]);
  return late;
}

/* ---- the verb -------------------------------------------------------------------- */

static yoi_status refused(struct reloading *r, yoi_report_fn report, void *ctx) {
  struct yoi_embed *host = r->plan.host;
  yoi_status st = r->st;
  if (r->plan.found.n > 0 || r->plan.found.failed)
    st = yoi__findings_end(&r->plan.found, report, ctx, r->err);
  yoi__metrics_add(host->metrics, host->counters.reloads_refused, 1);
  return st;
}

static void say_reloaded(struct reloading *r, int late) {
  struct yoi_embed *host = r->plan.host;
  char number[24], kept[24];
  const yoi_log_field fields[] = {{YOI_LIT("generation"), {number, 0}},
                                  {YOI_LIT("added"), yoi_sdk_buf_str(&r->words.added)},
                                  {YOI_LIT("removed"), yoi_sdk_buf_str(&r->words.removed)},
                                  {YOI_LIT("replaced"), yoi_sdk_buf_str(&r->words.replaced)},
                                  {YOI_LIT("kept"), {kept, 0}}};
  yoi_log_field out[5];
  for (size_t i = 0; i < 5; i++) out[i] = fields[i];
  out[0].value.len =
      (uint32_t)snprintf(number, sizeof number, "%llu", (unsigned long long)r->plan.setup->number);
  out[4].value.len = (uint32_t)snprintf(kept, sizeof kept, "%zu", r->words.kept);
  yoi__log_host(host->log, YOI_LOG_INFO, late ? "reloaded, work was cancelled" : "reloaded", out,
                5);
}

yoi_status yoi_host_reload(struct yoi_embed *host, const char *json, size_t len,
                           const char *base_dir, yoi_report_fn report, void *ctx, yoi_error *err) {
  struct yoi_sdk_error own;
  if (err == NULL) err = yoi_sdk_error_init(&own);
  yoi_status st = yoi__runtimes_caller(host, "reload", err);
  if (st != YOI_OK) return st;
  struct reloading *r = yoi_sdk_calloc(1, sizeof *r);
  if (r == NULL) return yoi_sdk_fail_memory(err);
  r->err = err;
  r->plan.host = host;
  yoi__findings_init(&r->plan.found, (yoi_str){json, len});
  yoi__look_at_left(host);
  r->st = yoi__config_load_own((yoi_str){json, len}, base_dir, host->config->own, report, ctx,
                               &r->plan.config, err);
  int is_new = r->st == YOI_OK && run(r);
  if (is_new) {
    int late = let_go(&r->plan);
    yoi__metrics_add(host->metrics, host->counters.reloads_ok, 1);
    yoi__metrics_set(host->metrics, host->counters.generation, r->plan.setup->number);
    say_reloaded(r, late);
    yoi_sdk_buf_release(&r->words.added);
    yoi_sdk_buf_release(&r->words.removed);
    yoi_sdk_buf_release(&r->words.replaced);
  } else {
    st = refused(r, report, ctx);
    yoi__log_failure(host->log, YOI_LOG_ERROR, "reload refused", YOI_LIT("config"), (yoi_str){0},
                     err);
  }
  yoi__plan_release(&r->plan);
  yoi_sdk_free(r);
  return st;
}
