/* host/manifest.h - the manifest of a plugin, parsed and checked; elf.h reads
 * its bytes, yoi/plugin.h has its shape. */
#ifndef YOI__MANIFEST_H
#define YOI__MANIFEST_H

#include <sdk/json.h>
#include <sdk/schema.h>
#include <yoi/base.h>
#include <yoi/limits.h>
#include <yoi/plugin.h>

#define YOI__MANIFEST_LIST_MAX 16 /* interfaces, and grants, of one plugin */

/* One of "tools", see yoi/plugin.h. */
struct yoi__manifest_tool {
  yoi_str name, description;
  yoi_str parameters;               /* the schema, one line; owned, like what follows */
  yoi_str grants;                   /* JSON array of kinds */
  struct yoi_sdk_schema *arguments; /* the schema, compiled */
  uint32_t flags;                   /* YOI_TOOL_* */
  uint32_t max_ms;
};

/* All texts are NUL-terminated and belong to the manifest. */
struct yoi__manifest {
  yoi_str id, version, display_name; /* display_name: of the id, if none */
  yoi_str runtime_id;                /* empty: cannot be dropped in */
  uint32_t kind;                     /* YOI_KIND_* */
  uint32_t threads;                  /* YOI_PARALLEL, YOI_SERIAL */
  int isolated;                      /* it runs in a process of its own */
  size_t n_interfaces, n_grants, n_operations;
  yoi_str interfaces[YOI__MANIFEST_LIST_MAX];
  yoi_str grants[YOI__MANIFEST_LIST_MAX];
  yoi_str operations[YOI__MANIFEST_LIST_MAX]; /* policies: see yoi/policy.h */
  struct yoi__manifest_tool *tools;           /* of a plugin of tools */
  size_t n_tools;
  const yoi_sdk_json *config;  /* the compiled schema of an instance's config */
  yoi_sdk_json *tree, *beside; /* own all of the above */
};

/* Fills the zeroed *m from the section's bytes. On an error the message says
 * which field, what was expected and what was found; *m needs no release. */
yoi_status yoi__manifest_parse(yoi_str text, struct yoi__manifest *m, yoi_error *err);
/* The same, but goes on after a fault and tells report each message. */
typedef void (*yoi__manifest_report)(void *ctx, const char *message);
yoi_status yoi__manifest_check(yoi_str text, yoi__manifest_report report, void *ctx);
/* Narrows it by the bytes of a NAME.yoi.json beside the file: fewer grants,
 * another display_name. What would widen it is an error. */
yoi_status yoi__manifest_narrow(struct yoi__manifest *m, yoi_str text, yoi_error *err);
void yoi__manifest_release(struct yoi__manifest *m);
/* 1: an operation of that name is among those that a policy knows. */
int yoi__manifest_knows(const struct yoi__manifest *m, yoi_str operation);
/* The tool of that name, or NULL. */
const struct yoi__manifest_tool *yoi__manifest_tool(const struct yoi__manifest *m, yoi_str name);
/* 1: a plugin of that kind can run in a process of its own. */
static inline int yoi__kind_isolates(uint32_t kind) {
  return kind == YOI_KIND_TOOL || kind == YOI_KIND_POLICY || kind == YOI_KIND_MODEL;
}
/* 1: the interface is in the list. */
int yoi__manifest_has(const struct yoi__manifest *m, yoi_str interface);

#endif
