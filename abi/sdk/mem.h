/* sdk/mem.h - allocation, in one place so that tests can make it fail.
 *
 * Sizes are computed with checked arithmetic: a product that overflows is an
 * allocation that failed. free accepts NULL. Nothing here aborts.
 */
#ifndef YOI_SDK_MEM_H
#define YOI_SDK_MEM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void *yoi_sdk_malloc(size_t n) __attribute__((malloc, warn_unused_result));
void *yoi_sdk_calloc(size_t n, size_t size)
    __attribute__((malloc, warn_unused_result));
void *yoi_sdk_realloc(void *p, size_t n) __attribute__((warn_unused_result));
/* n * size bytes; NULL (and p untouched) on overflow. */
void *yoi_sdk_reallocarray(void *p, size_t n, size_t size)
    __attribute__((warn_unused_result));
void yoi_sdk_free(void *p);
/* A NUL-terminated copy of n bytes. */
char *yoi_sdk_strndup(const char *s, size_t n)
    __attribute__((warn_unused_result));
/* Overwrites, also when the compiler thinks nobody looks. */
void yoi_sdk_wipe(void *p, size_t n);

/* From here on the memory of this archive is had from these functions; allocate
 * and resize are asked for 1 byte and more, resize and release never get NULL.
 * 0, and nothing changed: something was allocated already, or they were set.
 * While it runs no other thread allocates here. */
int yoi_sdk_mem_source(void *ctx, void *(*allocate)(void *ctx, size_t n),
                       void *(*resize)(void *ctx, void *p, size_t n),
                       void (*release)(void *ctx, void *p));

/* Tests only: the n-th allocation of this thread from now fails, once
 * (0 = never). Returns how many were made since the last call. */
uint64_t yoi_sdk_mem_fail_at(uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
