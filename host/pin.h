/* host/pin.h - the bytes of a plugin whose digest the config pins.
 *
 *   open: how it lies there, what it is --> copy: into a private folder,
 *   verified --> dlopen of `path` --> release: the folder is gone
 *
 * The steps are apart so that a test can put itself between them, where an
 * attacker would.
 */
#ifndef YOI__PIN_H
#define YOI__PIN_H

#include "loader.h"

struct yoi__pinned {
  int fd;        /* what is copied */
  uint64_t size; /* of it */
  int dir_fd;    /* the private folder */
  char dir[YOI_PATH_BYTES_MAX];
  char path[YOI_PATH_BYTES_MAX]; /* what is to be loaded, once copied */
};

/* [main] Opens p->path and compares: a regular file and no link, of root or
 * this user, that nobody else may write, in a folder of which the same holds,
 * and that had the pinned digest when it was found. Writes nothing. The
 * message names plugin, field, what was expected and what was found; no path.
 * *out is to be released when it is OK. */
yoi_status yoi__pin_open(const struct yoi__plugin *p, struct yoi__pinned *out, yoi_error *err);
/* [main] Copies what was opened; the copy has the pinned digest, or it is
 * refused. */
yoi_status yoi__pin_copy(const struct yoi__plugin *p, struct yoi__pinned *in, yoi_error *err);
/* Closes, and removes what copy made; what is mapped stays. */
void yoi__pin_release(struct yoi__pinned *in);

/* 1: "sha256:" and 64 hex digits in lower case. */
int yoi__pin_valid(yoi_str digest);

#endif
