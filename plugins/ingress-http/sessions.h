/* ingress-http/sessions.h - logins of people: which cookie is whose.
 *
 *   login ----> a pass of the caller, until session_ms are over
 *                  |            |                 |
 *               logout     token changed     the caller's oldest, beyond
 *                  v            v            YOI_HTTP_SESSIONS_MAX
 *               revoked     not good any more: callers.h
 *
 *  1. A session is 32 random bytes in the browser and their hash here, in memory
 *     only: a restart ends them all, and nothing that is read here opens one.
 *  2. One that is over is over also for who has its cookie still.
 *  3. Only whoever has a token makes one, so their number is bounded by callers.
 */
#ifndef YOI_HTTP_SESSIONS_H
#define YOI_HTTP_SESSIONS_H

#include "callers.h"

#include <pthread.h>

#define HTTP_SESSION_BUCKETS 256u
#define HTTP_SESSION_TEXT (2 * YOI_SDK_SHA256_SIZE) /* hex of what the cookie holds */

struct http_session;

struct http_sessions {
  pthread_mutex_t lock; /* for look-ups and changes; held across nothing */
  uint64_t made;
  struct http_session *buckets[HTTP_SESSION_BUCKETS]; /* newest first */
};

void http_sessions_init(struct http_sessions *s);
void http_sessions_free(struct http_sessions *s);

/* A session of the caller of a token's pass, and what its cookie is to hold. 0: memory or
 * randomness is short. */
int http_session_new(struct http_sessions *s, struct http_pass *by, uint64_t now_ms,
                     uint64_t lasts_ms, char out[HTTP_SESSION_TEXT + 1]);
/* Its pass, with a reference; NULL: no such session, or it is over. */
struct http_pass *http_session_find(struct http_sessions *s, yoi_str text, uint64_t now_ms);
/* It is over. */
void http_session_end(struct http_sessions *s, yoi_str text);

#endif
