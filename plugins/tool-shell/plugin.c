/* plugin.c - dev.yoi.tool-shell: commands for a worker, in a sandbox.
 *
 * Which sandbox there is, is found out once, when the instance opens, by doing
 * it: a runner starts /bin/true in one. What a kernel, a container or a policy
 * of the system forbids shows there and nowhere else. Without any, each call is
 * refused with the reason; only the operator's word, "sandbox": "none", makes
 * commands run without one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shell.h"

#define PROBE_MS 5000

/* Ends with *end the runner's word. */
static int wait_for_probe(struct sh_child *c, struct sh_end *end) {
  struct pollfd p = {.fd = c->control, .events = POLLIN};
  int n;
  while ((n = poll(&p, 1, PROBE_MS)) < 0 && errno == EINTR) continue;
  int got = n > 0 && recv(c->control, end, sizeof *end, 0) == (ssize_t)sizeof *end;
  end->text[SH_END_TEXT - 1] = 0;
  sh_child_join(c, PROBE_MS);
  return got;
}

/* 1: commands can run in this mode; else out_why says why not. */
static int probe(struct sh_plugin *p, uint32_t mode, struct sh_end *out_why) {
  struct sh_start s;
  struct sh_child *c = NULL;
  sh_start_init(&s);
  s.job.mode = mode;
  s.job.cpu_s = 5;
  s.job.wall_ms = PROBE_MS;
  s.job.memory_bytes = 256u << 20;
  s.job.processes = 16;
  s.job.file_bytes = 1u << 20;
  s.job.tmp_bytes = s.job.shm_bytes = 1u << 20;
  s.folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  sh_start_arg(&s, YOI_LIT("/bin/true"));
  memset(out_why, 0, sizeof *out_why);
  struct yoi_sdk_error se;
  yoi_status st = sh_spawn(p, &s, &c, yoi_sdk_error_init(&se));
  int ok = st == YOI_OK && wait_for_probe(c, out_why) && out_why->how == SH_EXITED &&
           out_why->value == 0;
  if (st != YOI_OK) snprintf(out_why->text, sizeof out_why->text, "%.200s", se.private_detail);
  sh_start_release(&s);
  return ok;
}

static void log_probe(const struct sh_plugin *p, const char *name, const struct sh_end *why) {
  char text[SH_END_TEXT + 64];
  if (p->log == NULL) return;
  snprintf(text, sizeof text, "%s (%s)", why->text,
           why->value > 0 ? strerrordesc_np(why->value) : "no answer");
  const yoi_log_field fields[] = {{YOI_LIT("sandbox"), yoi_sdk_str(name)},
                                  {YOI_LIT("reason"), yoi_sdk_str(text)}};
  p->log->write(p->host, YOI_LOG_WARN, YOI_LIT("sandbox_missing"), YOI_LIT(""), fields, 2);
}

static void choose(struct sh_plugin *p, yoi_str wanted) {
  static const struct {
    const char *name;
    uint32_t mode;
  } modes[] = {{"bwrap", SH_BWRAP}, {"landlock", SH_LANDLOCK}};
  int automatic = wanted.len == 0 || yoi_sdk_str_is(wanted, "auto");
  struct sh_end why;
  if (yoi_sdk_str_is(wanted, "none")) p->mode = SH_NONE;
  for (size_t i = 0; i < sizeof modes / sizeof *modes && p->mode == 0; i++) {
    if (!automatic && !yoi_sdk_str_is(wanted, modes[i].name)) continue;
    if (probe(p, modes[i].mode, &why))
      p->mode = modes[i].mode;
    else
      log_probe(p, modes[i].name, &why);
  }
  if (p->mode == 0)
    snprintf(p->refusal, sizeof p->refusal,
             "commands do not run on this host: it has no sandbox for them (%s)",
             automatic ? "neither bubblewrap nor landlock works" : "the one in its config fails");
}

static void sh_close(void *self) {
  struct sh_plugin *p = self;
  if (p == NULL) return;
  while (p->children != NULL) sh_child_join(p->children, YOI_SHELL_CLOSE_MS);
  if (p->runner >= 0) close(p->runner);
  pthread_mutex_destroy(&p->lock);
  yoi_sdk_free(p);
}

static yoi_status sh_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  struct sh_plugin *p = yoi_sdk_calloc(1, sizeof *p);
  if (p == NULL) return yoi_sdk_fail_memory(err);
  p->host = host;
  pthread_mutex_init(&p->lock, NULL);
  p->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *p->loop);
  p->grant = yoi_sdk_host_get(host, YOI_HOST_GRANT_ID, sizeof *p->grant);
  p->mount = yoi_sdk_host_get(host, YOI_HOST_MOUNT_ID, sizeof *p->mount);
  p->log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *p->log);
  p->runner = sh_runner_file();
  yoi_sdk_json *tree = NULL;
  yoi_status st = YOI_OK;
  if (p->loop == NULL || p->grant == NULL || p->mount == NULL)
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no loop, grants or mounts for tools");
  else if (p->runner < 0)
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot make a memory file: %s",
                      strerrordesc_np(errno));
  else if (config.len > 0 && yoi_sdk_json_parse(config, 0, &tree, NULL) != YOI_OK)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the config is no JSON");
  yoi_str wanted = {NULL, 0};
  yoi_sdk_json_str(yoi_sdk_json_get(tree, "sandbox"), &wanted);
  if (st == YOI_OK) choose(p, wanted);
  yoi_sdk_json_free(tree);
  if (st == YOI_OK)
    *out_self = p;
  else
    sh_close(p);
  return st;
}

static yoi_status sh_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                           yoi_error *err) {
  struct sh_plugin *p = self;
  struct sh_ask ask;
  yoi_tool_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  const char *kind = yoi_sdk_str_is(whole.name, "shell_run") ? "shell"
                     : yoi_sdk_str_is(whole.name, "git_run") ? "git"
                                                             : NULL;
  if (kind == NULL)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is no tool '%.*s'", YOI_ARG(whole.name));
  if (p->mode == 0) return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "%s", p->refusal);
  st = sh_ask_read(p, &whole, kind, &ask, err);
  if (st != YOI_OK) {
    sh_ask_release(&ask);
    return st;
  }
  return sh_stream_start(p, &whole, &ask, out, err);
}

static const yoi_tool sh_table = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_PARALLEL,
    .open = sh_open,
    .close = sh_close,
    .start = sh_start,
};

YOI_SDK_PLUGIN("dev.yoi.tool-shell", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, sh_table);
YOI_MANIFEST_FILE(MANIFEST);
