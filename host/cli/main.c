/* main.c - yoi-host: the commands, and what is done to the process.
 *
 * libyoi changes nothing of the process that it lives in, so this file does:
 *
 *  1. SIGPIPE and SIGXFSZ are ignored: a closed connection and a full quota
 *     are answers of write(), no reason to die.
 *  2. The soft limit of open files is raised to the hard one; a connection is
 *     a descriptor, and the usual 1024 is a limit of another time.
 *  3. Standard descriptors are open, so that no socket becomes number 2 and
 *     gets the log.
 *
 * A new command is a row of `commands`, a file of its own, and a line in
 * docs/operate.md.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <yoi/limits.h>

#include "cli.h"

static const struct command {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *usage;
  const char *what;
} commands[] = {
    {"serve", cli_serve, "[serve] [CONFIG]", "run the host until SIGINT or SIGTERM"},
    {"check", cli_check, "check [CONFIG]",
     "say everything that is wrong with a config; also --check"},
    {"chat", cli_chat,
     "chat [CONFIG | --url URL] [--profile builtin:NAME] [--runtime ID] [--worker ID] [--json]",
     "talk to a worker in this terminal, and allow what it asks for; nothing listens"},
    {"config-schema", cli_config_schema, "config-schema",
     "print the JSON Schema of a config, for editors"},
    {"plugins", cli_plugins,
     "plugins list [CONFIG] | show ID [CONFIG] | check [FILE.so | CONFIG] [--load]   [--json]",
     "say which plugins there are, and what is wrong with those that are not"},
    {"plugin", cli_plugin, "plugin new KIND NAME [--lang c | c++] [--id ID] [-o FOLDER]",
     "write a folder with a runtime, tool, policy or model that builds and has a test"},
    {"policy", cli_policy,
     "policy explain CONFIG OPERATION [--runtime ID] [--worker ID] [--principal NAME]\n"
     "      [--origin embed | runtime | browser] [--subject TEXT] [--body JSON] [--json]\n"
     "  policy explain CONFIG --tool NAME [--plugin ID] [--arguments JSON] [--grants JSON]\n"
     "      [--runtime ID] [--worker ID] [--principal NAME]\n"
     "      [--bundle allow | ask | deny] [--profile allow | ask | deny] [--json]",
     "say whether the policies of a config allow something, and why; exit 7 when they do not"},
    {"store", cli_store,
     "store check | repair | compact | export | cat | stat   CONFIG RUNTIME-ID\n"
     "      [--worker ID] [--to FOLDER] [--private] [--yes] [--json]",
     "look at, mend, or take out what a runtime keeps on a disk; no host may run it"},
    {"bundle", cli_bundle,
     "bundle build FOLDER [-o FILE]\n"
     "  yoi-host bundle lint FILE|FOLDER... [--json] | digest FILE|FOLDER\n"
     "  yoi-host bundle show FILE|FOLDER [--json] | diff A B\n"
     "  yoi-host bundle push CONFIG RUNTIME-ID FILE|FOLDER... [--json]\n"
     "  yoi-host bundle pull CONFIG RUNTIME-ID DIGEST [-o FILE]\n"
     "      (or --url URL in place of CONFIG RUNTIME-ID)",
     "make bundles of profiles, prompts and tools, look at them, and give them to a runtime"},
    {"version", cli_version, "version", "print the version"},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

void cli_say(const char *fmt, ...) {
  char line[CLI_LINE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  fprintf(stderr, "yoi-host: %s\n", cli_plain(line));
}

void cli_say_error(const char *what, const yoi_error *err) {
  cli_say("%s: %s", what, err->message[0] ? err->message : "no reason was given");
  if (err->private_detail[0]) cli_say("  %s", err->private_detail);
}

int cli_usage_error(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fputs("yoi-host: ", stderr);
  vfprintf(stderr, fmt, args);
  fputs("; `yoi-host --help` lists what there is\n", stderr);
  va_end(args);
  return CLI_USAGE;
}

static int help(void) {
  puts("yoi-host runs LLM agent workers.\n");
  for (size_t i = 0; i < N_COMMANDS; i++) {
    printf("  yoi-host %s\n      %s\n", commands[i].usage, commands[i].what);
  }
  puts(
      "\nWithout CONFIG the default is used: one worker runtime in memory, a page and an\n"
      "API for people on http://127.0.0.1:38800/, and the language model of\n"
      "OPENAI_BASE_URL when that is set.\n\n"
      "Exit codes: 0 fine, 1 the config, a plugin or a bundle is wrong, or two bundles differ,\n"
      "2 the command line is wrong, 3 the host could not start or a runtime refused, 4 a turn\n"
      "of a chat did not complete, 5 it could not go on, 6 what a runtime keeps is damaged,\n"
      "7 policy does not allow it, 128 + n ended by signal n.");
  return fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
}

int cli_version(int argc, char **argv) {
  if (argc > 1) return cli_usage_error("'%s' takes no argument", argv[0]);
  printf("yoi-host %s\n", yoi_version());
  return fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
}

static void raise_open_files(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* 1: descriptors 0 to 2 are open. */
static int standard_descriptors(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return 0;
  } while (fd <= 2 && fcntl(fd, F_SETFD, 0) == 0);
  close(fd);
  return 1;
}

static void ignore(int number) {
  struct sigaction action = {.sa_handler = SIG_IGN};
  sigaction(number, &action, NULL);
}

int main(int argc, char **argv) {
  if (!standard_descriptors()) return CLI_INTERNAL;
  ignore(SIGPIPE);
  ignore(SIGXFSZ);
  if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) return help();
  if (argc > 1 && !strcmp(argv[1], "--version")) {
    argc = 1;
    return cli_version(argc, argv);
  }
  for (int i = 2; i < argc; i++) {
    if (!strcmp(argv[i], "--help")) return help();
  }
  if (argc == 2 && !strcmp(argv[1], "help")) return help();
  if (!cli_link_plugins()) return CLI_FAILED;
  raise_open_files();
  for (size_t i = 0; argc > 1 && i < N_COMMANDS; i++) {
    if (!strcmp(argv[1], commands[i].name)) return commands[i].run(argc - 1, argv + 1);
  }
  /* Read as a config, a mistyped command would be blamed on a missing file. */
  if (argc > 1 && argv[1][0] != '-' && !strpbrk(argv[1], "./") && access(argv[1], F_OK) != 0)
    return cli_usage_error("'%s' is no command, and there is no config of that name", argv[1]);
  return cli_serve(argc, argv);
}
