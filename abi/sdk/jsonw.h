/* sdk/jsonw.h - writing JSON straight into a buffer, one line, no tree.
 *
 *   struct yoi_sdk_jsonw w;
 *   yoi_sdk_jsonw_init(&w, &buf);
 *   yoi_sdk_jsonw_open(&w, '{');
 *   yoi_sdk_jsonw_key(&w, "state"); yoi_sdk_jsonw_str(&w, YOI_LIT("idle"));
 *   yoi_sdk_jsonw_close(&w, '}');
 *
 * Commas are its business. Strings must be UTF-8; what is not, and a NUL, which
 * sdk/json.h refuses, becomes U+FFFD. NaN and the infinities become null.
 * Failures stay in the buffer (buf->failed), to be looked at once at the end.
 */
#ifndef YOI_SDK_JSONW_H
#define YOI_SDK_JSONW_H

#include <sdk/str.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_jsonw {
  struct yoi_sdk_buf *buf;
  int comma; /* the next value at this level needs one */
};
void yoi_sdk_jsonw_init(struct yoi_sdk_jsonw *w, struct yoi_sdk_buf *buf);
void yoi_sdk_jsonw_open(struct yoi_sdk_jsonw *w, char c);  /* '{' or '[' */
void yoi_sdk_jsonw_close(struct yoi_sdk_jsonw *w, char c); /* '}' or ']' */
/* Any text. */
void yoi_sdk_jsonw_keyn(struct yoi_sdk_jsonw *w, yoi_str key);
/* A word of the program, of which nothing needs an escape; looked at in the
 * hard mode only. So are the keys below. */
void yoi_sdk_jsonw_word(struct yoi_sdk_jsonw *w, yoi_str key);
static inline void yoi_sdk_jsonw_key(struct yoi_sdk_jsonw *w, const char *key) {
  yoi_str word = {key, strlen(key)};
  yoi_sdk_jsonw_word(w, word);
}
void yoi_sdk_jsonw_str(struct yoi_sdk_jsonw *w, yoi_str s);
void yoi_sdk_jsonw_int(struct yoi_sdk_jsonw *w, int64_t n);
void yoi_sdk_jsonw_double(struct yoi_sdk_jsonw *w, double n);
void yoi_sdk_jsonw_bool(struct yoi_sdk_jsonw *w, int v);
void yoi_sdk_jsonw_null(struct yoi_sdk_jsonw *w);
/* A value that is JSON already; empty is written as null. */
void yoi_sdk_jsonw_raw(struct yoi_sdk_jsonw *w, yoi_str json);
/* Only the escaped inside of a string, without quotes or comma. */
void yoi_sdk_json_escape(struct yoi_sdk_buf *buf, yoi_str s);

/* key and value in one; nothing is written for an empty s with _opt. */
static inline void yoi_sdk_jsonw_kstr(struct yoi_sdk_jsonw *w, const char *key,
                                      yoi_str s) {
  yoi_sdk_jsonw_key(w, key);
  yoi_sdk_jsonw_str(w, s);
}
static inline void yoi_sdk_jsonw_kstr_opt(struct yoi_sdk_jsonw *w,
                                          const char *key, yoi_str s) {
  if (s.len) yoi_sdk_jsonw_kstr(w, key, s);
}
static inline void yoi_sdk_jsonw_kint(struct yoi_sdk_jsonw *w, const char *key,
                                      int64_t n) {
  yoi_sdk_jsonw_key(w, key);
  yoi_sdk_jsonw_int(w, n);
}
static inline void yoi_sdk_jsonw_kbool(struct yoi_sdk_jsonw *w,
                                       const char *key, int v) {
  yoi_sdk_jsonw_key(w, key);
  yoi_sdk_jsonw_bool(w, v);
}
static inline void yoi_sdk_jsonw_kopen(struct yoi_sdk_jsonw *w,
                                       const char *key, char bracket) {
  yoi_sdk_jsonw_key(w, key);
  yoi_sdk_jsonw_open(w, bracket);
}
static inline void yoi_sdk_jsonw_kraw(struct yoi_sdk_jsonw *w, const char *key,
                                      yoi_str json) {
  yoi_sdk_jsonw_key(w, key);
  yoi_sdk_jsonw_raw(w, json);
}

#ifdef __cplusplus
}
#endif
#endif
