/* host/isolate/spawn.h - starting, ending and finding the worker program. */
#ifndef YOI__SPAWN_H
#define YOI__SPAWN_H

#include <sys/types.h>
#include <yoi/base.h>

struct yoi__spawned {
  pid_t pid;      /* also of its process group and session */
  int busy, calm; /* our ends */
};

/* [main] Where the worker program is: `named` (of the config) when it is not
 * empty, else beside the program that runs, else in yoi__place. *out is as long
 * as YOI_PATH_BYTES_MAX. Errors: INTERNAL; paths are in the private detail. */
yoi_status yoi__worker_find(yoi_str named, char *out, yoi_error *err);
/* [main] Starts it: of our descriptors it has the two sockets, of our
 * environment nothing; it is killed when this process ends. */
yoi_status yoi__worker_spawn(const char *path, struct yoi__spawned *out, yoi_error *err);
/* [any] Its whole process group; until it was buried. */
void yoi__worker_kill(pid_t pid);
/* [main] After a kill, or its last word: waits for it, at most some seconds, and
 * kills it half-way. The text says how it ended: "exit 3", "signal 9". */
void yoi__worker_bury(pid_t pid, char *how, size_t cap);

#endif
