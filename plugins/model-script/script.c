/* script.c - reads a config into scripts, and chooses among them.
 *
 * The config is checked whole before anything is generated: a script that
 * cannot be followed is an error of open, with the JSON pointer of the step,
 * never a surprise in the middle of an answer. Invariants:
 *
 *  1. After script_book_init nothing in the book changes, so streams on all
 *     loops read it without a lock.
 *  2. The choice depends on the request alone.
 *  3. A finish, a failure or a stall is the last step of its script.
 */
#include "script.h"

#include <sdk/error.h>
#include <sdk/mem.h>

#define NOTICE                                                                            \
  "I am a script and no language model, so I cannot answer you. To talk to a real model " \
  "through Ollama, stop this host and run:\n\n"                                           \
  "    OPENAI_BASE_URL=http://127.0.0.1:11434/v1 make run\n"

static const struct {
  const char *name;
  uint32_t type;
} verbs[] = {
    [SCRIPT_SAY] = {"say", YOI_SDK_JSON_STRING},
    [SCRIPT_REASON] = {"reason", YOI_SDK_JSON_STRING},
    [SCRIPT_ECHO] = {"echo", YOI_SDK_JSON_BOOL},
    [SCRIPT_CHUNK] = {"chunk", YOI_SDK_JSON_NUMBER},
    [SCRIPT_WAIT] = {"wait_ms", YOI_SDK_JSON_NUMBER},
    [SCRIPT_CALL] = {"call", YOI_SDK_JSON_OBJECT},
    [SCRIPT_USAGE] = {"usage", YOI_SDK_JSON_OBJECT},
    [SCRIPT_FINISH] = {"finish", YOI_SDK_JSON_STRING},
    [SCRIPT_FAIL] = {"fail", YOI_SDK_JSON_STRING},
    [SCRIPT_STALL] = {"stall", YOI_SDK_JSON_BOOL},
};
#define N_VERBS (sizeof verbs / sizeof verbs[0])

static yoi_status refuse(yoi_error *err, const char *where, size_t at, const char *what) {
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "invalid script: step %zu of '%s': %s", at,
                      where, what);
}

static int own(yoi_str *out, yoi_str s) {
  *out = yoi_sdk_str_dup(s);
  return out->ptr != NULL;
}

/* The compact text of a subtree, owned. */
static int own_json(yoi_str *out, const yoi_sdk_json *v) {
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, YOI_JSON_BYTES_MAX);
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_json_write(v, &w);
  size_t len = 0;
  char *text = buf.failed ? NULL : yoi_sdk_buf_take(&buf, &len);
  yoi_sdk_buf_release(&buf);
  *out = (yoi_str){text, len};
  return text != NULL;
}

static int is_finish(yoi_str s) {
  return yoi_sdk_str_is(s, "stop") || yoi_sdk_str_is(s, "length") ||
         yoi_sdk_str_is(s, "content_filter") || yoi_sdk_str_is(s, "tool_calls");
}

/* 1 and *retryable when there is such a kind of model error. */
static int find_kind(yoi_str s, uint32_t *retryable) {
#define KIND(name, retry)        \
  if (yoi_sdk_str_is(s, name)) { \
    *retryable = (retry);        \
    return 1;                    \
  }
  YOI_MODEL_ERRORS(KIND)
#undef KIND
  return 0;
}

static yoi_status read_call(struct script_step *s, const yoi_sdk_json *v, const char *where,
                            size_t at, yoi_error *err) {
  yoi_str name = {0}, id = {0}, arguments = {0};
  for (const yoi_sdk_json *m = yoi_sdk_json_first(v); m; m = yoi_sdk_json_next(m)) {
    yoi_str key = yoi_sdk_json_key(m);
    if (!yoi_sdk_str_is(key, "name") && !yoi_sdk_str_is(key, "arguments") &&
        !yoi_sdk_str_is(key, "id"))
      return refuse(err, where, at, "a call has a name, arguments and perhaps an id");
  }
  if (!yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &name) || name.len == 0)
    return refuse(err, where, at, "a call needs a name");
  const yoi_sdk_json *id_member = yoi_sdk_json_get(v, "id");
  if (id_member && !yoi_sdk_json_str(id_member, &id))
    return refuse(err, where, at, "the id of a call is a string");
  const yoi_sdk_json *args = yoi_sdk_json_get(v, "arguments");
  int ok;
  if (!args)
    ok = own(&s->text, YOI_LIT("{}"));
  else if (yoi_sdk_json_str(args, &arguments))
    ok = own(&s->text, arguments);
  else if (yoi_sdk_json_type(args) == YOI_SDK_JSON_OBJECT)
    ok = own_json(&s->text, args);
  else
    return refuse(err, where, at, "arguments are an object or a string");
  if (!ok || !own(&s->name, name) || (id.len > 0 && !own(&s->id, id)))
    return yoi_sdk_fail_memory(err);
  return YOI_OK;
}

static yoi_status read_usage(struct script_step *s, const yoi_sdk_json *v, const char *where,
                             size_t at, yoi_error *err) {
  static const char *const names[] = {"input_tokens", "output_tokens", "cached_tokens",
                                      "reasoning_tokens"};
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, 512);
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  size_t known = 0;
  yoi_status st = YOI_OK;
  for (size_t i = 0; i < 4; i++) {
    const yoi_sdk_json *m = yoi_sdk_json_get(v, names[i]);
    int64_t n = 0;
    yoi_sdk_jsonw_key(&w, names[i]);
    if (!m || yoi_sdk_json_type(m) == YOI_SDK_JSON_NULL)
      yoi_sdk_jsonw_null(&w);
    else if (yoi_sdk_json_int(m, &n) && n >= 0)
      yoi_sdk_jsonw_int(&w, n);
    else
      st = refuse(err, where, at, "tokens are counted in integers of at least 0");
    known += m != NULL;
  }
  yoi_sdk_jsonw_close(&w, '}');
  if (st == YOI_OK && known != yoi_sdk_json_count(v))
    st = refuse(err, where, at, "usage has a member that is not known");
  if (st == YOI_OK && (buf.failed || !own(&s->text, yoi_sdk_buf_str(&buf))))
    st = yoi_sdk_fail_memory(err);
  yoi_sdk_buf_release(&buf);
  return st;
}

static yoi_status read_number(struct script_step *s, const yoi_sdk_json *v, int64_t min,
                              int64_t max, const char *where, size_t at, yoi_error *err) {
  int64_t n = 0;
  if (!yoi_sdk_json_int(v, &n) || n < min || n > max)
    return refuse(err, where, at, "the number is out of range");
  s->n = (uint32_t)n;
  return YOI_OK;
}

static yoi_status read_step(struct script_step *s, const yoi_sdk_json *o, const char *where,
                            size_t at, yoi_error *err) {
  const yoi_sdk_json *v = NULL;
  const yoi_sdk_json *times = yoi_sdk_json_get(o, "times");
  for (size_t i = 0; i < N_VERBS && !v; i++) {
    v = yoi_sdk_json_get(o, verbs[i].name);
    s->verb = (enum script_verb)i;
  }
  if (!v) return refuse(err, where, at, "it does nothing that is known");
  if (yoi_sdk_json_count(o) != 1u + (times != NULL) || (times && s->verb != SCRIPT_SAY))
    return refuse(err, where, at, "it has more members than one");
  if (yoi_sdk_json_type(v) != verbs[s->verb].type)
    return refuse(err, where, at, "its value is of the wrong type");
  int yes = 1;
  yoi_str text = {0};
  (void)yoi_sdk_json_bool(v, &yes);
  (void)yoi_sdk_json_str(v, &text);
  if (!yes) return refuse(err, where, at, "the only value is true");
  s->n = 1;
  switch (s->verb) {
    case SCRIPT_SAY:
      if (times) {
        yoi_status st = read_number(s, times, 1, SCRIPT_TIMES_MAX, where, at, err);
        if (st != YOI_OK) return st;
      }
      break;
    case SCRIPT_REASON:
      break;
    case SCRIPT_CHUNK:
      return read_number(s, v, 0, SCRIPT_CHUNK_MAX, where, at, err);
    case SCRIPT_WAIT:
      return read_number(s, v, 0, SCRIPT_WAIT_MS_MAX, where, at, err);
    case SCRIPT_CALL:
      return read_call(s, v, where, at, err);
    case SCRIPT_USAGE:
      return read_usage(s, v, where, at, err);
    case SCRIPT_FINISH:
      if (!is_finish(text)) return refuse(err, where, at, "there is no such finish reason");
      break;
    case SCRIPT_FAIL:
      if (!find_kind(text, &s->n)) return refuse(err, where, at, "there is no such model error");
      break;
    case SCRIPT_ECHO:
    case SCRIPT_STALL:
      return YOI_OK;
  }
  return own(&s->text, text) ? YOI_OK : yoi_sdk_fail_memory(err);
}

static void script_release(struct script *s) {
  for (size_t i = 0; i < s->n; i++) {
    yoi_sdk_str_free(&s->steps[i].text);
    yoi_sdk_str_free(&s->steps[i].name);
    yoi_sdk_str_free(&s->steps[i].id);
  }
  yoi_sdk_free(s->steps);
  *s = (struct script){0};
}

static int is_last(enum script_verb v) {
  return v == SCRIPT_FINISH || v == SCRIPT_FAIL || v == SCRIPT_STALL;
}

/* On an error the caller releases what was read. */
static yoi_status read_script(struct script *s, const yoi_sdk_json *list, const char *where,
                              yoi_error *err) {
  size_t n = yoi_sdk_json_count(list), usages = 0;
  if (yoi_sdk_json_type(list) != YOI_SDK_JSON_ARRAY || n > SCRIPT_STEPS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "invalid script: '%s' is not a list of at most %d steps", where,
                        SCRIPT_STEPS_MAX);
  s->steps = yoi_sdk_calloc(n ? n : 1, sizeof *s->steps);
  if (!s->steps) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *o = yoi_sdk_json_first(list); o; o = yoi_sdk_json_next(o)) {
    if (s->n > 0 && is_last(s->steps[s->n - 1].verb))
      return refuse(err, where, s->n, "it stands behind the end");
    struct script_step *step = &s->steps[s->n++];
    yoi_status st = read_step(step, o, where, s->n - 1, err);
    if (st != YOI_OK) return st;
    if (step->verb == SCRIPT_USAGE && ++usages > 1)
      return refuse(err, where, s->n - 1, "usage is given once");
  }
  return YOI_OK;
}

static yoi_status read_answers(struct script_book *book, const yoi_sdk_json *list, yoi_error *err) {
  size_t n = yoi_sdk_json_count(list);
  if (n > SCRIPT_ANSWERS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "invalid script: more than %d answers",
                        SCRIPT_ANSWERS_MAX);
  book->answers = yoi_sdk_calloc(n ? n : 1, sizeof *book->answers);
  if (!book->answers) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *o = yoi_sdk_json_first(list); o; o = yoi_sdk_json_next(o)) {
    struct script_answer *a = &book->answers[book->n_answers++];
    yoi_str match = {0};
    a->step = -1;
    (void)yoi_sdk_json_int(yoi_sdk_json_get(o, "step"), &a->step);
    if (yoi_sdk_json_str(yoi_sdk_json_get(o, "match"), &match) && !own(&a->match, match))
      return yoi_sdk_fail_memory(err);
    yoi_status st = read_script(&a->script, yoi_sdk_json_get(o, "steps"), "answers", err);
    if (st != YOI_OK) return st;
  }
  return YOI_OK;
}

static yoi_status read_turns(struct script_book *book, const yoi_sdk_json *list, yoi_error *err) {
  size_t n = yoi_sdk_json_count(list);
  if (n > SCRIPT_ANSWERS_MAX)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "invalid script: more than %d turns",
                        SCRIPT_ANSWERS_MAX);
  book->turns = yoi_sdk_calloc(n ? n : 1, sizeof *book->turns);
  if (!book->turns) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *o = yoi_sdk_json_first(list); o; o = yoi_sdk_json_next(o)) {
    yoi_status st = read_script(&book->turns[book->n_turns++], o, "turns", err);
    if (st != YOI_OK) return st;
  }
  return YOI_OK;
}

static yoi_status read_notice(struct script_book *book, yoi_error *err) {
  book->notice.steps = yoi_sdk_calloc(1, sizeof *book->notice.steps);
  if (!book->notice.steps) return yoi_sdk_fail_memory(err);
  book->notice.n = 1;
  book->notice.steps[0] = (struct script_step){.verb = SCRIPT_SAY, .n = 1};
  return own(&book->notice.steps[0].text, YOI_LIT(NOTICE)) ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status script_book_init(struct script_book *book, yoi_str config, yoi_error *err) {
  *book = (struct script_book){0};
  yoi_sdk_json *tree = NULL;
  struct yoi_sdk_json_error jerr;
  if (config.len == 0) config = YOI_LIT("{}");
  yoi_status st = yoi_sdk_json_parse(config, 0, &tree, &jerr);
  if (st != YOI_OK) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "invalid config: %s", jerr.message);
    return st;
  }
  int64_t chunk = 0;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(tree, "chunk"), &chunk);
  book->chunk = (uint32_t)(chunk < 0 || chunk > SCRIPT_CHUNK_MAX ? 0 : chunk);
  const yoi_sdk_json *steps = yoi_sdk_json_get(tree, "steps");
  st = read_notice(book, err);
  if (st == YOI_OK) st = read_answers(book, yoi_sdk_json_get(tree, "answers"), err);
  if (st == YOI_OK) st = read_turns(book, yoi_sdk_json_get(tree, "turns"), err);
  if (st == YOI_OK && steps) st = read_script(&book->steps, steps, "steps", err);
  if (st != YOI_OK) script_book_release(book);
  yoi_sdk_json_free(tree);
  return st;
}

void script_book_release(struct script_book *book) {
  for (size_t i = 0; i < book->n_answers; i++) {
    yoi_sdk_str_free(&book->answers[i].match);
    script_release(&book->answers[i].script);
  }
  for (size_t i = 0; i < book->n_turns; i++) script_release(&book->turns[i]);
  script_release(&book->steps);
  script_release(&book->notice);
  yoi_sdk_free(book->answers);
  yoi_sdk_free(book->turns);
  *book = (struct script_book){0};
}

/* The text of a message's content: a string, or text parts one after the
 * other. */
static void add_content(struct yoi_sdk_buf *out, yoi_str content) {
  if (yoi_sdk_json_raw_unescape(content, out)) return;
  if (content.len == 0 || content.ptr[0] != '[') return;
  yoi_str part;
  for (size_t pos = 0; yoi_sdk_json_raw_each(content, &pos, &part);)
    (void)yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(part, "text"), out);
}

yoi_status script_request_init(struct script_request *r, const yoi_model_request *req,
                               yoi_error *err) {
  *r = (struct script_request){0};
  yoi_sdk_buf_init(&r->user, YOI_JSON_BYTES_MAX);
  size_t last = req->n_messages;
  for (size_t i = 0; i < req->n_messages; i++) {
    yoi_str role = yoi_sdk_json_raw_get(req->messages[i], "role");
    if (yoi_sdk_str_is(role, "\"user\"")) {
      last = i;
      r->since_user = 0;
    } else if (yoi_sdk_str_is(role, "\"assistant\"")) {
      r->assistants++;
      r->since_user++;
    }
  }
  if (last < req->n_messages)
    add_content(&r->user, yoi_sdk_json_raw_get(req->messages[last], "content"));
  if (!r->user.failed) return YOI_OK;
  yoi_sdk_buf_release(&r->user);
  return yoi_sdk_fail_memory(err);
}

static int holds(const struct script_answer *a, const struct script_request *r) {
  if (a->step >= 0 && (uint64_t)a->step != r->since_user) return 0;
  if (a->match.len == 0) return 1;
  return r->user.len > 0 && memmem(r->user.data, r->user.len, a->match.ptr, a->match.len) != NULL;
}

const struct script *script_choose(const struct script_book *book, const struct script_request *r) {
  for (size_t i = 0; i < book->n_answers; i++)
    if (holds(&book->answers[i], r)) return &book->answers[i].script;
  if (r->assistants < book->n_turns) return &book->turns[r->assistants];
  return book->steps.steps ? &book->steps : &book->notice;
}
