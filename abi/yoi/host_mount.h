/* yoi/host_mount.h - "yoi.host.mount/1": for tools. Since 1.4.
 *
 * A mount is a folder of the operator's, known by name. A tool never learns
 * where it is: it opens what is in it, beneath its root and nowhere else.
 *
 *  1. A path is relative, of 1 to YOI_MOUNT_PATH_MAX bytes without NUL; "." is
 *     the root. No "..", link or magic link leads out, also not while the tree
 *     is being changed (openat2 with RESOLVE_BENEATH); links that stay inside
 *     are followed.
 *  2. Only regular files and folders are opened. Others are refused before
 *     they are opened for reading or writing: a FIFO does not block, a device
 *     is not touched.
 *  3. Each open is checked: the call has the grant, the operator still gives
 *     the mount, and in that mode. WRITE of what is given "ro" is refused, and
 *     so is a folder that is opened to change what is in it.
 *  4. A descriptor is the tool's: close-on-exec, to be closed by it.
 */
#ifndef YOI_HOST_MOUNT_H
#define YOI_HOST_MOUNT_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_MOUNT_ID "yoi.host.mount/1"

#define YOI_MOUNT_READ 1u
#define YOI_MOUNT_WRITE 2u  /* a folder: to change what is in it */
#define YOI_MOUNT_FOLDER 4u /* it must be a folder; else a regular file */
#define YOI_MOUNT_CREATE 8u /* a new file, mode 0666 less umask, or folder,
                             * 0777: it must not be there; with WRITE */

typedef struct yoi_host_mount {
  uint32_t size;
  uint32_t reserved;
  /* [any] May block on a disk: call it where that is allowed. Errors are
   * public and name the path as given: NOT_FOUND, ALREADY_EXISTS,
   * PERMISSION_DENIED (grant_missing, or the path leads out of the mount, or
   * the system does not let the host), INVALID_ARGUMENT (no such path can be,
   * or what is there is of another kind), RESOURCE_EXHAUSTED (descriptors,
   * space, or a tree that changes all the time). NOT_FOUND also: no such call
   * of this plugin, and a mount whose folder was removed. */
  yoi_status (*open)(const yoi_host *h, uint64_t call, yoi_str mount,
                     yoi_str path, uint32_t flags, int32_t *out_fd,
                     yoi_error *err);
} yoi_host_mount;

#ifdef __cplusplus
}
#endif
#endif
