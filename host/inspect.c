/* host/inspect.c - one plugin file, looked at as closely as can be.
 *
 * The search of a config stops at the first fault of a file, since one is
 * enough to pass it over; whoever builds or packages a plugin wants them all.
 * Invariants:
 *  1. What the search would refuse is a finding here: its own function has
 *     the last word (yoi__plugin_examine), and the loader's at a load.
 *  2. No code of the file runs unless that was asked for and nothing was
 *     found before.
 *  3. A link is not followed; of what it names nothing is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "elf.h"
#include "listing.h"
#include "pin.h"

#define ENTRY_PREFIX "yoi_plugin_entry_v"

struct inspection {
  struct yoi_sdk_jsonw w; /* inside "findings" */
  const char *name;       /* of the file, in its folder */
  int dir_fd, fd;
  uint64_t size;
  int faults;
  char last[YOI_ERROR_MESSAGE_MAX]; /* what is said once is enough */
};

static void say(void *ctx, const char *message) {
  struct inspection *i = ctx;
  if (strcmp(i->last, message) == 0) return;
  snprintf(i->last, sizeof i->last, "%s", message);
  yoi_sdk_jsonw_str(&i->w, yoi_sdk_str(message));
  i->faults++;
}

static void look_at_folder(struct inspection *i, const char *path) {
  const char *slash = strrchr(path, '/');
  char dir[YOI_PATH_BYTES_MAX] = ".";
  struct stat sb;
  i->name = slash != NULL ? slash + 1 : path;
  if (slash != NULL)
    snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
  i->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (i->dir_fd < 0 || fstat(i->dir_fd, &sb) != 0) {
    char why[YOI_ERROR_MESSAGE_MAX];
    snprintf(why, sizeof why, "its folder cannot be opened: %s", strerror(errno));
    say(i, why);
  } else if ((sb.st_mode & S_IWOTH) != 0) {
    say(i, "its folder is writable by everybody");
  }
}

static void look_at_file(struct inspection *i) {
  size_t n = strlen(i->name);
  struct stat sb;
  if (n < 4 || strcmp(i->name + n - 3, ".so") != 0)
    say(i, "name: expected one that ends in '.so', others are not looked at");
  i->fd = openat(i->dir_fd, i->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (i->fd < 0) {
    say(i, errno == ELOOP ? "is a symbolic link" : strerror(errno));
    return;
  }
  if (fstat(i->fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
    say(i, "not a regular file");
    close(i->fd);
    i->fd = -1;
    return;
  }
  i->size = (uint64_t)sb.st_size;
  if ((sb.st_mode & S_IWOTH) != 0) say(i, "writable by everybody");
  if (i->size > YOI_PLUGIN_BYTES_MAX) say(i, "too large");
}

static void look_at_manifest(struct inspection *i) {
  struct yoi_sdk_buf section;
  yoi_sdk_buf_init(&section, YOI_MANIFEST_BYTES_MAX);
  const char *why = yoi__elf_section(i->fd, i->size, YOI_MANIFEST_SECTION, &section);
  if (why != NULL) {
    say(i, why);
  } else {
    (void)yoi__manifest_check(yoi_sdk_buf_str(&section), say, i);
  }
  yoi_sdk_buf_release(&section);
}

static void look_at_entry(struct inspection *i) {
  char found[YOI__ELF_NAME_MAX], text[YOI_ERROR_MESSAGE_MAX];
  const char *why = yoi__elf_export(i->fd, i->size, YOI_PLUGIN_ENTRY, ENTRY_PREFIX, found);
  if (why != NULL) {
    say(i, why);
  } else if (strcmp(found, YOI_PLUGIN_ENTRY) != 0) {
    snprintf(text, sizeof text,
             "entry symbol missing: expected '" YOI_PLUGIN_ENTRY "', found %s%s%s",
             found[0] != '\0' ? "'" : "none", found, found[0] != '\0' ? "'" : "");
    say(i, text);
  }
}

/* The search's own judgement, and what a listing needs. */
static yoi_status examine(struct inspection *i, const char *path, struct yoi__plugin *p) {
  struct yoi_sdk_error *e = yoi_sdk_malloc(sizeof *e);
  if (e == NULL) return YOI_RESOURCE_EXHAUSTED;
  (void)yoi_sdk_error_init(e);
  const char *why = yoi__plugin_examine(i->dir_fd, i->name, p, e);
  /* A name without a folder is of this one; the loader's search never has it. */
  char at[YOI_PATH_BYTES_MAX + 2];
  snprintf(at, sizeof at, "%s%s", strchr(path, '/') == NULL ? "./" : "", path);
  p->path = yoi_sdk_str_dup(yoi_sdk_str(at));
  /* With faults, the first of them is what it would repeat. */
  if (why != NULL && i->faults == 0) say(i, why);
  yoi_sdk_free(e);
  return p->path.ptr == NULL ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}

static int load(struct inspection *i, struct yoi__plugin *p) {
  struct yoi_sdk_error *e = yoi_sdk_malloc(sizeof *e);
  char text[YOI_ERROR_MESSAGE_MAX + YOI_ERROR_PRIVATE_MAX + 2];
  int ok = e != NULL && yoi__plugin_load(p, yoi_sdk_error_init(e)) == YOI_OK;
  if (!ok) {
    snprintf(text, sizeof text, "%s; %s", e != NULL ? e->message : "memory is short",
             e != NULL ? e->private_detail : "");
    say(i, text);
  }
  yoi_sdk_free(e);
  return ok;
}

/* Whether its bytes could be pinned where they lie: no fault, but worth
 * knowing before it is tried. */
static void note_pin(struct yoi_sdk_jsonw *w, struct yoi__plugin *p) {
  struct yoi__pinned *in = yoi_sdk_malloc(sizeof *in);
  struct yoi_sdk_error *e = yoi_sdk_malloc(sizeof *e);
  if (in != NULL && e != NULL) {
    memcpy(p->pin, p->digest, sizeof p->pin);
    if (yoi__pin_open(p, in, yoi_sdk_error_init(e)) == YOI_OK) {
      yoi__pin_release(in);
    } else {
      yoi_sdk_jsonw_kstr(w, "unpinnable", yoi_sdk_str(e->message));
    }
    p->pin[0] = '\0';
  }
  yoi_sdk_free(e);
  yoi_sdk_free(in);
}

static yoi_status inspect(struct inspection *i, const char *path, uint32_t flags,
                          struct yoi__plugin *p) {
  yoi_status st = YOI_OK;
  int loaded = 0;
  yoi_sdk_jsonw_open(&i->w, '{');
  yoi_sdk_jsonw_kstr(&i->w, "path", yoi_sdk_str(path));
  yoi_sdk_jsonw_kopen(&i->w, "findings", '[');
  look_at_folder(i, path);
  if (i->dir_fd >= 0) look_at_file(i);
  if (i->fd >= 0) {
    look_at_manifest(i);
    look_at_entry(i);
    st = examine(i, path, p);
  }
  int sound = st == YOI_OK && i->faults == 0;
  if (sound && (flags & YOI_PLUGIN_LOAD) != 0) loaded = load(i, p);
  yoi_sdk_jsonw_close(&i->w, ']');
  yoi_sdk_jsonw_kbool(&i->w, "ok", i->faults == 0);
  yoi_sdk_jsonw_kbool(&i->w, "loaded", loaded);
  if (sound) note_pin(&i->w, p);
  yoi_sdk_jsonw_key(&i->w, "plugin");
  if (sound) {
    yoi__listing_plugin(&i->w, NULL, p);
  } else {
    yoi_sdk_jsonw_null(&i->w);
  }
  yoi_sdk_jsonw_close(&i->w, '}');
  return st;
}

yoi_status yoi_plugin_check(const char *path, uint32_t flags, char **out_text, size_t *out_len,
                            yoi_error *err) {
  struct yoi_sdk_buf text;
  struct inspection i = {.dir_fd = -1, .fd = -1};
  struct yoi__plugin *p;
  yoi_status st;
  *out_text = NULL;
  if ((flags & ~YOI_PLUGIN_LOAD) != 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "flags: expected YOI_PLUGIN_LOAD or 0");
  if (path == NULL || path[0] == '\0' || strlen(path) >= YOI_PATH_BYTES_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "path: expected 1 to %d bytes",
                        YOI_PATH_BYTES_MAX - 1);
  p = yoi_sdk_calloc(1, sizeof *p);
  if (p == NULL) return yoi_sdk_fail_memory(err);
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&i.w, &text);
  st = inspect(&i, path, flags, p);
  if (i.fd >= 0) close(i.fd);
  if (i.dir_fd >= 0) close(i.dir_fd);
  yoi__plugin_free(p);
  if (st == YOI_OK) return yoi__listing_take(&text, out_text, out_len, err);
  yoi_sdk_buf_release(&text);
  return yoi_sdk_fail_memory(err);
}
