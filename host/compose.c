/* host/compose.c - a config from calls: text, which then goes the way of every
 * text.
 *
 *  1. What is added is a value by itself: a text that would end its place and
 *     begin another is refused where it is given.
 *  2. The first failure is kept; behind it nothing is added.
 */
#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>

#include "host.h"

/* The lists come last, since each is closed when the text is asked for. */
enum { KEYS, RUNTIMES, MODELS, PARTS };

struct yoi_config {
  struct yoi_sdk_buf parts[PARTS]; /* members or entries, with commas between them */
  yoi_status st;                   /* of the first call that failed, with its error */
  struct yoi_sdk_error wrong;
};

struct yoi_config *yoi_config_new(void) {
  struct yoi_config *c = yoi_sdk_calloc(1, sizeof *c);
  for (size_t i = 0; c != NULL && i < PARTS; i++)
    yoi_sdk_buf_init(&c->parts[i], YOI_CONFIG_BYTES_MAX);
  return c;
}

void yoi_config_free(struct yoi_config *c) {
  if (c == NULL) return;
  for (size_t i = 0; i < PARTS; i++) yoi_sdk_buf_release(&c->parts[i]);
  yoi_sdk_free(c);
}

/* 1: it is a value. */
static int is_value(struct yoi_config *c, const char *what, const char *json) {
  struct yoi_sdk_json_error e;
  yoi_sdk_json *tree = NULL;
  yoi_status st = yoi_sdk_json_parse(yoi_sdk_str(json), 0, &tree, &e);
  yoi_sdk_json_free(tree);
  if (st == YOI_OK) return 1;
  c->st = yoi_sdk_fail(yoi_sdk_error_init(&c->wrong),
                       st == YOI_INVALID_ARGUMENT ? YOI_CODE_INVALID_JSON : YOI_CODE_LIMIT_REACHED,
                       "value of '%.*s': line %u, column %u: %s",
                       (int)yoi_sdk_utf8_cut(yoi_sdk_str(what), YOI_ID_MAX), what, e.line, e.column,
                       e.message);
  return 0;
}

static int is_well(const struct yoi_config *c) {
  return c != NULL && c->st == YOI_OK;
}

void yoi_config_set(struct yoi_config *c, const char *key, const char *json) {
  if (!is_well(c) || !is_value(c, key, json)) return;
  struct yoi_sdk_buf *b = &c->parts[KEYS];
  yoi_sdk_buf_adds(b, yoi_sdk_str(b->len > 0 ? ",\n\"" : "\""));
  yoi_sdk_json_escape(b, yoi_sdk_str(key));
  yoi_sdk_buf_adds(b, YOI_LIT("\": "));
  yoi_sdk_buf_adds(b, yoi_sdk_str(json));
}

static void add_entry(struct yoi_config *c, int part, const char *name_key, const char *name,
                      const char *plugin, const char *config) {
  if (!is_well(c) || (config != NULL && !is_value(c, name, config))) return;
  struct yoi_sdk_jsonw w;
  if (c->parts[part].len > 0) yoi_sdk_buf_adds(&c->parts[part], YOI_LIT(",\n  "));
  yoi_sdk_jsonw_init(&w, &c->parts[part]);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, name_key, yoi_sdk_str(name));
  yoi_sdk_jsonw_kstr(&w, "plugin", yoi_sdk_str(plugin));
  if (config != NULL) yoi_sdk_jsonw_kraw(&w, "config", yoi_sdk_str(config));
  yoi_sdk_jsonw_close(&w, '}');
}

void yoi_config_runtime(struct yoi_config *c, const char *id, const char *plugin,
                        const char *config) {
  add_entry(c, RUNTIMES, "id", id, plugin, config);
}

void yoi_config_model(struct yoi_config *c, const char *name, const char *plugin,
                      const char *config) {
  add_entry(c, MODELS, "name", name, plugin, config);
}

yoi_status yoi_config_text(const struct yoi_config *c, char **out_text, size_t *out_len,
                           yoi_error *err) {
  static const char *const heads[PARTS] = {"", "\"runtimes\": [", "\"models\": ["};
  struct yoi_sdk_buf text;
  size_t len = 0;
  *out_text = NULL;
  if (c == NULL) return yoi_sdk_fail_memory(err);
  if (c->st != YOI_OK) {
    yoi_sdk_error_copy(err, &c->wrong.e);
    return c->st;
  }
  yoi_sdk_buf_init(&text, YOI_CONFIG_BYTES_MAX);
  yoi_sdk_buf_addc(&text, '{');
  for (size_t i = 0; i < PARTS; i++) {
    const struct yoi_sdk_buf *b = &c->parts[i];
    if (b->failed != 0 && text.failed == 0) text.failed = b->failed;
    if (b->len == 0) continue;
    yoi_sdk_buf_addf(&text, "%s%s", text.len > 1 ? ",\n" : "", heads[i]);
    yoi_sdk_buf_adds(&text, yoi_sdk_buf_str(b));
    if (i != KEYS) yoi_sdk_buf_addc(&text, ']');
  }
  yoi_sdk_buf_adds(&text, YOI_LIT("}\n"));
  if (text.failed == 0) *out_text = yoi_sdk_buf_take(&text, &len);
  int too_large = text.failed == YOI_OUT_OF_RANGE;
  yoi_sdk_buf_release(&text);
  if (too_large)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the config is larger than %d bytes",
                        YOI_CONFIG_BYTES_MAX);
  if (*out_text == NULL) return yoi_sdk_fail_memory(err);
  if (out_len != NULL) *out_len = len;
  return YOI_OK;
}
