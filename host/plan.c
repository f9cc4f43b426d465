/* host/plan.c - what a new config means for a host that runs.
 *
 *   the same words        kept: the instance that there is, with all it holds
 *   new                   added
 *   not there any more    removed
 *   other words           models, tools, policies: a new instance beside the old;
 *                         runtimes: replaced (replace.c); ingresses: a new one
 *                         goes on with the sockets of the old
 *
 * "The same words" are the plugin's bytes, the config as the plugin gets it, and
 * the places that its secrets come from. What is said of a runtime beside that
 * (its name for people, bundles, deadlines) is the host's own and changes with the
 * setup.
 *
 * Invariants:
 *  1. Nothing is changed here; what is found is all that is found, at once.
 *  2. What a reload cannot change and the config does is a finding at its place,
 *     never passed over.
 *  3. A runtime that the application has added is its own: it stays, and an entry
 *     of the same id is refused.
 */
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

#include "reload.h"

#define WORDS_MAX 2048 /* of one list in the log */

/* ---- what needs a restart -------------------------------------------------- */

static void check_fixed(struct yoi__plan *p) {
  const struct yoi__config *was = p->host->config, *is = p->config;
  const struct {
    const char *pointer;
    int differs;
  } fixed[] = {{"/step", was->step != is->step},
               {"/loops", was->loops != is->loops},
               {"/log/level", was->log_level != is->log_level},
               {"/log/format", was->log_format != is->log_format}};
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
    if (fixed[i].differs)
      yoi__findings_add(&p->found, fixed[i].pointer, 0,
                        "'%s' cannot be changed while the host runs: it needs a restart",
                        fixed[i].pointer + 1);
}

/* ---- runtimes ---------------------------------------------------------------- */

static const struct yoi__config_runtime *entry_of(const struct yoi__config *c, yoi_str id) {
  for (size_t i = 0; i < c->n_runtimes; i++)
    if (yoi_sdk_str_eq(c->runtimes[i].id, id)) return &c->runtimes[i];
  return NULL;
}

static void plan_runtime(struct yoi__plan *p, size_t i) {
  const struct yoi__config_runtime *r = &p->config->runtimes[i];
  struct yoi__instance *in = yoi__registry_find(&p->host->registry, r->id);
  char at[48];
  (void)snprintf(at, sizeof at, "/runtimes/%zu", i);
  p->runtimes[i] = (struct yoi__plan_entry){.fate = in != NULL ? YOI__KEEP : YOI__ADD, .in = in};
  if (in == NULL) return;
  if (in->memory != NULL)
    yoi__findings_add(&p->found, at, 0, "runtime '%.*s' was added by the application",
                      YOI_ARG(r->id));
  else if (!yoi__instance_same(in->from, in->config, p->config, &r->instance))
    p->runtimes[i] = (struct yoi__plan_entry){.fate = YOI__REPLACE, .old = in};
}

static void plan_runtimes(struct yoi__plan *p) {
  struct yoi__instance *in = NULL;
  size_t there = 0, added = 0;
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    plan_runtime(p, i);
    added += p->runtimes[i].fate == YOI__ADD;
  }
  for (; (in = yoi__registry_at(&p->host->registry, there)) != NULL; there++)
    if (in->memory == NULL && entry_of(p->config, in->name) == NULL) p->gone[p->n_gone++] = in;
  if (there - p->n_gone + added > YOI_RUNTIMES_MAX)
    yoi__findings_add(&p->found, "/runtimes", 0,
                      "more than %d runtimes, with those that the application has added",
                      YOI_RUNTIMES_MAX);
}

/* ---- ingresses ----------------------------------------------------------------- */

static int same_ingress(const struct yoi__config *a, const struct yoi__config_ingress *x,
                        const struct yoi__config *b, const struct yoi__config_ingress *y) {
  return x->surface == y->surface && x->insecure == y->insecure &&
         yoi_sdk_str_eq(x->listen, y->listen) && x->address_len == y->address_len &&
         memcmp(&x->address, &y->address, sizeof x->address) == 0 &&
         yoi_sdk_str_eq(x->runtime_id, y->runtime_id) && yoi_sdk_str_eq(x->token, y->token) &&
         yoi_sdk_str_eq(x->hosts, y->hosts) && yoi__instance_same(a, &x->instance, b, &y->instance);
}

/* The old one in the same words that no entry before i has. */
static size_t find_ingress(const struct yoi__plan *p, size_t i) {
  const struct yoi__config *was = p->host->config;
  for (size_t k = 0; k < was->n_ingress; k++) {
    size_t taken = 0;
    while (taken < i && p->ingress[taken].in != p->host->ingress[k]) taken++;
    if (taken == i && same_ingress(was, &was->ingress[k], p->config, &p->config->ingress[i]))
      return k;
  }
  return was->n_ingress;
}

/* The old one in other words at that very address, as far as it is not kept; the
 * place may be written as a port that the system chose. */
static struct yoi__instance *find_replaced(const struct yoi__plan *p, size_t i) {
  const struct yoi__config *was = p->host->config, *is = p->config;
  for (size_t k = 0; k < was->n_ingress; k++) {
    size_t taken = 0;
    const struct yoi__config_ingress *x = &was->ingress[k], *y = &is->ingress[i];
    if (x->address_len != y->address_len || !yoi_sdk_str_eq(x->listen, y->listen) ||
        memcmp(&x->address, &y->address, sizeof x->address) != 0)
      continue;
    while (taken < is->n_ingress && p->ingress[taken].in != p->host->ingress[k] &&
           p->ingress[taken].old != p->host->ingress[k])
      taken++;
    if (taken == is->n_ingress) return p->host->ingress[k];
  }
  return NULL;
}

static yoi_status plan_ingress(struct yoi__plan *p, yoi_error *err) {
  const struct yoi__config *was = p->host->config, *is = p->config;
  p->ingress = yoi_sdk_calloc(is->n_ingress + 1, sizeof *p->ingress);
  p->listening = yoi_sdk_calloc(is->n_ingress + 1, sizeof *p->listening);
  p->bound = yoi_sdk_calloc(is->n_ingress + 1, sizeof *p->bound);
  p->gone_ingress = yoi_sdk_calloc(was->n_ingress + 1, sizeof *p->gone_ingress);
  p->gone_bound = yoi_sdk_calloc(was->n_ingress + 1, sizeof *p->gone_bound);
  if (p->ingress == NULL || p->bound == NULL || p->gone_ingress == NULL || p->gone_bound == NULL ||
      p->listening == NULL)
    return yoi_sdk_fail_memory(err);
  for (size_t i = 0; i < is->n_ingress; i++) {
    size_t k = find_ingress(p, i);
    p->ingress[i].fate = YOI__ADD;
    if (k < was->n_ingress) {
      p->ingress[i] = (struct yoi__plan_entry){.fate = YOI__KEEP, .in = p->host->ingress[k]};
      p->bound[i] = p->host->bound[k];
    }
  }
  for (size_t i = 0; i < is->n_ingress; i++)
    if (p->ingress[i].fate == YOI__ADD && (p->ingress[i].old = find_replaced(p, i)) != NULL)
      p->ingress[i].fate = YOI__REPLACE;
  for (size_t k = 0; k < was->n_ingress; k++) {
    size_t i = 0;
    while (i < is->n_ingress && p->ingress[i].in != p->host->ingress[k]) i++;
    if (i < is->n_ingress) continue;
    p->gone_bound[p->n_gone_ingress] = p->host->bound[k];
    p->gone_ingress[p->n_gone_ingress++] = p->host->ingress[k];
  }
  return YOI_OK;
}

/* ---- all of it --------------------------------------------------------------------- */

yoi_status yoi__plan_make(struct yoi__plan *p, yoi_error *err) {
  check_fixed(p);
  if (yoi__setups_count(p->host) > YOI_SETUPS_MAX + 1) /* the current one beside */
    yoi__findings_add(&p->found, "", 0,
                      "turns of %d configs before this one go on: the next one has to wait until "
                      "some have ended",
                      YOI_SETUPS_MAX);
  plan_runtimes(p);
  return plan_ingress(p, err);
}

void yoi__plan_release(struct yoi__plan *p) {
  yoi_sdk_free(p->ingress);
  yoi_sdk_free(p->listening);
  yoi_sdk_free(p->bound);
  yoi_sdk_free(p->gone_ingress);
  yoi_sdk_free(p->gone_bound);
  yoi__findings_release(&p->found);
}

/* ---- in words ------------------------------------------------------------------------ */

static void say(struct yoi_sdk_buf *out, const char *kind, yoi_str name) {
  size_t most = strlen(kind) + 2 + name.len;
  if (out->len + most > WORDS_MAX - 4) {
    if (out->len > 0 && out->data[out->len - 1] != '.') yoi_sdk_buf_adds(out, YOI_LIT(" ..."));
    return;
  }
  yoi_sdk_buf_addf(out, "%s%s:%.*s", out->len > 0 ? " " : "", kind, YOI_ARG(name));
}

/* Instances of one kind, before and after, by name. */
static void say_list(struct yoi__plan_words *w, const char *kind,
                     struct yoi__instance *const *before, size_t n_before,
                     struct yoi__instance *const *after, size_t n_after) {
  for (size_t i = 0; i < n_after; i++) {
    size_t k = 0;
    int same = 0;
    for (size_t j = 0; j < n_before; j++) same |= before[j] == after[i];
    while (k < n_before && !yoi_sdk_str_eq(before[k]->name, after[i]->name)) k++;
    w->kept += same != 0;
    if (!same) say(k < n_before ? &w->replaced : &w->added, kind, after[i]->name);
  }
  for (size_t k = 0; k < n_before; k++) {
    size_t i = 0;
    while (i < n_after && !yoi_sdk_str_eq(before[k]->name, after[i]->name)) i++;
    if (i == n_after) say(&w->removed, kind, before[k]->name);
  }
}

static void say_bundles(struct yoi__plan_words *w, const struct yoi__config *was,
                        const struct yoi__config *is) {
  const struct yoi__config *const of[] = {was, is};
  for (size_t side = 0; side < 2; side++)
    for (size_t i = 0; i < of[side]->n_bundles; i++) {
      const struct yoi_sdk_bundle *b = of[side]->bundles[i].it;
      const struct yoi__config *other = of[1 - side];
      size_t k = 0;
      while (k < other->n_bundles && strcmp(other->bundles[k].it->digest, b->digest) != 0) k++;
      if (k == other->n_bundles) say(side == 0 ? &w->removed : &w->added, "bundle", b->id);
      w->kept += side == 1 && k < other->n_bundles;
    }
}

static int is_replaced(const struct yoi__plan *p, const struct yoi__instance *in) {
  for (size_t i = 0; i < p->config->n_ingress; i++)
    if (p->ingress[i].old == in) return 1;
  return 0;
}

void yoi__plan_say(const struct yoi__plan *p, struct yoi__plan_words *w) {
  const struct yoi__setup *was = atomic_load(&p->host->setup), *is = p->setup;
  yoi_sdk_buf_init(&w->added, WORDS_MAX);
  yoi_sdk_buf_init(&w->removed, WORDS_MAX);
  yoi_sdk_buf_init(&w->replaced, WORDS_MAX);
  w->kept = 0;
  for (size_t i = 0; i < p->config->n_runtimes; i++) {
    w->kept += p->runtimes[i].fate == YOI__KEEP;
    if (p->runtimes[i].fate == YOI__ADD) say(&w->added, "runtime", p->config->runtimes[i].id);
    if (p->runtimes[i].fate == YOI__REPLACE)
      say(&w->replaced, "runtime", p->config->runtimes[i].id);
  }
  for (size_t i = 0; i < p->n_gone; i++) say(&w->removed, "runtime", p->gone[i]->name);
  for (size_t i = 0; i < p->config->n_ingress; i++) {
    w->kept += p->ingress[i].fate == YOI__KEEP;
    if (p->ingress[i].fate != YOI__KEEP)
      say(p->ingress[i].fate == YOI__ADD ? &w->added : &w->replaced, "ingress",
          p->config->ingress[i].listen);
  }
  for (size_t i = 0; i < p->n_gone_ingress; i++)
    if (!is_replaced(p, p->gone_ingress[i])) say(&w->removed, "ingress", p->gone_ingress[i]->name);
  say_list(w, "model", was->models, was->config->n_models, is->models, is->config->n_models);
  say_list(w, "tool", was->tools, was->config->n_tools, is->tools, is->config->n_tools);
  say_list(w, "policy", was->policies, was->config->n_policies, is->policies,
           is->config->n_policies);
  say_bundles(w, was->config, is->config);
}
