/* fake_host_impl.h - what fake_host.c, fake_model.c and fake_tool.c share. */
#ifndef FAKE_HOST_IMPL_H
#define FAKE_HOST_IMPL_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/host_grant.h>
#include <yoi/host_model.h>
#include <yoi/host_tool.h>

#include "fake_host.h"

#define FAKE_WALL_OFFSET 1780000000000000000u

struct fake_task {
  yoi_loop_fn fn;
  void *ctx;
  struct fake_task *next;
};

struct fake_timer {
  uint64_t id, at;
  yoi_loop_fn fn;
  void *ctx;
  uint32_t loop;
};

struct fake_loop {
  struct fake_host *fh;
  struct fake_task *tasks;
  pthread_t thread;
};

struct fake_token {
  bool live, of_test;
  uint32_t gen, wakes;
  uint64_t cookie;
};

struct fake_metric {
  char *name, *value;
  uint64_t n, ns; /* a histogram's: how often, and the sum */
};

struct fake_request {
  char *messages, *name, *origin; /* origin: request id, blank, trace */
  char *offer;
  char *budget; /* worker, principal, turn_tokens, counted, max_output_tokens */
  uint32_t loop;
};

struct fake_host {
  const char *digest; /* of the plugin of tools; NULL: the usual one */
  yoi_host host;
  pthread_mutex_t mu;
  pthread_cond_t news;
  bool closed, threaded, async, no_models;
  uint32_t n_loops;
  struct fake_loop *loops;
  uint64_t now, last_id, fail_post, fail_timer, stale;
  struct fake_timer *timers;
  size_t n_timers;
  struct fake_token *tokens;
  size_t n_tokens;
  void (*holder_wake)(void *self, uint64_t cookie);
  void *holder;
  struct fake_metric *metrics;
  size_t n_metrics;
  char *log;
  size_t log_len;
  char **names; /* of the models */
  size_t n_names;
  struct fake_answer *answers; /* not yet asked for, in order */
  struct fake_talk *talks;     /* live streams */
  void (*on_next)(void *ctx);
  void (*on_list)(void *ctx);
  void (*on_token)(void *ctx);
  void *on_next_ctx;
  struct fake_request *requests;
  size_t n_requests, n_cancelled;
  struct fake_tool *tools; /* fake_tool.c */
  size_t n_tools;
  struct fake_run *runs;   /* not yet asked for, in order */
  struct fake_work *works; /* live streams */
  struct fake_started *started;
  size_t n_started, n_decides, n_tools_cancelled;
  char *no_grant;
  void (*on_decide)(void *ctx);
  void (*on_start)(void *ctx);
  void *on_tool_ctx;
};

extern const yoi_host_model fake_model_table;
extern const yoi_host_tool fake_tool_table;
extern const yoi_host_grant fake_grant_table;

void *fake_grow(void *p, size_t n, size_t size);
char *fake_dup(yoi_str s);
struct fake_host *fake_of(const yoi_host *h);
void fake_model_clear(struct fake_host *fh);
void fake_tool_clear(struct fake_host *fh);

#endif
