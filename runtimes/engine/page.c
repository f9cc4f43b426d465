/* page.c - worker.transcript: a bounded view of the history.
 *
 * Which records are messages stands in the worker's index, so a page reads
 * only from its first to its last item. It may end before `limit` items when
 * its text grows past 4 MiB: next_start says where to go on.
 */
#include "page.h"

#include <sdk/jsonw.h>
#include <sdk/mem.h>

#include "ask.h"
#include "op.h"
#include "shapes.h"

#define PAGE_BYTES ((size_t)4 << 20)

struct eng_page {
  struct eng_read *read;
  struct yoi_sdk_buf buf; /* the items, with commas */
  struct yoi_sdk_jsonw w;
  uint64_t start, limit, total;
  uint64_t from, to; /* records still to be read; from > to: none */
  uint64_t n;        /* items so far */
  bool full;
};

void eng_page_free(struct eng_page *p) {
  if (!p) return;
  eng_read_free(p->read);
  yoi_sdk_buf_release(&p->buf);
  yoi_sdk_free(p);
}

static void page_answer(struct eng_op *op) {
  struct eng_page *p = op->page;
  struct eng_after after = {0};
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_close(&p->w, ']');
  yoi_sdk_buf_init(&buf, (size_t)16 << 20);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "transcript");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kint(&w, "start", (int64_t)p->start);
  yoi_sdk_jsonw_kint(&w, "limit", (int64_t)p->limit);
  yoi_sdk_jsonw_kint(&w, "total", (int64_t)p->total);
  yoi_sdk_jsonw_key(&w, "next_start");
  if (p->start + p->n < p->total)
    yoi_sdk_jsonw_int(&w, (int64_t)(p->start + p->n));
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_kraw(&w, "items", yoi_sdk_buf_str(&p->buf));
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
  if (p->buf.failed) buf.failed = p->buf.failed;
  yoi_status st = p->read->st;
  pthread_mutex_lock(&op->w->mu);
  if (st == YOI_OK)
    eng_op_answer(op, &buf, 0, &after);
  else if (op->w->state == ENG_GONE)
    eng_op_fail(op, YOI_CODE_WORKER_NOT_FOUND, "the worker was deleted", &after);
  else
    eng_op_fail(op, YOI_CODE_STORE_ERROR, "the history could not be read", &after);
  if (st != YOI_OK) yoi_sdk_buf_release(&buf);
  eng_worker_leave(op->w, &after);
}

static void page_take(struct eng_page *p) {
  for (size_t i = 0; i < p->read->n && !p->full; i++) {
    const struct eng_frame *f = p->read->frames[i];
    p->from = f->pos.sequence + 1;
    if (f->pos.sequence > p->to) break;
    if (p->n > 0 && eng_frame_is_item(f) && p->buf.len + f->ev.text.len > PAGE_BYTES) {
      p->full = true;
      break;
    }
    p->n += (uint64_t)eng_shape_item(&p->w, f);
  }
}

/* Takes a reference of op over: until it is answered. */
static void page_run(struct eng_op *op) {
  struct eng_page *p = op->page;
  const struct eng_worker *w = op->w;
  for (;;) {
    page_take(p);
    if (p->read->st != YOI_OK || p->full || p->from > p->to) break;
    if (!eng_read_start(p->read, w->eng->store, w->log, p->from, 1)) return;
    if (p->read->n == 0 && p->read->st == YOI_OK) p->read->st = YOI_DATA_LOSS;
  }
  page_answer(op);
}

static void on_read(struct eng_read *r) {
  struct eng_op *op = r->ctx;
  if (r->n == 0 && r->st == YOI_OK) r->st = YOI_DATA_LOSS;
  if (atomic_load(&op->w->eng->closing))
    eng_op_unref(op);
  else
    page_run(op);
}

static struct eng_page *page_new(struct eng_op *op, uint64_t start, uint64_t limit) {
  struct eng_page *p = yoi_sdk_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->read = eng_read_new(on_read, op);
  if (!p->read) {
    yoi_sdk_free(p);
    return NULL;
  }
  p->start = start;
  p->limit = limit;
  yoi_sdk_buf_init(&p->buf, (size_t)12 << 20);
  yoi_sdk_jsonw_init(&p->w, &p->buf);
  yoi_sdk_jsonw_open(&p->w, '[');
  return p;
}

yoi_status eng_start_transcript(struct eng_engine *eng, const yoi_request *req,
                                struct eng_worker *w, yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  size_t limit = 0;
  int64_t start = 0;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  size_t max = (size_t)eng->limits.transcript_items;
  st = eng_ask_limit(body, max, max, &limit, err);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(body, "start"), &start);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (!w) return eng_ask_no_worker(err);
  struct eng_op *op = eng_op_new(w, req, (yoi_str){0});
  if (op) op->page = page_new(op, (uint64_t)start, limit);
  if (!op || !op->page) {
    eng_op_unref(op);
    return yoi_sdk_fail_memory(err);
  }
  struct eng_page *p = op->page;
  pthread_mutex_lock(&w->mu);
  p->total = w->n_items;
  p->from = 1;
  if (p->start < p->total) {
    uint64_t end = p->total - p->start < limit ? p->total : p->start + limit;
    p->from = w->items[p->start].sequence;
    p->to = w->items[end - 1].sequence;
  }
  pthread_mutex_unlock(&w->mu);
  page_run(eng_op_ref(op));
  return eng_op_return(op, out, err);
}
