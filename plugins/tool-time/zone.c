/* zone.c - time zones as the system has them, read by RFC 8536.
 *
 * The C library knows one zone, that of the process, and what it has for
 * others changes the environment of all threads. So the system's files are
 * read here: a table of the times at which clocks were turned, and behind it a
 * rule for all that comes later, such as CET-1CEST,M3.5.0,M10.5.0/3.
 *
 *   header (its table has 32 bits: skipped), header, times, types, rule
 *
 *  1. Nothing is read past the end: at() answers NULL, and that is the end.
 *  2. A name has no '.', so that none leads out of the folder of zones.
 *  3. A file is read at each call: it has one or two KB, lies in the page cache
 *     like the plugin's own code, and the operator may update it.
 */
#include "zone.h"

#include <fcntl.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ZONE_FOLDER "/usr/share/zoneinfo/"
#define ZONE_NAME_MAX 64
#define ZONE_FILE_MAX 16384 /* the largest has 3.6 KB */
#define HEADER 44
#define DAY 86400

/* ---- the rule for what comes ---- */

/* "+5:30:15", at most `most` hours, in seconds; 0 at what is none. */
static int rule_time(const char **at, int most, int32_t *out) {
  const char *p = *at;
  int32_t sign = *p == '-' ? -1 : 1, unit = 3600, sum = 0;
  p += *p == '-' || *p == '+';
  for (; unit > 0; unit /= 60) {
    int32_t n = 0, digits = 0;
    for (; *p >= '0' && *p <= '9' && digits < 3; p++, digits++) n = n * 10 + (*p - '0');
    if (digits == 0 || n > (unit == 3600 ? most : 59)) return 0;
    sum += n * unit;
    if (*p != ':' || unit == 1) break;
    p++;
  }
  *out = sign * sum;
  *at = p;
  return 1;
}

/* "CEST", "<+0330>". */
static int rule_name(const char **at) {
  const char *p = *at;
  if (*p == '<') {
    p = strchr(p, '>');
    if (!p) return 0;
    *at = p + 1;
    return 1;
  }
  while ((*p | 32) >= 'a' && (*p | 32) <= 'z') p++;
  if (p - *at < 3) return 0;
  *at = p;
  return 1;
}

static int rule_number(const char **at, int least, int most, int *out) {
  int n = 0;
  const char *p = *at;
  while (*p >= '0' && *p <= '9' && n < 1000) n = n * 10 + (*p++ - '0');
  if (p == *at || n < least || n > most) return 0;
  *out = n;
  *at = p;
  return 1;
}

static int leap(int64_t year) {
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970 to the first of January. */
static int64_t year_day(int64_t year) {
  int64_t y = year - 1;
  return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

/* "M3.5.0": the last Sunday of March; "J60", "59": a day of the year. As days
 * from 1970. */
static int rule_day(const char **at, int64_t year, int64_t *out) {
  static const int before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  int64_t first = year_day(year);
  int m, w, d;
  if (**at == 'J') {
    ++*at;
    if (!rule_number(at, 1, 365, &d)) return 0;
    *out = first + d - 1 + (leap(year) && d > 59);
  } else if (**at != 'M') {
    if (!rule_number(at, 0, 365, &d)) return 0;
    *out = first + d;
  } else {
    ++*at;
    if (!rule_number(at, 1, 12, &m) || *(*at)++ != '.' || !rule_number(at, 1, 5, &w) ||
        *(*at)++ != '.' || !rule_number(at, 0, 6, &d))
      return 0;
    int length = m == 12 ? 31 : before[m] - before[m - 1] + (m == 2 && leap(year));
    int64_t begin = first + before[m - 1] + (m > 2 && leap(year));
    int weekday = (int)(((begin + 4) % 7 + 7) % 7), day = (d - weekday + 7) % 7 + (w - 1) * 7;
    *out = begin + (day >= length ? day - 7 : day);
  }
  return 1;
}

/* ",M3.5.0/2": when clocks are turned in a year, by the clock before. */
static int rule_turn(const char **at, int64_t year, int64_t *out) {
  int32_t time = 2 * 3600;
  int64_t day;
  if (*(*at)++ != ',' || !rule_day(at, year, &day)) return 0;
  if (**at == '/') {
    ++*at;
    if (!rule_time(at, 167, &time)) return 0;
  }
  *out = day * DAY + time;
  return 1;
}

static int rule_offset(const char *p, int64_t t, int32_t *out_s) {
  int32_t standard, summer;
  if (!rule_name(&p) || !rule_time(&p, 24, &standard)) return 0;
  *out_s = standard = -standard; /* it counts to the west */
  if (!*p) return 1;
  summer = standard + 3600;
  if (!rule_name(&p)) return 0;
  if (*p != ',') {
    if (!rule_time(&p, 24, &summer)) return 0;
    summer = -summer;
  }
  int64_t local = (t + standard) / DAY, year = 1970 + local / 366, begin, end;
  while (year_day(year + 1) <= local) year++;
  if (!rule_turn(&p, year, &begin) || !rule_turn(&p, year, &end) || *p) return 0;
  begin -= standard;
  end -= summer;
  /* South of the equator the summer is what is not between the two. */
  if (begin < end ? t >= begin && t < end : t < end || t >= begin) *out_s = summer;
  return 1;
}

/* ---- the file ---- */

static const unsigned char *at(yoi_str file, size_t offset, size_t n) {
  if (offset > file.len || n > file.len - offset) return NULL;
  return (const unsigned char *)file.ptr + offset;
}

static uint32_t big32(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t big64(const unsigned char *p) {
  return (int64_t)((uint64_t)big32(p) << 32 | big32(p + 4));
}

enum { UT, STD, LEAP, TIMES, TYPES, CHARS, N_COUNTS };

/* The counts of a header, and where what is behind its table begins. */
static int header(yoi_str file, size_t offset, size_t width, size_t n[N_COUNTS], size_t *out_end) {
  const unsigned char *h = at(file, offset, HEADER);
  if (!h || memcmp(h, "TZif", 4) != 0 || h[4] < '2') return 0;
  for (size_t i = 0; i < N_COUNTS; i++)
    if ((n[i] = big32(h + 20 + 4 * i)) > ZONE_FILE_MAX) return 0;
  *out_end = offset + HEADER + n[TIMES] * (width + 1) + n[TYPES] * 6 + n[CHARS] +
             n[LEAP] * (width + 4) + n[STD] + n[UT];
  return n[TYPES] > 0;
}

int zone_of_file(yoi_str file, int64_t unix_s, int32_t *out_s) {
  char rule[128];
  size_t n[N_COUNTS], second, end, past = 0;
  if (unix_s < 0 || !header(file, 0, 4, n, &second) || !header(file, second, 8, n, &end)) return 0;
  const unsigned char *times = at(file, second + HEADER, end - second - HEADER);
  if (!times) return 0;
  const unsigned char *indices = times + n[TIMES] * 8, *types = indices + n[TIMES];
  while (past < n[TIMES] && big64(times + past * 8) <= unix_s) past++;
  const unsigned char *text = at(file, end, 2);
  if (past == n[TIMES] && text && text[0] == '\n' && text[1] != '\n') {
    size_t left = file.len - end - 1;
    const unsigned char *line = memchr(text + 1, '\n', left);
    if (!line || (size_t)(line - text) > sizeof rule) return 0;
    memcpy(rule, text + 1, (size_t)(line - text - 1));
    rule[line - text - 1] = 0;
    return rule_offset(rule, unix_s, out_s);
  }
  size_t type = past > 0 ? indices[past - 1] : 0;
  if (type >= n[TYPES]) return 0;
  *out_s = (int32_t)big32(types + type * 6);
  return *out_s > -2 * DAY && *out_s < 2 * DAY;
}

/* ---- names ---- */

/* "+02:00", at most 23:59. */
static int fixed(yoi_str zone, int32_t *out_s) {
  const char *p = zone.ptr;
  if (zone.len != 6 || (p[0] != '+' && p[0] != '-') || p[3] != ':') return 0;
  for (size_t i = 1; i < 6; i++)
    if (i != 3 && (p[i] < '0' || p[i] > '9')) return 0;
  int32_t hours = (p[1] - '0') * 10 + p[2] - '0', minutes = (p[4] - '0') * 10 + p[5] - '0';
  if (hours > 23 || minutes > 59) return 0;
  *out_s = (p[0] == '-' ? -60 : 60) * (hours * 60 + minutes);
  return 1;
}

static int named(yoi_str zone, int64_t unix_s, int32_t *out_s) {
  char path[sizeof ZONE_FOLDER + ZONE_NAME_MAX], bytes[ZONE_FILE_MAX];
  if (zone.len == 0 || zone.len > ZONE_NAME_MAX || zone.ptr[0] == '/') return 0;
  for (size_t i = 0; i < zone.len; i++) {
    char c = zone.ptr[i];
    if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && !strchr("/_+-", c))
      return 0;
  }
  snprintf(path, sizeof path, ZONE_FOLDER "%.*s", YOI_ARG(zone));
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return 0;
  ssize_t n = read(fd, bytes, sizeof bytes);
  close(fd);
  return n > 0 && zone_of_file((yoi_str){bytes, (size_t)n}, unix_s, out_s);
}

yoi_status zone_offset(yoi_str zone, int64_t unix_s, int32_t *out_s, yoi_error *err) {
  *out_s = 0;
  if (yoi_sdk_str_is(zone, "UTC") || fixed(zone, out_s) || named(zone, unix_s, out_s))
    return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "there is no time zone '%.*s': 'Europe/Berlin' is one, and an offset such "
                      "as '+02:00' is always good",
                      (int)yoi_sdk_utf8_cut(zone, ZONE_NAME_MAX), zone.ptr);
}
