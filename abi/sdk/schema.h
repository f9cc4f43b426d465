/* sdk/schema.h - the part of JSON Schema 2020-12 that configs need.
 *
 * Enforced: type (one name), properties, required, additionalProperties
 * (true, false or a schema), items (one schema), enum (of strings, numbers,
 * booleans), minimum, maximum, minLength, maxLength (in bytes), format (of
 * strings: "secret" is "secret:NAME", "http-url" begins with http:// or
 * https:// and a host, "path" is a file or folder, which write makes
 * absolute). Annotations, kept but without effect: $schema, title,
 * description, default. Any other keyword is refused when the schema is
 * compiled: what is not enforced must not look as if it were.
 */
#ifndef YOI_SDK_SCHEMA_H
#define YOI_SDK_SCHEMA_H

#include <sdk/json.h>
#include <yoi/base.h>

/* pointer is the JSON pointer of the value, or of the unknown key. is_key: the
 * finding is about that member's name. Both are borrowed for the call. */
typedef void (*yoi_sdk_schema_report_fn)(void *ctx, const char *pointer,
                                         int is_key, const char *message);

/* Checks that `schema` uses only what stands above, well-formed, at most
 * YOI_SCHEMA_DEPTH_MAX deep; report (may be NULL) gets every finding. */
yoi_status yoi_sdk_schema_compile(const yoi_sdk_json *schema,
                                  yoi_sdk_schema_report_fn report, void *ctx);
/* Checks a value against a compiled schema; reports every finding, in the
 * order of the text, pointers prefixed with `base`. An unknown key names the
 * nearest known one. OK when there is none. */
yoi_status yoi_sdk_schema_check(const yoi_sdk_json *schema,
                                const yoi_sdk_json *value, const char *base,
                                yoi_sdk_schema_report_fn report, void *ctx);
/* Writes a value that was checked, with each string of the format "path" that
 * is relative put behind the folder `dir` and a slash. Findings, reported like
 * those of check: such a path has YOI_PATH_BYTES_MAX bytes or more, or `dir`
 * is not UTF-8, so that it cannot stand in JSON. */
yoi_status yoi_sdk_schema_write(const yoi_sdk_json *schema,
                                const yoi_sdk_json *value, const char *base,
                                yoi_str dir, yoi_sdk_schema_report_fn report,
                                void *ctx, struct yoi_sdk_jsonw *w);
/* The nearest of n names within edit distance 2 (3 from 8 letters on), which
 * is fewer than either has letters; empty when none is near. */
yoi_str yoi_sdk_nearest(yoi_str word, const yoi_str *names, size_t n);

#endif
