/* host/bundle.c - the bundles of the config.
 *
 * Which runtime may have one is said in two places, and both must agree: the
 * bundle's entry (`runtimes`) and the runtime's (`workspaces`). What is not said
 * leaves nobody out.
 */
#include "bundle.h"

#include <string.h>
#include <time.h>

int yoi__names_have(const struct yoi__config_names *list, yoi_str name) {
  for (size_t i = 0; i < list->n; i++)
    if (yoi_sdk_str_eq(list->names[i], name)) return 1;
  return !list->given;
}

int yoi__bundle_allowed(const struct yoi__config_bundle *e, const struct yoi__config_runtime *r) {
  return yoi__names_have(&e->runtimes, r->id) &&
         yoi__names_have(&r->workspaces, e->it->workspace_id);
}

yoi_status yoi__bundle_check(const struct yoi__config_bundle *e,
                             const struct yoi__config_runtime *r, yoi_error *err) {
  if (yoi__bundle_allowed(e, r)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                      "bundle '%.*s' of workspace '%.*s' is not allowed in runtime '%.*s'",
                      YOI_ARG(e->it->id), YOI_ARG(e->it->workspace_id), YOI_ARG(r->id));
}

/* ---- which is the newer one -------------------------------------------- */

static int number(yoi_str s, size_t at, size_t n) {
  int v = 0;
  for (size_t i = at; i < at + n && i < s.len; i++) v = 10 * v + (s.ptr[i] - '0');
  return v;
}

/* Seconds of a time of RFC 3339, as the bundle's grammar has it: in any zone, with
 * or without a fraction, which is another matter. */
static time_t seconds_of(yoi_str s) {
  struct tm t = {.tm_year = number(s, 0, 4) - 1900,
                 .tm_mon = number(s, 5, 2) - 1,
                 .tm_mday = number(s, 8, 2),
                 .tm_hour = number(s, 11, 2),
                 .tm_min = number(s, 14, 2),
                 .tm_sec = number(s, 17, 2)};
  time_t local = timegm(&t);
  size_t zone = s.len - 6; /* +hh:mm */
  if (s.ptr[s.len - 1] == 'Z') return local;
  int ahead = 60 * (60 * number(s, zone + 1, 2) + number(s, zone + 4, 2));
  return s.ptr[zone] == '-' ? local + ahead : local - ahead;
}

/* The i-th digit of its fraction. */
static char digit_of(yoi_str s, size_t i) {
  for (size_t at = 20; at < s.len && s.ptr[19] == '.'; at++) {
    if (s.ptr[at] < '0' || s.ptr[at] > '9') break;
    if (at == 20 + i) return s.ptr[at];
  }
  return '0';
}

int yoi__bundle_older(const struct yoi_sdk_bundle *a, const struct yoi_sdk_bundle *b) {
  time_t x = seconds_of(a->created_at), y = seconds_of(b->created_at);
  if (x != y) return x < y;
  for (size_t i = 0; i < 9; i++) {
    char p = digit_of(a->created_at, i), q = digit_of(b->created_at, i);
    if (p != q) return p < q;
  }
  return 0;
}

/* ---- all of them ---------------------------------------------------------- */

static int is_of(const struct yoi__config_bundle *e, yoi_str workspace) {
  return workspace.len == 0 || yoi_sdk_str_eq(e->it->workspace_id, workspace);
}

const struct yoi__config_bundle *yoi__bundle_find(const struct yoi__config *c, yoi_str workspace,
                                                  yoi_str digest) {
  for (size_t i = 0; i < c->n_bundles; i++)
    if (yoi_sdk_str_is(digest, c->bundles[i].it->digest))
      return is_of(&c->bundles[i], workspace) ? &c->bundles[i] : NULL;
  return NULL;
}

size_t yoi__bundle_count(const struct yoi__config *c, yoi_str workspace) {
  size_t n = 0;
  for (size_t i = 0; i < c->n_bundles; i++) n += is_of(&c->bundles[i], workspace) != 0;
  return n;
}

const struct yoi__config_bundle *yoi__bundle_behind(const struct yoi__config *c, yoi_str workspace,
                                                    const struct yoi__config_bundle *last) {
  const struct yoi__config_bundle *next = NULL;
  for (size_t i = 0; i < c->n_bundles; i++) {
    const struct yoi__config_bundle *e = &c->bundles[i];
    if (!is_of(e, workspace)) continue;
    if (last != NULL && strcmp(e->it->digest, last->it->digest) <= 0) continue;
    if (next == NULL || strcmp(e->it->digest, next->it->digest) < 0) next = e;
  }
  return next;
}

void yoi__bundles_write(struct yoi_sdk_jsonw *w, const struct yoi__config *c,
                        yoi_str workspace) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kopen(w, "bundles", '[');
  const struct yoi__config_bundle *e = NULL;
  while ((e = yoi__bundle_behind(c, workspace, e)) != NULL) {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_bundle_write(e->it, w);
    yoi_sdk_jsonw_close(w, '}');
  }
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kraw(w, "next", YOI_LIT("null"));
  yoi_sdk_jsonw_close(w, '}');
}
