/* host/instance.c - the life of an opened plugin.
 *
 * Invariants
 *  1. open and close run on the control thread, at most one at a time.
 *  2. refs counts references in its low bits; SHUT in its top bit refuses
 *     more. Whoever gives one of a shut instance back says so.
 *  3. Before close is called: no reference (so no call runs or comes), no
 *     wake (tokens stale, none in flight), no callback (purged on each loop).
 *     In this order, since a wake may post and a callback may use tokens.
 *  4. A struct that is used again keeps what a late look-up touches: `top`, and
 *     the references, which are only counted and never set.
 *  5. The plugin's wake is called between the end of open and the begin of
 *     close only. What open posted may hold streams already: a wake that comes
 *     while it runs is kept in `early`, and all tokens are woken after it.
 */
#include "instance.h"

#include <sdk/mem.h>

#include "clock.h"
#include "gate.h"
#include "host.h"
#include "isolate/isolate.h"
#include "strand.h"
#include "turn.h"

#define SHUT (1ull << 63)
#define CLOSE_WAIT_MS 5000 /* streams end within their grace, then a margin */

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

static const void *get_interface(const yoi_host *h, yoi_str id) {
  return yoi__service(of(h), id);
}

static yoi_status token_new(const yoi_host *h, uint64_t cookie, uint64_t *out_token,
                            yoi_error *err) {
  return yoi__token_new(of(h)->top->tokens, &of(h)->holder, cookie, out_token, err);
}

static void token_free(const yoi_host *h, uint64_t token) {
  yoi__token_free(of(h)->top->tokens, &of(h)->holder, token);
}

static void host_wake(const yoi_host *h, uint64_t token) {
  yoi__token_wake(of(h)->top->tokens, token);
}

/* The plugin's own wake, chosen by its kind; NULL when it has none. */
static void (*plugin_wake(const struct yoi__plugin *p))(void *, uint64_t) {
  switch (p->manifest.kind) {
    case YOI_KIND_RUNTIME:
      return p->table.runtime.wake;
    case YOI_KIND_MODEL:
      return p->table.model.wake;
    case YOI_KIND_INGRESS:
      return p->table.ingress.wake;
    case YOI_KIND_POLICY:
      return p->table.policy.wake;
    case YOI_KIND_TOOL:
      return p->table.tool.wake;
    default:
      return NULL;
  }
}

static void instance_wake(void *self, uint64_t cookie) {
  struct yoi__instance *in = self;
  uint32_t state = atomic_load_explicit(&in->state, memory_order_acquire);
  if (state == YOI__OPENING) {
    atomic_store(&in->early, 1u);
    state = atomic_load(&in->state); /* open may have looked before that */
  }
  void (*wake)(void *, uint64_t) = plugin_wake(in->plugin);
  if (state >= YOI__OPEN && state <= YOI__CLOSING && wake != NULL) wake(in->self, cookie);
}

static struct yoi__instance *fresh(struct yoi_embed *top) {
  struct yoi__instance *in = yoi_sdk_calloc(1, sizeof *in);
  if (in == NULL) return NULL;
  in->host = (yoi_host){.size = sizeof in->host,
                        .ctx = in,
                        .get_interface = get_interface,
                        .token_new = token_new,
                        .token_free = token_free,
                        .wake = host_wake};
  in->top = top;
  atomic_init(&in->refs, SHUT);
  in->holder.self = in;
  in->refresh_task = (struct yoi__task){.fn = yoi__refresh_secrets, .ctx = in};
  pthread_mutex_init(&in->lock, NULL);
  return in;
}

struct yoi__instance *yoi__instance_new(struct yoi_embed *top, struct yoi__config *from,
                                        const struct yoi__config_instance *config, yoi_str name) {
  struct yoi__instance *in = top->spare;
  if (in != NULL)
    top->spare = in->next;
  else if ((in = fresh(top)) == NULL)
    return NULL;
  in->next = NULL;
  in->serial = ++top->serials;
  in->from = yoi__config_ref(from);
  in->shared = 0;
  in->open_task = (struct yoi__task){.fn = NULL};
  in->config = config;
  in->plugin = config->plugin;
  in->name = name;
  in->entry = NULL;
  atomic_store(&in->deadline_ms, YOI_DEADLINE_MS_DEFAULT);
  in->memory = in->self = NULL;
  in->holder.wake = yoi__plugin_serial(in->plugin) ? NULL : instance_wake;
  atomic_store(&in->holder.closing, 0u);
  atomic_store(&in->owner.closing, 0u);
  atomic_store(&in->last_seen_ns, 0u);
  atomic_store(&in->state, YOI__DECLARED);
  /* Last, and not a store: a late look-up may be counted in, and out again. */
  atomic_fetch_and(&in->refs, ~SHUT);
  return in;
}

static void release_parts(struct yoi__instance *in) {
  yoi_sdk_str_free(&in->said_name);
  if (in->top->control != NULL) {
    yoi__control_unpost(in->top->control, &in->refresh_task);
    yoi__control_unpost(in->top->control, &in->open_task);
  }
  yoi__strand_free(in->strand);
  in->strand = NULL;
  yoi__gate_free(in->gate);
  in->gate = NULL;
  yoi__isolate_free(in->isolate);
  in->isolate = NULL;
  yoi__config_memory_free(in->memory);
  in->memory = NULL;
  yoi__setup_ahead(in, NULL);
  yoi__config_free(in->from);
  in->from = NULL;
}

void yoi__instance_free(struct yoi__instance *in) {
  if (in == NULL) return;
  release_parts(in);
  pthread_mutex_destroy(&in->lock);
  yoi_sdk_free(in);
}

void yoi__instance_forget(struct yoi__instance *in) {
  atomic_fetch_or(&in->refs, SHUT);
  release_parts(in);
  in->next = in->top->spare;
  in->top->spare = in;
}

/* ---- references -------------------------------------------------------- */

int yoi__instance_ref(struct yoi__instance *in) {
  if ((atomic_fetch_add_explicit(&in->refs, 1u, memory_order_acquire) & SHUT) == 0) return 1;
  yoi__instance_unref(in);
  return 0;
}

void yoi__instance_unref(struct yoi__instance *in) {
  struct yoi_embed *top = in->top;
  if ((atomic_fetch_sub(&in->refs, 1u) & SHUT) != 0) yoi__host_notify(top);
}

void yoi__instance_shut(struct yoi__instance *in) {
  uint32_t open = YOI__OPEN;
  atomic_fetch_or(&in->refs, SHUT);
  (void)atomic_compare_exchange_strong(&in->state, &open, YOI__SHUT);
}

void yoi__instance_reopen(struct yoi__instance *in) {
  uint32_t shut = YOI__SHUT;
  (void)atomic_compare_exchange_strong(&in->state, &shut, YOI__OPEN);
  atomic_fetch_and(&in->refs, ~SHUT);
}

/* No more is to be waited for. */
int yoi__instance_unreferenced(void *ctx) {
  struct yoi__instance *in = ctx;
  return atomic_load(&in->refs) - yoi__strand_lost(in->strand) == SHUT;
}

/* ---- open and close ---------------------------------------------------- */

static yoi_status call_open(struct yoi__instance *in, yoi_error *err) {
  struct yoi__plugin *p = in->plugin;
  yoi_str config = in->config->config;
  switch (p->manifest.kind) {
    case YOI_KIND_RUNTIME:
      return p->table.runtime.open(&in->host, config, &in->self, err);
    case YOI_KIND_MODEL:
      return p->table.model.open(&in->host, config, &in->self, err);
    case YOI_KIND_INGRESS:
      return p->table.ingress.open(&in->host, config, &in->self, err);
    case YOI_KIND_POLICY:
      return p->table.policy.open(&in->host, config, &in->self, err);
    case YOI_KIND_TOOL:
      return p->table.tool.open(&in->host, config, &in->self, err);
    default:
      return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "plugin of an unknown kind");
  }
}

static void call_close(struct yoi__instance *in) {
  struct yoi__plugin *p = in->plugin;
  switch (p->manifest.kind) {
    case YOI_KIND_RUNTIME:
      p->table.runtime.close(in->self);
      break;
    case YOI_KIND_MODEL:
      p->table.model.close(in->self);
      break;
    case YOI_KIND_INGRESS:
      p->table.ingress.close(in->self);
      break;
    case YOI_KIND_POLICY:
      p->table.policy.close(in->self);
      break;
    case YOI_KIND_TOOL:
      p->table.tool.close(in->self);
      break;
    default:
      break;
  }
}

/* Takes away what an instance has beside its memory; invariant 3. */
static void detach(struct yoi__instance *in) {
  if (in->plugin->manifest.kind == YOI_KIND_RUNTIME) yoi__turns_end(in->top->turns, in);
  yoi__holder_close(in->top->tokens, &in->holder);
  yoi__loops_purge(in->top->loops, &in->owner);
}

yoi_status yoi__instance_open(struct yoi__instance *in, yoi_error *err) {
  atomic_store(&in->state, YOI__OPENING);
  yoi_status st = yoi__plugin_load(in->plugin, err);
  if (st == YOI_OK && yoi__plugin_serial(in->plugin) && in->strand == NULL) {
    in->strand = yoi__strand_new(in);
    if (in->strand == NULL) st = yoi_sdk_fail_memory(err);
  }
  if (st == YOI_OK) {
    in->self = yoi__linked_user(in->plugin->linked);
    st = call_open(in, err);
  }
  if (st != YOI_OK) {
    /* An open that failed may have left something behind on the loops. */
    detach(in);
    atomic_store(&in->owner.closing, 0u);
    atomic_store(&in->holder.closing, 0u);
    atomic_store(&in->state, YOI__FAILED);
    return st > YOI_OK ? st : YOI_INTERNAL;
  }
  atomic_store(&in->state, YOI__OPEN);
  if (atomic_exchange(&in->early, 0u) != 0) yoi__holder_wake(in->top->tokens, &in->holder);
  return YOI_OK;
}

void yoi__instance_close(struct yoi__instance *in) {
  uint32_t state = atomic_load(&in->state);
  if (state != YOI__OPEN && state != YOI__SHUT) return;
  yoi__instance_shut(in);
  int alone = yoi__host_wait(in->top, yoi__instance_unreferenced, in,
                             yoi__now_ns() + CLOSE_WAIT_MS * YOI__MS);
  /* A runtime's count is not looked at again: a look-up that came too late makes
   * it more for a moment. With a strand it is: calls that were lost, or that are
   * just coming back, still hold theirs. */
  if (!alone || (in->strand != NULL && atomic_load(&in->refs) != SHUT)) {
    yoi__log_host(in->top->log, YOI_LOG_ERROR,
                  in->strand != NULL ? "cannot close, calls are still inside"
                                     : "cannot close, streams are still held",
                  (yoi_log_field[]){{YOI_LIT("plugin"), in->plugin->manifest.id},
                                    {YOI_LIT("name"), in->name}},
                  2);
    return;
  }
  detach(in);
  atomic_store(&in->state, YOI__CLOSING);
  call_close(in);
  in->self = NULL;
  atomic_store(&in->state, YOI__CLOSED);
}
