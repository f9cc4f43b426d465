/* host/config.h - the config file, checked and turned into structs.
 *
 * host/config.schema.json is the table of its keys, docs/config.md their
 * manual. yoi__config_load does all of it: parse, check against the schema,
 * scan the plugins, check what a schema cannot say. What it gives out is
 * complete and immutable; every text is NUL-terminated and lives as long as
 * the config. No plugin code has run and no secret was read.
 */
#ifndef YOI__CONFIG_H
#define YOI__CONFIG_H

#include <sdk/bundle.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <yoi.h>

#include "loader.h"
#include "local.h"
#include "secret.h"

/* yoi__config.log_format */
#define YOI__LOG_LOGFMT 0u
#define YOI__LOG_JSON 1u

/* yoi__config.audit: which decisions of policy are logged */
#define YOI__AUDIT_DENIED 0u
#define YOI__AUDIT_ALL 1u
#define YOI__AUDIT_NONE 2u

struct yoi__config;

/* What every instance has. `config` is the instance's config as one line of
 * compact JSON ("{}" when the entry has none), the paths in it absolute;
 * `secrets` what it may read. */
struct yoi__config_instance {
  struct yoi__plugin *plugin;
  yoi_str config;
  struct yoi__grants secrets;
};

/* A list of names that may be left out, and then stands for all. */
struct yoi__config_names {
  int given;
  const yoi_str *names;
  size_t n;
};

/* An entry of "bundles": read, checked, digested. */
struct yoi__config_bundle {
  struct yoi_sdk_bundle *it;
  yoi_str bytes;                     /* of the file, exactly */
  struct yoi__config_names runtimes; /* which may have it */
};

/* yoi__config_runtime.require_bundle */
#define YOI__REQUIRE_NEVER 0u
#define YOI__REQUIRE_TOOLS 1u
#define YOI__REQUIRE_ALWAYS 2u

struct yoi__config_runtime {
  struct yoi__config_instance instance;
  yoi_str id;
  yoi_str display_name;    /* of the plugin, if none was given */
  yoi_str default_profile; /* NAME of "builtin:NAME" or "named:NAME"; empty: not given */
  int profile_named;       /* "named:" */
  uint32_t deadline_ms;    /* of unary operations */
  uint32_t require_bundle; /* YOI__REQUIRE_* */
  struct yoi__config_names workspaces;
  const struct yoi__config_bundle *bundle; /* of workers that name none; NULL: none */
  int drop_in;
};

struct yoi__config_model {
  struct yoi__config_instance instance;
  yoi_str name;
};

struct yoi__config_policy {
  struct yoi__config_instance instance;
};

struct yoi__config_ingress {
  struct yoi__config_instance instance; /* its secrets include the token */
  uint32_t surface;                     /* YOI_SURFACE_* */
  int insecure;                         /* a runtime surface without a token */
  yoi_str listen;                       /* as written */
  struct sockaddr_storage address;      /* the same; AF_INET, AF_INET6, AF_UNIX */
  socklen_t address_len;                /* 0: of a socket that is not known */
  const struct yoi__socket *socket;     /* given, of that address; NULL: to be bound */
  yoi_str runtime_id; /* of a runtime surface */
  yoi_str token;      /* name of a secret; empty: none */
  yoi_str hosts;      /* JSON array of strings; empty: none */
};

/* An entry of "plugins": what the operator allows one plugin. */
struct yoi__config_plugin {
  yoi_str id;
  int has_grants;        /* 0: the default of its kind */
  const yoi_str *grants; /* patterns: see grant.h */
  size_t n_grants;
  int best_effort; /* confined as far as this system can */
};

/* What one host is given that its configs build on (yoi_host_options). */
struct yoi__own {
  const yoi_linked_plugin *const *rows; /* of plugins */
  size_t n;
  const struct yoi__sockets *sockets; /* NULL: not known, a name is as good as another */
};

struct yoi__config {
  _Atomic uint32_t refs; /* 1 when it is loaded */
  int step;              /* driven by yoi_host_step, one loop */
  uint32_t loops;        /* 0: one per core; 1 in step mode */
  uint32_t log_level;    /* YOI_LOG_* */
  uint32_t log_format;   /* YOI__LOG_* */
  uint32_t audit;        /* YOI__AUDIT_* */
  uint32_t drain_ms;
  yoi_str worker;      /* absolute: the program of isolated plugins; empty: where it is */
  struct yoi__own own; /* of the application; its plugins are found before all others */
  struct yoi__catalogue *plugins;
  struct yoi__secrets *secrets; /* declared; yoi__secrets_read at start */
  struct yoi__local local;      /* the rest of that section */
  const char *base;             /* absolute: what relative paths are relative to */
  /* In the order of the file; dropped-in runtimes come last, by id. */
  struct yoi__config_bundle *bundles;
  struct yoi__config_runtime *runtimes;
  struct yoi__config_model *models;
  struct yoi__config_ingress *ingress;
  struct yoi__config_policy *policies;
  struct yoi__config_instance *tools; /* plugins that have tools, by id */
  struct yoi__config_plugin *entries;
  size_t n_bundles, n_runtimes, n_models, n_ingress, n_policies, n_tools, n_entries;
  void *memory; /* owns the texts and arrays */
};

/* [main] `json` may be empty: the default config (below). base_dir: a path;
 * NULL is the working directory. report (may be NULL) gets every finding in
 * the order of the text, err the first one. out may be NULL: only checked.
 * INVALID_ARGUMENT when there is a finding, RESOURCE_EXHAUSTED when memory is
 * short (then without a report). */
yoi_status yoi__config_load(yoi_str json, const char *base_dir, yoi_report_fn report, void *ctx,
                            struct yoi__config **out, yoi_error *err);
/* [main] The same with rows that were checked, and sockets; they are the caller's, as
 * long as the config, the array of rows is not. */
yoi_status yoi__config_load_own(yoi_str json, const char *base_dir, struct yoi__own own,
                                yoi_report_fn report, void *ctx, struct yoi__config **out,
                                yoi_error *err);
/* [main] Calls look with the catalogue of the same config, whatever is wrong
 * with the rest of it. RESOURCE_EXHAUSTED, or OK. */
yoi_status yoi__config_look(yoi_str json, const char *base_dir,
                            void (*look)(void *ctx, const struct yoi__config *c), void *ctx,
                            yoi_error *err);
/* [any] A config is counted: a host keeps those that something of it was made
 * from. free gives one reference back; NULL is accepted by both. */
struct yoi__config *yoi__config_ref(struct yoi__config *c);
void yoi__config_free(struct yoi__config *c);

/* [main] One entry of "runtimes" for a config that is in use: the same checks,
 * against its plugins, grants and secrets. *out lies in *out_memory. */
yoi_status yoi__config_runtime_load(const struct yoi__config *c, yoi_str json,
                                    const struct yoi__config_runtime **out, void **out_memory,
                                    yoi_error *err);
void yoi__config_memory_free(void *memory);

/* [main] Reads the secrets and says which listener's token has no value. */
yoi_status yoi__config_read_secrets(struct yoi__config *c, yoi_error *err);

/* 1: the plugin may have this grant, or pattern of grants: it is in
 * plugins[].grants, or, without that list, what its kind cannot do without:
 * runtimes model:*; tools mount, net, shell and git of any name. */
int yoi__config_granted(const struct yoi__config *c, const struct yoi__plugin *p, yoi_str grant);

/* 1: the plugin's process must be confined, or it does not run. */
int yoi__config_confined(const struct yoi__config *c, const struct yoi__plugin *p);

/* The config that stands for no file, from OPENAI_BASE_URL, YOI_MODEL and
 * OPENAI_API_KEY: JSON text that goes through the same checks. */
void yoi__config_default(struct yoi_sdk_buf *out);

#endif
