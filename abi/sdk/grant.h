/* sdk/grant.h - what a grant is, as text: "mount:workspace:ro", "model:main".
 *
 * A grant names one thing. A pattern, in the `grants` of a manifest and of an
 * entry of `plugins`, names one or all of a kind: "mount:*", "mount:work",
 * "mount:*:ro". What may be written may be read: ":rw" covers ":ro", and so does
 * a pattern without a mode. A text is taken whole or not at all: nothing is
 * trimmed, folded or guessed, and a pattern is never taken for a grant.
 */
#ifndef YOI_SDK_GRANT_H
#define YOI_SDK_GRANT_H

#include <yoi/base.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* yoi_sdk_grant.kind */
#define YOI_SDK_GRANT_MODEL 1u
#define YOI_SDK_GRANT_MOUNT 2u
#define YOI_SDK_GRANT_NET 3u
#define YOI_SDK_GRANT_SHELL 4u
#define YOI_SDK_GRANT_GIT 5u

struct yoi_sdk_grant {
  uint32_t kind;
  int writable; /* of a mount */
  yoi_str name; /* in the text; "*" in a pattern */
};

/* NULL, or what was expected; *out points into the text. */
const char *yoi_sdk_grant_parse(yoi_str text, struct yoi_sdk_grant *out);
const char *yoi_sdk_grant_pattern(yoi_str text, struct yoi_sdk_grant *out);
/* YOI_SDK_GRANT_* that stands before the colon; 0: none that is known. */
uint32_t yoi_sdk_grant_kind(yoi_str text);
/* 1: what the pattern names has the grant, or the other pattern, in it. */
int yoi_sdk_grant_covers(const struct yoi_sdk_grant *pattern, const struct yoi_sdk_grant *grant);

/* A grant as text. */
struct yoi_sdk_grant_text {
  char text[YOI_GRANT_MAX];
};
struct yoi_sdk_grant_text yoi_sdk_grant_show(const struct yoi_sdk_grant *grant);

#ifdef __cplusplus
}
#endif
#endif
