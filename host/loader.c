/* host/loader.c - from a file that was found to a table that may be called.
 *
 * The order is that of trust: the file must still be the one that was hashed,
 * then its code is mapped (constructors run here, for the first time), then
 * the entry is asked for a table, and the table must say what the manifest
 * said, because all checks so far were against the manifest. Invariants:
 *  1. Before dlopen no code of the plugin has run; a refusal up to there has
 *     no effect.
 *  2. RTLD_LOCAL: a plugin's symbols serve nobody else. RTLD_NOW: what is
 *     missing is missing now. RTLD_NODELETE: code stays mapped for the life
 *     of the process, since callbacks and thread-local destructors may point
 *     into it.
 *  3. Tables are copied into zeroed structs of this version's size: a shorter
 *     one (an older plugin) has NULL members, a longer one (a newer plugin)
 *     loses what this host would not call.
 *  4. A plugin is loaded or refused once; later calls repeat the answer.
 *  5. The public message names the plugin by id; its path and the dynamic
 *     loader's words are private.
 *  6. A pinned plugin runs the pinned bytes or nothing (pin.c). So does one that
 *     took the place of other bytes while the process ran: the dynamic loader
 *     goes by name, and would give the old ones.
 *  7. Of an isolated plugin nothing is mapped here (isolate/): its worker process
 *     does all of this.
 *  8. What is linked into the program is mapped already, and then treated like
 *     any other: entry, table, agreement with its manifest. A row with the table
 *     itself has no entry to ask: nothing but the manifest says what it is.
 */
#include "loader.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "generation.h"
#include "isolate/table.h"
#include "manifest_tool.h"
#include "pin.h"

/* Entry names of other major versions that a message may name. */
#define ENTRY_MAJORS 10

typedef const yoi_plugin *(*entry_fn)(void);

/* A member that an interface table must have. */
struct member {
  const char *name;
  size_t offset;
};

/* One row per kind: the interface, and what the host calls without asking. */
static const struct kind {
  uint32_t kind;
  const char *interface;
  size_t size;
  struct member required[6];
} kinds[] = {
    {YOI_KIND_RUNTIME,
     YOI_RUNTIME_ID,
     sizeof(yoi_runtime),
     {{"open", offsetof(yoi_runtime, open)},
      {"close", offsetof(yoi_runtime, close)},
      {"start", offsetof(yoi_runtime, start)}}},
    {YOI_KIND_MODEL,
     YOI_MODEL_ID,
     sizeof(yoi_model),
     {{"open", offsetof(yoi_model, open)},
      {"close", offsetof(yoi_model, close)},
      {"start", offsetof(yoi_model, start)}}},
    {YOI_KIND_INGRESS,
     YOI_INGRESS_ID,
     sizeof(yoi_ingress),
     {{"open", offsetof(yoi_ingress, open)},
      {"close", offsetof(yoi_ingress, close)},
      {"start", offsetof(yoi_ingress, start)},
      {"stop_accepting", offsetof(yoi_ingress, stop_accepting)},
      {"drain", offsetof(yoi_ingress, drain)}}},
    {YOI_KIND_POLICY,
     YOI_POLICY_ID,
     sizeof(yoi_policy),
     {{"open", offsetof(yoi_policy, open)},
      {"close", offsetof(yoi_policy, close)},
      {"start", offsetof(yoi_policy, start)}}},
    {YOI_KIND_TOOL,
     YOI_TOOL_ID,
     sizeof(yoi_tool),
     {{"open", offsetof(yoi_tool, open)},
      {"close", offsetof(yoi_tool, close)},
      {"start", offsetof(yoi_tool, start)}}},
};

_Static_assert(offsetof(yoi_runtime, thread_model) == sizeof(uint32_t) &&
                   offsetof(yoi_model, thread_model) == sizeof(uint32_t) &&
                   offsetof(yoi_ingress, thread_model) == sizeof(uint32_t) &&
                   offsetof(yoi_policy, thread_model) == sizeof(uint32_t) &&
                   offsetof(yoi_tool, thread_model) == sizeof(uint32_t),
               "all interface tables begin with size and thread model");

static yoi_status refuse(const struct yoi__plugin *p, yoi_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static yoi_status refuse(const struct yoi__plugin *p, yoi_error *err, const char *fmt, ...) {
  char why[YOI_ERROR_MESSAGE_MAX];
  yoi_status st;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(why, sizeof why, fmt, ap);
  va_end(ap);
  st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot load plugin '%.*s': %s",
                    YOI_ARG(p->manifest.id), why);
  yoi_sdk_fail_private(err, "file '%.*s'", YOI_ARG(p->path));
  return st;
}

/* The file at the path is the one that was hashed. The window between this
 * and dlopen is closed by digest pins (pin.c), which load a private copy. */
static yoi_status check_file(const struct yoi__plugin *p, yoi_error *err) {
  struct stat sb;
  int fd = open(p->path.ptr, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  int ok;
  if (fd < 0) return refuse(p, err, "cannot open its file: %s", strerror(errno));
  ok = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode) && (sb.st_mode & S_IWOTH) == 0 &&
       sb.st_dev == p->dev && sb.st_ino == p->ino && sb.st_size == p->size &&
       sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec == p->mtime_ns;
  close(fd);
  return ok ? YOI_OK : refuse(p, err, "its file changed since it was hashed");
}

static yoi_status find_entry(const struct yoi__plugin *p, entry_fn *out, yoi_error *err) {
  void *symbol = dlsym(p->handle, YOI_PLUGIN_ENTRY);
  char found[64] = "found none";
  if (symbol != NULL) {
    memcpy(out, &symbol, sizeof *out); /* ISO C has no such conversion */
    return YOI_OK;
  }
  for (unsigned v = 0; v < ENTRY_MAJORS; v++) {
    char name[32];
    snprintf(name, sizeof name, "yoi_plugin_entry_v%u", v);
    if (dlsym(p->handle, name) == NULL) continue;
    snprintf(found, sizeof found, "found '%s'", name);
    break;
  }
  return refuse(p, err, "entry symbol missing: expected '" YOI_PLUGIN_ENTRY "', %s", found);
}

static yoi_status check_text(const struct yoi__plugin *p, const char *field, yoi_str manifest,
                             yoi_str table, yoi_error *err) {
  if (table.ptr == NULL) table.len = 0;
  if (yoi_sdk_str_eq(manifest, table)) return YOI_OK;
  if (table.len > YOI_PLUGIN_ID_MAX) table.len = YOI_PLUGIN_ID_MAX;
  return refuse(p, err, "table field '%s': expected '%.*s' as in the manifest, found '%.*s'", field,
                YOI_ARG(manifest), YOI_ARG(table));
}

/* The plugin's own table against its manifest. */
static yoi_status check_table(const struct yoi__plugin *p, const yoi_plugin *theirs, yoi_plugin *t,
                              yoi_error *err) {
  yoi_status st;
  if (theirs == NULL) return refuse(p, err, "its entry returned no table");
  if (!YOI_HAS(yoi_plugin, theirs, get_interface))
    return refuse(p, err, "table field 'size': expected at least %zu, found %u", sizeof *t,
                  (unsigned)theirs->size);
  memset(t, 0, sizeof *t);
  memcpy(t, theirs, theirs->size < sizeof *t ? theirs->size : sizeof *t);
  if (t->reserved != 0) return refuse(p, err, "table field 'reserved': expected 0");
  if (t->get_interface == NULL) return refuse(p, err, "table field 'get_interface': is NULL");
  st = check_text(p, "id", p->manifest.id, t->id, err);
  if (st == YOI_OK) st = check_text(p, "version", p->manifest.version, t->version, err);
  if (st != YOI_OK) return st;
  if (t->kind != p->manifest.kind)
    return refuse(p, err, "table field 'kind': expected '%s' as in the manifest, found %u",
                  yoi__kind_name(p->manifest.kind), (unsigned)t->kind);
  for (size_t i = 0; i < p->manifest.n_interfaces; i++) {
    if (t->get_interface(p->manifest.interfaces[i]) == NULL)
      return refuse(p, err, "interface '%.*s' of the manifest is missing",
                    YOI_ARG(p->manifest.interfaces[i]));
  }
  return YOI_OK;
}

static const struct kind *kind_of(const struct yoi__plugin *p) {
  const struct kind *k = kinds;
  while (k->kind != p->manifest.kind) k++;
  return k;
}

/* Copies the table of the plugin's kind into p->table. */
static yoi_status copy_interface(struct yoi__plugin *p, const struct kind *k, const void *theirs,
                                 yoi_error *err) {
  uint32_t head[2];
  memcpy(head, theirs, sizeof *head);
  if (head[0] < sizeof head)
    return refuse(p, err, "interface '%s': field 'size': found %u", k->interface,
                  (unsigned)head[0]);
  memcpy(head, theirs, sizeof head);
  memset(&p->table, 0, sizeof p->table);
  if (head[0] > k->size) head[0] = (uint32_t)k->size;
  memcpy(&p->table, theirs, head[0]);
  memcpy(&p->table, head, sizeof *head);
  for (size_t i = 0; i < sizeof k->required / sizeof *k->required; i++) {
    const struct member *m = &k->required[i];
    void (*fn)(void) = NULL;
    if (m->name == NULL) break;
    memcpy(&fn, (const char *)&p->table + m->offset, sizeof fn);
    if (fn == NULL)
      return refuse(p, err, "interface '%s': member '%s' is missing", k->interface, m->name);
  }
  int serial = head[1] == YOI_SERIAL || head[1] == YOI_SERIAL_CANCEL;
  if (serial && !yoi__kind_may_block(p->manifest.kind)) {
    refuse(p, err, "thread model 'serial' is not supported by this version");
    if (err != NULL) err->code = YOI_CODE_UNSUPPORTED_DECLARATION;
    return YOI_INVALID_ARGUMENT;
  }
  if ((serial ? YOI_SERIAL : head[1]) != p->manifest.threads)
    return refuse(p, err, "interface '%s': field 'thread_model': expected %u, found %u",
                  k->interface, (unsigned)p->manifest.threads, (unsigned)head[1]);
  return YOI_OK;
}

/* Maps the file at the path, which is p's or a private copy of it, unless that
 * very code is mapped already. */
static yoi_status map(struct yoi__plugin *p, struct yoi__pinned *pinned, yoi_error *err) {
  yoi_str id = p->manifest.id, none = {NULL, 0};
  struct yoi_sdk_error e;
  yoi_status st = yoi__generation_take(id, p->digest, pinned != NULL ? none : p->path, &p->handle,
                                       yoi_sdk_error_init(&e));
  if (st != YOI_OK) {
    (void)refuse(p, err, "%s", e.message);
    if (err != NULL) err->code = e.e.code;
    return st;
  }
  if (pinned != NULL && p->handle == NULL) st = yoi__pin_copy(p, pinned, err);
  if (st == YOI_OK && p->handle == NULL) {
    const char *path = pinned != NULL ? pinned->path : p->path.ptr, *why;
    p->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (p->handle == NULL) {
      why = dlerror();
      st = refuse(p, err, "the dynamic loader refused it");
      yoi_sdk_fail_private(err, "file '%.*s': %s", YOI_ARG(p->path), why != NULL ? why : "?");
    }
  }
  if (p->handle == NULL) {
    yoi__generation_drop(id, p->digest);
  } else {
    yoi__generation_keep(id, p->digest, pinned != NULL ? p->handle : NULL);
  }
  return st;
}

static yoi_status map_pinned(struct yoi__plugin *p, yoi_error *err) {
  struct yoi__pinned *pinned = yoi_sdk_malloc(sizeof *pinned);
  yoi_status st;
  if (pinned == NULL) return yoi_sdk_fail_memory(err);
  st = yoi__pin_open(p, pinned, err);
  if (st == YOI_OK) {
    st = map(p, pinned, err);
    yoi__pin_release(pinned);
  }
  yoi_sdk_free(pinned);
  return st;
}

/* The file's code, mapped, and its entry. */
static yoi_status map_file(struct yoi__plugin *p, entry_fn *out, yoi_error *err) {
  yoi_status st;
  /* Behind other code of its path, as if its digest were pinned: from a copy. */
  if (p->pin[0] == '\0' && yoi__generation_stale(p->path, p->digest))
    memcpy(p->pin, p->digest, sizeof p->pin);
  if (p->pin[0] != '\0') {
    st = map_pinned(p, err);
  } else {
    st = check_file(p, err);
    if (st == YOI_OK) st = map(p, NULL, err);
  }
  return st == YOI_OK ? find_entry(p, out, err) : st;
}

static yoi_status enter(struct yoi__plugin *p, entry_fn entry, yoi_error *err) {
  yoi_plugin table;
  yoi_status st = check_table(p, entry(), &table, err);
  const struct kind *k = kind_of(p);
  if (st == YOI_OK) st = copy_interface(p, k, table.get_interface(yoi_sdk_str(k->interface)), err);
  if (st == YOI_OK) p->get_interface = table.get_interface;
  return st;
}

/* A table without an entry: its manifest is all that is said of it. */
static yoi_status take_table(struct yoi__plugin *p, yoi_error *err) {
  const struct kind *k = kind_of(p);
  for (size_t i = 0; i < p->manifest.n_interfaces; i++)
    if (!yoi_sdk_str_is(p->manifest.interfaces[i], k->interface))
      return refuse(p, err, "interface '%.*s' of the manifest needs an entry, found a table",
                    YOI_ARG(p->manifest.interfaces[i]));
  return copy_interface(p, k, yoi__linked_table(p->linked), err);
}

static yoi_status load(struct yoi__plugin *p, yoi_error *err) {
  entry_fn entry = NULL;
  yoi_status st = YOI_OK;
  if (p->manifest.isolated && p->linked != NULL)
    return refuse(p, err, "it wants a process of its own, and is linked into the program");
  if (p->manifest.isolated) {
    yoi__isolate_table(p);
    return st;
  }
  if (p->linked != NULL && yoi__linked_table(p->linked) != NULL) return take_table(p, err);
  if (p->linked != NULL) {
    entry = p->linked->entry;
  } else {
    st = map_file(p, &entry, err);
  }
  return st == YOI_OK ? enter(p, entry, err) : st;
}

yoi_status yoi__plugin_adopt(struct yoi__plugin *p, void *handle, yoi_error *err) {
  entry_fn entry = NULL;
  p->handle = handle;
  yoi_status st = find_entry(p, &entry, err);
  if (st == YOI_OK) st = enter(p, entry, err);
  if (st == YOI_OK) p->state = YOI__PLUGIN_LOADED;
  return st;
}

const void *yoi__plugin_interface(const struct yoi__plugin *p, const char *id) {
  yoi_str name = yoi_sdk_str(id);
  int has = p->state == YOI__PLUGIN_LOADED && p->get_interface != NULL &&
            yoi__manifest_has(&p->manifest, name);
  return has ? p->get_interface(name) : NULL;
}

yoi_status yoi__plugin_load(struct yoi__plugin *p, yoi_error *err) {
  yoi_status st;
  if (p->state == YOI__PLUGIN_LOADED) return YOI_OK;
  if (p->state == YOI__PLUGIN_FOUND) {
    p->refusal = yoi_sdk_malloc(sizeof *p->refusal);
    if (p->refusal == NULL) return yoi_sdk_fail_memory(err);
    st = load(p, yoi_sdk_error_init(p->refusal));
    if (st == YOI_OK) {
      yoi_sdk_free(p->refusal);
      p->refusal = NULL;
      p->state = YOI__PLUGIN_LOADED;
      return YOI_OK;
    }
    p->state = YOI__PLUGIN_REFUSED;
  }
  yoi_sdk_error_copy(err, &p->refusal->e);
  return yoi_sdk_code_status(p->refusal->e.code);
}
