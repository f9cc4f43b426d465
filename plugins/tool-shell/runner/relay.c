/* relay.c - modes, owners and times, where only Landlock stands around the command.
 *
 * Landlock does not look at chmod and its like: a command could change what it
 * may not even open. Without them nothing can be built, and git makes no config. So
 * the kernel hands these calls to the runner (seccomp's user notification), and
 * the runner does them, where it may:
 *
 *  1. The path is read once, and the file is opened (O_PATH) as the command
 *     would find it, without magic links. From then on it is that file,
 *     whatever is renamed: what is checked and changed is the descriptor.
 *  2. It is changed when it lies below the mount, and that is writable, or
 *     below the command's own folder for temporary files. Else: EPERM.
 *  3. No mode with setuid or setgid, and no other owner.
 *  4. The call is answered, never let go on: nothing of the command's memory is
 *     looked at a second time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

#define PATH_BYTES 4096
#define NOTICE_BYTES 512 /* more than the structs of any kernel so far */

/* ---- handing the listener over ---- */
int sh_relay_send(int to, int listener) {
  struct sh_end mark = {.how = 0};
  struct iovec part = {.iov_base = &mark, .iov_len = sizeof mark};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr m = {.msg_iov = &part,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof listener);
  memcpy(CMSG_DATA(c), &listener, sizeof listener);
  return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof mark ? 0 : errno;
}

/* One report; 0: there is none now. *listener is set when one came with it. */
int sh_relay_receive(int from, struct sh_end *out, int *listener) {
  struct iovec part = {.iov_base = out, .iov_len = sizeof *out};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  struct msghdr m = {.msg_iov = &part,
                     .msg_iovlen = 1,
                     .msg_control = control.bytes,
                     .msg_controllen = sizeof control.bytes};
  if (recvmsg(from, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *out) return 0;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (c != NULL && c->cmsg_type == SCM_RIGHTS) memcpy(listener, CMSG_DATA(c), sizeof *listener);
  out->text[SH_END_TEXT - 1] = 0;
  return 1;
}

/* ---- one call ---- */
static int open_of(pid_t pid, int fd) {
  char path[64];
  if (fd == AT_FDCWD)
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
  else
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  return open(path, O_PATH | O_CLOEXEC);
}

static int read_memory(pid_t pid, uint64_t at, void *to, size_t cap, size_t least) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  /* Not past the end of a page: the next one may not be there. */
  size_t n = 0;
  while (n < cap) {
    size_t step = 4096 - (size_t)((at + n) % 4096);
    ssize_t r = pread(fd, (char *)to + n, step < cap - n ? step : cap - n, (off_t)(at + n));
    if (r <= 0) break;
    n += (size_t)r;
    if (least == 0 && memchr(to, 0, n) != NULL) break;
  }
  close(fd);
  return least == 0 ? memchr(to, 0, n) != NULL : n >= least;
}

/* The file that the call means, or -1 and errno. */
static int find(pid_t pid, int at, uint64_t path, int nofollow) {
  char text[PATH_BYTES];
  if (path == 0) return open_of(pid, at);
  if (!read_memory(pid, path, text, sizeof text, 0)) {
    errno = EFAULT;
    return -1;
  }
  int base = text[0] == '/' ? open("/", O_PATH | O_CLOEXEC) : open_of(pid, at);
  if (base < 0) return -1;
  struct open_how how = {.flags = (uint64_t)(O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0)),
                         .resolve = RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, base, text, &how, sizeof how), error = errno;
  close(base);
  errno = error;
  return fd;
}

static int is_below(const char *path, const char *root) {
  size_t n = strlen(root);
  while (n > 0 && root[n - 1] == '/') n--;
  return strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static int path_of(int fd, char *out, size_t cap) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, cap - 1);
  if (n <= 0 || (size_t)n >= cap - 1) return 0;
  out[n] = 0;
  return 1;
}

static int may_change(const struct sh_work *w, int fd) {
  char path[PATH_BYTES], root[PATH_BYTES];
  if (!path_of(fd, path, sizeof path)) return 0;
  if (w->tmp != NULL && is_below(path, w->tmp)) return 1;
  return w->job.writable && path_of(SH_FD_MOUNT, root, sizeof root) && is_below(path, root);
}

/* 0 or an errno. */
static int change_mode(const struct sh_work *w, int fd, uint64_t mode) {
  char link[64];
  if (fd < 0) return errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (!may_change(w, fd) || (mode & 06000) != 0) return EPERM;
  return chmod(link, (mode_t)(mode & 01777)) == 0 ? 0 : errno;
}

static int change_times(const struct sh_work *w, pid_t pid, int fd, uint64_t times) {
  char link[64];
  struct timespec t[2];
  if (fd < 0) return errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (!may_change(w, fd)) return EPERM;
  if (times != 0 && !read_memory(pid, times, t, sizeof t, sizeof t)) return EFAULT;
  return utimensat(AT_FDCWD, link, times != 0 ? t : NULL, 0) == 0 ? 0 : errno;
}

/* Nobody is given anything: what is as it is wanted is done. */
static int change_owner(int fd, uint64_t user, uint64_t group) {
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) return errno;
  int same = ((uid_t)user == (uid_t)-1 || (uid_t)user == st.st_uid) &&
             ((gid_t)group == (gid_t)-1 || (gid_t)group == st.st_gid);
  return same ? 0 : EPERM;
}

static int answer(const struct sh_work *w, const struct seccomp_notif *n, int *file) {
  const __u64 *a = n->data.args;
  pid_t pid = (pid_t)n->pid;
  switch (n->data.nr) {
#ifdef SYS_chmod
    case SYS_chmod: return change_mode(w, *file = find(pid, AT_FDCWD, a[0], 0), a[1]);
    case SYS_chown:
    case SYS_lchown:
      return change_owner(*file = find(pid, AT_FDCWD, a[0], n->data.nr == SYS_lchown), a[1], a[2]);
#endif
    case SYS_fchown: return change_owner(*file = open_of(pid, (int)a[0]), a[1], a[2]);
    case SYS_fchownat:
      if (a[1] == 0) return EFAULT;
      *file = find(pid, (int)a[0], a[1], (a[4] & AT_SYMLINK_NOFOLLOW) != 0);
      return change_owner(*file, a[2], a[3]);
    case SYS_fchmod: return change_mode(w, *file = open_of(pid, (int)a[0]), a[1]);
    case SYS_fchmodat:
      if (a[1] == 0) return EFAULT;
      return change_mode(w, *file = find(pid, (int)a[0], a[1], 0), a[2]);
    case SYS_utimensat:
      if ((a[3] & ~(uint64_t)AT_SYMLINK_NOFOLLOW) != 0) return EINVAL;
      *file = find(pid, (int)a[0], a[1], (a[3] & AT_SYMLINK_NOFOLLOW) != 0);
      return change_times(w, pid, *file, a[2]);
    default: return ENOSYS;
  }
}

void sh_relay_answer(const struct sh_work *w, int listener) {
  union {
    struct seccomp_notif notice;
    char room[NOTICE_BYTES];
  } in;
  union {
    struct seccomp_notif_resp answer;
    char room[NOTICE_BYTES];
  } out;
  int file = -1;
  memset(&in, 0, sizeof in);
  memset(&out, 0, sizeof out);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in) != 0) return;
  out.answer.id = in.notice.id;
  out.answer.error = -answer(w, &in.notice, &file);
  if (file >= 0) close(file);
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out); /* fails when it has been killed */
}
