/* serve.c - yoi-host [serve] [CONFIG]: a host until a signal ends it.
 *
 *   read, check --> start --> serving --SIGINT, SIGTERM--> draining --> exit 0
 *                                                             |
 *                                          a second one: exit 128 + n at once
 *
 * The log goes to standard error. To a terminal this says where to look and
 * what answers; a service manager has no use for that and does not get it.
 */
#include <errno.h>
#include <poll.h>
#include <sdk/id.h>
#include <sdk/jsonw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define WORDS_MAX 4096 /* a line for a person: a model's name and an address */

static void announce(const struct cli_config *c) {
  struct yoi_sdk_buf model, url;
  yoi_sdk_buf_init(&model, WORDS_MAX);
  yoi_sdk_buf_init(&url, WORDS_MAX);
  cli_config_model(c, &model);
  cli_config_url(c, &url);
  printf("\n  yoi-host %s is ready\n", yoi_version());
  if (url.len) printf("  look at   %.*s\n", YOI_ARG(yoi_sdk_buf_str(&url)));
  printf("  model     %.*s\n  end it    Ctrl-C\n\n", YOI_ARG(yoi_sdk_buf_str(&model)));
  fflush(stdout);
  yoi_sdk_buf_release(&model);
  yoi_sdk_buf_release(&url);
}

/* What a connection is beside: loops, listeners, plugins' own. */
#define FILES_BESIDE 256

/* A remark that does not end the program stands in its log, in the log's form:
 * who reads that line by line must not meet a stranger. */
static void remark(const struct cli_config *c, const char *text) {
  char at[YOI_SDK_TIME_SIZE];
  struct timespec now;
  struct yoi_sdk_buf line;
  struct yoi_sdk_jsonw w;
  if (!cli_config_logs_json(c)) {
    cli_say("%s", text);
    return;
  }
  clock_gettime(CLOCK_REALTIME, &now);
  yoi_sdk_time_text((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, at);
  yoi_sdk_buf_init(&line, YOI_LOG_LINE_MAX);
  yoi_sdk_jsonw_init(&w, &line);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "time", yoi_sdk_str(at));
  yoi_sdk_jsonw_kstr(&w, "level", YOI_LIT("warn"));
  yoi_sdk_jsonw_kstr(&w, "msg", yoi_sdk_str(text));
  yoi_sdk_jsonw_close(&w, '}');
  if (!line.failed) fprintf(stderr, "%.*s\n", YOI_ARG(yoi_sdk_buf_str(&line)));
  yoi_sdk_buf_release(&line);
}

static void look_at_open_files(const struct cli_config *c) {
  struct rlimit limit;
  char text[256];
  uint64_t connections = cli_config_connections(c);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + FILES_BESIDE)
    return;
  snprintf(text, sizeof text,
           "the limit of open files is %llu, but the config allows %llu connections "
           "(`ulimit -n` raises it)",
           (unsigned long long)limit.rlim_cur, (unsigned long long)connections);
  remark(c, text);
}

int cli_serve(int argc, char **argv) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_embed *host = NULL;
  struct cli_config c = {0};
  const char *path = argc > 1 ? argv[1] : NULL;
  int signals = -1, code;
  if (path && path[0] == '-') return cli_usage_error("unknown option '%s'", path);
  if (argc > 2) return cli_usage_error("'%s' is one argument too many", argv[2]);
  code = cli_config_read(path, &c);
  if (code != CLI_OK) return code;

  code = CLI_FAILED;
  signals = cli_signals_open();
  if (signals < 0) {
    cli_say("cannot watch signals");
    goto out;
  }
  if (cli_config_findings(&c, 1) > 0) {
    code = CLI_INVALID;
    goto out;
  }
  look_at_open_files(&c);
  if (yoi_host_new(c.text, c.len, c.base_dir, &host, err) != YOI_OK ||
      yoi_host_start(host, err) != YOI_OK) {
    cli_say_error("cannot start", err);
    goto out;
  }
  if (isatty(STDOUT_FILENO)) announce(&c);

  struct pollfd wait = {.fd = signals, .events = POLLIN};
  while (cli_signals_take(signals) == 0) {
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) break;
  }
  cli_signals_exit_at_once();
  /* A turn that had to be cancelled is no failure of the program. */
  yoi_status st = yoi_host_drain(host, cli_config_drain_ms(&c), err);
  code = st == YOI_OK || st == YOI_DEADLINE_EXCEEDED ? CLI_OK : CLI_FAILED;
  if (code != CLI_OK) cli_say_error("cannot end in order", err);
out:
  yoi_host_free(host);
  if (signals >= 0) close(signals);
  cli_config_release(&c);
  return code;
}
