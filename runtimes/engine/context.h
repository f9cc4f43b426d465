/* context.h - what a model is shown: the system text, then whole turns. */
#ifndef ENG_CONTEXT_H
#define ENG_CONTEXT_H

#include <sdk/str.h>

#include "frame.h"

struct eng_worker;

struct eng_context {
  struct yoi_sdk_buf buf; /* all messages, one after the other */
  size_t *ends;           /* where each ends in buf */
  size_t n, cap;
  uint64_t from, to; /* records still to be read; from > to: none */
  uint64_t first;    /* the place of the first item that is shown */
  /* Inputs that had to wait stand where their turn began, in this order; then
   * those that still wait (at: 0), which are not shown. */
  struct eng_moved {
    uint64_t input, at;
    struct eng_frame *frame; /* a reference, once it was read */
  } * moved;
  size_t n_moved, next_moved;
  /* Calls whose result is not written yet, in order; ids: raw JSON strings in
   * buf. */
  struct eng_open_call {
    size_t at, len;
    struct eng_frame *result; /* a reference: it waits for those before it */
  } * open;
  size_t n_open, cap_open;
  size_t mended; /* results that were made up or left out */
};

/* Chooses what fits and writes the system message. The worker's lock held.
 * NULL: memory is short. */
struct eng_context *eng_context_new(const struct eng_worker *w);
void eng_context_free(struct eng_context *c);
/* Adds the message of a record, if it is one. */
void eng_context_add(struct eng_context *c, struct eng_frame *f);
/* Closes the last open calls. 0: memory was short. */
int eng_context_finish(struct eng_context *c);
/* The messages; *out is to be freed with yoi_sdk_free. */
yoi_str *eng_context_messages(const struct eng_context *c);

#endif
