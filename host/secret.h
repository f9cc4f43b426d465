/* host/secret.h - secret values: named in the config, read at start, and those
 * of files again when an instance asks for it.
 *
 * A value is never formatted, compared or copied outside this file but into
 * the buffer that yoi__secret_get is given and the scrubber; it is wiped when
 * it is freed.
 * Declaring and reading are [main]; after that names and sources are
 * immutable, and get and generation are [any].
 */
#ifndef YOI__SECRET_H
#define YOI__SECRET_H

#include <stdint.h>
#include <yoi/base.h>

#include "scrub.h"

struct yoi__secrets;

/* The names that one instance was granted; see host/config.h. */
struct yoi__grants {
  const yoi_str *names;
  size_t n;
};

/* base_dir: what relative files are relative to. NULL: memory is short. */
struct yoi__secrets *yoi__secrets_new(const char *base_dir);
void yoi__secrets_free(struct yoi__secrets *s);

/* Declares a name with its source: exactly one of file and env is not empty.
 * file is a path in which ${NAME} stands for an environment variable, so that
 * a service supervisor's credentials directory can be meant. */
yoi_status yoi__secrets_declare(struct yoi__secrets *s, yoi_str name, yoi_str file, yoi_str env,
                                yoi_error *err);
int yoi__secrets_has(const struct yoi__secrets *s, yoi_str name); /* declared */
size_t yoi__secrets_count(const struct yoi__secrets *s);
yoi_str yoi__secrets_name(const struct yoi__secrets *s, size_t i); /* i < count */
/* The environment variable that it comes from; empty: a file. */
yoi_str yoi__secrets_variable(const struct yoi__secrets *s, yoi_str name);

/* Reads all values. A variable that is unset or empty leaves its secret
 * without a value. A file must be regular, no symbolic link, owned by this
 * user or root, without any access for group and others (an access list may
 * name this user), and hold 1 to
 * YOI_SECRET_BYTES_MAX bytes after one trailing line feed was cut off, no NUL
 * among them; else INVALID_ARGUMENT naming the secret (the path stands in
 * private_detail). */
yoi_status yoi__secrets_read(struct yoi__secrets *s, yoi_error *err);
/* 1: it has a value (after read). */
int yoi__secrets_filled(const struct yoi__secrets *s, yoi_str name);
/* What knows the values, after read. */
struct yoi__scrub *yoi__secrets_scrub(const struct yoi__secrets *s);
/* [main] The next name whose value is too short to be scrubbed, each once;
 * empty: there is none. */
yoi_str yoi__secrets_next_short(struct yoi__secrets *s);

/* ---- when a config takes the place of another; [main] ------------------- */
/* 1: both declare that name, with the same source, or neither does. */
int yoi__secrets_same(const struct yoi__secrets *a, const struct yoi__secrets *b, yoi_str name);
/* Before read: what s declares as `before` does is that secret, with its value
 * and its generation, and one scrubber knows the values of both. What read then
 * finds in its file becomes its value with the commit. */
void yoi__secrets_join(struct yoi__secrets *s, struct yoi__secrets *before);
void yoi__secrets_commit(struct yoi__secrets *s);

/* What yoi.host.secret/1 `get` does for an instance with these grants:
 * PERMISSION_DENIED, NOT_FOUND, RESOURCE_EXHAUSTED (*out_len is what is
 * needed) as in yoi/host_secret.h. */
yoi_status yoi__secret_get(struct yoi__secrets *s, const struct yoi__grants *grants, yoi_str name,
                           char *buf, size_t cap, size_t *out_len, yoi_error *err);
/* What `generation` does. */
uint64_t yoi__secret_generation(struct yoi__secrets *s, const struct yoi__grants *grants,
                                yoi_str name);

/* [main] Reads the files of the granted ones again. What cannot be read keeps
 * its value; each is told to `failed` once, until it can be read again. */
void yoi__secrets_refresh(struct yoi__secrets *s, const struct yoi__grants *grants,
                          void (*failed)(void *ctx, const yoi_error *err), void *ctx);

#endif
