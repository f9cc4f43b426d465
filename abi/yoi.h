/* yoi.h - embed the host: the whole public interface of libyoi.
 *
 *   struct yoi_embed *host = NULL;
 *   if (yoi_host_new(json, strlen(json), NULL, &host, err) == YOI_OK &&
 *       yoi_host_start(host, err) == YOI_OK) { ...yoi_call... }
 *   yoi_host_free(host);
 *
 * Requests and events are those of the plugin ABI (yoi/request.h,
 * yoi/stream.h, yoi/ops.h). libyoi sets no signal disposition, starts nothing
 * when it is loaded, never exits or aborts the process, changes neither its
 * working directory, locale nor umask, and its threads block all signals.
 * Several hosts may live in one process.
 *
 * Fork. A host belongs to the process that made it; a fork is seen by a handler
 * of pthread_atfork, which the first host sets. In the child, what returns a
 * status answers FAILED_PRECONDITION, yoi_host_fd -1, and wakeup, cancel and
 * free do nothing: the parent goes on undisturbed, and what the host holds is
 * gone with the child. A child may make a host of its own only when no thread
 * of the parent was inside the library at the fork, as it is when all hosts
 * there are in step mode and were driven by the thread that forks.
 *
 * Threads. With "step": true in the config the host has no threads: all
 * runs inside yoi_host_step, callbacks included; only calls of SERIAL plugins
 * (yoi/plugin.h) are made on threads of their own. Otherwise it runs its own
 * loops and callbacks come on those. new, check, start, step, add, remove,
 * reload, drain and free of one host belong to one thread (the last five never
 * inside a callback);
 * yoi_call, yoi_call_cancel and yoi_host_wakeup may be called from any, and so
 * may yoi_call_sync of a host with threads, but for its callbacks. In step mode
 * that is for the one thread too: the one that called start or step last.
 */
#ifndef YOI_H
#define YOI_H

#include <yoi/host_tool.h>
#include <yoi/offline.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>
#include <yoi/request.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_embed;

/* The version of the library that is running, "1.0.0". */
YOI_API const char *yoi_version(void);

/* Since 1.4: where the library has its memory from. n is 1 or more, p never
 * NULL. None may call the library. */
typedef struct yoi_allocator {
  uint32_t size;
  uint32_t reserved;
  void *ctx;
  /* [any] As malloc, aligned alike; NULL when there is none. */
  void *(*allocate)(void *ctx, size_t n);
  /* [any] As realloc. */
  void *(*resize)(void *ctx, void *p, size_t n);
  /* [any] As free. */
  void (*release)(void *ctx, void *p);
} yoi_allocator;

/* Since 1.4. All memory of the library, for the life of the process, from these
 * functions: the struct is copied, ctx must stay. Before anything else of the
 * library, in one thread. Not from there: what cJSON, libcrypto and libc
 * allocate, and plugins in files, which have a heap of their own.
 * FAILED_PRECONDITION: memory was allocated already, or they were set;
 * INVALID_ARGUMENT: a member is missing. */
YOI_API yoi_status yoi_use_allocator(const yoi_allocator *a, yoi_error *err);

/* Since 1.1: a plugin that is linked into the program (docs/embed.md). */
typedef struct yoi_linked_plugin {
  uint32_t size;
  uint32_t reserved;
  /* [main] What a shared object exports as yoi_plugin_entry_v1. */
  const yoi_plugin *(*entry)(void);
  const char *manifest;     /* its manifest, of static storage ... */
  const char *manifest_end; /* ... up to here; NULL: up to its NUL */
  /* Since 1.4: of the application's own code. In place of `entry`, which is
   * NULL then, the interface table of the manifest's kind itself (a yoi_tool,
   * a yoi_runtime, ...), of static storage; the manifest names no other
   * interface. */
  const void *table;
  /* What *out_self holds when `open` is called, so that one table serves
   * several objects. An open that stores nothing there keeps it as its self. */
  void *user;
} yoi_linked_plugin;

/* Since 1.1: yoi_linked_NAME, of a plugin that was compiled with
 * -DYOI_STATIC=NAME; at file scope. */
#define YOI_LINKED_PLUGIN(name)                                              \
  extern const yoi_plugin *YOI_PLUGIN(name)(void);                           \
  extern const char yoi_manifest_v1_##name[], yoi_manifest_v1_##name##_end[]; \
  static const yoi_linked_plugin yoi_linked_##name = {                       \
      sizeof(yoi_linked_plugin), 0, YOI_PLUGIN(name), yoi_manifest_v1_##name, \
      yoi_manifest_v1_##name##_end, 0, 0}

/* Since 1.1. Names the plugins that are linked into the program, for every
 * config that is checked or loaded after it in this process; they come before
 * all files, and go through the same checks. Array and rows stay the
 * caller's and must stay; another call replaces the list. n may be 0. Any
 * thread, once no other uses the library. INVALID_ARGUMENT: more than
 * YOI_PLUGINS_MAX, or a row without its members. */
YOI_API yoi_status yoi_link_plugins(const yoi_linked_plugin *const *plugins,
                                    size_t n, yoi_error *err);

/* Checks a config (docs/config.md) and makes a host from it; nothing is
 * opened yet. `json` is a JSON object with comments, at most
 * YOI_CONFIG_BYTES_MAX; empty is the default config. Relative paths are
 * relative to `base_dir`, a NUL-terminated path; NULL is the working
 * directory. Isolated plugins need the program yoi-worker: the one that
 * `worker_program` of the config names, else one beside the program that runs,
 * else the installed one. Errors: INVALID_ARGUMENT with the first finding,
 * RESOURCE_EXHAUSTED when memory is short. */
YOI_API yoi_status yoi_host_new(const char *json, size_t len,
                                const char *base_dir, struct yoi_embed **out,
                                yoi_error *err);

/* Since 1.4. One line of a host's log, as it would stand on standard error but
 * without its line feed: of that format, secrets taken out. level: YOI_LOG_* of
 * yoi/host_log.h. [any], also several at once; it must not block, and of this
 * host may only be woken (yoi_host_wakeup). */
typedef void (*yoi_log_fn)(void *ctx, uint32_t level, yoi_str line);

/* One finding of a config; line and column count from 1, in bytes. */
typedef void (*yoi_report_fn)(void *ctx, uint32_t line, uint32_t column,
                              const char *pointer, const char *message);

/* Since 1.4. What a host is given beside its config. Zeroes are the default. */
typedef struct yoi_host_options {
  uint32_t size;
  uint32_t reserved;
  const char *base_dir; /* as of yoi_host_new */
  /* Plugins of this host alone, before those of yoi_link_plugins and all
   * files. The rows, and what they point to, must stay until the host is freed;
   * the array is copied. Each call of them is as the plugin ABI says, by the
   * thread tags of their tables. A reload keeps them. */
  const yoi_linked_plugin *const *plugins;
  size_t n_plugins;
  yoi_log_fn log; /* NULL: standard error */
  void *log_ctx;
  yoi_report_fn report; /* as of yoi_host_check; may be NULL */
  void *report_ctx;
} yoi_host_options;

/* Since 1.4. yoi_host_new with these options; NULL is none. out NULL: the
 * config is only checked. INVALID_ARGUMENT also for a row without its members,
 * and for more than YOI_PLUGINS_MAX of them. */
YOI_API yoi_status yoi_host_new_with(const char *json, size_t len,
                                     const yoi_host_options *options,
                                     struct yoi_embed **out, yoi_error *err);

/* Since 1.4. A config from calls: what an application would else print into
 * text, escaped. Values are JSON without comments, each looked at alone, so
 * that none can reach beyond its place. The first call that fails is kept:
 * later ones do nothing, and text answers with its error. NULL, when memory is
 * short, is accepted by all. One thread at a time. */
struct yoi_config;

YOI_API struct yoi_config *yoi_config_new(void);
YOI_API void yoi_config_free(struct yoi_config *c);

/* One key of docs/config.md, at the top: ("step", "true"). */
YOI_API void yoi_config_set(struct yoi_config *c, const char *key,
                            const char *json);
/* One more entry of "runtimes" and of "models"; config: its plugin's, an
 * object, or NULL. */
YOI_API void yoi_config_runtime(struct yoi_config *c, const char *id,
                                const char *plugin, const char *config);
YOI_API void yoi_config_model(struct yoi_config *c, const char *name,
                              const char *plugin, const char *config);
/* The text, for yoi_host_new and all else that takes a config; *out_text as in
 * yoi_default_config. It may be asked for again, and more be added.
 * INVALID_ARGUMENT, RESOURCE_EXHAUSTED: more than YOI_CONFIG_BYTES_MAX too. */
YOI_API yoi_status yoi_config_text(const struct yoi_config *c, char **out_text,
                                   size_t *out_len, yoi_error *err);

/* The config that an empty one stands for, as text: it depends on the
 * environment (docs/config.md). *out_text is NUL-terminated, to be given to
 * yoi_free; its length is in *out_len (may be NULL). */
YOI_API yoi_status yoi_default_config(char **out_text, size_t *out_len,
                                      yoi_error *err);

/* Says everything that is wrong with a config at once, in the order of the
 * text, plugins' own schemas included. report may be NULL. OK: nothing is
 * wrong. */
YOI_API yoi_status yoi_host_check(const char *json, size_t len,
                                  const char *base_dir, yoi_report_fn report,
                                  void *ctx);

/* Since 1.1. Which plugins a config finds, as a JSON object: "plugins",
 * "searched", "passed_over"; docs/embed.md has its members. No code of a
 * plugin runs. A config that yoi_host_check refuses is answered for as far as
 * it can be read. *out_text as in yoi_default_config. RESOURCE_EXHAUSTED. */
YOI_API yoi_status yoi_host_plugins(const char *json, size_t len,
                                    const char *base_dir, char **out_text,
                                    size_t *out_len, yoi_error *err);

/* yoi_plugin_check flags, since 1.1 */
#define YOI_PLUGIN_LOAD 1u /* also run its code: load it, ask its entry */

/* Since 1.1. Everything that is wrong with one plugin file, as a JSON object:
 * "path", "ok", "findings", "loaded", "plugin" (a row as above, or null).
 * Without YOI_PLUGIN_LOAD none of its code runs; with it the code stays for
 * the life of the process. RESOURCE_EXHAUSTED; INVALID_ARGUMENT: an unknown
 * flag. What is wrong with the file is no error. */
YOI_API yoi_status yoi_plugin_check(const char *path, uint32_t flags,
                                    char **out_text, size_t *out_len,
                                    yoi_error *err);

/* Since 1.2. Works on what a runtime of the config keeps while no host runs
 * it, without opening it: yoi/offline.h has the verbs, their options, what is
 * said to the sink and the errors. options may be empty. The whole config must
 * be right, pins are met, and only the code of that runtime's plugin runs; it
 * stays for the life of the process. Members of the sink may be NULL. Blocks.
 * NOT_FOUND (runtime_not_found): the config has no such runtime; UNIMPLEMENTED:
 * its plugin has no yoi.offline/1. The private detail is the caller's, who is
 * the operator here. */
YOI_API yoi_status yoi_offline_run(const char *json, size_t len,
                                   const char *base_dir, yoi_str runtime_id,
                                   yoi_str verb, yoi_str options,
                                   const yoi_offline_sink *sink,
                                   yoi_error *err);

/* Since 1.3. What the policies of a config would answer to a request on that
 * runtime (empty: on the host), as a JSON object:
 *
 *   { "decision": "allow" | "ask" | "deny", "plugin"?, "rule"?, "reason"?,
 *     "asked": [ { "plugin", "decision", "rule"?, "reason"? } ... ] }
 *
 * Only policies are opened: no runtime, no model, no listener. Of the request
 * op, origin, principal, worker_id, subject and body count. *out_text is
 * yoi_free's, out_len may be NULL. INVALID_ARGUMENT: the config or the request
 * is wrong. [main] */
YOI_API yoi_status yoi_policy_explain(const char *json, size_t len,
                                      const char *base_dir, yoi_str runtime_id,
                                      const yoi_request *req, char **out_text,
                                      size_t *out_len, yoi_error *err);

/* Since 1.4. The same for the call of a tool by a worker of that runtime: what
 * decide of yoi/host_tool.h would say, as far as policy has a say. "asked" also
 * has the layers that have a word, without a plugin and with their name as the
 * rule: "builtin" when there are no policies, "bundle", "profile". No tool is
 * opened either. Of the call name, plugin, arguments, grants, principal,
 * worker_id and the verdicts count; worker_id and runtime_id may be empty.
 * NOT_FOUND: the config has no such tool. INVALID_ARGUMENT: the config or the
 * call is wrong, say an argument. [main] */
YOI_API yoi_status yoi_policy_explain_tool(const char *json, size_t len,
                                           const char *base_dir,
                                           yoi_str runtime_id,
                                           const yoi_tool_call *call,
                                           char **out_text, size_t *out_len,
                                           yoi_error *err);

/* Opens policies, runtimes, then ingresses. On an error nothing stays open. */
YOI_API yoi_status yoi_host_start(struct yoi_embed *host, yoi_error *err);

/* Step mode: a descriptor that is readable when step has work; -1 else. */
YOI_API int yoi_host_fd(const struct yoi_embed *host);

/* Step mode: runs what is ready, waiting at most timeout_ms for it (0: not
 * at all, negative: until there is work or yoi_host_wakeup).
 * FAILED_PRECONDITION: the host is not started, or runs its own threads; inside
 * a callback; while another thread steps. */
YOI_API yoi_status yoi_host_step(struct yoi_embed *host, int timeout_ms,
                                 yoi_error *err);

/* Makes a waiting yoi_host_step return, or the next one that would wait. [any],
 * and in signal handlers, at any time between new and free. */
YOI_API void yoi_host_wakeup(struct yoi_embed *host);

/* Since 1.1. Adds a runtime to a host that is started: one entry as in the
 * config's "runtimes", checked like those (positions are in this text), opened
 * and then reachable under its id. Its plugin and its secrets are of those
 * that the host found and read at its start. On an error nothing changed;
 * ALREADY_EXISTS: the id is taken. Not inside a callback. */
YOI_API yoi_status yoi_host_add_runtime(struct yoi_embed *host,
                                        const char *json, size_t len,
                                        yoi_error *err);

/* Since 1.1. Takes a runtime out: from here on its id is unknown, and free to
 * be added again. Its turns may end until deadline_ms have passed, the rest is
 * cancelled, watches end with the reason draining; then it is closed. In step
 * mode it steps. OK: all ended by itself; DEADLINE_EXCEEDED: it is removed
 * too, but work was cancelled, or somebody still holds a stream of it: then it
 * stays open, unreachable, until that was let go and the next add or remove,
 * or the host's end, closes it. NOT_FOUND: there is none. Not inside a
 * callback. */
YOI_API yoi_status yoi_host_remove_runtime(struct yoi_embed *host,
                                           yoi_str runtime_id,
                                           uint32_t deadline_ms,
                                           yoi_error *err);

/* Since 1.4. Gives a host that is started another config: all of it or, when
 * it is wrong or cannot be had, nothing, and the host is as it was. json,
 * base_dir and report as for yoi_host_check; what this host cannot become
 * while it runs is a finding too (docs/operate.md has what can be reloaded).
 * Turns that run keep the models, tools, policies and grants they began with;
 * what stands in both configs in the same words is not touched. What is not in
 * the new one is drained within its "drain_ms", which this waits for; in step
 * mode it steps. A line in the log says what came of it. Errors: as of
 * yoi_host_new and yoi_host_start; FAILED_PRECONDITION: the host is not
 * started, or inside a callback. */
YOI_API yoi_status yoi_host_reload(struct yoi_embed *host, const char *json,
                                   size_t len, const char *base_dir,
                                   yoi_report_fn report, void *ctx,
                                   yoi_error *err);

/* Stops accepting, lets turns end until deadline_ms have passed, cancels the
 * rest, flushes. OK: all ended by itself; DEADLINE_EXCEEDED: some were
 * cancelled. Later calls answer shutting_down. In step mode it steps.
 * FAILED_PRECONDITION: the host is not started, or inside a callback. */
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
 * *out_len (may be NULL). FAILED_PRECONDITION inside a callback, and in step
 * mode on another thread than the one that steps: yoi_call is for those. */
YOI_API yoi_status yoi_call_sync(struct yoi_embed *host, yoi_str runtime_id,
                                 const yoi_request *req, char **out_text,
                                 size_t *out_len, yoi_error *err);

YOI_API void yoi_free(void *text);

#ifdef __cplusplus
}
#endif
#endif
