/* scrub_json.c - known values taken out of JSON, which stays JSON.
 *
 * A text of JSON says one thing in many ways: each character of a string may
 * be an escape. And its bytes say things that it does not mean: in "\nabc" there
 * is no n. So strings are decoded, scrubbed and written again; what has nothing
 * in it is copied as it stands, numbers to the last digit.
 *
 *   text --+--> between strings: copied; a number may be a value
 *          |
 *          +--> a string --> decoded --> is it an object or an array?
 *                   ^                      |             |
 *                   |                   no v             v yes
 *                   +--- escaped <--- as text <--- this again
 *
 * Arguments of a tool are such JSON in a string, and may hold more of it. What
 * is decoded is scrubbed as text in the end, whatever it is: a value may be JSON
 * itself, a key file for instance.
 */
#include <sdk/scrub.h>

#include <string.h>

#include <sdk/json.h>
#include <sdk/jsonw.h>

#define LEVELS 4 /* of JSON in strings; deeper it is taken as text */

static int scrub(const struct yoi_sdk_scrub *s, yoi_str text, int levels, struct yoi_sdk_buf *out);

static int is_container(yoi_str text) {
  size_t i = 0;
  while (i < text.len && (unsigned char)text.ptr[i] <= ' ') i++;
  return i < text.len && (text.ptr[i] == '{' || text.ptr[i] == '[') &&
         yoi_sdk_json_check(text, 0, NULL) == YOI_OK;
}

static int scrub_decoded(const struct yoi_sdk_scrub *s, yoi_str text, int levels,
                         struct yoi_sdk_buf *out) {
  struct yoi_sdk_buf inner;
  yoi_sdk_buf_init(&inner, out->max);
  int changed = levels > 0 && is_container(text) && scrub(s, text, levels - 1, &inner);
  yoi_str left = changed ? yoi_sdk_buf_str(&inner) : text;
  if (inner.failed)
    out->failed = inner.failed;
  else if (yoi_sdk_scrub_text(s, left, 0, out))
    changed = 1;
  else if (changed)
    yoi_sdk_buf_adds(out, left);
  yoi_sdk_buf_release(&inner);
  return changed;
}

/* A string with its quotes, as it stands. */
static int string(const struct yoi_sdk_scrub *s, yoi_str raw, int levels, struct yoi_sdk_buf *out) {
  struct yoi_sdk_buf plain, clean;
  yoi_str inside = {raw.ptr + 1, raw.len - 2};
  yoi_sdk_buf_init(&plain, raw.len);
  yoi_sdk_buf_init(&clean, out->max);
  if (memchr(raw.ptr, '\\', raw.len) != NULL) {
    int good = yoi_sdk_json_raw_unescape(raw, &plain);
    if (!good || plain.failed) out->failed = plain.failed ? plain.failed : YOI_OUT_OF_RANGE;
    inside = yoi_sdk_buf_str(&plain);
  }
  int changed = out->failed || scrub_decoded(s, inside, levels, &clean);
  if (clean.failed) out->failed = clean.failed;
  if (changed) {
    yoi_sdk_buf_addc(out, '"');
    yoi_sdk_json_escape(out, yoi_sdk_buf_str(&clean));
    yoi_sdk_buf_addc(out, '"');
  } else {
    yoi_sdk_buf_adds(out, raw);
  }
  yoi_sdk_buf_release(&plain);
  yoi_sdk_buf_release(&clean);
  return changed;
}

/* A number that holds a value becomes a string. */
static int number(const struct yoi_sdk_scrub *s, yoi_str raw, struct yoi_sdk_buf *out) {
  size_t before = out->len;
  yoi_sdk_buf_addc(out, '"');
  if (yoi_sdk_scrub_text(s, raw, 0, out)) {
    yoi_sdk_buf_addc(out, '"');
    return 1;
  }
  if (!out->failed) out->len = before;
  yoi_sdk_buf_adds(out, raw);
  return 0;
}

static size_t string_end(yoi_str text, size_t i) {
  for (i++; i < text.len && text.ptr[i] != '"'; i++) i += text.ptr[i] == '\\';
  return i + 1;
}

static int is_number(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* text is JSON. */
static int scrub(const struct yoi_sdk_scrub *s, yoi_str text, int levels, struct yoi_sdk_buf *out) {
  int changed = 0;
  for (size_t i = 0; i < text.len && !out->failed;) {
    size_t begin = i;
    char c = text.ptr[i];
    if (c == '"') {
      i = string_end(text, i);
      changed |= string(s, (yoi_str){text.ptr + begin, i - begin}, levels, out);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      while (i < text.len && is_number(text.ptr[i])) i++;
      changed |= number(s, (yoi_str){text.ptr + begin, i - begin}, out);
    } else {
      yoi_sdk_buf_addc(out, c);
      i++;
    }
  }
  return changed || out->failed;
}

int yoi_sdk_scrub_json(const struct yoi_sdk_scrub *s, yoi_str text, struct yoi_sdk_buf *out) {
  if (s == NULL || text.len == 0) return 0;
  /* Nothing is escaped, so what it means stands there. */
  if (memchr(text.ptr, '\\', text.len) == NULL) {
    struct yoi_sdk_buf found;
    yoi_sdk_buf_init(&found, out->max);
    int clean = !yoi_sdk_scrub_text(s, text, 0, &found);
    yoi_sdk_buf_release(&found);
    if (clean) return 0;
  }
  if (yoi_sdk_json_check(text, 0, NULL) != YOI_OK) return yoi_sdk_scrub_text(s, text, 0, out);
  size_t before = out->len;
  if (scrub(s, text, LEVELS, out)) return 1;
  if (out->data != NULL) out->data[out->len = before] = '\0';
  return 0;
}
