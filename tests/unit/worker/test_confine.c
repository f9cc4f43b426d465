/* test_confine.c - files, descriptors, limits and the process itself of who is
 * shut in (host/worker/confine.h), and kernels that lack a part of it. What the
 * filter refuses is tested in test_calls.c. Files are made in the folder that
 * the test is started in, and removed.
 */
#include "confined.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sdk/confine.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoi/limits.h>

#define PATHS 4352

static char home[4096]; /* an absolute path, of all that is made here */
static char path[PATHS];
static int how; /* of the open that is tried */

static void make(const char *name, const char *text) {
  char at[PATHS];
  snprintf(at, sizeof at, "%s/%s", home, name);
  int fd = open(at, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, text, strlen(text)), (int)strlen(text));
  close(fd);
}

static int set_up(void **state) {
  char cwd[4000];
  static const char *const folders[] = {"ro", "rw", "rw/below", "other"};
  static const char *const files[] = {"ro/file", "rw/file", "other/file",
                                      "other/certificates"};
  (void)state;
  assert_non_null(getcwd(cwd, sizeof cwd));
  snprintf(home, sizeof home, "%s/confine-XXXXXX", cwd);
  assert_non_null(mkdtemp(home));
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    snprintf(path, sizeof path, "%s/%s", home, folders[i]);
    assert_int_equal(mkdir(path, 0700), 0);
  }
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) make(files[i], "text");
  snprintf(path, sizeof path, "%s/rw/out", home);
  return symlink("../other/file", path);
}

static void remove_below(int at, const char *name) {
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
  for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (unlinkat(fd, e->d_name, 0) != 0) remove_below(fd, e->d_name);
  }
  if (d != NULL) closedir(d);
  unlinkat(at, name, AT_REMOVEDIR);
}

static int tear_down(void **state) {
  (void)state;
  remove_below(AT_FDCWD, home);
  return 0;
}

/* ---- files ---- */
static int open_it(void) {
  return confined_errno(open(path, how | O_CLOEXEC, 0600));
}

/* A confinement with all that can be given; descriptors are opened anew. */
static struct yoi__confine_mount mounts[2];
static char certificates[PATHS];
static const char *const named_files[] = {certificates};

static struct yoi__confine with_files(void) {
  char at[PATHS];
  snprintf(certificates, sizeof certificates, "%s/other/certificates", home);
  for (int i = 0; i < 2; i++) {
    snprintf(at, sizeof at, "%s/%s", home, i == 0 ? "ro" : "rw");
    mounts[i].fd = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
    mounts[i].writable = i;
    assert_true(mounts[i].fd >= 0);
  }
  return (struct yoi__confine){.required = 1,
                               .files = named_files,
                               .n_files = 1,
                               .mounts = mounts,
                               .n_mounts = 2};
}

static void close_mounts(void) {
  close(mounts[0].fd);
  close(mounts[1].fd);
}

static void only_what_is_given_is_opened(void **state) {
  static const struct {
    const char *at; /* absolute, or below home */
    int how, error;
  } rows[] = {
      {"ro/file", O_RDONLY, 0},
      {"ro", O_RDONLY | O_DIRECTORY, 0},
      {"ro/file", O_WRONLY, EACCES},
      {"ro/file", O_RDONLY | O_TRUNC, EPERM},
      {"ro/new", O_WRONLY | O_CREAT, EACCES},
      {"rw/file", O_RDWR, 0},
      {"rw/file", O_WRONLY | O_TRUNC, 0},
      {"rw/new", O_WRONLY | O_CREAT | O_EXCL, 0},
      {"rw/below/new", O_WRONLY | O_CREAT | O_EXCL, 0},
      {"rw/../other/file", O_RDONLY, EACCES},
      {"rw/out", O_RDONLY, EACCES},
      {"other/file", O_RDONLY, EACCES},
      {"other/certificates", O_RDONLY, 0},
      {"other/certificates", O_RDWR, EACCES},
      {"other", O_RDONLY | O_DIRECTORY, EACCES},
      {"/", O_RDONLY | O_DIRECTORY, EACCES},
      {"/etc/passwd", O_RDONLY, EACCES},
      {"/tmp", O_RDONLY | O_DIRECTORY, EACCES},
      {"/proc/self/maps", O_RDONLY, EACCES},
      {"/proc/self/environ", O_RDONLY, EACCES},
      {"/proc/mounts", O_RDONLY, EACCES},
      {"/bin/true", O_RDONLY, EACCES},
      {"/dev/null", O_RDWR, 0},
      {"/dev/urandom", O_RDONLY, 0},
      {"/dev/tty", O_RDWR, EACCES},
      {"/etc/ld.so.cache", O_RDONLY, 0},
      {"/etc/hosts", O_RDONLY, EACCES},
  };
  struct yoi__confine c = with_files();
  (void)state;
  if (yoi_sdk_landlock_version() == 0) skip();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (rows[i].at[0] == '/')
      snprintf(path, sizeof path, "%s", rows[i].at);
    else
      snprintf(path, sizeof path, "%s/%s", home, rows[i].at);
    how = rows[i].how;
    CONFINED_IS(path, confined_run(&c, NULL, open_it), rows[i].error);
  }
  /* The environment of others: of the process that has started it. */
  snprintf(path, sizeof path, "/proc/%d/environ", getpid());
  how = O_RDONLY;
  assert_int_equal(confined_run(&c, NULL, open_it), EACCES);
  snprintf(path, sizeof path, "/etc/hosts");
  c.uses = YOI__CONFINE_NET;
  assert_int_equal(confined_run(&c, NULL, open_it), 0);
  close_mounts();
}

static int shared_object_is_loaded(void) {
  return dlopen("libcmocka.so.0", RTLD_NOW) != NULL || dlopen("libm.so.6", RTLD_NOW) != NULL
             ? 0
             : EACCES;
}

static int load_new(void) {
  /* what is not in this process yet */
  return dlopen("libutil.so.1", RTLD_NOW) != NULL ? 0 : EACCES;
}

static void libraries_of_the_system_are_loaded(void **state) {
  (void)state;
  assert_int_equal(confined_run(&confined_plain, NULL, shared_object_is_loaded), 0);
  assert_int_equal(confined_run(&confined_plain, NULL, load_new), 0);
}

/* Opened before, and by somebody who may: what is below it is looked at anew. */
static int passed = -1;

static int look_below_passed(void) {
  return confined_errno(openat(passed, "file", O_RDONLY | O_CLOEXEC));
}
static int list_passed(void) {
  char room[1024];
  return confined_errno(syscall(SYS_getdents64, passed, room, sizeof room));
}

static void a_passed_folder_is_no_mount(void **state) {
  struct yoi__confine c = with_files();
  (void)state;
  if (yoi_sdk_landlock_version() == 0) skip();
  snprintf(path, sizeof path, "%s/other", home);
  passed = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  c.keep = &passed;
  c.n_keep = 1;
  assert_int_equal(confined_run(&c, NULL, look_below_passed), EACCES);
  assert_int_equal(confined_run(&c, NULL, list_passed), 0);
  close(passed);
  snprintf(path, sizeof path, "%s/ro", home);
  passed = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_int_equal(confined_run(&c, NULL, look_below_passed), 0);
  close(passed);
  close_mounts();
}

/* ---- what is changed in a folder to write to ---- */
#define IN_RW(deed)                                          \
  snprintf(path, sizeof path, "%s/rw/file", home);           \
  int fd = open(path, O_RDWR | O_CLOEXEC);                   \
  return fd < 0 ? errno : confined_errno(deed)

static int mode_of_file(void) {
  IN_RW(fchmod(fd, 0640));
}
static int set_id_of_file(void) {
  IN_RW(fchmod(fd, 04755));
}
static int set_id_of_new_file(void) {
  snprintf(path, sizeof path, "%s/rw/set-id", home);
  return confined_errno(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 02755));
}
static int times_of_file(void) {
  IN_RW(futimens(fd, NULL));
}
static int times_by_path(void) {
  IN_RW(utimensat(fd, "x", NULL, 0));
}
static int cut_file(void) {
  IN_RW(ftruncate(fd, 1));
}
static int make_folder(void) {
  snprintf(path, sizeof path, "%s/rw/folder", home);
  return confined_errno(mkdir(path, 0700));
}
static int rename_away(void) {
  char to[PATHS];
  snprintf(path, sizeof path, "%s/rw/below/new", home);
  snprintf(to, sizeof to, "%s/other/new", home);
  int error = confined_errno(rename(path, to));
  return error == EXDEV ? EACCES : error;
}
static int rename_within(void) {
  char to[PATHS];
  snprintf(path, sizeof path, "%s/rw/below/new", home);
  snprintf(to, sizeof to, "%s/rw/newer", home);
  int error = confined_errno(rename(path, to));
  return error == EXDEV && yoi_sdk_landlock_version() < 2 ? SKIPPED : error;
}
static int remove_file(void) {
  snprintf(path, sizeof path, "%s/rw/newer", home);
  return confined_errno(unlink(path));
}
static int link_in(void) {
  char to[PATHS];
  snprintf(path, sizeof path, "%s/other/file", home);
  snprintf(to, sizeof to, "%s/rw/linked", home);
  int error = confined_errno(link(path, to));
  return error == EXDEV ? EACCES : error;
}

static void a_writable_mount_is_worked_in(void **state) {
  static const struct {
    const char *name;
    int error;
    confined_deed deed;
  } rows[] = {{"mode", 0, mode_of_file},          {"set-id", EPERM, set_id_of_file},
              {"new set-id", EPERM, set_id_of_new_file}, {"times", 0, times_of_file},
              {"times by path", EPERM, times_by_path}, {"cut", 0, cut_file},
              {"folder", 0, make_folder},         {"rename away", EACCES, rename_away},
              {"rename within", 0, rename_within}, {"remove", 0, remove_file},
              {"link in", EACCES, link_in}};
  struct yoi__confine c = with_files();
  (void)state;
  if (yoi_sdk_landlock_version() == 0) skip();
  make("rw/below/new", "");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    CONFINED_IS(rows[i].name, confined_run(&c, NULL, rows[i].deed), rows[i].error);
  close_mounts();
}

/* ---- descriptors ---- */
static int kept[3];

/* 0: open are 0, 1, 2 where they were, and what is kept, and nothing else. */
static int only_kept_are_open(void) {
  for (int fd = 3; fd < YOI_ISOLATED_FILES_MAX; fd++) {
    int open_now = fcntl(fd, F_GETFD) >= 0, wanted = 0;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) wanted |= fd == kept[i];
    if (open_now != wanted) return 1;
  }
  return 0;
}

static void nothing_inherited_stays_open(void **state) {
  static const int sets[][3] = {
      {3, 4, 5}, {5, 4, 3}, {9, 9, 9}, {3, 500, YOI_ISOLATED_FILES_MAX - 1}, {700, 3, 4}};
  struct yoi__confine c = with_files();
  struct rlimit was, more;
  (void)state;
  getrlimit(RLIMIT_NOFILE, &was);
  more = was;
  if (more.rlim_cur < YOI_ISOLATED_FILES_MAX) more.rlim_cur = YOI_ISOLATED_FILES_MAX;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
  for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      struct yoi__confined done;
      int null = open("/dev/null", O_RDWR | O_CLOEXEC);
      for (int k = 0; k < 3; k++) mounts[k % 2].fd = fcntl(mounts[k % 2].fd, F_DUPFD, 100);
      for (int fd = 3; fd < 60; fd++)
        if (dup2(null, fd) != fd) _exit(2);
      for (int k = 0; k < 3; k++)
        if (dup2(null, kept[k] = sets[i][k]) < 0) _exit(3);
      c.keep = kept;
      c.n_keep = 3;
      if (yoi__confine(&c, &done) != 0) _exit(4);
      _exit(only_kept_are_open());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    CONFINED_IS("set", WEXITSTATUS(status), 0);
  }
  setrlimit(RLIMIT_NOFILE, &was);
  /* More than can be open is nobody's honest wish. */
  struct yoi__confined done;
  c.n_keep = YOI_ISOLATED_FILES_MAX - 1;
  pid_t pid = fork();
  if (pid == 0) _exit(yoi__confine(&c, &done) == EMFILE ? 0 : 1);
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  close_mounts();
}

/* ---- limits ---- */
static int open_until_full(void) {
  int last = -1, fd;
  while ((fd = dup(0)) >= 0) last = fd;
  return errno == EMFILE && last == YOI_ISOLATED_FILES_MAX - 1 ? 0 : 1;
}

static int map(size_t bytes, int flags) {
  void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  return p == MAP_FAILED ? errno : 0;
}
static int data_to_the_limit(void) {
  return map(YOI_ISOLATED_DATA_BYTES_MAX - (64u << 20), MAP_PRIVATE);
}
static int data_over_the_limit(void) {
  return map(YOI_ISOLATED_DATA_BYTES_MAX, MAP_PRIVATE); /* with what is there already */
}
static int addresses_over_the_limit(void) {
  return map(YOI_ISOLATED_ADDRESS_BYTES_MAX, MAP_SHARED);
}
static int addresses_below_the_limit(void) {
  return map(YOI_ISOLATED_ADDRESS_BYTES_MAX - (512u << 20), MAP_SHARED);
}
static int leak_until_none(void) {
  for (size_t got = 0; got < 2 * (size_t)YOI_ISOLATED_DATA_BYTES_MAX; got += 1u << 20)
    if (malloc(1u << 20) == NULL) return 0;
  return 1;
}
static int raise_a_limit(void) {
  const rlim_t more = 2 * YOI_ISOLATED_FILES_MAX;
  struct rlimit l = {.rlim_cur = more, .rlim_max = more};
  return confined_errno(setrlimit(RLIMIT_NOFILE, &l));
}
static int core_is_none(void) {
  struct rlimit l;
  return getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_cur == 0 && l.rlim_max == 0 ? 0 : 1;
}

static void limits_are_kept(void **state) {
  const struct yoi__confine shell = {.required = 1, .uses = YOI__CONFINE_SHELL};
  (void)state;
  assert_int_equal(confined_run(&confined_plain, NULL, open_until_full), 0);
  assert_int_equal(confined_run(&confined_plain, NULL, raise_a_limit), EPERM);
  assert_int_equal(confined_run(&confined_plain, NULL, core_is_none), 0);
  if (YOI_SDK_SANITIZED) return; /* then there are none of memory */
  assert_int_equal(confined_run(&confined_plain, NULL, data_to_the_limit), 0);
  assert_int_equal(confined_run(&confined_plain, NULL, data_over_the_limit), ENOMEM);
  assert_int_equal(confined_run(&confined_plain, NULL, addresses_below_the_limit), 0);
  assert_int_equal(confined_run(&confined_plain, NULL, addresses_over_the_limit), ENOMEM);
  assert_int_equal(confined_run(&confined_plain, NULL, leak_until_none), 0);
  assert_int_equal(confined_run(&shell, NULL, data_over_the_limit), ENOMEM);
  assert_int_equal(confined_run(&shell, NULL, addresses_over_the_limit), 0);
}

/* ---- the process ---- */
static int is_shut_in(void) {
  char cwd[16];
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (getcwd(cwd, sizeof cwd) == NULL || strcmp(cwd, "/") != 0) return 1;
  if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 2;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 3;
  if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2) return 4;
  if (syscall(SYS_capget, &head, data) != 0) return 5;
  if ((data[0].effective | data[0].permitted | data[0].inheritable) != 0) return 6;
  return (data[1].effective | data[1].permitted | data[1].inheritable) != 0 ? 7 : 0;
}

static void the_process_has_nothing_left(void **state) {
  (void)state;
  assert_int_equal(confined_run(&confined_plain, NULL, is_shut_in), 0);
}

static void it_goes_first_when_memory_is_short(void **state) {
  int ready[2], go[2], status;
  char c, at[64], text[16] = "";
  (void)state;
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(go), 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct yoi__confined done;
    struct yoi__confine with = confined_plain;
    int keep[] = {ready[1], go[0]};
    with.keep = keep;
    with.n_keep = 2;
    if (yoi__confine(&with, &done) != 0) _exit(1);
    _exit(write(ready[1], "", 1) == 1 && read(go[0], &c, 1) == 1 ? 0 : 1);
  }
  assert_int_equal(read(ready[0], &c, 1), 1);
  snprintf(at, sizeof at, "/proc/%d/oom_score_adj", pid);
  int fd = open(at, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) assert_true(read(fd, text, sizeof text - 1) > 0);
  assert_int_equal(write(go[1], "", 1), 1);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
  if (fd >= 0) assert_string_equal(text, "600\n");
  close(fd);
  for (int i = 0; i < 2; i++) {
    close(ready[i]);
    close(go[i]);
  }
}

/* Its parent, a child of this test, ends; it is then ours to wait for. */
static int ends_with_parent(int asked) {
  int ready[2], status;
  char c;
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
  pid_t parent = fork();
  if (parent == 0) {
    pid_t self = getpid(), pid = fork();
    if (pid == 0) {
      struct yoi__confined done;
      struct yoi__confine with = confined_plain;
      with.keep = &ready[1];
      with.n_keep = 1;
      with.parent = asked ? self : 0;
      if (yoi__confine(&with, &done) != 0) _exit(FAILED);
      if (write(ready[1], &pid, 1) != 1) _exit(FAILED);
      for (int i = 0; i < (asked ? 60 : 0); i++) sleep(1); /* until it is killed */
      _exit(7);
    }
    close(ready[1]);
    _exit(read(ready[0], &c, 1) == 1 ? 0 : 1);
  }
  close(ready[1]);
  assert_int_equal(waitpid(parent, &status, 0), parent);
  assert_int_equal(status, 0);
  close(ready[0]);
  pid_t pid = waitpid(-1, &status, 0);
  assert_true(pid > 0);
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static void it_ends_with_its_parent(void **state) {
  struct yoi__confine other = confined_plain;
  (void)state;
  assert_int_equal(ends_with_parent(1), SIGNALLED + SIGKILL);
  assert_int_equal(ends_with_parent(0), 7);
  other.parent = 1; /* who is not */
  assert_int_equal(confined_run(&other, NULL, is_shut_in), FAILED);
}

/* ---- kernels that lack a part ---- */
struct lack {
  long nr;
  int error;    /* of that call */
  int required; /* what is then said, in both cases */
  int best_effort;
  const char *text, *text_best_effort;
};

static int said(const struct lack *l, int required) {
  struct yoi__confine c = {.required = required};
  struct yoi__confined done;
  confined_without(l->nr, l->error);
  int error = yoi__confine(&c, &done);
  if (error != (required ? l->required : l->best_effort)) return 1;
  if (strcmp(done.text, required ? l->text : l->text_best_effort) != 0) return 2;
  if (error != 0) return 0;
  if (!done.landlock && open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0) return 3;
  return done.seccomp && kill(getppid(), 0) == 0 ? 4 : 0;
}

static void what_a_kernel_lacks_is_said(void **state) {
  char now[YOI__CONFINED_TEXT_MAX];
  snprintf(now, sizeof now, "landlock version %d, no seccomp", yoi_sdk_landlock_version());
  const struct lack rows[] = {
      {SYS_landlock_create_ruleset, ENOSYS, ENOSYS, 0,
       "cannot use landlock: Function not implemented", "no landlock, seccomp"},
      /* switched off at boot */
      {SYS_landlock_create_ruleset, EOPNOTSUPP, ENOSYS, 0,
       "cannot use landlock: Function not implemented", "no landlock, seccomp"},
      {SYS_seccomp, ENOSYS, ENOSYS, 0, "cannot set the seccomp filter: Function not implemented",
       now},
      {SYS_seccomp, EINVAL, EINVAL, 0, "cannot set the seccomp filter: Invalid argument", now},
      /* There, and failing: that is no kernel without it. */
      {SYS_landlock_restrict_self, E2BIG, E2BIG, E2BIG,
       "cannot restrict itself with landlock: Argument list too long",
       "cannot restrict itself with landlock: Argument list too long"},
      {SYS_seccomp, ENOMEM, ENOMEM, ENOMEM,
       "cannot set the seccomp filter: Cannot allocate memory",
       "cannot set the seccomp filter: Cannot allocate memory"},
      {SYS_capset, EPERM, EPERM, EPERM, "cannot drop capabilities: Operation not permitted",
       "cannot drop capabilities: Operation not permitted"},
      {SYS_close_range, ENOSYS, ENOSYS, ENOSYS,
       "cannot close what was inherited: Function not implemented",
       "cannot close what was inherited: Function not implemented"},
  };
  (void)state;
  if (yoi_sdk_landlock_version() == 0) skip();
  for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(said(&rows[i / 2], i % 2 == 0));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    CONFINED_IS(rows[i / 2].text, WEXITSTATUS(status), 0);
  }
}

static void what_is_in_force_is_said(void **state) {
  (void)state;
  if (yoi_sdk_landlock_version() == 0) skip();
  int status;
  pid_t pid = fork();
  if (pid == 0) {
    char wanted[YOI__CONFINED_TEXT_MAX];
    struct yoi__confined done;
    snprintf(wanted, sizeof wanted, "landlock version %d, seccomp", yoi_sdk_landlock_version());
    int error = yoi__confine(&confined_plain, &done);
    _exit(error == 0 && strcmp(done.text, wanted) == 0 ? 0 : 1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_what_is_given_is_opened),
      cmocka_unit_test(libraries_of_the_system_are_loaded),
      cmocka_unit_test(a_passed_folder_is_no_mount),
      cmocka_unit_test(a_writable_mount_is_worked_in),
      cmocka_unit_test(nothing_inherited_stays_open),
      cmocka_unit_test(limits_are_kept),
      cmocka_unit_test(the_process_has_nothing_left),
      cmocka_unit_test(it_goes_first_when_memory_is_short),
      cmocka_unit_test(it_ends_with_its_parent),
      cmocka_unit_test(what_a_kernel_lacks_is_said),
      cmocka_unit_test(what_is_in_force_is_said),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
