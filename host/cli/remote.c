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

/* What http-remote is told. */
static void write_config(struct yoi_sdk_buf *out, yoi_str url, int has_token) {
  int is_unix = yoi_sdk_str_starts(url, YOI_LIT(UNIX));
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "base_url", is_unix ? YOI_LIT("http://localhost") : url);
  if (is_unix)
    yoi_sdk_jsonw_kstr(&w, "socket",
                       (yoi_str){url.ptr + sizeof UNIX - 1, url.len - (sizeof UNIX - 1)});
  if (has_token) yoi_sdk_jsonw_kstr(&w, "token", YOI_LIT("secret:token"));
  yoi_sdk_jsonw_kstr_opt(&w, "ca_file", set("YOI_CA_FILE"));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_buf_addc(out, '\0');
}

int cli_remote_config(const char *url, struct cli_config *out) {
  struct yoi_sdk_error se;
  struct yoi_sdk_buf text;
  int by_file = set("YOI_TOKEN_FILE").len > 0, has_token = by_file || set("YOI_TOKEN").len > 0;
  *out = (struct cli_config){.name = url};
  if (!cli_remote_is(url))
    return cli_usage_error("'%s' is no URL: it is http://HOST, https://HOST or unix:PATH", url);
  yoi_sdk_buf_init(&text, YOI_CONFIG_BYTES_MAX);
  write_config(&text, yoi_sdk_str(url), has_token);
  struct yoi_config *c = text.failed ? NULL : yoi_config_new();
  yoi_config_runtime(c, CLI_REMOTE, "dev.yoi.http-remote", text.data);
  if (has_token)
    yoi_config_set(c, "local",
                   by_file ? "{\"secrets\":{\"token\":{\"file\":\"${YOI_TOKEN_FILE}\"}}}"
                           : "{\"secrets\":{\"token\":{\"env\":\"YOI_TOKEN\"}}}");
  yoi_status st = yoi_config_text(c, &out->text, &out->len, yoi_sdk_error_init(&se));
  if (st == YOI_OK) cli_config_look(out);
  else cli_say_error("cannot make a config of the URL", &se.e);
  yoi_config_free(c);
  yoi_sdk_buf_release(&text);
  return st == YOI_OK ? CLI_OK : CLI_INTERNAL;
}
