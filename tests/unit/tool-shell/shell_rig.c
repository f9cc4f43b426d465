/* shell_rig.c - see shell_rig.h: the limits of the operator, the marker of a test,
 * and who is alive. */
#include "shell_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sdk/jsonw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yoi/plugin.h>

static unsigned serial; /* of markers in this process */

static const yoi_tool *table(void) {
  return yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_TOOL_ID));
}

char *shell_rig_json(const char *script) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 1u << 20);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_str(&w, yoi_sdk_str(script));
  char *text = strdup(b.data);
  yoi_sdk_buf_release(&b);
  return text;
}

void shell_rig_limits(struct shell_rig *r, const char *limits) {
  static const char *const defaults[] = {
      "\"commands\":[\"*\"]", "\"network\":false",          "\"cpu_s\":20",
      "\"wall_ms\":20000",    "\"memory_bytes\":268435456", "\"processes\":64",
      "\"file_bytes\":16777216"};
  char json[2048];
  size_t n = (size_t)snprintf(json, sizeof json, "{\"none\":0");
  for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
    char key[32];
    snprintf(key, sizeof key, "%.*s", (int)(strchr(defaults[i], ':') - defaults[i]), defaults[i]);
    if (strstr(limits, key) == NULL)
      n += (size_t)snprintf(json + n, sizeof json - n, ",%s", defaults[i]);
  }
  snprintf(json + n, sizeof json - n, "%s}", limits);
  tool_host_value(r->th, "shell:workspace", json);
  tool_host_value(r->th, "git:workspace", json);
}

void shell_rig_open(struct shell_rig *r, const char *sandbox, const char *limits) {
  char config[64];
  memset(r, 0, sizeof *r);
  r->sandbox = sandbox;
  snprintf(r->folder, sizeof r->folder, "mount-XXXXXX");
  assert_non_null(mkdtemp(r->folder));
  snprintf(r->marker, sizeof r->marker, "9%u.%u", (unsigned)getpid(), ++serial);
  r->th = tool_host_new(table());
  tool_host_mount(r->th, "workspace", r->folder, 1);
  shell_rig_limits(r, limits);
  snprintf(config, sizeof config, "{\"sandbox\":\"%s\"}", sandbox);
  tool_host_open(r->th, config);
  struct tool_result got;
  tool_host_call(r->th, "shell_run", "{\"argv\":[\"true\"]}", SHELL_GRANTS, &got);
  int absent = got.status == YOI_UNIMPLEMENTED;
  if (!absent && got.status != YOI_END) fail_msg("%s", got.error.message);
  tool_result_release(&got);
  if (!absent) return;
  printf("SKIPPED: the sandbox '%s' cannot be made here: %s\n", sandbox, tool_host_log(r->th));
  shell_rig_close(r);
  skip();
}

void shell_rig_close(struct shell_rig *r) {
  tool_host_free(r->th);
  r->th = NULL;
}

static char *arguments(const struct shell_rig *r, const char *script) {
  char text[16384], *to = text;
  for (const char *from = script; *from && to < text + sizeof text - 40;) {
    if (strncmp(from, "%M", 2) == 0) {
      to += snprintf(to, 33, "%s", r->marker);
      from += 2;
    } else {
      *to++ = *from++;
    }
  }
  *to = 0;
  char *quoted = shell_rig_json(text), *all = NULL;
  if (asprintf(&all, "{\"command\":%s}", quoted) < 0) abort();
  free(quoted);
  return all;
}

void shell_rig_run(struct shell_rig *r, const char *script, struct tool_result *out) {
  char *json = arguments(r, script);
  tool_host_call(r->th, "shell_run", json, SHELL_GRANTS, out);
  free(json);
}

struct tool_call *shell_rig_start(struct shell_rig *r, const char *script) {
  struct tool_result failed;
  char *json = arguments(r, script);
  struct tool_call *c = tool_call_start(r->th, "shell_run", json, SHELL_GRANTS, 0, &failed);
  free(json);
  if (c == NULL) fail_msg("%s", failed.error.message);
  return c;
}

static void look(struct shell_rig *r, const char *script, const char *part, int wanted) {
  struct tool_result got;
  shell_rig_run(r, script, &got);
  if (got.status != YOI_END) fail_msg("%s: %d, %s", script, got.status, got.error.message);
  if ((strstr(got.output, part) != NULL) != wanted)
    fail_msg("'%s' is %sin:\n%.600s\nof %.300s", part, wanted ? "not " : "", got.output, script);
  tool_result_release(&got);
}

void shell_rig_says(struct shell_rig *r, const char *script, const char *part) {
  look(r, script, part, 1);
}

void shell_rig_never(struct shell_rig *r, const char *script, const char *part) {
  look(r, script, part, 0);
}

unsigned shell_rig_alive(const struct shell_rig *r) {
  unsigned n = 0;
  DIR *d = opendir("/proc");
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    char path[300], text[4096];
    snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
    int fd = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? open(path, O_RDONLY) : -1;
    if (fd < 0) continue;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    n += len > 0 && memmem(text, (size_t)len, r->marker, strlen(r->marker)) != NULL;
  }
  closedir(d);
  return n;
}

static void wait_alive(struct shell_rig *r, int none, unsigned least) {
  for (int i = 0; i < 500; i++) {
    unsigned n = shell_rig_alive(r);
    if (none ? n == 0 : n >= least) return;
    if (r->th != NULL)
      tool_host_step(r->th, 10);
    else
      poll(NULL, 0, 10);
  }
  fail_msg("after five seconds %u processes are alive", shell_rig_alive(r));
}

void shell_rig_wait_alive(struct shell_rig *r, unsigned least) {
  wait_alive(r, 0, least);
}

void shell_rig_wait_gone(struct shell_rig *r) {
  wait_alive(r, 1, 0);
}

void shell_rig_write(struct shell_rig *r, const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", r->folder, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}
