/* host/loader.h - which plugins there are (catalogue.c), and how one becomes
 * callable (loader.c).
 *
 * A catalogue is filled at start, with what is linked into the program
 * (linked.c) and from directories, and then never changes; a
 * plugin in it has a well-formed manifest, a hash, and an id of its own, and
 * none of its code has run. yoi__plugin_load runs the code: dlopen, entry,
 * agreement of table and manifest, copy of the interface table.
 *
 *   file --scan--> FOUND --load--> LOADED (for the life of the process)
 *     |              |
 *     +- passed over +- load failed: REFUSED (the same answer every time)
 *
 * All functions are [main]; what they return is immutable but for `state`,
 * `table` and `refusal` of a plugin, which load alone writes. Texts are
 * NUL-terminated and live as long as the catalogue.
 */
#ifndef YOI__LOADER_H
#define YOI__LOADER_H

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <yoi.h>
#include <yoi/ingress.h>
#include <yoi/model.h>
#include <yoi/plugin.h>
#include <yoi/policy.h>
#include <yoi/runtime.h>
#include <yoi/tool.h>

#include "manifest.h"

/* yoi__plugin.state */
#define YOI__PLUGIN_FOUND 0u
#define YOI__PLUGIN_LOADED 1u
#define YOI__PLUGIN_REFUSED 2u

struct yoi__plugin {
  struct yoi__manifest manifest;    /* id, kind, version, schema, grants, ... */
  char digest[YOI_SDK_DIGEST_SIZE]; /* sha256:HEX of the file's bytes; empty: linked */
  char pin[YOI_SDK_DIGEST_SIZE];    /* what the config wants it to be; empty: anything */
  yoi_str path;                     /* private: for the log only */
  const yoi_linked_plugin *linked;  /* it is in the program; NULL: it is a file */
  uint32_t state;                   /* YOI__PLUGIN_* */
  int drop_in;                      /* found in a drop_in folder (too) */
  /* Once LOADED: a full, zeroed-tail copy of the plugin's own table, with
   * the required members checked; which one says manifest.kind. */
  union {
    yoi_runtime runtime;
    yoi_model model;
    yoi_ingress ingress;
    yoi_policy policy;
    yoi_tool tool;
  } table;
  const void *(*get_interface)(yoi_str id); /* once LOADED, of other interfaces */
  struct yoi_sdk_error *refusal;            /* once REFUSED */
  void *handle;                  /* of dlopen, never closed; NULL: linked */
  uint64_t dev, ino;             /* the file that was hashed ... */
  int64_t size, mtime_ns;        /* ... and must still stand there at load */
};

/* The interface table of a row that has one, and what its open finds; NULL. */
static inline const void *yoi__linked_table(const yoi_linked_plugin *r) {
  return YOI_HAS(yoi_linked_plugin, r, table) ? r->table : NULL;
}
static inline void *yoi__linked_user(const yoi_linked_plugin *r) {
  return r != NULL && YOI_HAS(yoi_linked_plugin, r, user) ? r->user : NULL;
}

/* A file or directory that was looked at and not taken. */
struct yoi__passed {
  yoi_str path;
  yoi_str id;     /* of its manifest; empty when it has none */
  yoi_str reason; /* "cannot open: no such file or directory", ... */
  int directory;  /* it is the directory itself that was not read */
};

struct yoi__catalogue;

/* NULL: memory is short. */
struct yoi__catalogue *yoi__catalogue_new(void);
void yoi__catalogue_free(struct yoi__catalogue *c);

/* Takes in the regular files *.so of one directory, in byte order of name;
 * directories scanned earlier win. drop_in: only runtimes with a runtime_id
 * count; the others, and a file whose id is taken by other bytes, are passed
 * over. Everything that is passed over is kept with its reason and is no
 * error; errors are memory and YOI_PLUGINS_MAX (RESOURCE_EXHAUSTED). */
yoi_status yoi__catalogue_scan(struct yoi__catalogue *c, const char *dir, int drop_in,
                               yoi_error *err);

/* Checks rows; INVALID_ARGUMENT. */
yoi_status yoi__linked_check(const yoi_linked_plugin *const *rows, size_t n, yoi_error *err);
/* Takes in n rows, and then what yoi_link_plugins has named, under the same
 * rules. */
yoi_status yoi__catalogue_link(struct yoi__catalogue *c, const yoi_linked_plugin *const *rows,
                               size_t n, yoi_error *err);

/* For those two: takes over an examined p when `why` is NULL and its id is
 * free, else notes why it was passed over. */
yoi_status yoi__catalogue_take(struct yoi__catalogue *c, struct yoi__plugin *p, const char *path,
                               const char *why, yoi_error *err);

/* Plugins in byte order of id. */
size_t yoi__catalogue_count(const struct yoi__catalogue *c);
struct yoi__plugin *yoi__catalogue_at(const struct yoi__catalogue *c, size_t i);
/* NULL: none has this id. */
struct yoi__plugin *yoi__catalogue_find(const struct yoi__catalogue *c, yoi_str id);

/* What was passed over, in the order of the scans; NULL past the end. */
const struct yoi__passed *yoi__catalogue_passed(const struct yoi__catalogue *c, size_t i);
/* How many plugins the i-th scanned folder gave; an empty path past the end. */
size_t yoi__catalogue_searched(const struct yoi__catalogue *c, size_t i, yoi_str *out_path);
/* Appends "; searched 'DIR': N plugins; passed over 'FILE': REASON; ..." for a
 * refusal; private, because it names paths. */
void yoi__catalogue_explain(const struct yoi__catalogue *c, struct yoi_sdk_buf *out);

/* Runs the plugin's code for the first time; later calls answer the same.
 * The public message names the plugin's id, the field, what was expected and
 * what was found; the private detail names the file. Errors:
 * unsupported_declaration (SERIAL where it may not be), internal
 * (everything that does not agree). */
yoi_status yoi__plugin_load(struct yoi__plugin *p, yoi_error *err);

/* The plugin's own table of another interface that its manifest names, once it
 * is LOADED; NULL else. Its size says what is in it. */
const void *yoi__plugin_interface(const struct yoi__plugin *p, const char *id);

/* Everything that is known about a file before its code runs, into the zeroed
 * *p. NULL, or why it is passed over (in e, when it is no constant). */
const char *yoi__plugin_examine(int dir_fd, const char *name, struct yoi__plugin *p,
                                struct yoi_sdk_error *e);
/* sha256:HEX of a file's bytes; NULL, or why not: a constant text. */
const char *yoi__file_digest(int fd, uint64_t size, char digest[YOI_SDK_DIGEST_SIZE]);
void yoi__plugin_free(struct yoi__plugin *p);

/* 1: its manifest says SERIAL, so it is called on a strand (strand.h); one that is
 * isolated is called there, which for the host is PARALLEL. */
static inline int yoi__plugin_serial(const struct yoi__plugin *p) {
  return p->manifest.threads == YOI_SERIAL && !p->manifest.isolated;
}

/* For worker programs: what load does with code that is mapped already. */
yoi_status yoi__plugin_adopt(struct yoi__plugin *p, void *handle, yoi_error *err);

/* "runtime", "model", "ingress", "policy", "tool"; "?" else. */
const char *yoi__kind_name(uint32_t kind);

#endif
