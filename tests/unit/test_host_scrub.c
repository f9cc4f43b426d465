/* test_host_scrub.c - one generation's texts, errors, and what is known changing
 * under them.
 */
#include "host/scrub.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

#define KEY "sesame-opens"
#define EVENTS 32 /* of one batch, in the hard mode too */

struct bench {
  struct yoi__scrub *scrub;
  struct yoi__scrub_run *run;
  char said[1024];
  size_t n; /* events of the last batch */
  int through; /* the last batch is the one that went in */
};

static void know(struct bench *b, const char *value) {
  struct yoi_sdk_scrub_value v[] = {{YOI_LIT("key"), yoi_sdk_str(value)},
                                    {YOI_LIT("other"), YOI_LIT("another-value")}};
  assert_int_equal(yoi__scrub_know(b->scrub, v, value[0] != '\0' ? 2 : 0, NULL), YOI_OK);
}

static void set_up(struct bench *b) {
  memset(b, 0, sizeof *b);
  b->scrub = yoi__scrub_new();
  assert_non_null(b->scrub);
  know(b, KEY);
  b->run = yoi__scrub_run_new(b->scrub);
  assert_non_null(b->run);
}

static void tear_down(struct bench *b) {
  yoi__scrub_run_free(b->run);
  yoi__scrub_free(b->scrub);
}

static void note(struct bench *b, const yoi_event *const *events, size_t n) {
  size_t at = strlen(b->said);
  b->n = n;
  for (size_t i = 0; i < n; i++)
    at += (size_t)snprintf(b->said + at, sizeof b->said - at, "%c%.*s|",
                           *(yoi_sdk_event_name(events[i]->kind) + sizeof "model." - 1),
                           YOI_ARG(events[i]->text));
}

/* A batch: pairs of a kind and a text, until NULL. */
static void say(struct bench *b, ...) {
  yoi_event events[EVENTS];
  const yoi_event *at[EVENTS], *const *batch = at;
  size_t n = 0;
  va_list ap;
  va_start(ap, b);
  for (const char *text; (text = va_arg(ap, const char *)) != NULL; n++) {
    uint32_t kind = text[0] == 't'   ? YOI_EVENT_MODEL_TEXT
                    : text[0] == 'r' ? YOI_EVENT_MODEL_REASONING
                    : text[0] == 'c' ? YOI_EVENT_MODEL_TOOL_CALL
                    : text[0] == 'u' ? YOI_EVENT_MODEL_USAGE
                                     : YOI_EVENT_MODEL_FINISH;
    assert_true(n < EVENTS);
    events[n] = (yoi_event){.size = sizeof events[n],
                            .kind = kind,
                            .flags = YOI_EV_DURABLE,
                            .text = yoi_sdk_str(text + 1)};
    at[n] = &events[n];
  }
  va_end(ap);
  assert_int_equal(yoi__scrub_events(b->run, &batch, &n, NULL), YOI_OK);
  b->through = batch == at;
  note(b, batch, n);
  for (size_t i = 0; i < n; i++)
    if (batch[i]->flags != 0) assert_int_equal(batch[i]->flags, YOI_EV_DURABLE);
}

static void end(struct bench *b) {
  const yoi_event *const *batch = NULL;
  size_t n = 99;
  assert_int_equal(yoi__scrub_rest(b->run, &batch, &n, NULL), YOI_OK);
  note(b, batch, n);
}

static void said(struct bench *b, const char *expected) {
  assert_string_equal(b->said, expected);
  b->said[0] = '\0';
}

/* ---- a generation ------------------------------------------------------ */

static void test_a_batch_without_secrets_goes_through(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "thello ", "rthere", "t!", NULL);
  assert_true(b.through);
  said(&b, "thello |rthere|t!|");
  say(&b, "tone", "cnot a secret", "f{}", NULL);
  said(&b, "tone|tnot a secret|f{}|");
  end(&b);
  assert_int_equal(b.n, 0);
  tear_down(&b);
}

static void test_a_secret_in_pieces(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  for (const char *c = KEY KEY "."; *c != '\0'; c++) say(&b, (char[]){'t', *c, '\0'}, NULL);
  said(&b, "t[secret key]|t[secret key]|t.|");
  say(&b, "tse", "tsame", "t-ope", "tns and sesame-", "tx", NULL);
  said(&b, "t[secret key] and |tsesame-x|");
  tear_down(&b);
}

static void test_text_and_reasoning_are_two_texts(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "tsesame-", "rsesame", "topens", "r-opens", NULL);
  said(&b, "t[secret key]|r[secret key]|");
  say(&b, "tsesame-", "ropens!", NULL);
  said(&b, "ropens!|"); /* neither of the two is one */
  end(&b);
  said(&b, "tsesame-|");
  tear_down(&b);
}

static void test_all_else_keeps_its_place(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "tx sesame", NULL);
  say(&b, "c{\"id\":\"1\"}", NULL);
  said(&b, "tx |tsesame|t{\"id\":\"1\"}|");
  say(&b, "t-op", NULL);
  assert_int_equal(b.n, 0);
  say(&b, "u{}", "f{}", NULL);
  said(&b, "t-op|u{}|f{}|");
  say(&b, "tens.", NULL); /* the engine would join all three */
  said(&b, "t[secret key].|");
  tear_down(&b);
}

static void test_tool_calls_stay_json(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "c{\"id\":\"" KEY "\",\"arguments\":"
          "\"{\\\"a\\\":\\\"x " KEY "\\\",\\\"n\\\":1.50}\"}", NULL);
  said(&b, "t{\"id\":\"[secret key]\",\"arguments\":"
           "\"{\\\"a\\\":\\\"x [secret key]\\\",\\\"n\\\":1.50}\"}|");
  tear_down(&b);
}

static void test_a_batch_of_many_holds(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "ts", "rs", "u{}", "ts", "rs", "u{}", "ts", "rs", "u{}", "ts", "rs", "f{}", NULL);
  said(&b, "ts|rs|u{}|ts|rs|u{}|ts|rs|u{}|ts|rs|f{}|");
  say(&b, "txs", "rxs", "u{}", "txs", "rxs", "u{}", "txs", "rxs", NULL);
  said(&b, "tx|rx|ts|rs|u{}|tx|rx|ts|rs|u{}|tx|rx|");
  end(&b);
  said(&b, "ts|rs|");
  tear_down(&b);
}

/* ---- what is known changes --------------------------------------------- */

static void test_a_run_moves_on_when_nothing_is_held(void **state) {
  struct bench b;
  (void)state;
  set_up(&b);
  say(&b, "tsesame", NULL);
  know(&b, "brand-new-key");
  say(&b, "t-opens brand-new-key", NULL); /* a hold is a place in the set it began with */
  said(&b, "t[secret key] brand-new-key|");
  say(&b, "t" KEY " brand-new-key", NULL);
  said(&b, "t" KEY " [secret key]|");
  know(&b, "");
  say(&b, "tbrand-new-key", NULL);
  assert_true(b.through);
  know(&b, KEY);
  b.said[0] = '\0';
  say(&b, "t" KEY, NULL);
  said(&b, "t[secret key]|");
  tear_down(&b);
}

static _Atomic int over; /* process-wide: for the threads of the one test below */

/* Says the value that stays known, in pieces, until the main thread is done. */
static void *talk(void *ctx) {
  struct yoi__scrub *scrub = ctx;
  size_t rounds = 0;
  while (!atomic_load(&over) || rounds == 0) {
    struct bench b = {.scrub = scrub, .run = yoi__scrub_run_new(scrub)};
    assert_non_null(b.run);
    for (int i = 0; i < 8; i++) say(&b, "tan", "tother-", "rano", "tvalue", "f{}", NULL);
    assert_null(strstr(b.said, "another"));
    yoi__scrub_run_free(b.run);
    char text[64] = "no another-value here";
    yoi_error e = {.size = sizeof e, .message = text, .message_cap = sizeof text};
    yoi__scrub_error(scrub, &e);
    assert_string_equal(text, "no [secret other] here");
    rounds++;
  }
  return NULL;
}

static void test_what_is_known_changes_under_threads(void **state) {
  struct bench b;
  pthread_t threads[3];
  (void)state;
  set_up(&b);
  atomic_store(&over, 0);
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, talk, b.scrub), 0);
  for (int i = 0; i < 300; i++) {
    char value[32];
    (void)snprintf(value, sizeof value, "value-number-%d", i);
    know(&b, value);
  }
  atomic_store(&over, 1);
  for (size_t i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  tear_down(&b);
}

/* ---- errors ------------------------------------------------------------ */

static void test_all_texts_of_an_error(void **state) {
  struct bench b;
  struct yoi_sdk_error e;
  (void)state;
  set_up(&b);
  (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_MODEL_ERROR, "bad key '" KEY "'");
  yoi_sdk_fail_details(&e.e, YOI_LIT("{\"kind\":\"quota\",\"said\":\"\\u0073esame-opens\"}"));
  yoi_sdk_fail_private(&e.e, "GET /?k=" KEY ": cut at sesame-ope");
  yoi__scrub_error(b.scrub, &e.e);
  assert_string_equal(e.message, "bad key '[secret key]'");
  assert_string_equal(e.details, "{\"kind\":\"quota\",\"said\":\"[secret key]\"}");
  assert_string_equal(e.private_detail, "GET /?k=[secret key]: cut at [secret key]");
  tear_down(&b);
}

static void test_an_error_that_grows_stays_in_its_buffers(void **state) {
  struct bench b;
  char message[16], details[26];
  (void)state;
  memset(&b, 0, sizeof b);
  b.scrub = yoi__scrub_new();
  know(&b, "12345678");
  yoi_error e = {.size = sizeof e,
                 .message = message,
                 .message_cap = sizeof message,
                 .details = details,
                 .details_cap = sizeof details};
  memcpy(message, "see \xc3\xa9 12345678", sizeof message); /* full */
  memcpy(details, "{\"kind\":\"x\",\"k\":\"12345678\"", sizeof details - 1);
  details[sizeof details - 1] = '\0';
  yoi__scrub_error(b.scrub, &e);
  assert_string_equal(message, "see \xc3\xa9 [secret ");
  memcpy(details, "{\"kin\":\"x\",\"k\":\"12345678\"}", sizeof details);
  yoi__scrub_error(b.scrub, &e);
  assert_string_equal(details, ""); /* half an object is none */
  yoi__scrub_free(b.scrub);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_batch_without_secrets_goes_through),
      cmocka_unit_test(test_a_secret_in_pieces),
      cmocka_unit_test(test_text_and_reasoning_are_two_texts),
      cmocka_unit_test(test_all_else_keeps_its_place),
      cmocka_unit_test(test_tool_calls_stay_json),
      cmocka_unit_test(test_a_batch_of_many_holds),
      cmocka_unit_test(test_a_run_moves_on_when_nothing_is_held),
      cmocka_unit_test(test_what_is_known_changes_under_threads),
      cmocka_unit_test(test_all_texts_of_an_error),
      cmocka_unit_test(test_an_error_that_grows_stays_in_its_buffers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
