/* yoi/request.h - one operation, as it crosses every boundary. */
#ifndef YOI_REQUEST_H
#define YOI_REQUEST_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* yoi_request.origin: through which door it came. */
#define YOI_ORIGIN_EMBED 1u   /* the application that embeds the host */
#define YOI_ORIGIN_RUNTIME 2u /* a runtime surface: another host */
#define YOI_ORIGIN_BROWSER 3u /* a browser surface: a person */

/* yoi_request.flags */
#define YOI_REQ_FOLLOW 1u /* worker.input: go on to the end of its turn */

/* Borrowed until start returns; what is needed longer is copied. */
typedef struct yoi_request {
  uint32_t size;
  uint32_t op;     /* YOI_OP_* */
  uint32_t origin; /* YOI_ORIGIN_* */
  uint32_t hops;   /* hosts it has crossed; limits.h bounds it */
  uint32_t flags;  /* YOI_REQ_* */
  uint32_t reserved;
  uint64_t deadline_ns; /* CLOCK_MONOTONIC, 0 = none; on follow: till ack */
  uint64_t token;       /* for host->wake; 0 = the holder does not wait */
  yoi_str worker_id;
  yoi_str subject;   /* bundle digest or approval id, else empty */
  yoi_str principal; /* never empty: embed, surface:browser, token:NAME */
  yoi_str request_id;
  yoi_str trace; /* W3C traceparent or empty */
  yoi_str idempotency_key;
  yoi_str body; /* JSON object or empty; bundle.put: the exact bytes */
} yoi_request;

#ifdef __cplusplus
}
#endif
#endif
