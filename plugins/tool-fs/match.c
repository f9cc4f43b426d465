/* match.c - does a line have what is looked for.
 *
 * The patterns of the sdk know no case. Without regard to it both are made
 * small: of the line all of A to Z, of the pattern those that no backslash stands
 * before, for \S is not \s. (\xNN and \u are numbers and mean what they say.)
 */
#include "match.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <string.h>

/* A line of YOI_FS_SEARCH_LINE_MAX against the largest pattern. */
#define STEPS ((uint64_t)(YOI_FS_SEARCH_LINE_MAX + 1) * (1 + YOI_PATTERN_STATES_MAX / 4))

static void put_small(struct yoi_sdk_buf *out, yoi_str s, int pattern) {
  char *room = yoi_sdk_buf_reserve(out, s.len);
  if (!room) return;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    room[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    if (pattern && c == '\\' && i + 1 < s.len) {
      i++;
      room[i] = s.ptr[i];
    }
  }
  out->len += s.len;
  room[s.len] = 0;
}

yoi_status fs_match_init(struct fs_match *m, yoi_str text, int literal, int fold,
                         yoi_error *err) {
  size_t room = YOI_PATTERN_STATES_MAX;
  const char *why = NULL;
  *m = (struct fs_match){.fold = fold};
  yoi_sdk_buf_init(&m->text, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&m->line, YOI_FS_FILE_BYTES_MAX + 1);
  if (fold)
    put_small(&m->text, text, !literal);
  else
    yoi_sdk_buf_adds(&m->text, text);
  if (m->text.failed) return yoi_sdk_fail_memory(err);
  if (literal) return YOI_OK;
  m->pattern = yoi_sdk_pattern_new(yoi_sdk_buf_str(&m->text), &room, &why);
  if (m->pattern) return YOI_OK;
  if (!why) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "the pattern is no regular expression that can be used: %s; with literal: "
                      "true it is looked for as it stands",
                      why);
}

void fs_match_release(struct fs_match *m) {
  yoi_sdk_pattern_free(m->pattern);
  yoi_sdk_buf_release(&m->text);
  yoi_sdk_buf_release(&m->line);
}

int fs_match_line(struct fs_match *m, yoi_str line) {
  uint64_t steps = STEPS;
  if (m->pattern && line.len > YOI_FS_SEARCH_LINE_MAX) return -1;
  if (m->fold) {
    yoi_sdk_buf_clear(&m->line);
    put_small(&m->line, line, 0);
    if (m->line.failed) return -2;
    line = yoi_sdk_buf_str(&m->line);
  }
  if (m->pattern) return yoi_sdk_pattern_match(m->pattern, line, &steps);
  return m->text.len == 0 ||
         (line.len > 0 && memmem(line.ptr, line.len, m->text.data, m->text.len) != NULL);
}
