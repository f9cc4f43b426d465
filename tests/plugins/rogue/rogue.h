/* rogue.h - the part of the three rogues that is the same: a stream that does a
 * deed at one of its operations, and a config with deeds for open and close.
 *
 * A call says what is done in it: "rogue:DEED@OPERATION;" anywhere in its text,
 * with the operations start, next, cancel and release. Without that word it is a
 * harmless call that says "harmless". What a deed has come to is the text of the
 * call; one at cancel comes when the call is cancelled, which says "waiting"
 * before. Three more deeds are of streams alone: `flood` never ends, `deaf` does not
 * hear, and `large` says more at once than the host takes of anybody.
 */
#ifndef ROGUE_ROGUE_H
#define ROGUE_ROGUE_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdatomic.h>
#include <yoi/stream.h>

#include "deeds.h"

#define ROGUE_PIECE 16384
#define ROGUE_WAKES 100000
#define ROGUE_LARGE (20u << 20)

struct rogue {
  const yoi_host *host;
  char open[64], close[64];
};

struct rogue_stream {
  yoi_stream head;
  struct rogue *rogue;
  uint64_t token;
  uint32_t kind;       /* of the event with the text */
  yoi_str last;        /* of kind last_kind, behind it; empty: none */
  uint32_t last_kind;
  char deed[64], at[16];
  _Atomic int cancelled;
  int given;
  char text[DEED_TEXT > ROGUE_PIECE ? DEED_TEXT : ROGUE_PIECE];
  yoi_event event;
  const yoi_event *events[1];
};

static inline int rogue_is(const struct rogue_stream *s, const char *at) {
  return strcmp(s->at, at) == 0;
}

static inline yoi_status rogue_give(struct rogue_stream *s, uint32_t kind, yoi_str text,
                                    const yoi_event *const **out, size_t *out_n) {
  s->event = (yoi_event){.size = sizeof s->event, .kind = kind, .text = text};
  s->events[0] = &s->event;
  *out = s->events;
  *out_n = 1;
  return YOI_OK;
}

static inline yoi_status rogue_next(yoi_stream *base, const yoi_event *const **out, size_t *out_n,
                                    yoi_error *err) {
  struct rogue_stream *s = (struct rogue_stream *)base;
  yoi_sdk_error_clear(err);
  if (strcmp(s->deed, "flood") == 0) {
    memset(s->text, 'f', ROGUE_PIECE);
    return rogue_give(s, s->kind, (yoi_str){s->text, ROGUE_PIECE}, out, out_n);
  }
  if (strcmp(s->deed, "large") == 0) {
    static char large[ROGUE_LARGE];
    memset(large, 'l', sizeof large);
    return rogue_give(s, s->kind, (yoi_str){large, sizeof large}, out, out_n);
  }
  if (strcmp(s->deed, "deaf") == 0) return YOI_AGAIN;
  if (atomic_load(&s->cancelled)) return YOI_CANCELLED;
  if (rogue_is(s, "cancel"))
    return s->given++ == 0 ? rogue_give(s, s->kind, YOI_LIT("waiting"), out, out_n) : YOI_AGAIN;
  if (s->given == 0 && rogue_is(s, "next")) {
    for (int i = 0; strcmp(s->deed, "wakes") == 0 && i < ROGUE_WAKES; i++)
      s->rogue->host->wake(s->rogue->host, s->token);
    deed_do(s->deed, s->rogue->host, s->text, DEED_TEXT);
  }
  switch (s->given++) {
    case 0: return rogue_give(s, s->kind, (yoi_str){s->text, strlen(s->text)}, out, out_n);
    case 1:
      if (s->last.len > 0) return rogue_give(s, s->last_kind, s->last, out, out_n);
      return YOI_END;
    default: return YOI_END;
  }
}

static inline void rogue_cancel(yoi_stream *base) {
  struct rogue_stream *s = (struct rogue_stream *)base;
  if (rogue_is(s, "cancel")) deed_do(s->deed, s->rogue->host, s->text, DEED_TEXT);
  atomic_store(&s->cancelled, 1);
  s->rogue->host->wake(s->rogue->host, s->token);
}

static inline void rogue_release(yoi_stream *base) {
  struct rogue_stream *s = (struct rogue_stream *)base;
  if (s == NULL) return;
  if (rogue_is(s, "release")) deed_do(s->deed, s->rogue->host, s->text, DEED_TEXT);
  yoi_sdk_free(s);
}

/* "rogue:DEED@OPERATION;" in text, or nothing. */
static inline void rogue_read(struct rogue_stream *s, yoi_str text) {
  const char *at = memmem(text.ptr, text.len, "rogue:", 6);
  const char *end = text.ptr + text.len;
  const char *stop = at != NULL ? memchr(at, ';', (size_t)(end - at)) : NULL;
  const char *mid = stop != NULL ? memchr(at, '@', (size_t)(stop - at)) : NULL;
  if (mid == NULL) return;
  snprintf(s->deed, sizeof s->deed, "%.*s", (int)(mid - at - 6), at + 6);
  snprintf(s->at, sizeof s->at, "%.*s", (int)(stop - mid - 1), mid + 1);
}

/* A stream for a call of that text; a deed at start is done now. */
static inline struct rogue_stream *rogue_begin(struct rogue *r, yoi_str text, uint64_t token,
                                               uint32_t kind) {
  static const yoi_stream_ops ops = {.size = sizeof(yoi_stream_ops),
                                     .next = rogue_next,
                                     .cancel = rogue_cancel,
                                     .release = rogue_release};
  struct rogue_stream *s = yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->head.ops = &ops;
  s->rogue = r;
  s->token = token;
  s->kind = kind;
  snprintf(s->text, sizeof s->text, "harmless");
  rogue_read(s, text);
  if (rogue_is(s, "start")) deed_do(s->deed, r->host, s->text, DEED_TEXT);
  return s;
}

static inline yoi_status rogue_open(const yoi_host *host, yoi_str config, void **out_self,
                                    yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  yoi_str v = {NULL, 0};
  char text[DEED_TEXT];
  struct rogue *r = yoi_sdk_calloc(1, sizeof *r);
  if (r == NULL) return yoi_sdk_fail_memory(err);
  r->host = host;
  if (config.len > 0 && yoi_sdk_json_parse(config, 0, &tree, NULL) != YOI_OK) {
    yoi_sdk_free(r);
    return yoi_sdk_fail_memory(err);
  }
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "open"), &v))
    snprintf(r->open, sizeof r->open, "%.*s", YOI_ARG(v));
  if (yoi_sdk_json_str(yoi_sdk_json_get(tree, "close"), &v))
    snprintf(r->close, sizeof r->close, "%.*s", YOI_ARG(v));
  yoi_sdk_json_free(tree);
  if (r->open[0] != 0) deed_do(r->open, host, text, sizeof text);
  *out_self = r;
  return YOI_OK;
}

static inline void rogue_close(void *self) {
  struct rogue *r = self;
  char text[DEED_TEXT];
  if (r != NULL && r->close[0] != 0) deed_do(r->close, r->host, text, sizeof text);
  yoi_sdk_free(r);
}

#endif
