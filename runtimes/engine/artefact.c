/* artefact.c - worker.artefact: the whole of an output that was too long.
 *
 * A model is shown the beginning and the end of it; the rest stands in the
 * private part of the record of the result (record_tool.c), so an artefact is
 * named by that record's sequence, and is there as long as it. A page of it is
 * bounded in bytes and ends with a character.
 */
#include "artefact.h"

#include <sdk/jsonw.h>
#include <sdk/mem.h>

#include "ask.h"
#include "op.h"
#include "shapes.h"

struct eng_artefact {
  struct eng_read *read;
  uint64_t sequence, start;
  size_t limit;
};

void eng_artefact_free(struct eng_artefact *a) {
  if (!a) return;
  eng_read_free(a->read);
  yoi_sdk_free(a);
}

static bool inside(yoi_str text, uint64_t at) {
  return at < text.len && ((unsigned char)text.ptr[at] & 0xC0) == 0x80;
}

yoi_str eng_artefact_part(yoi_str text, uint64_t *start, size_t limit) {
  if (*start > text.len) *start = text.len;
  while (inside(text, *start)) ++*start;
  yoi_str rest = {text.ptr + *start, text.len - (size_t)*start};
  yoi_str part = {rest.ptr, rest.len > limit ? yoi_sdk_utf8_cut(rest, limit) : rest.len};
  if (part.len > 0 || rest.len == 0) return part;
  part.len = 1; /* less than one character */
  while (inside(rest, part.len)) part.len++;
  return part;
}

int eng_artefact_text(const struct eng_read *r, uint64_t sequence, struct yoi_sdk_buf *out) {
  const struct eng_frame *f = r->st == YOI_OK && r->n > 0 ? r->frames[0] : NULL;
  if (!f || f->pos.sequence != sequence || f->ev.kind != YOI_EVENT_TOOL_COMPLETED) return 0;
  yoi_str raw = yoi_sdk_json_raw_get(eng_frame_aux(f), "output");
  return raw.len > 0 && yoi_sdk_json_raw_unescape(raw, out) && !out->failed;
}

/* One that begins inside a character begins behind it. */
static void write_part(const struct eng_artefact *a, yoi_str text, yoi_str call_id,
                       struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  char id[24];
  uint64_t start = a->start;
  yoi_str part = eng_artefact_part(text, &start, a->limit);
  int n = snprintf(id, sizeof id, "%llu", (unsigned long long)a->sequence);
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "artefact");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "artefact_id", (yoi_str){id, (size_t)n});
  yoi_sdk_jsonw_kraw(&w, "call_id", call_id);
  yoi_sdk_jsonw_kint(&w, "bytes", (int64_t)text.len);
  yoi_sdk_jsonw_kint(&w, "start", (int64_t)start);
  yoi_sdk_jsonw_key(&w, "next_start");
  if (start + part.len < text.len)
    yoi_sdk_jsonw_int(&w, (int64_t)(start + part.len));
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_kstr(&w, "text", part);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

/* 1: the record that was read is one. */
static int read_part(const struct eng_artefact *a, struct yoi_sdk_buf *out) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  int ok = eng_artefact_text(a->read, a->sequence, &text);
  if (ok)
    write_part(a, yoi_sdk_buf_str(&text),
               yoi_sdk_json_raw_get(a->read->frames[0]->ev.text, "call_id"), out);
  if (text.failed) out->failed = text.failed;
  ok = ok || text.failed;
  yoi_sdk_buf_release(&text);
  return ok;
}

/* Takes a reference of op over. */
static void answer(struct eng_op *op) {
  const struct eng_artefact *a = op->artefact;
  struct eng_after after = {0};
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, YOI_JSON_BYTES_MAX);
  int found = a->read->st == YOI_OK && read_part(a, &buf);
  pthread_mutex_lock(&op->w->mu);
  if (found)
    eng_op_answer(op, &buf, 0, &after);
  else if (op->w->state == ENG_GONE)
    eng_op_fail(op, YOI_CODE_WORKER_NOT_FOUND, "the worker was deleted", &after);
  else if (a->read->st != YOI_OK)
    eng_op_fail(op, YOI_CODE_STORE_ERROR, "the history could not be read", &after);
  else
    eng_op_fail(op, YOI_CODE_ARTEFACT_NOT_FOUND, "there is no such artefact", &after);
  if (!found) yoi_sdk_buf_release(&buf);
  eng_worker_leave(op->w, &after);
}

static void on_read(struct eng_read *r) {
  struct eng_op *op = r->ctx;
  if (atomic_load(&op->w->eng->closing))
    eng_op_unref(op);
  else
    answer(op);
}

static struct eng_artefact *artefact_new(struct eng_op *op) {
  struct eng_artefact *a = yoi_sdk_calloc(1, sizeof *a);
  if (!a) return NULL;
  a->read = eng_read_new(on_read, op);
  if (a->read) return a;
  yoi_sdk_free(a);
  return NULL;
}

yoi_status eng_start_artefact(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                              yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  size_t limit = 0;
  int64_t start = 0;
  uint64_t sequence = 0;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  st = eng_ask_limit(body, YOI_ARTEFACT_LIMIT_DEFAULT, YOI_ARTEFACT_LIMIT_MAX, &limit, err);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(body, "start"), &start);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (!w) return eng_ask_no_worker(err);
  if (!yoi_sdk_parse_u64(req->subject, YOI_JSON_INT_MAX, &sequence) || sequence == 0)
    return yoi_sdk_fail(err, YOI_CODE_ARTEFACT_NOT_FOUND, "there is no such artefact");
  struct eng_op *op = eng_op_new(w, req, (yoi_str){0});
  if (op) op->artefact = artefact_new(op);
  if (!op || !op->artefact) {
    eng_op_unref(op);
    return yoi_sdk_fail_memory(err);
  }
  op->artefact->sequence = sequence;
  op->artefact->start = (uint64_t)start;
  op->artefact->limit = limit;
  (void)eng_op_ref(op);
  if (eng_read_start(op->artefact->read, eng->store, w->log, sequence, 1)) answer(op);
  return eng_op_return(op, out, err);
}
