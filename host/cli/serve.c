/* serve.c - yoi-host [serve] [CONFIG]: a host until a signal ends it.
 *
 *   read, check --> start --> serving --SIGINT, SIGTERM--> draining --> exit 0
 *                     |        |    ^                          |
 *                 READY=1      +----+ SIGHUP: another        STOPPING=1; a second one:
 *                                     config, RELOADING=1,     exit 128 + n at once
 *                                     then READY=1
 *
 * Listeners may be sockets that a service manager has bound (sockets.c); they
 * outlive this process, and whoever connects between two of them waits there.
 *
 * SIGUSR1 and SIGUSR2 are said to mean nothing. SIGHUP reads the file of the
 * config again, and the host takes it whole or goes on with the one it has.
 *
 * The log goes to standard error. To a terminal this says where to look and
 * what answers; a service manager has no use for that and does not get it.
 */
#include <errno.h>
#include <poll.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/jsonw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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

struct field {
  const char *name;
  yoi_str value;
};

/* A remark that does not end the program stands in its log, in the log's form:
 * who reads that line by line must not meet a stranger. */
static void remark_with(const struct cli_config *c, const char *level, const char *text,
                        const struct field *fields, size_t n) {
  char at[YOI_SDK_TIME_SIZE];
  struct timespec now;
  struct yoi_sdk_buf line;
  struct yoi_sdk_jsonw w;
  clock_gettime(CLOCK_REALTIME, &now);
  yoi_sdk_time_text((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, at);
  yoi_sdk_buf_init(&line, YOI_LOG_LINE_MAX);
  if (cli_config_logs_json(c)) {
    yoi_sdk_jsonw_init(&w, &line);
    yoi_sdk_jsonw_open(&w, '{');
    yoi_sdk_jsonw_kstr(&w, "time", yoi_sdk_str(at));
    yoi_sdk_jsonw_kstr(&w, "level", yoi_sdk_str(level));
    yoi_sdk_jsonw_kstr(&w, "msg", yoi_sdk_str(text));
    for (size_t i = 0; i < n; i++) yoi_sdk_jsonw_kstr(&w, fields[i].name, fields[i].value);
    yoi_sdk_jsonw_close(&w, '}');
  } else {
    yoi_sdk_buf_addf(&line, "time=%s level=%s msg=\"", at, level);
    yoi_sdk_json_escape(&line, yoi_sdk_str(text));
    yoi_sdk_buf_addc(&line, '"');
    for (size_t i = 0; i < n; i++) {
      yoi_sdk_buf_addf(&line, " %s=\"", fields[i].name);
      yoi_sdk_json_escape(&line, fields[i].value);
      yoi_sdk_buf_addc(&line, '"');
    }
  }
  if (!line.failed) fprintf(stderr, "%.*s\n", YOI_ARG(yoi_sdk_buf_str(&line)));
  yoi_sdk_buf_release(&line);
}

static void remark(const struct cli_config *c, const char *text) {
  remark_with(c, "warn", text, NULL, 0);
}

static void look_at_open_files(const struct cli_config *c) {
  struct rlimit limit;
  char text[256];
  uint64_t connections = cli_config_connections(c);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + FILES_BESIDE) return;
  snprintf(text, sizeof text,
           "the limit of open files is %llu, but the config allows %llu connections "
           "(`ulimit -n` raises it)",
           (unsigned long long)limit.rlim_cur, (unsigned long long)connections);
  remark(c, text);
}

static void notify(const struct cli_config *c, const char *message) {
  char text[256];
  const char *why = cli_notify(message);
  if (why == NULL) return;
  snprintf(text, sizeof text, "cannot tell the service manager at NOTIFY_SOCKET: %s", why);
  remark(c, text);
}

/* ---- another config --------------------------------------------------- */

static void on_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                       const char *message) {
  const struct cli_config *c = ctx;
  char place[32];
  (void)snprintf(place, sizeof place, "%u:%u", line, column);
  const struct field fields[] = {{"file", yoi_sdk_str(c->name)},
                                 {"place", yoi_sdk_str(place)},
                                 {"at", yoi_sdk_str(pointer)},
                                 {"error", yoi_sdk_str(message)}};
  remark_with(c, "error", "config finding", fields, 4);
}

/* What systemd wants to be told of a notify-reload service: when it began. */
static void notify_reloading(const struct cli_config *c) {
  char text[64];
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  (void)snprintf(
      text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
      (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000);
  notify(c, text);
}

/* *c is what is in force, before and after. */
static void reload(struct yoi_embed *host, struct cli_config *c, const char *path) {
  struct yoi_sdk_error se;
  struct cli_config fresh = {0};
  const char *why = NULL;
  notify_reloading(c);
  if (cli_config_read(path, &fresh, &why) != CLI_OK) {
    const struct field fields[] = {{"file", yoi_sdk_str(c->name)},
                                   {"error", yoi_sdk_str(why ? why : "see the line before")}};
    remark_with(c, "error", "reload refused", fields, 2);
  } else {
    if (yoi_host_reload(host, fresh.text, fresh.len, fresh.base_dir, on_finding, c,
                        yoi_sdk_error_init(&se)) == YOI_OK) {
      cli_config_release(c);
      *c = fresh;
      look_at_open_files(c);
    } else {
      cli_config_release(&fresh);
    }
  }
  notify(c, "READY=1");
}

/* Returns when a signal asks for the end. */
static int wait_for_end(struct yoi_embed *host, struct cli_config *c, const char *path,
                        int signals) {
  struct pollfd wait = {.fd = signals, .events = POLLIN};
  for (;;) {
    int number;
    while ((number = cli_signals_take(signals)) != 0) {
      if (cli_signals_end(number)) return 1;
      if (number == SIGHUP)
        reload(host, c, path);
      else
        remark(c, "SIGUSR1 and SIGUSR2 have no meaning here");
    }
    if (poll(&wait, 1, -1) < 0 && errno != EINTR) return 0;
  }
}

/* From the start to the end. */
static int run(struct cli_config *c, const char *path, struct yoi_embed *host, int signals) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  if (yoi_host_start(host, err) != YOI_OK) {
    cli_say_error("cannot start", err);
    return CLI_FAILED;
  }
  yoi_sdk_hard_begin();
  notify(c, "READY=1");
  if (isatty(STDOUT_FILENO)) announce(c);
  int code = wait_for_end(host, c, path, signals) ? CLI_OK : CLI_INTERNAL;
  notify(c, "STOPPING=1");
  cli_signals_exit_at_once();
  /* A turn that had to be cancelled is no failure of the program. */
  yoi_status st = yoi_host_drain(host, cli_config_drain_ms(c), err);
  if (st == YOI_OK || st == YOI_DEADLINE_EXCEEDED) return code;
  cli_say_error("cannot end in order", err);
  return CLI_INTERNAL;
}

int cli_serve(int argc, char **argv) {
  struct cli_config c = {0};
  yoi_host_options given = {.size = sizeof given};
  struct yoi_embed *host = NULL;
  const char *path = NULL, **const places[] = {&path};
  int check = 0;
  const struct cli_option options[] = {{"--check", NULL, &check}};
  int code = cli_arguments(argc, argv, options, 1, places, 1);
  if (code != CLI_OK) return code;
  if (check) return cli_check_file(path);
  if (!cli_sockets_take(&given)) return CLI_FAILED;
  code = cli_config_read(path, &c, NULL);
  if (code != CLI_OK) return code;
  int signals = cli_signals_open(1);
  if (signals < 0) {
    cli_say("cannot watch signals");
    code = CLI_INTERNAL;
  } else if ((code = cli_config_host(&c, &given, &host)) == CLI_OK) {
    look_at_open_files(&c);
    code = run(&c, path, host, signals);
  }
  yoi_host_free(host);
  if (signals >= 0) close(signals);
  cli_config_release(&c);
  return code;
}
