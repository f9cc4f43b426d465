/* health.c - who the remote is, and whether it is there.
 *
 *               looked: fine                    looked: fine
 *   STARTING ----------------> READY <------------------------- UNREACHABLE
 *       |                        | looked: not there, not a          ^
 *       |                        | runtime, not the expected one     |
 *       +------------------------+-----------------------------------+
 *
 * It is looked at (runtime.describe) every probe_ms, and at once when an
 * operation wants to go out while nobody knows who is there: at first, and
 * after a connection was lost or refused. Until the look has ended such
 * operations are parked, each on its loop. So a base URL that leads to another
 * runtime, or to none, is found out before it is given anything to do.
 *
 *   any loop: park, suspect --post--> loop 0: look --done--> each loop: unpark
 *
 * Invariants:
 *  1. One look at a time, on loop 0, and YOI_REMOTE_PROBE_GAP_MS between two.
 *  2. A parked ask is unparked by the look that ends next after it was parked.
 *  3. Another instance_id than before: `replaced`, whose count stays until this
 *     host is started again, since whoever set it up should know. It is used all
 *     the same, but with expect_instance, which refuses any other. It is news
 *     until YOI_REMOTE_ACCEPT_LOOKS looks, the first one counted, have found it.
 */
#include "remote.h"

#include <sdk/mem.h>

yoi_status rem_health_init(struct rem_instance *i) {
  (void)yoi_sdk_error_init(&i->health.why);
  return pthread_mutex_init(&i->health.mu, NULL) == 0 ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

void rem_health_release(struct rem_instance *i) {
  rem_ask_free(i->health.probe);
  i->health.probe = NULL;
  pthread_mutex_destroy(&i->health.mu);
}

/* ---- identity --------------------------------------------------------------- */

static yoi_status stranger(yoi_error *err, const char *what) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_REMOTE_MALFORMED, "%s", what);
  if (err) err->flags &= ~YOI_ERROR_RETRYABLE;
  return st;
}

/* The inside of a raw string without escapes; empty: it is none. */
static yoi_str plain(yoi_str raw, size_t max) {
  if (raw.len < 3 || raw.len > max + 2 || raw.ptr[0] != '"') return (yoi_str){0};
  yoi_str s = {raw.ptr + 1, raw.len - 2};
  for (size_t i = 0; i < s.len; i++)
    if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '\\') return (yoi_str){0};
  return s;
}

static void note_instance(struct rem_instance *i, yoi_str id) {
  struct rem_health *h = &i->health;
  int first = 0, other = 0;
  pthread_mutex_lock(&h->mu);
  first = h->instance_id[0] == '\0';
  other = !first && !yoi_sdk_str_is(id, h->instance_id);
  if (first || other) {
    memcpy(h->instance_id, id.ptr, id.len);
    h->instance_id[id.len] = '\0';
  }
  if (other) {
    h->replaced++;
    h->news = YOI_REMOTE_ACCEPT_LOOKS;
    h->replaced_wall_ns = i->clock->wall_ns(i->host);
  }
  pthread_mutex_unlock(&h->mu);
  if (other) rem_log(i, YOI_LOG_WARN, "another runtime answers at the remote", "remote_replaced",
                     NULL);
}

yoi_status rem_health_take(struct rem_instance *i, yoi_str runtime, yoi_error *err) {
  const char *expected = i->config.expect_instance;
  yoi_str version = yoi_sdk_json_raw_get(runtime, "api_version");
  yoi_str id = plain(yoi_sdk_json_raw_get(runtime, "instance_id"), REM_INSTANCE_MAX);
  if (id.len == 0 || version.len == 0)
    return stranger(err, "what answers at the remote is no runtime");
  if (!yoi_sdk_str_is(version, "\"1\""))
    return stranger(err, "the remote has an API version that is not known");
  note_instance(i, id);
  if (!expected || yoi_sdk_str_is(id, expected)) return YOI_OK;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE,
                               "another runtime than the expected one answers at the remote");
  if (err) err->flags &= ~YOI_ERROR_RETRYABLE;
  return st;
}

/* ---- looking ---------------------------------------------------------------- */

static void look(struct rem_instance *i);

/* What was parked until now; each is off the list before it is told, since that
 * may park it again, or free any other. */
static void unpark_here(void *ctx) {
  struct rem_loop *l = ctx;
  struct rem_health *h = &l->instance->health;
  struct yoi_sdk_error why;
  pthread_mutex_lock(&h->mu);
  int fine = h->status == REM_READY;
  yoi_sdk_error_copy(yoi_sdk_error_init(&why), &h->why.e);
  pthread_mutex_unlock(&h->mu);
  for (struct rem_ask *a = l->parked; a; a = a->next) a->parked = 2;
  while (l->parked && l->parked->parked == 2) {
    /* New ones are put in front, so that the rest of the list is what it was. */
    struct rem_ask *a = l->parked;
    l->parked = a->next;
    if (a->next) a->next->prev = NULL;
    a->next = a->prev = NULL;
    a->parked = 0;
    rem_ask_unpark(a, fine ? NULL : &why.e);
  }
}

static void on_timer(void *ctx) {
  struct rem_instance *i = ctx;
  i->health.timer = 0;
  look(i);
}

static void look_at(struct rem_instance *i, uint64_t at_ns) {
  struct rem_health *h = &i->health;
  if (h->timer) i->loop->timer_cancel(i->host, h->timer);
  h->timer = 0;
  (void)i->loop->timer(i->host, at_ns, on_timer, i, &h->timer);
}

/* Another reason than before, whoever mends one finds the next. */
static int is_news(const struct yoi_sdk_error *why, const yoi_error *err) {
  return why->e.code != err->code || strcmp(why->message, err->message) != 0 ||
         strcmp(why->private_detail, err->private_detail) != 0;
}

static void settle(struct rem_instance *i, yoi_status st, const yoi_error *err) {
  struct rem_health *h = &i->health;
  enum rem_status to = st == YOI_OK ? REM_READY : REM_UNREACHABLE;
  pthread_mutex_lock(&h->mu);
  enum rem_status from = h->status;
  int other = from != to || (st != YOI_OK && is_news(&h->why, err));
  h->status = to;
  h->looked_ns = rem_now(i);
  if (st == YOI_OK && h->news) h->news--;
  if (st == YOI_OK)
    yoi_sdk_error_clear(&h->why.e);
  else
    yoi_sdk_error_copy(&h->why.e, err);
  pthread_mutex_unlock(&h->mu);
  atomic_store(&h->verified, st == YOI_OK);
  if (other && st == YOI_OK)
    rem_log(i, YOI_LOG_INFO, "the remote is there", NULL, NULL);
  else if (other)
    rem_log(i, YOI_LOG_WARN, "the remote cannot be used", err->message, err->private_detail);
}

/* What refused the look, said of the remote and not of a request that nobody
 * here made. */
static yoi_status refusal(yoi_status st, yoi_error *err) {
  char details[YOI_ERROR_DETAILS_MAX];
  switch (err->code) {
    case YOI_CODE_INVALID_REQUEST:
      snprintf(details, sizeof details, "%s", err->details);
      st = yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE,
                        "the remote refuses to be looked at: hosts may stand in a ring");
      yoi_sdk_fail_details(err, yoi_sdk_str(details));
      return st;
    case YOI_CODE_POLICY_DENIED:
      return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE,
                          "the remote does not tell this host what it is");
    case YOI_CODE_UNSUPPORTED_OPERATION:
      return stranger(err, "what answers at the remote is no runtime");
    default:
      return st;
  }
}

static void on_done(void *ctx, struct rem_outcome *o) {
  struct rem_instance *i = ctx;
  struct rem_health *h = &i->health;
  yoi_status st = o->st != YOI_OK ? refusal(o->st, &o->error.e) : YOI_OK;
  if (st == YOI_OK)
    st = rem_health_take(i, yoi_sdk_json_raw_get(o->text, "runtime"), &o->error.e);
  settle(i, st, &o->error.e);
  rem_ask_free(h->probe);
  h->probe = NULL;
  look_at(i, rem_now(i) + (uint64_t)i->config.probe_ms * REM_NS_PER_MS);
  for (uint32_t n = 0; n < i->n_loops; n++)
    (void)i->loop->post(i->host, n, unpark_here, &i->loops[n]);
}

static const struct rem_ask_handler handler = {.done = on_done};

static void look(struct rem_instance *i) {
  struct rem_health *h = &i->health;
  struct rem_outcome o = {.st = YOI_OK};
  uint32_t ms = i->config.probe_ms > YOI_REMOTE_PROBE_LIMIT_MS ? i->config.probe_ms
                                                              : YOI_REMOTE_PROBE_LIMIT_MS;
  if (h->probe) return;
  yoi_request req = {.size = sizeof req,
                     .op = YOI_OP_RUNTIME_DESCRIBE,
                     .origin = YOI_ORIGIN_EMBED,
                     .deadline_ns = rem_now(i) + (uint64_t)ms * REM_NS_PER_MS,
                     .principal = YOI_LIT("embed")};
  o.st = rem_ask_new(i, &req, REM_UNARY, 0, &handler, i, &h->probe, yoi_sdk_error_init(&o.error));
  if (o.st == YOI_OK)
    rem_ask_send(h->probe);
  else
    on_done(i, &o);
}

/* On loop 0. */
static void look_soon(void *ctx) {
  struct rem_instance *i = ctx;
  struct rem_health *h = &i->health;
  if (h->probe) return;
  uint64_t at = h->looked_ns + YOI_REMOTE_PROBE_GAP_MS * (uint64_t)REM_NS_PER_MS;
  if (h->looked_ns == 0 || at <= rem_now(i))
    look(i);
  else
    look_at(i, at);
}

yoi_status rem_health_begin(struct rem_instance *i, yoi_error *err) {
  if (i->loop->post(i->host, 0, look_soon, i) == YOI_OK) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host takes no task");
}

void rem_health_suspect(struct rem_instance *i) {
  if (atomic_exchange(&i->health.verified, 0)) (void)i->loop->post(i->host, 0, look_soon, i);
}

void rem_health_park(struct rem_ask *a) {
  struct rem_instance *i = a->i;
  struct rem_loop *l = &i->loops[a->loop];
  a->parked = 1;
  a->prev = NULL;
  a->next = l->parked;
  if (a->next) a->next->prev = a;
  l->parked = a;
  (void)i->loop->post(i->host, 0, look_soon, i);
}

int rem_health_down(struct rem_instance *i, yoi_error *err) {
  struct rem_health *h = &i->health;
  uint64_t fresh = 2 * (uint64_t)i->config.probe_ms * REM_NS_PER_MS;
  pthread_mutex_lock(&h->mu);
  int down = h->status == REM_UNREACHABLE && rem_now(i) - h->looked_ns < fresh;
  if (down) yoi_sdk_error_copy(err, &h->why.e);
  pthread_mutex_unlock(&h->mu);
  return down;
}
