/* walk.c - everything below a folder, bounded, in an order that is always the
 * same, and without going anywhere else.
 *
 *   next --> the frame on top has a name: that is the entry
 *        --> it has none: the frame is popped
 *   the next next, when the entry was a folder: a frame is pushed for it
 *
 *  1. A folder is opened from the one that it is in, by one name, links not
 *     followed: nobody who moves things about meanwhile makes it leave, and
 *     there is no loop.
 *  2. The names of a folder are read at once and sorted. One with too many is
 *     left out whole: which ones a part of it would show is chance. So is a
 *     folder with which the walk as a whole would have read too many; there it
 *     ends. With the latter no more than YOI_FS_WALK_ENTRIES_MAX names are in
 *     memory at a time.
 *  3. Frames hold one descriptor each: YOI_FS_DEPTH_MAX of them.
 *  4. `.git` is seen and not gone into, unless the walk begins there: a
 *     history's objects are no files of the project.
 *  5. The temporary files of fs_write (replace.h) are not seen.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replace.h"

struct frame {
  int fd;
  char **names; /* each in one block with its type in front */
  size_t n, at, path_len; /* of the folder itself, with the slash behind it */
};

struct fs_walk {
  struct fs_walk_limits limits;
  struct fs_walk_left left;
  struct frame frames[YOI_FS_DEPTH_MAX];
  size_t n_frames, seen;
  int enter; /* the last entry is a folder */
  struct yoi_sdk_buf path;
};

const struct fs_walk_limits fs_walk_limits = {YOI_FS_DEPTH_MAX, YOI_FS_FOLDER_ENTRIES_MAX,
                                              YOI_FS_WALK_ENTRIES_MAX};

/* The entry's path: a component of a name, at most 255 bytes, per level. */
#define PATH_BYTES ((size_t)YOI_FS_DEPTH_MAX * 256)

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

static void frame_free(struct frame *f) {
  for (size_t i = 0; i < f->n; i++) yoi_sdk_free(f->names[i]);
  yoi_sdk_free(f->names);
  close(f->fd);
}

static int name_add(struct frame *f, const struct dirent *d, size_t *cap) {
  size_t len = strlen(d->d_name);
  if (f->n == *cap) {
    size_t more = *cap ? *cap * 2 : 32;
    char **names = yoi_sdk_reallocarray(f->names, more, sizeof *names);
    if (!names) return 0;
    f->names = names;
    *cap = more;
  }
  char *name = yoi_sdk_malloc(len + 2);
  if (!name) return 0;
  name[0] = (char)d->d_type;
  memcpy(name + 1, d->d_name, len + 1);
  f->names[f->n++] = name;
  return 1;
}

enum filled { FILLED, LARGE, UNREADABLE, ENOUGH, NO_MEMORY };

/* Reads all names of dir into the frame. */
static enum filled fill(struct fs_walk *w, struct frame *f, DIR *dir) {
  size_t cap = 0, seen = w->seen;
  for (;;) {
    errno = 0;
    const struct dirent *d = readdir(dir);
    if (!d) break;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
    if (fs_is_temporary(d->d_name)) continue;
    if (f->n == w->limits.folder) return LARGE;
    if (seen++ == w->limits.entries) return ENOUGH;
    if (!name_add(f, d, &cap)) return NO_MEMORY;
  }
  if (errno != 0) return UNREADABLE;
  w->seen = seen;
  if (f->n > 1) qsort(f->names, f->n, sizeof *f->names, by_bytes);
  return FILLED;
}

/* Pushes a frame for the folder; -1: memory is short. fd is taken over. */
static int push(struct fs_walk *w, int fd) {
  struct frame *f = &w->frames[w->n_frames];
  int twin = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  DIR *dir = twin >= 0 ? fdopendir(twin) : NULL;
  *f = (struct frame){.fd = fd, .path_len = w->path.len};
  if (!dir && twin >= 0) close(twin);
  enum filled end = dir ? fill(w, f, dir) : UNREADABLE;
  if (dir) closedir(dir);
  if (end == FILLED) {
    w->n_frames++;
    return 0;
  }
  frame_free(f);
  w->left.large += end == LARGE;
  w->left.unreadable += end == UNREADABLE;
  if (end == ENOUGH) {
    w->left.entries = 1;
    while (w->n_frames > 0) frame_free(&w->frames[--w->n_frames]);
  }
  return end == NO_MEMORY ? -1 : 0;
}

struct fs_walk *fs_walk_new(int folder, const struct fs_walk_limits *limits) {
  struct fs_walk *w = yoi_sdk_calloc(1, sizeof *w);
  if (!w) {
    close(folder);
    return NULL;
  }
  w->limits = *limits;
  yoi_sdk_buf_init(&w->path, PATH_BYTES);
  if (push(w, folder) == 0) return w;
  fs_walk_free(w);
  return NULL;
}

/* Goes into the folder that was given last. */
static int enter(struct fs_walk *w) {
  struct frame *f = &w->frames[w->n_frames - 1];
  const char *name = f->names[f->at - 1] + 1;
  if (strcmp(name, ".git") == 0) return w->left.git++, 0;
  if (w->n_frames == w->limits.depth) return w->left.deep++, 0;
  int fd = openat(f->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    w->left.unreadable += errno != ENOENT && errno != ENOTDIR && errno != ELOOP;
    return 0;
  }
  yoi_sdk_buf_addc(&w->path, '/');
  if (!w->path.failed) return push(w, fd);
  close(fd);
  return -1;
}

static int type_of(int folder, const char *name, int type) {
  struct stat sb;
  if (type != DT_UNKNOWN) return type;
  return fstatat(folder, name, &sb, AT_SYMLINK_NOFOLLOW) == 0 ? (int)IFTODT(sb.st_mode)
                                                              : DT_UNKNOWN;
}

int fs_walk_next(struct fs_walk *w, struct fs_entry *out) {
  if (w->enter) {
    w->enter = 0;
    if (enter(w) < 0) return -1;
  }
  while (w->n_frames > 0) {
    struct frame *f = &w->frames[w->n_frames - 1];
    if (f->at == f->n) {
      frame_free(f);
      w->n_frames--;
      continue;
    }
    char *name = f->names[f->at++] + 1;
    w->path.len = f->path_len;
    yoi_sdk_buf_adds(&w->path, yoi_sdk_str(name));
    if (w->path.failed) return -1;
    *out = (struct fs_entry){.path = yoi_sdk_buf_str(&w->path),
                             .name = yoi_sdk_str(name),
                             .folder = f->fd,
                             .type = type_of(f->fd, name, name[-1]),
                             .depth = w->n_frames};
    w->enter = out->type == DT_DIR;
    return 1;
  }
  return 0;
}

void fs_walk_skip(struct fs_walk *w) {
  w->enter = 0;
}

const struct fs_walk_left *fs_walk_left(const struct fs_walk *w) {
  return &w->left;
}

size_t fs_walk_seen(const struct fs_walk *w) {
  return w->seen;
}

void fs_walk_free(struct fs_walk *w) {
  if (!w) return;
  while (w->n_frames > 0) frame_free(&w->frames[--w->n_frames]);
  yoi_sdk_buf_release(&w->path);
  yoi_sdk_free(w);
}

void fs_put_left(struct yoi_sdk_buf *out, const struct fs_walk_left *left) {
  if (left->deep)
    yoi_sdk_buf_addf(out, "left out: %zu folders that lie too deep; begin further down\n",
                     left->deep);
  if (left->large)
    yoi_sdk_buf_addf(out, "left out: %zu folders with more than %d entries\n", left->large,
                     YOI_FS_FOLDER_ENTRIES_MAX);
  if (left->unreadable)
    yoi_sdk_buf_addf(out, "left out: %zu folders that cannot be read\n", left->unreadable);
  if (left->entries)
    yoi_sdk_buf_addf(out, "ended after %d entries; begin further down\n",
                     YOI_FS_WALK_ENTRIES_MAX);
}
