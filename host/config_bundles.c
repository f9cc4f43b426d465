/* host/config_bundles.c - the section `bundles`, and what an entry of `runtimes`
 * says of bundles.
 *
 *   path --open, read--> bytes --yoi_sdk_bundle_new--> a bundle with its digest
 *
 * A bundle that is not in order is found here, at start and by `check`, and not
 * by the first worker. Invariants:
 *  1. The bytes that were checked are those that are given to runtimes: the file
 *     is read once.
 *  2. A file is a regular one, named without a link, that not everybody may
 *     write to, of at most YOI_BUNDLE_BYTES_MAX bytes; its path stands in private details only.
 *  3. No two entries have one digest, nor one id and revision: a name means one
 *     thing.
 *  4. What a runtime's `bundle` names is resolved here, to the newest revision
 *     that this runtime may have. `runtimes` of a bundle may name runtimes that
 *     are added later.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sdk/hard.h>
#include <sdk/mem.h>

#include "bundle.h"
#include "config_build.h"

/* A list of identifiers, each checked, each there once. */
static void read_names(struct yoi__build *b, const yoi_sdk_json *v, const char *pointer,
                       struct yoi__config_names *out) {
  char at[YOI__POINTER_MAX];
  size_t i = 0;
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_ARRAY) return;
  yoi_str *names = yoi__build_alloc(b, yoi_sdk_json_count(v), sizeof *names);
  if (names == NULL) return;
  *out = (struct yoi__config_names){.given = 1, .names = names};
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    yoi_str s = {NULL, 0};
    if (!yoi_sdk_json_str(e, &s) || s.len == 0) continue;
    snprintf(at, sizeof at, "%s/%zu", pointer, i);
    if (!yoi_sdk_id_valid(s))
      yoi__findings_add(&b->found, at, 0, "expected 1 to 64 of a-z 0-9 . _ -, alphanumeric first");
    else if (out->n > 0 && yoi__names_have(out, s))
      yoi__findings_add(&b->found, at, 0, "'%.*s' is there already", YOI_ARG(s));
    else
      names[out->n++] = yoi__build_str(b, s);
  }
}

/* ---- a file --------------------------------------------------------------------- */

/* NULL, or why not. */
static const char *read_open(struct yoi__build *b, int fd, yoi_str *out) {
  struct stat sb;
  size_t n = 0;
  if (fstat(fd, &sb) != 0) return strerror(errno);
  if (!S_ISREG(sb.st_mode)) return "not a regular file";
  if ((sb.st_mode & S_IWOTH) != 0)
    return "everybody may write to it, expected mode 0644 or stricter";
  if (sb.st_size == 0) return "empty";
  if (sb.st_size > YOI_BUNDLE_BYTES_MAX) return "larger than 1048576 bytes";
  size_t size = (size_t)sb.st_size;
  char *bytes = yoi__build_alloc(b, size + 1, 1); /* one more, to notice that it grows */
  if (bytes == NULL) return NULL;
  while (n <= size) {
    ssize_t got = read(fd, bytes + n, yoi_sdk_short(size + 1 - n));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return strerror(errno);
    if (got == 0) break;
    n += (size_t)got;
  }
  if (n != size) return "changed while it was read";
  *out = (yoi_str){bytes, n};
  return NULL;
}

static const char *read_file(struct yoi__build *b, const char *path, yoi_str *out) {
  /* NONBLOCK: opening a FIFO must not wait for its writer. */
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno == ELOOP ? "a symbolic link" : strerror(errno);
  const char *why = read_open(b, fd, out);
  close(fd);
  return why;
}

/* ---- an entry ------------------------------------------------------------------- */

struct linting {
  struct yoi__build *b;
  const char *pointer, *path;
  size_t n;
};

static void in_file(struct yoi__build *b, const char *path) {
  char detail[PATH_MAX + 16];
  snprintf(detail, sizeof detail, "; file '%s'", path);
  yoi__findings_detail(&b->found, yoi_sdk_str(detail));
}

static void on_finding(void *ctx, const struct yoi_sdk_bundle_finding *f) {
  struct linting *l = ctx;
  l->n++;
  yoi__findings_add(&l->b->found, l->pointer, 0,
                    "this bundle is refused: line %u column %u, '%.128s': %s (%s)",
                    (unsigned)f->line, (unsigned)f->column, f->pointer, f->message, f->rule);
  in_file(l->b, l->path);
}

static void check(struct yoi__build *b, struct yoi__config_bundle *e, const char *pointer,
                  const char *path) {
  struct linting l = {.b = b, .pointer = pointer, .path = path};
  struct yoi_sdk_error err;
  yoi_status st = yoi_sdk_bundle_new(e->bytes, on_finding, &l, &e->it, yoi_sdk_error_init(&err));
  if (st == YOI_OK || l.n > 0) return;
  if (st == YOI_RESOURCE_EXHAUSTED && err.e.code == YOI_CODE_INTERNAL) {
    b->failed = 1;
    return;
  }
  yoi__findings_add(&b->found, pointer, 0, "this bundle is refused: %s", err.message);
  in_file(b, path);
}

/* Against the entries before. */
static void check_name(struct yoi__build *b, size_t i, const char *pointer) {
  const struct yoi_sdk_bundle *it = b->c->bundles[i].it;
  for (size_t k = 0; k < i; k++) {
    const struct yoi_sdk_bundle *other = b->c->bundles[k].it;
    if (other == NULL) continue;
    if (strcmp(it->digest, other->digest) == 0) {
      yoi__findings_add(&b->found, pointer, 0, "the same bundle as /bundles/%zu", k);
    } else if (yoi_sdk_str_eq(it->id, other->id) && yoi_sdk_str_eq(it->revision, other->revision)) {
      yoi__findings_add(&b->found, pointer, 0,
                        "bundle '%.*s' revision '%.*s' is /bundles/%zu already, with other bytes",
                        YOI_ARG(it->id), YOI_ARG(it->revision), k);
    } else {
      continue;
    }
    return;
  }
}

static void read_entry(struct yoi__build *b, const yoi_sdk_json *v, size_t i) {
  struct yoi__config_bundle *e = &b->c->bundles[i];
  char at[YOI__POINTER_MAX], list[YOI__POINTER_MAX], path[PATH_MAX];
  yoi_str file = yoi__text(v, "file");
  int plain = yoi_sdk_json_str(v, &file);
  snprintf(at, sizeof at, plain ? "/bundles/%zu" : "/bundles/%zu/file", i);
  snprintf(list, sizeof list, "/bundles/%zu/runtimes", i);
  read_names(b, yoi_sdk_json_get(v, "runtimes"), list, &e->runtimes);
  if (file.len == 0 || memmem(file.ptr, file.len, "${", 2) != NULL) return; /* that is said */
  int absolute = file.ptr[0] == '/';
  int n = snprintf(path, sizeof path, "%s%s%.*s", absolute ? "" : b->base, absolute ? "" : "/",
                   YOI_ARG(file));
  if ((size_t)n >= sizeof path) {
    yoi__findings_add(&b->found, at, 0, "path too long");
    return;
  }
  const char *why = read_file(b, path, &e->bytes);
  if (why != NULL) {
    yoi__findings_add(&b->found, at, 0, "cannot read this bundle: %s", why);
    in_file(b, path);
  } else if (e->bytes.len > 0) {
    check(b, e, at, path);
  }
  if (e->it != NULL) check_name(b, i, at);
}

void yoi__build_bundles(struct yoi__build *b) {
  const yoi_sdk_json *all = yoi_sdk_json_get(b->tree, "bundles");
  size_t n = yoi_sdk_json_type(all) == YOI_SDK_JSON_ARRAY ? yoi_sdk_json_count(all) : 0;
  if (n > YOI_HOST_BUNDLES_MAX) {
    yoi__findings_add(&b->found, "/bundles", 0, "more than %d entries", YOI_HOST_BUNDLES_MAX);
    return;
  }
  b->c->bundles = yoi__build_alloc(b, n, sizeof *b->c->bundles);
  if (b->c->bundles == NULL || n == 0) return;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(all); v != NULL; v = yoi_sdk_json_next(v))
    read_entry(b, v, b->c->n_bundles++);
}

/* ---- the keys of a runtime --------------------------------------------------------- */

/* NULL with a finding. */
static const struct yoi__config_bundle *find(struct yoi__build *b, yoi_str id, const char *pointer,
                                             const struct yoi__config_runtime *r) {
  const struct yoi__config_bundle *newest = NULL;
  yoi_str names[YOI_HOST_BUNDLES_MAX];
  int there = 0;
  size_t n = 0;
  for (size_t i = 0; i < b->c->n_bundles; i++) {
    const struct yoi__config_bundle *e = &b->c->bundles[i];
    if (e->it == NULL) continue;
    names[n++] = e->it->id;
    if (!yoi_sdk_str_eq(e->it->id, id)) continue;
    there = 1;
    if (yoi__bundle_allowed(e, r) && (newest == NULL || !yoi__bundle_older(e->it, newest->it)))
      newest = e;
  }
  if (newest != NULL) return newest;
  if (there)
    yoi__findings_add(&b->found, pointer, 0, "bundle '%.*s' is not allowed in runtime '%.*s'",
                      YOI_ARG(id), YOI_ARG(r->id));
  else if (n == b->c->n_bundles) /* else it may be the one that is refused */
    yoi__findings_add(&b->found, pointer, 0, "no bundle has the id '%.*s'%s", YOI_ARG(id),
                      yoi__build_hint(id, names, n).text);
  return NULL;
}

void yoi__build_bundle_keys(struct yoi__build *b, const yoi_sdk_json *entry, const char *pointer,
                            struct yoi__config_runtime *r) {
  yoi_str require = yoi__text(entry, "require_bundle"), id = yoi__text(entry, "bundle");
  char at[YOI__POINTER_MAX];
  r->require_bundle = yoi_sdk_str_is(require, "always")  ? YOI__REQUIRE_ALWAYS
                      : yoi_sdk_str_is(require, "tools") ? YOI__REQUIRE_TOOLS
                                                         : YOI__REQUIRE_NEVER;
  snprintf(at, sizeof at, "%s/workspaces", pointer);
  read_names(b, yoi_sdk_json_get(entry, "workspaces"), at, &r->workspaces);
  snprintf(at, sizeof at, "%s/bundle", pointer);
  if (id.len > 0) r->bundle = find(b, id, at, r);
  /* A default that no create could ever have. */
  snprintf(at, sizeof at, "%s/default_profile", pointer);
  if (r->bundle != NULL && r->default_profile.len > 0 &&
      yoi_sdk_bundle_profile(r->bundle->it, r->default_profile) == NULL)
    yoi__findings_add(&b->found, at, 0, "bundle '%.*s' revision '%.*s' has no profile '%.*s'",
                      YOI_ARG(id), YOI_ARG(r->bundle->it->revision), YOI_ARG(r->default_profile));
}
