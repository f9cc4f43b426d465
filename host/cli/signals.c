/* signals.c - SIGINT and SIGTERM, as something to read.
 *
 * They are blocked in this thread, which every thread of the host inherits or
 * blocks itself, and are read from a descriptor, so that no handler runs in
 * the middle of anything. Only when the end has begun does a handler stand:
 * one that ends the process, because the person has asked twice.
 */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

static void both(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGTERM);
}

int cli_signals_open(void) {
  sigset_t set;
  both(&set);
  if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int cli_signals_take(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

static void end(int number) {
  _exit(128 + number);
}

void cli_signals_exit_at_once(void) {
  struct sigaction action = {.sa_handler = end};
  sigset_t set;
  both(&set);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
