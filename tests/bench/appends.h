/* appends.h - what the programs share that append records to something
 * durable: the record, what it cost, and how that is printed.
 *
 * Each prints one JSON object of the same members, so that a store of files,
 * a plain file, SQLite and LMDB stand in one table: records, seconds, cpu_s,
 * p50_us and p99_us (until a record was acknowledged), syncs (how often
 * records were made durable together), written (bytes that the disk below the
 * folder was given meanwhile, its file system's journal and the orderly end
 * included, and whatever else writes there; 0: no disk says so), space (of the
 * folder after the end, in blocks).
 */
#ifndef TESTS_BENCH_APPENDS_H
#define TESTS_BENCH_APPENDS_H

#include <sdk/str.h>

#include "load.h"

#define APPENDS_MAX 10000000
#define APPENDS_DATA 400 /* bytes of a record, unless it is said otherwise */
#define APPENDS_DATA_MAX 65536

struct appends {
  const char *folder;
  long records, syncs;
  uint64_t begin_ns, end_ns, written;
  double cpu_s;
  struct load_samples ack_us;
};

/* A record: a JSON object of that many bytes; 0 when it cannot be. */
int appends_data(struct yoi_sdk_buf *out, size_t bytes);
/* That record as a line of the store, which is what all of them write. */
void appends_line(struct yoi_sdk_buf *out, uint64_t n, yoi_str data);
/* From here on it counts; until there. What follows is the orderly end. */
void appends_begin(struct appends *a);
void appends_end(struct appends *a);
/* Prints and releases it; the exit code. MORE: further members, or "". */
int appends_report(struct appends *a, const char *more);

#endif
