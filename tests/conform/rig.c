/* rig.c - the host around the plugin, and its instances.
 *
 *   config: the plugin's entry, checked as any -> taken out of it -> host started
 *   -> plugin loaded -> rig_try_open, rig_close: what instance.c of the host does,
 *   with the host and the config that a test wants to give
 *
 * With the entry taken out the host opens nothing by itself, so a test decides
 * what is opened, when, how often, and with which memory behind it.
 */
#include "rig.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "companion.h"
#include "host/isolate/table.h"
#include "host/loop_impl.h"
#include "host/turn.h"

#define SLACK 64

/* ---- paper --------------------------------------------------------------- */

void *paper_take(struct paper *p, size_t n) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (p->how == PAPER_SLACK) n += SLACK;
  size_t size = (n + page - 1) / page * page + page;
  if (p->n == sizeof p->sheets / sizeof *p->sheets) abort();
  if (p->how == PAPER_PLAIN) size = n + 1;
  char *at = p->how == PAPER_PLAIN ? calloc(1, size)
                                   : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!at || at == MAP_FAILED) abort();
  p->sheets[p->n].at = at;
  p->sheets[p->n++].size = size;
  if (p->how == PAPER_PLAIN) return at;
  if (mprotect(at + size - page, page, PROT_NONE) != 0) abort();
  return at + size - page - n;
}

yoi_str paper_text(struct paper *p, yoi_str s) {
  if (s.len == 0) return (yoi_str){NULL, 0};
  char *at = paper_take(p, s.len);
  memcpy(at, s.ptr, s.len);
  return (yoi_str){at, s.len};
}

void paper_revoke(struct paper *p) {
  for (size_t i = 0; i < p->n; i++)
    if (p->how != PAPER_PLAIN && mprotect(p->sheets[i].at, p->sheets[i].size, PROT_NONE) != 0)
      abort();
}

void paper_release(struct paper *p) {
  for (size_t i = 0; i < p->n; i++)
    if (p->how == PAPER_PLAIN)
      free(p->sheets[i].at);
    else
      (void)munmap(p->sheets[i].at, p->sheets[i].size);
  p->n = 0;
}

/* ---- the config ------------------------------------------------------------ */

static void own_config(struct yoi_sdk_jsonw *w, yoi_str own) {
  if (own.len > 0) yoi_sdk_jsonw_kraw(w, "config", own);
}

/* What a tool may be given here: a folder, and commands that need no network. */
static void local(struct conform *c, struct yoi_sdk_jsonw *w) {
  char *folder = conform_text("%s/mount", c->folder), *path = conform_text("%s/README", folder);
  if (mkdir(folder, 0700) == 0) {
    FILE *f = fopen(path, "we");
    if (f) (void)(fputs("A file.\n", f) < 0), (void)fclose(f);
  }
  free(folder);
  free(path);
  yoi_sdk_jsonw_key(w, "local");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kraw(w, "mounts", YOI_LIT("{\"workspace\":{\"path\":\"mount\",\"mode\":\"rw\"}}"));
  yoi_sdk_jsonw_kraw(w, "network", YOI_LIT("{\"workspace\":[\"localhost:9\"]}"));
  yoi_sdk_jsonw_kraw(w, "shell", YOI_LIT("{\"workspace\":{\"commands\":[\"*\"]}}"));
  yoi_sdk_jsonw_kraw(w, "git", YOI_LIT("{\"workspace\":{\"commands\":[\"status\"]}}"));
  if (c->options->token) {
    yoi_sdk_jsonw_key(w, "secrets");
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_key(w, "conform");
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "file", yoi_sdk_str(c->options->token));
    yoi_sdk_jsonw_close(w, '}');
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, '}');
}

void rig_config(struct conform *c, yoi_str own, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_str id = yoi_sdk_str(c->id);
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kbool(&w, "step", 1);
  yoi_sdk_jsonw_kraw(&w, "log", YOI_LIT("{\"level\":\"error\"}"));
  yoi_sdk_jsonw_key(&w, "plugin_path");
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_str(&w, yoi_sdk_str(c->copies));
  yoi_sdk_jsonw_close(&w, ']');
  local(c, &w);
  yoi_sdk_jsonw_key(&w, "plugins");
  yoi_sdk_jsonw_open(&w, '[');
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "id", id);
  if (c->options->isolated) {
    yoi_sdk_jsonw_kstr(&w, "isolation", YOI_LIT("process"));
    yoi_sdk_jsonw_kstr(&w, "confine", YOI_LIT("best_effort"));
  }
  if (c->kind == YOI_KIND_TOOL) own_config(&w, own);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, ']');
  if (c->kind == YOI_KIND_RUNTIME)
    yoi_sdk_jsonw_kraw(&w, "models",
                       YOI_LIT("[{\"name\":\"main\",\"plugin\":\"" COMPANION_MODEL "\"}]"));
  if (c->kind != YOI_KIND_TOOL) {
    yoi_sdk_jsonw_key(&w, c->kind == YOI_KIND_RUNTIME   ? "runtimes"
                          : c->kind == YOI_KIND_MODEL   ? "models"
                          : c->kind == YOI_KIND_INGRESS ? "ingress"
                                                        : "policy");
    yoi_sdk_jsonw_open(&w, '[');
    yoi_sdk_jsonw_open(&w, '{');
    yoi_sdk_jsonw_kstr(&w, "plugin", id);
    if (c->kind == YOI_KIND_RUNTIME) yoi_sdk_jsonw_kstr(&w, "id", YOI_LIT("subject"));
    if (c->kind == YOI_KIND_MODEL) yoi_sdk_jsonw_kstr(&w, "name", YOI_LIT("subject"));
    if (c->kind == YOI_KIND_INGRESS) {
      yoi_sdk_jsonw_kstr(&w, "surface", YOI_LIT("browser"));
      yoi_sdk_jsonw_kstr(&w, "listen", YOI_LIT("127.0.0.1:0"));
    }
    own_config(&w, own);
    yoi_sdk_jsonw_close(&w, '}');
    yoi_sdk_jsonw_close(&w, ']');
  }
  yoi_sdk_jsonw_close(&w, '}');
}

/* ---- the host ----------------------------------------------------------------- */

static void grab(void *ctx) {
  *(struct yoi__loop **)ctx = yoi__current_loop;
}

static void woken(void *self, uint64_t cookie) {
  struct rig_wakes *wakes;
  (void)self;
  memcpy(&wakes, &cookie, sizeof wakes);
  atomic_fetch_add(&wakes->n, 1u);
}

/* The entry of the plugin; from here on the host's own does not know it. */
static const struct yoi__config_instance *take_entry(struct yoi__config *config, uint32_t kind,
                                                     const struct yoi__plugin *p) {
  for (size_t i = 0; kind == YOI_KIND_TOOL && i < config->n_tools; i++)
    if (config->tools[i].plugin == p) {
      config->n_tools = 0;
      return &config->tools[i];
    }
  switch (kind) {
    case YOI_KIND_RUNTIME:
      return config->n_runtimes ? config->n_runtimes = 0, &config->runtimes[0].instance : NULL;
    case YOI_KIND_MODEL:
      return config->n_models ? config->n_models = 0, &config->models[0].instance : NULL;
    case YOI_KIND_INGRESS:
      return config->n_ingress ? config->n_ingress = 0, &config->ingress[0].instance : NULL;
    case YOI_KIND_POLICY:
      return config->n_policies ? config->n_policies = 0, &config->policies[0].instance : NULL;
    default:
      return NULL;
  }
}

static yoi_status make(struct conform *c, struct conform_rig *r, yoi_error *err) {
  struct yoi_sdk_buf text;
  yoi_str own = yoi_sdk_str(c->options->config);
  yoi_sdk_buf_init(&text, 1u << 20);
  rig_config(c, own, &text);
  yoi_status st = text.failed ? yoi_sdk_fail_memory(err)
                              : yoi__config_load(yoi_sdk_buf_str(&text), c->folder, NULL, NULL,
                                                 &r->config, err);
  yoi_sdk_buf_release(&text);
  if (st != YOI_OK) return st;
  r->plugin = yoi__catalogue_find(r->config->plugins, yoi_sdk_str(c->id));
  r->entry = r->plugin ? take_entry(r->config, c->kind, r->plugin) : NULL;
  if (!r->entry) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it is not found as a plugin");
  st = yoi__host_of(r->config, &r->host, err);
  return st == YOI_OK ? yoi_host_start(r->host, err) : st;
}

const char *rig_try_start(struct conform *c, yoi_error *err) {
  static struct conform_rig rig;
  rig = (struct conform_rig){.holder = {.wake = woken, .self = &rig}};
  c->rig = &rig;
  if (make(c, &rig, err) != YOI_OK) return "inst.open";
  (void)yoi__loop_post(rig.host->loops, NULL, 0, grab, &rig.loop);
  while (!rig.loop) (void)yoi_host_step(rig.host, 10, NULL);
  yoi__current_loop = rig.loop;
  if (yoi__plugin_load(rig.plugin, err) == YOI_OK) return NULL;
  return c->options->isolated ? "inst.open" : "lib.agrees";
}

void rig_start(struct conform *c) {
  struct yoi_sdk_error e;
  const char *see = rig_try_start(c, yoi_sdk_error_init(&e));
  if (see) conform_skip(c, "see %s: %s", see, e.message);
}

void rig_pump(struct conform *c, int ms) {
  yoi__current_loop = NULL;
  (void)yoi_host_step(c->rig->host, ms, NULL);
  yoi__current_loop = c->rig->loop;
}

uint32_t rig_thread_model(const struct conform *c) {
  const struct yoi__plugin *p = c->rig->plugin;
  return p->table.runtime.thread_model; /* all tables begin alike */
}

struct place {
  uintptr_t at, from, to;
};

static int look_at(struct dl_phdr_info *info, size_t size, void *ctx) {
  struct place *p = ctx;
  uintptr_t from = UINTPTR_MAX, to = 0;
  (void)size;
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t a = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    if (a < from) from = a;
    if (a + info->dlpi_phdr[i].p_memsz > to) to = a + info->dlpi_phdr[i].p_memsz;
  }
  if (p->at < from || p->at >= to) return 0;
  p->from = from;
  p->to = to;
  return 1;
}

int rig_code(const struct conform *c, uintptr_t *from, uintptr_t *to) {
  struct place p = {.at = 0};
  yoi_status (*start)(void *, const yoi_request *, yoi_stream **, yoi_error *) =
      c->rig->plugin->table.runtime.start;
  memcpy(&p.at, &start, sizeof p.at);
  if (c->options->isolated || c->options->builtin || !dl_iterate_phdr(look_at, &p)) return 0;
  *from = p.from;
  *to = p.to;
  return 1;
}

int rig_token_new(struct conform *c, struct rig_token *t) {
  uint64_t cookie = 0;
  struct rig_wakes *wakes = calloc(1, sizeof *wakes);
  if (!wakes) abort();
  wakes->next = c->rig->wakes;
  c->rig->wakes = t->wakes = wakes;
  memcpy(&cookie, &wakes, sizeof wakes);
  return yoi__token_new(c->rig->host->tokens, &c->rig->holder, cookie, &t->token, NULL) == YOI_OK;
}

/* ---- instances ------------------------------------------------------------------ */

const yoi_host *rig_host(const struct rig_instance *i) {
  return &i->in->host;
}

static void detach(struct conform *c, struct yoi__instance *in) {
  if (c->kind == YOI_KIND_RUNTIME) yoi__turns_end(c->rig->host->turns, in);
  yoi__holder_close(c->rig->host->tokens, &in->holder);
  yoi__loops_purge(c->rig->host->loops, &in->owner);
}

yoi_status rig_try_open(struct conform *c, const yoi_host *host, const yoi_str *config,
                        struct rig_instance *out, yoi_error *err) {
  struct conform_rig *r = c->rig;
  struct yoi__instance *in = out->in;
  if (!in) in = yoi__instance_new(r->host, r->config, r->entry, YOI_LIT("subject"));
  if (!in) abort();
  *out = (struct rig_instance){.in = in};
  if (!config) config = &r->entry->config;
  if (!host) host = &in->host;
  /* [main] and on no loop, as open is promised. */
  yoi__current_loop = NULL;
  atomic_store(&in->state, YOI__OPENING);
  yoi_status st = r->plugin->table.runtime.open(host, *config, &in->self, err);
  out->self = in->self;
  if (st == YOI_OK) {
    atomic_store(&in->state, YOI__OPEN);
    if (atomic_exchange(&in->early, 0u)) yoi__holder_wake(r->host->tokens, &in->holder);
  } else {
    detach(c, in);
    atomic_store(&in->state, YOI__FAILED);
    yoi__instance_forget(in);
    out->in = NULL;
  }
  yoi__current_loop = r->loop;
  return st;
}

struct rig_instance rig_open(struct conform *c) {
  struct yoi_sdk_error e;
  struct rig_instance i = {.in = NULL};
  if (!c->rig) rig_start(c);
  yoi_status st = rig_try_open(c, NULL, NULL, &i, yoi_sdk_error_init(&e));
  if (st != YOI_OK) conform_skip(c, "see inst.open: it does not open: %s", e.message);
  return i;
}

void rig_close(struct conform *c, struct rig_instance *i) {
  struct yoi__instance *in = i->in;
  yoi__current_loop = NULL;
  detach(c, in);
  atomic_store(&in->state, YOI__CLOSING);
  c->rig->plugin->table.runtime.close(i->self);
  in->self = NULL;
  atomic_store(&in->state, YOI__CLOSED);
  yoi__instance_forget(in);
  yoi__current_loop = c->rig->loop;
  i->in = NULL;
}
