/* offline_scan.c - reads the index and every worker's file.
 *
 * The index says what was durable of each file; it is asked first, so that a
 * file that ends earlier is seen. It is only believed when a host would
 * believe it (index.c, recover.c); its faults cost nothing then, since it is
 * made anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "offline.h"
#include "shelf.h"

#define OPEN (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define INDEX "index.jsonl"

/* ---- workers by id ------------------------------------------------------------ */

static size_t place_of(const struct fs_off *o, yoi_str id) {
  size_t at = fs_crc32c(0, id.ptr, id.len) & (o->n_slots - 1);
  while (o->slots[at] != NULL && !yoi_sdk_str_is(id, o->slots[at]->id))
    at = (at + 1) & (o->n_slots - 1);
  return at;
}

struct fs_seen *fs_off_find(const struct fs_off *o, yoi_str id) {
  return o->n_slots == 0 ? NULL : o->slots[place_of(o, id)];
}

static int grow(struct fs_off *o) {
  size_t n = o->cap == 0 ? 64 : 2 * o->cap;
  struct fs_seen **list = yoi_sdk_reallocarray(o->workers, n, sizeof *list);
  if (list == NULL) return 0;
  o->workers = list;
  struct fs_seen **slots = yoi_sdk_calloc(2 * n, sizeof *slots);
  if (slots == NULL) return 0;
  o->cap = n;
  o->n_slots = 2 * n;
  yoi_sdk_free(o->slots);
  o->slots = slots;
  for (size_t i = 0; i < o->n; i++) slots[place_of(o, yoi_sdk_str(list[i]->id))] = list[i];
  return 1;
}

struct fs_seen *fs_off_add(struct fs_off *o, yoi_str id) {
  struct fs_seen *w = fs_off_find(o, id);
  if (w != NULL) return w;
  if (o->n == o->cap && !grow(o)) return NULL;
  w = yoi_sdk_calloc(1, sizeof *w);
  if (w == NULL) return NULL;
  memcpy(w->id, id.ptr, id.len);
  o->slots[place_of(o, id)] = w;
  o->workers[o->n++] = w;
  return w;
}

void fs_off_drop_pieces(struct fs_seen *w) {
  while (w->pieces != NULL) {
    struct fs_piece *p = w->pieces;
    w->pieces = p->next;
    yoi_sdk_free(p);
  }
  w->last_piece = NULL;
}

void fs_off_release(struct fs_off *o) {
  for (size_t i = 0; i < o->n; i++) {
    fs_off_drop_pieces(o->workers[i]);
    yoi_sdk_free(o->workers[i]);
  }
  yoi_sdk_free(o->workers);
  yoi_sdk_free(o->slots);
  yoi_sdk_free(o->segments);
  yoi_sdk_free(o->evidence);
  fs_root_close(&o->root);
}

/* ---- the index ------------------------------------------------------------------- */

/* The store that something says it is of; 1: it is this one. */
static int is_ours(struct fs_off *o, yoi_str store) {
  if (!o->no_format) return yoi_sdk_str_is(store, o->root.store);
  if (o->adopted[0] == '\0' && store.len < sizeof o->adopted)
    memcpy(o->adopted, store.ptr, store.len);
  return yoi_sdk_str_is(store, o->adopted);
}

static const char *add_row(struct fs_off *o, const struct fs_line *l, uint64_t line) {
  struct fs_seen *w = fs_off_find(o, l->worker);
  if (w != NULL && w->indexed) return "it names a worker twice";
  w = fs_off_add(o, l->worker);
  if (w == NULL) {
    o->stop = YOI_RESOURCE_EXHAUSTED;
    return NULL;
  }
  w->indexed = true;
  w->index_line = line;
  w->index_seq = l->seq;
  w->index_bytes = l->bytes;
  w->index_mark = l->mark;
  return NULL;
}

/* NULL, or why it is of no use; *p is where. */
static const char *read_index(struct fs_off *o, struct fs_lines *in, struct fs_place *p) {
  struct fs_line l;
  yoi_str text;
  yoi_status st;
  const char *why = NULL;
  for (p->line = 1; why == NULL && (st = fs_lines_next(in, &text)) == YOI_OK; p->line++) {
    p->at = in->at;
    if (!fs_line_parse(text, &l)) return "a line of it is damaged";
    if (p->line == 1) {
      if (l.kind != FS_LINE_INDEX) return "it does not begin as one";
      if (!is_ours(o, l.store)) return "it is of another store";
      o->upto = l.upto;
    } else if (l.kind == FS_LINE_WORKER) {
      why = add_row(o, &l, p->line);
      o->index_workers++;
    } else {
      if (l.kind != FS_LINE_END) return "it has a line of another kind";
      if (l.workers != o->index_workers) return "it does not have as many workers as it says";
      return in->next == in->end ? NULL : "it goes on behind its end";
    }
  }
  if (why != NULL) return why;
  if (st == YOI_RESOURCE_EXHAUSTED) o->stop = st;
  p->at = in->next;
  return "it ends before its end";
}

static void forget_index(struct fs_off *o) {
  for (size_t i = 0; i < o->n; i++) o->workers[i]->indexed = false;
  o->upto = o->index_workers = 0;
}

/* As recover.c: an index is believed when the log goes on where it ends. */
static int log_goes_on(const struct fs_off *o) {
  return o->n_segments > 0 && o->segments[0] <= o->upto + 1;
}

static yoi_status index_file(struct fs_off *o) {
  struct fs_place p = {.file = INDEX};
  struct fs_lines in;
  struct stat sb;
  int fd = openat(o->root.fd, INDEX, OPEN);
  if (fd < 0 && errno == ENOENT) {
    if (o->n_segments > 0)
      fs_off_warn(o, &p, "index", "it is missing: the next start reads every worker's file");
    return YOI_OK;
  }
  if (fd < 0) return fs_off_fail(o, "cannot open", INDEX, errno);
  const char *why = "it is no file";
  if (fs_off_look(o, fd, S_IFREG, INDEX, &sb)) {
    o->bytes_index = (uint64_t)sb.st_size;
    fs_lines_init(&in, fd, 0, o->bytes_index);
    why = read_index(o, &in, &p);
    fs_lines_release(&in);
  }
  close(fd);
  if (why == NULL && !log_goes_on(o)) {
    p = (struct fs_place){.file = INDEX};
    why = "it is older than the log";
  }
  o->index_good = why == NULL && o->stop == YOI_OK;
  if (o->index_good) return YOI_OK;
  forget_index(o);
  if (o->stop == YOI_OK)
    fs_off_warn(o, &p, "index", "%s: the next start reads every worker's file", why);
  return o->stop;
}

/* ---- a worker's file ---------------------------------------------------------------- */

/* Why this line does not go on with the file; NULL: it does. */
static const char *line_fault(const struct fs_seen *w, const struct fs_line *l, uint64_t seq,
                              uint64_t n) {
  if (l->kind != FS_LINE_RECORD) return "it is no record";
  if (!yoi_sdk_str_is(l->worker, w->id)) return "it is of another worker";
  if (l->seq != seq + 1) return "its sequence does not follow";
  return l->n <= n ? "its number does not follow" : NULL;
}

static void meet_index(struct fs_seen *w, const struct fs_line *l, uint64_t end) {
  if (w->indexed && end == w->index_bytes)
    w->index_met =
        l->seq == w->index_seq && (l->mark == w->index_mark || w->index_mark == ENG_MARK_CORRUPT);
}

static yoi_status read_lines(struct fs_off *o, struct fs_seen *w, struct fs_lines *in,
                             const char *file) {
  struct fs_place p = {.file = file, .worker = w->id};
  uint64_t seq = 0, n = 0, good_line = 0;
  struct fs_line l;
  yoi_str text;
  yoi_status st;
  for (p.line = 1; (st = fs_lines_next(in, &text)) == YOI_OK; p.line++) {
    p.at = in->at;
    w->bad = fs_line_parse(text, &l) ? line_fault(w, &l, seq, n) : "its sum is wrong";
    if (w->bad != NULL) break;
    seq = l.seq;
    n = l.n;
    if (seq == 1) w->first_n = n;
    fs_off_record(o, w, &l, &p);
    if (l.more) continue;
    w->good = in->next;
    good_line = p.line;
    w->seq = w->file_seq = seq;
    w->last_n = n;
    w->mark = l.mark;
    meet_index(w, &l, in->next);
  }
  if (st == YOI_RESOURCE_EXHAUSTED) return st;
  if (st == YOI_INTERNAL) return fs_off_fail(o, "cannot read", file, errno);
  if (st == YOI_OUT_OF_RANGE) w->bad = "it is longer than any line of a store";
  if (st == YOI_END && in->next < in->end) w->bad = "it has no end";
  w->bad_line = w->bad != NULL ? p.line : 0;
  w->bad_at = st == YOI_OK ? in->at : in->next;
  if (w->bad != NULL || w->good == in->end) return YOI_OK;
  w->bad = "it begins an append that has no end";
  w->bad_line = good_line + 1;
  w->bad_at = w->good;
  return YOI_OK;
}

static yoi_status worker_file(struct fs_off *o, yoi_str id, int fd, const char *file) {
  struct fs_lines in;
  struct stat sb;
  struct fs_seen *w = fs_off_add(o, id);
  if (w == NULL) return YOI_RESOURCE_EXHAUSTED;
  w->has_file = true;
  if (!fs_off_look(o, fd, S_IFREG, file, &sb)) {
    w->bad = "it is no file";
    w->bad_line = 1;
    return YOI_OK;
  }
  w->size = (uint64_t)sb.st_size;
  o->bytes_workers += w->size;
  fs_lines_init(&in, fd, 0, w->size);
  yoi_status st = read_lines(o, w, &in, file);
  fs_lines_release(&in);
  return st;
}

static yoi_status one_worker(struct fs_off *o, int folder_fd, const char *folder,
                             const char *name) {
  char file[FS_PATH_SIZE + 256], right[FS_NAME_SIZE];
  size_t n = strlen(name);
  yoi_str id = {name, n > 6 ? n - 6 : 0};
  snprintf(file, sizeof file, "%s/%s", folder, name);
  int ours = n > 6 && strcmp(name + n - 6, ".jsonl") == 0 && yoi_sdk_id_valid(id);
  if (ours) fs_name_worker(id, right);
  if (!ours || strcmp(right, file + sizeof "workers") != 0) {
    fs_off_warn(o, &(struct fs_place){.file = file}, "foreign",
                ours ? "a worker's file in a folder that is not its own, so nothing reads it"
                     : "no file of a store; nothing reads it");
    return YOI_OK;
  }
  if (o->worker.len > 0 && !yoi_sdk_str_eq(id, o->worker)) return YOI_OK;
  bool more = ++o->files > o->index_workers; /* some are in the log only */
  fs_off_progress(o, "reading workers", o->files, more ? 0 : o->index_workers);
  if (o->stop != YOI_OK) return o->stop;
  int fd = openat(folder_fd, name, OPEN);
  bool link = fd < 0 && errno == ELOOP;
  if (fd < 0 && !link && errno != ENXIO) return fs_off_fail(o, "cannot open", file, errno);
  yoi_status st = YOI_OK;
  if (fd >= 0) {
    st = worker_file(o, id, fd, file);
    close(fd);
    return st;
  }
  struct fs_seen *w = fs_off_add(o, id);
  if (w == NULL) return YOI_RESOURCE_EXHAUSTED;
  w->has_file = true;
  w->bad = link ? "it is a symbolic link" : "it is no file";
  w->bad_line = 1;
  return YOI_OK;
}

static yoi_status one_folder(struct fs_off *o, int folder_fd, const char *folder,
                             const char *name) {
  static const char hex[] = "0123456789abcdef";
  char path[FS_PATH_SIZE + 256];
  struct stat sb;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  int ours = strlen(name) == 2 && strchr(hex, name[0]) != NULL && strchr(hex, name[1]) != NULL;
  int fd = ours ? openat(folder_fd, name, OPEN | O_DIRECTORY) : -1;
  if (fd < 0) {
    fs_off_warn(o, &(struct fs_place){.file = path}, "foreign",
                "nothing of a store; nothing reads it");
    return YOI_OK;
  }
  yoi_status st =
      fs_off_look(o, fd, S_IFDIR, path, &sb) ? fs_off_each(o, fd, path, one_worker) : YOI_OK;
  close(fd);
  return st;
}

/* ---- bundles ---------------------------------------------------------------------- */

static yoi_status one_bundle(struct fs_off *o, int folder_fd, const char *folder,
                             const char *name) {
  char path[FS_PATH_SIZE + 256], digest[YOI_SDK_DIGEST_SIZE], *bytes = NULL;
  const struct fs_place p = {.file = path};
  size_t len = 0, n = strlen(name);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (n > 4 && strcmp(name + n - 4, ".tmp") == 0) {
    fs_off_warn(o, &p, "left", "left over by something that was interrupted");
  } else if (!fs_shelf_name(name, digest)) {
    fs_off_warn(o, &p, "foreign", "nothing of a store; nothing reads it");
  } else {
    if (fs_shelf_read(folder_fd, name, digest, &bytes, &len) < 1)
      fs_off_warn(o, &p, "bundle",
                  "its bytes are not those of its name: the bundle is missing until it is put "
                  "again");
    yoi_sdk_free(bytes);
  }
  return YOI_OK;
}

static yoi_status bundles(struct fs_off *o) {
  struct stat sb;
  int fd = openat(o->root.fd, "bundles", OPEN | O_DIRECTORY);
  if (fd < 0 && errno == ENOENT) return YOI_OK;
  if (fd < 0) return fs_off_fail(o, "cannot open", "bundles", errno);
  yoi_status st = fs_off_look(o, fd, S_IFDIR, "bundles", &sb)
                      ? fs_off_each(o, fd, "bundles", one_bundle)
                      : YOI_OK;
  close(fd);
  return st;
}

/* ---- all -------------------------------------------------------------------------- */

static yoi_status one_of_root(struct fs_off *o, int folder_fd, const char *folder,
                              const char *name) {
  static const char *const ours[] = {"LOCK", "store.json", INDEX,    "log",
                                     "workers", "archive",  "bundles"};
  const struct fs_place p = {.file = name};
  (void)folder_fd, (void)folder;
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcmp(name, ours[i]) == 0) return YOI_OK;
  size_t n = strlen(name);
  if (strncmp(name, "backup-", 7) == 0 && (n < 4 || strcmp(name + n - 4, ".tmp") != 0))
    return YOI_OK;
  if (n > 4 && strcmp(name + n - 4, ".tmp") == 0)
    fs_off_warn(o, &p, "left", "left over by something that was interrupted");
  else
    fs_off_warn(o, &p, "foreign", "nothing of a store; nothing reads it");
  return YOI_OK;
}

static int by_id(const void *a, const void *b) {
  return strcmp((*(struct fs_seen *const *)a)->id, (*(struct fs_seen *const *)b)->id);
}

yoi_status fs_off_scan(struct fs_off *o) {
  yoi_status st = fs_off_each(o, o->root.fd, ".", one_of_root);
  if (st == YOI_OK) st = fs_off_list_segments(o);
  if (st == YOI_OK) st = index_file(o);
  if (st == YOI_OK && o->root.workers_fd >= 0)
    st = fs_off_each(o, o->root.workers_fd, "workers", one_folder);
  if (st == YOI_OK) st = bundles(o);
  if (st == YOI_OK) st = fs_off_read_log(o);
  if (st != YOI_OK) return st;
  if (o->n > 1) qsort(o->workers, o->n, sizeof *o->workers, by_id);
  fs_off_judge(o);
  return o->stop;
}
