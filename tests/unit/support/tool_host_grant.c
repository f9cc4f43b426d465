/* tool_host_grant.c - what a tool may have: grants, mounts, hosts.
 *
 * Written as the headers say it, without the host's code, so that a plugin is
 * tested against what is promised.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool_host_impl.h"

/* Calls each until it answers 1. */
static int each_word(const char *text, int (*each)(void *ctx, yoi_str word), void *ctx) {
  while (*text) {
    size_t n = strcspn(text, " ");
    if (n > 0 && each(ctx, (yoi_str){text, n})) return 1;
    text += n + (text[n] == ' ');
  }
  return 0;
}

static int same(void *ctx, yoi_str word) {
  return yoi_sdk_str_eq(*(const yoi_str *)ctx, word);
}

static int call_has(struct tool_host *th, uint64_t call, yoi_str grant) {
  struct tool_call *c = tool_call_find(th, call);
  return c && each_word(c->grants, same, &grant);
}

static yoi_status missing(yoi_error *err, yoi_str grant) {
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "the grant '%.*s' is missing", YOI_ARG(grant));
}

/* Whether the operator gives it. */
static yoi_status grant_check(const yoi_host *h, yoi_str grant, yoi_error *err) {
  struct tool_host *th = tool_host_from(h);
  char text[YOI_GRANT_MAX + 1];
  if (grant.len > YOI_GRANT_MAX || !memchr(grant.ptr, ':', grant.len))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "it is no grant");
  memcpy(text, grant.ptr, grant.len);
  text[grant.len] = 0;
  char *name = strchr(text, ':') + 1, *mode = strchr(name, ':');
  size_t len = mode ? (size_t)(mode - name) : strlen(name);
  if (strncmp(text, "mount:", 6) == 0) {
    struct tool_named *m = tool_named(th->mounts, (yoi_str){name, len}, 0);
    if (m && mode && (strcmp(mode, ":ro") == 0 || (m->writable && strcmp(mode, ":rw") == 0)))
      return YOI_OK;
  } else if (strncmp(text, "net:", 4) == 0) {
    if (tool_named(th->nets, (yoi_str){name, len}, 0)) return YOI_OK;
  } else if (tool_named(th->values, grant, 0)) {
    return YOI_OK;
  }
  return missing(err, grant);
}

struct giving {
  void (*each)(void *ctx, yoi_str grant);
  void *ctx;
};

static int give(void *ctx, yoi_str grant) {
  struct giving *g = ctx;
  g->each(g->ctx, grant);
  return 0;
}

static yoi_status grant_list(const yoi_host *h, uint64_t call,
                             void (*each)(void *ctx, yoi_str grant), void *ctx) {
  struct tool_call *c = tool_call_find(tool_host_from(h), call);
  if (!c) return YOI_NOT_FOUND;
  (void)each_word(c->grants, give, &(struct giving){each, ctx});
  return YOI_OK;
}

static yoi_status grant_value(const yoi_host *h, uint64_t call, yoi_str grant, char *buf,
                              size_t cap, size_t *out_len, yoi_error *err) {
  struct tool_host *th = tool_host_from(h);
  struct tool_named *v = tool_named(th->values, grant, 0);
  if (!v || !call_has(th, call, grant)) return missing(err, grant);
  *out_len = strlen(v->value);
  if (*out_len > cap)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "the value has %zu bytes", *out_len);
  memcpy(buf, v->value, *out_len);
  return YOI_OK;
}

const yoi_host_grant tool_grant_table = {
    .size = sizeof(yoi_host_grant),
    .check = grant_check,
    .list = grant_list,
    .value = grant_value,
};

/* ---- mounts ---- */

static int beneath(int root, const char *path, uint64_t flags, uint64_t mode) {
  struct open_how how = {.flags = flags | O_CLOEXEC,
                         .mode = mode,
                         .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  long fd = -1;
  for (int i = 0; i < 100; i++) { /* EAGAIN: a rename came between */
    fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0 || errno != EAGAIN) break;
  }
  return (int)fd;
}

static yoi_status refuse(yoi_error *err, int e, yoi_str path) {
  switch (e) {
    case ENOENT:
      return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "'%.*s' is not there", YOI_ARG(path));
    case EEXIST:
      (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%.*s' is there", YOI_ARG(path));
      return YOI_ALREADY_EXISTS;
    case EXDEV:
      return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "'%.*s' leads out of the mount",
                          YOI_ARG(path));
    case EACCES:
    case EPERM:
    case EROFS:
      return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "the system does not let it open '%.*s'",
                          YOI_ARG(path));
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EINVAL:
    case ENAMETOOLONG:
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%.*s' cannot be opened like that",
                          YOI_ARG(path));
    default: return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot open '%.*s'", YOI_ARG(path));
  }
}

/* A new folder: its parent beneath the root, then one component. */
static int new_folder(int root, char *path) {
  char *last = strrchr(path, '/');
  int parent;
  if (last) *last++ = 0;
  parent = beneath(root, last ? path : ".", O_PATH | O_DIRECTORY, 0);
  if (!last) last = path;
  if (parent < 0) return -1;
  int fd = -1;
  if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) errno = EEXIST;
  else if (mkdirat(parent, last, 0777) == 0)
    fd = openat(parent, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int e = errno;
  close(parent);
  errno = e;
  return fd;
}

/* What is there, looked at before it is opened. */
static int there(int root, const char *path, uint32_t flags) {
  char link[64];
  struct stat sb;
  int at = beneath(root, path, O_PATH, 0);
  if (at < 0) return -1;
  int folder = (flags & YOI_MOUNT_FOLDER) != 0, fd = -1;
  if (fstat(at, &sb) == 0) {
    if (folder ? S_ISDIR(sb.st_mode) : S_ISREG(sb.st_mode)) {
      int mode = (flags & YOI_MOUNT_WRITE) == 0 || folder ? O_RDONLY
                 : flags & YOI_MOUNT_READ                 ? O_RDWR
                                                          : O_WRONLY;
      snprintf(link, sizeof link, "/proc/self/fd/%d", at);
      fd = open(link, mode | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (folder ? O_DIRECTORY : 0));
    } else {
      errno = folder ? ENOTDIR : EINVAL;
    }
  }
  int e = errno;
  close(at);
  errno = e;
  return fd;
}

static yoi_status mount_open(const yoi_host *h, uint64_t call, yoi_str mount, yoi_str path,
                             uint32_t flags, int32_t *out_fd, yoi_error *err) {
  struct tool_host *th = tool_host_from(h);
  char grant[YOI_GRANT_MAX + 16], text[YOI_MOUNT_PATH_MAX + 1];
  int write = (flags & YOI_MOUNT_WRITE) != 0, granted;
  TOOL_MUST((flags & YOI_MOUNT_CREATE) == 0 || write);
  if (path.len == 0 || path.len > YOI_MOUNT_PATH_MAX || memchr(path.ptr, 0, path.len) ||
      path.ptr[0] == '/')
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "a path is relative and of 1 to %d bytes, 'src/main.c'",
                        YOI_MOUNT_PATH_MAX);
  snprintf(grant, sizeof grant, "mount:%.*s:rw", YOI_ARG(mount));
  granted = call_has(th, call, yoi_sdk_str(grant));
  if (!write && !granted) {
    grant[strlen(grant) - 1] = 'o';
    granted = call_has(th, call, yoi_sdk_str(grant));
  }
  struct tool_named *m = tool_named(th->mounts, mount, 0);
  if (!granted || !m || (write && !m->writable)) return missing(err, yoi_sdk_str(grant));
  memcpy(text, path.ptr, path.len);
  text[path.len] = 0;
  int fd;
  if ((flags & YOI_MOUNT_CREATE) == 0)
    fd = there(m->fd, text, flags);
  else if (flags & YOI_MOUNT_FOLDER)
    fd = new_folder(m->fd, text);
  else
    fd = beneath(m->fd, text,
                 O_CREAT | O_EXCL | (flags & YOI_MOUNT_READ ? O_RDWR : O_WRONLY), 0666);
  if (fd < 0) return refuse(err, errno, path);
  *out_fd = fd;
  return YOI_OK;
}

const yoi_host_mount tool_mount_table = {.size = sizeof(yoi_host_mount), .open = mount_open};

void tool_host_mount(struct tool_host *th, const char *name, const char *path, int writable) {
  tool_host_unmount(th, name);
  struct tool_named *m = tool_named(th->mounts, yoi_sdk_str(name), 1);
  m->value = realpath(path, NULL);
  TOOL_MUST(m->value != NULL);
  m->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  TOOL_MUST(m->fd >= 0);
  m->writable = writable;
}

void tool_host_unmount(struct tool_host *th, const char *name) {
  struct tool_named *m = tool_named(th->mounts, yoi_sdk_str(name), 0);
  if (!m) return;
  close(m->fd);
  free(m->value);
  *m = (struct tool_named){.fd = -1};
}

static void set_value(struct tool_named *all, const char *name, const char *value) {
  struct tool_named *n = tool_named(all, yoi_sdk_str(name), 1);
  free(n->value);
  n->value = strdup(value);
  TOOL_MUST(n->value != NULL);
}

void tool_host_value(struct tool_host *th, const char *grant, const char *json) {
  set_value(th->values, grant, json);
}

void tool_host_net(struct tool_host *th, const char *name, const char *entries) {
  set_value(th->nets, name, entries);
}

/* ---- hosts ---- */

struct asked {
  struct tool_host *th;
  yoi_str host;
  uint32_t port;
};

/* 1: of a range that names of others may not lead to. */
static int special(yoi_str address) {
  char text[INET6_ADDRSTRLEN];
  unsigned char b[16];
  if (address.len >= sizeof text) return 1;
  memcpy(text, address.ptr, address.len);
  text[address.len] = 0;
  if (inet_pton(AF_INET6, text, b) == 1) {
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (memcmp(b, mapped, sizeof mapped) != 0) return (b[0] & 0xe0) != 0x20; /* 2000::/3 */
    memmove(b, b + 12, 4);
  } else if (inet_pton(AF_INET, text, b) != 1) {
    return 1;
  }
  return b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 ||
         (b[0] == 100 && (b[1] & 0xc0) == 64) || (b[0] == 169 && b[1] == 254) ||
         (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168);
}

static int entry_fits(void *ctx, yoi_str entry) {
  struct asked *a = ctx;
  const char *colon = memrchr(entry.ptr, ':', entry.len);
  char port[16];
  TOOL_MUST(colon != NULL);
  yoi_str host = {entry.ptr, (size_t)(colon - entry.ptr)}, name = a->host;
  snprintf(port, sizeof port, "%u", a->port);
  if (!yoi_sdk_str_is((yoi_str){colon + 1, entry.len - host.len - 1}, port)) return 0;
  if (host.len >= 2 && host.ptr[0] == '[') host = (yoi_str){host.ptr + 1, host.len - 2};
  if (name.len > 1 && name.ptr[name.len - 1] == '.') name.len--;
  if (host.len > 2 && host.ptr[0] == '*') {
    host = (yoi_str){host.ptr + 1, host.len - 1}; /* ".NAME" */
    if (name.len <= host.len) return 0;
    name = (yoi_str){name.ptr + name.len - host.len, host.len};
  }
  return name.len == host.len && strncasecmp(name.ptr, host.ptr, host.len) == 0;
}

static int grant_fits(void *ctx, yoi_str grant) {
  struct asked *a = ctx;
  if (!yoi_sdk_str_starts(grant, YOI_LIT("net:"))) return 0;
  struct tool_named *n = tool_named(a->th->nets, (yoi_str){grant.ptr + 4, grant.len - 4}, 0);
  return n && each_word(n->value, entry_fits, a);
}

static int listed(struct tool_host *th, uint64_t call, yoi_str host, uint32_t port) {
  struct tool_call *c = tool_call_find(th, call);
  struct asked a = {th, host, port};
  return c && each_word(c->grants, grant_fits, &a);
}

static yoi_status net_check(const yoi_host *h, uint64_t call, yoi_str host, uint32_t port,
                            yoi_error *err) {
  if (listed(tool_host_from(h), call, host, port)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "'%.*s:%u' is not granted", YOI_ARG(host),
                      port);
}

static yoi_status net_check_address(const yoi_host *h, uint64_t call, yoi_str host, uint32_t port,
                                    yoi_str address, yoi_error *err) {
  yoi_status st = net_check(h, call, host, port, err);
  int loopback = yoi_sdk_str_starts(address, YOI_LIT("127.")) || yoi_sdk_str_is(address, "::1");
  if (st != YOI_OK || !special(address) || listed(tool_host_from(h), call, address, port))
    return st;
  if (loopback && host.len == 9 && strncasecmp(host.ptr, "localhost", 9) == 0) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "'%.*s' leads to a private address",
                      YOI_ARG(host));
}

const yoi_host_net tool_net_table = {
    .size = sizeof(yoi_host_net),
    .check = net_check,
    .check_address = net_check_address,
};
