/* hard.c - the hard mode's heap, its failing allocations and its short calls.
 *
 * Empty unless YOI_HARD is defined. Every block has a head in front of it:
 *
 *   | word: LIVE or DEAD | length | what the caller got ... |
 *
 *  1. Fresh bytes are FRESH, so that nobody counts on zeros; freed ones are
 *     GONE before the heap has them back, so that nobody reads what it has freed.
 *  2. A block that is resized moves, also when it shrinks: a pointer into the
 *     old place that was kept points to GONE.
 *  3. A pointer that is freed twice, or that was never ours, traps at once.
 *  4. YOI_HARD_FAIL counts the allocations of the process, not of one copy of
 *     this file: each plugin has its own, and all use what the executable
 *     exports as yoi_sdk_hard_plan (the Makefile says so to the linker), or
 *     their own where nothing is exported.
 */
#include <sdk/hard.h>

#include "heap.h"

#ifdef YOI_HARD

#include <dlfcn.h>
#include <pthread.h>
#include <sdk/str.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LIVE 0x10AD10AD10AD10ADu
#define DEAD 0xDEADDEADDEADDEADu
#define FRESH 0xA5
#define GONE 0x5A
#define SEED 0x9E3779B97F4A7C15u

struct head {
  _Alignas(16) uint64_t word;
  uint64_t n;
};

struct plan {
  _Atomic uint64_t made;     /* allocations since begin */
  _Atomic uint64_t at, each; /* the at-th fails, then every each-th; 0: none */
};

/* process-wide: one plan for all copies of this file, see 4 */
extern struct plan yoi_sdk_hard_plan __attribute__((visibility("default")));
struct plan yoi_sdk_hard_plan;

/* process-wide: which plan that is, found once */
static struct plan *plan = &yoi_sdk_hard_plan;
static pthread_once_t plan_once = PTHREAD_ONCE_INIT; /* process-wide, as `plan` */
static _Atomic uint64_t live;                        /* process-wide: a count of blocks */

/* ---- blocks ---- */

static struct head *head_of(void *p) {
  struct head *h = (struct head *)p - 1;
  if (h->word != LIVE) __builtin_trap(); /* not ours, or freed before */
  return h;
}

void *yoi_sdk__heap_new(size_t n) {
  struct head *h = n > SIZE_MAX - sizeof *h ? NULL : yoi_sdk__raw_new(sizeof *h + n);
  if (!h) return NULL;
  *h = (struct head){.word = LIVE, .n = n};
  memset(h + 1, FRESH, n);
  atomic_fetch_add_explicit(&live, 1u, memory_order_relaxed);
  return h + 1;
}

void *yoi_sdk__heap_zeros(size_t n) {
  void *p = yoi_sdk__heap_new(n);
  return p ? memset(p, 0, n) : NULL;
}

void *yoi_sdk__heap_resize(void *p, size_t n) {
  void *moved = yoi_sdk__heap_new(n);
  if (!moved || !p) return moved;
  size_t old = head_of(p)->n;
  memcpy(moved, p, old < n ? old : n);
  yoi_sdk__heap_free(p);
  return moved;
}

void yoi_sdk__heap_free(void *p) {
  if (!p) return;
  struct head *h = head_of(p);
  memset(h + 1, GONE, h->n);
  h->word = DEAD;
  __asm__ volatile("" : : "r"(h) : "memory"); /* these writes are not dead */
  atomic_fetch_sub_explicit(&live, 1u, memory_order_relaxed);
  yoi_sdk__raw_free(h);
}

uint64_t yoi_sdk_hard_live(void) {
  return atomic_load_explicit(&live, memory_order_relaxed);
}

/* ---- failing ---- */

static void plan_find(void) {
  void *shared = dlsym(RTLD_DEFAULT, "yoi_sdk_hard_plan");
  if (shared) plan = shared;
}

int yoi_sdk__heap_refuses(void) {
  (void)pthread_once(&plan_once, plan_find);
  uint64_t at = atomic_load_explicit(&plan->at, memory_order_relaxed);
  if (at == 0) return 0;
  uint64_t n = atomic_fetch_add_explicit(&plan->made, 1u, memory_order_relaxed) + 1;
  uint64_t each = atomic_load_explicit(&plan->each, memory_order_relaxed);
  return n == at || (each > 0 && n > at && (n - at) % each == 0);
}

void yoi_sdk_hard_begin(void) {
  yoi_str text = yoi_sdk_str(getenv("YOI_HARD_FAIL")), every = {0};
  const char *colon = text.len ? memchr(text.ptr, ':', text.len) : NULL;
  uint64_t at = 0, each = 0;
  if (colon) {
    every = yoi_sdk_str(colon + 1);
    text.len = (size_t)(colon - text.ptr);
  }
  (void)pthread_once(&plan_once, plan_find);
  if (!yoi_sdk_parse_u64(text, UINT64_MAX, &at)) return;
  if (colon && !yoi_sdk_parse_u64(every, UINT64_MAX, &each)) return;
  atomic_store(&plan->each, each);
  atomic_store(&plan->at, at);
}

/* ---- short calls ---- */

size_t yoi_sdk_short(size_t n) {
  /* process-wide only in name: each thread has its own; xorshift64 */
  static _Thread_local uint64_t random, calls;
  if (++calls % 3 != 0 || n < 2) return n;
  if (random == 0) random = SEED;
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return 1 + (size_t)(random % n);
}

#endif
