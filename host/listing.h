/* host/listing.h - a plugin as JSON, for yoi_host_plugins and yoi_plugin_check;
 * docs/embed.md has the members. */
#ifndef YOI__LISTING_H
#define YOI__LISTING_H

#include <sdk/jsonw.h>

#include "config.h"

/* c: whose entries use it; NULL: none is asked. */
void yoi__listing_plugin(struct yoi_sdk_jsonw *w, const struct yoi__config *c,
                         const struct yoi__plugin *p);
/* The buffer's text for a caller of yoi.h; releases the buffer. */
yoi_status yoi__listing_take(struct yoi_sdk_buf *text, char **out_text, size_t *out_len,
                             yoi_error *err);

#endif
