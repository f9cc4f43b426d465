/* profile.h - words that profiles and specs have in common: limits, verdicts. */
#ifndef ENG_PROFILE_H
#define ENG_PROFILE_H

#include <sdk/bundle.h>

/* Of one turn; docs/bundles.md says what each means. */
struct eng_turn_limits {
#define ENG_LIMIT(name, standard, max) uint64_t name;
  YOI_SDK_BUNDLE_LIMITS(ENG_LIMIT)
#undef ENG_LIMIT
};

/* The limits of an object of a profile or a spec: what it leaves out has its
 * default, and none passes the maximum of yoi/limits.h. invalid_profile. */
yoi_status eng_limits_read(struct eng_turn_limits *out, const yoi_sdk_json *v, yoi_error *err);
void eng_limits_write(const struct eng_turn_limits *l, struct yoi_sdk_jsonw *w);

/* "allow", ...; abstain for what is no verdict. */
uint32_t eng_verdict(yoi_str word);
const char *eng_verdict_name(uint32_t verdict);

#endif
