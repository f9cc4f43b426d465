/* host/config_build.h - shared by the files that turn a config text into
 * structs: config.c (order and life), config_sections.c (one function per
 * section), config_instance.c (what all entries with a plugin share). */
#ifndef YOI__CONFIG_BUILD_H
#define YOI__CONFIG_BUILD_H

#include "config.h"
#include "findings.h"

#define YOI__POINTER_MAX 256

struct yoi__build {
  struct yoi__config *c;
  const yoi_sdk_json *tree;
  struct yoi__findings found;
  yoi_sdk_json *schema; /* of the config, while it is built */
  const char *base; /* absolute: what relative paths are relative to */
  int failed;       /* memory was short */
};

/* ---- config.c: memory that lives as long as the config ----------------- */
/* NULL (and b->failed) when memory is short; zeroed. n may be 0. */
void *yoi__build_alloc(struct yoi__build *b, size_t n, size_t size);
yoi_str yoi__build_str(struct yoi__build *b, yoi_str s);
/* A string member, borrowed from the tree; empty when it is none. */
yoi_str yoi__text(const yoi_sdk_json *v, const char *name);

/* ---- config_instance.c ------------------------------------------------- */
/* Calls fn for each string below v; pointers begin with `base`. 0: memory is
 * short, none was called. */
int yoi__build_strings(const yoi_sdk_json *v, const char *base,
                       void (*fn)(void *ctx, const char *pointer, yoi_str s), void *ctx);
/* plugin, config and secrets of an entry at `pointer`. extra_secret: granted
 * too, when not empty. */
void yoi__build_instance(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                         uint32_t kind, yoi_str extra_secret, struct yoi__config_instance *out);
/* config and secrets alone, of out->plugin. */
void yoi__build_config(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                       yoi_str extra_secret, struct yoi__config_instance *out);
/* The same for a plugin that stands in no entry: an empty config. */
void yoi__build_dropped(struct yoi__build *b, struct yoi__plugin *p, const char *pointer,
                        struct yoi__config_instance *out);
/* The plugin of an id, or NULL with a finding at the pointer. */
struct yoi__plugin *yoi__build_plugin(struct yoi__build *b, yoi_str id, const char *pointer);
/* NAME of "secret:NAME" that is declared, else empty with a finding. */
yoi_str yoi__build_secret(struct yoi__build *b, yoi_str value, const char *pointer);
/* ", did you mean 'X'", or "". */
struct yoi__hint {
  char text[YOI_PLUGIN_ID_MAX + 24];
};
struct yoi__hint yoi__build_hint(yoi_str word, const yoi_str *names, size_t n);

/* ---- config_sections.c, in the order in which they are called ---------- */
void yoi__build_scalars(struct yoi__build *b);
void yoi__build_secrets(struct yoi__build *b);
/* 1: an environment variable can have that name. */
int yoi__variable_valid(yoi_str s);
void yoi__build_search(struct yoi__build *b);
void yoi__build_entries(struct yoi__build *b);
void yoi__build_runtimes(struct yoi__build *b);
void yoi__build_added(struct yoi__build *b); /* the one runtime that is added later */
void yoi__build_models(struct yoi__build *b);
void yoi__build_ingress(struct yoi__build *b);
void yoi__build_policies(struct yoi__build *b);

/* ---- config_bundles.c -------------------------------------------------- */
void yoi__build_bundles(struct yoi__build *b); /* before runtimes */
/* What an entry of "runtimes" says of bundles, into r, which has its id. */
void yoi__build_bundle_keys(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                            struct yoi__config_runtime *r);

/* ---- config_local.c ---------------------------------------------------- */
void yoi__build_local(struct yoi__build *b);

/* ---- config_tools.c ---------------------------------------------------- */
void yoi__build_tools(struct yoi__build *b);

#endif
