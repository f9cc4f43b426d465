/* host/stream.h - the host's own stream around a plugin's.
 *
 * What a plugin or the application holds is always one of these; a plugin's
 * stream never reaches another plugin. See stream.c.
 */
#ifndef YOI__STREAM_H
#define YOI__STREAM_H

#include <sdk/error.h>
#include <stdatomic.h>
#include <yoi/stream.h>

#include "instance.h"

struct yoi__deadline;
struct yoi__late_kind;
struct yoi__setup;
struct yoi__work;

/* Its members are for stream.c and late.c. */
struct yoi__stream {
  yoi_stream head;
  _Atomic(yoi_stream *) inner; /* NULL: it is not open yet */
  struct yoi__instance *in;    /* a reference */
  struct yoi__setup *setup;    /* a reference: whose instance or bundle it uses; else NULL */
  uint64_t token;
  uint64_t deadline_ns; /* of the answer; 0: none, or it has come */
  struct yoi__deadline *deadline;
  _Atomic uint32_t cancelled;
  int unary;                 /* over with its RESULT */
  int raw;                   /* which is bytes, not a line */
  yoi_status final;          /* once END or an error: the answer for ever */
  struct yoi_sdk_error *why; /* with it, when it is an error */

  /* Of what opens late; late.c. */
  uint32_t loop;    /* that it stays on */
  uint32_t pending; /* YOI__PENDING_*; under in->lock */
  const struct yoi__late_kind *kind;
  struct yoi__stream *next_waiter; /* of in->waiting */
  struct yoi__work *request;       /* until it is open */
  uint64_t work_until_ns;          /* the request's deadline */
  uint64_t call;                   /* tools: the handle of it */
  struct yoi__node node;           /* of a release off the loop */
  struct yoi__scrub_run *run;      /* NULL when the host has no secrets */

  uint32_t id_len;
  char request_id[]; /* for the log */
};

#define YOI__PENDING_NO 0u
#define YOI__PENDING_WAIT 1u
#define YOI__PENDING_FAILED 2u

/* Starts a request, already checked, on a runtime. Takes over the caller's
 * reference, also when it fails. bundle: of a create from one that the setup's
 * config has; NULL else, and then so may be the setup. The error is public. */
yoi_status yoi__stream_start(struct yoi__instance *in, const yoi_request *req,
                             struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                             yoi_stream **out, yoi_error *err);

/* A stream without an inner one; takes over the reference when it succeeds.
 * NULL: memory is short. */
struct yoi__stream *yoi__stream_new(struct yoi__instance *in, uint64_t token, yoi_str request_id);
/* Frees it; inner is released before. */
void yoi__stream_free(struct yoi__stream *s);
/* What next of any of these streams does once there is an inner one. */
yoi_status yoi__stream_next(struct yoi__stream *s, const yoi_event *const **out_events,
                            size_t *out_n, yoi_error *err);
/* Ends the stream with a public error or END, and gives that answer. */
yoi_status yoi__stream_end(struct yoi__stream *s, yoi_status st, const yoi_error *why,
                           yoi_error *err);
/* 1: ops of a plugin's stream, complete. */
int yoi__stream_valid(const yoi_stream *s);

/* Makes what a plugin answered fit for callers: a known code, a message, a
 * details object; unknown statuses become internal. What is private goes to
 * the log under the request id. Returns the status to give. */
yoi_status yoi__public_error(struct yoi__instance *in, yoi_str request_id, yoi_status st,
                             yoi_error *e);

#endif
