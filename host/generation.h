/* host/generation.h - which plugin code this process has mapped.
 *
 * Code is never unmapped (loader.h), so each digest of a plugin that was ever
 * loaded costs its memory for the life of the process. They are counted here,
 * for all hosts of the process, and limited to YOI_PLUGIN_GENERATIONS_MAX of
 * one id. All functions are [any].
 */
#ifndef YOI__GENERATION_H
#define YOI__GENERATION_H

#include <sdk/error.h>

/* A place is taken before code is mapped, and kept or given back after it.
 * path: what is to be loaded, empty for a private copy. *out_handle: that very
 * code is mapped from a private copy already, load nothing; else NULL.
 * Errors: limit_reached (the ninth), internal (at this path other code was
 * mapped, and the dynamic loader, which goes by name, would give that one). */
yoi_status yoi__generation_take(yoi_str id, const char *digest, yoi_str path, void **out_handle,
                                yoi_error *err);
/* It is mapped. handle: that of a private copy, to be given out again; NULL
 * for a file that stood where everybody may look. */
void yoi__generation_keep(yoi_str id, const char *digest, void *handle);
/* Nothing was mapped. */
void yoi__generation_drop(yoi_str id, const char *digest);

/* 1: at this path other code than that was mapped. */
int yoi__generation_stale(yoi_str path, const char *digest);
/* How many other digests of that id are mapped. */
uint32_t yoi__generation_others(yoi_str id, const char *digest);
/* Which one of its id this digest is, from 1; 0: it is not mapped. */
uint32_t yoi__generation_of(yoi_str id, const char *digest);
/* Of all plugins; for metrics. */
uint32_t yoi__generation_count(void);

#endif
