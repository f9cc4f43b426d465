/* stream.c - one call, from its start to its last line.
 *
 *   shell_run               git_run
 *      |                       |
 *      |                    CONFIG --(the config is harmless)--.
 *      |                       |                               |
 *      '-------> RUNNING <-----|-------------------------------'
 *                   |          '--(it is not, cancel)----------.
 *        (output ends: it is read up to its end)               |
 *                   v                                          |
 *                 ENDING --(the runner's word)--> LAST --> DONE
 *
 *  1. Output is read in next and nowhere else, so who does not poll is not
 *     read for: the pipe fills, and the command waits.
 *  2. A watch is there only after AGAIN was said, and gone once it has called:
 *     a closed pipe stays readable, and the loop would run hot.
 *  3. That it has ended is the runner's word, after everything of it is gone.
 *     Its socket closed without one: it was killed, and what the command did
 *     is not known.
 *  4. However a command ends, by itself or by a limit, it is a result: the
 *     last line says so. An error is what kept it from running, or a cancel.
 */
#include <errno.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shell.h"

enum state { CONFIG, RUNNING, ENDING, LAST, DONE };

struct call {
  yoi_stream head;
  struct sh_plugin *plugin;
  uint64_t token;
  struct sh_ask ask;
  struct sh_git git;
  int is_git;
  enum state state;
  pthread_mutex_t lock;
  struct sh_child *child; /* written under lock, by the loop */
  atomic_int cancelled;
  uint64_t watch; /* 0: none */
  struct sh_text text;
  struct yoi_sdk_buf out;     /* the piece that was handed out */
  struct yoi_sdk_buf listing; /* of the config */
  yoi_event event;
  const yoi_event *events[1];
  yoi_status final;
  struct sh_end end;
  struct yoi_sdk_error error;
};

/* ---- watching ---- */
static void unwatch(struct call *c) {
  if (c->watch != 0) c->plugin->loop->unwatch(c->plugin->host, c->watch);
  c->watch = 0;
}

static void ready(void *ctx, int32_t fd, uint32_t what) {
  struct call *c = ctx;
  (void)fd;
  (void)what;
  unwatch(c);
  c->plugin->host->wake(c->plugin->host, c->token);
}

static yoi_status done(struct call *c, yoi_status st) {
  unwatch(c);
  c->state = DONE;
  c->final = st;
  return st;
}

static yoi_status wait_for(struct call *c, int fd) {
  if (c->watch != 0) return YOI_AGAIN;
  yoi_status st = c->plugin->loop->watch(c->plugin->host, fd, YOI_FD_READ, ready, c, &c->watch);
  if (st == YOI_OK) return YOI_AGAIN;
  return done(c, yoi_sdk_fail(&c->error.e, YOI_CODE_INTERNAL, "the command cannot be watched"));
}

/* ---- the child ---- */
static void set_child(struct call *c, struct sh_child *child) {
  pthread_mutex_lock(&c->lock);
  struct sh_child *old = c->child;
  c->child = child;
  pthread_mutex_unlock(&c->lock);
  unwatch(c);
  sh_child_let_go(old);
}

static yoi_status start_child(struct call *c, const struct sh_start *s) {
  struct sh_child *child = NULL;
  yoi_status st = sh_spawn(c->plugin, s, &child, &c->error.e);
  if (st != YOI_OK) return st;
  set_child(c, child);
  if (atomic_load(&c->cancelled)) send(child->control, "c", 1, MSG_NOSIGNAL);
  return YOI_OK;
}

/* What git says of its config goes through the same sandbox, without network. */
static yoi_status start_config(struct call *c) {
  struct sh_start s;
  sh_start_init(&s);
  s.job = c->ask.start.job;
  s.job.n_argv = s.job.n_env = 0;
  s.job.network = 0;
  s.folder = dup(c->ask.start.folder);
  yoi_sdk_buf_adds(&s.text.cwd, yoi_sdk_buf_str(&c->ask.start.text.cwd));
  sh_git_ask_config(&s);
  sh_git_environment(&c->ask, &s);
  yoi_status st = start_child(c, &s);
  sh_start_release(&s);
  c->state = CONFIG;
  return st;
}

static yoi_status start_command(struct call *c) {
  c->state = RUNNING;
  sh_ask_time(&c->ask);
  return start_child(c, &c->ask.start);
}

/* OK: n bytes, 0 at the end. */
static yoi_status read_output(struct call *c, char *buf, size_t cap, size_t *n) {
  ssize_t r;
  while ((r = read(c->child->output, buf, cap)) < 0 && errno == EINTR) continue;
  if (r < 0 && errno == EAGAIN) return wait_for(c, c->child->output);
  *n = r > 0 ? (size_t)r : 0;
  return YOI_OK;
}

/* OK: c->end is the runner's word. */
static yoi_status read_end(struct call *c) {
  ssize_t r;
  while ((r = recv(c->child->control, &c->end, sizeof c->end, 0)) < 0 && errno == EINTR) continue;
  if (r < 0 && errno == EAGAIN) return wait_for(c, c->child->control);
  c->end.text[SH_END_TEXT - 1] = 0;
  if (r == (ssize_t)sizeof c->end) return YOI_OK;
  return done(c, yoi_sdk_fail(&c->error.e, YOI_CODE_INTERNAL,
                              "the runner of the command was killed, and the command with it; "
                              "how far it came is not known"));
}

/* ---- ends ---- */
static yoi_status no_sandbox(struct call *c) {
  yoi_sdk_fail(&c->error.e, YOI_CODE_INTERNAL, "the sandbox of the command could not be made");
  yoi_sdk_fail_private(&c->error.e, "%s: %s", c->end.text, strerrordesc_np(c->end.value));
  return YOI_INTERNAL;
}

static yoi_status no_command(struct call *c) {
  const char *why = strerrordesc_np(c->end.value);
  if (strcmp(c->end.text, "cwd") == 0)
    return yoi_sdk_fail(&c->error.e, YOI_CODE_NOT_FOUND, "cannot enter 'cwd': %s", why);
  yoi_str name = {NULL, 0};
  if (c->is_git)
    name = YOI_LIT("/usr/bin/git");
  else if (c->ask.argv != NULL)
    yoi_sdk_json_str(yoi_sdk_json_first(c->ask.argv), &name);
  return yoi_sdk_fail(&c->error.e, YOI_CODE_NOT_FOUND, "cannot run '%.*s' in the sandbox: %s",
                      (int)yoi_sdk_utf8_cut(name, 200), name.ptr, why);
}

/* The error that an end is; OK: it is a result. */
static yoi_status error_of_end(struct call *c) {
  switch (c->end.how) {
    case SH_CANCELLED:
      yoi_sdk_fail(&c->error.e, YOI_CODE_INTERNAL,
                   "the call was cancelled, and what ran was killed");
      return YOI_CANCELLED;
    case SH_NO_SANDBOX: return no_sandbox(c);
    case SH_NO_COMMAND: return no_command(c);
    default: return YOI_OK;
  }
}

static void say_exit(struct call *c) {
  int code = c->end.value;
  const char *sig = code > 128 && code < 128 + NSIG ? sigabbrev_np(code - 128) : NULL;
  yoi_sdk_buf_addf(&c->out, "exit code %d", code);
  if (code == 128 + SIGXCPU)
    yoi_sdk_buf_adds(&c->out, YOI_LIT(" (out of CPU time)"));
  else if (code == 128 + SIGXFSZ)
    yoi_sdk_buf_adds(&c->out, YOI_LIT(" (a file became too large)"));
  else if (sig != NULL)
    yoi_sdk_buf_addf(&c->out, " (SIG%s)", sig);
}

static void say_end(struct call *c) {
  const struct sh_job *j = &c->ask.start.job;
  switch (c->end.how) {
    case SH_EXITED: say_exit(c); break;
    case SH_TIMED_OUT:
      yoi_sdk_buf_addf(&c->out, "timed out after %g s", (double)j->wall_ms / 1000);
      break;
    case SH_OVER_MEMORY:
      yoi_sdk_buf_addf(&c->out, "killed: memory, more than %llu bytes in all",
                       (unsigned long long)j->memory_bytes);
      break;
    case SH_OVER_PROCESSES:
      yoi_sdk_buf_addf(&c->out, "killed: processes, more than %llu",
                       (unsigned long long)j->processes);
      break;
    default:
      yoi_sdk_buf_addf(&c->out, "killed: CPU time, more than %llu s in all",
                       (unsigned long long)j->cpu_s);
  }
  if (c->end.survivors)
    yoi_sdk_buf_adds(&c->out, YOI_LIT("; a process of it hangs in the kernel"));
}

/* ---- next ---- */
static yoi_status give(struct call *c, const yoi_event *const **out, size_t *n) {
  if (c->out.failed) return done(c, yoi_sdk_fail_memory(&c->error.e));
  c->event.text = yoi_sdk_buf_str(&c->out);
  *out = c->events;
  *n = 1;
  return YOI_OK;
}

static yoi_status next_config(struct call *c) {
  char buf[512];
  size_t n = 0;
  for (;;) {
    yoi_status st = read_output(c, buf, sizeof buf, &n);
    if (st != YOI_OK) return st;
    if (n == 0) break;
    yoi_sdk_buf_add(&c->listing, buf, n);
    if (c->listing.failed)
      return done(c, yoi_sdk_fail(&c->error.e, YOI_CODE_POLICY_DENIED,
                                  "the repository's config is longer than %d bytes",
                                  YOI_GIT_CONFIG_MAX));
  }
  yoi_status st = read_end(c);
  if (st != YOI_OK) return st;
  st = error_of_end(c);
  if (st == YOI_OK && (c->end.how != SH_EXITED || c->end.value != 0))
    st = yoi_sdk_fail(&c->error.e, YOI_CODE_POLICY_DENIED,
                      "the repository's config cannot be read");
  if (st == YOI_OK)
    st = sh_gitcfg_check(&c->ask, &c->git, yoi_sdk_buf_str(&c->listing), &c->error.e);
  if (st == YOI_OK && atomic_load(&c->cancelled)) {
    c->end.how = SH_CANCELLED;
    st = error_of_end(c);
  }
  if (st == YOI_OK) st = start_command(c);
  return st == YOI_OK ? YOI_OK : done(c, st);
}

/* OK: a piece, or the state is another one now. */
static yoi_status next_output(struct call *c, int *piece) {
  char buf[YOI_SHELL_PIECE_BYTES];
  size_t n = 0;
  yoi_status st = read_output(c, buf, yoi_sdk_short(sizeof buf), &n);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_clear(&c->out);
  sh_text_clean(&c->text, (yoi_str){buf, n}, n == 0, &c->out);
  if (n == 0) c->state = ENDING;
  *piece = c->out.len > 0;
  return YOI_OK;
}

static yoi_status next_end(struct call *c) {
  yoi_status st = read_end(c);
  if (st != YOI_OK) return st;
  st = error_of_end(c);
  if (st != YOI_OK) return done(c, st);
  yoi_sdk_buf_clear(&c->out);
  say_end(c);
  c->state = LAST;
  return YOI_OK;
}

static yoi_status call_next(yoi_stream *s, const yoi_event *const **out, size_t *n,
                            yoi_error *err) {
  struct call *c = (struct call *)s;
  yoi_status st = YOI_OK;
  while (st == YOI_OK && c->state != DONE) {
    int piece = 0;
    switch (c->state) {
      case CONFIG: st = next_config(c); break;
      case RUNNING:
        st = next_output(c, &piece);
        if (st == YOI_OK && piece) return give(c, out, n);
        break;
      case ENDING:
        st = next_end(c);
        if (st == YOI_OK) return give(c, out, n);
        break;
      default: st = done(c, YOI_END);
    }
  }
  if (st == YOI_AGAIN) return YOI_AGAIN;
  if (c->final > 0) yoi_sdk_error_copy(err, &c->error.e);
  return c->final;
}

/* The loop sees it by the end of the output. */
static void call_cancel(yoi_stream *s) {
  struct call *c = (struct call *)s;
  if (atomic_exchange(&c->cancelled, 1)) return;
  pthread_mutex_lock(&c->lock);
  if (c->child != NULL) send(c->child->control, "c", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  pthread_mutex_unlock(&c->lock);
}

static void call_release(yoi_stream *s) {
  struct call *c = (struct call *)s;
  if (c == NULL) return;
  set_child(c, NULL);
  sh_ask_release(&c->ask);
  sh_git_release(&c->git);
  yoi_sdk_buf_release(&c->out);
  yoi_sdk_buf_release(&c->listing);
  pthread_mutex_destroy(&c->lock);
  yoi_sdk_free(c);
}

static const yoi_stream_ops call_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = call_next,
    .cancel = call_cancel,
    .release = call_release,
};

/* ---- start ---- */
static yoi_status check_shell(struct sh_ask *a, yoi_error *err) {
  const yoi_sdk_json *list = yoi_sdk_json_get(a->value, "commands");
  int any = sh_listed(list, YOI_LIT("*"));
  yoi_str word;
  if (a->argv == NULL) {
    if (!any)
      return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "this host allows single commands only: "
                          "give 'argv' instead of 'command'");
    sh_start_arg(&a->start, YOI_LIT("/bin/sh"));
    sh_start_arg(&a->start, YOI_LIT("-c"));
    sh_start_arg(&a->start, a->script);
    return YOI_OK;
  }
  const yoi_sdk_json *first = yoi_sdk_json_first(a->argv);
  if (!any && !(yoi_sdk_json_str(first, &word) && sh_listed(list, word)))
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                        "'%.*s' is not among the commands that this host allows",
                        (int)yoi_sdk_utf8_cut(word, 200), word.ptr);
  for (const yoi_sdk_json *v = first; v != NULL; v = yoi_sdk_json_next(v))
    if (yoi_sdk_json_str(v, &word)) sh_start_arg(&a->start, word);
  return YOI_OK;
}

static yoi_status check_git(struct call *c, yoi_error *err) {
  struct sh_ask *a = &c->ask;
  if (a->argv == NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'argv' begins with a subcommand of git");
  yoi_status st = sh_git_check(a, &c->git, err);
  if (st != YOI_OK) return st;
  sh_git_command(a, &a->start);
  a->start.job.network &= (uint32_t)c->git.network;
  sh_git_environment(a, &a->start);
  return YOI_OK;
}

yoi_status sh_stream_start(struct sh_plugin *p, const yoi_tool_request *req, struct sh_ask *a,
                           yoi_stream **out, yoi_error *err) {
  struct call *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) {
    sh_ask_release(a);
    return yoi_sdk_fail_memory(err);
  }
  c->head.ops = &call_ops;
  c->plugin = p;
  c->token = req->token;
  c->ask = *a;
  c->is_git = yoi_sdk_str_is(a->tool, "git");
  pthread_mutex_init(&c->lock, NULL);
  yoi_sdk_buf_init(&c->out, 3 * YOI_SHELL_PIECE_BYTES + 16);
  yoi_sdk_buf_init(&c->listing, YOI_GIT_CONFIG_MAX);
  yoi_sdk_error_init(&c->error);
  c->event = (yoi_event){.size = sizeof c->event, .kind = YOI_EVENT_TOOL_OUTPUT};
  c->events[0] = &c->event;
  yoi_status st = c->is_git ? check_git(c, err) : check_shell(&c->ask, err);
  if (st == YOI_OK) {
    st = c->is_git ? start_config(c) : start_command(c);
    if (st != YOI_OK) yoi_sdk_error_copy(err, &c->error.e);
  }
  if (st == YOI_OK)
    *out = &c->head;
  else
    call_release(&c->head);
  return st;
}
