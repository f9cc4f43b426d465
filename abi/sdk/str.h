/* sdk/str.h - bounded text: views, a growable buffer, UTF-8.
 *
 * A struct yoi_sdk_buf never grows past its `max`. A failed append sets
 * `failed` and leaves the text as it was; later appends do nothing, so that a
 * writer checks once at its end. `data` is NUL-terminated once non-NULL.
 */
#ifndef YOI_SDK_STR_H
#define YOI_SDK_STR_H

#include <stdarg.h>
#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A literal as yoi_str. */
#ifdef __cplusplus
#define YOI_LIT(s) (yoi_str{("" s), sizeof(s) - 1})
#else
#define YOI_LIT(s) ((yoi_str){("" s), sizeof(s) - 1})
#endif
/* For "%.*s". */
#define YOI_ARG(s) (int)(s).len, (s).ptr

yoi_str yoi_sdk_str(const char *nul_terminated); /* NULL gives empty */
int yoi_sdk_str_eq(yoi_str a, yoi_str b);
int yoi_sdk_str_is(yoi_str a, const char *nul_terminated);
int yoi_sdk_str_cmp(yoi_str a, yoi_str b); /* byte order, as memcmp */
int yoi_sdk_str_starts(yoi_str s, yoi_str prefix);
/* An owned, NUL-terminated copy; {NULL,0} when memory is short. */
yoi_str yoi_sdk_str_dup(yoi_str s);
void yoi_sdk_str_free(yoi_str *s);

/* A decimal of digits only, no sign, no leading zero, at most max. 1 = ok. */
int yoi_sdk_parse_u64(yoi_str s, uint64_t max, uint64_t *out);

struct yoi_sdk_buf {
  char *data;
  size_t len, cap, max;
  int failed; /* 0, YOI_RESOURCE_EXHAUSTED (memory) or YOI_OUT_OF_RANGE */
};
void yoi_sdk_buf_init(struct yoi_sdk_buf *b, size_t max);
void yoi_sdk_buf_clear(struct yoi_sdk_buf *b);   /* keeps the memory */
void yoi_sdk_buf_release(struct yoi_sdk_buf *b); /* frees it */
void yoi_sdk_buf_add(struct yoi_sdk_buf *b, const void *p, size_t n);
void yoi_sdk_buf_adds(struct yoi_sdk_buf *b, yoi_str s);
void yoi_sdk_buf_addc(struct yoi_sdk_buf *b, char c);
void yoi_sdk_buf_addf(struct yoi_sdk_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Room for n more bytes at data + len; NULL when that fails. */
char *yoi_sdk_buf_reserve(struct yoi_sdk_buf *b, size_t n);
/* Drops the first n bytes. */
void yoi_sdk_buf_drop(struct yoi_sdk_buf *b, size_t n);
yoi_str yoi_sdk_buf_str(const struct yoi_sdk_buf *b);
/* Gives the text away (free with yoi_sdk_free), "" for an empty buffer; the
 * buffer is empty then. NULL when it had failed: half a text is none. */
char *yoi_sdk_buf_take(struct yoi_sdk_buf *b, size_t *out_len);

/* 1 when s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong). */
int yoi_sdk_utf8_valid(yoi_str s);
/* The largest length <= max at which s is not cut inside a character. */
size_t yoi_sdk_utf8_cut(yoi_str s, size_t max);
/* Bytes at the end of s that are a proper prefix of a character: 0 to 3. */
size_t yoi_sdk_utf8_tail(yoi_str s);

#ifdef __cplusplus
}
#endif
#endif
