/* host/mount.h - opening what is beneath a folder, and nothing else. The rules
 * stand in yoi/host_mount.h; who may is asked before (tool_services.c). */
#ifndef YOI__MOUNT_H
#define YOI__MOUNT_H

#include <yoi/base.h>

/* A folder that the operator named, as O_PATH. A link is followed: it is his.
 * NULL, or why not. */
const char *yoi__mount_root(const char *path, int *out_fd);
/* INVALID_ARGUMENT: no such combination of YOI_MOUNT_*. */
yoi_status yoi__mount_flags(uint32_t flags, yoi_error *err);
/* [any] Opens a path beneath root; `name` is the mount's, for messages. */
yoi_status yoi__mount_open(int root, yoi_str name, yoi_str path, uint32_t flags, int32_t *out_fd,
                           yoi_error *err);

#endif
