/* plugin.c - a policy that answers what it is told, or does what none may do.
 *
 * config: `answer` is its text, whatever it is asked; with `only` it abstains
 * about all other operations; `how`: it does not answer at all, in this way.
 */
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <stdbool.h>
#include <time.h>
#include <yoi/limits.h>
#include <yoi/policy.h>

struct judge {
  const yoi_host *host;
  yoi_sdk_json *config;
  yoi_str answer, only, how;
};

static yoi_status judge_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  struct judge *j = yoi_sdk_calloc(1, sizeof *j);
  if (!j || yoi_sdk_json_parse(config, 0, &j->config, NULL) != YOI_OK) {
    yoi_sdk_free(j);
    return yoi_sdk_fail_memory(err);
  }
  j->host = host;
  (void)yoi_sdk_json_str(yoi_sdk_json_get(j->config, "answer"), &j->answer);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(j->config, "only"), &j->only);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(j->config, "how"), &j->how);
  *out_self = j;
  return YOI_OK;
}

static void judge_close(void *self) {
  struct judge *j = self;
  if (j) yoi_sdk_json_free(j->config);
  yoi_sdk_free(j);
}

static yoi_status again(yoi_stream *s, const yoi_event *const **evs, size_t *n, yoi_error *err) {
  (void)s, (void)evs, (void)n, (void)err;
  return YOI_AGAIN;
}

static void nothing(yoi_stream *s) {
  (void)s;
}

static yoi_stream *stalls(void) {
  static const yoi_stream_ops ops = {sizeof ops, 0, again, nothing, nothing};
  static yoi_stream stream = {&ops};
  return &stream;
}

static void sleep_past_the_deadline(void) {
  struct timespec t = {.tv_nsec = (YOI_POLICY_DEADLINE_MS + 20) * 1000000L};
  nanosleep(&t, NULL); /* what no policy may do: the host is to deny for it */
}

static yoi_status judge_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct judge *j = self;
  yoi_str answer = j->answer;
  if (j->only.len > 0 && !yoi_sdk_str_eq(j->only, req->operation))
    answer = YOI_LIT("{\"decision\":\"abstain\"}");
  else if (yoi_sdk_str_is(j->how, "error"))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the judge is out");
  else if (yoi_sdk_str_is(j->how, "no stream"))
    return YOI_OK;
  else if (yoi_sdk_str_is(j->how, "late"))
    sleep_past_the_deadline();
  bool mine = answer.ptr == j->answer.ptr;
  *out = mine && yoi_sdk_str_is(j->how, "again")     ? stalls()
         : mine && yoi_sdk_str_is(j->how, "nothing") ? yoi_sdk_stream_empty()
                                                     : yoi_sdk_stream_one(answer, 0);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy judge_table = {
    .size = sizeof(yoi_policy),
    .thread_model = YOI_PARALLEL,
    .open = judge_open,
    .close = judge_close,
    .start = judge_start,
};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.judge", "1.0.0", YOI_KIND_POLICY, YOI_POLICY_ID, judge_table);
