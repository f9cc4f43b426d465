/* ingress-http/sessions.c - logins of people; sessions.h says what a session is.
 *
 * The hash of a random value spreads by itself and is no secret that a comparison
 * could give away, so it is looked up like any key.
 */
#include "sessions.h"

#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>

struct http_session {
  struct http_session *next;
  struct http_pass *pass; /* a reference */
  uint64_t made;          /* older ones have less */
};

void http_sessions_init(struct http_sessions *s) {
  memset(s, 0, sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
}

static void drop(struct http_session **at) {
  struct http_session *e = *at;
  *at = e->next;
  http_pass_revoke(e->pass);
  http_pass_unref(e->pass);
  yoi_sdk_free(e);
}

void http_sessions_free(struct http_sessions *s) {
  for (size_t i = 0; i < HTTP_SESSION_BUCKETS; i++)
    while (s->buckets[i]) drop(&s->buckets[i]);
  pthread_mutex_destroy(&s->lock);
}

/* With the lock: those that are over go, and of a caller who has too many the
 * oldest. */
static void make_room(struct http_sessions *s, const struct http_caller *caller, uint64_t now_ms) {
  struct http_session **oldest = NULL;
  size_t n = 0;
  for (size_t i = 0; i < HTTP_SESSION_BUCKETS; i++)
    for (struct http_session **at = &s->buckets[i]; *at;) {
      if (!http_pass_good((*at)->pass, now_ms)) {
        drop(at);
        continue;
      }
      at = &(*at)->next;
    }
  for (size_t i = 0; i < HTTP_SESSION_BUCKETS; i++)
    for (struct http_session **at = &s->buckets[i]; *at; at = &(*at)->next) {
      if ((*at)->pass->caller != caller) continue;
      n++;
      if (!oldest || (*at)->made < (*oldest)->made) oldest = at;
    }
  if (n >= YOI_HTTP_SESSIONS_MAX) drop(oldest);
}

int http_session_new(struct http_sessions *s, struct http_pass *by, uint64_t now_ms,
                     uint64_t lasts_ms, char out[HTTP_SESSION_TEXT + 1]) {
  uint8_t random[YOI_SDK_SHA256_SIZE], sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_random(random, sizeof random)) return 0;
  yoi_sdk_hex(random, sizeof random, out);
  out[HTTP_SESSION_TEXT] = 0;
  yoi_sdk_wipe(random, sizeof random);
  struct http_session *e = yoi_sdk_calloc(1, sizeof *e);
  int ok = e && yoi_sdk_sha256(out, HTTP_SESSION_TEXT, sha);
  if (ok) e->pass = http_pass_new(by->caller, by, sha, now_ms + lasts_ms);
  if (!ok || !e->pass) {
    yoi_sdk_free(e);
    return 0;
  }
  pthread_mutex_lock(&s->lock);
  e->made = ++s->made;
  make_room(s, by->caller, now_ms);
  e->next = s->buckets[sha[0]];
  s->buckets[sha[0]] = e;
  pthread_mutex_unlock(&s->lock);
  return 1;
}

/* With the lock; NULL: none. */
static struct http_session **place(struct http_sessions *s, yoi_str text) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (text.len != HTTP_SESSION_TEXT || !yoi_sdk_sha256(text.ptr, text.len, sha)) return NULL;
  struct http_session **at = &s->buckets[sha[0]];
  while (*at && memcmp((*at)->pass->sha, sha, sizeof sha) != 0) at = &(*at)->next;
  return *at ? at : NULL;
}

struct http_pass *http_session_find(struct http_sessions *s, yoi_str text, uint64_t now_ms) {
  pthread_mutex_lock(&s->lock);
  struct http_session **at = place(s, text);
  struct http_pass *p = at ? (*at)->pass : NULL;
  p = p && http_pass_good(p, now_ms) ? http_pass_ref(p) : NULL;
  pthread_mutex_unlock(&s->lock);
  return p;
}

void http_session_end(struct http_sessions *s, yoi_str text) {
  pthread_mutex_lock(&s->lock);
  struct http_session **at = place(s, text);
  if (at) drop(at);
  pthread_mutex_unlock(&s->lock);
}
