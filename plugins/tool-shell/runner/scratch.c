/* scratch.c - a folder for temporary files where there is no /tmp of our own.
 *
 * What is in it when it is removed was made by the command: names of any kind,
 * links to anywhere, folders in folders. It is removed by descriptors, never
 * through a link, and without recursion: a folder that is not empty is moved
 * up to the top under a new name and met there again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define REMOVED_MAX 1000000 /* then the rest stays: somebody has to look at it */

char *sh_scratch_new(void) {
  char *path = strdup("/tmp/yoi-shell-XXXXXX");
  if (path != NULL && mkdtemp(path) != NULL) return path;
  free(path);
  return NULL;
}

/* Removes what is in `name` of top that is no folder, and moves folders up. */
static void empty(int top, const char *name, unsigned *moved, unsigned *left) {
  int fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == EACCES && fchmodat(top, name, 0700, 0) == 0)
    fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  fchmod(fd, 0700);
  DIR *d = fdopendir(fd);
  if (d == NULL) {
    close(fd);
    return;
  }
  for (struct dirent *e; *left > 0 && (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    --*left;
    if (unlinkat(fd, e->d_name, 0) == 0 || unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0) continue;
    char next[32];
    snprintf(next, sizeof next, "%u", (*moved)++);
    if (renameat(fd, e->d_name, top, next) != 0 && errno == EACCES &&
        fchmodat(fd, e->d_name, 0700, 0) == 0)
      renameat(fd, e->d_name, top, next);
  }
  closedir(d);
}

void sh_scratch_remove(const char *path) {
  unsigned left = REMOVED_MAX, moved = 0;
  int up = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
  char home[64];
  const char *name = path + strlen("/tmp/");
  if (up < 0) return;
  /* A folder of ours beside it takes what is moved. */
  snprintf(home, sizeof home, "%s.removed", name);
  if (mkdirat(up, home, 0700) == 0) {
    int top = openat(up, home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top >= 0 && renameat(up, name, top, "0") == 0) {
      moved = 1;
      for (unsigned i = 0; i < moved && left > 0; i++) {
        char at[32];
        snprintf(at, sizeof at, "%u", i);
        empty(top, at, &moved, &left);
        unlinkat(top, at, AT_REMOVEDIR);
      }
    }
    if (top >= 0) close(top);
    unlinkat(up, home, AT_REMOVEDIR);
  }
  close(up);
}
