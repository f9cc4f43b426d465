/* host/manifest_tool.h - the member "tools" of a manifest; for manifest.c. */
#ifndef YOI__MANIFEST_TOOL_H
#define YOI__MANIFEST_TOOL_H

#include "manifest.h"

/* A value, as it is shown in a message. */
struct yoi__shown {
  char text[80];
};
struct yoi__shown yoi__manifest_show(const yoi_sdk_json *v);
/* The first finding of a schema, for which yoi__manifest_keep is the callback and
 * this its ctx; it begins as {"", ""}. */
struct yoi__first_finding {
  char pointer[128];
  char message[256];
};
void yoi__manifest_keep(void *ctx, const char *pointer, int is_key, const char *message);
/* "manifest field 'FIELD': expected EXPECTED, found FOUND" */
yoi_status yoi__manifest_refuse(yoi_error *err, const char *field, const char *expected,
                                const yoi_sdk_json *found);

/* 1: plugins of the kind may be SERIAL. */
int yoi__kind_may_block(uint32_t kind);

yoi_status yoi__manifest_read_tools(struct yoi__manifest *m, const yoi_sdk_json *v, yoi_error *err);
void yoi__manifest_tools_free(struct yoi__manifest *m);

#endif
