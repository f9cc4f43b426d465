/* work.c - the job as it arrives: one read, one check of its lengths, arrays
 * that point into it. The plugin made it, so what does not fit is a defect and
 * not an attack; it is checked all the same, since it costs nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

uint64_t sh_now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* The next text, or NULL at the end. */
static char *take(char **at, char *end) {
  char *s = *at, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;
  if (nul == NULL) return NULL;
  *at = nul + 1;
  return s;
}

static char **list(char **at, char *end, uint32_t n) {
  char **v = calloc((size_t)n + 1, sizeof *v);
  for (uint32_t i = 0; v != NULL && i < n; i++)
    if ((v[i] = take(at, end)) == NULL) return NULL;
  return v;
}

int sh_work_read(struct sh_work *w) {
  struct stat st;
  if (fstat(SH_FD_JOB, &st) != 0) return errno;
  if (st.st_size < (off_t)sizeof w->job) return EPROTO;
  char *all = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, SH_FD_JOB, 0);
  if (all == MAP_FAILED) return errno;
  memcpy(&w->job, all, sizeof w->job);
  char *at = all + sizeof w->job, *end = all + st.st_size;
  if (w->job.magic != SH_JOB_MAGIC || w->job.text_len != (uint64_t)(end - at)) return EPROTO;
  w->cwd = take(&at, end);
  w->argv = w->cwd != NULL ? list(&at, end, w->job.n_argv) : NULL;
  w->env = w->argv != NULL ? list(&at, end, w->job.n_env) : NULL;
  w->report = -1;
  return w->env != NULL && w->job.n_argv > 0 ? 0 : EPROTO;
}
