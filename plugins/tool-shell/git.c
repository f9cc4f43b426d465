/* git.c - what of git may be asked, and how git is called.
 *
 * A repository is not to be trusted: its config, its attributes and its hooks
 * name programs, and git runs them when it is asked for something harmless. All
 * of it runs in the sandbox of shell_run, where it could do no more than a
 * script may; but an operator who allows git_run and not shell_run wants git,
 * and nothing but git. So, one behind the other:
 *
 *   1. Subcommands are those below that the operator has listed. What is not
 *      below is there to run programs (bisect, filter-branch, submodule,
 *      difftool, send-email), to serve, or has not been looked at.
 *   2. The first word is the subcommand: no option of git itself (-c, -C,
 *      --git-dir, --exec-path) can be in front of it.
 *   3. Of the others, options that name a program or a file to write are
 *      refused, also abbreviated, as git takes them. Commands that talk to a
 *      remote take the few options below and no other.
 *   4. The repository's config holds only settings that run nothing and lead
 *      nowhere, or nothing runs (gitcfg.c).
 *   5. Hooks, helpers, pagers, editors, prompts and the config of system and
 *      user are off by environment and by -c, which win over the repository.
 *   6. A remote is named in the list, by its address. Only the schemes of the
 *      list are spoken, and no redirect is followed.
 */
#include <sdk/mem.h>
#include <string.h>

#include "shell.h"

enum { LOCAL, REMOTE, CLONE };

static const struct {
  const char *name;
  int kind;
} commands[] = {
    {"add", LOCAL},          {"annotate", LOCAL},   {"apply", LOCAL},       {"blame", LOCAL},
    {"branch", LOCAL},       {"cat-file", LOCAL},   {"check-ignore", LOCAL}, {"checkout", LOCAL},
    {"cherry-pick", LOCAL},  {"clean", LOCAL},      {"clone", CLONE},       {"commit", LOCAL},
    {"count-objects", LOCAL}, {"describe", LOCAL},  {"diff", LOCAL},        {"diff-tree", LOCAL},
    {"fetch", REMOTE},       {"for-each-ref", LOCAL}, {"fsck", LOCAL},      {"grep", LOCAL},
    {"hash-object", LOCAL},  {"init", LOCAL},       {"log", LOCAL},         {"ls-files", LOCAL},
    {"ls-remote", REMOTE},   {"ls-tree", LOCAL},    {"merge", LOCAL},       {"merge-base", LOCAL},
    {"mv", LOCAL},           {"name-rev", LOCAL},   {"notes", LOCAL},       {"pull", REMOTE},
    {"push", REMOTE},        {"rebase", LOCAL},     {"reflog", LOCAL},      {"reset", LOCAL},
    {"restore", LOCAL},      {"rev-list", LOCAL},   {"rev-parse", LOCAL},   {"revert", LOCAL},
    {"rm", LOCAL},           {"shortlog", LOCAL},   {"show", LOCAL},        {"show-ref", LOCAL},
    {"stash", LOCAL},        {"status", LOCAL},     {"switch", LOCAL},      {"symbolic-ref", LOCAL},
    {"tag", LOCAL},          {"version", LOCAL},    {"whatchanged", LOCAL},
};

/* Options of local commands that run a program, write a file of any name, or
 * go into repositories inside, whose config nobody has looked at. */
static const char *const refused[] = {
    "--exec",     "--open-files-in-pager", "--output",    "--ext-diff",
    "--textconv", "--recurse-submodules",  "--submodule", "--ignore-submodules",
    "--template", "--separate-git-dir",
};

/* Letters that stand for refused ones, and letters behind which, in the same
 * word, there is a value. */
static const struct {
  const char *command, *letters, *with_value;
} refused_letters[] = {{"grep", "O", "efABCm"}, {"rebase", "x", "CsXS"}};

/* All that commands with a remote take; a value stands behind `=`. */
static const char *const for_remotes[] = {
    "--branch",   "--depth",         "--deepen",      "--single-branch", "--no-single-branch",
    "--no-tags",  "--tags",          "--quiet",       "--verbose",       "--prune",
    "--no-prune", "--dry-run",       "--force",       "--ff-only",       "--no-ff",
    "--ff",       "--rebase",        "--no-rebase",   "--no-commit",     "--bare",
    "--heads",    "--refs",          "--no-checkout", "--set-upstream",  "--delete",
    "--atomic",   "--porcelain",     "--unshallow",   "--no-edit",       "--progress",
    "--symref",   "--no-progress",   "--exit-code",   "--autostash",     "--no-autostash",
    "-q",         "-v",              "-f",            "-n",              "-u",
    "--force-with-lease",
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static yoi_str option_name(yoi_str word) {
  const char *eq = memchr(word.ptr, '=', word.len);
  if (eq != NULL) word.len = (size_t)(eq - word.ptr);
  return word;
}

static int one_of(const char *const *list, size_t n, yoi_str name) {
  for (size_t i = 0; i < n; i++)
    if (yoi_sdk_str_is(name, list[i])) return 1;
  return 0;
}

/* git takes "--exe" for "--exec" where nothing else begins so. */
static int is_refused(yoi_str name) {
  if (name.len < 4) return 0;
  for (size_t i = 0; i < COUNT(refused); i++)
    if (yoi_sdk_str_starts(yoi_sdk_str(refused[i]), name)) return 1;
  return 0;
}

static int has_refused_letter(yoi_str command, yoi_str word) {
  for (size_t i = 0; i < COUNT(refused_letters); i++) {
    if (!yoi_sdk_str_is(command, refused_letters[i].command)) continue;
    for (size_t n = 1; n < word.len; n++) {
      if (strchr(refused_letters[i].letters, word.ptr[n]) != NULL) return 1;
      if (strchr(refused_letters[i].with_value, word.ptr[n]) != NULL) break;
    }
  }
  return 0;
}

static yoi_status refuse_option(yoi_error *err, yoi_str command, yoi_str word) {
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "git %.*s does not take '%.*s' here",
                      YOI_ARG(command), (int)yoi_sdk_utf8_cut(word, 64), word.ptr);
}

static yoi_status check_local(const struct sh_git *g, const yoi_sdk_json *words, yoi_error *err) {
  yoi_str word;
  for (const yoi_sdk_json *v = words; v != NULL; v = yoi_sdk_json_next(v)) {
    if (!yoi_sdk_json_str(v, &word) || word.len < 2 || word.ptr[0] != '-') continue;
    if (yoi_sdk_str_is(word, "--")) break;
    if (word.ptr[1] == '-' ? is_refused(option_name(word)) : has_refused_letter(g->command, word))
      return refuse_option(err, g->command, word);
  }
  return YOI_OK;
}

/* The first word that is no option is the remote. A value of an option stands
 * in the same word (--depth=1): else it would be taken for one. */
static yoi_status check_remote(struct sh_git *g, const yoi_sdk_json *words, yoi_error *err) {
  yoi_str word;
  for (const yoi_sdk_json *v = words; v != NULL; v = yoi_sdk_json_next(v)) {
    if (!yoi_sdk_json_str(v, &word)) continue;
    if (word.len > 0 && word.ptr[0] == '-') {
      if (!one_of(for_remotes, COUNT(for_remotes), option_name(word)))
        return refuse_option(err, g->command, word);
    } else if (g->remote == NULL) {
      g->remote = yoi_sdk_strndup(word.ptr, word.len);
      if (g->remote == NULL) return yoi_sdk_fail_memory(err);
    }
  }
  if (g->remote == NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "git %.*s: name the remote",
                        YOI_ARG(g->command));
  return YOI_OK;
}

yoi_status sh_git_check(const struct sh_ask *a, struct sh_git *g, yoi_error *err) {
  const yoi_sdk_json *first = yoi_sdk_json_first(a->argv);
  memset(g, 0, sizeof *g);
  if (!yoi_sdk_json_str(first, &g->command))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'argv' begins with a subcommand of git");
  const yoi_sdk_json *list = yoi_sdk_json_get(a->value, "commands");
  if (!sh_listed(list, g->command) && !sh_listed(list, YOI_LIT("*")))
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "git '%.*s' is not among the commands that "
                        "this host allows", (int)yoi_sdk_utf8_cut(g->command, 64), g->command.ptr);
  for (size_t i = 0; i < COUNT(commands); i++) {
    if (!yoi_sdk_str_is(g->command, commands[i].name)) continue;
    const yoi_sdk_json *rest = yoi_sdk_json_next(first);
    g->network = commands[i].kind != LOCAL;
    g->init = commands[i].kind == CLONE;
    return g->network ? check_remote(g, rest, err) : check_local(g, rest, err);
  }
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "git '%.*s' is none that git_run runs",
                      (int)yoi_sdk_utf8_cut(g->command, 64), g->command.ptr);
}

void sh_git_release(struct sh_git *g) {
  yoi_sdk_free(g->remote);
  g->remote = NULL;
}

/* ---- how it is called ---- */
/* What wins over the config of a repository, in case one says it all the same
 * (it changes while git starts). */
static const char *const settings[] = {
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "core.editor=false",
    "core.askPass=false",
    "core.sshCommand=false",
    "core.gitProxy=none",
    "core.alternateRefsCommand=true",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "credential.helper=",
    "sequence.editor=false",
    "gpg.program=false",
    "gpg.ssh.program=false",
    "gpg.x509.program=false",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "push.gpgSign=false",
    "log.showSignature=false",
    "merge.verifySignatures=false",
    "submodule.recurse=false",
    "status.submoduleSummary=false",
    "diff.submodule=short",
    "diff.ignoreSubmodules=dirty",
    "fetch.recurseSubmodules=false",
    "push.recurseSubmodules=no",
    "http.followRedirects=false",
    "http.proxy=",
    "init.templateDir=",
    "gc.auto=0",
    "maintenance.auto=false",
    "safe.directory=*",
};

static void git(struct sh_start *s) {
  sh_start_arg(s, YOI_LIT("/usr/bin/git"));
  sh_start_arg(s, YOI_LIT("--no-pager"));
  for (size_t i = 0; i < COUNT(settings); i++) {
    sh_start_arg(s, YOI_LIT("-c"));
    sh_start_arg(s, yoi_sdk_str(settings[i]));
  }
}

void sh_git_ask_config(struct sh_start *s) {
  /* Without the settings above: they would stand in the answer. */
  static const char *const words[] = {"/usr/bin/git", "--no-pager", "-c", "safe.directory=*",
                                      "config", "--list", "--null", "--includes"};
  for (size_t i = 0; i < COUNT(words); i++) sh_start_arg(s, yoi_sdk_str(words[i]));
}

void sh_git_command(const struct sh_ask *a, struct sh_start *s) {
  yoi_str word;
  git(s);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(a->argv); v != NULL; v = yoi_sdk_json_next(v))
    if (yoi_sdk_json_str(v, &word)) sh_start_arg(s, word);
}

/* The schemes of the operator's remotes, "https:git"; without any, "none". Paths
 * and ssh are not spoken: at the other end of a path git runs in a repository
 * that a command may have made, with its hooks; ssh needs keys. */
static void protocols(const struct sh_ask *a, struct yoi_sdk_buf *out) {
  static const char *const schemes[] = {"https", "http", "git"};
  const yoi_sdk_json *remotes = yoi_sdk_json_get(a->value, "remotes");
  for (size_t i = 0; i < COUNT(schemes); i++) {
    char prefix[16];
    int wanted = 0;
    yoi_str url;
    snprintf(prefix, sizeof prefix, "%s://", schemes[i]);
    for (const yoi_sdk_json *v = yoi_sdk_json_first(remotes); v != NULL; v = yoi_sdk_json_next(v))
      wanted |= yoi_sdk_json_str(v, &url) && yoi_sdk_str_starts(url, yoi_sdk_str(prefix));
    if (wanted) yoi_sdk_buf_addf(out, "%s%s", out->len > 0 ? ":" : "", schemes[i]);
  }
  if (out->len == 0) yoi_sdk_buf_adds(out, YOI_LIT("none"));
}

void sh_git_environment(const struct sh_ask *a, struct sh_start *s) {
  static const struct {
    const char *name, *value;
  } variables[] = {
      {"GIT_CONFIG_NOSYSTEM", "1"},     {"GIT_CONFIG_SYSTEM", "/dev/null"},
      {"GIT_CONFIG_GLOBAL", "/dev/null"}, {"GIT_ATTR_NOSYSTEM", "1"},
      {"GIT_TERMINAL_PROMPT", "0"},     {"GIT_ASKPASS", "/bin/false"},
      {"SSH_ASKPASS", "/bin/false"},    {"GIT_SSH_COMMAND", "/bin/false"},
      {"GIT_SSH", "/bin/false"},        {"GIT_EDITOR", "/bin/false"},
      {"GIT_SEQUENCE_EDITOR", "/bin/false"}, {"GIT_PAGER", "cat"},
      {"PAGER", "cat"},                 {"GIT_MERGE_AUTOEDIT", "no"},
      {"GIT_NO_LAZY_FETCH", "1"},       {"GIT_OPTIONAL_LOCKS", "0"},
      {"EMAIL", "worker@localhost"}, /* where nobody has named one */
  };
  struct yoi_sdk_buf allowed;
  yoi_sdk_buf_init(&allowed, 64);
  protocols(a, &allowed);
  for (size_t i = 0; i < COUNT(variables); i++)
    sh_start_env(s, yoi_sdk_str(variables[i].name), yoi_sdk_str(variables[i].value));
  sh_start_env(s, YOI_LIT("GIT_ALLOW_PROTOCOL"), yoi_sdk_buf_str(&allowed));
  yoi_sdk_buf_release(&allowed);
}
