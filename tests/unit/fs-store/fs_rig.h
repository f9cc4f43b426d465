/* fs_rig.h - a store of files without an engine, for its unit tests. */
#ifndef FS_RIG_H
#define FS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "runtimes/fs-store/store_fs.h"
#include "tests/unit/support/fake_host.h"

#define FS_RIG_WORKERS 16
#define FS_RIG_BORN_S 1700000000u /* a record with sequence N is N seconds younger */

struct fs_rig {
  struct fake_host *fh;
  struct eng_store *store;
  struct fs_config config;
  struct yoi_sdk_error se;
  uint64_t epoch; /* of workers that are made */
  /* what open found */
  struct {
    char id[YOI_ID_MAX + 1];
    struct eng_birth birth;
    enum eng_mark mark;
    uint64_t sequence;
    struct eng_log *log;
  } found[FS_RIG_WORKERS];
  size_t n_found;
};

/* A test has a rig, *state, and a folder of its own as working directory, in
 * memory where that is to be had: some make thousands of stores, and a sync of a
 * disk takes its time. teardown deletes the folder. */
int fs_rig_setup(void **state);
int fs_rig_teardown(void **state);
void fs_rig_init(struct fs_rig *r);
void fs_rig_release(struct fs_rig *r);
/* Opens the store in `root`; its status. */
yoi_status fs_rig_open(struct fs_rig *r, const char *root);
/* A clean end. */
void fs_rig_close(struct fs_rig *r);
/* What lies on the disk at this moment, as after kill -9, as another folder. */
void fs_rig_copy(const char *from, const char *to);
void fs_rig_delete(const char *folder);

/* The log of that worker: what open found, or a new one. */
struct eng_log *fs_rig_log(struct fs_rig *r, const char *id);
/* Index into found, or -1. */
int fs_rig_found(const struct fs_rig *r, const char *id);
/* Appends n records behind the last, which say their sequence; waits. */
yoi_status fs_rig_append(struct fs_rig *r, const char *id, size_t n, enum eng_mark mark);
yoi_status fs_rig_remove(struct fs_rig *r, const char *id);
/* Puts a bundle's file, or removes it (NULL); waits. */
yoi_status fs_rig_bundle(struct fs_rig *r, const char *digest, const char *bytes);
/* Reads all records of a worker, and asserts that each is the one that was
 * appended; how many there are in *out. */
yoi_status fs_rig_read(struct fs_rig *r, const char *id, uint64_t from, uint64_t *out);
void fs_rig_checkpoint(struct fs_rig *r);
/* All bytes of a file, at most cap. */
size_t fs_rig_bytes(const char *path, char *out, size_t cap);
void fs_rig_put(const char *path, const char *bytes, size_t n);
/* Waits until the log has fallen silent, and says so. */
void fs_rig_sealed(const char *root);
/* The only segment of a log, as a path; static. */
const char *fs_rig_segment(const char *root);
const char *fs_rig_worker(const char *root, const char *id);

#endif
