/* fake_tool.c - yoi.host.tool/1 and yoi.host.grant/1 of the fake host.
 *
 * A call checks what the ABI promises its holder, as a model's stream does: it
 * is polled and released on the loop that started it (unless the host was
 * closed), never after its release, and cancel comes from anywhere. Start asks
 * everything once more, so that a test can let it change in between.
 */
#include "fake_tool.h"

#include <assert.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/host_grant.h>

#include "fake_host_impl.h"

enum run_act_kind { RUN_EVENT, RUN_CUT, RUN_GATE, RUN_FAIL, RUN_REFUSE };

struct run_act {
  enum run_act_kind kind;
  uint32_t event;
  yoi_str text; /* owned */
  yoi_status st;
  int32_t code;
};

struct fake_run {
  struct fake_run *next;
  char *name;
  struct run_act *acts;
  size_t n;
  bool deaf, polite, flood;
};

struct fake_tool {
  char *name, *invalid;
  uint32_t flags, verdict, at_start;
  bool there;
};

struct fake_work {
  yoi_stream head;
  struct fake_host *fh;
  struct fake_work *next;
  struct fake_run *run;
  uint64_t token;
  uint32_t loop;
  size_t at;
  bool gated, cancelled;
  yoi_event event;
  const yoi_event *batch;
};

struct fake_started {
  char *what, *key, *worker;
};

/* ---- what there is ---- */

static struct fake_tool *find(struct fake_host *fh, yoi_str name) {
  for (size_t i = 0; i < fh->n_tools; i++)
    if (yoi_sdk_str_is(name, fh->tools[i].name)) return &fh->tools[i];
  return NULL;
}

void fake_tool_add(struct fake_host *fh, const char *name, uint32_t flags) {
  pthread_mutex_lock(&fh->mu);
  fh->tools = fake_grow(fh->tools, fh->n_tools + 1, sizeof *fh->tools);
  fh->tools[fh->n_tools++] = (struct fake_tool){.name = fake_dup(yoi_sdk_str(name)),
                                                .flags = flags,
                                                .verdict = YOI_VERDICT_ALLOW,
                                                .at_start = YOI_VERDICT_ALLOW,
                                                .there = true};
  pthread_mutex_unlock(&fh->mu);
}

static struct fake_tool *locked(struct fake_host *fh, const char *name) {
  pthread_mutex_lock(&fh->mu);
  struct fake_tool *t = find(fh, yoi_sdk_str(name));
  assert(t);
  return t;
}

void fake_tool_there(struct fake_host *fh, const char *name, bool there) {
  locked(fh, name)->there = there;
  pthread_mutex_unlock(&fh->mu);
}

void fake_tool_verdict(struct fake_host *fh, const char *name, uint32_t verdict) {
  struct fake_tool *t = locked(fh, name);
  t->verdict = t->at_start = verdict;
  pthread_mutex_unlock(&fh->mu);
}

void fake_tool_verdict_at_start(struct fake_host *fh, const char *name, uint32_t verdict) {
  locked(fh, name)->at_start = verdict;
  pthread_mutex_unlock(&fh->mu);
}

void fake_tool_invalid(struct fake_host *fh, const char *name, const char *message) {
  struct fake_tool *t = locked(fh, name);
  free(t->invalid);
  t->invalid = message ? fake_dup(yoi_sdk_str(message)) : NULL;
  pthread_mutex_unlock(&fh->mu);
}

void fake_grant_missing(struct fake_host *fh, const char *grant) {
  pthread_mutex_lock(&fh->mu);
  free(fh->no_grant);
  fh->no_grant = grant ? fake_dup(yoi_sdk_str(grant)) : NULL;
  pthread_mutex_unlock(&fh->mu);
}

/* ---- what a call does ---- */

static struct fake_run *run_new(const char *name) {
  struct fake_run *run = fake_grow(NULL, 1, sizeof *run);
  *run = (struct fake_run){.name = fake_dup(yoi_sdk_str(name))};
  return run;
}

static void run_free(struct fake_run *run) {
  for (size_t i = 0; i < run->n; i++) free((char *)run->acts[i].text.ptr);
  free(run->acts);
  free(run->name);
  free(run);
}

struct fake_run *fake_tool_run(struct fake_host *fh, const char *name) {
  struct fake_run *run = run_new(name);
  pthread_mutex_lock(&fh->mu);
  struct fake_run **tail = &fh->runs;
  while (*tail) tail = &(*tail)->next;
  *tail = run;
  pthread_mutex_unlock(&fh->mu);
  return run;
}

static struct run_act *add(struct fake_run *run, enum run_act_kind kind, const char *text,
                           size_t n) {
  run->acts = fake_grow(run->acts, run->n + 1, sizeof *run->acts);
  run->acts[run->n] = (struct run_act){.kind = kind, .text = {fake_dup((yoi_str){text, n}), n}};
  return &run->acts[run->n++];
}

void fake_run_bytes(struct fake_run *run, const char *bytes, size_t n) {
  add(run, RUN_EVENT, bytes, n)->event = YOI_EVENT_TOOL_OUTPUT;
}

void fake_run_output(struct fake_run *run, const char *text) {
  fake_run_bytes(run, text, strlen(text));
}

void fake_run_status(struct fake_run *run, const char *text) {
  add(run, RUN_EVENT, text, strlen(text))->event = YOI_EVENT_TOOL_STATUS;
}

void fake_run_cut(struct fake_run *run) {
  (void)add(run, RUN_CUT, "", 0);
}

void fake_run_gate(struct fake_run *run) {
  (void)add(run, RUN_GATE, "", 0);
}

static void fail(struct fake_run *run, enum run_act_kind kind, yoi_status st, int32_t code,
                 const char *message) {
  struct run_act *act = add(run, kind, message, strlen(message));
  act->st = st;
  act->code = code;
}

void fake_run_fail(struct fake_run *run, yoi_status st, int32_t code, const char *message) {
  fail(run, RUN_FAIL, st, code, message);
}

void fake_run_refuse(struct fake_run *run, yoi_status st, int32_t code, const char *message) {
  fail(run, RUN_REFUSE, st, code, message);
}

void fake_run_deaf(struct fake_run *run) {
  run->deaf = true;
}

void fake_run_polite(struct fake_run *run) {
  run->polite = true;
}

void fake_run_flood(struct fake_run *run) {
  run->flood = true;
}

/* The next one that was written for it; else one that says "done". */
static struct fake_run *take_run(struct fake_host *fh, yoi_str name) {
  struct fake_run **at = &fh->runs, *run;
  while (*at && !yoi_sdk_str_is(name, (*at)->name)) at = &(*at)->next;
  run = *at;
  if (run) {
    *at = run->next;
    run->next = NULL;
    return run;
  }
  run = run_new("");
  fake_run_output(run, "done");
  return run;
}

void fake_tool_open(struct fake_host *fh, const char *name) {
  uint64_t tokens[256];
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (struct fake_work *w = fh->works; w && n < 256; w = w->next) {
    if (!w->gated || (name && strcmp(name, w->run->name) != 0)) continue;
    w->gated = false;
    tokens[n++] = w->token;
  }
  pthread_mutex_unlock(&fh->mu);
  for (size_t i = 0; i < n; i++) fh->host.wake(&fh->host, tokens[i]);
}

/* ---- its stream ---- */

static yoi_status work_fail(yoi_status st, int32_t code, yoi_str message, yoi_error *err) {
  (void)yoi_sdk_fail(err, code, "%.*s", YOI_ARG(message));
  return st;
}

static const yoi_host_loop *loops_of(struct fake_host *fh) {
  return fh->host.get_interface(&fh->host, YOI_LIT(YOI_HOST_LOOP_ID));
}

/* Locked: its next event, or why there is none. */
static yoi_status work_step(struct fake_work *w, const struct run_act **out) {
  const struct fake_run *run = w->run;
  if (w->cancelled && !run->deaf && !run->polite) return YOI_CANCELLED;
  if (w->cancelled && run->polite) w->gated = false;
  for (;;) {
    if (w->gated) return YOI_AGAIN;
    if (w->at == run->n) return YOI_END;
    const struct run_act *act = &run->acts[w->at];
    if (act->kind == RUN_FAIL) {
      *out = act;
      return act->st;
    }
    bool stays = run->flood && w->at + 1 == run->n;
    if (stays) w->fh->now += 1000000u;
    w->at += !stays;
    if (act->kind == RUN_GATE) w->gated = !(w->cancelled && run->polite);
    if (act->kind != RUN_EVENT) continue;
    *out = act;
    return YOI_OK;
  }
}

static yoi_status work_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct fake_work *w = (struct fake_work *)s;
  struct fake_host *fh = w->fh;
  const struct run_act *act = NULL;
  assert(loops_of(fh)->current(&fh->host) == w->loop);
  pthread_mutex_lock(&fh->mu);
  yoi_status st = work_step(w, &act);
  pthread_mutex_unlock(&fh->mu);
  if (st == YOI_CANCELLED && !act) {
    if (err) yoi_sdk_error_clear(err);
    return st;
  }
  if (st != YOI_OK) return act ? work_fail(st, act->code, act->text, err) : st;
  w->event = (yoi_event){.size = sizeof w->event, .kind = act->event, .text = act->text};
  w->batch = &w->event;
  *out_events = &w->batch;
  *out_n = 1;
  return YOI_OK;
}

static void work_cancel(yoi_stream *s) {
  struct fake_work *w = (struct fake_work *)s;
  struct fake_host *fh = w->fh;
  pthread_mutex_lock(&fh->mu);
  if (!w->cancelled) fh->n_tools_cancelled++;
  w->cancelled = true;
  uint64_t token = w->token;
  pthread_mutex_unlock(&fh->mu);
  fh->host.wake(&fh->host, token);
}

static void work_release(yoi_stream *s) {
  if (!s) return;
  struct fake_work *w = (struct fake_work *)s;
  struct fake_host *fh = w->fh;
  uint32_t here = loops_of(fh)->current(&fh->host);
  pthread_mutex_lock(&fh->mu);
  assert(fh->closed || here == w->loop);
  struct fake_work **p = &fh->works;
  while (*p && *p != w) p = &(*p)->next;
  assert(*p == w);
  *p = w->next;
  pthread_mutex_unlock(&fh->mu);
  run_free(w->run);
  free(w);
}

static const yoi_stream_ops work_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = work_next,
    .cancel = work_cancel,
    .release = work_release,
};

void fake_tool_digest(struct fake_host *fh, const char *digest) {
  pthread_mutex_lock(&fh->mu);
  fh->digest = digest;
  pthread_mutex_unlock(&fh->mu);
}

/* ---- the interfaces ---- */

static yoi_status tool_find(const yoi_host *h, yoi_str plugin, yoi_str name, yoi_tool_info *out,
                            yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  const struct fake_tool *t = find(fh, name);
  bool there = t && t->there && yoi_sdk_str_is(plugin, FAKE_TOOL_PLUGIN);
  if (there)
    *out = (yoi_tool_info){.size = sizeof *out,
                           .flags = t->flags,
                           .max_ms = FAKE_TOOL_MAX_MS,
                           .name = yoi_sdk_str(t->name),
                           .plugin = YOI_LIT(FAKE_TOOL_PLUGIN),
                           .version = YOI_LIT("1.0.0"),
                           .digest = yoi_sdk_str(fh->digest ? fh->digest : "sha256:00"),
                           .description = YOI_LIT("a tool of the test"),
                           .parameters = YOI_LIT("{\"type\":\"object\"}"),
                           .grants = YOI_LIT("[]")};
  pthread_mutex_unlock(&fh->mu);
  return there ? YOI_OK : yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "there is no such tool");
}

/* What the hook of a test does, once; locked before and behind. */
static void call_hook(struct fake_host *fh, void (**hook)(void *ctx), void *ctx) {
  void (*fn)(void *) = *hook;
  *hook = NULL;
  if (!fn) return;
  pthread_mutex_unlock(&fh->mu);
  fn(ctx);
  pthread_mutex_lock(&fh->mu);
}

static void check_call(const yoi_tool_call *call) {
  assert(call->size == sizeof *call && call->token != 0);
  assert(call->worker_id.len > 0 && call->call_id.len > 0);
  assert(call->arguments.len >= 2 && call->arguments.ptr[0] == '{');
}

/* Locked: the part that both ask. */
static yoi_status ask(struct fake_host *fh, const yoi_tool_call *call, bool at_start,
                      uint32_t *verdict, yoi_error *err) {
  const struct fake_tool *t = find(fh, call->name);
  check_call(call);
  if (!t || !t->there) return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "the tool has gone");
  if (t->invalid) return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s", t->invalid);
  uint32_t says = at_start ? t->at_start : t->verdict;
  *verdict = call->profile_verdict > says ? call->profile_verdict : says;
  return YOI_OK;
}

static yoi_status tool_decide(const yoi_host *h, const yoi_tool_call *call, yoi_tool_decision *out,
                              yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  uint32_t verdict = 0;
  pthread_mutex_lock(&fh->mu);
  fh->n_decides++;
  call_hook(fh, &fh->on_decide, fh->on_tool_ctx);
  yoi_status st = ask(fh, call, false, &verdict, err);
  pthread_mutex_unlock(&fh->mu);
  if (st != YOI_OK) return st;
  *out = (yoi_tool_decision){.size = sizeof *out, .verdict = verdict, .rule = "test"};
  if (call->bundle_verdict > verdict)
    *out = (yoi_tool_decision){
        .size = sizeof *out, .verdict = call->bundle_verdict, .rule = "bundle"};
  if (out->verdict == YOI_VERDICT_DENY)
    (void)snprintf(out->reason, sizeof out->reason, "no, said the test");
  return YOI_OK;
}

static void remember(struct fake_host *fh, const yoi_tool_call *call) {
  size_t room = call->arguments.len + 1024;
  char *what = fake_grow(NULL, room, 1);
  (void)snprintf(what, room, "%.*s %.*s %.*s %.*s %.*s", YOI_ARG(call->name),
                 YOI_ARG(call->call_id), YOI_ARG(call->arguments), YOI_ARG(call->approval),
                 YOI_ARG(call->approved_by));
  fh->started = fake_grow(fh->started, fh->n_started + 1, sizeof *fh->started);
  fh->started[fh->n_started++] = (struct fake_started){
      .what = what, .key = fake_dup(call->idempotency_key), .worker = fake_dup(call->worker_id)};
}

/* Locked. */
static yoi_status start_work(struct fake_host *fh, const yoi_tool_call *call, uint32_t loop,
                             yoi_stream **out, yoi_error *err) {
  uint32_t verdict = 0;
  yoi_status st = ask(fh, call, true, &verdict, err);
  assert((call->flags & YOI_TOOL_CALL_DECIDED) != 0 && call->idempotency_key.len == 64);
  if (st != YOI_OK) return st;
  if (call->bundle_verdict > verdict) verdict = call->bundle_verdict;
  if (verdict == YOI_VERDICT_DENY)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "no, said the test at the start");
  if (verdict == YOI_VERDICT_ASK && call->approval.len == 0)
    return work_fail(YOI_FAILED_PRECONDITION, YOI_CODE_POLICY_DENIED,
                     YOI_LIT("a person has to be asked"), err);
  struct fake_run *run = take_run(fh, call->name);
  if (run->n > 0 && run->acts[0].kind == RUN_REFUSE) {
    st = work_fail(run->acts[0].st, run->acts[0].code, run->acts[0].text, err);
    run_free(run);
    return st;
  }
  remember(fh, call);
  struct fake_work *w = fake_grow(NULL, 1, sizeof *w);
  *w = (struct fake_work){.head = {.ops = &work_ops},
                          .fh = fh,
                          .next = fh->works,
                          .run = run,
                          .token = call->token,
                          .loop = loop};
  fh->works = w;
  *out = &w->head;
  return YOI_OK;
}

static yoi_status tool_start(const yoi_host *h, const yoi_tool_call *call, yoi_stream **out,
                             yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  uint32_t loop = loops_of(fh)->current(h);
  assert(loop != YOI_NO_LOOP);
  pthread_mutex_lock(&fh->mu);
  call_hook(fh, &fh->on_start, fh->on_tool_ctx);
  yoi_status st = start_work(fh, call, loop, out, err);
  pthread_mutex_unlock(&fh->mu);
  return st;
}

const yoi_host_tool fake_tool_table = {
    .size = sizeof(yoi_host_tool),
    .find = tool_find,
    .decide = tool_decide,
    .start = tool_start,
};

static yoi_status grant_check(const yoi_host *h, yoi_str grant, yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  bool missing = fh->no_grant && yoi_sdk_str_is(grant, fh->no_grant);
  pthread_mutex_unlock(&fh->mu);
  return missing ? yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "there is no such grant") : YOI_OK;
}

const yoi_host_grant fake_grant_table = {.size = sizeof(yoi_host_grant), .check = grant_check};

/* ---- what the test asks ---- */

static void set_hook(struct fake_host *fh, void (**hook)(void *), void (*fn)(void *), void *ctx) {
  pthread_mutex_lock(&fh->mu);
  *hook = fn;
  fh->on_tool_ctx = ctx;
  pthread_mutex_unlock(&fh->mu);
}

void fake_tool_on_decide(struct fake_host *fh, void (*fn)(void *ctx), void *ctx) {
  set_hook(fh, &fh->on_decide, fn, ctx);
}

void fake_tool_on_start(struct fake_host *fh, void (*fn)(void *ctx), void *ctx) {
  set_hook(fh, &fh->on_start, fn, ctx);
}

static size_t counted(struct fake_host *fh, const size_t *n) {
  pthread_mutex_lock(&fh->mu);
  size_t got = *n;
  pthread_mutex_unlock(&fh->mu);
  return got;
}

size_t fake_tool_decides(struct fake_host *fh) {
  return counted(fh, &fh->n_decides);
}

size_t fake_tool_starts(struct fake_host *fh) {
  return counted(fh, &fh->n_started);
}

size_t fake_tool_cancelled(struct fake_host *fh) {
  return counted(fh, &fh->n_tools_cancelled);
}

size_t fake_tool_live(struct fake_host *fh) {
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (const struct fake_work *w = fh->works; w; w = w->next) n++;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

const char *fake_tool_start(struct fake_host *fh, size_t i) {
  assert(i < fh->n_started);
  return fh->started[i].what;
}

const char *fake_tool_key(struct fake_host *fh, size_t i) {
  assert(i < fh->n_started);
  return fh->started[i].key;
}

size_t fake_tool_same_key(struct fake_host *fh, const char *key) {
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (size_t i = 0; i < fh->n_started; i++) n += strcmp(fh->started[i].key, key) == 0;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

size_t fake_tool_starts_of(struct fake_host *fh, const char *worker) {
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (size_t i = 0; i < fh->n_started; i++) n += strcmp(fh->started[i].worker, worker) == 0;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

void fake_tool_clear(struct fake_host *fh) {
  while (fh->runs) {
    struct fake_run *run = fh->runs;
    fh->runs = run->next;
    run_free(run);
  }
  for (size_t i = 0; i < fh->n_tools; i++) {
    free(fh->tools[i].name);
    free(fh->tools[i].invalid);
  }
  for (size_t i = 0; i < fh->n_started; i++) {
    free(fh->started[i].what);
    free(fh->started[i].key);
    free(fh->started[i].worker);
  }
  free(fh->tools);
  free(fh->started);
  free(fh->no_grant);
}
