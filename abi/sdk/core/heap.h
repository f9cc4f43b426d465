/* heap.h - what mem.c stands on: libc, or what the application gave, and in the
 * hard mode the heap of hard.c on top of that.
 *
 * None is asked for 0 bytes or for more than PTRDIFF_MAX.
 */
#ifndef YOI_SDK__HEAP_H
#define YOI_SDK__HEAP_H

#include <stddef.h>

/* mem.c: as malloc, calloc, realloc and free. */
void *yoi_sdk__raw_new(size_t n);
void *yoi_sdk__raw_zeros(size_t n);
void *yoi_sdk__raw_resize(void *p, size_t n);
void yoi_sdk__raw_free(void *p);

#ifdef YOI_HARD
void *yoi_sdk__heap_new(size_t n);
/* Of zeros. */
void *yoi_sdk__heap_zeros(size_t n);
void *yoi_sdk__heap_resize(void *p, size_t n);
void yoi_sdk__heap_free(void *p);
/* 1 when the allocation that is about to be made is one that has to fail. */
int yoi_sdk__heap_refuses(void);
#else
#define yoi_sdk__heap_new(n) yoi_sdk__raw_new(n)
#define yoi_sdk__heap_zeros(n) yoi_sdk__raw_zeros(n)
#define yoi_sdk__heap_resize(p, n) yoi_sdk__raw_resize(p, n)
#define yoi_sdk__heap_free(p) yoi_sdk__raw_free(p)
#define yoi_sdk__heap_refuses() 0
#endif

#endif
