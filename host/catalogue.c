/* host/catalogue.c - the plugins that were found, and those that were not taken.
 *
 * A plugin is found by looking into directories, in order; there is no search
 * by name, no environment variable and no cache, so that what runs is what
 * the config says. Order within a directory is byte order of the file name,
 * never the order of the file system. Invariants:
 *  1. One descriptor per file, opened with O_NOFOLLOW: type, owner's mode,
 *     manifest and hash are of the same bytes. Symbolic links to files are
 *     passed over; a directory may be one, since the operator named it.
 *  2. What everybody may write to is passed over, directory or file: whoever
 *     can put a file there could otherwise run code in the host.
 *  3. One id is one plugin: the first in the order of the search. Another
 *     file of that id is passed over, with that reason. The same bytes again
 *     in a drop_in folder are no other plugin: the first is marked drop_in.
 *  4. Nothing is silently missing: each directory and file that was looked at
 *     and not taken is in `passed`, with its reason.
 *  5. Plugins are pointers that do not move, sorted by id.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/hard.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "elf.h"
#include "loader.h"

#define NAMES_MAX 4096 /* files *.so of one directory */
#define HASH_CHUNK YOI_SDK_HARD(65536, 4099)
#define EXPLAIN_MAX 32 /* reasons that one message lists */

struct searched {
  yoi_str path;
  size_t taken;
};

struct yoi__catalogue {
  struct yoi__plugin **plugins;
  size_t n;
  struct yoi__passed *passed;
  size_t n_passed;
  struct searched *searched;
  size_t n_searched;
};

/* One file that is looked at. */
struct look {
  struct yoi__catalogue *c;
  const char *dir;
  int dir_fd;
  int drop_in;
};

const char *yoi__kind_name(uint32_t kind) {
  switch (kind) {
    case YOI_KIND_RUNTIME:
      return "runtime";
    case YOI_KIND_MODEL:
      return "model";
    case YOI_KIND_INGRESS:
      return "ingress";
    case YOI_KIND_POLICY:
      return "policy";
    case YOI_KIND_TOOL:
      return "tool";
    default:
      return "?";
  }
}

struct yoi__catalogue *yoi__catalogue_new(void) {
  struct yoi__catalogue *c = yoi_sdk_calloc(1, sizeof *c);
  return c;
}

void yoi__plugin_free(struct yoi__plugin *p) {
  if (p == NULL) return;
  /* p->handle stays: code that has run may have left thread-local
   * destructors and callbacks behind, so it is never unmapped. */
  yoi__manifest_release(&p->manifest);
  yoi_sdk_str_free(&p->path);
  yoi_sdk_free(p->refusal);
  yoi_sdk_free(p);
}

void yoi__catalogue_free(struct yoi__catalogue *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < c->n; i++) yoi__plugin_free(c->plugins[i]);
  for (size_t i = 0; i < c->n_passed; i++) {
    yoi_sdk_str_free(&c->passed[i].path);
    yoi_sdk_str_free(&c->passed[i].id);
    yoi_sdk_str_free(&c->passed[i].reason);
  }
  for (size_t i = 0; i < c->n_searched; i++) yoi_sdk_str_free(&c->searched[i].path);
  yoi_sdk_free(c->plugins);
  yoi_sdk_free(c->passed);
  yoi_sdk_free(c->searched);
  yoi_sdk_free(c);
}

size_t yoi__catalogue_count(const struct yoi__catalogue *c) {
  return c->n;
}

struct yoi__plugin *yoi__catalogue_at(const struct yoi__catalogue *c, size_t i) {
  return i < c->n ? c->plugins[i] : NULL;
}

/* The index of the first plugin whose id is not below `id`. */
static size_t lower_bound(const struct yoi__catalogue *c, yoi_str id) {
  size_t lo = 0, hi = c->n;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (yoi_sdk_str_cmp(c->plugins[mid]->manifest.id, id) < 0) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

struct yoi__plugin *yoi__catalogue_find(const struct yoi__catalogue *c, yoi_str id) {
  size_t i = lower_bound(c, id);
  if (i == c->n || !yoi_sdk_str_eq(c->plugins[i]->manifest.id, id)) return NULL;
  return c->plugins[i];
}

const struct yoi__passed *yoi__catalogue_passed(const struct yoi__catalogue *c, size_t i) {
  return i < c->n_passed ? &c->passed[i] : NULL;
}

size_t yoi__catalogue_searched(const struct yoi__catalogue *c, size_t i, yoi_str *out_path) {
  *out_path = i < c->n_searched ? c->searched[i].path : (yoi_str){NULL, 0};
  return i < c->n_searched ? c->searched[i].taken : 0;
}

void yoi__catalogue_explain(const struct yoi__catalogue *c, struct yoi_sdk_buf *out) {
  for (size_t i = 0; i < c->n_searched; i++) {
    yoi_sdk_buf_addf(out, "; searched '%.*s': %zu plugins", YOI_ARG(c->searched[i].path),
                     c->searched[i].taken);
  }
  for (size_t i = 0; i < c->n_passed && i < EXPLAIN_MAX; i++) {
    yoi_sdk_buf_addf(out, "; passed over '%.*s': %.*s", YOI_ARG(c->passed[i].path),
                     YOI_ARG(c->passed[i].reason));
  }
  if (c->n_passed > EXPLAIN_MAX) yoi_sdk_buf_addf(out, "; and %zu more", c->n_passed - EXPLAIN_MAX);
}

/* ---- taking in ----------------------------------------------------------- */

static yoi_status pass_over(struct yoi__catalogue *c, const char *path, yoi_str id, int directory,
                            const char *reason, yoi_error *err) {
  struct yoi__passed *p = yoi_sdk_reallocarray(c->passed, c->n_passed + 1, sizeof *p);
  if (p == NULL) return yoi_sdk_fail_memory(err);
  c->passed = p;
  p += c->n_passed;
  p->path = yoi_sdk_str_dup(yoi_sdk_str(path));
  p->id = yoi_sdk_str_dup(id);
  p->reason = yoi_sdk_str_dup(yoi_sdk_str(reason));
  p->directory = directory;
  c->n_passed++;
  if (p->path.ptr == NULL || p->id.ptr == NULL || p->reason.ptr == NULL)
    return yoi_sdk_fail_memory(err);
  return YOI_OK;
}

/* Opens a regular file that not everybody may write to. NULL, or why not. */
static const char *open_file(int dir_fd, const char *name, struct stat *sb, int *out_fd) {
  const char *why = NULL;
  /* NONBLOCK: opening a FIFO must not wait for its writer. */
  int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  *out_fd = -1;
  if (fd < 0) return errno == ELOOP ? "is a symbolic link" : strerror(errno);
  if (fstat(fd, sb) != 0) {
    why = strerror(errno);
  } else if (!S_ISREG(sb->st_mode)) {
    why = "not a regular file";
  } else if ((sb->st_mode & S_IWOTH) != 0) {
    why = "writable by everybody";
  }
  if (why != NULL) {
    close(fd);
  } else {
    *out_fd = fd;
  }
  return why;
}

const char *yoi__file_digest(int fd, uint64_t size, char digest[YOI_SDK_DIGEST_SIZE]) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char *chunk = yoi_sdk_malloc(HASH_CHUNK);
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  const char *why = chunk == NULL || h == NULL ? "memory is short" : NULL;
  uint64_t at = 0;
  while (why == NULL && at < size) {
    ssize_t got = pread(fd, chunk, yoi_sdk_short(HASH_CHUNK), (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      why = got < 0 ? strerror(errno) : "changed while it was read";
    } else {
      yoi_sdk_sha256_add(h, chunk, (size_t)got);
      at += (uint64_t)got;
    }
  }
  if (why == NULL && at != size) why = "changed while it was read";
  if (h != NULL && !yoi_sdk_sha256_final(h, sha) && why == NULL) why = "cannot be hashed";
  if (why == NULL) yoi_sdk_digest_text(sha, digest);
  yoi_sdk_free(chunk);
  return why;
}

/* NAME.yoi.json beside NAME.so, when there is one. In the folder where a plugin
 * is made that is the very text that was built in: it narrows nothing. */
static const char *narrow(int dir_fd, const char *name, yoi_str own, struct yoi__manifest *m,
                          struct yoi_sdk_error *e) {
  char beside[NAME_MAX + 16];
  struct yoi_sdk_buf text;
  struct stat sb;
  const char *why;
  ssize_t got = 0;
  char *to;
  int fd;
  snprintf(beside, sizeof beside, "%.*s.yoi.json", (int)(strlen(name) - 3), name);
  why = open_file(dir_fd, beside, &sb, &fd);
  if (why != NULL) {
    if (errno == ENOENT && fd < 0) return NULL;
    snprintf(e->message, sizeof e->message, "its manifest file '%s': %s", beside, why);
    return e->message;
  }
  yoi_sdk_buf_init(&text, YOI_MANIFEST_BYTES_MAX);
  to = sb.st_size <= YOI_MANIFEST_BYTES_MAX ? yoi_sdk_buf_reserve(&text, (size_t)sb.st_size) : NULL;
  if (to == NULL) {
    why = "its manifest file is too large";
  } else {
    got = pread(fd, to, (size_t)sb.st_size, 0);
    if (got != sb.st_size) why = "its manifest file changed while it was read";
  }
  if (why == NULL) {
    yoi_error *err = yoi_sdk_error_init(e);
    text.len = (size_t)got;
    if (!yoi_sdk_str_eq(yoi_sdk_buf_str(&text), own) &&
        yoi__manifest_narrow(m, yoi_sdk_buf_str(&text), err) != YOI_OK)
      why = e->message;
  }
  yoi_sdk_buf_release(&text);
  close(fd);
  return why;
}

const char *yoi__plugin_examine(int dir_fd, const char *name, struct yoi__plugin *p,
                                struct yoi_sdk_error *e) {
  struct yoi_sdk_buf section;
  struct stat sb;
  int fd;
  const char *why = open_file(dir_fd, name, &sb, &fd);
  if (why != NULL) return why;
  yoi_sdk_buf_init(&section, YOI_MANIFEST_BYTES_MAX);
  if ((uint64_t)sb.st_size > YOI_PLUGIN_BYTES_MAX) {
    why = "too large";
  } else {
    why = yoi__elf_section(fd, (uint64_t)sb.st_size, YOI_MANIFEST_SECTION, &section);
  }
  if (why == NULL) {
    yoi_error *err = yoi_sdk_error_init(e);
    if (yoi__manifest_parse(yoi_sdk_buf_str(&section), &p->manifest, err) != YOI_OK)
      why = e->message;
  }
  if (why == NULL) why = narrow(dir_fd, name, yoi_sdk_buf_str(&section), &p->manifest, e);
  if (why == NULL) why = yoi__file_digest(fd, (uint64_t)sb.st_size, p->digest);
  p->dev = sb.st_dev;
  p->ino = sb.st_ino;
  p->size = sb.st_size;
  p->mtime_ns = sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
  yoi_sdk_buf_release(&section);
  close(fd);
  return why;
}

/* Whether an examined plugin is taken. NULL and *out_taken = 0: it is one that
 * is there already. */
static const char *judge(const struct look *l, const struct yoi__plugin *p, int *out_taken,
                         struct yoi_sdk_error *e) {
  struct yoi__plugin *first = yoi__catalogue_find(l->c, p->manifest.id);
  *out_taken = 0;
  if (l->drop_in && p->manifest.kind != YOI_KIND_RUNTIME) {
    snprintf(e->message, sizeof e->message, "expected a runtime, found kind '%s'",
             yoi__kind_name(p->manifest.kind));
    return e->message;
  }
  if (l->drop_in && p->manifest.runtime_id.len == 0)
    return "manifest field 'runtime_id': expected one in a drop_in folder, found nothing";
  if (first == NULL) {
    *out_taken = 1;
    return NULL;
  }
  if (l->drop_in && strcmp(first->digest, p->digest) == 0) {
    first->drop_in = 1;
    return NULL;
  }
  snprintf(e->message, sizeof e->message, "its id '%.*s' is taken by '%.*s', which comes first",
           YOI_ARG(p->manifest.id), YOI_ARG(first->path));
  return e->message;
}

static yoi_status insert(struct yoi__catalogue *c, struct yoi__plugin *p, yoi_error *err) {
  struct yoi__plugin **all;
  size_t at;
  if (c->n == YOI_PLUGINS_MAX) {
    yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d plugins on the search path",
                 YOI_PLUGINS_MAX);
    return YOI_RESOURCE_EXHAUSTED;
  }
  all = yoi_sdk_reallocarray(c->plugins, c->n + 1, sizeof(*all));
  if (all == NULL) return yoi_sdk_fail_memory(err);
  c->plugins = all;
  at = lower_bound(c, p->manifest.id);
  memmove(&all[at + 1], &all[at], (c->n - at) * sizeof(*all));
  all[at] = p;
  c->n++;
  return YOI_OK;
}

static yoi_status look_at(const struct look *l, const char *name, yoi_error *err) {
  struct yoi__plugin *p = yoi_sdk_calloc(1, sizeof *p);
  struct yoi_sdk_error *e = yoi_sdk_malloc(sizeof *e);
  char path[YOI_PATH_BYTES_MAX];
  const char *why = NULL;
  int taken = 0;
  yoi_status st = YOI_OK;
  if (p == NULL || e == NULL) {
    st = yoi_sdk_fail_memory(err);
    goto out;
  }
  if ((size_t)snprintf(path, sizeof path, "%s/%s", l->dir, name) >= sizeof path) {
    why = "path too long";
  } else {
    why = yoi__plugin_examine(l->dir_fd, name, p, e);
  }
  if (why == NULL) why = judge(l, p, &taken, e);
  if (why != NULL) {
    st = pass_over(l->c, path, p->manifest.id, 0, why, err);
  } else if (taken) {
    p->drop_in = l->drop_in;
    p->path = yoi_sdk_str_dup(yoi_sdk_str(path));
    st = p->path.ptr == NULL ? yoi_sdk_fail_memory(err) : insert(l->c, p, err);
    if (st == YOI_OK) {
      l->c->searched[l->c->n_searched - 1].taken++;
      p = NULL;
    }
  }
out:
  yoi__plugin_free(p);
  yoi_sdk_free(e);
  return st;
}

yoi_status yoi__catalogue_take(struct yoi__catalogue *c, struct yoi__plugin *p, const char *path,
                               const char *why, yoi_error *err) {
  const struct look l = {.c = c};
  struct yoi_sdk_error e;
  int taken = 0;
  yoi_status st;
  if (why == NULL) {
    (void)yoi_sdk_error_init(&e);
    why = judge(&l, p, &taken, &e);
  }
  if (why != NULL) {
    st = pass_over(c, path, p->manifest.id, 0, why, err);
  } else {
    p->path = yoi_sdk_str_dup(yoi_sdk_str(path));
    st = p->path.ptr == NULL ? yoi_sdk_fail_memory(err) : insert(c, p, err);
    if (st == YOI_OK) p = NULL;
  }
  yoi__plugin_free(p);
  return st;
}

/* ---- directories --------------------------------------------------------- */

struct names {
  char **all;
  size_t n;
};

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names *.so of an open directory, sorted. Takes over dir_fd. */
static const char *list(int dir_fd, struct names *out) {
  DIR *d = fdopendir(dir_fd);
  struct dirent *e;
  const char *why = NULL;
  if (d == NULL) {
    close(dir_fd);
    return strerror(errno);
  }
  while (why == NULL && (errno = 0, e = readdir(d)) != NULL) {
    size_t n = strlen(e->d_name);
    if (n < 4 || memcmp(e->d_name + n - 3, ".so", 3) != 0) continue;
    if (out->n == NAMES_MAX) {
      why = "too many files";
    } else if ((out->all[out->n] = yoi_sdk_strndup(e->d_name, n)) == NULL) {
      why = "memory is short";
    } else {
      out->n++;
    }
  }
  if (why == NULL && errno != 0) why = strerror(errno);
  closedir(d);
  if (out->n > 1) qsort(out->all, out->n, sizeof *out->all, by_bytes);
  return why;
}

static const char *open_directory(const char *dir, int *out_fd) {
  struct stat sb;
  *out_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*out_fd < 0) return strerror(errno);
  if (fstat(*out_fd, &sb) != 0) return strerror(errno);
  return (sb.st_mode & S_IWOTH) != 0 ? "writable by everybody" : NULL;
}

static yoi_status note_searched(struct yoi__catalogue *c, const char *dir, yoi_error *err) {
  struct searched *s = yoi_sdk_reallocarray(c->searched, c->n_searched + 1, sizeof *s);
  if (s == NULL) return yoi_sdk_fail_memory(err);
  c->searched = s;
  s += c->n_searched;
  s->taken = 0;
  s->path = yoi_sdk_str_dup(yoi_sdk_str(dir));
  if (s->path.ptr == NULL) return yoi_sdk_fail_memory(err);
  c->n_searched++;
  return YOI_OK;
}

yoi_status yoi__catalogue_scan(struct yoi__catalogue *c, const char *dir, int drop_in,
                               yoi_error *err) {
  struct look l = {.c = c, .dir = dir, .dir_fd = -1, .drop_in = drop_in};
  struct names names = {NULL, 0};
  const char *why;
  yoi_status st = note_searched(c, dir, err);
  if (st != YOI_OK) return st;
  names.all = yoi_sdk_calloc(NAMES_MAX, sizeof *names.all);
  if (names.all == NULL) return yoi_sdk_fail_memory(err);
  why = open_directory(dir, &l.dir_fd);
  if (why == NULL) {
    int copy = fcntl(l.dir_fd, F_DUPFD_CLOEXEC, 0);
    why = copy < 0 ? strerror(errno) : list(copy, &names);
  }
  if (why != NULL) st = pass_over(c, dir, YOI_LIT(""), 1, why, err);
  for (size_t i = 0; i < names.n; i++) {
    if (st == YOI_OK && why == NULL) st = look_at(&l, names.all[i], err);
    yoi_sdk_free(names.all[i]);
  }
  yoi_sdk_free(names.all);
  if (l.dir_fd >= 0) close(l.dir_fd);
  return st;
}
