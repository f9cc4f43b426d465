/* host/profile.h - the default profile of a runtime entry, put into a create. */
#ifndef YOI__PROFILE_H
#define YOI__PROFILE_H

#include <sdk/str.h>

/* The body of a worker.create that names no profile, or runtime_default, with
 * the built-in `name` in its place. *out stays empty when the body is to be
 * passed on as it is: it names a profile, or is no object that this file
 * understands, which the runtime then says. RESOURCE_EXHAUSTED: memory. */
yoi_status yoi__profile_default(yoi_str body, yoi_str name, struct yoi_sdk_buf *out);

#endif
