/* plugin.c - tools of which a test can say afterwards what they did.
 *
 * They have the id and the names of the tools for files, which the profile
 * `coder` asks for; a test that wants these puts them before all others into its
 * plugin_path. An effect is a line in the file that HANDS_LEDGER names: the
 * call's idempotency key, a space, its arguments. (It is no key of the config,
 * which is known to editors as that of the real plugin.)
 *
 *   fs_read   echo: its arguments; with {"bytes": N} so many bytes instead
 *   fs_list   slow: a status, then a piece every few milliseconds, for ever
 *   fs_glob   boom: an error
 *   fs_grep   meet: ends when two calls of it are there at once
 *   fs_write  mutate: the effect, and an output
 *   fs_edit   deaf: the effect, then nothing, whatever cancel says
 *
 * Each call gives at most one event, and looks again when it is woken.
 */
#include <fcntl.h>
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <yoi/host_loop.h>
#include <yoi/tool.h>

#define PIECE_NS 5000000u
#define CHUNK 4096u

enum verb { ECHO, SLOW, BOOM, MEET, MUTATE, DEAF };
static const char *const names[] = {"fs_read", "fs_list",  "fs_glob",
                                    "fs_grep", "fs_write", "fs_edit"};

struct hands {
  const yoi_host *host;
  const yoi_host_loop *loop;
  _Atomic uint64_t waits; /* token of a call of `meet`; 0: none */
};

struct job {
  yoi_stream head;
  struct hands *hands;
  enum verb verb;
  yoi_str arguments; /* owned */
  uint64_t token, timer, said;
  int64_t bytes; /* of echo, still to be said; -1: the arguments */
  int fired, first;
  _Atomic int cancelled;
  char text[CHUNK];
  yoi_event event;
  const yoi_event *events[1];
};

static yoi_status give(struct job *j, uint32_t kind, yoi_str text,
                       const yoi_event *const **out_events, size_t *out_n) {
  j->event = (yoi_event){.size = sizeof j->event, .kind = kind, .text = text};
  j->events[0] = &j->event;
  *out_events = j->events;
  *out_n = 1;
  j->said++;
  return YOI_OK;
}

/* ---- what they do ---- */

static yoi_status echo(struct job *j, const yoi_event *const **evs, size_t *n) {
  if (j->bytes < 0) return j->said ? YOI_END : give(j, YOI_EVENT_TOOL_OUTPUT, j->arguments, evs, n);
  if (j->bytes == 0) return YOI_END;
  size_t len = (size_t)j->bytes < CHUNK ? (size_t)j->bytes : CHUNK;
  for (size_t i = 0; i < len; i++) j->text[i] = (char)('a' + (j->said * CHUNK + i) % 26);
  j->bytes -= (int64_t)len;
  return give(j, YOI_EVENT_TOOL_OUTPUT, (yoi_str){j->text, len}, evs, n);
}

static void on_timer(void *ctx) {
  struct job *j = ctx;
  j->timer = 0;
  j->fired = 1;
  j->hands->host->wake(j->hands->host, j->token);
}

static yoi_status slow(struct job *j, const yoi_event *const **evs, size_t *n, yoi_error *err) {
  struct hands *h = j->hands;
  struct timespec now;
  if (j->said == 0) return give(j, YOI_EVENT_TOOL_STATUS, YOI_LIT("it begins\n"), evs, n);
  if (j->fired) {
    j->fired = 0;
    int len = snprintf(j->text, sizeof j->text, "piece %d\n", (int)j->said);
    return give(j, YOI_EVENT_TOOL_OUTPUT, (yoi_str){j->text, (size_t)len}, evs, n);
  }
  if (j->timer) return YOI_AGAIN;
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + PIECE_NS;
  yoi_status st = h->loop->timer(h->host, at, on_timer, j, &j->timer);
  return st == YOI_OK ? YOI_AGAIN : yoi_sdk_fail(err, YOI_CODE_INTERNAL, "there is no timer");
}

/* The second one wakes the first. */
static yoi_status meet(struct job *j, const yoi_event *const **evs, size_t *n) {
  struct hands *h = j->hands;
  if (j->said) return YOI_END;
  uint64_t other = j->first ? 0 : atomic_exchange(&h->waits, 0);
  if (other) {
    h->host->wake(h->host, other);
  } else if (!j->first) {
    j->first = 1;
    atomic_store(&h->waits, j->token);
  }
  if (j->first && atomic_load(&h->waits) != 0) return YOI_AGAIN;
  return give(j, YOI_EVENT_TOOL_OUTPUT, YOI_LIT("met"), evs, n);
}

static yoi_status job_next(yoi_stream *s, const yoi_event *const **evs, size_t *n, yoi_error *err) {
  struct job *j = (struct job *)s;
  if (atomic_load(&j->cancelled) && j->verb != DEAF) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  switch (j->verb) {
    case ECHO:
      return echo(j, evs, n);
    case SLOW:
      return slow(j, evs, n, err);
    case BOOM:
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "it went wrong, as asked");
    case MEET:
      return meet(j, evs, n);
    case MUTATE:
      return j->said ? YOI_END : give(j, YOI_EVENT_TOOL_OUTPUT, YOI_LIT("changed"), evs, n);
    default:
      return YOI_AGAIN;
  }
}

static void job_cancel(yoi_stream *s) {
  struct job *j = (struct job *)s;
  atomic_store(&j->cancelled, 1);
  j->hands->host->wake(j->hands->host, j->token);
}

static void job_release(yoi_stream *s) {
  struct job *j = (struct job *)s;
  if (!j) return;
  if (j->timer) j->hands->loop->timer_cancel(j->hands->host, j->timer);
  yoi_sdk_str_free(&j->arguments);
  yoi_sdk_free(j);
}

static const yoi_stream_ops job_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = job_next,
    .cancel = job_cancel,
    .release = job_release,
};

/* ---- starting ---- */

/* 0: it could not be written down, so it did not happen. */
static int effect(const yoi_tool_request *req) {
  const char *path = getenv("HANDS_LEDGER");
  char line[8192];
  int n = snprintf(line, sizeof line, "%.*s %.*s\n", YOI_ARG(req->idempotency_key),
                   YOI_ARG(req->arguments));
  int fits = path && n > 0 && (size_t)n < sizeof line;
  int fd = fits ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (fd < 0) return 0;
  int done = write(fd, line, (size_t)n) == n;
  close(fd);
  return done;
}

static yoi_status hands_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct hands *h = self;
  yoi_sdk_json *arguments = NULL;
  size_t verb = 0;
  while (verb < sizeof names / sizeof *names && !yoi_sdk_str_is(req->name, names[verb])) verb++;
  if (verb == sizeof names / sizeof *names)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is no such tool");
  struct job *j = yoi_sdk_calloc(1, sizeof *j);
  if (!j) return yoi_sdk_fail_memory(err);
  j->head.ops = &job_ops;
  j->hands = h;
  j->verb = (enum verb)verb;
  j->token = req->token;
  j->bytes = -1;
  j->arguments = yoi_sdk_str_dup(req->arguments);
  yoi_status st =
      j->arguments.ptr && yoi_sdk_json_parse(req->arguments, 0, &arguments, NULL) == YOI_OK
          ? YOI_OK
          : yoi_sdk_fail_memory(err);
  if (st == YOI_OK) (void)yoi_sdk_json_int(yoi_sdk_json_get(arguments, "bytes"), &j->bytes);
  yoi_sdk_json_free(arguments);
  if (st == YOI_OK && (j->verb == MUTATE || j->verb == DEAF) && !effect(req))
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the effect could not be written down");
  if (st == YOI_OK)
    *out = &j->head;
  else
    job_release(&j->head);
  return st;
}

static yoi_status hands_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  struct hands *h = yoi_sdk_calloc(1, sizeof *h);
  (void)config;
  if (!h) return yoi_sdk_fail_memory(err);
  h->host = host;
  h->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *h->loop);
  *out_self = h;
  if (h->loop) return YOI_OK;
  yoi_sdk_free(h);
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no loops");
}

static void hands_close(void *self) {
  yoi_sdk_free(self);
}

static const yoi_tool hands_tool = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_PARALLEL,
    .open = hands_open,
    .close = hands_close,
    .start = hands_start,
};

YOI_SDK_PLUGIN("dev.yoi.tool-fs", "0.0.1", YOI_KIND_TOOL, YOI_TOOL_ID, hands_tool);
YOI_MANIFEST_FILE(MANIFEST);
