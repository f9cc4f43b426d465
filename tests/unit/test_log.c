/* test_log.c - lines: their two formats, their bounds, and a sink that does
 * not read.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "host/config.h"
#include "host/log.h"

struct bench {
  int fds[2];
  _Atomic uint64_t dropped;
  struct yoi__log *log;
  char text[65536];
};

static void set_up(struct bench *b, uint32_t level, uint32_t format) {
  memset(b, 0, sizeof *b);
  assert_int_equal(pipe2(b->fds, O_CLOEXEC), 0);
  b->log = yoi__log_new(b->fds[1], level, format, &b->dropped);
  assert_non_null(b->log);
}

/* Ends the log and gives all that was written. */
static const char *finish(struct bench *b) {
  yoi__log_free(b->log);
  close(b->fds[1]);
  size_t n = 0;
  ssize_t got;
  while ((got = read(b->fds[0], b->text + n, sizeof b->text - 1 - n)) > 0) n += (size_t)got;
  b->text[n] = '\0';
  close(b->fds[0]);
  return b->text;
}

static void test_logfmt(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, YOI_LOG_INFO, YOI__LOG_LOGFMT);
  assert_false(yoi__log_enabled(b.log, YOI_LOG_DEBUG));
  assert_true(yoi__log_enabled(b.log, YOI_LOG_WARN));
  yoi__log_write(b.log, YOI_LOG_DEBUG, YOI_LIT("p"), YOI_LIT("not written"), YOI_LIT(""), NULL, 0);
  yoi_log_field fields[] = {{YOI_LIT("surface"), YOI_LIT("browser")},
                            {YOI_LIT("address"), YOI_LIT("127.0.0.1:38800")},
                            {YOI_LIT("odd"), YOI_LIT("a \"b\"\n=\\\x1b")},
                            {YOI_LIT("empty"), YOI_LIT("")},
                            {YOI_LIT("Bad Key"), YOI_LIT("x")}};
  yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT("dev.yoi.x"), YOI_LIT("listening"), YOI_LIT("r-1"),
                 fields, 5);
  const char *text = finish(&b);
  assert_memory_equal(text, "time=20", 7);
  assert_string_equal(strchr(text, ' '),
                      " level=info msg=listening plugin=dev.yoi.x request_id=r-1 "
                      "surface=browser address=127.0.0.1:38800 "
                      "odd=\"a \\\"b\\\"\\n=\\\\\\u001b\" empty=\"\"\n");
}

static void test_json(void **state) {
  struct bench b;
  yoi_sdk_json *tree = NULL;
  yoi_str s = {0};
  (void)state;
  set_up(&b, YOI_LOG_DEBUG, YOI__LOG_JSON);
  yoi_log_field fields[] = {{YOI_LIT("odd"), YOI_LIT("a \"b\"\n\xff")}};
  yoi__log_write(b.log, YOI_LOG_ERROR, YOI_LIT(""), YOI_LIT("two\nlines"), YOI_LIT(""), fields, 1);
  const char *text = finish(&b);
  assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
  assert_int_equal(yoi_sdk_json_parse((yoi_str){text, strlen(text) - 1}, 0, &tree, NULL), YOI_OK);
  assert_true(yoi_sdk_json_str(yoi_sdk_json_get(tree, "msg"), &s));
  assert_true(yoi_sdk_str_is(s, "two\nlines"));
  assert_true(yoi_sdk_json_str(yoi_sdk_json_get(tree, "level"), &s));
  assert_true(yoi_sdk_str_is(s, "error"));
  assert_null(yoi_sdk_json_get(tree, "plugin"));
  yoi_sdk_json_free(tree);
}

/* Who reads the log on a terminal is not at the mercy of what is in it. */
static void test_no_control_character_is_written(void **state) {
  (void)state;
  for (uint32_t format = YOI__LOG_LOGFMT; format <= YOI__LOG_JSON; format++) {
    struct bench b;
    yoi_log_field field = {YOI_LIT("odd"), YOI_LIT("a\x7f\xc2\x9b" "b\xc2\xa0\xc2")};
    set_up(&b, YOI_LOG_INFO, format);
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), YOI_LIT("m"), YOI_LIT(""), &field, 1);
    assert_non_null(strstr(finish(&b), "a\\u007f\\u009bb\xc2\xa0\xef\xbf\xbd\""));
  }
}

/* Whatever it stands in, and although a value of the log is cut at 1024. */
static void test_no_known_secret_is_written(void **state) {
  (void)state;
  struct yoi_sdk_scrub_value v = {YOI_LIT("key"), YOI_LIT("sesame\"opens")};
  for (uint32_t format = YOI__LOG_LOGFMT; format <= YOI__LOG_JSON; format++) {
    struct bench b;
    char cut[1030 + sizeof "sesame"];
    struct yoi__scrub *scrub = yoi__scrub_new();
    set_up(&b, YOI_LOG_INFO, format);
    yoi__log_scrub(b.log, scrub);
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), YOI_LIT("before"), YOI_LIT(""), NULL, 0);
    assert_int_equal(yoi__scrub_know(scrub, &v, 1, NULL), YOI_OK);
    memset(cut, '.', sizeof cut);
    memcpy(cut + 1014, v.value.ptr, v.value.len);
    yoi_log_field fields[] = {{YOI_LIT("raw"), YOI_LIT("<sesame\"opens>")},
                              {YOI_LIT("json"), YOI_LIT("\"sesame\\\"opens\"")},
                              {YOI_LIT("cut"), {cut, sizeof cut}},
                              {YOI_LIT("head"), YOI_LIT("it is sesame\"ope")}};
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT("sesame\"opens"), YOI_LIT("m sesame\"opens"),
                   YOI_LIT("sesame\"opens"), fields, 4);
    const char *text = finish(&b);
    assert_null(strstr(text, "sesame"));
    size_t markers = 0;
    for (const char *at = text; (at = strstr(at, "[secret")) != NULL; at++) markers++;
    assert_int_equal(markers, 7);
    assert_non_null(strstr(text, "it is [secret key]"));
    yoi__scrub_free(scrub);
  }
}

static void test_lines_are_bounded(void **state) {
  (void)state;
  for (uint32_t format = YOI__LOG_LOGFMT; format <= YOI__LOG_JSON; format++) {
    struct bench b;
    char huge[3000];
    yoi_log_field fields[20];
    memset(huge, '"', sizeof huge); /* each becomes two */
    for (int i = 0; i < 20; i++) fields[i] = (yoi_log_field){YOI_LIT("key"), {huge, sizeof huge}};
    set_up(&b, YOI_LOG_INFO, format);
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), (yoi_str){huge, sizeof huge}, YOI_LIT(""),
                   fields, 20);
    const char *text = finish(&b);
    size_t len = strlen(text);
    assert_true(len > 2000 && len <= YOI_LOG_LINE_MAX);
    assert_int_equal(text[len - 1], '\n');
    if (format == YOI__LOG_JSON) { /* cut between members, never inside one */
      assert_int_equal(yoi_sdk_json_check((yoi_str){text, len - 1}, 0, NULL), YOI_OK);
      assert_int_equal(text[len - 2], '}');
    }
    assert_int_equal(b.dropped, 0);
  }
}

static void test_private_details_are_for_debug(void **state) {
  (void)state;
  for (uint32_t level = YOI_LOG_DEBUG; level <= YOI_LOG_INFO; level++) {
    struct bench b;
    struct yoi_sdk_error e;
    set_up(&b, level, YOI__LOG_LOGFMT);
    (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_STORE_ERROR, "the store failed");
    yoi_sdk_fail_private(&e.e, "/canary/path");
    yoi__log_failure(b.log, YOI_LOG_WARN, "operation failed", YOI_LIT("a"), YOI_LIT("r"), &e.e);
    const char *text = finish(&b);
    assert_non_null(strstr(text,
                           "msg=\"operation failed\" request_id=r subject=a "
                           "code=store_error error=\"the store failed\""));
    assert_int_equal(strstr(text, "canary") != NULL, level == YOI_LOG_DEBUG);
  }
}

/* A reader that does not read costs lines, never time. */
static void test_slow_sink_drops_and_counts(void **state) {
  struct bench b;
  char value[1000];
  (void)state;
  memset(value, 'v', sizeof value);
  set_up(&b, YOI_LOG_INFO, YOI__LOG_LOGFMT);
  yoi_log_field field = {YOI_LIT("v"), {value, sizeof value}};
  for (int i = 0; i < 1000; i++)
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), YOI_LIT("m"), YOI_LIT(""), &field, 1);
  uint64_t lost = atomic_load(&b.dropped);
  assert_true(lost > 100 && lost < 1000);
  /* What waited goes out, whole lines in order, once somebody reads. */
  char *all = yoi_sdk_malloc(2000000);
  size_t n = 0;
  assert_int_equal(fcntl(b.fds[0], F_SETFL, O_NONBLOCK), 0);
  for (int i = 0; i < 1000; i++) {
    ssize_t got;
    while ((got = read(b.fds[0], all + n, 65536)) > 0) n += (size_t)got;
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), YOI_LIT("later"), YOI_LIT(""), NULL, 0);
  }
  assert_int_equal(atomic_load(&b.dropped), lost);
  size_t lines = 0, later = 0;
  yoi__log_free(b.log);
  close(b.fds[1]);
  ssize_t got;
  while ((got = read(b.fds[0], all + n, 65536)) > 0) n += (size_t)got;
  all[n] = '\0';
  for (char *at = all; *at != '\0'; at = strchr(at, '\n') + 1) {
    assert_memory_equal(at, "time=", 5);
    lines++;
    later += strstr(at, "msg=later") != NULL && strstr(at, "msg=later") < strchr(at, '\n');
  }
  assert_int_equal(later, 1000);
  assert_int_equal(lines, 2000 - lost);
  yoi_sdk_free(all);
  close(b.fds[0]);
}

/* No signal and no crash when nobody is there to read. */
static void test_closed_sink_raises_no_signal(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, YOI_LOG_INFO, YOI__LOG_LOGFMT);
  close(b.fds[0]);
  for (int i = 0; i < 3; i++)
    yoi__log_write(b.log, YOI_LOG_INFO, YOI_LIT(""), YOI_LIT("m"), YOI_LIT(""), NULL, 0);
  assert_int_equal(atomic_load(&b.dropped), 3);
  sigset_t pending;
  sigpending(&pending);
  assert_false(sigismember(&pending, SIGPIPE));
  yoi__log_free(b.log);
  close(b.fds[1]);
}

#define WRITERS 3
#define LINES 200

static void *writes(void *arg) {
  for (int i = 0; i < LINES; i++)
    yoi__log_write(arg, YOI_LOG_INFO, YOI_LIT("p"), YOI_LIT("many"), YOI_LIT(""), NULL, 0);
  return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state) {
  struct bench b;
  pthread_t threads[WRITERS];
  size_t lines = 0;
  (void)state;
  set_up(&b, YOI_LOG_INFO, YOI__LOG_LOGFMT);
  for (int i = 0; i < WRITERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, writes, b.log), 0);
  for (int i = 0; i < WRITERS; i++) pthread_join(threads[i], NULL);
  const char *text = finish(&b);
  for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
    assert_memory_equal(at, "time=", 5);
    lines++;
  }
  assert_int_equal(lines, WRITERS * LINES);
}

struct slow {
  struct yoi__log *log;
  _Atomic int lines, held, go, silent, early;
};

/* The first line takes until the test lets it go. */
static void on_line(void *ctx, uint32_t level, yoi_str line) {
  struct slow *s = ctx;
  (void)level;
  (void)line;
  if (atomic_fetch_add(&s->lines, 1) > 0) return;
  atomic_store(&s->held, 1);
  while (!atomic_load(&s->go)) sched_yield();
  atomic_store(&s->early, atomic_load(&s->silent)); /* whoever waits for this still waits */
}

static void *writes_one(void *arg) {
  struct slow *s = arg;
  yoi__log_write(s->log, YOI_LOG_INFO, YOI_LIT("p"), YOI_LIT("one"), YOI_LIT(""), NULL, 0);
  return NULL;
}

static void *silences(void *arg) {
  struct slow *s = arg;
  yoi__log_silence(s->log);
  atomic_store(&s->silent, 1);
  return NULL;
}

static void test_a_silent_log_is_silent_for_good(void **state) {
  struct bench b;
  struct slow s = {.lines = 0};
  pthread_t first, second;
  (void)state;
  set_up(&b, YOI_LOG_INFO, YOI__LOG_LOGFMT);
  s.log = b.log;
  yoi__log_to(b.log, on_line, &s);
  assert_int_equal(pthread_create(&first, NULL, writes_one, &s), 0);
  while (!atomic_load(&s.held)) sched_yield();
  assert_int_equal(pthread_create(&second, NULL, silences, &s), 0);
  /* From some time on no line comes, although the first is still being written. */
  int lines;
  do {
    lines = atomic_load(&s.lines);
    sched_yield();
    writes_one(&s);
  } while (atomic_load(&s.lines) != lines);
  assert_false(atomic_load(&s.silent));
  atomic_store(&s.go, 1);
  pthread_join(first, NULL);
  pthread_join(second, NULL);
  assert_false(atomic_load(&s.early));
  writes_one(&s);
  assert_int_equal(lines, atomic_load(&s.lines));
  yoi__log_to(b.log, NULL, NULL); /* nor to a descriptor */
  writes_one(&s);
  assert_string_equal(finish(&b), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_logfmt),
      cmocka_unit_test(test_json),
      cmocka_unit_test(test_no_control_character_is_written),
      cmocka_unit_test(test_no_known_secret_is_written),
      cmocka_unit_test(test_lines_are_bounded),
      cmocka_unit_test(test_private_details_are_for_debug),
      cmocka_unit_test(test_slow_sink_drops_and_counts),
      cmocka_unit_test(test_closed_sink_raises_no_signal),
      cmocka_unit_test(test_lines_of_threads_do_not_mix),
      cmocka_unit_test(test_a_silent_log_is_silent_for_good),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
