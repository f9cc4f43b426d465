/* host/linked.c - plugins that are part of the program.
 *
 * What is linked is a property of the program, like its code, so the list of
 * yoi_link_plugins is the process' and not a host's: yoi_host_check, which makes
 * no host, must know the same plugins. Rows that are given for one host
 * (application.c) come before them. There is no file, so there is no digest, no owner and no
 * mode to check; manifest, entry and table are checked as for any other.
 */
#include <pthread.h>
#include <stdio.h>

#include <sdk/mem.h>
#include <sdk/take.h>

#include "loader.h"

#define WHERE "(linked into the program)"

/* process-wide: so is what is linked; both under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const yoi_linked_plugin *const *linked; /* process-wide, the same */
static size_t n_linked;                        /* process-wide, the same */

static const char *row_fault(const yoi_linked_plugin *r) {
  if (r->reserved != 0) return "field 'reserved': expected 0";
  if ((r->entry == NULL) == (yoi__linked_table(r) == NULL))
    return "expected one of the fields 'entry' and 'table'";
  if (r->manifest == NULL || (r->manifest_end != NULL && r->manifest_end < r->manifest))
    return "field 'manifest': no text";
  return NULL;
}

/* A row has a size of its own. */
static yoi_status check_row(const yoi_linked_plugin *r, size_t i, yoi_error *err) {
  yoi_linked_plugin own = {0};
  char what[40];
  (void)snprintf(what, sizeof what, "linked plugin %zu", i);
  const char *why = r == NULL                                        ? "is NULL"
                    : !YOI_HAS(yoi_linked_plugin, r, manifest_end) ? "field 'size': too small"
                                                                     : NULL;
  if (why == NULL) {
    yoi_status st = yoi_sdk_take(&own, sizeof own, r, what, err);
    if (st != YOI_OK) return st;
    why = row_fault(&own);
  }
  return why != NULL ? yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s: %s", what, why) : YOI_OK;
}

yoi_status yoi__linked_check(const yoi_linked_plugin *const *rows, size_t n, yoi_error *err) {
  if (n > YOI_PLUGINS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "linked plugins: expected at most %d, found %zu", YOI_PLUGINS_MAX, n);
  if (rows == NULL && n > 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "linked plugins: the array is NULL");
  yoi_status st = YOI_OK;
  for (size_t i = 0; st == YOI_OK && i < n; i++) st = check_row(rows[i], i, err);
  return st;
}

yoi_status yoi_link_plugins(const yoi_linked_plugin *const *plugins, size_t n, yoi_error *err) {
  yoi_status st = yoi__linked_check(plugins, n, err);
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&lock);
  linked = plugins;
  n_linked = n;
  pthread_mutex_unlock(&lock);
  return YOI_OK;
}

static const char *examine(struct yoi__plugin *p, struct yoi_sdk_error *e) {
  const yoi_linked_plugin *r = p->linked;
  yoi_str text = r->manifest_end == NULL
                     ? yoi_sdk_str(r->manifest)
                     : (yoi_str){r->manifest, (size_t)(r->manifest_end - r->manifest)};
  if (text.len > YOI_MANIFEST_BYTES_MAX) return "its manifest is too large";
  if (yoi__manifest_parse(text, &p->manifest, yoi_sdk_error_init(e)) == YOI_OK) return NULL;
  return e->message;
}

static yoi_status take_rows(struct yoi__catalogue *c, const yoi_linked_plugin *const *rows,
                            size_t n, yoi_error *err) {
  yoi_status st = YOI_OK;
  for (size_t i = 0; st == YOI_OK && i < n; i++) {
    struct yoi__plugin *p = yoi_sdk_calloc(1, sizeof *p);
    struct yoi_sdk_error e;
    if (p == NULL) return yoi_sdk_fail_memory(err);
    p->linked = rows[i];
    st = yoi__catalogue_take(c, p, WHERE, examine(p, &e), err);
  }
  return st;
}

yoi_status yoi__catalogue_link(struct yoi__catalogue *c, const yoi_linked_plugin *const *rows,
                               size_t n, yoi_error *err) {
  yoi_status st = take_rows(c, rows, n, err);
  pthread_mutex_lock(&lock);
  rows = linked;
  n = n_linked;
  pthread_mutex_unlock(&lock);
  return st == YOI_OK ? take_rows(c, rows, n, err) : st;
}
