/* test_answer.c - chunks of a provider into events: bytes in, events out, no
 * network. Each stream is fed whole and cut at every byte; both must give the
 * same. Events are compared as one text, see `drain`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sdk/mem.h>

#include "plugins/model-openai/oai.h"

struct run {
  struct oai_answer a;
  struct oai_failure f;
  struct yoi_sdk_sse sse;
  char text[65536];
  size_t len;
};

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct run *r = ctx;
  return oai_answer_event(&r->a, ev->type, ev->data, &r->f) != NULL;
}

/* T:text R:reasoning C:call U:usage F:finish, text joined over events. */
static void drain(struct run *r) {
  const yoi_event *const *evs;
  static const char letters[] = "TRCUF";
  uint32_t last = 0;
  size_t n;
  while ((n = oai_out_next(&r->a.out, &evs)) > 0) {
    for (size_t i = 0; i < n; i++) {
      uint32_t kind = evs[i]->kind - YOI_EVENT_MODEL_TEXT;
      assert_true(kind < 5);
      assert_true(yoi_sdk_utf8_valid(evs[i]->text));
      int joined = kind < 2 && evs[i]->kind == last;
      r->len += (size_t)snprintf(r->text + r->len, sizeof r->text - r->len, "%s%.*s",
                                 joined ? "" : (char[4]){r->len ? ' ' : letters[kind],
                                                         r->len ? letters[kind] : ':',
                                                         r->len ? ':' : '\0', '\0'},
                                 YOI_ARG(evs[i]->text));
      last = evs[i]->kind;
    }
  }
}

static struct run *run_new(void) {
  struct run *r = test_calloc(1, sizeof *r);
  oai_answer_init(&r->a);
  oai_failure_clear(&r->f);
  yoi_sdk_sse_init(&r->sse, 0, 0, on_event, r);
  return r;
}

static void run_free(struct run *r) {
  oai_answer_release(&r->a);
  yoi_sdk_sse_release(&r->sse);
  test_free(r);
}

static void finish(struct run *r) {
  if (!r->f.kind[0]) oai_answer_close(&r->a, 0, &r->f);
  drain(r);
  if (r->f.kind[0])
    snprintf(r->text + r->len, sizeof r->text - r->len, " !%s", r->f.kind);
}

static void check_n(const char *stream, size_t n, const char *want) {
  for (size_t cut = 0; cut <= n; cut = cut < 400 ? cut + 1 : cut + 97) {
    struct run *r = run_new();
    yoi_sdk_sse_feed(&r->sse, (yoi_str){stream, cut});
    yoi_sdk_sse_feed(&r->sse, (yoi_str){stream + cut, n - cut});
    finish(r);
    assert_string_equal(r->text, want);
    run_free(r);
  }
}
#define CHECK(stream, want) check_n(stream, sizeof(stream) - 1, want)

#define D(delta) \
  "data: {\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}\n\n"
#define FIN(reason) \
  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define F_(word) "F:{\"finish_reason\":\"" word "\"}"

static void test_text(void **state) {
  (void)state;
  CHECK(D("{\"role\":\"assistant\",\"content\":null}") D("{\"content\":\"Hel\"}")
            D("{\"content\":\"lo\\n\"}") D("{\"content\":\"\"}") D("{\"content\":\" you\"}")
                FIN("stop") DONE,
        "T:Hello\n you " F_("stop"));
}

static void test_same_shape_is_read_right(void **state) {
  (void)state;
  /* Strings that look like the rest of a chunk, or are none. */
  CHECK(D("{\"content\":\"a\"}") D("{\"content\":\"b\"}") D("{\"content\":\"\\\"}\"}")
            D("{\"content\":\"x\",\"refusal\":\"y\"}") D("{\"content\":\"c\"}")
                D("{\"content\":null}") D("{\"content\":\"\\u00e9\"}") FIN("stop"),
        "T:ab\"}xyc\xc3\xa9 " F_("stop"));
  CHECK(D("{\"content\":\"a\"}") D("{\"content\":\"b\"x\"}"), "T:a !malformed");
  CHECK(D("{\"content\":\"a\"}") D("{\"content\":\"b\x01\"}"), "T:a !malformed");
  /* The shape's own tail, with a finish reason in it. */
  CHECK(D("{\"content\":\"a\"}") FIN("length") D("{\"content\":\"b\"}"), "T:ab " F_("length"));
}

static void test_reasoning_fields(void **state) {
  (void)state;
  CHECK(D("{\"reasoning_content\":\"a\"}") D("{\"reasoning\":\"b\"}")
            D("{\"reasoning_content\":\"c\",\"reasoning\":\"c\"}")
                D("{\"reasoning\":null,\"content\":\"d\"}")
                    D("{\"reasoning\":\"e\",\"content\":\"f\"}") FIN("stop"),
        "R:abc T:d R:e T:f " F_("stop"));
}

static void test_refusal_is_text(void **state) {
  (void)state;
  CHECK(D("{\"refusal\":\"I can\"}") D("{\"refusal\":\"not\"}") FIN("stop"),
        "T:I cannot " F_("stop"));
}

static void test_first_chunk_without_choices_is_skipped(void **state) {
  (void)state;
  CHECK("data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n"
            D("{\"content\":\"a\"}")
            FIN("stop"),
        "T:a " F_("stop"));
}

static void test_only_choice_zero(void **state) {
  (void)state;
  CHECK("data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}},"
        "{\"delta\":{\"content\":\"a\"}}]}\n\n" FIN("stop"),
        "T:a " F_("stop"));
}

static void test_usage(void **state) {
  (void)state;
#define U(u) "data: {\"choices\":[],\"usage\":" u "}\n\n"
  CHECK(FIN("stop") U("{\"prompt_tokens\":1,\"completion_tokens\":2,"
                      "\"prompt_tokens_details\":{\"cached_tokens\":3},"
                      "\"completion_tokens_details\":{\"reasoning_tokens\":4}}") DONE,
        "U:{\"input_tokens\":1,\"output_tokens\":2,\"cached_tokens\":3,\"reasoning_tokens\":4} " F_(
            "stop"));
  CHECK(FIN("stop") U("{\"prompt_tokens\":1,\"completion_tokens\":null,"
                      "\"prompt_tokens_details\":null,\"prompt_cache_hit_tokens\":9}"),
        "U:{\"input_tokens\":1,\"output_tokens\":null,\"cached_tokens\":9,"
        "\"reasoning_tokens\":null} " F_("stop"));
  CHECK(FIN("stop") U("null"), F_("stop"));
  CHECK(FIN("stop") U("{}"), F_("stop"));
  CHECK(FIN("stop") U("{\"prompt_tokens\":-1,\"completion_tokens\":1.5}"), F_("stop"));
  /* Cumulative usage on every chunk: the last one counts. */
  CHECK(U("{\"prompt_tokens\":1}") U("{\"prompt_tokens\":7}") FIN("stop"),
        "U:{\"input_tokens\":7,\"output_tokens\":null,\"cached_tokens\":null,"
        "\"reasoning_tokens\":null} " F_("stop"));
}

static void test_finish_reasons(void **state) {
  (void)state;
  CHECK(FIN("stop"), F_("stop"));
  CHECK(FIN("length"), F_("length"));
  CHECK(FIN("content_filter"), F_("content_filter"));
  CHECK(FIN("eos_token"), F_("stop"));
  /* Asked for tools and named none. */
  CHECK(FIN("tool_calls"), F_("stop"));
  CHECK(D("{\"content\":\"a\"}") DONE D("{\"content\":\"late\"}"), "T:a " F_("stop"));
  struct run *r = run_new();
  yoi_sdk_sse_feed(&r->sse, (yoi_str){FIN("eos_token"), sizeof FIN("eos_token") - 1});
  assert_int_equal(r->a.finish, OAI_FINISH_ODD);
  assert_string_equal(r->a.odd_finish, "eos_token");
  run_free(r);
}

/* ---- tool calls --------------------------------------------------------- */

#define TC(inner) D("{\"tool_calls\":[" inner "]}")
#define C_(id, name, args) \
  "C:{\"id\":\"" id "\",\"name\":\"" name "\",\"arguments\":\"" args "\"} "

static void test_fragments_by_index(void **state) {
  (void)state;
  CHECK(TC("{\"index\":0,\"id\":\"a\",\"type\":\"function\","
           "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}")
            TC("{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\":\"}}")
                TC("{\"index\":0,\"function\":{\"arguments\":\"1}\"}}") FIN("tool_calls") DONE,
        C_("a", "f", "{\\\"x\\\":1}") F_("tool_calls"));
  CHECK(TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
            TC("{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{\"}}")
                TC("{\"index\":0,\"function\":{\"arguments\":\"}\"}},"
                   "{\"index\":1,\"function\":{\"arguments\":\"}\"}}") FIN("tool_calls"),
        C_("a", "f", "{}") C_("b", "g", "{}") F_("tool_calls"));
}

static void test_id_on_every_fragment(void **state) {
  (void)state;
  CHECK(TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
            TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"}\"}}")
                FIN("tool_calls"),
        C_("a", "f", "{}") F_("tool_calls"));
  /* A fresh id each time, but no name: it is still the same call. */
  CHECK(TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
            TC("{\"index\":0,\"id\":\"z\",\"function\":{\"arguments\":\"}\"}}") FIN("tool_calls"),
        C_("a", "f", "{}") F_("tool_calls"));
}

static void test_new_id_on_used_index_is_a_new_call(void **state) {
  (void)state;
  CHECK(TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
            TC("{\"index\":0,\"id\":\"b\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
                TC("{\"index\":0,\"function\":{\"arguments\":\"}\"}}") FIN("stop"),
        C_("a", "f", "{}") C_("b", "f", "{}") F_("tool_calls"));
}

static void test_no_index(void **state) {
  (void)state;
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}")
            TC("{\"function\":{\"arguments\":\"}\"}}")
                TC("{\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}") FIN("stop"),
        C_("a", "f", "{}") C_("b", "g", "{}") F_("tool_calls"));
  /* Neither index nor names: the position in the chunk. */
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\"}},"
           "{\"id\":\"b\",\"function\":{\"name\":\"g\"}}")
            TC("{\"function\":{\"arguments\":\"{\\\"f\\\":1}\"}},"
               "{\"function\":{\"arguments\":\"{\\\"g\\\":2}\"}}") FIN("stop"),
        C_("a", "f", "{\\\"f\\\":1}") C_("b", "g", "{\\\"g\\\":2}") F_("tool_calls"));
}

static void test_arguments_as_object_or_nothing(void **state) {
  (void)state;
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\": [1]}}}") FIN("stop"),
        C_("a", "f", "{\\\"x\\\": [1]}") F_("tool_calls"));
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":null}}") FIN("stop"),
        C_("a", "f", "{}") F_("tool_calls"));
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\"}}") FIN("stop"),
        C_("a", "f", "{}") F_("tool_calls"));
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":7}}") FIN("stop"),
        " !malformed");
}

static void test_missing_ids_are_made(void **state) {
  (void)state;
  static const char stream[] =
      TC("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
          TC("{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}") FIN("stop");
  struct run *r = run_new();
  yoi_sdk_sse_feed(&r->sse, (yoi_str){stream, sizeof stream - 1});
  finish(r);
  /* Two whole calls on one index without an id are two calls. */
  const char *one = strstr(r->text, "C:{\"id\":\"call_");
  assert_non_null(one);
  const char *two = strstr(one + 1, "C:{\"id\":\"call_");
  assert_non_null(two);
  assert_memory_not_equal(one, two, 60);
  run_free(r);
}

static void test_legacy_function_call(void **state) {
  (void)state;
  static const char stream[] = D("{\"function_call\":{\"name\":\"f\",\"arguments\":\"{\"}}")
      D("{\"function_call\":{\"arguments\":\"}\"}}") FIN("function_call");
  struct run *r = run_new();
  yoi_sdk_sse_feed(&r->sse, (yoi_str){stream, sizeof stream - 1});
  finish(r);
  assert_non_null(strstr(r->text, "\"name\":\"f\",\"arguments\":\"{}\"} " F_("tool_calls")));
  run_free(r);
}

static void test_partial_arguments_never_become_a_call(void **state) {
  (void)state;
#define PART TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\"}}")
  CHECK(PART FIN("length"), F_("length"));
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}") FIN("length"),
        F_("length"));
  CHECK(PART FIN("tool_calls"), " !malformed");
  CHECK(PART DONE, " !malformed");
  CHECK(TC("{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"[1]\"}}") FIN("stop"),
        " !malformed");
  CHECK(TC("{\"id\":\"a\",\"function\":{\"arguments\":\"{}\"}}") FIN("stop"), " !malformed");
  CHECK(TC("{\"function\":{\"arguments\":\"{}\"}}") FIN("stop"), " !malformed");
}

static void test_call_limits(void **state) {
  (void)state;
  struct run *r = run_new();
  char json[256];
  for (int i = 0; i <= YOI_TOOL_CALLS_MAX && !r->f.kind[0]; i++) {
    int n = snprintf(json, sizeof json,
                     "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\","
                     "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}", i, i);
    oai_answer_event(&r->a, (yoi_str){0}, (yoi_str){json, (size_t)n}, &r->f);
    assert_int_equal(r->f.kind[0] != 0, i == YOI_TOOL_CALLS_MAX);
  }
  assert_string_equal(r->f.kind, "too_large");
  run_free(r);
}

/* ---- failures and odd forms ------------------------------------------------ */

static void test_errors_inside_the_stream(void **state) {
  (void)state;
  CHECK(D("{\"content\":\"a\"}") "event: error\ndata: {\"error\":{\"message\":\"m\","
                                 "\"type\":\"server_error\"}}\n\n" D("{\"content\":\"b\"}"),
        "T:a !server_error");
  CHECK(D("{\"content\":\"a\"}") "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
        "T:a !rate_limited");
  CHECK("data: {\"error\":{\"type\":\"overloaded_error\"}}\n\n", " !overloaded");
  CHECK("data: {\"error\":{\"code\":\"insufficient_quota\"}}\n\n", " !quota");
  CHECK("data: {\"error\":{\"code\":\"context_length_exceeded\"}}\n\n", " !invalid_request");
  CHECK("data: {\"error\":\"just words\"}\n\n", " !server_error");
  CHECK("event: error\ndata: just words\n\n", " !server_error");
  CHECK("data: {\"error\":null,\"choices\":[]}\n\n" FIN("stop"), F_("stop"));
}

static void test_garbage(void **state) {
  (void)state;
  CHECK("data: {\"choices\":[{\"delta\":\n\n", " !malformed");
  CHECK("data: hello\n\n", " !malformed");
  CHECK("data: {\"choices\":[],\"choices\":[]}\n\n", " !malformed");
}

static void test_whole_json_answer(void **state) {
  (void)state;
  static const char doc[] =
      " {\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{"
      "\"role\":\"assistant\","
      "\"content\":[{\"type\":\"text\",\"text\":\"he\"},{\"type\":\"text\",\"text\":\"llo\"}],"
      "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}],"
      "\"usage\":{\"prompt_tokens\":5}}";
  struct run *r = run_new();
  assert_null(oai_answer_event(&r->a, (yoi_str){0}, (yoi_str){doc, sizeof doc - 1}, &r->f));
  finish(r);
  assert_string_equal(r->text,
                      "T:hello " C_("a", "f", "{}") "U:{\"input_tokens\":5,"
                      "\"output_tokens\":null,\"cached_tokens\":null,"
                      "\"reasoning_tokens\":null} " F_("tool_calls"));
  run_free(r);
}

static void test_characters_cut_between_chunks(void **state) {
  (void)state;
  CHECK(D("{\"content\":\"a\xc3\"}") D("{\"content\":\"\xa9 \xf0\x9f\"}")
            D("{\"content\":\"\x98\"}") D("{\"content\":\"\x80.\"}") FIN("stop"),
        "T:a\xc3\xa9 \xf0\x9f\x98\x80. " F_("stop"));
  CHECK(D("{\"content\":\"a\\ud83d\"}") D("{\"content\":\"\\ude00b\"}") FIN("stop"),
        "T:a\xf0\x9f\x98\x80" "b " F_("stop"));
  /* What never becomes a character, and what the next kind or the end cuts. */
  CHECK(D("{\"content\":\"a\xc3\"}") D("{\"content\":\"b\"}") FIN("stop"),
        "T:a\xef\xbf\xbd" "b " F_("stop"));
  CHECK(D("{\"content\":\"a\\ude00b\"}") FIN("stop"), "T:a\xef\xbf\xbd" "b " F_("stop"));
  CHECK(D("{\"content\":\"a\\ud83d\"}") D("{\"reasoning\":\"r\"}") FIN("stop"),
        "T:a\xef\xbf\xbd R:r " F_("stop"));
  CHECK(D("{\"content\":\"a\\ud83d\\ud83d\"}") D("{\"content\":\"\\ude00\"}") FIN("stop"),
        "T:a\xef\xbf\xbd\xf0\x9f\x98\x80 " F_("stop"));
  CHECK(D("{\"content\":\"a\xf0\x9f\"}") FIN("stop"), "T:a\xef\xbf\xbd " F_("stop"));
}

static void test_rest_only_decides(void **state) {
  (void)state;
  static const struct {
    const char *rest;
    uint32_t finish;
    int done;
  } rows[] = {{"[DONE]", OAI_FINISH_NONE, 1},
              {"{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}",
               OAI_FINISH_STOP, 0},
              {"{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_rea", OAI_FINISH_NONE, 0},
              {"{\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}",
               OAI_FINISH_NONE, 0}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct run *r = run_new();
    oai_answer_rest(&r->a, yoi_sdk_str(rows[i].rest));
    assert_int_equal(r->a.finish, rows[i].finish);
    assert_int_equal(r->a.done, rows[i].done);
    assert_false(oai_out_any(&r->a.out));
    run_free(r);
  }
}

static void test_text_limit(void **state) {
  (void)state;
  struct run *r = run_new();
  static char chunk[65536 + 64];
  int head = snprintf(chunk, sizeof chunk, "{\"choices\":[{\"delta\":{\"content\":\"");
  memset(chunk + head, 'a', 65536);
  memcpy(chunk + head + 65536, "\"}}]}", 6);
  for (int i = 0; i < 17; i++) {
    oai_answer_event(&r->a, (yoi_str){0}, yoi_sdk_str(chunk), &r->f);
    assert_int_equal(r->f.kind[0] != 0, i == 16);
  }
  assert_string_equal(r->f.kind, "too_large");
  run_free(r);
}

static void test_batches_are_bounded_and_pinned(void **state) {
  (void)state;
  struct run *r = run_new();
  const yoi_event *const *evs, *const *more;
  size_t all = YOI_EVENT_BATCH_MAX * 3 / 2, rest = 8000, n, events = 0;
  for (size_t i = 0; i < all; i++) {
    const char *json = i % 2 ? "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}"
                             : "{\"choices\":[{\"delta\":{\"reasoning\":\"b\"}}]}";
    oai_answer_event(&r->a, (yoi_str){0}, yoi_sdk_str(json), &r->f);
  }
  assert_int_equal(oai_out_next(&r->a.out, &evs), YOI_EVENT_BATCH_MAX);
  yoi_str pinned = evs[0]->text;
  char before = pinned.ptr[0];
  for (int i = 0; i < 1000; i++)
    oai_answer_event(&r->a, (yoi_str){0},
                     YOI_LIT("{\"choices\":[{\"delta\":{\"content\":\"zzzzzzzz\"}}]}"), &r->f);
  assert_ptr_equal(evs[0]->text.ptr, pinned.ptr);
  assert_int_equal(pinned.ptr[0], before);
  assert_int_equal(oai_out_next(&r->a.out, &more), all - YOI_EVENT_BATCH_MAX);
  /* 8000 bytes of one kind: events of at most YOI_DELTA_BYTES_MAX. */
  while ((n = oai_out_next(&r->a.out, &more)) > 0) {
    assert_true(n <= YOI_EVENT_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
      assert_true(more[i]->text.len <= YOI_DELTA_BYTES_MAX);
      rest -= more[i]->text.len;
    }
    events += n;
  }
  assert_int_equal(rest, 0);
  assert_int_equal(events, (8000 + YOI_DELTA_BYTES_MAX - 1) / YOI_DELTA_BYTES_MAX);
  run_free(r);
}

static void test_failing_memory_is_a_failure(void **state) {
  (void)state;
  static const char stream[] =
      D("{\"reasoning\":\"r\"}") D("{\"content\":\"a\xc3\"}") D("{\"content\":\"\xa9\"}")
          TC("{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}")
              "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n" FIN("stop") DONE;
  struct run *whole = run_new();
  yoi_sdk_sse_feed(&whole->sse, (yoi_str){stream, sizeof stream - 1});
  finish(whole);
  uint64_t n = 1, made = 1;
  for (; made + 1 >= n; n++) {
    assert_true(n < 200);
    struct run *r = run_new();
    yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi_sdk_sse_feed(&r->sse, (yoi_str){stream, sizeof stream - 1});
    if (st == YOI_OK && !r->f.kind[0]) oai_answer_close(&r->a, 0, &r->f);
    made = yoi_sdk_mem_fail_at(0);
    drain(r);
    /* Whole, or a failure; never an answer that lacks something. */
    if (st == YOI_OK && !r->f.kind[0])
      assert_string_equal(r->text, whole->text);
    else
      assert_null(strstr(r->text, "F:"));
    run_free(r);
  }
  assert_true(n > 10);
  run_free(whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_same_shape_is_read_right),
      cmocka_unit_test(test_reasoning_fields),
      cmocka_unit_test(test_refusal_is_text),
      cmocka_unit_test(test_first_chunk_without_choices_is_skipped),
      cmocka_unit_test(test_only_choice_zero),
      cmocka_unit_test(test_usage),
      cmocka_unit_test(test_finish_reasons),
      cmocka_unit_test(test_fragments_by_index),
      cmocka_unit_test(test_id_on_every_fragment),
      cmocka_unit_test(test_new_id_on_used_index_is_a_new_call),
      cmocka_unit_test(test_no_index),
      cmocka_unit_test(test_arguments_as_object_or_nothing),
      cmocka_unit_test(test_missing_ids_are_made),
      cmocka_unit_test(test_legacy_function_call),
      cmocka_unit_test(test_partial_arguments_never_become_a_call),
      cmocka_unit_test(test_call_limits),
      cmocka_unit_test(test_errors_inside_the_stream),
      cmocka_unit_test(test_garbage),
      cmocka_unit_test(test_whole_json_answer),
      cmocka_unit_test(test_characters_cut_between_chunks),
      cmocka_unit_test(test_rest_only_decides),
      cmocka_unit_test(test_text_limit),
      cmocka_unit_test(test_failing_memory_is_a_failure),
      cmocka_unit_test(test_batches_are_bounded_and_pinned),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
