/* t_lib.c - the shared object and its entry, before there is any instance. */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#define SCAN_MS 100
#define ENTRY "yoi_plugin_entry_v1"

typedef const yoi_plugin *(*entry_fn)(void);

static char *path_of(struct conform *c) {
  const char *name = strrchr(c->options->file, '/');
  return conform_text("%s/%s", c->copies, name ? name + 1 : c->options->file);
}

static const char *examine(struct conform *c, struct yoi__plugin *p, struct yoi_sdk_error *e) {
  if (c->options->builtin) return conform_linked_examine(c->options->builtin, p, e);
  const char *name = strrchr(path_of(c), '/') + 1;
  int fd = open(c->copies, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const char *why = yoi__plugin_examine(fd, name, p, e);
  p->path = yoi_sdk_str(path_of(c));
  return why;
}

static void manifest(struct conform *c) {
  static struct yoi__plugin p;
  struct yoi_sdk_error e;
  const char *why = examine(c, &p, &e);
  if (why) conform_fail(c, "a manifest that a host takes", "%s", why);
}

/* ---- symbols ------------------------------------------------------------------ */

/* Names of the functions and objects that it exports. */
static void each_export(struct conform *c, void (*each)(struct conform *c, const char *name)) {
  FILE *f = fopen(path_of(c), "rbe");
  Elf64_Ehdr head;
  Elf64_Shdr s, strings;
  if (!f || fread(&head, sizeof head, 1, f) != 1 || head.e_shentsize != sizeof s)
    conform_skip(c, "see lib.manifest: it is no ELF file");
  for (unsigned i = 0; i < head.e_shnum; i++) {
    if (fseek(f, (long)(head.e_shoff + i * sizeof s), SEEK_SET) != 0 ||
        fread(&s, sizeof s, 1, f) != 1 || s.sh_type != SHT_DYNSYM)
      continue;
    if (fseek(f, (long)(head.e_shoff + s.sh_link * sizeof s), SEEK_SET) != 0 ||
        fread(&strings, sizeof strings, 1, f) != 1)
      break;
    Elf64_Sym *symbols = malloc(s.sh_size);
    char *names = calloc(1, strings.sh_size + 1);
    if (!symbols || !names || fseek(f, (long)s.sh_offset, SEEK_SET) != 0 ||
        fread(symbols, s.sh_size, 1, f) != 1 || fseek(f, (long)strings.sh_offset, SEEK_SET) != 0 ||
        fread(names, strings.sh_size, 1, f) != 1)
      break;
    for (size_t k = 1; k < s.sh_size / sizeof *symbols; k++)
      /* The name of a version is an absolute symbol. */
      if (symbols[k].st_shndx != SHN_UNDEF && symbols[k].st_shndx != SHN_ABS &&
          symbols[k].st_name < strings.sh_size &&
          ELF64_ST_TYPE(symbols[k].st_info) <= STT_FUNC)
        each(c, names + symbols[k].st_name);
    return;
  }
  conform_fail(c, "a table of dynamic symbols", "none");
}

/* A sanitizer's own are no matter of the plugin's. */
static void only_entry(struct conform *c, const char *name) {
  if (strcmp(name, ENTRY) != 0 && strncmp(name, "__asan", 6) != 0 &&
      strncmp(name, "__odr", 5) != 0)
    conform_fail(c, "no export but " ENTRY, "it exports '%.200s' too", name);
}

static void symbols(struct conform *c) {
  each_export(c, only_entry);
}

/* ---- the entry ------------------------------------------------------------------ */

static entry_fn map(struct conform *c) {
  entry_fn entry = NULL;
  if (c->options->builtin) return c->options->builtin->entry;
  void *handle = dlopen(path_of(c), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void *symbol = handle ? dlsym(handle, ENTRY) : NULL;
  if (!symbol) conform_skip(c, "see lib.loads");
  memcpy(&entry, &symbol, sizeof entry);
  return entry;
}

static void loads(struct conform *c) {
  void *handle = dlopen(path_of(c), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) conform_fail(c, "the dynamic loader takes it, all symbols bound", "%s", dlerror());
  if (!dlsym(handle, ENTRY)) conform_fail(c, "it has " ENTRY, "it has not");
}

static void twice(struct conform *c) {
  entry_fn entry = map(c);
  const yoi_plugin *a = entry(), before = *a, *b = entry();
  if (a != b) conform_fail(c, "the same table each time", "two");
  if (memcmp(&before, b, sizeof before) != 0)
    conform_fail(c, "the table stays as it was", "the second call changed it");
}

static uint64_t cpu_ns(void) {
  struct timespec ts;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Its own processor time, so that a busy machine fails nobody. */
static void scan_time(struct conform *c) {
  entry_fn entry = map(c);
  uint64_t from = cpu_ns();
  (void)entry();
  uint64_t ms = (cpu_ns() - from) / 1000000u;
  if (ms > SCAN_MS) conform_fail(c, "at most 100 ms of processor time", "%llu ms",
                                 (unsigned long long)ms);
}

static void agrees(struct conform *c) {
  static struct yoi__plugin p;
  struct yoi_sdk_error e;
  (void)map(c);
  (void)examine(c, &p, &e);
  if (yoi__plugin_load(&p, yoi_sdk_error_init(&e)) != YOI_OK)
    conform_fail(c, "table and manifest say the same", "%s", e.message);
}

static void unknown_interface(struct conform *c) {
  const yoi_plugin *p = map(c)();
  static const char *const none[] = {"", "yoi.runtime/99", "org.example.nothing/1", "yoi"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    if (p->get_interface((yoi_str){none[i], strlen(none[i])}))
      conform_fail(c, "NULL for an interface that it does not have", "a table for '%s'", none[i]);
}

#define ROW(name, needs, fn, says, header, promise) \
  {"lib." name, ON_ALL, NEEDS_NEAR | needs, fn, says, header, promise}
#define LIB(name, fn, says, header, promise) ROW(name, 0, fn, says, header, promise)
#define FILE_OF(name, fn, says, header, promise) ROW(name, NEEDS_FILE, fn, says, header, promise)

extern const struct conform_test conform_lib[];
const struct conform_test conform_lib[] = {
    LIB("manifest", manifest, "The file has a manifest that is well-formed.", "yoi/plugin.h",
        "carries its manifest in the ELF section .yoi.manifest"),
    FILE_OF("symbols", symbols, "It exports nothing but its entry.", "yoi/plugin.h",
        "[main] The one exported symbol."),
    FILE_OF("loads", loads, "It is mapped with all of its symbols bound, and has an entry.",
        "yoi/plugin.h", "It exports yoi_plugin_entry_v1, which returns a static const table"),
    LIB("entry-twice", twice, "Its entry gives the same table when it is called again.",
        "yoi/plugin.h", "Entry has no side effects and may be called twice."),
    LIB("scan-time", scan_time, "Its entry takes no time worth mentioning.", "yoi/plugin.h",
        "Entry has no side effects and may be called twice."),
    LIB("agrees", agrees, "Its table says what its manifest says.", "yoi/plugin.h",
        "After the load, table and manifest must agree."),
    LIB("unknown-interface", unknown_interface, "It has no table for an unknown interface.",
        "yoi/plugin.h", "The table of an interface that the manifest names, or NULL."),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
