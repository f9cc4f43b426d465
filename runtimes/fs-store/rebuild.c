/* rebuild.c - names all workers by their files, where there is no index.
 *
 * What cannot be looked at ends the start: a worker that is not named would
 * have its id free. Each file is read to the end of its last whole append. What
 * is behind that may be what a crash left of a pass of the keeper, and then the
 * log has it too and it is written again; or it is damage: recover.c decides,
 * once the log was read. A file of which nothing can be read keeps its id.
 *
 * Where there is an index, the files of those that it calls corrupt are read in
 * the same way: a permission, a disk or a copy may have put them right. What was
 * lost in the log stays lost: the index names the record, and the file ends
 * before it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "recover.h"

/* Its records, as far as they are whole. */
static yoi_status read_file(struct fs_recovery *r, struct eng_log *log, int fd, uint64_t size) {
  struct fs_lines in;
  struct fs_line l;
  yoi_str text;
  uint64_t seq = 0, n = 0;
  yoi_status st;
  fs_lines_init(&in, fd, 0, size);
  while ((st = fs_lines_next(&in, &text)) == YOI_OK) {
    if (!fs_line_parse(text, &l) || l.kind != FS_LINE_RECORD ||
        !yoi_sdk_str_is(l.worker, log->id) || l.seq != seq + 1 || l.n <= n)
      break;
    seq = l.seq;
    n = l.n;
    if (l.born) log->birth = l.birth;
    if (l.more) continue;
    log->seq = log->file_seq = seq;
    log->file_bytes = in.next;
    log->file_mark = (uint8_t)l.mark;
    if (l.mark == ENG_MARK_STOPPED) log->stopped_ms = fs_line_at_ms(l.data);
    if (n >= r->expect) r->expect = n + 1;
  }
  fs_lines_release(&in);
  log->torn = log->file_bytes != size;
  return st == YOI_RESOURCE_EXHAUSTED ? st : YOI_OK;
}

/* An error that says nothing about the file. */
static bool is_passing(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

static yoi_status look_at(struct fs_recovery *r, struct eng_log *log) {
  struct stat sb;
  log->torn = true;
  int fd = fs_open_worker(&r->s->root, yoi_sdk_str(log->id), O_RDONLY);
  if (fd < 0) return is_passing(errno) ? YOI_INTERNAL : YOI_OK;
  yoi_status st = YOI_OK;
  if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode)) st = read_file(r, log, fd, (uint64_t)sb.st_size);
  close(fd);
  return st;
}

static yoi_status add_file(struct fs_recovery *r, yoi_str id) {
  struct eng_log *log = fs_log_add(r->s, id, &(struct eng_birth){0});
  if (log == NULL || !fs_names_put(&r->names, log)) return YOI_RESOURCE_EXHAUSTED;
  log->found = true;
  fs_log_keep(log);
  return look_at(r, log);
}

yoi_status fs_judge_again(struct fs_recovery *r, struct eng_log *log) {
  const struct eng_birth birth = log->birth;
  uint64_t seq = log->seq, bytes = log->file_bytes;
  uint8_t mark = log->file_mark;
  log->seq = log->file_seq = log->file_bytes = 0;
  yoi_status st = look_at(r, log);
  if (st != YOI_OK) return st;
  bool same = birth.epoch == 0 || birth.epoch == log->birth.epoch;
  log->damaged = !same || log->torn || log->file_bytes == 0 || log->file_seq < seq;
  log->torn = false;
  if (!log->damaged) {
    r->s->changed = true;
    fs_log(r->s, YOI_LOG_WARN, "a worker that was corrupt is sound again", log->id, 0);
    return YOI_OK;
  }
  log->lost_seq = seq;
  log->birth = birth;
  log->file_mark = mark;
  if (log->file_bytes == bytes) return YOI_OK;
  log->file_bytes = bytes;
  log->seq = log->file_seq = seq;
  return YOI_OK;
}

/* ID.jsonl in the folder where it belongs; anything else is nobody's. */
static int is_worker(const char *folder, const char *name, yoi_str *out_id) {
  char path[FS_NAME_SIZE];
  size_t n = strlen(name);
  if (n < 7 || strcmp(name + n - 6, ".jsonl") != 0) return 0;
  *out_id = (yoi_str){name, n - 6};
  if (!yoi_sdk_id_valid(*out_id)) return 0;
  fs_name_worker(*out_id, path);
  return strncmp(path, folder, 2) == 0;
}

static yoi_status add_folder(struct fs_recovery *r, const char *folder) {
  yoi_str id;
  yoi_status st = YOI_OK;
  int fd = openat(r->s->root.workers_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  if (d == NULL) {
    int error = errno;
    if (fd >= 0) close(fd);
    fs_log(r->s, YOI_LOG_ERROR, "cannot look into a folder of workers", folder, error);
    return YOI_INTERNAL;
  }
  for (const struct dirent *e; st == YOI_OK && (errno = 0, e = readdir(d)) != NULL;) {
    if (is_worker(folder, e->d_name, &id))
      st = add_file(r, id);
    else if (e->d_name[0] != '.')
      fs_log(r->s, YOI_LOG_WARN, "a file among the workers is none of them", e->d_name, 0);
  }
  if (st == YOI_OK && errno != 0) st = YOI_INTERNAL;
  closedir(d);
  return st;
}

yoi_status fs_rebuild(struct fs_recovery *r) {
  static const char hex[] = "0123456789abcdef";
  yoi_status st = YOI_OK;
  for (int i = 0; i < 256 && st == YOI_OK; i++) {
    const char folder[] = {hex[i / 16], hex[i % 16], '\0'};
    if (faccessat(r->s->root.workers_fd, folder, F_OK, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT)
      continue;
    st = add_folder(r, folder);
  }
  return st;
}
