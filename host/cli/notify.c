/* notify.c - tells a service manager how far the process is.
 *
 * systemd (Type=notify) and others that speak its protocol name a Unix
 * datagram socket in NOTIFY_SOCKET; each message is lines of NAME=value in one
 * datagram, sd_notify(3). A manager may hold back what depends on this host
 * until READY=1 has come, which is the difference between "started" and
 * "answers". Without the variable nothing is sent.
 *
 * A path that begins with '@' is an abstract address. A message that cannot be
 * sent is said and changes nothing: the manager's own limit of time decides.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

static int address_of(const char *path, struct sockaddr_un *out, socklen_t *out_len) {
  size_t n = strlen(path);
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof out->sun_path) return 0;
  memcpy(out->sun_path, path, n);
  *out_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
  if (path[0] == '@') out->sun_path[0] = '\0';
  return 1;
}

const char *cli_notify(const char *message) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address;
  socklen_t len = 0;
  size_t n = strlen(message);
  if (path == NULL || path[0] == '\0') return NULL;
  if (!address_of(path, &address, &len)) return "it is neither a path nor an abstract address";
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return strerror(errno);
  ssize_t sent = sendto(fd, message, n, MSG_NOSIGNAL, (struct sockaddr *)&address, len);
  const char *why = sent == (ssize_t)n ? NULL : strerror(errno);
  close(fd);
  return why;
}
