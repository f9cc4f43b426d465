/* host/isolate/disk.c - opens for a worker, on a thread of their own.
 *
 * A disk may take its time, or be one of another machine that has gone away; what
 * reads a worker's messages is a loop, which must not. Invariants:
 *  1. At most YOI_ISOLATED_ASKS_MAX opens wait; a worker that asks for more is
 *     told so.
 *  2. An answer for a worker that is gone is dropped, and its descriptor closed.
 *  3. The thread is made at the first open and joined at the instance's close, while
 *     there is a control thread: what an open held of a setup may be the last of it.
 */
#include <signal.h>
#include <string.h>

#include <sdk/mem.h>
#include <yoi/host_mount.h>

#include "isolate.h"

struct job {
  struct job *next;
  uint64_t life, id, call;
  uint32_t flags;
  yoi_str mount, path;
  char text[];
};

struct yoi__disk {
  struct yoi__isolate *iso;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t news;
  struct job *first, **last;
  uint32_t n;
  int stopping;
};

static void run(struct yoi__isolate *iso, const struct job *j) {
  const struct yoi__instance *in = iso->in;
  const yoi_host_mount *table = yoi__service(in, YOI_LIT(YOI_HOST_MOUNT_ID));
  struct yoi_sdk_error e;
  struct yoi_sdk_buf b;
  int32_t fd = -1;
  yoi_status st =
      table->open(&in->host, j->call, j->mount, j->path, j->flags, &fd, yoi_sdk_error_init(&e));
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi__serve_begin(&b, st, &e.e);
  /* Without memory for a status there is none for its caller either: a short
   * answer is one that it takes for a failure. */
  yoi__serve_answer(iso, j->life, j->id, yoi_sdk_buf_str(&b), st == YOI_OK ? fd : -1);
  yoi_sdk_buf_release(&b);
}

static void *disk_main(void *arg) {
  struct yoi__disk *d = arg;
  pthread_mutex_lock(&d->lock);
  for (;;) {
    while (d->first == NULL && !d->stopping) pthread_cond_wait(&d->news, &d->lock);
    struct job *j = d->first;
    if (j == NULL) break;
    d->first = j->next;
    if (d->first == NULL) d->last = &d->first;
    int stopping = d->stopping;
    pthread_mutex_unlock(&d->lock);
    if (!stopping) run(d->iso, j);
    yoi_sdk_free(j);
    pthread_mutex_lock(&d->lock);
    d->n--;
  }
  pthread_mutex_unlock(&d->lock);
  return NULL;
}

static struct yoi__disk *disk_new(struct yoi__isolate *iso) {
  struct yoi__disk *d = yoi_sdk_calloc(1, sizeof *d);
  sigset_t all, before;
  if (d == NULL) return NULL;
  d->iso = iso;
  d->last = &d->first;
  pthread_mutex_init(&d->lock, NULL);
  pthread_cond_init(&d->news, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int made = pthread_create(&d->thread, NULL, disk_main, d) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (made) {
    (void)pthread_setname_np(d->thread, "yoi-disk");
    return d;
  }
  pthread_cond_destroy(&d->news);
  pthread_mutex_destroy(&d->lock);
  yoi_sdk_free(d);
  return NULL;
}

int yoi__disk_open(struct yoi__isolate *iso, uint64_t id, uint64_t call, yoi_str mount,
                   yoi_str path, uint32_t flags) {
  if (iso->disk == NULL) iso->disk = disk_new(iso);
  struct yoi__disk *d = iso->disk;
  struct job *j = d == NULL ? NULL : yoi_sdk_malloc(sizeof *j + mount.len + path.len);
  if (j == NULL) return 0;
  *j = (struct job){.life = iso->life, .id = id, .call = call, .flags = flags};
  memcpy(j->text, mount.ptr, mount.len);
  memcpy(j->text + mount.len, path.ptr, path.len);
  j->mount = (yoi_str){j->text, mount.len};
  j->path = (yoi_str){j->text + mount.len, path.len};
  pthread_mutex_lock(&d->lock);
  int room = d->n < YOI_ISOLATED_ASKS_MAX;
  if (room) {
    *d->last = j;
    d->last = &j->next;
    d->n++;
    pthread_cond_signal(&d->news);
  }
  pthread_mutex_unlock(&d->lock);
  if (!room) yoi_sdk_free(j);
  return room;
}

void yoi__disk_free(struct yoi__disk *d) {
  if (d == NULL) return;
  pthread_mutex_lock(&d->lock);
  d->stopping = 1;
  pthread_cond_signal(&d->news);
  pthread_mutex_unlock(&d->lock);
  pthread_join(d->thread, NULL);
  pthread_cond_destroy(&d->news);
  pthread_mutex_destroy(&d->lock);
  yoi_sdk_free(d);
}
