/* location.c - what a text that fits no grammar is: a path, a socket, an address.
 *
 * The grammars refuse all of these already. Which one it is decides the code and
 * the words: a bundle that names a place of one machine is not misspelt, it holds
 * what belongs into a host's config.
 */
#include "reader.h"

#include <string.h>

static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int alpha(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

static int digit(char c) {
  return c >= '0' && c <= '9';
}

static yoi_str from(yoi_str s, size_t i) {
  return (yoi_str){s.ptr + i, s.len - i};
}

/* Words are in lower case; the text in any. */
static int starts(yoi_str s, const char *word) {
  size_t n = strlen(word);
  if (s.len < n) return 0;
  for (size_t i = 0; i < n; i++)
    if (lower(s.ptr[i]) != word[i]) return 0;
  return 1;
}

static int ends(yoi_str s, const char *word) {
  size_t n = strlen(word);
  return s.len >= n && starts(from(s, s.len - n), word);
}

static int has(yoi_str s, const char *word) {
  for (size_t i = 0; i + strlen(word) <= s.len; i++)
    if (starts(from(s, i), word)) return 1;
  return 0;
}

/* ---- addresses ------------------------------------------------------------------------ */

/* Four numbers with dots; 0: they are not. */
static int ipv4(yoi_str host, unsigned out[4]) {
  size_t i = 0;
  for (size_t k = 0; k < 4; k++) {
    size_t begin = i;
    out[k] = 0;
    while (i < host.len && digit(host.ptr[i]) && i - begin < 3)
      out[k] = out[k] * 10 + (unsigned)(host.ptr[i++] - '0');
    if (i == begin || out[k] > 255) return 0;
    if (k < 3 && (i == host.len || host.ptr[i++] != '.')) return 0;
  }
  return i == host.len;
}

static int is_private(yoi_str host) {
  unsigned a[4];
  if (ipv4(host, a))
    return a[0] == 127 || a[0] == 10 || a[0] == 0 || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 172 && a[1] >= 16 && a[1] < 32) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 100 && a[1] >= 64 && a[1] < 128);
  return (host.len > 0 && host.ptr[0] == '[') || starts(host, "fe80:") || starts(host, "::1") ||
         (host.len == 9 && starts(host, "localhost")) || ends(host, ".localhost") ||
         ends(host, ".local") || ends(host, ".internal") || ends(host, ".lan") ||
         ends(host, ".intranet") || ends(host, ".home.arpa");
}

/* "HOST:PORT" without its port, and brackets as they are. */
static yoi_str without_port(yoi_str s) {
  size_t n = s.len;
  while (n > 0 && digit(s.ptr[n - 1])) n--;
  return n > 0 && n < s.len && s.ptr[n - 1] == ':' ? (yoi_str){s.ptr, n - 1} : s;
}

/* What stands between "//" or the begin, and a path. */
static yoi_str authority(yoi_str s) {
  size_t n = 0;
  for (size_t i = 0; i < s.len && s.ptr[i] != '/' && s.ptr[i] != '?' && s.ptr[i] != '#'; i++) {
    n = i + 1;
    if (s.ptr[i] == '@') { /* user and password are no part of a host */
      s = from(s, i + 1);
      i = (size_t)-1;
      n = 0;
    }
  }
  return without_port((yoi_str){s.ptr, n});
}

/* Behind "SCHEME://"; 0: it is no URL. */
static size_t scheme(yoi_str s) {
  size_t i = 0;
  while (i < s.len && (alpha(s.ptr[i]) || (i > 0 && (digit(s.ptr[i]) || s.ptr[i] == '+' ||
                                                    s.ptr[i] == '-' || s.ptr[i] == '.'))))
    i++;
  return i > 0 && i + 3 <= s.len && memcmp(s.ptr + i, "://", 3) == 0 ? i + 3 : 0;
}

static const char *address(yoi_str s) {
  size_t behind = scheme(s);
  yoi_str host = authority(from(s, behind));
  if (host.len > 0 && is_private(host)) return "endpoint.private";
  if (behind > 0) return "endpoint.url";
  return host.len < s.len && s.ptr[host.len] == ':' && host.len > 0 &&
                 memchr(host.ptr, '.', host.len) != NULL && without_port(s).len == host.len
             ? "endpoint.port"
             : NULL;
}

/* ---- paths ---------------------------------------------------------------------------- */

static const char *below_a_known_folder(yoi_str s) {
  if (ends(s, ".sock") || ends(s, ".socket")) return "path.socket";
  if (has(s, "/sessions/") || has(s, "/session/") || starts(s, "sessions/") ||
      starts(s, "session/"))
    return "path.session";
  if (has(s, "/.cache/") || has(s, "/cache/") || has(s, "/caches/") || starts(s, ".cache/") ||
      starts(s, "cache/"))
    return "path.cache";
  return NULL;
}

const char *yoi_sdk__bundle_location(yoi_str s) {
  const char *folder = NULL;
  if (s.len == 0) return NULL;
  if (starts(s, "file:")) return "url.file";
  if (starts(s, "unix:")) return "url.unix";
  if (starts(s, "\\\\") || starts(s, "//")) return "path.unc";
  int slashes = memchr(s.ptr, '/', s.len) != NULL || memchr(s.ptr, '\\', s.len) != NULL;
  if (slashes && scheme(s) == 0) folder = below_a_known_folder(s);
  if (folder != NULL) return folder;
  if (s.ptr[0] == '/') return "path.absolute";
  if (s.ptr[0] == '~' || starts(s, "$home") || starts(s, "${home}") || starts(s, "%userprofile%") ||
      starts(s, "%appdata%") || starts(s, "%localappdata%") || starts(s, "%homepath%"))
    return "path.home";
  if (s.len >= 3 && alpha(s.ptr[0]) && s.ptr[1] == ':' && (s.ptr[2] == '\\' || s.ptr[2] == '/'))
    return "path.drive";
  if (starts(s, "../") || starts(s, "..\\") || has(s, "/../") || ends(s, "/.."))
    return "path.parent";
  return address(s);
}
