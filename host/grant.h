/* host/grant.h - what a grant is, as text: "mount:workspace:ro", "model:main".
 *
 * A grant names one thing. A pattern, in the `grants` of a manifest and of an
 * entry of `plugins`, names one or all of a kind: "mount:*", "mount:work",
 * "mount:*:ro". What may be written may be read: ":rw" covers ":ro", and so does
 * a pattern without a mode.
 */
#ifndef YOI__GRANT_H
#define YOI__GRANT_H

#include <yoi/base.h>

struct yoi__config;
struct yoi__plugin;

/* yoi__grant.kind */
#define YOI__GRANT_MODEL 1u
#define YOI__GRANT_MOUNT 2u
#define YOI__GRANT_NET 3u
#define YOI__GRANT_SHELL 4u
#define YOI__GRANT_GIT 5u

struct yoi__grant {
  uint32_t kind;
  int writable; /* of a mount */
  yoi_str name; /* in the text; "*" in a pattern */
};

/* NULL, or what was expected; *out points into the text. */
const char *yoi__grant_parse(yoi_str text, struct yoi__grant *out);
const char *yoi__grant_pattern(yoi_str text, struct yoi__grant *out);
/* 1: what the pattern names has the grant, or the other pattern, in it. */
int yoi__grant_covers(const struct yoi__grant *pattern, const struct yoi__grant *grant);
/* 1: it is of the section `local`, which is for tools. */
int yoi__grant_local(const struct yoi__grant *grant);

/* OK: the host has it now. grant_missing: it has not, or not for writing. */
yoi_status yoi__grant_has(const struct yoi__config *c, const struct yoi__grant *grant,
                          yoi_error *err);
/* The same of a text; INVALID_ARGUMENT: it is no grant. */
yoi_status yoi__grant_check(const struct yoi__config *c, yoi_str grant, yoi_error *err);
/* OK: the plugin's manifest wants it, its entry in the config does not leave it
 * out, and the host has it now. */
yoi_status yoi__grant_for(const struct yoi__config *c, const struct yoi__plugin *p,
                          const struct yoi__grant *grant, yoi_error *err);

/* A grant in a message. */
struct yoi__grant_text {
  char text[96];
};
struct yoi__grant_text yoi__grant_show(const struct yoi__grant *grant);

#endif
