/* sdk/http/classify.c - libcurl's eighty error codes as the few of sdk/http.h,
 * and which URLs we accept.
 *
 * A caller decides by the class alone: may the request be asked again, whose
 * fault was it. So a code that fits nowhere is INTERNAL rather than a guess
 * that would be retried.
 */
#include "internal.h"

#include <arpa/inet.h>

#define NAME(sym, num, name) [num] = name,
static const char *const names[] = {YOI_SDK_HTTP_ENDS(NAME)};
#undef NAME

const char *yoi_sdk_http_end_name(uint32_t end) {
  return end < sizeof names / sizeof names[0] ? names[end] : "internal";
}

uint32_t yoi__sdk_http_classify(CURLcode code, uint32_t phase) {
  switch (code) {
    case CURLE_OK:
      return YOI_SDK_HTTP_OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_NO_CONNECTION_AVAILABLE:
      return YOI_SDK_HTTP_CONNECT;
    case CURLE_OPERATION_TIMEDOUT: /* the only timeout that libcurl is given */
      return phase == YOI__SDK_HTTP_OPENING ? YOI_SDK_HTTP_CONNECT : YOI_SDK_HTTP_TOTAL;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
      return YOI_SDK_HTTP_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
      return YOI_SDK_HTTP_CLOSED;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a status line */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return YOI_SDK_HTTP_MALFORMED;
    case CURLE_FILESIZE_EXCEEDED:
      return YOI_SDK_HTTP_TOO_LARGE;
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK:
      return YOI_SDK_HTTP_STOPPED;
    default:
      return YOI_SDK_HTTP_INTERNAL;
  }
}

const char *yoi__sdk_http_cause(CURL *easy, CURLcode code) {
  static const struct {
    long number; /* X509_V_ERR_* of openssl/x509_vfy.h */
    const char *text;
  } reasons[] = {{9, "the certificate is not valid yet"},
                 {10, "the certificate has expired"},
                 {18, "the certificate is signed by itself"},
                 {19, "a certificate of the chain is signed by itself"},
                 {20, "the issuer of the certificate is not trusted"},
                 {21, "the issuer of the certificate is not there"},
                 {23, "the certificate was revoked"}};
  long n = 0;
  if (code == CURLE_COULDNT_CONNECT && curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &n) == CURLE_OK &&
      n > 0)
    return strerror((int)n);
  if (code == CURLE_PEER_FAILED_VERIFICATION &&
      curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &n) == CURLE_OK)
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
      if (reasons[i].number == n) return reasons[i].text;
  return curl_easy_strerror(code);
}

/* Takes a part, or NULL when the URL has none; free with curl_free. */
static char *part(CURLU *u, CURLUPart what) {
  char *text = NULL;
  return curl_url_get(u, what, &text, 0) == CURLUE_OK ? text : NULL;
}

int yoi_sdk_http_url_check(const char *url, int *out_tls, int *out_loopback) {
  CURLU *u = curl_url();
  if (!u) return 0;
  int good = curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK;
  char *scheme = part(u, CURLUPART_SCHEME), *host = part(u, CURLUPART_HOST);
  good = good && scheme && host && *host &&
         (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
  static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY,
                                       CURLUPART_FRAGMENT};
  for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
    char *text = part(u, unwanted[i]);
    if (text) good = 0;
    curl_free(text);
  }
  if (good && out_tls) *out_tls = strcmp(scheme, "https") == 0;
  struct in_addr v4;
  if (good && out_loopback)
    *out_loopback = strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
                    (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(u);
  return good;
}
