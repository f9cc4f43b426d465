/* shelf.h - the files of bundles, each named by the sha256 of its bytes. */
#ifndef FS_SHELF_H
#define FS_SHELF_H

#include <sdk/id.h>

struct eng_text;
struct fs_store;

/* Writes the file of a bundle, or removes it; it is on the disk then. A reader's
 * thread. */
yoi_status fs_shelf_change(struct fs_store *s, const char *digest, const struct eng_text *bytes);
/* [main] See eng_store_ops.bundles. */
yoi_status fs_shelf_open(struct fs_store *s,
                         void (*found)(void *ctx, yoi_str digest, yoi_str bytes), void *ctx,
                         yoi_error *err);

/* 1: it is the name of a bundle's file. */
int fs_shelf_name(const char *name, char digest[YOI_SDK_DIGEST_SIZE]);
/* 1: the file has the bytes of that bundle, *out. 0: it has others, or is no file.
 * -1: it cannot be read now. *out is to be freed in all cases. */
int fs_shelf_read(int dir_fd, const char *name, const char *digest, char **out, size_t *out_len);

#endif
