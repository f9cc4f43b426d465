/* host/config.c - from the text of a config to a struct yoi__config.
 *
 *   text --parse--> tree --schema--> sections, each of which may look at what
 *   the earlier ones made: scalars, secrets, search (plugins are found),
 *   entries, bundles, runtimes, models, ingress --> config, or findings
 *
 * Invariants:
 *  1. Every check runs whatever the earlier ones found, so that one run says
 *     everything; a section looks only at values of the right type, since
 *     the schema has already spoken about the others.
 *  2. A config is given out only when nothing was found.
 *  3. Checking and loading are the same code: `check` cannot pass what
 *     `serve` refuses, but for secrets (not read here) and plugin code (not
 *     run here).
 *  4. The default config is text and goes the same way.
 */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sdk/embed.h>
#include <sdk/mem.h>
#include <sdk/schema.h>

#include "config_build.h"
#include "grant.h"

YOI_SDK_EMBED(yoi__config_schema, "host/config.schema.json");

/* ---- memory ---------------------------------------------------------------- */

struct block {
  struct block *next;
  max_align_t data[];
};

void *yoi__build_alloc(struct yoi__build *b, size_t n, size_t size) {
  struct block *k;
  size_t bytes = 0;
  if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, sizeof *k, &bytes)) {
    b->failed = 1;
    return NULL;
  }
  k = yoi_sdk_calloc(1, bytes);
  if (k == NULL) {
    b->failed = 1;
    return NULL;
  }
  k->next = b->c->memory;
  b->c->memory = k;
  return k->data;
}

yoi_str yoi__build_str(struct yoi__build *b, yoi_str s) {
  char *p = yoi__build_alloc(b, s.len + 1, 1);
  if (p == NULL) return (yoi_str){"", 0};
  if (s.len > 0) memcpy(p, s.ptr, s.len);
  return (yoi_str){p, s.len};
}

yoi_str yoi__text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

void yoi__config_memory_free(void *memory) {
  struct block *k = memory;
  while (k != NULL) {
    struct block *next = k->next;
    yoi_sdk_free(k);
    k = next;
  }
}

struct yoi__config *yoi__config_ref(struct yoi__config *c) {
  if (c != NULL) atomic_fetch_add(&c->refs, 1u);
  return c;
}

void yoi__config_free(struct yoi__config *c) {
  if (c == NULL || atomic_fetch_sub(&c->refs, 1u) != 1) return;
  for (size_t i = 0; i < c->n_bundles; i++) yoi_sdk_bundle_free(c->bundles[i].it);
  yoi__catalogue_free(c->plugins);
  yoi__secrets_free(c->secrets);
  yoi__local_release(&c->local);
  yoi__config_memory_free(c->memory);
  yoi_sdk_free(c);
}

/* ---- the schema -------------------------------------------------------------- */

/* 1: it is the declaration of one secret, "/local/secrets/NAME". */
static int is_secret(const char *pointer) {
  static const char parent[] = "/local/secrets/";
  size_t n = sizeof parent - 1;
  return strncmp(pointer, parent, n) == 0 && strchr(pointer + n, '/') == NULL;
}

static void on_schema_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct yoi__build *b = ctx;
  /* Whoever writes the value itself here is told where it belongs. */
  if (!is_key && is_secret(pointer))
    message =
        "expected {\"file\": PATH} or {\"env\": VARIABLE}; the value itself never stands here";
  yoi__findings_add(&b->found, pointer, is_key, "%s", message);
}

static yoi_status check_schema(struct yoi__build *b) {
  yoi_str text = {yoi__config_schema, (size_t)(yoi__config_schema_end - yoi__config_schema)};
  yoi_status st = yoi_sdk_json_parse(text, 0, &b->schema, NULL);
  if (st == YOI_OK) st = yoi_sdk_schema_compile(b->schema, NULL, NULL);
  if (st == YOI_OK &&
      yoi_sdk_schema_check(b->schema, b->tree, "", on_schema_finding, b) == YOI_RESOURCE_EXHAUSTED)
    st = YOI_RESOURCE_EXHAUSTED;
  return st;
}

/* ---- ${NAME} ----------------------------------------------------------------- */

/* A reference to the environment means something in the file of a secret
 * only. Elsewhere it would be taken literally, which nobody who writes it
 * expects, so it is refused. */
static void on_string(void *ctx, const char *pointer, yoi_str s) {
  struct yoi__build *b = ctx;
  const char *end = s.ptr + s.len;
  if (yoi_sdk_str_starts(yoi_sdk_str(pointer), YOI_LIT("/local/secrets/")) &&
      strcmp(strrchr(pointer, '/'), "/file") == 0)
    return;
  for (const char *p = s.ptr; s.len > 0 && p + 2 < end; p++) {
    if (p[0] != '$' || p[1] != '{') continue;
    yoi__findings_add(&b->found, pointer, 0,
                      "'${' stands for the environment only in 'file' of a secret; a value from "
                      "it is a secret with 'env', used as 'secret:NAME'");
    return;
  }
}

/* ---- load ---------------------------------------------------------------------- */

/* What relative paths start with; NULL when there is no working directory. */
static char *absolute(const char *base_dir, char out[PATH_MAX]) {
  size_t n;
  if (base_dir == NULL || base_dir[0] == '\0' || strcmp(base_dir, ".") == 0)
    return getcwd(out, PATH_MAX);
  if (base_dir[0] == '/') {
    n = strlen(base_dir);
    if (n >= PATH_MAX) return NULL;
    memcpy(out, base_dir, n + 1);
    return out;
  }
  if (getcwd(out, PATH_MAX) == NULL) return NULL;
  n = strlen(out);
  if ((size_t)snprintf(out + n, PATH_MAX - n, "/%s", base_dir) >= PATH_MAX - n) return NULL;
  return out;
}

/* What somebody means who gives a file that is not even the beginning of an
 * object; NULL: the parser's own message is the better one. */
static const char *no_object(yoi_str text) {
  static const char white[] = " \t\r\n";
  size_t n = 0;
  if (yoi_sdk_str_starts(text, YOI_LIT("\xef\xbb\xbf")))
    return "a byte order mark; save the file as UTF-8 without one";
  if (text.len > 1 && (text.ptr[0] == '\0' || text.ptr[1] == '\0' || text.ptr[0] == '\xff' ||
                       text.ptr[0] == '\xfe'))
    return "this is not UTF-8; save the file as UTF-8";
  while (n < text.len && memchr(white, text.ptr[n], sizeof white - 1) != NULL) n++;
  if (n < text.len && (text.ptr[n] == '{' || text.ptr[n] == '/') &&
      memchr(text.ptr, '{', text.len) != NULL)
    return NULL;
  return "expected '{': a config is one JSON object";
}

static yoi_status parse(struct yoi__build *b, yoi_sdk_json **out) {
  struct yoi_sdk_json_error e;
  const char *why;
  yoi_status st;
  if (b->found.text.len > YOI_CONFIG_BYTES_MAX) {
    yoi__findings_add_at(&b->found, 1, 1, "", "config is larger than 1048576 bytes");
    return YOI_INVALID_ARGUMENT;
  }
  st = yoi_sdk_json_parse(b->found.text, YOI_SDK_JSON_COMMENTS, out, &e);
  if (st == YOI_OK) return st;
  why = no_object(b->found.text);
  yoi__findings_add_at(&b->found, e.line, e.column, e.pointer, why != NULL ? why : e.message);
  return st;
}

static yoi_status build(struct yoi__build *b) {
  yoi_status st = check_schema(b);
  if (st != YOI_OK) return st;
  if (!yoi__build_strings(b->tree, "", on_string, b)) b->failed = 1;
  yoi__build_scalars(b);
  yoi__build_secrets(b);
  yoi__build_local(b);
  yoi__build_search(b);
  yoi__build_entries(b);
  yoi__build_bundles(b);
  yoi__build_runtimes(b);
  yoi__build_models(b);
  yoi__build_ingress(b);
  yoi__build_policies(b);
  yoi__build_tools(b);
  return b->failed != 0 ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}

struct looking {
  void (*look)(void *ctx, const struct yoi__config *c);
  void *ctx;
};

static yoi_status load(yoi_str json, const char *base_dir, struct yoi__own own,
                       yoi_report_fn report, void *ctx, const struct looking *l,
                       struct yoi__config **out, yoi_error *err) {
  struct yoi__build b = {.base = NULL};
  struct yoi_sdk_buf standard;
  char base[PATH_MAX];
  yoi_sdk_json *tree = NULL;
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&standard, YOI_CONFIG_BYTES_MAX);
  if (json.len == 0) {
    yoi__config_default(&standard);
    json = yoi_sdk_buf_str(&standard);
    if (standard.failed != 0) st = YOI_RESOURCE_EXHAUSTED;
  }
  yoi__findings_init(&b.found, json);
  b.c = yoi_sdk_calloc(1, sizeof *b.c);
  if (b.c != NULL) atomic_init(&b.c->refs, 1u);
  b.base = absolute(base_dir, base);
  if (b.c == NULL || st != YOI_OK) {
    st = yoi_sdk_fail_memory(err);
    goto out;
  }
  if (b.base == NULL) {
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "no directory that paths are relative to");
    goto out;
  }
  b.c->base = yoi__build_str(&b, yoi_sdk_str(b.base)).ptr;
  b.c->plugins = yoi__catalogue_new();
  b.c->secrets = yoi__secrets_new(b.base);
  const yoi_linked_plugin **rows = yoi__build_alloc(&b, own.n, sizeof *rows);
  if (b.c->base == NULL || b.c->plugins == NULL || b.c->secrets == NULL || rows == NULL) {
    st = yoi_sdk_fail_memory(err);
    goto out;
  }
  for (size_t i = 0; i < own.n; i++) rows[i] = own.rows[i];
  b.c->own = (struct yoi__own){rows, own.n, own.sockets};
  if (parse(&b, &tree) == YOI_OK) {
    b.tree = tree;
    if (build(&b) != YOI_OK) b.found.failed = 1;
  }
  if (l != NULL && b.failed == 0) l->look(l->ctx, b.c);
  st = yoi__findings_end(&b.found, report, ctx, err);
out:
  if (st == YOI_OK && out != NULL) {
    *out = b.c;
    b.c = NULL;
  }
  yoi_sdk_json_free(b.schema);
  yoi_sdk_json_free(tree);
  yoi__config_free(b.c);
  yoi__findings_release(&b.found);
  yoi_sdk_buf_release(&standard);
  return st;
}

yoi_status yoi__config_load(yoi_str json, const char *base_dir, yoi_report_fn report, void *ctx,
                            struct yoi__config **out, yoi_error *err) {
  return yoi__config_load_own(json, base_dir, (struct yoi__own){0}, report, ctx, out, err);
}

yoi_status yoi__config_load_own(yoi_str json, const char *base_dir, struct yoi__own own,
                                yoi_report_fn report, void *ctx, struct yoi__config **out,
                                yoi_error *err) {
  return load(json, base_dir, own, report, ctx, NULL, out, err);
}

yoi_status yoi__config_look(yoi_str json, const char *base_dir,
                            void (*look)(void *ctx, const struct yoi__config *c), void *ctx,
                            yoi_error *err) {
  const struct looking l = {look, ctx};
  struct yoi_sdk_error e; /* what is wrong with the config is no error here */
  yoi_status st = load(json, base_dir, (struct yoi__own){0}, NULL, NULL, &l, NULL,
                       yoi_sdk_error_init(&e));
  if (st == YOI_OK || st == YOI_INVALID_ARGUMENT) return YOI_OK;
  yoi_sdk_error_copy(err, &e.e);
  return st;
}

/* ---- an entry that comes later --------------------------------------------------- */

/* It stands in a config of its own, so that schema, checks and messages are
 * those of every entry; positions are then counted from the entry's begin. */
#define ADDED_HEAD "{\"runtimes\":["
#define ADDED_TAIL "\n]}" /* behind a comment that ends the text */

static yoi_status build_added(struct yoi__build *b) {
  yoi_status st = check_schema(b);
  if (st != YOI_OK) return st;
  if (!yoi__build_strings(b->tree, "", on_string, b)) b->failed = 1;
  yoi__build_added(b);
  for (size_t i = 0; i < b->found.n; i++) {
    uint32_t *column = &b->found.all[i].column, head = sizeof ADDED_HEAD - 1;
    if (b->found.all[i].line == 1) *column -= *column > head ? head : *column - 1;
  }
  return b->failed != 0 ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}

yoi_status yoi__config_runtime_load(const struct yoi__config *c, yoi_str json,
                                    const struct yoi__config_runtime **out, void **out_memory,
                                    yoi_error *err) {
  struct yoi__config one = {.plugins = c->plugins,
                            .secrets = c->secrets,
                            .entries = c->entries,
                            .n_entries = c->n_entries,
                            .bundles = c->bundles,
                            .n_bundles = c->n_bundles};
  struct yoi__build b = {.c = &one, .base = c->base};
  struct yoi_sdk_buf text;
  yoi_sdk_json *tree = NULL;
  yoi_sdk_buf_init(&text, YOI_CONFIG_BYTES_MAX + sizeof ADDED_HEAD + sizeof ADDED_TAIL);
  yoi__findings_init(&b.found, json);
  /* By itself first: what is no value would mean something else between the brackets. */
  if (parse(&b, &tree) == YOI_OK) {
    yoi_sdk_json_free(tree);
    tree = NULL;
    yoi_sdk_buf_adds(&text, YOI_LIT(ADDED_HEAD));
    yoi_sdk_buf_adds(&text, json);
    yoi_sdk_buf_adds(&text, YOI_LIT(ADDED_TAIL));
    b.found.text = yoi_sdk_buf_str(&text);
    if (text.failed ||
        yoi_sdk_json_parse(b.found.text, YOI_SDK_JSON_COMMENTS, &tree, NULL) != YOI_OK)
      b.found.failed = 1;
    b.tree = tree;
    if (!b.found.failed && build_added(&b) != YOI_OK) b.found.failed = 1;
  }
  yoi_status st = yoi__findings_end(&b.found, NULL, NULL, err);
  if (st == YOI_OK) {
    *out = one.runtimes;
    *out_memory = one.memory;
  } else {
    yoi__config_memory_free(one.memory);
  }
  yoi_sdk_json_free(b.schema);
  yoi_sdk_json_free(tree);
  yoi__findings_release(&b.found);
  yoi_sdk_buf_release(&text);
  return st;
}

/* ---- what a config answers ------------------------------------------------------- */

yoi_status yoi__config_read_secrets(struct yoi__config *c, yoi_error *err) {
  yoi_status st = yoi__secrets_read(c->secrets, err);
  for (size_t i = 0; st == YOI_OK && i < c->n_ingress; i++) {
    yoi_str token = c->ingress[i].token;
    if (token.len == 0 || yoi__secrets_filled(c->secrets, token)) continue;
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                      "secret '%.*s', the token of listener '%.*s', has no value", YOI_ARG(token),
                      YOI_ARG(c->ingress[i].listen));
    yoi_sdk_fail_private(err, "environment variable '%.*s' is unset or empty",
                         YOI_ARG(yoi__secrets_variable(c->secrets, token)));
  }
  return st;
}

int yoi__config_granted(const struct yoi__config *c, const struct yoi__plugin *p, yoi_str text) {
  struct yoi_sdk_grant grant, pattern;
  if (yoi_sdk_grant_pattern(text, &grant) != NULL) return 0;
  for (size_t i = 0; i < c->n_entries; i++) {
    const struct yoi__config_plugin *e = &c->entries[i];
    if (!e->has_grants || !yoi_sdk_str_eq(e->id, p->manifest.id)) continue;
    for (size_t k = 0; k < e->n_grants; k++) {
      if (yoi_sdk_grant_pattern(e->grants[k], &pattern) == NULL &&
          yoi_sdk_grant_covers(&pattern, &grant))
        return 1;
    }
    return 0;
  }
  return p->manifest.kind == (yoi__grant_local(&grant) ? YOI_KIND_TOOL : YOI_KIND_RUNTIME);
}

int yoi__config_confined(const struct yoi__config *c, const struct yoi__plugin *p) {
  for (size_t i = 0; i < c->n_entries; i++)
    if (yoi_sdk_str_eq(c->entries[i].id, p->manifest.id)) return !c->entries[i].best_effort;
  return 1;
}

static const char *variable(const char *name) {
  const char *v = getenv(name);
  return v != NULL && *v != '\0' ? v : NULL;
}

void yoi__config_default(struct yoi_sdk_buf *out) {
  const char *url = variable("OPENAI_BASE_URL");
  const char *model = variable("YOI_MODEL");
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kraw(&w, "runtimes",
                     YOI_LIT("[{\"id\":\"backend-internal\",\"plugin\":\"dev.yoi.embedded\","
                             "\"display_name\":\"Embedded\"}]"));
  yoi_sdk_jsonw_kopen(&w, "models", '[');
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "name", YOI_LIT("main"));
  if (url == NULL) {
    yoi_sdk_jsonw_kstr(&w, "plugin", YOI_LIT("dev.yoi.model-script"));
  } else {
    yoi_sdk_jsonw_kstr(&w, "plugin", YOI_LIT("dev.yoi.model-openai"));
    yoi_sdk_jsonw_kopen(&w, "config", '{');
    yoi_sdk_jsonw_kstr(&w, "base_url", yoi_sdk_str(url));
    if (model != NULL) yoi_sdk_jsonw_kstr(&w, "model", yoi_sdk_str(model));
    if (variable("OPENAI_API_KEY") != NULL)
      yoi_sdk_jsonw_kstr(&w, "api_key", YOI_LIT("secret:openai"));
    yoi_sdk_jsonw_close(&w, '}');
  }
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_kraw(&w, "ingress",
                     YOI_LIT("[{\"plugin\":\"dev.yoi.ingress-http\",\"surface\":\"browser\","
                             "\"listen\":\"127.0.0.1:38800\"}]"));
  yoi_sdk_jsonw_kraw(&w, "local",
                     YOI_LIT("{\"secrets\":{\"openai\":{\"env\":\"OPENAI_API_KEY\"}}}"));
  yoi_sdk_jsonw_close(&w, '}');
}
