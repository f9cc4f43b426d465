/* config.c - the config, as far as a command line looks into it.
 *
 * The host checks a config and makes itself from it; this file only reads the
 * text, and asks it a few questions that people have at the first start: what
 * will answer me, and where do I look. It never repeats a check. Answers are
 * for the terminal of whoever started the program; they reach no log.
 */
#include <errno.h>
#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* NULL and errno (EPERM: everybody may write to it, and so decide what this
 * process runs). */
static char *read_config(const char *path, size_t *out_len) {
  char *text = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC), saved;
  struct stat sb;
  if (fd < 0) return NULL;
  if (fstat(fd, &sb) != 0) goto out;
  if (S_ISREG(sb.st_mode) && (sb.st_mode & S_IWOTH)) {
    errno = EPERM;
    goto out;
  }
  text = cli_file_read(fd, YOI_CONFIG_BYTES_MAX, out_len);
out:
  saved = errno;
  close(fd);
  errno = saved;
  return text;
}

/* The one thing of the environment that is typed by hand: without a scheme the
 * mistake would show at the first turn only. */
static int is_address(const char *url) {
  yoi_str s = yoi_sdk_str(url);
  return s.len == 0 || yoi_sdk_str_starts(s, YOI_LIT("http://")) ||
         yoi_sdk_str_starts(s, YOI_LIT("https://"));
}

void cli_config_look(struct cli_config *c) {
  yoi_str text = {c->text, c->len};
  (void)yoi_sdk_json_parse(text, YOI_SDK_JSON_COMMENTS, &c->tree, NULL);
}

int cli_config_read(const char *path, struct cli_config *out, const char **out_why) {
  *out = (struct cli_config){.name = path ? path : "(the default config)"};
  if (!path && !is_address(getenv("OPENAI_BASE_URL"))) {
    cli_say(
        "OPENAI_BASE_URL does not begin with http:// or https://; for Ollama on this machine "
        "it is http://127.0.0.1:11434/v1");
    return CLI_INVALID;
  }
  if (!path) {
    struct yoi_sdk_error se;
    yoi_error *err = yoi_sdk_error_init(&se);
    if (yoi_default_config(&out->text, &out->len, err) != YOI_OK) {
      cli_say_error("cannot make the default config", err);
      return CLI_INTERNAL;
    }
    cli_config_look(out);
    return CLI_OK;
  }
  const char *slash = strrchr(path, '/');
  size_t n = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
  out->base_dir = n ? yoi_sdk_strndup(path, n) : yoi_sdk_strndup(".", 1);
  out->text = read_config(path, &out->len);
  /* To the library nothing at all is the default config; as a file it is one
   * that was cut off, and no reason to open a port. */
  int empty = out->text && out->len == 0;
  if (out->base_dir && out->text && !empty) {
    cli_config_look(out);
    return CLI_OK;
  }
  const char *why = !out->base_dir    ? "no memory"
                    : empty           ? "it is empty"
                    : errno == EFBIG  ? "it is larger than 1048576 bytes"
                    : errno == EPERM  ? "everybody may write to it, expected mode 0644 or stricter"
                    : errno == EISDIR ? "it is a folder, not a file"
                                      : strerror(errno);
  if (!out_why) cli_say("cannot read config '%s': %s", path, why);
  if (out_why) *out_why = why;
  cli_config_release(out);
  return CLI_INVALID;
}

void cli_config_release(struct cli_config *c) {
  yoi_sdk_json_free(c->tree);
  /* A text without a folder is the library's. */
  if (c->base_dir) {
    yoi_sdk_free(c->text);
  } else {
    yoi_free(c->text);
  }
  yoi_sdk_free(c->base_dir);
  *c = (struct cli_config){0};
}

struct findings {
  const char *name;
  FILE *to;
  int count;
};

static void print_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                          const char *message) {
  struct findings *f = ctx;
  char *text = yoi_sdk_strndup(message, strlen(message));
  (void)pointer;
  f->count++;
  fprintf(f->to, "%s:%u:%u: %s\n", f->name, line, column, text ? cli_plain(text) : "out of memory");
  yoi_sdk_free(text);
}

int cli_config_findings(const struct cli_config *c, int to_stderr) {
  struct findings f = {c->name, to_stderr ? stderr : stdout, 0};
  yoi_status st = yoi_host_check(c->text, c->len, c->base_dir, print_finding, &f);
  if (st == YOI_OK) return 0;
  return f.count ? f.count : -1;
}

int cli_config_host(const struct cli_config *c, const yoi_host_options *given,
                    struct yoi_embed **out) {
  struct yoi_sdk_error se;
  struct findings f = {c->name, stderr, 0};
  yoi_host_options o = *given;
  o.base_dir = c->base_dir;
  o.report = print_finding;
  o.report_ctx = &f;
  if (yoi_host_new_with(c->text, c->len, &o, out, yoi_sdk_error_init(&se)) == YOI_OK)
    return CLI_OK;
  if (f.count > 0) return CLI_INVALID;
  cli_say_error("cannot start", &se.e);
  return CLI_FAILED;
}

uint32_t cli_config_drain_ms(const struct cli_config *c) {
  int64_t ms = 0;
  int given = yoi_sdk_json_int(yoi_sdk_json_get(c->tree, "drain_ms"), &ms);
  return given && ms >= 0 && ms <= YOI_DRAIN_MS_MAX ? (uint32_t)ms : YOI_DRAIN_MS_DEFAULT;
}

uint64_t cli_config_connections(const struct cli_config *c) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(c->tree, "ingress"));
  uint64_t sum = 0;
  for (; v; v = yoi_sdk_json_next(v)) {
    int64_t n = YOI_HTTP_CONNECTIONS_DEFAULT;
    yoi_sdk_json_int(yoi_sdk_json_get(yoi_sdk_json_get(v, "config"), "connections"), &n);
    if (n > 0) sum += (uint64_t)n;
  }
  return sum;
}

int cli_config_logs_json(const struct cli_config *c) {
  yoi_str format = {0};
  yoi_sdk_json_str(yoi_sdk_json_get(yoi_sdk_json_get(c->tree, "log"), "format"), &format);
  return yoi_sdk_str_is(format, "json");
}

int cli_config_for_steps(const struct cli_config *c, struct yoi_sdk_buf *out) {
  static const char *const replaced[] = {"ingress", "step", "loops"};
  struct yoi_sdk_jsonw w;
  if (!c->tree) return 0;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  const yoi_sdk_json *v = yoi_sdk_json_first(c->tree);
  for (; v; v = yoi_sdk_json_next(v)) {
    int keep = 1;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
      if (yoi_sdk_str_is(yoi_sdk_json_key(v), replaced[i])) keep = 0;
    }
    if (!keep) continue;
    yoi_sdk_jsonw_keyn(&w, yoi_sdk_json_key(v));
    yoi_sdk_json_write(v, &w);
  }
  yoi_sdk_jsonw_kbool(&w, "step", 1);
  if (!yoi_sdk_json_get(c->tree, "log")) {
    yoi_sdk_jsonw_kopen(&w, "log", '{');
    yoi_sdk_jsonw_kstr(&w, "level", YOI_LIT("error"));
    yoi_sdk_jsonw_close(&w, '}');
  }
  yoi_sdk_jsonw_close(&w, '}');
  return !out->failed;
}

void cli_config_model(const struct cli_config *c, struct yoi_sdk_buf *out) {
  const yoi_sdk_json *first = yoi_sdk_json_first(yoi_sdk_json_get(c->tree, "models"));
  const yoi_sdk_json *model = first;
  yoi_str name = {0}, plugin = {0}, id = {0}, url = {0};
  while (model && !(yoi_sdk_json_str(yoi_sdk_json_get(model, "name"), &name) &&
                    yoi_sdk_str_is(name, "main"))) {
    model = yoi_sdk_json_next(model);
  }
  if (!model) model = first;
  const yoi_sdk_json *config = yoi_sdk_json_get(model, "config");
  yoi_sdk_json_str(yoi_sdk_json_get(model, "name"), &name);
  yoi_sdk_json_str(yoi_sdk_json_get(model, "plugin"), &plugin);
  yoi_sdk_json_str(yoi_sdk_json_get(config, "model"), &id);
  yoi_sdk_json_str(yoi_sdk_json_get(config, "base_url"), &url);
  if (!model) {
    yoi_sdk_buf_adds(out, YOI_LIT("none is configured"));
  } else if (yoi_sdk_str_is(plugin, "dev.yoi.model-script")) {
    yoi_sdk_buf_adds(out, YOI_LIT("a script, no language model"));
  } else {
    if (id.len) {
      yoi_sdk_buf_addf(out, "'%.*s'", YOI_ARG(id));
    } else {
      yoi_sdk_buf_addf(out, "'%.*s' (%.*s)", YOI_ARG(name), YOI_ARG(plugin));
    }
    /* An address with a password in it stays in its file. */
    if (url.len && !memchr(url.ptr, '@', url.len)) {
      yoi_sdk_buf_addf(out, " at %.*s", YOI_ARG(url));
    }
  }
}

void cli_config_url(const struct cli_config *c, struct yoi_sdk_buf *out) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(c->tree, "ingress"));
  for (; v && !out->len; v = yoi_sdk_json_next(v)) {
    yoi_str surface = {0}, listen = {0};
    yoi_sdk_json_str(yoi_sdk_json_get(v, "surface"), &surface);
    yoi_sdk_json_str(yoi_sdk_json_get(v, "listen"), &listen);
    if (!yoi_sdk_str_is(surface, "browser") || !listen.len) continue;
    if ((listen.len > 2 && !memcmp(listen.ptr + listen.len - 2, ":0", 2)) ||
        yoi_sdk_str_starts(listen, YOI_LIT("socket:"))) {
      yoi_sdk_buf_adds(out, YOI_LIT("the address that the log line msg=listening names"));
    } else {
      yoi_sdk_buf_addf(out, "http://%.*s/", YOI_ARG(listen));
    }
  }
}
