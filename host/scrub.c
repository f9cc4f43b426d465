/* host/scrub.c - known secrets taken out where texts enter the host.
 *
 * What a model says and what a plugin says of a failure is scrubbed by the
 * wrapper streams, as it comes from the plugin, and lines of the log as they
 * are made: so once, whatever number of workers and watchers there is, and
 * before a runtime could write it down.
 *
 * Text and reasoning of a model, output and status of a tool are two texts, each
 * cut anywhere. Of each that much of the end is held as could become a secret:
 *
 *             may be the begin of one          it is none: given, with what came
 *   (nothing) ----------------------> HELD ------------------------------------+
 *       ^                              |  \__ it is one: a marker instead      |
 *       |                              | a tool call, usage, finish: flushed   |
 *       |                              v                                       |
 *       |                           GIVEN, remembered: what completes it is    |
 *       |                              |       still taken out                 |
 *       +------------------------------+---------------------------------------+
 *
 * The two do not flush each other: a secret with reasoning between
 * its halves is one of the text. All else does, so that events stay in order.
 *
 * Invariants
 *  1. A value is known here before a plugin can get it (secret.c).
 *  2. A run keeps its set while something is held or remembered, since a hold
 *     means a place in that set; else it goes on to the newest with the next
 *     batch.
 *  3. A batch with nothing in it goes through as it is; events without anything
 *     in them stay the plugin's. So at most the last characters are copied.
 *  4. `lock` is held to take and to swap, never while a set is made or used.
 */
#include "scrub.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/mem.h>

struct yoi__scrub_set {
  _Atomic uint32_t refs;
  struct yoi_sdk_scrub *matcher;
};

struct yoi__scrub {
  pthread_mutex_t lock;
  _Atomic(struct yoi__scrub_set *) now; /* read without the lock only to compare */
};

/* The texts: what a model says and thinks, what a tool gives and says of itself.
 * No stream has all four. */
enum { TEXT, REASONING, OUTPUT, STATUS, TEXTS };

struct yoi__scrub_run {
  struct yoi__scrub *of;
  struct yoi__scrub_set *set;
  struct yoi_sdk_scrub_hold held[TEXTS];
  struct yoi_sdk_buf text; /* of own events, one behind the other */
  yoi_event *own;
  const yoi_event **at; /* own ones and the plugin's */
  size_t n, n_own, cap;
};

/* ---- what is known ------------------------------------------------------- */

struct yoi__scrub *yoi__scrub_new(void) {
  struct yoi__scrub *c = yoi_sdk_calloc(1, sizeof *c);
  if (c != NULL) pthread_mutex_init(&c->lock, NULL);
  return c;
}

void yoi__scrub_free(struct yoi__scrub *c) {
  if (c == NULL) return;
  yoi__scrub_give(atomic_load(&c->now));
  pthread_mutex_destroy(&c->lock);
  yoi_sdk_free(c);
}

yoi_status yoi__scrub_know(struct yoi__scrub *c, const struct yoi_sdk_scrub_value *values, size_t n,
                           yoi_error *err) {
  struct yoi_sdk_scrub *matcher = NULL;
  struct yoi__scrub_set *set = NULL;
  if (yoi_sdk_scrub_new(values, n, &matcher) != YOI_OK) return yoi_sdk_fail_memory(err);
  if (matcher != NULL) {
    set = yoi_sdk_malloc(sizeof *set);
    if (set == NULL) {
      yoi_sdk_scrub_free(matcher);
      return yoi_sdk_fail_memory(err);
    }
    set->matcher = matcher;
    atomic_init(&set->refs, 1u);
  }
  pthread_mutex_lock(&c->lock);
  struct yoi__scrub_set *before = atomic_exchange(&c->now, set);
  pthread_mutex_unlock(&c->lock);
  yoi__scrub_give(before);
  return YOI_OK;
}

struct yoi__scrub_set *yoi__scrub_take(struct yoi__scrub *c) {
  if (atomic_load_explicit(&c->now, memory_order_acquire) == NULL) return NULL;
  pthread_mutex_lock(&c->lock);
  struct yoi__scrub_set *set = atomic_load(&c->now);
  if (set != NULL) atomic_fetch_add_explicit(&set->refs, 1u, memory_order_relaxed);
  pthread_mutex_unlock(&c->lock);
  return set;
}

void yoi__scrub_give(struct yoi__scrub_set *set) {
  if (set == NULL || atomic_fetch_sub(&set->refs, 1u) > 1) return;
  yoi_sdk_scrub_free(set->matcher);
  yoi_sdk_free(set);
}

const struct yoi_sdk_scrub *yoi__scrub_of(const struct yoi__scrub_set *set) {
  return set != NULL ? set->matcher : NULL;
}

/* ---- errors -------------------------------------------------------------- */

/* JSON has no half: what does not fit is left out whole. */
static void scrub_part(const struct yoi_sdk_scrub *s, char *text, size_t cap, uint32_t flags,
                       int is_json) {
  struct yoi_sdk_buf clean;
  if (cap == 0) return;
  text[cap - 1] = '\0';
  yoi_str said = yoi_sdk_str(text);
  yoi_sdk_buf_init(&clean, YOI_JSON_BYTES_MAX);
  if (is_json ? yoi_sdk_scrub_json(s, said, &clean) : yoi_sdk_scrub_text(s, said, flags, &clean)) {
    size_t n = clean.failed ? 0 : clean.len;
    if (n >= cap) n = is_json ? 0 : yoi_sdk_utf8_cut(yoi_sdk_buf_str(&clean), cap - 1);
    if (n > 0) memcpy(text, clean.data, n);
    text[n] = '\0';
  }
  yoi_sdk_buf_release(&clean);
}

void yoi__scrub_error(struct yoi__scrub *c, yoi_error *e) {
  struct yoi__scrub_set *set = yoi__scrub_take(c);
  if (set == NULL) return;
  scrub_part(set->matcher, e->message, e->message_cap, 0, 0);
  scrub_part(set->matcher, e->details, e->details_cap, 0, 1);
  scrub_part(set->matcher, e->private_detail, e->private_cap, YOI_SDK_SCRUB_CUT, 0);
  yoi__scrub_give(set);
}

/* ---- a generation, or a call -------------------------------------------------------- */

static const uint32_t kinds[TEXTS] = {YOI_EVENT_MODEL_TEXT, YOI_EVENT_MODEL_REASONING,
                                      YOI_EVENT_TOOL_OUTPUT, YOI_EVENT_TOOL_STATUS};

struct yoi__scrub_run *yoi__scrub_run_new(struct yoi__scrub *c) {
  struct yoi__scrub_run *r = yoi_sdk_calloc(1, sizeof *r);
  if (r == NULL) return NULL;
  r->of = c;
  r->set = yoi__scrub_take(c);
  yoi_sdk_buf_init(&r->text, YOI_MODEL_RESPONSE_MAX);
  return r;
}

void yoi__scrub_run_free(struct yoi__scrub_run *r) {
  if (r == NULL) return;
  yoi__scrub_give(r->set);
  yoi_sdk_buf_release(&r->text);
  yoi_sdk_free(r->own);
  yoi_sdk_free(r->at);
  yoi_sdk_free(r);
}

static int is_holding(const struct yoi__scrub_run *r) {
  size_t n = 0;
  for (size_t i = 0; i < TEXTS; i++) n += r->held[i].len;
  return n > 0;
}

static void go_on(struct yoi__scrub_run *r) {
  if (is_holding(r) || atomic_load_explicit(&r->of->now, memory_order_acquire) == r->set) return;
  yoi__scrub_give(r->set);
  r->set = yoi__scrub_take(r->of);
}

/* TEXTS: it is none of them. */
static size_t text_of(const yoi_event *ev) {
  size_t i = 0;
  while (i < TEXTS && ev->kind != kinds[i]) i++;
  return i;
}

/* 1: as it is; only when nothing is held. */
static int passes(const struct yoi_sdk_scrub *s, const yoi_event *ev) {
  return text_of(ev) != TEXTS && yoi_sdk_scrub_clean(s, ev->text) == ev->text.len;
}

/* Room for what may become of so many events: each text one of its own, and
 * one that was held before what is no text; and two at the end. */
static int has_room(struct yoi__scrub_run *r, size_t n) {
  size_t need = 2 * n + TEXTS;
  r->n = r->n_own = 0;
  yoi_sdk_buf_clear(&r->text);
  if (need <= r->cap) return 1;
  yoi_event *own = yoi_sdk_reallocarray(r->own, need, sizeof *own);
  if (own != NULL) r->own = own;
  const yoi_event **at = yoi_sdk_reallocarray(r->at, need, sizeof *at);
  if (at != NULL) r->at = at;
  if (own == NULL || at == NULL) return 0;
  r->cap = need;
  return 1;
}

/* What was appended to the text since it was `from` long is an event. */
static void is_event(struct yoi__scrub_run *r, size_t from, uint32_t kind, uint32_t flags) {
  yoi_event *ev = &r->own[r->n_own++];
  *ev = (yoi_event){.size = sizeof *ev, .kind = kind, .flags = flags};
  ev->text.len = r->text.len - from;
  r->at[r->n++] = ev;
}

static void flush(struct yoi__scrub_run *r, int over) {
  for (size_t i = 0; i < TEXTS; i++) {
    size_t from = r->text.len;
    if (over)
      yoi_sdk_scrub_end(r->set->matcher, &r->held[i], &r->text);
    else
      yoi_sdk_scrub_flush(r->set->matcher, &r->held[i], &r->text);
    if (r->text.len > from) is_event(r, from, kinds[i], 0);
  }
}

static void take(struct yoi__scrub_run *r, const yoi_event *ev) {
  const struct yoi_sdk_scrub *s = r->set->matcher;
  size_t i = text_of(ev), from = r->text.len;
  if (i == TEXTS) {
    flush(r, 0);
    from = r->text.len;
    if (yoi_sdk_scrub_json(s, ev->text, &r->text))
      is_event(r, from, ev->kind, ev->flags);
    else
      r->at[r->n++] = ev;
  } else if (r->held[i].len == 0 && passes(s, ev)) {
    r->at[r->n++] = ev;
  } else {
    yoi_sdk_scrub_add(s, &r->held[i], ev->text, &r->text);
    if (r->text.len > from) is_event(r, from, ev->kind, ev->flags);
  }
}

/* The text moves no more: own events get to know where theirs is. */
static yoi_status hand_out(struct yoi__scrub_run *r, const yoi_event *const **events, size_t *n,
                           yoi_error *err) {
  const char *at = r->text.data;
  if (r->text.failed) return yoi_sdk_fail_memory(err);
  for (size_t i = 0; i < r->n_own; i++) {
    r->own[i].text.ptr = at;
    at += r->own[i].text.len;
  }
  *events = r->at;
  *n = r->n;
  return YOI_OK;
}

yoi_status yoi__scrub_events(struct yoi__scrub_run *r, const yoi_event *const **events, size_t *n,
                             yoi_error *err) {
  size_t i = 0;
  go_on(r);
  if (r->set == NULL) return YOI_OK;
  while (!is_holding(r) && i < *n && passes(r->set->matcher, (*events)[i])) i++;
  if (i == *n) return YOI_OK;
  if (!has_room(r, *n)) return yoi_sdk_fail_memory(err);
  memcpy(r->at, *events, i * sizeof *r->at);
  r->n = i;
  for (; i < *n; i++) take(r, (*events)[i]);
  return hand_out(r, events, n, err);
}

yoi_status yoi__scrub_rest(struct yoi__scrub_run *r, const yoi_event *const **events, size_t *n,
                           yoi_error *err) {
  *n = 0;
  if (!is_holding(r)) return YOI_OK;
  if (!has_room(r, 0)) return yoi_sdk_fail_memory(err);
  flush(r, 1);
  return hand_out(r, events, n, err);
}
