/* yoi/runtime.h - "yoi.runtime/1": where workers live and run.
 *
 * A runtime answers the RUNTIME operations of ops.h; one that it does not
 * know is UNIMPLEMENTED with YOI_CODE_UNSUPPORTED_OPERATION. A unary
 * operation is a stream of one RESULT event and END; its text is the answer
 * as it goes over /v1 (docs/workers.md has the shapes). worker.events and
 * worker.input with YOI_REQ_FOLLOW go on; their last event is END's `end`.
 * With YOI_REQ_ONCE worker.events waits for nothing new: AGAIN there means
 * that what there is has to be fetched first.
 * The runtime's id on its host never reaches it.
 */
#ifndef YOI_RUNTIME_H
#define YOI_RUNTIME_H

#include <yoi/host.h>
#include <yoi/request.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_RUNTIME_ID "yoi.runtime/1"

typedef struct yoi_runtime {
  uint32_t size;
  uint32_t thread_model; /* YOI_PARALLEL */
  /* [main] config is a JSON object that fits the manifest's schema. */
  yoi_status (*open)(const yoi_host *host, yoi_str config, void **out_self,
                     yoi_error *err);
  /* [main] Once; the host has taken away the instance's watches, timers and
   * posts on every loop, every stream is released and no wake will come. */
  void (*close)(void *self);
  /* [any & open] */
  yoi_status (*start)(void *self, const yoi_request *req, yoi_stream **out,
                      yoi_error *err);
  /* [any & open] News for a token minted with this cookie; only enqueues.
   * NULL when the runtime holds no streams. */
  void (*wake)(void *self, uint64_t cookie);
  /* [main] Refuses new turns with shutting_down; what runs may end until
   * deadline_ns (CLOCK_MONOTONIC), then is cancelled; watches end with the
   * reason draining. END of *out says that all is done and flushed. `token`
   * is the host's. NULL: nothing to wait for. */
  yoi_status (*drain)(void *self, uint64_t deadline_ns, uint64_t token,
                      yoi_stream **out, yoi_error *err);
} yoi_runtime;

#ifdef __cplusplus
}
#endif
#endif
