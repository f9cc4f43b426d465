/* ingress-http/guesses.h - whoever guesses tokens has to wait.
 *
 *   wrong: 1 .. YOI_HTTP_GUESSES_FREE   no wait
 *   each one more                       1 s, 2 s, 4 s .. YOI_HTTP_GUESS_MS_MAX
 *   YOI_HTTP_GUESS_FORGET_MS without    as if there had been none
 *
 *  1. While somebody waits no token of his is looked at, right or wrong: else the
 *     wait would cost nothing.
 *  2. Each waits for himself: a peer (peers.h), or a caller whose browser has logged
 *     in before and shows its device cookie. So one who guesses keeps no other peer
 *     out, and behind one address, a proxy's, no other caller whose browser is known.
 *     A device's wrong ones count for its peer too, and for whoever it was made for
 *     first: else one who has a token would make devices to guess others with.
 *  3. A right token makes no guesses undone.
 *  4. The table has a fixed size. Who guesses from very many places makes it
 *     forget the oldest.
 */
#ifndef YOI_HTTP_GUESSES_H
#define YOI_HTTP_GUESSES_H

#include "peers.h"

#include <sdk/error.h>
#include <sdk/id.h>

#define HTTP_GUESS_WAYS 4u
#define HTTP_GUESS_SETS 256u
#define HTTP_DEVICE_BYTES 16 /* of its id; as many of its proof */
#define HTTP_DEVICE_TEXT (4 * HTTP_DEVICE_BYTES)

struct http_guess {
  struct http_peer_key who;
  uint64_t last_ms, until_ms;
  uint32_t wrong; /* 0: free */
};

struct http_guesses {
  pthread_mutex_t lock;
  uint64_t seed;
  uint8_t key[YOI_SDK_SHA256_SIZE]; /* of devices: known to this process only */
  struct http_guess all[HTTP_GUESS_SETS][HTTP_GUESS_WAYS];
};

/* 0: no randomness. */
int http_guesses_init(struct http_guesses *g);
void http_guesses_free(struct http_guesses *g);

/* May he try? OK, or rate_limited with the time to wait. */
yoi_status http_guess_check(struct http_guesses *g, struct http_peer_key who, uint64_t now_ms,
                            yoi_error *err);
/* He was wrong. */
void http_guess_wrong(struct http_guesses *g, struct http_peer_key who, uint64_t now_ms);

/* What a browser keeps after a login of the principal, and who that is then, from
 * whichever of his browsers; 0: no randomness, or not one of ours. */
int http_device_new(const struct http_guesses *g, yoi_str principal,
                    char out[HTTP_DEVICE_TEXT + 1]);
int http_device_who(const struct http_guesses *g, yoi_str text, struct http_peer_key *out);

#endif
