/* host_fixture.h - a host whose plugins are tables of the test: no shared
 * object, no config text, the same code behind yoi.h.
 *
 *   struct host_fixture f;
 *   host_fixture_init(&f, 1);
 *   host_fixture_runtime(&f, "a", &table);
 *   host_fixture_start(&f);
 *   ... f.host ...
 *   host_fixture_stop(&f);
 */
#ifndef HOST_FIXTURE_H
#define HOST_FIXTURE_H

#include "host/host.h"

#define FIXTURE_PLUGINS 8

struct host_fixture {
  struct yoi__config config;
  struct yoi__plugin plugins[FIXTURE_PLUGINS];
  size_t n_plugins;
  struct yoi__config_runtime runtimes[FIXTURE_PLUGINS];
  struct yoi__config_model models[FIXTURE_PLUGINS];
  struct yoi__config_ingress ingress[FIXTURE_PLUGINS];
  struct yoi__config_policy policies[FIXTURE_PLUGINS];
  struct yoi__config_instance tools[FIXTURE_PLUGINS];
  yoi_sdk_json *manifests[FIXTURE_PLUGINS]; /* of the tools */
  struct yoi_embed *host;
};

/* step: the test drives it; else two loops with threads. */
void host_fixture_init(struct host_fixture *f, int step);
/* The plugin's id is dev.yoi.test.ID. */
struct yoi__config_runtime *host_fixture_runtime(struct host_fixture *f, const char *id,
                                                 const yoi_runtime *table);
void host_fixture_model(struct host_fixture *f, const char *name, const yoi_model *table);
/* Listens on 127.0.0.1, a free port. */
struct yoi__config_ingress *host_fixture_ingress(struct host_fixture *f, const yoi_ingress *table);
/* `config` is what its open is given. */
void host_fixture_policy(struct host_fixture *f, const char *id, const char *config,
                         const yoi_policy *table);
/* A plugin of tools: its id, the manifest's "tools" and "grants" as JSON. */
struct yoi__plugin *host_fixture_tool(struct host_fixture *f, const char *id, const char *tools,
                                      const char *grant, const yoi_tool *table);
/* Makes the host; start may fail, asserted by expect. */
void host_fixture_start_as(struct host_fixture *f, yoi_status expect, yoi_error *err);
void host_fixture_start(struct host_fixture *f);
void host_fixture_stop(struct host_fixture *f);
/* Steps, or waits a little, until done(ctx); fails the test after 20 s. */
void host_fixture_until(struct host_fixture *f, int (*done)(void *ctx), void *ctx);
/* The instance of a runtime. */
struct yoi__instance *host_fixture_instance(struct host_fixture *f, const char *id);

/* A request that passes the host's checks. */
yoi_request fixture_request(uint32_t op);

#endif
