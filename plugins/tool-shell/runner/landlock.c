/* landlock.c - files, sockets and signals without a namespace.
 *
 *  1. Version 6 of its interface (Linux 6.12) is needed: earlier ones let a
 *     command signal every process of the user, the host among them.
 *  2. Everything that the version knows is handled, so it is refused where no
 *     rule gives it. Rules are made from descriptors: what was opened is what
 *     is given, whatever the names lead to later.
 *  3. The scope stands around init (main.c) and all that it starts; the rules
 *     stand inside, around the command. So init, and only init, reaches the
 *     whole of it with one kill(-1), and the command cannot reach init.
 *
 * The numbers are those of linux/landlock.h; they are here since the headers
 * of a system are often older than its kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner.h"

struct ruleset {
  uint64_t fs, net, scoped;
};
struct __attribute__((packed)) beneath {
  uint64_t allowed;
  int32_t parent;
};
#define BENEATH 1
#define VERSION 1u
#define NEEDED 6

#define EXECUTE (1u << 0)
#define WRITE_FILE (1u << 1)
#define READ_FILE (1u << 2)
#define READ_DIR (1u << 3)
#define MAKE_CHAR (1u << 6)
#define MAKE_BLOCK (1u << 11)
#define TRUNCATE (1u << 14)
#define IOCTL_DEV (1u << 15)
#define ALL ((1u << 16) - 1)
#define NET_ALL 3u    /* bind, connect */
#define SCOPE_ALL 3u  /* abstract sockets, signals */

#define READS (EXECUTE | READ_FILE | READ_DIR)
#define WRITES (ALL & ~(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV))
#define OF_FILES (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE)
#define DEVICE (READ_FILE | WRITE_FILE)

static const struct {
  const char *path;
  uint32_t allowed;
  int network; /* only with one */
} system_paths[] = {
    {"/usr", READS, 0},
    {"/bin", READS, 0},
    {"/sbin", READS, 0},
    {"/lib", READS, 0},
    {"/lib32", READS, 0},
    {"/lib64", READS, 0},
    {"/libx32", READS, 0},
    {"/etc/alternatives", READS, 0},
    {"/etc/ld.so.cache", READ_FILE, 0},
    {"/etc/ld.so.conf", READ_FILE, 0},
    {"/etc/ld.so.conf.d", READS, 0},
    {"/etc/ssl/certs", READS, 0},
    {"/etc/pki/tls/certs", READS, 0},
    {"/etc/pki/ca-trust/extracted", READS, 0},
    {"/etc/localtime", READ_FILE, 0},
    {"/etc/passwd", READ_FILE, 0}, /* names for ids; hashes are elsewhere */
    {"/etc/group", READ_FILE, 0},
    {"/etc/nsswitch.conf", READ_FILE, 0},
    {"/etc/resolv.conf", READ_FILE, 1},
    {"/etc/hosts", READ_FILE, 1},
    {"/etc/services", READ_FILE, 1},
    {"/etc/protocols", READ_FILE, 1},
    {"/dev/null", DEVICE, 0},
    {"/dev/zero", DEVICE, 0},
    {"/dev/full", DEVICE, 0},
    {"/dev/random", READ_FILE, 0},
    {"/dev/urandom", READ_FILE, 0},
    /* Not the rest of /proc: it has the command lines of all processes. */
    {"/proc/cpuinfo", READ_FILE, 0},
    {"/proc/meminfo", READ_FILE, 0},
    {"/proc/version", READ_FILE, 0},
    {"/proc/filesystems", READ_FILE, 0},
    {"/proc/sys/vm/overcommit_memory", READ_FILE, 0},
};

static int restrict_self(int fd, const char **out_what) {
  *out_what = "restrict itself with landlock";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return syscall(SYS_landlock_restrict_self, fd, 0u) == 0 ? 0 : errno;
}

static int ruleset_new(const struct ruleset *r, int *out_fd, const char **out_what) {
  *out_what = "use landlock: it needs version 6, of Linux 6.12";
  long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, VERSION);
  if (version < 0) return errno;
  if (version < NEEDED) return EOPNOTSUPP;
  *out_what = "make a landlock ruleset";
  *out_fd = (int)syscall(SYS_landlock_create_ruleset, r, sizeof *r, 0u);
  return *out_fd >= 0 ? 0 : errno;
}

int sh_scope(const char **out_what) {
  struct ruleset r = {.scoped = SCOPE_ALL};
  int fd, error = ruleset_new(&r, &fd, out_what);
  if (error != 0) return error;
  error = restrict_self(fd, out_what);
  close(fd);
  return error;
}

static int add(int ruleset, int fd, uint32_t allowed) {
  struct beneath b = {.allowed = allowed, .parent = fd};
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  if (!S_ISDIR(st.st_mode)) b.allowed &= OF_FILES;
  return syscall(SYS_landlock_add_rule, ruleset, BENEATH, &b, 0u) == 0 ? 0 : errno;
}

static int add_path(int ruleset, const char *path, uint32_t allowed) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == EACCES ? 0 : errno; /* then nobody gets it */
  int error = add(ruleset, fd, allowed);
  close(fd);
  return error;
}

int sh_landlock(const struct sh_work *w, const char **out_what) {
  struct ruleset r = {.fs = ALL, .net = w->job.network ? 0 : NET_ALL, .scoped = SCOPE_ALL};
  int fd, error = ruleset_new(&r, &fd, out_what);
  if (error != 0) return error;
  *out_what = "add a landlock rule";
  for (size_t i = 0; i < sizeof system_paths / sizeof *system_paths && error == 0; i++)
    if (!system_paths[i].network || w->job.network)
      error = add_path(fd, system_paths[i].path, system_paths[i].allowed);
  if (error == 0) error = add(fd, SH_FD_MOUNT, w->job.writable ? WRITES : READS);
  if (error == 0 && w->tmp != NULL) error = add_path(fd, w->tmp, WRITES);
  if (error == 0) error = restrict_self(fd, out_what);
  close(fd);
  return error;
}
