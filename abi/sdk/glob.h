/* sdk/glob.h - names against patterns with `*` and `?`, as rules of policies
 * and lists of names in configs have them; and paths against patterns as
 * people write them for files. */
#ifndef YOI_SDK_GLOB_H
#define YOI_SDK_GLOB_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 1: the whole of text fits. `*` stands for any number of bytes, none too,
 * `?` for one character of UTF-8, all else for itself. No more than
 * pattern.len * text.len steps. [any] */
int yoi_sdk_glob(yoi_str pattern, yoi_str text);

/* The same for paths: `*` and `?` stay between two slashes; `**` between two
 * slashes, or at an end, stands for any number of folders, none too; `[a-z]`
 * for one character of these and `[!a-z]` for one of all others, but never for
 * a slash. A `[` without its `]` stands for itself. [any] */
int yoi_sdk_glob_path(yoi_str pattern, yoi_str path);

/* Patterns for paths with choices, `src/{*.c,*.h}`, also one in another. */
struct yoi_sdk_globs;
/* NULL and the reason: a static message, or NULL when memory is short. At most
 * YOI_GLOB_BYTES_MAX bytes, YOI_GLOB_CHOICES_MAX patterns when written out. */
struct yoi_sdk_globs *yoi_sdk_globs_new(yoi_str pattern, const char **out_why);
void yoi_sdk_globs_free(struct yoi_sdk_globs *g);
/* 1: one of them fits. [any] */
int yoi_sdk_globs_fit(const struct yoi_sdk_globs *g, yoi_str path);

#ifdef __cplusplus
}
#endif
#endif
