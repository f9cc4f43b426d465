/* faulty.h - what the two files of the faulty runtime share. */
#ifndef YOI_TEST_FAULTY_H
#define YOI_TEST_FAULTY_H

#include <pthread.h>

#include <sdk/str.h>
#include <yoi/host_clock.h>
#include <yoi/host_loop.h>
#include <yoi/runtime.h>

struct nap;

enum flt_lists { FLT_OK, FLT_HANG, FLT_ERROR, FLT_GARBAGE, FLT_LATE };

struct flt {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  enum flt_lists lists, drain;
  int64_t workers;
  yoi_str canary;
  pthread_mutex_t lock; /* of naps */
  struct nap *naps;
};

/* Writes what a healthy runtime would answer to `req` about `worker`. */
void flt_answer(const struct flt *self, const yoi_request *req, yoi_str worker,
                struct yoi_sdk_buf *buf);

#endif
