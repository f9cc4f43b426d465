/* host/worker/given.c - reads what the host leaves this process (isolate/give.c),
 * and gives up the rest.
 *
 *  1. Folders are opened here, before: afterwards no path of theirs leads to them.
 *  2. What cannot be opened is not given, which the plugin is told when it asks.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <sdk/mem.h>
#include <sdk/plugin.h>

#include "confine.h"
#include "worker.h"

#define FILES_MAX 16 /* that a config names: one or two */

struct given {
  struct yoi__confine c;
  struct yoi__confine_mount mounts[YOI_LOCAL_MAX];
  yoi_str copies[FILES_MAX];
  const char *files[FILES_MAX];
};

static int take_folder(struct given *g, yoi_str path, int writable) {
  if (g->c.n_mounts == YOI_LOCAL_MAX) return 0;
  yoi_str copy = yoi_sdk_str_dup(path);
  int fd = copy.ptr != NULL ? open(copy.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  yoi_sdk_str_free(&copy);
  if (fd >= 0) g->mounts[g->c.n_mounts++] = (struct yoi__confine_mount){fd, writable};
  return 1;
}

static int take_file(struct given *g, yoi_str path) {
  if (g->c.n_files == FILES_MAX) return 0;
  yoi_str copy = yoi_sdk_str_dup(path);
  if (copy.ptr == NULL) return 0;
  g->copies[g->c.n_files] = copy;
  g->files[g->c.n_files++] = copy.ptr;
  return 1;
}

/* 0: it is not as it should be. */
static int read_given(struct given *g, struct yoi__reader *in) {
  uint32_t what, good = 1;
  g->c.uses = yoi__get_u32(in);
  g->c.required = (int)yoi__get_u32(in);
  g->c.mounts = g->mounts;
  g->c.files = g->files;
  while (good && !in->bad && (what = yoi__get_u32(in)) != YOI__GIVEN_END) {
    yoi_str path = yoi__get_bytes(in, YOI_PATH_BYTES_MAX);
    good = what == YOI__GIVEN_FILE ? (uint32_t)take_file(g, path)
                                   : (uint32_t)take_folder(g, path, what == YOI__GIVEN_WRITABLE);
  }
  return good && !in->bad;
}

static void say(struct worker *w, const struct yoi__confined *done) {
  const yoi_host_log *log = yoi_sdk_host_get(&w->host, YOI_HOST_LOG_ID, sizeof *log);
  const yoi_log_field field = {YOI_LIT("by"), yoi_sdk_str(done->text)};
  int all = done->landlock != 0 && done->seccomp;
  if (log != NULL)
    log->write(&w->host, all ? YOI_LOG_INFO : YOI_LOG_WARN, YOI_LIT("plugin is confined"),
               (yoi_str){NULL, 0}, &field, 1);
}

yoi_status worker_confine(struct worker *w, struct yoi__reader *in, yoi_error *err) {
  struct given g = {.c = {.uses = 0}};
  struct yoi__confined done;
  if (!read_given(&g, in))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host's first message is not as it should be");
  int error = yoi__confine(&g.c, &done);
  for (size_t i = 0; i < g.c.n_files; i++) yoi_sdk_str_free(&g.copies[i]);
  if (error == 0) {
    say(w, &done);
    return YOI_OK;
  }
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                      "cannot load plugin '%.*s': %s; this system does not confine it, and "
                      "'confine' of its entry says that it must",
                      YOI_ARG(w->plugin.manifest.id), done.text);
}
