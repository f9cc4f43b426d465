/* host/scrub.h - no known secret leaves by what a model says, an error or the
 * log. What is found, and how, is said in sdk/scrub.h.
 */
#ifndef YOI__SCRUB_H
#define YOI__SCRUB_H

#include <sdk/scrub.h>
#include <yoi/stream.h>

struct yoi__scrub;     /* what is known now */
struct yoi__scrub_set; /* what was known at some time; immutable, counted */
struct yoi__scrub_run; /* the texts of one generation */

/* NULL: memory is short. Nothing is known at first. */
struct yoi__scrub *yoi__scrub_new(void);
/* No set of it is held. NULL is accepted. */
void yoi__scrub_free(struct yoi__scrub *c);

/* [main] From when this returns the values are known to whoever looks, and
 * those before no more. An error leaves it as it was. */
yoi_status yoi__scrub_know(struct yoi__scrub *c, const struct yoi_sdk_scrub_value *values, size_t n,
                           yoi_error *err);

/* [any] A reference, to be given back; NULL: nothing is known, which costs one
 * load. The matcher of a set, NULL for NULL. */
struct yoi__scrub_set *yoi__scrub_take(struct yoi__scrub *c);
void yoi__scrub_give(struct yoi__scrub_set *set);
const struct yoi_sdk_scrub *yoi__scrub_of(const struct yoi__scrub_set *set);

/* [any] All texts of an error of a plugin. */
void yoi__scrub_error(struct yoi__scrub *c, yoi_error *e);

/* ---- one generation, on its loop -------------------------------------- */

/* NULL: memory is short. */
struct yoi__scrub_run *yoi__scrub_run_new(struct yoi__scrub *c);
void yoi__scrub_run_free(struct yoi__scrub_run *r);
/* A batch of a model, in and out; *n may be 0 then. What is given is alive
 * until the next call of either, and needs the batch that came in. */
yoi_status yoi__scrub_events(struct yoi__scrub_run *r, const yoi_event *const **events, size_t *n,
                             yoi_error *err);
/* The stream is over: the events that were held, maybe none. */
yoi_status yoi__scrub_rest(struct yoi__scrub_run *r, const yoi_event *const **events, size_t *n,
                           yoi_error *err);

#endif
