/* sdk/json.h - reading JSON that is not ours. The one place that knows cJSON.
 *
 * parse does one strict pass over the text before cJSON sees it: UTF-8,
 * escapes (no \u0000, no lone surrogate), control characters, number grammar
 * and range, depth, node count, duplicate keys (compared after unescaping),
 * nothing behind the value. What passes is a tree that means what the text
 * says. Errors carry offset, line, column and a JSON pointer (RFC 6901).
 * Trees are for input; output is written with sdk/jsonw.h.
 *
 * A tree belongs to one thread at a time. Getters accept NULL and answer
 * "absent", so that chains need one check.
 */
#ifndef YOI_SDK_JSON_H
#define YOI_SDK_JSON_H

#include <sdk/jsonw.h>
#include <sdk/str.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cJSON yoi_sdk_json;

#define YOI_SDK_JSON_COMMENTS 1u /* slash-slash and slash-star are white space */

struct yoi_sdk_json_error {
  size_t offset;
  uint32_t line, column; /* from 1, in bytes */
  char pointer[256];     /* cut at a token when longer */
  char message[160];
};

/* *out is freed with yoi_sdk_json_free. err may be NULL. INVALID_ARGUMENT,
 * or RESOURCE_EXHAUSTED when memory is short or a limit is passed. */
yoi_status yoi_sdk_json_parse(yoi_str text, uint32_t flags, yoi_sdk_json **out,
                              struct yoi_sdk_json_error *err);
void yoi_sdk_json_free(yoi_sdk_json *v);
/* 1: the library behind the trees is of the version that this was built for.
 * An application that exports its own copy takes it over for all. Versions as
 * text, static; *out_built also when it is the same. */
int yoi_sdk_json_library(const char **out_found, const char **out_built);
/* The file, without its path, from which a function of that library comes that
 * is used here, when it is not libcjson.so: an application's copy, even one of
 * the same version. "": all is in order. */
const char *yoi_sdk_json_object(void);
/* The same checks without a tree. */
yoi_status yoi_sdk_json_check(yoi_str text, uint32_t flags,
                              struct yoi_sdk_json_error *err);

/* Types */
#define YOI_SDK_JSON_NONE 0u
#define YOI_SDK_JSON_NULL 1u
#define YOI_SDK_JSON_BOOL 2u
#define YOI_SDK_JSON_NUMBER 3u
#define YOI_SDK_JSON_STRING 4u
#define YOI_SDK_JSON_ARRAY 5u
#define YOI_SDK_JSON_OBJECT 6u
uint32_t yoi_sdk_json_type(const yoi_sdk_json *v);
const char *yoi_sdk_json_type_name(uint32_t type); /* "a string", ... */

/* Member of an object, by exact name; NULL when absent. */
const yoi_sdk_json *yoi_sdk_json_get(const yoi_sdk_json *v, const char *name);
const yoi_sdk_json *yoi_sdk_json_getn(const yoi_sdk_json *v, yoi_str name);
const yoi_sdk_json *yoi_sdk_json_first(const yoi_sdk_json *v);
const yoi_sdk_json *yoi_sdk_json_next(const yoi_sdk_json *v);
size_t yoi_sdk_json_count(const yoi_sdk_json *v);
yoi_str yoi_sdk_json_key(const yoi_sdk_json *v);
/* 1 and *out when v has that type; otherwise 0 and *out untouched. */
int yoi_sdk_json_str(const yoi_sdk_json *v, yoi_str *out);
int yoi_sdk_json_bool(const yoi_sdk_json *v, int *out);
int yoi_sdk_json_number(const yoi_sdk_json *v, double *out);
/* Only numbers without fraction, within +-(2^53-1). */
int yoi_sdk_json_int(const yoi_sdk_json *v, int64_t *out);
/* Compact text of a subtree. */
void yoi_sdk_json_write(const yoi_sdk_json *v, struct yoi_sdk_jsonw *w);

/* Line and column (from 1) of the value at a JSON pointer, in text that
 * parse accepted; of its key when key is not 0. 0 when there is none. */
int yoi_sdk_json_locate(yoi_str text, uint32_t flags, yoi_str pointer, int key,
                        uint32_t *out_line, uint32_t *out_column);

/* Raw access, for text that we wrote ourselves or that check accepted: no
 * allocation, no tree, whole values skipped. */
/* The raw value of a member of the object `text`; {NULL,0} when absent. */
yoi_str yoi_sdk_json_raw_get(yoi_str text, const char *name);
/* Iterates the raw elements of the array `text`: *pos is 0 at first. 1 = an
 * element was given. */
int yoi_sdk_json_raw_each(yoi_str text, size_t *pos, yoi_str *out);
/* Iterates the members of the object `text`, likewise; *out_key is the inside
 * of the key's string as it stands, escapes not undone. */
int yoi_sdk_json_raw_member(yoi_str text, size_t *pos, yoi_str *out_key,
                            yoi_str *out_value);
/* Appends the unescaped text of a raw string; 0 when raw is no string. */
int yoi_sdk_json_raw_unescape(yoi_str raw, struct yoi_sdk_buf *out);
/* Only digits and a minus sign, within +-(2^53-1). */
int yoi_sdk_json_raw_int(yoi_str raw, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
