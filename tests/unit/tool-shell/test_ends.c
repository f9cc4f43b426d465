/* test_ends.c - commands that try to take everything, or to go on for ever, in
 * each sandbox: processes, memory, files, time, output, and whoever watches over
 * them being killed. When an end is said nothing is alive, which is looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell_rig.h"

#define EACH(test)                                                    \
  static void test##_in_bwrap(void **s) { (void)s; test("bwrap"); } \
  static void test##_in_landlock(void **s) { (void)s; test("landlock"); }

#define ROWS(test) cmocka_unit_test(test##_in_bwrap), cmocka_unit_test(test##_in_landlock)

static char *script(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *script(const char *format, ...) {
  char *text;
  va_list ap;
  va_start(ap, format);
  if (vasprintf(&text, format, ap) < 0) abort();
  va_end(ap);
  return text;
}

static void ends(struct shell_rig *r, const char *s, const char *part) {
  shell_rig_says(r, s, part);
  assert_int_equal(shell_rig_alive(r), 0); /* when the end is said, it is so */
}

static void nothing_survives(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  ends(&r, "sleep %M & setsid sleep %M & (setsid setsid sleep %M &) ; nohup sleep %M & exit 3",
       "exit code 3");
  ends(&r, "python3 - %M <<'END'\n"
           "import os, signal, time\n"
           "for s in range(1, 65):\n"
           "  try: signal.signal(s, signal.SIG_IGN)\n"
           "  except (OSError, ValueError): pass\n"
           "for depth in range(5):\n"
           "  if os.fork(): os._exit(0)\n"
           "  os.setsid()\n"
           "os.closerange(0, 3)\n"
           "time.sleep(60)\n"
           "END\n"
           "exit 4",
       "exit code 4");
  ends(&r, "trap '' TERM HUP INT; (trap '' TERM; sleep %M) & sleep 1; kill -STOP $! ; exit 5",
       "exit code 5");
  shell_rig_close(&r);
}
EACH(nothing_survives)

static void a_fork_bomb_goes_out(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, ",\"wall_ms\":2000");
  shell_rig_run(&r, "f() { f | f & f | f & }; f; sleep 9; : %M", &got);
  assert_int_equal(got.status, YOI_END);
  assert_int_equal(shell_rig_alive(&r), 0);
  if (strstr(got.output, "killed: processes") == NULL &&
      strstr(got.output, "timed out") == NULL && strstr(got.output, "exit code 2") == NULL)
    fail_msg("%s", got.output);
  tool_result_release(&got);
  ends(&r, "python3 -c 'import os\nwhile 1:\n  try: os.fork()\n  except OSError: pass' %M", "");
  ends(&r, "python3 -c 'import threading, time\n"
           "for n in range(500): threading.Thread(target=time.sleep, args=(9,)).start()' %M", "");
  shell_rig_says(&r, "echo it still works", "it still works");
  shell_rig_close(&r);
}
EACH(a_fork_bomb_goes_out)

static void memory_is_limited(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, ",\"memory_bytes\":67108864");
  ends(&r, "python3 -c 'a = []\nwhile 1: a.append(bytearray(9 << 20))' %M", "MemoryError");
  ends(&r, "for i in 1 2 3 4 5 6; do python3 -c 'import time\na = bytearray(25 << 20)\n"
           "time.sleep(9)' %M & done; wait", "killed: memory");
  ends(&r, "python3 -c 'import mmap\na = mmap.mmap(-1, 1 << 28)\n"
           "for i in range(0, 1 << 28, 4096): a[i] = 1\nimport time; time.sleep(9)' %M",
       "killed: memory");
  shell_rig_close(&r);
}
EACH(memory_is_limited)

static void files_are_limited(const char *sandbox) {
  struct shell_rig r;
  struct stat st;
  char path[128];
  shell_rig_open(&r, sandbox, ",\"file_bytes\":1000000");
  shell_rig_says(&r, "head -c 9000000 /dev/zero > big; echo code $?", "code 153");
  snprintf(path, sizeof path, "%s/big", r.folder);
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_size <= 1000000);
  shell_rig_says(&r, "exec head -c 9000000 /dev/zero > big", "(a file became too large)");
  shell_rig_says(&r, "truncate -s 9000000 big; echo code $?", "code 153");
  if (strcmp(sandbox, "bwrap") == 0) {
    shell_rig_limits(&r, "");
    shell_rig_says(&r, "for d in /tmp /dev/shm; do i=0; while head -c 16000000 /dev/zero > $d/$i; "
                       "do i=$((i+1)); done; echo $d $i; done", "No space left");
    shell_rig_says(&r, "touch /x /dev/x /etc/x /usr/x /run/x; ls /x /dev/x /etc/x /usr/x /run/x | "
                       "wc -l", "0\nexit");
  }
  shell_rig_close(&r);
}
EACH(files_are_limited)

static void time_is_limited(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, ",\"cpu_s\":1");
  ends(&r, "exec python3 -c 'while 1: pass' %M", "CPU time");
  ends(&r, "for i in 1 2 3; do python3 -c 'while 1: pass' %M & done; wait", "killed: CPU time");
  shell_rig_limits(&r, ",\"wall_ms\":300");
  ends(&r, "trap '' TERM; sleep %M & while :; do sleep %M; done", "timed out after 0.3 s");
  shell_rig_close(&r);
}
EACH(time_is_limited)

struct canceller {
  struct shell_rig *r;
  struct tool_call *call;
};

static void *cancel_when_it_runs(void *ctx) {
  struct canceller *c = ctx;
  while (shell_rig_alive(c->r) == 0) poll(NULL, 0, 5);
  tool_call_cancel(c->call);
  return NULL;
}

static void output_without_end_is_cut_off(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  pthread_t thread;
  shell_rig_open(&r, sandbox, "");
  struct canceller c = {&r, shell_rig_start(&r, "yes %M")};
  assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_runs, &c), 0);
  tool_call_finish(c.call, &got); /* there is always something to read */
  pthread_join(thread, NULL);
  assert_int_equal(got.status, YOI_CANCELLED);
  assert_int_equal(shell_rig_alive(&r), 0);
  tool_result_release(&got);
  shell_rig_close(&r);
}
EACH(output_without_end_is_cut_off)

static void signals_stay_inside(const char *sandbox) {
  struct shell_rig r;
  pid_t bystander = fork();
  if (bystander == 0) {
    for (;;) pause();
  }
  shell_rig_open(&r, sandbox, "");
  char *s = script("kill -9 %d %d; kill -9 -%d; python3 -c 'import os, signal\n"
                   "for p in (%d, %d, os.getppid(), os.getsid(0), 1):\n"
                   "  for f in (lambda: os.kill(p, 9), lambda: os.killpg(p, 9)):\n"
                   "    try:\n"
                   "      if p in (%d, %d): f()\n"
                   "    except OSError: pass'; echo still here; kill -9 -1; echo %%M",
                   getpid(), bystander, getpgrp(), getpid(), bystander, getpid(), bystander);
  ends(&r, s, "still here");
  free(s);
  assert_int_equal(waitpid(bystander, NULL, WNOHANG), 0);
  kill(bystander, SIGKILL);
  waitpid(bystander, NULL, 0);
  shell_rig_close(&r);
}
EACH(signals_stay_inside)

/* ---- who watches is killed ---- */
static pid_t runner_of(pid_t self) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", self, self);
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  return (pid_t)strtol(text, NULL, 10);
}

static void nothing_outlives_the_runner(const char *sandbox) {
  struct shell_rig r;
  struct tool_result got;
  shell_rig_open(&r, sandbox, "");
  struct tool_call *c = shell_rig_start(
      &r, "trap '' TERM; setsid sleep %M & (setsid sleep %M &) ; sleep %M; sleep %M");
  shell_rig_wait_alive(&r, 4);
  assert_int_equal(kill(runner_of(getpid()), SIGKILL), 0);
  shell_rig_wait_gone(&r);
  tool_call_finish(c, &got);
  assert_int_equal(got.status, YOI_INTERNAL);
  assert_non_null(strstr(got.error.message, "not known"));
  tool_result_release(&got);
  shell_rig_close(&r);
}
EACH(nothing_outlives_the_runner)

static void nothing_outlives_the_host(const char *sandbox) {
  struct shell_rig r;
  shell_rig_open(&r, sandbox, "");
  pid_t host = fork();
  if (host == 0) {
    struct shell_rig inner;
    shell_rig_open(&inner, sandbox, "");
    memcpy(inner.marker, r.marker, sizeof r.marker);
    struct tool_call *c = shell_rig_start(
        &inner, "trap '' TERM; setsid sleep %M & (setsid sleep %M &) ; sleep %M; sleep %M");
    while (!tool_call_ended(c)) tool_host_step(inner.th, 100);
    _exit(1);
  }
  shell_rig_wait_alive(&r, 4);
  kill(host, SIGKILL);
  waitpid(host, NULL, 0);
  shell_rig_wait_gone(&r);
  shell_rig_close(&r);
}
EACH(nothing_outlives_the_host)

int main(void) {
  const struct CMUnitTest tests[] = {
      ROWS(nothing_survives),
      ROWS(a_fork_bomb_goes_out),
      ROWS(memory_is_limited),
      ROWS(files_are_limited),
      ROWS(time_is_limited),
      ROWS(output_without_end_is_cut_off),
      ROWS(signals_stay_inside),
      ROWS(nothing_outlives_the_runner),
      ROWS(nothing_outlives_the_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
