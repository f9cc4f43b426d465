/* content.c - what a body is, and its way to text.
 *
 *   GATHERING --YOI_FETCH_HEAD_BYTES, or the end--> begun --feed--> ...
 *
 * Servers name types wrongly, so a type is believed only as far as the first
 * bytes bear it out: with a NUL in them it is no text, unless it is UTF-16.
 */
#include "fetch.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int is(yoi_str s, const char *word) {
  return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static int begins(yoi_str s, const char *word) {
  return s.len >= strlen(word) && strncasecmp(s.ptr, word, strlen(word)) == 0;
}

static int ends(yoi_str s, const char *word) {
  size_t n = strlen(word);
  return s.len >= n && strncasecmp(s.ptr + s.len - n, word, n) == 0;
}

static yoi_str trimmed(yoi_str s) {
  while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '"')) s.ptr++, s.len--;
  while (s.len && strchr(" \t\"", s.ptr[s.len - 1])) s.len--;
  return s;
}

static uint32_t kind_of(yoi_str type) {
  static const char *const texts[] = {
      "application/json",    "application/xml",        "application/javascript",
      "application/x-javascript", "application/ecmascript", "application/yaml",
      "application/x-yaml",  "application/toml",       "application/x-sh",
      "application/sql",     "application/graphql",    "application/x-ndjson",
      "application/ndjson",  "application/jsonl",      "application/x-www-form-urlencoded",
      "application/x-tex",   "application/x-perl",     "application/x-python"};
  if (type.len == 0 || is(type, "application/octet-stream") || is(type, "binary/octet-stream"))
    return FETCH_UNKNOWN;
  if (is(type, "text/html") || is(type, "application/xhtml+xml")) return FETCH_HTML;
  if (begins(type, "text/") || ends(type, "+json") || ends(type, "+xml") || ends(type, "+yaml"))
    return FETCH_TEXT;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (is(type, texts[i])) return FETCH_TEXT;
  return FETCH_BINARY;
}

void fetch_content_init(struct fetch_content *c, yoi_str type, int raw,
                        const struct yoi_sdk_url *base, struct fetch_window *to) {
  *c = (struct fetch_content){.base = base, .to = to, .raw = raw};
  c->charset.cd = (iconv_t)-1;
  yoi_sdk_buf_init(&c->head, YOI_FETCH_HEAD_BYTES);
  yoi_sdk_buf_init(&c->utf8, SIZE_MAX / 2);
  const char *semicolon = type.len ? memchr(type.ptr, ';', type.len) : NULL;
  yoi_str name = {type.ptr, semicolon ? (size_t)(semicolon - type.ptr) : type.len};
  c->kind = kind_of(trimmed(name));
  for (size_t i = name.len; i + 8 < type.len; i++)
    if (strncasecmp(type.ptr + i, "charset=", 8) == 0) {
      yoi_str label = {type.ptr + i + 8, type.len - i - 8};
      const char *end = memchr(label.ptr, ';', label.len);
      if (end) label.len = (size_t)(end - label.ptr);
      snprintf(c->label, sizeof c->label, "%.*s", YOI_ARG(trimmed(label)));
      break;
    }
  if (c->kind == FETCH_BINARY) c->why = FETCH_WHY_BINARY;
}

static yoi_str behind_space(yoi_str s) {
  if (yoi_sdk_str_starts(s, YOI_LIT("\xef\xbb\xbf"))) s.ptr += 3, s.len -= 3;
  while (s.len && strchr(" \t\r\n", s.ptr[0])) s.ptr++, s.len--;
  return s;
}

static int has_controls(yoi_str s) {
  for (size_t i = 0; i < s.len; i++) {
    unsigned char ch = (unsigned char)s.ptr[i];
    if (ch < 0x20 && ch != '\t' && ch != '\n' && ch != '\r' && ch != '\f' && ch != 0x1b) return 1;
  }
  return 0;
}

/* kind, as far as the first bytes say. name: the charset. */
static uint32_t look(uint32_t kind, yoi_str head, const char *name) {
  if (strncmp(name, "UTF-16", 6) == 0) return kind == FETCH_UNKNOWN ? FETCH_TEXT : kind;
  if (head.len && memchr(head.ptr, 0, head.len)) return FETCH_BINARY;
  if (kind != FETCH_UNKNOWN) return kind;
  yoi_str text = behind_space(head);
  if (begins(text, "<!doctype html") || begins(text, "<html")) return FETCH_HTML;
  return has_controls(head) ? FETCH_BINARY : FETCH_TEXT;
}

/* Hands on what is in utf8. */
static void pass_on(struct fetch_content *c) {
  yoi_str text = yoi_sdk_buf_str(&c->utf8);
  if (c->utf8.failed) c->why = FETCH_WHY_MEMORY;
  if (!c->why && text.len && c->page)
    c->why = fetch_page_feed(c->page, text);
  else if (!c->why && text.len)
    fetch_window_add(c->to, text);
  if (!c->why && c->to->text.failed) c->why = FETCH_WHY_MEMORY;
  if (!c->why && fetch_window_full(c->to)) c->why = FETCH_WHY_FULL;
  yoi_sdk_buf_clear(&c->utf8);
}

static void begin(struct fetch_content *c) {
  yoi_str head = yoi_sdk_buf_str(&c->head);
  const char *name = fetch_charset_guess(head, yoi_sdk_str(c->label), c->kind != FETCH_TEXT ||
                                         yoi_sdk_str_starts(head, YOI_LIT("<?xml")));
  c->begun = 1;
  c->kind = look(c->kind, head, name);
  if (c->kind == FETCH_BINARY) {
    c->why = FETCH_WHY_BINARY;
    return;
  }
  if (!fetch_charset_open(&c->charset, name) && !fetch_charset_open(&c->charset, "UTF-8")) {
    c->why = FETCH_WHY_MEMORY;
    return;
  }
  if (c->kind == FETCH_HTML && !c->raw && !(c->page = fetch_page_new(c->base, c->to))) {
    c->why = FETCH_WHY_MEMORY;
    return;
  }
  fetch_charset_feed(&c->charset, head, &c->utf8);
  if (yoi_sdk_str_starts(yoi_sdk_buf_str(&c->utf8), YOI_LIT("\xef\xbb\xbf")))
    yoi_sdk_buf_drop(&c->utf8, 3);
  pass_on(c);
}

int fetch_content_feed(struct fetch_content *c, yoi_str bytes) {
  if (!c->begun && !c->why) {
    size_t room = YOI_FETCH_HEAD_BYTES - c->head.len, n = bytes.len < room ? bytes.len : room;
    yoi_sdk_buf_add(&c->head, bytes.ptr, n);
    bytes.ptr += n;
    bytes.len -= n;
    if (c->head.failed)
      c->why = FETCH_WHY_MEMORY;
    else if (c->head.len == YOI_FETCH_HEAD_BYTES)
      begin(c);
  }
  if (bytes.len && !c->why) {
    fetch_charset_feed(&c->charset, bytes, &c->utf8);
    pass_on(c);
  }
  return c->why != FETCH_WHY_NOTHING;
}

void fetch_content_end(struct fetch_content *c) {
  if (!c->begun && !c->why) begin(c);
  if (c->why) return;
  fetch_charset_end(&c->charset, &c->utf8);
  pass_on(c);
  if (!c->why && c->page) c->why = fetch_page_end(c->page);
  if (!c->why && fetch_window_full(c->to)) c->why = FETCH_WHY_FULL;
}

void fetch_content_release(struct fetch_content *c) {
  fetch_page_free(c->page);
  c->page = NULL;
  fetch_charset_close(&c->charset);
  yoi_sdk_buf_release(&c->head);
  yoi_sdk_buf_release(&c->utf8);
}
