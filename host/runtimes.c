/* host/runtimes.c - runtimes come and go while the host runs.
 *
 *   add:     entry checked -> opened -> registered
 *   remove:  unregistered -> drained -> shut -> nobody holds it -> closed, forgotten
 *                                         \--> still held: left, looked at again
 *
 * From the moment that it is unregistered a look-up does not find it, and its
 * id may be used again. Who found it before gets its answer, or what the
 * runtime says while it drains. The code of its plugin stays mapped.
 *
 * Why a runtime that is still held is left and not closed by force: what holds
 * it is a stream, and a stream may be called. It is closed as soon as add,
 * remove or the host's end find that nobody holds it any more.
 *
 * The steps from shut to forgotten are the same for every kind of instance.
 */
#include "runtimes.h"

#include <sdk/mem.h>

#include "clock.h"

#define MARGIN_MS 1000 /* beyond the grace that streams have: other threads run too */

/* ---- the end of one ---------------------------------------------------- */

/* The list is the application's thread's, which waits for this task. */
void yoi__close_and_forget(struct yoi__instance *in) {
  yoi__instance_close(in);
  uint32_t state = atomic_load(&in->state);
  if (state != YOI__OPEN && state != YOI__SHUT) {
    yoi__instance_forget(in);
    return;
  }
  in->next = in->top->left;
  in->top->left = in;
}

/* ---- opening ----------------------------------------------------------- */

yoi_status yoi__runtime_make(struct yoi_embed *host, struct yoi__config *from,
                             const struct yoi__config_runtime *c, struct yoi__setup *ahead,
                             struct yoi__instance **out, yoi_error *err) {
  struct yoi__instance *in = yoi__instance_new(host, from, &c->instance, c->id);
  struct yoi_sdk_error e;
  *out = NULL;
  if (in == NULL) return yoi_sdk_fail_memory(err);
  in->entry = c;
  atomic_store(&in->deadline_ms, c->deadline_ms);
  yoi__setup_ahead(in, ahead);
  yoi_status st = yoi__instance_open(in, yoi_sdk_error_init(&e));
  if (st == YOI_OK) {
    *out = in;
    return st;
  }
  st = yoi__cannot(in, "open", st, &e, err);
  yoi__instance_forget(in);
  return st;
}

yoi_status yoi__runtime_open(struct yoi_embed *host, const struct yoi__config_runtime *c,
                             void *memory, yoi_error *err) {
  struct yoi__instance *in = NULL;
  yoi_status st = YOI_OK;
  if (yoi__registry_find(&host->registry, c->id) != NULL) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "runtime '%.*s' is registered already",
                       YOI_ARG(c->id));
    st = YOI_ALREADY_EXISTS;
  } else {
    st = yoi__runtime_make(host, host->config, c, NULL, &in, err);
  }
  if (in != NULL)
    in->memory = memory;
  else
    yoi__config_memory_free(memory);
  if (st != YOI_OK) return st;
  st = yoi__registry_add(&host->registry, in, err);
  if (st != YOI_OK) yoi__close_and_forget(in);
  return st;
}

/* ---- closing ----------------------------------------------------------- */

/* [main] */
static void close_it(void *ctx) {
  yoi__close_and_forget(ctx);
}

void yoi__look_at_left(struct yoi_embed *host) {
  struct yoi__instance **at = &host->left;
  while (*at != NULL) {
    struct yoi__instance *in = *at;
    if (!yoi__instance_unreferenced(in)) {
      at = &in->next;
      continue;
    }
    *at = in->next;
    yoi__control_run(host->control, close_it, in);
  }
}

uint64_t yoi__retire_until(uint64_t deadline_ns) {
  return deadline_ns + (YOI_CANCEL_GRACE_MS + MARGIN_MS) * YOI__MS;
}

int yoi__retire(struct yoi_embed *host, struct yoi__instance *in, uint64_t until_ns) {
  yoi__instance_shut(in);
  if (yoi__host_wait(host, yoi__instance_unreferenced, in, until_ns)) {
    yoi__control_run(host->control, close_it, in);
    return 1;
  }
  in->next = host->left;
  host->left = in;
  return 0;
}

/* ---- the verbs --------------------------------------------------------- */

yoi_status yoi__runtimes_caller(struct yoi_embed *host, const char *what, yoi_error *err) {
  yoi_status st = yoi__host_mine(host, err);
  if (st != YOI_OK) return st;
  if (yoi__host_ending(host))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  if (atomic_load(&host->phase) != YOI__READY)
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the host is not started");
  else if (yoi__loops_inside(host->loops))
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a callback may not %s", what);
  else
    return YOI_OK;
  return YOI_FAILED_PRECONDITION;
}

static void say(struct yoi_embed *host, uint32_t level, const char *what, yoi_str id) {
  yoi__log_host(host->log, level, what, (yoi_log_field[]){{YOI_LIT("runtime"), id}}, 1);
}

struct adding {
  struct yoi_embed *host;
  const struct yoi__config_runtime *config;
  void *memory;
  yoi_error *err;
  yoi_status st;
};

/* [main] */
static void add_it(void *ctx) {
  struct adding *a = ctx;
  a->st = yoi__runtime_open(a->host, a->config, a->memory, a->err);
  if (a->st == YOI_OK) say(a->host, YOI_LOG_INFO, "runtime added", a->config->id);
}

yoi_status yoi_host_add_runtime(struct yoi_embed *host, const char *json, size_t len,
                                yoi_error *err) {
  struct adding a = {.host = host, .err = err};
  yoi_status st = yoi__runtimes_caller(host, "add or remove a runtime", err);
  if (st != YOI_OK) return st;
  yoi__look_at_left(host);
  st = yoi__config_runtime_load(host->config, (yoi_str){json, len}, &a.config, &a.memory, err);
  if (st != YOI_OK) return st;
  yoi__control_run(host->control, add_it, &a);
  return a.st;
}

yoi_status yoi_host_remove_runtime(struct yoi_embed *host, yoi_str runtime_id, uint32_t deadline_ms,
                                   yoi_error *err) {
  yoi_status st = yoi__runtimes_caller(host, "add or remove a runtime", err);
  if (st != YOI_OK) return st;
  yoi__look_at_left(host);
  struct yoi__instance *in = yoi__registry_find(&host->registry, runtime_id);
  if (in == NULL)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "there is no runtime '%.*s'",
                        (int)yoi_sdk_utf8_cut(runtime_id, YOI_ID_MAX), runtime_id.ptr);
  uint64_t deadline_ns = yoi__now_ns() + deadline_ms * YOI__MS;
  yoi__registry_exchange(&host->registry, &in, 1, NULL, 0);
  int late = yoi__drain_some(host, &in, 1, deadline_ns);
  if (!yoi__retire(host, in, yoi__retire_until(deadline_ns))) {
    say(host, YOI_LOG_WARN, "runtime removed, but still held", runtime_id);
    return yoi_sdk_fail(err, YOI_CODE_TIMEOUT,
                        "runtime '%.*s' is removed, but stays open while it is held",
                        YOI_ARG(runtime_id));
  }
  say(host, YOI_LOG_INFO, "runtime removed", runtime_id);
  if (!late) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "work was cancelled at the deadline");
}
