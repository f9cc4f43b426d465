/* tree.c - the processes below one, as /proc tells it.
 *
 * Read a few times a second, for limits over all processes together, and at
 * the end, for signals. What is forked while it is read is missed and met the
 * next time; what must not be missed is killed otherwise (main.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

#define TEXT 4096 /* of one file of /proc: their lines are far shorter */
#define WALK 8192 /* processes: far past every limit */

/* 0 when it is gone. NUL-terminated, cut at the buffer. */
static size_t slurp(char *buf, size_t cap, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  size_t n = 0;
  ssize_t r;
  while (n + 1 < cap && (r = read(fd, buf + n, cap - 1 - n)) > 0) n += (size_t)r;
  close(fd);
  buf[n] = 0;
  return n;
}

/* The number behind a name in /proc/PID/status. */
static uint64_t status_kb(const char *status, const char *name) {
  const char *at = strstr(status, name);
  return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void count(pid_t pid, struct sh_tree *t) {
  char path[64], text[TEXT];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const char *at = slurp(text, sizeof text, path) > 0 ? strrchr(text, ')') : NULL;
  if (at == NULL) return;
  unsigned long long v[4] = {0};
  unsigned long threads = 1;
  /* state ppid pgrp session tty tpgid flags minflt cminflt majflt cmajflt,
   * utime stime cutime cstime, priority nice, num_threads */
  if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %lu",
             &v[0], &v[1], &v[2], &v[3], &threads) != 5)
    return;
  t->processes += threads;
  t->cpu_ms += (v[0] + v[1] + v[2] + v[3]) * 1000u / (unsigned long long)sysconf(_SC_CLK_TCK);
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  if (slurp(text, sizeof text, path) > 0)
    t->memory += (status_kb(text, "\nRssAnon:") + status_kb(text, "\nRssShmem:")) * 1024u;
}

struct walk {
  pid_t at[WALK];
  size_t n;
  int over;
};

static void children_of_thread(const char *path, struct walk *w) {
  char text[TEXT];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  pid_t pid = 0;
  ssize_t r;
  while ((r = read(fd, text, sizeof text)) > 0)
    for (ssize_t i = 0; i < r; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid != 0) {
        if (w->n < WALK)
          w->at[w->n++] = pid;
        else
          w->over = 1;
        pid = 0;
      }
    }
  close(fd);
}

static void children(pid_t pid, struct walk *w) {
  char path[96];
  snprintf(path, sizeof path, "/proc/%d/task", pid);
  DIR *d = opendir(path);
  if (d == NULL) return;
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", pid, e->d_name);
    children_of_thread(path, w);
  }
  closedir(d);
}

/* Breadth first; the array is the queue. */
static struct walk *walk(pid_t root, int self) {
  struct walk *w = calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  if (self)
    w->at[w->n++] = root;
  else
    children(root, w);
  for (size_t i = 0; i < w->n && !w->over; i++) children(w->at[i], w);
  return w;
}

void sh_tree_read(pid_t root, int self, struct sh_tree *out) {
  memset(out, 0, sizeof *out);
  struct walk *w = walk(root, self);
  if (w == NULL) return;
  for (size_t i = 0; i < w->n; i++) count(w->at[i], out);
  out->over = w->over;
  free(w);
}

void sh_tree_kill(pid_t root, int self, int sig) {
  struct walk *w = walk(root, self);
  if (w == NULL) return;
  for (size_t i = 0; i < w->n; i++) kill(w->at[i], sig);
  free(w);
}
