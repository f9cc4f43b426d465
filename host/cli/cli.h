/* cli.h - what the commands of yoi-host share.
 *
 * yoi-host is an application like any other: it knows abi/yoi.h and the sdk,
 * nothing of libyoi's inside, so that the embedding API is proven daily. Only
 * this program changes its process: signals, limits, standard streams.
 */
#ifndef YOI_CLI_H
#define YOI_CLI_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/str.h>
#include <yoi.h>

/* Exit codes; docs/operate.md. 128 + n: ended by the signal n. */
#define CLI_OK 0
#define CLI_INVALID 1  /* the config, a plugin or a bundle is wrong or cannot be read */
#define CLI_USAGE 2    /* the command line is wrong */
#define CLI_FAILED 3   /* the host could not start */
#define CLI_TURN 4     /* chat: a turn did not complete */
#define CLI_INTERNAL 5 /* it could not go on: no memory, no output, no order */
#define CLI_DAMAGED 6  /* store: what is there is damaged */
#define CLI_DENIED 7   /* policy explain: it is not allowed */

/* Each command: argv[0] is its name. */
int cli_serve(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_chat(int argc, char **argv);
int cli_config_schema(int argc, char **argv);
int cli_plugins(int argc, char **argv);
int cli_plugin(int argc, char **argv);
int cli_policy(int argc, char **argv);
int cli_store(int argc, char **argv);
int cli_bundle(int argc, char **argv);
int cli_version(int argc, char **argv);
/* `check` behind its command line; path NULL: the default config. */
int cli_check_file(const char *path);

#define CLI_LINE_MAX 2048 /* of what is said; longer is cut */

/* ---- words: to standard error, one line, with the program's name ------ */
/* Takes out of text, in place, what a terminal would obey: C0 but line feed
 * and tab, DEL, C1, and a character that was cut at the end. Parts of what is
 * said come from models, plugins and files. Returns text. */
char *cli_plain(char *text);
/* Adds s, at most so many bytes of it, on one line and with all that acts on a
 * screen, hides or changes places written as \u202e (safe.c); and how much was
 * left out. */
void cli_safe(struct yoi_sdk_buf *out, yoi_str s, size_t most);
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "WHAT: message", and the private detail: who starts a host owns its log. */
void cli_say_error(const char *what, const yoi_error *err);
/* A wrong command line: says it, and how to get help; returns CLI_USAGE. */
int cli_usage_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- arguments.c ------------------------------------------------------- */
/* An option: with a value, or a flag that is set to 1. */
struct cli_option {
  const char *name;
  const char **value;
  int *flag;
};
/* Takes argv[1] and on apart: options, and at most n_places words, each into
 * the next of `places`. CLI_OK, or CLI_USAGE: it was said what is wrong. */
int cli_arguments(int argc, char **argv, const struct cli_option *options, size_t n_options,
                  const char **const *places, size_t n_places);

/* ---- file.c ------------------------------------------------------------ */
/* All that fd gives, owned, NUL-terminated; NULL and errno (EFBIG: more than
 * max bytes). */
char *cli_file_read(int fd, size_t max, size_t *out_len);
/* Puts a file there whole, or nothing; replaces regular files only. 0: it was
 * said why not. */
int cli_file_write(const char *path, yoi_str bytes);

/* ---- config.c: the config as text ------------------------------------- */
struct cli_config {
  char *text; /* what the host is made from; the default's when no file */
  size_t len;
  char *base_dir;   /* NULL: no file */
  yoi_sdk_json *tree; /* of the text; NULL: it is not JSON */
  const char *name; /* for findings; borrowed from argv */
};
/* path NULL: the default config. Says what is wrong and returns an exit code; CLI_OK:
 * *out is to be released. With out_why, why a file cannot be read goes there in the place
 * of being said, valid until the next call. */
int cli_config_read(const char *path, struct cli_config *out, const char **out_why);
void cli_config_release(struct cli_config *c);
/* Sets the tree of the text. */
void cli_config_look(struct cli_config *c);
/* Prints every finding as file:line:column: message; the number of them, or
 * -1 when there was no memory to look. */
int cli_config_findings(const struct cli_config *c, int to_stderr);
/* The host of it, with what is given beside it. CLI_OK, or it was said what is
 * wrong. */
int cli_config_host(const struct cli_config *c, const yoi_host_options *given,
                    struct yoi_embed **out);
/* "drain_ms" of the config, or its default. */
uint32_t cli_config_drain_ms(const struct cli_config *c);
/* How many connections its listeners may have, all together. */
uint64_t cli_config_connections(const struct cli_config *c);
/* 1: the log is JSON, and so is every line that stands in it. */
int cli_config_logs_json(const struct cli_config *c);
/* The same config for a conversation in this process: no ingress, driven by
 * steps, and a log of errors only when it says nothing of a log. 0: no memory. */
int cli_config_for_steps(const struct cli_config *c, struct yoi_sdk_buf *out);
/* One line on the model that answers: `main`, else the first. */
void cli_config_model(const struct cli_config *c, struct yoi_sdk_buf *out);
/* Where a person looks: the first browser surface; empty when there is none. */
void cli_config_url(const struct cli_config *c, struct yoi_sdk_buf *out);

/* ---- remote.c: a runtime of another host --------------------------------- */
#define CLI_REMOTE "remote" /* its id */
/* 1: it is what --url takes, and not the path of a config. */
int cli_remote_is(const char *url);
/* As cli_config_read, with that runtime alone. */
int cli_remote_config(const char *url, struct cli_config *out);

/* ---- step_host.c: a host of a config within a command ------------------- */
/* Checks, makes and starts one for cli_config_for_steps's text. CLI_OK: *out is
 * the caller's; else what was wrong was said. */
int cli_step_host(const struct cli_config *c, struct yoi_embed **out);

/* ---- linked.c ---------------------------------------------------------- */
/* Tells the library what is linked into this program. 0: it said why not. */
int cli_link_plugins(void);

/* ---- signals.c --------------------------------------------------------- */
/* SIGINT and SIGTERM become readable on the descriptor, for a server also those
 * that others reload or reopen on; -1 on failure. */
int cli_signals_open(int serves);
/* The signal that came, 0 when none is left. */
int cli_signals_take(int fd);
/* 1: it asks for the end. */
int cli_signals_end(int number);
/* From now on either of them ends the process at once, with 128 + n. */
void cli_signals_exit_at_once(void);

/* ---- sockets.c --------------------------------------------------------- */
/* Sets the sockets that a service manager has given to this process, if any;
 * once. 0: it said what is wrong with what the manager says. */
int cli_sockets_take(yoi_host_options *out);

/* ---- notify.c ---------------------------------------------------------- */
/* Sends "NAME=value" lines to the service manager that started this, if any.
 * NULL, or why that was not possible. */
const char *cli_notify(const char *message);

#endif
