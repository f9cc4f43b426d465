/* rig.c - opens engines, calls them, and listens to their events. */
#include "rig.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>

#include "builtin.h"
#include "runtimes/engine/worker.h"

static struct eng_store *new_store(const struct rig *r) {
  if (r->vault) return eng_store_mem_new_in(r->vault, r->late, NULL, NULL);
  return r->late ? eng_store_mem_new_late(NULL, NULL) : eng_store_mem_new();
}

static char *copy(const char *s) {
  return s ? strdup(s) : NULL;
}

/* On the host that there is. */
static void begin(struct rig *r) {
  r->store = new_store(r);
  r->token = fake_token(r->fh);
  const struct eng_options options = {
      .kind = YOI_LIT("test"),
      .display_name = YOI_LIT("Test"),
      .version = YOI_LIT("1.0.0"),
      .state_kind = yoi_sdk_str(r->kind),
      .store = r->store,
      .builtin = yoi_sdk_str(r->profile),
  };
  yoi_status st =
      eng_open(fake_host_instance(r->fh), yoi_sdk_str(r->config), &options, &r->self, r->err);
  assert_int_equal(st, YOI_OK);
  fake_host_holder(r->fh, eng_wake, r->self);
}

void rig_open_as(struct rig *r, unsigned mode, const char *config, const char *profile,
                 const char *state_kind) {
  *r = (struct rig){
      .mode = mode,
      .late = (mode & RIG_LATE) != 0,
      .config = copy(config),
      .profile = builtin_of(profile),
      .kind = copy(state_kind ? state_kind : "memory"),
      .fh = fake_host_new(2),
      .text = calloc(1, 1),
  };
  r->err = yoi_sdk_error_init(&r->se);
  if (mode & (RIG_IN_VAULT | RIG_SLEEPY)) r->vault = eng_vault_new();
  begin(r);
}

void rig_open_over(struct rig *r, struct eng_vault *v) {
  rig_open_as(r, RIG_IN_VAULT, NULL, NULL, "durable");
  rig_crash(r);
  eng_vault_free(r->vault);
  r->vault = v;
  rig_begin_again(r);
}

void rig_open(struct rig *r, bool late, const char *config, const char *profile) {
  rig_open_as(r, late ? RIG_LATE : 0, config, profile, NULL);
}

void rig_close(struct rig *r) {
  fake_host_close(r->fh);
  eng_close(r->self);
  fake_token_free(r->fh, r->token);
  fake_host_free(r->fh);
  eng_vault_free(r->vault);
  free(r->config);
  free(r->profile);
  free(r->kind);
  free(r->text);
}

void rig_crash(struct rig *r) {
  assert_non_null(r->vault);
  fake_host_close(r->fh);
  eng_close(r->self);
  fake_token_free(r->fh, r->token);
  r->self = NULL;
  fake_host_reopen(r->fh);
}

void rig_begin_again(struct rig *r) {
  begin(r);
}

void rig_restart(struct rig *r) {
  rig_crash(r);
  rig_begin_again(r);
}

void rig_reopen(struct rig *r, const char *config, const char *profile) {
  unsigned mode = r->mode;
  rig_close(r);
  rig_open_as(r, mode, config, profile, NULL);
}

int rig_sleep_one(struct rig *r, const char *worker) {
  struct eng_worker *w = eng_find(r->self, yoi_sdk_str(worker));
  int slept = w ? eng_sleep(w) : 0;
  eng_worker_unref(w);
  return slept;
}

size_t rig_sleep(struct rig *r) {
  struct eng_worker *list[YOI_LIST_LIMIT_MAX];
  int more;
  size_t n = eng_page_workers(r->self, (yoi_str){0}, NULL, NULL, list, YOI_LIST_LIMIT_MAX, &more);
  size_t slept = 0;
  for (size_t i = 0; i < n; i++) {
    slept += (size_t)eng_sleep(list[i]);
    eng_worker_unref(list[i]);
  }
  r->slept += slept;
  return slept;
}

void rig_settle(struct rig *r) {
  size_t n;
  do {
    n = fake_host_run(r->fh);
    while (r->late && eng_store_mem_step(r->store)) n++;
  } while (n > 0);
  if (!(r->mode & RIG_SLEEPY)) return;
  (void)rig_sleep(r);
  const struct eng_engine *eng = r->self;
  if (!(r->mode & RIG_RESTARTS) || atomic_load(&eng->uses.n) > 0 || eng->drain.eng ||
      atomic_load(&eng->store_errors) > 0 || r->streams > 0)
    return; /* somebody would notice */
  rig_restart(r);
  r->restarts++;
}

/* Completes what loads that worker, and no more: an operation that waited for
 * it has begun then, as if the worker had been there. */
static void let_load(struct rig *r, const char *worker) {
  struct eng_worker *w = worker ? eng_find(r->self, yoi_sdk_str(worker)) : NULL;
  while (w && !atomic_load(&w->awake) && r->late && eng_store_mem_step(r->store)) continue;
  eng_worker_unref(w);
}

yoi_stream *rig_start(struct rig *r, uint32_t op, const char *worker, const char *body,
                      const yoi_request *more) {
  yoi_request req = more ? *more : (yoi_request){0};
  yoi_stream *s = NULL;
  req.size = sizeof req;
  req.op = op;
  if (req.origin == 0) req.origin = YOI_ORIGIN_EMBED;
  if (req.token == 0) req.token = r->token;
  if (req.principal.len == 0) req.principal = YOI_LIT("embed");
  req.worker_id = yoi_sdk_str(worker);
  req.body = yoi_sdk_str(body);
  yoi_sdk_error_clear(r->err);
  yoi_status st = eng_start(r->self, &req, &s, r->err);
  if (st == YOI_OK) {
    assert_non_null(s);
    r->streams++;
    if (r->mode & RIG_SLEEPY) let_load(r, worker);
    return s;
  }
  assert_true(st > 0);
  assert_int_not_equal(r->err->code, 0);
  assert_int_equal(
      yoi_sdk_code_status(r->err->code),
      st == YOI_RESOURCE_EXHAUSTED && r->err->code == YOI_CODE_INTERNAL ? YOI_INTERNAL : st);
  return NULL;
}

yoi_status rig_finish(struct rig *r, yoi_stream *s) {
  yoi_status st;
  for (int i = 0; i < 1000; i++) {
    const yoi_event *const *evs = NULL;
    size_t n = 0;
    st = s->ops->next(s, &evs, &n, r->err);
    if (st == YOI_AGAIN) {
      rig_settle(r);
      continue;
    }
    if (st != YOI_OK) break;
    assert_int_equal(n, 1);
    assert_int_equal(evs[0]->kind, YOI_EVENT_RESULT);
    free(r->text);
    r->text = calloc(1, evs[0]->text.len + 1);
    memcpy(r->text, evs[0]->text.ptr, evs[0]->text.len);
    r->flags = evs[0]->flags;
  }
  s->ops->release(s);
  r->streams--;
  return st == YOI_END ? YOI_OK : st;
}

yoi_status rig_call_as(struct rig *r, uint32_t op, const char *worker, const char *body,
                       const yoi_request *more) {
  yoi_stream *s = rig_start(r, op, worker, body, more);
  return s ? rig_finish(r, s) : yoi_sdk_code_status(r->err->code);
}

yoi_status rig_call(struct rig *r, uint32_t op, const char *worker, const char *body) {
  return rig_call_as(r, op, worker, body, NULL);
}

void rig_ok(struct rig *r, uint32_t op, const char *worker, const char *body) {
  yoi_status st = rig_call(r, op, worker, body);
  if (st != YOI_OK) print_error("%s: %s\n", yoi_sdk_op_name(op), r->err->message);
  assert_int_equal(st, YOI_OK);
  rig_settle(r);
}

void rig_refused(struct rig *r, uint32_t op, const char *worker, const char *body, int32_t code) {
  yoi_status st = rig_call(r, op, worker, body);
  if (st == YOI_OK || r->err->code != code)
    print_error("%s %s: %s (%s)\n", yoi_sdk_op_name(op), body ? body : "", r->err->message,
                r->text);
  assert_true(st > 0);
  assert_string_equal(yoi_sdk_code_name(r->err->code), yoi_sdk_code_name(code));
  assert_true(r->err->message[0] != 0);
}

int rig_has(const struct rig *r, const char *part) {
  if (strstr(r->text, part)) return 1;
  print_error("'%s' is not in %s\n", part, r->text);
  return 0;
}

const char *rig_get(const struct rig *r, const char *path) {
  static char out[4096];
  char name[64];
  yoi_str v = yoi_sdk_str(r->text);
  while (*path) {
    size_t n = strcspn(path, ".");
    memcpy(name, path, n);
    name[n] = 0;
    v = yoi_sdk_json_raw_get(v, name);
    path += n + (path[n] == '.');
  }
  (void)snprintf(out, sizeof out, "%.*s", YOI_ARG(v));
  return out;
}

/* ---- ears ---- */

static void ear_init(struct ear *e, struct rig *r) {
  *e = (struct ear){.r = r};
  e->token = fake_token(r->fh);
  yoi_sdk_buf_init(&e->heard, (size_t)64 << 20);
  yoi_sdk_buf_adds(&e->heard, YOI_LIT(""));
}

void rig_ended(struct rig *r, const char *want_state, const char *want_reason) {
  char text[128];
  rig_ok(r, YOI_OP_WORKER_GET, "a", "");
  (void)snprintf(text, sizeof text, "\"state\":\"%s\",\"reason\":\"%s\"", want_state, want_reason);
  assert_true(rig_has(r, text));
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_int_equal(fake_model_live(r->fh), 0);
  assert_int_equal(fake_host_tokens(r->fh), 0);
}

static void ear_start(struct ear *e, struct rig *r, const char *worker, const char *cursor,
                      uint32_t flags) {
  char body[256] = "";
  ear_init(e, r);
  if (cursor) (void)snprintf(body, sizeof body, "{\"cursor\":\"%s\"}", cursor);
  e->s = rig_start(r, YOI_OP_WORKER_EVENTS, worker, body,
                   &(yoi_request){.token = e->token, .flags = flags});
  if (!e->s) print_error("%s\n", r->err->message);
  assert_non_null(e->s);
}

void ear_once(struct ear *e, struct rig *r, const char *worker, const char *cursor) {
  ear_start(e, r, worker, cursor, YOI_REQ_ONCE);
}

void ear_open(struct ear *e, struct rig *r, const char *worker, const char *cursor) {
  ear_start(e, r, worker, cursor, 0);
  if (!cursor) assert_int_equal(ear_poll(e), YOI_OK);
}

void ear_follow(struct ear *e, struct rig *r, const char *worker, const char *body,
                const char *key) {
  ear_init(e, r);
  e->s = rig_start(
      r, YOI_OP_WORKER_INPUT, worker, body,
      &(yoi_request){
          .token = e->token, .flags = YOI_REQ_FOLLOW, .idempotency_key = yoi_sdk_str(key)});
}

yoi_status ear_poll(struct ear *e) {
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  yoi_status st = e->s->ops->next(e->s, &evs, &n, e->r->err);
  if (st != YOI_OK) {
    e->st = st;
    return st;
  }
  assert_true(n >= 1 && n <= YOI_EVENT_BATCH_MAX);
  for (size_t i = 0; i < n; i++) {
    const yoi_event *ev = evs[i];
    assert_int_equal(yoi_sdk_json_check(ev->text, 0, NULL), YOI_OK);
    assert_null(memchr(ev->text.ptr, '\n', ev->text.len));
    yoi_sdk_buf_addf(&e->heard, "%s %.*s\n", yoi_sdk_event_name(ev->kind), YOI_ARG(ev->text));
    e->events++;
    e->flags = ev->flags;
    if (ev->cursor.len == 0) continue;
    assert_true(ev->cursor.len <= YOI_CURSOR_MAX);
    memcpy(e->cursor, ev->cursor.ptr, ev->cursor.len);
    e->cursor[ev->cursor.len] = 0;
  }
  assert_int_equal(e->heard.failed, 0);
  return YOI_OK;
}

void ear_listen(struct ear *e) {
  for (int i = 0; i < 100000; i++)
    if (ear_poll(e) != YOI_OK) return;
  fail_msg("a stream never ends");
}

void ear_settle(struct ear *e) {
  for (int i = 0; i < 1000; i++) {
    ear_listen(e);
    rig_settle(e->r);
    if (e->st != YOI_AGAIN || fake_token_wakes(e->r->fh, e->token) == 0) return;
  }
  fail_msg("it never becomes quiet");
}

void ear_close(struct ear *e) {
  if (e->s) {
    e->s->ops->release(e->s);
    e->r->streams--;
  }
  fake_token_free(e->r->fh, e->token);
  yoi_sdk_buf_release(&e->heard);
}

int ear_has(const struct ear *e, const char *part) {
  if (e->heard.data && strstr(e->heard.data, part)) return 1;
  print_error("'%s' was not heard in\n%s\n", part, e->heard.data ? e->heard.data : "");
  return 0;
}

size_t ear_count(const struct ear *e, const char *part) {
  size_t n = 0;
  for (const char *p = e->heard.data; p && (p = strstr(p, part)) != NULL; p += strlen(part)) n++;
  return n;
}

const char *ear_kinds(const struct ear *e) {
  static char out[8192];
  size_t n = 0;
  out[0] = 0;
  for (const char *p = e->heard.data; p && *p; p = strchr(p, '\n') + 1) {
    size_t len = strcspn(p, " ");
    if (n + len + 2 > sizeof out) break;
    if (n > 0) out[n++] = ' ';
    memcpy(out + n, p, len);
    n += len;
    out[n] = 0;
  }
  return out;
}

void ear_forget(struct ear *e) {
  yoi_sdk_buf_clear(&e->heard);
  yoi_sdk_buf_adds(&e->heard, YOI_LIT(""));
  e->events = 0;
}

/* ---- cmocka ---- */

static int setup(void **state, unsigned mode) {
  struct rig *r = malloc(sizeof *r);
  assert_non_null(r);
  rig_open_as(r, mode, NULL, NULL, mode & RIG_IN_VAULT ? "durable" : NULL);
  *state = r;
  return 0;
}

int rig_setup_at_once(void **state) {
  return setup(state, 0);
}

int rig_setup_late(void **state) {
  return setup(state, RIG_LATE);
}

int rig_setup_sleepy(void **state) {
  return setup(state, RIG_SLEEPY);
}

int rig_setup_sleepy_late(void **state) {
  return setup(state, RIG_SLEEPY | RIG_LATE);
}

int rig_setup_restarts(void **state) {
  return setup(state, RIG_RESTARTS | RIG_SLEEPY);
}

int rig_setup_restarts_late(void **state) {
  return setup(state, RIG_RESTARTS | RIG_SLEEPY | RIG_LATE);
}

int rig_setup_vault(void **state) {
  return setup(state, RIG_IN_VAULT);
}

int rig_setup_vault_late(void **state) {
  return setup(state, RIG_IN_VAULT | RIG_LATE);
}

int rig_teardown(void **state) {
  rig_close(*state);
  free(*state);
  return 0;
}
