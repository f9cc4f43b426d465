/* signals.c - signals, as something to read.
 *
 * They are blocked in this thread, which every thread of the host inherits or
 * blocks itself, and are read from a descriptor, so that no handler runs in
 * the middle of anything. Only when the end has begun does a handler stand:
 * one that ends the process, because the person has asked twice.
 *
 * A server also takes SIGHUP, to read its config again, and those that its
 * operator may send out of habit, to say that they mean nothing here: by default
 * they would end it.
 */
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli.h"

static const int ends[] = {SIGINT, SIGTERM};
static const int others[] = {SIGHUP, SIGUSR1, SIGUSR2};

static void add(sigset_t *set, const int *numbers, size_t n) {
  for (size_t i = 0; i < n; i++) sigaddset(set, numbers[i]);
}

int cli_signals_open(int serves) {
  sigset_t set;
  sigemptyset(&set);
  add(&set, ends, sizeof ends / sizeof *ends);
  if (serves) add(&set, others, sizeof others / sizeof *others);
  if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int cli_signals_take(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

int cli_signals_end(int number) {
  return number == SIGINT || number == SIGTERM;
}

static void end(int number) {
  _exit(128 + number);
}

void cli_signals_exit_at_once(void) {
  struct sigaction action = {.sa_handler = end};
  sigset_t set;
  sigemptyset(&set);
  add(&set, ends, sizeof ends / sizeof *ends);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) sigaction(ends[i], &action, NULL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
