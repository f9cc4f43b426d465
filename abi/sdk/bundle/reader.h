/* reader.h - what the files of sdk/bundle share: places, findings, grammars.
 *
 * A place is a chain on the stack from the value being read up to the root; a
 * pointer is written from it only when there is something to say.
 */
#ifndef YOI_SDK__BUNDLE_READER_H
#define YOI_SDK__BUNDLE_READER_H

#include <sdk/bundle.h>
#include <yoi/ops.h>

/* ---- places and findings --------------------------------------------------- */

struct bundle_place {
  const struct bundle_place *up;
  yoi_str key; /* ptr NULL: an element of an array */
  size_t index;
};
#define BUNDLE_POINTER SIZE_MAX /* index: the key is the rest of a pointer */

struct bundle_found {
  struct yoi_sdk_bundle_finding f; /* pointer and message are owned */
  uint32_t in_key;
};

/* The forms of credentials as masks of their first three bytes (credential.c). */
struct bundle_forms {
  uint64_t first[256], second[256], third[256];
};

struct bundle_reader {
  const struct bundle_place *at;
  struct bundle_forms forms;
  struct bundle_found *found;
  size_t n_found, n_of[3]; /* all, and of each code; see found.c */
  size_t n_quotas;         /* rules that count */
  struct bundle_block *blocks; /* memory that the bundle keeps */
  int short_of_memory;
};

struct bundle_block {
  struct bundle_block *next;
};
/* n zeroed elements that live as long as the bundle; NULL: memory is short. */
void *yoi_sdk__bundle_keep(struct bundle_reader *r, size_t n, size_t size);

void yoi_sdk__bundle_enter(struct bundle_reader *r, struct bundle_place *p, yoi_str key,
                           size_t index);
void yoi_sdk__bundle_leave(struct bundle_reader *r);

/* A finding here; in_key: about the name of this member. */
void yoi_sdk__bundle_say(struct bundle_reader *r, int in_key, uint32_t code, const char *rule,
                         const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* 1: no more findings of this code are kept. */
int yoi_sdk__bundle_full(const struct bundle_reader *r, uint32_t code);
/* Where each one is in the text, and in that order. */
void yoi_sdk__bundle_sort(struct bundle_reader *r, yoi_str text);
void yoi_sdk__bundle_found_free(struct bundle_reader *r);

/* ---- grammars ---------------------------------------------------------------- */

#define BUNDLE_BAD 0
#define BUNDLE_GOOD 1
#define BUNDLE_MORE 2 /* well written, and more than is enforced here */

struct bundle_grammar {
  const char *rule;
  int (*fits)(yoi_str s);
  const char *expected;
};
extern const struct bundle_grammar yoi_sdk__bundle_schema, yoi_sdk__bundle_id,
    yoi_sdk__bundle_revision, yoi_sdk__bundle_time, yoi_sdk__bundle_source, yoi_sdk__bundle_detail,
    yoi_sdk__bundle_language, yoi_sdk__bundle_label, yoi_sdk__bundle_name,
    yoi_sdk__bundle_tool_name, yoi_sdk__bundle_plugin_id, yoi_sdk__bundle_media_type,
    yoi_sdk__bundle_model_ref, yoi_sdk__bundle_prompt_ref, yoi_sdk__bundle_policy_word,
    yoi_sdk__bundle_grant, yoi_sdk__bundle_range, yoi_sdk__bundle_digest,
    yoi_sdk__bundle_decision, yoi_sdk__bundle_reason, yoi_sdk__bundle_text,
    yoi_sdk__bundle_pattern, yoi_sdk__bundle_grant_pattern, yoi_sdk__bundle_path_glob,
    yoi_sdk__bundle_host, yoi_sdk__bundle_argument, yoi_sdk__bundle_per;

int yoi_sdk__bundle_range_valid(yoi_str s);

/* "KIND:NAME": 1 and both when it is well written. */
int yoi_sdk__bundle_split_ref(yoi_str s, yoi_str *out_kind, yoi_str *out_name);

/* 1: a string that fits, and *out (may be NULL) is it. What does not is said:
 * as forbidden content where it is a path or an address. */
int yoi_sdk__bundle_string(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_grammar *g, yoi_str *out);
/* 1: of that type; else it is said. */
int yoi_sdk__bundle_type(struct bundle_reader *r, const yoi_sdk_json *v, uint32_t type);

/* ---- forbidden content -------------------------------------------------------- */

void yoi_sdk__bundle_forms(struct bundle_forms *f);
/* The rule that a text breaks, "credential.github"; NULL: none. */
const char *yoi_sdk__bundle_credential(const struct bundle_forms *f, yoi_str s);
/* Says every credential below v, in keys as well. */
void yoi_sdk__bundle_scan(struct bundle_reader *r, const yoi_sdk_json *v);
/* What a whole value is that no field but prose may be, "path.absolute"; NULL. */
const char *yoi_sdk__bundle_location(yoi_str s);

/* ---- objects -------------------------------------------------------------------- */

struct bundle_member {
  const char *name;
  int required;
  void (*read)(struct bundle_reader *r, const yoi_sdk_json *v, const struct bundle_member *m,
               void *out);
  size_t offset;
  const struct bundle_grammar *grammar;
  int64_t most; /* of a number, or of entries */
};
/* Reads the members of an object into `out`; says what is unknown or absent. */
void yoi_sdk__bundle_object(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_member *members, size_t n, void *out);
/* An array of strings of one grammar, all different; 1 when it is one. */
int yoi_sdk__bundle_strings(struct bundle_reader *r, const yoi_sdk_json *v,
                            const struct bundle_grammar *g, size_t max);
/* 1: an array of at most max. */
int yoi_sdk__bundle_array(struct bundle_reader *r, const yoi_sdk_json *v, size_t max);

/* ---- parts ---------------------------------------------------------------------- */

void yoi_sdk__bundle_sections(struct bundle_reader *r, const yoi_sdk_json *tree,
                              struct yoi_sdk_bundle *b);
void yoi_sdk__bundle_parameters(struct bundle_reader *r, const yoi_sdk_json *v,
                                const struct bundle_member *m, void *out);
void yoi_sdk__bundle_rules(struct bundle_reader *r, const yoi_sdk_json *v,
                           const struct bundle_member *m, void *out);
void yoi_sdk__bundle_refs(struct bundle_reader *r, const yoi_sdk_json *tree,
                          struct yoi_sdk_bundle *b);

#endif
