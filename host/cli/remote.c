/* remote.c - a runtime of another host, for the commands that take --url.
 *
 * They need no config of their own: one is made here, with the runtime `remote`
 * of http-remote and nothing else. The token comes from the environment or from
 * a file that it names, since what stands on a command line is seen by all who
 * may list processes:
 *
 *   YOI_TOKEN        the token, or
 *   YOI_TOKEN_FILE   a file with it
 *   YOI_CA_FILE      certificates that are trusted instead of the system's
 */
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <stdlib.h>

#include "cli.h"

#define UNIX "unix:"

int cli_remote_is(const char *url) {
  yoi_str s = yoi_sdk_str(url);
  return yoi_sdk_str_starts(s, YOI_LIT("http://")) || yoi_sdk_str_starts(s, YOI_LIT("https://")) ||
         yoi_sdk_str_starts(s, YOI_LIT(UNIX));
}

static yoi_str set(const char *name) {
  return yoi_sdk_str(getenv(name));
}

static void write_runtime(struct yoi_sdk_jsonw *w, yoi_str url, int has_token) {
  int is_unix = yoi_sdk_str_starts(url, YOI_LIT(UNIX));
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "id", YOI_LIT(CLI_REMOTE));
  yoi_sdk_jsonw_kstr(w, "plugin", YOI_LIT("dev.yoi.http-remote"));
  yoi_sdk_jsonw_key(w, "config");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "base_url", is_unix ? YOI_LIT("http://localhost") : url);
  if (is_unix)
    yoi_sdk_jsonw_kstr(w, "socket",
                       (yoi_str){url.ptr + sizeof UNIX - 1, url.len - (sizeof UNIX - 1)});
  if (has_token) yoi_sdk_jsonw_kstr(w, "token", YOI_LIT("secret:token"));
  yoi_sdk_jsonw_kstr_opt(w, "ca_file", set("YOI_CA_FILE"));
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, '}');
}

static void write_token(struct yoi_sdk_jsonw *w) {
  yoi_str file = set("YOI_TOKEN_FILE");
  yoi_sdk_jsonw_key(w, "local");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_key(w, "secrets");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_key(w, "token");
  yoi_sdk_jsonw_open(w, '{');
  if (file.len)
    yoi_sdk_jsonw_kstr(w, "file", file);
  else
    yoi_sdk_jsonw_kstr(w, "env", YOI_LIT("YOI_TOKEN"));
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_close(w, '}');
}

int cli_remote_config(const char *url, struct cli_config *out) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_jsonw w;
  int has_token = set("YOI_TOKEN").len > 0 || set("YOI_TOKEN_FILE").len > 0;
  *out = (struct cli_config){.name = url};
  if (!cli_remote_is(url))
    return cli_usage_error("'%s' is no URL: it is http://HOST, https://HOST or unix:PATH", url);
  yoi_sdk_buf_init(&text, YOI_CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &text);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "runtimes");
  yoi_sdk_jsonw_open(&w, '[');
  write_runtime(&w, yoi_sdk_str(url), has_token);
  yoi_sdk_jsonw_close(&w, ']');
  if (has_token) write_token(&w);
  yoi_sdk_jsonw_close(&w, '}');
  out->base_dir = yoi_sdk_strndup(".", 1);
  out->text = yoi_sdk_buf_take(&text, &out->len);
  if (out->text && out->base_dir) return CLI_OK;
  cli_say("out of memory");
  yoi_sdk_buf_release(&text);
  cli_config_release(out);
  return CLI_INTERNAL;
}
