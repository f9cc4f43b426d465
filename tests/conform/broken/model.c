/* model.c - a model that says a text, its usage and that it is done; and how each
 * promise of a shared object, of instances, of memory, of streams and of models is
 * broken. With tools it asks for the first one.
 */
#include <yoi/model.h>

#include "common.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>

#define BREAKS(X)                                                                              \
  X(none) X(lib_manifest) X(lib_symbols) X(lib_loads) X(lib_entry_twice) X(lib_scan_time)      \
  X(lib_agrees) X(lib_unknown_interface) X(env_working_directory) X(env_umask) X(env_signals)  \
  X(env_locale) X(env_environment) X(env_descriptors) X(env_threads) X(inst_open)              \
  X(inst_bad_config) X(inst_allocator_open) X(inst_null_error) X(inst_small_error)             \
  X(inst_allocator_start) X(inst_thousand) X(inst_two) X(mem_config_view)                      \
  X(mem_config_borrowed) X(mem_request_view) X(mem_request_borrowed) X(mem_request_larger)     \
  X(mem_request_unknown)                                                                       \
  X(mem_batch_own) X(mem_host_truncated) X(stream_ops_shape) X(stream_batch)                   \
  X(stream_event_shape) X(stream_untouched) X(stream_end_is_sticky) X(stream_again_wakes)      \
  X(stream_cancel_ends) X(stream_cancel_twice) X(stream_cancel_races)                          \
  X(stream_release_any_state) X(stream_release_null) X(stream_never_blocks) X(stream_bounded)  \
  X(model_finish) X(model_usage) X(model_tool_call) X(model_text) X(model_kinds)               \
  X(model_many_messages) X(model_error) X(model_error_code)          \
  X(inst_null_error_start) X(inst_null_error_next) X(inst_small_error_start) \
  X(stream_cancel_wakes) X(none_waits) X(none_serial) X(none_named)
enum { BREAKS(ENUM) };

#define PILE (4u << 20)
#define WAITS (IS(none_waits) || IS(stream_cancel_wakes))

struct self {
  const yoi_host *host;
  const char *config;
};

struct talk {
  yoi_stream head;
  const yoi_host *host;
  uint64_t token;
  pthread_t starter;
  unsigned step, begun;
  int tools, fails;
  uint64_t timer;
  _Atomic unsigned cancels;
  char *pile;
  const char *lent;
  char text[32];
  yoi_event event;
  const yoi_event *events[1];
};

static volatile char sink;
static unsigned opened, talks;

/* ---- streams ------------------------------------------------------------------------ */

static yoi_status say(struct talk *t, uint32_t kind, const char *text,
                      const yoi_event *const **out, size_t *out_n) {
  static char shared[32];
  (void)snprintf(t->text, sizeof t->text, "%s", text);
  const char *from = strlen(text) < sizeof t->text ? t->text : text;
  if (IS(mem_batch_own) && kind == YOI_EVENT_MODEL_TEXT) {
    (void)snprintf(shared, sizeof shared, "%u", talks++ % 10);
    from = shared;
  }
  t->event = (yoi_event){.size = sizeof t->event, .kind = kind, .text = {from, strlen(from)}};
  if (IS(stream_event_shape)) t->event.reserved = 1;
  t->events[0] = &t->event;
  *out = t->events;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status fail_as_model(yoi_error *err) {
  yoi_status st = yoi_sdk_fail(err, IS(model_error_code) ? YOI_CODE_INTERNAL : YOI_CODE_MODEL_ERROR,
                               "the model cannot do that");
  yoi_sdk_fail_details(err, IS(model_error) ? YOI_LIT("{\"kind\":\"tired\",\"retryable\":false}")
                                            : YOI_LIT("{\"kind\":\"invalid_request\","
                                                      "\"retryable\":false}"));
  return st;
}

/* What it waits for, where it waits. */
static void ripe(void *ctx) {
  struct talk *t = ctx;
  t->timer = 0;
  if (!atomic_load(&t->cancels)) t->host->wake(t->host, t->token);
}

static yoi_status wait_a_moment(struct talk *t) {
  const yoi_host_loop *loop = t->host->get_interface(t->host, YOI_LIT(YOI_HOST_LOOP_ID));
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + 20000000u;
  return loop->timer(t->host, at, ripe, t, &t->timer) == YOI_OK ? YOI_AGAIN : YOI_INTERNAL;
}

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)(void *)s;
  if (IS(none_serial)) usleep(150000); /* as plugin.h lets it */
  if (IS(mem_request_borrowed)) sink = t->lent[0];
  if (atomic_load(&t->cancels)) {
    if (IS(stream_cancel_ends)) return YOI_AGAIN;
    if (IS(inst_null_error_next)) err->code = 0;
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  if (t->fails) return fail_as_model(err);
  t->begun = 1;
  if (t->timer) return YOI_AGAIN;
  switch (t->step++) {
    case 0:
      if (IS(stream_again_wakes)) return YOI_AGAIN;
      if (WAITS) return wait_a_moment(t);
      if (IS(stream_batch)) {
        *out_n = 0;
        return YOI_OK;
      }
      t->step++;
      /* fall through */
    case 1:
      return say(t, YOI_EVENT_MODEL_TEXT, IS(model_text) ? "caf\xc3" : "hello", out, out_n);
    case 2:
      if (IS(model_kinds)) return say(t, YOI_EVENT_RESULT, "{}", out, out_n);
      return say(t, YOI_EVENT_MODEL_USAGE,
                 IS(model_usage)
                     ? "{\"input_tokens\":\"3\",\"output_tokens\":5,\"cached_tokens\":null,"
                       "\"reasoning_tokens\":null}"
                     : "{\"input_tokens\":3,\"output_tokens\":5,\"cached_tokens\":null,"
                       "\"reasoning_tokens\":null}",
                 out, out_n);
    case 3:
      if (t->tools)
        return say(t, YOI_EVENT_MODEL_TOOL_CALL,
                   IS(model_tool_call)
                       ? "{\"id\":\"call-1\",\"name\":\"conform_tool\",\"arguments\":{}}"
                       : "{\"id\":\"call-1\",\"name\":\"conform_tool\",\"arguments\":\"{}\"}",
                   out, out_n);
      t->step++;
      /* fall through */
    case 4:
      if (!IS(model_finish))
        return say(t, YOI_EVENT_MODEL_FINISH,
                   t->tools ? "{\"finish_reason\":\"tool_calls\"}" : "{\"finish_reason\":\"stop\"}",
                   out, out_n);
      t->step++;
      /* fall through */
    case 5:
      if (IS(stream_untouched)) *out_n = 0;
      return YOI_END;
    default:
      if (IS(stream_untouched)) *out_n = 0;
      t->step = 6;
      return IS(stream_end_is_sticky) ? YOI_AGAIN : YOI_END;
  }
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)(void *)s;
  if (IS(stream_cancel_races) && !pthread_equal(pthread_self(), t->starter)) abort();
  if (atomic_fetch_add(&t->cancels, 1u) > 0) {
    if (IS(stream_cancel_twice)) abort();
  } else if (!IS(stream_cancel_wakes)) {
    t->host->wake(t->host, t->token);
  }
}

static void talk_release(yoi_stream *s) {
  struct talk *t = (struct talk *)(void *)s;
  if (!s && !IS(stream_release_null)) return;
  if (IS(stream_release_any_state) && t->begun && t->step < 5 && !atomic_load(&t->cancels)) abort();
  if (t && t->timer) {
    const yoi_host_loop *loop = t->host->get_interface(t->host, YOI_LIT(YOI_HOST_LOOP_ID));
    loop->timer_cancel(t->host, t->timer);
  }
  free(t->pile);
  free(t);
}

static const yoi_stream_ops ops = {.size = sizeof ops,
                                   .reserved = IS(stream_ops_shape),
                                   .next = talk_next,
                                   .cancel = talk_cancel,
                                   .release = talk_release};

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct self *m = self;
  yoi_model_request whole;
  uint32_t size = req->size;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK && IS(inst_null_error_start)) err->code = YOI_CODE_INTERNAL;
  if (st != YOI_OK && IS(inst_small_error_start) && err && err->message)
    memset(err->message, 'x', 8);
  if (st != YOI_OK && !IS(mem_request_unknown)) return st;
  if (st == YOI_OK) req = &whole;
  if (IS(mem_request_larger) && size > sizeof *req)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a request of another size");
  if (IS(mem_config_borrowed)) sink = m->config[0];
  if (IS(mem_request_view)) sink = req->messages[0].ptr[req->messages[0].len];
  if (IS(stream_never_blocks) && talks++ == 0) usleep(600000); /* what it breaks */
  struct talk *t = calloc(1, sizeof *t);
  if (!t && !IS(inst_allocator_start)) return yoi_sdk_fail_memory(err);
  t->head.ops = &ops;
  t->host = m->host;
  t->token = req->token;
  t->starter = pthread_self();
  t->tools = req->tools.len > 2;
  t->lent = req->request_id.ptr;
  if (IS(stream_bounded) && (t->pile = malloc(PILE))) memset(t->pile, 1, PILE);
  if (IS(model_many_messages) && req->n_messages > 16) abort();
  t->fails = req->parameters.len > 0 &&
             memmem(req->parameters.ptr, req->parameters.len, "-1000", 5) != NULL;
  *out = &t->head;
  return YOI_OK;
}

/* ---- instances ------------------------------------------------------------------------ */

static void *idle(void *arg) {
  for (;;) (void)pause();
  return arg;
}

static void spoil_process(void) {
  pthread_t other;
  if (IS(env_working_directory)) (void)!chdir("/");
  if (IS(env_umask)) (void)umask(0);
  if (IS(env_signals)) (void)signal(SIGUSR1, SIG_IGN);
  if (IS(env_locale)) (void)setlocale(LC_ALL, "C.UTF-8");
  if (IS(env_environment)) (void)setenv("BROKEN", "1", 1);
  if (IS(env_descriptors)) (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (IS(env_threads) && opened < 4 && pthread_create(&other, NULL, idle, NULL) == 0)
    (void)pthread_detach(other);
}

static yoi_status no_memory(yoi_error *err) {
  if (IS(inst_null_error)) err->code = YOI_CODE_INTERNAL;
  if (IS(inst_allocator_open) && err && err->message_cap > 100) abort();
  if (IS(inst_small_error) && err && err->message) memset(err->message, 'x', 100);
  return yoi_sdk_fail_memory(err);
}

static yoi_status model_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  static struct self one;
  const yoi_host_metrics *metrics = host->get_interface(host, YOI_LIT(YOI_HOST_METRICS_ID));
  if (IS(inst_open)) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it will not open");
  struct self *m = IS(inst_two) ? &one : calloc(1, sizeof *m);
  if (!m) return no_memory(err);
  m->host = host;
  m->config = config.ptr;
  spoil_process();
  opened++;
  if (IS(mem_config_view)) sink = config.ptr[config.len];
  if (IS(mem_host_truncated) && metrics->make) sink = 1;
  if (IS(inst_thousand)) {
    char *kept = malloc(64);
    if (kept) kept[0] = sink;
  }
  *out_self = m;
  return YOI_OK;
}

static void model_close(void *self) {
  if (!IS(inst_two)) free(self);
}

/* ---- the object ------------------------------------------------------------------------- */

static const yoi_model model_table = {.size = sizeof model_table,
                                      .thread_model = IS(none_serial) ? YOI_SERIAL : YOI_PARALLEL,
                                      .open = model_open,
                                      .close = model_close,
                                      .start = model_start};

static const void *get_interface(yoi_str id) {
  return IS(lib_unknown_interface) || yoi_sdk_str_is(id, YOI_MODEL_ID) ? &model_table : NULL;
}

#define TABLE                                                                    \
  {                                                                              \
    .size = sizeof(yoi_plugin), .abi_minor = YOI_ABI_MINOR, .kind = YOI_KIND_MODEL, \
    .id = {"dev.yoi.test.broken", 19},                                           \
    .version = {IS(lib_agrees) ? "9.9.9" : "1.0.0", 5}, .get_interface = get_interface \
  }

#if defined(BREAK_WITH_EXPORT)
YOI_API int broken_export(void);
int broken_export(void) {
  return 1;
}
#endif
#if defined(BREAK_WITH_UNDEFINED)
extern int nobody_has_this(void);
#define UNDEFINED() nobody_has_this()
#else
#define UNDEFINED() 0
#endif

static void spin(void) {
  struct timespec now, from;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
  do (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < 110);
}

const yoi_plugin *yoi_plugin_entry_v1(void) {
  static const yoi_plugin tables[2] = {TABLE, TABLE};
  static unsigned calls;
  if (IS(lib_scan_time) && calls == 0) spin();
  if (UNDEFINED()) return NULL;
  calls++;
  return &tables[IS(lib_entry_twice) ? calls % 2 : 0];
}

YOI_MANIFEST_FILE(MANIFEST);
