/* host/isolate/isolate.c - the worker process of an instance, and the next one.
 *
 *   control thread:  open, close; mend: bury what died, start it again
 *   home loop:       reads the busy channel; tend: deadlines, what is queued
 *   any thread:      sends; waits on the calm channel for a decision
 *
 * A worker dies by itself, or is ended (yoi__isolate_fail) because it broke a
 * rule of protocol.h, a deadline passed or nothing is read. All calls in it are
 * answered at once, nothing waits for the process: mend does that.
 *
 * Invariants:
 *  1. The worker is not trusted: what it sends is read with the bounds of frame.c,
 *     and every breach ends it.
 *  2. No thread of the host's waits for it, but the control thread while it opens
 *     and closes, and who asks for a decision, each until a time that is fixed
 *     before. While a decision is late no other is asked for.
 *  3. `dead` is set once per life, with the lock held; only mend, open and close
 *     clear it, on the control thread, when nothing reads or waits any more.
 *  4. Descriptors are closed when no loop watches them and nobody holds a
 *     channel: the owner is purged before.
 */
#include "isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "../clock.h"
#include "../pin.h"
#include "spawn.h"

#define TURN 64 /* messages that are read before other work of the loop */
/* yoi__isolate.tending */
#define TEND_NOT 0
#define TEND_POSTED 1
#define TEND_RUNS 2
#define TEND_AGAIN 3 /* and something came up meanwhile */

static const struct yoi__manifest *manifest_of(const struct yoi__isolate *iso) {
  return &iso->in->plugin->manifest;
}

/* ---- errors -------------------------------------------------------------------- */

/* Models have words of their own for what failed. */
static yoi_status unavailable(const struct yoi__isolate *iso, int again, yoi_error *err,
                              const char *what) {
  int model = manifest_of(iso)->kind == YOI_KIND_MODEL;
  int32_t code = model   ? YOI_CODE_MODEL_ERROR
                 : again ? YOI_CODE_RUNTIME_UNAVAILABLE
                         : YOI_CODE_INTERNAL;
  yoi_status st = yoi_sdk_fail(err, code, "plugin '%.*s' %s", YOI_ARG(manifest_of(iso)->id), what);
  if (model)
    yoi_sdk_fail_details(err, again ? YOI_LIT("{\"kind\":\"overloaded\",\"retryable\":true}")
                                    : YOI_LIT("{\"kind\":\"server_error\",\"retryable\":false}"));
  return st;
}

yoi_status yoi__isolate_down(const struct yoi__isolate *iso, yoi_error *err) {
  if (iso->keeper.state == YOI__KEEPER_QUARANTINED)
    return unavailable(iso, 0, err, "ended too often and is not started again");
  return unavailable(iso, 1, err, "is being started again");
}

yoi_status yoi__isolate_lost(const struct yoi__isolate *iso, yoi_error *err) {
  yoi_status st = unavailable(iso, 1, err, "ended while it was asked");
  if (manifest_of(iso)->kind == YOI_KIND_MODEL)
    yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"closed\",\"retryable\":true}"));
  return manifest_of(iso)->kind == YOI_KIND_TOOL ? YOI_UNKNOWN : st;
}

/* ---- sending, and the end of it ---------------------------------------------------- */

void yoi__isolate_fail(struct yoi__isolate *iso, const char *why) {
  if (iso->dead || iso->pid == 0) return;
  iso->dead = 1;
  iso->why = why;
  if (!iso->leaving || why != NULL) {
    yoi__worker_kill(iso->pid);
    yoi__keeper_died(&iso->keeper, yoi__now_ns());
  }
  yoi__far_fail_all(iso);
  yoi__isolate_tend(iso);
}

void yoi__isolate_say(struct yoi__isolate *iso, uint32_t kind, uint64_t id, yoi_str body, int fd) {
  if (iso->dead || iso->pid == 0) return;
  yoi_status st = yoi__channel_send(&iso->busy, kind, id, body, fd);
  if (st != YOI_OK)
    yoi__isolate_fail(iso, st == YOI_UNAVAILABLE ? NULL : "it does not read what it is sent");
  else if (iso->busy.first != NULL && !iso->writing)
    yoi__isolate_tend(iso);
}

/* ---- reading the busy channel --------------------------------------------------------- */

/* One message. 0: there is none. *out_wake: a token or 0. */
static int read_one(struct yoi__isolate *iso, uint64_t *out_wake, const char **why) {
  struct yoi__message m;
  int got = yoi__channel_recv(&iso->busy, &m, why);
  if (got <= 0) return got;
  if (m.fd >= 0) {
    close(m.fd);
    *why = "a descriptor that was not asked for";
  } else if (m.kind == YOI__MSG_EVENTS) {
    *why = yoi__far_events(iso, m.id, m.body, out_wake);
  } else if (m.kind == YOI__MSG_ASK) {
    *why = yoi__serve_ask(iso, m.id, m.body);
  } else if (m.kind == YOI__MSG_TELL) {
    *why = yoi__serve_tell(iso, m.body);
  } else {
    *why = "a message that is not for the host";
  }
  return *why == NULL ? 1 : -1;
}

static void read_busy(struct yoi__isolate *iso) {
  for (int left = TURN; left > 0; left--) {
    const char *why = NULL;
    uint64_t wake = 0;
    pthread_mutex_lock(&iso->reading);
    pthread_mutex_lock(&iso->lock);
    int open = iso->pid != 0 && !iso->dead;
    pthread_mutex_unlock(&iso->lock);
    int got = open ? read_one(iso, &wake, &why) : 0;
    pthread_mutex_unlock(&iso->reading);
    if (wake != 0) yoi__token_wake(iso->in->top->tokens, wake);
    if (got > 0) continue;
    if (got < 0) {
      pthread_mutex_lock(&iso->lock);
      yoi__isolate_fail(iso, why);
      pthread_mutex_unlock(&iso->lock);
      yoi__isolate_told(iso);
    }
    return;
  }
}

/* ---- the home loop ------------------------------------------------------------------------ */

static void busy_ready(void *ctx, int32_t fd, uint32_t ready);
static void timer_due(void *ctx);

/* With the lock held, on the home loop. */
static void tend_watch(struct yoi__isolate *iso) {
  struct yoi__loops *loops = iso->in->top->loops;
  int alive = iso->pid != 0 && !iso->dead;
  if (alive && iso->busy.first != NULL && yoi__channel_flush(&iso->busy) != YOI_OK)
    yoi__isolate_fail(iso, NULL);
  alive = iso->pid != 0 && !iso->dead;
  int writing = alive && iso->busy.first != NULL;
  uint32_t interest = YOI_FD_READ | (writing ? YOI_FD_WRITE : 0);
  if (!alive && iso->watched) {
    yoi__loop_unwatch(loops, &iso->owner, iso->watch_id);
    iso->watched = 0;
  } else if (alive && !iso->watched) {
    iso->watched = yoi__loop_watch(loops, &iso->owner, iso->busy.fd, interest, busy_ready, iso,
                                   &iso->watch_id) == YOI_OK;
    if (!iso->watched) yoi__isolate_fail(iso, "its socket cannot be watched");
  } else if (alive && writing != iso->writing) {
    (void)yoi__loop_rewatch(loops, &iso->owner, iso->watch_id, interest);
  }
  iso->writing = writing;
}

/* With the lock held: it is to be started again, when its time has come. */
static int is_down(const struct yoi__isolate *iso) {
  return iso->keeper.state == YOI__KEEPER_DOWN && iso->pid == 0 && !iso->closing;
}

/* With the lock held: ends what is late, and says when to look again. */
static uint64_t next_due(struct yoi__isolate *iso) {
  uint64_t now = yoi__now_ns();
  uint64_t first = iso->pid != 0 && !iso->dead ? yoi__far_due(iso, now) : UINT64_MAX;
  if (iso->calm_late_ns != 0 && iso->calm_late_ns <= now)
    yoi__isolate_fail(iso, "a decision did not come in time");
  else if (iso->calm_late_ns != 0 && iso->calm_late_ns < first)
    first = iso->calm_late_ns;
  if (is_down(iso)) first = iso->keeper.again_ns;
  return first;
}

/* On the home loop: everything that is its own to do. */
static void tend(void *ctx) {
  struct yoi__isolate *iso = ctx;
  struct yoi_embed *top = iso->in->top;
  struct yoi__loops *loops = top->loops;
  pthread_mutex_lock(&iso->lock);
  iso->tending = TEND_RUNS;
  uint64_t first = next_due(iso);
  tend_watch(iso);
  int due = is_down(iso) && iso->keeper.again_ns <= yoi__now_ns();
  int mending = (iso->dead && !iso->watched) || due;
  if (!mending && first != UINT64_MAX && (iso->armed_ns == 0 || first < iso->armed_ns)) {
    if (iso->armed_ns != 0) yoi__loop_timer_cancel(loops, &iso->owner, iso->timer_id);
    yoi_status st = yoi__loop_timer(loops, &iso->owner, first, timer_due, iso, &iso->timer_id);
    iso->armed_ns = st == YOI_OK ? first : 0;
  }
  if (mending && !iso->closing) yoi__control_post(top->control, &iso->task);
  int dead = iso->dead;
  pthread_mutex_unlock(&iso->lock);
  if (dead) yoi__isolate_told(iso);
  pthread_mutex_lock(&iso->lock);
  int again = iso->tending == TEND_AGAIN;
  iso->tending = again ? TEND_POSTED : TEND_NOT;
  if (again) yoi__loop_post_node(loops, iso->home, &iso->node);
  pthread_mutex_unlock(&iso->lock);
  yoi__host_notify(top); /* who closes it waits for this, and then frees it */
}

void yoi__isolate_tend(struct yoi__isolate *iso) {
  if (iso->closing || iso->tending == TEND_POSTED) return;
  int runs = iso->tending != TEND_NOT;
  iso->tending = runs ? TEND_AGAIN : TEND_POSTED;
  if (!runs) yoi__loop_post_node(iso->in->top->loops, iso->home, &iso->node);
}

static void tend_here(struct yoi__isolate *iso) {
  pthread_mutex_lock(&iso->lock);
  yoi__isolate_tend(iso);
  pthread_mutex_unlock(&iso->lock);
}

static void busy_ready(void *ctx, int32_t fd, uint32_t ready) {
  struct yoi__isolate *iso = ctx;
  (void)fd;
  if ((ready & (YOI_FD_READ | YOI_FD_ERROR)) != 0) read_busy(iso);
  pthread_mutex_lock(&iso->lock);
  if (iso->dead || iso->writing) tend_watch(iso);
  if (iso->dead && !iso->watched) yoi__isolate_tend(iso);
  pthread_mutex_unlock(&iso->lock);
}

static void timer_due(void *ctx) {
  struct yoi__isolate *iso = ctx;
  pthread_mutex_lock(&iso->lock);
  iso->armed_ns = 0;
  pthread_mutex_unlock(&iso->lock);
  tend_here(iso);
}

/* ---- the calm channel ------------------------------------------------------------------------ */

/* With the lock held. 1: it is the caller's. */
static int take_calm(struct yoi__isolate *iso, uint64_t until_ns) {
  struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000u),
                           .tv_nsec = (long)(until_ns % 1000000000u)};
  int waited = 0;
  while (iso->calm_taken && waited == 0)
    waited = pthread_cond_timedwait(&iso->calm_free, &iso->lock, &until);
  if (iso->calm_taken || iso->pid == 0 || iso->dead) return 0;
  iso->calm_taken = 1;
  return 1;
}

static void give_calm(struct yoi__isolate *iso) {
  iso->calm_taken = 0;
  pthread_cond_broadcast(&iso->calm_free);
}

/* With the lock held. OK: *m is the answer; AGAIN; UNAVAILABLE. */
static yoi_status look(struct yoi__isolate *iso, uint64_t id, uint32_t answer,
                       struct yoi__message *m) {
  for (;;) {
    const char *why = NULL;
    int got = yoi__channel_recv(&iso->calm, m, &why);
    if (got == 0) return iso->dead ? YOI_UNAVAILABLE : YOI_AGAIN;
    if (got > 0 && m->fd >= 0) {
      close(m->fd);
      got = -1;
      why = "a descriptor that was not asked for";
    }
    if (got > 0 && m->id == id && m->kind == answer) return YOI_OK;
    if (got > 0 && iso->calm_late_ns != 0 && m->id == id - 1) {
      iso->calm_late_ns = 0; /* what nobody waits for any more */
      continue;
    }
    yoi__isolate_fail(iso, got > 0 ? "an answer to no question" : why);
    return YOI_UNAVAILABLE;
  }
}

/* Waits a while for something on it. The caller reads the busy channel himself
 * where nobody else would: what it asks for may be what the answer needs. */
static void wait_calm(struct yoi__isolate *iso, int writing, int here, uint64_t until_ns) {
  uint64_t now = yoi__now_ns();
  uint64_t left = until_ns > now ? until_ns - now : 0;
  struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
  struct pollfd fds[2] = {{.fd = iso->calm.fd, .events = POLLIN}, {.fd = iso->busy.fd}};
  if (writing) fds[0].events |= POLLOUT;
  fds[1].events = POLLIN;
  (void)ppoll(fds, here ? 2 : 1, &t, NULL);
  if (here && fds[1].revents != 0) {
    read_busy(iso);
    pthread_mutex_lock(&iso->lock);
    if (!iso->dead && iso->pid != 0) (void)yoi__channel_flush(&iso->busy);
    pthread_mutex_unlock(&iso->lock);
  }
}

static yoi_status ask_taken(struct yoi__isolate *iso, uint32_t kind, uint32_t answer, yoi_str body,
                            int fd, uint64_t until_ns, struct yoi__message *m) {
  struct yoi_embed *top = iso->in->top;
  int here = iso->in->from->step || yoi__loops_current(top->loops) == iso->home;
  if (iso->calm_late_ns != 0 && look(iso, iso->calm_id + 1, answer, m) != YOI_AGAIN)
    return YOI_UNAVAILABLE;
  if (iso->calm_late_ns != 0) return YOI_UNAVAILABLE; /* it still owes an answer */
  uint64_t id = ++iso->calm_id;
  yoi_status st = yoi__channel_send(&iso->calm, kind, id, body, fd);
  if (st != YOI_OK) {
    yoi__isolate_fail(iso, st == YOI_UNAVAILABLE ? NULL : "it does not read what it is sent");
    return YOI_UNAVAILABLE;
  }
  while ((st = look(iso, id, answer, m)) == YOI_AGAIN && yoi__now_ns() < until_ns) {
    int writing = iso->calm.first != NULL;
    pthread_mutex_unlock(&iso->lock);
    wait_calm(iso, writing, here, until_ns);
    pthread_mutex_lock(&iso->lock);
    if (writing && !iso->dead) (void)yoi__channel_flush(&iso->calm);
  }
  if (st != YOI_AGAIN) return st;
  iso->calm_late_ns = until_ns + YOI_CANCEL_GRACE_MS * YOI__MS;
  yoi__isolate_tend(iso);
  return YOI_DEADLINE_EXCEEDED;
}

yoi_status yoi__isolate_ask(struct yoi__isolate *iso, uint32_t kind, uint32_t answer, yoi_str body,
                            int fd, uint64_t until_ns, yoi_status (*take)(void *ctx, yoi_str body),
                            void *ctx) {
  struct yoi__message m;
  yoi_status st = YOI_UNAVAILABLE;
  pthread_mutex_lock(&iso->lock);
  if (take_calm(iso, until_ns)) {
    st = ask_taken(iso, kind, answer, body, fd, until_ns, &m);
    if (st == YOI_OK) {
      pthread_mutex_unlock(&iso->lock);
      st = take(ctx, m.body);
      pthread_mutex_lock(&iso->lock);
    }
    give_calm(iso);
  }
  pthread_mutex_unlock(&iso->lock);
  return st;
}

/* ---- the log
 * -------------------------------------------------------------------------------------- */

static void log_begin(struct yoi__isolate *iso, const char *confined) {
  char pid[16];
  (void)snprintf(pid, sizeof pid, "%d", (int)iso->pid);
  const yoi_log_field fields[] = {{YOI_LIT("plugin"), manifest_of(iso)->id},
                                  {YOI_LIT("name"), iso->in->name},
                                  {YOI_LIT("pid"), yoi_sdk_str(pid)},
                                  {YOI_LIT("confined"), yoi_sdk_str(confined)}};
  yoi__log_host(iso->in->top->log, YOI_LOG_INFO, "a plugin runs in a process of its own", fields,
                4);
}

/* [main] Once: it stays so until it is freed, and what opens again has another. */
static void see_quarantine(struct yoi__isolate *iso) {
  const yoi_log_field fields[] = {{YOI_LIT("plugin"), manifest_of(iso)->id},
                                  {YOI_LIT("name"), iso->in->name},
                                  {YOI_LIT("until"), YOI_LIT("a reload with another entry of it, "
                                                             "or a restart")}};
  if (iso->keeper.state != YOI__KEEPER_QUARANTINED || iso->is_quarantined) return;
  iso->is_quarantined = 1;
  yoi__metrics_add(iso->in->top->metrics, iso->quarantined, 1);
  yoi__log_host(iso->in->top->log, YOI_LOG_ERROR,
                "a plugin is quarantined: its process ended too often", fields, 3);
}

static void log_end(struct yoi__isolate *iso, const char *why, const char *how) {
  const yoi_log_field fields[] = {{YOI_LIT("plugin"), manifest_of(iso)->id},
                                  {YOI_LIT("name"), iso->in->name},
                                  {YOI_LIT("reason"), yoi_sdk_str(why != NULL ? why : "it ended")},
                                  {YOI_LIT("how"), yoi_sdk_str(how)}};
  yoi__log_host(iso->in->top->log, YOI_LOG_ERROR, "a worker process ended", fields, 4);
  see_quarantine(iso);
}

/* ---- one life
 * ---------------------------------------------------------------------------------------- */

/* The file that was hashed, opened; pinned ones with the checks of pins. */
static yoi_status open_file(const struct yoi__plugin *p, int *out_fd, yoi_error *err) {
  struct yoi__pinned pinned;
  *out_fd = -1;
  if (p->pin[0] != '\0') {
    yoi_status st = yoi__pin_open(p, &pinned, err);
    if (st == YOI_OK) {
      *out_fd = pinned.fd;
      pinned.fd = -1;
      yoi__pin_release(&pinned);
    }
    return st;
  }
  *out_fd = open(p->path.ptr, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*out_fd >= 0) return YOI_OK;
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot load plugin '%.*s': cannot open its file",
                   YOI_ARG(p->manifest.id));
  yoi_sdk_fail_private(err, "file '%.*s': %s", YOI_ARG(p->path), strerror(errno));
  return st;
}

/* [main] Nothing reads, watches or waits for it: its process and descriptors. */
static void bury(struct yoi__isolate *iso, char *how, size_t cap) {
  pthread_mutex_lock(&iso->lock);
  pid_t pid = iso->pid;
  pthread_mutex_unlock(&iso->lock);
  if (pid == 0) return;
  yoi__loops_purge(iso->in->top->loops, &iso->owner);
  atomic_store(&iso->owner.closing, 0u);
  yoi__worker_bury(pid, how, cap);
  /* Who has the calm channel reads the busy one as well: first without `reading`.
   * Nobody takes it again, since `dead` stands until below. */
  pthread_mutex_lock(&iso->lock);
  while (iso->calm_taken) pthread_cond_wait(&iso->calm_free, &iso->lock);
  pthread_mutex_unlock(&iso->lock);
  pthread_mutex_lock(&iso->reading);
  pthread_mutex_lock(&iso->lock);
  yoi__channel_release(&iso->busy);
  yoi__channel_release(&iso->calm);
  iso->pid = 0;
  iso->dead = iso->watched = iso->writing = 0;
  iso->armed_ns = iso->calm_late_ns = 0;
  pthread_mutex_unlock(&iso->lock);
  pthread_mutex_unlock(&iso->reading);
}

static yoi_status begin(struct yoi__isolate *iso, yoi_error *err) {
  char path[YOI_PATH_BYTES_MAX];
  struct yoi__spawned s;
  yoi_status st = yoi__worker_find(iso->in->from->worker, path, err);
  if (st == YOI_OK) st = yoi__worker_spawn(path, &s, err);
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&iso->lock);
  iso->pid = s.pid;
  iso->life++;
  iso->log_left = YOI_ISOLATED_LOG_LINES;
  yoi_status one = yoi__channel_init(&iso->busy, s.busy, 0, YOI__FROM_WORKER_BYTES);
  yoi_status other = yoi__channel_init(&iso->calm, s.calm, 0, YOI__FROM_WORKER_BYTES);
  if (one != YOI_OK || other != YOI_OK) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) yoi__isolate_tend(iso);
  pthread_mutex_unlock(&iso->lock);
  return st;
}

struct opened {
  yoi_error *err;
  int bad;
  char confined[YOI__CONFINED_MAX];
};

static yoi_status take_opened(void *ctx, yoi_str body) {
  struct opened *o = ctx;
  struct yoi_sdk_error e;
  struct yoi__reader r = yoi__reader_of(body);
  yoi_status st = (yoi_status)yoi__get_u32(&r);
  yoi__get_error(&r, yoi_sdk_error_init(&e));
  yoi_str confined = yoi__get_text(&r, sizeof o->confined - 1);
  (void)snprintf(o->confined, sizeof o->confined, "%.*s", YOI_ARG(confined));
  o->bad = !yoi__reader_done(&r) || st < YOI_OK || st > YOI_UNAUTHENTICATED;
  if (o->bad) return YOI_INTERNAL;
  if (st != YOI_OK) yoi_sdk_error_copy(o->err, &e.e);
  return st;
}

static yoi_status send_mounts(struct yoi__isolate *iso) {
  const struct yoi__config *c = iso->in->from;
  yoi_status st = YOI_OK;
  int writable = 0;
  pthread_mutex_lock(&iso->lock);
  for (size_t i = 0; i < c->local.n_mounts && st == YOI_OK; i++) {
    const struct yoi__mount *m = &c->local.mounts[i];
    if (!yoi__isolate_mount(c, iso->in->plugin, m, &writable)) continue;
    st = yoi__channel_send(&iso->calm, YOI__MSG_MOUNT, (uint64_t)writable, (yoi_str){0}, m->fd);
  }
  pthread_mutex_unlock(&iso->lock);
  return st;
}

static yoi_status ask_open(struct yoi__isolate *iso, struct opened *o) {
  const struct yoi__plugin *p = iso->in->plugin;
  struct yoi_sdk_buf b;
  int fd = -1;
  yoi_status st = open_file(p, &fd, o->err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_init(&b, YOI_ISOLATED_MESSAGE_BYTES);
  yoi__put_u32(&b, YOI__PROTOCOL_VERSION);
  yoi__put_u32(&b, p->manifest.kind);
  yoi__put_u32(&b, iso->in->from->log_level);
  yoi__put_u32(&b, yoi__isolate_uses(iso->in->from, p));
  yoi__put_u32(&b, (uint32_t)yoi__config_confined(iso->in->from, p));
  yoi__put_str(&b, p->manifest.id);
  yoi__put_str(&b, yoi_sdk_str(p->digest));
  yoi__put_str(&b, iso->in->config->config);
  st = b.failed != 0 || send_mounts(iso) != YOI_OK
           ? yoi_sdk_fail_memory(o->err)
           : yoi__isolate_ask(iso, YOI__MSG_OPEN, YOI__MSG_OPENED, yoi_sdk_buf_str(&b), fd,
                              yoi__now_ns() + YOI_ISOLATED_OPEN_MS * YOI__MS, take_opened, o);
  yoi_sdk_buf_release(&b);
  close(fd);
  return st;
}

/* [main] A process with the plugin open in it. After a failure there is none. */
static yoi_status start_one(struct yoi__isolate *iso, yoi_error *err) {
  struct yoi_sdk_error e;
  struct opened o = {.err = yoi_sdk_error_init(&e)};
  char how[32] = "";
  yoi_status st = begin(iso, &e.e);
  if (st == YOI_OK) st = ask_open(iso, &o);
  pthread_mutex_lock(&iso->lock);
  if (st == YOI_OK && !iso->dead) {
    yoi__keeper_ready(&iso->keeper);
    pthread_mutex_unlock(&iso->lock);
    log_begin(iso, o.confined);
    return st;
  }
  int in_peace = !iso->dead && !o.bad && st != YOI_DEADLINE_EXCEEDED;
  if (in_peace) yoi__keeper_ended(&iso->keeper);
  if (st == YOI_DEADLINE_EXCEEDED) yoi__isolate_fail(iso, "the plugin did not open in time");
  if (o.bad) yoi__isolate_fail(iso, "an answer that is not as it should be");
  const char *why = iso->why;
  if (iso->pid != 0) {
    iso->dead = 1;
    yoi__worker_kill(iso->pid);
  }
  pthread_mutex_unlock(&iso->lock);
  bury(iso, how, sizeof how);
  if (e.e.code == 0)
    st = unavailable(
        iso, 1, &e.e,
        st == YOI_DEADLINE_EXCEEDED ? "did not open in time" : "ended while it was opened");
  if (!in_peace) log_end(iso, why, how);
  yoi_sdk_error_copy(err, &e.e);
  return st > YOI_OK ? st : YOI_UNAVAILABLE;
}

/* [main] Buries what died; starts it again when its time has come. */
static void mend(void *ctx) {
  struct yoi__isolate *iso = ctx;
  struct yoi_sdk_error e;
  char how[32] = "";
  pthread_mutex_lock(&iso->lock);
  int dead = iso->dead, open = !iso->closing;
  const char *why = iso->why;
  pthread_mutex_unlock(&iso->lock);
  if (!open) return;
  if (dead) {
    bury(iso, how, sizeof how);
    log_end(iso, why, how);
    tend_here(iso);
    return;
  }
  pthread_mutex_lock(&iso->lock);
  int start = iso->pid == 0 && yoi__keeper_start(&iso->keeper, yoi__now_ns());
  pthread_mutex_unlock(&iso->lock);
  if (!start) return;
  yoi__metrics_add(iso->in->top->metrics, iso->restarts, 1);
  if (start_one(iso, yoi_sdk_error_init(&e)) == YOI_OK) {
    return;
  }
  /* What was open once should open again: an error is another death. */
  yoi__log_failure(iso->in->top->log, YOI_LOG_ERROR, "cannot open a plugin again", iso->in->name,
                   (yoi_str){0}, &e.e);
  pthread_mutex_lock(&iso->lock);
  if (iso->keeper.state == YOI__KEEPER_IDLE) yoi__keeper_died(&iso->keeper, yoi__now_ns());
  yoi__isolate_tend(iso);
  pthread_mutex_unlock(&iso->lock);
  see_quarantine(iso);
}

/* ---- open and close
 * -------------------------------------------------------------------------------------- */

yoi_status yoi__isolate_open(struct yoi__isolate *iso, yoi_error *err) {
  pthread_mutex_lock(&iso->lock);
  iso->closing = iso->leaving = 0;
  yoi_status st =
      yoi__keeper_start(&iso->keeper, yoi__now_ns()) ? YOI_OK : yoi__isolate_down(iso, err);
  pthread_mutex_unlock(&iso->lock);
  if (st == YOI_OK) st = start_one(iso, err);
  if (st == YOI_OK) return st;
  /* Nobody starts it again by itself: the next open does. */
  yoi__isolate_close(iso);
  return st;
}

static yoi_status take_closed(void *ctx, yoi_str body) {
  (void)ctx;
  return body.len == 0 ? YOI_OK : YOI_INTERNAL;
}

static int not_tending(void *ctx) {
  struct yoi__isolate *iso = ctx;
  pthread_mutex_lock(&iso->lock);
  int tending = iso->tending;
  pthread_mutex_unlock(&iso->lock);
  return !tending;
}

void yoi__isolate_close(struct yoi__isolate *iso) {
  char how[32] = "";
  pthread_mutex_lock(&iso->lock);
  int alive = yoi__isolate_ready(iso);
  iso->leaving = 1;
  pthread_mutex_unlock(&iso->lock);
  yoi_status st = YOI_OK;
  if (alive)
    st = yoi__isolate_ask(iso, YOI__MSG_CLOSE, YOI__MSG_CLOSED, (yoi_str){0}, -1,
                          yoi__now_ns() + YOI_ISOLATED_CLOSE_MS * YOI__MS, take_closed, NULL);
  pthread_mutex_lock(&iso->lock);
  iso->closing = 1;
  if (iso->pid != 0 && st != YOI_OK) yoi__worker_kill(iso->pid);
  if (iso->pid != 0) {
    iso->dead = 1;
    yoi__far_fail_all(iso); /* those that were abandoned */
  }
  yoi__keeper_ended(&iso->keeper);
  pthread_mutex_unlock(&iso->lock);
  (void)yoi__host_wait(iso->in->top, not_tending, iso, UINT64_MAX);
  yoi__control_unpost(iso->in->top->control, &iso->task);
  bury(iso, how, sizeof how);
  yoi__loops_purge(iso->in->top->loops, &iso->owner);
  atomic_store(&iso->owner.closing, 0u);
  yoi__disk_free(iso->disk); /* nobody asks it; a setup that it lets go needs the control thread */
  iso->disk = NULL;
  iso->armed_ns = 0;
  if (st != YOI_OK) log_end(iso, "the plugin did not close in time", how);
}

/* ---- made once ------------------------------------------------------------- */

static void make_metrics(struct yoi__isolate *iso) {
  struct yoi__metrics *m = iso->in->top->metrics;
  yoi_str label = YOI_LIT("plugin"), id = manifest_of(iso)->id;
  (void)yoi__metrics_make_one(m, YOI_METRIC_COUNTER, YOI_LIT("yoi_isolated_restarts_total"),
                              YOI_LIT("Worker processes that were started again."), label, id,
                              &iso->restarts);
  (void)yoi__metrics_make_one(m, YOI_METRIC_GAUGE, YOI_LIT("yoi_isolated_quarantined"),
                              YOI_LIT("Entries whose process ended too often and stays down."),
                              label, id, &iso->quarantined);
}

struct yoi__isolate *yoi__isolate_new(struct yoi__instance *in) {
  struct yoi__isolate *iso = yoi_sdk_calloc(1, sizeof *iso);
  if (iso == NULL) return NULL;
  iso->places = yoi_sdk_calloc(YOI_ISOLATED_CALLS_MAX, sizeof *iso->places);
  if (iso->places == NULL) {
    yoi_sdk_free(iso);
    return NULL;
  }
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&iso->calm_free, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&iso->lock, NULL);
  pthread_mutex_init(&iso->reading, NULL);
  iso->in = in;
  iso->home = (uint32_t)(in->serial % yoi__loops_count(in->top->loops));
  iso->busy.fd = iso->calm.fd = -1;
  iso->node = (struct yoi__node){.fn = tend, .ctx = iso};
  iso->task = (struct yoi__task){.fn = mend, .ctx = iso};
  make_metrics(iso);
  return iso;
}

void yoi__isolate_free(struct yoi__isolate *iso) {
  if (iso == NULL) return;
  if (iso->is_quarantined) yoi__metrics_sub(iso->in->top->metrics, iso->quarantined, 1);
  yoi__disk_free(iso->disk);
  pthread_cond_destroy(&iso->calm_free);
  pthread_mutex_destroy(&iso->reading);
  pthread_mutex_destroy(&iso->lock);
  yoi_sdk_free(iso->places);
  yoi_sdk_free(iso);
}
