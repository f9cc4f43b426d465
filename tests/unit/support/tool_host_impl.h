/* tool_host_impl.h - what tool_host.c and tool_host_grant.c share. */
#ifndef TOOL_HOST_IMPL_H
#define TOOL_HOST_IMPL_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/host_clock.h>
#include <yoi/host_grant.h>
#include <yoi/host_log.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>

#include "tool_host.h"

#define TOOL_NAMES 16
#define TOOL_TOKENS 64

struct tool_named {
  char name[YOI_GRANT_MAX]; /* empty: free */
  char *value;              /* a mount: its real path */
  int fd, writable;         /* mounts */
};

/* Text that grows by the C library's memory: a test may make the sdk's fail. */
struct tool_text {
  char *data; /* NUL-terminated, or NULL */
  size_t len;
};

struct tool_task {
  yoi_loop_fn fn;
  void *ctx;
  struct tool_task *next;
};

struct tool_watch {
  uint64_t id; /* 0: was taken away */
  int32_t fd;
  uint32_t interest;
  yoi_loop_fd_fn fn;
  void *ctx;
};

struct tool_timer {
  uint64_t id, at;
  yoi_loop_fn fn;
  void *ctx;
};

struct tool_call {
  struct tool_host *th;
  struct tool_call *next;
  uint64_t id;
  yoi_stream *stream;
  int news, ended; /* news: guarded by mu */
  char *grants;
  struct tool_text output, progress;
  struct tool_result result;
};

struct tool_host {
  yoi_host host;
  const yoi_tool *table;
  void *self;
  int opened, closing;
  pthread_t thread;
  uint64_t wall, last_id;
  struct tool_named mounts[TOOL_NAMES], nets[TOOL_NAMES], values[TOOL_NAMES];
  struct tool_watch *watches;
  size_t n_watches;
  struct tool_timer *timers;
  size_t n_timers;
  pthread_mutex_t mu; /* guards what stands below; nothing is called under it */
  int bell;           /* an eventfd: a post or a wake from another thread */
  struct tool_task *tasks;
  struct tool_call *calls;
  struct {
    uint64_t token, cookie;
  } tokens[TOOL_TOKENS]; /* the instance's own */
  struct tool_text log;
};

extern const yoi_host_grant tool_grant_table;
extern const yoi_host_mount tool_mount_table;
extern const yoi_host_net tool_net_table;

/* Aborts with the place where the test, or the plugin, is wrong. */
#define TOOL_MUST(what)                                                               \
  do {                                                                                \
    if (!(what)) {                                                                    \
      (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what); \
      abort();                                                                        \
    }                                                                                 \
  } while (0)

struct tool_host *tool_host_from(const yoi_host *h);
/* The name's row, or with add a free one. */
struct tool_named *tool_named(struct tool_named *all, yoi_str name, int add);
struct tool_call *tool_call_find(struct tool_host *th, uint64_t id);

#endif
