/* main.c - yoi-conform: does a plugin keep what the headers promise?
 *
 *   the command line -> the plugin's manifest -> a copy of its file in a folder
 *   of the run's own -> each test (run.c) -> the report
 *
 * Exit codes: 0 all that ran has passed, 1 something has not, 2 the command line
 * or a file on it is wrong.
 */
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/glob.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <sdk/schema.h>

#include "host/config.h"
#include "host/loader.h"
#include "host/place.h"
#include "rig.h"

#define TIMEOUT_MS 30000
#define CONFIG_BYTES_MAX 1048576
#define REMOTE_SO "http-remote.so"

static const char help[] =
    "yoi-conform [OPTION...] PLUGIN.so      test a plugin against what the headers promise\n"
    "yoi-conform [OPTION...] --url URL      test the runtime behind a runtime surface\n"
    "yoi-conform [OPTION...] --builtin ID   test one that is part of this program\n"
    "yoi-conform --list                     the tests, and what each checks\n"
    "\n"
    "  --config FILE      the instance's config; relative paths in it are in a folder of\n"
    "                     the test's own\n"
    "  --quirks FILE      what is declared of the plugin: arguments, known failures\n"
    "  --isolated         in a process of its own (tools, policies, models)\n"
    "  --token FILE       of the surface that --url names\n"
    "  --include GLOB     only these tests; may be given several times\n"
    "  --exclude GLOB     not these\n"
    "  --seed N           random sequences follow from it; default: any, and printed\n"
    "  --reproduce ID:N   one test with that seed\n"
    "  --timeout MS       of one test, default 30000\n"
    "  --in-process       no process per test, for a debugger\n"
    "  --json             one JSON object instead of lines\n"
    "  --help, --version\n";

static int usage(const char *what, const char *which) {
  (void)fprintf(stderr, "yoi-conform: %s '%s'; see --help\n", what, which);
  return 2;
}

/* ---- the command line ------------------------------------------------------------ */

static int number(const char *text, uint64_t *out) {
  return yoi_sdk_parse_u64(yoi_sdk_str(text), UINT64_MAX, out);
}

static int read_config(struct conform_options *o, const char *path) {
  static char text[CONFIG_BYTES_MAX];
  static struct yoi_sdk_buf out;
  struct yoi_sdk_json_error e;
  struct yoi_sdk_jsonw w;
  yoi_sdk_json *tree = NULL;
  FILE *f = fopen(path, "re");
  size_t n = f ? fread(text, 1, sizeof text, f) : 0;
  if (f) (void)fclose(f);
  if (!f || n == sizeof text) return usage("cannot read the config", path), 0;
  if (yoi_sdk_json_parse((yoi_str){text, n}, YOI_SDK_JSON_COMMENTS, &tree, &e) != YOI_OK) {
    (void)fprintf(stderr, "yoi-conform: %s:%u:%u: %s\n", path, e.line, e.column, e.message);
    return 0;
  }
  yoi_sdk_buf_init(&out, CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_json_write(tree, &w);
  yoi_sdk_json_free(tree);
  o->config = out.data;
  return !out.failed;
}

static int add(const char **list, size_t *n, const char *glob) {
  if (*n == 64) return 0;
  list[(*n)++] = glob;
  return 1;
}

/* 'ID:SEED' is one test and its seed. */
static int reproduce(struct conform_options *o, char *text) {
  char *colon = strrchr(text, ':');
  if (!colon || !number(colon + 1, &o->seed)) return 0;
  *colon = 0;
  o->reproduce = text;
  return 1;
}

static int not_linked(const char *id) {
  (void)fprintf(stderr, "yoi-conform: '%s' is not linked into this program; what is:\n", id);
  conform_linked_say();
  return 2;
}

/* -1: go on; else the exit code. */
static int read_options(struct conform_options *o, int argc, char **argv) {
  static const struct option all[] = {
      {"config", 1, NULL, 'c'},   {"quirks", 1, NULL, 'q'},    {"isolated", 0, NULL, 'i'},
      {"url", 1, NULL, 'u'},      {"token", 1, NULL, 't'},     {"include", 1, NULL, 'I'},
      {"exclude", 1, NULL, 'X'},  {"seed", 1, NULL, 's'},      {"reproduce", 1, NULL, 'r'},
      {"timeout", 1, NULL, 'T'},  {"in-process", 0, NULL, 'p'}, {"json", 0, NULL, 'j'},
      {"builtin", 1, NULL, 'b'},  {"list", 0, NULL, 'l'},      {"help", 0, NULL, 'h'},
      {"version", 0, NULL, 'v'},  {NULL, 0, NULL, 0}};
  uint64_t n;
  int good = 1, ch;
  opterr = 0;
  while (good && (ch = getopt_long(argc, argv, ":", all, NULL)) != -1) {
    switch (ch) {
      case 'c':
        if (!read_config(o, optarg)) return 2;
        break;
      case 'q':
        if (!conform_quirks(o, optarg)) return 2;
        break;
      case 'i': o->isolated = 1; break;
      case 'u': o->url = optarg; break;
      case 'b':
        if (!(o->builtin = conform_linked(optarg))) return not_linked(optarg);
        o->file = optarg;
        break;
      case 't':
        if (!(o->token = realpath(optarg, NULL))) return usage("cannot read", optarg);
        break;
      case 'I': good = add(o->include, &o->n_include, optarg); break;
      case 'X': good = add(o->exclude, &o->n_exclude, optarg); break;
      case 's': good = number(optarg, &o->seed); break;
      case 'r': good = reproduce(o, optarg); break;
      case 'T':
        good = number(optarg, &n) && n >= 1 && n <= 3600000;
        if (good) o->timeout_ms = (uint32_t)n;
        break;
      case 'p': o->in_process = 1; break;
      case 'j': o->json = 1; break;
      case 'l': o->list = 1; break;
      case 'h': (void)fputs(help, stdout); return 0;
      case 'v': printf("yoi-conform %s\n", yoi_version()); return 0;
      case ':': return usage("a value is missing behind", argv[optind - 1]);
      default: return usage("unknown option", argv[optind - 1]);
    }
  }
  if (!good) return usage("this cannot be a value of the option", optarg);
  if (optind < argc && !o->builtin) o->file = argv[optind++];
  if (optind < argc) return usage("one argument too many:", argv[optind]);
  if (!o->list && (o->file != NULL) == (o->url != NULL))
    return usage("one plugin is to be tested:", "PLUGIN.so, --url URL or --builtin ID");
  if (o->reproduce && o->n_include + o->n_exclude)
    return usage("--reproduce is one test, so not with", o->n_include ? "--include" : "--exclude");
  if (o->builtin && o->isolated)
    return usage("--builtin is in this process, so not with", "--isolated");
  if (o->url && o->config) return usage("--url makes the config itself, so not with", "--config");
  return -1;
}

/* ---- what is tested ---------------------------------------------------------------- */

/* 0, and errno says why, unless all of it is there. */
static int copy_bytes(int in, int out) {
  static char block[65536];
  for (;;) {
    ssize_t n = read(in, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n == 0;
    for (ssize_t at = 0, m; at < n; at += m) {
      m = write(out, block + at, (size_t)(n - at));
      if (m < 0 && errno == EINTR) m = 0;
      if (m < 0) return 0;
    }
  }
}

/* 0, and errno says why. */
static int copy_file(const char *from, const char *folder, const char *name) {
  char *path = conform_text("%s/%s", folder, name);
  int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out = -1, good = 0;
  struct stat sb;
  if (in >= 0 && fstat(in, &sb) == 0 && !S_ISREG(sb.st_mode)) {
    errno = EINVAL;
  } else if (in >= 0) {
    out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    good = out >= 0 && copy_bytes(in, out);
  }
  int why = errno;
  if (in >= 0) (void)close(in);
  if (out >= 0 && close(out) != 0 && good) good = 0, why = errno;
  free(path);
  errno = why;
  return good;
}

/* The runtime plugin that speaks with a surface: beside this program as it is
 * built, or where it is installed. */
static const char *find_remote(void) {
  char self[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return NULL;
  self[n] = 0;
  *strrchr(self, '/') = 0;
  char *path = conform_text("%s/runtimes/" REMOTE_SO, self);
  if (access(path, R_OK) == 0) return path;
  free(path);
  path = conform_text("%s/runtimes/" REMOTE_SO, yoi__place);
  if (access(path, R_OK) == 0) return path;
  free(path);
  return NULL;
}

static int remote(struct conform_options *o) {
  static struct yoi_sdk_buf config;
  struct yoi_sdk_jsonw w;
  o->file = find_remote();
  if (!o->file) return usage("cannot find", REMOTE_SO), 0;
  yoi_sdk_buf_init(&config, CONFIG_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &config);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "base_url", yoi_sdk_str(o->url));
  if (o->token) yoi_sdk_jsonw_kstr(&w, "token", YOI_LIT("secret:conform"));
  yoi_sdk_jsonw_close(&w, '}');
  o->config = config.data;
  return 1;
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* What the manifest says, before any code runs; c->kind stays 0 without one. */
static void examine(struct conform *c) {
  static struct yoi__plugin p;
  static struct yoi_sdk_error e;
  const yoi_linked_plugin *row = c->options->builtin;
  const char *name = name_of(c->options->file);
  int fd = row ? -1 : open(c->copies, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const char *why =
      row ? conform_linked_examine(row, &p, &e) : yoi__plugin_examine(fd, name, &p, &e);
  if (fd >= 0) (void)close(fd);
  if (why) return;
  c->kind = p.manifest.kind;
  (void)snprintf(c->id, sizeof c->id, "%.*s", YOI_ARG(p.manifest.id));
  (void)snprintf(c->version, sizeof c->version, "%.*s", YOI_ARG(p.manifest.version));
}

/* "thing" of "thing.so". */
static char *stem(const char *path) {
  size_t n = strlen(path);
  return conform_text("%.*s", (int)(n > 3 && strcmp(path + n - 3, ".so") == 0 ? n - 3 : n), path);
}

/* A file beside it may narrow the manifest. */
static void copy_beside(struct conform *c) {
  char *whole = stem(c->options->file), *last = stem(name_of(c->options->file));
  char *from = conform_text("%s.yoi.json", whole), *to = conform_text("%s.yoi.json", last);
  if (access(from, R_OK) == 0) (void)copy_file(from, c->copies, to);
  free(whole);
  free(last);
  free(from);
  free(to);
}

static int failed(const char *what, const char *which) {
  (void)fprintf(stderr, "yoi-conform: %s '%s': %s\n", what, which, strerror(errno));
  return 0;
}

static int prepare(struct conform *c) {
  const struct conform_options *o = c->options;
  const char *tmp = getenv("TMPDIR");
  /* Whole, for a test is in another folder than this is. */
  char *whole = realpath(tmp && tmp[0] ? tmp : "/tmp", NULL);
  if (!whole) return failed("cannot find the folder", tmp ? tmp : "/tmp");
  char *folder = conform_text("%s/yoi-conform-XXXXXX", whole);
  free(whole);
  if (!mkdtemp(folder)) {
    (void)failed("cannot make the folder", folder);
    free(folder);
    return 0;
  }
  c->copies = folder;
  if (!o->builtin && !copy_file(o->file, folder, name_of(o->file)))
    return failed("cannot read the plugin", o->file);
  if (!o->builtin) copy_beside(c);
  examine(c);
  return 1;
}

/* ---- the config ---------------------------------------------------------------------- */

/* "/no_such" of "/models/0/config/no_such": what the user wrote. */
static void say_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                        const char *message) {
  static const char own[] = "/config";
  const char *at = strstr(pointer, own);
  (void)ctx, (void)line, (void)column;
  (void)fprintf(stderr, "yoi-conform: '--config' does not fit: '%s': %s\n",
                at ? at + sizeof own - 1 : pointer, message);
}

static void say_argument(void *ctx, const char *pointer, int at_key, const char *message) {
  const yoi_str *tool = ctx;
  (void)at_key;
  (void)fprintf(stderr, "yoi-conform: 'arguments' of '%.*s' do not fit: '%s': %s\n",
                YOI_ARG(*tool), pointer, message);
}

/* A host lets no call through to a tool that its schema refuses, so neither is this. */
static int check_arguments(const struct conform_options *o, const struct yoi__manifest *m) {
  const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(o->quirks, "arguments"));
  for (; v; v = yoi_sdk_json_next(v)) {
    yoi_str name = yoi_sdk_json_key(v);
    size_t n = 0;
    while (n < m->n_tools && !yoi_sdk_str_eq(m->tools[n].name, name)) n++;
    if (n == m->n_tools) {
      (void)fprintf(stderr, "yoi-conform: 'arguments' name no tool of it: '%.*s'\n",
                    YOI_ARG(name));
      return 0;
    }
    if (yoi_sdk_schema_test(m->tools[n].arguments, v, "", say_argument, &name) != YOI_OK)
      return 0;
  }
  return 1;
}

/* Whether a host would take the config, before any test is: no code of the plugin runs.
 * A plugin without a manifest has none to fit. */
static int check_config(struct conform *c) {
  struct yoi__config *config = NULL;
  struct yoi_sdk_error e;
  struct yoi_sdk_buf text;
  char *folder = conform_text("%s/config", c->copies);
  if (c->kind == 0) return free(folder), 1;
  if (mkdir(folder, 0700) != 0) return failed("cannot make the folder", folder);
  c->folder = folder;
  yoi_sdk_buf_init(&text, 1u << 20);
  rig_config(c, yoi_sdk_str(c->options->config), &text);
  yoi_error *err = yoi_sdk_error_init(&e);
  yoi_status st = text.failed ? yoi_sdk_fail_memory(err)
                              : yoi__config_load(yoi_sdk_buf_str(&text), folder, say_finding, NULL,
                                                 &config, err);
  yoi_sdk_buf_release(&text);
  if (st != YOI_OK) (void)fprintf(stderr, "yoi-conform: there can be no host: %s\n", e.message);
  const struct yoi__plugin *p =
      st == YOI_OK ? yoi__catalogue_find(config->plugins, yoi_sdk_str(c->id)) : NULL;
  int good = st == YOI_OK && (!p || check_arguments(c->options, &p->manifest));
  yoi__config_free(config);
  conform_remove(folder);
  free(folder);
  return good;
}

static void clean(const struct conform *c) {
  char *last = stem(name_of(c->options->file));
  char *so = conform_text("%s/%s", c->copies, name_of(c->options->file));
  char *json = conform_text("%s/%s.yoi.json", c->copies, last);
  (void)unlink(so);
  (void)unlink(json);
  (void)rmdir(c->copies);
  free(c->copies);
  free(last);
  free(so);
  free(json);
}

/* ---- the run ---------------------------------------------------------------------- */

static int fits(const char *const *globs, size_t n, const char *id) {
  for (size_t i = 0; i < n; i++)
    if (yoi_sdk_glob(yoi_sdk_str(globs[i]), yoi_sdk_str(id))) return 1;
  return 0;
}

static int wanted(const struct conform_options *o, const struct conform_test *t) {
  if (o->reproduce) return strcmp(o->reproduce, t->id) == 0;
  if (o->n_include && !fits(o->include, o->n_include, t->id)) return 0;
  return !fits(o->exclude, o->n_exclude, t->id);
}

/* It is a test of what is tested here. */
static int concerns(const struct conform *c, const struct conform_test *t) {
  if (c->options->url && !(t->kinds == ON_RUNTIME)) return 0;
  return c->kind == 0 ? t->kinds == ON_ALL : (t->kinds >> c->kind & 1u) != 0;
}

static const char *cannot(const struct conform *c, const struct conform_test *t) {
  if (c->kind == 0 && strcmp(t->id, "lib.manifest") != 0 && strcmp(t->id, "lib.symbols") != 0)
    return "see lib.manifest: nothing else is known of it";
  if (c->options->isolated && t->needs & NEEDS_NEAR) return "its code runs in another process";
  if (c->options->builtin && t->needs & NEEDS_FILE) return "it has no file: it is linked in";
  return NULL;
}

static void run_one(struct conform *c, struct conform_result *r) {
  const char *why = cannot(c, c->test), *reason;
  if (why) {
    *r = (struct conform_result){.test = c->test, .is = CONFORM_SKIP, .seed = c->seed};
    (void)snprintf(r->seen, sizeof r->seen, "%s", why);
    return;
  }
  conform_run(c, r);
  reason = conform_known(c->options, c->test->id);
  if (!reason || r->is == CONFORM_PASS || r->is == CONFORM_SKIP) return;
  (void)snprintf(r->reason, sizeof r->reason, "%s", reason);
  r->is = CONFORM_KNOWN;
}

/* 1: of the tests that the row names each was to be run, and none has failed. */
static int is_stale(const struct conform *c, const struct conform_known *row,
                    const struct conform_result *all, size_t n) {
  const struct conform_test *t;
  for (size_t i = 0; (t = conform_test_at(i)) != NULL; i++)
    if (conform_names(row, t->id) && concerns(c, t) && !wanted(c->options, t)) return 0;
  for (size_t i = 0; i < n; i++)
    if (all[i].is == CONFORM_KNOWN && conform_names(row, all[i].test->id)) return 0;
  return 1;
}

static int run_all(struct conform *c) {
  static struct conform_result all[512];
  size_t n = 0, count[CONFORM_UNEXPECTED + 1] = {0};
  const struct conform_options *o = c->options;
  for (size_t i = 0; (c->test = conform_test_at(i)) != NULL && n < 512; i++) {
    if (!concerns(c, c->test) || !wanted(o, c->test)) continue;
    run_one(c, &all[n]);
    if (conform_is_stopped(c)) return 1;
    if (!o->json) conform_say(c, &all[n]);
    (void)fflush(stdout);
    count[all[n++].is]++;
  }
  for (size_t k = 0; k < o->n_known; k++)
    for (size_t i = 0; i < n && is_stale(c, &o->known[k], all, n); i++) {
      if (all[i].is != CONFORM_PASS || !conform_names(&o->known[k], all[i].test->id)) continue;
      count[CONFORM_PASS]--;
      count[all[i].is = CONFORM_UNEXPECTED]++;
      (void)snprintf(all[i].seen, sizeof all[i].seen, "it passes; known as failing: %s",
                     o->known[k].reason);
      if (!o->json) conform_say(c, &all[i]);
    }
  size_t bad = count[CONFORM_FAIL] + count[CONFORM_CRASH] + count[CONFORM_TIMEOUT] +
               count[CONFORM_UNEXPECTED];
  int ok = bad == 0 && n > 0;
  if (o->json) conform_json(c, all, n, ok);
  else
    printf("%s %s: %zu passed, %zu failed, %zu skipped, %zu known; seed %llu\n",
           c->id[0] ? c->id : o->file, c->version, count[CONFORM_PASS], bad, count[CONFORM_SKIP],
           count[CONFORM_KNOWN], (unsigned long long)o->seed);
  if (fflush(stdout) != 0 || ferror(stdout)) {
    (void)fprintf(stderr, "yoi-conform: the report cannot be written: %s\n", strerror(errno));
    return 1;
  }
  if (n == 0) (void)fprintf(stderr, "yoi-conform: no test was selected\n");
  return n == 0 ? 2 : ok ? 0 : 1;
}

static int list(void) {
  const struct conform_test *t;
  for (size_t i = 0; (t = conform_test_at(i)) != NULL; i++) {
    printf("%s\n", t->id);
    printf("    %s\n    %s:%u: %s\n    kinds:", t->says, t->header, conform_line(t), t->promise);
    for (uint32_t k = YOI_KIND_RUNTIME; k <= YOI_KIND_TOOL; k++)
      if (t->kinds >> k & 1u) printf(" %s", yoi__kind_name(k));
    printf("\n");
  }
  return 0;
}

int main(int argc, char **argv) {
  static struct conform_options o = {.timeout_ms = TIMEOUT_MS, .buffer_bytes = 1u << 20};
  struct conform c = {.options = &o, .signals = -1};
  if (getrandom(&o.seed, 4, 0) != 4) o.seed = 1;
  int code = read_options(&o, argc, argv);
  if (code >= 0) return code;
  if (o.list) return list();
  if (o.url && !remote(&o)) return 2;
  c.seed = o.seed;
  if (!conform_link()) return 1;
  if (!o.in_process) {
    c.signals = conform_hold_signals(&c.before);
    conform_adopt();
  }
  code = prepare(&c) ? 0 : 2;
  if (code == 0 && o.isolated && !((ON_TOOL | ON_POLICY | ON_MODEL) >> c.kind & 1u))
    code = usage("only tools, policies and models can be isolated, and it is none:", o.file);
  if (code == 0 && !check_config(&c)) code = 2;
  if (code == 0) code = run_all(&c);
  if (c.copies) clean(&c);
  /* One that has waited ends this now. */
  if (!o.in_process) (void)sigprocmask(SIG_SETMASK, &c.before, NULL);
  return code;
}
