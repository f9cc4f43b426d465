/* offline_judge.c - what was read, as a sentence for each worker.
 *
 * A file that ends in something that is no whole append is no damage when it
 * was never durable: what is behind the index' bytes was being brought from
 * the log when the process died, and the log still has it. Below that, or
 * where the log does not go on, records are lost.
 *
 * Records are also looked into: turns that begin and end, calls and their
 * results. What is wrong there was written so, with a right sum: it is told,
 * and nothing that is done to a file mends it.
 */
#include <sdk/json.h>
#include <string.h>

#include "crc32c.h"
#include "offline.h"

/* ---- inside of records ------------------------------------------------------------ */

/* Of a member's text; 0: it is not there. */
static uint64_t hash(yoi_str raw) {
  if (raw.len == 0) return 0;
  uint64_t low = fs_crc32c(0, raw.ptr, raw.len), high = fs_crc32c(0x5eed, raw.ptr, raw.len);
  return (high << 32 | low) | 1;
}

static void look_into(struct fs_off *o, struct fs_seen *w, const struct fs_line *l,
                      const struct fs_place *p) {
  uint64_t turn = hash(yoi_sdk_json_raw_get(l->data, "turn_id"));
  switch (l->event) {
    case YOI_EVENT_TURN_STARTED:
      if (w->turn != 0) fs_off_warn(o, p, "turn", "a turn begins before the one before it ended");
      w->turn = turn;
      break;
    case YOI_EVENT_TURN_ENDED:
      if (turn != w->turn) break; /* of an input that waited: it had not begun */
      if (w->n_calls > 0 || w->calls != 0)
        fs_off_warn(o, p, "calls", "a turn ended, and calls of it have no result");
      w->turn = w->calls = 0;
      w->n_calls = 0;
      break;
    case YOI_EVENT_TOOL_REQUESTED:
      w->calls ^= hash(yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(l->data, "call"), "id"));
      w->n_calls++;
      break;
    case YOI_EVENT_TOOL_COMPLETED:
      w->calls ^= hash(yoi_sdk_json_raw_get(l->data, "call_id"));
      if (w->n_calls == 0) fs_off_warn(o, p, "calls", "a result of a call that was never made");
      if (w->n_calls > 0) w->n_calls--;
      break;
    case 0:
      fs_off_warn(o, p, "kind", "a record of a kind that this version does not know");
      break;
    default:
      break;
  }
}

static void copy_time(char to[YOI_SDK_TIME_SIZE], yoi_str data) {
  yoi_str at = yoi_sdk_json_raw_get(data, "at"); /* with its quotes */
  if (at.len != YOI_SDK_TIME_SIZE + 1) return;
  memcpy(to, at.ptr + 1, YOI_SDK_TIME_SIZE - 1);
  to[YOI_SDK_TIME_SIZE - 1] = '\0';
}

void fs_off_record(struct fs_off *o, struct fs_seen *w, const struct fs_line *l,
                   const struct fs_place *p) {
  struct yoi_sdk_json_error e;
  if (l->seq <= w->looked) return; /* the file has the beginning of an append that the log has */
  w->looked = l->seq;
  if (l->born) w->birth = l->birth;
  if (l->seq == 1) copy_time(w->first_at, l->data);
  copy_time(w->last_at, l->data);
  if (!o->check) return;
  if (yoi_sdk_json_check(l->data, 0, &e) == YOI_INVALID_ARGUMENT)
    fs_off_warn(o, p, "data", "its data is not valid JSON: %s", e.message);
  look_into(o, w, l, p);
}

/* ---- workers ------------------------------------------------------------------------ */

/* What a sound file had, and this one has not. */
static int lost_of_file(const struct fs_seen *w) {
  if (w->file_old || w->removed) return 0;
  if (w->bad_line > 0 && (w->indexed ? w->good < w->index_bytes : w->pieces == NULL)) return 1;
  return w->indexed && w->size < w->index_bytes;
}

int fs_off_damaged(const struct fs_seen *w) {
  return lost_of_file(w) || w->lost > 0;
}

int fs_off_unknown(const struct fs_off *o, const struct fs_seen *w) {
  return o->index_good && !w->indexed && w->has_file && !w->in_log;
}

/* The index calls it corrupt, and the next start will see that it is not. */
static int is_healed(const struct fs_seen *w) {
  return w->indexed && w->index_mark == ENG_MARK_CORRUPT && !w->removed && !w->file_old &&
         !fs_off_damaged(w) && w->good > 0 && w->good == w->size && w->file_seq >= w->index_seq;
}

static void judge_file(struct fs_off *o, const struct fs_seen *w, struct fs_place *p) {
  uint64_t behind = w->size - w->good;
  p->line = w->bad_line;
  p->at = w->bad_at;
  if (w->bad_line > 0 && lost_of_file(w)) {
    fs_off_error(o, p, "damaged", "%s: of the worker %llu records can be read%s", w->bad,
                 (unsigned long long)w->seq,
                 w->pieces != NULL ? ", some of them from the log" : "");
  } else if (w->bad_line > 0) {
    fs_off_warn(o, p, "torn",
                "%s: %llu bytes were being written when the process died; the log "
                "has them",
                w->bad, (unsigned long long)behind);
  } else if (lost_of_file(w)) {
    *p = (struct fs_place){.file = p->file, .worker = p->worker};
    fs_off_error(o, p, "short", "the file has %llu bytes, and had %llu",
                 (unsigned long long)w->size, (unsigned long long)w->index_bytes);
  } else if (w->indexed && w->has_file && !w->index_met && !w->file_old && !w->removed &&
             !is_healed(w)) {
    *p = (struct fs_place){.file = "index.jsonl", .line = w->index_line, .worker = p->worker};
    fs_off_error(o, p, "index", "the worker's file has no record %llu that ends at byte %llu",
                 (unsigned long long)w->index_seq, (unsigned long long)w->index_bytes);
  }
}

static void judge(struct fs_off *o, const struct fs_seen *w) {
  char name[FS_NAME_SIZE], file[FS_PATH_SIZE];
  fs_name_worker(yoi_sdk_str(w->id), name);
  snprintf(file, sizeof file, "workers/%s", name);
  struct fs_place p = {.file = file, .worker = w->id};
  if (w->indexed && !w->has_file && !w->removed) {
    fs_off_error(o, &p, "missing", "the worker's file is missing");
    return;
  }
  if (fs_off_unknown(o, w)) {
    if (o->worker.len == 0)
      fs_off_warn(o, &p, "unknown",
                  "neither the index nor the log knows this worker: no host shows it");
    return;
  }
  judge_file(o, w, &p);
  p = (struct fs_place){.file = file, .worker = w->id};
  if (w->lost > 0 && !lost_of_file(w))
    fs_off_error(o, &p, "lost", "records are lost behind number %llu of the worker%s",
                 (unsigned long long)w->seq,
                 w->behind > 0 ? "; what comes behind them is of no use" : "");
  if (is_healed(w)) {
    p = (struct fs_place){.file = "index.jsonl", .line = w->index_line, .worker = w->id};
    fs_off_warn(o, &p, "corrupt",
                "it calls the worker corrupt, and its file is sound: the next start sees that");
  }
}

void fs_off_judge(struct fs_off *o) {
  for (size_t i = 0; i < o->n && o->stop == YOI_OK; i++)
    if (o->worker.len == 0 || yoi_sdk_str_is(o->worker, o->workers[i]->id)) judge(o, o->workers[i]);
}
