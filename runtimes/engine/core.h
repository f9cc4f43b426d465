/* core.h - the engine itself, as its own files see it.
 *
 * Locks, in this order; none is held across a call to the host (its clocks
 * and moving a metric excepted), the store or a model:
 *   worker.mu   everything of one worker, its turn and its streams
 *   keep.mu     the list of buffers that outlive their turn
 *   dir_mu      directory and keys
 *   uses.mu     the list of awake workers
 *   specs.mu    resolved specs
 *   bundles.mu  the bundles that are here
 * Those below the first may be taken under it, never together. loads.mu (reads
 * that wait for a place) and slots.mu (turns by cookie) are taken alone, and so
 * is the lock of an operation that waits for a load (defer.c).
 */
#ifndef ENG_CORE_H
#define ENG_CORE_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/metric.h>
#include <stdbool.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_turn.h>
#include <yoi/ops.h>

#include "bundles.h"
#include "directory.h"
#include "engine.h"
#include "scope.h"
#include "spec.h"

struct eng_worker;
struct eng_turn;
struct eng_op;
struct eng_stage;
struct eng_load;

struct eng_limits {
  uint64_t workers, input_bytes, queued_inputs, history_bytes, transcript_items, watchers;
  uint64_t loaded_workers;
};

/* Live turns by the low half of their cookie; the high half is the slot's
 * generation, so that a wake for a turn that is gone finds nothing. */
struct eng_turn_slot {
  struct eng_turn *turn;
  uint32_t generation, next_free;
};
struct eng_slots {
  pthread_mutex_t mu;
  struct eng_turn_slot *slots;
  uint32_t n, first_free; /* index + 1; 0: none */
};

/* Buffers of ended turns that somebody may still be behind in, oldest first. */
struct eng_keep {
  pthread_mutex_t mu;
  struct eng_worker *first, *last;
  bool timer; /* set or posted */
};

/* Awake workers that may be put to sleep, least recently used first (sleep.c).
 * Kept only for a store that they can be loaded from again. */
struct eng_uses {
  pthread_mutex_t mu;
  struct eng_worker *first, *last;
  _Atomic uint64_t n;
};

/* Histories that are read, and those that wait for it (load.c). */
struct eng_loads {
  pthread_mutex_t mu;
  struct eng_load *first, *last;
  uint32_t active;
  /* The walk over workers that were found busy: behind which id it stands,
   * how many of them are loaded now, how many could not be. */
  bool walks, again, walked;
  uint32_t walking, failed;
  uint64_t pause_ms;
  size_t behind_len;
  char behind[YOI_ID_MAX];
};

/* Reasons for which a watch ends, as metric and in the end event. */
#define ENG_ENDS(X)                                                 \
  X(TURN_ENDED, "turn_ended", 0, 0)                                 \
  X(LAGGED, "lagged", 0, 1)                                         \
  X(WORKER_DELETED, "worker_deleted", YOI_CODE_WORKER_NOT_FOUND, 0) \
  X(DRAINING, "draining", YOI_CODE_SHUTTING_DOWN, 1)                \
  X(ERROR, "error", YOI_CODE_STORE_ERROR, 1)                        \
  X(FULL, "error", YOI_CODE_LIMIT_REACHED, 1)                       \
  X(CAUGHT_UP, "caught_up", 0, 1)
/* clang-format off */
enum eng_end {
#define ENG_END(sym, name, code, retry) ENG_END_##sym,
  ENG_ENDS(ENG_END)
#undef ENG_END
  ENG_END_COUNT
};
/* clang-format on */
enum eng_ended { ENG_COMPLETED, ENG_FAILED, ENG_CANCELLED, ENG_INTERRUPTED, ENG_ENDED_COUNT };

/* Ids of yoi.host.metrics/1; docs/operate.md says what each counts. */
struct eng_metrics {
  uint32_t turns[ENG_ENDED_COUNT], ends[ENG_END_COUNT], events, tokens_in, tokens_out;
  uint32_t loads, expired;
  uint32_t workers, awake, watchers, running;                          /* gauges */
  uint32_t turn_time, queue_time, first_delta, append_time, load_time; /* histograms */
};

/* The stream that drain returned; it is part of the engine. */
struct eng_drain {
  yoi_stream head;
  struct eng_engine *eng;
  _Atomic uint64_t token;
  atomic_bool armed;
  bool over; /* END was said; the holder's */
  uint64_t deadline_ns;
};

struct eng_engine {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  const yoi_host_log *log; /* may be NULL */
  const yoi_host_model *models;
  const yoi_host_tool *tools;   /* may be NULL */
  const yoi_host_grant *grants; /* likewise */
  const yoi_host_turn *turns;   /* likewise: then a turn has what the host has then */
  struct eng_options options;   /* texts owned */
  struct eng_limits limits;
  struct eng_store *store;
  struct eng_specs specs;
  struct eng_bundles bundles;
  char instance_id[37];
  bool durable;                   /* its store outlives it: a drain drops nothing that waits */
  bool sleeps;                    /* it can be opened: workers sleep until they are asked for */
  struct yoi_sdk_metrics metrics; /* the host's; where it has none, ids are 0 */
  struct eng_metrics metric;

  pthread_mutex_t dir_mu;
  struct eng_directory directory;
  struct eng_table keys; /* of creates: to workers */

  struct eng_slots slots;
  struct eng_keep keep;
  struct eng_uses uses;
  struct eng_loads loads;
  /* Appends that failed: how many, when last, and whether the last one did. */
  _Atomic uint64_t store_errors, store_error_ns;
  atomic_bool store_failing;
  atomic_bool closing;  /* control thread is in close: completions do nothing */
  atomic_bool draining; /* no new turns */
  atomic_bool cutting;  /* drain's deadline has passed: turns are cancelled */
  atomic_uint active;   /* turns that are not cleaned up, and staged appends */
  atomic_uint running;  /* turns, for describe */
  atomic_uint watchers; /* streams of events and follow */
  struct eng_drain drain;
};

/* engine.c */
static inline void eng_count(const struct eng_engine *eng, uint32_t metric, uint64_t n) {
  yoi_sdk_metric_add(&eng->metrics, metric, n);
}
void eng_log(const struct eng_engine *eng, uint32_t level, yoi_str msg, yoi_str request_id,
             const yoi_log_field *fields, size_t n);
uint64_t eng_mono(const struct eng_engine *eng);
uint64_t eng_wall(const struct eng_engine *eng);
/* A worker that callers may see, with a reference; NULL: there is none. It may
 * be asleep; one that is awake stays so while there is the reference. */
struct eng_worker *eng_find(struct eng_engine *eng, yoi_str worker_id);
/* Workers behind an id, in order, with references; see eng_directory_page. */
size_t eng_page_workers(struct eng_engine *eng, yoi_str after, const char *state,
                        const struct eng_scope *scope, struct eng_worker **out, size_t max,
                        int *out_more);
/* dir_mu held, or nobody else is there: puts it into directory and keys, with
 * a reference. ALREADY_EXISTS, RESOURCE_EXHAUSTED. */
yoi_status eng_enlist(struct eng_engine *eng, struct eng_worker *w);
/* Takes a worker out of directory and keys, and lets their reference go. */
void eng_forget(struct eng_engine *eng, struct eng_worker *w);
/* Something that drain waits for is done. (drain.c) */
void eng_active_done(struct eng_engine *eng);
/* Calls each turn that there is, with a reference held meanwhile. */
void eng_turns_each(struct eng_engine *eng, void (*each)(struct eng_turn *t));

/* The operations; each is the start of one of ops.h. w: the worker that it is
 * on, awake and borrowed; NULL: there is none, or it is on none. */
typedef yoi_status eng_start_fn(struct eng_engine *eng, const yoi_request *req,
                                struct eng_worker *w, yoi_stream **out, yoi_error *err);
eng_start_fn eng_start_describe, eng_start_create, eng_start_list, eng_start_get, eng_start_input,
    eng_start_cancel, eng_start_stop, eng_start_delete, eng_start_transcript, eng_start_events,
    eng_start_approvals, eng_start_approve, eng_start_artefact, eng_start_bundle_put,
    eng_start_bundle_have, eng_start_bundle_get, eng_start_bundle_list, eng_start_bundle_delete;

/* What retention asks for: worker.delete of a stopped worker. No caller can. */
#define ENG_OP_EXPIRE YOI_OP__END
/* An operation on a worker that was found, whose reference is taken over; it
 * begins once the worker is awake. */
yoi_status eng_start_found(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                           yoi_stream **out, yoi_error *err);
/* Begins to remove what the store keeps no longer. (expire.c) */
yoi_status eng_expire_begin(struct eng_engine *eng);

/* sleep.c; a worker is in the list from when it is awake until it sleeps or is
 * forgotten. Called without dir_mu. */
void eng_use_add(struct eng_worker *w);
void eng_use_remove(struct eng_worker *w);
/* It is used now: others sleep sooner. */
void eng_use(struct eng_worker *w);
/* Puts some to sleep if more than limits.loaded_workers are awake. Without any
 * lock. */
void eng_sleep_some(struct eng_engine *eng);
/* The same with one; 0: it is in use. */
int eng_sleep(struct eng_worker *w);

/* keep.c; add and remove with w's lock held. 1: the timer is to be set, by
 * eng_keep_timer, without any lock. */
bool eng_keep_add(struct eng_worker *w);
void eng_keep_remove(struct eng_worker *w);
void eng_keep_timer(struct eng_engine *eng);

#endif
