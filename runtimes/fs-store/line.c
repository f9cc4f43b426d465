/* line.c - writes and reads the lines of a store.
 *
 * Reading is strict, as a cursor's is: members in the order in which they are
 * written, no white space, numbers without sign or leading zero. Values that
 * are JSON themselves (data, aux, spec) are not looked into: they are ours,
 * the sum says that they are as we wrote them, and where one ends is found by
 * its brackets. The sum is checked first, so that all else is about lines
 * that somebody made on purpose.
 */
#include "line.h"

#include <sdk/error.h>
#include <sdk/id.h>
#include <string.h>

#include "crc32c.h"

#define CRC_HEAD ",\"crc\":\""
#define CRC_TAIL "\"}"
#define CRC_LEN (sizeof CRC_HEAD - 1 + 8 + sizeof CRC_TAIL - 1)

const char *fs_mark_name(enum eng_mark mark) {
  static const char *const names[] = {
      [ENG_MARK_IDLE] = "idle",
      [ENG_MARK_BUSY] = "busy",
      [ENG_MARK_STOPPED] = "stopped",
      [ENG_MARK_CORRUPT] = "corrupt",
  };
  return names[mark];
}

/* ---- writing -------------------------------------------------------------- */

static void put_hex(struct yoi_sdk_buf *b, uint64_t v, int digits) {
  static const char hex[] = "0123456789abcdef";
  char text[16];
  for (int i = 0; i < digits; i++) text[i] = hex[(v >> (4 * (digits - 1 - i))) & 15];
  yoi_sdk_buf_add(b, text, (size_t)digits);
}

static void put_number(struct yoi_sdk_buf *b, uint64_t v) {
  char text[20];
  size_t at = sizeof text;
  do {
    text[--at] = (char)('0' + v % 10);
    v /= 10;
  } while (v > 0);
  yoi_sdk_buf_add(b, text + at, sizeof text - at);
}

#define put_text(b, s) yoi_sdk_buf_adds(b, YOI_LIT(s))

static void put_member(struct yoi_sdk_buf *b, const char *name, uint64_t v) {
  yoi_sdk_buf_adds(b, yoi_sdk_str(name));
  put_number(b, v);
}

/* Ends the line that began at `start`. */
static void put_sum(struct yoi_sdk_buf *b, size_t start) {
  if (b->failed) return;
  uint32_t sum = fs_crc32c(0, b->data + start, b->len - start);
  put_text(b, CRC_HEAD);
  put_hex(b, sum, 8);
  put_text(b, CRC_TAIL "\n");
}

/* Ids are of letters that need no escape. */
static void put_worker(struct yoi_sdk_buf *b, yoi_str id) {
  put_text(b, ",\"worker\":\"");
  yoi_sdk_buf_adds(b, id);
  put_text(b, "\"");
}

/* At most 32 of them, as a member's value. */
static void put_bytes(struct yoi_sdk_buf *b, const char *head, const uint8_t *bytes, size_t n) {
  char hex[64];
  yoi_sdk_hex(bytes, n, hex);
  yoi_sdk_buf_adds(b, yoi_sdk_str(head));
  yoi_sdk_buf_add(b, hex, 2 * n);
  put_text(b, "\"");
}

static void put_birth(struct yoi_sdk_buf *b, const struct eng_birth *birth) {
  put_text(b, ",\"epoch\":\"");
  put_hex(b, birth->epoch, 16);
  put_text(b, "\"");
  if (birth->keyed) put_bytes(b, ",\"key\":\"", birth->key, sizeof birth->key);
  if (birth->bundled) put_bytes(b, ",\"bundle\":\"", birth->bundle, sizeof birth->bundle);
}

void fs_line_record(struct yoi_sdk_buf *b, const struct fs_line *l) {
  size_t start = b->len;
  (void)yoi_sdk_buf_reserve(b, l->data.len + l->aux.len + l->spec.len + 512);
  put_member(b, "{\"n\":", l->n);
  put_worker(b, l->worker);
  put_member(b, ",\"seq\":", l->seq);
  put_text(b, ",\"kind\":\"");
  yoi_sdk_buf_adds(b, yoi_sdk_str(yoi_sdk_event_name(l->event)));
  if (l->more) {
    put_text(b, "\",\"more\":true");
  } else {
    put_text(b, "\",\"state\":\"");
    yoi_sdk_buf_adds(b, yoi_sdk_str(fs_mark_name(l->mark)));
    put_text(b, "\"");
  }
  if ((l->role | l->content_len | l->turn_at) != 0) {
    put_member(b, ",\"place\":[", l->role);
    put_member(b, ",", l->content_at);
    put_member(b, ",", l->content_len);
    put_member(b, ",", l->turn_at);
    put_text(b, "]");
  }
  put_text(b, ",\"data\":");
  yoi_sdk_buf_adds(b, l->data);
  if (l->aux.len > 0) {
    put_text(b, ",\"aux\":");
    yoi_sdk_buf_adds(b, l->aux);
  }
  if (l->spec.len > 0) {
    put_text(b, ",\"spec\":");
    yoi_sdk_buf_adds(b, l->spec);
  }
  if (l->born) put_birth(b, &l->birth);
  put_sum(b, start);
}

void fs_line_removal(struct yoi_sdk_buf *b, uint64_t n, yoi_str worker) {
  size_t start = b->len;
  put_member(b, "{\"n\":", n);
  put_worker(b, worker);
  put_text(b, ",\"removed\":true");
  put_sum(b, start);
}

void fs_line_batch_begin(struct yoi_sdk_buf *b, uint64_t n, size_t *out_start) {
  *out_start = b->len;
  put_member(b, "{\"n\":", n);
  put_text(b, ",\"batch\":[");
}

void fs_line_batch_add(struct yoi_sdk_buf *b, yoi_str worker, uint64_t seq) {
  if (b->len > 0 && b->data[b->len - 1] != '[') put_text(b, ",");
  put_text(b, "\"");
  yoi_sdk_buf_adds(b, worker);
  put_member(b, "\",", seq);
}

void fs_line_batch_end(struct yoi_sdk_buf *b, size_t start, uint64_t durable) {
  put_member(b, "],\"durable\":", durable);
  put_sum(b, start);
}

void fs_line_seal(struct yoi_sdk_buf *b, uint64_t n, uint64_t durable) {
  size_t start = b->len;
  put_member(b, "{\"n\":", n);
  put_member(b, ",\"durable\":", durable);
  put_sum(b, start);
}

static void put_store(struct yoi_sdk_buf *b, yoi_str store) {
  put_text(b, ",\"store\":\"");
  yoi_sdk_buf_adds(b, store);
  put_text(b, "\"");
}

void fs_line_head(struct yoi_sdk_buf *b, yoi_str store, uint64_t first) {
  size_t start = b->len;
  put_text(b, "{\"log\":1");
  put_store(b, store);
  put_member(b, ",\"first\":", first);
  put_sum(b, start);
}

void fs_line_index(struct yoi_sdk_buf *b, yoi_str store, uint64_t upto) {
  size_t start = b->len;
  put_text(b, "{\"index\":1");
  put_store(b, store);
  put_member(b, ",\"upto\":", upto);
  put_sum(b, start);
}

void fs_line_worker(struct yoi_sdk_buf *b, const struct fs_line *l) {
  size_t start = b->len;
  put_text(b, "{\"worker\":\"");
  yoi_sdk_buf_adds(b, l->worker);
  put_text(b, "\",\"state\":\"");
  yoi_sdk_buf_adds(b, yoi_sdk_str(fs_mark_name(l->mark)));
  put_member(b, "\",\"seq\":", l->seq);
  put_member(b, ",\"bytes\":", l->bytes);
  if (l->mark == ENG_MARK_STOPPED) put_member(b, ",\"stopped\":", l->stopped_ms);
  put_birth(b, &l->birth);
  put_sum(b, start);
}

void fs_line_end(struct yoi_sdk_buf *b, uint64_t workers) {
  size_t start = b->len;
  put_member(b, "{\"end\":", workers);
  put_sum(b, start);
}

void fs_line_store(struct yoi_sdk_buf *b, yoi_str store) {
  size_t start = b->len;
  put_text(b, "{\"yoi_store\":1");
  put_store(b, store);
  put_sum(b, start);
}

void fs_line_renumber(struct yoi_sdk_buf *b, yoi_str text, uint64_t n) {
  size_t start = b->len;
  const char *rest = memchr(text.ptr, ',', text.len);
  if (rest == NULL || text.len < (size_t)(rest - text.ptr) + CRC_LEN) return;
  put_member(b, "{\"n\":", n);
  yoi_sdk_buf_add(b, rest, text.len - CRC_LEN - (size_t)(rest - text.ptr));
  put_sum(b, start);
}

/* ---- reading -------------------------------------------------------------- */

struct scan {
  const char *at, *end;
};

static int take(struct scan *s, const char *word) {
  size_t n = strlen(word);
  if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) return 0;
  s->at += n;
  return 1;
}

static int take_number(struct scan *s, uint64_t *out) {
  const char *from = s->at;
  while (s->at < s->end && *s->at >= '0' && *s->at <= '9') s->at++;
  return yoi_sdk_parse_u64((yoi_str){from, (size_t)(s->at - from)}, UINT64_MAX, out);
}

static int take_u32(struct scan *s, uint32_t *out) {
  uint64_t v;
  if (!take_number(s, &v) || v > UINT32_MAX) return 0;
  *out = (uint32_t)v;
  return 1;
}

/* Up to the quote, which is taken too; no escapes. */
static int take_word(struct scan *s, yoi_str *out) {
  const char *quote = memchr(s->at, '"', (size_t)(s->end - s->at));
  if (quote == NULL) return 0;
  *out = (yoi_str){s->at, (size_t)(quote - s->at)};
  s->at = quote + 1;
  return memchr(out->ptr, '\\', out->len) == NULL;
}

static int take_id(struct scan *s, yoi_str *out) {
  return take_word(s, out) && yoi_sdk_id_valid(*out);
}

static int take_hex(struct scan *s, uint64_t *out, size_t digits) {
  uint8_t raw[8];
  yoi_str word;
  *out = 0;
  if (!take_word(s, &word) || word.len != digits || !yoi_sdk_unhex(word, raw, digits / 2)) return 0;
  for (size_t i = 0; i < digits / 2; i++) *out = *out << 8 | raw[i];
  return 1;
}

/* An object, to its last bracket. */
static int take_object(struct scan *s, yoi_str *out) {
  const char *from = s->at;
  size_t depth = 0;
  for (; s->at < s->end; s->at++) {
    if (*s->at == '"') {
      for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
        if (*s->at == '\\') s->at++;
      if (s->at >= s->end) return 0;
    } else if (*s->at == '{' || *s->at == '[') {
      depth++;
    } else if (*s->at == '}' || *s->at == ']') {
      if (depth == 0) return 0;
      if (--depth > 0) continue;
      s->at++;
      *out = (yoi_str){from, (size_t)(s->at - from)};
      return *from == '{';
    } else if (depth == 0) {
      return 0;
    }
  }
  return 0;
}

static int take_mark(struct scan *s, enum eng_mark *out) {
  yoi_str word;
  if (!take_word(s, &word)) return 0;
  for (int m = ENG_MARK_IDLE; m <= ENG_MARK_CORRUPT; m++)
    if (yoi_sdk_str_is(word, fs_mark_name((enum eng_mark)m))) {
      *out = (enum eng_mark)m;
      return 1;
    }
  return 0;
}

static int take_bytes(struct scan *s, uint8_t *out, size_t n) {
  yoi_str hex;
  return take_word(s, &hex) && hex.len == 2 * n && yoi_sdk_unhex(hex, out, n);
}

static int take_birth(struct scan *s, struct eng_birth *out) {
  if (!take_hex(s, &out->epoch, 16)) return 0;
  out->keyed = take(s, ",\"key\":\"") != 0;
  if (out->keyed && !take_bytes(s, out->key, sizeof out->key)) return 0;
  out->bundled = take(s, ",\"bundle\":\"") != 0;
  return !out->bundled || take_bytes(s, out->bundle, sizeof out->bundle);
}

/* What `place` says stands inside of data. */
static int place_fits(const struct fs_line *l) {
  if (l->role > ENG_ROLE_ASSISTANT || l->content_len > l->data.len ||
      l->content_at > l->data.len - l->content_len || l->turn_at >= l->data.len)
    return 0;
  return l->content_len == 0 || (l->content_len >= 2 && l->data.ptr[l->content_at] == '"' &&
                                 l->data.ptr[l->content_at + l->content_len - 1] == '"');
}

/* Behind `"seq":`. */
static int parse_record(struct scan *s, struct fs_line *l) {
  yoi_str kind;
  if (!take_number(s, &l->seq) || l->seq == 0 || !take(s, ",\"kind\":\"") || !take_word(s, &kind))
    return 0;
  l->kind = FS_LINE_RECORD;
  l->event = yoi_sdk_event_find(kind);
  if (take(s, ",\"more\":true"))
    l->more = true;
  else if (!take(s, ",\"state\":\"") || !take_mark(s, &l->mark) || l->mark == ENG_MARK_CORRUPT)
    return 0;
  if (take(s, ",\"place\":[") &&
      (!take_u32(s, &l->role) || !take(s, ",") || !take_u32(s, &l->content_at) || !take(s, ",") ||
       !take_u32(s, &l->content_len) || !take(s, ",") || !take_u32(s, &l->turn_at) ||
       !take(s, "]")))
    return 0;
  if (!take(s, ",\"data\":") || !take_object(s, &l->data) || !place_fits(l)) return 0;
  if (take(s, ",\"aux\":") && !take_object(s, &l->aux)) return 0;
  if (take(s, ",\"spec\":") && !take_object(s, &l->spec)) return 0;
  if (take(s, ",\"epoch\":\"")) {
    l->born = true;
    if (!take_birth(s, &l->birth)) return 0;
  }
  return l->born == (l->seq == 1);
}

/* Up to the closing bracket, without strings that have one. */
static int parse_batch(struct scan *s, struct fs_line *l) {
  const char *close = memchr(s->at, ']', (size_t)(s->end - s->at));
  size_t pos = 0;
  yoi_str worker;
  uint64_t seq;
  if (close == NULL) return 0;
  l->kind = FS_LINE_BATCH;
  l->batch = (yoi_str){s->at, (size_t)(close - s->at)};
  s->at = close + 1;
  while (fs_line_batch_next(l, &pos, &worker, &seq)) {
  }
  return pos == l->batch.len && take(s, ",\"durable\":") && take_number(s, &l->durable);
}

static int parse_numbered(struct scan *s, struct fs_line *l) {
  if (!take_number(s, &l->n)) return 0;
  if (take(s, ",\"batch\":[")) return parse_batch(s, l);
  if (take(s, ",\"durable\":")) {
    l->kind = FS_LINE_SEAL;
    return take_number(s, &l->durable);
  }
  if (!take(s, ",\"worker\":\"") || !take_id(s, &l->worker)) return 0;
  if (take(s, ",\"seq\":")) return parse_record(s, l);
  l->kind = FS_LINE_REMOVAL;
  return take(s, ",\"removed\":true");
}

static int parse_worker(struct scan *s, struct fs_line *l) {
  l->kind = FS_LINE_WORKER;
  return take_id(s, &l->worker) && take(s, ",\"state\":\"") && take_mark(s, &l->mark) &&
         take(s, ",\"seq\":") && take_number(s, &l->seq) && take(s, ",\"bytes\":") &&
         take_number(s, &l->bytes) &&
         (l->mark != ENG_MARK_STOPPED ||
          (take(s, ",\"stopped\":") && take_number(s, &l->stopped_ms))) &&
         take(s, ",\"epoch\":\"") && take_birth(s, &l->birth);
}

static int parse_head(struct scan *s, struct fs_line *l) {
  l->kind = FS_LINE_HEAD;
  return take(s, ",\"store\":\"") && take_word(s, &l->store) && take(s, ",\"first\":") &&
         take_number(s, &l->first);
}

static int parse_index(struct scan *s, struct fs_line *l) {
  l->kind = FS_LINE_INDEX;
  return take(s, ",\"store\":\"") && take_word(s, &l->store) && take(s, ",\"upto\":") &&
         take_number(s, &l->upto);
}

static int parse_store(struct scan *s, struct fs_line *l) {
  l->kind = FS_LINE_STORE;
  return take(s, ",\"store\":\"") && take_word(s, &l->store);
}

static int parse_end(struct scan *s, struct fs_line *l) {
  l->kind = FS_LINE_END;
  return take_number(s, &l->workers);
}

int fs_line_parse(yoi_str text, struct fs_line *out) {
  static const struct {
    const char *begins;
    int (*parse)(struct scan *s, struct fs_line *l);
  } forms[] = {
      {"{\"n\":", parse_numbered},
      {"{\"worker\":\"", parse_worker},
      {"{\"log\":1", parse_head},
      {"{\"index\":1", parse_index},
      {"{\"end\":", parse_end},
      {"{\"yoi_store\":1", parse_store},
  };
  *out = (struct fs_line){.kind = FS_LINE_RECORD};
  if (text.len < CRC_LEN || text.len > YOI_STORE_LINE_MAX) return 0;
  struct scan s = {text.ptr + text.len - CRC_LEN, text.ptr + text.len};
  uint64_t sum;
  size_t n = text.len - CRC_LEN;
  if (!take(&s, CRC_HEAD) || !take_hex(&s, &sum, 8) || !take(&s, "}") || s.at != s.end ||
      sum != fs_crc32c(0, text.ptr, n))
    return 0;
  s = (struct scan){text.ptr, text.ptr + n};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    if (take(&s, forms[i].begins)) return forms[i].parse(&s, out) && s.at == s.end;
  return 0;
}

int fs_line_batch_next(const struct fs_line *batch, size_t *pos, yoi_str *out_worker,
                       uint64_t *out_seq) {
  struct scan s = {batch->batch.ptr + *pos, batch->batch.ptr + batch->batch.len};
  if (*pos > 0 && !take(&s, ",")) return 0;
  if (!take(&s, "\"") || !take_id(&s, out_worker) || !take(&s, ",") || !take_number(&s, out_seq))
    return 0;
  *pos = (size_t)(s.at - batch->batch.ptr);
  return 1;
}

uint64_t fs_line_at_ms(yoi_str data) {
  static const char word[] = ",\"at\":\"";
  size_t near = data.len < 64 ? data.len : 64; /* behind the sequence */
  const char *at = memmem(data.ptr, near, word, sizeof word - 1);
  uint64_t ns;
  if (at == NULL) return 0;
  struct scan s = {at + sizeof word - 1, data.ptr + data.len};
  yoi_str text;
  return take_word(&s, &text) && yoi_sdk_time_parse(text, &ns) ? ns / 1000000u : 0;
}
