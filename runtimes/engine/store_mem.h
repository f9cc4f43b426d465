/* store_mem.h - the store of the embedded runtime: references to the frames
 * that the engine made. */
#ifndef ENG_STORE_MEM_H
#define ENG_STORE_MEM_H

#include "store.h"

/* NULL when memory is short. Completes at once. */
struct eng_store *eng_store_mem_new(void);

/* Tests only: completes nothing by itself; queued(ctx), if not NULL, is told
 * of every ticket that waits, without a lock. */
struct eng_store *eng_store_mem_new_late(void (*queued)(void *ctx), void *ctx);
/* Completes the oldest waiting ticket; 0: there was none. */
int eng_store_mem_step(struct eng_store *s);
size_t eng_store_mem_waiting(struct eng_store *s);
/* From the n-th append or remove from now on (1: the next), `times` of them
 * fail with INTERNAL. */
void eng_store_mem_fail(struct eng_store *s, uint64_t n, uint64_t times);
/* The same for reads. */
void eng_store_mem_fail_read(struct eng_store *s, uint64_t n, uint64_t times);
/* Appends and removes that were asked for. */
uint64_t eng_store_mem_writes(struct eng_store *s);

#endif
