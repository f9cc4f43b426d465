/* local_compat.h - what the files of this runtime share.
 *
 * An instance is read once, when it is opened, and never written again: every
 * operation may run on any thread without a lock.
 */
#ifndef LOCAL_COMPAT_H
#define LOCAL_COMPAT_H

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <yoi/limits.h>

/* Why a worker is corrupt; code and message of its diagnostic. */
struct lc_fault {
  const char *code;
  char message[256];
};

struct lc_worker {
  char id[YOI_ID_MAX + 1];
  char created_at[YOI_SDK_TIME_SIZE]; /* "" when it is corrupt */
  int stopped;                        /* otherwise idle */
  yoi_str display_name;               /* owned; empty: none */
  struct lc_fault *fault;             /* owned; NULL: readable */
  char *items;                        /* owned: the transcript's items, */
  uint32_t *ends;                     /* owned: and where each ends */
  uint32_t n_items;
};

struct lc {
  struct lc_worker *workers; /* in byte order of id */
  size_t n, corrupt;
  size_t ignored;  /* files whose name is no worker id */
  size_t left_out; /* beyond YOI_RECORDS_MAX */
  int missing;     /* there is no folder, and none was asked for */
  char read_at[YOI_SDK_TIME_SIZE];
  char instance_id[32];
};

/* record.c: reads the text of a record into w, whose id is set. What does not
 * fit the format makes it corrupt; the only error is short memory. */
yoi_status lc_record_read(struct lc_worker *w, yoi_str text);
/* Makes w corrupt: drops what was read, keeps the id. */
yoi_status lc_record_corrupt(struct lc_worker *w, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void lc_record_release(struct lc_worker *w);

/* folder.c: reads all records of a folder. A missing one is an error only
 * when `asked_for`. */
yoi_status lc_folder_read(struct lc *lc, const char *root, int asked_for, yoi_error *err);

/* answer.c: the text of an answer; the body is that of the request. */
void lc_answer_describe(const struct lc *lc, struct yoi_sdk_buf *out);
yoi_status lc_answer_list(const struct lc *lc, yoi_str body, struct yoi_sdk_buf *out,
                          yoi_error *err);
void lc_answer_get(const struct lc *lc, const struct lc_worker *w, struct yoi_sdk_buf *out);
yoi_status lc_answer_transcript(const struct lc_worker *w, yoi_str body, struct yoi_sdk_buf *out,
                                yoi_error *err);

#endif
