/* rules.h - the list of rules: read once, asked from any thread. */
#ifndef RULES_H
#define RULES_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/json.h>
#include <yoi/policy.h>

#define RULES_MAX 256
#define RULES_PRINCIPALS_MAX 256 /* whose rate is known, for each rule */

/* Of what a rule says: nothing of a kind fits everything of that kind. */
struct rules_set {
  const yoi_str *patterns;
  size_t n;
};

/* What one principal has left of a rate: a bucket that fills up again. */
struct rules_bucket {
  uint64_t principal; /* hash; 0: nobody's */
  uint64_t at_ns;     /* when `left` was right */
  double left;
};

struct rules_rate {
  uint32_t count; /* 0: there is none */
  uint64_t per_ns;
  pthread_mutex_t mu;
  struct rules_bucket *buckets; /* RULES_PRINCIPALS_MAX */
};

struct rule {
  yoi_str name;
  int denies;
  uint32_t origins; /* bits 1 << YOI_ORIGIN_*; 0: all */
  struct rules_set operations, principals, runtimes, workers;
  struct rules_rate rate;
  char *answer, *too_often; /* as yoi.policy/1 wants them */
};

struct rules {
  yoi_sdk_json *tree; /* owns the texts */
  struct rule *all;
  size_t n;
};

/* config was checked against the schema. An error names the rule. */
yoi_status rules_open(struct rules *r, yoi_str config, yoi_error *err);
void rules_close(struct rules *r);
/* The answer, which lives as long as r. now_ns: CLOCK_MONOTONIC. */
const char *rules_decide(struct rules *r, const yoi_policy_request *req, uint64_t now_ns);

#endif
