/* expire.c - stopped workers that their store keeps no longer.
 *
 * Which they are the store says; they go as if a client had deleted them, so
 * that whoever watches one is told, and a removal that fails is the store's to
 * name again. One that is not stopped, or is another than the one that was
 * named, stays. They are asked for on loop 0, some at a time: there is no
 * hurry, and others want their turns.
 */
#include "load.h"
#include "op.h"

#define EVERY_MS 1000u
#define SOME 128 /* of them each time */

static void expire(struct eng_engine *eng, const struct eng_expired *x) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_stream *s = NULL;
  yoi_request req = {.size = sizeof req,
                     .op = ENG_OP_EXPIRE,
                     .worker_id = yoi_sdk_str(x->worker_id),
                     .principal = YOI_LIT("retention"),
                     .body = YOI_LIT("{}")};
  struct eng_worker *w = eng_find(eng, req.worker_id);
  if (!w) return;
  if (w->epoch != x->epoch) {
    eng_worker_unref(w);
    return;
  }
  const yoi_log_field field = {YOI_LIT("worker_id"), req.worker_id};
  eng_log(eng, YOI_LOG_INFO, YOI_LIT("a stopped worker is kept no longer"), (yoi_str){0}, &field,
          1);
  if (eng_start_found(eng, &req, w, &s, err) != YOI_OK) return;
  s->ops->release(s); /* what has begun goes on */
}

/* On loop 0. */
static void tick(void *ctx) {
  struct eng_engine *eng = ctx;
  struct eng_expired x;
  uint64_t id;
  for (int i = 0; i < SOME && !atomic_load(&eng->draining); i++) {
    if (!eng->store->ops->expired(eng->store, &x)) break;
    expire(eng, &x);
  }
  uint64_t at = eng_mono(eng) + EVERY_MS * 1000000u;
  if (eng->loop->timer(eng->host, at, tick, eng, &id) != YOI_OK)
    eng_log(eng, YOI_LOG_WARN, YOI_LIT("stopped workers are kept: there is no timer"), (yoi_str){0},
            NULL, 0);
}

yoi_status eng_expire_begin(struct eng_engine *eng) {
  if (!eng->store->expires) return YOI_OK;
  return eng->loop->post(eng->host, 0, tick, eng);
}
