/* sdk/http/retry.c - retry rules and HTTP dates; see sdk/retry.h.
 *
 * Everything here is a pure function of its arguments: clock and randomness
 * are the caller's, so that tests need neither. Dates are read by a small
 * pattern language instead of strptime, which depends on the locale and lets
 * white space and signs through.
 */
#include <sdk/retry.h>

#include <sdk/str.h>
#include <string.h>

#define YEAR_MS 31536000000u

static int fold_eq(yoi_str s, const char *lower) {
  size_t n = strlen(lower);
  if (s.len != n) return 0;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s.ptr[i];
    if (c >= 'A' && c <= 'Z') c = (unsigned char)(c + 32);
    if (c != (unsigned char)lower[i]) return 0;
  }
  return 1;
}

int yoi_sdk_retry_wanted(uint32_t status, yoi_str should_retry) {
  if (fold_eq(should_retry, "true")) return 1;
  if (fold_eq(should_retry, "false")) return 0;
  return status == 408 || status == 409 || status == 429 || (status >= 500 && status <= 599);
}

/* digits [ "." digits ], times `unit` thousandths, rounded up. */
static int decimal_ms(yoi_str s, uint64_t unit, uint64_t *out_ms) {
  uint64_t whole = 0, part = 0, scale = 1;
  size_t i = 0;
  for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
    if (whole <= YEAR_MS) whole = whole * 10 + (uint64_t)(s.ptr[i] - '0');
  if (i == 0) return 0;
  if (i < s.len) {
    if (s.ptr[i] != '.' || ++i == s.len) return 0;
    for (; i < s.len; i++) {
      if (s.ptr[i] < '0' || s.ptr[i] > '9') return 0;
      if (scale < 1000000) {
        part = part * 10 + (uint64_t)(s.ptr[i] - '0');
        scale *= 10;
      }
    }
  }
  uint64_t ms = whole > YEAR_MS ? YEAR_MS : whole * unit + (part * unit + scale - 1) / scale;
  *out_ms = ms > YEAR_MS ? YEAR_MS : ms;
  return 1;
}

/* ---- dates ----------------------------------------------------------- */

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct date {
  uint64_t year, month, day, hour, minute, second;
};

/* Days since 1970-01-01 of a Gregorian date (Hinnant, chrono-compatible
 * low-level date algorithms). */
static uint64_t days_of(uint64_t y, uint64_t m, uint64_t d) {
  if (m <= 2) y--;
  uint64_t era = y / 400, yoe = y - era * 400;
  uint64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  uint64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

/* Y, d, H, N, S: digits of that member. b: a letter of the month's name.
 * a: any letter (the day's name, which decides nothing). e: a digit of the
 * day, or a space. Everything else stands for itself. */
static int match(yoi_str s, const char *pattern, struct date *out) {
  struct date v = {0};
  char name[4] = "";
  size_t n_name = 0;
  if (s.len != strlen(pattern)) return 0;
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    uint64_t digit = (uint64_t)((unsigned char)c - (unsigned)'0');
    uint64_t *to = NULL;
    switch (pattern[i]) {
      case 'Y': to = &v.year; break;
      case 'd': to = &v.day; break;
      case 'H': to = &v.hour; break;
      case 'N': to = &v.minute; break;
      case 'S': to = &v.second; break;
      case 'e':
        if (c == ' ') continue;
        to = &v.day;
        break;
      case 'b':
        if (n_name < 3) name[n_name++] = c;
        continue;
      case 'a':
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) return 0;
        continue;
      default:
        if (c != pattern[i]) return 0;
        continue;
    }
    if (c < '0' || c > '9') return 0;
    *to = *to * 10 + digit;
  }
  for (uint64_t m = 0; m < 12; m++)
    if (memcmp(months + m * 3, name, 3) == 0) v.month = m + 1;
  *out = v;
  return v.month != 0;
}

/* Monday, ... in the obsolete form of RFC 850: skip the name and the comma. */
static yoi_str behind_long_day(yoi_str s) {
  size_t i = 0;
  while (i < s.len && i < 9 && s.ptr[i] >= 'A') i++;
  return i >= 6 ? (yoi_str){s.ptr + i, s.len - i} : (yoi_str){0};
}

int yoi_sdk_http_date(yoi_str s, uint64_t *out_seconds) {
  struct date v;
  if (match(behind_long_day(s), ", dd-bbb-YY HH:NN:SS GMT", &v)) {
    v.year += v.year < 70 ? 2000 : 1900;
  } else if (!match(s, "aaa, dd bbb YYYY HH:NN:SS GMT", &v) &&
             !match(s, "aaa bbb ed HH:NN:SS YYYY", &v)) {
    return 0;
  }
  static const uint8_t length[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int leap = v.year % 4 == 0 && (v.year % 100 != 0 || v.year % 400 == 0);
  if (v.year < 1970 || v.day < 1 || v.day > length[v.month - 1] || v.hour > 23 || v.minute > 59 ||
      v.second > 60 || (v.month == 2 && v.day == 29 && !leap))
    return 0;
  *out_seconds = ((days_of(v.year, v.month, v.day) * 24 + v.hour) * 60 + v.minute) * 60 + v.second;
  return 1;
}

int yoi_sdk_retry_after(yoi_str retry_after_ms, yoi_str retry_after, uint64_t wall_ns,
                        uint64_t *out_ms) {
  if (decimal_ms(retry_after_ms, 1, out_ms)) return 1;
  if (decimal_ms(retry_after, 1000, out_ms)) return 1;
  uint64_t at;
  if (!yoi_sdk_http_date(retry_after, &at)) return 0;
  uint64_t now_ms = wall_ns / 1000000, at_ms = at * 1000;
  uint64_t wait = at_ms > now_ms ? at_ms - now_ms : 0;
  *out_ms = wait > YEAR_MS ? YEAR_MS : wait;
  return 1;
}

/* ---- waits ------------------------------------------------------------ */

static uint64_t quarter(uint64_t ms, uint32_t random) {
  return ms / 4 * (random >> 16) / 65536;
}

uint64_t yoi_sdk_retry_backoff(uint32_t attempt, uint64_t base_ms, uint64_t max_ms,
                               uint32_t random) {
  uint64_t ms = base_ms;
  for (uint32_t i = 0; i < attempt && ms < max_ms; i++) ms *= 2;
  if (ms > max_ms) ms = max_ms;
  return ms - quarter(ms, random);
}

uint64_t yoi_sdk_retry_spread(uint64_t ms, uint64_t max_more, uint32_t random) {
  uint64_t base = ms / 4 > max_more ? max_more * 4 : ms;
  return ms + quarter(base, random);
}
