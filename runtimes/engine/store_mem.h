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

/* Tests only: a vault outlives its stores, as a disk does; one store at a
 * time. A store in a vault has `open`, which names what is there, and goes on
 * counting, and failing, where the last one ended. Free it behind the last. */
struct eng_vault;
struct eng_vault *eng_vault_new(void);
void eng_vault_free(struct eng_vault *v);
struct eng_store *eng_store_mem_new_in(struct eng_vault *v, bool late, void (*queued)(void *ctx),
                                       void *ctx);
/* What may happen to a history while no store is open; the worker is there.
 * How many records it has; those behind the first n are lost; what comes from
 * that sequence on cannot be read; one record is another, whose reference is
 * taken over. */
size_t eng_vault_count(struct eng_vault *v, const char *id);
void eng_vault_cut(struct eng_vault *v, const char *id, size_t n, enum eng_mark mark);
void eng_vault_damage(struct eng_vault *v, const char *id, uint64_t sequence);
const struct eng_frame *eng_vault_frame(struct eng_vault *v, const char *id, uint64_t sequence);
void eng_vault_replace(struct eng_vault *v, const char *id, uint64_t sequence, struct eng_frame *f);
/* Stores that are opened from now on are asked whom they keep no longer; the
 * one that is open names that worker, once. */
void eng_vault_expires(struct eng_vault *v);
void eng_vault_expire(struct eng_vault *v, const char *id, uint64_t epoch);

#endif
