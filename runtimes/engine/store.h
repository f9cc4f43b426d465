/* store.h - where histories are kept. The engine knows no more of it.
 *
 * append, read and remove return at once; the ticket's done comes once,
 * later or before they return, on any thread, without any lock of the store,
 * and in order for the tickets of one log. The engine stages a transition,
 * shows it to nobody, and on done applies, emits and acknowledges it
 * (worker.c). An append is all or nothing.
 *
 * A store that outlives the process is opened with `open`, which names every
 * worker without reading its records; the engine reads them when the worker
 * is first asked for, and may forget them again (load.c).
 */
#ifndef ENG_STORE_H
#define ENG_STORE_H

#include <stdbool.h>

#include "frame.h"

struct eng_log; /* one worker's place in a store */

struct eng_ticket;
/* frames: of a read; the array is borrowed for the call, the references are
 * taken over. CANCELLED: the store stops. DATA_LOSS, of a read: what comes
 * behind these frames is damaged, and nothing can be appended. */
typedef void eng_ticket_fn(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames,
                           size_t n);

/* Embedded in whoever asks, and alive until done. */
struct eng_ticket {
  eng_ticket_fn *done;
  struct eng_ticket *next; /* the store's */
};

/* What a worker is once an append is applied: all that has to be known of it
 * before its records are read. BUSY: a turn runs or waits. */
enum eng_mark { ENG_MARK_IDLE, ENG_MARK_BUSY, ENG_MARK_STOPPED, ENG_MARK_CORRUPT };

/* What a log is given when it is made, and keeps for ever. */
struct eng_birth {
  uint64_t epoch; /* of the worker's cursors */
  bool keyed;     /* its create had a key */
  bool bundled;   /* it was made of a bundle, of that sha256 */
  uint8_t key[16];
  uint8_t bundle[32];
};

/* A worker that open found. */
struct eng_found {
  yoi_str worker_id; /* borrowed for the call */
  struct eng_birth birth;
  enum eng_mark mark;
  uint64_t sequence;   /* of its last record */
  struct eng_log *log; /* handed over */
};

/* What is amiss, for people: no path, no secret. Texts live as long as the
 * store. */
struct eng_amiss {
  const char *code, *severity; /* "store_error", "warning" | "error" */
  const char *message;
  uint64_t count, last_ns; /* how often; when last, in wall time */
};
#define ENG_AMISS_MAX 8

/* A stopped worker that is kept no longer. */
struct eng_expired {
  char worker_id[YOI_ID_MAX + 1];
  uint64_t epoch; /* another of that id is not meant */
};

struct eng_store {
  const struct eng_store_ops *ops;
  const char *id; /* made with what is stored, known once it is open; NULL: it is new each time */
  bool expires; /* `expired` is to be asked now and then */
};

struct eng_store_ops {
  /* Names all workers, in any order. [main], before anything else; NULL: the
   * store begins empty. */
  yoi_status (*open)(struct eng_store *s, void (*found)(void *ctx, const struct eng_found *f),
                     void *ctx, yoi_error *err);
  /* A log without records; nothing is written yet. NULL: memory is short. */
  struct eng_log *(*log_new)(struct eng_store *s, yoi_str worker_id, const struct eng_birth *birth);
  /* Frees the handle; what was appended stays unless it was removed. */
  void (*log_free)(struct eng_store *s, struct eng_log *log);
  /* The engine has forgotten the records: memory that only reads of them need
   * can go. NULL: there is none. */
  void (*log_rest)(struct eng_store *s, struct eng_log *log);
  /* n records whose sequences follow the last ones; references are taken. */
  void (*append)(struct eng_store *s, struct eng_log *log, struct eng_frame *const *frames,
                 size_t n, enum eng_mark mark, struct eng_ticket *t);
  /* Up to limit records from that sequence on; with items_only only those of
   * eng_frame_is_item. Fewer than limit: those were all. */
  void (*read)(struct eng_store *s, struct eng_log *log, uint64_t from, size_t limit,
               int items_only, struct eng_ticket *t);
  /* The worker's records, all of them. */
  void (*remove)(struct eng_store *s, struct eng_log *log, struct eng_ticket *t);
  /* Bundles, which are files that never change; NULL: the engine alone keeps
   * them. `bundles` names all, behind open: [main]. The others are done as
   * appends are, and in the order in which they were asked; to put one again is
   * nothing. digest: "sha256:...", copied. */
  yoi_status (*bundles)(struct eng_store *s,
                        void (*found)(void *ctx, yoi_str digest, yoi_str bytes), void *ctx,
                        yoi_error *err);
  void (*bundle_put)(struct eng_store *s, const char *digest, struct eng_text *bytes,
                     struct eng_ticket *t);
  void (*bundle_remove)(struct eng_store *s, const char *digest, struct eng_ticket *t);
  /* What is amiss now; how many. NULL: nothing ever is. */
  size_t (*amiss)(struct eng_store *s, struct eng_amiss out[ENG_AMISS_MAX]);
  /* The next one that is to be removed; 0: none now. One that was named and is
   * still there is named again some time. */
  int (*expired)(struct eng_store *s, struct eng_expired *out);
  /* Ends what is under way, done or CANCELLED; nothing is asked afterwards. */
  void (*stop)(struct eng_store *s);
  /* Frees it, once every log was. */
  void (*close)(struct eng_store *s);
};

#endif
