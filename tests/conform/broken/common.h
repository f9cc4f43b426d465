/* common.h - plugins that break one promise each, for the tests of yoi-conform.
 *
 * A file of this folder is a plugin that keeps every promise, with lines behind
 * `if (IS(name))` that break one. It is compiled once per break, with BREAK as the
 * name of the test that has to fail; the Makefile has the lists.
 */
#ifndef COMMON_H
#define COMMON_H

#include <sdk/error.h>
#include <sdk/plugin.h>
#include <sdk/take.h>
#include <stdlib.h>
#include <string.h>

#define ENUM(name) BREAK_##name,
#define WHICH(name) BREAK_##name
#define WHICH_OF(name) WHICH(name)
#define IS(name) (WHICH_OF(BREAK) == BREAK_##name)

#endif
