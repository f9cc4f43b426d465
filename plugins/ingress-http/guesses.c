/* ingress-http/guesses.c - whoever guesses tokens has to wait; guesses.h says how
 * long, and who. */
#include "guesses.h"

#include <openssl/crypto.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>

#define DEVICE 0x10000u /* http_peer_key.family: beyond those of sockets */

int http_guesses_init(struct http_guesses *g) {
  memset(g, 0, sizeof *g);
  pthread_mutex_init(&g->lock, NULL);
  return yoi_sdk_random(&g->seed, sizeof g->seed) && yoi_sdk_random(g->key, sizeof g->key);
}

void http_guesses_free(struct http_guesses *g) {
  yoi_sdk_wipe(g->key, sizeof g->key);
  pthread_mutex_destroy(&g->lock);
}

/* With the lock: his entry; NULL: he has none. */
static struct http_guess *find(struct http_guesses *g, struct http_peer_key who, uint64_t now_ms,
                               struct http_guess **out_free) {
  uint64_t h = (who.id ^ g->seed) * 0x9e3779b97f4a7c15u; /* Knuth's multiplicative hash */
  struct http_guess *set = g->all[(h ^ who.family) >> 32 & (HTTP_GUESS_SETS - 1)];
  *out_free = set;
  for (size_t i = 0; i < HTTP_GUESS_WAYS; i++) {
    struct http_guess *e = &set[i];
    if (e->wrong > 0 && now_ms - e->last_ms >= YOI_HTTP_GUESS_FORGET_MS) e->wrong = 0;
    if (e->wrong > 0 && e->who.id == who.id && e->who.family == who.family) return e;
    if (e->wrong == 0 || ((*out_free)->wrong > 0 && e->last_ms < (*out_free)->last_ms))
      *out_free = e;
  }
  return NULL;
}

yoi_status http_guess_check(struct http_guesses *g, struct http_peer_key who, uint64_t now_ms,
                            yoi_error *err) {
  struct http_guess *unused;
  pthread_mutex_lock(&g->lock);
  const struct http_guess *e = find(g, who, now_ms, &unused);
  uint64_t wait_ms = e && e->until_ms > now_ms ? e->until_ms - now_ms : 0;
  pthread_mutex_unlock(&g->lock);
  if (wait_ms == 0) return YOI_OK;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_RATE_LIMITED, "too many wrong tokens");
  if (err) err->retry_after_ms = (uint32_t)wait_ms;
  return st;
}

void http_guess_wrong(struct http_guesses *g, struct http_peer_key who, uint64_t now_ms) {
  struct http_guess *fresh;
  pthread_mutex_lock(&g->lock);
  struct http_guess *e = find(g, who, now_ms, &fresh);
  if (!e) {
    e = fresh;
    *e = (struct http_guess){.who = who};
  }
  e->wrong++;
  e->last_ms = now_ms;
  if (e->wrong > YOI_HTTP_GUESSES_FREE) {
    uint32_t beyond = e->wrong - YOI_HTTP_GUESSES_FREE - 1;
    uint64_t ms = beyond < 16 ? 1000u << beyond : YOI_HTTP_GUESS_MS_MAX;
    e->until_ms = now_ms + (ms < YOI_HTTP_GUESS_MS_MAX ? ms : YOI_HTTP_GUESS_MS_MAX);
  }
  pthread_mutex_unlock(&g->lock);
}

/* ---- devices --------------------------------------------------------------------- */

/* id: what stands for the principal, and random bytes. */
static int name(const struct http_guesses *g, yoi_str principal, uint8_t id[HTTP_DEVICE_BYTES]) {
  uint8_t hash[YOI_SDK_SHA256_SIZE];
  size_t half = HTTP_DEVICE_BYTES / 2;
  struct yoi_sdk_sha256 *h = yoi_sdk_sha256_new();
  yoi_sdk_sha256_field(h, (yoi_str){(const char *)g->key, sizeof g->key});
  yoi_sdk_sha256_field(h, principal);
  if (!yoi_sdk_sha256_final(h, hash)) return 0;
  memcpy(id, hash, half);
  return yoi_sdk_random(id + half, half);
}

/* Both texts have one length, so that nothing can be appended to what was proved. */
static int prove(const struct http_guesses *g, const uint8_t id[HTTP_DEVICE_BYTES],
                 uint8_t out[YOI_SDK_SHA256_SIZE]) {
  uint8_t text[sizeof g->key + HTTP_DEVICE_BYTES];
  memcpy(text, g->key, sizeof g->key);
  memcpy(text + sizeof g->key, id, HTTP_DEVICE_BYTES);
  int ok = yoi_sdk_sha256(text, sizeof text, out);
  yoi_sdk_wipe(text, sizeof text);
  return ok;
}

int http_device_new(const struct http_guesses *g, yoi_str principal,
                    char out[HTTP_DEVICE_TEXT + 1]) {
  uint8_t id[HTTP_DEVICE_BYTES], proof[YOI_SDK_SHA256_SIZE];
  if (!name(g, principal, id) || !prove(g, id, proof)) return 0;
  yoi_sdk_hex(id, sizeof id, out);
  yoi_sdk_hex(proof, HTTP_DEVICE_BYTES, out + 2 * sizeof id);
  out[HTTP_DEVICE_TEXT] = 0;
  return 1;
}

int http_device_who(const struct http_guesses *g, yoi_str text, struct http_peer_key *out) {
  uint8_t given[2 * HTTP_DEVICE_BYTES], proof[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_unhex(text, given, sizeof given) || !prove(g, given, proof) ||
      CRYPTO_memcmp(given + HTTP_DEVICE_BYTES, proof, HTTP_DEVICE_BYTES) != 0)
    return 0;
  out->family = DEVICE;
  memcpy(&out->id, given, sizeof out->id);
  return 1;
}
