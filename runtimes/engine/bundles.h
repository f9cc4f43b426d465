/* bundles.h - the bundles that this runtime has, by their digest: the shelf that
 * bundle.put fills and worker.create reads. */
#ifndef ENG_BUNDLES_H
#define ENG_BUNDLES_H

#include <pthread.h>
#include <sdk/id.h>
#include <stdbool.h>
#include <stdint.h>
#include <yoi/limits.h>

#include "frame.h"

struct eng_engine;
struct eng_shelved;

struct eng_bundles {
  pthread_mutex_t mu;
  struct eng_shelved **list; /* sorted by digest */
  uint32_t n, cap;
  uint32_t coming; /* those that are being put */
  uint64_t bytes;  /* of all, and of those */
};

/* What create needs of one. */
struct eng_bundle_of {
  struct eng_text *bytes; /* a reference */
  char digest[YOI_SDK_DIGEST_SIZE], id[YOI_ID_MAX + 1], workspace[YOI_ID_MAX + 1];
};

void eng_bundles_init(struct eng_bundles *b);
void eng_bundles_release(struct eng_bundles *b);
/* [main] Reads those that the store has. */
yoi_status eng_bundles_open(struct eng_engine *eng, yoi_error *err);
/* 1: it is here. */
int eng_bundles_find(struct eng_engine *eng, yoi_str digest, struct eng_bundle_of *out);
int eng_bundles_has(struct eng_engine *eng, yoi_str digest);
/* bundle_not_found, with the digest. */
yoi_status eng_bundles_missing(yoi_str digest, yoi_error *err);
/* What there is for a request that sees one workspace: each digest, in order, and
 * whether its bundle is of that workspace; how many. */
struct eng_place {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  bool ours;
};
uint32_t eng_bundles_places(struct eng_engine *eng, yoi_str workspace,
                            struct eng_place out[YOI_BUNDLES_MAX]);
/* How many, for describe. */
uint32_t eng_bundles_count(struct eng_engine *eng);

#endif
