/* path.h - paths that stand in arguments of calls, and patterns of them. */
#ifndef PATH_H
#define PATH_H

#include <yoi/base.h>

/* The same path without what changes nothing: "./src//a/" is "src/a", the
 * folder itself is "". 0: it is longer than cap, begins with a slash, or has a
 * segment "..", so that where it leads cannot be said without looking. *out_len
 * is then 0. */
int yoi__sdk_rules_path_normal(yoi_str path, char *out, size_t cap, size_t *out_len);

/* Likewise for a pattern, in which besides "**" may stand for any number of
 * segments, none too. NULL, or what is wrong with it. */
const char *yoi__sdk_rules_path_pattern(yoi_str pattern, char *out, size_t cap, size_t *out_len);

/* Both as the above make them. 1: the whole path fits. `*` and `?` are those of
 * sdk/glob.h inside of a segment. At most pattern.len * path.len steps for each
 * "**". */
int yoi__sdk_rules_path_glob(yoi_str pattern, yoi_str path);

#endif
