/* plugin.c - a runtime with a thread of its own, that leaves something on each
 * thread that calls it: what an unload must survive.
 *
 * It answers runtime.describe from its thread. Each thread that calls start is
 * given a block, which a destructor of this file frees when that thread ends;
 * that is long after the instance was closed, so its code must still be there.
 */
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <stdlib.h>
#include <yoi/runtime.h>

struct job {
  struct job *next;
  struct yoi_sdk_queue *queue;
};

struct threaded {
  const yoi_host *host;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t news;
  struct job *jobs;
  int stop;
};

static pthread_once_t once = PTHREAD_ONCE_INIT; /* process-wide: a key is */
static pthread_key_t key;

static void at_thread_end(void *block) {
  free(block);
}

static void make_key(void) {
  if (pthread_key_create(&key, at_thread_end) != 0) abort();
}

static void answer(struct job *job) {
  (void)yoi_sdk_queue_push(job->queue, YOI_EVENT_RESULT, 0, YOI_LIT(""),
                           YOI_LIT("{\"runtime\":{\"display_name\":\"Threaded\"}}"));
  yoi_sdk_queue_finish(job->queue);
  yoi_sdk_queue_drop(job->queue);
  yoi_sdk_free(job);
}

static void *threaded_main(void *arg) {
  struct threaded *t = arg;
  pthread_mutex_lock(&t->lock);
  while (!t->stop || t->jobs) {
    struct job *job = t->jobs;
    if (!job) {
      pthread_cond_wait(&t->news, &t->lock);
      continue;
    }
    t->jobs = job->next;
    pthread_mutex_unlock(&t->lock);
    answer(job);
    pthread_mutex_lock(&t->lock);
  }
  pthread_mutex_unlock(&t->lock);
  return NULL;
}

static yoi_status threaded_open(const yoi_host *host, yoi_str config, void **out_self,
                                yoi_error *err) {
  (void)config;
  struct threaded *t = yoi_sdk_calloc(1, sizeof *t);
  if (!t) return yoi_sdk_fail_memory(err);
  t->host = host;
  pthread_once(&once, make_key);
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->news, NULL);
  if (pthread_create(&t->thread, NULL, threaded_main, t) != 0) {
    yoi_sdk_free(t);
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot start a thread");
  }
  *out_self = t;
  return YOI_OK;
}

static void threaded_close(void *self) {
  struct threaded *t = self;
  pthread_mutex_lock(&t->lock);
  t->stop = 1;
  pthread_cond_signal(&t->news);
  pthread_mutex_unlock(&t->lock);
  pthread_join(t->thread, NULL);
  pthread_cond_destroy(&t->news);
  pthread_mutex_destroy(&t->lock);
  yoi_sdk_free(t);
}

static yoi_status threaded_start(void *self, const yoi_request *req, yoi_stream **out,
                                 yoi_error *err) {
  struct threaded *t = self;
  if (req->op != YOI_OP_RUNTIME_DESCRIBE)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "this runtime has no workers");
  if (!pthread_getspecific(key)) (void)pthread_setspecific(key, malloc(16));
  struct job *job = yoi_sdk_calloc(1, sizeof *job);
  if (!job) return yoi_sdk_fail_memory(err);
  job->queue = yoi_sdk_queue_new(t->host, req->token, 4096, NULL, NULL, NULL);
  if (!job->queue) {
    yoi_sdk_free(job);
    return yoi_sdk_fail_memory(err);
  }
  *out = yoi_sdk_queue_stream(job->queue);
  pthread_mutex_lock(&t->lock);
  job->next = t->jobs;
  t->jobs = job;
  pthread_cond_signal(&t->news);
  pthread_mutex_unlock(&t->lock);
  return YOI_OK;
}

static const yoi_runtime threaded_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = threaded_open,
    .close = threaded_close,
    .start = threaded_start,
};

YOI_SDK_PLUGIN("dev.yoi.test.threaded", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID,
               threaded_runtime);
YOI_MANIFEST_FILE(MANIFEST);
