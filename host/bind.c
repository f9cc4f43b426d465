/* host/bind.c - binding, so that "address in use" is the host's message and
 * a plugin that fails never holds a port.
 *
 * Each loop has a socket of its own (SO_REUSEPORT), so that the kernel spreads
 * connections and no loop hands them over. That option has a trap: a second
 * process of the same user with the same option joins in silently and takes
 * half of the connections. So the first socket binds without it, which fails
 * when anybody listens there, and gets it only then; the others join.
 *
 * A copy of each descriptor is kept, so that another ingress can go on with the
 * very sockets: whatever order they stop and start in, a connection that the
 * kernel has taken is accepted by one of them.
 *
 * A Unix socket is one, whatever the number of loops: two descriptors of one
 * socket would wake each loop for every connection. socket_file.c makes it. The
 * same holds for one that the application has bound (sockets.h): of that the
 * ingress gets a copy.
 */
#include "bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockets.h"

#define BACKLOG 1024 /* the kernel lowers it to somaxconn */

static void set_port(struct sockaddr_storage *a, in_port_t port) {
  if (a->ss_family == AF_INET)
    ((struct sockaddr_in *)a)->sin_port = port;
  else
    ((struct sockaddr_in6 *)a)->sin6_port = port;
}

static in_port_t port_of(const struct sockaddr_storage *a) {
  return a->ss_family == AF_INET ? ((const struct sockaddr_in *)a)->sin_port
                                 : ((const struct sockaddr_in6 *)a)->sin6_port;
}

static void write_address(const struct sockaddr_storage *a, char out[YOI__ADDRESS_MAX]) {
  char host[INET6_ADDRSTRLEN] = "?";
  const char *path = ((const struct sockaddr_un *)a)->sun_path; /* or '\0' and a name */
  if (a->ss_family == AF_UNIX) {
    (void)snprintf(out, YOI__ADDRESS_MAX, "unix:%s%.107s", *path ? "" : "@", path + !*path);
    return;
  }
  const void *bytes = a->ss_family == AF_INET
                          ? (const void *)&((const struct sockaddr_in *)a)->sin_addr
                          : (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;
  (void)inet_ntop(a->ss_family, bytes, host, sizeof host);
  (void)snprintf(out, YOI__ADDRESS_MAX, a->ss_family == AF_INET ? "%s:%u" : "[%s]:%u", host,
                 (unsigned)ntohs(port_of(a)));
}

static int set(int fd, int level, int option) {
  int on = 1;
  return setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/* A listening socket, or -1 with errno. */
static int open_one(const struct sockaddr_storage *a, socklen_t len, int share, int first) {
  int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int ok = set(fd, SOL_SOCKET, SO_REUSEADDR) &&
           (a->ss_family != AF_INET6 || set(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
           (first || !share || set(fd, SOL_SOCKET, SO_REUSEPORT)) &&
           bind(fd, (const struct sockaddr *)a, len) == 0 &&
           (!first || !share || set(fd, SOL_SOCKET, SO_REUSEPORT)) && listen(fd, BACKLOG) == 0;
  if (ok) return fd;
  int cause = errno;
  close(fd);
  errno = cause;
  return -1;
}

static yoi_status failed(const struct yoi__config_ingress *in, int cause, yoi_error *err) {
  const char *why = cause == EADDRINUSE                  ? "address in use"
                    : cause == EADDRNOTAVAIL             ? "this machine does not have the address"
                    : cause == EACCES                    ? "not permitted"
                    : cause == EMFILE || cause == ENFILE ? "too many open files"
                    : cause == EAFNOSUPPORT              ? "address family not supported"
                    : cause == EEXIST                    ? "the path is not a socket"
                    : cause == EPERM   ? "others may write to the folder of the socket"
                    : cause == ENOENT  ? "the folder of the socket does not exist"
                    : cause == ENOTDIR ? "the folder of the socket is no folder"
                    : cause == EBUSY   ? "another program holds the lock of the folder"
                                       : "the system refuses";
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "cannot listen on '%.*s': %s",
                               YOI_ARG(in->listen), why);
  char number[32];
  (void)snprintf(number, sizeof number, "errno %d", cause);
  yoi_sdk_fail_private(
      err, "%s",
      cause == EADDRINUSE ? "another program listens there, perhaps another yoi-host, or has a "
                            "connection from there; end it, or give this one a config with "
                            "another 'listen'"
      : cause == EACCES && in->address.ss_family != AF_UNIX ? "ports below 1024 need a privilege"
                                                            : number);
  return st;
}

/* What needs no bind, or is one socket however many loops there are. */
static yoi_status bind_one(const struct yoi__config_ingress *in, struct yoi__bound *out,
                           yoi_error *err) {
  int fd = in->socket != NULL
               ? fcntl(in->socket->fd, F_DUPFD_CLOEXEC, 0)
               : yoi__socket_file_listen((const void *)&in->address, BACKLOG, &out->file);
  if (fd < 0) return failed(in, errno, err);
  out->fds[out->n++] = fd;
  write_address(&in->address, out->address);
  if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0) return YOI_OK;
  yoi_status st = failed(in, errno, err);
  yoi__bound_close(out);
  return st;
}

yoi_status yoi__bind(const struct yoi__config_ingress *in, uint32_t n, struct yoi__bound *out,
                     yoi_error *err) {
  struct sockaddr_storage a = in->address;
  out->n = out->n_kept = 0;
  out->file.is_there = 0;
  if (in->socket != NULL || a.ss_family == AF_UNIX) return bind_one(in, out, err);
  for (uint32_t i = 0; i < n; i++) {
    int fd = open_one(&a, in->address_len, n > 1, i == 0);
    if (fd < 0) {
      yoi_status st = failed(in, errno, err);
      yoi__bound_close(out);
      return st;
    }
    out->fds[out->n++] = fd;
    if (i > 0) continue;
    struct sockaddr_storage real;
    socklen_t len = sizeof real;
    if (getsockname(fd, (struct sockaddr *)&real, &len) == 0) set_port(&a, port_of(&real));
  }
  write_address(&a, out->address);
  return YOI_OK;
}

/* All of them once more; 0: none. */
static int copy_fds(const int32_t *from, uint32_t n, int32_t *out) {
  for (uint32_t i = 0; i < n; i++) {
    out[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 0);
    if (out[i] >= 0) continue;
    while (i-- > 0) close(out[i]);
    return 0;
  }
  return 1;
}

static yoi_status no_more_files(const struct yoi__bound *l, yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "cannot listen on '%s': too many open files",
                      l->address);
}

yoi_status yoi__bound_keep(struct yoi__bound *l, yoi_error *err) {
  if (!copy_fds(l->fds, l->n, l->kept)) return no_more_files(l, err);
  l->n_kept = l->n;
  return YOI_OK;
}

yoi_status yoi__bound_take(const struct yoi__bound *from, struct yoi__bound *out, yoi_error *err) {
  if (!copy_fds(from->kept, from->n_kept, out->fds)) return no_more_files(from, err);
  out->n = from->n_kept;
  out->n_kept = 0;
  memcpy(out->address, from->address, sizeof out->address);
  out->file.is_there = 0;
  return YOI_OK;
}

void yoi__bound_inherit(struct yoi__bound *to, struct yoi__bound *from) {
  to->file = from->file;
  from->file.is_there = 0;
}

void yoi__bound_forget(struct yoi__bound *l) {
  for (uint32_t i = 0; i < l->n_kept; i++) close(l->kept[i]);
  l->n_kept = 0;
}

void yoi__bound_close(struct yoi__bound *l) {
  for (uint32_t i = 0; i < l->n; i++) close(l->fds[i]);
  l->n = 0;
  yoi__bound_forget(l);
  yoi__socket_file_remove(&l->file);
}
