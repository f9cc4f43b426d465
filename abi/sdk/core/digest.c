/* digest.c - SHA-256, random bytes, UUIDv7, comparing secrets.
 *
 * SHA-256 is libcrypto's, which uses the processor's instructions. Looking an
 * algorithm up by name costs more than hashing a request, so it is fetched
 * once. The two mutable objects of sdk/core that a process has stand here:
 *
 *   sha256    the algorithm, set once, never freed
 *   uuid      the last UUID and its lock
 *
 * A library that is linked into several shared objects has one of each per
 * object: UUIDs increase within the object that makes them.
 */
#include <sdk/id.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>
#include <sys/random.h>

/* process-wide: the algorithm; see above */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;

static void sha256_fetch(void) {
  sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

static const EVP_MD *sha256_md(void) {
  (void)pthread_once(&sha256_once, sha256_fetch);
  return sha256;
}

struct yoi_sdk_sha256 {
  EVP_MD_CTX *ctx;
  int failed;
};

struct yoi_sdk_sha256 *yoi_sdk_sha256_new(void) {
  struct yoi_sdk_sha256 *h = yoi_sdk_calloc(1, sizeof *h);
  if (!h) return NULL;
  h->ctx = EVP_MD_CTX_new();
  if (h->ctx && sha256_md() && EVP_DigestInit_ex2(h->ctx, sha256_md(), NULL) == 1) return h;
  EVP_MD_CTX_free(h->ctx);
  yoi_sdk_free(h);
  return NULL;
}

void yoi_sdk_sha256_add(struct yoi_sdk_sha256 *h, const void *p, size_t n) {
  if (!h || n == 0) return;
  if (EVP_DigestUpdate(h->ctx, p, n) != 1) h->failed = 1;
}

void yoi_sdk_sha256_field(struct yoi_sdk_sha256 *h, yoi_str s) {
  uint8_t length[8];
  for (size_t i = 0; i < sizeof length; i++) length[i] = (uint8_t)((uint64_t)s.len >> (56 - 8 * i));
  yoi_sdk_sha256_add(h, length, sizeof length);
  yoi_sdk_sha256_add(h, s.ptr, s.len);
}

int yoi_sdk_sha256_final(struct yoi_sdk_sha256 *h, uint8_t out[YOI_SDK_SHA256_SIZE]) {
  if (!h) return 0;
  int ok = !h->failed && EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;
  EVP_MD_CTX_free(h->ctx);
  yoi_sdk_free(h);
  return ok;
}

int yoi_sdk_sha256(const void *p, size_t n, uint8_t out[YOI_SDK_SHA256_SIZE]) {
  const EVP_MD *md = sha256_md();
  return md && EVP_Digest(n ? p : "", n, out, NULL, md, NULL) == 1;
}

void yoi_sdk_digest_text(const uint8_t sha[YOI_SDK_SHA256_SIZE], char out[YOI_SDK_DIGEST_SIZE]) {
  memcpy(out, "sha256:", 7);
  yoi_sdk_hex(sha, YOI_SDK_SHA256_SIZE, out + 7);
  out[YOI_SDK_DIGEST_SIZE - 1] = '\0';
}

int yoi_sdk_digest_bytes(yoi_str s, uint8_t out[YOI_SDK_SHA256_SIZE]) {
  return s.len == YOI_SDK_DIGEST_SIZE - 1 && memcmp(s.ptr, "sha256:", 7) == 0 &&
         yoi_sdk_unhex((yoi_str){s.ptr + 7, s.len - 7}, out, YOI_SDK_SHA256_SIZE);
}

/* With unequal lengths `given` is compared with itself: the same work, and
 * nothing to be learnt from the clock. An empty secret is a missing one and
 * equals nothing. */
int yoi_sdk_secret_eq(yoi_str secret, yoi_str given) {
  int same_length = secret.len == given.len;
  const char *with = same_length ? secret.ptr : given.ptr;
  if (given.len == 0) return 0;
  return (CRYPTO_memcmp(with, given.ptr, given.len) == 0) & same_length;
}

int yoi_sdk_random(void *out, size_t n) {
  uint8_t *p = out;
  while (n) {
    ssize_t got = getrandom(p, yoi_sdk_short(n), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    p += got;
    n -= (size_t)got;
  }
  return 1;
}

/* UUIDv7: 48 bits of milliseconds, then 74 random bits (RFC 9562, 5.7). Within
 * one millisecond, or when the clock goes back, the random bits of the last
 * one are taken as a number and a random step is added (6.2, method 2); the
 * first bit starts as 0, so that there is room, and a carry out of it moves to
 * the next millisecond. A request makes a few of them, so randomness is drawn
 * from the kernel for many at once; what was given out is wiped. */
static struct {
  pthread_mutex_t lock;
  size_t left; /* random bytes not given out */
  uint8_t random[512];
  uint64_t ms;
  uint32_t high; /* 12 bits */
  uint64_t low;  /* 62 bits */
} uuid = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define HIGH_MAX 0xFFFu
#define LOW_MAX 0x3FFFFFFFFFFFFFFFu

/* Under the lock. */
static int uuid_random(void *out, size_t n) {
  if (uuid.left < n) {
    if (!yoi_sdk_random(uuid.random, sizeof uuid.random)) return 0;
    uuid.left = sizeof uuid.random;
  }
  uuid.left -= n;
  memcpy(out, uuid.random + uuid.left, n);
  yoi_sdk_wipe(uuid.random + uuid.left, n);
  return 1;
}

int yoi_sdk_uuid7(uint64_t wall_ns, char out[YOI_SDK_UUID_SIZE]) {
  struct {
    uint64_t low;
    uint32_t high, step;
  } r;
  uint64_t ms = wall_ns / 1000000 & 0xFFFFFFFFFFFFu;
  (void)pthread_mutex_lock(&uuid.lock);
  if (!uuid_random(&r, sizeof r)) {
    (void)pthread_mutex_unlock(&uuid.lock);
    return 0;
  }
  if (ms > uuid.ms) {
    uuid.ms = ms;
    uuid.high = r.high & (HIGH_MAX >> 1);
    uuid.low = r.low & LOW_MAX;
  } else {
    uuid.low += 1 + (uint64_t)r.step;
    if (uuid.low > LOW_MAX) uuid.high++;
    uuid.low &= LOW_MAX;
    if (uuid.high > HIGH_MAX) uuid.ms++;
    uuid.high &= HIGH_MAX;
  }
  ms = uuid.ms;
  uint64_t a = ms << 16 | 0x7000u | uuid.high, b = uuid.low | 0x8000000000000000u;
  (void)pthread_mutex_unlock(&uuid.lock);
  uint8_t bytes[16];
  for (size_t i = 0; i < 8; i++) {
    bytes[i] = (uint8_t)(a >> (56 - 8 * i));
    bytes[8 + i] = (uint8_t)(b >> (56 - 8 * i));
  }
  static const struct {
    size_t from, n, to;
  } parts[] = {{0, 4, 0}, {4, 2, 9}, {6, 2, 14}, {8, 2, 19}, {10, 6, 24}};
  memset(out, '-', YOI_SDK_UUID_SIZE - 1);
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    yoi_sdk_hex(bytes + parts[i].from, parts[i].n, out + parts[i].to);
  out[YOI_SDK_UUID_SIZE - 1] = '\0';
  return 1;
}
