/* mount_rig.h - the tools of files on a mount of their own, for their tests.
 *
 *   setup changes into a new folder that has `m`, which is the mount
 *   "workspace" for writing, and beside it `outside`, which nothing may reach.
 */
#ifndef TOOL_FS_MOUNT_RIG_H
#define TOOL_FS_MOUNT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/files.h"
#include "tests/unit/support/tool_host.h"

struct mount_rig {
  struct tool_host *th;
  struct tool_result r; /* of the last call */
  char home[64];
};

int mr_setup(void **state);
int mr_teardown(void **state);
#define MR_TEST(f) cmocka_unit_test_setup_teardown(f, mr_setup, mr_teardown)

/* Another config for the instance. */
void mr_config(struct mount_rig *g, const char *config);
/* A call with both grants; its output. Fails the test when it fails. args: the
 * inside of the object, with ' for ". */
const char *mr_do(struct mount_rig *g, const char *tool, const char *args);
/* Its message; fails the test when it does not fail with that status. */
const char *mr_fails(struct mount_rig *g, yoi_status st, const char *tool, const char *args);
void mr_has(const char *text, const char *part);
void mr_lacks(const char *text, const char *part);
/* What stands behind "revision " in the last output, or in a read of path. */
const char *mr_revision(struct mount_rig *g, const char *path);
/* The arguments, with ' for ". */
const char *mr_json(const char *args);
/* A file is just that; NULL: not there. */
void mr_file_is(const char *path, const char *content);
/* How many names a folder has. */
size_t mr_count(const char *path);

#endif
