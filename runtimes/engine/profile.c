/* profile.c - limits and verdicts, as numbers and as JSON.
 *
 * A limit that is left out has its default, and none passes the maximum of
 * yoi/limits.h: neither a profile nor a record that somebody edited can.
 */
#include "profile.h"

#include <sdk/error.h>
#include <yoi/host_tool.h>

static yoi_status read_limit(uint64_t *out, const yoi_sdk_json *v, const char *name,
                             uint64_t standard, uint64_t max, yoi_error *err) {
  const yoi_sdk_json *m = yoi_sdk_json_get(v, name);
  int64_t n = (int64_t)standard;
  if (m && (!yoi_sdk_json_int(m, &n) || n < 1 || (uint64_t)n > max))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the limit '%s' is not within 1 and %llu",
                        name, (unsigned long long)max);
  *out = (uint64_t)n;
  return YOI_OK;
}

yoi_status eng_limits_read(struct eng_turn_limits *out, const yoi_sdk_json *v, yoi_error *err) {
  yoi_status st = YOI_OK;
#define ENG_LIMIT(name, standard, max) \
  if (st == YOI_OK) st = read_limit(&out->name, v, #name, standard, max, err);
  YOI_SDK_BUNDLE_LIMITS(ENG_LIMIT)
#undef ENG_LIMIT
  return st;
}

void eng_limits_write(const struct eng_turn_limits *l, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
#define ENG_LIMIT(name, standard, max) yoi_sdk_jsonw_kint(w, #name, (int64_t)l->name);
  YOI_SDK_BUNDLE_LIMITS(ENG_LIMIT)
#undef ENG_LIMIT
  yoi_sdk_jsonw_close(w, '}');
}

static const char *const verdicts[] = {
    [YOI_VERDICT_ABSTAIN] = "abstain",
    [YOI_VERDICT_ALLOW] = "allow",
    [YOI_VERDICT_ASK] = "ask",
    [YOI_VERDICT_DENY] = "deny",
};

uint32_t eng_verdict(yoi_str word) {
  for (uint32_t v = YOI_VERDICT_ALLOW; v <= YOI_VERDICT_DENY; v++)
    if (yoi_sdk_str_is(word, verdicts[v])) return v;
  return YOI_VERDICT_ABSTAIN;
}

const char *eng_verdict_name(uint32_t verdict) {
  return verdicts[verdict <= YOI_VERDICT_DENY ? verdict : YOI_VERDICT_DENY];
}
