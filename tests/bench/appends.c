/* appends.c - the record of the programs that append, and their report; see
 * appends.h. */
#include "appends.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <yoi/ops.h>

#include "runtimes/fs-store/line.h"

#define DEPTH_MAX 4 /* of folders: ROOT/workers/3f */

int appends_data(struct yoi_sdk_buf *out, size_t bytes) {
  static const char head[] = "{\"content\":\"", tail[] = "\"}";
  if (bytes < sizeof head + sizeof tail || bytes > APPENDS_DATA_MAX) return 0;
  yoi_sdk_buf_add(out, head, sizeof head - 1);
  while (out->len < bytes - (sizeof tail - 1) && !out->failed) yoi_sdk_buf_addc(out, 'x');
  yoi_sdk_buf_add(out, tail, sizeof tail - 1);
  return !out->failed;
}

void appends_line(struct yoi_sdk_buf *out, uint64_t n, yoi_str data) {
  fs_line_record(out, &(struct fs_line){.n = n,
                                        .worker = YOI_LIT("w0"),
                                        .seq = n,
                                        .event = YOI_EVENT_INPUT_ACCEPTED,
                                        .mark = ENG_MARK_BUSY,
                                        .data = data});
}

/* By all of the machine: what a process is charged for (/proc/PID/io) is whole
 * folios, of which a sync writes the blocks that changed. */
static uint64_t written(const char *folder) {
  char path[64], text[512];
  struct stat sb;
  unsigned long long sectors = 0;
  int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || syncfs(dir) != 0 || fstat(dir, &sb) != 0) perror("bench: the folder");
  if (dir < 0) return 0;
  (void)close(dir);
  (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/stat", major(sb.st_dev),
                 minor(sb.st_dev));
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
  if (fd >= 0) (void)close(fd);
  text[n > 0 ? n : 0] = '\0';
  if (sscanf(text, "%*u %*u %*u %*u %*u %*u %llu", &sectors) != 1) return 0;
  return sectors * 512;
}

static uint64_t space(const char *folder, int depth) {
  char path[4096];
  struct stat sb;
  uint64_t sum = 0;
  DIR *d = opendir(folder);
  if (d == NULL) return 0;
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    (void)snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (lstat(path, &sb) != 0) continue;
    sum += (uint64_t)sb.st_blocks * 512;
    if (S_ISDIR(sb.st_mode) && depth < DEPTH_MAX) sum += space(path, depth + 1);
  }
  (void)closedir(d);
  return sum;
}

void appends_begin(struct appends *a) {
  a->written = written(a->folder);
  a->cpu_s = load_cpu_s();
  a->begin_ns = load_now_ns();
}

void appends_end(struct appends *a) {
  a->end_ns = load_now_ns();
  a->cpu_s = load_cpu_s() - a->cpu_s;
}

int appends_report(struct appends *a, const char *more) {
  (void)printf("{\"records\":%ld,\"seconds\":%.4f,\"cpu_s\":%.6f,\"p50_us\":%" PRIu32
               ",\"p99_us\":%" PRIu32 ",\"syncs\":%ld,\"written\":%" PRIu64 ",\"space\":%" PRIu64
               "%s}\n",
               a->records, (double)(a->end_ns - a->begin_ns) / 1e9, a->cpu_s,
               load_quantile(&a->ack_us, 500), load_quantile(&a->ack_us, 990), a->syncs,
               written(a->folder) - a->written, space(a->folder, 0), more);
  free(a->ack_us.at);
  return ferror(stdout) || fflush(stdout) != 0;
}
