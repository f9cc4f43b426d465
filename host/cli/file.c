/* file.c - files, as a command line reads and writes them.
 *
 * A file is written beside its place and then put there by rename(2), so that
 * whoever reads meanwhile, and whoever looks after a power cut, finds the old
 * one or the new one, whole. Only a regular file is ever replaced: a device or
 * a pipe that a name leads to is not taken away from the system.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define READ_FIRST YOI_SDK_HARD(16384, 16) /* most files are smaller */
#define SUFFIX_BYTES 8                     /* of randomness, in the name of what is being written */

char *cli_file_read(int fd, size_t max, size_t *out_len) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, max + 1);
  for (;;) {
    size_t room = max + 1 - b.len;
    char *at = yoi_sdk_buf_reserve(&b, room < READ_FIRST ? room : READ_FIRST);
    ssize_t n = at ? read(fd, at, yoi_sdk_short(room < READ_FIRST ? room : READ_FIRST)) : -1;
    if (!at) errno = ENOMEM;
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) b.len += (size_t)n;
    if (n > 0) b.data[b.len] = 0;
    if (n > 0 && b.len > max) errno = EFBIG;
    if (n < 0 || b.len > max) {
      int saved = errno;
      yoi_sdk_buf_release(&b);
      errno = saved;
      return NULL;
    }
    if (n > 0) continue;
    char *text = yoi_sdk_buf_take(&b, out_len);
    if (!text) errno = ENOMEM;
    return text;
  }
}

static int write_all(int fd, yoi_str bytes) {
  while (bytes.len > 0) {
    ssize_t n = write(fd, bytes.ptr, yoi_sdk_short(bytes.len));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return 0;
    bytes.ptr += n;
    bytes.len -= (size_t)n;
  }
  return 1;
}

/* NULL, or why nothing may be put there. */
static const char *occupied(const char *path) {
  struct stat sb;
  if (lstat(path, &sb) != 0) return errno == ENOENT ? NULL : strerror(errno);
  if (S_ISREG(sb.st_mode)) return NULL;
  return S_ISDIR(sb.st_mode)   ? "it is a folder"
         : S_ISLNK(sb.st_mode) ? "it is a symbolic link; name the file that it leads to"
                               : "it is no regular file";
}

/* ".NAME.0123456789abcdef" in the same folder; NULL: no memory, or no order. */
static char *beside(const char *path) {
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  uint8_t random[SUFFIX_BYTES];
  char suffix[2 * SUFFIX_BYTES];
  struct yoi_sdk_buf b;
  if (!yoi_sdk_random(random, sizeof random)) return NULL;
  yoi_sdk_hex(random, sizeof random, suffix);
  yoi_sdk_buf_init(&b, strlen(path) + sizeof suffix + sizeof "..");
  yoi_sdk_buf_add(&b, path, (size_t)(name - path));
  yoi_sdk_buf_addc(&b, '.');
  yoi_sdk_buf_adds(&b, yoi_sdk_str(name));
  yoi_sdk_buf_addc(&b, '.');
  yoi_sdk_buf_add(&b, suffix, sizeof suffix);
  size_t n;
  return yoi_sdk_buf_take(&b, &n);
}

int cli_file_write(const char *path, yoi_str bytes) {
  const char *why = occupied(path);
  char *temporary = why ? NULL : beside(path);
  int fd = -1, made = 0;
  if (!why && !temporary) why = "no memory";
  if (!why) fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
  made = fd >= 0;
  if (!why && (!made || !write_all(fd, bytes) || fsync(fd) != 0)) why = strerror(errno);
  if (made && close(fd) != 0 && !why) why = strerror(errno);
  if (!why && rename(temporary, path) != 0) why = strerror(errno);
  if (why) {
    cli_say("cannot write '%s': %s", path, why);
    if (made) unlink(temporary);
  }
  yoi_sdk_free(temporary);
  return !why;
}
