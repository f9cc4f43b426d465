/* The config: what it turns into, every finding at its place in the text, the
 * default. */
#include "host/config.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/mem.h>
#include <yoi/host_log.h>

#include "support/files.h"

#define SEEN_MAX 65536
#define CONFIG_MAX 8192

/* Three plugins in plug/: dev.yoi.test.ctor (runtime), .model, .entry. */
static int setup(void **state) {
  (void)state;
  files_directory("plug");
  files_plugin("ctor", "plug/ctor.so");
  files_plugin("shape", "plug/model.so");
  files_patch("plug/model.so", "\"id\": \"dev.yoi.test.shape\"", "\"id\": \"dev.yoi.test.model\"");
  files_patch("plug/model.so", "\"kind\": \"runtime\"", "\"kind\": \"model\"");
  files_patch("plug/model.so", "[\"yoi.runtime/1\"]", "[\"yoi.model/1\"]");
  files_plugin("shape", "plug/entry.so");
  files_patch("plug/entry.so", "\"id\": \"dev.yoi.test.shape\"", "\"id\": \"dev.yoi.test.entry\"");
  files_patch("plug/entry.so", "\"kind\": \"runtime\"", "\"kind\": \"ingress\"");
  files_patch("plug/entry.so", "[\"yoi.runtime/1\"]", "[\"yoi.ingress/1\"]");
  return 0;
}

static void note(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                 const char *message) {
  char *seen = ctx;
  size_t n = strlen(seen);
  snprintf(seen + n, SEEN_MAX - n, "%u:%u %s %s\n", line, column, pointer, message);
}

static struct yoi__config *load(const char *json) {
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  struct yoi__config *c = NULL;
  seen[0] = '\0';
  if (yoi__config_load(yoi_sdk_str(json), NULL, note, seen, &c, NULL) != YOI_OK)
    fail_msg("%s", seen);
  return c;
}

/* The findings are these, in this order: each expected text is the beginning
 * of its line, after which `...` stands for anything up to the next part. */
static void finds(const char *json, const char *const *expected, size_t n) {
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  struct yoi_sdk_error e;
  char *line = seen;
  seen[0] = '\0';
  assert_int_equal(
      yoi__config_load(yoi_sdk_str(json), NULL, note, seen, NULL, yoi_sdk_error_init(&e)),
      n > 0 ? YOI_INVALID_ARGUMENT : YOI_OK);
  for (size_t i = 0; i < n; i++) {
    char *end = strchr(line, '\n');
    const char *rest = strstr(expected[i], "...");
    size_t head = rest != NULL ? (size_t)(rest - expected[i]) : strlen(expected[i]);
    if (end == NULL) fail_msg("missing '%s' after:\n%s", expected[i], seen);
    *end = '\0';
    if (strncmp(line, expected[i], head) != 0 || (rest != NULL && strstr(line, rest + 3) == NULL) ||
        (rest == NULL && strlen(line) != head))
      fail_msg("expected '%s'\n   found '%s'", expected[i], line);
    line = end + 1;
  }
  if (*line != '\0') fail_msg("unexpected: %s", line);
  if (n > 0) assert_int_equal(strncmp(e.message, "config line ", 12), 0);
}

#define FINDS(json, ...)                                       \
  do {                                                         \
    static const char *const expected[] = {__VA_ARGS__};       \
    finds(json, expected, sizeof expected / sizeof *expected); \
  } while (0)

#define HEAD "{\"plugin_path\":[\"plug\"],\n"
#define RUNTIME "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"}]"

static void everything_is_read(void **state) {
  (void)state;
  struct yoi__config *c = load(
      HEAD
      "// a comment\n"
      "\"plugins\":[{\"id\":\"dev.yoi.test.ctor\",\"grants\":[\"model:main\"],"
      "\"isolation\":\"none\"}],\n"
      "\"runtimes\":[{\"id\":\"r-1\",\"plugin\":\"dev.yoi.test.ctor\",\"display_name\":\"R\",\n"
      "  \"default_profile\":\"builtin:companion\",\"deadline_ms\":500,\n"
      "  \"config\":{ \"note\" : /* here */ \"secret:b\" }},\n"
      "  {\"id\":\"r-2\",\"plugin\":\"dev.yoi.test.ctor\"}],\n"
      "\"models\":[{\"name\":\"main\",\"plugin\":\"dev.yoi.test.model\",\n"
      "  \"config\":{\"list\":[{\"key\":\"secret:a\"},\"secret:a\",\"secret:b\"]}}],\n"
      "\"ingress\":[{\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"browser\",\n"
      "  \"listen\":\"[::1]:0\",\"hosts\":[\"a.example\",\"b.example:80\"]},\n"
      "  {\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"runtime\",\"runtime\":\"r-2\",\n"
      "  \"listen\":\"0.0.0.0:38801\",\"token\":\"secret:a\"},\n"
      "  {\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"runtime\",\"runtime\":\"r-1\",\n"
      "  \"listen\":\"localhost:38802\",\"insecure\":true}],\n"
      "\"local\":{\"secrets\":{\"a\":{\"env\":\"YOI_TEST_A\"},"
      "\"b\":{\"file\":\"${HOME}/b.secret\"}}},\n"
      "\"loops\":3,\"log\":{\"level\":\"debug\",\"format\":\"json\"},\"drain_ms\":0}");
  assert_int_equal(c->step, 0);
  assert_int_equal(c->loops, 3);
  assert_int_equal(c->log_level, YOI_LOG_DEBUG);
  assert_int_equal(c->log_format, YOI__LOG_JSON);
  assert_int_equal(c->drain_ms, 0);
  assert_int_equal(c->n_runtimes, 2);
  assert_string_equal(c->runtimes[0].id.ptr, "r-1");
  assert_string_equal(c->runtimes[0].display_name.ptr, "R");
  assert_string_equal(c->runtimes[0].default_profile.ptr, "companion");
  assert_int_equal(c->runtimes[0].deadline_ms, 500);
  assert_string_equal(c->runtimes[0].instance.config.ptr, "{\"note\":\"secret:b\"}");
  assert_int_equal(c->runtimes[0].instance.secrets.n, 1);
  assert_string_equal(c->runtimes[0].instance.secrets.names[0].ptr, "b");
  assert_string_equal(c->runtimes[0].instance.plugin->manifest.id.ptr, "dev.yoi.test.ctor");
  assert_string_equal(c->runtimes[1].display_name.ptr, "dev.yoi.test.ctor");
  assert_int_equal(c->runtimes[1].default_profile.len, 0);
  assert_int_equal(c->runtimes[1].deadline_ms, YOI_DEADLINE_MS_DEFAULT);
  assert_string_equal(c->runtimes[1].instance.config.ptr, "{}");
  assert_int_equal(c->runtimes[1].instance.secrets.n, 0);
  assert_int_equal(c->n_models, 1);
  assert_string_equal(c->models[0].name.ptr, "main");
  assert_int_equal(c->models[0].instance.secrets.n, 2);
  assert_string_equal(c->models[0].instance.secrets.names[0].ptr, "a");
  assert_int_equal(c->n_ingress, 3);
  assert_int_equal(c->ingress[0].surface, YOI_SURFACE_BROWSER);
  assert_int_equal(c->ingress[0].address.ss_family, AF_INET6);
  assert_int_equal(c->ingress[0].address_len, sizeof(struct sockaddr_in6));
  assert_string_equal(c->ingress[0].hosts.ptr, "[\"a.example\",\"b.example:80\"]");
  assert_int_equal(c->ingress[1].surface, YOI_SURFACE_RUNTIME);
  assert_string_equal(c->ingress[1].runtime_id.ptr, "r-2");
  assert_string_equal(c->ingress[1].token.ptr, "a");
  assert_int_equal(c->ingress[1].instance.secrets.n, 1);
  assert_int_equal(c->ingress[1].hosts.len, 0);
  assert_int_equal(c->ingress[2].insecure, 1);
  assert_int_equal(c->ingress[2].token.len, 0);
  assert_true(yoi__config_granted(c, c->runtimes[0].instance.plugin, YOI_LIT("model:main")));
  assert_false(yoi__config_granted(c, c->runtimes[0].instance.plugin, YOI_LIT("model:other")));
  assert_false(yoi__config_granted(c, c->models[0].instance.plugin, YOI_LIT("model:main")));
  yoi__config_free(c);
}

#define WITH_FILES                                  \
  "{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"," \
  "\"config\":{\"note\":\"a\",\"files\":[\"a\",\"/b\"]}}"
#define WITH_FILES_SEEN "{\"note\":\"a\",\"files\":[\"/srv/yoi/a\",\"/b\"]}"

/* Also of an entry that comes later, wherever the process is by then. */
static void paths_of_a_plugin_are_absolute(void **state) {
  (void)state;
  static const char json[] = "{\"plugin_path\":[\"%s/plug\"],\"runtimes\":[" WITH_FILES "]}";
  const struct yoi__config_runtime *added = NULL;
  struct yoi__config *c = NULL;
  char here[YOI_PATH_BYTES_MAX], text[sizeof here + sizeof json];
  void *memory = NULL;
  assert_non_null(getcwd(here, sizeof here));
  (void)snprintf(text, sizeof text, json, here);
  assert_int_equal(yoi__config_load(yoi_sdk_str(text), "/srv/yoi", NULL, NULL, &c, NULL), YOI_OK);
  assert_string_equal(c->runtimes[0].instance.config.ptr, WITH_FILES_SEEN);
  assert_int_equal(yoi__config_runtime_load(c, YOI_LIT(WITH_FILES), &added, &memory, NULL), YOI_OK);
  assert_string_equal(added->instance.config.ptr, WITH_FILES_SEEN);
  yoi__config_memory_free(memory);
  yoi__config_free(c);
  FINDS(HEAD
        "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\",\n"
        " \"config\":{\"files\":[\"a\",\"\"]}}]}",
        "3:25 /runtimes/0/config/files/1 expected a path");
}

static void what_is_absent_has_a_default(void **state) {
  (void)state;
  struct yoi__config *c = load("{\"plugin_path\":[\"plug\"]," RUNTIME "}");
  assert_int_equal(c->loops, 0);
  assert_int_equal(c->log_level, YOI_LOG_INFO);
  assert_int_equal(c->log_format, YOI__LOG_LOGFMT);
  assert_int_equal(c->drain_ms, YOI_DRAIN_MS_DEFAULT);
  assert_true(yoi__config_granted(c, c->runtimes[0].instance.plugin, YOI_LIT("model:x")));
  yoi__config_free(c);
  c = load("{\"plugin_path\":[],\"step\":true}");
  assert_int_equal(c->step, 1);
  assert_int_equal(c->loops, 1);
  assert_int_equal(yoi__catalogue_count(c->plugins), 0);
  yoi__config_free(c);
}

static void text_that_is_no_config(void **state) {
  (void)state;
  static char big[YOI_CONFIG_BYTES_MAX + 2];
  struct yoi__config *none = NULL;
  FINDS("[]", "1:1  expected an object...");
  FINDS("{\"plugin_path\":[],}", "1:19 ...");
  FINDS("{\"plugin_path\":[],\n\"loops\":1,\n \"loops\":2}", "3:2 ...");
  FINDS("{\"plugin_path\":[]} x", "1:20 ...");
  FINDS("{\n  /* never closed", "2:...");
  memset(big, ' ', sizeof big);
  assert_int_equal(yoi__config_load((yoi_str){big, sizeof big}, NULL, NULL, NULL, &none, NULL),
                   YOI_INVALID_ARGUMENT);
  assert_null(none);
}

static void unknown_keys_name_the_nearest(void **state) {
  (void)state;
  FINDS(HEAD "\"runtime\":[]}", "2:1 /runtime unknown key 'runtime'...'runtimes'");
  FINDS(HEAD "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\",\n\"displayname\":1}]}",
        "3:1 /runtimes/0/displayname unknown key...'display_name'");
  FINDS(HEAD "\"log\":{\"levle\":\"info\"}}", "2:8 /log/levle unknown key...'level'");
}

static void schema_findings_have_their_place(void **state) {
  (void)state;
  FINDS(HEAD "\"runtimes\":[{\"id\":\"r\"}],\n\"loops\":0,\n\"step\":1,\n\"drain_ms\":-1}",
        "2:13 /runtimes/0...'plugin'", "3:9 /loops ...at least 1", "4:8 /step expected...",
        "5:12 /drain_ms ...at least 0");
  FINDS(HEAD "\"loops\":257,\"log\":{\"level\":\"loud\"}}", "2:9 /loops ...at most 256",
        "2:28 /log/level expected one of...");
  FINDS(HEAD "\"step\":true,\"loops\":2}", "2:21 /loops step mode has one loop");
}

static void a_runtime_stays_in_this_process(void **state) {
  (void)state;
  FINDS(HEAD "\"plugins\":[{\"id\":\"dev.yoi.test.ctor\",\n\"isolation\":\"process\"}]}",
        "3:13 /plugins/0/isolation 'process' is for tools, policies and models; for a runtime run "
        "a second yoi-host behind http-remote");
}

static void plugins_must_exist_and_fit(void **state) {
  (void)state;
  FINDS(HEAD
        "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctro\"}],\n"
        "\"models\":[{\"name\":\"m\",\"plugin\":\"dev.yoi.test.ctor\"}],\n"
        "\"plugins\":[{\"id\":\"dev.yoi.test.ctor\"},{\"id\":\"dev.yoi.test.ctor\"},"
        "{\"id\":\"dev.yoi.nothing\"}]}",
        "2:32 /runtimes/0/plugin no plugin has the id 'dev.yoi.test.ctro', did you mean "
        "'dev.yoi.test.ctor'...searched",
        "3:32 /models/0/plugin plugin 'dev.yoi.test.ctor': expected kind 'model', found 'runtime'",
        "4:45 /plugins/1/id plugin 'dev.yoi.test.ctor' has an entry already, /plugins/0",
        "4:72 /plugins/2/id no plugin has the id 'dev.yoi.nothing'...searched");
}

static void grants_are_checked(void **state) {
  (void)state;
  FINDS(HEAD RUNTIME
        ",\n\"plugins\":[{\"id\":\"dev.yoi.test.ctor\",\"grants\":[\"tool:x\","
        "\"anything\",\"model:a b\",\"model:*\",\"mount:*:ro\"]}]}",
        "3:48 /plugins/0/grants/0 expected 'model:NAME', 'mount:NAME:ro'...",
        "3:57 /plugins/0/grants/1 expected 'model:NAME', 'mount:NAME:ro'...",
        "3:68 /plugins/0/grants/2 expected a name of 1 to 64...or '*'");
  files_directory("wants");
  files_plugin("ctor", "wants/ctor.so");
  /* A manifest that wants more than its kind cannot do without. */
  files_patch("wants/ctor.so", "\"runtime_id\": \"ctor\"", "\"grants\":[\"model:m\"]");
  finds("{\"plugin_path\":[\"wants\"],\n" RUNTIME "}", NULL, 0);
  FINDS("{\"plugin_path\":[\"wants\"],\n" RUNTIME
        ",\n\"plugins\":[{\"id\":\"dev.yoi.test.ctor\",\"grants\":[\"model:other\"]}]}",
        "2:32 /runtimes/0/plugin plugin 'dev.yoi.test.ctor' wants the grant 'model:m'...");
}

/* What a pin of this digest finds. */
static void pin_finds(const char *digest, const char *finding) {
  const char *const expected[] = {finding};
  char json[CONFIG_MAX];
  snprintf(json, sizeof json,
           HEAD "\"plugins\":[{\"id\":\"dev.yoi.test.ctor\",\n\"digest\":\"%s\"}]}", digest);
  finds(json, expected, finding != NULL);
}

static void pins_are_checked(void **state) {
  (void)state;
  char other[YOI_SDK_DIGEST_SIZE], pin[YOI_SDK_DIGEST_SIZE], want[512];
  struct yoi__config *c = load(HEAD RUNTIME "}");
  memcpy(pin, c->runtimes[0].instance.plugin->digest, sizeof pin);
  assert_string_equal(c->runtimes[0].instance.plugin->pin, "");
  yoi__config_free(c);
  pin_finds(pin, NULL);
  pin_finds("sha256:0", "3:10 /plugins/0/digest expected 'sha256:' and 64 digits of 0-9 a-f");
  memcpy(other, pin, sizeof other);
  other[70] = other[70] == '0' ? '1' : '0';
  snprintf(want, sizeof want,
           "3:10 /plugins/0/digest pinned plugin 'dev.yoi.test.ctor': field 'digest': expected %s, "
           "found %s in its file...plug/ctor.so",
           other, pin);
  pin_finds(other, want);
  assert_int_equal(chmod("plug/ctor.so", 0620), 0);
  pin_finds(pin,
            "3:10 /plugins/0/digest pinned plugin 'dev.yoi.test.ctor': field 'mode' of its file: "
            "expected no writing by group or others, found 0620...plug/ctor.so");
  assert_int_equal(chmod("plug/ctor.so", 0600), 0);
}

static void names_are_used_once(void **state) {
  (void)state;
  FINDS(HEAD
        "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"},\n"
        "{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"},\n"
        "{\"id\":\"No Id\",\"plugin\":\"dev.yoi.test.ctor\"}],\n"
        "\"models\":[{\"name\":\"m\",\"plugin\":\"dev.yoi.test.model\"},\n"
        "{\"name\":\"m\",\"plugin\":\"dev.yoi.test.model\"}]}",
        "3:7 /runtimes/1/id runtime id 'r' is taken by /runtimes/0",
        "4:7 /runtimes/2/id expected 1 to 64...",
        "6:9 /models/1/name model name 'm' is taken by /models/0");
}

static void an_entry_fits_its_plugins_schema(void **state) {
  (void)state;
  FINDS(HEAD
        "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\",\n"
        "\"config\":{\"note\":1,\n\"notes\":\"x\"}}]}",
        "3:18 /runtimes/0/config/note expected a string...",
        "4:1 /runtimes/0/config/notes unknown key 'notes'...'note'");
}

static void secrets_must_be_declared(void **state) {
  (void)state;
  FINDS(HEAD
        "\"local\":{\"secrets\":{\"llm\":{\"env\":\"A\"},\"both\":{\"env\":\"A\","
        "\"file\":\"f\"},\"none\":{},\"b d\":{\"env\":\"A\"},\"bad\":{\"env\":\"A-B\"}}},\n"
        "\"models\":[{\"name\":\"m\",\"plugin\":\"dev.yoi.test.model\",\n"
        "\"config\":{\"key\":\"secret:lln\",\n\"a/b\":{\"~\":[0,\"secret:\"]}}}]}",
        "2:20 /local/secrets name of a secret:...",
        "2:46 /local/secrets/both expected exactly one of 'file' and 'env'",
        "2:76 /local/secrets/none expected exactly one of 'file' and 'env'",
        "2:103 /local/secrets/bad env: expected the name of an environment variable",
        "4:17 /models/0/config/key secret 'lln' is not declared in local.secrets, did you mean "
        "'llm'",
        "5:15 /models/0/config/a~1b/~0/1 expected 'secret:NAME'");
}

static void a_token_is_never_repeated(void **state) {
  (void)state;
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  struct yoi_sdk_error e;
  const char *json = HEAD RUNTIME
      ",\n\"ingress\":[{\"plugin\":\"dev.yoi.test.entry\",\"surface\":\"runtime\","
      "\"runtime\":\"r\",\"listen\":\"127.0.0.1:0\",\"token\":\"hunter2-hunter2\"}]}";
  seen[0] = '\0';
  assert_int_equal(
      yoi__config_load(yoi_sdk_str(json), NULL, note, seen, NULL, yoi_sdk_error_init(&e)),
      YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(seen, "/ingress/0/token expected 'secret:NAME'"));
  assert_null(strstr(seen, "hunter2"));
  assert_null(strstr(e.message, "hunter2"));
  assert_null(strstr(e.private_detail, "hunter2"));
}

static void the_environment_is_named_in_secrets_only(void **state) {
  (void)state;
  FINDS(HEAD
        "\"local\":{\"secrets\":{\"a\":{\"file\":\"${DIR}/a\"}}},\n"
        "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\",\n"
        "\"display_name\":\"${NAME}\",\"config\":{\"note\":\"at ${HOST}:80\"}}]}",
        "4:16 /runtimes/0/display_name '${' stands for the environment only...",
        "4:43 /runtimes/0/config/note '${' stands for the environment only...");
}

#define ENTRY "{\"plugin\":\"dev.yoi.test.entry\","

static void surfaces_have_their_rules(void **state) {
  (void)state;
  FINDS(HEAD "\"ingress\":[\n" ENTRY "\"surface\":\"browser\",\"listen\":\"0.0.0.0:1\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"127.0.0.1:2\",\"runtime\":\"r\","
             "\"token\":\"secret:t\",\"insecure\":true},\n" ENTRY
             "\"surface\":\"runtime\",\"listen\":\"127.0.0.1:3\"},\n" ENTRY
             "\"surface\":\"runtime\",\"listen\":\"10.0.0.1:4\",\"runtime\":\"r\","
             "\"insecure\":true},\n" ENTRY
             "\"surface\":\"runtime\",\"listen\":\"127.0.0.1:5\",\"runtime\":\"q\","
             "\"insecure\":true,\"token\":\"secret:t\",\"hosts\":[]},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"127.0.0.1:6\",\"hosts\":[\"a/b\"]}],\n"
             "\"local\":{\"secrets\":{\"t\":{\"env\":\"T\"}}},\n" RUNTIME "}",
        "3:61 /ingress/0/listen a browser surface off loopback...",
        "4:75 /ingress/1/runtime 'runtime' belongs to a runtime surface",
        "4:89 /ingress/1/token 'token' belongs to a runtime surface",
        "4:108 /ingress/1/insecure 'insecure' belongs to a runtime surface",
        "5:1 /ingress/2 a runtime surface needs a 'token'...",
        "5:1 /ingress/2 a runtime surface needs a 'runtime'",
        "6:99 /ingress/3/insecure a surface off loopback needs a 'token'",
        "7:85 /ingress/4/runtime no runtime has the id 'q'...",
        "7:100 /ingress/4/insecure 'insecure' contradicts 'token'",
        "7:124 /ingress/4/hosts 'hosts' belongs to a browser surface",
        "8:84 /ingress/5/hosts/0 expected a Host value...");
}

static void listeners_have_an_address_each(void **state) {
  (void)state;
  static const char *const bad[] = {
      "127.0.0.1",     "127.0.0.1:",     "127.0.0.1:65536", "127.0.0.1:-1",   "127.0.0.1:+1",
      ":80",           "example.org:80", "[::1:80",         "[127.0.0.1]:80", "[]:80",
      "127.0.0.1:080", "127.1:80",       "127.0.0.1 :80",   "[::1]x:80",      "127.0.0.1:80\\u0009",
      "localhost",     "*:80",           "[::1%lo]:80",     "unix:",          "unix:run/",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    static const char *const expected[] = {"2:...expected "};
    char json[CONFIG_MAX];
    snprintf(json, sizeof json,
             HEAD "\"ingress\":[" ENTRY "\"surface\":\"browser\",\"listen\":\"%s\"}]}", bad[i]);
    finds(json, expected, 1);
  }
  FINDS(HEAD "\"ingress\":[" ENTRY "\"surface\":\"browser\",\"listen\":\"::1:80\"}]}",
        "2:72 /ingress/0/listen expected brackets around an IPv6 address");
  FINDS(HEAD "\"ingress\":[" ENTRY "\"surface\":\"browser\",\"listen\":\"127.0.0.1:80\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"localhost:80\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"[::1]:80\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"127.0.0.2:80\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"127.0.0.1:0\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"127.0.0.1:0\"}]}",
        "3:61 /ingress/1/listen the port is taken by /ingress/0");
  FINDS(HEAD "\"ingress\":[" ENTRY "\"surface\":\"browser\",\"listen\":\"unix:/run/a\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"unix:/run/b\"},\n" ENTRY
             "\"surface\":\"browser\",\"listen\":\"unix:/run/a\"}]}",
        "4:61 /ingress/2/listen the path is taken by /ingress/0");
}

static void folders_are_checked(void **state) {
  (void)state;
  FINDS("{\"plugin_path\":[\"plug\",\n\"absent\"],\n\"drop_in\":[\"gone\"]}",
        "2:1 /plugin_path/1 cannot search this folder: No such file...absent",
        "3:12 /drop_in/0 cannot search this folder: No such file...gone");
}

static void dropped_in_runtimes_are_registered(void **state) {
  (void)state;
  struct yoi__config *c;
  files_directory("drop");
  files_plugin("ctor", "drop/ctor.so");
  files_text("drop/README", "not a plugin");
  c = load("{\"plugin_path\":[],\"drop_in\":[\"drop\"],\"ingress\":[]}");
  assert_int_equal(c->n_runtimes, 1);
  assert_string_equal(c->runtimes[0].id.ptr, "ctor");
  assert_string_equal(c->runtimes[0].display_name.ptr, "dev.yoi.test.ctor");
  assert_string_equal(c->runtimes[0].instance.config.ptr, "{}");
  assert_int_equal(c->runtimes[0].drop_in, 1);
  assert_int_equal(c->runtimes[0].deadline_ms, YOI_DEADLINE_MS_DEFAULT);
  yoi__config_free(c);
  c = load(HEAD RUNTIME ",\"drop_in\":[\"drop\"]}"); /* the same plugin, twice a runtime */
  assert_int_equal(c->n_runtimes, 2);
  assert_ptr_equal(c->runtimes[0].instance.plugin, c->runtimes[1].instance.plugin);
  yoi__config_free(c);
  FINDS(HEAD
        "\"drop_in\":[\"drop\"],\n"
        "\"runtimes\":[{\"id\":\"ctor\",\"plugin\":\"dev.yoi.test.ctor\"}]}",
        "2:11 /drop_in runtime id 'ctor' of plugin 'dev.yoi.test.ctor' is taken...");
  files_plugin("shape", "drop/shape.so");
  files_plugin("ctor", "drop/strict.so");
  files_patch("drop/strict.so", "\"runtime_id\": \"ctor\"", "\"runtime_id\": \"two\"");
  FINDS("{\"plugin_path\":[],\n\"drop_in\":[\"drop\"]}",
        "2:12 /drop_in/0 a plugin in this folder is refused...shape.so': manifest field",
        "2:12 /drop_in/0 a plugin in this folder is refused...strict.so': its id");
  files_directory("needs");
  files_plugin("ctor", "needs/ctor.so");
  files_patch("needs/ctor.so", "\"additionalProperties\": false", "\"required\": [\"note\"]");
  FINDS("{\"plugin_path\":[],\n\"drop_in\":[\"needs\"]}",
        "2:11 /drop_in 'config': key 'note' is missing",
        "2:11 /drop_in plugin 'dev.yoi.test.ctor' cannot be dropped in...");
}

static void checking_runs_no_plugin_code(void **state) {
  (void)state;
  setenv("YOI_TEST_CTOR", "ran", 1);
  yoi__config_free(load(HEAD RUNTIME "}"));
  assert_false(files_exist("ran"));
}

static void a_listeners_token_needs_a_value(void **state) {
  (void)state;
  struct yoi__config *c = load(
      HEAD RUNTIME
      ",\"ingress\":[" ENTRY
      "\"surface\":\"runtime\",\"runtime\":\"r\","
      "\"listen\":\"127.0.0.1:0\",\"token\":\"secret:t\"}],\n"
      "\"local\":{\"secrets\":{\"t\":{\"env\":\"YOI_TEST_T\"},\"u\":{\"env\":\"YOI_TEST_U\"}}}}");
  struct yoi_sdk_error e;
  unsetenv("YOI_TEST_T");
  assert_int_equal(yoi__config_read_secrets(c, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "secret 't', the token of listener '127.0.0.1:0'"));
  setenv("YOI_TEST_T", "value", 1);
  assert_int_equal(yoi__config_read_secrets(c, NULL), YOI_OK);
  yoi__config_free(c);
}

static void default_text(struct yoi_sdk_buf *out, const char *url, const char *model,
                         const char *key) {
  static const char *const names[] = {"OPENAI_BASE_URL", "YOI_MODEL", "OPENAI_API_KEY"};
  const char *values[] = {url, model, key};
  for (size_t i = 0; i < 3; i++) {
    if (values[i] != NULL) {
      setenv(names[i], values[i], 1);
    } else {
      unsetenv(names[i]);
    }
  }
  yoi_sdk_buf_clear(out);
  yoi__config_default(out);
  assert_int_equal(out->failed, 0);
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_buf_str(out), 0, NULL), YOI_OK);
}

static void the_default_follows_the_environment(void **state) {
  (void)state;
  struct yoi_sdk_buf t;
  yoi_sdk_buf_init(&t, CONFIG_MAX);
  default_text(&t, NULL, "m", "k");
  assert_non_null(strstr(t.data, "\"dev.yoi.model-script\""));
  assert_non_null(strstr(t.data, "\"backend-internal\""));
  assert_non_null(strstr(t.data, "\"127.0.0.1:38800\""));
  assert_null(strstr(t.data, "openai\",\"config"));
  assert_null(strstr(t.data, "\"k\""));
  default_text(&t, "", NULL, NULL);
  assert_non_null(strstr(t.data, "\"dev.yoi.model-script\""));
  default_text(&t, "http://127.0.0.1:1/v1", NULL, NULL);
  assert_non_null(strstr(t.data,
                         "\"dev.yoi.model-openai\",\"config\":"
                         "{\"base_url\":\"http://127.0.0.1:1/v1\"}"));
  default_text(&t, "http://127.0.0.1:1/v1", "m \"q\"", "k");
  assert_non_null(strstr(t.data, "\"model\":\"m \\\"q\\\"\",\"api_key\":\"secret:openai\"}"));
  assert_null(strstr(t.data, "\"k\""));
  yoi_sdk_buf_release(&t);
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  static const char json[] = HEAD RUNTIME
      ",\"models\":[{\"name\":\"m\",\"plugin\":\"dev.yoi.test.model\",\"config\":{\"k\":"
      "\"secret:t\"}}],\"local\":{\"secrets\":{\"t\":{\"env\":\"T\"}}}}";
  for (uint64_t n = 1; n < 20000; n += n < 500 ? 1 : 37) {
    struct yoi__config *c = NULL;
    yoi_status st;
    (void)yoi_sdk_mem_fail_at(n);
    st = yoi__config_load(yoi_sdk_str(json), NULL, NULL, NULL, &c, NULL);
    assert_int_equal(st == YOI_OK, c != NULL);
    yoi__config_free(c);
    if (yoi_sdk_mem_fail_at(0) < n) {
      assert_int_equal(st, YOI_OK);
      return;
    }
  }
  fail_msg("more allocations than expected");
}

/* A check that has no memory to speak must not pass what it cannot name. */
static void short_memory_passes_nothing(void **state) {
  static const char *const bad[] = {
      HEAD RUNTIME ",\"log\":{\"level\":\"loud\"}}",
      HEAD RUNTIME
      ",\"models\":[{\"name\":\"m\",\"plugin\":\"dev.yoi.test.model\","
      "\"config\":{\"k\":\"secret:nobody\"}}]}",
      HEAD RUNTIME ",\"log\":{\"level\":\"${HOME}\"}}",
  };
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int more = 1;
    for (uint64_t n = 1; more; n++) {
      (void)yoi_sdk_mem_fail_at(n);
      yoi_status st = yoi__config_load(yoi_sdk_str(bad[i]), NULL, NULL, NULL, NULL, NULL);
      more = yoi_sdk_mem_fail_at(0) >= n;
      if (st == YOI_OK) fail_msg("%s passes when allocation %d fails", bad[i], (int)n);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(short_memory_passes_nothing),
      cmocka_unit_test(everything_is_read),
      cmocka_unit_test(paths_of_a_plugin_are_absolute),
      cmocka_unit_test(what_is_absent_has_a_default),
      cmocka_unit_test(text_that_is_no_config),
      cmocka_unit_test(unknown_keys_name_the_nearest),
      cmocka_unit_test(schema_findings_have_their_place),
      cmocka_unit_test(a_runtime_stays_in_this_process),
      cmocka_unit_test(plugins_must_exist_and_fit),
      cmocka_unit_test(grants_are_checked),
      cmocka_unit_test(pins_are_checked),
      cmocka_unit_test(names_are_used_once),
      cmocka_unit_test(an_entry_fits_its_plugins_schema),
      cmocka_unit_test(secrets_must_be_declared),
      cmocka_unit_test(a_token_is_never_repeated),
      cmocka_unit_test(the_environment_is_named_in_secrets_only),
      cmocka_unit_test(surfaces_have_their_rules),
      cmocka_unit_test(listeners_have_an_address_each),
      cmocka_unit_test(folders_are_checked),
      cmocka_unit_test(dropped_in_runtimes_are_registered),
      cmocka_unit_test(checking_runs_no_plugin_code),
      cmocka_unit_test(a_listeners_token_needs_a_value),
      cmocka_unit_test(the_default_follows_the_environment),
      cmocka_unit_test(memory_may_be_short_anywhere),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
