/* host/secret.c - where secret values live, and the only place that sees one.
 *
 * Why a type of its own: nothing outside can print what it cannot reach, so
 * no log line, error or debugger helper of ours shows a value; what is written
 * about a secret is its name. Invariants:
 *  1. A value is in one heap block and, while it is read, in one buffer on
 *     the stack; both are wiped before they are given back.
 *  2. Files are judged by their open descriptor (owner, mode, type), never by
 *     name, so that a swap between check and read changes nothing.
 *  3. read is all or nothing for whoever starts the host: the first secret
 *     that cannot be read is an error. A variable that is unset is none: its
 *     secret has no value, and whoever asks for it gets NOT_FOUND.
 *  4. After read only values change, by refresh on the control thread: the vault's
 *     `lock` guards value, len and generation, and is held to copy, compare and
 *     swap them, never to read a file. So that thread reads them without it.
 *     What one config after another declares in the same words is one secret:
 *     its value is renewed for all of them.
 *  5. The scrubber knows a value before anybody can get it, and the last
 *     YOI_SECRET_PAST_MAX of each name after: what was renewed may still be in
 *     a provider's answer that is on its way, and may still be accepted.
 */
#include "secret.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sdk/hard.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <yoi/limits.h>

struct value {
  char *ptr; /* NULL: none */
  size_t len;
};

struct secret {
  struct secret *next; /* of its vault */
  uint32_t refs;       /* configs that declare it so; [main] */
  yoi_str name, file, env;
  struct value now;
  struct value pending;                   /* read for a config that may be refused; [main] */
  struct value past[YOI_SECRET_PAST_MAX]; /* the last one first; [main] */
  uint64_t generation;                    /* of the value; 0: none yet */
  int failing;                            /* the last refresh could not read it; [main] */
  int told_short;                         /* [main] */
};

/* Of one host: all values that any of its configs has. */
struct vault {
  pthread_mutex_t lock; /* guards value, len and generation of each */
  struct secret *all;   /* a list; [main] */
  size_t n;
  uint32_t refs; /* configs; [main] */
  struct yoi__scrub *scrub;
};

struct yoi__secrets {
  yoi_str base_dir;
  struct secret **all;
  size_t n;
  struct vault *vault;
  int is_read; /* [main] */
  int pending; /* values that were read, and not committed; [main] */
};

static void vault_give(struct vault *v) {
  if (v == NULL || --v->refs > 0) return;
  yoi__scrub_free(v->scrub);
  pthread_mutex_destroy(&v->lock);
  yoi_sdk_free(v);
}

static struct vault *vault_new(void) {
  struct vault *v = yoi_sdk_calloc(1, sizeof *v);
  if (v == NULL) return NULL;
  pthread_mutex_init(&v->lock, NULL);
  v->refs = 1;
  v->scrub = yoi__scrub_new();
  if (v->scrub != NULL) return v;
  vault_give(v);
  return NULL;
}

struct yoi__secrets *yoi__secrets_new(const char *base_dir) {
  struct yoi__secrets *s = yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->base_dir = yoi_sdk_str_dup(yoi_sdk_str(base_dir != NULL ? base_dir : "."));
  s->vault = vault_new();
  if (s->base_dir.ptr != NULL && s->vault != NULL) return s;
  yoi__secrets_free(s);
  return NULL;
}

static void drop_value(struct value *v) {
  if (v->ptr != NULL) yoi_sdk_wipe(v->ptr, v->len);
  yoi_sdk_free(v->ptr);
  *v = (struct value){NULL, 0};
}

static void link_in(struct vault *v, struct secret *e) {
  e->next = v->all;
  v->all = e;
  v->n++;
}

static void unlink_from(struct vault *v, struct secret *e) {
  struct secret **at = &v->all;
  while (*at != e) at = &(*at)->next;
  *at = e->next;
  v->n--;
}

static void give(struct vault *v, struct secret *e) {
  if (--e->refs > 0) return;
  unlink_from(v, e);
  drop_value(&e->now);
  drop_value(&e->pending);
  for (size_t k = 0; k < YOI_SECRET_PAST_MAX; k++) drop_value(&e->past[k]);
  yoi_sdk_str_free(&e->name);
  yoi_sdk_str_free(&e->file);
  yoi_sdk_str_free(&e->env);
  yoi_sdk_free(e);
}

void yoi__secrets_free(struct yoi__secrets *s) {
  if (s == NULL) return;
  for (size_t i = 0; i < s->n; i++) {
    if (s->pending) drop_value(&s->all[i]->pending);
    give(s->vault, s->all[i]);
  }
  yoi_sdk_free(s->all);
  vault_give(s->vault);
  yoi_sdk_str_free(&s->base_dir);
  yoi_sdk_free(s);
}

static struct secret *find(const struct yoi__secrets *s, yoi_str name) {
  for (size_t i = 0; i < s->n; i++) {
    if (yoi_sdk_str_eq(s->all[i]->name, name)) return s->all[i];
  }
  return NULL;
}

yoi_status yoi__secrets_declare(struct yoi__secrets *s, yoi_str name, yoi_str file, yoi_str env,
                                yoi_error *err) {
  struct secret **all = yoi_sdk_reallocarray(s->all, s->n + 1, sizeof(struct secret *));
  struct secret *e;
  if (all == NULL) return yoi_sdk_fail_memory(err);
  s->all = all;
  e = all[s->n] = yoi_sdk_calloc(1, sizeof *e);
  if (e == NULL) return yoi_sdk_fail_memory(err);
  e->refs = 1;
  link_in(s->vault, e);
  e->name = yoi_sdk_str_dup(name);
  e->file = yoi_sdk_str_dup(file);
  e->env = yoi_sdk_str_dup(env);
  s->n++; /* also when memory was short: free takes back what there is */
  if (e->name.ptr == NULL || e->file.ptr == NULL || e->env.ptr == NULL)
    return yoi_sdk_fail_memory(err);
  return YOI_OK;
}

int yoi__secrets_has(const struct yoi__secrets *s, yoi_str name) {
  return find(s, name) != NULL;
}

size_t yoi__secrets_count(const struct yoi__secrets *s) {
  return s->n;
}

yoi_str yoi__secrets_name(const struct yoi__secrets *s, size_t i) {
  return s->all[i]->name;
}

yoi_str yoi__secrets_variable(const struct yoi__secrets *s, yoi_str name) {
  const struct secret *e = find(s, name);
  return e != NULL ? e->env : (yoi_str){"", 0};
}

int yoi__secrets_filled(const struct yoi__secrets *s, yoi_str name) {
  const struct secret *e = find(s, name);
  return e != NULL && e->now.ptr != NULL;
}

struct yoi__scrub *yoi__secrets_scrub(const struct yoi__secrets *s) {
  return s->vault->scrub;
}

yoi_str yoi__secrets_next_short(struct yoi__secrets *s) {
  for (size_t i = 0; i < s->n; i++) {
    struct secret *e = s->all[i];
    if (e->now.ptr == NULL || e->told_short ||
        yoi_sdk_scrub_fits((yoi_str){e->now.ptr, e->now.len}))
      continue;
    e->told_short = 1;
    return e->name;
  }
  return (yoi_str){NULL, 0};
}

/* ---- what the scrubber knows ----------------------------------------------- */

static void add_known(struct yoi_sdk_scrub_value *known, size_t *n, yoi_str name, struct value v) {
  if (v.ptr != NULL) known[(*n)++] = (struct yoi_sdk_scrub_value){name, {v.ptr, v.len}};
}

/* All values of the vault, and one that will be e's; e NULL: none will. */
static yoi_status make_known(struct yoi__secrets *s, const struct secret *e, struct value fresh,
                             yoi_error *err) {
  size_t n = 0, most = s->vault->n * (YOI_SECRET_PAST_MAX + 1) + 1;
  struct yoi_sdk_scrub_value *known = yoi_sdk_calloc(most, sizeof *known);
  if (known == NULL) return yoi_sdk_fail_memory(err);
  if (e != NULL) add_known(known, &n, e->name, fresh);
  for (const struct secret *one = s->vault->all; one != NULL; one = one->next) {
    add_known(known, &n, one->name, one->now);
    size_t past = YOI_SECRET_PAST_MAX - (one == e); /* the oldest goes then */
    for (size_t k = 0; k < past; k++) add_known(known, &n, one->name, one->past[k]);
  }
  yoi_status st = yoi__scrub_know(s->vault->scrub, known, n, err);
  yoi_sdk_free(known);
  return st;
}

/* ---- reading ------------------------------------------------------------- */

static yoi_status keep(struct yoi__secrets *s, struct secret *e, const char *p, size_t n,
                       yoi_error *err) {
  if (!s->is_read) drop_value(&e->pending);
  if (e->now.ptr != NULL && yoi_sdk_secret_eq((yoi_str){e->now.ptr, e->now.len}, (yoi_str){p, n}))
    return YOI_OK;
  struct value fresh = {yoi_sdk_malloc(n + 1), n}, old = e->now;
  if (fresh.ptr == NULL) return yoi_sdk_fail_memory(err);
  memcpy(fresh.ptr, p, n);
  fresh.ptr[n] = '\0';
  if (!s->is_read && e->generation > 0) { /* others have it as it is */
    e->pending = fresh;
    s->pending = 1;
    return YOI_OK;
  }
  /* At start nobody can get one yet, and all become known at once. */
  yoi_status st = s->is_read ? make_known(s, e, fresh, err) : YOI_OK;
  if (st != YOI_OK) {
    drop_value(&fresh);
    return st;
  }
  pthread_mutex_lock(&s->vault->lock);
  e->now = fresh;
  e->generation++;
  pthread_mutex_unlock(&s->vault->lock);
  if (old.ptr == NULL) return YOI_OK;
  drop_value(&e->past[YOI_SECRET_PAST_MAX - 1]);
  memmove(e->past + 1, e->past, sizeof e->past - sizeof *e->past);
  e->past[0] = old;
  return YOI_OK;
}

static yoi_status refuse(const struct secret *e, const char *path, const char *why,
                         yoi_error *err) {
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "cannot read secret '%.*s': %s",
                               YOI_ARG(e->name), why);
  yoi_sdk_fail_private(err, "file '%s'", path);
  return st;
}

/* The path with its ${NAME} replaced, below base_dir unless absolute. NULL,
 * or what is wrong. */
static const char *expand(const struct yoi__secrets *s, yoi_str file, struct yoi_sdk_buf *out) {
  size_t base;
  yoi_sdk_buf_adds(out, s->base_dir);
  yoi_sdk_buf_addc(out, '/');
  base = out->len;
  for (size_t i = 0; i < file.len;) {
    const char *end = NULL, *value;
    char name[128];
    if (file.len - i >= 2 && file.ptr[i] == '$' && file.ptr[i + 1] == '{')
      end = memchr(&file.ptr[i], '}', file.len - i);
    if (end == NULL) {
      yoi_sdk_buf_addc(out, file.ptr[i++]);
      continue;
    }
    if ((size_t)(end - &file.ptr[i + 2]) >= sizeof name) return "variable name too long";
    snprintf(name, sizeof name, "%.*s", (int)(end - &file.ptr[i + 2]), &file.ptr[i + 2]);
    value = getenv(name);
    if (value == NULL || *value == '\0') return "a variable of its path is not set";
    yoi_sdk_buf_adds(out, yoi_sdk_str(value));
    i = (size_t)(end - file.ptr) + 1;
  }
  if (out->failed != 0) return "path too long";
  if (out->len > base && out->data[base] == '/') yoi_sdk_buf_drop(out, base);
  return NULL;
}

/* What the group bits of a mode mean when a file has an access list, acl(5):
 * the most that any entry may give. Service managers hand a credential to the
 * user of a service by such an entry. The attribute is the kernel's form:
 * linux/posix_acl_xattr.h, little endian. 1: root and this user only. */
static int list_is_ours(int fd) {
  enum { USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, OTHER = 0x20, VERSION = 2, HEAD = 4 };
  struct {
    uint16_t tag, perm;
    uint32_t id;
  } e;
  unsigned char list[HEAD + 64 * sizeof e];
  uint32_t version;
  ssize_t n = fgetxattr(fd, "system.posix_acl_access", list, sizeof list);
  if (n < HEAD || (size_t)(n - HEAD) % sizeof e != 0) return 0;
  memcpy(&version, list, sizeof version);
  if (le32toh(version) != VERSION) return 0;
  for (size_t at = HEAD; at < (size_t)n; at += sizeof e) {
    memcpy(&e, list + at, sizeof e);
    uint32_t tag = le16toh(e.tag), id = le32toh(e.id);
    if (e.perm == 0) continue;
    if (tag == GROUP_OBJ || tag == GROUP || tag == OTHER) return 0;
    if (tag == USER && id != 0 && id != geteuid()) return 0;
  }
  return 1;
}

static const char *check_file(int fd) {
  struct stat sb;
  if (fstat(fd, &sb) != 0) return strerror(errno);
  if (!S_ISREG(sb.st_mode)) return "not a regular file";
  if (sb.st_uid != geteuid() && sb.st_uid != 0) return "owned by another user";
  if ((sb.st_mode & S_IRWXO) != 0 || ((sb.st_mode & S_IRWXG) != 0 && !list_is_ours(fd)))
    return "group or others have access, expected mode 0600 or stricter";
  return NULL;
}

static yoi_status read_fd(struct yoi__secrets *s, struct secret *e, int fd, const char *path,
                          yoi_error *err) {
  char buf[YOI_SECRET_BYTES_MAX + 2]; /* one line feed, one to notice more */
  size_t n = 0;
  const char *why = check_file(fd);
  yoi_status st;
  if (why != NULL) return refuse(e, path, why, err);
  while (n < sizeof buf) {
    ssize_t got = read(fd, buf + n, yoi_sdk_short(sizeof buf - n));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) why = strerror(errno);
    if (got <= 0) break;
    n += (size_t)got;
  }
  if (n > 0 && buf[n - 1] == '\n') n--;
  if (why == NULL && n == 0) why = "empty";
  if (why == NULL && n > YOI_SECRET_BYTES_MAX) why = "longer than 16384 bytes";
  if (why == NULL && memchr(buf, '\0', n) != NULL) why = "holds a NUL byte";
  st = why != NULL ? refuse(e, path, why, err) : keep(s, e, buf, n, err);
  yoi_sdk_wipe(buf, sizeof buf);
  return st;
}

static yoi_status read_file(struct yoi__secrets *s, struct secret *e, yoi_error *err) {
  struct yoi_sdk_buf path;
  const char *why;
  yoi_status st;
  yoi_sdk_buf_init(&path, YOI_PATH_BYTES_MAX);
  why = expand(s, e->file, &path);
  if (why != NULL) {
    st = refuse(e, e->file.ptr, why, err);
  } else {
    /* NONBLOCK: a FIFO must not hold up the start before it is refused. */
    int fd = open(path.data, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
      st = refuse(e, path.data, errno == ELOOP ? "is a symbolic link" : strerror(errno), err);
    } else {
      st = read_fd(s, e, fd, path.data, err);
      close(fd);
    }
  }
  yoi_sdk_buf_release(&path);
  return st;
}

yoi_status yoi__secrets_read(struct yoi__secrets *s, yoi_error *err) {
  yoi_status st = YOI_OK;
  s->is_read = 0;
  for (size_t i = 0; st == YOI_OK && i < s->n; i++) {
    struct secret *e = s->all[i];
    const char *value;
    if (e->file.len > 0) {
      st = read_file(s, e, err);
      continue;
    }
    value = getenv(e->env.ptr);
    if (value == NULL || *value == '\0') continue;
    if (strlen(value) > YOI_SECRET_BYTES_MAX) {
      st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "cannot read secret '%.*s': longer than 16384 bytes", YOI_ARG(e->name));
    } else {
      st = keep(s, e, value, strlen(value), err);
    }
  }
  if (st == YOI_OK) st = make_known(s, NULL, (struct value){NULL, 0}, err);
  s->is_read = st == YOI_OK;
  return st;
}

/* ---- of one config after another ---------------------------------------------- */

int yoi__secrets_same(const struct yoi__secrets *a, const struct yoi__secrets *b, yoi_str name) {
  const struct secret *x = find(a, name), *y = find(b, name);
  if (x == y) return 1; /* also when neither is there */
  return x != NULL && y != NULL && yoi_sdk_str_eq(x->file, y->file) &&
         yoi_sdk_str_eq(x->env, y->env) && yoi_sdk_str_eq(a->base_dir, b->base_dir);
}

void yoi__secrets_join(struct yoi__secrets *s, struct yoi__secrets *before) {
  struct vault *own = s->vault;
  for (size_t i = 0; i < s->n; i++) {
    struct secret *e = s->all[i], *old = find(before, e->name);
    if (old != NULL && yoi__secrets_same(s, before, e->name)) {
      old->refs++;
      s->all[i] = old;
      give(own, e);
    } else {
      unlink_from(own, e);
      link_in(before->vault, e);
    }
  }
  before->vault->refs++;
  s->vault = before->vault;
  vault_give(own);
}

void yoi__secrets_commit(struct yoi__secrets *s) {
  for (size_t i = 0; i < s->n && s->pending; i++) {
    struct secret *e = s->all[i];
    struct value fresh = e->pending;
    e->pending = (struct value){NULL, 0};
    if (fresh.ptr == NULL) continue;
    (void)keep(s, e, fresh.ptr, fresh.len, NULL); /* without memory: with the next refresh */
    drop_value(&fresh);
  }
  s->pending = 0;
}

/* ---- what instances ask ------------------------------------------------------- */

static struct secret *granted(const struct yoi__secrets *s, const struct yoi__grants *grants,
                              yoi_str name) {
  for (size_t i = 0; i < grants->n; i++) {
    if (yoi_sdk_str_eq(grants->names[i], name)) return find(s, name);
  }
  return NULL;
}

/* With the lock held. */
static yoi_status copy_out(const struct secret *e, char *buf, size_t cap, size_t *out_len,
                           yoi_error *err) {
  if (e->now.ptr == NULL)
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "secret '%.*s' has no value", YOI_ARG(e->name));
  *out_len = e->now.len;
  if (e->now.len > cap) {
    yoi_sdk_fail(err, YOI_CODE_INTERNAL, "buffer too small for secret '%.*s'", YOI_ARG(e->name));
    return YOI_RESOURCE_EXHAUSTED;
  }
  memcpy(buf, e->now.ptr, e->now.len);
  return YOI_OK;
}

yoi_status yoi__secret_get(struct yoi__secrets *s, const struct yoi__grants *grants, yoi_str name,
                           char *buf, size_t cap, size_t *out_len, yoi_error *err) {
  const struct secret *e = granted(s, grants, name);
  if (e == NULL)
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "secret is not granted to this instance");
  pthread_mutex_lock(&s->vault->lock);
  yoi_status st = copy_out(e, buf, cap, out_len, err);
  pthread_mutex_unlock(&s->vault->lock);
  return st;
}

uint64_t yoi__secret_generation(struct yoi__secrets *s, const struct yoi__grants *grants,
                                yoi_str name) {
  const struct secret *e = granted(s, grants, name);
  if (e == NULL) return 0;
  pthread_mutex_lock(&s->vault->lock);
  uint64_t generation = e->generation;
  pthread_mutex_unlock(&s->vault->lock);
  return generation;
}

void yoi__secrets_refresh(struct yoi__secrets *s, const struct yoi__grants *grants,
                          void (*failed)(void *ctx, const yoi_error *err), void *ctx) {
  for (size_t i = 0; i < grants->n; i++) {
    struct secret *e = find(s, grants->names[i]);
    struct yoi_sdk_error err;
    if (e == NULL || e->file.len == 0) continue;
    int was_failing = e->failing;
    e->failing = read_file(s, e, yoi_sdk_error_init(&err)) != YOI_OK;
    if (e->failing && !was_failing) failed(ctx, &err.e);
  }
}
