/* test_tool_host.c - the host for tests of tools keeps to the headers: a tool
 * that is only tested against it meets no surprise in a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <yoi/host_grant.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>

#include "tests/unit/support/files.h"
#include "tests/unit/support/tool_host.h"

/* A tool that says "begun", waits for a thread and a pipe, and gives back the
 * name it was called by. */
struct waiting {
  yoi_stream stream;
  const yoi_host *host;
  const yoi_host_loop *loop;
  uint64_t token, call, watch;
  int fds[2], step, cancelled;
  pthread_t thread;
  yoi_event event;
  const yoi_event *events[1];
};

static const yoi_host *the_host; /* process-wide: a test has one instance */
static uint64_t the_call;

static void *write_late(void *ctx) {
  struct waiting *w = ctx;
  assert_int_equal(write(w->fds[1], "x", 1), 1);
  return NULL;
}

static void readable(void *ctx, int32_t fd, uint32_t ready) {
  struct waiting *w = ctx;
  assert_true(ready & YOI_FD_READ);
  assert_int_equal(fd, w->fds[0]);
  w->loop->unwatch(w->host, w->watch);
  w->step = 2;
  w->host->wake(w->host, w->token);
}

static yoi_status waiting_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                               yoi_error *err) {
  struct waiting *w = (struct waiting *)s;
  if (w->cancelled) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cancelled"), YOI_CANCELLED;
  if (w->step == 1) return YOI_AGAIN;
  if (w->step == 3) return YOI_END;
  w->event.kind = w->step == 0 ? YOI_EVENT_TOOL_STATUS : YOI_EVENT_TOOL_OUTPUT;
  w->event.text = w->step == 0 ? YOI_LIT("begun") : YOI_LIT("done");
  w->step++;
  *out = w->events;
  *out_n = 1;
  return YOI_OK;
}

static void waiting_cancel(yoi_stream *s) {
  ((struct waiting *)s)->cancelled = 1;
}

static void waiting_release(yoi_stream *s) {
  struct waiting *w = (struct waiting *)s;
  w->loop->unwatch(w->host, w->watch);
  pthread_join(w->thread, NULL);
  close(w->fds[0]);
  close(w->fds[1]);
  yoi_sdk_free(w);
}

static yoi_status tool_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  static const yoi_stream_ops ops = {sizeof ops, 0, waiting_next, waiting_cancel,
                                     waiting_release};
  if (!yoi_sdk_str_is(req->name, "wait"))
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no tool '%.*s'", YOI_ARG(req->name));
  struct waiting *w = yoi_sdk_calloc(1, sizeof *w);
  w->stream.ops = &ops;
  w->host = self;
  w->loop = w->host->get_interface(w->host, YOI_LIT(YOI_HOST_LOOP_ID));
  w->token = req->token;
  w->events[0] = &w->event;
  the_call = req->call;
  assert_int_equal(pipe2(w->fds, O_CLOEXEC), 0);
  assert_int_equal(w->loop->watch(w->host, w->fds[0], YOI_FD_READ, readable, w, &w->watch), 0);
  assert_int_equal(pthread_create(&w->thread, NULL, write_late, w), 0);
  *out = &w->stream;
  return YOI_OK;
}

static yoi_status tool_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)config, (void)err;
  the_host = host;
  *out_self = (void *)(uintptr_t)host;
  return YOI_OK;
}

static const yoi_tool table = {
    .size = sizeof table, .thread_model = YOI_PARALLEL, .open = tool_open, .start = tool_start};

static struct tool_host *opened(void) {
  struct tool_host *th = tool_host_new(&table);
  tool_host_open(th, "{}");
  return th;
}

static void a_call_runs_to_its_end(void **state) {
  struct tool_host *th = opened();
  struct tool_result r;
  (void)state;
  tool_host_call(th, "wait", "{}", "", &r);
  assert_int_equal(r.status, YOI_END);
  assert_string_equal(r.output, "done");
  assert_string_equal(r.progress, "begun\n");
  tool_result_release(&r);
  tool_host_call(th, "other", "{}", "", &r);
  assert_int_equal(r.status, YOI_NOT_FOUND);
  assert_false(r.started);
  assert_string_equal(r.error.message, "no tool 'other'");
  tool_result_release(&r);
  tool_host_free(th);
}

static void a_call_is_cancelled(void **state) {
  struct tool_host *th = opened();
  struct tool_result r;
  (void)state;
  struct tool_call *c = tool_call_start(th, "wait", "{}", "", 0, &r);
  tool_call_cancel(c);
  tool_call_finish(c, &r);
  assert_int_equal(r.status, YOI_CANCELLED);
  tool_result_release(&r);
  tool_host_free(th);
}

/* Opens a path with the call's grants and answers the status. */
static yoi_status opens(const char *path, uint32_t flags) {
  const yoi_host_mount *m = the_host->get_interface(the_host, YOI_LIT(YOI_HOST_MOUNT_ID));
  struct yoi_sdk_error e;
  int32_t fd = -1;
  yoi_status st = m->open(the_host, the_call, YOI_LIT("w"), yoi_sdk_str(path), flags, &fd,
                          yoi_sdk_error_init(&e));
  assert_int_equal(fd >= 0, st == YOI_OK);
  if (fd >= 0) {
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
  } else {
    assert_true(e.message[0] != 0);
  }
  return st;
}

static void a_mount_has_the_rules_of_its_header(void **state) {
  static const struct {
    const char *path;
    uint32_t flags;
    yoi_status st;
  } rows[] = {
      {"a", YOI_MOUNT_READ, YOI_OK},
      {"a", YOI_MOUNT_WRITE, YOI_OK},
      {"in", YOI_MOUNT_READ, YOI_OK},
      {".", YOI_MOUNT_READ | YOI_MOUNT_FOLDER, YOI_OK},
      {".", YOI_MOUNT_READ, YOI_INVALID_ARGUMENT},
      {"a", YOI_MOUNT_READ | YOI_MOUNT_FOLDER, YOI_INVALID_ARGUMENT},
      {"", YOI_MOUNT_READ, YOI_INVALID_ARGUMENT},
      {"/etc/passwd", YOI_MOUNT_READ, YOI_INVALID_ARGUMENT},
      {"../outside", YOI_MOUNT_READ, YOI_PERMISSION_DENIED},
      {"sub/../../outside", YOI_MOUNT_READ, YOI_PERMISSION_DENIED},
      {"sub/../a", YOI_MOUNT_READ, YOI_OK},
      {"out", YOI_MOUNT_READ, YOI_PERMISSION_DENIED},
      {"none", YOI_MOUNT_READ, YOI_NOT_FOUND},
      {"fifo", YOI_MOUNT_READ, YOI_INVALID_ARGUMENT},
      {"new", YOI_MOUNT_WRITE | YOI_MOUNT_CREATE, YOI_OK},
      {"new", YOI_MOUNT_WRITE | YOI_MOUNT_CREATE, YOI_ALREADY_EXISTS},
      {"sub/n", YOI_MOUNT_WRITE | YOI_MOUNT_CREATE | YOI_MOUNT_FOLDER, YOI_OK},
      {"sub/n", YOI_MOUNT_WRITE | YOI_MOUNT_CREATE | YOI_MOUNT_FOLDER, YOI_ALREADY_EXISTS},
  };
  struct tool_host *th = opened();
  struct tool_result r;
  (void)state;
  files_directory("m");
  files_directory("m/sub");
  files_text("m/a", "a");
  files_text("outside", "no");
  assert_int_equal(symlink("a", "m/in"), 0);
  assert_int_equal(symlink("../outside", "m/out"), 0);
  assert_int_equal(mkfifo("m/fifo", 0600), 0);
  tool_host_mount(th, "w", "m", 1);
  struct tool_call *c = tool_call_start(th, "wait", "{}", "mount:w:rw", 0, &r);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (opens(rows[i].path, rows[i].flags) != rows[i].st) fail_msg("row %zu", i);
  tool_host_mount(th, "w", "m", 0);
  assert_int_equal(opens("a", YOI_MOUNT_WRITE), YOI_PERMISSION_DENIED);
  assert_int_equal(opens("a", YOI_MOUNT_READ), YOI_OK);
  tool_host_unmount(th, "w");
  assert_int_equal(opens("a", YOI_MOUNT_READ), YOI_PERMISSION_DENIED);
  tool_call_drop(c);
  tool_host_mount(th, "w", "m", 1);
  c = tool_call_start(th, "wait", "{}", "mount:w:ro mount:x:rw", 0, &r);
  assert_int_equal(opens("a", YOI_MOUNT_READ), YOI_OK);
  assert_int_equal(opens("a", YOI_MOUNT_WRITE), YOI_PERMISSION_DENIED);
  tool_call_drop(c);
  tool_host_free(th);
}

static void hosts_have_the_rules_of_their_header(void **state) {
  static const struct {
    const char *host, *address;
    uint32_t port;
    int ok;
  } rows[] = {
      {"a.example", "", 443, 1},       {"A.EXAMPLE.", "", 443, 1},
      {"a.example", "", 80, 0},        {"b.example", "", 443, 0},
      {"x.b.test", "", 80, 1},         {"b.test", "", 80, 0},
      {"a.example", "1.1.1.1", 443, 1}, {"a.example", "127.0.0.1", 443, 0},
      {"a.example", "10.1.2.3", 443, 0}, {"a.example", "::ffff:10.0.0.1", 443, 0},
      {"a.example", "fe80::1", 443, 0}, {"a.example", "2606:4700::1", 443, 1},
      {"127.0.0.1", "127.0.0.1", 80, 1}, {"localhost", "::1", 90, 1},
      {"localhost", "10.0.0.1", 90, 0},  {"::1", "::1", 70, 1},
  };
  struct tool_host *th = opened();
  struct tool_result r;
  (void)state;
  tool_host_net(th, "n", "a.example:443 *.b.test:80 127.0.0.1:80 localhost:90 [::1]:70");
  struct tool_call *c = tool_call_start(th, "wait", "{}", "net:n", 0, &r);
  const yoi_host_net *net = the_host->get_interface(the_host, YOI_LIT(YOI_HOST_NET_ID));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    yoi_str host = yoi_sdk_str(rows[i].host), address = yoi_sdk_str(rows[i].address);
    yoi_status st = address.len ? net->check_address(the_host, the_call, host, rows[i].port,
                                                     address, NULL)
                                : net->check(the_host, the_call, host, rows[i].port, NULL);
    if (st != (rows[i].ok ? YOI_OK : YOI_PERMISSION_DENIED)) fail_msg("row %zu", i);
  }
  tool_call_drop(c);
  c = tool_call_start(th, "wait", "{}", "mount:n:ro", 0, &r);
  assert_int_equal(net->check(the_host, the_call, YOI_LIT("a.example"), 443, NULL),
                   YOI_PERMISSION_DENIED);
  tool_call_drop(c);
  tool_host_free(th);
}

static void count(void *ctx, yoi_str grant) {
  assert_true(grant.len > 0);
  ++*(int *)ctx;
}

static void grants_have_values(void **state) {
  struct tool_host *th = opened();
  struct tool_result r;
  char buf[8];
  size_t len = 0;
  int n = 0;
  (void)state;
  tool_host_value(th, "shell:w", "{\"a\":1}");
  struct tool_call *c = tool_call_start(th, "wait", "{}", "shell:w git:w", 0, &r);
  const yoi_host_grant *g = the_host->get_interface(the_host, YOI_LIT(YOI_HOST_GRANT_ID));
  assert_int_equal(g->list(the_host, the_call, count, &n), YOI_OK);
  assert_int_equal(n, 2);
  assert_int_equal(g->value(the_host, the_call, YOI_LIT("shell:w"), buf, sizeof buf, &len, NULL),
                   YOI_OK);
  assert_memory_equal(buf, "{\"a\":1}", len);
  assert_int_equal(g->value(the_host, the_call, YOI_LIT("shell:w"), buf, 3, &len, NULL),
                   YOI_OUT_OF_RANGE);
  assert_int_equal(g->value(the_host, the_call, YOI_LIT("git:w"), buf, sizeof buf, &len, NULL),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(g->check(the_host, YOI_LIT("shell:w"), NULL), YOI_OK);
  assert_int_equal(g->check(the_host, YOI_LIT("shell"), NULL), YOI_INVALID_ARGUMENT);
  tool_call_drop(c);
  assert_int_equal(g->list(the_host, the_call, count, &n), YOI_NOT_FOUND);
  tool_host_free(th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_runs_to_its_end),
      cmocka_unit_test(a_call_is_cancelled),
      cmocka_unit_test(a_mount_has_the_rules_of_its_header),
      cmocka_unit_test(hosts_have_the_rules_of_their_header),
      cmocka_unit_test(grants_have_values),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
