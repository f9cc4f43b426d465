/* host/services.c - the host's interfaces, as a plugin finds them.
 *
 * The tables are constants of the library; what differs per instance is found
 * through yoi_host.ctx. Possession is the grant: an interface that is not for
 * the kind of an instance is not there for it. registry.c, model.c and
 * tool_services.c hold their own tables.
 */
#include <sdk/id.h>
#include <sdk/take.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_model.h>
#include <yoi/host_plugin.h>
#include <yoi/host_registry.h>
#include <yoi/host_secret.h>

#include "clock.h"
#include "control.h"
#include "host.h"
#include "model.h"
#include "tool.h"
#include "tool_services.h"
#include "turn.h"

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

/* ---- log and clock ----------------------------------------------------- */

static uint32_t log_enabled(const yoi_host *h, uint32_t level) {
  return (uint32_t)yoi__log_enabled(of(h)->top->log, level);
}

static void log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str request_id,
                      const yoi_log_field *fields, size_t n) {
  const struct yoi__instance *in = of(h);
  yoi_log_field all[YOI__LOG_FIELDS_MAX];
  size_t k = 0;
  if (in->plugin->manifest.kind == YOI_KIND_RUNTIME) /* as the host names it in its own lines */
    all[k++] = (yoi_log_field){YOI_LIT("runtime"), in->name};
  for (size_t i = 0; i < n && k < YOI__LOG_FIELDS_MAX; i++) all[k++] = fields[i];
  yoi__log_write(in->top->log, level, in->plugin->manifest.id, msg, request_id, all, k);
}

static const yoi_host_log log_table = {sizeof log_table, 0, log_enabled, log_write};

static uint64_t clock_monotonic(const yoi_host *h) {
  (void)h;
  return yoi__now_ns();
}

static uint64_t clock_wall(const yoi_host *h) {
  (void)h;
  return yoi__wall_ns();
}

static const yoi_host_clock clock_table = {sizeof clock_table, 0, clock_monotonic, clock_wall};

/* ---- loops ------------------------------------------------------------- */

static uint32_t loop_count(const yoi_host *h) {
  return yoi__loops_count(of(h)->top->loops);
}

static uint32_t loop_current(const yoi_host *h) {
  return yoi__loops_current(of(h)->top->loops);
}

static yoi_status loop_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  return yoi__loop_post(of(h)->top->loops, &of(h)->owner, loop, fn, ctx);
}

static yoi_status loop_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                             void *ctx, uint64_t *out_id) {
  return yoi__loop_watch(of(h)->top->loops, &of(h)->owner, fd, interest, fn, ctx, out_id);
}

static yoi_status loop_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  return yoi__loop_rewatch(of(h)->top->loops, &of(h)->owner, id, interest);
}

static void loop_unwatch(const yoi_host *h, uint64_t id) {
  yoi__loop_unwatch(of(h)->top->loops, &of(h)->owner, id);
}

static yoi_status loop_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                             uint64_t *out_id) {
  return yoi__loop_timer(of(h)->top->loops, &of(h)->owner, at_ns, fn, ctx, out_id);
}

static void loop_timer_cancel(const yoi_host *h, uint64_t id) {
  yoi__loop_timer_cancel(of(h)->top->loops, &of(h)->owner, id);
}

static const yoi_host_loop loop_table = {
    .size = sizeof loop_table,
    .count = loop_count,
    .current = loop_current,
    .post = loop_post,
    .watch = loop_watch,
    .rewatch = loop_rewatch,
    .unwatch = loop_unwatch,
    .timer = loop_timer,
    .timer_cancel = loop_timer_cancel,
};

/* ---- metrics ----------------------------------------------------------- */

/* Runtimes and ingresses are parts of the host to those that are not in it. */
static yoi_status make_metric(const struct yoi__instance *in, const yoi_metric *metric,
                              uint32_t *out_id) {
  uint32_t kind = in->plugin->manifest.kind;
  if (kind == YOI_KIND_RUNTIME || kind == YOI_KIND_INGRESS)
    return yoi__metrics_make(in->top->metrics, metric, out_id);
  return yoi__metrics_make_shared(in->top->metrics, metric, NULL, out_id);
}

static yoi_status metrics_counter(const yoi_host *h, yoi_str name, yoi_str help, yoi_str label,
                                  yoi_str value, uint32_t *out_id) {
  return make_metric(of(h), YOI__METRIC_ONE(YOI_METRIC_COUNTER, name, help, label, value), out_id);
}

static void metrics_add(const yoi_host *h, uint32_t id, uint64_t n) {
  yoi__metrics_add(of(h)->top->metrics, id, n);
}

static yoi_status metrics_make(const yoi_host *h, const yoi_metric *metric, uint32_t *out_id) {
  yoi_metric own;
  *out_id = 0;
  if (yoi_sdk_take(&own, sizeof own, metric, "metric", NULL) != YOI_OK) return YOI_INVALID_ARGUMENT;
  return make_metric(of(h), &own, out_id);
}

static void metrics_sub(const yoi_host *h, uint32_t id, uint64_t n) {
  yoi__metrics_sub(of(h)->top->metrics, id, n);
}

static void metrics_set(const yoi_host *h, uint32_t id, uint64_t n) {
  yoi__metrics_set(of(h)->top->metrics, id, n);
}

static void metrics_observe(const yoi_host *h, uint32_t id, uint64_t duration_ns) {
  yoi__metrics_observe(of(h)->top->metrics, id, duration_ns);
}

static const yoi_host_metrics metrics_table = {
    .size = sizeof metrics_table,
    .counter = metrics_counter,
    .add = metrics_add,
    .make = metrics_make,
    .sub = metrics_sub,
    .set = metrics_set,
    .observe = metrics_observe,
};

/* ---- secrets and plugins ----------------------------------------------- */

static yoi_status secret_get(const yoi_host *h, yoi_str name, char *buf, size_t cap,
                             size_t *out_len, yoi_error *err) {
  return yoi__secret_get(of(h)->from->secrets, &of(h)->config->secrets, name, buf, cap, out_len,
                         err);
}

static uint64_t secret_generation(const yoi_host *h, yoi_str name) {
  return yoi__secret_generation(of(h)->from->secrets, &of(h)->config->secrets, name);
}

static void refresh_failed(void *ctx, const yoi_error *err) {
  struct yoi__instance *in = ctx;
  const yoi_log_field fields[] = {{YOI_LIT("for"), in->name},
                                  {YOI_LIT("error"), yoi_sdk_str(err->message)},
                                  {YOI_LIT("private"), yoi_sdk_str(err->private_detail)}};
  int debug = yoi__log_enabled(in->top->log, YOI_LOG_DEBUG);
  yoi__log_host(in->top->log, YOI_LOG_WARN, "secret stays as it was", fields, debug ? 3 : 2);
}

void yoi__warn_short(struct yoi_embed *host) {
  yoi_str name;
  while ((name = yoi__secrets_next_short(host->config->secrets)).len > 0)
    yoi__log_host(host->log, YOI_LOG_WARN, "secret is too short to be kept out of texts",
                  &(yoi_log_field){YOI_LIT("secret"), name}, 1);
}

static int names(const struct yoi__config_instance *in, yoi_str secret) {
  for (size_t i = 0; i < in->secrets.n; i++)
    if (yoi_sdk_str_eq(in->secrets.names[i], secret)) return 1;
  return 0;
}

/* The first entry of the config that names a secret; NULL: none. */
static const struct yoi__config_instance *who_names(const struct yoi__config *c, yoi_str secret) {
  for (size_t i = 0; i < c->n_runtimes; i++)
    if (names(&c->runtimes[i].instance, secret)) return &c->runtimes[i].instance;
  for (size_t i = 0; i < c->n_models; i++)
    if (names(&c->models[i].instance, secret)) return &c->models[i].instance;
  for (size_t i = 0; i < c->n_ingress; i++)
    if (names(&c->ingress[i].instance, secret)) return &c->ingress[i].instance;
  for (size_t i = 0; i < c->n_policies; i++)
    if (names(&c->policies[i].instance, secret)) return &c->policies[i].instance;
  for (size_t i = 0; i < c->n_tools; i++)
    if (names(&c->tools[i], secret)) return &c->tools[i];
  return NULL;
}

void yoi__warn_unset(struct yoi_embed *host) {
  const struct yoi__config *c = host->config;
  int debug = yoi__log_enabled(host->log, YOI_LOG_DEBUG);
  for (size_t i = 0; i < yoi__secrets_count(c->secrets); i++) {
    yoi_str secret = yoi__secrets_name(c->secrets, i);
    const struct yoi__config_instance *in = who_names(c, secret);
    if (in == NULL || yoi__secrets_filled(c->secrets, secret)) continue;
    const yoi_log_field fields[] = {{YOI_LIT("secret"), secret},
                                    {YOI_LIT("for"), in->plugin->manifest.id},
                                    {YOI_LIT("variable"),
                                     yoi__secrets_variable(c->secrets, secret)}};
    yoi__log_host(host->log, YOI_LOG_WARN, "secret has no value, its variable is unset or empty",
                  fields, debug ? 3 : 2);
  }
}

/* [main] */
void yoi__refresh_secrets(void *ctx) {
  struct yoi__instance *in = ctx;
  yoi__secrets_refresh(in->from->secrets, &in->config->secrets, refresh_failed, in);
  yoi__warn_short(in->top);
}

static void secret_refresh(const yoi_host *h) {
  struct yoi__instance *in = of(h);
  if (in->config->secrets.n > 0) yoi__control_post(in->top->control, &in->refresh_task);
}

static const yoi_host_secret secret_table = {.size = sizeof secret_table,
                                             .get = secret_get,
                                             .refresh = secret_refresh,
                                             .generation = secret_generation};

/* 1: an entry of the config uses it, or a runtime that was added later; what
 * only lies on a search path is not registered. */
static int in_use(struct yoi_embed *host, const struct yoi__config *c,
                  const struct yoi__plugin *p) {
  for (size_t i = 0; i < c->n_runtimes; i++)
    if (c->runtimes[i].instance.plugin == p) return 1;
  for (size_t i = 0; i < c->n_models; i++)
    if (c->models[i].instance.plugin == p) return 1;
  for (size_t i = 0; i < c->n_ingress; i++)
    if (c->ingress[i].instance.plugin == p) return 1;
  for (size_t i = 0; i < c->n_policies; i++)
    if (c->policies[i].instance.plugin == p) return 1;
  for (size_t i = 0; i < c->n_tools; i++)
    if (c->tools[i].plugin == p) return 1;
  return yoi__registry_uses(&host->registry, p);
}

static void plugin_list(const yoi_host *h, void (*each)(void *ctx, const yoi_plugin_info *info),
                        void *ctx) {
  struct yoi__setup *s = yoi__setup_of(of(h));
  const struct yoi__config *c = s->config;
  for (size_t i = 0; i < yoi__catalogue_count(c->plugins); i++) {
    const struct yoi__plugin *p = yoi__catalogue_at(c->plugins, i);
    if (!in_use(of(h)->top, c, p)) continue;
    yoi_plugin_info info = {.size = sizeof info,
                            .kind = p->manifest.kind,
                            .id = p->manifest.id,
                            .version = p->manifest.version,
                            .digest = yoi_sdk_str(p->digest)};
    each(ctx, &info);
  }
  yoi__setup_give(s);
}

static const yoi_host_plugin plugin_table = {sizeof plugin_table, 0, plugin_list};

/* ---- by id ------------------------------------------------------------- */

#define EVERY_KIND 0u

const void *yoi__service(const struct yoi__instance *in, yoi_str id) {
  static const struct {
    const char *id;
    uint32_t kind; /* the one that gets it */
    const void *table;
  } services[] = {
      {YOI_HOST_LOG_ID, EVERY_KIND, &log_table},
      {YOI_HOST_CLOCK_ID, EVERY_KIND, &clock_table},
      {YOI_HOST_LOOP_ID, EVERY_KIND, &loop_table},
      {YOI_HOST_METRICS_ID, EVERY_KIND, &metrics_table},
      {YOI_HOST_SECRET_ID, EVERY_KIND, &secret_table},
      {YOI_HOST_MODEL_ID, YOI_KIND_RUNTIME, &yoi__model_table},
      {YOI_HOST_PLUGIN_ID, YOI_KIND_RUNTIME, &plugin_table},
      {YOI_HOST_GRANT_ID, YOI_KIND_RUNTIME, &yoi__grant_table},
      {YOI_HOST_GRANT_ID, YOI_KIND_TOOL, &yoi__grant_table},
      {YOI_HOST_MOUNT_ID, YOI_KIND_TOOL, &yoi__mount_table},
      {YOI_HOST_NET_ID, YOI_KIND_TOOL, &yoi__net_table},
      {YOI_HOST_TOOL_ID, YOI_KIND_RUNTIME, &yoi__tool_table},
      {YOI_HOST_TURN_ID, YOI_KIND_RUNTIME, &yoi__turn_table},
      {YOI_HOST_REGISTRY_ID, YOI_KIND_INGRESS, &yoi__registry_table},
  };
  /* The threads of a SERIAL plugin are on no loop. */
  if (yoi_sdk_str_is(id, YOI_HOST_LOOP_ID) && yoi__plugin_serial(in->plugin)) return NULL;
  for (size_t i = 0; i < sizeof services / sizeof *services; i++)
    if (yoi_sdk_str_is(id, services[i].id) &&
        (services[i].kind == EVERY_KIND || services[i].kind == in->plugin->manifest.kind))
      return services[i].table;
  return NULL;
}
