/* host/socket_file.h - a listening Unix socket and the file that names it. */
#ifndef YOI__SOCKET_FILE_H
#define YOI__SOCKET_FILE_H

#include <sys/un.h>

/* Zeroed is none. */
struct yoi__socket_file {
  int is_there;
  int dir_fd;  /* its folder */
  int file_fd; /* the file itself, O_PATH: as long as it is held no other file
                * gets its inode number, so that `ours` can be told */
  char name[sizeof((struct sockaddr_un *)0)->sun_path];
};

/* [main] Binds and listens on an absolute path, mode 0600. Returns the
 * descriptor, or -1 with errno: EADDRINUSE when somebody listens there,
 * EEXIST when the path is something else than a socket, EPERM when the folder
 * may be written by others, ENOTDIR, ENOENT and EACCES as of open, EBUSY when
 * another program holds the folder's lock. */
int yoi__socket_file_listen(const struct sockaddr_un *at, int backlog,
                            struct yoi__socket_file *out);
/* Removes the file if it is still the one that was made, and forgets it. */
void yoi__socket_file_remove(struct yoi__socket_file *f);

#endif
