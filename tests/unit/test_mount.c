/* Opening beneath a folder: what is inside is opened as asked, what leads out
 * or is no file never is, also while the tree changes under it.
 *
 * Each test has in/, the mount, beside out/, which nobody may reach: it holds
 * "secret" in each place that an escape would come to. */
#include "host/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <yoi/host_mount.h>

#include "support/files.h"

#define R YOI_MOUNT_READ
#define W YOI_MOUNT_WRITE
#define FOLDER YOI_MOUNT_FOLDER
#define CREATE YOI_MOUNT_CREATE

struct place {
  int root;
};

static int open_root(void) {
  int fd = -1;
  const char *why = yoi__mount_root("in", &fd);
  if (why != NULL) fail_msg("%s", why);
  return fd;
}

static int setup(void **state) {
  static struct place p;      /* process-wide: a test has one thread but for races */
  char own[] = "test-XXXXXX"; /* a folder of its own, beside the last one */
  assert_non_null(mkdtemp(own));
  assert_int_equal(chdir(own), 0);
  files_directory("in");
  files_directory("in/sub");
  files_directory("out");
  files_directory("out/sub");
  files_text("in/a", "inside");
  files_text("in/sub/b", "inside b");
  files_text("out/a", "secret");
  files_text("out/b", "secret");
  files_text("out/sub/b", "secret");
  p.root = open_root();
  *state = &p;
  return 0;
}

static int teardown(void **state) {
  struct place *p = *state;
  close(p->root);
  return chdir("..");
}

static yoi_status try_open(const struct place *p, yoi_str path, uint32_t flags, int *out_fd,
                           struct yoi_sdk_error *e) {
  int32_t fd = -7;
  yoi_status st =
      yoi__mount_open(p->root, YOI_LIT("work"), path, flags, &fd, yoi_sdk_error_init(e));
  if ((st == YOI_OK) != (fd >= 0)) fail_msg("status %d, descriptor %d", st, fd);
  if (st != YOI_OK) assert_int_equal(fd, -1);
  *out_fd = fd;
  return st;
}

static int opened(const struct place *p, const char *path, uint32_t flags) {
  struct yoi_sdk_error e;
  int fd = -1;
  if (try_open(p, yoi_sdk_str(path), flags, &fd, &e) != YOI_OK) fail_msg("%s", e.message);
  return fd;
}

static void refused(const struct place *p, const char *path, uint32_t flags, yoi_status expected,
                    const char *part) {
  struct yoi_sdk_error e;
  int fd = -1;
  yoi_status st = try_open(p, yoi_sdk_str(path), flags, &fd, &e);
  if (st != expected) fail_msg("'%s': status %d, expected %d: %s", path, st, expected, e.message);
  if (strstr(e.message, part) == NULL) fail_msg("'%s': %s", path, e.message);
  if (path[0] != '\0' && strstr(e.message, path) == NULL) fail_msg("'%s': %s", path, e.message);
}

static void holds(int fd, const char *text) {
  char buf[64] = "";
  ssize_t n = read(fd, buf, sizeof buf - 1);
  assert_true(n >= 0);
  assert_string_equal(buf, text);
}

/* ---- what is inside ------------------------------------------------------------- */

static void what_is_inside_is_opened_as_asked(void **state) {
  const struct place *p = *state;
  int fd = opened(p, "a", R);
  holds(fd, "inside");
  assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
  assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH), O_RDONLY);
  close(fd);
  fd = opened(p, "sub/b", W);
  assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY);
  close(fd);
  fd = opened(p, "./sub//../sub/b", R | W);
  assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
  holds(fd, "inside b");
  close(fd);
  static const char *const folders[] = {".", "sub", "sub/", "./sub/.", "sub/.."};
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    for (uint32_t access = R; access <= (R | W); access++) {
      struct stat sb;
      fd = opened(p, folders[i], access | FOLDER);
      assert_int_equal(fstat(fd, &sb), 0);
      assert_true(S_ISDIR(sb.st_mode));
      assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
      assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK | O_PATH), O_RDONLY);
      close(fd);
    }
  }
  files_text("in/open", "");
  fd = opened(p, "open", W); /* nothing is cut off */
  close(fd);
  refused(p, "sub", R, YOI_INVALID_ARGUMENT, "it is a folder; expected a file");
  refused(p, ".", R, YOI_INVALID_ARGUMENT, "it is a folder; expected a file");
  refused(p, "a", R | FOLDER, YOI_INVALID_ARGUMENT, "it is a file; expected a folder");
  refused(p, "a/", R, YOI_INVALID_ARGUMENT, "a part of it is no folder");
  refused(p, "a/b", R, YOI_INVALID_ARGUMENT, "a part of it is no folder");
  refused(p, "none", R, YOI_NOT_FOUND, "it is not there");
  refused(p, "none/a", R, YOI_NOT_FOUND, "it is not there");
  refused(p, "none", R | FOLDER, YOI_NOT_FOUND, "it is not there");
}

static void new_ones_are_new(void **state) {
  const struct place *p = *state;
  mode_t mask = umask(027);
  struct stat sb;
  int fd = opened(p, "new", R | W | CREATE);
  assert_int_equal(write(fd, "x", 1), 1);
  assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
  assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
  close(fd);
  assert_int_equal(stat("in/new", &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0640);
  fd = opened(p, "sub/dir", W | FOLDER | CREATE);
  assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
  close(fd);
  assert_int_equal(stat("in/sub/dir", &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0750);
  umask(mask);
  close(opened(p, "sub/dir/deeper//", R | W | FOLDER | CREATE));
  assert_true(files_exist("in/sub/dir/deeper"));
  close(opened(p, "top", W | FOLDER | CREATE));
  assert_true(files_exist("in/top"));
  static const char *const there[] = {"new", "sub", ".", "..", "sub/.", "sub/.."};
  for (size_t i = 0; i < sizeof there / sizeof *there; i++)
    for (uint32_t folder = 0; folder <= FOLDER; folder += FOLDER) {
      int out = strcmp(there[i], "..") == 0;
      refused(p, there[i], W | CREATE | folder, out ? YOI_PERMISSION_DENIED : YOI_ALREADY_EXISTS,
              out ? "leads out" : "it is there already");
    }
  refused(p, "none/x", W | CREATE, YOI_NOT_FOUND, "it is not there");
  refused(p, "none/x", W | CREATE | FOLDER, YOI_NOT_FOUND, "it is not there");
  refused(p, "a/x", W | CREATE, YOI_INVALID_ARGUMENT, "no folder");
  refused(p, "a/x", W | CREATE | FOLDER, YOI_INVALID_ARGUMENT, "no folder");
  refused(p, "x/", W | CREATE, YOI_INVALID_ARGUMENT, "a file has no '/' at its end");
  assert_false(files_exist("in/x"));
}

static void flags_that_mean_nothing_are_refused(void **state) {
  (void)state;
  for (uint32_t flags = 0; flags < 32; flags++) {
    int good = flags < 16 && (flags & (R | W)) != 0 && ((flags & CREATE) == 0 || (flags & W) != 0);
    assert_int_equal(yoi__mount_flags(flags, NULL), good ? YOI_OK : YOI_INVALID_ARGUMENT);
  }
}

static void a_path_has_1_to_4095_bytes(void **state) {
  const struct place *p = *state;
  char path[YOI_MOUNT_PATH_MAX + 2];
  struct yoi_sdk_error e;
  int fd = -1;
  for (size_t i = 0; i < sizeof path; i++) path[i] = i % 2 == 0 ? '.' : '/';
  path[YOI_MOUNT_PATH_MAX - 1] = 'a';
  if (try_open(p, (yoi_str){path, YOI_MOUNT_PATH_MAX}, R, &fd, &e) != YOI_OK)
    fail_msg("%s", e.message);
  close(fd);
  path[YOI_MOUNT_PATH_MAX - 1] = '.';
  path[YOI_MOUNT_PATH_MAX] = '/';
  assert_int_equal(try_open(p, (yoi_str){path, YOI_MOUNT_PATH_MAX + 1}, R | FOLDER, &fd, &e),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "1 to 4095 bytes"));
  assert_int_equal(try_open(p, (yoi_str){"", 0}, R | FOLDER, &fd, &e), YOI_INVALID_ARGUMENT);
  assert_int_equal(try_open(p, (yoi_str){NULL, 0}, R | FOLDER, &fd, &e), YOI_INVALID_ARGUMENT);
  assert_int_equal(try_open(p, (yoi_str){"a\0b", 3}, R, &fd, &e), YOI_INVALID_ARGUMENT);
  assert_int_equal(try_open(p, (yoi_str){"a\0", 2}, R, &fd, &e), YOI_INVALID_ARGUMENT);
  memset(path, 'n', 256);
  path[256] = '\0';
  for (uint32_t create = 0; create <= CREATE; create += CREATE) {
    assert_int_equal(try_open(p, (yoi_str){path, 256}, W | create, &fd, &e), YOI_INVALID_ARGUMENT);
    assert_non_null(strstr(e.message, "a name in it is too long"));
  }
  close(opened(p, path + 1, W | CREATE)); /* 255 */
}

/* ---- what leads out ----------------------------------------------------------------- */

static void what_leads_out_is_not_followed(void **state) {
  const struct place *p = *state;
  char cwd[512], absolute[600];
  assert_non_null(getcwd(cwd, sizeof cwd));
  snprintf(absolute, sizeof absolute, "%s/out/a", cwd);
  assert_int_equal(symlink(absolute, "in/absolute"), 0);
  assert_int_equal(symlink("../out/a", "in/relative"), 0);
  assert_int_equal(symlink("../../out", "in/sub/folder"), 0);
  assert_int_equal(symlink("/proc/self/root", "in/proc"), 0);
  assert_int_equal(symlink("/", "in/slash"), 0);
  assert_int_equal(symlink("..", "in/up"), 0);
  assert_int_equal(symlink("sub/folder/a", "in/chain"), 0);
  snprintf(absolute, sizeof absolute, "%s/in/a", cwd);
  assert_int_equal(symlink(absolute, "in/back"), 0); /* inside, but by way of outside */
  static const char *const paths[] = {"../out/a",
                                      "sub/../../out/a",
                                      "..",
                                      "../in/a",
                                      "./../out",
                                      "sub/../..",
                                      "absolute",
                                      "relative",
                                      "sub/folder/a",
                                      "proc",
                                      "proc/etc/passwd",
                                      "slash",
                                      "slash/etc/passwd",
                                      "up",
                                      "up/out/a",
                                      "chain",
                                      "back",
                                      "../../../../../../../../etc/passwd"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    refused(p, paths[i], R, YOI_PERMISSION_DENIED, "it leads out of the mount");
    refused(p, paths[i], R | W, YOI_PERMISSION_DENIED, "it leads out of the mount");
    refused(p, paths[i], R | FOLDER, YOI_PERMISSION_DENIED, "it leads out of the mount");
  }
  static const char *const below[] = {"../new", "sub/folder/new", "slash/new",
                                      "up/new", "proc/tmp/new",   "sub/../../new"};
  for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
    refused(p, below[i], W | CREATE, YOI_PERMISSION_DENIED, "it leads out of the mount");
    refused(p, below[i], W | CREATE | FOLDER, YOI_PERMISSION_DENIED, "it leads out of the mount");
  }
  assert_false(files_exist("new"));
  assert_false(files_exist("out/new"));
  refused(p, "/etc/passwd", R, YOI_INVALID_ARGUMENT, "without a '/' in front");
  refused(p, "/", R | FOLDER, YOI_INVALID_ARGUMENT, "without a '/' in front");
  refused(p, "//a", W | CREATE, YOI_INVALID_ARGUMENT, "without a '/' in front");
}

static void links_that_stay_inside_are_followed(void **state) {
  const struct place *p = *state;
  assert_int_equal(symlink("sub/b", "in/link"), 0);
  assert_int_equal(symlink("../a", "in/sub/up"), 0);
  assert_int_equal(symlink("sub", "in/dir"), 0);
  assert_int_equal(symlink("later", "in/dangling"), 0);
  assert_int_equal(symlink("loop", "in/loop"), 0);
  int fd = opened(p, "link", R);
  holds(fd, "inside b");
  close(fd);
  fd = opened(p, "dir/up", R);
  holds(fd, "inside");
  close(fd);
  close(opened(p, "dir", R | FOLDER));
  close(opened(p, "dir/new", W | CREATE));
  assert_true(files_exist("in/sub/new"));
  close(opened(p, "dir/made", W | CREATE | FOLDER));
  assert_true(files_exist("in/sub/made"));
  refused(p, "dangling", R, YOI_NOT_FOUND, "it is not there");
  refused(p, "loop", R, YOI_PERMISSION_DENIED, "too many links");
  /* Nothing is made where a link leads. */
  refused(p, "dangling", W | CREATE, YOI_ALREADY_EXISTS, "it is there already");
  refused(p, "dangling", W | CREATE | FOLDER, YOI_ALREADY_EXISTS, "it is there already");
  assert_false(files_exist("in/later"));
}

/* A file is not elsewhere because it has another name there too. */
static void a_hard_link_is_a_file_of_the_mount(void **state) {
  const struct place *p = *state;
  assert_int_equal(link("out/a", "in/hard"), 0);
  int fd = opened(p, "hard", R);
  holds(fd, "secret");
  close(fd);
}

/* With a mount on /proc, where the links are the kernel's. */
static void magic_links_are_not_followed(void **state) {
  (void)state;
  struct place p = {-1};
  int fd = -1;
  struct yoi_sdk_error e;
  assert_null(yoi__mount_root("/proc/self", &p.root));
  static const char *const paths[] = {"root/etc/passwd", "cwd/out/a", "exe", "fd/0", "root", "cwd"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    refused(&p, paths[i], R, YOI_PERMISSION_DENIED, "one of /proc");
    refused(&p, paths[i], R | FOLDER, YOI_PERMISSION_DENIED, "one of /proc");
  }
  refused(&p, "cwd/new", W | CREATE | FOLDER, YOI_PERMISSION_DENIED, "one of /proc");
  assert_false(files_exist("new"));
  if (try_open(&p, YOI_LIT("status"), R, &fd, &e) != YOI_OK) fail_msg("%s", e.message);
  close(fd);
  close(p.root);
}

/* ---- what is no file ------------------------------------------------------------------ */

static void what_is_no_file_is_refused_without_being_opened(void **state) {
  const struct place *p = *state;
  struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "in/socket"};
  int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(mkfifo("in/fifo", 0600), 0);
  assert_int_equal(bind(s, (const struct sockaddr *)(const void *)&a, sizeof a), 0);
  assert_int_equal(symlink("fifo", "in/link"), 0);
  static const char *const paths[] = {"fifo", "link", "socket"};
  static const uint32_t all[] = {R, W, R | W, R | FOLDER, R | W | FOLDER};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
      refused(p, paths[i], all[k], YOI_INVALID_ARGUMENT, "neither a file nor a folder");
  refused(p, "fifo", W | CREATE, YOI_ALREADY_EXISTS, "it is there already");
  /* Nobody opened it: who writes without waiting finds no reader. */
  assert_int_equal(open("in/fifo", O_WRONLY | O_NONBLOCK), -1);
  assert_int_equal(errno, ENXIO);
  close(s);
}

/* Devices can be had with a mount on /dev, where that is a folder of them. */
static void a_device_is_not_touched(void **state) {
  (void)state;
  static const char *const names[] = {"null", "zero", "full", "tty"};
  struct place p = {-1};
  struct stat sb;
  size_t seen = 0;
  assert_null(yoi__mount_root("/dev", &p.root));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (fstatat(p.root, names[i], &sb, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISCHR(sb.st_mode)) continue;
    seen++;
    refused(&p, names[i], R, YOI_INVALID_ARGUMENT, "neither a file nor a folder");
    refused(&p, names[i], R | W, YOI_INVALID_ARGUMENT, "neither a file nor a folder");
  }
  close(p.root);
  assert_true(seen > 0);
}

/* ---- what the system says --------------------------------------------------------------- */

static void what_the_system_does_not_let_is_said(void **state) {
  const struct place *p = *state;
  files_text("in/closed", "x");
  files_directory("in/shut");
  assert_int_equal(chmod("in/closed", 0), 0);
  assert_int_equal(chmod("in/shut", 0), 0);
  if (geteuid() == 0) { /* only a thread of its own may become somebody else */
    assert_int_equal(chmod("in", 0755), 0);
    assert_int_equal(syscall(SYS_setresuid, -1, 65534, -1), 0);
  }
  struct yoi_sdk_error e[3];
  int fd;
  yoi_status st[3] = {try_open(p, YOI_LIT("closed"), R, &fd, &e[0]),
                      try_open(p, YOI_LIT("shut/x"), R, &fd, &e[1]),
                      try_open(p, YOI_LIT("shut/x"), W | CREATE | FOLDER, &fd, &e[2])};
  if (getuid() == 0) assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(st[i], YOI_PERMISSION_DENIED);
    assert_non_null(strstr(e[i].message, "does not let this host"));
  }
}

static int limit_files(unsigned n) {
  struct rlimit l;
  if (getrlimit(RLIMIT_NOFILE, &l) != 0) return -1;
  l.rlim_cur = n;
  return setrlimit(RLIMIT_NOFILE, &l);
}

static void a_descriptor_less_is_said_and_none_is_lost(void **state) {
  const struct place *p = *state;
  int held[1024], n = 0;
  while (n < 1024 && (held[n] = dup(p->root)) >= 0 && held[n] < 256) n++;
  int last = held[n];
  assert_true(last >= 256);
  close(last);
  for (int more = 0; more <= 2; more++) {
    struct yoi_sdk_error e;
    int fd = -1;
    /* The next numbers are `last` and up; the limit leaves `more` of them. */
    if (limit_files((unsigned)(last + more)) != 0) fail();
    yoi_status st = try_open(p, YOI_LIT("a"), R, &fd, &e);
    yoi_status made = more == 0 ? try_open(p, YOI_LIT("m"), W | CREATE | FOLDER, &fd, &e) : YOI_OK;
    if (limit_files(1024) != 0) fail();
    assert_int_equal(st, more < 2 ? YOI_RESOURCE_EXHAUSTED : YOI_OK);
    assert_int_equal(made, more == 0 ? YOI_RESOURCE_EXHAUSTED : YOI_OK);
    if (st == YOI_OK) close(fd);
    int next = dup(p->root);
    assert_int_equal(next, last);
    close(next);
  }
  while (n-- > 0) close(held[n]);
}

static void a_mount_that_is_removed_and_made_again_is_gone(void **state) {
  const struct place *p = *state;
  assert_int_equal(rename("in", "moved"), 0);
  files_directory("in");
  files_text("in/a", "another folder");
  int fd = opened(p, "a", R); /* wherever it is now */
  holds(fd, "inside");
  close(fd);
  assert_int_equal(unlink("moved/a"), 0);
  assert_int_equal(unlink("moved/sub/b"), 0);
  assert_int_equal(rmdir("moved/sub"), 0);
  assert_int_equal(rmdir("moved"), 0);
  static const char *const paths[] = {"a", ".", "sub/b"};
  for (size_t i = 0; i < 3; i++) {
    refused(p, paths[i], R, YOI_NOT_FOUND, "was removed");
    refused(p, paths[i], R | FOLDER, YOI_NOT_FOUND, "was removed");
    refused(p, paths[i], W | CREATE | FOLDER, YOI_NOT_FOUND, "was removed");
  }
  assert_false(files_exist("in/sub"));
}

static void a_root_is_a_folder(void **state) {
  (void)state;
  int fd = 7;
  assert_string_equal(yoi__mount_root("in/a", &fd), "is no folder");
  assert_int_equal(fd, -1);
  assert_string_equal(yoi__mount_root("none", &fd), "is not there");
  assert_string_equal(yoi__mount_root("in/a/b", &fd), "is no folder");
  assert_int_equal(mkfifo("fifo", 0600), 0);
  assert_string_equal(yoi__mount_root("fifo", &fd), "is no folder");
  assert_int_equal(unlink("fifo"), 0);
  assert_int_equal(symlink("in", "current"), 0); /* the operator's own link */
  assert_null(yoi__mount_root("current", &fd));
  assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
  close(fd);
  assert_int_equal(unlink("current"), 0);
}

/* ---- races --------------------------------------------------------------------------------- */

#define OPENS 100000

struct race {
  atomic_int stop;
  atomic_ulong swaps;
};

/* "x" is in turn the folder sub, a link to outside, and nothing. */
static void *swap(void *ctx) {
  struct race *r = ctx;
  while (atomic_load(&r->stop) == 0) {
    (void)syscall(SYS_renameat2, AT_FDCWD, "in/x", AT_FDCWD, "in/y", 2 /* RENAME_EXCHANGE */);
    atomic_fetch_add(&r->swaps, 1u);
  }
  return NULL;
}

/* What was opened or made is inside: its name says so, and what is in it. */
static void is_inside(int fd, const char *in) {
  char own[64], name[1024], buf[16] = "";
  struct stat sb;
  snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(own, name, sizeof name - 1);
  assert_true(n > 0);
  name[n] = '\0';
  if (strncmp(name, in, strlen(in)) != 0) fail_msg("%s", name);
  assert_int_equal(fstat(fd, &sb), 0);
  if (!S_ISREG(sb.st_mode) || sb.st_size == 0) return;
  assert_true(pread(fd, buf, sizeof buf - 1, 0) > 0);
  assert_int_equal(strncmp(buf, "inside", 6), 0);
}

static void race_for(const struct place *p, const char *const *paths, size_t n, uint32_t flags) {
  struct race r = {0};
  pthread_t thread;
  unsigned long good = 0, bad = 0;
  char in[512];
  assert_non_null(getcwd(in, sizeof in - 4));
  strncat(in, "/in", 4);
  assert_int_equal(pthread_create(&thread, NULL, swap, &r), 0);
  for (size_t i = 0; i < OPENS || good == 0 || bad == 0; i++) {
    struct yoi_sdk_error e;
    int fd = -1;
    yoi_status st = try_open(p, yoi_sdk_str(paths[i % n]), flags, &fd, &e);
    if (st == YOI_OK) {
      is_inside(fd, in);
      close(fd);
      good++;
    } else {
      bad++;
      if (st == YOI_INTERNAL) fail_msg("%s", e.message);
    }
    if (i == 100u * OPENS)
      fail_msg("%lu good, %lu bad, %lu swaps", good, bad, atomic_load(&r.swaps));
  }
  atomic_store(&r.stop, 1);
  pthread_join(thread, NULL);
}

static void a_folder_that_becomes_a_link_never_leads_out(void **state) {
  const struct place *p = *state;
  static const char *const paths[] = {"x/b", "x/../sub/b", "sub/../x/b", "x/./b"};
  assert_int_equal(rename("in/sub", "in/x"), 0);
  files_directory("in/sub");
  files_text("in/sub/b", "inside b");
  assert_int_equal(symlink("../out/sub", "in/y"), 0);
  race_for(p, paths, 4, R);
}

/* A rename anywhere makes the kernel unsure of "..": that is tried again. */
static void renames_elsewhere_hold_nobody_up(void **state) {
  const struct place *p = *state;
  struct race r = {0};
  pthread_t thread;
  files_directory("in/x");
  files_directory("in/y");
  assert_int_equal(pthread_create(&thread, NULL, swap, &r), 0);
  for (int i = 0; i < OPENS / 5 || atomic_load(&r.swaps) < 1000; i++)
    close(opened(p, "sub/../sub/../sub/../sub/b", R));
  atomic_store(&r.stop, 1);
  pthread_join(thread, NULL);
}

static void a_file_that_becomes_a_fifo_never_blocks(void **state) {
  const struct place *p = *state;
  static const char *const paths[] = {"x"};
  files_text("in/x", "inside");
  assert_int_equal(mkfifo("in/y", 0600), 0);
  race_for(p, paths, 1, R | W);
}

static void a_folder_is_made_inside_while_its_parent_changes(void **state) {
  const struct place *p = *state;
  struct race r = {0};
  pthread_t thread;
  char name[64];
  files_directory("in/x");
  assert_int_equal(symlink("../out/sub", "in/y"), 0);
  assert_int_equal(pthread_create(&thread, NULL, swap, &r), 0);
  for (int i = 0; i < 2000; i++) {
    struct yoi_sdk_error e;
    int fd = -1;
    snprintf(name, sizeof name, "x/made%d", i);
    if (try_open(p, yoi_sdk_str(name), W | CREATE | ((i & 1) != 0 ? FOLDER : 0), &fd, &e) == YOI_OK)
      close(fd);
  }
  atomic_store(&r.stop, 1);
  pthread_join(thread, NULL);
  assert_int_equal(unlink("out/sub/b"), 0);
  assert_int_equal(rmdir("out/sub"), 0); /* nothing else is in it */
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(what_is_inside_is_opened_as_asked),
      TEST(new_ones_are_new),
      TEST(flags_that_mean_nothing_are_refused),
      TEST(a_path_has_1_to_4095_bytes),
      TEST(what_leads_out_is_not_followed),
      TEST(links_that_stay_inside_are_followed),
      TEST(a_hard_link_is_a_file_of_the_mount),
      TEST(magic_links_are_not_followed),
      TEST(what_is_no_file_is_refused_without_being_opened),
      TEST(a_device_is_not_touched),
      TEST(what_the_system_does_not_let_is_said),
      TEST(a_descriptor_less_is_said_and_none_is_lost),
      TEST(a_mount_that_is_removed_and_made_again_is_gone),
      TEST(a_root_is_a_folder),
      TEST(a_folder_that_becomes_a_link_never_leads_out),
      TEST(renames_elsewhere_hold_nobody_up),
      TEST(a_file_that_becomes_a_fifo_never_blocks),
      TEST(a_folder_is_made_inside_while_its_parent_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
