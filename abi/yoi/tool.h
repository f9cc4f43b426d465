/* yoi/tool.h - "yoi.tool/1": acts for a worker. Since 1.4.
 *
 * What tools a plugin has stands in its manifest (plugin.h, "tools"), so that
 * a host lists them, offers them to a model and refuses a call before any code
 * of the plugin runs. One stream is one call:
 *
 *   TOOL_OUTPUT   a piece of the result: UTF-8, in order
 *   TOOL_STATUS   where it stands ("3 of 7 files"): UTF-8, for who watches;
 *                 no part of the result
 *   END           it has done what it was asked for; the pieces are the result
 *   an error      it has not. `message` goes to the model, which may try it in
 *                 another way: say what would be right. No path of the host,
 *                 address or secret is in it.
 *   YOI_UNKNOWN   an error, of which nobody knows what was done before it: the
 *                 call counts as "uncertain", unless it is read-only or
 *                 idempotent
 *
 *  1. The host calls start when all that may forbid the call has been asked:
 *     the arguments fit the schema, the grants are there, policy allows it, or
 *     a person does. What the tool has its effect on, it asks the host for once
 *     more, with `call`: host_mount.h, host_net.h, host_grant.h.
 *  2. A call runs once. Whoever runs it has written down before that it does;
 *     when the process ends in the middle nobody runs it again. The
 *     idempotency_key is the same for a call whatever happens: pass it on to
 *     what can make use of it.
 *  3. cancel means: stop, and leave nothing behind that runs. The stream ends
 *     within YOI_CANCEL_GRACE_MS; with YOI_CANCELLED when the effect did not
 *     take place or was cut short. What has not ended by then counts as
 *     "uncertain".
 *  4. After YOI_TOOL_OUTPUT_MAX bytes of output the call is cancelled.
 *  5. A tool waits on host_loop.h and says AGAIN, or its plugin is SERIAL.
 */
#ifndef YOI_TOOL_H
#define YOI_TOOL_H

#include <yoi/host.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_TOOL_ID "yoi.tool/1"

/* What the manifest says of a tool. */
#define YOI_TOOL_READ_ONLY 1u  /* changes nothing outside of the worker */
#define YOI_TOOL_IDEMPOTENT 2u /* twice is as good as once */

/* One call. Borrowed until start returns. */
typedef struct yoi_tool_request {
  uint32_t size;
  uint32_t reserved;
  uint64_t deadline_ns; /* CLOCK_MONOTONIC; then it is cancelled */
  uint64_t token;       /* for host->wake */
  uint64_t call;        /* the host's name for it, until release */
  yoi_str name;         /* of the tool */
  yoi_str arguments;    /* a JSON object that fits `parameters` */
  yoi_str worker_id;
  yoi_str idempotency_key; /* 64 hex digits: of worker, turn and call */
  yoi_str request_id;
  yoi_str trace;
} yoi_tool_request;

typedef struct yoi_tool {
  uint32_t size;
  uint32_t thread_model; /* YOI_PARALLEL, _SERIAL, _SERIAL_CANCEL */
  /* [main] At the first call of one of its tools. */
  yoi_status (*open)(const yoi_host *host, yoi_str config, void **out_self,
                     yoi_error *err);
  /* [main] As of a runtime. */
  void (*close)(void *self);
  /* [loop & open] next and release on the same loop. SERIAL: [one & open]. */
  yoi_status (*start)(void *self, const yoi_tool_request *req,
                      yoi_stream **out, yoi_error *err);
  /* [any & open] NULL when the tool holds no streams. */
  void (*wake)(void *self, uint64_t cookie);
} yoi_tool;

#ifdef __cplusplus
}
#endif
#endif
