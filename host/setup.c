/* host/setup.c - the setups of setup.h: made, switched, counted, taken apart.
 *
 * Who needs a setup reads one pointer. A setup that is not current any more may
 * be met by a reader that comes late; so its struct is never freed before the
 * host is, and a reader that has counted itself in looks once more whether the
 * pointer still says the same:
 *
 *   reader    s = current; refs++; current == s ? has it : refs--, once more
 *   switch    current = next; then gives back the reference of `before`
 *
 * A count that such a reader made for a moment is nobody's: it touches nothing
 * else, and gives it back like any other.
 *
 * Invariants:
 *  1. Making, switching and taking apart are [main], so no two at a time.
 *  2. A setup is taken apart when its count has come to 0 and is 0 still; who
 *     brings it to 0 asks for that, so none is forgotten.
 *  3. Whatever uses an instance of a setup holds a reference of the setup beside
 *     that of the instance, and gives it back last. So an instance that no setup
 *     has any more is held by nobody but calls that were written off.
 *  4. in->shared is the number of setups that have the instance.
 */
#include "setup.h"

#include <sdk/mem.h>
#include <string.h>

#include "host.h"
#include "isolate/table.h"
#include "late.h"

/* ---- references ------------------------------------------------------------ */

struct yoi__setup *yoi__setup_now(struct yoi_embed *host) {
  for (;;) {
    struct yoi__setup *s = atomic_load(&host->setup);
    atomic_fetch_add(&s->refs, 1u);
    if (atomic_load(&host->setup) == s) return s;
    yoi__setup_give(s);
  }
}

struct yoi__setup *yoi__setup_of(struct yoi__instance *in) {
  struct yoi__setup *s;
  while ((s = atomic_load(&in->ahead)) != NULL) {
    atomic_fetch_add(&s->refs, 1u);
    if (atomic_load(&in->ahead) == s) return s;
    yoi__setup_give(s);
  }
  return yoi__setup_now(in->top);
}

void yoi__setup_ahead(struct yoi__instance *in, struct yoi__setup *s) {
  if (s != NULL) (void)yoi__setup_ref(s);
  yoi__setup_give(atomic_exchange(&in->ahead, s));
}

struct yoi__setup *yoi__setup_ref(struct yoi__setup *s) {
  atomic_fetch_add(&s->refs, 1u);
  return s;
}

void yoi__setup_give(struct yoi__setup *s) {
  if (s != NULL && atomic_fetch_sub(&s->refs, 1u) == 1)
    yoi__control_post(s->host->control, &s->task);
}

/* ---- its end --------------------------------------------------------------- */

static void give_instance(struct yoi_embed *host, struct yoi__instance *in) {
  if (in == NULL || --in->shared > 0) return;
  yoi__instance_close(in);
  uint32_t state = atomic_load(&in->state);
  if (state != YOI__OPEN && state != YOI__SHUT) {
    yoi__instance_forget(in);
    return;
  }
  in->next = host->stuck; /* a call is inside for ever: it was logged */
  host->stuck = in;
}

static void give_list(struct yoi_embed *host, struct yoi__instance **list, size_t n) {
  for (size_t i = 0; list != NULL && i < n; i++) give_instance(host, list[i]);
  yoi_sdk_free(list);
}

/* [main] */
static void take_apart(void *ctx) {
  struct yoi__setup *s = ctx, **at = &s->host->setups;
  struct yoi__config *c = s->config;
  if (c == NULL || atomic_load(&s->refs) != 0) return;
  give_list(s->host, s->models, c->n_models);
  give_list(s->host, s->tools, c->n_tools);
  give_list(s->host, s->policies, c->n_policies);
  s->models = s->tools = s->policies = NULL;
  s->config = NULL;
  yoi__config_free(c);
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  s->next = s->host->spare_setups;
  s->host->spare_setups = s;
}

void yoi__setups_each(struct yoi_embed *host, void (*each)(void *ctx, struct yoi__instance *in),
                      void *ctx) {
  for (struct yoi__setup *s = host->setups; s != NULL; s = s->next) {
    for (size_t i = 0; s->models != NULL && i < s->config->n_models; i++) each(ctx, s->models[i]);
    for (size_t i = 0; s->tools != NULL && i < s->config->n_tools; i++) each(ctx, s->tools[i]);
    for (size_t i = 0; s->policies != NULL && i < s->config->n_policies; i++)
      each(ctx, s->policies[i]);
  }
  for (struct yoi__instance *in = host->stuck; in != NULL; in = in->next) each(ctx, in);
}

static void free_instances(struct yoi__instance ***list, size_t n) {
  for (size_t i = 0; *list != NULL && i < n; i++) {
    struct yoi__instance *in = (*list)[i];
    if (in != NULL && --in->shared == 0) yoi__instance_free(in);
  }
  yoi_sdk_free(*list);
  *list = NULL;
}

void yoi__setups_clear(struct yoi_embed *host) {
  for (struct yoi__setup *s = host->setups; s != NULL; s = s->next) {
    free_instances(&s->models, s->config->n_models);
    free_instances(&s->tools, s->config->n_tools);
    free_instances(&s->policies, s->config->n_policies);
  }
}

static void free_setups(struct yoi__setup **list) {
  while (*list != NULL) {
    struct yoi__setup *s = *list;
    *list = s->next;
    yoi__config_free(s->config);
    yoi_sdk_free(s);
  }
}

void yoi__setups_free(struct yoi_embed *host) {
  free_setups(&host->setups);
  free_setups(&host->spare_setups);
}

/* ---- its begin ------------------------------------------------------------- */

size_t yoi__setups_count(const struct yoi_embed *host) {
  size_t n = 0;
  for (const struct yoi__setup *s = host->setups; s != NULL; s = s->next) n++;
  return n;
}

struct yoi__setup *yoi__setup_new(struct yoi_embed *host, struct yoi__config *config) {
  struct yoi__setup *s = host->spare_setups;
  if (s != NULL)
    host->spare_setups = s->next;
  else if ((s = yoi_sdk_calloc(1, sizeof *s)) == NULL)
    return NULL;
  s->host = host;
  s->task.fn = take_apart; /* it may be queued still, for the use before */
  s->task.ctx = s;
  s->config = yoi__config_ref(config);
  s->number = ++host->config_number;
  atomic_fetch_add(&s->refs, 1u); /* not a store: a late reader may be counted */
  s->next = host->setups;
  host->setups = s;
  return s;
}

static int same_secrets(const struct yoi__config *a, const struct yoi__grants *x,
                        const struct yoi__config *b, const struct yoi__grants *y) {
  if (x->n != y->n) return 0;
  for (size_t i = 0; i < x->n; i++)
    if (!yoi_sdk_str_eq(x->names[i], y->names[i]) ||
        !yoi__secrets_same(a->secrets, b->secrets, x->names[i]))
      return 0;
  return 1;
}

/* A file beside the plugin may have narrowed what its bytes say. */
static int same_manifest(const struct yoi__manifest *a, const struct yoi__manifest *b) {
  if (a->n_grants != b->n_grants || !yoi_sdk_str_eq(a->display_name, b->display_name)) return 0;
  for (size_t i = 0; i < a->n_grants; i++)
    if (!yoi_sdk_str_eq(a->grants[i], b->grants[i])) return 0;
  return 1;
}

static int same_plugin(const struct yoi__plugin *a, const struct yoi__plugin *b) {
  if (a == b) return 1;
  return same_manifest(&a->manifest, &b->manifest) && a->linked == b->linked &&
         yoi_sdk_str_eq(a->manifest.id, b->manifest.id) && strcmp(a->digest, b->digest) == 0 &&
         (a->linked != NULL || a->digest[0] != '\0');
}

int yoi__instance_same(const struct yoi__config *a, const struct yoi__config_instance *x,
                       const struct yoi__config *b, const struct yoi__config_instance *y) {
  return same_plugin(x->plugin, y->plugin) && yoi_sdk_str_eq(x->config, y->config) &&
         same_secrets(a, &x->secrets, b, &y->secrets) &&
         yoi__isolate_same(a, x->plugin, b, y->plugin);
}

/* The instance of a list that stands for the same, under that name. */
static struct yoi__instance *find_same(struct yoi__instance *const *list, size_t n,
                                       const struct yoi__setup *s,
                                       const struct yoi__config_instance *c, yoi_str name) {
  for (size_t i = 0; list != NULL && i < n; i++) {
    struct yoi__instance *in = list[i];
    if (in != NULL && yoi_sdk_str_eq(in->name, name) &&
        yoi__instance_same(in->from, in->config, s->config, c))
      return in;
  }
  return NULL;
}

/* What begins in one list: the entry's instance, taken over or new. */
static struct yoi__instance *instance_of(struct yoi__setup *s, struct yoi__instance *const *before,
                                         size_t n, const struct yoi__config_instance *c,
                                         yoi_str name) {
  struct yoi__instance *in = find_same(before, n, s, c, name);
  if (in == NULL) {
    in = yoi__instance_new(s->host, s->config, c, name);
    if (in == NULL) return NULL;
    in->open_task = (struct yoi__task){.fn = yoi__late_open, .ctx = in};
  }
  in->shared++;
  return in;
}

static yoi_status fill_models(struct yoi__setup *s, const struct yoi__setup *b) {
  const struct yoi__config *c = s->config;
  s->models = yoi_sdk_calloc(c->n_models + 1, sizeof *s->models);
  for (size_t i = 0; s->models != NULL && i < c->n_models; i++) {
    s->models[i] = instance_of(s, b != NULL ? b->models : NULL, b != NULL ? b->config->n_models : 0,
                               &c->models[i].instance, c->models[i].name);
    if (s->models[i] == NULL) return YOI_RESOURCE_EXHAUSTED;
  }
  return s->models != NULL ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

static yoi_status fill_tools(struct yoi__setup *s, const struct yoi__setup *b) {
  const struct yoi__config *c = s->config;
  s->tools = yoi_sdk_calloc(c->n_tools + 1, sizeof *s->tools);
  for (size_t i = 0; s->tools != NULL && i < c->n_tools; i++) {
    s->tools[i] = instance_of(s, b != NULL ? b->tools : NULL, b != NULL ? b->config->n_tools : 0,
                              &c->tools[i], c->tools[i].plugin->manifest.id);
    if (s->tools[i] == NULL) return YOI_RESOURCE_EXHAUSTED;
  }
  return s->tools != NULL ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

/* One that is there already is in no other place of this list: two entries in
 * the same words are two. */
static struct yoi__instance *policy_of(struct yoi__setup *s, const struct yoi__setup *b, size_t i) {
  const struct yoi__config_instance *c = &s->config->policies[i].instance;
  for (size_t k = 0; b != NULL && k < b->config->n_policies; k++) {
    struct yoi__instance *in = b->policies[k];
    size_t taken = 0;
    while (taken < i && s->policies[taken] != in) taken++;
    if (taken < i || !yoi__instance_same(in->from, in->config, s->config, c)) continue;
    in->shared++;
    return in;
  }
  return instance_of(s, NULL, 0, c, c->plugin->manifest.id);
}

static yoi_status fill_policies(struct yoi__setup *s, const struct yoi__setup *b, yoi_error *err) {
  const struct yoi__config *c = s->config;
  s->policies = yoi_sdk_calloc(c->n_policies + 1, sizeof *s->policies);
  for (size_t i = 0; s->policies != NULL && i < c->n_policies; i++) {
    struct yoi__instance *in = s->policies[i] = policy_of(s, b, i);
    struct yoi_sdk_error e;
    if (in == NULL) return yoi_sdk_fail_memory(err);
    if (atomic_load(&in->state) == YOI__OPEN) continue;
    yoi_status st = yoi__instance_open(in, yoi_sdk_error_init(&e));
    if (st != YOI_OK) return yoi__cannot(in, "open", st, &e, err);
  }
  return s->policies != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status yoi__setup_fill(struct yoi__setup *s, const struct yoi__setup *before, yoi_error *err) {
  yoi_status st = fill_models(s, before);
  if (st == YOI_OK) st = fill_tools(s, before);
  return st == YOI_OK ? fill_policies(s, before, err) : yoi_sdk_fail_memory(err);
}

void yoi__setup_switch(struct yoi__setup *s) {
  struct yoi_embed *host = s->host;
  const struct yoi__config *c = s->config;
  host->config = s->config;
  struct yoi__setup *before = atomic_exchange(&host->setup, s);
  atomic_store(&host->decides, c->n_policies > 0 || c->audit == YOI__AUDIT_ALL);
  yoi__setup_give(before);
}

/* ---- runtimes -------------------------------------------------------------- */

const struct yoi__config_runtime *yoi__setup_entry(const struct yoi__setup *s,
                                                   const struct yoi__instance *in) {
  const struct yoi__config *c = s->config;
  for (size_t i = 0; in->memory == NULL && i < c->n_runtimes; i++)
    if (yoi_sdk_str_eq(c->runtimes[i].id, in->name)) return &c->runtimes[i];
  return in->entry;
}
