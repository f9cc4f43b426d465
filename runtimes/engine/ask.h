/* ask.h - what a request's body asks for, checked against the table of fields
 * in yoi/ops.h and against what this engine can do. */
#ifndef ENG_ASK_H
#define ENG_ASK_H

#include <sdk/json.h>
#include <stdbool.h>
#include <yoi/request.h>

#include "idem.h"
#include "spec.h"

/* invalid_request, "'name' what", with the field in the details. */
yoi_status eng_ask_refuse(yoi_error *err, const char *name, const char *what);
/* Parses the body (empty: {}) and checks every member against the rows of
 * YOI_OP_FIELDS: unknown ones are refused, as are wrong types and sizes.
 * *out is to be freed; its strings are borrowed by the structs below. */
yoi_status eng_ask_parse(const yoi_request *req, yoi_sdk_json **out, yoi_error *err);

struct eng_ask_create {
  yoi_str worker_id, display_name;               /* empty: not given */
  yoi_str intent_kind, objective, role, purpose; /* kind never empty */
  yoi_str profile_kind, profile_value;           /* kind never empty */
  yoi_str bundle_id, bundle_digest;              /* both or none */
  yoi_str workspace;
  const yoi_sdk_json *capabilities; /* requested; may be NULL */
  struct eng_print print;
};
yoi_status eng_ask_create(struct eng_ask_create *a, const yoi_sdk_json *body, yoi_error *err);
/* The name of the profile that is asked for; empty: the first builtin one. */
yoi_str eng_ask_profile(const struct eng_ask_create *a);
/* OK, or grant_missing naming each requested capability that the spec has not. */
yoi_status eng_ask_granted(const struct eng_ask_create *a, const struct eng_spec *spec,
                           yoi_error *err);

enum eng_on_busy { ENG_BUSY_REJECT, ENG_BUSY_QUEUE, ENG_BUSY_INTERRUPT };

struct eng_ask_input {
  int is_system; /* kind */
  enum eng_on_busy on_busy;
  struct yoi_sdk_buf content; /* JSON array of text parts; release it */
  size_t text_at, text_len;   /* the only part's raw string in it; 0: more */
  struct eng_print print;     /* only when keyed */
};
yoi_status eng_ask_input(struct eng_ask_input *a, const yoi_sdk_json *body, size_t max_bytes,
                         int keyed, yoi_error *err);

/* Of worker.list and worker.transcript; *limit is set to standard when it is
 * not given, and refused as limit_too_large beyond max. */
yoi_status eng_ask_limit(const yoi_sdk_json *body, size_t standard, size_t max, size_t *limit,
                         yoi_error *err);
yoi_str eng_ask_str(const yoi_sdk_json *body, const char *name); /* empty: absent */

/* worker_not_found, of an operation on one. */
yoi_status eng_ask_no_worker(yoi_error *err);

/* The print of (operation, principal, key) when the request has a key, which
 * may be bare or quoted. */
yoi_status eng_ask_key(const yoi_request *req, struct eng_print *out, bool *keyed, yoi_error *err);

#endif
