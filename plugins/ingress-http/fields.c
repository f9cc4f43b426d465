/* ingress-http/fields.c - grammars of field and parameter values.
 *
 * Strict and by hand: a value that is nearly right is refused, because two
 * programs in a row that are lenient in different ways disagree about what
 * was asked. Nothing here allocates; everything is bounded by its input.
 */
#include "fields.h"

#include "codec.h"

#include <sdk/id.h>
#include <sdk/str.h>
#include <string.h>

static unsigned char lower(unsigned char c) {
  return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static int is_digit(unsigned char c) { return c >= '0' && c <= '9'; }

static int is_alnum(unsigned char c) {
  unsigned char l = lower(c);
  return is_digit(c) || (l >= 'a' && l <= 'z');
}

int http_is_token(unsigned char c) {
  return is_alnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

int http_str_caseeq(yoi_str a, const char *lower_case) {
  size_t n = strlen(lower_case);
  if (a.len != n) return 0;
  for (size_t i = 0; i < n; i++)
    if (lower((unsigned char)a.ptr[i]) != (unsigned char)lower_case[i]) return 0;
  return 1;
}

yoi_str http_str_trim(yoi_str s) {
  while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s.ptr++, s.len--;
  while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
  return s;
}

/* Up to the next `sep` outside quotes. */
static int split_next(yoi_str list, char sep, size_t *pos, yoi_str *out) {
  while (*pos < list.len) {
    size_t from = *pos, i = from;
    int quoted = 0;
    for (; i < list.len && (quoted || list.ptr[i] != sep); i++) {
      if (quoted && list.ptr[i] == '\\' && i + 1 < list.len) i++;
      else if (list.ptr[i] == '"') quoted = !quoted;
    }
    *pos = i + 1;
    *out = http_str_trim((yoi_str){list.ptr + from, i - from});
    if (out->len > 0) return 1;
  }
  return 0;
}

int http_list_next(yoi_str list, size_t *pos, yoi_str *out) {
  return split_next(list, ',', pos, out);
}

void http_host_split(yoi_str s, yoi_str *host, yoi_str *port) {
  size_t end = s.len;
  while (end > 0 && is_digit((unsigned char)s.ptr[end - 1])) end--;
  if (end > 0 && end < s.len && s.ptr[end - 1] == ':') {
    *host = (yoi_str){s.ptr, end - 1};
    *port = (yoi_str){s.ptr + end, s.len - end};
  } else {
    *host = s;
    *port = (yoi_str){NULL, 0};
  }
}

int http_host_valid(yoi_str s) {
  yoi_str host, port;
  http_host_split(s, &host, &port);
  if (host.len == 0 || host.len > 255 || port.len > 5) return 0;
  if (host.ptr[0] == '[') {
    if (host.len < 4 || host.ptr[host.len - 1] != ']') return 0;
    for (size_t i = 1; i + 1 < host.len; i++) {
      unsigned char c = lower((unsigned char)host.ptr[i]);
      if (!is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return 0;
    }
    return 1;
  }
  for (size_t i = 0; i < host.len; i++) {
    unsigned char c = (unsigned char)host.ptr[i];
    if (!is_alnum(c) && c != '.' && c != '-' && c != '_') return 0;
  }
  return 1;
}

static int weight_is_zero(yoi_str parameter) {
  if (parameter.len < 3 || lower((unsigned char)parameter.ptr[0]) != 'q' ||
      parameter.ptr[1] != '=')
    return 0;
  for (size_t i = 2; i < parameter.len; i++)
    if (parameter.ptr[i] != '0' && parameter.ptr[i] != '.') return 0;
  return 1;
}

unsigned http_accept_bits(yoi_str line) {
  unsigned bits = 0;
  size_t pos = 0;
  yoi_str range;
  while (http_list_next(line, &pos, &range)) {
    size_t at = 0;
    yoi_str type, parameter;
    int refused = 0;
    if (!split_next(range, ';', &at, &type)) continue;
    while (split_next(range, ';', &at, &parameter)) refused |= weight_is_zero(parameter);
    if (refused) continue;
    if (http_str_caseeq(type, "text/event-stream")) bits |= HTTP_ACCEPT_SSE;
    if (http_str_caseeq(type, "application/json")) bits |= HTTP_ACCEPT_JSON;
  }
  return bits;
}

int http_is_json(yoi_str content_type) {
  size_t at = 0;
  yoi_str part;
  if (!split_next(content_type, ';', &at, &part)) return 0;
  if (!http_str_caseeq(part, "application/json")) return 0;
  while (split_next(content_type, ';', &at, &part))
    if (!http_str_caseeq(part, "charset=utf-8") && !http_str_caseeq(part, "charset=\"utf-8\""))
      return 0;
  return 1;
}

int http_idempotency_key(yoi_str s, yoi_str *out) {
  if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"') s = (yoi_str){s.ptr + 1, s.len - 2};
  *out = s;
  return yoi_sdk_token_valid(s, YOI_IDEMPOTENCY_KEY_MAX);
}

/* Our tags have no comma in them; one that has is none of ours, in parts too. */
int http_none_match(yoi_str field, yoi_str tag) {
  size_t pos = 0;
  yoi_str one;
  while (http_list_next(field, &pos, &one)) {
    if (yoi_sdk_str_is(one, "*")) return 1;
    if (yoi_sdk_str_starts(one, YOI_LIT("W/"))) one.ptr += 2, one.len -= 2;
    if (one.len == tag.len + 2 && one.ptr[0] == '"' && one.ptr[one.len - 1] == '"' &&
        memcmp(one.ptr + 1, tag.ptr, tag.len) == 0)
      return 1;
  }
  return 0;
}

yoi_str http_cookie(yoi_str field, yoi_str name) {
  yoi_str found = {NULL, 0}, part;
  size_t at = 0;
  while (split_next(field, ';', &at, &part)) {
    if (part.len <= name.len || part.ptr[name.len] != '=' ||
        memcmp(part.ptr, name.ptr, name.len) != 0)
      continue;
    if (found.ptr) return (yoi_str){NULL, 0};
    found = (yoi_str){part.ptr + name.len + 1, part.len - name.len - 1};
  }
  return found;
}

int http_seconds(yoi_str s, uint64_t max_ms, uint64_t *out_ms) {
  size_t i = 0, digits = 0;
  uint64_t ms = 0, unit = 1000;
  int over = 0;
  if (s.len == 0 || s.len > 24) return 0;
  if (s.len > 1 && s.ptr[0] == '0' && s.ptr[1] != '.') return 0;
  for (; i < s.len && is_digit((unsigned char)s.ptr[i]); i++) {
    ms = ms * 10 + (uint64_t)(s.ptr[i] - '0');
    if (ms > max_ms) ms = max_ms, over = 1; /* keeps it far from overflow */
  }
  if (i == 0) return 0;
  ms *= 1000;
  if (i < s.len) {
    if (s.ptr[i++] != '.') return 0;
    for (; i < s.len; i++, digits++) {
      if (!is_digit((unsigned char)s.ptr[i]) || digits == 3) return 0;
      unit /= 10;
      ms += unit * (uint64_t)(s.ptr[i] - '0');
    }
    if (digits == 0) return 0;
  }
  over |= ms > max_ms;
  *out_ms = over ? max_ms : ms;
  return over ? 2 : 1;
}

static int hex_digit(unsigned char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int http_percent_decode(yoi_str s, char *out, size_t *out_len) {
  size_t n = 0;
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] != '%') {
      out[n++] = s.ptr[i];
      continue;
    }
    if (s.len - i < 3) return 0;
    int high = hex_digit((unsigned char)s.ptr[i + 1]);
    int low = hex_digit((unsigned char)s.ptr[i + 2]);
    if (high < 0 || low < 0 || (high | low) == 0) return 0;
    out[n++] = (char)(high << 4 | low);
    i += 2;
  }
  *out_len = n;
  return 1;
}
