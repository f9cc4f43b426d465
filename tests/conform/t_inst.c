/* t_inst.c - instances: opened, refused, closed, twice, a thousand times, and with
 * memory that runs out.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <sdk/jsonw.h>
#include <yoi/limits.h>

#include "rig.h"

#define ROUNDS 1000
#define WARM 20
#define LEAK_PER_ROUND 16 /* less is the C library's own */
#define FAILURES_MAX 3000
#define HEAP_BYTES_MAX (1u << 20)

static void opens(struct conform *c) {
  struct yoi_sdk_error e;
  struct rig_instance i = {.in = NULL};
  yoi_error *err = yoi_sdk_error_init(&e);
  const char *see = rig_try_start(c, err);
  if (see && strcmp(see, c->test->id) != 0) conform_skip(c, "see %s: %s", see, e.message);
  if (see) conform_fail(c, "a host with it, as the config says", "%s", e.message);
  yoi_status st = rig_try_open(c, NULL, NULL, &i, err);
  if (st != YOI_OK)
    conform_fail(c, "it opens with the config that it was given (--config)", "status %d: %s", st,
                 e.message);
  rig_close(c, &i);
}

/* ---- a config that is wrong ------------------------------------------------------ */

struct finding {
  int found;
  char text[256];
};

static void look(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                 const char *message) {
  struct finding *f = ctx;
  (void)line, (void)column;
  f->found |= strstr(pointer, "yoi-conform-unknown") || strstr(message, "yoi-conform-unknown");
  (void)snprintf(f->text, sizeof f->text, "%s: %s", pointer, message);
}

/* The instance's config with one more member. */
static void bad_config(struct conform *c) {
  struct yoi_sdk_buf own, all;
  struct yoi_sdk_jsonw w;
  struct finding f = {0};
  yoi_sdk_json *tree = NULL;
  yoi_str given = yoi_sdk_str(c->options->config);
  if (given.len && yoi_sdk_json_parse(given, 0, &tree, NULL) != YOI_OK) tree = NULL;
  yoi_sdk_buf_init(&own, 1u << 20);
  yoi_sdk_buf_init(&all, 1u << 20);
  yoi_sdk_jsonw_init(&w, &own);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "yoi-conform-unknown", 1);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); v; v = yoi_sdk_json_next(v)) {
    yoi_sdk_jsonw_keyn(&w, yoi_sdk_json_key(v));
    yoi_sdk_json_write(v, &w);
  }
  yoi_sdk_jsonw_close(&w, '}');
  rig_config(c, yoi_sdk_buf_str(&own), &all);
  yoi_status st = yoi_host_check(all.data, all.len, c->folder, look, &f);
  if (st == YOI_OK || !f.found)
    conform_fail(c, "the manifest's schema refuses a member that it does not know",
                 st == YOI_OK ? "it takes 'yoi-conform-unknown'" : "another finding: %s", f.text);
}

/* ---- memory that runs out ----------------------------------------------------------- */

struct failing {
  uintptr_t from, to;
};

static int can_fail(struct conform *c, struct failing *f) {
  return conform_heap_can() && rig_code(c, &f->from, &f->to);
}

static struct failing failing(struct conform *c) {
  struct failing f = {0, 0};
  if (!conform_heap_can()) conform_skip(c, "a sanitizer has the allocator");
  if (!can_fail(c, &f)) conform_skip(c, "its code is not in a shared object here");
  return f;
}

/* Opens with the n-th allocation of its code failing; 0: there were fewer. */
static int open_without(struct conform *c, const struct failing *f, uint64_t n, yoi_error *err) {
  struct rig_instance i = {.in = NULL};
  conform_heap_fail(n, f->from, f->to);
  yoi_status st = rig_try_open(c, NULL, NULL, &i, err);
  uint64_t made = conform_heap_off();
  if (st < YOI_OK || st > YOI_UNAUTHENTICATED)
    conform_fail(c, "OK or an error of base.h", "open answers %d when memory is short", st);
  if (st == YOI_OK) rig_close(c, &i);
  return made >= n;
}

static void allocator_open(struct conform *c) {
  struct yoi_sdk_error e;
  struct rig_instance i = rig_open(c);
  rig_close(c, &i);
  struct failing f = failing(c);
  uint64_t n = 1, over = call_share(c);
  while (n < FAILURES_MAX && conform_now_ns() < over &&
         open_without(c, &f, n, yoi_sdk_error_init(&e)))
    n++;
  i = rig_open(c); /* and when there is memory again */
  rig_close(c, &i);
}

/* A short life with the n-th allocation failing; 0: there were fewer. */
static int use_without(struct conform *c, struct rig_instance *i, const struct failing *f,
                       uint64_t n) {
  struct call k = {.stream = NULL};
  conform_heap_fail(n, f->from, f->to);
  if (call_start(c, i, &k, NULL, NULL) && !call_finish(c, &k, 10000))
    conform_fail(c, "the stream ends", "it does not, when allocation %llu failed",
                 (unsigned long long)n);
  uint64_t made = conform_heap_off();
  if (k.status > YOI_UNAUTHENTICATED || (k.status < YOI_OK && k.status != YOI_END))
    conform_fail(c, "END or an error of base.h", "status %d when memory is short", k.status);
  call_release(&k);
  return made >= n;
}

static void allocator_start(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct failing f = failing(c);
  uint64_t n = 1, over = call_share(c);
  while (n < FAILURES_MAX && conform_now_ns() < over && use_without(c, &i, &f, n)) n++;
  rig_close(c, &i);
}

/* ---- errors, and where they go ------------------------------------------------------ */

/* What is refused with that place for the error: an open without memory, a wish that
 * nobody knows, a next behind a cancel. How many there were. */
static unsigned refusals(struct conform *c, struct rig_instance *i, yoi_error *err, uint64_t over,
                         void (*each)(struct conform *c, const yoi_error *err)) {
  struct failing f = {0, 0};
  struct paper p = {.how = PAPER_PLAIN};
  struct call k;
  yoi_stream *s = NULL;
  unsigned n = 0;
  if (can_fail(c, &f))
    for (uint64_t at = 1; at < FAILURES_MAX && conform_now_ns() < over &&
                          open_without(c, &f, at, err);
         n++, at++)
      each(c, err);
  if (!rig_can_ask(c)) return n;
  if (rig_ask(c, i, rig_request_newer(c, i, &p, 0, 0), &s, err) > YOI_OK) n++, each(c, err);
  else if (s) s->ops->release(s);
  paper_release(&p);
  if (!call_start(c, i, &k, NULL, NULL)) return n;
  k.stream->ops->cancel(k.stream);
  uint64_t until = conform_now_ns() + YOI_CANCEL_GRACE_MS * 1000000ull;
  for (k.status = YOI_AGAIN; k.status == YOI_AGAIN || k.status == YOI_OK; rig_pump(c, 1)) {
    const yoi_event *const *events = NULL;
    size_t count = 0;
    if (conform_now_ns() > until) break; /* that is stream.cancel-ends */
    k.status = k.stream->ops->next(k.stream, &events, &count, err);
  }
  if (k.status > YOI_OK) n++, each(c, err);
  call_release(&k);
  return n;
}

static void nothing_to_see(struct conform *c, const yoi_error *err) {
  (void)c, (void)err;
}

static void null_error(struct conform *c) {
  struct rig_instance i = rig_open(c);
  if (!refusals(c, &i, NULL, call_share(c), nothing_to_see)) conform_skip(c, "nothing was refused");
  rig_close(c, &i);
}

static void look_for_end(struct conform *c, const yoi_error *err) {
  if (err->message_cap && !memchr(err->message, 0, err->message_cap))
    conform_fail(c, "a text with its end, within its buffer", "a message without an end");
}

/* Buffers of almost no size, that end where a page does. */
static void small_error(struct conform *c) {
  static const size_t caps[] = {0, 1, 8};
  struct rig_instance i = rig_open(c);
  uint64_t over = call_share(c);
  unsigned n = 0;
  for (size_t k = 0; k < sizeof caps / sizeof *caps; k++) {
    struct paper p = {.how = PAPER_EDGE};
    char *at = paper_take(&p, caps[k] ? caps[k] : 1);
    yoi_error e = {.size = sizeof e, .message = caps[k] ? at : NULL, .message_cap = caps[k]};
    n += refusals(c, &i, &e, over, look_for_end);
    paper_release(&p);
  }
  if (!n) conform_skip(c, "nothing was refused");
  rig_close(c, &i);
}

/* ---- many -------------------------------------------------------------------------------- */

static size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

static void thousand(struct conform *c) {
  size_t before = 0;
  if (!conform_heap_can()) conform_skip(c, "a sanitizer has the allocator");
  uint64_t until = call_share(c);
  unsigned n = 0;
  for (; n < ROUNDS && (n < 2 * WARM || conform_now_ns() < until); n++) {
    struct rig_instance i = rig_open(c);
    rig_close(c, &i);
    rig_pump(c, 0);
    if (n == WARM) before = in_use();
  }
  size_t after = in_use();
  if (after > before + (size_t)(n - WARM) * LEAK_PER_ROUND)
    conform_fail(c, "no memory is kept by an instance that was closed", "%zu bytes per instance",
                 (after - before) / (n - WARM));
}

static void two(struct conform *c) {
  struct rig_instance a = rig_open(c), b = {.in = NULL};
  struct yoi_sdk_error e;
  if (rig_try_open(c, NULL, NULL, &b, yoi_sdk_error_init(&e)) != YOI_OK)
    conform_skip(c, "a second instance of the same config does not open: %s", e.message);
  if (a.self == b.self && a.self)
    conform_fail(c, "an instance of its own for each open", "the same one twice");
  rig_close(c, &b);
  struct call k = {.stream = NULL};
  if (rig_can_ask(c) && call_start(c, &a, &k, NULL, NULL)) {
    (void)call_finish(c, &k, 10000);
    call_release(&k);
  }
  rig_close(c, &a);
}

#define INST(name, needs, fn, says, header, promise) \
  {"inst." name, ON_ALL, needs, fn, says, header, promise}

extern const struct conform_test conform_inst[];
const struct conform_test conform_inst[] = {
    INST("open", 0, opens, "An instance opens with the given config.", "yoi/runtime.h",
         "config is a JSON object that fits the manifest's schema."),
    INST("bad-config", 0, bad_config,
         "A config with a member that the schema does not know is refused, and it is named.",
         "yoi/plugin.h", "\"config\": { ...JSON Schema... },"),
    INST("allocator-open", NEEDS_NEAR, allocator_open,
         "Whichever allocation of open fails, open answers with an error or works.", "yoi/plugin.h",
         "no memory fails with RESOURCE_EXHAUSTED; it does not end the process."),
    INST("null-error", NEEDS_NEAR, null_error, "An error may have no place to go to.",
         "yoi/base.h", "Every yoi_error * may be NULL."),
    INST("small-error", NEEDS_NEAR, small_error,
         "A message ends within its buffer, however small that is.", "yoi/base.h",
         "Every text is NUL-terminated and cut at a UTF-8 boundary when its buffer is too small"),
    {"inst.allocator-start", ON_STREAMS, NEEDS_NEAR, allocator_start,
     "Whichever allocation of a call fails, the call ends with an error or works.", "yoi/plugin.h",
     "no memory fails with RESOURCE_EXHAUSTED; it does not end the process."},
    INST("thousand", NEEDS_NEAR, thousand,
         "A thousand instances, opened and closed, leave no memory behind.", "yoi/base.h",
         "Who allocates frees."),
    INST("two", NEEDS_NEAR, two, "Two instances live side by side.", "yoi/host.h",
         "One yoi_host per instance, valid until its close has returned."),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
