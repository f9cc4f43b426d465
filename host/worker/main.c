/* host/worker/main.c - yoi-worker: from the first message to the last.
 *
 *   OPEN --> the file is checked, the process is confined, the file is mapped, asked for its table
 * --> open --> OPENED
 *     --> calls --> CLOSE --> close --> CLOSED
 *
 * Started by a host and by nobody else: without its two sockets it says so and
 * ends. Invariants:
 *  1. What is mapped is what the host named by its digest: the file is copied
 *     into memory that nobody can change any more, and that copy is hashed and
 *     mapped, under no name that leads elsewhere.
 *  2. Before the digest is right none of the plugin's code has run.
 *  3. Without the host this process ends: its sockets do, or the kernel kills it.
 *  4. open and close are called on the main thread, on no loop.
 *  5. close comes when nothing is left of any call. Until then messages are read:
 *     what a call asked the host may be what it waits for.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "../elf.h"
#include "confine.h"
#include "worker.h"

#define CHUNK 16384
#define PATHS_MAX 64 /* files that a config names; what comes behind stays closed */

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static yoi_status refuse(const struct yoi__worker *w, yoi_error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static yoi_status refuse(const struct yoi__worker *w, yoi_error *err, const char *fmt, ...) {
  char why[YOI_ERROR_MESSAGE_MAX];
  va_list ap;
  va_start(ap, fmt);
  (void)vsnprintf(why, sizeof why, fmt, ap);
  va_end(ap);
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot load plugin '%.*s': %s",
                      YOI_ARG(w->plugin.manifest.id), why);
}

/* ---- the plugin's file --------------------------------------------------------------- */

/* A copy of the file that cannot be changed; -1: errno says why. */
static int seal(int from, uint64_t size) {
  int to = memfd_create("plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  off_t at = 0;
  char chunk[CHUNK];
  while (to >= 0 && (uint64_t)at < size) {
    ssize_t got = pread(from, chunk, sizeof chunk, at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || write(to, chunk, (size_t)got) != got) {
      close(to);
      return -1;
    }
    at += got;
  }
  if (to >= 0 && fcntl(to, F_ADD_SEALS, SEALS) == 0) return to;
  if (to >= 0) close(to);
  return -1;
}

static yoi_status read_manifest(struct yoi__worker *w, int fd, uint64_t size, yoi_error *err) {
  struct yoi__manifest *m = &w->plugin.manifest;
  struct yoi__manifest own = {.kind = 0};
  struct yoi_sdk_buf section;
  yoi_sdk_buf_init(&section, YOI_MANIFEST_BYTES_MAX);
  const char *why = yoi__elf_section(fd, size, YOI_MANIFEST_SECTION, &section);
  yoi_status st = why != NULL ? refuse(w, err, "%s", why)
                              : yoi__manifest_parse(yoi_sdk_buf_str(&section), &own, err);
  yoi_sdk_buf_release(&section);
  if (st == YOI_OK && (own.kind != m->kind || !yoi_sdk_str_eq(own.id, m->id)))
    st = refuse(w, err, "its file is of another plugin");
  if (st == YOI_OK)
    *m = own; /* the texts that stood there are the message's */
  else
    yoi__manifest_release(&own);
  return st;
}

/* ---- what it gives up ------------------------------------------------------------------ */

/* What was found for confine.h: folders that were sent, files of the config. */
struct given {
  struct yoi__confine_mount mounts[YOI_LOCAL_MAX];
  size_t n_mounts;
  const char *files[PATHS_MAX];
  size_t n_files;
  uint32_t uses, required;
  char said[YOI__CONFINED_MAX];
};

/* Where the schema says "path", the host has made an absolute one of it. */
static void find_paths(struct given *g, const yoi_sdk_json *schema, const yoi_sdk_json *v) {
  yoi_str format = {NULL, 0}, path = {NULL, 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(schema, "format"), &format);
  if (yoi_sdk_str_is(format, "path") && yoi_sdk_json_str(v, &path) && g->n_files < PATHS_MAX)
    g->files[g->n_files++] = path.ptr; /* texts of a tree are terminated */
  const yoi_sdk_json *items = yoi_sdk_json_get(schema, "items");
  const yoi_sdk_json *properties = yoi_sdk_json_get(schema, "properties");
  for (const yoi_sdk_json *at = yoi_sdk_json_first(v); at != NULL; at = yoi_sdk_json_next(at)) {
    const yoi_sdk_json *of = items;
    for (const yoi_sdk_json *s = yoi_sdk_json_first(properties); s != NULL;
         s = yoi_sdk_json_next(s))
      if (yoi_sdk_str_eq(yoi_sdk_json_key(s), yoi_sdk_json_key(at))) of = s;
    if (of != NULL) find_paths(g, of, at);
  }
}

static yoi_status shut_in(struct yoi__worker *w, struct given *g, int plugin, yoi_error *err) {
  const int keep[] = {YOI__WORKER_BUSY_FD, YOI__WORKER_CALM_FD, plugin};
  struct yoi__confined said;
  yoi_sdk_json *config = NULL;
  yoi_status st = yoi_sdk_json_parse(w->config, 0, &config, NULL);
  if (st != YOI_OK) return refuse(w, err, "its config cannot be read");
  find_paths(g, w->plugin.manifest.config, config);
  struct yoi__confine c = {.uses = ((g->uses & YOI__OPEN_NET) != 0 ? YOI__CONFINE_NET : 0) |
                                   ((g->uses & YOI__OPEN_SHELL) != 0 ? YOI__CONFINE_SHELL : 0),
                           .required = g->required != 0,
                           .files = g->files,
                           .n_files = g->n_files,
                           .mounts = g->mounts,
                           .n_mounts = g->n_mounts,
                           .keep = keep,
                           .n_keep = sizeof keep / sizeof *keep,
                           .parent = getppid()};
  if (yoi__confine(&c, &said) != 0) st = refuse(w, err, "its process %s", said.text);
  (void)snprintf(g->said, sizeof g->said, "%s", said.text);
  yoi_sdk_json_free(config);
  return st;
}

/* ---- its code ------------------------------------------------------------------------- */

static yoi_status map(struct yoi__worker *w, int fd, yoi_error *err) {
  char path[32];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle != NULL) return yoi__plugin_adopt(&w->plugin, handle, err);
  const char *why = dlerror();
  yoi_status st = refuse(w, err, "the dynamic loader refused it");
  yoi_sdk_fail_private(err, "%s", why != NULL ? why : "?");
  return st;
}

static yoi_status load(struct yoi__worker *w, int file, yoi_str digest, struct given *g,
                       yoi_error *err) {
  char found[YOI_SDK_DIGEST_SIZE];
  struct stat sb;
  if (file < 0 || fstat(file, &sb) != 0 || !S_ISREG(sb.st_mode) || sb.st_size <= 0 ||
      sb.st_size > YOI_PLUGIN_BYTES_MAX)
    return refuse(w, err, "its file is none");
  int fd = seal(file, (uint64_t)sb.st_size);
  if (fd < 0) return refuse(w, err, "its file cannot be copied: %s", strerror(errno));
  const char *why = yoi__file_digest(fd, (uint64_t)sb.st_size, found);
  yoi_status st = YOI_OK;
  if (why != NULL)
    st = refuse(w, err, "its file cannot be hashed: %s", why);
  else if (!yoi_sdk_str_is(digest, found))
    st = refuse(w, err, "its file changed since it was hashed");
  if (st == YOI_OK) st = read_manifest(w, fd, (uint64_t)sb.st_size, err);
  if (st == YOI_OK) st = shut_in(w, g, fd, err);
  if (st == YOI_OK) st = yoi__loops_new(1, 1, &w->loops, err); /* its descriptors would be closed */
  if (st == YOI_OK) st = map(w, fd, err);
  close(fd);
  return st;
}

/* ---- open and close --------------------------------------------------------------------- */

static yoi_status call_open(struct yoi__worker *w, yoi_error *err) {
  const struct yoi__plugin *p = &w->plugin;
  if (p->manifest.kind == YOI_KIND_TOOL)
    return p->table.tool.open(&w->host, w->config, &w->self, err);
  if (p->manifest.kind == YOI_KIND_MODEL)
    return p->table.model.open(&w->host, w->config, &w->self, err);
  return p->table.policy.open(&w->host, w->config, &w->self, err);
}

static void call_close(struct yoi__worker *w) {
  const struct yoi__plugin *p = &w->plugin;
  if (p->manifest.kind == YOI_KIND_TOOL)
    p->table.tool.close(w->self);
  else if (p->manifest.kind == YOI_KIND_MODEL)
    p->table.model.close(w->self);
  else
    p->table.policy.close(w->self);
}

static yoi_status init(struct yoi__worker *w) {
  pthread_mutex_init(&w->sending, NULL);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->news, NULL);
  w->last = &w->first;
  w->late_last = &w->late;
  w->main = pthread_self();
  w->calls_holder = (struct yoi__holder){.wake = yoi__worker_woken, .self = w};
  w->plugin_holder = (struct yoi__holder){.wake = yoi__worker_plugin_woken, .self = w};
  yoi__worker_host_init(w);
  w->tokens = yoi__tokens_new(&w->stale);
  if (w->tokens == NULL) return YOI_RESOURCE_EXHAUSTED;
  yoi_status st = yoi__channel_init(&w->busy, YOI__WORKER_BUSY_FD, 1, YOI_ISOLATED_MESSAGE_BYTES);
  if (st == YOI_OK)
    st = yoi__channel_init(&w->calm, YOI__WORKER_CALM_FD, 1, YOI_ISOLATED_MESSAGE_BYTES);
  return st;
}

/* The texts of the message live as long as it does: until calm is read again. */
static yoi_status open_plugin(struct yoi__worker *w, const struct yoi__message *m, struct given *g,
                              yoi_error *err) {
  struct yoi__reader in = yoi__reader_of(m->body);
  uint32_t version = yoi__get_u32(&in);
  if (m->kind != YOI__MSG_OPEN || version != YOI__PROTOCOL_VERSION)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the worker program is not of this host");
  w->plugin.manifest.kind = yoi__get_u32(&in);
  w->log_level = yoi__get_u32(&in);
  g->uses = yoi__get_u32(&in);
  g->required = yoi__get_u32(&in);
  w->plugin.manifest.id = yoi__get_text(&in, YOI_PLUGIN_ID_MAX);
  yoi_str digest = yoi__get_text(&in, YOI_SDK_DIGEST_SIZE);
  yoi_str config = yoi__get_text(&in, YOI_ISOLATED_MESSAGE_BYTES);
  if (!yoi__reader_done(&in) || !yoi__kind_isolates(w->plugin.manifest.kind))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host's first message is not as it should be");
  w->config = yoi_sdk_str_dup(config);
  if (w->config.ptr == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st = load(w, m->fd, digest, g, err);
  if (st != YOI_OK) return st;
  w->serial = w->plugin.manifest.threads == YOI_SERIAL;
  w->cancel_any = w->plugin.table.tool.thread_model == YOI_SERIAL_CANCEL;
  st = call_open(w, err);
  return st < YOI_OK ? YOI_INTERNAL : st;
}

static void answer_open(struct yoi__worker *w, uint64_t id, yoi_status st, const yoi_error *err,
                        const char *confined) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi__put_u32(&b, (uint32_t)st);
  yoi__put_error(&b, err);
  yoi__put_str(&b, yoi_sdk_str(confined));
  if (b.failed != 0 ||
      yoi__channel_send(&w->calm, YOI__MSG_OPENED, id, yoi_sdk_buf_str(&b), -1) != YOI_OK)
    _exit(3);
  yoi_sdk_buf_release(&b);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void busy_ready(void *ctx, int32_t fd, uint32_t ready) {
  (void)fd;
  (void)ready;
  yoi__worker_read(ctx);
}

static void calm_ready(void *ctx, int32_t fd, uint32_t ready) {
  struct yoi__worker *w = ctx;
  struct yoi__message m;
  const char *why = NULL;
  (void)fd;
  (void)ready;
  int got = yoi__channel_recv(&w->calm, &m, &why);
  if (got == 0) return;
  if (got > 0 && m.fd < 0 && m.kind == YOI__MSG_START &&
      w->plugin.manifest.kind == YOI_KIND_POLICY) {
    yoi__worker_decide(w, m.id, m.body);
  } else if (got > 0 && m.fd < 0 && m.kind == YOI__MSG_CLOSE) {
    w->close_id = m.id;
    yoi__worker_close_calls(w);
  } else {
    _exit(3);
  }
}

/* On the loop, before anything else. */
static void watch(void *ctx) {
  struct yoi__worker *w = ctx;
  uint64_t id = 0;
  if (yoi__loop_watch(w->loops, NULL, w->busy.fd, YOI_FD_READ, busy_ready, w, &id) != YOI_OK ||
      yoi__loop_watch(w->loops, NULL, w->calm.fd, YOI_FD_READ, calm_ready, w, &id) != YOI_OK)
    _exit(3);
}

static void run(struct yoi__worker *w) {
  pthread_t thread;
  if (yoi__loop_post(w->loops, NULL, 0, watch, w) != YOI_OK) _exit(3);
  if (w->serial && pthread_create(&thread, NULL, yoi__worker_serial_main, w) != 0) _exit(3);
  while (!yoi__worker_is_done(w))
    if (yoi__loops_step(w->loops, -1) != YOI_OK) _exit(3);
  if (!w->serial) return;
  pthread_mutex_lock(&w->lock);
  w->stopping = 1;
  pthread_cond_broadcast(&w->news);
  pthread_mutex_unlock(&w->lock);
  pthread_join(thread, NULL);
}

static void close_plugin(struct yoi__worker *w) {
  yoi__holder_close(w->tokens, &w->calls_holder);
  yoi__holder_close(w->tokens, &w->plugin_holder);
  yoi__loops_purge(w->loops, &w->owner);
  call_close(w);
  (void)yoi__channel_send(&w->calm, YOI__MSG_CLOSED, w->close_id, (yoi_str){0}, -1);
}

static void release(struct yoi__worker *w) {
  yoi__loops_free(w->loops);
  yoi__tokens_free(w->tokens);
  yoi__channel_release(&w->busy);
  yoi__channel_release(&w->calm);
  yoi__manifest_release(&w->plugin.manifest);
  yoi_sdk_str_free(&w->config);
}

int main(void) {
  static struct yoi__worker w; /* process-wide: the program is for one */
  struct yoi_sdk_error e;
  struct stat sb;
  if (fstat(YOI__WORKER_BUSY_FD, &sb) != 0 || !S_ISSOCK(sb.st_mode) ||
      fstat(YOI__WORKER_CALM_FD, &sb) != 0 || !S_ISSOCK(sb.st_mode)) {
    (void)fprintf(stderr, "yoi-worker: a host starts this program by itself\n");
    return 2;
  }
  if (init(&w) != YOI_OK) return 3;
  static struct given g; /* process-wide: likewise */
  struct yoi__message m = yoi__worker_first(&w);
  for (; m.kind == YOI__MSG_MOUNT; m = yoi__worker_first(&w)) {
    if (m.fd < 0 || g.n_mounts == YOI_LOCAL_MAX) return 3;
    g.mounts[g.n_mounts++] = (struct yoi__confine_mount){m.fd, m.id != 0};
  }
  yoi_status st = open_plugin(&w, &m, &g, yoi_sdk_error_init(&e));
  answer_open(&w, m.id, st, &e.e, g.said);
  if (st != YOI_OK) {
    yoi__worker_first(&w); /* until the host has read it, and ends this */
    return 1;
  }
  run(&w);
  close_plugin(&w);
  release(&w);
  return 0;
}
