/* sdk/pattern.h - regular expressions in time that is linear in the text.
 *
 * A subset of ECMA-262 with its `u` flag, which is what JSON Schema refers to;
 * what it is stands in schema_pattern.c. A pattern is found anywhere in a text
 * unless it is anchored.
 */
#ifndef YOI_SDK_PATTERN_H
#define YOI_SDK_PATTERN_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_pattern;

/* A compiled pattern, which keeps nothing of the text, or NULL and the reason:
 * a static message, or NULL when memory is short. Each state made is taken
 * from *room, which many patterns may share. */
struct yoi_sdk_pattern *yoi_sdk_pattern_new(yoi_str text, size_t *room, const char **out_why);
void yoi_sdk_pattern_free(struct yoi_sdk_pattern *p);

/* 1: found in s, which is UTF-8. 0: not. -1: not within *steps, from which
 * each character takes one and one more per four states that are looked at.
 * -2: memory is short. The pattern is only read. */
int yoi_sdk_pattern_match(const struct yoi_sdk_pattern *p, yoi_str s, uint64_t *steps);

#ifdef __cplusplus
}
#endif
#endif
