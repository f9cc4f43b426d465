/* Structs that are shorter or longer than the reader's (sdk/take.h). */
#include <sdk/error.h>
#include <sdk/take.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct today {
  uint32_t size, first;
  uint64_t second, third;
};

/* As a newer version has it; the reader below knows of no tail. */
struct tomorrow {
  struct today t;
  uint64_t tail[2];
};

static const struct today filled = {sizeof filled, 1, 2, 3};

static void one_of_the_same_size_is_copied(void **state) {
  struct today got;
  (void)state;
  memset(&got, 0xff, sizeof got);
  assert_int_equal(yoi_sdk_take(&got, sizeof got, &filled, "it", NULL), YOI_OK);
  assert_memory_equal(&got, &filled, sizeof got);
}

static void what_a_shorter_one_lacks_is_zero(void **state) {
  struct today from = filled, got;
  (void)state;
  from.size = offsetof(struct today, third);
  memset(&got, 0xff, sizeof got);
  assert_int_equal(yoi_sdk_take(&got, sizeof got, &from, "it", NULL), YOI_OK);
  assert_int_equal(got.size, sizeof got);
  assert_int_equal(got.second, 2);
  assert_int_equal(got.third, 0);
  /* Also when a member is cut: none of the ABI's ever is. */
  from.size = sizeof from.size;
  assert_int_equal(yoi_sdk_take(&got, sizeof got, &from, "it", NULL), YOI_OK);
  assert_true(got.first == 0 && got.second == 0 && got.third == 0);
}

static void a_longer_one_is_taken_when_it_says_nothing_more(void **state) {
  struct tomorrow from = {.t = filled};
  struct {
    struct today got;
    uint64_t behind;
  } to = {.behind = 77};
  (void)state;
  from.t.size = sizeof from;
  assert_int_equal(yoi_sdk_take(&to.got, sizeof to.got, &from, "it", NULL), YOI_OK);
  assert_int_equal(to.got.size, sizeof to.got);
  assert_int_equal(to.got.third, 3);
  assert_int_equal(to.behind, 77);
}

static void each_byte_that_is_not_known_is_refused_with_its_offset(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(struct tomorrow) - sizeof(struct today); i++) {
    struct tomorrow from = {.t = filled};
    struct today got;
    struct yoi_sdk_error e;
    char words[80];
    from.t.size = sizeof from;
    ((unsigned char *)from.tail)[i] = 1;
    (void)snprintf(words, sizeof words, "the request has an unknown member at offset %zu",
                   sizeof got + i);
    assert_int_equal(
        yoi_sdk_take(&got, sizeof got, &from, "the request", yoi_sdk_error_init(&e)),
        YOI_UNIMPLEMENTED);
    assert_int_equal(e.e.code, YOI_CODE_UNSUPPORTED_OPERATION);
    assert_string_equal(e.message, words);
  }
}

static void one_without_a_size_is_none(void **state) {
  struct today got, from = filled;
  struct yoi_sdk_error e;
  (void)state;
  for (from.size = 0; from.size < sizeof from.size; from.size++) {
    assert_int_equal(yoi_sdk_take(&got, sizeof got, &from, "it", yoi_sdk_error_init(&e)),
                     YOI_INVALID_ARGUMENT);
    assert_string_equal(e.message, "it has no size");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_of_the_same_size_is_copied),
      cmocka_unit_test(what_a_shorter_one_lacks_is_zero),
      cmocka_unit_test(a_longer_one_is_taken_when_it_says_nothing_more),
      cmocka_unit_test(each_byte_that_is_not_known_is_refused_with_its_offset),
      cmocka_unit_test(one_without_a_size_is_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
