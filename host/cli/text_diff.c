/* text_diff.c - what changed between two texts, line by line.
 *
 * What both begin and end with is put aside; of the rest the longest common
 * subsequence is what stayed, by the table of the textbook (Wagner and Fischer,
 * 1974). Prompts are short, so its square is small. It is bounded all the same:
 * past TABLE_MAX cells the rest is shown as taken out and put in whole, which
 * is true too.
 */
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <string.h>

#include "bundle.h"

#define TABLE_MAX YOI_SDK_HARD(4194304, 65536) /* cells of two bytes: 2,048 lines in 2,048 */
#define AROUND 3                               /* lines that stayed, shown beside what changed */
#define LINE_MAX_BYTES 1000                    /* of one line that are shown */

struct lines {
  yoi_str *line;
  size_t n;
};

/* 0: no memory. */
static int split(yoi_str text, struct lines *out) {
  size_t n = text.len > 0;
  for (size_t i = 0; i + 1 < text.len; i++) n += text.ptr[i] == '\n';
  *out = (struct lines){n ? yoi_sdk_calloc(n, sizeof *out->line) : NULL, 0};
  if (n && !out->line) return 0;
  while (out->n < n) {
    const char *end = memchr(text.ptr, '\n', text.len);
    size_t len = end ? (size_t)(end - text.ptr) : text.len, with = end ? len + 1 : len;
    out->line[out->n++] = (yoi_str){text.ptr, len};
    text.ptr += with;
    text.len -= with;
  }
  return 1;
}

/* What happens to the lines between those that both begin and end with, as
 * ' ', '-' and '+' in ops, which has room for all. Returns how many. */
static size_t compare(const yoi_str *a, size_t n, const yoi_str *b, size_t m, char *ops) {
  size_t k = 0, i = 0, j = 0, width = m + 1;
  uint16_t *left = NULL; /* [i * width + j]: common from line i of a and j of b on */
  if (n <= UINT16_MAX && m <= UINT16_MAX && (n + 1) * width <= TABLE_MAX)
    left = yoi_sdk_calloc((n + 1) * width, sizeof *left);
  for (size_t x = n; left && x-- > 0;) {
    for (size_t y = m; y-- > 0;) {
      uint16_t down = left[(x + 1) * width + y], right = left[x * width + y + 1];
      left[x * width + y] = yoi_sdk_str_eq(a[x], b[y])
                                ? (uint16_t)(left[(x + 1) * width + y + 1] + 1)
                            : down > right ? down
                                           : right;
    }
  }
  while (left && i < n && j < m) {
    if (yoi_sdk_str_eq(a[i], b[j])) {
      ops[k++] = ' ';
      i++;
      j++;
    } else if (left[(i + 1) * width + j] >= left[i * width + j + 1]) {
      ops[k++] = '-';
      i++;
    } else {
      ops[k++] = '+';
      j++;
    }
  }
  for (; i < n; i++) ops[k++] = '-';
  for (; j < m; j++) ops[k++] = '+';
  yoi_sdk_free(left);
  return k;
}

/* 1: a line that stayed is near enough to one that did not. */
static int is_near(const char *ops, size_t n, size_t at) {
  size_t i = at > AROUND ? at - AROUND : 0, end = at + AROUND + 1 < n ? at + AROUND + 1 : n;
  while (i < end && ops[i] == ' ') i++;
  return i < end;
}

static void put(struct yoi_sdk_buf *out, const char *ops, size_t n, const yoi_str *a,
                const yoi_str *b) {
  int gap = 0;
  for (size_t k = 0; k < n; k++) {
    yoi_str line = ops[k] == '+' ? *b : *a;
    if (is_near(ops, n, k)) {
      if (gap) yoi_sdk_buf_adds(out, YOI_LIT("  ...\n"));
      gap = 0;
      yoi_sdk_buf_addc(out, ops[k]);
      if (line.len) yoi_sdk_buf_addc(out, ' ');
      cli_safe(out, line, LINE_MAX_BYTES);
      yoi_sdk_buf_addc(out, '\n');
    } else {
      gap = 1;
    }
    if (ops[k] != '+') a++;
    if (ops[k] != '-') b++;
  }
  if (gap) yoi_sdk_buf_adds(out, YOI_LIT("  ...\n"));
}

void cli_text_diff(struct yoi_sdk_buf *out, yoi_str text_a, yoi_str text_b) {
  struct lines a = {0}, b = {0};
  int ok = split(text_a, &a) && split(text_b, &b);
  char *ops = ok ? yoi_sdk_malloc(a.n + b.n + 1) : NULL;
  size_t head = 0, tail = 0, k = 0;
  if (ops) {
    while (head < a.n && head < b.n && yoi_sdk_str_eq(a.line[head], b.line[head])) head++;
    while (tail < a.n - head && tail < b.n - head &&
           yoi_sdk_str_eq(a.line[a.n - tail - 1], b.line[b.n - tail - 1]))
      tail++;
    for (; k < head; k++) ops[k] = ' ';
    if (head + tail < a.n || head + tail < b.n)
      k += compare(a.line ? a.line + head : NULL, a.n - head - tail, b.line ? b.line + head : NULL,
                   b.n - head - tail, ops + k);
    for (size_t i = 0; i < tail; i++) ops[k++] = ' ';
    if (memchr(ops, '-', k) || memchr(ops, '+', k))
      put(out, ops, k, a.line, b.line);
    else if (text_a.len != text_b.len)
      yoi_sdk_buf_adds(out, YOI_LIT("  (a line feed at the end)\n"));
  } else {
    out->failed = YOI_RESOURCE_EXHAUSTED;
  }
  yoi_sdk_free(ops);
  yoi_sdk_free(a.line);
  yoi_sdk_free(b.line);
}
