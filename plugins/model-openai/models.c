/* models.c - which model to ask for, when the config names none.
 *
 * The first id of GET {base_url}/models, asked when the first turn needs it
 * and kept for the life of the instance. A host may start long before its
 * provider; nothing is asked at open.
 *
 *   stream: name? --known--> go on
 *                 --not----> NAMING, joins the flight (begins one if none)
 *   flight: lands -> result under the lock -> one task per loop that waits
 *           task:   each stream in NAMING of that flight goes on, or fails as
 *                   an attempt (wait.c), and may join the next flight
 *
 * Invariants:
 *  1. At most one flight is in the air, on whatever loop began it. It belongs
 *     to the instance: a stream that is released does not end it.
 *  2. A failure is told to those who waited for that flight, and kept for
 *     nobody else.
 *  3. `lock` guards the flight numbers, the failure and who waits; nothing is
 *     called under it. `id` is set once and read without it. body, status
 *     and trouble belong to the flight's loop.
 */
#include "oai.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/retry.h>

int oai_models_init(struct oai_models *m) {
  yoi_sdk_buf_init(&m->body, YOI_MODEL_LIST_BYTES_MAX);
  oai_failure_clear(&m->failure);
  oai_failure_clear(&m->trouble);
  return pthread_mutex_init(&m->lock, NULL) == 0;
}

void oai_models_release(struct oai_models *m) {
  pthread_mutex_destroy(&m->lock);
  yoi_sdk_free(atomic_load(&m->id));
  yoi_sdk_buf_release(&m->body);
}

/* ---- those who wait ------------------------------------------------------------- */

/* On each loop that waits, after a flight landed. */
static void on_landed(void *ctx) {
  struct oai_loop *l = ctx;
  struct oai_models *m = &l->instance->models;
  pthread_mutex_lock(&m->lock);
  uint64_t landed = m->landed;
  struct oai_failure failure = m->failure;
  pthread_mutex_unlock(&m->lock);
  /* Streams that fail or go on here may be released by nobody before this
   * returns, so that the list only grows, at its head. */
  for (struct oai_stream *s = l->streams; s; s = s->next) {
    if (s->state != OAI_NAMING || s->released || s->flight > landed) continue;
    if (atomic_load(&m->id)) {
      oai_wait_begin(s);
    } else {
      s->failure = failure;
      oai_wait_failed(s);
    }
  }
}

static void land(struct oai_instance *i) {
  struct oai_models *m = &i->models;
  uint8_t waiting[YOI_LOOPS_MAX];
  pthread_mutex_lock(&m->lock);
  m->landed = m->flight;
  m->failure = m->trouble;
  memcpy(waiting, m->waiting, sizeof waiting);
  memset(m->waiting, 0, sizeof m->waiting);
  pthread_mutex_unlock(&m->lock);
  for (uint32_t n = 0; n < i->n_loops; n++)
    if (waiting[n]) (void)i->loop->post(i->host, n, on_landed, &i->loops[n]);
}

/* ---- the flight ------------------------------------------------------------------ */

static void read_list(struct oai_models *m) {
  yoi_str body = yoi_sdk_buf_str(&m->body), first;
  struct yoi_sdk_buf id;
  size_t pos = 0;
  if (yoi_sdk_json_check(body, 0, NULL) != YOI_OK) {
    oai_failure_set(&m->trouble, "malformed", "the list of models is not JSON");
    return;
  }
  yoi_sdk_buf_init(&id, YOI_MODEL_NAME_MAX);
  yoi_str list = yoi_sdk_json_raw_get(body, "data");
  int found = yoi_sdk_json_raw_each(list, &pos, &first) &&
              yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(first, "id"), &id) && id.len &&
              !id.failed;
  if (found)
    atomic_store(&m->id, yoi_sdk_buf_take(&id, NULL));
  else
    oai_failure_set(&m->trouble, "not_found", "the provider lists no model");
  yoi_sdk_buf_release(&id);
}

static int on_head(void *ctx, const struct yoi_sdk_http_head *head) {
  struct oai_instance *i = ctx;
  struct oai_models *m = &i->models;
  uint64_t ms = 0;
  m->status = head->status;
  m->trouble.has_wait = yoi_sdk_retry_after(head->retry_after_ms, head->retry_after,
                                            i->clock->wall_ns(i->host), &ms) != 0;
  m->trouble.retry_after_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
  return 0;
}

static int on_body(void *ctx, yoi_str bytes) {
  struct oai_instance *i = ctx;
  yoi_sdk_buf_adds(&i->models.body, bytes);
  return i->models.body.failed != 0;
}

static void on_done(void *ctx, const struct yoi_sdk_http_result *result) {
  struct oai_instance *i = ctx;
  struct oai_models *m = &i->models;
  uint32_t wait = m->trouble.retry_after_ms;
  uint8_t has_wait = m->trouble.has_wait;
  if (result->end != YOI_SDK_HTTP_OK)
    oai_failure_transport(&m->trouble, result);
  else if (result->status != 200)
    oai_failure_http(&m->trouble, result->status, (yoi_str){0}, yoi_sdk_buf_str(&m->body));
  else
    read_list(m);
  m->trouble.retry_after_ms = wait;
  m->trouble.has_wait = has_wait;
  yoi_sdk_buf_release(&m->body);
  land(i);
}

static const struct yoi_sdk_http_handler handler = {
    .head = on_head, .body = on_body, .done = on_done};

static void begin(struct oai_instance *i) {
  const struct oai_config *c = &i->config;
  struct yoi_sdk_http_exchange *x;
  struct yoi_sdk_error e;
  struct yoi_sdk_http_request req = {
      .url = c->models_url,
      .headers = (const char *const *)c->lines,
      .n_headers = c->n_lines,
      .connect_ms = c->connect_ms,
      .first_byte_ms = c->first_byte_ms,
      .gap_ms = c->gap_ms,
      .response_max = YOI_MODEL_LIST_BYTES_MAX,
  };
  oai_failure_clear(&i->models.trouble);
  if (yoi_sdk_http_start(i->http, &req, &handler, i, &x, yoi_sdk_error_init(&e)) == YOI_OK) return;
  oai_failure_set(&i->models.trouble, "connect", "%s: %s", e.message, e.private_detail);
  i->models.trouble.again = 0;
  land(i);
}

const char *oai_models_name(struct oai_stream *s) {
  struct oai_instance *i = s->instance;
  struct oai_models *m = &i->models;
  const char *id = i->config.model ? i->config.model : atomic_load(&m->id);
  if (id) return id;
  pthread_mutex_lock(&m->lock);
  id = atomic_load(&m->id);
  int first = !id && m->landed == m->flight;
  if (!id) {
    m->flight += first != 0;
    m->waiting[s->loop] = 1;
    s->flight = m->flight;
    s->state = OAI_NAMING;
  }
  pthread_mutex_unlock(&m->lock);
  if (first) begin(i);
  return id;
}
