/* plugins.c - yoi-host plugins list | show ID | check: which plugins there are.
 *
 * The answers are the library's, as JSON (yoi_host_plugins, yoi_plugin_check);
 * this file prints them for people, or as they are with --json. No code of a
 * plugin runs but with `check FILE.so --load`, which is what that is for.
 */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define TEXT_MAX 8192    /* one line: a path and a reason */
#define TYPES_MAX 128    /* the names of all types are 60 */
#define SHORT_DIGEST 19  /* "sha256:" and twelve digits tell two apart */
#define SECTION_WIDTH 14 /* of the left column of show */

struct arguments {
  int json, load;
  const char *verb, *first, *second; /* positional */
};

/* ---- what was said ------------------------------------------------------- */

static void line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void line(const char *fmt, ...) {
  char one[TEXT_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(one, sizeof one, fmt, args);
  va_end(args);
  puts(cli_plain(one));
}

static yoi_str text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

static int truth(const yoi_sdk_json *v, const char *name) {
  int is = 0;
  return yoi_sdk_json_bool(yoi_sdk_json_get(v, name), &is) && is;
}

static int64_t number(const yoi_sdk_json *v, const char *name) {
  int64_t n = 0;
  yoi_sdk_json_int(yoi_sdk_json_get(v, name), &n);
  return n;
}

/* ---- list ---------------------------------------------------------------- */

static void print_users(const yoi_sdk_json *p) {
  const yoi_sdk_json *u = yoi_sdk_json_first(yoi_sdk_json_get(p, "used_by"));
  for (; u; u = yoi_sdk_json_next(u))
    line("    %.*s '%.*s'", YOI_ARG(text(u, "section")), YOI_ARG(text(u, "name")));
}

static void print_row(const yoi_sdk_json *p) {
  yoi_str digest = text(p, "digest"), where = text(p, "path");
  if (truth(p, "linked")) where = YOI_LIT("(linked into the program)");
  if (digest.len > SHORT_DIGEST) digest.len = SHORT_DIGEST;
  line("%-28.*s %-8.*s %-8.*s %-8.*s %-7s %-9s %-19.*s %.*s", YOI_ARG(text(p, "id")),
       YOI_ARG(text(p, "kind")), YOI_ARG(text(p, "version")), YOI_ARG(text(p, "threads")),
       text(p, "pin").len ? "pinned" : "-",
       yoi_sdk_str_is(text(p, "isolation"), "process") ? "process" : "-", YOI_ARG(digest),
       YOI_ARG(where));
}

static void print_list(const yoi_sdk_json *all) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(all, "plugins"));
  line("%-28s %-8s %-8s %-8s %-7s %-9s %-19s %s", "id", "kind", "version", "threads", "pin",
       "isolation", "digest", "from");
  for (; v; v = yoi_sdk_json_next(v)) {
    print_row(v);
    print_users(v);
  }
  v = yoi_sdk_json_first(yoi_sdk_json_get(all, "searched"));
  for (; v; v = yoi_sdk_json_next(v))
    line("searched '%.*s': %lld plugins", YOI_ARG(text(v, "path")),
         (long long)number(v, "plugins"));
  v = yoi_sdk_json_first(yoi_sdk_json_get(all, "passed_over"));
  for (; v; v = yoi_sdk_json_next(v))
    line("passed over '%.*s': %.*s", YOI_ARG(text(v, "path")), YOI_ARG(text(v, "reason")));
}

/* ---- show ---------------------------------------------------------------- */

static void print_fact(const char *name, yoi_str value) {
  if (value.len) line("%-*s %.*s", SECTION_WIDTH, name, YOI_ARG(value));
}

static void print_strings(const yoi_sdk_json *p, const char *name) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(p, name));
  for (const char *left = name; v; v = yoi_sdk_json_next(v), left = "") {
    yoi_str s = {0};
    if (yoi_sdk_json_str(v, &s)) line("%-*s %.*s", SECTION_WIDTH, left, YOI_ARG(s));
  }
}

static int is_required(const yoi_sdk_json *schema, yoi_str key) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(schema, "required"));
  for (; v; v = yoi_sdk_json_next(v)) {
    yoi_str s = {0};
    if (yoi_sdk_json_str(v, &s) && yoi_sdk_str_eq(s, key)) return 1;
  }
  return 0;
}

/* What may stand there, in a word or two; into out when it is more than a name. */
static yoi_str type_text(const yoi_sdk_json *schema, char out[TYPES_MAX]) {
  const yoi_sdk_json *type = yoi_sdk_json_get(schema, "type");
  size_t n = 0;
  yoi_str s;
  if (yoi_sdk_json_get(schema, "enum") || yoi_sdk_json_get(schema, "const"))
    return YOI_LIT("one of a list");
  if (yoi_sdk_json_str(type, &s)) return s;
  for (type = yoi_sdk_json_first(type); type; type = yoi_sdk_json_next(type)) {
    if (!yoi_sdk_json_str(type, &s)) continue;
    int len = snprintf(out + n, TYPES_MAX - n, "%s%.*s", n ? " or " : "", YOI_ARG(s));
    n += (size_t)len < TYPES_MAX - n ? (size_t)len : 0;
  }
  return n ? (yoi_str){out, n} : YOI_LIT("any value");
}

/* The keys of a config schema; deeper ones behind a dot, items behind []. Its
 * depth is at most YOI_SCHEMA_DEPTH_MAX. */
static void print_keys(const yoi_sdk_json *schema, const char *left, const char *before) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(schema, "properties"));
  for (; v; v = yoi_sdk_json_next(v), left = "") {
    char name[TEXT_MAX / 4], item[TEXT_MAX / 4 + 4], types[TYPES_MAX];
    const yoi_sdk_json *items = yoi_sdk_json_get(v, "items");
    yoi_str key = yoi_sdk_json_key(v), about = text(v, "description");
    snprintf(name, sizeof name, "%s%.*s", before, YOI_ARG(key));
    yoi_str type = type_text(v, types);
    line("%-*s %s: %.*s%s%s%.*s", SECTION_WIDTH, left, name, YOI_ARG(type),
         is_required(schema, key) ? ", needed" : "", about.len ? "; " : "", YOI_ARG(about));
    snprintf(item, sizeof item, "%s%s.", name, items ? "[]" : "");
    print_keys(items ? items : v, "", item);
  }
}

static void print_tools(const yoi_sdk_json *p) {
  const yoi_sdk_json *t = yoi_sdk_json_first(yoi_sdk_json_get(p, "tools"));
  for (const char *left = "tools"; t; t = yoi_sdk_json_next(t), left = "")
    line("%-*s %.*s%s: %.*s", SECTION_WIDTH, left, YOI_ARG(text(t, "name")),
         truth(t, "read_only") ? " (only reads)" : "", YOI_ARG(text(t, "description")));
}

static void print_plugin(const yoi_sdk_json *p) {
  static const char *const facts[] = {"id",         "kind",    "version",   "display_name",
                                      "runtime_id", "threads", "isolation", "path",
                                      "digest",     "pin"};
  int64_t generation = number(p, "generation");
  for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) print_fact(facts[i], text(p, facts[i]));
  if (truth(p, "linked")) print_fact("path", YOI_LIT("(linked into the program)"));
  if (generation) line("%-*s %lld", SECTION_WIDTH, "generation", (long long)generation);
  print_strings(p, "interfaces");
  print_strings(p, "grants");
  print_tools(p);
  print_keys(yoi_sdk_json_get(p, "config"), "config", "");
  print_users(p);
}

static int print_json(const yoi_sdk_json *v) {
  struct yoi_sdk_buf out;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&out, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_json_write(v, &w);
  int ok = !out.failed;
  if (ok) printf("%.*s\n", YOI_ARG(yoi_sdk_buf_str(&out)));
  yoi_sdk_buf_release(&out);
  return ok;
}

static int show(const struct arguments *a, const yoi_sdk_json *all) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(all, "plugins"));
  while (v && !yoi_sdk_str_is(text(v, "id"), a->first)) v = yoi_sdk_json_next(v);
  if (!v) {
    cli_say("no plugin has the id '%s'; `yoi-host plugins list` says which there are", a->first);
    return CLI_INVALID;
  }
  if (a->json) return print_json(v) ? CLI_OK : CLI_INTERNAL;
  print_plugin(v);
  return CLI_OK;
}

/* ---- check --------------------------------------------------------------- */

static void print_check(const yoi_sdk_json *v, int whole) {
  const yoi_sdk_json *f = yoi_sdk_json_first(yoi_sdk_json_get(v, "findings"));
  yoi_str path = text(v, "path"), unpinnable = text(v, "unpinnable");
  for (; f; f = yoi_sdk_json_next(f)) {
    yoi_str s = {0};
    if (yoi_sdk_json_str(f, &s)) line("%.*s: %.*s", YOI_ARG(path), YOI_ARG(s));
  }
  if (!truth(v, "ok")) return;
  line("%.*s: ok%s", YOI_ARG(path), truth(v, "loaded") ? ", loaded" : "");
  if (unpinnable.len)
    line("%.*s: cannot be pinned there: %.*s", YOI_ARG(path), YOI_ARG(unpinnable));
  if (whole) print_plugin(yoi_sdk_json_get(v, "plugin"));
}

/* One file; *out_code stays when it is sound. 0: no memory. */
static int check_file(const struct arguments *a, const char *path, int whole, int *out_code) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_sdk_json *tree = NULL;
  char *said = NULL;
  size_t n = 0;
  if (yoi_plugin_check(path, a->load ? YOI_PLUGIN_LOAD : 0, &said, &n, err) != YOI_OK ||
      yoi_sdk_json_parse((yoi_str){said, n}, 0, &tree, NULL) != YOI_OK) {
    cli_say_error("cannot check a plugin", err);
    yoi_free(said);
    return 0;
  }
  if (a->json) {
    printf("%s\n", said);
  } else {
    print_check(tree, whole);
  }
  if (!truth(tree, "ok")) *out_code = CLI_INVALID;
  yoi_sdk_json_free(tree);
  yoi_free(said);
  return 1;
}

/* Every file that the search of the config meets, a line or more each. */
static int check_all(const struct arguments *a, const yoi_sdk_json *all) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(all, "plugins"));
  int code = CLI_OK;
  for (; v; v = yoi_sdk_json_next(v)) {
    if (!truth(v, "linked") && !check_file(a, text(v, "path").ptr, 0, &code)) return CLI_INTERNAL;
  }
  v = yoi_sdk_json_first(yoi_sdk_json_get(all, "passed_over"));
  for (; v; v = yoi_sdk_json_next(v)) {
    if (truth(v, "folder")) continue;
    code = CLI_INVALID;
    if (!a->json)
      line("passed over '%.*s': %.*s", YOI_ARG(text(v, "path")), YOI_ARG(text(v, "reason")));
    if (!check_file(a, text(v, "path").ptr, 0, &code)) return CLI_INTERNAL;
  }
  return code;
}

/* ---- the command --------------------------------------------------------- */

static int with_config(const struct arguments *a, const char *path,
                       int (*fn)(const struct arguments *a, const yoi_sdk_json *all)) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct cli_config c = {0};
  yoi_sdk_json *tree = NULL;
  char *said = NULL;
  size_t n = 0;
  int code = cli_config_read(path, &c, NULL), findings;
  if (code != CLI_OK) return code;
  findings = cli_config_findings(&c, 1);
  code = CLI_INTERNAL;
  if (yoi_host_plugins(c.text, c.len, c.base_dir, &said, &n, err) != YOI_OK ||
      yoi_sdk_json_parse((yoi_str){said, n}, 0, &tree, NULL) != YOI_OK) {
    cli_say_error("cannot list plugins", err);
  } else {
    code = fn(a, tree);
    if (code == CLI_OK && findings != 0) code = CLI_INVALID;
  }
  yoi_sdk_json_free(tree);
  yoi_free(said);
  cli_config_release(&c);
  return fflush(stdout) == 0 ? code : CLI_INTERNAL;
}

static int list(const struct arguments *a, const yoi_sdk_json *all) {
  if (a->json) return print_json(all) ? CLI_OK : CLI_INTERNAL;
  print_list(all);
  return CLI_OK;
}

static int is_plugin_file(const char *path) {
  size_t n = strlen(path);
  return n > 3 && !strcmp(path + n - 3, ".so");
}

static int check(const struct arguments *a) {
  int code = CLI_OK;
  if (!a->first || !is_plugin_file(a->first)) {
    if (a->load) return cli_usage_error("'--load' takes one plugin file");
    return with_config(a, a->first, check_all);
  }
  if (!check_file(a, a->first, 1, &code)) code = CLI_INTERNAL;
  return fflush(stdout) == 0 ? code : CLI_INTERNAL;
}

int cli_plugins(int argc, char **argv) {
  struct arguments a = {0};
  const char **const places[] = {&a.verb, &a.first, &a.second};
  const struct cli_option options[] = {{"--json", NULL, &a.json}, {"--load", NULL, &a.load}};
  int code = cli_arguments(argc, argv, options, 2, places, 3);
  if (code != CLI_OK) return code;
  const char *verb = a.verb ? a.verb : "";
  int is_show = !strcmp(verb, "show"), is_check = !strcmp(verb, "check");
  if (!is_show && !is_check && strcmp(verb, "list") != 0)
    return cli_usage_error("'plugins' takes list, show or check");
  if (!is_show && a.second) return cli_usage_error("'%s' is one argument too many", a.second);
  if (!is_check && a.load) return cli_usage_error("'--load' belongs to 'plugins check'");
  if (is_show && !a.first) return cli_usage_error("'plugins show' takes the id of a plugin");
  if (is_check) return check(&a);
  return is_show ? with_config(&a, a.second, show) : with_config(&a, a.first, list);
}
