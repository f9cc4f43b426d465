/* The section `local` beside its secrets: what it turns into, every finding at
 * its place, each limit at its edge. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/mem.h>

#include "host/config.h"
#include "support/files.h"

#define SEEN_MAX 65536
#define TEXT_MAX 131072
#define HEAD "{\"plugin_path\":[],\n\"local\":"

static char seen[SEEN_MAX]; /* process-wide: a test has one thread */

static void note(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                 const char *message) {
  size_t n = strlen(seen);
  (void)ctx;
  snprintf(seen + n, SEEN_MAX - n, "%u:%u %s %s\n", line, column, pointer, message);
}

static struct yoi__config *load(const char *json) {
  struct yoi__config *c = NULL;
  seen[0] = '\0';
  if (yoi__config_load(yoi_sdk_str(json), NULL, note, NULL, &c, NULL) != YOI_OK)
    fail_msg("%s", seen);
  return c;
}

/* One finding, which begins so. */
static void finds(const char *json, const char *expected) {
  struct yoi__config *c = NULL;
  seen[0] = '\0';
  assert_int_equal(yoi__config_load(yoi_sdk_str(json), NULL, note, NULL, &c, NULL),
                   YOI_INVALID_ARGUMENT);
  assert_null(c);
  if (strncmp(seen, expected, strlen(expected)) != 0) fail_msg("'%s'\n   in %s", expected, seen);
  if (strchr(seen, '\n')[1] != '\0') fail_msg("more than '%s': %s", expected, seen);
}

static int setup(void **state) {
  (void)state;
  files_directory("work");
  files_text("file", "");
  return 0;
}

static void everything_is_read(void **state) {
  (void)state;
  char absolute[512], json[2048];
  struct stat here, there;
  assert_non_null(getcwd(absolute, sizeof absolute - 8));
  strncat(absolute, "/work", 6);
  snprintf(json, sizeof json,
           HEAD
           "{\"mounts\":{\"here\":{\"path\":\".\"},\"work\":{\"path\":\"%s\",\"mode\":\"rw\"},"
           "\"rel\":{\"path\":\"work/../work\",\"mode\":\"ro\"}},"
           "\"network\":{\"docs\":[\"Example.org:443\",\"*.example.org:80\",\"[::1]:1\"],"
           "\"one\":[\"127.0.0.1:65535\"]},"
           "\"shell\":{\"all\":{\"commands\":[\"*\"]},\"few\":{\"env\":{\"A_1\":\"b\","
           "\"EMPTY\":\"\"},\"commands\":[\"ls\",\"g++\",\"python3.11\"],\"network\":true,"
           "\"processes\":1,\"file_bytes\":1}},"
           "\"git\":{\"g\":{\"commands\":[\"ls-files\"],\"remotes\":[\"origin\","
           "\"https://example.org/x.git\",\"git@example.org:x\"],\"cpu_s\":3600}}}}",
           absolute);
  struct yoi__config *c = load(json);
  const struct yoi__local *l = &c->local;
  assert_int_equal(l->n_mounts, 3);
  assert_string_equal(l->mounts[0].name.ptr, "here");
  assert_false(yoi__local_mount(l, YOI_LIT("here"))->writable);
  assert_true(yoi__local_mount(l, YOI_LIT("work"))->writable);
  assert_false(yoi__local_mount(l, YOI_LIT("rel"))->writable);
  assert_null(yoi__local_mount(l, YOI_LIT("her")));
  assert_int_equal(stat("work", &here), 0);
  for (int i = 1; i < 3; i++) {
    assert_int_equal(fstat(l->mounts[i].fd, &there), 0);
    assert_int_equal(here.st_ino, there.st_ino);
    assert_int_equal(fcntl(l->mounts[i].fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(l->mounts[i].fd, F_GETFL) & O_PATH, O_PATH);
  }
  assert_int_equal(l->n_networks, 2);
  const struct yoi__network *docs = yoi__local_network(l, YOI_LIT("docs"));
  assert_int_equal(docs->n, 3);
  assert_true(yoi_sdk_str_is(docs->hosts[0].host.name, "example.org"));
  assert_true(docs->hosts[1].below && docs->hosts[2].host.is_address);
  assert_int_equal(yoi__local_network(l, YOI_LIT("one"))->hosts[0].port, 65535);
  assert_null(yoi__local_network(l, YOI_LIT("work")));
  assert_string_equal(yoi__local_commands(l, 0, YOI_LIT("few"))->value.ptr,
                      "{\"commands\":[\"ls\",\"g++\",\"python3.11\"],\"network\":true,\"cpu_s\":60,"
                      "\"wall_ms\":120000,\"memory_bytes\":1073741824,\"processes\":1,"
                      "\"file_bytes\":1,\"env\":{\"A_1\":\"b\",\"EMPTY\":\"\"}}");
  assert_non_null(strstr(yoi__local_commands(l, 0, YOI_LIT("all"))->value.ptr, "[\"*\"]"));
  assert_string_equal(yoi__local_commands(l, 1, YOI_LIT("g"))->value.ptr,
                      "{\"commands\":[\"ls-files\"],\"remotes\":[\"origin\","
                      "\"https://example.org/x.git\",\"git@example.org:x\"],\"network\":false,"
                      "\"cpu_s\":3600,\"wall_ms\":120000,\"memory_bytes\":1073741824,"
                      "\"processes\":128,\"file_bytes\":1073741824}");
  assert_null(yoi__local_commands(l, 0, YOI_LIT("g")));
  int fd = l->mounts[0].fd;
  yoi__config_free(c);
  assert_int_equal(fcntl(fd, F_GETFD), -1); /* kept as long as the config is, and no longer */
}

static void a_mount_is_a_folder_that_is_there(void **state) {
  (void)state;
  char json[8192], path[4200];
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"none\"}}}}",
        "2:32 /local/mounts/w/path the folder of mount 'w' is not there; ");
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"file\"}}}}",
        "2:32 /local/mounts/w/path the folder of mount 'w' is no folder; ");
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"${HOME}\"}}}}", "2:32 /local/mounts/w/path '${'");
  finds(HEAD "{\"mounts\":{\"w\":{\"mode\":\"ro\"}}}}",
        "2:24 /local/mounts/w key 'path' is missing");
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"\"}}}}",
        "2:32 /local/mounts/w/path must not be empty");
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"work\",\"mode\":\"wo\"}}}}",
        "2:46 /local/mounts/w/mode expected one of");
  finds(HEAD "{\"mounts\":{\"w\":{\"path\":\"work\",\"depth\":1}}}}",
        "2:39 /local/mounts/w/depth unknown key");
  finds(HEAD "{\"mounts\":{\"a b\":{\"path\":\"work\"}}}}",
        "2:19 /local/mounts name in 'mounts': expected 1 to 64");
  finds(HEAD "{\"mounts\":{\"w\":\"work\"}}}", "2:24 /local/mounts/w expected an object");
  memset(path, 'x', sizeof path);
  for (int n = 0; n < 4090; n += 2) memcpy(path + n, "./", 2);
  path[4096] = '\0';
  snprintf(json, sizeof json, HEAD "{\"mounts\":{\"w\":{\"path\":\"%s\"}}}}", path);
  finds(json, "2:32 /local/mounts/w/path the folder of mount 'w' has a path that is too long");
  /* A secret, a mount and a list of hosts may have one name. */
  yoi__config_free(
      load(HEAD "{\"secrets\":{\"w\":{\"env\":\"W\"}},\"mounts\":{\"w\":{\"path\":\"work\"}},"
                "\"network\":{\"w\":[\"h:1\"]}}}"));
}

static void hosts_are_checked(void **state) {
  (void)state;
  finds(HEAD "{\"network\":{\"d\":[\"h:1\",\"h:*\"]}}}",
        "2:32 /local/network/d/1 expected a port of 1 to 65535");
  finds(HEAD "{\"network\":{\"d\":[\"127.1:80\"]}}}",
        "2:26 /local/network/d/0 expected an address written in full");
  finds(HEAD "{\"network\":{\"d\":[]}}}", "2:25 /local/network/d must not be empty");
  finds(HEAD "{\"network\":{\"d\":\"h:1\"}}}", "2:25 /local/network/d expected an array");
  finds(HEAD "{\"network\":{\"d\":[1]}}}", "2:26 /local/network/d/0 expected a string");
  finds(HEAD "{\"network\":{\"d/e\":[\"h:1\"]}}}", "2:20 /local/network name in 'network'");
}

static void commands_are_checked(void **state) {
  (void)state;
  static const char *const shell[] = {"/bin/ls", "ls -l", "-l", "..", "a/b", "a;b", "$HOME", "a*"};
  static const char *const git[] = {"-c", "**", "Status", "git status", "a_b"};
  static const char *const remotes[] = {"--upload-pack=x", "a b", "a\\tb", "\\u007f"};
  char json[512];
  for (size_t i = 0; i < sizeof shell / sizeof *shell; i++) {
    snprintf(json, sizeof json, HEAD "{\"shell\":{\"s\":{\"commands\":[\"%s\"]}}}}", shell[i]);
    finds(json, "2:36 /local/shell/s/commands/0 expected the name of a program");
  }
  for (size_t i = 0; i < sizeof git / sizeof *git; i++) {
    snprintf(json, sizeof json, HEAD "{\"git\":{\"s\":{\"commands\":[\"%s\"]}}}}", git[i]);
    finds(json, "2:34 /local/git/s/commands/0 expected a subcommand of git");
  }
  for (size_t i = 0; i < sizeof remotes / sizeof *remotes; i++) {
    snprintf(json, sizeof json,
             HEAD "{\"git\":{\"s\":{\"commands\":[\"fetch\"],\"remotes\":[\"%s\"]}}}}", remotes[i]);
    finds(json, "2:54 /local/git/s/remotes/0 expected the URL or the name of a remote");
  }
  finds(HEAD "{\"shell\":{\"s\":{}}}}", "2:23 /local/shell/s key 'commands' is missing");
  finds(HEAD "{\"git\":{\"s\":{\"commands\":[]}}}}",
        "2:33 /local/git/s/commands must not be empty");
  finds(HEAD "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"env\":{\"A-B\":\"\"}}}}}",
        "2:47 /local/shell/s/env expected the names of environment variables");
  finds(HEAD "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"env\":{\"K\":\"secret:k\"}}}}}",
        "2:47 /local/shell/s/env a secret is not handed on to commands");
  finds(HEAD "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"env\":{\"K\":\"${HOME}\"}}}}}",
        "2:52 /local/shell/s/env/K '${'");
  finds(HEAD "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"remotes\":[]}}}}",
        "2:41 /local/shell/s/remotes unknown key");
}

/* A section with n entries; what each is. */
static const char *many(const char *section, int n, const char *each) {
  static char json[TEXT_MAX]; /* process-wide: a test has one thread */
  size_t at = (size_t)snprintf(json, sizeof json, HEAD "{\"%s\":{", section);
  for (int i = 0; i < n; i++)
    at += (size_t)snprintf(json + at, sizeof json - at, "%s\"n%d\":%s", i > 0 ? "," : "", i, each);
  snprintf(json + at, sizeof json - at, "}}}");
  return json;
}

/* A list of n, each "cN" and what follows. */
static const char *list(const char *head, int n, const char *each, const char *tail) {
  static char json[TEXT_MAX]; /* process-wide: a test has one thread */
  size_t at = (size_t)snprintf(json, sizeof json, HEAD "%s", head);
  for (int i = 0; i < n; i++) {
    at += (size_t)snprintf(json + at, sizeof json - at, "%s\"c%d%s", i > 0 ? "," : "", i, each);
  }
  snprintf(json + at, sizeof json - at, "%s", tail);
  return json;
}

static void there_are_at_most_so_many(void **state) {
  (void)state;
  static const char *const sections[][2] = {{"mounts", "{\"path\":\".\"}"},
                                            {"network", "[\"h:1\"]"},
                                            {"shell", "{\"commands\":[\"a\"]}"},
                                            {"git", "{\"commands\":[\"a\"]}"}};
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
    yoi__config_free(load(many(sections[i][0], YOI_LOCAL_MAX, sections[i][1])));
    char at[64];
    snprintf(at, sizeof at, "2:%zu /local/%s must have at most 64", 13 + strlen(sections[i][0]),
             sections[i][0]);
    finds(many(sections[i][0], YOI_LOCAL_MAX + 1, sections[i][1]), at);
  }
  for (int more = 0; more <= 1; more++) {
    static const struct {
      int max;
      const char *head, *each, *tail, *at;
    } lists[] = {
        {YOI_NETWORK_HOSTS_MAX, "{\"network\":{\"d\":[", ":1\"", "]}}}",
         "2:25 /local/network/d must have at most 256"},
        {YOI_COMMANDS_MAX, "{\"shell\":{\"s\":{\"commands\":[", "\"", "]}}}}",
         "2:35 /local/shell/s/commands must have at most 256"},
        {YOI_COMMANDS_MAX, "{\"git\":{\"s\":{\"commands\":[", "\"", "]}}}}",
         "2:33 /local/git/s/commands must have at most 256"},
        {YOI_COMMANDS_MAX, "{\"git\":{\"s\":{\"commands\":[\"a\"],\"remotes\":[", "\"", "]}}}}",
         "2:49 /local/git/s/remotes must have at most 256"},
        {YOI_COMMAND_ENV_MAX, "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"env\":{", "\":\"\"",
         "}}}}}", "2:47 /local/shell/s/env must have at most 64"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
      const char *json = list(lists[i].head, lists[i].max + more, lists[i].each, lists[i].tail);
      if (more)
        finds(json, lists[i].at);
      else
        yoi__config_free(load(json));
    }
  }
}

static void numbers_have_their_range(void **state) {
  (void)state;
  static const struct {
    const char *section, *key;
    int64_t min, max;
  } keys[] = {
      {"shell", "cpu_s", 1, YOI_COMMAND_CPU_S_MAX},
      {"shell", "wall_ms", 1, YOI_TOOL_MS_MAX},
      {"shell", "memory_bytes", 1048576, YOI_COMMAND_MEMORY_MAX},
      {"shell", "processes", 1, YOI_COMMAND_PROCESSES_MAX},
      {"shell", "file_bytes", 1, YOI_COMMAND_FILE_MAX},
      {"git", "cpu_s", 1, YOI_COMMAND_CPU_S_MAX},
      {"git", "wall_ms", 1, YOI_TOOL_MS_MAX},
      {"git", "memory_bytes", 1048576, YOI_COMMAND_MEMORY_MAX},
      {"git", "processes", 1, YOI_COMMAND_PROCESSES_MAX},
      {"git", "file_bytes", 1, YOI_COMMAND_FILE_MAX},
  };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const int64_t values[] = {keys[i].min, keys[i].max, keys[i].min - 1, keys[i].max + 1};
    for (size_t k = 0; k < 4; k++) {
      char json[256], at[128], written[64];
      snprintf(json, sizeof json, HEAD "{\"%s\":{\"s\":{\"commands\":[\"a\"],\"%s\":%lld}}}}",
               keys[i].section, keys[i].key, (long long)values[k]);
      if (k < 2) {
        struct yoi__config *c = load(json);
        snprintf(written, sizeof written, "\"%s\":%lld", keys[i].key, (long long)values[k]);
        const struct yoi__commands *s = keys[i].section[0] == 's' ? c->local.shell : c->local.git;
        assert_non_null(strstr(s->value.ptr, written));
        yoi__config_free(c);
        continue;
      }
      snprintf(at, sizeof at, "2:%zu /local/%s/s/%s must be at %s",
               39 + strlen(keys[i].section) + strlen(keys[i].key), keys[i].section, keys[i].key,
               k == 2 ? "least" : "most");
      finds(json, at);
    }
  }
}

static void a_value_fits_into_the_buffer_of_a_tool(void **state) {
  (void)state;
  static char json[2 * YOI_GRANT_VALUE_MAX]; /* process-wide: a test has one thread */
  static const char head[] = HEAD "{\"shell\":{\"s\":{\"commands\":[\"a\"],\"env\":{";
  size_t at = 0, last = 0;
  for (int more = 0; more <= 1; more++) {
    at = (size_t)snprintf(json, sizeof json, "%s", head);
    for (int i = 0; i < 16; i++) {
      /* The last one fills it up: what the others and the defaults leave. */
      size_t n = i < 15 ? 4096 : last + (size_t)more;
      at += (size_t)snprintf(json + at, sizeof json - at, "%s\"E%02d\":\"", i > 0 ? "," : "", i);
      memset(json + at, 'x', n);
      at += n;
      at += (size_t)snprintf(json + at, sizeof json - at, "\"");
    }
    snprintf(json + at, sizeof json - at, "}}}}}");
    if (last == 0) { /* measured once with the last one empty */
      struct yoi__config *c = load(json);
      last = YOI_GRANT_VALUE_MAX - c->local.shell[0].value.len;
      yoi__config_free(c);
      assert_in_range(last, 1, 4095);
      more = -1;
    } else if (more == 0) {
      struct yoi__config *c = load(json);
      assert_int_equal(c->local.shell[0].value.len, YOI_GRANT_VALUE_MAX);
      yoi__config_free(c);
    } else {
      finds(json, "2:23 /local/shell/s with its defaults it has 65537 bytes, at most 65536");
    }
  }
}

static void memory_that_is_short_leaves_nothing_open(void **state) {
  (void)state;
  int before = dup(0);
  close(before);
  for (uint64_t n = 1;; n++) {
    struct yoi__config *c = NULL;
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi__config_load(
        YOI_LIT(HEAD "{\"mounts\":{\"w\":{\"path\":\"work\"},\"v\":{\"path\":\".\"}},"
                     "\"network\":{\"d\":[\"h:1\"]},\"shell\":{\"s\":{\"commands\":[\"a\"]}}}}"),
        NULL, NULL, NULL, &c, NULL);
    (void)yoi_sdk_mem_fail_at(0);
    if (st == YOI_OK) {
      assert_true(n > 10);
      yoi__config_free(c);
      break;
    }
    assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
    assert_null(c);
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_is_read),
      cmocka_unit_test(a_mount_is_a_folder_that_is_there),
      cmocka_unit_test(hosts_are_checked),
      cmocka_unit_test(commands_are_checked),
      cmocka_unit_test(there_are_at_most_so_many),
      cmocka_unit_test(numbers_have_their_range),
      cmocka_unit_test(a_value_fits_into_the_buffer_of_a_tool),
      cmocka_unit_test(memory_that_is_short_leaves_nothing_open),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
