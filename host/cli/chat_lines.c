/* chat_lines.c - bytes of a terminal or pipe, as inputs.
 *
 *  1. One read per poll: a terminal shared with others is never set to
 *     non-blocking.
 *  2. The buffer holds at most one input of the largest size and what was read
 *     with it. A longer line is refused as a whole, never sent in part.
 *  3. A last line without a line feed is an input too.
 */
#include "chat.h"

#include <errno.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <yoi/limits.h>

#define READ_SIZE YOI_SDK_HARD(65536, 8) /* what a pipe holds */

void cli_lines_init(struct cli_lines *l, int fd) {
  *l = (struct cli_lines){.fd = fd};
  yoi_sdk_buf_init(&l->in, YOI_INPUT_BYTES_MAX + READ_SIZE);
}

void cli_lines_release(struct cli_lines *l) {
  yoi_sdk_buf_release(&l->in);
}

int cli_lines_open(const struct cli_lines *l) {
  return !l->ended && l->in.len <= YOI_INPUT_BYTES_MAX;
}

int cli_lines_read(struct cli_lines *l) {
  char *to = cli_lines_open(l) ? yoi_sdk_buf_reserve(&l->in, READ_SIZE - 1) : NULL;
  if (!to) return 0;
  ssize_t n = read(l->fd, to, yoi_sdk_short(READ_SIZE - 1));
  if (n > 0) {
    l->in.len += (size_t)n;
    l->in.data[l->in.len] = 0;
  } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
    l->ended = 1;
  }
  return 1;
}

int cli_lines_forget(struct cli_lines *l) {
  int some = l->in.len > 0;
  (void)tcflush(l->fd, TCIFLUSH);
  yoi_sdk_buf_clear(&l->in);
  l->skipping = 0;
  return some;
}

/* The length of the first whole input with its line feed; 0: none. */
static size_t whole(const struct cli_lines *l) {
  size_t from = 0;
  while (from < l->in.len) {
    const char *lf = memchr(l->in.data + from, '\n', l->in.len - from);
    if (!lf) break;
    size_t at = (size_t)(lf - l->in.data);
    if (at == from || l->in.data[at - 1] != '\\') return at + 1;
    from = at + 1;
  }
  return l->ended ? l->in.len : 0;
}

/* Takes out the backslash of each line that goes on, and the last line feed. */
static size_t join(char *text, size_t n) {
  size_t to = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] == '\\' && i + 1 < n && text[i + 1] == '\n') continue;
    text[to++] = text[i];
  }
  while (to && (text[to - 1] == '\n' || text[to - 1] == '\r')) to--;
  text[to] = 0;
  return to;
}

int cli_lines_take(struct cli_lines *l, char **out, size_t *out_len) {
  for (;;) {
    size_t n = l->in.len ? whole(l) : 0;
    if (!n && l->in.len > YOI_INPUT_BYTES_MAX) {
      if (!l->skipping) cli_say("a line of more than %d bytes is left out", YOI_INPUT_BYTES_MAX);
      l->skipping = 1;
      yoi_sdk_buf_clear(&l->in);
    }
    if (!n) return 0;
    char *text = l->skipping ? NULL : yoi_sdk_strndup(l->in.data, n);
    if (!text && !l->skipping) return 0;
    yoi_sdk_buf_drop(&l->in, n);
    l->skipping = 0;
    *out_len = text ? join(text, n) : 0;
    if (*out_len > YOI_INPUT_BYTES_MAX) {
      cli_say("a line of more than %d bytes is left out", YOI_INPUT_BYTES_MAX);
      *out_len = 0;
    }
    if (*out_len && text[strspn(text, " \t\r\n")]) {
      *out = text;
      return 1;
    }
    yoi_sdk_free(text);
  }
}
