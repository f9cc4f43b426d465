/* landlock.c - files, TCP, sockets and signals without a namespace; see
 * sdk/confine.h.
 *
 *  1. Everything that is asked for and that the kernel knows is handled, so it
 *     is refused where no rule gives it.
 *  2. Rules are made from descriptors: what was opened is what is given,
 *     whatever the names lead to later. A file of the system that is replaced
 *     later is another one; where that is usual its folder is given.
 *  3. A ruleset has no more fields than its kernel knows: others must be 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/confine.h>

struct ruleset {
  uint64_t fs, net, scoped;
};
struct __attribute__((packed)) beneath {
  uint64_t allowed;
  int32_t parent;
};
#define BENEATH 1
#define VERSION 1u

#define READ YOI_SDK_LANDLOCK_READ_FILE
#define READS YOI_SDK_LANDLOCK_READS
#define RUNS (YOI_SDK_LANDLOCK_READS | YOI_SDK_LANDLOCK_EXECUTE)
#define DEVICE (YOI_SDK_LANDLOCK_READ_FILE | YOI_SDK_LANDLOCK_WRITE_FILE)
#define OF_FILES                                                                   \
  (YOI_SDK_LANDLOCK_EXECUTE | YOI_SDK_LANDLOCK_WRITE_FILE | YOI_SDK_LANDLOCK_READ_FILE | \
   YOI_SDK_LANDLOCK_TRUNCATE | YOI_SDK_LANDLOCK_IOCTL_DEV)

#define LIBRARIES YOI_SDK_SYSTEM_LIBRARIES
#define NETWORK YOI_SDK_SYSTEM_NETWORK
#define PROGRAMS YOI_SDK_SYSTEM_PROGRAMS

static const struct {
  const char *path;
  uint32_t allowed, which;
} system_paths[] = {
    {"/usr", RUNS, PROGRAMS},
    {"/bin", RUNS, PROGRAMS},
    {"/sbin", RUNS, PROGRAMS},
    {"/lib", RUNS, PROGRAMS},
    {"/lib32", RUNS, PROGRAMS},
    {"/lib64", RUNS, PROGRAMS},
    {"/libx32", RUNS, PROGRAMS},
    {"/lib", READS, LIBRARIES},
    {"/lib64", READS, LIBRARIES},
    {"/usr/lib", READS, LIBRARIES},
    {"/usr/lib64", READS, LIBRARIES},
    {"/usr/local/lib", READS, LIBRARIES},
    {"/usr/local/lib64", READS, LIBRARIES},
    {"/usr/share/zoneinfo", READS, LIBRARIES},
    {"/etc/alternatives", READS, LIBRARIES | PROGRAMS},
    {"/etc/ld.so.cache", READ, LIBRARIES | PROGRAMS},
    {"/etc/ld.so.conf", READ, PROGRAMS},
    {"/etc/ld.so.conf.d", READS, PROGRAMS},
    {"/etc/localtime", READ, LIBRARIES | PROGRAMS},
    {"/etc/ssl/openssl.cnf", READ, NETWORK},
    {"/etc/ssl/certs", READS, NETWORK | PROGRAMS},
    {"/etc/pki/tls/certs", READS, NETWORK | PROGRAMS},
    {"/etc/pki/ca-trust/extracted", READS, NETWORK | PROGRAMS},
    {"/usr/share/ca-certificates", READS, NETWORK},
    {"/usr/local/share/ca-certificates", READS, NETWORK},
    {"/etc/passwd", READ, PROGRAMS}, /* names for ids; hashes are elsewhere */
    {"/etc/group", READ, PROGRAMS},
    {"/etc/nsswitch.conf", READ, NETWORK | PROGRAMS},
    {"/etc/resolv.conf", READ, NETWORK},
    {"/etc/hosts", READ, NETWORK},
    {"/etc/host.conf", READ, NETWORK},
    {"/etc/gai.conf", READ, NETWORK},
    {"/etc/services", READ, NETWORK},
    {"/etc/protocols", READ, NETWORK},
    /* Where resolv.conf leads when something replaces it now and then. */
    {"/run/systemd/resolve", READ, NETWORK},
    {"/run/NetworkManager/resolv.conf", READ, NETWORK},
    {"/run/resolvconf", READ, NETWORK},
    {"/dev/null", DEVICE, LIBRARIES | PROGRAMS},
    {"/dev/zero", DEVICE, LIBRARIES | PROGRAMS},
    {"/dev/full", DEVICE, PROGRAMS},
    {"/dev/random", READ, LIBRARIES | PROGRAMS},
    {"/dev/urandom", READ, LIBRARIES | PROGRAMS},
    /* Not the rest of /proc: it has the command lines of all processes. */
    {"/proc/cpuinfo", READ, PROGRAMS},
    {"/proc/meminfo", READ, PROGRAMS},
    {"/proc/version", READ, PROGRAMS},
    {"/proc/filesystems", READ, PROGRAMS},
    {"/proc/sys/vm/overcommit_memory", READ, PROGRAMS},
};

int yoi_sdk_landlock_version(void) {
  long version = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, VERSION);
  return version > 0 ? (int)version : 0;
}

/* What a version knows of what can be done with files. */
static uint64_t known(int version) {
  if (version >= 5) return YOI_SDK_LANDLOCK_ALL;
  if (version >= 3) return YOI_SDK_LANDLOCK_ALL & ~YOI_SDK_LANDLOCK_IOCTL_DEV;
  return version == 2 ? (1u << 14) - 1 : (1u << 13) - 1; /* from 2 on: links to elsewhere */
}

int yoi_sdk_landlock_begin(struct yoi_sdk_landlock *r, int needed) {
  r->fd = -1;
  r->version = yoi_sdk_landlock_version();
  if (r->version == 0 || r->version < needed) return EOPNOTSUPP;
  r->fs &= known(r->version);
  if (r->version < 4) r->net = 0;
  if (r->version < 6) r->scoped = 0;
  const struct ruleset asked = {.fs = r->fs, .net = r->net, .scoped = r->scoped};
  size_t size = r->version >= 6   ? sizeof asked
                : r->version >= 4 ? offsetof(struct ruleset, scoped)
                                  : offsetof(struct ruleset, net);
  if ((r->fs | r->net | r->scoped) == 0) return EOPNOTSUPP;
  r->fd = (int)syscall(SYS_landlock_create_ruleset, &asked, size, 0u);
  return r->fd >= 0 ? 0 : errno;
}

int yoi_sdk_landlock_add(struct yoi_sdk_landlock *r, int fd, uint64_t allowed) {
  struct beneath b = {.allowed = allowed & r->fs, .parent = fd};
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  if (!S_ISDIR(st.st_mode)) b.allowed &= OF_FILES;
  if (b.allowed == 0) return 0; /* what is not handled is not refused */
  return syscall(SYS_landlock_add_rule, r->fd, BENEATH, &b, 0u) == 0 ? 0 : errno;
}

int yoi_sdk_landlock_add_path(struct yoi_sdk_landlock *r, const char *path, uint64_t allowed) {
  int fd = open(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : errno;
  int error = yoi_sdk_landlock_add(r, fd, allowed);
  close(fd);
  return error;
}

int yoi_sdk_landlock_add_system(struct yoi_sdk_landlock *r, uint32_t which) {
  int error = 0;
  for (size_t i = 0; i < sizeof system_paths / sizeof *system_paths && error == 0; i++)
    if (system_paths[i].which & which)
      error = yoi_sdk_landlock_add_path(r, system_paths[i].path, system_paths[i].allowed);
  return error;
}

int yoi_sdk_landlock_end(struct yoi_sdk_landlock *r) {
  int error = 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_landlock_restrict_self, r->fd, 0u) != 0)
    error = errno;
  yoi_sdk_landlock_forget(r);
  return error;
}

void yoi_sdk_landlock_forget(struct yoi_sdk_landlock *r) {
  if (r->fd >= 0) close(r->fd);
  r->fd = -1;
}
