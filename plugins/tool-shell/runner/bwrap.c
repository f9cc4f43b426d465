/* bwrap.c - the arguments of bubblewrap, and becoming it.
 *
 * What the command sees: the system's programs and libraries, a handful of
 * files of /etc, faked names of users, and its own /tmp, /dev and /proc; the
 * mount at /workspace; else nothing. All roots but /tmp and /dev/shm are read-only,
 * and those two have a size.
 *
 *  1. Every namespace is its own, so what is killed with its init is all.
 *  2. bubblewrap dies with this process, and its init with it.
 *  3. The program is looked for where systems put it, never along PATH.
 *  4. The mount goes by path (3 of enter.c): bubblewrap 0.8 cannot bind what a
 *     descriptor is open on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define ARGUMENTS 256

struct line {
  char *at[ARGUMENTS];
  size_t n;
};

static void add(struct line *l, const char *s) {
  if (l->n < ARGUMENTS - 1) l->at[l->n++] = (char *)s;
}

#define ADD(l, ...)                                                     \
  do {                                                                  \
    const char *const words[] = {__VA_ARGS__};                          \
    for (size_t i_ = 0; i_ < sizeof words / sizeof *words; i_++) add(l, words[i_]); \
  } while (0)

static const char *number(uint64_t n) {
  char *s;
  return asprintf(&s, "%llu", (unsigned long long)n) < 0 ? "1" : s;
}

/* On merged systems these lead into /usr. */
static void add_root(struct line *l, const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0) return;
  char *to = S_ISLNK(st.st_mode) ? calloc(1, 4096) : NULL;
  if (to == NULL)
    ADD(l, "--ro-bind", path, path);
  else if (readlink(path, to, 4095) > 0)
    ADD(l, "--symlink", to, path);
}

/* A file that has the text; the descriptor is for bubblewrap to read. */
static void add_text(struct line *l, const char *text, const char *path) {
  int fd = memfd_create("text", 0);
  if (fd < 0 || write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) != 0) return;
  ADD(l, "--ro-bind-data", number((uint64_t)fd), path);
}

static void add_etc(struct line *l, int network) {
  static const char *const files[] = {
      "/etc/alternatives", "/etc/ld.so.cache",   "/etc/ld.so.conf",
      "/etc/ld.so.conf.d", "/etc/ssl/certs",     "/etc/pki/tls/certs",
      "/etc/localtime",    "/etc/nsswitch.conf", "/etc/pki/ca-trust/extracted"};
  static const char *const for_network[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/services",
                                            "/etc/protocols"};
  char *passwd = NULL, *group = NULL;
  unsigned u = geteuid(), g = getegid();
  if (asprintf(&passwd, "%s:x:%u:%u:worker:/tmp:/bin/sh\n", u == 0 ? "root" : "user", u, g) > 0)
    add_text(l, passwd, "/etc/passwd");
  if (asprintf(&group, "%s:x:%u:\n", g == 0 ? "root" : "user", g) > 0)
    add_text(l, group, "/etc/group");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    ADD(l, "--ro-bind-try", files[i], files[i]);
  for (size_t i = 0; network && i < sizeof for_network / sizeof *for_network; i++)
    ADD(l, "--ro-bind-try", for_network[i], for_network[i]);
}

_Noreturn void sh_bwrap(struct sh_work *w) {
  static const char *const places[] = {"/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap",
                                       "/run/current-system/sw/bin/bwrap"};
  static const char *const roots[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
  struct line l = {.n = 0};
  char *none[] = {NULL};
  ADD(&l, "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
      "--hostname", "sandbox");
  if (w->job.network) ADD(&l, "--share-net");
  ADD(&l, "--ro-bind", "/usr", "/usr");
  for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) add_root(&l, roots[i]);
  ADD(&l, "--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/var");
  add_etc(&l, (int)w->job.network);
  /* /proc read-only: bubblewrap leaves /proc/sys, whose files a root may write
   * who has no capability left. */
  ADD(&l, "--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev");
  ADD(&l, "--size", number(w->job.shm_bytes), "--perms", "1777", "--tmpfs", "/dev/shm");
  ADD(&l, "--size", number(w->job.tmp_bytes), "--perms", "1777", "--tmpfs", "/tmp");
  ADD(&l, "--symlink", "/tmp", "/var/tmp", "--dir", "/run");
  ADD(&l, w->job.writable ? "--bind" : "--ro-bind", "/proc/self/fd/5", "/workspace");
  ADD(&l, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/workspace");
  ADD(&l, "/proc/self/fd/6", "inside", number((uint64_t)w->report));
  l.at[l.n] = NULL;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) execve(places[i], l.at, none);
  sh_report(w, SH_NO_SANDBOX, errno, "run bwrap");
}
