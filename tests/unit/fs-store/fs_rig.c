/* fs_rig.c - appends and reads records that say which they are, and handles
 * the folders of a test; see fs_rig.h. */
#include "fs_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <sdk/mem.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct waiting {
  struct eng_ticket ticket; /* first */
  sem_t done;
  yoi_status st;
  struct eng_frame *frames[YOI_REPLAY_BATCH_MAX];
  size_t n;
};

static void done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames, size_t n) {
  struct waiting *w = (struct waiting *)t;
  w->st = st;
  w->n = n;
  if (n > 0) memcpy(w->frames, frames, n * sizeof *frames);
  sem_post(&w->done);
}

static void begin(struct waiting *w) {
  *w = (struct waiting){.ticket = {.done = done}};
  sem_init(&w->done, 0, 0);
}

static yoi_status wait_for(struct waiting *w) {
  while (sem_wait(&w->done) != 0) {
  }
  sem_destroy(&w->done);
  return w->st;
}

void fs_rig_init(struct fs_rig *r) {
  *r = (struct fs_rig){.fh = fake_host_new(1), .epoch = 0x1122334455667788u};
  r->config = (struct fs_config){.relaxed_ms = 5,
                                 .segment_bytes = YOI_STORE_SEGMENT_BYTES_MIN,
                                 .checkpoint_bytes = (uint64_t)1 << 40,
                                 .checkpoint_ms = 3600000};
}

void fs_rig_release(struct fs_rig *r) {
  if (r->store != NULL) fs_rig_close(r);
  fake_host_close(r->fh);
  fake_host_free(r->fh);
}

static void found(void *ctx, const struct eng_found *f) {
  struct fs_rig *r = ctx;
  assert_true(r->n_found < FS_RIG_WORKERS);
  snprintf(r->found[r->n_found].id, sizeof r->found[0].id, "%.*s", YOI_ARG(f->worker_id));
  r->found[r->n_found].birth = f->birth;
  r->found[r->n_found].mark = f->mark;
  r->found[r->n_found].sequence = f->sequence;
  r->found[r->n_found++].log = f->log;
}

yoi_status fs_rig_open(struct fs_rig *r, const char *root) {
  char path[256];
  snprintf(path, sizeof path, "%s", root);
  r->config.root = path;
  r->n_found = 0;
  yoi_error *err = yoi_sdk_error_init(&r->se);
  assert_int_equal(fs_store_new(fake_host_instance(r->fh), &r->config, &r->store, err), YOI_OK);
  yoi_status st = r->store->ops->open(r->store, found, r, err);
  if (st == YOI_OK) return YOI_OK;
  fs_rig_close(r);
  return st;
}

void fs_rig_close(struct fs_rig *r) {
  r->store->ops->stop(r->store);
  for (size_t i = 0; i < r->n_found; i++) r->store->ops->log_free(r->store, r->found[i].log);
  r->store->ops->close(r->store);
  r->store = NULL;
  r->n_found = 0;
}

int fs_rig_found(const struct fs_rig *r, const char *id) {
  for (size_t i = 0; i < r->n_found; i++)
    if (strcmp(r->found[i].id, id) == 0) return (int)i;
  return -1;
}

struct eng_log *fs_rig_log(struct fs_rig *r, const char *id) {
  int i = fs_rig_found(r, id);
  if (i >= 0) return r->found[i].log;
  assert_true(r->n_found < FS_RIG_WORKERS);
  struct eng_birth birth = {.epoch = r->epoch, .keyed = id[0] == 'k', .key = "a key"};
  snprintf(r->found[r->n_found].id, sizeof r->found[0].id, "%s", id);
  r->found[r->n_found].birth = birth;
  r->found[r->n_found].sequence = 0;
  r->found[r->n_found].log = r->store->ops->log_new(r->store, yoi_sdk_str(id), &birth);
  assert_non_null(r->found[r->n_found].log);
  return r->found[r->n_found++].log;
}

/* The text of a record: longer and longer, with quotes and brackets. */
static void text_of(const char *id, uint64_t seq, char out[512]) {
  char at[YOI_SDK_TIME_SIZE];
  yoi_sdk_time_text((FS_RIG_BORN_S + seq) * 1000000000u, at);
  int n = snprintf(out, 512, "{\"sequence\":%llu,\"at\":\"%s\",\"of\":\"%s\","
                   "\"odd\":\"}]\\\"\\\\\",\"more\":\"",
                   (unsigned long long)seq, at, id);
  for (uint64_t i = 0; i < seq % 100; i++) out[n++] = 'x';
  snprintf(out + n, 512 - (size_t)n, "\"}");
}

static struct eng_frame *make_frame(const char *id, uint64_t seq) {
  char text[512];
  text_of(id, seq, text);
  struct eng_text *spec = seq == 1 ? eng_text_new(YOI_LIT("{\"profile\":\"p\"}")) : NULL;
  struct eng_frame *f = eng_frame_new(&(struct eng_frame_parts){
      .kind = seq == 1 ? YOI_EVENT_WORKER_CREATED : YOI_EVENT_INPUT_ACCEPTED,
      .pos = {.sequence = seq},
      .text = yoi_sdk_str(text),
      .aux = seq % 2 == 0 ? YOI_LIT("{\"front\":true}") : (yoi_str){0},
      .shared = spec,
      .role = seq > 1 ? ENG_ROLE_USER : ENG_ROLE_UNKNOWN,
  });
  eng_text_unref(spec);
  assert_non_null(f);
  return f;
}

static void check_frame(const struct eng_frame *f, const char *id, uint64_t seq) {
  char text[512];
  text_of(id, seq, text);
  assert_int_equal(f->pos.sequence, seq);
  assert_int_equal(f->ev.kind, seq == 1 ? YOI_EVENT_WORKER_CREATED : YOI_EVENT_INPUT_ACCEPTED);
  assert_true(yoi_sdk_str_is(f->ev.text, text));
  assert_true(yoi_sdk_str_is(eng_frame_aux(f), seq % 2 == 0 ? "{\"front\":true}" : ""));
  assert_int_equal(f->role, seq > 1 ? ENG_ROLE_USER : ENG_ROLE_UNKNOWN);
  assert_true(yoi_sdk_str_is(eng_text_str(f->shared), seq == 1 ? "{\"profile\":\"p\"}" : ""));
  assert_true(f->ev.cursor.len > 0);
}

yoi_status fs_rig_append(struct fs_rig *r, const char *id, size_t n, enum eng_mark mark) {
  struct eng_log *log = fs_rig_log(r, id);
  uint64_t *seq = &r->found[fs_rig_found(r, id)].sequence;
  struct eng_frame *frames[8];
  struct waiting w;
  assert_true(n <= 8);
  for (size_t i = 0; i < n; i++) frames[i] = make_frame(id, *seq + i + 1);
  begin(&w);
  r->store->ops->append(r->store, log, frames, n, mark, &w.ticket);
  yoi_status st = wait_for(&w);
  for (size_t i = 0; i < n; i++) eng_frame_unref(frames[i]);
  if (st == YOI_OK) *seq += n;
  return st;
}

yoi_status fs_rig_remove(struct fs_rig *r, const char *id) {
  int i = fs_rig_found(r, id);
  struct waiting w;
  begin(&w);
  r->store->ops->remove(r->store, r->found[i].log, &w.ticket);
  yoi_status st = wait_for(&w);
  if (st != YOI_OK) return st;
  r->store->ops->log_free(r->store, r->found[i].log);
  r->found[i] = r->found[--r->n_found];
  return YOI_OK;
}

yoi_status fs_rig_bundle(struct fs_rig *r, const char *digest, const char *bytes) {
  struct waiting w;
  struct eng_text *text = bytes ? eng_text_new(yoi_sdk_str(bytes)) : NULL;
  begin(&w);
  if (text)
    r->store->ops->bundle_put(r->store, digest, text, &w.ticket);
  else
    r->store->ops->bundle_remove(r->store, digest, &w.ticket);
  yoi_status st = wait_for(&w);
  eng_text_unref(text);
  return st;
}

yoi_status fs_rig_read(struct fs_rig *r, const char *id, uint64_t from, uint64_t *out) {
  struct waiting w;
  *out = from - 1;
  for (;;) {
    begin(&w);
    r->store->ops->read(r->store, fs_rig_log(r, id), *out + 1, YOI_REPLAY_BATCH_MAX, 0, &w.ticket);
    yoi_status st = wait_for(&w);
    for (size_t i = 0; i < w.n; i++) {
      check_frame(w.frames[i], id, ++*out);
      eng_frame_unref(w.frames[i]);
    }
    if (st != YOI_OK || w.n < YOI_REPLAY_BATCH_MAX) return st;
  }
}

void fs_rig_checkpoint(struct fs_rig *r) {
  assert_int_equal(fs_keep_checkpoint(fs_of(r->store)), 0);
}

/* ---- files ------------------------------------------------------------------ */

size_t fs_rig_bytes(const char *path, char *out, size_t cap) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  ssize_t n = read(fd, out, cap);
  assert_true(n >= 0 && (size_t)n < cap);
  close(fd);
  return (size_t)n;
}

void fs_rig_put(const char *path, const char *bytes, size_t n) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(fs_write_all(fd, bytes, n, 0), 0);
  close(fd);
}

void fs_rig_copy(const char *from, const char *to) {
  static char bytes[4 << 20];
  char a[512], b[512];
  struct stat sb;
  assert_true(mkdir(to, 0700) == 0);
  DIR *d = opendir(from);
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    snprintf(a, sizeof a, "%s/%s", from, e->d_name);
    snprintf(b, sizeof b, "%s/%s", to, e->d_name);
    assert_int_equal(stat(a, &sb), 0);
    if (S_ISDIR(sb.st_mode))
      fs_rig_copy(a, b);
    else
      fs_rig_put(b, bytes, fs_rig_bytes(a, bytes, sizeof bytes));
  }
  closedir(d);
}

void fs_rig_delete(const char *folder) {
  char path[512];
  struct stat sb;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    assert_int_equal(lstat(path, &sb), 0);
    if (S_ISDIR(sb.st_mode))
      fs_rig_delete(path);
    else
      assert_int_equal(unlink(path), 0);
  }
  closedir(d);
  assert_int_equal(rmdir(folder), 0);
}

const char *fs_rig_segment(const char *root) {
  static char path[512], folder[256];
  snprintf(folder, sizeof folder, "%s/log", root);
  DIR *d = opendir(folder);
  uint64_t first;
  path[0] = '\0';
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;)
    if (fs_name_is_segment(e->d_name, &first)) {
      assert_int_equal(path[0], '\0');
      snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    }
  closedir(d);
  assert_int_not_equal(path[0], '\0');
  return path;
}

const char *fs_rig_worker(const char *root, const char *id) {
  static char path[512];
  char name[FS_NAME_SIZE];
  fs_name_worker(yoi_sdk_str(id), name);
  snprintf(path, sizeof path, "%s/workers/%s", root, name);
  return path;
}

void fs_rig_sealed(const char *root) {
  static char bytes[1 << 20];
  for (int i = 0; i < 5000; i++) {
    size_t n = fs_rig_bytes(fs_rig_segment(root), bytes, sizeof bytes);
    while (n > 0 && bytes[n - 1] == '\0') n--;
    size_t from = n > 0 ? n - 1 : 0;
    while (from > 0 && bytes[from - 1] != '\n') from--;
    struct fs_line l;
    if (n > 0 && fs_line_parse((yoi_str){bytes + from, n - 1 - from}, &l) &&
        l.kind == FS_LINE_SEAL)
      return;
    usleep(1000); /* between two looks */
  }
  fail_msg("the log of '%s' was never sealed", root);
}

/* ---- a test ------------------------------------------------------------------- */

static char folder[64], before[512];

int fs_rig_setup(void **state) {
  static struct fs_rig r;
  assert_non_null(getcwd(before, sizeof before));
  snprintf(folder, sizeof folder, "/dev/shm/yoi-store-XXXXXX");
  if (mkdtemp(folder) == NULL) {
    snprintf(folder, sizeof folder, "store-XXXXXX");
    assert_non_null(mkdtemp(folder));
  }
  assert_int_equal(chdir(folder), 0);
  fs_rig_init(&r);
  *state = &r;
  return 0;
}

int fs_rig_teardown(void **state) {
  fs_rig_release(*state);
  assert_int_equal(chdir(before), 0);
  fs_rig_delete(folder);
  return 0;
}
