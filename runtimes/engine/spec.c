/* spec.c - the builtin profile and what create resolves it to.
 *
 * The companion is data (bundles/builtin/), compiled in, read once at open.
 * Create resolves once: the name of the model that this host has, the prompt,
 * the limits. The result stands with the worker, so that a later change of
 * the host's config does not change what a worker is, and a restart needs
 * nothing else. It names no path, address or secret and is shown whole.
 * Invariants:
 *
 *  1. A limit that the profile leaves out has its default, and none passes
 *     the maximum of yoi/limits.h: a profile that tries is refused at open.
 *  2. Equal specs are one object: there is one per (profile, model), and of
 *     those that were restored from records one per text.
 */
#include "spec.h"

#include <sdk/embed.h>
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

YOI_SDK_EMBED(eng_companion_json, "bundles/builtin/companion.json");
YOI_SDK_EMBED(eng_companion_md, "bundles/builtin/companion.md");

static const struct {
  const char *name;
  uint64_t standard, max;
} limit_rows[] = {
    {"steps", YOI_STEPS_DEFAULT, YOI_STEPS_MAX},
    {"wall_ms", YOI_WALL_MS_DEFAULT, YOI_WALL_MS_MAX},
    {"tokens", YOI_TOKENS_DEFAULT, YOI_TOKENS_MAX_PER_TURN},
    {"tool_output_bytes", YOI_TOOL_OUTPUT_BYTES_DEFAULT, YOI_TOOL_OUTPUT_BYTES_MAX},
    {"context_tokens", YOI_CONTEXT_TOKENS_DEFAULT, YOI_CONTEXT_TOKENS_MAX},
};
#define N_LIMITS (sizeof limit_rows / sizeof limit_rows[0])

static yoi_status read_limits(struct eng_turn_limits *out, const yoi_sdk_json *v, yoi_error *err) {
  uint64_t n[N_LIMITS];
  for (size_t i = 0; i < N_LIMITS; i++) {
    const yoi_sdk_json *m = yoi_sdk_json_get(v, limit_rows[i].name);
    int64_t given = (int64_t)limit_rows[i].standard;
    if (m && (!yoi_sdk_json_int(m, &given) || given < 1 || (uint64_t)given > limit_rows[i].max))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the limit '%s' is out of range",
                          limit_rows[i].name);
    n[i] = (uint64_t)given;
  }
  *out = (struct eng_turn_limits){
      .steps = (uint32_t)n[0],
      .wall_ms = (uint32_t)n[1],
      .tokens = n[2],
      .tool_output_bytes = n[3],
      .context_tokens = n[4],
  };
  return YOI_OK;
}

static int own(yoi_str *out, const yoi_sdk_json *v) {
  yoi_str s = {0};
  if (!yoi_sdk_json_str(v, &s)) return 0;
  *out = yoi_sdk_str_dup(s);
  return out->ptr != NULL;
}

yoi_status eng_specs_init(struct eng_specs *s, yoi_str profile, yoi_error *err) {
  *s = (struct eng_specs){0};
  pthread_mutex_init(&s->mu, NULL);
  if (profile.len == 0)
    profile = (yoi_str){eng_companion_json, (size_t)(eng_companion_json_end - eng_companion_json)};
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  yoi_status st = yoi_sdk_json_parse(profile, 0, &tree, &jerr);
  if (st != YOI_OK) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "cannot read the builtin profile: %s",
                       jerr.message);
    goto out;
  }
  st = read_limits(&s->limits, yoi_sdk_json_get(tree, "limits"), err);
  if (st != YOI_OK) goto out;
  if (!own(&s->name, yoi_sdk_json_get(tree, "name")) ||
      !own(&s->prompt_name, yoi_sdk_json_get(tree, "prompt")) ||
      !own(&s->model, yoi_sdk_json_get(tree, "model"))) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE, "the builtin profile is not complete");
    goto out;
  }
  yoi_str prompt = {eng_companion_md, (size_t)(eng_companion_md_end - eng_companion_md)};
  while (prompt.len > 0 && prompt.ptr[prompt.len - 1] == '\n') prompt.len--;
  s->prompt = yoi_sdk_str_dup(prompt);
  if (!s->prompt.ptr) st = yoi_sdk_fail_memory(err);
out:
  yoi_sdk_json_free(tree);
  if (st != YOI_OK) eng_specs_release(s);
  return st;
}

static void spec_free(struct eng_spec *spec) {
  if (!spec) return;
  eng_text_unref(spec->json);
  yoi_sdk_free(spec->model);
  yoi_sdk_str_free(&spec->prompt);
  yoi_sdk_free(spec);
}

void eng_specs_release(struct eng_specs *s) {
  while (s->made) {
    struct eng_spec *spec = s->made;
    s->made = spec->next;
    spec_free(spec);
  }
  yoi_sdk_str_free(&s->name);
  yoi_sdk_str_free(&s->prompt_name);
  yoi_sdk_str_free(&s->model);
  yoi_sdk_str_free(&s->prompt);
  pthread_mutex_destroy(&s->mu);
}

/* ---- which model ---- */

struct census {
  yoi_str wanted;
  char name[YOI_NAME_MAX + 1]; /* the wanted one, else the last one seen */
  size_t n;
  int found;
  struct yoi_sdk_buf names; /* JSON strings */
};

static void count_model(void *ctx, yoi_str name) {
  struct census *c = ctx;
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &c->names);
  if (c->n++ > 0) yoi_sdk_buf_addc(&c->names, ',');
  yoi_sdk_jsonw_str(&w, name);
  if (c->found || name.len > YOI_NAME_MAX) return;
  c->found = yoi_sdk_str_eq(name, c->wanted);
  memcpy(c->name, name.ptr, name.len);
  c->name[name.len] = 0;
}

static yoi_status refuse_models(const struct eng_specs *s, const struct census *c, yoi_error *err) {
  char details[YOI_ERROR_DETAILS_MAX];
  yoi_status st;
  if (c->n == 0)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                      "profile '%.*s' needs a model, and this host has none", YOI_ARG(s->name));
  else
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_PROFILE,
                      "profile '%.*s' needs a model '%.*s'; this host has [%.*s]", YOI_ARG(s->name),
                      YOI_ARG(s->model), (int)c->names.len, c->names.data);
  int n = snprintf(details, sizeof details, "{\"models\":[%.*s]}", (int)c->names.len,
                   c->names.data ? c->names.data : "");
  if (n > 0 && (size_t)n < sizeof details) yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

/* ---- making one ---- */

static void write_spec(const struct eng_specs *s, yoi_str model, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "source", YOI_LIT("builtin"));
  yoi_sdk_jsonw_kraw(w, "bundle", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "profile", s->name);
  yoi_sdk_jsonw_key(w, "prompts");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "name", s->prompt_name);
  yoi_sdk_jsonw_kstr(w, "media_type", YOI_LIT("text/markdown"));
  yoi_sdk_jsonw_kstr(w, "text", s->prompt);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kraw(w, "language", YOI_LIT("null"));
  yoi_sdk_jsonw_kraw(w, "workspace", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(w, "model", model);
  yoi_sdk_jsonw_kraw(w, "tools", YOI_LIT("[]"));
  char grant[YOI_NAME_MAX + 8];
  int n = snprintf(grant, sizeof grant, "model:%.*s", YOI_ARG(model));
  yoi_sdk_jsonw_key(w, "grants");
  yoi_sdk_jsonw_open(w, '[');
  yoi_sdk_jsonw_str(w, (yoi_str){grant, (size_t)n});
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_kraw(w, "policies", YOI_LIT("[]"));
  yoi_sdk_jsonw_key(w, "limits");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kint(w, "steps", s->limits.steps);
  yoi_sdk_jsonw_kint(w, "wall_ms", s->limits.wall_ms);
  yoi_sdk_jsonw_kint(w, "tokens", (int64_t)s->limits.tokens);
  yoi_sdk_jsonw_kint(w, "tool_output_bytes", (int64_t)s->limits.tool_output_bytes);
  yoi_sdk_jsonw_kint(w, "context_tokens", (int64_t)s->limits.context_tokens);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, '}');
}

static struct eng_spec *spec_new(const struct eng_specs *s, yoi_str model) {
  struct eng_spec *spec = yoi_sdk_calloc(1, sizeof *spec);
  if (!spec) return NULL;
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &buf);
  write_spec(s, model, &w);
  if (!buf.failed) spec->json = eng_text_new(yoi_sdk_buf_str(&buf));
  yoi_sdk_buf_clear(&buf);
  yoi_sdk_json_escape(&buf, s->prompt);
  size_t len = 0;
  if (!buf.failed) spec->prompt.ptr = yoi_sdk_buf_take(&buf, &len);
  spec->prompt.len = len;
  yoi_sdk_buf_release(&buf);
  spec->model = yoi_sdk_strndup(model.ptr, model.len);
  spec->limits = s->limits;
  if (spec->json && spec->prompt.ptr && spec->model) return spec;
  spec_free(spec);
  return NULL;
}

yoi_status eng_specs_resolve(struct eng_specs *s, const yoi_host *host,
                             const yoi_host_model *models, struct eng_spec **out,
                             yoi_error *err) {
  struct census c = {.wanted = s->model};
  yoi_sdk_buf_init(&c.names, 16384);
  models->list(host, count_model, &c);
  yoi_status st = YOI_OK;
  if (!c.found && c.n != 1) st = refuse_models(s, &c, err);
  yoi_sdk_buf_release(&c.names);
  if (st != YOI_OK) return st;
  pthread_mutex_lock(&s->mu);
  struct eng_spec *spec = s->made;
  while (spec && !(spec->resolved && strcmp(spec->model, c.name) == 0)) spec = spec->next;
  if (!spec) {
    spec = spec_new(s, yoi_sdk_str(c.name));
    if (spec) {
      spec->resolved = true;
      spec->refs = 1;
      spec->next = s->made;
      s->made = spec;
    }
  }
  pthread_mutex_unlock(&s->mu);
  if (!spec) return yoi_sdk_fail_memory(err);
  *out = spec;
  return YOI_OK;
}

/* ---- from a record ---- */

struct eng_spec *eng_spec_ref(struct eng_specs *s, struct eng_spec *spec) {
  pthread_mutex_lock(&s->mu);
  spec->refs++;
  pthread_mutex_unlock(&s->mu);
  return spec;
}

void eng_spec_unref(struct eng_specs *s, struct eng_spec *spec) {
  if (!spec) return;
  pthread_mutex_lock(&s->mu);
  bool last = --spec->refs == 0;
  struct eng_spec **at = &s->made;
  while (last && *at != spec) at = &(*at)->next;
  if (last) *at = spec->next;
  pthread_mutex_unlock(&s->mu);
  if (last) spec_free(spec);
}

static struct eng_spec *find_text(const struct eng_specs *s, yoi_str json) {
  struct eng_spec *spec = s->made;
  while (spec && !yoi_sdk_str_eq(eng_text_str(spec->json), json)) spec = spec->next;
  return spec;
}

/* What the engine needs of it, checked as a profile is: the record may have
 * been edited. */
static yoi_status spec_read(struct eng_spec *spec, const yoi_sdk_json *tree) {
  struct yoi_sdk_buf buf;
  yoi_str model = {0}, prompt = {0};
  const yoi_sdk_json *first = yoi_sdk_json_first(yoi_sdk_json_get(tree, "prompts"));
  if (!yoi_sdk_json_str(yoi_sdk_json_get(tree, "model"), &model) || !yoi_sdk_name_valid(model) ||
      !yoi_sdk_json_str(yoi_sdk_json_get(first, "text"), &prompt) ||
      read_limits(&spec->limits, yoi_sdk_json_get(tree, "limits"), NULL) != YOI_OK)
    return YOI_DATA_LOSS;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_json_escape(&buf, prompt);
  size_t len = 0;
  if (!buf.failed) spec->prompt.ptr = yoi_sdk_buf_take(&buf, &len);
  spec->prompt.len = len;
  yoi_sdk_buf_release(&buf);
  spec->model = yoi_sdk_strndup(model.ptr, model.len);
  return spec->model && (spec->prompt.ptr || prompt.len == 0) ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

yoi_status eng_specs_restore(struct eng_specs *s, struct eng_text *json, struct eng_spec **out) {
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  pthread_mutex_lock(&s->mu);
  struct eng_spec *spec = find_text(s, eng_text_str(json));
  if (spec) spec->refs++;
  pthread_mutex_unlock(&s->mu);
  *out = spec;
  if (spec) return YOI_OK;
  yoi_status st = yoi_sdk_json_parse(eng_text_str(json), 0, &tree, &jerr);
  if (st == YOI_INVALID_ARGUMENT) return YOI_DATA_LOSS;
  if (st != YOI_OK) return st;
  spec = yoi_sdk_calloc(1, sizeof *spec);
  st = !spec                                                    ? YOI_RESOURCE_EXHAUSTED
       : yoi_sdk_json_type(tree) != YOI_SDK_JSON_OBJECT ? YOI_DATA_LOSS
                                                                : spec_read(spec, tree);
  yoi_sdk_json_free(tree);
  if (st != YOI_OK) {
    spec_free(spec);
    return st;
  }
  spec->json = eng_text_ref(json);
  spec->refs = 1;
  pthread_mutex_lock(&s->mu);
  struct eng_spec *other = find_text(s, eng_text_str(json)); /* made meanwhile */
  if (other) {
    other->refs++;
  } else {
    spec->next = s->made;
    s->made = spec;
  }
  pthread_mutex_unlock(&s->mu);
  if (other) spec_free(spec);
  *out = other ? other : spec;
  return YOI_OK;
}
