/* id.c - identifiers by positive grammar, hex, times.
 *
 * Every grammar is one walk over the bytes, without the C library's ctype,
 * which follows the application's locale. What is not listed is refused: no
 * upper-case hex, no sign, no white space.
 */
#include <sdk/id.h>

#include <sdk/str.h>
#include <string.h>

static int digit(char c) {
  return c >= '0' && c <= '9';
}

static int lower(char c) {
  return c >= 'a' && c <= 'z';
}

static int upper(char c) {
  return c >= 'A' && c <= 'Z';
}

int yoi_sdk_id_valid(yoi_str s) {
  if (s.len < 1 || s.len > YOI_ID_MAX) return 0;
  if (!lower(s.ptr[0]) && !digit(s.ptr[0])) return 0;
  for (size_t i = 1; i < s.len; i++) {
    char c = s.ptr[i];
    if (!lower(c) && !digit(c) && c != '.' && c != '_' && c != '-') return 0;
  }
  return 1;
}

int yoi_sdk_name_valid(yoi_str s) {
  if (s.len < 1 || s.len > YOI_NAME_MAX) return 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!lower(c) && !upper(c) && !digit(c) && c != '.' && c != '_' && c != '-') return 0;
  }
  return 1;
}

int yoi_sdk_plugin_id_valid(yoi_str s) {
  if (s.len > YOI_PLUGIN_ID_MAX) return 0;
  size_t labels = 0;
  for (size_t i = 0; i <= s.len; i++) {
    size_t begin = i;
    while (i < s.len && (lower(s.ptr[i]) || digit(s.ptr[i]) || s.ptr[i] == '-')) i++;
    if (i == begin || s.ptr[begin] == '-' || s.ptr[i - 1] == '-') return 0;
    if (i < s.len && s.ptr[i] != '.') return 0;
    labels++;
  }
  return labels >= 2;
}

int yoi_sdk_token_valid(yoi_str s, size_t max) {
  if (s.len < 1 || s.len > max) return 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!lower(c) && !upper(c) && !digit(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~/:=", c)))
      return 0;
  }
  return 1;
}

static int nibble(char c) {
  if (digit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* n lower-case hex digits at p: 0 when they are not, 1 when all are zero,
 * else 2. */
static int hex_field(const char *p, size_t n) {
  int any = 0;
  for (size_t i = 0; i < n; i++) {
    int v = nibble(p[i]);
    if (v < 0) return 0;
    any |= v;
  }
  return any ? 2 : 1;
}

int yoi_sdk_traceparent_valid(yoi_str s) {
  if (s.len < 55 || s.len > YOI_TRACE_MAX) return 0;
  const char *p = s.ptr;
  int version = hex_field(p, 2);
  if (!version || (p[0] == 'f' && p[1] == 'f')) return 0;
  if (p[2] != '-' || p[35] != '-' || p[52] != '-') return 0;
  if (hex_field(p + 3, 32) != 2 || hex_field(p + 36, 16) != 2 || !hex_field(p + 53, 2)) return 0;
  if (version == 1) return s.len == 55; /* version 00 ends here */
  return s.len == 55 || p[55] == '-';
}

void yoi_sdk_hex(const uint8_t *p, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[p[i] >> 4];
    out[2 * i + 1] = digits[p[i] & 15];
  }
}

int yoi_sdk_unhex(yoi_str s, uint8_t *out, size_t n) {
  if (s.len / 2 != n || s.len % 2) return 0;
  if (s.len && !hex_field(s.ptr, s.len)) return 0;
  for (size_t i = 0; i < n; i++)
    out[i] = (uint8_t)(nibble(s.ptr[2 * i]) << 4 | nibble(s.ptr[2 * i + 1]));
  return 1;
}

static void decimal(char *out, size_t width, uint64_t n) {
  while (width--) {
    out[width] = (char)('0' + n % 10);
    n /= 10;
  }
}

/* The civil calendar from a day count, by eras of 400 years (146,097 days)
 * that begin on 1 March: the leap day is then the last of its year. */
void yoi_sdk_time_text(uint64_t wall_ns, char out[YOI_SDK_TIME_SIZE]) {
  uint64_t ms = wall_ns / 1000000, seconds = ms / 1000;
  uint64_t days = seconds / 86400 + 719468; /* from 0000-03-01 */
  uint64_t era = days / 146097, day = days % 146097;
  uint64_t y = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  uint64_t yday = day - (365 * y + y / 4 - y / 100);
  uint64_t month = (5 * yday + 2) / 153; /* 0 is March */
  uint64_t mday = yday - (153 * month + 2) / 5 + 1;
  uint64_t year = era * 400 + y + (month >= 10);
  memcpy(out, "0000-00-00T00:00:00.000Z", YOI_SDK_TIME_SIZE);
  decimal(out, 4, year);
  decimal(out + 5, 2, month < 10 ? month + 3 : month - 9);
  decimal(out + 8, 2, mday);
  decimal(out + 11, 2, seconds / 3600 % 24);
  decimal(out + 14, 2, seconds / 60 % 60);
  decimal(out + 17, 2, seconds % 60);
  decimal(out + 20, 3, ms % 1000);
}

static int take_decimal(yoi_str s, size_t at, size_t digits, uint64_t max, uint64_t *out) {
  uint64_t v = 0;
  for (size_t i = 0; i < digits; i++) {
    char c = s.ptr[at + i];
    if (c < '0' || c > '9') return 0;
    v = 10 * v + (uint64_t)(c - '0');
  }
  *out = v;
  return v <= max;
}

int yoi_sdk_time_parse(yoi_str s, uint64_t *out_wall_ns) {
  uint64_t year, month, mday, hour, minute, second, ms;
  char again[YOI_SDK_TIME_SIZE];
  if (s.len != YOI_SDK_TIME_SIZE - 1 || !take_decimal(s, 0, 4, 2553, &year) ||
      !take_decimal(s, 5, 2, 12, &month) || !take_decimal(s, 8, 2, 31, &mday) ||
      !take_decimal(s, 11, 2, 23, &hour) || !take_decimal(s, 14, 2, 59, &minute) ||
      !take_decimal(s, 17, 2, 59, &second) || !take_decimal(s, 20, 3, 999, &ms))
    return 0;
  if (year < 1970 || month == 0 || mday == 0) return 0;
  /* Days from 0000-03-01, as above. */
  uint64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
  uint64_t days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + mday - 1 - 719468;
  uint64_t ns = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms;
  yoi_sdk_time_text(ns * 1000000u, again);
  if (memcmp(again, s.ptr, s.len) != 0) return 0; /* no such day, or other signs between */
  *out_wall_ns = ns * 1000000u;
  return 1;
}
