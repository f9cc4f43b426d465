/* plugin_new.c - `plugin new KIND NAME`: a folder with a plugin that builds.
 *
 * What is written stands below new/: per kind a manifest, the code in C and in
 * C++ and what its test does, and what all kinds share. In a text, a word
 * between two @ is replaced (see `words`). The plugin that comes out is
 * small, whole, builds against an installed yoi without this tree, and has a
 * test that runs it in a host.
 *
 * Invariants:
 *  1. The folder is made here; one that is there already is never written to.
 *  2. What could not be written whole is said, and left as it is to look at.
 */
#include <errno.h>
#include <sdk/embed.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <yoi/limits.h>

#include "cli.h"

YOI_SDK_EMBED(cli_new_makefile, "host/cli/new/Makefile.in");
YOI_SDK_EMBED(cli_new_readme, "host/cli/new/README.md.in");
YOI_SDK_EMBED(cli_new_check, "host/cli/new/check.sh.in");
#define KIND(name)                                                \
  YOI_SDK_EMBED(cli_new_##name##_json, "host/cli/new/" #name ".json.in"); \
  YOI_SDK_EMBED(cli_new_##name##_c, "host/cli/new/" #name ".c.in");       \
  YOI_SDK_EMBED(cli_new_##name##_cc, "host/cli/new/" #name ".cc.in");     \
  YOI_SDK_EMBED(cli_new_##name##_sh, "host/cli/new/" #name ".sh.in")
KIND(runtime);
KIND(tool);
KIND(policy);
KIND(model);

struct text {
  const char *begin, *end;
};
#define TEXT(name) {name, name##_end}

static const struct kind {
  const char *name, *folder;
  struct text manifest, c, cc, check;
} kinds[] = {
#define ROW(name, folder)                                              \
  {#name, folder, TEXT(cli_new_##name##_json), TEXT(cli_new_##name##_c), \
   TEXT(cli_new_##name##_cc), TEXT(cli_new_##name##_sh)}
    ROW(runtime, "runtimedir"),
    ROW(tool, "plugindir"),
    ROW(policy, "plugindir"),
    ROW(model, "plugindir"),
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

#define NAME_MAX_BYTES 48  /* with _count behind it a tool's name has 64 at most */
#define FILE_BYTES_MAX 65536

struct plan {
  const struct kind *kind;
  const char *name, *folder;
  int cxx;
  char id[YOI_PLUGIN_ID_MAX + 1], ident[NAME_MAX_BYTES + 1];
};

/* ---- texts ------------------------------------------------------------------ */

static const char *word(const struct plan *p, yoi_str name) {
  const struct {
    const char *name, *value;
  } words[] = {{"NAME", p->name},
               {"IDENT", p->ident},
               {"ID", p->id},
               {"KIND", p->kind->name},
               {"KIND_DIR", p->kind->folder},
               {"EXT", p->cxx ? "cc" : "c"},
               {"VAR", p->cxx ? "CXX" : "CC"},
               {"COMPILER", p->cxx ? "g++" : "gcc"},
               {"STD", p->cxx ? "c++20" : "c11"}};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (yoi_sdk_str_is(name, words[i].name)) return words[i].value;
  return NULL;
}

/* A text with its words replaced; an @ that begins none stays. */
static void fill(const struct plan *p, struct text t, struct yoi_sdk_buf *out) {
  const char *at = t.begin;
  while (at < t.end) {
    const char *from = memchr(at, '@', (size_t)(t.end - at));
    const char *to = from ? memchr(from + 1, '@', (size_t)(t.end - from - 1)) : NULL;
    const char *value = to ? word(p, (yoi_str){from + 1, (size_t)(to - from - 1)}) : NULL;
    const char *next = value ? from : from ? from + 1 : t.end;
    yoi_sdk_buf_add(out, at, (size_t)(next - at));
    if (value) yoi_sdk_buf_adds(out, yoi_sdk_str(value));
    at = value ? to + 1 : next;
  }
}

static int write_file(const struct plan *p, const char *name, struct text first, struct text then,
                      mode_t mode) {
  struct yoi_sdk_buf bytes;
  char path[YOI_PATH_BYTES_MAX];
  int n = snprintf(path, sizeof path, "%s/%s", p->folder, name), good = 0;
  yoi_sdk_buf_init(&bytes, FILE_BYTES_MAX);
  fill(p, first, &bytes);
  fill(p, then, &bytes);
  if (n < 0 || (size_t)n >= sizeof path) {
    cli_say("cannot write into '%s': its name is too long", p->folder);
  } else if (bytes.failed) {
    cli_say("cannot write '%s': no memory", path);
  } else {
    good = cli_file_write(path, yoi_sdk_buf_str(&bytes));
    if (good && mode && chmod(path, mode) != 0) {
      cli_say("cannot make '%s' a program: %s", path, strerror(errno));
      good = 0;
    }
  }
  yoi_sdk_buf_release(&bytes);
  return good;
}

static int write_all(const struct plan *p) {
  const struct kind *k = p->kind;
  const struct text none = {"", ""};
  char manifest[NAME_MAX_BYTES + sizeof ".yoi.json"];
  snprintf(manifest, sizeof manifest, "%s.yoi.json", p->name);
  if (mkdir(p->folder, 0777) != 0) {
    cli_say("cannot make the folder '%s': %s", p->folder, strerror(errno));
    return 0;
  }
  return write_file(p, manifest, k->manifest, none, 0) &&
         write_file(p, p->cxx ? "plugin.cc" : "plugin.c", p->cxx ? k->cc : k->c, none, 0) &&
         write_file(p, "Makefile", (struct text)TEXT(cli_new_makefile), none, 0) &&
         write_file(p, "README.md", (struct text)TEXT(cli_new_readme), none, 0) &&
         write_file(p, "check.sh", (struct text)TEXT(cli_new_check), k->check, 0777 & ~0022);
}

/* ---- the command line --------------------------------------------------------- */

/* 1: letters, digits and hyphens, a letter first; the same as a C name. */
static int take_name(struct plan *p, const char *name) {
  size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
  if (name[n] != '\0' || n == 0 || n > NAME_MAX_BYTES || name[0] < 'a') return 0;
  for (size_t i = 0; i <= n; i++) p->ident[i] = name[i] == '-' ? '_' : name[i];
  p->name = name;
  return 1;
}

static int usage(struct plan *p, const char *kind, const char *name, const char *lang,
                 const char *id) {
  for (size_t i = 0; kind && i < N_KINDS; i++)
    if (!strcmp(kind, kinds[i].name)) p->kind = &kinds[i];
  if (!p->kind)
    return cli_usage_error("'plugin new' takes runtime, tool, policy or model, and a name");
  if (!name || !take_name(p, name))
    return cli_usage_error("a plugin's name is 1 to %d of a-z, 0-9 and '-', a letter first",
                           NAME_MAX_BYTES);
  if (lang && strcmp(lang, "c") != 0 && strcmp(lang, "c++") != 0)
    return cli_usage_error("'--lang' takes c or c++");
  p->cxx = lang && !strcmp(lang, "c++");
  if (id && (strlen(id) > YOI_PLUGIN_ID_MAX || !strchr(id, '.') ||
             id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789.-")] != '\0'))
    return cli_usage_error("'--id' takes a name such as com.example.%s", name);
  snprintf(p->id, sizeof p->id, "%s%s", id ? id : "com.example.", id ? "" : name);
  return CLI_OK;
}

int cli_plugin(int argc, char **argv) {
  const char *verb = NULL, *kind = NULL, *name = NULL, *lang = NULL, *id = NULL, *to = NULL;
  const char **const places[] = {&verb, &kind, &name};
  const struct cli_option options[] = {
      {"--lang", &lang, NULL}, {"--id", &id, NULL}, {"-o", &to, NULL}};
  struct plan p = {0};
  int code = cli_arguments(argc, argv, options, sizeof options / sizeof *options, places,
                           sizeof places / sizeof *places);
  if (code != CLI_OK) return code;
  if (!verb || strcmp(verb, "new") != 0) return cli_usage_error("'plugin' takes new");
  code = usage(&p, kind, name, lang, id);
  if (code != CLI_OK) return code;
  p.folder = to ? to : name;
  if (!write_all(&p)) return CLI_FAILED;
  printf("%s/ is a %s; build and try it with: make -C %s check\n", p.folder, kind, p.folder);
  return fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
}
