/* plugin.c - dev.yoi.tool-fs: files of a mount, read, looked for and changed.
 *
 * The table, and the stream that each call is. What a tool does stands in a
 * file of its name; call.h says what they share.
 */
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>
#include <stdio.h>

#include "call.h"

/* Behind a walk's end there is time to say what it has. */
#define END_NS 500000000u

static yoi_status call_end(struct fs_call *c, yoi_status st, yoi_error *err) {
  c->last = st;
  if (st != YOI_END) yoi_sdk_error_copy(err, &c->error.e);
  return st;
}

static yoi_status call_give(struct fs_call *c, uint32_t kind, yoi_str text,
                            const yoi_event *const **out_events, size_t *out_n) {
  c->event = (yoi_event){.size = sizeof c->event, .kind = kind, .text = text};
  *out_events = c->events;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status call_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct fs_call *c = (struct fs_call *)s;
  if (c->last != YOI_OK) return call_end(c, c->last, err);
  if (c->given) return call_end(c, YOI_END, err);
  c->slice_ns = c->fs->clock->monotonic_ns(c->fs->host) + YOI_FS_SLICE_MS * UINT64_C(1000000);
  yoi_status st = atomic_load(&c->cancelled) ? fs_cancelled(&c->error.e)
                                             : c->op->step(c, &c->error.e);
  if (st == YOI_AGAIN)
    return call_give(c, YOI_EVENT_TOOL_STATUS, yoi_sdk_str(c->status), out_events, out_n);
  if (st == YOI_OK && c->out.failed) st = yoi_sdk_fail_memory(&c->error.e);
  if (st != YOI_OK) return call_end(c, st, err);
  c->given = 1;
  return call_give(c, YOI_EVENT_TOOL_OUTPUT, yoi_sdk_buf_str(&c->out), out_events, out_n);
}

static void call_cancel(yoi_stream *s) {
  atomic_store(&((struct fs_call *)s)->cancelled, 1);
}

static void call_release(yoi_stream *s) {
  struct fs_call *c = (struct fs_call *)s;
  if (!c) return;
  if (c->state) c->op->end(c);
  yoi_sdk_free(c->state);
  yoi_sdk_json_free(c->arguments);
  yoi_sdk_buf_release(&c->out);
  yoi_sdk_free(c);
}

static const yoi_stream_ops call_ops = {
    .size = sizeof call_ops,
    .next = call_next,
    .cancel = call_cancel,
    .release = call_release,
};

static const struct fs_op *find_op(yoi_str name) {
  static const struct fs_op *const ops[] = {&fs_read_op, &fs_list_op,  &fs_glob_op,
                                            &fs_grep_op, &fs_write_op, &fs_edit_op};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    if (yoi_sdk_str_is(name, ops[i]->name)) return ops[i];
  return NULL;
}

static yoi_status call_init(struct fs_call *c, const yoi_tool_request *req, yoi_error *err) {
  uint64_t now = c->fs->clock->monotonic_ns(c->fs->host);
  c->stream.ops = &call_ops;
  c->events[0] = &c->event;
  c->call = req->call;
  c->deadline_ns = req->deadline_ns ? req->deadline_ns : UINT64_MAX;
  c->stop_ns = now + YOI_FS_WALK_MS * UINT64_C(1000000);
  if (c->deadline_ns < c->stop_ns + END_NS)
    c->stop_ns = c->deadline_ns > END_NS ? c->deadline_ns - END_NS : 0;
  (void)yoi_sdk_error_init(&c->error);
  yoi_sdk_buf_init(&c->out, c->fs->output_bytes);
  if (yoi_sdk_json_parse(req->arguments, 0, &c->arguments, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the arguments are no JSON");
  c->mount = fs_text(c, "mount", YOI_LIT("workspace"));
  c->path = fs_text(c, "path", YOI_LIT("."));
  c->state = yoi_sdk_calloc(1, c->op->state_size);
  return c->state ? c->op->begin(c, err) : yoi_sdk_fail_memory(err);
}

static yoi_status fs_tool_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                                yoi_error *err) {
  yoi_tool_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  const struct fs_op *op = find_op(whole.name);
  if (!op)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no tool is called '%.*s'", YOI_ARG(whole.name));
  struct fs_call *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return yoi_sdk_fail_memory(err);
  c->fs = self;
  c->op = op;
  st = call_init(c, &whole, err);
  if (st == YOI_OK)
    *out = &c->stream;
  else
    call_release(&c->stream);
  return st;
}

static yoi_status fs_tool_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  int64_t bytes = YOI_TOOL_RESULT_BYTES_DEFAULT;
  struct fs *fs = yoi_sdk_calloc(1, sizeof *fs);
  if (!fs) return yoi_sdk_fail_memory(err);
  fs->host = host;
  fs->mount = yoi_sdk_host_get(host, YOI_HOST_MOUNT_ID, sizeof *fs->mount);
  fs->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *fs->clock);
  if (!fs->mount || !fs->clock) {
    yoi_sdk_free(fs);
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no mounts or no clock");
  }
  (void)yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(config, "output_bytes"), &bytes);
  fs->output_bytes = (size_t)bytes;
  *out_self = fs;
  return YOI_OK;
}

static void fs_tool_close(void *self) {
  yoi_sdk_free(self);
}

static const yoi_tool fs_tool = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_SERIAL_CANCEL,
    .open = fs_tool_open,
    .close = fs_tool_close,
    .start = fs_tool_start,
};

YOI_SDK_PLUGIN("dev.yoi.tool-fs", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, fs_tool);
YOI_MANIFEST_FILE(MANIFEST);
