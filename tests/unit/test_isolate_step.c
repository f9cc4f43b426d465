/* test_isolate_step.c - a host in step mode, whose application calls it from a
 * second thread too: what asks a policy in a process of its own, and what buries
 * that process when it dies, must not wait for each other.
 *
 * The second thread is held where a thread may always be held up: behind the wait
 * for an answer, which is interposed here, as is the wait for the process. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <yoi.h>
#include <yoi/ops.h>

#define BOUND_S 60 /* for what takes some milliseconds */

static const char config[] =
    "{\"step\":true,\"plugin_path\":[\"runtimes\",\"tests/plugins\"],"
    "\"worker_program\":\"yoi-worker\","
    "\"runtimes\":[{\"id\":\"local\",\"plugin\":\"dev.yoi.embedded\"}],\"models\":[],\"ingress\":[]"
    ","
    "\"plugins\":[{\"id\":\"dev.yoi.test.rogue-policy\",\"isolation\":\"process\"}],"
    "\"policy\":[{\"plugin\":\"dev.yoi.test.rogue-policy\"}]}";
static const char body[] = "{\"worker_id\":\"ada\",\"display_name\":\"rogue:sleep@start;\"}";

static struct yoi_embed *host;
static pid_t stepper, worker;
static _Atomic int asked, buried, answered;
static _Thread_local int is_second;

static void bounded(void) {
  static const struct timespec step = {.tv_nsec = 1000000};
  nanosleep(&step, NULL); /* between two looks at a condition; alarm() is the bound */
}

/* 1: the thread that steps waits for something. */
static int stepper_sleeps(void) {
  char path[64], line[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", stepper);
  FILE *f = fopen(path, "re");
  if (f == NULL || fgets(line, sizeof line, f) == NULL) abort();
  fclose(f);
  const char *state = strrchr(line, ')');
  return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/* Under a name of its own: that of the header may be an inline function. */
int wait_for_two(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask)
    __asm__("ppoll");
int wait_for_two(struct pollfd *fds, nfds_t n, const struct timespec *t, const sigset_t *mask) {
  struct timespec left = {0, 0};
  int first = is_second && n == 2 && atomic_exchange(&asked, 1) == 0;
  if (t != NULL) left = *t; /* the kernel writes there */
  if (first) kill(worker, SIGKILL);
  while (first && !buried) bounded();
  int r = (int)syscall(SYS_ppoll, fds, n, t != NULL ? &left : NULL, mask, sizeof(uint64_t));
  while (first && !stepper_sleeps()) bounded();
  return r;
}

pid_t waitpid(pid_t pid, int *status, int flags) {
  pid_t got = (pid_t)syscall(SYS_wait4, pid, status, flags, NULL);
  if (got == worker && got > 0) buried = 1;
  return got;
}

static void said(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  (void)ctx;
  (void)ev;
  (void)st;
  (void)err;
}

static void *second_thread(void *arg) {
  yoi_request r = {.size = sizeof r, .op = YOI_OP_WORKER_CREATE, .body = {body, sizeof body - 1}};
  yoi_status *st = arg;
  is_second = 1;
  *st = yoi_call(host, (yoi_str){"local", 5}, &r, said, NULL, NULL, NULL);
  answered = 1;
  return NULL;
}

static pid_t only_child(void) {
  char path[64];
  pid_t pid = 0;
  snprintf(path, sizeof path, "/proc/self/task/%d/children", stepper);
  FILE *f = fopen(path, "re");
  if (f == NULL || fscanf(f, "%d", &pid) != 1) abort();
  fclose(f);
  return pid;
}

static void who_asks_and_who_buries_do_not_wait_for_each_other(void **state) {
  const char *build = getenv("YOI_BUILD");
  yoi_status st = YOI_OK;
  pthread_t second;
  (void)state;
  alarm(BOUND_S); /* a deadlock ends there */
  assert_int_equal(
      yoi_host_new(config, strlen(config), build == NULL ? "build" : build, &host, NULL), YOI_OK);
  assert_int_equal(yoi_host_start(host, NULL), YOI_OK);
  stepper = (pid_t)syscall(SYS_gettid);
  worker = only_child();
  assert_int_equal(pthread_create(&second, NULL, second_thread, &st), 0);
  while (!answered) assert_int_equal(yoi_host_step(host, 10, NULL), YOI_OK);
  assert_int_equal(pthread_join(second, NULL), 0);
  assert_int_equal(asked && buried, 1);
  assert_int_not_equal(st, YOI_OK); /* who does not say, denies */
  yoi_host_free(host);
  alarm(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_asks_and_who_buries_do_not_wait_for_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
