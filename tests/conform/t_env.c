/* t_env.c - the process that a plugin lives in is not its own.
 *
 * Each test looks at one thing before the plugin's code is mapped and again when
 * it was loaded, opened, used and closed.
 */
#include <dirent.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

extern char **environ;

/* A short life of it. */
static void use(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k = {.stream = NULL};
  if (rig_can_ask(c) && call_start(c, &i, &k, NULL, NULL))
    (void)call_finish(c, &k, 10000);
  call_release(&k);
  rig_close(c, &i);
}

static void cwd(struct conform *c) {
  char before[4096] = "", after[4096] = "";
  (void)(getcwd(before, sizeof before) != NULL);
  use(c);
  (void)(getcwd(after, sizeof after) != NULL);
  if (strcmp(before, after) != 0)
    conform_fail(c, "the working directory stays as it is", "it is '%.300s'", after);
}

static void umask_stays(struct conform *c) {
  mode_t before = umask(027), after;
  (void)umask(before);
  use(c);
  after = umask(before);
  if (before != after)
    conform_fail(c, "the umask stays as it is", "%03o became %03o", before, after);
}

static void signals(struct conform *c) {
  static struct sigaction before[NSIG];
  sigset_t mask, now;
  for (int s = 1; s < NSIG; s++) (void)sigaction(s, NULL, &before[s]);
  (void)sigprocmask(SIG_SETMASK, NULL, &mask);
  use(c);
  (void)sigprocmask(SIG_SETMASK, NULL, &now);
  for (int s = 1; s < NSIG; s++) {
    struct sigaction after;
    if (sigaction(s, NULL, &after) != 0) continue;
    if (after.sa_handler != before[s].sa_handler)
      conform_fail(c, "signal dispositions are the host's", "that of signal %d was changed", s);
    if (sigismember(&mask, s) != sigismember(&now, s))
      conform_fail(c, "the mask of signals stays as it is", "signal %d was changed in it", s);
  }
}

static void locale(struct conform *c) {
  char before[256];
  (void)snprintf(before, sizeof before, "%s", setlocale(LC_ALL, NULL));
  use(c);
  if (strcmp(before, setlocale(LC_ALL, NULL)) != 0)
    conform_fail(c, "the locale stays as it is", "'%s' became '%s'", before,
                 setlocale(LC_ALL, NULL));
}

static uint64_t environment_sum(void) {
  uint64_t sum = 0;
  for (char **e = environ; e && *e; e++)
    for (const char *s = *e; *s; s++) sum = sum * 31 + (unsigned char)*s;
  return sum;
}

static void environment(struct conform *c) {
  uint64_t before = environment_sum();
  use(c);
  if (before != environment_sum())
    conform_fail(c, "the environment stays as it is", "it was changed");
}

static unsigned entries(const char *path) {
  DIR *d = opendir(path);
  unsigned n = 0;
  while (d && readdir(d)) n++;
  if (d) (void)closedir(d);
  return n;
}

/* Twice: what a library keeps open for the process is opened once. */
static void descriptors(struct conform *c) {
  use(c);
  unsigned before = entries("/proc/self/fd");
  use(c);
  unsigned after = entries("/proc/self/fd");
  if (after > before)
    conform_fail(c, "as many descriptors after close as before open", "%u more", after - before);
}

static void threads(struct conform *c) {
  use(c);
  unsigned before = entries("/proc/self/task"), after = 0;
  /* One that was joined is in the list for a moment: now as well, where it must not
   * hide those that are left behind. */
  for (int i = 0; i < 3; i++) use(c);
  for (int i = 0; i < 100 && (after = entries("/proc/self/task")) > before; i++) rig_pump(c, 5);
  if (after > before)
    conform_fail(c, "as many threads after close as before open", "%u more", after - before);
}

#define ENV(name, fn, says, header, promise) \
  {"env." name, ON_ALL, NEEDS_NEAR, fn, says, header, promise}

extern const struct conform_test conform_env[];
const struct conform_test conform_env[] = {
    ENV("working-directory", cwd, "The working directory stays as it is.", "yoi/plugin.h",
        "It shares the process with others:"),
    ENV("umask", umask_stays, "The umask stays as it is.", "yoi/plugin.h",
        "It shares the process with others:"),
    ENV("signals", signals, "Signal dispositions and the mask stay as they are.", "yoi/plugin.h",
        "It shares the process with others:"),
    ENV("locale", locale, "The locale stays as it is.", "yoi/plugin.h",
        "It shares the process with others:"),
    ENV("environment", environment, "The environment stays as it is.", "yoi/plugin.h",
        "It shares the process with others:"),
    ENV("descriptors", descriptors, "What it opens it closes.", "yoi/runtime.h",
        "every stream is released and no wake will come"),
    ENV("threads", threads, "No thread of it is left behind its close.", "yoi/runtime.h",
        "every stream is released and no wake will come"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
