/* charset.c - any charset to UTF-8, by the iconv of libc.
 *
 * A label comes from a server, and iconv_open loads code by the name that it
 * is given: so there is a table of the labels that browsers know (WHATWG
 * Encoding, 4.2), and nothing else is ever opened. Like there, latin1 means
 * windows-1252, which pages that say so are written in.
 */
#include "fetch.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define PIECE 1024 /* converted at once */
#define BAD "\xef\xbf\xbd" /* U+FFFD */

static const struct {
  const char *label, *name;
} labels[] = {
    {"utf-8", "UTF-8"},           {"utf8", "UTF-8"},
    {"us-ascii", "CP1252"},       {"ascii", "CP1252"},
    {"iso-8859-1", "CP1252"},     {"iso8859-1", "CP1252"},
    {"iso_8859-1", "CP1252"},     {"latin1", "CP1252"},
    {"windows-1252", "CP1252"},   {"cp1252", "CP1252"},
    {"iso-8859-2", "ISO-8859-2"}, {"latin2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"}, {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"}, {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"}, {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-9", "CP1254"},     {"latin5", "CP1254"},
    {"iso-8859-10", "ISO-8859-10"}, {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"}, {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"}, {"windows-1250", "CP1250"},
    {"cp1250", "CP1250"},         {"windows-1251", "CP1251"},
    {"cp1251", "CP1251"},         {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},   {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},   {"windows-1257", "CP1257"},
    {"windows-1258", "CP1258"},   {"windows-874", "CP874"},
    {"tis-620", "CP874"},         {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},         {"macintosh", "MACINTOSH"},
    {"ibm866", "CP866"},          {"cp866", "CP866"},
    {"gb2312", "GB18030"},        {"gbk", "GB18030"},
    {"gb18030", "GB18030"},       {"big5", "BIG5-HKSCS"},
    {"big5-hkscs", "BIG5-HKSCS"}, {"euc-jp", "EUC-JP"},
    {"shift_jis", "CP932"},       {"shift-jis", "CP932"},
    {"x-sjis", "CP932"},          {"windows-31j", "CP932"},
    {"iso-2022-jp", "ISO-2022-JP"}, {"euc-kr", "CP949"},
    {"ks_c_5601-1987", "CP949"},  {"utf-16", "UTF-16LE"},
    {"utf-16le", "UTF-16LE"},     {"utf-16be", "UTF-16BE"},
};

const char *fetch_charset_find(yoi_str label) {
  for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
    if (strlen(labels[i].label) == label.len &&
        strncasecmp(labels[i].label, label.ptr, label.len) == 0)
      return labels[i].name;
  return NULL;
}

/* ---- what a text says of itself ------------------------------------------- */

static const char *find(yoi_str in, const char *word) {
  size_t n = strlen(word);
  for (size_t i = 0; i + n <= in.len; i++)
    if (strncasecmp(in.ptr + i, word, n) == 0) return in.ptr + i;
  return NULL;
}

static yoi_str behind(yoi_str in, const char *at) {
  return (yoi_str){at, in.len - (size_t)(at - in.ptr)};
}

/* The label in `word = "label"`. */
static const char *named(yoi_str in, const char *word) {
  const char *at = find(in, word);
  if (!at) return NULL;
  yoi_str s = behind(in, at + strlen(word));
  while (s.len && memchr(" \t\r\n=\"'", s.ptr[0], 7)) s.ptr++, s.len--;
  size_t n = 0;
  while (n < s.len && !memchr(" \t\r\n\"';/>?", s.ptr[n], 10)) n++;
  return fetch_charset_find((yoi_str){s.ptr, n});
}

static const char *inside(yoi_str head) {
  const char *name = NULL;
  if (find((yoi_str){head.ptr, head.len < 5 ? head.len : 5}, "<?xml")) {
    const char *end = memchr(head.ptr, '>', head.len);
    if (end) name = named((yoi_str){head.ptr, (size_t)(end - head.ptr)}, "encoding");
  }
  for (const char *at; !name && (at = find(head, "<meta")) != NULL;) {
    head = behind(head, at + 5);
    const char *end = memchr(head.ptr, '>', head.len);
    if (end) name = named((yoi_str){head.ptr, (size_t)(end - head.ptr)}, "charset");
  }
  /* Whoever could read this much of it has not read UTF-16. */
  return name && strncmp(name, "UTF-16", 6) == 0 ? "UTF-8" : name;
}

const char *fetch_charset_guess(yoi_str head, yoi_str label, int markup) {
  const char *name = NULL;
  if (yoi_sdk_str_starts(head, YOI_LIT("\xef\xbb\xbf"))) return "UTF-8";
  if (yoi_sdk_str_starts(head, YOI_LIT("\xff\xfe"))) return "UTF-16LE";
  if (yoi_sdk_str_starts(head, YOI_LIT("\xfe\xff"))) return "UTF-16BE";
  if (label.len) name = fetch_charset_find(label);
  if (!name && markup) name = inside(head);
  if (name) return name;
  head.len -= yoi_sdk_utf8_tail(head);
  return yoi_sdk_utf8_valid(head) ? "UTF-8" : "CP1252";
}

/* ---- converting ----------------------------------------------------------- */

int fetch_charset_open(struct fetch_charset *c, const char *name) {
  c->n_held = 0;
  c->cd = iconv_open("UTF-8", name);
  return c->cd != (iconv_t)-1;
}

/* How many bytes at p are not shown: a control, or a character beyond U+10FFFF,
 * which the iconv of libc lets through from UTF-8, in up to six bytes. */
static size_t bad_at(const char *p) {
  unsigned char c = (unsigned char)p[0];
  if (c < 0x80) return (c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7f;
  if (c < 0xf4 || (c == 0xf4 && (unsigned char)p[1] < 0x90)) return 0;
  return c < 0xf8 ? 4 : c < 0xfc ? 5 : 6;
}

/* p: whole characters. */
static void add(struct yoi_sdk_buf *out, const char *p, size_t n) {
  size_t from = 0;
  for (size_t i = 0, bad; i < n; i += bad ? bad : 1) {
    if ((bad = bad_at(p + i)) == 0) continue;
    yoi_sdk_buf_add(out, p + from, i - from);
    yoi_sdk_buf_adds(out, YOI_LIT(BAD));
    from = i + bad;
  }
  yoi_sdk_buf_add(out, p + from, n - from);
}

/* Appends what can be read of `in`; returns how many bytes are left, which are
 * the head of a character. */
static size_t convert(struct fetch_charset *c, yoi_str in, struct yoi_sdk_buf *out) {
  char *from = (char *)(uintptr_t)in.ptr;
  size_t left = in.len;
  while (left) {
    char piece[PIECE], *to = piece;
    size_t room = sizeof piece;
    size_t n = iconv(c->cd, &from, &left, &to, &room);
    int why = n == (size_t)-1 ? errno : 0;
    add(out, piece, sizeof piece - room);
    if (why == EINVAL) break;
    if (why == EILSEQ) {
      yoi_sdk_buf_adds(out, YOI_LIT(BAD));
      from++;
      left--;
    }
  }
  return left;
}

void fetch_charset_feed(struct fetch_charset *c, yoi_str bytes, struct yoi_sdk_buf *out) {
  /* What is held gets one byte after the other until it is a character. */
  while (c->n_held && bytes.len) {
    if (c->n_held == sizeof c->held) { /* no charset has such a one */
      yoi_sdk_buf_adds(out, YOI_LIT(BAD));
      c->n_held = 0;
      break;
    }
    c->held[c->n_held++] = *bytes.ptr++;
    bytes.len--;
    size_t left = convert(c, (yoi_str){c->held, c->n_held}, out);
    memmove(c->held, c->held + c->n_held - left, left);
    c->n_held = left;
  }
  size_t left = convert(c, bytes, out);
  if (left == 0) return;
  if (left > sizeof c->held) left = sizeof c->held;
  memcpy(c->held, bytes.ptr + bytes.len - left, left);
  c->n_held = left;
}

void fetch_charset_end(struct fetch_charset *c, struct yoi_sdk_buf *out) {
  if (c->n_held) yoi_sdk_buf_adds(out, YOI_LIT(BAD));
  c->n_held = 0;
}

void fetch_charset_close(struct fetch_charset *c) {
  if (c->cd != (iconv_t)-1) iconv_close(c->cd);
  c->cd = (iconv_t)-1;
}
