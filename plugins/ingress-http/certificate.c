/* ingress-http/certificate.c - where a listener's certificate comes from, and
 * how it is changed while the listener serves.
 *
 *   control thread (host)        loop 0                     each loop
 *   reads the files    <-------- refresh, every reload_ms
 *   a value changes              generation differs:
 *                                makes a context ---------> tls_next
 *                                                           the next connection
 *                                                           takes it
 *
 *  1. Certificate and key are secrets of this instance: the plugin sees names
 *     and values, no path, and reads no file; nothing blocks a loop.
 *  2. What does not work changes nothing: the listener goes on with what it
 *     has, and says why, once per change. Certificate and key are two files,
 *     so that this is normal for the moment between the writing of both. It is
 *     tried at each look all the same: memory may have been short, and the
 *     library's errors do not tell that from a file that is no good.
 *  3. A connection keeps the context that it began with. Contexts are counted;
 *     the last connection frees it.
 *  4. An expired certificate is shown all the same: clients say it better, and
 *     a host that does not start is no help. It is a warning.
 */
#include "http.h"

#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <string.h>

#define LOOK_MS 1000 /* how long after a refresh its result is looked at */

static void say(struct http_instance *in, uint32_t level, const char *msg, const char *why) {
  http_log(in, level, msg, (yoi_str){NULL, 0}, why ? "reason" : NULL, yoi_sdk_str(why));
}

/* ---- making a context ------------------------------------------------------------- */

static yoi_status make(struct http_instance *in, struct ssl_ctx_st **out, yoi_error *err) {
  const struct http_certificate *t = &in->tls;
  const yoi_host_secret *secrets = http_secrets(in);
  char certificate[YOI_SECRET_BYTES_MAX], key[YOI_SECRET_BYTES_MAX];
  size_t n = 0, k = 0;
  if (!secrets)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no '%s'", YOI_HOST_SECRET_ID);
  yoi_status st =
      secrets->get(in->host, t->certificate, certificate, sizeof certificate, &n, err);
  if (st == YOI_OK) st = secrets->get(in->host, t->key, key, sizeof key, &k, err);
  if (st == YOI_OK) st = http_tls_context((yoi_str){certificate, n}, (yoi_str){key, k}, out, err);
  yoi_sdk_wipe(certificate, sizeof certificate);
  yoi_sdk_wipe(key, sizeof key);
  return st;
}

static void check_time(struct http_instance *in) {
  struct http_certificate *t = &in->tls;
  int expired = http_tls_context_expired(t->ctx, in->clock->wall_ns(in->host));
  if (expired == t->expired) return;
  t->expired = expired;
  if (expired)
    say(in, YOI_LOG_WARN, expired > 0 ? "certificate has expired" : "certificate is not valid yet",
        NULL);
}

/* "secret:NAME" of a member of `tls`. */
static yoi_status take_name(const yoi_sdk_json *tls, const char *member, yoi_str *out,
                            yoi_error *err) {
  yoi_str text = {NULL, 0}, prefix = YOI_LIT("secret:");
  (void)yoi_sdk_json_str(yoi_sdk_json_get(tls, member), &text);
  if (!yoi_sdk_str_starts(text, prefix))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'tls.%s' must be 'secret:NAME', not the text itself", member);
  *out = yoi_sdk_str_dup((yoi_str){text.ptr + prefix.len, text.len - prefix.len});
  return out->ptr ? YOI_OK : yoi_sdk_fail_memory(err);
}

static uint64_t generation(const struct http_instance *in, yoi_str name) {
  const yoi_host_secret *s = http_secrets(in);
  return s && YOI_HAS(yoi_host_secret, s, generation) ? s->generation(in->host, name) : 0;
}

static void note_generations(struct http_instance *in, uint64_t out[2]) {
  out[0] = generation(in, in->tls.certificate);
  out[1] = generation(in, in->tls.key);
}

yoi_status http_certificate_open(struct http_instance *in, const yoi_sdk_json *config,
                                 yoi_error *err) {
  const yoi_sdk_json *tls = yoi_sdk_json_get(config, "tls");
  struct http_certificate *t = &in->tls;
  int64_t reload_ms = YOI_HTTP_RELOAD_MS;
  if (!tls) return YOI_OK;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(tls, "reload_ms"), &reload_ms);
  t->reload_ms = (uint64_t)reload_ms;
  yoi_status st = take_name(tls, "certificate", &t->certificate, err);
  if (st == YOI_OK) st = take_name(tls, "key", &t->key, err);
  if (st != YOI_OK) return st;
  note_generations(in, t->seen);
  if ((st = make(in, &t->ctx, err)) != YOI_OK) return st;
  check_time(in);
  return YOI_OK;
}

void http_certificate_close(struct http_instance *in) {
  http_tls_context_free(in->tls.ctx);
  yoi_sdk_str_free(&in->tls.certificate);
  yoi_sdk_str_free(&in->tls.key);
}

/* ---- another one ------------------------------------------------------------------- */

static void hand_out(struct http_instance *in) {
  for (uint32_t i = 0; i < in->n_loops; i++) {
    http_tls_context_ref(in->tls.ctx);
    http_tls_context_free(atomic_exchange(&in->loops[i].tls_next, in->tls.ctx));
  }
}

struct ssl_ctx_st *http_certificate_take(struct http_loop *l) {
  if (!l->record) return NULL;
  struct ssl_ctx_st *next = atomic_exchange(&l->tls_next, NULL);
  if (next) {
    http_tls_context_free(l->tls);
    l->tls = next;
  }
  return l->tls;
}

static void look(struct http_instance *in) {
  struct http_certificate *t = &in->tls;
  struct ssl_ctx_st *fresh = NULL;
  struct yoi_sdk_error e;
  uint64_t now[2];
  note_generations(in, now);
  if (memcmp(now, t->seen, sizeof now) == 0) {
    check_time(in);
    return;
  }
  if (make(in, &fresh, yoi_sdk_error_init(&e)) != YOI_OK) {
    if (memcmp(now, t->said, sizeof now) != 0)
      say(in, YOI_LOG_WARN, "certificate stays as it was", e.message);
    memcpy(t->said, now, sizeof now);
    check_time(in);
    return;
  }
  memcpy(t->seen, now, sizeof now);
  http_tls_context_free(t->ctx);
  t->ctx = fresh;
  hand_out(in);
  say(in, YOI_LOG_INFO, "certificate reloaded", NULL);
  check_time(in);
}

static void in_ms(struct http_loop *l, uint64_t ms, yoi_loop_fn fn) {
  const struct http_instance *in = l->in;
  uint64_t at = in->clock->monotonic_ns(in->host) + ms * 1000000u, unused;
  if (in->loops_of->timer(in->host, at, fn, l, &unused) != YOI_OK)
    say(l->in, YOI_LOG_ERROR, "certificates are not looked at any more", "memory is short");
}

static void on_reload(void *ctx);

static void on_look(void *ctx) {
  struct http_loop *l = ctx;
  uint64_t ms = l->in->tls.reload_ms;
  look(l->in);
  in_ms(l, ms > LOOK_MS ? ms - LOOK_MS : 1, on_reload);
}

static void on_reload(void *ctx) {
  struct http_loop *l = ctx;
  uint64_t ms = l->in->tls.reload_ms;
  http_secrets(l->in)->refresh(l->in->host);
  in_ms(l, ms > LOOK_MS ? LOOK_MS : ms, on_look);
}

void http_certificate_watch(struct http_loop *l) {
  const yoi_host_secret *s = http_secrets(l->in);
  if (!l->in->tls.ctx) return;
  if (s && YOI_HAS(yoi_host_secret, s, generation)) in_ms(l, l->in->tls.reload_ms, on_reload);
  else say(l->in, YOI_LOG_WARN, "certificates are read once", "the host cannot read them again");
}
