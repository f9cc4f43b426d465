/* sdk/http/url.c - URLs by libcurl's own parser, see sdk/url.h.
 *
 * What makes a URL of others dangerous is that two readers take it apart in
 * two ways. So there is one reader, and its result is read again: the host
 * that a caller gets is the one of the text that is fetched, after libcurl
 * put it together from the parts of the first reading. Until two readings
 * agree there is no result.
 */
#include <sdk/url.h>

#include <curl/curl.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <string.h>
#include <strings.h>

#define FLAGS (CURLU_DISALLOW_USER | CURLU_URLENCODE | CURLU_ALLOW_SPACE)
#define READINGS_MAX 4 /* a last dot, then a number, then the same again */

/* NUL-terminated for libcurl; NULL when it cannot be. */
static char *terminated(yoi_str s) {
  if (s.len == 0 || s.len > YOI_FETCH_URL_MAX || memchr(s.ptr, 0, s.len)) return NULL;
  return yoi_sdk_strndup(s.ptr, s.len);
}

static int is_address6(const char *host) {
  return host[0] == '[' && strspn(host + 1, "0123456789abcdefABCDEF:.") == strlen(host) - 2 &&
         host[strlen(host) - 1] == ']';
}

static int is_name(const char *host) {
  return host[0] && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_.") == strlen(host);
}

/* NULL: fine. */
static const char *refuse_parts(CURLU *u, uint32_t *out_tls, uint32_t *out_port) {
  char *scheme = NULL, *port = NULL, *user = NULL, *zone = NULL;
  const char *why = NULL;
  uint64_t n = 0;
  if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0))
    why = "only 'http://' and 'https://' can be fetched";
  else if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
           curl_url_get(u, CURLUPART_PASSWORD, &user, 0) == CURLUE_OK)
    why = "a user or a password may not stand in it";
  else if (curl_url_get(u, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
    why = "an address with a zone may not stand in it";
  else if (curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
           !yoi_sdk_parse_u64(yoi_sdk_str(port), 65535, &n) || n == 0)
    why = "its port is none from 1 to 65535";
  if (!why) {
    *out_tls = strcasecmp(scheme, "https") == 0;
    *out_port = (uint32_t)n;
  }
  curl_free(scheme);
  curl_free(port);
  curl_free(user);
  curl_free(zone);
  return why;
}

/* The host as 2 of the header wants it, in memory of libcurl's; NULL: none. */
static char *plain_host(CURLU *u) {
  char *host = NULL;
  if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) return NULL;
  size_t n = strlen(host);
  if (n > 1 && host[n - 1] == '.') host[--n] = '\0';
  for (size_t i = 0; i < n; i++)
    if (host[i] >= 'A' && host[i] <= 'Z') host[i] = (char)(host[i] + 32);
  if (is_address6(host) || (is_name(host) && host[n - 1] != '.' && host[0] != '.')) return host;
  curl_free(host);
  return NULL;
}

static CURLU *read_text(const char *text) {
  CURLU *u = curl_url();
  if (u && curl_url_set(u, CURLUPART_URL, text, FLAGS) == CURLUE_OK) return u;
  curl_url_cleanup(u);
  return NULL;
}

static void take(struct yoi_sdk_url *out, const char *text, const char *host) {
  size_t n = strlen(host);
  out->text = yoi_sdk_strndup(text, strlen(text));
  out->host = host[0] == '[' ? yoi_sdk_strndup(host + 1, n - 2) : yoi_sdk_strndup(host, n);
}

/* Reads, writes and reads again until nothing changes. NULL: *out is it. */
static const char *settle(CURLU **u, struct yoi_sdk_url *out) {
  const char *why = "it is none that can be read";
  for (int i = 0; i < READINGS_MAX; i++) {
    char *before = NULL, *after = NULL;
    const char *refused = refuse_parts(*u, &out->tls, &out->port);
    if (refused) return refused;
    char *host = plain_host(*u);
    if (!host) return "its host is no name and no address; other letters are written 'xn--...'";
    (void)curl_url_set(*u, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_get(*u, CURLUPART_URL, &before, 0) == CURLUE_OK &&
        curl_url_set(*u, CURLUPART_HOST, host, 0) == CURLUE_OK &&
        curl_url_get(*u, CURLUPART_URL, &after, 0) == CURLUE_OK) {
      if (i > 0 && strcmp(before, after) == 0) {
        take(out, after, host);
        why = NULL;
      } else {
        curl_url_cleanup(*u);
        *u = read_text(after);
      }
    } else {
      curl_url_cleanup(*u);
      *u = NULL;
    }
    curl_free(host);
    curl_free(before);
    curl_free(after);
    if (!why || !*u) break;
  }
  return why;
}

static const char *why_not(CURLUcode code) {
  switch (code) {
    case CURLUE_BAD_PORT_NUMBER: return "its port is none from 1 to 65535";
    case CURLUE_UNSUPPORTED_SCHEME:
    case CURLUE_BAD_SCHEME:
    case CURLUE_BAD_FILE_URL: return "only 'http://' and 'https://' can be fetched";
    case CURLUE_USER_NOT_ALLOWED: return "a user or a password may not stand in it";
    case CURLUE_NO_HOST: return "it has no host";
    case CURLUE_BAD_HOSTNAME:
    case CURLUE_BAD_IPV6: return "its host is no name and no address";
    default: return "it is none that can be read: 'https://example.com/page' is one";
  }
}

yoi_status yoi_sdk_url_parse(const struct yoi_sdk_url *base, yoi_str text, struct yoi_sdk_url *out,
                             yoi_error *err) {
  char *copy = terminated(text);
  CURLU *u = base ? read_text(base->text) : curl_url();
  const char *why = NULL;
  *out = (struct yoi_sdk_url){0};
  if (text.len > YOI_FETCH_URL_MAX) {
    why = "it is too long";
  } else if (!copy) {
    why = "it is empty, or has a NUL in it";
  } else if (u) {
    CURLUcode code = curl_url_set(u, CURLUPART_URL, copy, FLAGS);
    why = code == CURLUE_OK ? settle(&u, out) : why_not(code);
  }
  int memory = !why && !(out->text && out->host);
  yoi_sdk_free(copy);
  curl_url_cleanup(u);
  if (!why && !memory && strlen(out->text) <= YOI_FETCH_URL_MAX) return YOI_OK;
  yoi_sdk_url_release(out);
  if (memory) return yoi_sdk_fail_memory(err);
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the URL is refused: %s",
                      why ? why : "it is too long");
}

void yoi_sdk_url_release(struct yoi_sdk_url *url) {
  yoi_sdk_free(url->text);
  yoi_sdk_free(url->host);
  *url = (struct yoi_sdk_url){0};
}

char *yoi_sdk_url_link(const struct yoi_sdk_url *base, yoi_str href) {
  while (href.len && (unsigned char)href.ptr[0] <= ' ') href.ptr++, href.len--;
  while (href.len && (unsigned char)href.ptr[href.len - 1] <= ' ') href.len--;
  char *copy = terminated(href), *text = NULL, *out = NULL;
  CURLU *u = copy ? read_text(base->text) : NULL;
  uint32_t tls, port;
  if (u && curl_url_set(u, CURLUPART_URL, copy, FLAGS) == CURLUE_OK &&
      !refuse_parts(u, &tls, &port) && curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK &&
      strlen(text) <= YOI_FETCH_URL_MAX)
    out = yoi_sdk_strndup(text, strlen(text));
  curl_free(text);
  curl_url_cleanup(u);
  yoi_sdk_free(copy);
  return out;
}
