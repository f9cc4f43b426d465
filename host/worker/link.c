/* host/worker/link.c - messages, while both sides call at once.
 *
 * The main thread reads. When it has asked something itself, inside a call of the
 * plugin, it reads until its answer comes; what else came is done afterwards, in
 * order. Other threads wait until the main thread hands them their answer.
 *
 * Invariant: the host is trusted, but its messages are read with the same bounds:
 * what is not understood ends this process, which the host sees.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "worker.h"

/* A question on the stack of who asks. */
struct yoi__worker_asked {
  uint64_t id;
  struct yoi_sdk_buf *answer;
  int fd, done;
  struct yoi__worker_asked *next;
};

/* A message that is done later. */
struct yoi__worker_late {
  struct yoi__worker_late *next;
  uint32_t kind;
  uint64_t id;
  size_t len;
  char body[];
};

/* The host is gone, or nothing makes sense any more. */
static void give_up(void) {
  _exit(3);
}

void yoi__worker_send(struct yoi__worker *w, uint32_t kind, uint64_t id, yoi_str body) {
  pthread_mutex_lock(&w->sending);
  yoi_status st = yoi__channel_send(&w->busy, kind, id, body, -1);
  pthread_mutex_unlock(&w->sending);
  if (st != YOI_OK) give_up();
}

/* ---- receiving ---------------------------------------------------------------- */

static void answered(struct yoi__worker *w, const struct yoi__message *m) {
  int taken = 0;
  pthread_mutex_lock(&w->lock);
  for (struct yoi__worker_asked **at = &w->asked; *at != NULL; at = &(*at)->next) {
    struct yoi__worker_asked *a = *at;
    if (a->id != m->id) continue;
    *at = a->next;
    yoi_sdk_buf_adds(a->answer, m->body);
    a->fd = m->fd;
    a->done = taken = 1;
    pthread_cond_broadcast(&w->news);
    break;
  }
  pthread_mutex_unlock(&w->lock);
  if (!taken) give_up();
  if (m->body.len > 0) yoi_sdk_wipe((void *)(uintptr_t)m->body.ptr, m->body.len);
}

static void dispatch(struct yoi__worker *w, uint32_t kind, uint64_t id, yoi_str body) {
  switch (kind) {
    case YOI__MSG_START:
      yoi__worker_start(w, id, body);
      break;
    case YOI__MSG_CANCEL:
      yoi__worker_cancel(w, id);
      break;
    case YOI__MSG_RELEASE:
      yoi__worker_release(w, id);
      break;
    case YOI__MSG_CREDIT:
      yoi__worker_credit(w, id, body);
      break;
    default:
      give_up();
  }
}

/* 1: a message was there; it was done, or put aside. */
static int read_one(struct yoi__worker *w, int aside) {
  struct yoi__message m;
  const char *why = NULL;
  int got = yoi__channel_recv(&w->busy, &m, &why);
  if (got < 0) give_up();
  if (got == 0) return 0;
  if (m.kind == YOI__MSG_ANSWER) {
    answered(w, &m);
    return 1;
  }
  if (m.fd >= 0) give_up();
  if (!aside) {
    dispatch(w, m.kind, m.id, m.body);
    return 1;
  }
  struct yoi__worker_late *l = yoi_sdk_malloc(sizeof *l + m.body.len);
  if (l == NULL) give_up();
  *l = (struct yoi__worker_late){.kind = m.kind, .id = m.id, .len = m.body.len};
  if (m.body.len > 0) memcpy(l->body, m.body.ptr, m.body.len);
  *w->late_last = l;
  w->late_last = &l->next;
  return 1;
}

static void do_late(struct yoi__worker *w) {
  while (w->late != NULL) {
    struct yoi__worker_late *l = w->late;
    w->late = l->next;
    if (w->late == NULL) w->late_last = &w->late;
    dispatch(w, l->kind, l->id, (yoi_str){l->body, l->len});
    yoi_sdk_free(l);
  }
}

void yoi__worker_read(struct yoi__worker *w) {
  do_late(w);
  while (read_one(w, 0)) do_late(w); /* a message may have asked, and put some aside */
  yoi__worker_work(w);
}

static void read_later(void *ctx) {
  yoi__worker_read(ctx);
}

static void wait_for(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  while (poll(&p, 1, -1) < 0 && errno == EINTR) continue;
}

struct yoi__message yoi__worker_first(struct yoi__worker *w) {
  struct yoi__message m;
  const char *why = NULL;
  int got;
  while ((got = yoi__channel_recv(&w->calm, &m, &why)) == 0) wait_for(w->calm.fd);
  if (got < 0) give_up();
  return m;
}

/* ---- asking --------------------------------------------------------------------- */

void yoi__worker_ask(struct yoi__worker *w, yoi_str question, struct yoi_sdk_buf *answer,
                     int *out_fd) {
  int main = pthread_equal(pthread_self(), w->main);
  struct yoi__worker_asked a = {.answer = answer, .fd = -1};
  yoi_sdk_buf_init(answer, YOI_ISOLATED_MESSAGE_BYTES);
  pthread_mutex_lock(&w->lock);
  a.id = ++w->ask_id;
  a.next = w->asked;
  w->asked = &a;
  pthread_mutex_unlock(&w->lock);
  yoi__worker_send(w, YOI__MSG_ASK, a.id, question);
  pthread_mutex_lock(&w->lock);
  while (!a.done) {
    if (!main) {
      pthread_cond_wait(&w->news, &w->lock);
      continue;
    }
    pthread_mutex_unlock(&w->lock);
    if (!read_one(w, 1)) wait_for(w->busy.fd);
    pthread_mutex_lock(&w->lock);
  }
  pthread_mutex_unlock(&w->lock);
  if (main && w->late != NULL) (void)yoi__loop_post(w->loops, NULL, 0, read_later, w);
  if (out_fd != NULL)
    *out_fd = a.fd;
  else if (a.fd >= 0)
    close(a.fd);
}
