/* test_shell.c - what shell_run does when nobody means harm: results, ends,
 * limits of its arguments, cancel, backpressure, and what it refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shell_rig.h"

#define EACH(test)                                                       \
  static void test##_with_bwrap(void **s) { (void)s; test("bwrap"); }       \
  static void test##_with_landlock(void **s) { (void)s; test("landlock"); } \
  static void test##_without(void **s) { (void)s; test("none"); }

#define ROWS(test)                                                               \
  cmocka_unit_test(test##_with_bwrap), cmocka_unit_test(test##_with_landlock), \
      cmocka_unit_test(test##_without)

static void exact(struct shell_rig *r, const char *script, const char *output) {
  struct tool_result got;
  shell_rig_run(r, script, &got);
  assert_int_equal(got.status, YOI_END);
  assert_string_equal(got.output, output);
  tool_result_release(&got);
}

static void results(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  exact(&r, "echo one; echo two >&2; echo three", "one\ntwo\nthree\nexit code 0");
  exact(&r, "printf 'no line end'; exit 7", "no line end\nexit code 7");
  exact(&r, ":", "exit code 0");
  exact(&r, "kill -9 $$", "exit code 137 (SIGKILL)");
  exact(&r, "echo made > file; cat file", "made\nexit code 0");
  exact(&r, "cat file; rm file", "made\nexit code 0");
  exact(&r, "printf '\\033[31mred\\r\\n\\377'", "\xe2\x90\x9b[31mred\n\xef\xbf\xbd\nexit code 0");
  exact(&r, "cat", "exit code 0");
  exact(&r, "ulimit -c", "0\nexit code 0");
  shell_rig_says(&r, "head -c 300000 /dev/zero | tr '\\0' x | fold -w 99; echo done", "done\nexit");
  shell_rig_close(&r);
}
EACH(results)

static void call(struct shell_rig *r, const char *arguments, struct tool_result *got) {
  tool_host_call(r->th, "shell_run", arguments, SHELL_GRANTS, got);
}

static void arguments(const char *sandbox) {
  static const struct {
    const char *json;
    yoi_status status;
    const char *part;
  } rows[] = {
      {"{\"argv\":[\"echo\",\"a b\",\"$HOME\"]}", YOI_END, "a b $HOME\nexit code 0"},
      {"{\"command\":\"cat\",\"stdin\":\"in\"}", YOI_END, "in\nexit code 0"},
      {"{\"command\":\"pwd\",\"cwd\":\"sub\"}", YOI_END, "sub\nexit code 0"},
      {"{\"command\":\"pwd\",\"cwd\":\"nowhere\"}", YOI_NOT_FOUND, "cwd"},
      {"{\"command\":\"pwd\",\"cwd\":\"/etc\"}", YOI_INVALID_ARGUMENT, "relative"},
      {"{\"argv\":[\"no-such-command\"]}", YOI_NOT_FOUND, "no-such-command"},
      {"{}", YOI_INVALID_ARGUMENT, "either"},
      {"{\"command\":\"a\",\"argv\":[\"b\"]}", YOI_INVALID_ARGUMENT, "either"},
      {"{\"argv\":[]}", YOI_INVALID_ARGUMENT, "1 to 256"},
      {"{\"argv\":[1]}", YOI_INVALID_ARGUMENT, "strings"},
      {"{\"command\":\"sleep 30\",\"timeout_s\":1}", YOI_END, "timed out after 1 s"},
  };
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  shell_rig_says(&r, "mkdir sub", "exit code 0");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct tool_result got;
    call(&r, rows[i].json, &got);
    const char *said = got.status == YOI_END ? got.output : got.error.message;
    if (got.status != rows[i].status || strstr(said, rows[i].part) == NULL)
      fail_msg("%s: %d, %s", rows[i].json, got.status, said);
    tool_result_release(&got);
  }
  shell_rig_close(&r);
}
EACH(arguments)

/* `n` times a text between two others. */
static char *repeated(const char *before, const char *text, size_t n, const char *after) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1u << 20);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(before));
  while (n-- > 0) yoi_sdk_buf_adds(&b, yoi_sdk_str(text));
  yoi_sdk_buf_adds(&b, yoi_sdk_str(after));
  char *copy = strdup(b.data);
  yoi_sdk_buf_release(&b);
  return copy;
}

static void at_the_edges_of_its_limits(void **state) {
  static const struct {
    const char *before, *text;
    size_t most; /* repetitions */
    const char *after;
  } rows[] = {
      {"{\"command\":\"echo", " ", YOI_SHELL_SCRIPT_MAX - 4, "\"}"},
      {"{\"argv\":[\"echo\"", ",\"a\"", YOI_SHELL_ARGV_MAX - 1, "]}"},
      {"{\"argv\":[\"echo\",\"", "a", YOI_SHELL_SCRIPT_MAX, "\"]}"},
      {"{\"command\":\"cat >/dev/null\",\"stdin\":\"", "a", YOI_SHELL_STDIN_MAX, "\"}"},
  };
  struct shell_rig r;
  struct tool_result got;
  (void)state;
  shell_rig_open(&r, "none", "");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t over = 0; over < 2; over++) {
      char *json = repeated(rows[i].before, rows[i].text, rows[i].most + over, rows[i].after);
      call(&r, json, &got);
      assert_int_equal(got.status, over ? YOI_INVALID_ARGUMENT : YOI_END);
      tool_result_release(&got);
      free(json);
    }
  shell_rig_close(&r);
}

static void only_what_is_listed_runs(void **state) {
  struct shell_rig r;
  struct tool_result got;
  (void)state;
  shell_rig_open(&r, "none", "");
  shell_rig_limits(&r, ",\"commands\":[\"echo\",\"ls\"]");
  call(&r, "{\"argv\":[\"echo\",\"x\"]}", &got);
  assert_int_equal(got.status, YOI_END);
  tool_result_release(&got);
  static const char *const refused[] = {"{\"argv\":[\"/bin/echo\"]}", "{\"argv\":[\"./echo\"]}",
                                        "{\"argv\":[\"\"]}", "{\"argv\":[\"sh\"]}",
                                        "{\"command\":\"echo x\"}"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    call(&r, refused[i], &got);
    assert_int_equal(got.status, YOI_PERMISSION_DENIED);
    tool_result_release(&got);
  }
  shell_rig_close(&r);
}

static void without_grants_or_limits_nothing_runs(void **state) {
  struct shell_rig r;
  struct tool_result got;
  static const char *const grants[] = {"", "mount:workspace:rw", "shell:workspace",
                                       "mount:workspace:rw git:workspace",
                                       "mount:workspace:rw mount:workspace:ro shell:workspace"};
  (void)state;
  shell_rig_open(&r, "none", "");
  for (size_t i = 0; i < sizeof grants / sizeof *grants; i++) {
    tool_host_call(r.th, "shell_run", "{\"command\":\":\"}", grants[i], &got);
    assert_int_equal(got.status, YOI_PERMISSION_DENIED);
    tool_result_release(&got);
  }
  static const char *const broken[] = {"{\"commands\":[\"*\"]}", "{\"cpu_s\":\"5\"}", "{}"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
    tool_host_value(r.th, "shell:workspace", broken[i]);
    call(&r, "{\"command\":\":\"}", &got);
    assert_int_equal(got.status, YOI_INTERNAL);
    tool_result_release(&got);
  }
  shell_rig_close(&r);
}

static void cancel_ends_it(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, "");
  struct tool_call *c = shell_rig_start(&r, "trap '' TERM; sleep %M & sleep %M; sleep %M");
  shell_rig_wait_alive(&r, 2);
  tool_call_cancel(c);
  tool_call_finish(c, &got);
  assert_int_equal(got.status, YOI_CANCELLED);
  assert_int_equal(shell_rig_alive(&r), 0); /* not "soon": when it is said, it is so */
  tool_result_release(&got);
  shell_rig_close(&r);
}
EACH(cancel_ends_it)

static void who_lets_go_ends_it(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  struct tool_call *c = shell_rig_start(&r, "sleep %M & sleep %M");
  shell_rig_wait_alive(&r, 2);
  tool_call_drop(c);
  shell_rig_wait_gone(&r);
  shell_rig_close(&r);
}
EACH(who_lets_go_ends_it)

static void closing_ends_it(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  struct tool_call *c = shell_rig_start(&r, "setsid sleep %M & sleep %M");
  shell_rig_wait_alive(&r, 2);
  tool_call_drop(c);
  shell_rig_close(&r);
  assert_int_equal(shell_rig_alive(&r), 0);
}
EACH(closing_ends_it)

/* 4 MB, of which nobody takes any: the pipe's 64 KB and no more are made. */
static void who_is_not_polled_is_not_read(void **state) {
  struct shell_rig r;
  (void)state;
  shell_rig_open(&r, "none", "");
  struct tool_call *c = shell_rig_start(&r, "head -c 4000000 /dev/zero; touch made; sleep %M");
  for (int i = 0; i < 20; i++) { /* a while in which it would have been made */
    usleep(10000); /* the proof is that nothing happens */
    char path[128];
    snprintf(path, sizeof path, "%s/made", r.folder);
    assert_int_not_equal(access(path, F_OK), 0);
  }
  tool_call_drop(c);
  shell_rig_close(&r);
}

static void several_run_beside_each_other(void **state) {
  struct shell_rig r;
  struct tool_call *c[3];
  (void)state;
  shell_rig_open(&r, "none", "");
  for (int i = 0; i < 3; i++) c[i] = shell_rig_start(&r, "sleep %M");
  shell_rig_wait_alive(&r, 3);
  for (int i = 0; i < 3; i++) tool_call_drop(c[i]);
  shell_rig_wait_gone(&r);
  shell_rig_close(&r);
}

static void the_environment_is_made_of_nothing(const char *sandbox) {
  struct shell_rig r;
  setenv("PLANTED_SECRET", "of-the-host-7731", 1);
  shell_rig_open(&r, sandbox, ",\"env\":{\"GIVEN\":\"yes\",\"LANG\":\"C\"}");
  shell_rig_never(&r, "env", "of-the-host-7731");
  shell_rig_says(&r, "echo $GIVEN-$LANG-$TERM", "yes-C-dumb");
  shell_rig_says(&r, "env | grep -c ^LANG=", "1\n");
  shell_rig_close(&r);
  unsetenv("PLANTED_SECRET");
}
EACH(the_environment_is_made_of_nothing)

static void what_is_ro_stays_as_it_is(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, "");
  shell_rig_write(&r, "kept", "as it was\n");
  tool_host_call(r.th, "shell_run",
                 "{\"command\":\"cat kept; echo x > kept; echo y > new; rm kept; chmod 0 kept; "
                 "mv kept moved; ln kept linked; mkdir d; touch -d 2001-01-01 kept; ls\"}",
                 "mount:workspace:ro shell:workspace", &got);
  assert_int_equal(got.status, YOI_END);
  assert_non_null(strstr(got.output, "as it was"));
  assert_non_null(strstr(got.output, "kept\nexit code 0"));
  tool_result_release(&got);
  shell_rig_says(&r, "cat kept; find . -newermt 2002-01-01 -name kept; stat -c %a kept", "./kept");
  shell_rig_close(&r);
}
static void what_is_ro_stays_as_it_is_with_bwrap(void **s) {
  (void)s;
  what_is_ro_stays_as_it_is("bwrap");
}
static void what_is_ro_stays_as_it_is_with_landlock(void **s) {
  (void)s;
  what_is_ro_stays_as_it_is("landlock");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      ROWS(results),
      ROWS(arguments),
      cmocka_unit_test(at_the_edges_of_its_limits),
      cmocka_unit_test(only_what_is_listed_runs),
      cmocka_unit_test(without_grants_or_limits_nothing_runs),
      ROWS(cancel_ends_it),
      ROWS(who_lets_go_ends_it),
      ROWS(closing_ends_it),
      cmocka_unit_test(who_is_not_polled_is_not_read),
      cmocka_unit_test(several_run_beside_each_other),
      ROWS(the_environment_is_made_of_nothing),
      cmocka_unit_test(what_is_ro_stays_as_it_is_with_bwrap),
      cmocka_unit_test(what_is_ro_stays_as_it_is_with_landlock),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
