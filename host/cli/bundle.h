/* bundle.h - what the verbs of `yoi-host bundle` share.
 *
 *   a file ------------------------+
 *                                  v
 *   a folder --> source --> bytes --> sdk/bundle.h --> struct cli_bundle
 *                  ^                       |
 *                  +---- where it stands --+ findings
 *
 * A bundle comes from a file, whose bytes it is, or is built from a folder
 * (bundle_source.c); either way it has passed every check before a verb sees
 * it. A finding names a file that a person can edit: where a bundle was built,
 * that is the source, not the bytes.
 */
#ifndef YOI_CLI_BUNDLE_H
#define YOI_CLI_BUNDLE_H

#include <sdk/bundle.h>
#include <stdio.h>

#include "cli.h"

struct cli_bundle_finding {
  const char *file;
  uint32_t line, column; /* from 1 */
  int32_t code;          /* YOI_CODE_* */
  const char *rule, *pointer, *message;
};
typedef void (*cli_bundle_report_fn)(void *ctx, const struct cli_bundle_finding *f);

struct cli_bundle {
  char *bytes;
  size_t len;
  struct yoi_sdk_bundle *is;
  int built; /* from a folder */
};

/* ---- bundle_open.c ------------------------------------------------------ */
/* Reads the bundle at path, a file or a folder. CLI_OK; CLI_INVALID: report
 * was told of everything that is wrong; CLI_INTERNAL: it was said what broke.
 * out is to be closed in any case. */
int cli_bundle_open(const char *path, cli_bundle_report_fn report, void *ctx,
                    struct cli_bundle *out);
void cli_bundle_close(struct cli_bundle *b);
/* As file:line:column: message (rule, pointer), a line of JSON when json. */
void cli_bundle_print(FILE *to, const struct cli_bundle_finding *f, int json);
/* cli_bundle_open whose findings go to standard error. */
int cli_bundle_need(const char *path, struct cli_bundle *out);

/* ---- bundle_source.c: a folder of readable files ------------------------- */
#define CLI_BUNDLE_SECTIONS 8 /* files of JSON: bundle.json and one for each section */

struct cli_bundle_text {
  char *file; /* "tools.json", "prompts/companion.system.md"; owned */
  char *text;
  size_t len;
};
struct cli_bundle_source {
  const char *path;
  struct cli_bundle_text section[CLI_BUNDLE_SECTIONS]; /* file NULL: there is none */
  struct cli_bundle_text *prompts;                     /* in byte order of their names */
  size_t n_prompts, cap, prompt_bytes;
  cli_bundle_report_fn report;
  void *ctx;
  int findings;
  int failed; /* memory was short */
};
/* Reads the folder fd, which is closed. What cannot be is reported. */
void cli_bundle_source_read(struct cli_bundle_source *s, int fd);
/* Adds the bytes of the bundle, unless something was reported. */
void cli_bundle_source_build(struct cli_bundle_source *s, struct yoi_sdk_buf *out);
/* Reports a finding in bytes where it stands in the source of them. */
void cli_bundle_source_place(struct cli_bundle_source *s, yoi_str bytes,
                             const struct yoi_sdk_bundle_finding *f);
void cli_bundle_source_release(struct cli_bundle_source *s);
/* Compact JSON with an entry a line, two spaces a level, as `jq .` has it. */
void cli_bundle_indent(struct yoi_sdk_buf *out, yoi_str json);

/* ---- what a person is shown --------------------------------------------- */
/* bundle_show.c */
/* The i-th limit of a profile, or its default, and its name; 0: no more. */
uint64_t cli_bundle_limit(const struct yoi_sdk_bundle_profile *p, size_t i, const char **out_name);
const char *cli_bundle_verdict(uint32_t verdict);
int cli_bundle_show(const struct cli_bundle *b, int json);
/* bundle_diff.c: CLI_OK: the same bytes; else CLI_INVALID, or CLI_INTERNAL. */
int cli_bundle_diff(const struct cli_bundle *a, const struct cli_bundle *b);
/* text_diff.c: adds what changed from a to b, a line each, with ' ', '-' or '+'
 * before it and some lines around; texts that have too little in common to be
 * lined up are taken out and put in whole. */
void cli_text_diff(struct yoi_sdk_buf *out, yoi_str a, yoi_str b);

/* ---- bundle_sync.c: with a runtime ---------------------------------------- */
/* config: the path of one, or what --url takes (remote.c). */
int cli_bundle_push(const char *config, const char *runtime, const struct cli_bundle *bundles,
                    size_t n, int json);
int cli_bundle_pull(const char *config, const char *runtime, const char *digest, const char *to);

/* Writes bytes to a file, to standard output when to is NULL or "-". An exit
 * code. */
int cli_bundle_write(const char *to, yoi_str bytes);

#endif
