/* bench_start.c - from the start of a program to its word that it is ready.
 *
 *   bench_start RUNS MARKER FILE... -- PROGRAM [ARGUMENT...]
 *
 * RUNS times PROGRAM is started and read, both outputs, until MARKER has come;
 * then it gets SIGTERM and has to end with 0, or by that signal. Before each
 * start the FILEs are dropped from the page cache (posix_fadvise DONTNEED; they
 * are on disk and nobody else maps them); without any FILE the start is warm.
 * Prints one JSON object: p50_us, min_us, max_us, cpu_us (of one run to its
 * end, on average), and `resident`, how many pages of the files were still
 * cached after dropping, at most.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 1000
#define OUTPUT_MAX 65536
#define READY_S 30
#define PAGE 4096u

extern char **environ;

/* The pages of a file that are still in memory after it was dropped. */
static long drop(const char *name) {
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  struct stat st;
  long n = 0;
  if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0) return -1;
  (void)fdatasync(fd); /* a page that is not written stays */
  (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  size_t pages = ((size_t)st.st_size + PAGE - 1) / PAGE;
  unsigned char *in = malloc(pages);
  void *at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
  if (in && at != MAP_FAILED && mincore(at, (size_t)st.st_size, in) == 0)
    for (size_t i = 0; i < pages; i++) n += in[i] & 1;
  if (at != MAP_FAILED) (void)munmap(at, (size_t)st.st_size);
  free(in);
  (void)close(fd);
  return n;
}

/* Microseconds until the marker; 0 when it did not come, or at a bad end. */
static uint64_t start(const char *marker, char **argv) {
  static char out[OUTPUT_MAX];
  posix_spawn_file_actions_t acts;
  int pipe_fd[2], status = 0;
  pid_t pid;
  size_t n = 0;
  uint64_t took = 0;
  if (pipe2(pipe_fd, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&acts) != 0) return 0;
  (void)posix_spawn_file_actions_addopen(&acts, 0, "/dev/null", O_RDONLY, 0);
  (void)posix_spawn_file_actions_adddup2(&acts, pipe_fd[1], 1);
  (void)posix_spawn_file_actions_adddup2(&acts, pipe_fd[1], 2);
  uint64_t begin = load_now_ns();
  int e = posix_spawnp(&pid, argv[0], &acts, NULL, argv, environ);
  (void)posix_spawn_file_actions_destroy(&acts);
  (void)close(pipe_fd[1]);
  while (e == 0 && n < sizeof out - 1 && load_now_ns() - begin < READY_S * UINT64_C(1000000000)) {
    ssize_t k = read(pipe_fd[0], out + n, sizeof out - 1 - n);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) break;
    n += (size_t)k;
    out[n] = '\0';
    if (!strstr(out, marker)) continue;
    took = (load_now_ns() - begin) / 1000;
    break;
  }
  if (e == 0) {
    (void)kill(pid, SIGTERM);
    while (read(pipe_fd[0], out, sizeof out - 1) > 0) continue;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
        !(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM))
      took = 0;
  }
  (void)close(pipe_fd[0]);
  return took;
}

int main(int argc, char **argv) {
  struct load_samples us = {0};
  long resident = 0, runs = argc > 4 ? load_number(argv[1], RUNS_MAX) : 0;
  int files = 3, program = 3;
  while (program < argc && strcmp(argv[program], "--") != 0) program++;
  if (runs <= 0 || program + 1 >= argc) {
    (void)fprintf(stderr, "usage: bench_start RUNS MARKER FILE... -- PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  for (long i = 0; i < runs; i++) {
    long still = 0;
    for (int f = files; f < program; f++) {
      long n = drop(argv[f]);
      if (n < 0) {
        (void)fprintf(stderr, "bench_start: cannot drop '%s'\n", argv[f]);
        return 1;
      }
      still += n;
    }
    if (still > resident) resident = still;
    uint64_t took = start(argv[2], argv + program + 1);
    if (took == 0) {
      (void)fprintf(stderr, "bench_start: '%s' did not come up and end\n", argv[program + 1]);
      return 1;
    }
    load_sample(&us, took);
  }
  struct rusage use;
  (void)getrusage(RUSAGE_CHILDREN, &use);
  long cpu_us = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec +
                use.ru_stime.tv_usec;
  (void)printf("{\"p50_us\":%u,\"min_us\":%u,\"max_us\":%u,\"cpu_us\":%ld,\"resident\":%ld}\n",
               load_quantile(&us, 500), load_quantile(&us, 0), load_quantile(&us, 1000),
               cpu_us / runs, resident);
  free(us.at);
  return 0;
}
