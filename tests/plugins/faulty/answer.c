/* answer.c - what a healthy runtime would say, in the shapes of the API.
 *
 * The faults need something true beside them: a list with pages, a worker,
 * an acknowledgement. None of it is remembered; every worker that is asked
 * for exists, so that a test needs no preparation.
 */
#include "faulty.h"

#include <stdio.h>
#include <string.h>

#include <sdk/json.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

static void flt_worker(struct yoi_sdk_jsonw *w, yoi_str id) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "worker_id", id);
  yoi_sdk_jsonw_kstr(w, "state", YOI_LIT("idle"));
  yoi_sdk_jsonw_kraw(w, "display_name", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(w, "intent", YOI_LIT("{\"kind\":\"assistant\"}"));
  yoi_sdk_jsonw_kraw(w, "profile", YOI_LIT("{\"kind\":\"runtime_default\"}"));
  yoi_sdk_jsonw_kraw(w, "config_bundle", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(w, "capabilities", YOI_LIT("[\"worker.get\",\"worker.input\"]"));
  yoi_sdk_jsonw_kstr(w, "created_at", YOI_LIT("2026-06-26T00:00:00.000Z"));
  yoi_sdk_jsonw_kstr(w, "cursor", YOI_LIT("c-0"));
  yoi_sdk_jsonw_close(w, '}');
}

static void flt_list(const struct flt *self, const yoi_request *req, struct yoi_sdk_jsonw *w) {
  int64_t limit = YOI_LIST_LIMIT_DEFAULT, i = 0;
  yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(req->body, "limit"), &limit);
  struct yoi_sdk_buf after;
  yoi_sdk_buf_init(&after, YOI_ID_MAX);
  yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(req->body, "after"), &after);
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_key(w, "workers");
  yoi_sdk_jsonw_open(w, '[');
  char id[32] = "", last[32] = "";
  for (int64_t n = 0; i <= self->workers && n < limit; i++) {
    snprintf(id, sizeof id, i == 0 ? "idle" : "idle-%03d", (int)i);
    if (yoi_sdk_str_cmp(yoi_sdk_str(id), yoi_sdk_buf_str(&after)) <= 0) continue;
    flt_worker(w, yoi_sdk_str(id));
    memcpy(last, id, sizeof last);
    n++;
  }
  yoi_sdk_jsonw_close(w, ']');
  if (i <= self->workers)
    yoi_sdk_jsonw_kstr(w, "next", yoi_sdk_str(last));
  else
    yoi_sdk_jsonw_kraw(w, "next", YOI_LIT("null"));
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_buf_release(&after);
}

void flt_answer(const struct flt *self, const yoi_request *req, yoi_str worker,
                struct yoi_sdk_buf *buf) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, buf);
  switch (req->op) {
    case YOI_OP_RUNTIME_DESCRIBE:
      yoi_sdk_jsonw_raw(
          &w, YOI_LIT("{\"runtime\":{\"display_name\":\"Faulty\",\"kind\":\"faulty\","
                      "\"version\":\"1.0.0\",\"api_version\":\"1\","
                      "\"instance_id\":\"00000000-0000-7000-8000-000000000000\","
                      "\"state_kind\":\"memory\",\"status\":\"ready\","
                      "\"capabilities\":[\"runtime.describe\",\"worker.list\"],\"limits\":{},"
                      "\"counts\":{\"workers\":1},\"diagnostics\":[]}}"));
      break;
    case YOI_OP_WORKER_LIST:
      flt_list(self, req, &w);
      break;
    case YOI_OP_WORKER_CREATE:
    case YOI_OP_WORKER_GET:
      yoi_sdk_jsonw_open(&w, '{');
      yoi_sdk_jsonw_key(&w, "worker");
      flt_worker(&w, worker);
      yoi_sdk_jsonw_close(&w, '}');
      break;
    case YOI_OP_WORKER_DELETE:
      yoi_sdk_jsonw_raw(&w, YOI_LIT("{}"));
      break;
    case YOI_OP_WORKER_TRANSCRIPT:
      yoi_sdk_jsonw_raw(&w, YOI_LIT("{\"transcript\":{\"start\":0,\"limit\":256,\"total\":0,"
                                    "\"next_start\":null,\"items\":[]}}"));
      break;
    default:
      yoi_sdk_jsonw_raw(&w, YOI_LIT("{\"ack\":{\"sequence\":1,\"cursor\":\"c-1\","
                                    "\"state\":\"idle\"}}"));
      break;
  }
}
