/* call.c - what the tools of files share: arguments, time, names, failures. */
#include "call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

yoi_str fs_text(const struct fs_call *c, const char *name, yoi_str otherwise) {
  (void)yoi_sdk_json_str(yoi_sdk_json_get(c->arguments, name), &otherwise);
  return otherwise;
}

int64_t fs_number(const struct fs_call *c, const char *name, int64_t otherwise) {
  (void)yoi_sdk_json_int(yoi_sdk_json_get(c->arguments, name), &otherwise);
  return otherwise;
}

int fs_flag(const struct fs_call *c, const char *name) {
  int v = 0;
  (void)yoi_sdk_json_bool(yoi_sdk_json_get(c->arguments, name), &v);
  return v;
}

enum fs_pause fs_call_pause(const struct fs_call *c) {
  uint64_t now = c->fs->clock->monotonic_ns(c->fs->host);
  if (atomic_load_explicit(&c->cancelled, memory_order_relaxed)) return FS_CANCELLED;
  if (now >= c->stop_ns) return FS_TIME_OVER;
  return now >= c->slice_ns ? FS_SLICE_OVER : FS_GO_ON;
}

yoi_status fs_cancelled(yoi_error *err) {
  (void)yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "it was cancelled before it changed anything");
  return YOI_CANCELLED;
}

yoi_status fs_open(const struct fs_call *c, yoi_str path, uint32_t flags, int *out_fd,
                   yoi_error *err) {
  int32_t fd = -1;
  yoi_status st =
      c->fs->mount->open(c->fs->host, c->call, c->mount, path, flags, &fd, err);
  *out_fd = fd;
  return st;
}

/* ---- names ---- */

/* 1: the character of that length at p would do something else than be seen. */
static int unseen(const char *p, size_t len) {
  const unsigned char *u = (const unsigned char *)p;
  return len == 1 ? u[0] < 0x20 || u[0] == 0x7f : len == 2 && u[0] == 0xc2 && u[1] < 0xa0;
}

/* Length of the character at i; 0 when the byte is none. */
static size_t character(yoi_str s, size_t i) {
  for (size_t n = 1; n <= 4 && i + n <= s.len; n++)
    if (yoi_sdk_utf8_valid((yoi_str){s.ptr + i, n})) return n;
  return 0;
}

static void put_escaped(struct yoi_sdk_buf *out, yoi_str name) {
  for (size_t i = 0; i < name.len;) {
    size_t n = character(name, i);
    char c = name.ptr[i];
    if (n > 0 && !unseen(name.ptr + i, n)) {
      if (c == '"' || c == '\\') yoi_sdk_buf_addc(out, '\\');
      yoi_sdk_buf_add(out, name.ptr + i, n);
    } else if (c == '\n' || c == '\t' || c == '\r') {
      yoi_sdk_buf_addf(out, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    } else if (n > 0) {
      yoi_sdk_buf_addf(out, "\\u%04x", n == 1 ? (unsigned char)c : (unsigned char)name.ptr[i + 1]);
    } else {
      yoi_sdk_buf_addf(out, "\\x%02x", (unsigned char)c);
    }
    i += n > 0 ? n : 1;
  }
}

static int plain(yoi_str name) {
  if (name.len == 0 || name.ptr[0] == '"' || name.ptr[0] == ' ' ||
      name.ptr[name.len - 1] == ' ' || !yoi_sdk_utf8_valid(name))
    return 0;
  for (size_t i = 0; i < name.len; i++)
    if (unseen(name.ptr + i, 1) || (i + 1 < name.len && unseen(name.ptr + i, 2))) return 0;
  return 1;
}

void fs_put_name(struct yoi_sdk_buf *out, yoi_str name) {
  if (plain(name)) {
    yoi_sdk_buf_adds(out, name);
    return;
  }
  yoi_sdk_buf_addc(out, '"');
  put_escaped(out, name);
  yoi_sdk_buf_addc(out, '"');
}

struct fs_shown fs_show(yoi_str name) {
  struct fs_shown shown = {""};
  struct yoi_sdk_buf b;
  size_t most = sizeof shown.text - sizeof "...";
  yoi_sdk_buf_init(&b, 8 * sizeof shown.text);
  put_escaped(&b, (yoi_str){name.ptr, name.len < sizeof shown.text ? name.len : sizeof shown.text});
  yoi_str text = yoi_sdk_buf_str(&b);
  int cut = name.len >= sizeof shown.text || text.len > most;
  text.len = yoi_sdk_utf8_cut(text, most);
  snprintf(shown.text, sizeof shown.text, "%.*s%s", YOI_ARG(text), cut ? "..." : "");
  yoi_sdk_buf_release(&b);
  return shown;
}

/* ---- failures ---- */

yoi_status fs_fail_errno(yoi_error *err, int e, const char *verb, yoi_str path) {
  struct fs_shown name = fs_show(path);
  yoi_status st;
  switch (e) {
    case ENOENT:
      st = yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "cannot %s '%s': it is not there any more", verb,
                        name.text);
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED,
                        "cannot %s '%s': the disk has no room for it, so nothing was changed",
                        verb, name.text);
      break;
    case EROFS:
      st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "cannot %s '%s': it lies where nothing can be written", verb, name.text);
      break;
    case EACCES:
    case EPERM:
      st = yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                        "cannot %s '%s': the operator has not allowed it", verb, name.text);
      break;
    case ENAMETOOLONG:
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "cannot %s '%s': the name is longer than files may have", verb, name.text);
      break;
    case ELOOP:
    case ENOTDIR:
    case ENXIO:
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "cannot %s '%s': it is neither a regular file nor a folder", verb,
                        name.text);
      break;
    default:
      st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot %s '%s'", verb, name.text);
  }
  yoi_sdk_fail_private(err, "%s: %s", verb, strerrordesc_np(e));
  return st;
}
