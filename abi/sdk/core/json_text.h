/* json_text.h - small steps over JSON text, shared by the strict pass, the
 * raw readers and the tree. Private to sdk/core. */
#ifndef YOI_SDK_CORE_JSON_TEXT_H
#define YOI_SDK_CORE_JSON_TEXT_H

#include <sdk/json.h>

/* Why an escape is none. */
#define YOI_SDK__ESCAPE_UNKNOWN 0
#define YOI_SDK__ESCAPE_NUL (-1)
#define YOI_SDK__ESCAPE_SURROGATE (-2)

/* Decodes the escape at p (a backslash): its length in the text, at most 12,
 * and 1 to 4 bytes of UTF-8 in out; or one of the three above. */
int yoi_sdk__json_escape_at(const unsigned char *p, const unsigned char *end, char out[4],
                            size_t *out_n);

/* Past white space; comments are white space when flags say so, and *comment
 * (may be NULL) is set when there was one. Stops at a slash that begins no
 * whole comment. */
const unsigned char *yoi_sdk__json_white_here(const unsigned char *p, const unsigned char *end,
                                              uint32_t flags, int *comment);
static inline const unsigned char *yoi_sdk__json_white(const unsigned char *p,
                                                       const unsigned char *end, uint32_t flags,
                                                       int *comment) {
  /* Texts made by programs have none at most places. */
  if (p < end && *p > ' ' && *p != '/') return p;
  return yoi_sdk__json_white_here(p, end, flags, comment);
}

/* Overwrites the comments of text that passed the strict pass with blanks. */
void yoi_sdk__json_blank(char *text, size_t n);

/* The strict pass (json_scan.c); *out_comments tells whether there are any. */
yoi_status yoi_sdk__json_scan(yoi_str text, uint32_t flags, int *out_comments,
                              struct yoi_sdk_json_error *err);

#endif
