/* request.c - the body of a request, written straight from what start got.
 *
 * Messages are chat-completions objects already and tools need one wrapping
 * each, so nothing is parsed but `parameters`, and that only when a profile
 * has some. The model's name may not be known yet: it is the last member, put
 * behind by whoever sends (stream.c).
 *
 * Members that decide what kind of answer comes back are ours: parameters,
 * whether from the config or from a profile, may not set them.
 */
#include "oai.h"

#include <sdk/error.h>
#include <sdk/hard.h>

#define REQUEST_REST_BYTES YOI_SDK_HARD(512, 8) /* all but messages and tools, as a rule */

static int is_ours(yoi_str key) {
  static const char *const ours[] = {"model",    "messages",       "tools", "stream",
                                     "functions", "stream_options", "n"};
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
    if (yoi_sdk_str_is(key, ours[i])) return 1;
  return 0;
}

static yoi_status refused(yoi_error *err, const char *what) {
  struct oai_failure f;
  oai_failure_set(&f, "invalid_request", "%s", what);
  return oai_failure_tell(&f, err);
}

/* The members of own that other does not have. */
static void write_members(struct yoi_sdk_jsonw *w, const yoi_sdk_json *own,
                          const yoi_sdk_json *other) {
  for (const yoi_sdk_json *v = yoi_sdk_json_first(own); v; v = yoi_sdk_json_next(v)) {
    if (yoi_sdk_json_getn(other, yoi_sdk_json_key(v))) continue;
    yoi_sdk_jsonw_keyn(w, yoi_sdk_json_key(v));
    yoi_sdk_json_write(v, w);
  }
}

int oai_request_parameters_valid(const yoi_sdk_json *parameters, yoi_str *out_bad) {
  for (const yoi_sdk_json *v = yoi_sdk_json_first(parameters); v; v = yoi_sdk_json_next(v)) {
    if (!is_ours(yoi_sdk_json_key(v))) continue;
    *out_bad = yoi_sdk_json_key(v);
    return 0;
  }
  return 1;
}

/* Both sets, the request's first; a maximum of tokens unless they have one. */
static yoi_status parameters(const struct oai_config *c, yoi_str given, struct yoi_sdk_jsonw *w,
                             uint32_t max_tokens, yoi_error *err) {
  yoi_sdk_json *own = NULL, *base = NULL;
  yoi_status st = YOI_OK;
  yoi_str bad;
  if (given.len && (yoi_sdk_json_parse(given, 0, &own, NULL) != YOI_OK ||
                    yoi_sdk_json_type(own) != YOI_SDK_JSON_OBJECT ||
                    !oai_request_parameters_valid(own, &bad))) {
    st = refused(err, "the parameters are no object, or set what is not theirs");
    goto out;
  }
  if (c->parameters && yoi_sdk_json_parse(yoi_sdk_str(c->parameters), 0, &base, NULL) != YOI_OK) {
    st = yoi_sdk_fail_memory(err);
    goto out;
  }
  write_members(w, own, NULL);
  write_members(w, base, own);
  if (max_tokens && !yoi_sdk_json_get(own, c->max_tokens_field) &&
      !yoi_sdk_json_get(base, c->max_tokens_field))
    yoi_sdk_jsonw_kint(w, c->max_tokens_field, max_tokens);
out:
  yoi_sdk_json_free(own);
  yoi_sdk_json_free(base);
  return st;
}

static yoi_status tools(yoi_str list, struct yoi_sdk_jsonw *w, yoi_error *err) {
  size_t pos = 0;
  yoi_str one;
  if (yoi_sdk_json_check(list, 0, NULL) != YOI_OK) return refused(err, "the tools are no JSON");
  if (!yoi_sdk_json_raw_each(list, &pos, &one)) return YOI_OK; /* providers refuse [] */
  yoi_sdk_jsonw_key(w, "tools");
  yoi_sdk_jsonw_open(w, '[');
  do {
    yoi_sdk_jsonw_open(w, '{');
    yoi_sdk_jsonw_kstr(w, "type", YOI_LIT("function"));
    yoi_sdk_jsonw_kraw(w, "function", one);
    yoi_sdk_jsonw_close(w, '}');
  } while (yoi_sdk_json_raw_each(list, &pos, &one));
  yoi_sdk_jsonw_close(w, ']');
  return YOI_OK;
}

yoi_status oai_request_write(const struct oai_config *c, const yoi_model_request *req,
                             struct yoi_sdk_buf *out, yoi_error *err) {
  uint32_t max = req->max_output_tokens;
  struct yoi_sdk_jsonw w;
  yoi_status st = YOI_OK;
  if (c->max_output_tokens && (!max || c->max_output_tokens < max)) max = c->max_output_tokens;
  /* A request is mostly its messages: room for them is made once. */
  size_t bytes = REQUEST_REST_BYTES;
  for (size_t i = 0; i < req->n_messages; i++) bytes += req->messages[i].len + 1;
  (void)yoi_sdk_buf_reserve(out, bytes);
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kbool(&w, "stream", 1);
  yoi_sdk_jsonw_kraw(&w, "stream_options", YOI_LIT("{\"include_usage\":true}"));
  if (req->parameters.len || c->parameters)
    st = parameters(c, req->parameters, &w, max, err);
  else if (max)
    yoi_sdk_jsonw_kint(&w, c->max_tokens_field, max);
  if (st == YOI_OK && req->tools.len) st = tools(req->tools, &w, err);
  if (st != YOI_OK) return st;
  yoi_sdk_jsonw_key(&w, "messages");
  yoi_sdk_jsonw_open(&w, '[');
  for (size_t i = 0; i < req->n_messages; i++) yoi_sdk_jsonw_raw(&w, req->messages[i]);
  yoi_sdk_jsonw_close(&w, ']');
  if (out->failed == YOI_OUT_OF_RANGE) {
    struct oai_failure f;
    oai_failure_set(&f, "too_large", "the request passed its limit");
    return oai_failure_tell(&f, err);
  }
  return out->failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}

void oai_request_end(struct yoi_sdk_buf *out, const char *model) {
  yoi_sdk_buf_adds(out, YOI_LIT(",\"model\":\""));
  yoi_sdk_json_escape(out, yoi_sdk_str(model));
  yoi_sdk_buf_adds(out, YOI_LIT("\"}"));
}
