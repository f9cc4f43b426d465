/* calls.c - tool calls from the fragments that providers send.
 *
 * The book says: the first fragment of a call has its index, id and name, the
 * next ones the index and a piece of the arguments. Compatible servers send
 * the index always as 0 or not at all, whole calls in one chunk, arguments as
 * an object, the id on every fragment, or no id. So a fragment finds its call
 * by id, then by index, then by position:
 *
 *   id    known                                that call
 *         new, with a name                     a new call, whatever its index
 *         new, without a name                  as without an id
 *   index known, no name or arguments unfinished   the last call of that index
 *         else                                 a new call, if there is a name
 *   else  a name, and the last call is whole   a new call
 *         several nameless ones in one chunk   the call at the same position
 *         else                                 the last call
 *
 * Invariant: a call becomes an event only when its name is there and its
 * arguments are one JSON object; a piece of arguments never does.
 */
#include "oai.h"

#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>

#define CALL_ID_MAX 256 /* providers use 9 to 40 */

void oai_calls_clear(struct oai_calls *c) {
  for (uint32_t i = 0; i < c->n; i++) {
    yoi_sdk_buf_release(&c->list[i].id);
    yoi_sdk_buf_release(&c->list[i].name);
    yoi_sdk_buf_release(&c->list[i].arguments);
  }
  c->n = 0;
}

void oai_calls_release(struct oai_calls *c) {
  oai_calls_clear(c);
  yoi_sdk_free(c->list);
  c->list = NULL;
  c->cap = 0;
}

static struct oai_call *add(struct oai_calls *c, int64_t index) {
  if (c->n == c->cap) {
    uint32_t cap = YOI_SDK_MORE(c->cap, 4);
    void *p = yoi_sdk_reallocarray(c->list, cap, sizeof *c->list);
    if (!p) return NULL;
    c->list = p;
    c->cap = cap;
  }
  struct oai_call *call = &c->list[c->n++];
  yoi_sdk_buf_init(&call->id, CALL_ID_MAX);
  yoi_sdk_buf_init(&call->name, YOI_NAME_MAX);
  yoi_sdk_buf_init(&call->arguments, YOI_TOOL_ARGUMENTS_MAX);
  call->index = index;
  return call;
}

static int is_object(yoi_str text) {
  size_t i = 0;
  while (i < text.len && strchr(" \t\r\n", text.ptr[i])) i++;
  return i < text.len && text.ptr[i] == '{' && yoi_sdk_json_check(text, 0, NULL) == YOI_OK;
}

static int whole(const struct oai_call *call) {
  return call->name.len && is_object(yoi_sdk_buf_str(&call->arguments));
}

static struct oai_call *by_id(struct oai_calls *c, yoi_str id) {
  for (uint32_t i = c->n; i > 0; i--)
    if (yoi_sdk_str_eq(yoi_sdk_buf_str(&c->list[i - 1].id), id)) return &c->list[i - 1];
  return NULL;
}

static struct oai_call *by_index(struct oai_calls *c, int64_t index) {
  for (uint32_t i = c->n; i > 0; i--)
    if (c->list[i - 1].index == index) return &c->list[i - 1];
  return NULL;
}

struct fragment {
  struct yoi_sdk_buf id, name;
  yoi_str arguments; /* raw */
  int64_t index;
  size_t position, count;
};

/* The call that a fragment is part of; NULL: it begins one. */
static struct oai_call *find(struct oai_calls *c, const struct fragment *f) {
  struct oai_call *call = f->id.len ? by_id(c, yoi_sdk_buf_str(&f->id)) : NULL;
  if (call) return call;
  call = f->index >= 0 ? by_index(c, f->index) : c->n ? &c->list[c->n - 1] : NULL;
  if (!call) return NULL;
  if (f->name.len == 0) {
    if (f->index < 0 && f->count > 1 && f->position < c->n) return &c->list[f->position];
    return call;
  }
  /* It names a tool. A call that has no id yet, or none at all, may only be
   * repeating its name; anything else is a new call on a used index. */
  if (f->id.len && call->id.len) return NULL;
  return whole(call) ? NULL : call;
}

static const char *too_large(struct oai_failure *f) {
  oai_failure_set(f, "too_large", "a tool call passed a limit");
  return f->kind;
}

static const char *malformed(struct oai_failure *f, const char *what) {
  oai_failure_set(f, "malformed", "%s", what);
  return f->kind;
}

static const char *apply(struct oai_calls *c, const struct fragment *g, struct oai_failure *f) {
  struct oai_call *call = find(c, g);
  if (!call) {
    if (g->name.len == 0 && g->id.len == 0)
      return malformed(f, "a piece of a tool call belongs to no call");
    if (c->n == YOI_TOOL_CALLS_MAX || !(call = add(c, g->index))) return too_large(f);
  }
  if (call->id.len == 0) yoi_sdk_buf_adds(&call->id, yoi_sdk_buf_str(&g->id));
  if (call->name.len == 0) yoi_sdk_buf_adds(&call->name, yoi_sdk_buf_str(&g->name));
  if (g->arguments.len && g->arguments.ptr[0] == '"') {
    if (!yoi_sdk_json_raw_unescape(g->arguments, &call->arguments) && !call->arguments.failed)
      return malformed(f, "arguments of a tool call are cut inside a character");
  } else if (g->arguments.len && g->arguments.ptr[0] == '{') {
    yoi_sdk_buf_adds(&call->arguments, g->arguments);
  } else if (g->arguments.len && !yoi_sdk_str_is(g->arguments, "null")) {
    return malformed(f, "arguments of a tool call are neither text nor an object");
  }
  if (call->id.failed || call->name.failed || call->arguments.failed) return too_large(f);
  return NULL;
}

static const char *read_and_apply(struct oai_calls *c, yoi_str outer, yoi_str function,
                                  struct fragment *g, struct oai_failure *f) {
  yoi_str name = yoi_sdk_json_raw_get(function, "name");
  yoi_str id = yoi_sdk_json_raw_get(outer, "id");
  yoi_sdk_buf_init(&g->id, CALL_ID_MAX);
  yoi_sdk_buf_init(&g->name, YOI_NAME_MAX);
  yoi_sdk_json_raw_unescape(id, &g->id);
  yoi_sdk_json_raw_unescape(name, &g->name);
  g->arguments = yoi_sdk_json_raw_get(function, "arguments");
  const char *kind = g->id.failed || g->name.failed ? too_large(f) : apply(c, g, f);
  yoi_sdk_buf_release(&g->id);
  yoi_sdk_buf_release(&g->name);
  return kind;
}

const char *oai_calls_add(struct oai_calls *c, yoi_str fragment, size_t position, size_t count,
                          struct oai_failure *f) {
  struct fragment g = {.index = -1, .position = position, .count = count};
  int64_t index;
  if (yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(fragment, "index"), &index) && index >= 0)
    g.index = index;
  return read_and_apply(c, fragment, yoi_sdk_json_raw_get(fragment, "function"), &g, f);
}

const char *oai_calls_add_legacy(struct oai_calls *c, yoi_str function, struct oai_failure *f) {
  struct fragment g = {.index = 0, .count = 1};
  return read_and_apply(c, (yoi_str){0}, function, &g, f);
}

static void emit(const struct oai_call *call, yoi_str arguments, uint64_t wall_ns,
                 struct oai_out *out) {
  char made[8 + YOI_SDK_UUID_SIZE] = "call_";
  struct yoi_sdk_jsonw w;
  size_t from = out->fill.text.len;
  yoi_str id = yoi_sdk_buf_str(&call->id);
  if (id.len == 0) {
    /* The history pairs calls and results by id: there must be one. */
    if (!yoi_sdk_uuid7(wall_ns, made + 5)) out->failed = 1;
    id = yoi_sdk_str(made);
  }
  yoi_sdk_jsonw_init(&w, &out->fill.text);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "id", id);
  yoi_sdk_jsonw_kstr(&w, "name", yoi_sdk_buf_str(&call->name));
  yoi_sdk_jsonw_kstr(&w, "arguments", arguments);
  yoi_sdk_jsonw_close(&w, '}');
  oai_out_commit(out, YOI_EVENT_MODEL_TOOL_CALL, from);
}

const char *oai_calls_emit(struct oai_calls *c, int cut, uint64_t wall_ns, struct oai_out *out,
                           uint32_t *out_n, struct oai_failure *f) {
  *out_n = 0;
  for (uint32_t i = 0; i < c->n; i++) {
    struct oai_call *call = &c->list[i];
    yoi_str arguments = yoi_sdk_buf_str(&call->arguments);
    /* A tool without parameters may be called with nothing at all; in an
     * answer that was cut, nothing may be all that came. */
    if (arguments.len == 0 && !cut) arguments = YOI_LIT("{}");
    if (call->name.len && is_object(arguments)) {
      emit(call, arguments, wall_ns, out);
      ++*out_n;
    } else if (!cut) {
      return malformed(f, "a tool call has no name, or arguments that are no JSON object");
    }
  }
  return NULL;
}
