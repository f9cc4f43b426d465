/* host_fixture.c - the host of host_fixture.h: a config made by hand, and plugins
 * that count as loaded because their tables are there.
 */
#include "host_fixture.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "host/clock.h"
#include "host/manifest_tool.h"

void host_fixture_init(struct host_fixture *f, int step) {
  memset(f, 0, sizeof *f);
  atomic_init(&f->config.refs, 1u);
  f->config.step = step;
  f->config.loops = step ? 1 : 2;
  f->config.log_level = YOI_LOG_ERROR + 1; /* quiet: failures are what is tested */
  f->config.drain_ms = 1000;
  f->config.plugins = yoi__catalogue_new();
  f->config.secrets = yoi__secrets_new(NULL);
  f->config.runtimes = f->runtimes;
  f->config.models = f->models;
  f->config.ingress = f->ingress;
  f->config.policies = f->policies;
  f->config.tools = f->tools;
}

static struct yoi__plugin *plugin_of(struct host_fixture *f, uint32_t kind) {
  assert_true(f->n_plugins < FIXTURE_PLUGINS);
  struct yoi__plugin *p = &f->plugins[f->n_plugins++];
  p->state = YOI__PLUGIN_LOADED;
  p->manifest.kind = kind;
  p->manifest.id = YOI_LIT("dev.yoi.test.fixture");
  p->manifest.version = YOI_LIT("1.0.0");
  p->manifest.display_name = YOI_LIT("Fixture");
  return p;
}

struct yoi__config_runtime *host_fixture_runtime(struct host_fixture *f, const char *id,
                                                 const yoi_runtime *table) {
  struct yoi__config_runtime *r = &f->runtimes[f->config.n_runtimes++];
  r->instance.plugin = plugin_of(f, YOI_KIND_RUNTIME);
  r->instance.plugin->table.runtime = *table;
  r->instance.config = YOI_LIT("{}");
  r->id = yoi_sdk_str(id);
  r->display_name = YOI_LIT("Fixture");
  r->deadline_ms = 10000;
  return r;
}

void host_fixture_model(struct host_fixture *f, const char *name, const yoi_model *table) {
  struct yoi__config_model *m = &f->models[f->config.n_models++];
  m->instance.plugin = plugin_of(f, YOI_KIND_MODEL);
  m->instance.plugin->table.model = *table;
  m->instance.plugin->manifest.threads =
      table->thread_model == YOI_SERIAL_CANCEL ? YOI_SERIAL : table->thread_model;
  m->instance.config = YOI_LIT("{}");
  m->name = yoi_sdk_str(name);
}

struct yoi__config_ingress *host_fixture_ingress(struct host_fixture *f, const yoi_ingress *table) {
  struct yoi__config_ingress *in = &f->ingress[f->config.n_ingress++];
  struct sockaddr_in *a = (struct sockaddr_in *)(void *)&in->address;
  in->instance.plugin = plugin_of(f, YOI_KIND_INGRESS);
  in->instance.plugin->table.ingress = *table;
  in->instance.config = YOI_LIT("{}");
  in->surface = YOI_SURFACE_BROWSER;
  in->listen = YOI_LIT("127.0.0.1:0");
  a->sin_family = AF_INET;
  a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  in->address_len = sizeof *a;
  return in;
}

void host_fixture_policy(struct host_fixture *f, const char *id, const char *config,
                         const yoi_policy *table) {
  struct yoi__config_policy *p = &f->policies[f->config.n_policies++];
  p->instance.plugin = plugin_of(f, YOI_KIND_POLICY);
  p->instance.plugin->manifest.id = yoi_sdk_str(id);
  p->instance.plugin->table.policy = *table;
  p->instance.config = yoi_sdk_str(config);
}

struct yoi__plugin *host_fixture_tool(struct host_fixture *f, const char *id, const char *tools,
                                      const char *grant, const yoi_tool *table) {
  size_t i = f->config.n_tools++;
  struct yoi__plugin *p = f->tools[i].plugin = plugin_of(f, YOI_KIND_TOOL);
  struct yoi_sdk_error e;
  p->manifest.id = yoi_sdk_str(id);
  p->manifest.threads = table->thread_model == YOI_SERIAL_CANCEL ? YOI_SERIAL : table->thread_model;
  p->table.tool = *table;
  if (grant != NULL) p->manifest.grants[p->manifest.n_grants++] = yoi_sdk_str(grant);
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(tools), 0, &f->manifests[i], NULL), YOI_OK);
  if (yoi__manifest_read_tools(&p->manifest, f->manifests[i], yoi_sdk_error_init(&e)) != YOI_OK)
    fail_msg("%s", e.message);
  f->tools[i].config = YOI_LIT("{}");
  return p;
}

void host_fixture_start_as(struct host_fixture *f, yoi_status expect, yoi_error *err) {
  if (f->host == NULL) assert_int_equal(yoi__host_of(&f->config, &f->host, NULL), YOI_OK);
  assert_int_equal(yoi_host_start(f->host, err), expect);
}

void host_fixture_start(struct host_fixture *f) {
  host_fixture_start_as(f, YOI_OK, NULL);
}

void host_fixture_stop(struct host_fixture *f) {
  yoi_host_free(f->host);
  for (size_t i = 0; i < f->config.n_tools; i++) {
    yoi__manifest_tools_free(&f->tools[i].plugin->manifest);
    yoi_sdk_json_free(f->manifests[i]);
  }
  yoi__catalogue_free(f->config.plugins);
  yoi__secrets_free(f->config.secrets);
}

void host_fixture_until(struct host_fixture *f, int (*done)(void *ctx), void *ctx) {
  uint64_t until = yoi__now_ns() + 20000 * YOI__MS;
  while (!done(ctx)) {
    assert_true(yoi__now_ns() < until);
    if (f->config.step)
      assert_int_equal(yoi_host_step(f->host, 20, NULL), YOI_OK);
    else
      (void)poll(NULL, 0, 1);
  }
}

struct yoi__instance *host_fixture_instance(struct host_fixture *f, const char *id) {
  return yoi__registry_find(&f->host->registry, yoi_sdk_str(id));
}

yoi_request fixture_request(uint32_t op) {
  yoi_request r = {.size = sizeof r,
                   .op = op,
                   .origin = YOI_ORIGIN_EMBED,
                   .principal = YOI_LIT("embed"),
                   .request_id = YOI_LIT("req-1")};
  if (op >= YOI_OP_WORKER_GET && op <= YOI_OP_WORKER_APPROVE) r.worker_id = YOI_LIT("w");
  return r;
}
