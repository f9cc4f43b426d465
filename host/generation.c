/* host/generation.c - the list behind generation.h.
 *
 * Invariants:
 *  1. One row per id and digest. A row that is mapped is never removed; one
 *     that is not is there while somebody loads it (`loading`).
 *  2. The lock is held for looking and linking only, never while code is
 *     mapped: constructors run then.
 *  3. The dynamic loader finds by name first: a file that replaced another one
 *     at its path would give the old code under the new digest. Such a path is
 *     refused; pinned plugins are loaded from a path of their own.
 */
#include "generation.h"

#include <pthread.h>
#include <string.h>

#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>

/* A path that these bytes are loaded from. */
struct place {
  struct place *next;
  char path[];
};

struct row {
  struct row *next;
  char id[YOI_PLUGIN_ID_MAX + 1];
  char digest[YOI_SDK_DIGEST_SIZE];
  struct place *places;
  void *handle;     /* of the private copy; NULL: none is mapped */
  uint32_t number;  /* among those of its id, from 1; 0: not mapped yet */
  uint32_t loading; /* how many are at it */
};

/* process-wide: so is what is mapped */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* process-wide: the rows, under the lock */
static struct row *rows;

static struct row *find(yoi_str id, const char *digest) {
  struct row *r = rows;
  while (r != NULL && !(yoi_sdk_str_is(id, r->id) && strcmp(r->digest, digest) == 0)) r = r->next;
  return r;
}

static uint32_t count(yoi_str id) {
  uint32_t n = 0;
  for (const struct row *r = rows; r != NULL; r = r->next) n += yoi_sdk_str_is(id, r->id) != 0;
  return n;
}

static int has_place(const struct row *r, yoi_str path) {
  const struct place *k = r->places;
  while (k != NULL && !yoi_sdk_str_is(path, k->path)) k = k->next;
  return k != NULL;
}

/* 1: the path stands for other bytes in this process. */
static int is_taken(yoi_str path, const char *digest) {
  const struct row *r = rows;
  while (r != NULL && !(strcmp(r->digest, digest) != 0 && has_place(r, path))) r = r->next;
  return r != NULL;
}

static int add_place(struct row *r, yoi_str path) {
  struct place *k;
  if (path.len == 0 || has_place(r, path)) return 1;
  k = yoi_sdk_calloc(1, sizeof *k + path.len + 1);
  if (k == NULL) return 0;
  memcpy(k->path, path.ptr, path.len);
  k->next = r->places;
  r->places = k;
  return 1;
}

static struct row *add(yoi_str id, const char *digest) {
  struct row *r = id.len <= YOI_PLUGIN_ID_MAX ? yoi_sdk_calloc(1, sizeof *r) : NULL;
  if (r == NULL) return NULL;
  memcpy(r->id, id.ptr, id.len);
  memcpy(r->digest, digest, sizeof r->digest);
  r->next = rows;
  rows = r;
  return r;
}

static void remove_unused(struct row *r) {
  struct row **at = &rows;
  if (r->number != 0 || r->loading != 0) return;
  while (*at != r) at = &(*at)->next;
  *at = r->next;
  while (r->places != NULL) {
    struct place *k = r->places;
    r->places = k->next;
    yoi_sdk_free(k);
  }
  yoi_sdk_free(r);
}

static yoi_status take(yoi_str id, const char *digest, yoi_str path, void **out_handle,
                       yoi_error *err) {
  struct row *r = find(id, digest);
  if (path.len > 0 && is_taken(path, digest))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL,
                        "other code was loaded from its file in this process, and stays: pin its "
                        "digest, or restart");
  if (r == NULL && count(id) == YOI_PLUGIN_GENERATIONS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED,
                        "expected at most %d digests of one plugin in a process, found one more: "
                        "code that was loaded stays until a restart",
                        YOI_PLUGIN_GENERATIONS_MAX);
  if (r == NULL) r = add(id, digest);
  if (r == NULL) return yoi_sdk_fail_memory(err);
  if (!add_place(r, path)) {
    remove_unused(r);
    return yoi_sdk_fail_memory(err);
  }
  r->loading++;
  if (path.len == 0) *out_handle = r->handle;
  return YOI_OK;
}

yoi_status yoi__generation_take(yoi_str id, const char *digest, yoi_str path, void **out_handle,
                                yoi_error *err) {
  *out_handle = NULL;
  pthread_mutex_lock(&lock);
  yoi_status st = take(id, digest, path, out_handle, err);
  pthread_mutex_unlock(&lock);
  return st;
}

void yoi__generation_keep(yoi_str id, const char *digest, void *handle) {
  uint32_t last = 0;
  pthread_mutex_lock(&lock);
  struct row *r = find(id, digest);
  for (const struct row *k = rows; k != NULL; k = k->next)
    if (yoi_sdk_str_is(id, k->id) && k->number > last) last = k->number;
  if (r->number == 0) r->number = last + 1;
  if (r->handle == NULL) r->handle = handle;
  r->loading--;
  pthread_mutex_unlock(&lock);
}

void yoi__generation_drop(yoi_str id, const char *digest) {
  pthread_mutex_lock(&lock);
  struct row *r = find(id, digest);
  r->loading--;
  remove_unused(r);
  pthread_mutex_unlock(&lock);
}

int yoi__generation_stale(yoi_str path, const char *digest) {
  pthread_mutex_lock(&lock);
  int stale = is_taken(path, digest);
  pthread_mutex_unlock(&lock);
  return stale;
}

uint32_t yoi__generation_others(yoi_str id, const char *digest) {
  uint32_t n = 0;
  pthread_mutex_lock(&lock);
  for (const struct row *r = rows; r != NULL; r = r->next)
    n += r->number != 0 && yoi_sdk_str_is(id, r->id) && strcmp(r->digest, digest) != 0;
  pthread_mutex_unlock(&lock);
  return n;
}

uint32_t yoi__generation_of(yoi_str id, const char *digest) {
  pthread_mutex_lock(&lock);
  const struct row *r = find(id, digest);
  uint32_t number = r != NULL ? r->number : 0;
  pthread_mutex_unlock(&lock);
  return number;
}

uint32_t yoi__generation_count(void) {
  uint32_t n = 0;
  pthread_mutex_lock(&lock);
  for (const struct row *r = rows; r != NULL; r = r->next) n += r->number != 0;
  pthread_mutex_unlock(&lock);
  return n;
}
