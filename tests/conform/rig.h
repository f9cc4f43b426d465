/* rig.h - a host around one plugin, and calls of that plugin's tables.
 *
 * The host is libyoi's, in step mode: one loop, which the test's thread runs in
 * rig_pump and counts as being on in between. The plugin's entry stands in the
 * config, so that it is checked as any; then the host is started without it,
 * and its instances are opened here.
 */
#ifndef CONFORM_RIG_H
#define CONFORM_RIG_H

#include <stdatomic.h>

#include "conform.h"
#include "host/host.h"
#include "host/loader.h"

/* ---- texts of requests, which can be taken away ----------------------------- */

/* How texts lie in memory. */
#define PAPER_PLAIN 0u
#define PAPER_EDGE 1u /* each ends where its page ends, and nothing is behind it */
#define PAPER_SLACK 2u /* that, and some bytes more */

struct paper {
  uint32_t how;
  size_t n;
  struct {
    char *at;
    size_t size;
  } sheets[64];
};
/* n bytes, zeroed; aligned for a struct when n is a multiple of 8. */
void *paper_take(struct paper *p, size_t n);
yoi_str paper_text(struct paper *p, yoi_str s);
/* From here on every access is a crash. */
void paper_revoke(struct paper *p);
void paper_release(struct paper *p);

/* ---- the host and instances ------------------------------------------------ */

/* How often it was woken. A plugin may wake the token of a call that is over, from
 * a thread of its own: so this is not on a stack, and stays. */
struct rig_wakes {
  _Atomic uint32_t n;
  struct rig_wakes *next; /* of all of the rig */
};

struct rig_token {
  uint64_t token;
  struct rig_wakes *wakes;
};

struct conform_rig {
  struct yoi_embed *host;
  struct rig_wakes *wakes;
  struct yoi__config *config;
  struct yoi__plugin *plugin;
  const struct yoi__config_instance *entry;
  struct yoi__loop *loop;
  struct yoi__holder holder;
};

struct rig_instance {
  struct yoi__instance *in;
  void *self;
};

/* The config of the host as text, into buf. */
void rig_config(struct conform *c, yoi_str own, struct yoi_sdk_buf *out);
/* Makes and starts the host, loads the plugin. NULL; or, when that cannot be, the id of
 * the test that has to say so. */
const char *rig_try_start(struct conform *c, yoi_error *err);
/* The same; skips when that cannot be. */
void rig_start(struct conform *c);
/* Opens an instance; NULL for host and config: the usual ones. */
yoi_status rig_try_open(struct conform *c, const yoi_host *host, const yoi_str *config,
                        struct rig_instance *out, yoi_error *err);
/* The same as it always is; skips when it cannot be opened. */
struct rig_instance rig_open(struct conform *c);
void rig_close(struct conform *c, struct rig_instance *i);
/* The host as the plugin of that instance sees it. */
const yoi_host *rig_host(const struct rig_instance *i);
/* Runs the loop, waiting at most ms for something to do. */
void rig_pump(struct conform *c, int ms);
uint32_t rig_thread_model(const struct conform *c);
/* Where the plugin's code lies; 0: unknown. */
int rig_code(const struct conform *c, uintptr_t *from, uintptr_t *to);
int rig_token_new(struct conform *c, struct rig_token *t);

/* ---- what it is asked (request.c) ------------------------------------------- */

union rig_request {
  uint32_t size;
  yoi_request runtime;
  yoi_tool_request tool;
  yoi_model_request model;
  yoi_policy_request policy;
};

size_t rig_request_size(uint32_t kind);
/* 1: there is a usual request. */
int rig_can_ask(struct conform *c);
/* The usual request of the kind, its texts on the paper. For a tool it is of the
 * first one that may be called; skips when there is none. */
union rig_request *rig_request(struct conform *c, struct rig_instance *i, struct paper *p,
                               uint64_t token);
/* One of the n-th tool, as the manifest has them; NULL: it may not be called. */
union rig_request *rig_request_tool(struct conform *c, struct rig_instance *i, struct paper *p,
                                    uint64_t token, size_t n);
/* The usual one as a newer host has it: RIG_TAIL bytes longer, all zero but for the
 * byte at `odd`, if that is below RIG_TAIL. */
#define RIG_TAIL 64
union rig_request *rig_request_newer(struct conform *c, struct rig_instance *i, struct paper *p,
                                     uint64_t token, size_t odd);
/* The plugin's own start. */
yoi_status rig_ask(struct conform *c, struct rig_instance *i, const union rig_request *req,
                   yoi_stream **out, yoi_error *err);

/* ---- a stream and what it said (call.c) ------------------------------------- */

#define CALL_EVENTS_MAX 4096

struct call_event {
  uint32_t kind, flags;
  char *cursor, *text; /* NUL-terminated copies */
  size_t len;
};

struct call {
  yoi_stream *stream;  /* NULL: start failed, or it was released */
  yoi_status status;   /* OK: it goes on */
  struct rig_token token;
  uint32_t seen;       /* wakes that were answered with a next */
  struct paper paper;
  struct yoi_sdk_error error;
  struct call_event *events;
  size_t n;
  uint64_t bytes;
};

/* Starts the usual request, or one that `change` has changed. 1: there is a
 * stream. */
int call_start(struct conform *c, struct rig_instance *i, struct call *out,
               void (*change)(union rig_request *req, void *ctx), void *ctx);
/* The same, and skips without a stream. */
void call_start_or_skip(struct conform *c, struct rig_instance *i, struct call *out);
/* A request of a runtime, to its end or, with FOLLOW, until told. */
void call_op(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
             const char *body, const char *key, uint32_t flags, struct call *out);
int call_start_op(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
                  const char *body, const char *key, uint32_t flags, struct call *out);
/* A request of a runtime about a bundle or an approval, to its end. */
void call_op_on(struct conform *c, struct rig_instance *i, uint32_t op, const char *worker,
                const char *subject, const char *body, struct call *out);
/* One next; its events are kept. */
yoi_status call_next(struct conform *c, struct call *k);
/* When a loop of many rounds stops, so that who is slow has fewer of them: a third of
 * the test's time from now. */
uint64_t call_share(const struct conform *c);
/* To its end, whatever the wakes say; 0: not within ms. */
int call_finish(struct conform *c, struct call *k, uint32_t ms);
/* Until an event of that kind is there; NULL: it ended, or ms have passed. */
const struct call_event *call_until(struct conform *c, struct call *k, uint32_t kind, uint32_t ms);
const struct call_event *call_event(const struct call *k, uint32_t kind); /* the first */
void call_release(struct call *k);

#endif
