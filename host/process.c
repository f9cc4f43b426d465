/* host/process.c - what the kernel says of this process, as metrics.
 *
 * Read when somebody asks, from /proc (proc(5)) and clocks; nothing is kept.
 * The names and units are those that Prometheus' client libraries use, so that
 * dashboards made for any process fit this one. In an application that embeds
 * libyoi they are the whole application's.
 */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define START_TICKS 22  /* proc(5), /proc/pid/stat: its number of the field */
#define FILE_BYTES 1024 /* of the two files that are read: some 50 numbers each */
#define PID_AND_NAME 2  /* fields up to the closing parenthesis of the name */

/* A small file whole, NUL-terminated; 0: it cannot be read. */
static size_t slurp(const char *path, char *buf, size_t cap) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, buf, cap - 1);
  close(fd);
  if (n <= 0) return 0;
  buf[n] = '\0';
  return (size_t)n;
}

/* The n-th number of a text (from 0), its words parted by single spaces. */
static int number_at(const char *text, int n, uint64_t *out) {
  for (; n > 0 && text != NULL; n--) {
    text = strchr(text, ' ');
    if (text != NULL) text++;
  }
  if (text == NULL || *text < '0' || *text > '9') return 0;
  *out = strtoull(text, NULL, 10);
  return 1;
}

static int resident_bytes(uint64_t *out) {
  char text[FILE_BYTES];
  long page = sysconf(_SC_PAGESIZE);
  if (page <= 0 || slurp("/proc/self/statm", text, sizeof text) == 0 || !number_at(text, 1, out))
    return 0;
  *out *= (uint64_t)page;
  return 1;
}

/* Newer kernels say it as the size of the directory; on others a host with
 * very many connections pays for walking it. */
static int open_fds(uint64_t *out) {
  struct stat s;
  if (stat("/proc/self/fd", &s) != 0) return 0;
  *out = (uint64_t)s.st_size;
  if (*out > 0) return 1;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) return 0;
  while (readdir(dir) != NULL) ++*out;
  closedir(dir);
  *out -= 3; /* ".", ".." and the directory's own */
  return 1;
}

/* Now less the age, which is the time since boot less the
 * ticks at the start. */
uint64_t yoi__process_began_ns(void) {
  char text[FILE_BYTES];
  uint64_t ticks = 0;
  long hz = sysconf(_SC_CLK_TCK);
  if (hz <= 0 || slurp("/proc/self/stat", text, sizeof text) == 0) return 0;
  const char *behind = strrchr(text, ')'); /* the name may have anything in it */
  if (behind == NULL || behind[1] != ' ' ||
      !number_at(behind + 2, START_TICKS - PID_AND_NAME - 1, &ticks))
    return 0;
  uint64_t begun = ticks * (1000000000u / (uint64_t)hz), up = yoi__clock_ns(CLOCK_BOOTTIME);
  return yoi__wall_ns() - (up > begun ? up - begun : 0);
}

static void add(struct yoi_sdk_buf *out, const char *name, const char *type, const char *help) {
  yoi_sdk_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name, type, name);
}

static void add_seconds(struct yoi_sdk_buf *out, uint64_t ns) {
  yoi_sdk_buf_addf(out, "%llu.%03llu\n", (unsigned long long)(ns / 1000000000u),
                   (unsigned long long)(ns / 1000000u % 1000u));
}

void yoi__process_text(struct yoi_sdk_buf *out, uint64_t began_ns) {
  uint64_t n = 0;
  add(out, "process_cpu_seconds_total", "counter", "Processor time, user and system.");
  add_seconds(out, yoi__clock_ns(CLOCK_PROCESS_CPUTIME_ID));
  if (open_fds(&n)) {
    add(out, "process_open_fds", "gauge", "Open file descriptors.");
    yoi_sdk_buf_addf(out, "%llu\n", (unsigned long long)n);
  }
  if (resident_bytes(&n)) {
    add(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    yoi_sdk_buf_addf(out, "%llu\n", (unsigned long long)n);
  }
  if (began_ns > 0) {
    add(out, "process_start_time_seconds", "gauge", "When the process began, since the epoch.");
    add_seconds(out, began_ns);
  }
}
