/* history.c - what the records of a worker say of its turns. */
#include "history.h"

#include <sdk/json.h>

static char born[128]; /* the cursor from which all is replayed */

void queue_make(struct rig *r) {
  rig_ok(r, YOI_OP_WORKER_CREATE, "", "{\"worker_id\":\"a\"}");
  (void)snprintf(born, sizeof born, "%s", rig_get(r, "worker.cursor") + 1);
  *strchr(born, '"') = 0;
}

void queue_begin(struct rig *r) {
  struct fake_answer *a = fake_model_answer(r->fh);
  fake_answer_text(a, "begun ");
  fake_answer_gate(a);
  fake_answer_text(a, "late");
  fake_answer_finish(a, "stop");
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"hi\"}");
}

const char *queue_say(struct rig *r, const char *body, char id[64]) {
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", body);
  (void)snprintf(id, 64, "%s", rig_get(r, "ack.turn_id"));
  assert_int_equal(strlen(id), 38);
  return id;
}

void queue_let_go(struct rig *r) {
  rig_settle(r);
  for (int i = 0; i < 100 && fake_model_live(r->fh) > 0; i++) {
    fake_model_open(r->fh);
    rig_settle(r);
  }
}

static int has_begun(const struct ear *e, yoi_str turn_id) {
  for (const char *p = e->heard.data; (p = strstr(p, "turn.started {")) != NULL; p++) {
    yoi_str data = {p + 13, strcspn(p + 13, "\n")};
    if (yoi_sdk_str_eq(yoi_sdk_json_raw_get(data, "turn_id"), turn_id)) return 1;
  }
  return 0;
}

void queue_history(struct rig *r, struct ear *e, int all_ended) {
  char running[64] = "";
  size_t accepted = 0, ended = 0;
  ear_open(e, r, "a", born);
  ear_settle(e);
  for (const char *p = e->heard.data; *p; p = strchr(p, '\n') + 1) {
    yoi_str line = {p, strcspn(p, "\n")};
    size_t kind = strcspn(p, " ");
    yoi_str data = {p + kind + 1, line.len - kind - 1};
    yoi_str id = yoi_sdk_json_raw_get(data, "turn_id");
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s", YOI_ARG(id));
    if (strncmp(p, "input.accepted ", 15) == 0) accepted++;
    if (strncmp(p, "turn.started ", 13) == 0) {
      assert_string_equal(running, "");
      (void)snprintf(running, sizeof running, "%s", text);
    }
    if (strncmp(p, "turn.ended ", 11) != 0) continue;
    ended++;
    char mark[128];
    (void)snprintf(mark, sizeof mark, "\"turn\":{\"turn_id\":%s", text);
    assert_int_equal(ear_count(e, mark), 1);
    /* What never began says so. */
    yoi_str at = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(data, "turn"), "started_at");
    assert_int_equal(has_begun(e, id), !yoi_sdk_str_eq(at, YOI_LIT("null")));
    if (strcmp(running, text) == 0) running[0] = 0;
  }
  if (all_ended) assert_int_equal(accepted, ended);
  if (all_ended) assert_string_equal(running, "");
}

void queue_began(struct rig *r, const char *want) {
  struct ear e;
  char got[256] = "";
  queue_history(r, &e, 1);
  for (const char *p = e.heard.data; (p = strstr(p, "turn.started {")) != NULL; p++) {
    yoi_str data = {p + 13, strcspn(p + 13, "\n")};
    yoi_str id = yoi_sdk_json_raw_get(data, "turn_id");
    for (const char *q = e.heard.data; q && *q; q = strchr(q, '\n') + 1) {
      if (strncmp(q, "input.accepted ", 15) != 0) continue;
      yoi_str in = {q + 15, strcspn(q + 15, "\n")}, part;
      size_t pos = 0;
      if (!yoi_sdk_str_eq(yoi_sdk_json_raw_get(in, "turn_id"), id)) continue;
      assert_true(yoi_sdk_json_raw_each(yoi_sdk_json_raw_get(in, "content"), &pos, &part));
      yoi_str text = yoi_sdk_json_raw_get(part, "text");
      size_t n = strlen(got);
      (void)snprintf(got + n, sizeof got - n, "%s%.*s", n ? " " : "", (int)text.len - 2,
                     text.ptr + 1);
    }
  }
  ear_close(&e);
  assert_string_equal(got, want);
}
