/* test_git.c - git_run against repositories that mean harm.
 *
 * `evil` is a program in the workspace that leaves a file `harm`; whatever may
 * name a program names it. `controls` shows that git, called plainly, runs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell_rig.h"

#define EACH(test)                                                    \
  static void test##_in_bwrap(void **s) { (void)s; test("bwrap"); } \
  static void test##_in_landlock(void **s) { (void)s; test("landlock"); }

#define ROWS(test) cmocka_unit_test(test##_in_bwrap), cmocka_unit_test(test##_in_landlock)

static void git(struct shell_rig *r, const char *words, struct tool_result *got) {
  char json[4096];
  snprintf(json, sizeof json, "{\"argv\":[%s]}", words);
  tool_host_call(r->th, "git_run", json, GIT_GRANTS, got);
}

static void git_is(struct shell_rig *r, const char *words, yoi_status status, const char *part) {
  struct tool_result got;
  git(r, words, &got);
  const char *said = got.status == YOI_END ? got.output : got.error.message;
  if (got.status != status || strstr(said, part) == NULL)
    fail_msg("%s: %d, not '%s' in: %s", words, got.status, part, said);
  tool_result_release(&got);
}

static int is_there(const struct shell_rig *r, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", r->folder, name);
  return access(path, F_OK) == 0;
}

static void write_program(struct shell_rig *r, const char *name) {
  char path[512], text[1024], *real = realpath(r->folder, NULL);
  assert_non_null(real);
  snprintf(text, sizeof text, "#!/bin/sh\ntouch /workspace/harm %s/harm 2>/dev/null\n", real);
  free(real);
  shell_rig_write(r, name, text);
  snprintf(path, sizeof path, "%s/%s", r->folder, name);
  assert_int_equal(chmod(path, 0755), 0);
}

/* A repository of two commits, with a file that differs from the last one. */
static void repository(struct shell_rig *r, const char *sandbox) {
  struct tool_result got;
  shell_rig_open(r, sandbox, "");
  write_program(r, "evil");
  shell_rig_run(r, "git init -q . && git config user.name n && git config user.email e@e && "
                   "echo a > file && git add file && git commit -qm first && echo b > file && "
                   "git commit -qam second && echo c > file && git config --unset core.x; "
                   "git log --oneline | wc -l",
                &got);
  if (got.status != YOI_END || strstr(got.output, "2\nexit code 0") == NULL)
    fail_msg("%d: %s%s", got.status, got.output, got.error.message);
  tool_result_release(&got);
}

static void ordinary_work(const char *sandbox) {
  struct shell_rig r;
  repository(&r, sandbox);
  git_is(&r, "\"status\",\"--short\"", YOI_END, " M file\n");
  git_is(&r, "\"diff\"", YOI_END, "+c\n");
  git_is(&r, "\"add\",\"file\"", YOI_END, "exit code 0");
  git_is(&r, "\"commit\",\"-m\",\"third\"", YOI_END, "1 file changed");
  git_is(&r, "\"log\",\"--format=%s by %an\"", YOI_END, "third by n\nsecond by n\nfirst by n\n");
  git_is(&r, "\"checkout\",\"-q\",\"-b\",\"side\",\"HEAD~1\"", YOI_END, "exit code 0");
  git_is(&r, "\"show\",\"HEAD:file\"", YOI_END, "b\nexit code 0");
  git_is(&r, "\"merge\",\"-q\",\"--no-ff\",\"-m\",\"m\",\"master\"", YOI_END, "exit code 0");
  git_is(&r, "\"grep\",\"-n\",\"c\",\"--\",\"file\"", YOI_END, "file:1:c");
  git_is(&r, "\"init\",\"-q\",\"new\"", YOI_END, "exit code 0");
  git_is(&r, "\"rev-parse\",\"nothing-like-it\"", YOI_END, "exit code 128");
  git_is(&r, "\"commit\",\"--allow-empty\"", YOI_END, "exit code 1"); /* an editor: false */
  shell_rig_close(&r);
}
EACH(ordinary_work)

/* Settings that run a program, lead elsewhere, or read and write other files. */
static const char *const hostile[] = {
    "[core]\nfsmonitor = ./evil",
    "[core]\nhooksPath = .",
    "[core]\nsshCommand = ./evil",
    "[core]\npager = ./evil",
    "[core]\neditor = ./evil",
    "[core]\naskPass = ./evil",
    "[core]\ngitProxy = ./evil",
    "[core]\nalternateRefsCommand = ./evil",
    "[core]\nworktree = /",
    "[core]\nattributesFile = /etc/passwd",
    "[pager]\nlog = ./evil",
    "[alias]\nstatus = !./evil",
    "[alias]\nx = !./evil",
    "[diff]\nexternal = ./evil",
    "[diff \"x\"]\ncommand = ./evil",
    "[diff \"x\"]\ntextconv = ./evil",
    "[filter \"x\"]\nclean = ./evil",
    "[filter \"x\"]\nsmudge = ./evil",
    "[filter \"x\"]\nprocess = ./evil",
    "[merge \"x\"]\ndriver = ./evil",
    "[gpg]\nprogram = ./evil",
    "[gpg \"ssh\"]\ndefaultKeyCommand = ./evil",
    "[commit]\ngpgSign = true",
    "[log]\nshowSignature = true",
    "[credential]\nhelper = !./evil",
    "[credential \"https://x\"]\nhelper = !./evil",
    "[sequence]\neditor = ./evil",
    "[interactive]\ndiffFilter = ./evil",
    "[trailer \"x\"]\ncommand = ./evil",
    "[trailer \"x\"]\ncmd = ./evil",
    "[submodule \"x\"]\nupdate = !./evil",
    "[remote \"origin\"]\nuploadpack = ./evil",
    "[remote \"origin\"]\nreceivepack = ./evil",
    "[remote \"origin\"]\nvcs = evil",
    "[remote \"origin\"]\nproxy = http://evil",
    "[remote \"origin\"]\npromisor = true",
    "[url \"ext::./evil \"]\ninsteadOf = https://",
    "[include]\npath = ../evil-config",
    "[includeIf \"gitdir:/\"]\npath = ../evil-config",
    "[http]\nproxy = http://evil",
    "[http \"https://x\"]\nextraHeader = a",
    "[http]\ncookieFile = /etc/passwd",
    "[protocol \"ext\"]\nallow = always",
    "[extensions]\npartialClone = origin",
    "[status]\nsubmoduleSummary = true",
    "[gc]\nrecentObjectsHook = ./evil",
    "[hook \"x\"]\ncommand = ./evil",
    "[invented]\nlater = ./evil",
};

static void append_config(struct shell_rig *r, const char *kept, const char *more) {
  char *text = NULL;
  assert_true(asprintf(&text, "%s\n%s\n", kept, more) > 0);
  shell_rig_write(r, ".git/config", text);
  free(text);
}

static char *read_config(struct shell_rig *r) {
  char path[512], *text = calloc(1, 4096);
  snprintf(path, sizeof path, "%s/.git/config", r->folder);
  int fd = open(path, O_RDONLY);
  assert_true(fd >= 0 && read(fd, text, 4095) > 0);
  close(fd);
  return text;
}

static void a_hostile_config_stops_it(const char *sandbox) {
  struct shell_rig r;
  repository(&r, sandbox);
  shell_rig_write(&r, ".gitattributes", "* filter=x diff=x merge=x\n");
  char *kept = read_config(&r);
  for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
    append_config(&r, kept, hostile[i]);
    git_is(&r, "\"status\"", YOI_PERMISSION_DENIED, "config has '");
    git_is(&r, "\"commit\",\"-am\",\"m\"", YOI_PERMISSION_DENIED, "config has '");
    assert_false(is_there(&r, "harm"));
  }
  append_config(&r, kept, "[broken");
  git_is(&r, "\"status\"", YOI_PERMISSION_DENIED, "cannot be read");
  append_config(&r, kept, "");
  git_is(&r, "\"diff\",\"file\"", YOI_END, "+c\n"); /* attributes alone run nothing */
  free(kept);
  shell_rig_close(&r);
}
EACH(a_hostile_config_stops_it)

static void hooks_do_not_run(const char *sandbox) {
  static const char *const names[] = {"pre-commit", "prepare-commit-msg", "commit-msg",
                                      "post-commit", "post-checkout", "post-index-change",
                                      "reference-transaction", "post-merge", "pre-merge-commit"};
  struct shell_rig r;
  repository(&r, sandbox);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[64];
    snprintf(path, sizeof path, ".git/hooks/%s", names[i]);
    write_program(&r, path);
  }
  git_is(&r, "\"commit\",\"-am\",\"m\"", YOI_END, "exit code 0");
  git_is(&r, "\"checkout\",\"-q\",\"HEAD~1\"", YOI_END, "exit code 0");
  git_is(&r, "\"merge\",\"-q\",\"master\"", YOI_END, "exit code 0");
  assert_false(is_there(&r, "harm"));
  shell_rig_close(&r);
}
EACH(hooks_do_not_run)

/* The same, by plain git: it runs. */
static void controls(void **state) {
  static const char *const commands[] = {
      "git -c core.sshCommand=./evil ls-remote ssh://x/y", "git -c alias.x='!./evil' x", "git diff",
      "git -c diff.external=./evil diff", "git commit -qam m --no-edit",
      "git grep -O./evil c", "git rebase -q -x ./evil HEAD~1"};
  struct shell_rig r;
  char path[512];
  (void)state;
  repository(&r, "none");
  char *kept = read_config(&r);
  write_program(&r, ".git/hooks/post-commit");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    shell_rig_write(&r, ".gitattributes", i == 2 ? "* diff=x\n" : "");
    append_config(&r, kept, i == 2 ? "[diff \"x\"]\ntextconv = ./evil" : "");
    shell_rig_says(&r, commands[i], "exit code");
    if (!is_there(&r, "harm")) fail_msg("%s does no harm", commands[i]);
    snprintf(path, sizeof path, "%s/harm", r.folder);
    assert_int_equal(unlink(path), 0);
  }
  free(kept);
  shell_rig_close(&r);
}

static void words_are_looked_at(void **state) {
  static const struct {
    const char *words, *part;
  } rows[] = {
      {"\"-c\",\"core.pager=x\",\"log\"", "not among"},
      {"\"--exec-path=.\",\"log\"", "not among"},
      {"\"-C\",\"/\",\"log\"", "not among"},
      {"\"bisect\",\"run\",\"./evil\"", "none that git_run runs"},
      {"\"submodule\",\"foreach\",\"./evil\"", "none that git_run runs"},
      {"\"filter-branch\"", "none that git_run runs"},
      {"\"config\",\"alias.x\",\"!./evil\"", "none that git_run runs"},
      {"\"difftool\",\"-x\",\"./evil\"", "none that git_run runs"},
      {"\"daemon\"", "none that git_run runs"},
      {"\"evil\"", "none that git_run runs"},
      {"\"\"", "not among"},
      {"\"grep\",\"-O./evil\",\"c\"", "'-O./evil'"},
      {"\"grep\",\"-nO./evil\",\"c\"", "'-nO./evil'"},
      {"\"grep\",\"--open-files-in-pager=./evil\",\"c\"", "--open"},
      {"\"grep\",\"--open=./evil\",\"c\"", "--open"},
      {"\"rebase\",\"-x\",\"./evil\",\"HEAD~1\"", "'-x'"},
      {"\"rebase\",\"-ix./evil\",\"HEAD~1\"", "'-ix"},
      {"\"rebase\",\"--exec\",\"./evil\",\"HEAD~1\"", "--exec"},
      {"\"rebase\",\"--exe=./evil\",\"HEAD~1\"", "--exe"},
      {"\"diff\",\"--output=.git/config\"", "--output"},
      {"\"log\",\"-p\",\"--outp=.git/config\"", "--outp"},
      {"\"diff\",\"--ext-diff\"", "--ext-diff"},
      {"\"show\",\"--textconv\"", "--textconv"},
      {"\"init\",\"--template=.\"", "--template"},
      {"\"checkout\",\"--recurse-submodules\"", "--recurse"},
      {"\"clone\",\"-c\",\"core.fsmonitor=./evil\",\"https://ok/x\"", "'-c'"},
      {"\"clone\",\"--config=a.b=c\",\"https://ok/x\"", "--config"},
      {"\"clone\",\"-u\",\"./evil\",\"https://ok/x\"", "'./evil'"},
      {"\"fetch\",\"--upload-pack=./evil\",\"https://ok/x\"", "--upload-pack"},
      {"\"ls-remote\",\"--exec=./evil\",\"https://ok/x\"", "--exec"},
      {"\"push\",\"--receive-pack=./evil\",\"https://ok/x\"", "--receive-pack"},
      {"\"push\",\"--recei=./evil\",\"https://ok/x\"", "--recei"},
      {"\"fetch\",\"--multiple\",\"https://ok/x\"", "--multiple"},
      {"\"fetch\",\"--all\"", "--all"},
      {"\"fetch\"", "name the remote"},
      {"\"fetch\",\"ext::./evil\"", "not among the remotes"},
      {"\"fetch\",\"./other\"", "not among the remotes"},
      {"\"fetch\",\"file:///workspace/other\"", "not among the remotes"},
      {"\"fetch\",\"evil@host:path\"", "not among the remotes"},
      {"\"fetch\",\"https://evil/x\"", "not among the remotes"},
      {"\"fetch\",\"https://ok/../evil\"", "not among the remotes"},
      {"\"fetch\",\"https://ok/a@evil/x\"", "not among the remotes"},
      {"\"fetch\",\"https://ok/x?y\"", "not among the remotes"},
      {"\"fetch\",\"origin\"", "'https://evil/o' is not among the remotes"},
      {"\"fetch\",\"two\"", "several addresses"},
      {"\"push\",\"pusher\"", "'https://evil/p' is not among the remotes"},
      {"\"fetch\",\"https://ok/x\"", "no network"},
  };
  struct shell_rig r;
  (void)state;
  repository(&r, "none");
  char *kept = read_config(&r);
  append_config(&r, kept, "[remote \"origin\"]\nurl = https://evil/o\n[remote \"two\"]\n"
                          "url = https://ok/1\nurl = https://ok/2\n[remote \"pusher\"]\n"
                          "url = https://ok/p\npushurl = https://evil/p\n");
  free(kept);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int two = strstr(rows[i].words, "two") != NULL;
    int listed = strstr(rows[i].part, "not among") == NULL || strstr(rows[i].part, "remotes");
    shell_rig_limits(&r, two      ? ",\"remotes\":[\"https://ok/*\"],\"network\":true"
                         : listed ? ",\"remotes\":[\"https://ok/*\"]"
                                  : ",\"commands\":[\"log\",\"status\"]");
    struct tool_result got;
    git(&r, rows[i].words, &got);
    const char *said = got.status == YOI_END ? got.output : got.error.message;
    if ((got.status != YOI_PERMISSION_DENIED && got.status != YOI_INVALID_ARGUMENT) ||
        strstr(said, rows[i].part) == NULL)
      fail_msg("%s: %d, not '%s' in: %s", rows[i].words, got.status, rows[i].part, said);
    tool_result_release(&got);
    assert_false(is_there(&r, "harm"));
  }
  shell_rig_close(&r);
}

static void a_long_config_is_refused(void **state) {
  struct shell_rig r;
  struct tool_result got;
  (void)state;
  repository(&r, "none");
  char *kept = read_config(&r), *more = NULL;
  /* What is listed without the name, and what is left for that. */
  append_config(&r, kept, "[author]\nname = x");
  shell_rig_run(&r, "git -c 'safe.directory=*' config --list --null | wc -c", &got);
  size_t room = YOI_GIT_CONFIG_MAX - strtoul(got.output, NULL, 10) + 1;
  tool_result_release(&got);
  for (size_t over = 0; over < 2; over++) {
    assert_true(asprintf(&more, "[author]\nname = %0*d", (int)(room + over), 1) > 0);
    append_config(&r, kept, more);
    git_is(&r, "\"status\"", over ? YOI_PERMISSION_DENIED : YOI_END, over ? "longer" : "file");
    free(more);
  }
  free(kept);
  shell_rig_close(&r);
}

/* ---- a remote ---- */
static pid_t serve(struct shell_rig *r, unsigned *port) {
  int out[2];
  char line[256] = "";
  assert_int_equal(pipe(out), 0);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1);
    dup2(open("/dev/null", O_WRONLY), 2);
    if (chdir(r->folder) != 0) _exit(1);
    execl("/usr/bin/python3", "python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "0",
          (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  size_t n = 0;
  ssize_t got;
  while (strstr(line, "port ") == NULL && n < sizeof line - 1 &&
         (got = read(out[0], line + n, sizeof line - 1 - n)) > 0)
    n += (size_t)got;
  const char *at = strstr(line, "port ");
  assert_non_null(at);
  *port = (unsigned)strtoul(at + 5, NULL, 10);
  close(out[0]);
  return pid;
}

static void a_listed_remote_is_reached(const char *sandbox) {
  struct shell_rig r;
  char limits[256], words[256];
  unsigned port = 0;
  repository(&r, sandbox);
  shell_rig_says(&r, "git clone -q --bare . served.git && cd served.git && git update-server-info",
                 "exit code 0");
  pid_t server = serve(&r, &port);
  snprintf(limits, sizeof limits, ",\"remotes\":[\"http://127.0.0.1:%u/*\"],\"network\":true",
           port);
  shell_rig_limits(&r, limits);
  snprintf(words, sizeof words, "\"ls-remote\",\"http://127.0.0.1:%u/served.git\"", port);
  git_is(&r, words, YOI_END, "refs/heads/master");
  snprintf(words, sizeof words, "\"clone\",\"-q\",\"http://127.0.0.1:%u/served.git\",\"copy\"",
           port);
  git_is(&r, words, YOI_END, "exit code 0");
  shell_rig_says(&r, "cat copy/file", "b\n");
  struct tool_result got;
  tool_host_call(r.th, "git_run", "{\"argv\":[\"fetch\",\"origin\"],\"cwd\":\"copy\"}", GIT_GRANTS,
                 &got);
  assert_int_equal(got.status, YOI_END);
  assert_non_null(strstr(got.output, "exit code 0"));
  tool_result_release(&got);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  shell_rig_close(&r);
}
EACH(a_listed_remote_is_reached)

int main(void) {
  const struct CMUnitTest tests[] = {
      ROWS(ordinary_work),
      ROWS(a_hostile_config_stops_it),
      ROWS(hooks_do_not_run),
      cmocka_unit_test(controls),
      cmocka_unit_test(words_are_looked_at),
      cmocka_unit_test(a_long_config_is_refused),
      ROWS(a_listed_remote_is_reached),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
