/* confined.c - see confined.h. The child has none of the handlers of signals that
 * cmocka has set: what kills it is to kill it. */
#include "confined.h"

#include <errno.h>
#include <sdk/confine.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

const struct yoi__confine confined_plain = {.required = 1};

int confined_errno(long result) {
  return result == -1 ? errno : 0;
}

int confined_run(const struct yoi__confine *c, confined_deed before, confined_deed deed) {
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    struct yoi__confined done;
    struct yoi__confine with = *c;
    if (yoi_sdk_landlock_version() == 0) with.required = 0; /* and its tests are skipped */
    for (int sig = 1; sig < NSIG; sig++) signal(sig, SIG_DFL);
    if (before != NULL && before() != 0) _exit(FAILED);
    if (yoi__confine(&with, &done) != 0) _exit(FAILED);
    _exit(deed());
  }
  assert_true(pid > 0);
  while (waitpid(pid, &status, 0) < 0) assert_int_equal(errno, EINTR);
  return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
}

void confined_without(long nr, int error) {
  struct yoi_sdk_filter f;
  yoi_sdk_filter_begin(&f);
  yoi_sdk_filter_deny(&f, nr, error);
  if (yoi_sdk_filter_end(&f, NULL) != 0) _exit(FAILED);
}
