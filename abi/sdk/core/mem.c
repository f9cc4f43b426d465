/* mem.c - the one door to the heap.
 *
 * Everything of ours allocates here, so that a test can make the n-th
 * allocation of its thread fail and walk every error path. The counter is
 * thread-local: a sweep in one thread never disturbs another. What libraries
 * allocate (cJSON, libcrypto, libcurl) does not pass here.
 *
 *  1. A size of 0 gives a pointer that can be freed, never NULL: NULL means
 *     that memory is short, and nothing else.
 *  2. A product is checked before it is made, and nothing above PTRDIFF_MAX is
 *     asked for: no object may be larger.
 *
 *  3. Whose heap it is does not change once anything was allocated, so that no
 *     block is given back to another than it came from.
 *
 * The heap itself is libc's or the application's, and in the hard mode
 * (sdk/hard.h) the one of hard.c on top.
 */
#include <sdk/mem.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"

/* process-wide, as the heap is: the application's, all NULL when it is libc's.
 * Written once, before the first allocation. */
static struct {
  void *ctx;
  void *(*allocate)(void *ctx, size_t n);
  void *(*resize)(void *ctx, void *p, size_t n);
  void (*release)(void *ctx, void *p);
} source;
static _Atomic int settled; /* process-wide: whose heap it is is known */

/* process-wide only in name: each thread has its own */
static _Thread_local uint64_t allocations; /* since the last fail_at */
static _Thread_local uint64_t fail_at;     /* 0: never */

static int refused(size_t n) {
  if (n > PTRDIFF_MAX) return 1;
  if (!atomic_load_explicit(&settled, memory_order_relaxed)) atomic_store(&settled, 1);
  allocations++;
  if (fail_at == 0 || allocations != fail_at) return yoi_sdk__heap_refuses();
  fail_at = 0;
  return 1;
}

int yoi_sdk_mem_source(void *ctx, void *(*allocate)(void *ctx, size_t n),
                       void *(*resize)(void *ctx, void *p, size_t n),
                       void (*release)(void *ctx, void *p)) {
  if (atomic_exchange(&settled, 1)) return 0;
  source.ctx = ctx;
  source.allocate = allocate;
  source.resize = resize;
  source.release = release;
  return 1;
}

void *yoi_sdk__raw_new(size_t n) {
  return source.allocate ? source.allocate(source.ctx, n) : malloc(n);
}

void *yoi_sdk__raw_zeros(size_t n) {
  if (!source.allocate) return calloc(1, n);
  void *p = source.allocate(source.ctx, n);
  return p ? memset(p, 0, n) : NULL;
}

void *yoi_sdk__raw_resize(void *p, size_t n) {
  if (!source.allocate) return realloc(p, n);
  return p ? source.resize(source.ctx, p, n) : source.allocate(source.ctx, n);
}

void yoi_sdk__raw_free(void *p) {
  if (!source.allocate)
    free(p);
  else if (p)
    source.release(source.ctx, p);
}

uint64_t yoi_sdk_mem_fail_at(uint64_t n) {
  uint64_t made = allocations;
  allocations = 0;
  fail_at = n;
  return made;
}

void *yoi_sdk_malloc(size_t n) {
  return refused(n) ? NULL : yoi_sdk__heap_new(n ? n : 1);
}

void *yoi_sdk_calloc(size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes) || refused(bytes)) return NULL;
  return yoi_sdk__heap_zeros(bytes ? bytes : 1);
}

void *yoi_sdk_realloc(void *p, size_t n) {
  return refused(n) ? NULL : yoi_sdk__heap_resize(p, n ? n : 1);
}

void *yoi_sdk_reallocarray(void *p, size_t n, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(n, size, &bytes)) return NULL;
  return yoi_sdk_realloc(p, bytes);
}

void yoi_sdk_free(void *p) {
  yoi_sdk__heap_free(p);
}

char *yoi_sdk_strndup(const char *s, size_t n) {
  if (n == SIZE_MAX) return NULL;
  char *copy = yoi_sdk_malloc(n + 1);
  if (!copy) return NULL;
  if (n) memcpy(copy, s, n);
  copy[n] = '\0';
  return copy;
}

void yoi_sdk_wipe(void *p, size_t n) {
  if (n) explicit_bzero(p, n);
}
