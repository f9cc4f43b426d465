/* What tools get from a host, through the tables that they get it by: each
 * sentence of yoi/host_grant.h, host_mount.h and host_net.h about who may. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <yoi/host_grant.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>

#include "host/given.h"
#include "support/files.h"
#include "support/host_fixture.h"

#define CONFIG                                                                          \
  "{\"plugin_path\":[],\"local\":{"                                                     \
  "\"mounts\":{\"ro\":{\"path\":\"work\"},\"rw\":{\"path\":\"work\",\"mode\":\"rw\"}}," \
  "\"network\":{\"docs\":[\"example.org:443\",\"*.example.org:443\",\"localhost:80\","  \
  "\"93.184.216.34:1\",\"[::1]:2\"],\"lan\":[\"10.0.0.7:443\"]},"                       \
  "\"shell\":{\"sh\":{\"commands\":[\"ls\"]}},\"git\":{\"gi\":{\"commands\":[\"status\"]}}}}"

struct tools {
  struct yoi__config *config;
  struct yoi_embed *top;
  struct yoi__plugin plugin;
  struct yoi__instance in, other;
  yoi_host host;
  const yoi_host_grant *grant;
  const yoi_host_mount *mount;
  const yoi_host_net *net;
  uint64_t call;
};

static const char all_of_them[] =
    "[\"mount:ro:ro\",\"mount:rw:rw\",\"net:docs\",\"shell:sh\",\"git:gi\"]";

static int setup(void **state) {
  static struct tools t; /* process-wide: a test at a time */
  static const char *const wants[] = {"mount:*", "net:*", "shell:*", "git:*"};
  struct yoi_sdk_error e;
  memset(&t, 0, sizeof t);
  files_directory("work");
  files_text("work/a", "text");
  if (yoi__config_load(YOI_LIT(CONFIG), NULL, NULL, NULL, &t.config, yoi_sdk_error_init(&e)) !=
      YOI_OK)
    fail_msg("%s", e.message);
  assert_int_equal(yoi__host_of(t.config, &t.top, NULL), YOI_OK);
  t.plugin.manifest.kind = YOI_KIND_TOOL;
  t.plugin.manifest.id = YOI_LIT("org.example.t");
  for (size_t i = 0; i < 4; i++)
    t.plugin.manifest.grants[t.plugin.manifest.n_grants++] = yoi_sdk_str(wants[i]);
  t.in.top = t.other.top = t.top;
  t.in.plugin = t.other.plugin = &t.plugin;
  t.host = (yoi_host){.size = sizeof t.host, .ctx = &t.in};
  t.grant = yoi__service(&t.in, YOI_LIT(YOI_HOST_GRANT_ID));
  t.mount = yoi__service(&t.in, YOI_LIT(YOI_HOST_MOUNT_ID));
  t.net = yoi__service(&t.in, YOI_LIT(YOI_HOST_NET_ID));
  assert_true(t.grant != NULL && t.mount != NULL && t.net != NULL);
  assert_int_equal(yoi__given_open(t.top->setup, &t.in, yoi_sdk_str(all_of_them), &t.call, NULL),
                   YOI_OK);
  *state = &t;
  return 0;
}

static int teardown(void **state) {
  struct tools *t = *state;
  yoi_host_free(t->top);
  yoi__config_free(t->config);
  assert_int_equal(unlink("work/a"), 0);
  (void)unlink("work/new");
  return rmdir("work");
}

static void each_kind_gets_what_is_for_it(void **state) {
  struct tools *t = *state;
  static const struct {
    uint32_t kind;
    int grant, tools;
  } kinds[] = {{YOI_KIND_TOOL, 1, 1},
               {YOI_KIND_RUNTIME, 1, 0},
               {YOI_KIND_MODEL, 0, 0},
               {YOI_KIND_INGRESS, 0, 0},
               {YOI_KIND_POLICY, 0, 0}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    t->plugin.manifest.kind = kinds[i].kind;
    const void *grant = yoi__service(&t->in, YOI_LIT(YOI_HOST_GRANT_ID));
    assert_int_equal(grant != NULL, kinds[i].grant);
    assert_int_equal(yoi__service(&t->in, YOI_LIT(YOI_HOST_MOUNT_ID)) != NULL, kinds[i].tools);
    assert_int_equal(yoi__service(&t->in, YOI_LIT(YOI_HOST_NET_ID)) != NULL, kinds[i].tools);
  }
  t->plugin.manifest.kind = YOI_KIND_TOOL;
}

/* ---- grants ------------------------------------------------------------------- */

static void check_says_what_the_host_has(void **state) {
  struct tools *t = *state;
  struct yoi_sdk_error e;
  assert_int_equal(t->grant->check(&t->host, YOI_LIT("net:lan"), NULL), YOI_OK);
  assert_int_equal(t->grant->check(&t->host, YOI_LIT("mount:rw:rw"), NULL), YOI_OK);
  assert_int_equal(t->grant->check(&t->host, YOI_LIT("mount:ro:rw"), yoi_sdk_error_init(&e)),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(e.e.code, YOI_CODE_GRANT_MISSING);
  assert_int_equal(t->grant->check(&t->host, YOI_LIT("net"), NULL), YOI_INVALID_ARGUMENT);
}

static void note(void *ctx, yoi_str grant) {
  char *seen = ctx;
  size_t n = strlen(seen);
  memcpy(seen + n, grant.ptr, grant.len);
  seen[n + grant.len] = ' ';
  seen[n + grant.len + 1] = '\0';
}

static void list_says_what_the_call_was_given(void **state) {
  struct tools *t = *state;
  char seen[256] = "";
  uint64_t others = 0;
  assert_int_equal(t->grant->list(&t->host, t->call, note, seen), YOI_OK);
  assert_string_equal(seen, "mount:ro:ro mount:rw:rw net:docs shell:sh git:gi ");
  assert_int_equal(
      yoi__given_open(t->top->setup, &t->other, YOI_LIT("[\"net:docs\"]"), &others, NULL), YOI_OK);
  seen[0] = '\0';
  assert_int_equal(t->grant->list(&t->host, others, note, seen), YOI_NOT_FOUND);
  assert_int_equal(t->grant->list(&t->host, 0, note, seen), YOI_NOT_FOUND);
  assert_string_equal(seen, "");
}

static void value_is_what_the_operator_wrote_with_all_defaults(void **state) {
  struct tools *t = *state;
  static const char shell[] =
      "{\"commands\":[\"ls\"],\"network\":false,\"cpu_s\":60,\"wall_ms\":120000,"
      "\"memory_bytes\":1073741824,\"processes\":128,\"file_bytes\":1073741824,\"env\":{}}";
  static const char git[] =
      "{\"commands\":[\"status\"],\"remotes\":[],\"network\":false,\"cpu_s\":60,"
      "\"wall_ms\":120000,\"memory_bytes\":1073741824,\"processes\":128,"
      "\"file_bytes\":1073741824}";
  char buf[512];
  size_t n = 7;
  memset(buf, 'x', sizeof buf);
  yoi_str name = YOI_LIT("shell:sh");
  assert_int_equal(t->grant->value(&t->host, t->call, name, buf, sizeof shell - 1, &n, NULL),
                   YOI_OK);
  assert_int_equal(n, sizeof shell - 1);
  assert_memory_equal(buf, shell, n);
  assert_int_equal(buf[n], 'x');
  assert_int_equal(t->grant->value(&t->host, t->call, name, buf, sizeof shell - 2, &n, NULL),
                   YOI_OUT_OF_RANGE);
  assert_int_equal(n, sizeof shell - 1);
  assert_int_equal(t->grant->value(&t->host, t->call, name, NULL, 0, &n, NULL), YOI_OUT_OF_RANGE);
  assert_int_equal(n, sizeof shell - 1);
  assert_int_equal(t->grant->value(&t->host, t->call, YOI_LIT("git:gi"), buf, sizeof buf, &n, NULL),
                   YOI_OK);
  assert_int_equal(n, sizeof git - 1);
  assert_memory_equal(buf, git, n);
  static const struct {
    const char *grant;
    yoi_status st;
  } wrong[] = {{"shell:gi", YOI_PERMISSION_DENIED},   {"git:sh", YOI_PERMISSION_DENIED},
               {"mount:ro:ro", YOI_INVALID_ARGUMENT}, {"net:docs", YOI_INVALID_ARGUMENT},
               {"shell:*", YOI_INVALID_ARGUMENT},     {"", YOI_INVALID_ARGUMENT}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(
        t->grant->value(&t->host, t->call, yoi_sdk_str(wrong[i].grant), buf, sizeof buf, &n, NULL),
        wrong[i].st);
    assert_int_equal(n, 0);
  }
  yoi__given_close(t->top, t->call);
  assert_int_equal(t->grant->value(&t->host, t->call, name, buf, sizeof buf, &n, NULL),
                   YOI_NOT_FOUND);
}

/* ---- mounts --------------------------------------------------------------------- */

static yoi_status opened(struct tools *t, const char *mount, const char *path, uint32_t flags) {
  int32_t fd = -7;
  struct yoi_sdk_error e;
  yoi_status st = t->mount->open(&t->host, t->call, yoi_sdk_str(mount), yoi_sdk_str(path), flags,
                                 &fd, yoi_sdk_error_init(&e));
  assert_int_equal(fd >= 0, st == YOI_OK);
  if (fd >= 0)
    close(fd);
  else
    assert_int_equal(fd, -1);
  return st;
}

static void an_open_is_checked_for_the_call_the_mount_and_the_mode(void **state) {
  struct tools *t = *state;
  const uint32_t read = YOI_MOUNT_READ, write = YOI_MOUNT_WRITE, folder = YOI_MOUNT_FOLDER;
  assert_int_equal(opened(t, "ro", "a", read), YOI_OK);
  assert_int_equal(opened(t, "ro", ".", read | folder), YOI_OK);
  assert_int_equal(opened(t, "ro", "a", write), YOI_PERMISSION_DENIED);
  assert_int_equal(opened(t, "ro", "a", read | write), YOI_PERMISSION_DENIED);
  assert_int_equal(opened(t, "ro", ".", write | folder), YOI_PERMISSION_DENIED);
  assert_int_equal(opened(t, "ro", "new", write | YOI_MOUNT_CREATE), YOI_PERMISSION_DENIED);
  assert_false(files_exist("work/new"));
  assert_int_equal(opened(t, "rw", "a", read | write), YOI_OK);
  assert_int_equal(opened(t, "rw", ".", write | folder), YOI_OK);
  assert_int_equal(opened(t, "rw", "new", write | YOI_MOUNT_CREATE), YOI_OK);
  assert_true(files_exist("work/new"));
  assert_int_equal(opened(t, "none", "a", read), YOI_PERMISSION_DENIED);
  assert_int_equal(opened(t, "*", "a", read), YOI_INVALID_ARGUMENT);
  assert_int_equal(opened(t, "", "a", read), YOI_INVALID_ARGUMENT);
  assert_int_equal(opened(t, "rw", "a", 0), YOI_INVALID_ARGUMENT);
  assert_int_equal(opened(t, "rw", "a", read | 16u), YOI_INVALID_ARGUMENT);
  assert_int_equal(opened(t, "rw", "n", read | YOI_MOUNT_CREATE), YOI_INVALID_ARGUMENT);
  t->config->local.mounts[1].writable = 0;
  assert_int_equal(opened(t, "rw", "a", read), YOI_OK);
  assert_int_equal(opened(t, "rw", "a", write), YOI_PERMISSION_DENIED);
  /* The call was given "ro" of it only. */
  t->config->local.mounts[1].writable = 1;
  yoi__given_close(t->top, t->call);
  assert_int_equal(opened(t, "rw", "a", read), YOI_NOT_FOUND);
  assert_int_equal(
      yoi__given_open(t->top->setup, &t->in, YOI_LIT("[\"mount:rw:ro\"]"), &t->call, NULL), YOI_OK);
  assert_int_equal(opened(t, "rw", "a", read), YOI_OK);
  assert_int_equal(opened(t, "rw", "a", write), YOI_PERMISSION_DENIED);
  assert_int_equal(opened(t, "ro", "a", read), YOI_PERMISSION_DENIED);
  /* The plugin wants it no more, as a file beside it may say. */
  t->plugin.manifest.n_grants = 0;
  assert_int_equal(opened(t, "rw", "a", read), YOI_PERMISSION_DENIED);
  t->plugin.manifest.n_grants = 4;
  t->host.ctx = &t->other;
  assert_int_equal(opened(t, "rw", "a", read), YOI_NOT_FOUND);
}

/* ---- hosts ------------------------------------------------------------------------ */

static yoi_status may(struct tools *t, const char *host, uint32_t port) {
  struct yoi_sdk_error e;
  yoi_status st = t->net->check(&t->host, t->call, yoi_sdk_str(host), port, yoi_sdk_error_init(&e));
  if (st == YOI_PERMISSION_DENIED) assert_int_equal(e.e.code, YOI_CODE_GRANT_MISSING);
  return st;
}

static yoi_status may_connect(struct tools *t, const char *host, uint32_t port, const char *to) {
  return t->net->check_address(&t->host, t->call, yoi_sdk_str(host), port, yoi_sdk_str(to), NULL);
}

static void a_call_speaks_with_whom_its_lists_name(void **state) {
  struct tools *t = *state;
  assert_int_equal(may(t, "example.org", 443), YOI_OK);
  assert_int_equal(may(t, "WWW.Example.org.", 443), YOI_OK);
  assert_int_equal(may(t, "example.org", 80), YOI_PERMISSION_DENIED);
  assert_int_equal(may(t, "example.com", 443), YOI_PERMISSION_DENIED);
  assert_int_equal(may(t, "93.184.216.34", 1), YOI_OK);
  assert_int_equal(may(t, "[::1]", 2), YOI_OK);
  assert_int_equal(may(t, "10.0.0.7", 443), YOI_PERMISSION_DENIED); /* net:lan was not given */
  assert_int_equal(may(t, "example.org", 0), YOI_INVALID_ARGUMENT);
  assert_int_equal(may(t, "localhost", 65535), YOI_PERMISSION_DENIED);
  assert_int_equal(may(t, "localhost", 65536), YOI_INVALID_ARGUMENT);
  assert_int_equal(may(t, "example.org", 65536 + 443), YOI_INVALID_ARGUMENT);
  assert_int_equal(may(t, "", 443), YOI_INVALID_ARGUMENT);
  assert_int_equal(may(t, "127.1", 80), YOI_INVALID_ARGUMENT);
  yoi__given_close(t->top, t->call);
  assert_int_equal(may(t, "example.org", 443), YOI_NOT_FOUND);
  assert_int_equal(may_connect(t, "example.org", 443, "93.184.216.34"), YOI_NOT_FOUND);
  assert_int_equal(
      yoi__given_open(t->top->setup, &t->in, YOI_LIT("[\"net:lan\",\"net:docs\"]"), &t->call, NULL),
      YOI_OK);
  assert_int_equal(may(t, "10.0.0.7", 443), YOI_OK);
  assert_int_equal(may(t, "example.org", 443), YOI_OK);
  t->config->local.n_networks = 1; /* only docs is left */
  assert_int_equal(may(t, "10.0.0.7", 443), YOI_PERMISSION_DENIED);
  assert_int_equal(may(t, "example.org", 443), YOI_OK);
  t->config->local.n_networks = 2;
}

static void an_address_that_was_looked_up_is_judged(void **state) {
  struct tools *t = *state;
  static const char *const special[] = {"127.0.0.1", "10.0.0.7",     "169.254.169.254",  "::1",
                                        "fe80::1",   "0.0.0.0",      "::ffff:127.0.0.1", "fd00::1",
                                        "224.0.0.1", "2002:7f00:1::"};
  assert_int_equal(may_connect(t, "example.org", 443, "8.8.8.8"), YOI_OK);
  assert_int_equal(may_connect(t, "example.org", 443, "2606:4700::1"), YOI_OK);
  assert_int_equal(may_connect(t, "example.com", 443, "8.8.8.8"), YOI_PERMISSION_DENIED);
  assert_int_equal(may_connect(t, "example.org", 80, "8.8.8.8"), YOI_PERMISSION_DENIED);
  assert_int_equal(may_connect(t, "example.org", 443, "example.org"), YOI_INVALID_ARGUMENT);
  assert_int_equal(may_connect(t, "example.org", 443, ""), YOI_INVALID_ARGUMENT);
  for (size_t i = 0; i < sizeof special / sizeof *special; i++)
    assert_int_equal(may_connect(t, "example.org", 443, special[i]), YOI_PERMISSION_DENIED);
  /* localhost is loopback, and nothing else that is special */
  assert_int_equal(may_connect(t, "localhost", 80, "127.0.0.1"), YOI_OK);
  assert_int_equal(may_connect(t, "localhost", 80, "::1"), YOI_OK);
  assert_int_equal(may_connect(t, "LOCALHOST.", 80, "127.9.9.9"), YOI_OK);
  assert_int_equal(may_connect(t, "localhost", 80, "10.0.0.1"), YOI_PERMISSION_DENIED);
  assert_int_equal(may_connect(t, "localhost", 443, "127.0.0.1"), YOI_PERMISSION_DENIED);
  /* an address is itself */
  assert_int_equal(may_connect(t, "93.184.216.34", 1, "93.184.216.34"), YOI_OK);
  assert_int_equal(may_connect(t, "93.184.216.34", 1, "::ffff:93.184.216.34"), YOI_OK);
  assert_int_equal(may_connect(t, "93.184.216.34", 1, "93.184.216.35"), YOI_PERMISSION_DENIED);
  assert_int_equal(may_connect(t, "[::1]", 2, "::1"), YOI_OK);
  assert_int_equal(may_connect(t, "::1", 2, "::2"), YOI_PERMISSION_DENIED);
  /* one that stands in the list itself, with that port, is what was wanted */
  yoi__given_close(t->top, t->call);
  assert_int_equal(
      yoi__given_open(t->top->setup, &t->in, YOI_LIT("[\"net:lan\",\"net:docs\"]"), &t->call, NULL),
      YOI_OK);
  assert_int_equal(may_connect(t, "example.org", 443, "10.0.0.7"), YOI_OK);
  assert_int_equal(may_connect(t, "example.org", 443, "10.0.0.8"), YOI_PERMISSION_DENIED);
  assert_int_equal(may_connect(t, "example.org", 443, "::1"), YOI_PERMISSION_DENIED);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(each_kind_gets_what_is_for_it),
      TEST(check_says_what_the_host_has),
      TEST(list_says_what_the_call_was_given),
      TEST(value_is_what_the_operator_wrote_with_all_defaults),
      TEST(an_open_is_checked_for_the_call_the_mount_and_the_mode),
      TEST(a_call_speaks_with_whom_its_lists_name),
      TEST(an_address_that_was_looked_up_is_judged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
