/* drain.c - the end of a runtime, in order.
 *
 *   drain: no new turns; what waits ends, --> turns end by themselves
 *          idle watchers too              \--> deadline: the rest is cut
 *   all turns cleaned up, all appends done --> END
 *
 * `active` counts what is to be waited for: a turn from its beginning to its
 * clean-up, every append under way, and every create and input while it is
 * being accepted. Whoever takes it to 0 wakes.
 */
#include "turn.h"

static yoi_status drain_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                             yoi_error *err) {
  struct eng_drain *d = (struct eng_drain *)s;
  (void)out_events, (void)out_n, (void)err;
  if (d->over || atomic_load(&d->eng->active) == 0) {
    d->over = true; /* a late stop is an append too, but nobody waits for it */
    return YOI_END;
  }
  atomic_store(&d->armed, true);
  if (atomic_load(&d->eng->active) > 0 || !atomic_exchange(&d->armed, false)) return YOI_AGAIN;
  d->over = true;
  return YOI_END;
}

static void drain_cancel(yoi_stream *s) {
  (void)s; /* what is draining goes on draining; it ends as it would have */
}

static void drain_release(yoi_stream *s) {
  struct eng_drain *d = (struct eng_drain *)s;
  if (d) atomic_store(&d->token, 0);
}

static const yoi_stream_ops drain_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = drain_next,
    .cancel = drain_cancel,
    .release = drain_release,
};

void eng_active_done(struct eng_engine *eng) {
  if (atomic_fetch_sub(&eng->active, 1) != 1 || !atomic_load(&eng->draining)) return;
  if (!atomic_exchange(&eng->drain.armed, false)) return;
  uint64_t token = atomic_load(&eng->drain.token);
  if (token) eng->host->wake(eng->host, token);
}

static void cut_all(void *ctx) {
  struct eng_engine *eng = ctx;
  atomic_store(&eng->cutting, true);
  eng_turns_each(eng, eng_turn_kick);
}

/* On loop 0. */
static void set_timer(void *ctx) {
  struct eng_engine *eng = ctx;
  uint64_t id;
  if (eng->loop->timer(eng->host, eng->drain.deadline_ns, cut_all, eng, &id) != YOI_OK)
    cut_all(eng);
}

/* Watchers of idle workers have nothing more to wait for; inputs that wait
 * have neither, unless the store outlives this (leave, queue.c). */
static void tell_watchers(struct eng_engine *eng) {
  struct eng_worker *list[YOI_REPLAY_BATCH_MAX];
  char after[YOI_ID_MAX];
  size_t after_len = 0;
  int more = 1;
  while (more) {
    size_t n = eng_page_workers(eng, (yoi_str){after, after_len}, NULL, NULL, list,
                                YOI_REPLAY_BATCH_MAX, &more);
    for (size_t i = 0; i < n; i++) {
      struct eng_after then = {0};
      if (!atomic_load(&list[i]->awake)) continue; /* it may be its load's */
      pthread_mutex_lock(&list[i]->mu);
      eng_bells_due(list[i], &then);
      eng_worker_leave(list[i], &then);
    }
    if (n > 0) {
      after_len = list[n - 1]->entry.id.len;
      memcpy(after, list[n - 1]->entry.id.ptr, after_len);
    }
    for (size_t i = 0; i < n; i++) eng_worker_unref(list[i]);
    if (n == 0) return;
  }
}

yoi_status eng_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                     yoi_error *err) {
  struct eng_engine *eng = self;
  if (atomic_exchange(&eng->draining, true))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is draining already");
  eng->drain.head.ops = &drain_ops;
  eng->drain.eng = eng;
  eng->drain.deadline_ns = deadline_ns;
  atomic_store(&eng->drain.token, token);
  *out = &eng->drain.head;
  if (eng->loop->post(eng->host, 0, set_timer, eng) != YOI_OK) cut_all(eng);
  tell_watchers(eng);
  return YOI_OK;
}
