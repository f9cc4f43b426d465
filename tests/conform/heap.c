/* heap.c - makes allocations of the plugin fail, and of nobody else.
 *
 * The program's malloc comes before the C library's, also for shared objects.
 * Which code asks is told by the return address: what lies in the plugin's
 * object may be refused; the host, the C library and other libraries never are.
 * Under a sanitizer, which has an allocator of its own, there is none of this.
 */
#include "conform.h"

#include <errno.h>
#include <stdatomic.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_ALLOCATOR 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR 1
#endif

#ifdef OTHER_ALLOCATOR
int conform_heap_can(void) {
  return 0;
}

void conform_heap_fail(uint64_t n, uintptr_t from, uintptr_t to) {
  (void)n, (void)from, (void)to;
}

uint64_t conform_heap_off(void) {
  return 0;
}
#else

static _Atomic uintptr_t low, high;
static _Atomic uint64_t count, fails_at;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
YOI_API void *malloc(size_t n);
YOI_API void *calloc(size_t n, size_t size);
YOI_API void *realloc(void *p, size_t n);

static int refused(const void *caller) {
  uintptr_t at = (uintptr_t)caller;
  if (at < atomic_load_explicit(&low, memory_order_relaxed) ||
      at >= atomic_load_explicit(&high, memory_order_relaxed))
    return 0;
  if (atomic_fetch_add(&count, 1u) + 1 != atomic_load(&fails_at)) return 0;
  errno = ENOMEM;
  return 1;
}

void *malloc(size_t n) {
  return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
  return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n) {
  return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

int conform_heap_can(void) {
  return 1;
}

void conform_heap_fail(uint64_t n, uintptr_t from, uintptr_t to) {
  atomic_store(&count, 0u);
  atomic_store(&fails_at, n);
  atomic_store(&low, from);
  atomic_store(&high, to);
}

uint64_t conform_heap_off(void) {
  atomic_store(&high, (uintptr_t)0);
  return atomic_load(&count);
}
#endif
