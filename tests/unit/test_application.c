/* What an application gives a host: tables of its own code with a pointer, a
 * log, a config from calls; and what it keeps: its process, also behind a fork. */
#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <sdk/stream.h>
#include <yoi.h>
#include <yoi/host_log.h>
#include <yoi/runtime.h>

#define MANIFEST_OF(id, more)                                                          \
  "{ \"manifest\": \"yoi.plugin/1\", \"id\": \"" id "\", \"kind\": \"runtime\",\n"     \
  "  \"version\": \"1.0.0\", \"abi\": 1, \"interfaces\": [\"yoi.runtime/1\"" more "],\n" \
  "  \"threads\": \"parallel\", \"config\": { \"type\": \"object\" } }"
#define OWN "com.example.own"
#define REST "\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\",\"plugin\":\"" OWN "\"}]}"
#define STEP "{\"step\":true," REST
#define THREADS "{\"loops\":2," REST

/* ---- a runtime that is a table, and answers with its object's name ------- */

struct object {
  const char *name;
  int opens, closes;
};

static yoi_status own_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  const yoi_host_log *log = host->get_interface(host, YOI_LIT(YOI_HOST_LOG_ID));
  struct object *o = *out_self;
  (void)config, (void)err;
  o->opens++;
  log->write(host, YOI_LOG_INFO, YOI_LIT("opened\nhere"), (yoi_str){0}, NULL, 0);
  return YOI_OK;
}

static void own_close(void *self) {
  ((struct object *)self)->closes++;
}

static yoi_status own_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  const struct object *o = self;
  char text[64];
  (void)req;
  snprintf(text, sizeof text, "{\"i_am\":\"%s\"}", o->name);
  *out = yoi_sdk_stream_one(yoi_sdk_str(text), 0);
  return *out == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
}

static const yoi_runtime own_table = {.size = sizeof own_table,
                                      .thread_model = YOI_PARALLEL,
                                      .open = own_open,
                                      .close = own_close,
                                      .start = own_start};

static const char manifest[] = MANIFEST_OF(OWN, "");

static yoi_linked_plugin row_of(struct object *o) {
  return (yoi_linked_plugin){
      .size = sizeof(yoi_linked_plugin), .manifest = manifest, .table = &own_table, .user = o};
}

static struct yoi_embed *made(const char *json, const yoi_host_options *o) {
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  yoi_status st = yoi_host_new_with(json, strlen(json), o, &host, yoi_sdk_error_init(&e));
  if (st == YOI_OK) st = yoi_host_start(host, &e.e);
  if (st != YOI_OK) fail_msg("%s (%s)", e.message, e.private_detail);
  return host;
}

static struct yoi_embed *with_row(const char *json, const yoi_linked_plugin *row) {
  const yoi_linked_plugin *rows[] = {row};
  const yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1};
  return made(json, &o); /* the array is gone behind this, the row is not */
}

static void answers(struct yoi_embed *host, const char *expected) {
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  char *text = NULL;
  assert_int_equal(yoi_call_sync(host, YOI_LIT("r"), &r, &text, NULL, NULL), YOI_OK);
  char words[64];
  snprintf(words, sizeof words, "\"i_am\":\"%s\"", expected);
  if (strstr(text, words) == NULL) fail_msg("%s", text);
  yoi_free(text);
}

/* ---- tables --------------------------------------------------------------- */

static void one_table_serves_two_hosts(void **state) {
  (void)state;
  struct object a = {.name = "a"}, b = {.name = "b"};
  const yoi_linked_plugin row_a = row_of(&a), row_b = row_of(&b);
  struct yoi_embed *step = with_row(STEP, &row_a);
  struct yoi_embed *threads = with_row(THREADS, &row_b);
  answers(step, "a");
  answers(threads, "b");
  answers(step, "a");
  yoi_host_free(step);
  answers(threads, "b");
  yoi_host_free(threads);
  assert_int_equal(a.opens, 1);
  assert_int_equal(a.closes, 1);
  assert_int_equal(b.closes, 1);
}

static void it_is_known_to_that_host_alone(void **state) {
  (void)state;
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  struct yoi_sdk_error e;
  struct yoi_embed *none = NULL, *host = with_row(STEP, &row);
  assert_int_equal(yoi_host_new(STEP, strlen(STEP), NULL, &none, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "no plugin has the id '" OWN "'"));
  assert_null(none);
  yoi_host_free(host);
}

/* What is linked for all is found too, and comes later. */
static void it_comes_before_what_is_linked(void **state) {
  (void)state;
  struct object mine = {.name = "mine"}, all = {.name = "all"};
  const yoi_linked_plugin row = row_of(&mine), linked = row_of(&all);
  const yoi_linked_plugin *const list[] = {&linked};
  assert_int_equal(yoi_link_plugins(list, 1, NULL), YOI_OK);
  struct yoi_embed *host = with_row(STEP, &row), *other = made(STEP, NULL);
  answers(host, "mine");
  answers(other, "all");
  yoi_host_free(host);
  yoi_host_free(other);
  assert_int_equal(yoi_link_plugins(NULL, 0, NULL), YOI_OK);
}

static void a_reload_keeps_it(void **state) {
  (void)state;
  static const char with_another[] =
      "{\"step\":true,\"plugin_path\":[],\"runtimes\":[{\"id\":\"r\",\"plugin\":\"" OWN "\"},"
      "{\"id\":\"s\",\"plugin\":\"" OWN "\"}]}";
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  struct yoi_embed *host = with_row(STEP, &row);
  yoi_status st =
      yoi_host_reload(host, with_another, strlen(with_another), NULL, NULL, NULL, NULL);
  assert_int_equal(st, YOI_OK);
  answers(host, "a");
  assert_int_equal(a.opens, 2); /* the one that was there was not touched */
  static const char more[] = "{\"id\":\"t\",\"plugin\":\"" OWN "\"}";
  assert_int_equal(yoi_host_add_runtime(host, more, strlen(more), NULL), YOI_OK);
  yoi_host_free(host);
  assert_int_equal(a.opens, 3);
  assert_int_equal(a.closes, 3);
}

static yoi_status starts(const yoi_linked_plugin *row, const char *json, struct yoi_sdk_error *e) {
  const yoi_linked_plugin *const rows[] = {row};
  const yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1};
  struct yoi_embed *host = NULL;
  yoi_status st = yoi_host_new_with(json, strlen(json), &o, &host, yoi_sdk_error_init(e));
  if (st == YOI_OK) st = yoi_host_start(host, &e->e);
  yoi_host_free(host);
  return st;
}

static void a_table_is_checked_as_any(void **state) {
  (void)state;
  static const yoi_runtime no_start = {.size = sizeof no_start,
                                       .thread_model = YOI_PARALLEL,
                                       .open = own_open,
                                       .close = own_close};
  static const yoi_runtime serial = {.size = sizeof serial,
                                     .thread_model = YOI_SERIAL,
                                     .open = own_open,
                                     .close = own_close,
                                     .start = own_start};
  static const uint32_t no_size[2] = {4, YOI_PARALLEL};
  struct object a = {.name = "a"};
  const struct {
    const void *table;
    const char *manifest, *words;
  } rows[] = {
      {&no_start, manifest, "member 'start' is missing"},
      {&serial, manifest, "'serial' is not supported"},
      {no_size, manifest, "field 'size'"},
      {&own_table, MANIFEST_OF(OWN, ", \"yoi.offline/1\""), "'yoi.offline/1' of the manifest"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const yoi_linked_plugin row = {.size = sizeof row, .manifest = rows[i].manifest,
                                   .table = rows[i].table, .user = &a};
    struct yoi_sdk_error e;
    assert_int_not_equal(starts(&row, STEP, &e), YOI_OK);
    if (strstr(e.message, rows[i].words) == NULL) fail_msg("%zu: %s", i, e.message);
  }
  assert_int_equal(a.opens, 0);
}

static void options_are_checked(void **state) {
  (void)state;
  static const yoi_linked_plugin bad = {.size = sizeof bad, .manifest = manifest};
  const yoi_linked_plugin *many[YOI_PLUGINS_MAX + 1] = {&bad};
  struct yoi_sdk_error e;
  struct {
    yoi_host_options o;
    uint64_t newer;
  } longer = {.o = {.size = sizeof longer}, .newer = 1};
  struct yoi_embed *host = (struct yoi_embed *)(uintptr_t)8;
  yoi_host_options o = {.size = sizeof o, .plugins = many, .n_plugins = 1};
  assert_int_equal(yoi_host_new_with("{}", 2, &o, &host, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_null(host);
  assert_non_null(strstr(e.message, "linked plugin 0: expected one of"));
  o.n_plugins = YOI_PLUGINS_MAX + 1;
  assert_int_equal(yoi_host_new_with("{}", 2, &o, &host, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "expected at most"));
  o = (yoi_host_options){.size = sizeof o, .reserved = 1};
  assert_int_equal(yoi_host_new_with("{}", 2, &o, &host, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "'reserved'"));
  o = (yoi_host_options){.size = sizeof o, .n_plugins = 1};
  assert_int_equal(yoi_host_new_with("{}", 2, &o, &host, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(yoi_host_new_with("{}", 2, &longer.o, &host, NULL), YOI_UNIMPLEMENTED);
  longer.newer = 0;
  assert_int_equal(yoi_host_new_with("{}", 2, &longer.o, NULL, NULL), YOI_OK);
}

/* As many as there may be, of one host and for all together. */
static void there_is_a_limit_to_rows(void **state) {
  (void)state;
  struct object a = {.name = "a"};
  static char texts[YOI_PLUGINS_MAX + 1][400];
  static yoi_linked_plugin rows[YOI_PLUGINS_MAX + 1];
  static const yoi_linked_plugin *list[YOI_PLUGINS_MAX + 1];
  struct yoi_sdk_error e;
  for (int i = 0; i <= YOI_PLUGINS_MAX; i++) {
    snprintf(texts[i], sizeof texts[i], MANIFEST_OF("com.x.n%d", ""), i);
    rows[i] = (yoi_linked_plugin){.size = sizeof rows[i], .manifest = texts[i],
                                  .table = &own_table, .user = &a};
    list[i] = &rows[i];
  }
  const char json[] = "{\"plugin_path\":[]}";
  yoi_host_options o = {.size = sizeof o, .plugins = list, .n_plugins = YOI_PLUGINS_MAX};
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, NULL, NULL), YOI_OK);
  assert_int_equal(yoi_link_plugins(list + YOI_PLUGINS_MAX, 1, NULL), YOI_OK);
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, NULL, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "more than"));
  assert_int_equal(yoi_link_plugins(NULL, 0, NULL), YOI_OK);
}

/* Each host has its own; what is given to none is no socket's name. */
static void sockets_are_of_one_host(void **state) {
  (void)state;
  struct sockaddr_in at = {.sin_family = AF_INET};
  struct yoi_sdk_error e;
  struct yoi_embed *host = NULL;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
  yoi_socket s = {.name = YOI_LIT("web"), .fd = fd};
  yoi_host_options o = {.size = sizeof o, .sockets = &s, .n_sockets = 1};
  const char json[] = "{\"plugin_path\":[]}";
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, &host, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_string_equal(e.message, "socket 'web': expected a stream socket that listens");
  assert_null(host);
  assert_int_equal(listen(fd, 1), 0);
  for (size_t i = 0; i < 3; i++) { /* checked only, made, and of an older caller */
    struct yoi_embed **out = i == 0 ? NULL : &host;
    if (i == 2) o.size = offsetof(yoi_host_options, sockets);
    assert_int_equal(yoi_host_new_with(json, strlen(json), &o, out, NULL), YOI_OK);
    yoi_host_free(host);
    host = NULL;
  }
  o = (yoi_host_options){.size = sizeof o, .n_sockets = 1};
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, &host, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_string_equal(e.message, "options: expected at most 0 sockets");
  close(fd);
}

static void on_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                       const char *message) {
  (void)line, (void)column, (void)pointer, (void)message;
  ++*(int *)ctx;
}

static void all_findings_are_reported(void **state) {
  (void)state;
  int n = 0;
  const yoi_host_options o = {.size = sizeof o, .report = on_finding, .report_ctx = &n};
  const char json[] = "{\"plugin_path\":[],\"loops\":0,\"colour\":1}";
  struct yoi_embed *host = NULL;
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, &host, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(n, 2);
  assert_int_equal(yoi_host_new_with(json, strlen(json), &o, NULL, NULL), YOI_INVALID_ARGUMENT);
  assert_int_equal(n, 4);
}

/* ---- the log --------------------------------------------------------------- */

struct lines {
  struct yoi_embed *host;
  char text[2048];
  int n, levels[5];
};

static void on_line(void *ctx, uint32_t level, yoi_str line) {
  struct lines *l = ctx;
  size_t at = strlen(l->text);
  assert_null(memchr(line.ptr, '\n', line.len));
  l->n++;
  l->levels[level]++;
  snprintf(l->text + at, sizeof l->text - at, "%.*s\n", YOI_ARG(line));
  if (l->host != NULL) yoi_host_wakeup(l->host); /* what it may do */
}

static void lines_go_to_the_application(void **state) {
  (void)state;
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  const yoi_linked_plugin *const rows[] = {&row};
  struct lines mine = {.n = 0}, other = {.n = 0};
  yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1, .log = on_line,
                        .log_ctx = &mine};
  int saved = dup(STDERR_FILENO), pipes[2];
  assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
  assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
  struct yoi_embed *host = made(STEP, &o);
  o.log_ctx = &other;
  struct yoi_embed *second =
      made("{\"step\":true,\"plugin_path\":[],\"log\":{\"level\":\"warn\"}}", &o);
  mine.host = host;
  assert_int_equal(yoi_host_drain(host, 100, NULL), YOI_OK);
  assert_int_equal(yoi_host_drain(second, 100, NULL), YOI_OK);
  mine.host = NULL;
  yoi_host_free(host);
  yoi_host_free(second);
  assert_true(dup2(saved, STDERR_FILENO) >= 0);
  close(saved);
  close(pipes[1]);
  char none;
  assert_int_equal(read(pipes[0], &none, 1), 0); /* nothing there */
  close(pipes[0]);
  assert_non_null(strstr(mine.text, "level=info msg=\"opened\\nhere\" plugin=" OWN
                                   " runtime=r\n"));
  assert_non_null(strstr(mine.text, "msg=ready\n"));
  assert_non_null(strstr(mine.text, "msg=drained\n"));
  assert_int_equal(mine.levels[YOI_LOG_INFO], mine.n);
  assert_int_equal(other.n, 0); /* below its level */
}

/* In the log, and again with each config that does not name it. */
static void one_that_nobody_names_is_warned_of(void **state) {
  (void)state;
  struct sockaddr_in at = {.sin_family = AF_INET};
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  const yoi_linked_plugin *const rows[] = {&row};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
  assert_int_equal(listen(fd, 1), 0);
  yoi_socket s = {.name = YOI_LIT("idle"), .fd = fd};
  struct lines l = {.n = 0};
  yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1, .log = on_line,
                        .log_ctx = &l, .sockets = &s, .n_sockets = 1};
  struct yoi_embed *host = made(STEP, &o);
  close(fd); /* the host has its own */
  assert_non_null(strstr(l.text, "level=warn msg=\"socket is not used\" name=idle\n"));
  assert_int_equal(l.levels[YOI_LOG_WARN], 1);
  assert_int_equal(yoi_host_reload(host, STEP, strlen(STEP), NULL, NULL, NULL, NULL), YOI_OK);
  assert_int_equal(l.levels[YOI_LOG_WARN], 2);
  yoi_host_free(host);
}

/* ---- a config from calls ---------------------------------------------------- */

static char *text_of(const struct yoi_config *c) {
  struct yoi_sdk_error e;
  char *text = NULL;
  size_t len = 0;
  if (yoi_config_text(c, &text, &len, yoi_sdk_error_init(&e)) != YOI_OK) fail_msg("%s", e.message);
  assert_int_equal(len, strlen(text));
  return text;
}

static void a_config_is_made_of_calls(void **state) {
  (void)state;
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  struct yoi_config *c = yoi_config_new();
  char *text = text_of(c);
  assert_string_equal(text, "{}\n");
  yoi_free(text);
  yoi_config_runtime(c, "r", OWN, NULL);
  text = text_of(c);
  assert_string_equal(text, "{\"runtimes\": [{\"id\":\"r\",\"plugin\":\"" OWN "\"}]}\n");
  yoi_free(text);
  yoi_config_set(c, "step", " true\n");
  yoi_config_set(c, "plugin_path", "[]");
  yoi_config_runtime(c, "s", OWN, "{\"limits\": {\"workers\": 3}}");
  text = text_of(c); /* asked for again, with more in it */
  struct yoi_embed *host = with_row(text, &row);
  answers(host, "a");
  assert_int_equal(a.opens, 2);
  yoi_host_free(host);
  yoi_free(text);
  yoi_config_model(c, "quo\"te", "no.such", "{}");
  text = text_of(c);
  assert_non_null(strstr(text, "\"models\": [{\"name\":\"quo\\\"te\",\"plugin\":\"no.such\","
                               "\"config\":{}}]}\n"));
  yoi_free(text);
  yoi_config_free(c);
}

static void a_value_cannot_leave_its_place(void **state) {
  (void)state;
  static const char *const bad[] = {"true, \"loops\": 9", "{", "1 // more", "", "\"\xff\"", "[1,]",
                                    "{\"a\":1,\"a\":2}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    for (int how = 0; how < 3; how++) {
      struct yoi_config *c = yoi_config_new();
      struct yoi_sdk_error e;
      char *text = (char *)(uintptr_t)8;
      if (how == 0) yoi_config_set(c, "step", bad[i]);
      if (how == 1) yoi_config_runtime(c, "step", OWN, bad[i]);
      if (how == 2) yoi_config_model(c, "step", OWN, bad[i]);
      yoi_config_set(c, "other", "{"); /* the first one is kept */
      assert_int_equal(yoi_config_text(c, &text, NULL, yoi_sdk_error_init(&e)),
                       YOI_INVALID_ARGUMENT);
      assert_null(text);
      assert_non_null(strstr(e.message, "value of 'step': line 1, column "));
      yoi_config_free(c);
    }
  }
}

static void a_config_has_a_limit(void **state) {
  (void)state;
  char *value = malloc(YOI_CONFIG_BYTES_MAX + 1);
  struct yoi_sdk_error e;
  assert_non_null(value);
  memset(value, 'a', YOI_CONFIG_BYTES_MAX);
  value[YOI_CONFIG_BYTES_MAX] = '\0';
  /* {"k": "aaa"} and a line feed: as many bytes as a config may have, or one more. */
  for (int more = 0; more < 2; more++) {
    struct yoi_config *c = yoi_config_new();
    size_t n = YOI_CONFIG_BYTES_MAX - strlen("{\"k\": }\n") + (size_t)more;
    char *text = NULL;
    size_t len = 0;
    value[0] = value[n - 1] = '"';
    value[n] = '\0';
    yoi_config_set(c, "k", value);
    value[n - 1] = value[n] = 'a';
    yoi_status st = yoi_config_text(c, &text, &len, yoi_sdk_error_init(&e));
    assert_int_equal(st, more ? YOI_RESOURCE_EXHAUSTED : YOI_OK);
    if (more) assert_non_null(strstr(e.message, "larger than 1048576 bytes"));
    if (!more) assert_int_equal(len, YOI_CONFIG_BYTES_MAX);
    yoi_free(text);
    yoi_config_free(c);
  }
  free(value);
}

static void no_config_is_accepted(void **state) {
  (void)state;
  char *text = NULL;
  yoi_config_set(NULL, "a", "1");
  yoi_config_runtime(NULL, "a", "b", NULL);
  yoi_config_model(NULL, "a", "b", NULL);
  assert_int_equal(yoi_config_text(NULL, &text, NULL, NULL), YOI_RESOURCE_EXHAUSTED);
  yoi_config_free(NULL);
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  const yoi_linked_plugin *const rows[] = {&row};
  struct sockaddr_in at = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
  assert_int_equal(listen(fd, 1), 0);
  const yoi_socket s = {.name = YOI_LIT("web"), .fd = fd};
  const yoi_host_options o = {
      .size = sizeof o, .plugins = rows, .n_plugins = 1, .sockets = &s, .n_sockets = 1};
  uint64_t n = 1, made_of = 0;
  do {
    struct yoi_embed *host = NULL;
    char *text = NULL;
    size_t len = 0;
    (void)yoi_sdk_mem_fail_at(n);
    struct yoi_config *c = yoi_config_new();
    yoi_config_set(c, "step", "true");
    yoi_config_set(c, "plugin_path", "[]");
    yoi_config_runtime(c, "r", OWN, "{\"a\": 1}");
    yoi_status st = yoi_config_text(c, &text, &len, NULL);
    if (st == YOI_OK) st = yoi_host_new_with(text, len, &o, &host, NULL);
    made_of = yoi_sdk_mem_fail_at(0);
    if (made_of >= n) assert_int_not_equal(st, YOI_OK); /* none is passed over in silence */
    yoi_host_free(host);
    yoi_free(text);
    yoi_config_free(c);
  } while (made_of >= n++ && n < 2000);
  assert_true(n > 20 && n < 2000);
  close(fd);
}

/* ---- the process -------------------------------------------------------------- */

/* In the child: everything is refused, and nothing reaches the parent. 0: so it is. */
static int refused_here(struct yoi_embed *host, uint64_t call) {
  struct yoi_sdk_error e;
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  char *text = NULL;
  yoi_error *err = yoi_sdk_error_init(&e);
  int bad = 0;
  bad += yoi_host_start(host, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_host_step(host, 0, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_host_drain(host, 1000, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_host_add_runtime(host, "{}", 2, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_host_remove_runtime(host, YOI_LIT("r"), 0, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_host_reload(host, "{}", 2, NULL, NULL, NULL, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_call(host, YOI_LIT("r"), &r, NULL, NULL, NULL, err) != YOI_FAILED_PRECONDITION;
  bad += yoi_call_sync(host, YOI_LIT("r"), &r, &text, NULL, err) != YOI_FAILED_PRECONDITION;
  bad += e.e.code != YOI_CODE_INVALID_REQUEST || strstr(e.message, "another process") == NULL;
  bad += yoi_host_fd(host) != -1;
  yoi_call_cancel(host, call);
  yoi_host_wakeup(host);
  yoi_host_free(host);
  return bad;
}

/* In the child of one that has no threads: a host of its own works. */
static int works_here(void) {
  struct object b = {.name = "b"};
  const yoi_linked_plugin row = row_of(&b);
  const yoi_linked_plugin *const rows[] = {&row};
  const yoi_host_options o = {.size = sizeof o, .plugins = rows, .n_plugins = 1};
  yoi_request r = {.size = sizeof r, .op = YOI_OP_RUNTIME_DESCRIBE};
  struct yoi_embed *host = NULL;
  char *text = NULL;
  int ok = yoi_host_new_with(STEP, strlen(STEP), &o, &host, NULL) == YOI_OK &&
           yoi_host_start(host, NULL) == YOI_OK &&
           yoi_call_sync(host, YOI_LIT("r"), &r, &text, NULL, NULL) == YOI_OK &&
           strstr(text, "\"i_am\":\"b\"") != NULL;
  yoi_free(text);
  yoi_host_free(host);
  return ok;
}

static void child_says(int expected, pid_t pid) {
  int status = 0;
  assert_true(pid > 0);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), expected);
}

static void a_forked_child_has_no_host(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct object a = {.name = "a"};
    const yoi_linked_plugin row = row_of(&a);
    struct yoi_embed *host = with_row(step ? STEP : THREADS, &row);
    answers(host, "a");
    if (step) { /* nothing is left to do, so that a wakeup would be seen */
      struct pollfd p = {.fd = yoi_host_fd(host), .events = POLLIN};
      for (int i = 0; i < 100 && poll(&p, 1, 0) == 1; i++) (void)yoi_host_step(host, 0, NULL);
      assert_int_equal(poll(&p, 1, 0), 0);
    }
    pid_t pid = fork();
    if (pid == 0) _exit(refused_here(host, 1) + (step && !works_here() ? 100 : 0));
    child_says(0, pid);
    if (step) {
      struct pollfd p = {.fd = yoi_host_fd(host), .events = POLLIN};
      assert_int_equal(poll(&p, 1, 0), 0);
    }
    answers(host, "a"); /* the parent's goes on */
    yoi_host_free(host);
    assert_int_equal(a.closes, 1);
  }
}

static void the_process_is_left_alone(void **state) {
  (void)state;
  char cwd[4096], now[4096];
  struct object a = {.name = "a"};
  const yoi_linked_plugin row = row_of(&a);
  mode_t mask = umask(027);
  assert_non_null(getcwd(cwd, sizeof cwd));
  const char *locale = setlocale(LC_ALL, "C.UTF-8");
  assert_non_null(locale);
  locale_t thread = uselocale((locale_t)0);
  for (int step = 0; step < 2; step++) {
    struct yoi_embed *host = with_row(step ? STEP : THREADS, &row);
    answers(host, "a");
    assert_int_equal(yoi_host_drain(host, 100, NULL), YOI_OK);
    yoi_host_free(host);
  }
  assert_int_equal(umask(mask), 027);
  assert_string_equal(getcwd(now, sizeof now), cwd);
  assert_string_equal(setlocale(LC_ALL, NULL), "C.UTF-8");
  assert_ptr_equal(uselocale((locale_t)0), thread);
  (void)setlocale(LC_ALL, "C");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_table_serves_two_hosts),
      cmocka_unit_test(it_is_known_to_that_host_alone),
      cmocka_unit_test(it_comes_before_what_is_linked),
      cmocka_unit_test(a_reload_keeps_it),
      cmocka_unit_test(a_table_is_checked_as_any),
      cmocka_unit_test(options_are_checked),
      cmocka_unit_test(sockets_are_of_one_host),
      cmocka_unit_test(there_is_a_limit_to_rows),
      cmocka_unit_test(all_findings_are_reported),
      cmocka_unit_test(lines_go_to_the_application),
      cmocka_unit_test(one_that_nobody_names_is_warned_of),
      cmocka_unit_test(a_config_is_made_of_calls),
      cmocka_unit_test(a_value_cannot_leave_its_place),
      cmocka_unit_test(a_config_has_a_limit),
      cmocka_unit_test(no_config_is_accepted),
      cmocka_unit_test(memory_may_be_short_anywhere),
      cmocka_unit_test(a_forked_child_has_no_host),
      cmocka_unit_test(the_process_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
