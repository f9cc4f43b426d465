/* test_socket_file.c - the file of a Unix socket: whose it is, who may use it,
 * when it goes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/socket_file.h"

static char dir[] = "/tmp/yoi-socket-XXXXXX";
static struct sockaddr_un at;

static int set_up(void **state) {
  (void)state;
  memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
  assert_non_null(mkdtemp(dir));
  at = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s/s", dir);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  (void)chmod(dir, 0700);
  (void)unlink(at.sun_path);
  return rmdir(dir);
}

static int is_there(void) {
  struct stat sb;
  return lstat(at.sun_path, &sb) == 0;
}

static int dial(void) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) return fd;
  close(fd);
  return -1;
}

static int open_fds(void) {
  int n = 0;
  for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
  return n;
}

static void only_its_user_may_connect(void **state) {
  struct yoi__socket_file f = {0};
  struct stat sb;
  mode_t before = umask(0);
  (void)state;
  int fd = yoi__socket_file_listen(&at, 4, &f);
  umask(before);
  assert_true(fd >= 0);
  assert_int_equal(lstat(at.sun_path, &sb), 0);
  assert_int_equal(sb.st_mode, S_IFSOCK | 0600);
  int client = dial();
  assert_true(client >= 0);
  close(client);
  close(fd);
  yoi__socket_file_remove(&f);
  assert_false(is_there());
  yoi__socket_file_remove(&f); /* twice does nothing */
}

static void a_live_one_is_in_use_and_a_left_over_is_replaced(void **state) {
  struct yoi__socket_file first = {0}, second = {0};
  (void)state;
  int fd = yoi__socket_file_listen(&at, 4, &first), fds = open_fds();
  assert_true(fd >= 0);
  errno = 0;
  assert_int_equal(yoi__socket_file_listen(&at, 4, &second), -1);
  assert_int_equal(errno, EADDRINUSE);
  assert_int_equal(open_fds(), fds);
  int client = dial(); /* nothing was done to it */
  assert_true(client >= 0);
  close(client);
  close(fd); /* as a kill does: the file stays */
  assert_int_equal(dial(), -1);
  fd = yoi__socket_file_listen(&at, 4, &second);
  assert_true(fd >= 0);
  /* The first one's end is late: what is there now is not its own. */
  yoi__socket_file_remove(&first);
  assert_true(is_there());
  client = dial();
  assert_true(client >= 0);
  close(client);
  close(fd);
  yoi__socket_file_remove(&second);
  assert_false(is_there());
}

static void a_full_backlog_is_still_live(void **state) {
  struct yoi__socket_file f = {0}, other = {0};
  int clients[8], n = 0;
  (void)state;
  int fd = yoi__socket_file_listen(&at, 0, &f);
  for (; n < 8; n++) {
    clients[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(clients[n], (const struct sockaddr *)&at, sizeof at) != 0) break;
  }
  assert_true(n < 8);
  assert_int_equal(yoi__socket_file_listen(&at, 4, &other), -1);
  assert_int_equal(errno, EADDRINUSE);
  for (; n >= 0; n--) close(clients[n]);
  close(fd);
  yoi__socket_file_remove(&f);
}

static void what_is_no_socket_is_never_removed(void **state) {
  struct yoi__socket_file f = {0};
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    int fds = open_fds();
    char target[128];
    snprintf(target, sizeof target, "%s/t", dir);
    if (kind == 0) close(open(at.sun_path, O_CREAT | O_WRONLY, 0600));
    if (kind == 1) assert_int_equal(mkdir(at.sun_path, 0700), 0);
    if (kind == 2) assert_int_equal(symlink(target, at.sun_path), 0);
    if (kind == 3) assert_int_equal(mkfifo(at.sun_path, 0600), 0);
    errno = 0;
    assert_int_equal(yoi__socket_file_listen(&at, 4, &f), -1);
    assert_int_equal(errno, EEXIST);
    assert_true(is_there());
    assert_int_equal(access(target, F_OK), -1); /* no link was followed */
    assert_int_equal(open_fds(), fds);
    if (kind == 1) rmdir(at.sun_path);
    else unlink(at.sun_path);
  }
}

static void others_may_not_write_to_its_folder(void **state) {
  static const mode_t bad[] = {0777, 0770, 0702, 0720}, good[] = {0700, 0755, 01777, 01770};
  struct yoi__socket_file f = {0};
  (void)state;
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(chmod(dir, bad[i]), 0);
    assert_int_equal(yoi__socket_file_listen(&at, 4, &f), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(chmod(dir, good[i]), 0);
    int fd = yoi__socket_file_listen(&at, 4, &f);
    assert_true(fd >= 0);
    close(fd);
    yoi__socket_file_remove(&f);
  }
}

static void a_missing_folder_is_said(void **state) {
  struct sockaddr_un none = at;
  struct yoi__socket_file f = {0};
  (void)state;
  snprintf(none.sun_path, sizeof none.sun_path, "%s/no/s", dir);
  assert_int_equal(yoi__socket_file_listen(&none, 4, &f), -1);
  assert_int_equal(errno, ENOENT);
  int fd = yoi__socket_file_listen(&at, 4, &f);
  snprintf(none.sun_path, sizeof none.sun_path, "%s/s/s", dir);
  struct yoi__socket_file g = {0};
  assert_int_equal(yoi__socket_file_listen(&none, 4, &g), -1);
  assert_int_equal(errno, ENOTDIR);
  close(fd);
  yoi__socket_file_remove(&f);
}

/* Each of many that start at once sees a left-over; one of them gets it. */
static void of_many_that_start_at_once_one_listens(void **state) {
  enum { MANY = 16 };
  struct yoi__socket_file f = {0};
  pid_t pids[MANY];
  int gate[2], end[2], got[2];
  (void)state;
  close(yoi__socket_file_listen(&at, 4, &f)); /* the left-over */
  assert_int_equal(pipe(gate) | pipe(end) | pipe(got), 0);
  for (int i = 0; i < MANY; i++) {
    pids[i] = fork();
    if (pids[i] != 0) continue;
    struct yoi__socket_file mine = {0};
    char byte;
    close(gate[1]);
    close(end[1]);
    (void)!read(gate[0], &byte, 1);
    int fd = yoi__socket_file_listen(&at, 4 * MANY, &mine); /* nobody accepts */
    byte = fd >= 0 ? 'y' : errno == EADDRINUSE ? 'n' : '?';
    (void)!write(got[1], &byte, 1);
    (void)!read(end[0], &byte, 1);
    _exit(0);
  }
  close(gate[1]);
  int listening = 0, refused = 0;
  for (int i = 0; i < MANY; i++) {
    char byte = 0;
    assert_int_equal(read(got[0], &byte, 1), 1);
    listening += byte == 'y';
    refused += byte == 'n';
  }
  assert_int_equal(listening, 1);
  assert_int_equal(refused, MANY - 1);
  int client = dial();
  assert_true(client >= 0);
  close(client);
  close(end[1]);
  for (int i = 0; i < MANY; i++) (void)waitpid(pids[i], NULL, 0);
  close(gate[0]), close(end[0]), close(got[0]), close(got[1]);
  yoi__socket_file_remove(&f);
}

static void a_lock_that_is_never_given_back_is_said(void **state) {
  struct yoi__socket_file f = {0};
  (void)state;
  int holder = open(dir, O_RDONLY | O_DIRECTORY);
  assert_int_equal(flock(holder, LOCK_EX), 0);
  assert_int_equal(yoi__socket_file_listen(&at, 4, &f), -1);
  assert_int_equal(errno, EBUSY);
  assert_false(is_there());
  close(holder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(only_its_user_may_connect, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_live_one_is_in_use_and_a_left_over_is_replaced, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(a_full_backlog_is_still_live, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_no_socket_is_never_removed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(others_may_not_write_to_its_folder, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_missing_folder_is_said, set_up, tear_down),
      cmocka_unit_test_setup_teardown(of_many_that_start_at_once_one_listens, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_lock_that_is_never_given_back_is_said, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
