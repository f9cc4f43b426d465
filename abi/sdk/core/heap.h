/* heap.h - what mem.c stands on: the heap of libc, or the one of hard.c.
 *
 * None is asked for 0 bytes or for more than PTRDIFF_MAX.
 */
#ifndef YOI_SDK__HEAP_H
#define YOI_SDK__HEAP_H

#include <stddef.h>
#include <stdlib.h>

#ifdef YOI_HARD
void *yoi_sdk__heap_new(size_t n);
/* Of zeros. */
void *yoi_sdk__heap_zeros(size_t n);
void *yoi_sdk__heap_resize(void *p, size_t n);
void yoi_sdk__heap_free(void *p);
/* 1 when the allocation that is about to be made is one that has to fail. */
int yoi_sdk__heap_refuses(void);
#else
#define yoi_sdk__heap_new(n) malloc(n)
#define yoi_sdk__heap_zeros(n) calloc(1, n)
#define yoi_sdk__heap_resize(p, n) realloc(p, n)
#define yoi_sdk__heap_free(p) free(p)
#define yoi_sdk__heap_refuses() 0
#endif

#endif
