/* bench_sqlite.c - the same records into SQLite, in WAL mode with
 * synchronous=FULL: a commit is on the disk when it returns.
 *
 *   bench_sqlite FOLDER RECORDS PER
 *
 * One writer; PER records a transaction, whose time each of them waits. A
 * record is a row of its number and its line. Prints what appends.h says.
 */
#include "appends.h"

#include <sqlite3.h>
#include <stdio.h>

struct base {
  sqlite3 *db;
  sqlite3_stmt *begin, *insert, *commit;
};

static int prepare(struct base *b, const char *folder) {
  char path[4096];
  (void)snprintf(path, sizeof path, "%s/db", folder);
  return sqlite3_open(path, &b->db) == SQLITE_OK &&
         sqlite3_exec(b->db,
                      "pragma journal_mode=wal; pragma synchronous=full;"
                      "create table record(n integer primary key, line blob not null);",
                      NULL, NULL, NULL) == SQLITE_OK &&
         sqlite3_prepare_v2(b->db, "begin immediate", -1, &b->begin, NULL) == SQLITE_OK &&
         sqlite3_prepare_v2(b->db, "insert into record values(?1, ?2)", -1, &b->insert, NULL) ==
             SQLITE_OK &&
         sqlite3_prepare_v2(b->db, "commit", -1, &b->commit, NULL) == SQLITE_OK;
}

/* It is what was asked for: a file system without shared memory has no WAL. */
static int is_wal(struct base *b) {
  sqlite3_stmt *ask = NULL;
  int yes = sqlite3_prepare_v2(b->db, "pragma journal_mode", -1, &ask, NULL) == SQLITE_OK &&
            sqlite3_step(ask) == SQLITE_ROW &&
            yoi_sdk_str_is(yoi_sdk_str((const char *)sqlite3_column_text(ask, 0)), "wal");
  (void)sqlite3_finalize(ask);
  return yes;
}

static int run(sqlite3_stmt *s) {
  int done = sqlite3_step(s) == SQLITE_DONE;
  return sqlite3_reset(s) == SQLITE_OK && done;
}

static int insert(struct base *b, struct yoi_sdk_buf *line, uint64_t n, yoi_str data) {
  yoi_sdk_buf_clear(line);
  appends_line(line, n, data);
  return !line->failed && sqlite3_bind_int64(b->insert, 1, (sqlite3_int64)n) == SQLITE_OK &&
         sqlite3_bind_blob(b->insert, 2, line->data, (int)line->len, SQLITE_STATIC) == SQLITE_OK &&
         run(b->insert);
}

static int transaction(struct base *b, struct appends *a, long per, struct yoi_sdk_buf *line,
                       yoi_str data) {
  uint64_t begin = load_now_ns();
  int ok = run(b->begin);
  for (long i = 1; i <= per && ok; i++) ok = insert(b, line, (uint64_t)(a->records + i), data);
  if (!ok || !run(b->commit)) return 0;
  uint64_t took = (load_now_ns() - begin) / 1000;
  for (long i = 0; i < per; i++) load_sample(&a->ack_us, took);
  a->records += per;
  a->syncs++;
  return 1;
}

static int end(struct base *b) {
  (void)sqlite3_finalize(b->begin);
  (void)sqlite3_finalize(b->insert);
  (void)sqlite3_finalize(b->commit);
  return sqlite3_close(b->db) == SQLITE_OK;
}

int main(int argc, char **argv) {
  struct base b = {0};
  struct yoi_sdk_buf data, line;
  long records = argc == 4 ? load_number(argv[2], APPENDS_MAX) : 0;
  long per = argc == 4 ? load_number(argv[3], APPENDS_MAX) : 0;
  if (records <= 0 || per <= 0) {
    (void)fprintf(stderr, "usage: bench_sqlite FOLDER RECORDS PER\n");
    return 2;
  }
  struct appends a = {.folder = argv[1]};
  yoi_sdk_buf_init(&data, APPENDS_DATA_MAX);
  yoi_sdk_buf_init(&line, 2 * APPENDS_DATA_MAX);
  int ok = appends_data(&data, APPENDS_DATA) && prepare(&b, a.folder) && is_wal(&b);
  appends_begin(&a);
  while (ok && a.records < records)
    ok = transaction(&b, &a, per, &line, yoi_sdk_buf_str(&data));
  appends_end(&a);
  if (!ok) (void)fprintf(stderr, "bench_sqlite: %s\n", sqlite3_errmsg(b.db));
  ok = end(&b) && ok;
  yoi_sdk_buf_release(&data);
  yoi_sdk_buf_release(&line);
  return appends_report(&a, "") || !ok;
}
