/* ask.c - what the model asks, within what the operator gives.
 *
 *   arguments            their schema has been checked; what it cannot say is
 *                        checked here (one of two, bytes instead of characters)
 *   grants of the call   one mount and one shell (or git), no more: whose
 *                        workspace it is, is not for the model to choose
 *   value of the grant   limits, commands, environment: JSON by the operator
 *
 *  1. Nothing is opened or started before all of it is understood.
 *  2. A limit that is missing or no number is a refusal, never "no limit".
 */
#include <errno.h>
#include <sdk/mem.h>
#include <string.h>
#include <time.h>

#include "shell.h"

/* ---- grants ---- */
struct found {
  yoi_str kind; /* "mount", "shell" */
  char text[YOI_GRANT_MAX + 1];
  unsigned n;
};

struct grants {
  struct found mount, tool;
};

static void note(struct found *f, yoi_str grant) {
  if (grant.len <= f->kind.len || grant.ptr[f->kind.len] != ':' || grant.len > YOI_GRANT_MAX ||
      !yoi_sdk_str_starts(grant, f->kind))
    return;
  memcpy(f->text, grant.ptr, grant.len);
  f->text[grant.len] = 0;
  f->n++;
}

static void each_grant(void *ctx, yoi_str grant) {
  struct grants *g = ctx;
  note(&g->mount, grant);
  note(&g->tool, grant);
}

static yoi_status one_of(const struct found *f, yoi_error *err) {
  if (f->n == 1) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      f->n == 0 ? "this call has no grant of the kind '%.*s'"
                                : "this call has several grants of the kind '%.*s'; one is needed",
                      YOI_ARG(f->kind));
}

/* ---- the operator's JSON ---- */
static yoi_status read_value(struct sh_plugin *p, uint64_t call, const char *grant,
                             struct sh_ask *a, yoi_error *err) {
  char *text = yoi_sdk_malloc(YOI_GRANT_VALUE_MAX);
  size_t len = 0;
  if (text == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st =
      p->grant->value(p->host, call, yoi_sdk_str(grant), text, YOI_GRANT_VALUE_MAX, &len, err);
  if (st == YOI_OUT_OF_RANGE)
    yoi_sdk_fail(err, YOI_CODE_INTERNAL, "'%s' of the host's config is longer than %d bytes", grant,
                 YOI_GRANT_VALUE_MAX);
  if (st == YOI_OK && (yoi_sdk_json_parse((yoi_str){text, len}, 0, &a->value, NULL) != YOI_OK ||
                       yoi_sdk_json_type(a->value) != YOI_SDK_JSON_OBJECT))
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "'%s' of the host's config is no object", grant);
  yoi_sdk_free(text);
  return st;
}

static yoi_status read_limits(const char *grant, struct sh_ask *a, yoi_error *err) {
  struct sh_job *j = &a->start.job;
  const struct {
    const char *key;
    uint64_t *to;
  } rows[] = {{"cpu_s", &j->cpu_s},
              {"wall_ms", &a->wall_ms},
              {"memory_bytes", &j->memory_bytes},
              {"processes", &j->processes},
              {"file_bytes", &j->file_bytes}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t n = 0;
    if (!yoi_sdk_json_int(yoi_sdk_json_get(a->value, rows[i].key), &n) || n < 1)
      return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "'%s' of the host's config has no limit '%s'",
                          grant, rows[i].key);
    *rows[i].to = (uint64_t)n;
  }
  int network = 0;
  yoi_sdk_json_bool(yoi_sdk_json_get(a->value, "network"), &network);
  j->network = (uint32_t)network;
  return YOI_OK;
}

static yoi_status read_environment(const char *grant, struct sh_ask *a, yoi_error *err) {
  const yoi_sdk_json *env = yoi_sdk_json_get(a->value, "env");
  if (yoi_sdk_json_count(env) > YOI_COMMAND_ENV_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                        "'%s' of the host's config has more than %d "
                        "variables",
                        grant, YOI_COMMAND_ENV_MAX);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(env); v != NULL; v = yoi_sdk_json_next(v)) {
    yoi_str key = yoi_sdk_json_key(v), value;
    if (!yoi_sdk_json_str(v, &value) || key.len == 0 || memchr(key.ptr, '=', key.len) != NULL)
      return yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                          "'%s' of the host's config has a variable that "
                          "is no text",
                          grant);
    sh_start_env(&a->start, key, value);
  }
  return YOI_OK;
}

int sh_listed(const yoi_sdk_json *list, yoi_str text) {
  yoi_str item;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v != NULL; v = yoi_sdk_json_next(v))
    if (yoi_sdk_json_str(v, &item) && yoi_sdk_str_eq(item, text)) return 1;
  return 0;
}

/* ---- the model's JSON ---- */
static yoi_status too_long(yoi_error *err, const char *name, unsigned most) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%s' is longer than %u bytes", name, most);
}

static yoi_status read_words(struct sh_ask *a, yoi_error *err) {
  yoi_str word;
  size_t n = yoi_sdk_json_count(a->argv);
  if (n < 1 || n > YOI_SHELL_ARGV_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'argv' has 1 to %d words",
                        YOI_SHELL_ARGV_MAX);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(a->argv); v != NULL; v = yoi_sdk_json_next(v)) {
    if (!yoi_sdk_json_str(v, &word))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'argv' is an array of strings");
    if (word.len > YOI_SHELL_SCRIPT_MAX) return too_long(err, "argv", YOI_SHELL_SCRIPT_MAX);
  }
  return YOI_OK;
}

static yoi_status read_arguments(struct sh_ask *a, yoi_str text, yoi_error *err) {
  if (yoi_sdk_json_parse(text, 0, &a->arguments, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the arguments are no JSON");
  int script = yoi_sdk_json_str(yoi_sdk_json_get(a->arguments, "command"), &a->script);
  a->argv = yoi_sdk_json_get(a->arguments, "argv");
  if (script == (a->argv != NULL))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "give either 'command', a script, or 'argv', a command and its arguments");
  if (script && a->script.len > YOI_SHELL_SCRIPT_MAX)
    return too_long(err, "command", YOI_SHELL_SCRIPT_MAX);
  yoi_status st = script ? YOI_OK : read_words(a, err);
  if (st != YOI_OK) return st;
  yoi_str cwd = {NULL, 0};
  yoi_sdk_json_str(yoi_sdk_json_get(a->arguments, "cwd"), &cwd);
  if (cwd.len > YOI_MOUNT_PATH_MAX) return too_long(err, "cwd", YOI_MOUNT_PATH_MAX);
  if (cwd.len > 0 && cwd.ptr[0] == '/')
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'cwd' is relative to the workspace");
  yoi_sdk_buf_adds(&a->start.text.cwd, cwd);
  yoi_sdk_json_str(yoi_sdk_json_get(a->arguments, "stdin"), &a->start.input);
  if (a->start.input.len > YOI_SHELL_STDIN_MAX) return too_long(err, "stdin", YOI_SHELL_STDIN_MAX);
  return YOI_OK;
}

/* The least of what is asked, what is given, and what is left of the call:
 * less what an end takes, so that the model learns that time was up. */
void sh_ask_time(struct sh_ask *a) {
  struct timespec t;
  int64_t asked = YOI_SHELL_MS_DEFAULT / 1000;
  yoi_sdk_json_int(yoi_sdk_json_get(a->arguments, "timeout_s"), &asked);
  uint64_t wall = asked > 0 ? (uint64_t)asked * 1000u : 1000u;
  if (wall > a->wall_ms) wall = a->wall_ms;
  clock_gettime(CLOCK_MONOTONIC, &t);
  uint64_t now = (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
  uint64_t until = a->deadline_ns / 1000000u, end = 2 * YOI_SHELL_GRACE_MS;
  uint64_t left = until > now + end ? until - now - end : 100;
  if (a->deadline_ns != 0 && wall > left) wall = left;
  a->start.job.wall_ms = wall;
}

static yoi_status open_mount(struct sh_plugin *p, uint64_t call, char *grant, struct sh_ask *a,
                             yoi_error *err) {
  char *name = strchr(grant, ':') + 1, *mode = strrchr(name, ':');
  if (mode == NULL) return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "the mount has no mode");
  a->start.job.writable = strcmp(mode, ":rw") == 0;
  uint32_t flags = YOI_MOUNT_READ | YOI_MOUNT_FOLDER;
  if (a->start.job.writable) flags |= YOI_MOUNT_WRITE;
  return p->mount->open(p->host, call, (yoi_str){name, (size_t)(mode - name)}, YOI_LIT("."), flags,
                        &a->start.folder, err);
}

yoi_status sh_ask_read(struct sh_plugin *p, const yoi_tool_request *req, const char *kind,
                       struct sh_ask *a, yoi_error *err) {
  memset(a, 0, sizeof *a);
  sh_start_init(&a->start);
  a->tool = yoi_sdk_str(kind);
  struct grants g = {.mount = {.kind = YOI_LIT("mount")}, .tool = {.kind = a->tool}};
  yoi_status st = p->grant->list(p->host, req->call, each_grant, &g);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the call is not known");
  st = one_of(&g.mount, err);
  if (st == YOI_OK) st = one_of(&g.tool, err);
  if (st == YOI_OK) st = read_value(p, req->call, g.tool.text, a, err);
  if (st == YOI_OK) st = read_limits(g.tool.text, a, err);
  if (st == YOI_OK) st = read_environment(g.tool.text, a, err);
  if (st == YOI_OK) st = read_arguments(a, req->arguments, err);
  if (st != YOI_OK) return st;
  a->deadline_ns = req->deadline_ns;
  sh_ask_time(a);
  a->start.job.mode = p->mode;
  a->start.job.grace_ms = YOI_SHELL_GRACE_MS;
  a->start.job.tmp_bytes = YOI_SHELL_TMP_BYTES;
  a->start.job.shm_bytes = YOI_SHELL_SHM_BYTES;
  return open_mount(p, req->call, g.mount.text, a, err);
}

void sh_ask_release(struct sh_ask *a) {
  sh_start_release(&a->start);
  yoi_sdk_json_free(a->arguments);
  yoi_sdk_json_free(a->value);
  a->arguments = a->value = NULL;
}
