/* test_provider.c - the plugin against a provider that misbehaves: how each
 * generation ends, how often was asked, which connections were used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#define WORDS "w0 w1 w2 w3 w4 w5 w6 w7 "
#define USED \
  "U:{\"input_tokens\":11,\"output_tokens\":7,\"cached_tokens\":3,\"reasoning_tokens\":2}"
#define F_(word) "F:{\"finish_reason\":\"" word "\"}"
#define FAST "\"model\":\"mock\",\"connect_ms\":2000,\"first_byte_ms\":300,\"gap_ms\":300"

static void ends(struct rig *r, const char *message, const char *want) {
  struct say *s = rig_say(r, message);
  rig_wait(r, s);
  if (s->st != YOI_END || strcmp(s->text, want) != 0)
    print_message("%s: %d %s (%s)\n%s\n", message, s->st, s->e.message, s->e.private_detail,
                  s->text);
  assert_int_equal(s->st, YOI_END);
  assert_string_equal(s->text, want);
}

static void fails(struct rig *r, const char *message, const char *kind) {
  struct say *s = rig_say(r, message);
  rig_wait(r, s);
  if (strcmp(s->kind, kind) != 0)
    print_message("%s: %d %s %s (%s)\n", message, s->st, s->e.message, s->e.details,
                  s->e.private_detail);
  assert_string_equal(s->kind, kind);
  assert_int_equal(s->e.e.code, YOI_CODE_MODEL_ERROR);
  /* The provider's words and address are private. */
  assert_null(strstr(s->e.message, "own words"));
  assert_null(strstr(s->e.message, "127.0.0.1"));
  assert_null(strstr(s->e.details, "own words"));
  int retryable = strstr(s->e.details, "\"retryable\":true") != NULL;
  assert_int_equal(retryable, oai_kind_retryable(kind));
  assert_int_equal(s->e.e.flags & YOI_ERROR_RETRYABLE, (uint32_t)retryable);
}

static void test_odd_but_right_streams(void **state) {
  (void)state;
  static const char *const same[] = {
      "hello", "mode=text", "mode=text split=1", "mode=text eol=crlf", "mode=text eol=cr split=1",
      "mode=text bom=1 split=1", "mode=text done=0", "mode=text blank=0",
      "mode=text comments=1", "mode=text empty=1", "mode=text delay=5", "mode=text keep=0",
      "mode=text usage=each", "mode=json", "mode=text first=50",
      "mode=text head=50"};
  struct rig r;
  rig_open(&r, 0, FAST);
  for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
    ends(&r, same[i], "T:" WORDS " " USED " " F_("stop"));
  /* The usage is what the missing blank line cuts off. */
  ends(&r, "mode=text done=0 blank=0", "T:" WORDS " " F_("stop"));
  ends(&r, "mode=text usage=none", "T:" WORDS " " F_("stop"));
  ends(&r, "mode=text usage=part",
       "T:" WORDS " U:{\"input_tokens\":11,\"output_tokens\":null,\"cached_tokens\":null,"
       "\"reasoning_tokens\":null} " F_("stop"));
  ends(&r, "mode=text finish=length chunks=1", "T:w0  " USED " " F_("length"));
  ends(&r, "mode=text finish=odd chunks=1", "T:w0  " USED " " F_("stop"));
  assert_non_null(strstr(r.log, "unknown finish reason taken as stop kind=odd"));
  ends(&r, "mode=unicode", "T:a\xc3\xa9 \xf0\x9f\x98\x80 \xe6\xbc\xa2 " USED " " F_("stop"));
  ends(&r, "mode=unicode raw=1 split=1",
       "T:a\xc3\xa9 \xf0\x9f\x98\x80 \xe6\xbc\xa2 " USED " " F_("stop"));
  ends(&r, "mode=reasoning chunks=2", "R:r0 r1  T:w0 w1  " USED " " F_("stop"));
  ends(&r, "mode=reasoning chunks=2 field=reasoning", "R:r0 r1  T:w0 w1  " USED " " F_("stop"));
  ends(&r, "mode=echo -- \xc3\xa4\xc3\xb6\xc3\xbc and more",
       "T:\xc3\xa4\xc3\xb6\xc3\xbc and more " USED " " F_("stop"));
  rig_close(&r);
}

static void test_tool_calls(void **state) {
  (void)state;
#define A_ "C:{\"id\":\"call_a\",\"name\":\"lookup\",\"arguments\":\"{\\\"q\\\":\\\"x\\\"}\"} "
#define B_ "C:{\"id\":\"call_b\",\"name\":\"other\",\"arguments\":\"{}\"} "
  struct rig r;
  rig_open(&r, 0, FAST);
  static const char *const one[] = {"fragments", "whole"};
  for (size_t i = 0; i < 2; i++) {
    char message[64];
    snprintf(message, sizeof message, "mode=tool split=1 shape=%s", one[i]);
    ends(&r, message, A_ USED " " F_("tool_calls"));
  }
  ends(&r, "mode=tool shape=zero", A_ B_ USED " " F_("tool_calls"));
  ends(&r, "mode=tool shape=noindex", A_ B_ USED " " F_("tool_calls"));
  ends(&r, "mode=tool shape=newid", A_ B_ USED " " F_("tool_calls"));
  ends(&r, "mode=tool shape=object",
       "C:{\"id\":\"call_a\",\"name\":\"lookup\","
       "\"arguments\":\"{\\\"q\\\":\\\"x\\\",\\\"n\\\":1}\"} " USED " " F_("tool_calls"));
  ends(&r, "mode=tool shape=cut", USED " " F_("length"));
  fails(&r, "mode=tool shape=bad", "malformed");
  fails(&r, "mode=tool shape=long", "too_large");
  rig_close(&r);
}

typedef const char *const failure_row[2];

/* Each fails as its row says, none is asked twice, the instance goes on. */
static void fail_each(const char *config, failure_row *rows, size_t n) {
  struct rig r;
  rig_open(&r, 0, config);
  for (size_t i = 0; i < n; i++) fails(&r, rows[i][0], rows[i][1]);
  assert_int_equal(rig_stat(&r, "chat"), n);
  ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  rig_close(&r);
}

static void test_each_silence_has_its_kind(void **state) {
  (void)state;
  static failure_row rows[] = {
      {"mode=text stall=3", "stalled"},
      {"mode=text stall=0", "first_byte_timeout"},
      {"mode=text first=20000", "first_byte_timeout"},
      {"mode=text head=20000", "first_byte_timeout"},
  };
  fail_each(FAST ",\"retries\":0", rows, sizeof rows / sizeof rows[0]);
}

static void test_each_failure_has_its_kind(void **state) {
  (void)state;
  static failure_row rows[] = {
      {"mode=text reset=3", "closed"},
      {"mode=text close=3", "closed"},
      {"mode=text reset=0", "closed"},
      {"mode=text finish=none done=0", "closed"},
      {"mode=garbage", "malformed"},
      {"mode=html", "malformed"},
      {"mode=plain", "malformed"},
      {"mode=empty", "closed"},
      {"mode=coded", "malformed"},
      {"mode=huge size=3000000", "too_large"},
      {"mode=error", "server_error"},
      {"mode=error form=data type=overloaded_error", "overloaded"},
      {"mode=error form=text", "server_error"},
      {"mode=status code=302", "malformed"},
      {"mode=status code=400", "invalid_request"},
      {"mode=status code=401", "unauthorized"},
      {"mode=status code=403", "unauthorized"},
      {"mode=status code=404", "not_found"},
      {"mode=status code=413", "too_large"},
      {"mode=status code=422", "invalid_request"},
      {"mode=status code=429 after=0", "rate_limited"},
      {"mode=status code=429 type=insufficient_quota", "quota"},
      {"mode=status code=500", "server_error"},
      {"mode=status code=503", "overloaded"},
      {"mode=status code=529", "overloaded"},
  };
  fail_each("\"model\":\"mock\",\"retries\":0", rows, sizeof rows / sizeof rows[0]);
}

static void test_nothing_listens(void **state) {
  (void)state;
  struct rig r;
  rig_loops(&r, 0);
  char config[256];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  /* Bound and not listening: nobody else gets the port meanwhile. */
  assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  for (int tls = 0; tls < 2; tls++) {
    snprintf(config, sizeof config,
             "{\"base_url\":\"http%s://127.0.0.1:%d/v1/\",\"model\":\"m\",\"retries\":0}",
             tls ? "s" : "", ntohs(at.sin_port));
    assert_int_equal(rig_try_open(&r, config, NULL), YOI_OK);
    fails(&r, "hello", "connect");
    r.model->close(r.self);
  }
  r.self = NULL;
  close(fd);
  rig_close(&r);
}

static void test_tls_to_a_server_without(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST);
  r.model->close(r.self);
  char config[256];
  snprintf(config, sizeof config,
           "{\"base_url\":\"https://127.0.0.1:%d\",\"model\":\"m\"}", r.port);
  assert_int_equal(rig_try_open(&r, config, NULL), YOI_OK);
  fails(&r, "hello", "tls");
  rig_close(&r);
}

static void test_retries_until_it_works(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST ",\"retries\":2");
  ends(&r, "mode=status code=503 after=0 times=2 key=a", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "chat"), 3);
  fails(&r, "mode=status code=503 after=0 times=3 key=b", "overloaded");
  assert_int_equal(rig_stat(&r, "chat"), 6);
  assert_non_null(
      strstr(r.log, "model request failed and is sent again kind=overloaded status=503"));
  ends(&r, "mode=status code=429 after_ms=20 times=1 key=c", "T:" WORDS " " USED " " F_("stop"));
  ends(&r, "mode=status code=408 after=0 times=1 key=d", "T:" WORDS " " USED " " F_("stop"));
  ends(&r, "mode=status code=500 times=1 key=e", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "chat"), 12);
  rig_close(&r);
}

static void test_what_is_not_retried(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"mode=status code=400 should=true", "invalid_request"},
      {"mode=status code=401", "unauthorized"},
      {"mode=status code=404", "not_found"},
      {"mode=status code=429 type=insufficient_quota after=0", "quota"},
      {"mode=status code=503 should=false after=0", "overloaded"},
      {"mode=status code=503 after=61", "overloaded"},
      {"mode=text reset=3", "closed"},  /* text was handed out */
      {"mode=text stall=4", "stalled"}, /* the same */
      {"mode=error", "server_error"},
      {"mode=garbage", "malformed"},
  };
  struct rig r;
  rig_open(&r, 0, FAST ",\"retries\":2");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) fails(&r, rows[i][0], rows[i][1]);
  assert_int_equal(rig_stat(&r, "chat"), sizeof rows / sizeof rows[0]);
  rig_close(&r);
}

static void test_retry_after_that_is_too_long_is_reported(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST ",\"retries\":2");
  struct say *s = rig_say(&r, "mode=status code=429 after=3600");
  rig_wait(&r, s);
  assert_string_equal(s->kind, "rate_limited");
  assert_int_equal(s->e.e.retry_after_ms, 3600000);
  /* The gate is closed: with a deadline before it opens nothing is sent. */
  struct say *t = rig_say_on(&r, 0, "hello");
  t->deadline_ns = rig_ns(CLOCK_MONOTONIC) + 1000000000u;
  rig_go(t);
  rig_wait(&r, t);
  assert_string_equal(t->kind, "rate_limited");
  assert_true(t->e.e.retry_after_ms > 50000 && t->e.e.retry_after_ms <= 60000);
  assert_int_equal(rig_stat(&r, "chat"), 1);
  rig_close(&r);
}

static void test_rule_76_one_gate_for_all(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST ",\"retries\":1");
  struct say *s = rig_say(&r, "mode=status code=429 after_ms=400 times=1 key=g");
  rig_until_stat(&r, "chat", 1);
  uint64_t begin = rig_ns(CLOCK_MONOTONIC);
  struct say *t = rig_say(&r, "hello");
  rig_wait(&r, t);
  assert_int_equal(t->st, YOI_END);
  assert_true(rig_ns(CLOCK_MONOTONIC) - begin > 200000000u);
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_END);
  assert_int_equal(rig_stat(&r, "chat"), 3);
  rig_close(&r);
}

static void test_deadline_is_total_timeout(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, "\"model\":\"m\"");
  struct say *s = rig_say_on(&r, 0, "mode=text chunks=1000 delay=10");
  s->deadline_ns = rig_ns(CLOCK_MONOTONIC) + 200000000u;
  rig_go(s);
  rig_wait(&r, s);
  assert_string_equal(s->kind, "total_timeout");
  assert_int_equal(strncmp(s->text, "T:w0 w1 ", 8), 0);
  rig_until_stat(&r, "closed_early", 1);
  rig_close(&r);
}

static void test_cancel_closes_the_connection(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, "\"model\":\"m\"");
  struct say *s = rig_say_on(&r, 0, "mode=text stall=3");
  s->cancel_at = 1;
  rig_go(s);
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_CANCELLED);
  rig_until_stat(&r, "closed_early", 1);
  rig_until_stat(&r, "open", 0);
  /* While it waits for a retry, and for the first byte. */
  static const char *const waiting[] = {"mode=status code=503 after=30", "mode=text first=20000"};
  for (size_t i = 0; i < 2; i++) {
    struct say *t = rig_say(&r, waiting[i]);
    rig_until_stat(&r, "chat", 2 + i);
    for (int k = 0; k < 20; k++) yoi__loops_step(r.ls, 5);
    t->stream->ops->cancel(t->stream); /* from off the loop: a task */
    t->stream->ops->cancel(t->stream);
    rig_wait(&r, t);
    assert_int_equal(t->st, YOI_CANCELLED);
  }
  rig_until_stat(&r, "closed_early", 2);
  rig_close(&r);
}

static void release_now(void *ctx) {
  struct say *s = ctx;
  s->stream->ops->release(s->stream);
  s->stream = NULL;
  s->done = 1;
}

static void test_release_in_every_state(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, "\"model\":\"m\"");
  static const char *const rows[] = {"mode=text", "mode=text stall=3", "mode=text first=20000",
                                     "mode=status code=503 after=30", "mode=text stall=0"};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct say *s = rig_say_on(&r, 0, rows[i]);
    s->lazy = 1;
    rig_go(s);
    rig_until_stat(&r, "chat", i + 1);
    for (int k = 0; k < 10; k++) yoi__loops_step(r.ls, 5);
    if (i % 2) s->stream->ops->cancel(s->stream); /* and the task still comes */
    assert_int_equal(yoi__loop_post(r.ls, &r.holder, 0, release_now, s), YOI_OK);
    rig_wait(&r, s);
  }
  rig_until_stat(&r, "closed_early", 3);
  rig_close(&r);
}

static void test_close_with_streams_alive(void **state) {
  (void)state;
  static const char *const rows[] = {"mode=text stall=3", "mode=text first=20000",
                                     "mode=status code=503 after=30", "hello"};
  for (int lazy = 0; lazy < 2; lazy++) {
    struct rig r;
    rig_open(&r, 0, "");
    for (size_t i = 0; i < 4; i++) {
      struct say *s = rig_say_on(&r, 0, rows[i]);
      s->lazy = lazy;
      rig_go(s);
    }
    if (!lazy) rig_until_stat(&r, "chat", 4);
    for (int k = 0; k < 5; k++) yoi__loops_step(r.ls, 5);
    rig_close(&r);
  }
}

static void test_connections_are_used_again(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST);
  for (int i = 0; i < 20; i++) ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "connections"), 1);
  /* After [DONE] the rest is read, however late it comes. */
  for (int i = 0; i < 5; i++) ends(&r, "mode=text delay=3", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "connections"), 1);
  /* A connection that the server closed while it was idle is no failure. */
  for (int i = 0; i < 5; i++)
    ends(&r, "mode=text keep=silent", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "closed_early"), 0);
  rig_close(&r);
}

static void test_a_slow_holder_stops_the_reading(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, "\"model\":\"m\",\"gap_ms\":300");
  /* 4 MB in chunks, while nobody polls for longer than the gap. */
  struct say *s = rig_say_on(&r, 0, "mode=text chunks=900 size=1000");
  s->lazy = 1;
  rig_go(s);
  uint64_t until = rig_ns(CLOCK_MONOTONIC) + 600000000u;
  while (rig_ns(CLOCK_MONOTONIC) < until) yoi__loops_step(r.ls, 10);
  assert_non_null(s->stream);
  const struct oai_stream *o = (const struct oai_stream *)(const void *)s->stream;
  assert_true(o->paused);
  /* One read of libcurl may come on top. */
  assert_true(o->answer.out.fill.text.len < YOI_MODEL_BUFFER_BYTES + 65536);
  s->lazy = 0;
  assert_int_equal(yoi__loop_post(r.ls, &r.holder, 0, say_poll, s), YOI_OK);
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_END);
  assert_true(s->n_events > 200);
  rig_close(&r);
}

static void test_one_wake_per_again(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST);
  struct say *s = rig_say(&r, "mode=text chunks=20 delay=5");
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_END);
  assert_int_equal(s->wakes, s->n_again);
  assert_true(s->wakes > 5);
  rig_close(&r);
}

static void test_key_headers_and_body(void **state) {
  (void)state;
  static const char *const args[] = {"--key", "sk-canary-1234", NULL};
  static char last[65536];
  struct rig r;
  rig_open_with(&r, 0,
                FAST ",\"api_key\":\"secret:llm\",\"headers\":{\"X-Team\":\"a b\","
                     "\"X-Key\":\"secret:llm\"},\"parameters\":{\"temperature\":0.5,\"seed\":7},"
                     "\"max_output_tokens\":100",
                args);
  struct say *s = rig_say_on(&r, 0, "hello \"you\"");
  s->tools = "[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}]";
  s->parameters = "{\"temperature\":1}";
  rig_go(s);
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_END);
  rig_get_text(&r, "/last", last, sizeof last);
  static const char *const wanted[] = {
      "POST /v1/chat/completions HTTP/1.1\r\n",
      "\r\nAuthorization: Bearer sk-canary-1234\r\n",
      "\r\nX-Team: a b\r\n",
      "\r\nX-Key: sk-canary-1234\r\n",
      "\r\nX-Request-Id: req-7\r\n",
      "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
      "\r\nContent-Type: application/json\r\n",
      "{\"stream\":true,\"stream_options\":{\"include_usage\":true},\"temperature\":1,\"seed\":7,"
      "\"max_tokens\":100,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"description\":\"d\",\"parameters\":{\"type\":\"object\"}}}],\"messages\":[{\"role\":"
      "\"user\",\"content\":\"hello \\\"you\\\"\"}],\"model\":\"mock\"}",
  };
  for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
    if (!strstr(last, wanted[i])) print_message("%s\nlacks\n%s\n", last, wanted[i]);
    assert_non_null(strstr(last, wanted[i]));
  }
  assert_null(strstr(last, "Expect:"));
  assert_null(strstr(r.log, "canary"));
  rig_close(&r);
}

static void test_a_large_request_is_not_held_back(void **state) {
  (void)state;
  static char tools[3000000];
  static char last[3100000];
  struct rig r;
  rig_open(&r, 0, "\"model\":\"m\",\"retries\":0");
  int n = snprintf(tools, sizeof tools, "[{\"name\":\"f\",\"description\":\"");
  memset(tools + n, 'd', sizeof tools - (size_t)n);
  memcpy(tools + sizeof tools - 4, "\"}]", 4);
  struct say *s = rig_say_on(&r, 0, "hello");
  s->tools = tools;
  rig_go(s);
  rig_wait(&r, s);
  assert_int_equal(s->st, YOI_END);
  rig_get_text(&r, "/last", last, sizeof last);
  assert_true(strlen(last) > sizeof tools);
  assert_null(strstr(last, "Expect"));
  rig_close(&r);
}

/* There the host takes out what is secret (tests/e2e/test_scrub.py). */
static void test_what_the_provider_says_is_private_detail_only(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST ",\"retries\":0,\"api_key\":\"secret:llm\"");
  struct say *s = rig_say(&r, "mode=status code=401 code_text=sk-canary-1234 type=x");
  rig_wait(&r, s);
  assert_string_equal(s->kind, "unauthorized");
  assert_null(strstr(s->e.message, "canary"));
  assert_null(strstr(s->e.details, "canary"));
  assert_null(strstr(r.log, "canary"));
  assert_non_null(strstr(s->e.private_detail, "own words"));
  rig_close(&r);
}

/* ---- the first model of the list ------------------------------------------------ */

static void test_model_is_asked_for_once(void **state) {
  (void)state;
  static char last[65536];
  static const char *const args[] = {"--models-slow", "100", NULL};
  struct rig r;
  rig_open_with(&r, 0, "", args);
  struct say *s[8];
  for (int i = 0; i < 8; i++) s[i] = rig_say(&r, "hello");
  for (int i = 0; i < 8; i++) {
    rig_wait(&r, s[i]);
    assert_int_equal(s[i]->st, YOI_END);
  }
  ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "models"), 1);
  assert_int_equal(rig_stat(&r, "chat"), 9);
  rig_get_text(&r, "/last", last, sizeof last);
  assert_non_null(strstr(last, "\"model\":\"mock-1\"}"));
  rig_close(&r);
}

static void test_failed_list_is_typed_and_not_kept(void **state) {
  (void)state;
  static const char *const args[] = {"--models-fail", "1", NULL};
  struct rig r;
  rig_open_with(&r, 0, "\"retries\":0", args);
  fails(&r, "hello", "overloaded");
  ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "models"), 2);
  rig_close(&r);
  static const char *const empty[] = {"--models-empty", NULL};
  rig_open_with(&r, 0, "", empty);
  fails(&r, "hello", "not_found");
  fails(&r, "hello", "not_found");
  assert_int_equal(rig_stat(&r, "models"), 2);
  rig_close(&r);
}

static void test_list_is_retried(void **state) {
  (void)state;
  static const char *const args[] = {"--models-fail", "2", NULL};
  struct rig r;
  rig_open_with(&r, 0, "\"retries\":2", args);
  ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  assert_int_equal(rig_stat(&r, "models"), 3);
  rig_close(&r);
}

/* ---- config --------------------------------------------------------------------- */

static void test_configs_that_are_refused(void **state) {
  (void)state;
  static const char *const rows[][2] = {
      {"{\"base_url\":\"ftp://h/v1\"}", "'base_url' must be"},
      {"{\"base_url\":\"file:///etc/passwd\"}", "'base_url' must be"},
      {"{\"base_url\":\"http://user:pw@h/v1\"}", "'base_url' must be"},
      {"{\"base_url\":\"http://h/v1?key=1\"}", "'base_url' must be"},
      {"{\"base_url\":\"nonsense\"}", "'base_url' must be"},
      {"{}", "'base_url' is missing"},
      {"{\"base_url\":\"http://h\",\"api_key\":\"sk-1234567\"}", "'api_key' must be 'secret:NAME'"},
      {"{\"base_url\":\"http://h\",\"api_key\":\"secret:none\"}", "secret 'none' has no value"},
      {"{\"base_url\":\"http://h\",\"api_key\":\"secret:empty\"}", "secret 'empty' is empty"},
      {"{\"base_url\":\"http://h\",\"api_key\":\"secret:bad\"}", "has a control character"},
      {"{\"base_url\":\"http://h\",\"headers\":{\"Host\":\"x\"}}", "may not have 'Host'"},
      {"{\"base_url\":\"http://h\",\"headers\":{\"a b\":\"x\"}}", "may not have 'a b'"},
      {"{\"base_url\":\"http://h\",\"headers\":{\"X\":\"a\\nb\"}}", "'X' has a control"},
      {"{\"base_url\":\"http://h\",\"parameters\":{\"stream\":false}}", "may not set 'stream'"},
  };
  struct rig r;
  struct yoi_sdk_error e;
  rig_loops(&r, 0);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    assert_int_equal(rig_try_open(&r, rows[i][0], yoi_sdk_error_init(&e)) > 0, 1);
    if (!strstr(e.message, rows[i][1])) print_message("%s: %s\n", rows[i][0], e.message);
    assert_non_null(strstr(e.message, rows[i][1]));
    assert_null(strstr(e.message, "sk-"));
    assert_null(strstr(e.message, "pw"));
  }
  rig_close(&r);
}

static void test_requests_that_are_refused(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 0, FAST);
  static const char *const rows[][2] = {
      {"{\"stream\":false}", ""}, {"[1]", ""}, {"{", ""}, {"", "[{\"name\":"}};
  for (size_t i = 0; i < 4; i++) {
    struct say *s = rig_say_on(&r, 0, "hello");
    s->parameters = rows[i][0];
    s->tools = rows[i][1];
    rig_go(s);
    rig_wait(&r, s);
    assert_string_equal(s->kind, "invalid_request");
  }
  rig_close(&r);
}

struct short_memory {
  struct say *s;
  uint64_t n;
};

static void begin_short(void *ctx) {
  struct short_memory *m = ctx;
  yoi_sdk_mem_fail_at(m->n);
  m->s->lazy = 1; /* what it says then needs no memory of the rig */
  say_begin(m->s);
  yoi_sdk_mem_fail_at(0);
  m->s->lazy = 0;
  if (m->s->stream) say_poll(m->s);
}

static void test_failing_memory_ends_in_an_error(void **state) {
  (void)state;
  struct rig r;
  int failed = 0;
  rig_open(&r, 0, "\"retries\":0");
  for (uint64_t n = 1; n < 60; n++) {
    struct say *s = rig_say_on(&r, 0, "hello");
    struct short_memory m = {s, n};
    assert_int_equal(yoi__loop_post(r.ls, &r.holder, 0, begin_short, &m), YOI_OK);
    rig_wait(&r, s);
    assert_true(s->st == YOI_END || s->st > 0);
    failed += s->st > 0;
  }
  assert_true(failed > 3 && failed < 50);
  ends(&r, "hello", "T:" WORDS " " USED " " F_("stop"));
  rig_close(&r);
  /* And open itself. */
  rig_loops(&r, 0);
  for (uint64_t n = 1;; n++) {
    yoi_sdk_mem_fail_at(n);
    yoi_status st = rig_try_open(&r,
                                 "{\"base_url\":\"http://127.0.0.1:1\",\"api_key\":\"secret:llm\","
                                 "\"model\":\"m\",\"parameters\":{\"a\":1}}",
                                 NULL);
    yoi_sdk_mem_fail_at(0);
    assert_true(n < 200);
    if (st == YOI_OK) break;
  }
  rig_close(&r);
}

/* ---- threads ----------------------------------------------------------------------- */

static void test_loops_side_by_side(void **state) {
  (void)state;
  static const char *const rows[] = {"hello", "mode=text delay=1", "mode=text split=1",
                                     "mode=tool", "mode=text reset=3"};
  struct rig r;
  rig_open(&r, 2, "\"retries\":0");
  struct say *s[100];
  for (uint32_t i = 0; i < 100; i++) {
    s[i] = rig_say_on(&r, i % 2, rows[i % 5]);
    rig_go(s[i]);
  }
  for (uint32_t i = 0; i < 100; i++) {
    rig_wait(&r, s[i]);
    if (i % 5 == 4)
      assert_string_equal(s[i]->kind, "closed");
    else
      assert_int_equal(s[i]->st, YOI_END);
  }
  assert_int_equal(rig_stat(&r, "models"), 1);
  rig_close(&r);
}

static void test_cancel_from_another_thread(void **state) {
  (void)state;
  struct rig r;
  rig_open(&r, 2, "\"model\":\"m\"");
  struct say *s[40];
  for (uint32_t i = 0; i < 40; i++) {
    s[i] = rig_say_on(&r, i % 2, "mode=text stall=3");
    rig_go(s[i]);
  }
  for (uint32_t i = 0; i < 40; i++) {
    uint64_t until = rig_ns(CLOCK_MONOTONIC) + 10000000000u;
    while (!s[i]->wakes && rig_ns(CLOCK_MONOTONIC) < until) poll(NULL, 0, 1);
    /* It stalls, so that only this thread can end it: the stream is there. */
    s[i]->stream->ops->cancel(s[i]->stream);
  }
  for (uint32_t i = 0; i < 40; i++) {
    rig_wait(&r, s[i]);
    assert_int_equal(s[i]->st, YOI_CANCELLED);
  }
  rig_until_stat(&r, "closed_early", 40);
  rig_close(&r);
}

static void test_close_under_load(void **state) {
  (void)state;
  static const char *const rows[] = {"mode=text delay=1 chunks=500", "mode=text stall=2",
                                     "mode=status code=503 after=1", "mode=text split=1"};
  struct rig r;
  rig_open(&r, 2, "");
  for (uint32_t i = 0; i < 40; i++) rig_go(rig_say_on(&r, i % 2, rows[i % 4]));
  rig_until_stat(&r, "models", 1);
  uint64_t until = rig_ns(CLOCK_MONOTONIC) + 50000000u;
  while (rig_ns(CLOCK_MONOTONIC) < until) poll(NULL, 0, 1);
  /* Holders first, as runtimes are closed before models; what they still hold
   * is then the plugin's to free. */
  yoi__loops_purge(r.ls, &r.holder);
  rig_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_odd_but_right_streams),
      cmocka_unit_test(test_tool_calls),
      cmocka_unit_test(test_each_silence_has_its_kind),
      cmocka_unit_test(test_each_failure_has_its_kind),
      cmocka_unit_test(test_nothing_listens),
      cmocka_unit_test(test_tls_to_a_server_without),
      cmocka_unit_test(test_retries_until_it_works),
      cmocka_unit_test(test_what_is_not_retried),
      cmocka_unit_test(test_retry_after_that_is_too_long_is_reported),
      cmocka_unit_test(test_rule_76_one_gate_for_all),
      cmocka_unit_test(test_deadline_is_total_timeout),
      cmocka_unit_test(test_cancel_closes_the_connection),
      cmocka_unit_test(test_release_in_every_state),
      cmocka_unit_test(test_close_with_streams_alive),
      cmocka_unit_test(test_connections_are_used_again),
      cmocka_unit_test(test_a_slow_holder_stops_the_reading),
      cmocka_unit_test(test_one_wake_per_again),
      cmocka_unit_test(test_key_headers_and_body),
      cmocka_unit_test(test_a_large_request_is_not_held_back),
      cmocka_unit_test(test_what_the_provider_says_is_private_detail_only),
      cmocka_unit_test(test_model_is_asked_for_once),
      cmocka_unit_test(test_failed_list_is_typed_and_not_kept),
      cmocka_unit_test(test_list_is_retried),
      cmocka_unit_test(test_configs_that_are_refused),
      cmocka_unit_test(test_requests_that_are_refused),
      cmocka_unit_test(test_failing_memory_ends_in_an_error),
      cmocka_unit_test(test_loops_side_by_side),
      cmocka_unit_test(test_cancel_from_another_thread),
      cmocka_unit_test(test_close_under_load),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
