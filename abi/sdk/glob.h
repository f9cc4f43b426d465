/* sdk/glob.h - names against patterns with `*` and `?`, as rules of policies
 * and lists of names in configs have them. */
#ifndef YOI_SDK_GLOB_H
#define YOI_SDK_GLOB_H

#include <yoi/base.h>

/* 1: the whole of text fits. `*` stands for any number of bytes, none too,
 * `?` for one character of UTF-8, all else for itself. No more than
 * pattern.len * text.len steps. [any] */
int yoi_sdk_glob(yoi_str pattern, yoi_str text);

#endif
