/* host/log.h - the host's log: bounded lines to a descriptor, never waiting. */
#ifndef YOI__LOG_H
#define YOI__LOG_H

#include <stdatomic.h>
#include <yoi.h>
#include <yoi/host_log.h>

#include "scrub.h"

#define YOI__LOG_FIELDS_MAX 16 /* of a line; what is beyond is left out */

struct yoi__log;

/* Lines go to fd, which stays the caller's. format: YOI__LOG_* of config.h.
 * dropped counts lines that were lost, never NULL. NULL: memory is short. */
struct yoi__log *yoi__log_new(int fd, uint32_t level, uint32_t format, _Atomic uint64_t *dropped);
/* Before it is used by other threads: secrets that are known there stand in no
 * line from then on. */
void yoi__log_scrub(struct yoi__log *log, struct yoi__scrub *scrub);
/* Before it is used by other threads: lines go there instead of to the descriptor. */
void yoi__log_to(struct yoi__log *log, yoi_log_fn fn, void *ctx);
/* Once it returns no line goes anywhere any more, and none is on its way: for a
 * host that is not freed, since somebody may still log. Not inside yoi__log_to's
 * function, which it waits for. */
void yoi__log_silence(struct yoi__log *log);
/* Waits at most 100 ms for a slow sink. */
void yoi__log_free(struct yoi__log *log);

/* [any] */
int yoi__log_enabled(const struct yoi__log *log, uint32_t level);
/* [any] plugin and request_id may be empty. */
void yoi__log_write(struct yoi__log *log, uint32_t level, yoi_str plugin, yoi_str msg,
                    yoi_str request_id, const yoi_log_field *fields, size_t n);
/* [any] A line of the host itself. */
void yoi__log_host(struct yoi__log *log, uint32_t level, const char *msg,
                   const yoi_log_field *fields, size_t n);
/* [any] A line with code and message of err; its private detail too, where
 * debug lines are written. subject is what failed ("runtime 'a'"). */
void yoi__log_failure(struct yoi__log *log, uint32_t level, const char *msg, yoi_str subject,
                      yoi_str request_id, const yoi_error *err);

#endif
