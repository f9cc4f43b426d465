/* host/config_sections.c - one function per section of the config: what the
 * schema cannot say, and the structs.
 *
 * Invariants:
 *  1. A value of the wrong type is skipped: the schema has spoken about it.
 *  2. Within its kind a name is used once (runtimes also against dropped-in
 *     ones), and the second is refused, never the first replaced.
 *  3. Arrays are as long as the section, so that entry i is /section/i; what
 *     is refused leaves zeroes there, and then the config is not given out.
 *  4. Nothing here reads a secret, binds an address or runs plugin code.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/mem.h>
#include <yoi/host_log.h>

#include "config_build.h"
#include "grant.h"
#include "listen.h"
#include "pin.h"
#include "place.h"
#include "policy.h"
#include "sockets.h"

/* The members of a section that is an array, and how many there are. */
static const yoi_sdk_json *array(struct yoi__build *b, const char *section, size_t max,
                                 size_t *out_n) {
  const yoi_sdk_json *v = yoi_sdk_json_get(b->tree, section);
  char at[YOI__POINTER_MAX];
  *out_n = yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY ? yoi_sdk_json_count(v) : 0;
  if (*out_n > max) {
    snprintf(at, sizeof at, "/%s", section);
    yoi__findings_add(&b->found, at, 0, "more than %zu entries", max);
    *out_n = 0;
  }
  return *out_n > 0 ? yoi_sdk_json_first(v) : NULL;
}

static uint32_t number(const yoi_sdk_json *v, const char *name, uint32_t otherwise) {
  int64_t n = 0;
  if (!yoi_sdk_json_int(yoi_sdk_json_get(v, name), &n) || n < 0 || n > UINT32_MAX) return otherwise;
  return (uint32_t)n;
}

static int truth(const yoi_sdk_json *v, const char *name) {
  int is = 0;
  return yoi_sdk_json_bool(yoi_sdk_json_get(v, name), &is) ? is : 0;
}

/* ---- scalars ---------------------------------------------------------------- */

static void read_worker(struct yoi__build *b) {
  char path[YOI_PATH_BYTES_MAX];
  yoi_str s = yoi__text(b->tree, "worker_program");
  if (s.len == 0) return;
  int n = snprintf(path, sizeof path, "%s%s%.*s", s.ptr[0] == '/' ? "" : b->base,
                   s.ptr[0] == '/' ? "" : "/", YOI_ARG(s));
  if (n < 0 || (size_t)n >= sizeof path)
    yoi__findings_add(&b->found, "/worker_program", 0, "path too long");
  else
    b->c->worker = yoi__build_str(b, yoi_sdk_str(path));
}

void yoi__build_scalars(struct yoi__build *b) {
  static const struct {
    const char *name;
    uint32_t level;
  } levels[] = {{"debug", YOI_LOG_DEBUG},
                {"info", YOI_LOG_INFO},
                {"warn", YOI_LOG_WARN},
                {"error", YOI_LOG_ERROR}};
  const yoi_sdk_json *log = yoi_sdk_json_get(b->tree, "log");
  struct yoi__config *c = b->c;
  c->step = truth(b->tree, "step");
  c->loops = number(b->tree, "loops", 0);
  c->drain_ms = number(b->tree, "drain_ms", YOI_DRAIN_MS_DEFAULT);
  if (c->step && c->loops > 1) yoi__findings_add(&b->found, "/loops", 0, "step mode has one loop");
  if (c->step) c->loops = 1;
  read_worker(b);
  c->log_level = YOI_LOG_INFO;
  for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
    if (yoi_sdk_str_is(yoi__text(log, "level"), levels[i].name)) c->log_level = levels[i].level;
  }
  c->log_format =
      yoi_sdk_str_is(yoi__text(log, "format"), "json") ? YOI__LOG_JSON : YOI__LOG_LOGFMT;
  yoi_str audit = yoi__text(log, "audit");
  c->audit = yoi_sdk_str_is(audit, "all")    ? YOI__AUDIT_ALL
             : yoi_sdk_str_is(audit, "none") ? YOI__AUDIT_NONE
                                             : YOI__AUDIT_DENIED;
}

/* ---- local.secrets ------------------------------------------------------------ */

int yoi__variable_valid(yoi_str s) {
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    int letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return 0;
  }
  return s.len > 0;
}

void yoi__build_secrets(struct yoi__build *b) {
  const yoi_sdk_json *all = yoi_sdk_json_get(yoi_sdk_json_get(b->tree, "local"), "secrets");
  if (yoi_sdk_json_type(all) != YOI_SDK_JSON_OBJECT) return;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(all); v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str name = yoi_sdk_json_key(v), file = yoi__text(v, "file"), env = yoi__text(v, "env");
    char at[YOI__POINTER_MAX];
    if (!yoi_sdk_name_valid(name)) {
      yoi__findings_add(&b->found, "/local/secrets", 0,
                        "name of a secret: expected 1 to 64 of A-Z a-z 0-9 _ - .");
      continue;
    }
    snprintf(at, sizeof at, "/local/secrets/%.*s", YOI_ARG(name));
    if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) continue;
    if ((file.len == 0) == (env.len == 0))
      yoi__findings_add(&b->found, at, 0, "expected exactly one of 'file' and 'env'");
    if (env.len > 0 && !yoi__variable_valid(env))
      yoi__findings_add(&b->found, at, 0, "env: expected the name of an environment variable");
    if (yoi__secrets_declare(b->c->secrets, name, file, env, NULL) != YOI_OK) b->failed = 1;
  }
}

/* ---- plugin_path, drop_in ------------------------------------------------------ */

/* What was passed over since `from` is a finding at the pointer: directories
 * always, files in drop_in folders, where each was meant to be taken. */
static void report_passed(struct yoi__build *b, size_t from, int files, const char *pointer) {
  const struct yoi__passed *p;
  for (; (p = yoi__catalogue_passed(b->c->plugins, from)) != NULL; from++) {
    char detail[2 * YOI_PATH_BYTES_MAX];
    int n;
    if (!p->directory && !files) continue;
    if (p->directory) {
      yoi__findings_add(&b->found, pointer, 0, "cannot search this folder: %.*s",
                        YOI_ARG(p->reason));
    } else {
      yoi__findings_add(&b->found, pointer, 0, "a plugin in this folder is refused");
    }
    n = snprintf(detail, sizeof detail, "; '%.*s': %.*s", YOI_ARG(p->path), YOI_ARG(p->reason));
    yoi__findings_detail(
        &b->found, (yoi_str){detail, (size_t)n < sizeof detail ? (size_t)n : sizeof detail - 1});
  }
}

static size_t count_passed(const struct yoi__build *b) {
  size_t n = 0;
  while (yoi__catalogue_passed(b->c->plugins, n) != NULL) n++;
  return n;
}

/* What came of taking plugins in. */
static void taken(struct yoi__build *b, yoi_status st, const char *pointer,
                  const struct yoi_sdk_error *e) {
  if (st == YOI_OK) return;
  if (e->e.code == YOI_CODE_LIMIT_REACHED) {
    yoi__findings_add(&b->found, pointer, 0, "%s", e->message);
  } else {
    b->failed = 1;
  }
}

static void scan(struct yoi__build *b, const char *dir, int drop_in, const char *pointer) {
  struct yoi_sdk_error e;
  taken(b, yoi__catalogue_scan(b->c->plugins, dir, drop_in, yoi_sdk_error_init(&e)), pointer, &e);
}

static void scan_section(struct yoi__build *b, const char *section, int drop_in) {
  size_t count = 0, i = 0;
  const yoi_sdk_json *v = array(b, section, YOI_PLUGINS_MAX, &count);
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    char at[YOI__POINTER_MAX], dir[YOI_PATH_BYTES_MAX];
    size_t from = count_passed(b);
    yoi_str s = {NULL, 0};
    int n;
    if (!yoi_sdk_json_str(v, &s) || s.len == 0) continue;
    snprintf(at, sizeof at, "/%s/%zu", section, i);
    n = s.ptr[0] == '/' ? snprintf(dir, sizeof dir, "%.*s", YOI_ARG(s))
                        : snprintf(dir, sizeof dir, "%s/%.*s", b->base, YOI_ARG(s));
    if ((size_t)n >= sizeof dir) {
      yoi__findings_add(&b->found, at, 0, "path too long");
      continue;
    }
    scan(b, dir, drop_in, at);
    report_passed(b, from, drop_in, at);
  }
}

/* Without plugin_path: the folders beside the running program, as in a build
 * tree, else those of the installation. */
static void scan_default(struct yoi__build *b) {
  static const char *const folders[] = {"runtimes", "plugins"};
  char program[PATH_MAX], dir[PATH_MAX + 16];
  struct stat sb;
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  const char *root = yoi__place;
  if (n > 0) {
    program[n] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < 2; i++) {
      snprintf(dir, sizeof dir, "%s/%s", program, folders[i]);
      if (stat(dir, &sb) == 0 && S_ISDIR(sb.st_mode)) root = program;
    }
  }
  for (size_t i = 0; i < 2; i++) {
    snprintf(dir, sizeof dir, "%s/%s", root, folders[i]);
    scan(b, dir, 0, "/plugin_path");
  }
}

void yoi__build_search(struct yoi__build *b) {
  struct yoi_sdk_error e;
  taken(b,
        yoi__catalogue_link(b->c->plugins, b->c->own.rows, b->c->own.n, yoi_sdk_error_init(&e)),
        "", &e);
  if (yoi_sdk_json_get(b->tree, "plugin_path") == NULL) {
    scan_default(b);
  } else {
    scan_section(b, "plugin_path", 0);
  }
  scan_section(b, "drop_in", 1);
}

/* ---- plugins ------------------------------------------------------------------- */

static void check_pattern(struct yoi__build *b, yoi_str text, const char *pointer) {
  struct yoi_sdk_grant pattern;
  const char *expected = yoi_sdk_grant_pattern(text, &pattern);
  if (expected != NULL) yoi__findings_add(&b->found, pointer, 0, "expected %s", expected);
}

/* A pin that the plugin meets now; at the load it is asked for again. */
static void read_pin(struct yoi__build *b, yoi_str digest, struct yoi__plugin *p,
                     const char *pointer) {
  struct yoi__pinned *pinned;
  struct yoi_sdk_error e;
  yoi_status st;
  if (!yoi__pin_valid(digest)) {
    yoi__findings_add(&b->found, pointer, 0, "expected 'sha256:' and 64 digits of 0-9 a-f");
    return;
  }
  if (p == NULL) return;
  if (p->linked != NULL) {
    yoi__findings_add(&b->found, pointer, 0,
                      "plugin '%.*s' is linked into the program: there is no file to pin",
                      YOI_ARG(p->manifest.id));
    return;
  }
  snprintf(p->pin, sizeof p->pin, "%.*s", YOI_ARG(digest));
  pinned = yoi_sdk_malloc(sizeof *pinned);
  if (pinned == NULL) {
    b->failed = 1;
    return;
  }
  st = yoi__pin_open(p, pinned, yoi_sdk_error_init(&e));
  if (st == YOI_OK) {
    yoi__pin_release(pinned);
  } else {
    yoi__findings_add(&b->found, pointer, 0, "%s", e.message);
    yoi__findings_detail(&b->found, yoi_sdk_str(e.private_detail));
  }
  yoi_sdk_free(pinned);
}

/* The operator may put a plugin into a process, and not take it out of one that
 * its author wants. */
static void isolate(struct yoi__build *b, struct yoi__plugin *p, yoi_str wanted, const char *at) {
  int process = yoi_sdk_str_is(wanted, "process");
  if (wanted.len > 0 && !process && p->manifest.isolated)
    yoi__findings_add(&b->found, at, 0, "expected 'process', which the plugin's manifest says");
  if (process && !yoi__kind_isolates(p->manifest.kind))
    yoi__findings_add(&b->found, at, 0, "'process' is for tools, policies and models; %s",
                      p->manifest.kind == YOI_KIND_RUNTIME
                          ? "for a runtime run a second yoi-host behind http-remote"
                          : "an ingress stays in the host");
  else if (process && p->linked != NULL)
    yoi__findings_add(&b->found, at, 0,
                      "'process' needs the plugin's own file; it is linked into this program");
  else if (process)
    p->manifest.isolated = 1;
}

void yoi__build_entries(struct yoi__build *b) {
  size_t n = 0, i = 0;
  const yoi_sdk_json *v = array(b, "plugins", YOI_PLUGINS_MAX, &n);
  struct yoi__config_plugin *all = yoi__build_alloc(b, n, sizeof *all);
  if (all == NULL) return;
  b->c->entries = all;
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    const yoi_sdk_json *grants = yoi_sdk_json_get(v, "grants");
    struct yoi__plugin *p = NULL;
    yoi_str digest = {NULL, 0};
    char at[YOI__POINTER_MAX];
    yoi_str *list;
    b->c->n_entries = i + 1;
    all[i].id = yoi__build_str(b, yoi__text(v, "id"));
    snprintf(at, sizeof at, "/plugins/%zu/id", i);
    if (all[i].id.len > 0) p = yoi__build_plugin(b, all[i].id, at);
    for (size_t k = 0; k < i && all[i].id.len > 0; k++) {
      if (!yoi_sdk_str_eq(all[k].id, all[i].id)) continue;
      yoi__findings_add(&b->found, at, 0, "plugin '%.*s' has an entry already, /plugins/%zu",
                        YOI_ARG(all[i].id), k);
    }
    snprintf(at, sizeof at, "/plugins/%zu/digest", i);
    if (yoi_sdk_json_str(yoi_sdk_json_get(v, "digest"), &digest)) read_pin(b, digest, p, at);
    snprintf(at, sizeof at, "/plugins/%zu/isolation", i);
    if (p != NULL) isolate(b, p, yoi__text(v, "isolation"), at);
    all[i].best_effort = yoi_sdk_str_is(yoi__text(v, "confine"), "best_effort");
    if (yoi_sdk_json_type(grants) != YOI_SDK_JSON_ARRAY) continue;
    list = yoi__build_alloc(b, yoi_sdk_json_count(grants), sizeof *list);
    if (list == NULL) return;
    all[i].has_grants = 1;
    all[i].grants = list;
    for (const yoi_sdk_json *g = yoi_sdk_json_first(grants); g != NULL; g = yoi_sdk_json_next(g)) {
      yoi_str s = {NULL, 0};
      if (!yoi_sdk_json_str(g, &s)) continue;
      snprintf(at, sizeof at, "/plugins/%zu/grants/%zu", i, all[i].n_grants);
      check_pattern(b, s, at);
      list[all[i].n_grants++] = yoi__build_str(b, s);
    }
  }
}

/* ---- runtimes ------------------------------------------------------------------ */

static const struct yoi__config_runtime *find_runtime(const struct yoi__config *c, yoi_str id) {
  for (size_t i = 0; i < c->n_runtimes; i++) {
    if (id.len > 0 && yoi_sdk_str_eq(c->runtimes[i].id, id)) return &c->runtimes[i];
  }
  return NULL;
}

/* "builtin:NAME", or "named:NAME" of a bundle. */
static void read_profile(struct yoi__build *b, yoi_str s, const char *pointer,
                         struct yoi__config_runtime *r) {
  yoi_str prefix = YOI_LIT("builtin:");
  r->default_profile = (yoi_str){"", 0};
  if (s.len == 0) return;
  r->profile_named = yoi_sdk_str_starts(s, YOI_LIT("named:"));
  if (r->profile_named) prefix = YOI_LIT("named:");
  yoi_str name = {s.ptr + prefix.len, s.len - prefix.len};
  if (yoi_sdk_str_starts(s, prefix) && yoi_sdk_name_valid(name))
    r->default_profile = yoi__build_str(b, name);
  else
    yoi__findings_add(&b->found, pointer, 0, "expected 'builtin:NAME' or 'named:NAME'");
}

static void read_runtime(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  struct yoi__config_runtime *r = &b->c->runtimes[i];
  const struct yoi__config_runtime *other;
  yoi_str id = yoi__text(v, "id"), name = yoi__text(v, "display_name");
  char at[YOI__POINTER_MAX];
  snprintf(at, sizeof at, "/runtimes/%zu/id", i);
  other = find_runtime(b->c, id);
  if (id.len > 0 && !yoi_sdk_id_valid(id)) {
    yoi__findings_add(&b->found, at, 0, "expected 1 to 64 of a-z 0-9 . _ -, alphanumeric first");
  } else if (other != NULL) {
    yoi__findings_add(&b->found, at, 0, "runtime id '%.*s' is taken by /runtimes/%zu", YOI_ARG(id),
                      (size_t)(other - b->c->runtimes));
  }
  r->id = yoi__build_str(b, id);
  r->deadline_ms = number(v, "deadline_ms", YOI_DEADLINE_MS_DEFAULT);
  snprintf(at, sizeof at, "/runtimes/%zu/default_profile", i);
  read_profile(b, yoi__text(v, "default_profile"), at, r);
  snprintf(at, sizeof at, "/runtimes/%zu/display_name", i);
  if (name.len > YOI_DISPLAY_NAME_MAX) /* the schema counts characters */
    yoi__findings_add(&b->found, at, 0, "must have at most %d bytes", YOI_DISPLAY_NAME_MAX);
  snprintf(at, sizeof at, "/runtimes/%zu", i);
  yoi__build_bundle_keys(b, v, at, r);
  yoi__build_instance(b, v, at, YOI_KIND_RUNTIME, (yoi_str){NULL, 0}, &r->instance);
  if (name.len == 0 && r->instance.plugin != NULL) name = r->instance.plugin->manifest.display_name;
  r->display_name = yoi__build_str(b, name);
}

static void read_dropped(struct yoi__build *b, struct yoi__plugin *p) {
  struct yoi__config_runtime *r = &b->c->runtimes[b->c->n_runtimes];
  if (find_runtime(b->c, p->manifest.runtime_id) != NULL) {
    yoi__findings_add(&b->found, "/drop_in", 0,
                      "runtime id '%.*s' of plugin '%.*s' is taken by another runtime",
                      YOI_ARG(p->manifest.runtime_id), YOI_ARG(p->manifest.id));
    return;
  }
  r->id = yoi__build_str(b, p->manifest.runtime_id);
  r->display_name = yoi__build_str(b, p->manifest.display_name);
  r->default_profile = (yoi_str){"", 0};
  r->deadline_ms = YOI_DEADLINE_MS_DEFAULT;
  r->drop_in = 1;
  yoi__build_dropped(b, p, "/drop_in", &r->instance);
  b->c->n_runtimes++;
}

void yoi__build_runtimes(struct yoi__build *b) {
  size_t n = 0, i = 0, plugins = yoi__catalogue_count(b->c->plugins);
  const yoi_sdk_json *v = array(b, "runtimes", YOI_RUNTIMES_MAX, &n);
  b->c->runtimes = yoi__build_alloc(b, n + plugins, sizeof *b->c->runtimes);
  if (b->c->runtimes == NULL) return;
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    read_runtime(b, v, i);
    b->c->n_runtimes = i + 1;
  }
  for (i = 0; i < plugins; i++) {
    struct yoi__plugin *p = yoi__catalogue_at(b->c->plugins, i);
    if (p->drop_in) read_dropped(b, p);
  }
  if (b->c->n_runtimes > YOI_RUNTIMES_MAX)
    yoi__findings_add(&b->found, "/drop_in", 0, "more than %d runtimes", YOI_RUNTIMES_MAX);
}

void yoi__build_added(struct yoi__build *b) {
  size_t n = 0;
  const yoi_sdk_json *v = array(b, "runtimes", 1, &n);
  b->c->runtimes = yoi__build_alloc(b, 1, sizeof *b->c->runtimes);
  if (b->c->runtimes == NULL || v == NULL) return;
  read_runtime(b, v, 0);
  b->c->n_runtimes = 1;
}

/* ---- models -------------------------------------------------------------------- */

void yoi__build_models(struct yoi__build *b) {
  size_t n = 0, i = 0;
  const yoi_sdk_json *v = array(b, "models", YOI_MODELS_MAX, &n);
  struct yoi__config_model *all = yoi__build_alloc(b, n, sizeof *all);
  if (all == NULL) return;
  b->c->models = all;
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    yoi_str name = yoi__text(v, "name");
    char at[YOI__POINTER_MAX];
    snprintf(at, sizeof at, "/models/%zu/name", i);
    if (name.len > 0 && !yoi_sdk_name_valid(name))
      yoi__findings_add(&b->found, at, 0, "expected 1 to 64 of A-Z a-z 0-9 _ - .");
    for (size_t k = 0; k < i && name.len > 0; k++) {
      if (!yoi_sdk_str_eq(all[k].name, name)) continue;
      yoi__findings_add(&b->found, at, 0, "model name '%.*s' is taken by /models/%zu",
                        YOI_ARG(name), k);
      break;
    }
    all[i].name = yoi__build_str(b, name);
    snprintf(at, sizeof at, "/models/%zu", i);
    yoi__build_instance(b, v, at, YOI_KIND_MODEL, (yoi_str){NULL, 0}, &all[i].instance);
    b->c->n_models = i + 1;
  }
}

/* ---- ingress ------------------------------------------------------------------- */

/* A finding at a member of /ingress/i, when it is there. */
static void only_on(struct yoi__build *b, const yoi_sdk_json *v, size_t i, const char *name,
                    const char *surface) {
  char at[YOI__POINTER_MAX];
  if (yoi_sdk_json_get(v, name) == NULL) return;
  snprintf(at, sizeof at, "/ingress/%zu/%s", i, name);
  yoi__findings_add(&b->found, at, 1, "'%s' belongs to a %s surface", name, surface);
}

/* The socket that the application has given under that name. 0: it was said why
 * there is none. Of one that is only checked nothing is known but its name. */
static int find_socket(struct yoi__build *b, struct yoi__config_ingress *g, yoi_str name,
                       const char *at) {
  const struct yoi__sockets *all = b->c->own.sockets;
  char there[YOI_INGRESS_MAX * (YOI_NAME_MAX + 4) + 1] = "";
  size_t n = 0;
  if (!yoi_sdk_name_valid(name)) {
    yoi__findings_add(&b->found, at, 0, "name of a socket: expected 1 to 64 of A-Z a-z 0-9 _ - .");
    return 0;
  }
  if (all == NULL) return 1;
  g->socket = yoi__sockets_find(all, name);
  if (g->socket != NULL) {
    g->address = g->socket->address;
    g->address_len = g->socket->address_len;
    return 1;
  }
  for (size_t i = 0; i < all->n; i++)
    n += (size_t)snprintf(there + n, sizeof there - n, "%s'%s'", i > 0 ? ", " : "",
                          all->all[i].name);
  yoi__findings_add(&b->found, at, 0, "no socket has the name '%.*s'; given: %s", YOI_ARG(name),
                    n > 0 ? there : "none");
  return 0;
}

static void read_listen(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  struct yoi__config_ingress *g = &b->c->ingress[i];
  const yoi_str prefix = YOI_LIT("socket:");
  char at[YOI__POINTER_MAX];
  const char *why = NULL;
  g->listen = yoi__build_str(b, yoi__text(v, "listen"));
  if (g->listen.len == 0) return;
  snprintf(at, sizeof at, "/ingress/%zu/listen", i);
  int given = yoi_sdk_str_starts(g->listen, prefix);
  yoi_str name = {g->listen.ptr + prefix.len, g->listen.len - prefix.len};
  if (given && !find_socket(b, g, name, at)) return;
  if (!given) why = yoi__listen_parse(g->listen, b->base, &g->address, &g->address_len);
  if (why != NULL) {
    g->address_len = 0;
    yoi__findings_add(&b->found, at, 0, "%s", why);
    return;
  }
  for (size_t k = 0; k < i; k++) {
    const struct yoi__config_ingress *other = &b->c->ingress[k];
    int same = given && yoi_sdk_str_eq(other->listen, g->listen);
    if (!same && (g->address_len == 0 || other->address_len == 0 ||
                  !yoi__listen_same(&other->address, &g->address)))
      continue;
    yoi__findings_add(&b->found, at, 0, "the %s is taken by /ingress/%zu",
                      same                                ? "socket"
                      : g->address.ss_family == AF_UNIX ? "path"
                                                          : "port",
                      k);
  }
}

static void read_hosts(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  const yoi_sdk_json *hosts = yoi_sdk_json_get(v, "hosts");
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  size_t k = 0;
  if (yoi_sdk_json_type(hosts) != YOI_SDK_JSON_ARRAY) return;
  for (const yoi_sdk_json *h = yoi_sdk_json_first(hosts); h != NULL;
       h = yoi_sdk_json_next(h), k++) {
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    char at[YOI__POINTER_MAX];
    yoi_str s = {NULL, 0};
    if (!yoi_sdk_json_str(h, &s) || strspn(s.ptr, allowed) == s.len) continue;
    snprintf(at, sizeof at, "/ingress/%zu/hosts/%zu", i, k);
    yoi__findings_add(&b->found, at, 0, "expected a Host value: a name, with a port if any");
  }
  yoi_sdk_buf_init(&out, YOI_CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_json_write(hosts, &w);
  if (out.failed != 0) b->failed = 1;
  b->c->ingress[i].hosts = yoi__build_str(b, yoi_sdk_buf_str(&out));
  yoi_sdk_buf_release(&out);
}

/* An ingress may have callers of its own, and then asks each who comes for a token. */
static int has_tokens(const yoi_sdk_json *v) {
  return yoi_sdk_json_get(yoi_sdk_json_get(v, "config"), "tokens") != NULL;
}

static void check_browser(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  const struct yoi__config_ingress *g = &b->c->ingress[i];
  char at[YOI__POINTER_MAX];
  only_on(b, v, i, "runtime", "runtime");
  only_on(b, v, i, "token", "runtime");
  only_on(b, v, i, "insecure", "runtime");
  if (g->address_len == 0 || yoi__listen_loopback(&g->address) || has_tokens(v)) return;
  snprintf(at, sizeof at, "/ingress/%zu/listen", i);
  yoi__findings_add(&b->found, at, 0,
                    "a browser surface off loopback needs 'tokens' in its 'config' to log in with");
}

static void check_runtime(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  const struct yoi__config_ingress *g = &b->c->ingress[i];
  int has_token = yoi_sdk_json_get(v, "token") != NULL || has_tokens(v);
  char at[YOI__POINTER_MAX];
  only_on(b, v, i, "hosts", "browser");
  snprintf(at, sizeof at, "/ingress/%zu", i);
  if (!has_token && !g->insecure)
    yoi__findings_add(&b->found, at, 0,
                      "a runtime surface needs a 'token', 'tokens' in its 'config', or on loopback "
                      "\"insecure\": true");
  if (yoi_sdk_json_get(v, "runtime") == NULL)
    yoi__findings_add(&b->found, at, 0, "a runtime surface needs a 'runtime'");
  snprintf(at, sizeof at, "/ingress/%zu/insecure", i);
  if (has_token && g->insecure)
    yoi__findings_add(&b->found, at, 0, "'insecure' contradicts 'token'");
  if (g->insecure && g->address_len != 0 && !yoi__listen_loopback(&g->address))
    yoi__findings_add(&b->found, at, 0, "a surface off loopback needs a 'token'");
  if (g->runtime_id.len > 0 && find_runtime(b->c, g->runtime_id) == NULL) {
    yoi_str names[YOI_RUNTIMES_MAX];
    size_t n = 0;
    for (; n < b->c->n_runtimes && n < YOI_RUNTIMES_MAX; n++) names[n] = b->c->runtimes[n].id;
    snprintf(at, sizeof at, "/ingress/%zu/runtime", i);
    yoi__findings_add(&b->found, at, 0, "no runtime has the id '%.*s'%s", YOI_ARG(g->runtime_id),
                      yoi__build_hint(g->runtime_id, names, n).text);
  }
}

void yoi__build_ingress(struct yoi__build *b) {
  size_t n = 0, i = 0;
  const yoi_sdk_json *v = array(b, "ingress", YOI_INGRESS_MAX, &n);
  struct yoi__config_ingress *all = yoi__build_alloc(b, n, sizeof *all);
  if (all == NULL) return;
  b->c->ingress = all;
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    yoi_str token = yoi__text(v, "token"), surface = yoi__text(v, "surface");
    char at[YOI__POINTER_MAX];
    snprintf(at, sizeof at, "/ingress/%zu/token", i);
    if (token.len > 0) token = yoi__build_secret(b, token, at);
    all[i].token = yoi__build_str(b, token);
    all[i].insecure = truth(v, "insecure");
    all[i].runtime_id = yoi__build_str(b, yoi__text(v, "runtime"));
    all[i].hosts = (yoi_str){"", 0};
    read_listen(b, v, i);
    read_hosts(b, v, i);
    if (yoi_sdk_str_is(surface, "browser")) {
      all[i].surface = YOI_SURFACE_BROWSER;
      check_browser(b, v, i);
    } else if (yoi_sdk_str_is(surface, "runtime")) {
      all[i].surface = YOI_SURFACE_RUNTIME;
      check_runtime(b, v, i);
    }
    snprintf(at, sizeof at, "/ingress/%zu", i);
    yoi__build_instance(b, v, at, YOI_KIND_INGRESS, token, &all[i].instance);
    b->c->n_ingress = i + 1;
  }
}

/* ---- policy -------------------------------------------------------------------- */

static int knows(struct yoi__build *b, const struct yoi__plugin *p, const char *pointer,
                 const char *operation) {
  if (yoi__manifest_knows(&p->manifest, yoi_sdk_str(operation))) return 1;
  yoi__findings_add(&b->found, pointer, 0,
                    "plugin '%.*s' does not know the operation '%s', about which it is asked",
                    YOI_ARG(p->manifest.id), operation);
  return 0;
}

/* An operation that it has not heard of would be let through by what it does
 * not say. */
static void check_operations(struct yoi__build *b, const struct yoi__plugin *p,
                             const char *pointer) {
  for (uint32_t op = 1; op < YOI_OP__END; op++)
    if (yoi__policy_is_asked(op) && !knows(b, p, pointer, yoi_sdk_op_name(op))) return;
  (void)knows(b, p, pointer, YOI__TOOL_START);
}

void yoi__build_policies(struct yoi__build *b) {
  size_t n = 0, i = 0;
  const yoi_sdk_json *v = array(b, "policy", YOI_POLICIES_MAX, &n);
  struct yoi__config_policy *all = yoi__build_alloc(b, n, sizeof *all);
  if (all == NULL) return;
  b->c->policies = all;
  for (; v != NULL; v = yoi_sdk_json_next(v), i++) {
    char at[YOI__POINTER_MAX];
    snprintf(at, sizeof at, "/policy/%zu", i);
    yoi__build_instance(b, v, at, YOI_KIND_POLICY, (yoi_str){NULL, 0}, &all[i].instance);
    snprintf(at, sizeof at, "/policy/%zu/plugin", i);
    if (all[i].instance.plugin != NULL) check_operations(b, all[i].instance.plugin, at);
    b->c->n_policies = i + 1;
  }
}
