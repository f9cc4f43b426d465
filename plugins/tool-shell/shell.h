/* shell.h - the plugin's parts.
 *
 *   plugin.c   the table; which sandbox there is
 *   ask.c      what is asked and what is granted, made into a job
 *   git.c      what of git may be asked, and how git is called
 *   gitcfg.c   what may stand in the config of a repository
 *   spawn.c    starting a runner, and waiting for its end
 *   stream.c   one call
 *   text.c     output, made harmless
 *   runner/    the program that does what is dangerous (runner/job.h)
 *
 *  1. PARALLEL: nothing waits. To start a runner takes what a vfork and an exec
 *     take; everything slow is in the runner, behind a pipe and a socket that
 *     the loop watches. A SERIAL plugin would run one command at a time.
 *  2. A stream, and the child that it has, belong to the loop it was started
 *     on. Only cancel comes from elsewhere; `lock` of the stream is for it.
 *  3. A child stands in the plugin's list from its start until it has been
 *     waited for, whoever else has let go of it.
 */
#ifndef TOOL_SHELL_SHELL_H
#define TOOL_SHELL_SHELL_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/str.h>
#include <yoi/host_grant.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_mount.h>
#include <yoi/tool.h>

#include "runner/job.h"

struct sh_child;

struct sh_plugin {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_grant *grant;
  const yoi_host_mount *mount;
  const yoi_host_log *log; /* may be NULL */
  int runner;              /* memory file with the program */
  uint32_t mode;           /* enum sh_mode; 0: nothing runs, `refusal` says why */
  char refusal[256];
  pthread_mutex_t lock;
  struct sh_child *children; /* under lock */
  uint32_t n_children;
};

/* ---- spawn.c ---- */
struct sh_child {
  struct sh_plugin *plugin;
  struct sh_child *next; /* under the plugin's lock */
  int process;           /* pidfd */
  int output, control;   /* ours: of the pipe, and the socket; -1: closed */
  uint64_t watch;        /* of the process, once nobody else has it; 0: none */
};

/* All of what a runner is given. The texts end with a NUL each. */
struct sh_start {
  struct sh_job job;
  struct {
    struct yoi_sdk_buf cwd, argv, env;
  } text;
  yoi_str input;  /* borrowed */
  int32_t folder; /* of the mount; owned, -1: none */
};
void sh_start_init(struct sh_start *s);
void sh_start_release(struct sh_start *s);
void sh_start_arg(struct sh_start *s, yoi_str arg);
void sh_start_env(struct sh_start *s, yoi_str name, yoi_str value);

/* A sealed memory file with the program; -1 and errno. */
int sh_runner_file(void);
yoi_status sh_spawn(struct sh_plugin *p, const struct sh_start *s, struct sh_child **out,
                    yoi_error *err);
/* Ends it if it runs, waits for nothing. On a loop, or in close. */
void sh_child_let_go(struct sh_child *c);
/* Waits for its end, at most ms, and forgets it: 1 when it has ended. */
int sh_child_join(struct sh_child *c, int ms);

/* ---- ask.c ---- */
struct sh_ask {
  yoi_sdk_json *arguments, *value; /* owned */
  struct sh_start start;
  const yoi_sdk_json *argv; /* in arguments; NULL: a script */
  yoi_str script;
  yoi_str tool; /* "shell" or "git": the kind of the grant */
  uint64_t wall_ms; /* of the operator */
  uint64_t deadline_ns;
};
yoi_status sh_ask_read(struct sh_plugin *p, const yoi_tool_request *req, const char *kind,
                       struct sh_ask *a, yoi_error *err);
/* How long it may run from now on, into the job. */
void sh_ask_time(struct sh_ask *a);
void sh_ask_release(struct sh_ask *a);
/* One of the texts of a list of the operator's. */
int sh_listed(const yoi_sdk_json *list, yoi_str text);

/* ---- git.c ---- */
struct sh_git {
  int network;     /* of the subcommand: it talks to a remote */
  int init;        /* there need be no repository */
  char *remote;    /* as it is named; NULL: none */
  yoi_str command; /* the subcommand, in the arguments */
};
/* What is wrong with the words of the model. */
yoi_status sh_git_check(const struct sh_ask *a, struct sh_git *g, yoi_error *err);
void sh_git_release(struct sh_git *g);
/* The command line of "what is in the config?", and of the command itself. */
void sh_git_ask_config(struct sh_start *s);
void sh_git_command(const struct sh_ask *a, struct sh_start *s);
/* Environment of both. */
void sh_git_environment(const struct sh_ask *a, struct sh_start *s);

/* ---- gitcfg.c ---- */
/* listing: what `git config --list -z` says. */
yoi_status sh_gitcfg_check(const struct sh_ask *a, const struct sh_git *g, yoi_str listing,
                           yoi_error *err);

/* ---- stream.c ---- */
/* Takes over ask's content in either case. */
yoi_status sh_stream_start(struct sh_plugin *p, const yoi_tool_request *req, struct sh_ask *a,
                           yoi_stream **out, yoi_error *err);

/* ---- text.c ---- */
struct sh_text {
  unsigned char tail[4]; /* the beginning of a character */
  size_t n_tail;
  int cr;   /* the last byte was one */
  int line; /* something stands in the last line */
};
/* Appends what in becomes; `last`: no more comes. */
void sh_text_clean(struct sh_text *t, yoi_str in, int last, struct yoi_sdk_buf *out);

#endif
