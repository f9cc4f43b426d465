/* host/socket_file.c - a listening Unix socket and the file that names it.
 *
 * A Unix socket has what a port has not: a file, which is there before anybody
 * listens and stays when its process was killed. What follows from that:
 *
 *  1. It has mode 0600 from the moment it exists. On Linux bind gives the file
 *     the mode of the socket's own inode (unix(7), fchmod before bind), so no
 *     umask has to be changed, which other threads would see.
 *  2. Its folder is opened and judged by the descriptor: it is this user's or
 *     root's, and nobody else may write to it, unless it is sticky. In another
 *     one anybody could put a socket of his own in this one's place.
 *  3. A socket on which nobody listens is left over and is replaced; one that
 *     answers is `address in use`; what is no socket is never removed.
 *  4. Looking, removing and binding are one step for all who do it this way:
 *     the folder is locked meanwhile (flock), or two processes that start at
 *     once would each take the other's fresh socket for a left-over.
 *  5. At the end the file is removed if it is still ours. The number of an
 *     inode is used again once nobody holds it, so it is held.
 */
#include "socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_TRIES 100 /* 10 ms each: what others do under it takes less */
#define LOCK_STEP_NS 10000000

static void close_keep(int fd) {
  int cause = errno;
  if (fd >= 0) (void)close(fd);
  errno = cause;
}

/* The folder of a path, opened; its last part in *name. */
static int open_folder(const char *path, const char **name) {
  char folder[sizeof((struct sockaddr_un *)0)->sun_path];
  const char *slash = strrchr(path, '/');
  struct stat sb;
  size_t n = slash == path ? 1 : (size_t)(slash - path);
  memcpy(folder, path, n);
  folder[n] = '\0';
  *name = slash + 1;
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  errno = EPERM;
  if (fstat(fd, &sb) == 0 && (sb.st_uid == geteuid() || sb.st_uid == 0) &&
      ((sb.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (sb.st_mode & S_ISVTX)))
    return fd;
  close_keep(fd);
  return -1;
}

static int lock(int dir) {
  for (int i = 0; i < LOCK_TRIES; i++) {
    const struct timespec step = {.tv_nsec = LOCK_STEP_NS};
    if (flock(dir, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return -1;
    (void)nanosleep(&step, NULL);
  }
  errno = EBUSY;
  return -1;
}

/* 1: somebody accepts there, or is too busy to. 0: nobody does. */
static int is_live(const struct sockaddr_un *at) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return 1;
  int live = connect(fd, (const struct sockaddr *)at, sizeof *at) == 0 || errno != ECONNREFUSED;
  (void)close(fd);
  return live;
}

/* Takes a left-over away. With the lock held. */
static int make_room(int dir, const char *name, const struct sockaddr_un *at) {
  struct stat sb;
  if (fstatat(dir, name, &sb, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  errno = EEXIST;
  if (!S_ISSOCK(sb.st_mode)) return -1;
  errno = EADDRINUSE;
  if (is_live(at)) {
    errno = EADDRINUSE;
    return -1;
  }
  if (unlinkat(dir, name, 0) == 0) return 0;
  if (errno == EPERM) errno = EACCES; /* a sticky folder, and not our file */
  return -1;
}

/* Makes the socket. With the lock held. */
static int make(const struct sockaddr_un *at, int backlog, struct yoi__socket_file *f) {
  struct stat sb;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
      bind(fd, (const struct sockaddr *)at, sizeof *at) != 0) {
    close_keep(fd);
    return -1;
  }
  f->file_fd = openat(f->dir_fd, f->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  int ok = f->file_fd >= 0 && fstat(f->file_fd, &sb) == 0;
  if (ok && (!S_ISSOCK(sb.st_mode) || (sb.st_mode & (S_IRWXG | S_IRWXO)) != 0)) {
    errno = EPERM; /* a file system that has modes of its own */
    ok = 0;
  }
  if (ok && listen(fd, backlog) == 0) return fd;
  int cause = errno;
  (void)unlinkat(f->dir_fd, f->name, 0);
  if (f->file_fd >= 0) (void)close(f->file_fd);
  (void)close(fd);
  errno = cause;
  return -1;
}

int yoi__socket_file_listen(const struct sockaddr_un *at, int backlog,
                            struct yoi__socket_file *out) {
  const char *name;
  struct yoi__socket_file f = {.is_there = 1, .file_fd = -1};
  int fd = -1;
  f.dir_fd = open_folder(at->sun_path, &name);
  if (f.dir_fd < 0) return -1;
  memcpy(f.name, name, strlen(name) + 1);
  if (lock(f.dir_fd) == 0) {
    if (make_room(f.dir_fd, f.name, at) == 0) fd = make(at, backlog, &f);
    int cause = errno;
    (void)flock(f.dir_fd, LOCK_UN);
    errno = cause;
  }
  if (fd < 0) close_keep(f.dir_fd);
  else *out = f;
  return fd;
}

static int is_ours(const struct yoi__socket_file *f) {
  struct stat there, ours;
  return fstatat(f->dir_fd, f->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         fstat(f->file_fd, &ours) == 0 && there.st_dev == ours.st_dev &&
         there.st_ino == ours.st_ino;
}

void yoi__socket_file_remove(struct yoi__socket_file *f) {
  if (!f->is_there) return;
  if (lock(f->dir_fd) == 0) {
    if (is_ours(f)) (void)unlinkat(f->dir_fd, f->name, 0);
    (void)flock(f->dir_fd, LOCK_UN);
  }
  (void)close(f->file_fd);
  (void)close(f->dir_fd);
  f->is_there = 0;
}
