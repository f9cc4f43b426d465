/* yoi/model.h - "yoi.model/1": generates text.
 *
 * One stream is one generation: any number of MODEL_TEXT and MODEL_REASONING
 * (raw UTF-8, never cut inside a character), MODEL_TOOL_CALL (whole:
 * {"id","name","arguments"}, arguments as JSON text in a string), at most one
 * MODEL_USAGE ({"input_tokens","output_tokens","cached_tokens",
 * "reasoning_tokens"}, each an integer or null), exactly one MODEL_FINISH
 * ({"finish_reason": "stop" | "length" | "content_filter" | "tool_calls"}),
 * END.
 *
 * A failure is an error with YOI_CODE_MODEL_ERROR and, in `details`,
 * {"kind": one of YOI_MODEL_ERRORS, "retryable": true or false}. The words
 * of a provider go into private_detail, never into message. The plugin owns
 * retries, Retry-After and the deadlines for connect, first byte and gaps;
 * the engine owns the limits of steps, time and tokens. cancel closes the
 * connection. A stream is started, polled and released on one loop.
 */
#ifndef YOI_MODEL_H
#define YOI_MODEL_H

#include <yoi/host.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_MODEL_ID "yoi.model/1"

/* Borrowed until start returns. */
typedef struct yoi_model_request {
  uint32_t size;
  uint32_t max_output_tokens; /* 0 = the model's own */
  uint64_t deadline_ns;       /* CLOCK_MONOTONIC, 0 = none */
  uint64_t token;
  yoi_str request_id;
  yoi_str trace;
  const yoi_str *messages; /* chat-completions message objects, JSON */
  size_t n_messages;
  yoi_str tools;      /* JSON array of {name, description, parameters} */
  yoi_str parameters; /* JSON object, or empty */
} yoi_model_request;

typedef struct yoi_model {
  uint32_t size;
  uint32_t thread_model; /* YOI_PARALLEL; SERIAL ones since 1.1 (plugin.h) */
  /* [main] */
  yoi_status (*open)(const yoi_host *host, yoi_str config, void **out_self,
                     yoi_error *err);
  /* [main] As of a runtime. */
  void (*close)(void *self);
  /* [loop & open] SERIAL: [one & open], on no loop. */
  yoi_status (*start)(void *self, const yoi_model_request *req,
                      yoi_stream **out, yoi_error *err);
  /* [any & open] NULL when the model holds no streams. */
  void (*wake)(void *self, uint64_t cookie);
} yoi_model;

#ifdef __cplusplus
}
#endif
#endif
