/* scope.c - what of a runtime is there for a request.
 *
 * A worker is of the workspace of the bundle that it was made of; one without a
 * bundle is of none. Its spec says so, which stands in its first record. A
 * request with YOI_REQ_WORKSPACE meets the workers and bundles of that workspace
 * and no others:
 *
 *   an operation on a worker   engine.c, before it starts: there is none
 *   worker.create              workers.c: a bundle of it, no foreign first attempt
 *   worker.list, describe      workers.c: eng_scope_may, and eng_scope_has once loaded
 *   bundle.*                   bundles.c
 *
 * Invariants:
 *  1. What is not known to be of the workspace is not: a worker whose records are
 *     damaged before they say it, one without a bundle.
 *  2. A worker that sleeps is judged by its bundle's digest, so that a list
 *     loads no foreign workers. Where the bundle has been deleted it is loaded,
 *     and judged before it is shown; it is counted when it has been loaded.
 *  3. No answer has an id of what is outside, also not as `next`.
 */
#include "scope.h"

#include <sdk/mem.h>

#include "worker.h"

struct eng_scope {
  char workspace[YOI_ID_MAX + 1];
  uint32_t n, n_ours;
  bool sure; /* what cannot be told without a load is not there */
  struct eng_place of[YOI_BUNDLES_MAX]; /* sorted by digest */
};

bool eng_scope_has(const struct eng_worker *w, const yoi_request *req) {
  if ((req->flags & YOI_REQ_WORKSPACE) == 0) return true;
  return w->spec && yoi_sdk_str_is(req->workspace, w->spec->workspace);
}

int eng_scope_new(struct eng_engine *eng, const yoi_request *req, struct eng_scope **out) {
  *out = NULL;
  if ((req->flags & YOI_REQ_WORKSPACE) == 0) return 1;
  struct eng_scope *s = yoi_sdk_calloc(1, sizeof *s);
  if (!s) return 0;
  (void)snprintf(s->workspace, sizeof s->workspace, "%.*s", YOI_ARG(req->workspace));
  s->n = eng_bundles_places(eng, req->workspace, s->of);
  for (uint32_t i = 0; i < s->n; i++) s->n_ours += s->of[i].ours;
  *out = s;
  return 1;
}

void eng_scope_free(struct eng_scope *s) {
  yoi_sdk_free(s);
}

uint32_t eng_scope_bundles(const struct eng_scope *s) {
  return s->n_ours;
}

static int compare(const void *sha, const void *place) {
  const struct eng_place *p = place;
  return memcmp(sha, p->sha, sizeof p->sha);
}

bool eng_scope_may(const struct eng_scope *s, const struct eng_worker *w) {
  if (!s) return true;
  /* With dir_mu it stays awake, and so its spec where it is. */
  if (atomic_load(&w->awake)) return w->spec && strcmp(w->spec->workspace, s->workspace) == 0;
  if (!w->bundled) return false;
  const struct eng_place *p = bsearch(w->bundle, s->of, s->n, sizeof s->of[0], compare);
  return p ? p->ours : !s->sure;
}

void eng_scope_count(struct eng_engine *eng, struct eng_scope *s, struct eng_scope_counts *out) {
  struct eng_worker *list[YOI_REPLAY_BATCH_MAX];
  char after[YOI_ID_MAX];
  size_t after_len = 0, n;
  int more = 1;
  *out = (struct eng_scope_counts){0};
  s->sure = true;
  while (more) {
    n = eng_page_workers(eng, (yoi_str){after, after_len}, NULL, s, list, YOI_REPLAY_BATCH_MAX,
                         &more);
    if (n == 0) return;
    after_len = list[n - 1]->entry.id.len;
    memcpy(after, list[n - 1]->entry.id.ptr, after_len);
    for (size_t i = 0; i < n; i++) {
      struct eng_worker *w = list[i];
      uint8_t state = atomic_load(&w->state);
      out->workers++;
      out->running += state == ENG_RUNNING || state == ENG_AWAITING;
      if (atomic_load(&w->awake)) { /* else it may be its load's, and nobody watches */
        pthread_mutex_lock(&w->mu);
        out->watchers += w->n_streams;
        pthread_mutex_unlock(&w->mu);
      }
      eng_worker_unref(w);
    }
  }
}
