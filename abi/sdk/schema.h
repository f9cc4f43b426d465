/* sdk/schema.h - JSON Schema 2020-12, the part of it that is enforced here.
 *
 * For configs and for the arguments of tool calls: both a schema and a value
 * may come from anywhere. What is not enforced must not look as if it were,
 * so any keyword that does not stand here is refused when a schema is compiled.
 *
 *   any value    type, enum, const
 *   numbers      minimum, maximum, exclusiveMinimum, exclusiveMaximum,
 *                multipleOf
 *   strings      minLength, maxLength (in characters, which are code points),
 *                pattern, format
 *   objects      properties, patternProperties, additionalProperties,
 *                propertyNames, required, minProperties, maxProperties,
 *                dependentRequired, dependentSchemas
 *   arrays       prefixItems, items, minItems, maxItems, uniqueItems, contains,
 *                minContains, maxContains
 *   schemas      true, false, allOf, anyOf, oneOf, not, if, then, else, $ref,
 *                $defs, and definitions, the older name of the same
 *   annotations  without effect: title, description, default, examples,
 *                deprecated, readOnly, writeOnly, $comment, $schema,
 *                contentEncoding, contentMediaType; $id at the root
 *
 * Not among them, for instance: $anchor, $dynamicRef, unevaluatedItems,
 * unevaluatedProperties, contentSchema, the older dependencies, and items as
 * an array.
 *
 * - Numbers are doubles (sdk/json.h): 1 is 1.0, and an integer is a number
 *   without fraction within +-(2^53-1). 19.99 is a multiple of 0.01: numbers
 *   count as the decimals that were written.
 * - pattern is a regular expression of ECMA-262 without back references,
 *   look-around and \p, in time that is linear in the text; not anchored.
 * - format enforces "secret" ("secret:NAME"), "http-url" (http:// or https://
 *   and a host) and "path" (a file or folder, which write makes absolute); the
 *   names of the standard (date-time, email, uuid, ...) are annotations, as it
 *   has them by default; others are refused. "path" is taken only where write
 *   finds it: below properties, additionalProperties (without
 *   patternProperties) and items (without prefixItems), without any $ref.
 * - $ref is "#" or a JSON pointer into the same schema, "#/$defs/NAME". One
 *   that leads back to itself without going into the value is refused.
 * - "then" without "if", "minContains" without "contains" and the like are
 *   refused: they would have no effect.
 *
 * Limits, in yoi/limits.h: YOI_SCHEMA_DEPTH_MAX, YOI_SCHEMA_NODES_MAX,
 * YOI_SCHEMA_STATES_MAX and YOI_PATTERN_STATES_MAX of a schema;
 * YOI_SCHEMA_STEPS_MAX and YOI_SCHEMA_FRAMES_MAX of a check, which bound its
 * time and its stack whatever schema and value are.
 */
#ifndef YOI_SDK_SCHEMA_H
#define YOI_SDK_SCHEMA_H

#include <sdk/json.h>
#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* pointer is the JSON pointer of the value, or of the key that is wrong.
 * is_key: the finding is about that member's name. Both texts are borrowed for
 * the call. Messages name keys and what was expected, never a value. */
typedef void (*yoi_sdk_schema_report_fn)(void *ctx, const char *pointer,
                                         int is_key, const char *message);

/* A compiled schema, which never changes: any threads may use it at once. */
struct yoi_sdk_schema;

/* Compiles `tree`, which the schema borrows: it is freed later. report (may be
 * NULL) gets every finding. INVALID_ARGUMENT: no schema, or one that is not
 * enforced here. RESOURCE_EXHAUSTED: memory is short. */
yoi_status yoi_sdk_schema_new(const yoi_sdk_json *tree,
                              yoi_sdk_schema_report_fn report, void *ctx,
                              struct yoi_sdk_schema **out);
void yoi_sdk_schema_free(struct yoi_sdk_schema *s);
/* Checks a value; reports every finding, in the order of the text, pointers
 * prefixed with `base`. An unknown key names the nearest known one; when none
 * of several alternatives fits, the findings are those of the nearest. OK when
 * there is none, INVALID_ARGUMENT when there is one. OUT_OF_RANGE: a limit of
 * checks was met, which is the last finding. RESOURCE_EXHAUSTED: memory is
 * short. Without a report it ends at the first finding. */
yoi_status yoi_sdk_schema_test(const struct yoi_sdk_schema *s,
                               const yoi_sdk_json *value, const char *base,
                               yoi_sdk_schema_report_fn report, void *ctx);

/* For schemas that are used once: whether `schema` compiles, and a check
 * against one that does. */
yoi_status yoi_sdk_schema_compile(const yoi_sdk_json *schema,
                                  yoi_sdk_schema_report_fn report, void *ctx);
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

#ifdef __cplusplus
}
#endif
#endif
