/* life.h - a worker of the runtime that is tested, from its creation to its end. */
#ifndef CONFORM_LIFE_H
#define CONFORM_LIFE_H

#include <sdk/id.h>
#include <yoi/ops.h>

#include "rig.h"

#define LIFE_MS ((c)->options->timeout_ms / 2) /* how long a turn may take */

struct life {
  struct rig_instance i;
  char id[64];
  char *born; /* the cursor of its creation */
  char bundle[YOI_SDK_DIGEST_SIZE]; /* that it was made of; or empty */
};

/* The member of an object at "a.b"; a copy, or NULL. Strings lose their quotes. */
char *life_at(const char *text, const char *path);
int life_is(const char *text, const char *path, const char *value);

/* A runtime that says that it offers all of these operations, whose names have spaces
 * between them, and the name for a worker that nobody has; skips otherwise. A worker of
 * that name, which the same test has left behind, is taken away. */
struct life life_begin_with(struct conform *c, const char *ops);
/* One that makes workers and takes input, and offers more. */
struct life life_begin(struct conform *c, const char *more);
/* That, and a worker. */
struct life life_with_worker(struct conform *c, const char *more);
/* Stops and deletes the worker, if that can be. */
void life_forget(struct conform *c, struct life *l);
/* Stops and deletes the worker and its bundle, and closes the runtime. */
void life_end(struct conform *c, struct life *l);

/* One operation of the worker, to its end. */
struct call life_op(struct conform *c, struct life *l, uint32_t op, const char *body,
                    const char *key);
/* The same, of a bundle or an approval. */
struct call life_op_on(struct conform *c, struct life *l, uint32_t op, const char *subject,
                       const char *body);
/* The text of its RESULT, or "". */
const char *life_result(const struct call *k);
/* An input, followed to the end of its turn. */
struct call life_say(struct conform *c, struct life *l, const char *text, const char *key);
/* The same, to the first event of that kind; NULL: it ended before. k goes on. */
const struct call_event *life_say_until(struct conform *c, struct life *l, const char *text,
                                        uint32_t kind, struct call *k);
void life_must_fail(struct conform *c, const struct call *k, int32_t code, const char *what);

#endif
