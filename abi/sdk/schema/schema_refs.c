/* schema_refs.c - $ref: what it leads to, and that it leads somewhere.
 *
 * A reference is "#" or a JSON pointer behind it, as a URI fragment: what it
 * names must be a schema of the same document. No other document is ever
 * fetched.
 *
 *  1. A reference that comes back to its own schema without going into the
 *     value would be followed for ever; it is refused. The graph of what is
 *     applied to one and the same value has no cycle then, and recursion goes
 *     only as deep as a value does.
 *
 *       new --visit--> open --all below seen--> done
 *                       ^ |
 *                       +-+ met again while open: a cycle, refused
 */
#include <sdk/str.h>
#include <stdlib.h>
#include <string.h>

#include "schema_node.h"

enum mark { NEW, OPEN, DONE };

static int by_tree(const void *a, const void *b) {
  const struct schema_node *const *x = a, *const *y = b;
  uintptr_t p = (uintptr_t)(*x)->tree, q = (uintptr_t)(*y)->tree;
  return p < q ? -1 : p > q;
}

static struct schema_node *find(struct schema_node **nodes, size_t n, const yoi_sdk_json *tree) {
  struct schema_node wanted = {.tree = tree}, *key = &wanted;
  struct schema_node **at = n ? bsearch(&key, nodes, n, sizeof *nodes, by_tree) : NULL;
  return at ? *at : NULL;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 32);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One token of the fragment at *p, percent signs and ~ undone, into out, which
 * has room for the rest of the fragment. 0: malformed. */
static int token(const char **p, const char *end, char *out, size_t *out_len) {
  size_t n = 0;
  while (*p < end && **p != '/') {
    char c = *(*p)++;
    if (c == '%') {
      int hi = *p < end ? hex_digit((*p)[0]) : -1, lo = end - *p > 1 ? hex_digit((*p)[1]) : -1;
      if (hi < 0 || lo < 0) return 0;
      c = (char)(hi << 4 | lo);
      *p += 2;
    }
    if (c == '~') {
      if (*p >= end || (**p != '0' && **p != '1')) return 0;
      c = *(*p)++ == '0' ? '~' : '/';
    }
    out[n++] = c;
  }
  *out_len = n;
  return 1;
}

static const yoi_sdk_json *member(const yoi_sdk_json *v, yoi_str name) {
  uint64_t index;
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT) return yoi_sdk_json_getn(v, name);
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY ||
      !yoi_sdk_parse_u64(name, YOI_JSON_NODES_MAX, &index))
    return NULL;
  for (v = yoi_sdk_json_first(v); v && index > 0; index--) v = yoi_sdk_json_next(v);
  return v;
}

/* What a target names in the tree; NULL when there is nothing. */
static const yoi_sdk_json *follow(const yoi_sdk_json *root, yoi_str target,
                                  struct yoi_sdk_buf *scratch) {
  const char *p = target.ptr + 1, *end = target.ptr + target.len;
  yoi_sdk_buf_clear(scratch);
  char *out = yoi_sdk_buf_reserve(scratch, target.len);
  while (root && out && p < end) {
    size_t len;
    if (*p++ != '/' || !token(&p, end, out, &len)) return NULL;
    root = member(root, (yoi_str){out, len});
  }
  return out ? root : NULL;
}

static void refuse(struct schema_report *r, const struct schema_ref *ref, const char *why) {
  r->base = ref->pointer;
  yoi_sdk__schema_say(r, why);
  r->base = "";
}

static void resolve(struct schema_report *r, const yoi_sdk_json *root, struct schema_node **nodes,
                    size_t n, const struct schema_ref *ref, struct yoi_sdk_buf *scratch) {
  yoi_str t = ref->target;
  if (t.len == 0 || t.ptr[0] != '#' || (t.len > 1 && t.ptr[1] != '/')) {
    refuse(r, ref, "only references into the same schema are followed: '#' or '#/$defs/NAME'");
    return;
  }
  ref->node->ref = find(nodes, n, follow(root, t, scratch));
  if (scratch->failed) {
    r->st = YOI_RESOURCE_EXHAUSTED;
    return;
  }
  if (ref->node->ref) return;
  yoi_sdk_buf_addf(&r->message, "there is no schema '%.*s'", YOI_ARG(yoi_sdk__schema_shown(t)));
  refuse(r, ref, "");
}

/* ---- cycles ------------------------------------------------------------------------ */

struct visit {
  struct schema_report *r;
  const struct schema_ref *refs;
};

#define CYCLE 0
#define LONG 1
#define FINE 2

static int visit(struct visit *v, struct schema_node *n, unsigned depth);

static int visit_list(struct visit *v, const struct schema_list *list, unsigned depth) {
  int st = FINE;
  for (size_t i = 0; i < list->n && st == FINE; i++) st = visit(v, list->nodes[i], depth);
  return st;
}

static int visit_ref(struct visit *v, const struct schema_node *n, unsigned depth) {
  int st = visit(v, n->ref, depth);
  if (st == FINE) return FINE;
  for (const struct schema_ref *ref = v->refs; ref; ref = ref->next) {
    if (ref->node != n) continue;
    refuse(v->r, ref,
           st == CYCLE ? "this leads back here without looking into the value"
                       : "this leads through too many references");
  }
  return FINE; /* said once */
}

/* Everything that is applied to the same value as n. */
static int visit(struct visit *v, struct schema_node *n, unsigned depth) {
  if (!n || n->mark == DONE) return FINE;
  if (n->mark == OPEN) return CYCLE;
  if (depth >= YOI_SCHEMA_FRAMES_MAX) return LONG;
  struct schema_node *const single[] = {n->no, n->when, n->then, n->otherwise};
  n->mark = OPEN;
  int st = n->ref ? visit_ref(v, n, depth + 1) : FINE;
  for (size_t i = 0; i < sizeof single / sizeof *single && st == FINE; i++)
    st = visit(v, single[i], depth + 1);
  if (st == FINE) st = visit_list(v, &n->all, depth + 1);
  if (st == FINE) st = visit_list(v, &n->any, depth + 1);
  if (st == FINE) st = visit_list(v, &n->one, depth + 1);
  for (size_t i = 0; i < n->dependents.n && st == FINE; i++)
    st = visit(v, n->dependents.at[i].node, depth + 1);
  n->mark = DONE;
  return st;
}

void yoi_sdk__schema_link(struct schema_report *r, const yoi_sdk_json *root,
                          struct schema_node **nodes, size_t n, const struct schema_ref *refs) {
  struct visit v = {r, refs};
  struct yoi_sdk_buf scratch;
  if (!refs) return;
  yoi_sdk_buf_init(&scratch, YOI_JSON_BYTES_MAX);
  qsort(nodes, n, sizeof *nodes, by_tree);
  for (const struct schema_ref *ref = refs; ref; ref = ref->next)
    resolve(r, root, nodes, n, ref, &scratch);
  yoi_sdk_buf_release(&scratch);
  /* In the order of the text: of a cycle, the first reference on it is told. */
  for (const struct schema_ref *ref = refs; ref; ref = ref->next) (void)visit(&v, ref->node, 0);
}
