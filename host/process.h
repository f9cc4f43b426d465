/* host/process.h - what the kernel says of this process, as metrics. */
#ifndef YOI__PROCESS_H
#define YOI__PROCESS_H

#include <sdk/str.h>

/* [any] When the process began, in nanoseconds since the epoch; 0: the kernel
 * does not tell. Asked once, since each answer differs a little. */
uint64_t yoi__process_began_ns(void);
/* [any] Prometheus text: the process_* metrics that its client libraries agree
 * on. One that the kernel does not tell (no /proc) is left out. */
void yoi__process_text(struct yoi_sdk_buf *out, uint64_t began_ns);

#endif
