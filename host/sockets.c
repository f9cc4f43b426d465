/* host/sockets.c - sockets that the application has bound, and a service manager
 * for it.
 *
 * What such a socket lets in is not to be read off the config, so the kernel is
 * asked: from here on its address is treated like one that the config has, with
 * the same rules for what others can reach.
 *
 * Invariants:
 *  1. The host has descriptors of its own, closed on exec, until it is freed: a
 *     config may name a socket, the next one not, and the one after it again.
 *  2. What is taken listens, and is a stream whose address the host can read; a
 *     name means one socket.
 *  3. Nothing is removed from a file system: who has bound a path owns it.
 */
#include "sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>

const struct yoi__socket *yoi__sockets_find(const struct yoi__sockets *s, yoi_str name) {
  for (size_t i = 0; i < s->n; i++)
    if (yoi_sdk_str_is(name, s->all[i].name)) return &s->all[i];
  return NULL;
}

static int is(int fd, int option, int expected) {
  int value = 0;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == expected;
}

/* NULL, or what was expected of it. */
static const char *look(struct yoi__socket *s) {
  s->address_len = sizeof s->address;
  if (!is(s->fd, SO_TYPE, SOCK_STREAM) || !is(s->fd, SO_ACCEPTCONN, 1) ||
      getsockname(s->fd, (struct sockaddr *)&s->address, &s->address_len) != 0)
    return "a stream socket that listens";
  sa_family_t f = s->address.ss_family;
  return f == AF_INET || f == AF_INET6 || f == AF_UNIX ? NULL : "one of IPv4, IPv6 or Unix";
}

static yoi_status take(struct yoi__sockets *all, const yoi_socket *g, yoi_error *err) {
  struct yoi__socket *s = &all->all[all->n];
  const char *expected = NULL;
  if (!yoi_sdk_name_valid(g->name)) expected = "a name of 1 to 64 of A-Z a-z 0-9 _ - .";
  else if (yoi__sockets_find(all, g->name) != NULL) expected = "a name of its own";
  else if (g->reserved != 0) expected = "0 in its field 'reserved'";
  else if ((s->fd = fcntl(g->fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
    memcpy(s->name, g->name.ptr, g->name.len);
    all->n++;
    expected = look(s);
  } else if (errno == EBADF) {
    expected = "an open descriptor";
  } else {
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "too many open files");
  }
  if (expected == NULL) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "socket '%.*s': expected %s",
                      (int)yoi_sdk_utf8_cut(g->name, YOI_NAME_MAX), g->name.ptr, expected);
}

yoi_status yoi__sockets_take(const yoi_socket *given, size_t n, struct yoi__sockets **out,
                             yoi_error *err) {
  yoi_status st = YOI_OK;
  if (n > (given != NULL ? YOI_INGRESS_MAX : 0))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "options: expected at most %d sockets",
                        given != NULL ? YOI_INGRESS_MAX : 0);
  struct yoi__sockets *s = yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  for (size_t i = 0; i < n && st == YOI_OK; i++) st = take(s, &given[i], err);
  if (st == YOI_OK) *out = s;
  else yoi__sockets_free(s);
  return st;
}

void yoi__sockets_free(struct yoi__sockets *s) {
  for (size_t i = 0; s != NULL && i < s->n; i++) close(s->all[i].fd);
  yoi_sdk_free(s);
}
