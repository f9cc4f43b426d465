/* bench_lmdb.c - the same records into LMDB as it comes: a commit is on the
 * disk when it returns.
 *
 *   bench_lmdb FOLDER RECORDS PER
 *
 * One writer; PER records a transaction, whose time each of them waits. A
 * record is its number and its line, appended. Prints what appends.h says.
 */
#include "appends.h"

#include <lmdb.h>
#include <stdio.h>

#define MAP_BYTES ((size_t)4 << 30) /* of addresses, not of the file */

struct base {
  MDB_env *env;
  MDB_dbi dbi;
};

static int prepare(struct base *b, const char *folder) {
  MDB_txn *txn = NULL;
  int e = mdb_env_create(&b->env);
  if (e == 0) e = mdb_env_set_mapsize(b->env, MAP_BYTES);
  if (e == 0) e = mdb_env_open(b->env, folder, 0, 0600);
  if (e == 0) e = mdb_txn_begin(b->env, NULL, 0, &txn);
  if (e == 0) e = mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &b->dbi);
  if (e == 0) return mdb_txn_commit(txn);
  if (txn != NULL) mdb_txn_abort(txn);
  return e;
}

static int insert(struct base *b, MDB_txn *txn, struct yoi_sdk_buf *line, size_t n, yoi_str data) {
  yoi_sdk_buf_clear(line);
  appends_line(line, n, data);
  MDB_val key = {sizeof n, &n}, value = {line->len, line->data};
  return mdb_put(txn, b->dbi, &key, &value, MDB_APPEND);
}

static int transaction(struct base *b, struct appends *a, long per, struct yoi_sdk_buf *line,
                       yoi_str data) {
  MDB_txn *txn;
  uint64_t begin = load_now_ns();
  int e = mdb_txn_begin(b->env, NULL, 0, &txn);
  if (e != 0) return e;
  for (long i = 1; i <= per && e == 0; i++)
    e = insert(b, txn, line, (size_t)(a->records + i), data);
  if (e != 0) {
    mdb_txn_abort(txn);
    return e;
  }
  e = mdb_txn_commit(txn);
  uint64_t took = (load_now_ns() - begin) / 1000;
  for (long i = 0; i < per && e == 0; i++) load_sample(&a->ack_us, took);
  a->records += per;
  a->syncs++;
  return e;
}

int main(int argc, char **argv) {
  struct base b = {0};
  struct yoi_sdk_buf data, line;
  long records = argc == 4 ? load_number(argv[2], APPENDS_MAX) : 0;
  long per = argc == 4 ? load_number(argv[3], APPENDS_MAX) : 0;
  if (records <= 0 || per <= 0) {
    (void)fprintf(stderr, "usage: bench_lmdb FOLDER RECORDS PER\n");
    return 2;
  }
  struct appends a = {.folder = argv[1]};
  yoi_sdk_buf_init(&data, APPENDS_DATA_MAX);
  yoi_sdk_buf_init(&line, 2 * APPENDS_DATA_MAX);
  int e = appends_data(&data, APPENDS_DATA) ? prepare(&b, a.folder) : -1;
  appends_begin(&a);
  while (e == 0 && a.records < records)
    e = transaction(&b, &a, per, &line, yoi_sdk_buf_str(&data));
  appends_end(&a);
  if (e != 0) (void)fprintf(stderr, "bench_lmdb: %s\n", mdb_strerror(e));
  if (b.env != NULL) mdb_env_close(b.env);
  yoi_sdk_buf_release(&data);
  yoi_sdk_buf_release(&line);
  return appends_report(&a, "") || e != 0;
}
