/* life.c - what tests of a runtime's workers have in common. */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *life_at(const char *text, const char *path) {
  yoi_str v = yoi_sdk_str(text);
  while (v.len && *path) {
    size_t n = strcspn(path, ".");
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
    v = yoi_sdk_json_raw_get(v, name);
    path += n + (path[n] == '.');
  }
  if (!v.len) return NULL;
  if (v.len >= 2 && v.ptr[0] == '"') v = (yoi_str){v.ptr + 1, v.len - 2};
  return conform_text("%.*s", YOI_ARG(v));
}

int life_is(const char *text, const char *path, const char *value) {
  char *v = life_at(text, path);
  int same = v && strcmp(v, value) == 0;
  free(v);
  return same;
}

const char *life_result(const struct call *k) {
  const struct call_event *e = call_event(k, YOI_EVENT_RESULT);
  return e ? e->text : "";
}

struct call life_op(struct conform *c, struct life *l, uint32_t op, const char *body,
                    const char *key) {
  struct call k;
  call_op(c, &l->i, op, l->id, body, key, 0, &k);
  return k;
}

struct call life_op_on(struct conform *c, struct life *l, uint32_t op, const char *subject,
                       const char *body) {
  struct call k;
  call_op_on(c, &l->i, op, l->id, subject, body, &k);
  return k;
}

void life_must_fail(struct conform *c, const struct call *k, int32_t code, const char *what) {
  if (k->status <= YOI_OK || k->error.e.code != code)
    conform_fail(c, yoi_sdk_code_name(code), "%s: status %d, code %d: %s", what, k->status,
                 k->error.e.code, k->error.message);
}

/* ---- from its creation to its end -------------------------------------------------- */

static void must_offer(struct conform *c, const char *can, const char *ops) {
  for (size_t n; *ops; ops += n + (ops[n] == ' ')) {
    n = strcspn(ops, " ");
    char *name = conform_text("\"%.*s\"", (int)n, ops);
    if (!can || !strstr(can, name)) conform_skip(c, "its capabilities do not have %s", name);
    free(name);
  }
}

void life_forget(struct conform *c, struct life *l) {
  (void)life_op(c, l, YOI_OP_WORKER_STOP, "", "");
  (void)life_op(c, l, YOI_OP_WORKER_DELETE, "", "");
}

struct life life_begin_with(struct conform *c, const char *ops) {
  struct life l = {.i = rig_open(c), .born = NULL};
  struct call k;
  (void)snprintf(l.id, sizeof l.id, "conform-%08llx",
                 (unsigned long long)conform_random(c, 1ull << 32));
  call_op(c, &l.i, YOI_OP_RUNTIME_DESCRIBE, "", "", "", 0, &k);
  char *can = life_at(life_result(&k), "runtime.capabilities");
  must_offer(c, can, ops);
  free(can);
  life_forget(c, &l); /* the name follows from the seed, and may have been used */
  return l;
}

struct life life_begin(struct conform *c, const char *more) {
  char *ops = conform_text("worker.create worker.input %s", more);
  struct life l = life_begin_with(c, ops);
  free(ops);
  return l;
}

struct life life_with_worker(struct conform *c, const char *more) {
  struct life l = life_begin(c, more);
  struct call k;
  char *body = conform_text("{\"worker_id\":\"%s\"}", l.id);
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &k);
  free(body);
  l.born = life_at(life_result(&k), "worker.cursor");
  if (!l.born) conform_skip(c, "see worker.create: %s", k.error.message);
  return l;
}

void life_end(struct conform *c, struct life *l) {
  life_forget(c, l);
  if (l->bundle[0]) (void)life_op_on(c, l, YOI_OP_BUNDLE_DELETE, l->bundle, "");
  free(l->born);
  rig_close(c, &l->i);
}

/* ---- inputs ------------------------------------------------------------------------ */

struct call life_say(struct conform *c, struct life *l, const char *text, const char *key) {
  struct call k;
  char *body = conform_text("{\"content\":\"%s\"}", text);
  if (call_start_op(c, &l->i, YOI_OP_WORKER_INPUT, l->id, body, key, YOI_REQ_FOLLOW, &k))
    (void)call_finish(c, &k, LIFE_MS);
  call_release(&k);
  free(body);
  return k;
}

const struct call_event *life_say_until(struct conform *c, struct life *l, const char *text,
                                        uint32_t kind, struct call *k) {
  char *body = conform_text("{\"content\":\"%s\"}", text);
  int started = call_start_op(c, &l->i, YOI_OP_WORKER_INPUT, l->id, body, "", YOI_REQ_FOLLOW, k);
  free(body);
  return started ? call_until(c, k, kind, LIFE_MS) : NULL;
}
