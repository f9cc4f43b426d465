/* yoi.h - embed the host: the whole public interface of libyoi.
 *
 *   struct yoi_embed *host = NULL;
 *   if (yoi_host_new(json, strlen(json), &host, err) == YOI_OK &&
 *       yoi_host_start(host, err) == YOI_OK) { ...yoi_call... }
 *   yoi_host_free(host);
 *
 * Requests and events are those of the plugin ABI (yoi/request.h,
 * yoi/stream.h, yoi/ops.h). libyoi sets no signal disposition, starts nothing
 * when it is loaded, never exits the process, and its threads block all
 * signals. Several hosts may live in one process. After fork only the child
 * that calls exec is supported.
 *
 * Threads. With "step": true in the config the host has no threads: all
 * runs inside yoi_host_step, callbacks included. Otherwise it runs its own
 * loops and callbacks come on those. new, check, start, step, drain and free
 * of one host belong to one thread (drain and free never inside a callback);
 * yoi_call, yoi_call_cancel and yoi_host_wakeup may be called from any.
 */
#ifndef YOI_H
#define YOI_H

#include <yoi/ops.h>
#include <yoi/request.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_embed;

/* The version of the library that is running, "1.0.0". */
YOI_API const char *yoi_version(void);

/* Checks a config (docs/config.md) and makes a host from it; nothing is
 * opened yet. `json` is a JSON object with comments, at most
 * YOI_CONFIG_BYTES_MAX; empty is the default config. Relative paths are
 * relative to `base_dir`, a NUL-terminated path; NULL is the working
 * directory. Errors: INVALID_ARGUMENT with the first finding,
 * RESOURCE_EXHAUSTED when memory is short. */
YOI_API yoi_status yoi_host_new(const char *json, size_t len,
                                const char *base_dir, struct yoi_embed **out,
                                yoi_error *err);

/* The config that an empty one stands for, as text: it depends on the
 * environment (docs/config.md). *out_text is NUL-terminated, to be given to
 * yoi_free; its length is in *out_len (may be NULL). */
YOI_API yoi_status yoi_default_config(char **out_text, size_t *out_len,
                                      yoi_error *err);

/* One finding of a config; line and column count from 1, in bytes. */
typedef void (*yoi_report_fn)(void *ctx, uint32_t line, uint32_t column,
                              const char *pointer, const char *message);

/* Says everything that is wrong with a config at once, in the order of the
 * text, plugins' own schemas included. report may be NULL. OK: nothing is
 * wrong. */
YOI_API yoi_status yoi_host_check(const char *json, size_t len,
                                  const char *base_dir, yoi_report_fn report,
                                  void *ctx);

/* Opens runtimes, then ingresses. On an error nothing stays open. */
YOI_API yoi_status yoi_host_start(struct yoi_embed *host, yoi_error *err);

/* Step mode: a descriptor that is readable when step has work; -1 else. */
YOI_API int yoi_host_fd(const struct yoi_embed *host);

/* Step mode: runs what is ready, waiting at most timeout_ms for it (0: not
 * at all, negative: until there is work or yoi_host_wakeup). */
YOI_API yoi_status yoi_host_step(struct yoi_embed *host, int timeout_ms,
                                 yoi_error *err);

/* Makes a waiting yoi_host_step return. [any], and in signal handlers. */
YOI_API void yoi_host_wakeup(struct yoi_embed *host);

/* Stops accepting, lets turns end until deadline_ms have passed, cancels the
 * rest, flushes. OK: all ended by itself; DEADLINE_EXCEEDED: some were
 * cancelled. Later calls answer shutting_down. In step mode it steps. */
YOI_API yoi_status yoi_host_drain(struct yoi_embed *host, uint32_t deadline_ms,
                                  yoi_error *err);

/* Ends every call (their callbacks get YOI_CANCELLED), closes, frees. */
YOI_API void yoi_host_free(struct yoi_embed *host);

/* An event of a call, or its end. While st is YOI_OK, ev is an event,
 * borrowed for the call. The last call has ev NULL and st YOI_END or an
 * error, with its detail in err, borrowed too. */
typedef void (*yoi_event_fn)(void *ctx, const yoi_event *ev, yoi_status st,
                             const yoi_error *err);

/* Starts an operation on a runtime, or on the host with an empty id. The
 * request's token, hops, origin and principal are set by the library
 * (origin embed, principal "embed"). *out_call (may be NULL) names the call
 * for yoi_call_cancel. When it returns an error, on_event is never called;
 * otherwise its last call comes exactly once. */
YOI_API yoi_status yoi_call(struct yoi_embed *host, yoi_str runtime_id,
                            const yoi_request *req, yoi_event_fn on_event,
                            void *ctx, uint64_t *out_call, yoi_error *err);

/* Asks a call to end; its last callback still comes. A finished or unknown
 * one is ignored. Ending a stream ends the watching, never the turn. */
YOI_API void yoi_call_cancel(struct yoi_embed *host, uint64_t call);

/* A unary operation, waited for; in step mode it steps meanwhile. *out_text
 * is the answer, NUL-terminated, to be given to yoi_free; its length is in
 * *out_len (may be NULL). FAILED_PRECONDITION inside a callback. */
YOI_API yoi_status yoi_call_sync(struct yoi_embed *host, yoi_str runtime_id,
                                 const yoi_request *req, char **out_text,
                                 size_t *out_len, yoi_error *err);

YOI_API void yoi_free(void *text);

#ifdef __cplusplus
}
#endif
#endif
