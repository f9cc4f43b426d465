/* call.h - one call of a tool of files, and what all of them share.
 *
 *   start: begin --> RUN --step: AGAIN--> RUN (a status: others have their turn)
 *                     |--step: OK------> OUTPUT --next--> END
 *                     |--step: an error, or it is cancelled --> that, for ever
 *
 *  1. Only step touches files. It gives back after YOI_FS_SLICE_MS, or soon
 *     behind it: the calls of an instance take turns.
 *  2. `cancelled` is what another thread may set while step runs; long work
 *     asks fs_call_pause, and nothing is changed once it was seen.
 *  3. What a call has to say fits fs->output_bytes, with ROOM_FOR_NOTES of them
 *     for what was left out: a profile would cut the middle out of more.
 *  4. All names that reach the model go through fs_show or fs_put_name.
 */
#ifndef TOOL_FS_CALL_H
#define TOOL_FS_CALL_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <stdatomic.h>
#include <yoi/host_clock.h>
#include <yoi/host_mount.h>
#include <yoi/tool.h>

#define FS_ROOM_FOR_NOTES 1024

struct fs {
  const yoi_host *host;
  const yoi_host_mount *mount;
  const yoi_host_clock *clock;
  size_t output_bytes;
};

struct fs_call;

struct fs_op {
  const char *name;
  size_t state_size; /* of c->state, all zero before begin */
  /* Takes the arguments, which fit the schema; no file is touched. */
  yoi_status (*begin)(struct fs_call *c, yoi_error *err);
  /* OK: c->out is the result. AGAIN: c->status says where it stands. */
  yoi_status (*step)(struct fs_call *c, yoi_error *err);
  void (*end)(struct fs_call *c); /* also when begin failed */
};
extern const struct fs_op fs_read_op, fs_list_op, fs_glob_op, fs_grep_op, fs_write_op, fs_edit_op;

struct fs_call {
  yoi_stream stream;
  struct fs *fs;
  const struct fs_op *op;
  void *state;
  uint64_t call, deadline_ns, stop_ns, slice_ns; /* stop_ns: of a walk */
  atomic_int cancelled;
  yoi_sdk_json *arguments;
  yoi_str mount, path; /* from the arguments; path is "." without one */
  struct yoi_sdk_buf out;
  char status[64];
  int given; /* the output */
  yoi_status last; /* OK, or what next answers for ever */
  struct yoi_sdk_error error;
  yoi_event event;
  const yoi_event *events[1];
};

/* Members of the arguments, or what they are without. */
yoi_str fs_text(const struct fs_call *c, const char *name, yoi_str otherwise);
int64_t fs_number(const struct fs_call *c, const char *name, int64_t otherwise);
int fs_flag(const struct fs_call *c, const char *name);

/* Why work has to stop now; asked often, looks at the clock. */
enum fs_pause { FS_GO_ON, FS_SLICE_OVER, FS_TIME_OVER, FS_CANCELLED };
enum fs_pause fs_call_pause(const struct fs_call *c);
/* YOI_CANCELLED, with its words. */
yoi_status fs_cancelled(yoi_error *err);

/* Opens beneath the call's mount. */
yoi_status fs_open(const struct fs_call *c, yoi_str path, uint32_t flags, int *out_fd,
                   yoi_error *err);

/* A name or path for a message, escaped where need be and cut. */
struct fs_shown {
  char text[256];
};
struct fs_shown fs_show(yoi_str name);
/* Whole: as it is when nothing in it needs an escape, else in quotes. */
void fs_put_name(struct yoi_sdk_buf *out, yoi_str name);

/* What the system said of a path, in words for a model. */
yoi_status fs_fail_errno(yoi_error *err, int e, const char *verb, yoi_str path);

#endif
