/* scope.h - what of a runtime is there for a request: all of it, or one workspace. */
#ifndef ENG_SCOPE_H
#define ENG_SCOPE_H

#include <sdk/str.h>
#include <stdbool.h>
#include <yoi/request.h>

struct eng_engine;
struct eng_worker;
struct eng_scope;

/* 1: the worker, which is awake, is there for the request. */
bool eng_scope_has(const struct eng_worker *w, const yoi_request *req);

/* The same of many that may be asleep: what their bundles say. *out is NULL when
 * the request sees all; 0: memory is short. */
int eng_scope_new(struct eng_engine *eng, const yoi_request *req, struct eng_scope **out);
void eng_scope_free(struct eng_scope *s);
/* dir_mu held. 1 as well when only its history can tell: the worker was made of
 * a bundle that this runtime has no more. NULL: all. */
bool eng_scope_may(const struct eng_scope *s, const struct eng_worker *w);
/* How many bundles. */
uint32_t eng_scope_bundles(const struct eng_scope *s);

/* For describe, of one workspace: nothing is loaded for it, so what only its history
 * can tell is not counted. The scope is of no use for else after that. */
struct eng_scope_counts {
  uint64_t workers, running, watchers;
};
void eng_scope_count(struct eng_engine *eng, struct eng_scope *s, struct eng_scope_counts *out);

#endif
