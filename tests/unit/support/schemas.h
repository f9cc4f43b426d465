/* schemas.h - a schema and a value as texts, and the findings as one text: a
 * line "POINTER: MESSAGE" each, with '#' behind the pointer for a key. */
#ifndef YOI_TESTS_SCHEMAS_H
#define YOI_TESTS_SCHEMAS_H

#include <sdk/schema.h>

/* A report into a struct yoi_sdk_buf. */
void schema_collect(void *ctx, const char *pointer, int is_key, const char *message);
yoi_sdk_json *schema_json(const char *text);
/* Compiling `schema` gives exactly these findings. */
void compiles(const char *schema, const char *findings);
/* Checking `value` below "/c" does, and without a report the answer is the
 * same. */
void checks(const char *schema, const char *value, const char *findings);
/* The status of a check, whatever it says; the schema must compile. */
yoi_status verdict(const char *schema, const char *value);

#endif
