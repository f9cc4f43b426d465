/* store.c - yoi-host store VERB CONFIG RUNTIME-ID: what a runtime keeps, while
 * no host runs it.
 *
 * The verbs are the plugin's (yoi/offline.h); this file knows no storage. It
 * hands over options and shows what is said:
 *
 *   output             standard output, a line of JSON each; `stat` as a table
 *   findings, summary  standard output where they are what was asked for
 *                      (check, repair, compact), else standard error
 *   progress           standard error, when that is a terminal
 *
 * SIGINT and SIGTERM ask the verb to stop, and are seen whenever it says
 * something; a second one ends the process.
 */
#include <errno.h>
#include <poll.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define PROGRESS_MS 250  /* a person reads no faster */
#define PROGRESS_MAX 100 /* bytes of one: it must fit into a line */
#define NAME_WIDTH 20    /* of the left column of stat */
#define NAME_MAX_BYTES 512

static const struct verb {
  const char *name;
  int findings; /* they are what was asked for */
  int table;    /* output is for people too */
} verbs[] = {{"check", 1, 0},  {"repair", 1, 0}, {"compact", 1, 0},
             {"export", 0, 0}, {"cat", 0, 0},    {"stat", 0, 1}};

struct arguments {
  const struct verb *verb;
  const char *config, *runtime, *worker, *to;
  int json, apply, is_private;
};

struct run {
  const struct arguments *a;
  int signals;           /* a descriptor */
  int signal;            /* the one that came */
  int broken;            /* standard output takes nothing more */
  int terminal, watched; /* standard output is one, standard error is one */
  int line;              /* a progress stands in the terminal's last line */
  uint64_t shown_ms;
};

/* ---- words ----------------------------------------------------------------- */

static void clear_progress(struct run *r) {
  if (r->line) fputs("\r\033[K", stderr);
  r->line = 0;
}

/* A text of others, as one line. 0: no memory. */
static int put(FILE *to, yoi_str text, int plain) {
  if (!plain) {
    fwrite(text.ptr, 1, text.len, to);
    fputc('\n', to);
    return 1;
  }
  char *copy = yoi_sdk_strndup(text.ptr, text.len);
  if (!copy) return 0;
  fprintf(to, "%s\n", cli_plain(copy));
  yoi_sdk_free(copy);
  return 1;
}

static int put_buf(FILE *to, struct yoi_sdk_buf *b) {
  int ok = !b->failed && put(to, yoi_sdk_buf_str(b), 1);
  yoi_sdk_buf_release(b);
  return ok;
}

/* {"NAME": what was said} */
static int put_named(FILE *to, const char *name, yoi_str json) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, json.len + NAME_MAX_BYTES);
  yoi_sdk_buf_addf(&b, "{\"%s\":%.*s}", name, YOI_ARG(json));
  return put_buf(to, &b);
}

static yoi_str text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

/* file:line: severity: message (worker 'w', byte 17) */
static int put_finding(FILE *to, const yoi_sdk_json *v) {
  struct yoi_sdk_buf b;
  yoi_str file = text(v, "file"), worker = text(v, "worker");
  int64_t line = 0, offset = 0;
  int placed = yoi_sdk_json_int(yoi_sdk_json_get(v, "offset"), &offset);
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&b, file);
  if (yoi_sdk_json_int(yoi_sdk_json_get(v, "line"), &line))
    yoi_sdk_buf_addf(&b, ":%lld", (long long)line);
  yoi_sdk_buf_addf(&b, "%s%.*s: %.*s", b.len ? ": " : "", YOI_ARG(text(v, "severity")),
                   YOI_ARG(text(v, "message")));
  if (worker.len) yoi_sdk_buf_addf(&b, " (worker '%.*s'", YOI_ARG(worker));
  if (placed) yoi_sdk_buf_addf(&b, "%sbyte %lld", worker.len ? ", " : " (", (long long)offset);
  if (worker.len || placed) yoi_sdk_buf_addc(&b, ')');
  return put_buf(to, &b);
}

/* Members, those of inner objects behind a dot. Depth: YOI_JSON_DEPTH_MAX. */
static int put_table(FILE *to, const yoi_sdk_json *v, const char *before) {
  int ok = 1;
  for (v = yoi_sdk_json_first(v); v && ok; v = yoi_sdk_json_next(v)) {
    char name[NAME_MAX_BYTES];
    struct yoi_sdk_buf b;
    struct yoi_sdk_jsonw w;
    yoi_str word;
    snprintf(name, sizeof name, "%s%.*s", before, YOI_ARG(yoi_sdk_json_key(v)));
    if (yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT) {
      size_t n = strlen(name);
      snprintf(name + n, sizeof name - n, ".");
      ok = put_table(to, v, name);
      continue;
    }
    yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
    yoi_sdk_buf_addf(&b, "%-*s ", NAME_WIDTH, name);
    yoi_sdk_jsonw_init(&w, &b);
    if (yoi_sdk_json_str(v, &word)) {
      yoi_sdk_buf_adds(&b, word);
    } else if (yoi_sdk_json_type(v) == YOI_SDK_JSON_NULL) {
      yoi_sdk_buf_addc(&b, '-');
    } else {
      yoi_sdk_json_write(v, &w);
    }
    ok = put_buf(to, &b);
  }
  return ok;
}

/* ---- what is said ----------------------------------------------------------- */

static yoi_status go_on(struct run *r) {
  struct pollfd p = {.fd = r->signals, .events = POLLIN};
  while (!r->signal && poll(&p, 1, 0) > 0) {
    int number = cli_signals_take(r->signals);
    if (!number) break;
    if (!cli_signals_end(number)) continue;
    r->signal = number;
    cli_signals_exit_at_once();
  }
  return r->signal || r->broken ? YOI_CANCELLED : YOI_OK;
}

static int show(struct run *r, uint32_t kind, yoi_str json) {
  const struct arguments *a = r->a;
  FILE *to = kind == YOI_OFFLINE_OUTPUT || a->verb->findings ? stdout : stderr;
  int table = kind == YOI_OFFLINE_OUTPUT && a->verb->table && !a->json, ok;
  if (kind == YOI_OFFLINE_OUTPUT && !table) return put(to, json, r->terminal);
  if (a->json) return put_named(to, kind == YOI_OFFLINE_FINDING ? "finding" : "summary", json);
  yoi_sdk_json *tree = NULL;
  if (yoi_sdk_json_parse(json, 0, &tree, NULL) != YOI_OK) return 0;
  ok = table                         ? put_table(to, tree, "")
       : kind == YOI_OFFLINE_FINDING ? put_finding(to, tree)
                                     : put(to, text(tree, "message"), 1);
  yoi_sdk_json_free(tree);
  return ok;
}

static yoi_status say(void *ctx, uint32_t kind, yoi_str json) {
  struct run *r = ctx;
  clear_progress(r);
  if (!show(r, kind, json) || ferror(stdout)) r->broken = 1;
  return go_on(r);
}

static uint64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static yoi_status progress(void *ctx, yoi_str what, uint64_t done, uint64_t total) {
  struct run *r = ctx;
  uint64_t now = now_ms();
  if (!r->watched || (r->shown_ms && now - r->shown_ms < PROGRESS_MS)) return go_on(r);
  char line[PROGRESS_MAX];
  if (total) {
    snprintf(line, sizeof line, "%.*s: %.0f %%", YOI_ARG(what),
             100.0 * (double)(done < total ? done : total) / (double)total);
  } else {
    snprintf(line, sizeof line, "%.*s: %llu", YOI_ARG(what), (unsigned long long)done);
  }
  fprintf(stderr, "\r%s\033[K", cli_plain(line));
  r->line = 1;
  r->shown_ms = now;
  return go_on(r);
}

/* ---- the command ------------------------------------------------------------ */

static void write_options(const struct arguments *a, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  if (a->worker) yoi_sdk_jsonw_kstr(&w, "worker", yoi_sdk_str(a->worker));
  if (a->to) yoi_sdk_jsonw_kstr(&w, "to", yoi_sdk_str(a->to));
  if (a->is_private) yoi_sdk_jsonw_kbool(&w, "private", 1);
  if (a->apply) yoi_sdk_jsonw_kbool(&w, "apply", 1);
  yoi_sdk_jsonw_close(&w, '}');
}

static int exit_code(const struct run *r, yoi_status st) {
  if (r->broken) return CLI_INTERNAL;
  if (r->signal) return 128 + r->signal;
  switch (st) {
    case YOI_OK:
      return CLI_OK;
    case YOI_DATA_LOSS:
      return CLI_DAMAGED;
    case YOI_INVALID_ARGUMENT:
    case YOI_UNIMPLEMENTED:
      return CLI_USAGE;
    case YOI_RESOURCE_EXHAUSTED:
      return CLI_INTERNAL;
    default:
      return CLI_FAILED;
  }
}

static int run(const struct arguments *a, const struct cli_config *c) {
  struct run r = {.a = a, .terminal = isatty(STDOUT_FILENO), .watched = isatty(STDERR_FILENO)};
  yoi_offline_sink sink = {.size = sizeof sink, .ctx = &r, .say = say, .progress = progress};
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_buf options;
  char what[NAME_MAX_BYTES];
  r.signals = cli_signals_open(0);
  if (r.signals < 0) {
    cli_say("cannot wait for signals: %s", strerror(errno));
    return CLI_INTERNAL;
  }
  yoi_sdk_buf_init(&options, YOI_JSON_BYTES_MAX);
  write_options(a, &options);
  yoi_status st =
      options.failed
          ? yoi_sdk_fail_memory(err)
          : yoi_offline_run(c->text, c->len, c->base_dir, yoi_sdk_str(a->runtime),
                            yoi_sdk_str(a->verb->name), yoi_sdk_buf_str(&options), &sink, err);
  yoi_sdk_buf_release(&options);
  clear_progress(&r);
  if (fflush(stdout) != 0) r.broken = 1;
  if (r.broken) {
    cli_say("standard output takes nothing more");
  } else if (st != YOI_OK && !r.signal) {
    if (st == YOI_DATA_LOSS)
      snprintf(what, sizeof what, "runtime '%.128s'", a->runtime);
    else
      snprintf(what, sizeof what, "cannot %s what '%.128s' keeps", a->verb->name, a->runtime);
    cli_say_error(what, err);
  }
  close(r.signals);
  return exit_code(&r, st);
}

static const struct verb *find_verb(const char *name) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
    if (!strcmp(name, verbs[i].name)) return &verbs[i];
  return NULL;
}

int cli_store(int argc, char **argv) {
  struct arguments a = {0};
  const char *name = NULL, **const places[] = {&name, &a.config, &a.runtime};
  const struct cli_option options[] = {{"--worker", &a.worker, NULL},
                                       {"--to", &a.to, NULL},
                                       {"--private", NULL, &a.is_private},
                                       {"--yes", NULL, &a.apply},
                                       {"--json", NULL, &a.json}};
  int code = cli_arguments(argc, argv, options, sizeof options / sizeof *options, places,
                           sizeof places / sizeof *places);
  if (code != CLI_OK) return code;
  a.verb = find_verb(name ? name : "");
  if (!a.verb) return cli_usage_error("'store' takes check, repair, compact, export, cat or stat");
  if (!a.runtime)
    return cli_usage_error("'store %s' takes a config and the id of a runtime in it", name);
  struct cli_config c = {0};
  code = cli_config_read(a.config, &c, NULL);
  if (code != CLI_OK) return code;
  int findings = cli_config_findings(&c, 1);
  code = findings == 0 ? run(&a, &c) : findings > 0 ? CLI_INVALID : CLI_INTERNAL;
  cli_config_release(&c);
  return code;
}
