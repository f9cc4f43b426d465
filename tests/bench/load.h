/* load.h - what the load generators share: a clock, a connection, an HTTP
 * answer, samples with their quantiles.
 *
 * Each generator is one thread over epoll, so that what it costs itself is
 * small and the same for every server that it is turned on. It prints one
 * JSON object and ends with 0 only when every answer was whole and right: a
 * figure of wrong answers is none.
 */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include <sdk/str.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_ANSWER_MAX (16u << 20) /* of one answer, head and body */
#define LOAD_READ 65536             /* of one call of the kernel */
#define LOAD_PER_SOURCE 16384       /* connections from one address: its ports */

uint64_t load_now_ns(void);
double load_cpu_s(void); /* of this process until now */

/* A decimal number from 0 to max; -1 when `s` is none. */
long load_number(const char *s, long max);

/* As many open files as may be; 0 when fewer than `need`. */
int load_files(size_t need);

/* A blocking connection to 127.0.0.1, the index-th one; -1 and errno. A
 * receive buffer of `rcvbuf` bytes, 0: the system's. */
int load_connect(int port, size_t index, int rcvbuf);
int load_send(int fd, const char *p, size_t n);

/* ---- one answer at a time on a connection -------------------------------- */

struct load_answer {
  struct yoi_sdk_buf in;
  size_t body;    /* where it begins, 0: the head is not whole */
  size_t scanned; /* of `in`, for the end of the head */
  long length;    /* -1: chunked */
};

void load_answer_init(struct load_answer *a);
void load_answer_release(struct load_answer *a);
void load_answer_clear(struct load_answer *a);
/* Reads once, without waiting: bytes, 0 when there is nothing, -1 at an end. */
long load_answer_read(struct load_answer *a, int fd);
/* Whether it is whole. Chunked bodies end with their last chunk: no body here
 * holds the bytes of one. What comes behind an answer is an error. */
int load_answer_whole(const struct load_answer *a);
int load_answer_status(const struct load_answer *a);

/* ---- samples -------------------------------------------------------------- */

struct load_samples {
  uint32_t *at;
  size_t n, cap;
};

void load_sample(struct load_samples *s, uint64_t value);
/* Sorts, and gives the value below which `per_mille` of them are. */
uint32_t load_quantile(struct load_samples *s, uint32_t per_mille);

/* ---- stamps ---------------------------------------------------------------- */

/* The mock provider's `stamp=1`: each delta is "@" and 19 digits, the time in
 * nanoseconds at which it was sent. The next stamp at or behind *at that is
 * later than `after`, 0 when there is none; *at moves behind what was read. */
#define LOAD_STAMP_DIGITS 19
uint64_t load_stamp(const char **at, const char *end, uint64_t after);

#endif
