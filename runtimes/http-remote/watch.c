/* watch.c - watched workers: found, made, tended and freed.
 *
 *   start --attach--> watched worker (of the map, or made) --> a watcher on it
 *   any thread: todo, kick --post--> its loop: tend: readers, upstream, the end
 *
 * Invariants:
 *  1. The map has one entry per worker and workspace that requests see: what the
 *     remote shows to one is not for another. One that is over is not in it, so
 *     that whoever comes then begins anew.
 *  2. `holds` counts watchers until tend has freed them. Who attaches counts
 *     itself while the instance's mu is held, under which nothing else is done.
 *  3. tend runs on the loop only, and not within itself: what is left to do by
 *     what it calls is done in another round.
 *  4. Who leaves a worker says so and sees to its task at one time (`mu`): when the
 *     last watcher can be found, by another who tends it, so can the task.
 */
#include "remote.h"

#include <sdk/mem.h>

static uint32_t hash(yoi_str id) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < id.len; i++) h = (h ^ (unsigned char)id.ptr[i]) * 16777619u;
  return h;
}

uint32_t rem_loop_for(const struct rem_instance *i, yoi_str id) {
  uint32_t here = rem_here(i);
  return here < i->n_loops ? here : hash(id) % i->n_loops;
}

/* ---- the end of it --------------------------------------------------------------- */

static void free_watcher(struct rem_watcher *x) {
  for (uint32_t n = 0; n < x->n_batch; n++) rem_frame_unref(x->batch[n]);
  for (uint32_t n = x->at_got; n < x->n_got; n++) rem_frame_unref(x->got[n]);
  rem_frame_unref(x->end);
  yoi_sdk_free(x->got);
  yoi_sdk_free(x->why);
  yoi_sdk_free(x);
}

static void drop_watcher(struct rem_watcher *x) {
  struct rem_watched *w = x->w;
  struct rem_instance *i = w->i;
  rem_reader_free(x);
  pthread_mutex_lock(&w->mu);
  rem_reader_anew(x);
  *(x->prev ? &x->prev->next : &w->watchers) = x->next;
  if (x->next) x->next->prev = x->prev;
  pthread_mutex_unlock(&w->mu);
  free_watcher(x);
  pthread_mutex_lock(&i->mu);
  w->holds--;
  pthread_mutex_unlock(&i->mu);
}

/* With the instance's mu held. */
static void unmap_locked(struct rem_watched *w) {
  struct rem_watched **at = &w->i->map[hash(yoi_sdk_str(w->id)) & (REM_BUCKETS - 1)];
  if (!w->mapped) return;
  while (*at != w) at = &(*at)->bucket_next;
  *at = w->bucket_next;
  w->mapped = 0;
}

void rem_watched_unmap(struct rem_watched *w) {
  pthread_mutex_lock(&w->i->mu);
  unmap_locked(w);
  pthread_mutex_unlock(&w->i->mu);
}

static void destroy(struct rem_watched *w) {
  struct rem_instance *i = w->i;
  if (w->timer && !atomic_load(&i->closing)) i->loop->timer_cancel(i->host, w->timer);
  if (w->up) yoi_sdk_metric_sub(&i->metrics, i->metric.upstreams, 1);
  if (w->phase == REM_OVER)
    rem_ask_leave(w->up);
  else
    rem_ask_free(w->up);
  for (uint64_t at = w->base; at < w->end; at++) rem_frame_unref(w->ring[at & (w->cap - 1)]);
  yoi_sdk_free(w->ring);
  yoi_sdk_free(w->why);
  yoi_sdk_buf_release(&w->texts);
  pthread_mutex_destroy(&w->mu);
  if (w->follow) rem_follow_gone(i);
  yoi_sdk_free(w);
}

void rem_watched_free(struct rem_watched *w) {
  while (w->watchers) {
    struct rem_watcher *x = w->watchers;
    w->watchers = x->next;
    rem_reader_free(x);
    free_watcher(x);
  }
  destroy(w);
}

static void free_unheld(struct rem_watched *w) {
  struct rem_instance *i = w->i;
  pthread_mutex_lock(&w->mu);
  int busy = w->posted != 0;
  pthread_mutex_unlock(&w->mu);
  pthread_mutex_lock(&i->mu);
  busy |= w->holds > 0;
  if (!busy) {
    unmap_locked(w);
    *(w->prev ? &w->prev->next : &i->watched) = w->next;
    if (w->next) w->next->prev = w->prev;
  }
  pthread_mutex_unlock(&i->mu);
  if (!busy) destroy(w);
}

/* ---- tending ------------------------------------------------------------------------ */

static void serve_todo(struct rem_watched *w) {
  pthread_mutex_lock(&w->mu);
  struct rem_watcher *list = w->todo;
  w->todo = NULL;
  w->todo_last = &w->todo;
  pthread_mutex_unlock(&w->mu);
  while (list) {
    struct rem_watcher *x = list;
    pthread_mutex_lock(&w->mu);
    list = x->todo_next;
    x->todo = 0;
    int released = x->released;
    pthread_mutex_unlock(&w->mu);
    if (released)
      drop_watcher(x);
    else
      rem_reader_step(x);
  }
}

static void serve_upstream(struct rem_watched *w) {
  pthread_mutex_lock(&w->mu);
  int drain = w->ending && w->phase != REM_OVER;
  int open = w->wanted && w->phase == REM_CLOSED, resume = w->slack;
  w->slack = 0;
  if (resume) w->paused = 0;
  pthread_mutex_unlock(&w->mu);
  if (drain)
    rem_upstream_over(w, "draining", YOI_CODE_SHUTTING_DOWN, 1, NULL);
  else if (open)
    rem_upstream_open(w);
  if (resume && w->up) rem_ask_pause(w->up, 0);
}

static void tend(struct rem_watched *w) {
  w->again = 1;
  if (w->tending) return;
  w->tending = 1;
  while (w->again) {
    w->again = 0;
    serve_todo(w);
    serve_upstream(w);
  }
  w->tending = 0;
  free_unheld(w);
}

static void tend_task(void *ctx) {
  struct rem_watched *w = ctx;
  pthread_mutex_lock(&w->mu);
  w->posted = 0;
  pthread_mutex_unlock(&w->mu);
  tend(w);
}

void rem_watched_todo(struct rem_watched *w, struct rem_watcher *x) {
  if (x->todo) return;
  x->todo = 1;
  x->todo_next = NULL;
  *w->todo_last = x;
  w->todo_last = &x->todo_next;
}

/* gone: a watcher that is released, or NULL. Elsewhere than on its loop w may be
 * gone with the last of its watchers, unless a task of it is on its way: 4 above. */
static void kick(struct rem_watched *w, struct rem_watcher *gone) {
  struct rem_instance *i = w->i;
  uint32_t loop = w->loop;
  int here = rem_here(i) == loop;
  pthread_mutex_lock(&w->mu);
  if (gone) {
    gone->released = 1;
    gone->armed = 0;
    rem_watched_todo(w, gone);
  }
  int post = !here && !w->posted;
  if (!here) w->posted = 1;
  pthread_mutex_unlock(&w->mu);
  if (here)
    tend(w);
  else if (post) /* when it fails, close frees it */
    (void)i->loop->post(i->host, loop, tend_task, w);
}

void rem_watched_kick(struct rem_watched *w) { kick(w, NULL); }

void rem_watched_leave(struct rem_watcher *x) { kick(x->w, x); }

/* ---- starting ------------------------------------------------------------------------- */

static yoi_str keep(struct yoi_sdk_buf *b, yoi_str s) {
  yoi_str kept = {b->data + b->len, s.len};
  if (s.len == 0) return (yoi_str){0};
  yoi_sdk_buf_adds(b, s);
  return kept;
}

/* What upstreams and readers ask with: all of the request but its token. */
static int keep_request(struct rem_watched *w, const yoi_request *req) {
  yoi_request *r = &w->asked;
  const yoi_str *const texts[] = {&req->worker_id, &req->principal, &req->request_id, &req->trace,
                                  &req->idempotency_key, &req->workspace, &req->body};
  yoi_str *const kept[] = {&r->worker_id, &r->principal, &r->request_id, &r->trace,
                           &r->idempotency_key, &r->workspace, &r->body};
  char key[YOI_SDK_UUID_SIZE];
  yoi_str made = {key, sizeof key - 1};
  size_t n = sizeof key;
  *r = *req;
  r->token = 0;
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) n += texts[k]->len;
  yoi_sdk_buf_init(&w->texts, n);
  if (!yoi_sdk_buf_reserve(&w->texts, n)) return 0;
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) *kept[k] = keep(&w->texts, *texts[k]);
  if (!w->follow) {
    r->body = r->idempotency_key = (yoi_str){0};
    return 1;
  }
  /* The same one each time that it is sent. */
  if (r->idempotency_key.len > 0) return 1;
  if (!yoi_sdk_uuid7(w->i->clock->wall_ns(w->i->host), key)) return 0;
  r->idempotency_key = keep(&w->texts, made);
  return 1;
}

static struct rem_watched *make(struct rem_instance *i, const yoi_request *req, int follow) {
  struct rem_watched *w = yoi_sdk_calloc(1, sizeof *w);
  if (!w) return NULL;
  w->i = i;
  w->follow = follow != 0;
  w->loop = rem_loop_for(i, req->worker_id);
  w->todo_last = &w->todo;
  if (req->worker_id.len) memcpy(w->id, req->worker_id.ptr, req->worker_id.len);
  if (pthread_mutex_init(&w->mu, NULL) != 0) {
    yoi_sdk_free(w);
    return NULL;
  }
  if (keep_request(w, req)) return w;
  yoi_sdk_buf_release(&w->texts);
  pthread_mutex_destroy(&w->mu);
  yoi_sdk_free(w);
  return NULL;
}

/* With one more hold. `fresh` is used when there is none yet, else given back. */
static struct rem_watched *attach(struct rem_instance *i, struct rem_watched **fresh,
                                  const yoi_request *req, int shared) {
  yoi_str id = req->worker_id;
  struct rem_watched **bucket = &i->map[hash(id) & (REM_BUCKETS - 1)], *w = NULL;
  pthread_mutex_lock(&i->mu);
  w = shared ? *bucket : NULL;
  while (w && !(yoi_sdk_str_is(id, w->id) && yoi_sdk_str_eq(req->workspace, w->asked.workspace)))
    w = w->bucket_next;
  if (!w && *fresh) {
    w = *fresh;
    *fresh = NULL;
    w->next = i->watched;
    if (w->next) w->next->prev = w;
    i->watched = w;
    if (shared) {
      w->bucket_next = *bucket;
      *bucket = w;
      w->mapped = 1;
    } else if (w->follow) {
      i->follows++;
    }
  }
  if (w) w->holds++;
  pthread_mutex_unlock(&i->mu);
  return w;
}

/* Locked: where it begins. */
static void place(struct rem_watcher *x, yoi_str cursor) {
  struct rem_watched *w = x->w;
  const struct rem_frame *last = w->end > w->base ? w->ring[(w->end - 1) & (w->cap - 1)] : NULL;
  x->state = REM_LIVE;
  x->at = w->end;
  rem_cursor_set(&x->cursor, cursor);
  if (!w->follow && !x->once && cursor.len && rem_reader_find(w, cursor, &x->at)) {
    rem_watched_advance(w, x->at); /* the others may be far behind */
    return;
  }
  if (!w->follow && (x->once || cursor.len)) {
    x->state = REM_READING;
  } else if (w->phase == REM_CLOSED && !w->wanted) {
    w->wanted = 1;
  } else if (last && last->ev.kind == YOI_EVENT_SNAPSHOT) {
    x->at--; /* it is what a new one would be told */
  } else {
    x->state = REM_READING;
  }
  rem_watched_todo(w, x);
}

/* The cursor of worker.events; the body was checked. */
static yoi_status read_cursor(const yoi_request *req, struct rem_cursor *out, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  yoi_str s;
  out->len = 0;
  if (req->op != YOI_OP_WORKER_EVENTS || req->body.len == 0) return YOI_OK;
  if (yoi_sdk_json_parse(req->body, 0, &tree, NULL) == YOI_OK &&
      yoi_sdk_json_str(yoi_sdk_json_get(tree, "cursor"), &s)) {
    if (s.len > YOI_CURSOR_MAX) {
      yoi_sdk_json_free(tree);
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'cursor' is too long");
    }
    rem_cursor_set(out, s);
  }
  yoi_sdk_json_free(tree);
  return YOI_OK;
}

yoi_status rem_watch_start(struct rem_instance *i, const yoi_request *req, yoi_stream **out,
                           yoi_error *err) {
  int follow = req->op == YOI_OP_WORKER_INPUT, once = (req->flags & YOI_REQ_ONCE) != 0;
  struct rem_request checked;
  struct rem_cursor cursor;
  yoi_status st = rem_request_make(i, req, REM_STREAM, &checked, err);
  rem_request_release(&checked);
  if (st == YOI_OK) st = read_cursor(req, &cursor, err);
  if (st != YOI_OK) return st;
  if (atomic_load(&i->draining))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down");
  struct rem_watcher *x = yoi_sdk_calloc(1, sizeof *x);
  struct rem_watched *fresh = x ? make(i, req, follow) : NULL;
  struct rem_watched *w = fresh ? attach(i, &fresh, req, !follow && !once) : NULL;
  if (fresh) destroy(fresh);
  if (!w) {
    yoi_sdk_free(x);
    return yoi_sdk_fail_memory(err);
  }
  x->head.ops = &rem_watcher_ops;
  x->w = w;
  x->token = req->token;
  x->once = once != 0;
  x->deadline_ns = once ? req->deadline_ns : 0;
  pthread_mutex_lock(&w->mu);
  x->next = w->watchers;
  if (x->next) x->next->prev = x;
  w->watchers = x;
  place(x, rem_cursor_str(&cursor));
  pthread_mutex_unlock(&w->mu);
  rem_watched_kick(w);
  *out = &x->head;
  return YOI_OK;
}

void rem_watched_end_here(struct rem_instance *i, int follows) {
  uint32_t here = rem_here(i);
  struct rem_watched *w;
  do {
    pthread_mutex_lock(&i->mu);
    for (w = i->watched; w; w = w->next)
      if (w->loop == here && !w->told && (follows || !w->follow)) break;
    if (w) w->told = 1;
    pthread_mutex_unlock(&i->mu);
    if (!w) return;
    pthread_mutex_lock(&w->mu);
    w->ending = 1;
    pthread_mutex_unlock(&w->mu);
    tend(w);
  } while (w);
}
