/* plugin.c - a model that does to its process what no plugin should, when a call
 * starts; the config says which deed. A conformance kit has to bear each.
 *
 *   close       closes each descriptor that is not its own, and hangs
 *   write       writes `bytes` bytes of `value` into each pipe of the process
 *   leave       leaves a process in a session of its own
 *   fork-crash  leaves a process that has all of its descriptors, and aborts
 *   read        reads from the standard input until that ends
 *   slow        is no misdeed: the call goes on until it is cancelled
 */
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/plugin.h>
#include <sdk/take.h>
#include <yoi/model.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS 4096

struct unruly {
  const yoi_host *host;
  char does[16];
  int64_t bytes, value;
};

struct talk {
  yoi_stream head;
  const struct unruly *of;
  uint64_t token;
  unsigned step;
  _Atomic int cancelled;
  yoi_event event;
  const yoi_event *events[1];
};

static int does(const struct unruly *u, const char *deed) {
  return strcmp(u->does, deed) == 0;
}

/* ---- deeds ------------------------------------------------------------------------ */

static void wait_for_ever(void) {
  for (;;) (void)pause();
}

static void write_into_pipes(const struct unruly *u) {
  static char stray[4096];
  struct stat sb;
  memset(stray, (int)u->value, sizeof stray);
  for (int fd = 3; fd < DESCRIPTORS; fd++)
    if (fstat(fd, &sb) == 0 && S_ISFIFO(sb.st_mode))
      (void)!write(fd, stray, (size_t)u->bytes);
}

static void misbehave(const struct unruly *u) {
  char byte;
  if (does(u, "close")) {
    (void)syscall(SYS_close_range, 3u, ~0u, 0u);
    wait_for_ever();
  }
  if (does(u, "write")) write_into_pipes(u);
  if (does(u, "leave") && fork() == 0) {
    (void)setsid();
    wait_for_ever();
  }
  if (does(u, "fork-crash")) {
    if (fork() == 0) wait_for_ever();
    abort();
  }
  while (does(u, "read") && read(STDIN_FILENO, &byte, 1) == 1) continue;
}

/* ---- streams ---------------------------------------------------------------------- */

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)(void *)s;
  if (atomic_load(&t->cancelled)) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  if (does(t->of, "slow")) return YOI_AGAIN;
  if (t->step++ > 0) return YOI_END;
  t->event = (yoi_event){.size = sizeof t->event,
                         .kind = YOI_EVENT_MODEL_FINISH,
                         .text = YOI_LIT("{\"finish_reason\":\"stop\"}")};
  t->events[0] = &t->event;
  *out = t->events;
  *out_n = 1;
  return YOI_OK;
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)(void *)s;
  if (!atomic_exchange(&t->cancelled, 1)) t->of->host->wake(t->of->host, t->token);
}

static void talk_release(yoi_stream *s) {
  free(s);
}

static const yoi_stream_ops ops = {
    .size = sizeof ops, .next = talk_next, .cancel = talk_cancel, .release = talk_release};

static yoi_status start(void *self, const yoi_model_request *req, yoi_stream **out,
                        yoi_error *err) {
  yoi_model_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  misbehave(self);
  struct talk *t = calloc(1, sizeof *t);
  if (!t) return yoi_sdk_fail_memory(err);
  t->head.ops = &ops;
  t->of = self;
  t->token = whole.token;
  *out = &t->head;
  return YOI_OK;
}

/* ---- instances -------------------------------------------------------------------- */

static yoi_status unruly_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  struct unruly *u = calloc(1, sizeof *u);
  yoi_sdk_json *tree = NULL;
  yoi_str deed = {"", 0};
  if (!u || yoi_sdk_json_parse(config, 0, &tree, NULL) != YOI_OK) {
    free(u);
    return yoi_sdk_fail_memory(err);
  }
  u->host = host;
  u->bytes = 5;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(tree, "bytes"), &u->bytes);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(tree, "value"), &u->value);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(tree, "does"), &deed);
  if (deed.len < sizeof u->does) memcpy(u->does, deed.ptr, deed.len);
  yoi_sdk_json_free(tree);
  *out_self = u;
  return YOI_OK;
}

static void unruly_close(void *self) {
  free(self);
}

static const yoi_model unruly_model = {
    .size = sizeof(yoi_model),
    .thread_model = YOI_PARALLEL,
    .open = unruly_open,
    .close = unruly_close,
    .start = start,
};

YOI_SDK_PLUGIN("dev.yoi.test.unruly", "1.0.0", YOI_KIND_MODEL, YOI_MODEL_ID, unruly_model);
YOI_MANIFEST_FILE(MANIFEST);
