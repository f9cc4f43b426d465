/* crc32c.c - CRC32C with the processor's instruction where there is one.
 *
 * x86-64 has it since SSE 4.2 and arm64 as an option; which one runs is
 * decided once, when the code is mapped. The plain form takes a byte at a
 * time from a table that the compiler cannot get wrong: it is made from the
 * polynomial (reflected: 0x82f63b78) at the first use.
 */
#include "crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u

#define BYTES 256
/* process-wide: constant once it is made */
static uint32_t table[BYTES];
/* process-wide, like the table */
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void) {
  for (uint32_t i = 0; i < BYTES; i++) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; bit++) c = (c & 1u) ? (c >> 1) ^ POLYNOMIAL : c >> 1;
    table[i] = c;
  }
}

uint32_t fs_crc32c_plain(uint32_t crc, const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  pthread_once(&table_once, make_table);
  crc = ~crc;
  for (size_t i = 0; i < n; i++) crc = table[(crc ^ p[i]) & 255u] ^ (crc >> 8);
  return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t n) {
  const unsigned char *p = bytes;
  uint64_t c = ~crc;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    c = __builtin_ia32_crc32di(c, word);
  }
  uint32_t last = (uint32_t)c;
  for (; n > 0; n--, p++) last = __builtin_ia32_crc32qi(last, *p);
  return ~last;
}

static int have_instruction(void) {
  return __builtin_cpu_supports("sse4.2") != 0;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  uint32_t c = ~crc;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    c = __crc32cd(c, word);
  }
  for (; n > 0; n--, p++) c = __crc32cb(c, *p);
  return ~c;
}

static int have_instruction(void) {
  return 1;
}

#else

static uint32_t by_instruction(uint32_t crc, const void *bytes, size_t n) {
  return fs_crc32c_plain(crc, bytes, n);
}

static int have_instruction(void) {
  return 0;
}

#endif

uint32_t fs_crc32c(uint32_t crc, const void *bytes, size_t n) {
  return have_instruction() ? by_instruction(crc, bytes, n) : fs_crc32c_plain(crc, bytes, n);
}
