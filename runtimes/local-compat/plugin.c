/* plugin.c - dev.yoi.local-compat: a read-only runtime over worker records
 * that something else wrote.
 *
 *   open: read the folder --> answer from memory, on any thread --> close
 *
 * It is written against the plugin ABI and the sdk alone and shows that a
 * runtime need not run anything: it lists and shows what there is, and says
 * unsupported_operation to all else. start must not block, so files are read
 * in open and at no other time; what is shown is as old as that, and the
 * runtime says so (the diagnostic read_only_projection, with the time).
 * Opening it again, with a restart of the host, reads again. README.md has
 * the format.
 */
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/host_clock.h>
#include <yoi/runtime.h>

#include "local_compat.h"

#define DEFAULT_ROOT "records" /* the manifest's schema says so, too */

/* A page of 256 workers, or of items: the latter are at most two records. */
#define ANSWER_BYTES_MAX (2 * (size_t)YOI_RECORD_BYTES_MAX + YOI_BODY_BYTES_MAX)

static void lc_close(void *self) {
  struct lc *lc = self;
  if (!lc) return;
  for (size_t i = 0; i < lc->n; i++) lc_record_release(&lc->workers[i]);
  yoi_sdk_free(lc->workers);
  yoi_sdk_free(lc);
}

static yoi_status lc_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  const yoi_host_clock *clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *clock);
  if (!clock) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no clock");
  yoi_sdk_json *tree = NULL;
  yoi_str root = YOI_LIT(DEFAULT_ROOT);
  struct lc *lc = yoi_sdk_calloc(1, sizeof *lc);
  if (!lc) return yoi_sdk_fail_memory(err);
  yoi_status st = config.len ? yoi_sdk_json_parse(config, 0, &tree, NULL) : YOI_OK;
  if (st != YOI_OK) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "the config is not valid");
    goto out;
  }
  int asked_for = yoi_sdk_json_str(yoi_sdk_json_get(tree, "root"), &root);
  yoi_sdk_time_text(clock->wall_ns(host), lc->read_at);
  st = lc_folder_read(lc, root.ptr, asked_for, err); /* NUL-terminated in a tree */
out:
  yoi_sdk_json_free(tree);
  if (st == YOI_OK)
    *out_self = lc;
  else
    lc_close(lc);
  return st;
}

static int compare(const void *id, const void *worker) {
  const yoi_str *key = id;
  return yoi_sdk_str_cmp(*key, yoi_sdk_str(((const struct lc_worker *)worker)->id));
}

static const struct lc_worker *find(const struct lc *lc, yoi_str id, yoi_error *err) {
  const struct lc_worker *w =
      lc->n ? bsearch(&id, lc->workers, lc->n, sizeof *lc->workers, compare) : NULL;
  if (!w) (void)yoi_sdk_fail(err, YOI_CODE_WORKER_NOT_FOUND, "there is no such worker");
  return w;
}

static yoi_status lc_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  const struct lc *lc = self;
  const struct lc_worker *w;
  struct yoi_sdk_buf buf;
  yoi_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  req = &whole;
  if (req->flags != 0)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the request has unknown flags");
  yoi_sdk_buf_init(&buf, ANSWER_BYTES_MAX);
  switch (req->op) {
    case YOI_OP_RUNTIME_DESCRIBE:
      lc_answer_describe(lc, &buf);
      break;
    case YOI_OP_WORKER_LIST:
      st = lc_answer_list(lc, req->body, &buf, err);
      break;
    case YOI_OP_WORKER_GET:
      w = find(lc, req->worker_id, err);
      if (w)
        lc_answer_get(lc, w, &buf);
      else
        st = YOI_NOT_FOUND;
      break;
    case YOI_OP_WORKER_TRANSCRIPT:
      w = find(lc, req->worker_id, err);
      st = w ? lc_answer_transcript(w, req->body, &buf, err) : YOI_NOT_FOUND;
      break;
    default:
      st = yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                        "a read-only projection of records only shows them");
  }
  if (st == YOI_OK) {
    size_t len;
    char *text = yoi_sdk_buf_take(&buf, &len);
    *out = yoi_sdk_stream_one_take(text, len, 0);
    if (!*out) st = yoi_sdk_fail_memory(err);
  }
  yoi_sdk_buf_release(&buf);
  return st;
}

static const yoi_runtime lc_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = lc_open,
    .close = lc_close,
    .start = lc_start,
};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.local-compat", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, lc_runtime);
