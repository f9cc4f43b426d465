/* root.h - the folder of a store: what it is, whose, and the names of the
 * files in it. */
#ifndef FS_ROOT_H
#define FS_ROOT_H

#include <sdk/error.h>
#include <sdk/id.h>
#include <stdbool.h>

struct fs_root {
  int fd, log_fd, workers_fd, lock_fd;
  bool fresh; /* it was made now */
  char store[YOI_SDK_UUID_SIZE];
};

#define FS_NAME_SIZE 96 /* "xx/ID.jsonl", "N.jsonl" and a NUL */

/* Opens, or makes, the folder and all below it, and locks it. Messages are
 * public and name no path; the private detail does. */
yoi_status fs_root_open(struct fs_root *r, const char *path, uint64_t wall_ns, yoi_error *err);
void fs_root_close(struct fs_root *r);
/* The process that holds the lock of r->lock_fd, when that can be said; 0. */
unsigned long fs_root_holder(const struct fs_root *r);

/* The names of files. */
void fs_name_worker(yoi_str id, char out[FS_NAME_SIZE]);
void fs_name_segment(uint64_t first, char out[FS_NAME_SIZE]);
/* 1 when it is the name of a segment. */
int fs_name_is_segment(const char *name, uint64_t *out_first);
/* Gives the file of a worker of that epoch a second name below archive/, which
 * is on the disk then; again: it has it. An errno. */
int fs_archive_worker(const struct fs_root *r, yoi_str id, uint64_t epoch);
/* Opens a worker's file, and makes its folder when it is to be made. -1 and
 * errno. */
int fs_open_worker(const struct fs_root *r, yoi_str id, int flags);
/* A folder below another, made when it is not there; -1 and errno. */
int fs_folder_below(int dir_fd, const char *name);
/* Gives what lies there another name, and changes nothing else of it; an errno. */
int fs_move_aside(int dir_fd, const char *name);
/* 1: such an error of opening is of what is no file, where one of ours has to be. */
int fs_is_in_the_way(int error);
/* A new file that is renamed later: what is left over there goes, and a folder
 * is moved aside. -1 and errno. */
int fs_open_tmp(int dir_fd, const char *name, int flags);
/* Writes all; 0, or an errno. */
int fs_write_all(int fd, const char *bytes, size_t n, uint64_t at);

#endif
