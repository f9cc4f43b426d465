/* job.h - what the plugin and its runner say to each other.
 *
 * The runner is a program of its own: it is embedded in the plugin, and the
 * plugin executes it from a sealed memory file. It finds
 *
 *   fd 0, 1, 2   the command's input, and twice the pipe of its output
 *   fd 3         a SEQPACKET socket to the plugin: "c" asks for an end, its
 *                closed other end is one; back comes one struct sh_end
 *   fd 4         a struct sh_job and its texts
 *   fd 5         the folder of the mount
 *   fd 6         the runner itself, to be executed again inside of bubblewrap
 *
 * Both sides are of one build, so a layout is all the agreement they need.
 *
 *   1. When the struct sh_end is sent, nothing of the command is alive.
 *   2. Nothing but "c" is taken from the plugin after the job.
 */
#ifndef TOOL_SHELL_JOB_H
#define TOOL_SHELL_JOB_H

#include <stdint.h>

#define SH_FD_CONTROL 3
#define SH_FD_JOB 4
#define SH_FD_MOUNT 5
#define SH_FD_SELF 6

#define SH_JOB_MAGIC 0x79735231u

enum sh_mode { SH_BWRAP = 1, SH_LANDLOCK, SH_NONE };

/* Then texts, each with its NUL: cwd, n_argv of the command, n_env. */
struct sh_job {
  uint32_t magic;
  uint32_t mode; /* enum sh_mode */
  uint32_t network, writable;
  uint32_t n_argv, n_env;
  uint64_t cpu_s, wall_ms, memory_bytes, processes, file_bytes;
  uint64_t tmp_bytes, shm_bytes; /* where /tmp and /dev/shm are our own */
  uint64_t grace_ms;             /* from TERM to KILL */
  uint64_t text_len;
};

enum sh_how {
  SH_EXITED = 1, /* value: the exit code, 128 + N for signal N */
  SH_TIMED_OUT,
  SH_CANCELLED,
  SH_OVER_MEMORY,
  SH_OVER_PROCESSES,
  SH_OVER_CPU,
  SH_NO_COMMAND, /* value: errno of its exec */
  SH_NO_SANDBOX, /* value: errno; text: what could not be done */
};

#define SH_END_TEXT 256

struct sh_end {
  uint32_t how; /* enum sh_how */
  int32_t value;
  uint32_t survivors; /* could not be ended: they hang in the kernel */
  char text[SH_END_TEXT];
};

#endif
