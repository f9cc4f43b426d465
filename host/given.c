/* host/given.c - what each running call of a tool was given.
 *
 *   call = generation << 20 | slot
 *
 * Invariants:
 *  1. Generations of a slot begin at 1 and grow when it is freed. No call is 0.
 *  2. `lock` is held to look at slots and to copy, never while something is
 *     asked, opened or called back.
 *  3. What is kept was checked once; it is checked again at each use, against the
 *     setup that the call began with.
 *  4. A list is all or nothing: one grant that is not in force refuses the call.
 *  5. A call may end while another thread still asks for it, of a plugin in a process
 *     of its own; whoever looks has a reference of the setup.
 */
#include "given.h"

#include <pthread.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "host.h"

#define SLOT_BITS 20
#define SLOTS_MAX YOI_TOKENS_MAX /* each call has a stream, which has a token */
#define NO_SLOT UINT32_MAX

_Static_assert(SLOTS_MAX <= 1u << SLOT_BITS, "a slot's number fits");

struct slot {
  uint64_t generation;
  const struct yoi__instance *in; /* NULL: free */
  struct yoi__setup *setup;       /* a reference */
  char *texts;                    /* one after the other, each behind its length in a byte */
  uint32_t n, bytes;
  uint32_t next; /* of the free ones */
};

struct yoi__given {
  pthread_mutex_t lock;
  struct slot *slots;
  uint32_t n, free;
};

struct yoi__given *yoi__given_new(void) {
  struct yoi__given *g = yoi_sdk_calloc(1, sizeof *g);
  if (g == NULL) return NULL;
  pthread_mutex_init(&g->lock, NULL);
  g->free = NO_SLOT;
  return g;
}

void yoi__given_free(struct yoi__given *g) {
  if (g == NULL) return;
  for (uint32_t i = 0; i < g->n; i++) yoi_sdk_free(g->slots[i].texts);
  yoi_sdk_free(g->slots);
  pthread_mutex_destroy(&g->lock);
  yoi_sdk_free(g);
}

/* ---- reading a list ---------------------------------------------------------- */

static void put(struct yoi__given_list *l, size_t *at, yoi_str text) {
  yoi_str *own = &l->texts[l->n];
  *own = (yoi_str){l->bytes + *at, text.len};
  memcpy(l->bytes + *at, text.ptr, text.len);
  *at += text.len;
  (void)yoi_sdk_grant_parse(*own, &l->grants[l->n++]);
}

static yoi_status read_tree(const yoi_sdk_json *tree, struct yoi__given_list *out, yoi_error *err) {
  size_t at = 0;
  if (yoi_sdk_json_type(tree) != YOI_SDK_JSON_ARRAY ||
      yoi_sdk_json_count(tree) > YOI_TOOL_GRANTS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "grants of a call: expected an array of at most %d", YOI_TOOL_GRANTS_MAX);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(tree); v != NULL; v = yoi_sdk_json_next(v)) {
    struct yoi_sdk_grant grant;
    yoi_str text = {NULL, 0};
    const char *expected = "a string";
    if (yoi_sdk_json_str(v, &text)) expected = yoi_sdk_grant_parse(text, &grant);
    if (expected != NULL)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "grants of a call: '%.*s' is no grant: expected %s",
                          (int)yoi_sdk_utf8_cut(text, YOI_GRANT_MAX), text.ptr, expected);
    put(out, &at, text);
  }
  return YOI_OK;
}

static yoi_status read_list(yoi_str json, struct yoi__given_list *out, yoi_error *err) {
  yoi_sdk_json *tree = NULL;
  out->n = 0;
  if (json.len == 0) return YOI_OK;
  yoi_status st = yoi_sdk_json_parse(json, 0, &tree, NULL);
  if (st == YOI_OK) {
    st = read_tree(tree, out, err);
  } else {
    (void)yoi_sdk_fail(err, yoi_sdk_code_of_status(st), "grants of a call: no valid JSON");
  }
  yoi_sdk_json_free(tree);
  return st;
}

static yoi_status read_checked(const struct yoi__setup *s, const struct yoi__plugin *p,
                               yoi_str json, struct yoi__given_list *out, yoi_error *err) {
  yoi_status st = read_list(json, out, err);
  for (size_t i = 0; i < out->n && st == YOI_OK; i++)
    st = yoi__grant_for(s->config, p, &out->grants[i], err);
  return st;
}

yoi_status yoi__given_check(const struct yoi__setup *setup, const struct yoi__plugin *p,
                            yoi_str grants, yoi_error *err) {
  struct yoi__given_list list;
  return read_checked(setup, p, grants, &list, err);
}

/* ---- the table ---------------------------------------------------------------- */

_Static_assert(YOI_GRANT_MAX <= UINT8_MAX, "its length fits into a byte");

/* NULL: memory is short. */
static char *pack(const struct yoi__given_list *l, uint32_t *out_bytes) {
  size_t bytes = 1, at = 0;
  for (size_t i = 0; i < l->n; i++) bytes += 1 + l->texts[i].len;
  char *texts = yoi_sdk_malloc(bytes);
  if (texts == NULL) return NULL;
  for (size_t i = 0; i < l->n; i++) {
    texts[at++] = (char)l->texts[i].len;
    memcpy(texts + at, l->texts[i].ptr, l->texts[i].len);
    at += l->texts[i].len;
  }
  *out_bytes = (uint32_t)at;
  return texts;
}

/* Under the lock. */
static int grow(struct yoi__given *g) {
  uint32_t n = YOI_SDK_MORE(g->n, 16);
  if (n > SLOTS_MAX) return 0;
  struct slot *slots = yoi_sdk_reallocarray(g->slots, n, sizeof *slots);
  if (slots == NULL) return 0;
  g->slots = slots;
  for (uint32_t i = n; i-- > g->n;) {
    slots[i] = (struct slot){.generation = 1, .next = g->free};
    g->free = i;
  }
  g->n = n;
  return 1;
}

yoi_status yoi__given_open(struct yoi__setup *setup, struct yoi__instance *in, yoi_str grants,
                           uint64_t *out_call, yoi_error *err) {
  struct yoi__given *g = setup->host->given;
  struct yoi__given_list list;
  uint32_t bytes = 0;
  *out_call = 0;
  yoi_status st = read_checked(setup, in->plugin, grants, &list, err);
  if (st != YOI_OK) return st;
  char *texts = pack(&list, &bytes);
  if (texts == NULL) return yoi_sdk_fail_memory(err);
  pthread_mutex_lock(&g->lock);
  if (g->free != NO_SLOT || grow(g)) {
    uint32_t i = g->free;
    struct slot *s = &g->slots[i];
    g->free = s->next;
    s->in = in;
    s->setup = yoi__setup_ref(setup);
    s->texts = texts;
    s->n = (uint32_t)list.n;
    s->bytes = bytes;
    *out_call = s->generation << SLOT_BITS | i;
  }
  pthread_mutex_unlock(&g->lock);
  if (*out_call != 0) return YOI_OK;
  yoi_sdk_free(texts);
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "cannot begin a call: too many run");
}

/* Under the lock; NULL: no such call. */
static struct slot *find(struct yoi__given *g, uint64_t call) {
  uint32_t i = (uint32_t)(call & ((1u << SLOT_BITS) - 1));
  if (i >= g->n || g->slots[i].in == NULL || g->slots[i].generation != call >> SLOT_BITS)
    return NULL;
  return &g->slots[i];
}

void yoi__given_close(struct yoi_embed *host, uint64_t call) {
  struct yoi__given *g = host->given;
  struct yoi__setup *setup = NULL;
  char *texts = NULL;
  pthread_mutex_lock(&g->lock);
  struct slot *s = find(g, call);
  if (s != NULL) {
    setup = s->setup;
    texts = s->texts;
    *s = (struct slot){.generation = s->generation + 1, .next = g->free};
    g->free = (uint32_t)(s - g->slots);
  }
  pthread_mutex_unlock(&g->lock);
  yoi_sdk_free(texts);
  yoi__setup_give(setup);
}

yoi_status yoi__given_get(struct yoi_embed *host, const struct yoi__instance *in, uint64_t call,
                          struct yoi__given_list *out, yoi_error *err) {
  struct yoi__given *g = host->given;
  size_t n = 0, from = 0, at = 0;
  char packed[sizeof out->bytes + YOI_TOOL_GRANTS_MAX];
  out->n = 0;
  out->setup = NULL;
  pthread_mutex_lock(&g->lock);
  const struct slot *s = find(g, call);
  int found = s != NULL && s->in == in;
  if (found) {
    n = s->n;
    out->setup = yoi__setup_ref(s->setup);
    memcpy(packed, s->texts, s->bytes);
  }
  pthread_mutex_unlock(&g->lock);
  if (!found) return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no such call of this plugin");
  while (out->n < n) {
    yoi_str text = {packed + from + 1, (uint8_t)packed[from]};
    put(out, &at, text);
    from += 1 + text.len;
  }
  return YOI_OK;
}

yoi_status yoi__given_has(struct yoi_embed *host, const struct yoi__instance *in, uint64_t call,
                          const struct yoi_sdk_grant *grant, struct yoi__setup **out_setup,
                          yoi_error *err) {
  struct yoi__given_list list;
  size_t i = 0;
  yoi_status st = yoi__given_get(host, in, call, &list, err);
  while (i < list.n && !yoi_sdk_grant_covers(&list.grants[i], grant)) i++;
  if (st == YOI_OK && i == list.n)
    st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "this call was not given the grant '%s'",
                      yoi_sdk_grant_show(grant).text);
  if (st == YOI_OK) st = yoi__grant_for(list.setup->config, in->plugin, grant, err);
  if (out_setup != NULL) *out_setup = st == YOI_OK ? yoi__setup_ref(list.setup) : NULL;
  yoi__setup_give(list.setup);
  return st;
}
