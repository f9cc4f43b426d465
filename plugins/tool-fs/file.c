/* file.c - one regular file, read whole.
 *
 * What is at a name is looked at before it is opened (O_PATH opens nothing: a
 * FIFO does not wait, a device is not touched), and opened by that descriptor,
 * so that what is opened is what was looked at. Whether a file is too large is
 * seen while it is read: sizes that the system tells may be of a sparse file,
 * of one that grows, or 0 for one of /proc.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)YOI_SDK_HARD(65536, 7))

int fs_look(int folder, const char *name, struct stat *out) {
  int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && fstat(fd, out) != 0) {
    int e = errno;
    close(fd);
    errno = e;
    fd = -1;
  }
  return fd;
}

int fs_open_name(int folder, const char *name, int flags, struct stat *out) {
  char self[64];
  int seen = fs_look(folder, name, out), fd = -1;
  if (seen < 0) return -1;
  if (S_ISREG(out->st_mode)) {
    snprintf(self, sizeof self, "/proc/self/fd/%d", seen);
    fd = open(self, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } else {
    errno = ENXIO;
  }
  int e = errno;
  close(seen);
  errno = e;
  return fd;
}

void fs_file_init(struct fs_file *f) {
  *f = (struct fs_file){.revision = ""};
  yoi_sdk_buf_init(&f->bytes, YOI_FS_FILE_BYTES_MAX + READ_BYTES);
}

void fs_file_release(struct fs_file *f) {
  yoi_sdk_buf_release(&f->bytes);
}

enum fs_read_end fs_file_read(struct fs_file *f, int fd) {
  yoi_sdk_buf_clear(&f->bytes);
  if (fstat(fd, &f->sb) != 0) return FS_FAILED;
  if (f->sb.st_size > YOI_FS_FILE_BYTES_MAX) return FS_TOO_LARGE;
  for (;;) {
    char *room = yoi_sdk_buf_reserve(&f->bytes, READ_BYTES);
    if (!room) return FS_NO_MEMORY;
    ssize_t n = read(fd, room, READ_BYTES);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FS_FAILED;
    if (n == 0) return FS_READ;
    f->bytes.len += (size_t)n;
    if (f->bytes.len > YOI_FS_FILE_BYTES_MAX) return FS_TOO_LARGE;
  }
}

yoi_status fs_file_load(struct fs_file *f, int fd, yoi_str path, yoi_error *err) {
  switch (fs_file_read(f, fd)) {
    case FS_READ:
      if (fs_revision(yoi_sdk_buf_str(&f->bytes), f->revision)) return YOI_OK;
      return yoi_sdk_fail_memory(err);
    case FS_TOO_LARGE:
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "'%s' has %lld bytes or more, and files of at most %d are read",
                          fs_show(path).text,
                          (long long)(f->sb.st_size > YOI_FS_FILE_BYTES_MAX
                                          ? f->sb.st_size
                                          : YOI_FS_FILE_BYTES_MAX + 1),
                          YOI_FS_FILE_BYTES_MAX);
    case FS_FAILED:
      return fs_fail_errno(err, errno, "read", path);
    default:
      return yoi_sdk_fail_memory(err);
  }
}

/* ---- text and binary ---- */

const char *fs_file_kind(yoi_str b) {
  static const struct {
    const char *head;
    size_t at, len;
    const char *kind;
  } kinds[] = {
      {"\x7f" "ELF", 0, 4, "a program or library (ELF)"},
      {"\x89PNG", 0, 4, "a PNG picture"},
      {"\xff\xd8\xff", 0, 3, "a JPEG picture"},
      {"GIF8", 0, 4, "a GIF picture"},
      {"WEBP", 8, 4, "a WebP picture"},
      {"%PDF-", 0, 5, "a PDF document"},
      {"PK\x03\x04", 0, 4, "a ZIP archive, or a document that is one"},
      {"\x1f\x8b", 0, 2, "compressed with gzip"},
      {"\xfd" "7zXZ", 0, 5, "compressed with xz"},
      {"\x28\xb5\x2f\xfd", 0, 4, "compressed with zstd"},
      {"ustar", 257, 5, "a tar archive"},
      {"SQLite format 3", 0, 15, "an SQLite database"},
      {"\xff\xfe", 0, 2, "text in UTF-16"},
      {"\xfe\xff", 0, 2, "text in UTF-16"},
  };
  int nul = b.len > 0 && memchr(b.ptr, 0, b.len) != NULL;
  if (!nul && yoi_sdk_utf8_valid(b)) return NULL;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (b.len >= kinds[i].at + kinds[i].len &&
        memcmp(b.ptr + kinds[i].at, kinds[i].head, kinds[i].len) == 0)
      return kinds[i].kind;
  return nul ? "binary" : "text in another encoding than UTF-8, or binary";
}

yoi_status fs_file_must_be_text(const struct fs_file *f, yoi_str path, yoi_error *err) {
  const char *kind = fs_file_kind(yoi_sdk_buf_str(&f->bytes));
  if (!kind) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "'%s' has %zu bytes and is %s: only text in UTF-8 is read",
                      fs_show(path).text, f->bytes.len, kind);
}

int fs_revision(yoi_str bytes, char out[FS_REVISION_SIZE]) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_sha256(bytes.ptr, bytes.len, sha)) return 0;
  yoi_sdk_hex(sha, FS_REVISION_SIZE / 2, out);
  out[FS_REVISION_SIZE - 1] = 0;
  return 1;
}

/* ---- lines ---- */

int fs_line(yoi_str bytes, size_t *at, yoi_str *out) {
  if (*at >= bytes.len) return 0;
  const char *begin = bytes.ptr + *at, *lf = memchr(begin, '\n', bytes.len - *at);
  out->ptr = begin;
  out->len = lf ? (size_t)(lf - begin) : bytes.len - *at;
  *at += out->len + 1;
  return 1;
}

size_t fs_lines(yoi_str bytes) {
  size_t n = 0, at = 0;
  yoi_str line;
  while (fs_line(bytes, &at, &line)) n++;
  return n;
}

int fs_crlf(yoi_str bytes) {
  size_t at = 0, seen = 0;
  yoi_str line;
  while (fs_line(bytes, &at, &line)) {
    if (at > bytes.len) break; /* the last one has no line feed */
    if (line.len == 0 || line.ptr[line.len - 1] != '\r') return 0;
    seen++;
  }
  return seen > 0;
}

void fs_put_line(struct yoi_sdk_buf *out, yoi_str line, size_t most) {
  if (line.len <= most) {
    yoi_sdk_buf_adds(out, line);
    return;
  }
  yoi_sdk_buf_add(out, line.ptr, yoi_sdk_utf8_cut(line, most));
  yoi_sdk_buf_addf(out, " ... [the line has %zu bytes]", line.len);
}
