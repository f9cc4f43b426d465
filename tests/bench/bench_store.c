/* bench_store.c - appends to a store of files through the seam by which the
 * engine does it, and the reference: a file and fdatasync.
 *
 *   bench_store FOLDER raw RECORDS
 *   bench_store FOLDER store WRITERS RECORDS [NAME=NUMBER...]
 *
 * raw: one thread writes the same lines to a growing file, and fdatasyncs
 * each. store: WRITERS workers have one append of one record under way, each
 * the next when that is done; one thread drives them, as a loop of the host
 * does. Options:
 *   workers=N   so many workers are there before, with a record each
 *   records=N   so many records are in the first worker before
 *   spread=1    the writers append to all workers in turn, not to one each
 *   data=BYTES  of a record
 *   relaxed=1   done when it is written, not when it is on the disk
 *   checkpoint_bytes=N, checkpoint_ms=N   no checkpoint, when they are not given
 *   passes=N    RECORDS again and again, until so many checkpoints have ended
 *   leave=1     the process ends like one that is killed: no last checkpoint
 *
 * Prints what appends.h says, and with it checkpoints (while it was measured)
 * and log_bytes (lines of the log). A record that is not done, or not all
 * right, ends the run.
 *
 *   fill --> measured: submit -> done -> submit ... --> stop, close
 */
#include "appends.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <yoi/host_metrics.h>

#include "runtimes/fs-store/store_fs.h"

#define WRITERS_MAX 1024
#define WORKERS_MAX 1000000
#define FILL_WRITERS 1024
#define FILL_RECORDS 64 /* of one append, where many go to one worker */
#define LINE_ABOUT 200  /* what a line has beside its data, and its batch's, at most */

/* ---- a host, as small as a store needs one ----------------------------------- */

enum { COMMITS = 1, LOG_BYTES, CHECKPOINTS, METRICS };
static atomic_uint_fast64_t counts[METRICS];

static uint64_t host_mono(const yoi_host *h) {
  (void)h;
  return load_now_ns();
}

static uint64_t host_wall(const yoi_host *h) {
  struct timespec t;
  (void)h;
  (void)clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static yoi_status host_make(const yoi_host *h, const yoi_metric *metric, uint32_t *out_id) {
  static const char *const names[METRICS] = {
      [COMMITS] = "yoi_store_commit_seconds",
      [LOG_BYTES] = "yoi_store_log_bytes_total",
      [CHECKPOINTS] = "yoi_store_checkpoint_seconds",
  };
  (void)h;
  *out_id = 0;
  for (uint32_t i = 1; i < METRICS; i++)
    if (yoi_sdk_str_is(metric->name, names[i])) *out_id = i;
  return YOI_OK;
}

static void host_add(const yoi_host *h, uint32_t id, uint64_t n) {
  (void)h;
  atomic_fetch_add(&counts[id], n);
}

static void host_observe(const yoi_host *h, uint32_t id, uint64_t duration_ns) {
  (void)h;
  (void)duration_ns;
  atomic_fetch_add(&counts[id], 1);
}

static const void *host_interface(const yoi_host *h, yoi_str id) {
  static const yoi_host_clock clocks = {sizeof clocks, 0, host_mono, host_wall};
  static const yoi_host_metrics metrics = {
      .size = sizeof metrics, .add = host_add, .make = host_make, .observe = host_observe};
  (void)h;
  if (yoi_sdk_str_is(id, YOI_HOST_CLOCK_ID)) return &clocks;
  return yoi_sdk_str_is(id, YOI_HOST_METRICS_ID) ? &metrics : NULL;
}

static const yoi_host host = {.size = sizeof host, .get_interface = host_interface};

/* ---- a run of appends ----------------------------------------------------------- */

struct worker {
  struct eng_log *log;
  uint64_t seq;
};

struct bench;
struct writer {
  struct eng_ticket ticket; /* first */
  struct bench *b;
  struct writer *next; /* of those that are done */
  uint64_t begin_ns;
  yoi_status st;
};

/* The options, as they stand on the command line. */
enum {
  WORKERS,
  RECORDS,
  SPREAD,
  DATA,
  RELAXED,
  CHECKPOINT_BYTES,
  CHECKPOINT_MS,
  PASSES,
  LEAVE,
  OPTIONS
};

struct bench {
  long options[OPTIONS];
  struct eng_store *store;
  struct worker *workers;
  long n_workers;
  struct yoi_sdk_buf data;
  struct writer writers[WRITERS_MAX];
  pthread_mutex_t mu;
  pthread_cond_t news;
  struct writer *done; /* mu */
};

static void told(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames, size_t n) {
  struct writer *w = (struct writer *)t;
  struct bench *b = w->b;
  (void)frames;
  (void)n;
  w->st = st;
  pthread_mutex_lock(&b->mu);
  w->next = b->done;
  b->done = w;
  pthread_cond_signal(&b->news);
  pthread_mutex_unlock(&b->mu);
}

static struct writer *wait_for_some(struct bench *b) {
  pthread_mutex_lock(&b->mu);
  while (b->done == NULL) pthread_cond_wait(&b->news, &b->mu);
  struct writer *some = b->done;
  b->done = NULL;
  pthread_mutex_unlock(&b->mu);
  return some;
}

static struct eng_frame *frame(const struct bench *b, uint64_t seq) {
  return eng_frame_new(&(struct eng_frame_parts){
      .kind = seq == 1 ? YOI_EVENT_WORKER_CREATED : YOI_EVENT_INPUT_ACCEPTED,
      .pos = {.sequence = seq},
      .text = yoi_sdk_buf_str(&b->data)});
}

/* n records to that worker; 0 when memory is short. */
static int submit(struct bench *b, struct writer *w, struct worker *to, size_t n) {
  struct eng_frame *frames[FILL_RECORDS];
  size_t made = 0;
  while (made < n && (frames[made] = frame(b, to->seq + made + 1)) != NULL) made++;
  *w = (struct writer){.ticket = {.done = told}, .b = b, .begin_ns = load_now_ns()};
  to->seq += n;
  if (made == n)
    b->store->ops->append(b->store, to->log, frames, n, ENG_MARK_IDLE, &w->ticket);
  for (size_t i = 0; i < made; i++) eng_frame_unref(frames[i]);
  return made == n;
}

/* `appends` of `per` records each, `writers` of them at a time. to: the worker
 * of all of them; NULL: they go through the workers from the first on. */
struct run {
  long writers, appends;
  size_t per;
  struct worker *to;
  int spread; /* a writer has no worker of its own */
  struct load_samples *us;
};

static int run(struct bench *b, const struct run *r) {
  long begun = 0, ended = 0, ok = 1, first = r->writers < r->appends ? r->writers : r->appends;
  for (; begun < first && ok; begun++)
    ok = submit(b, &b->writers[begun], r->to ? r->to : &b->workers[begun % b->n_workers], r->per);
  while (ok && ended < r->appends) {
    for (struct writer *w = wait_for_some(b), *next; w != NULL && ok; w = next) {
      next = w->next;
      ok = w->st == YOI_OK;
      if (r->us != NULL) load_sample(r->us, (load_now_ns() - w->begin_ns) / 1000);
      ended++;
      if (!ok || begun == r->appends) continue;
      long at = r->spread ? begun : w - b->writers;
      ok = submit(b, w, r->to ? r->to : &b->workers[at % b->n_workers], r->per);
      begun++;
    }
  }
  return ok != 0;
}

/* ---- before and after -------------------------------------------------------------- */

static void none_found(void *ctx, const struct eng_found *f) {
  (void)f;
  *(int *)ctx = 1;
}

static int open_store(struct bench *b, char *folder, long writers, long records) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  const long *o = b->options;
  uint64_t about = (uint64_t)records * (uint64_t)(o[DATA] + LINE_ABOUT);
  struct fs_config config = {
      .root = folder,
      .relaxed = o[RELAXED] != 0,
      .relaxed_ms = YOI_STORE_RELAXED_MS_MAX,
      .segment_bytes = YOI_STORE_SEGMENT_BYTES_DEFAULT,
      .checkpoint_bytes = o[CHECKPOINT_BYTES] ? (uint64_t)o[CHECKPOINT_BYTES] : UINT64_MAX,
      .checkpoint_ms = o[CHECKPOINT_MS] ? (uint64_t)o[CHECKPOINT_MS] : 86400000};
  int found = 0;
  /* A segment is filled with zeros at first; a short run would be charged for
   * one that it does not use. */
  if (about < config.segment_bytes) config.segment_bytes = about;
  if (config.segment_bytes < YOI_STORE_SEGMENT_BYTES_MIN)
    config.segment_bytes = YOI_STORE_SEGMENT_BYTES_MIN;
  b->n_workers = o[WORKERS] > writers ? o[WORKERS] : writers;
  b->workers = calloc((size_t)b->n_workers, sizeof *b->workers);
  if (b->workers == NULL || fs_store_new(&host, &config, &b->store, err) != YOI_OK ||
      b->store->ops->open(b->store, none_found, &found, err) != YOI_OK || found) {
    (void)fprintf(stderr, "bench_store: %s\n", found ? "the folder is not empty" : se.message);
    return 0;
  }
  for (long i = 0; i < b->n_workers; i++) {
    char id[32];
    (void)snprintf(id, sizeof id, "w%ld", i);
    b->workers[i].log =
        b->store->ops->log_new(b->store, yoi_sdk_str(id), &(struct eng_birth){.epoch = 1});
    if (b->workers[i].log == NULL) return 0;
  }
  return 1;
}

/* What is there before anything is measured. */
static int fill(struct bench *b) {
  struct run all = {.writers = FILL_WRITERS, .appends = b->n_workers, .per = 1, .spread = 1};
  struct run one = {.writers = FILL_RECORDS,
                    .appends = b->options[RECORDS] / FILL_RECORDS,
                    .per = FILL_RECORDS,
                    .to = &b->workers[0]};
  struct run rest = {.writers = 1,
                     .appends = b->options[RECORDS] % FILL_RECORDS,
                     .per = 1,
                     .to = &b->workers[0]};
  return run(b, &all) && run(b, &one) && run(b, &rest);
}

#define SETTLE_LOOKS 120000 /* a disk that fails has no last checkpoint */

/* No checkpoint is left to do for what is there: it would be measured. */
static void settle(struct bench *b) {
  struct fs_store *s = fs_of(b->store);
  bool due = true;
  for (int looks = 0; due && looks < SETTLE_LOOKS; looks++) {
    pthread_mutex_lock(&s->mu);
    due = s->log_bytes >= s->config.checkpoint_bytes;
    pthread_mutex_unlock(&s->mu);
    if (due) (void)usleep(1000); /* between two looks */
  }
}

static void end(struct bench *b) {
  b->store->ops->stop(b->store);
  for (long i = 0; i < b->n_workers; i++)
    b->store->ops->log_free(b->store, b->workers[i].log);
  b->store->ops->close(b->store);
  free(b->workers);
  yoi_sdk_buf_release(&b->data);
}

static int store(struct bench *b, struct appends *a, char *folder, long writers, long records) {
  struct run r = {.writers = writers,
                  .appends = records,
                  .per = 1,
                  .spread = b->options[SPREAD] != 0,
                  .us = &a->ack_us};
  char more[128];
  if (!open_store(b, folder, writers, records) || !fill(b)) return 1;
  settle(b);
  uint64_t commits = atomic_load(&counts[COMMITS]), bytes = atomic_load(&counts[LOG_BYTES]);
  uint64_t passes = atomic_load(&counts[CHECKPOINTS]);
  appends_begin(a);
  do {
    if (!run(b, &r)) {
      (void)fprintf(stderr, "bench_store: an append failed\n");
      return 1;
    }
    a->records += records;
  } while (atomic_load(&counts[CHECKPOINTS]) < passes + (uint64_t)b->options[PASSES] &&
           a->records < APPENDS_MAX);
  appends_end(a);
  a->syncs = (long)(atomic_load(&counts[COMMITS]) - commits);
  (void)snprintf(more, sizeof more, ",\"checkpoints\":%" PRIu64 ",\"log_bytes\":%" PRIu64,
                 atomic_load(&counts[CHECKPOINTS]) - passes,
                 atomic_load(&counts[LOG_BYTES]) - bytes);
  if (b->options[LEAVE]) _exit(appends_report(a, more));
  end(b);
  return appends_report(a, more);
}

static int raw(const struct bench *b, struct appends *a, long records) {
  char path[4096];
  struct yoi_sdk_buf line;
  (void)snprintf(path, sizeof path, "%s/raw", a->folder);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
  yoi_sdk_buf_init(&line, 2 * APPENDS_DATA_MAX);
  appends_begin(a);
  while (fd >= 0 && a->records < records) {
    uint64_t begin = load_now_ns();
    yoi_sdk_buf_clear(&line);
    appends_line(&line, (uint64_t)++a->records, yoi_sdk_buf_str(&b->data));
    if (line.failed || write(fd, line.data, line.len) != (ssize_t)line.len || fdatasync(fd) != 0)
      break;
    a->syncs++;
    load_sample(&a->ack_us, (load_now_ns() - begin) / 1000);
  }
  appends_end(a);
  yoi_sdk_buf_release(&line);
  if (fd < 0 || close(fd) != 0 || a->syncs != records) {
    perror("bench_store: the plain file");
    return 1;
  }
  return appends_report(a, "");
}

static int options(struct bench *b, int argc, char **argv) {
  static const struct {
    const char *name;
    long max;
  } all[OPTIONS] = {
      [WORKERS] = {"workers=", WORKERS_MAX},
      [RECORDS] = {"records=", APPENDS_MAX},
      [SPREAD] = {"spread=", 1},
      [DATA] = {"data=", APPENDS_DATA_MAX},
      [RELAXED] = {"relaxed=", 1},
      [CHECKPOINT_BYTES] = {"checkpoint_bytes=", 1 << 30},
      [CHECKPOINT_MS] = {"checkpoint_ms=", 86400000},
      [PASSES] = {"passes=", 1000},
      [LEAVE] = {"leave=", 1},
  };
  b->options[DATA] = APPENDS_DATA;
  for (int i = 5; i < argc; i++) {
    int o = 0;
    while (o < OPTIONS && strncmp(argv[i], all[o].name, strlen(all[o].name)) != 0) o++;
    if (o == OPTIONS) return 0;
    b->options[o] = load_number(argv[i] + strlen(all[o].name), all[o].max);
    if (b->options[o] < 0) return 0;
  }
  return appends_data(&b->data, (size_t)b->options[DATA]);
}

int main(int argc, char **argv) {
  static struct bench b;
  pthread_mutex_init(&b.mu, NULL);
  pthread_cond_init(&b.news, NULL);
  yoi_sdk_buf_init(&b.data, APPENDS_DATA_MAX);
  int is_raw = argc == 4 && strcmp(argv[2], "raw") == 0;
  int is_store = argc >= 5 && strcmp(argv[2], "store") == 0;
  long writers = is_store ? load_number(argv[3], WRITERS_MAX) : 1;
  long records = is_raw || is_store ? load_number(argv[is_raw ? 3 : 4], APPENDS_MAX) : 0;
  if (writers <= 0 || records <= 0 || !options(&b, argc, argv)) {
    (void)fprintf(stderr, "usage: bench_store FOLDER raw RECORDS\n"
                          "       bench_store FOLDER store WRITERS RECORDS [NAME=NUMBER...]\n");
    return 2;
  }
  struct appends a = {.folder = argv[1]};
  if (is_raw) return raw(&b, &a, records);
  return store(&b, &a, argv[1], writers, records);
}
