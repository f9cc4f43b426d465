/* ingress-http/login.c - people log in with a token and have a cookie for it.
 *
 *   POST /login {"token"}   may he try? (guesses.c) -> the ring -> a session, and
 *                           its cookie; the browser is a known device from then on
 *   every other request     the cookie -> the session's pass; or a bearer token,
 *                           which has to stand the same guard against guessing
 *   POST /logout            the session is over, whoever still has the cookie
 *
 *  1. The cookie is HttpOnly and SameSite=Strict, with TLS Secure and of this host
 *     alone (__Host-). Its name has the port: browsers send cookies to all ports.
 *  2. A cookie is no leave to write: Origin and Sec-Fetch-Site are looked at
 *     before (auth.c), and bodies are JSON.
 *  3. What is in a cookie is never logged, nor is a token.
 */
#include "http.h"

#include "fields.h"

#include <sdk/json.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

#define DEVICE_S 31536000 /* a year; its proof ends with the process */
#define COOKIE_MAX 256

static int is_secure(const struct http_instance *in) {
  return in->tls.ctx || in->config.secure_cookie;
}

void http_login_names(struct http_instance *in) {
  const char *prefix = is_secure(in) ? "__Host-" : "";
  int n = in->guard.is_unix ? 0 : (int)in->guard.port.len;
  snprintf(in->cookie, sizeof in->cookie, "%syoi-%.*s", prefix, n, n > 0 ? in->guard.port.ptr : "");
  snprintf(in->device, sizeof in->device, "%syoid-%.*s", prefix, n,
           n > 0 ? in->guard.port.ptr : "");
}

static yoi_str cookie_of(const struct http_conn *c, const char *name) {
  return http_cookie(http_request_field(&c->x->codec.req, HTTPF_COOKIE), yoi_sdk_str(name));
}

int http_login_known(struct http_conn *c) {
  struct http_instance *in = c->loop->in;
  yoi_str text = cookie_of(c, in->cookie);
  c->pass = text.len > 0 ? http_session_find(&in->sessions, text, c->loop->now_ms) : NULL;
  return c->pass != NULL;
}

/* ---- guessing ---------------------------------------------------------------------- */

static void say(struct http_conn *c, uint32_t level, const char *msg, const char *principal) {
  struct http_instance *in = c->loop->in;
  char peer[HTTP_PEER_TEXT];
  http_peer_text(c->fd, peer);
  const yoi_log_field fields[] = {{YOI_LIT("peer"), yoi_sdk_str(peer)},
                                  {YOI_LIT("principal"), yoi_sdk_str(principal)}};
  in->log->write(in->host, level, yoi_sdk_str(msg),
                 (yoi_str){c->x->request_id, c->x->request_id_len}, fields, principal ? 2 : 1);
}

static struct http_peer_key peer_of(const struct http_conn *c) {
  struct sockaddr_storage from = {.ss_family = AF_UNSPEC};
  socklen_t len = sizeof from;
  (void)getpeername(c->fd, (struct sockaddr *)&from, &len);
  return http_peer_key(c->fd, &from);
}

yoi_status http_login_token(struct http_conn *c, yoi_str token, yoi_error *err) {
  struct http_loop *l = c->loop;
  struct http_instance *in = l->in;
  struct http_peer_key peer = peer_of(c), who = peer;
  int known = http_device_who(&in->guesses, cookie_of(c, in->device), &who);
  yoi_status st = http_guess_check(&in->guesses, who, l->now_ms, err);
  if (st != YOI_OK) return st;
  c->pass = http_ring_find(http_door_ring(l), token, l->now_ms);
  if (c->pass) return YOI_OK;
  http_guess_wrong(&in->guesses, who, l->now_ms);
  if (known) http_guess_wrong(&in->guesses, peer, l->now_ms);
  say(c, YOI_LOG_WARN, "a wrong token", NULL);
  return yoi_sdk_fail(err, YOI_CODE_UNAUTHORIZED, "the token is not the right one");
}

/* ---- coming and going ---------------------------------------------------------------- */

static yoi_str write_cookie(const struct http_instance *in, const char *name, const char *value,
                            uint64_t seconds, char out[COOKIE_MAX]) {
  int n = snprintf(out, COOKIE_MAX, "%s=%s; Path=/; Max-Age=%llu; HttpOnly; SameSite=Strict%s",
                   name, value, (unsigned long long)seconds, is_secure(in) ? "; Secure" : "");
  return (yoi_str){out, (size_t)n};
}

/* {"token": "..."} and nothing else; the text is the tree's. */
static yoi_status read_token(yoi_str body, yoi_sdk_json **out_tree, yoi_str *out_token,
                             yoi_error *err) {
  yoi_status st = yoi_sdk_json_parse(body, 0, out_tree, NULL);
  if (st != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "body is not valid JSON");
  if (yoi_sdk_json_type(*out_tree) == YOI_SDK_JSON_OBJECT && yoi_sdk_json_count(*out_tree) == 1 &&
      yoi_sdk_json_str(yoi_sdk_json_get(*out_tree, "token"), out_token))
    return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "expected an object with the member 'token'");
}

static void answer_login(struct http_conn *c, const char *session) {
  struct http_instance *in = c->loop->in;
  char text[COOKIE_MAX], device[COOKIE_MAX], proof[HTTP_DEVICE_TEXT + 1], json[512];
  char until[YOI_SDK_TIME_SIZE];
  yoi_str shown = cookie_of(c, in->device);
  struct http_peer_key who;
  struct http_reply r = http_answer_reply(c, 200, HTTP_TYPE_JSON);
  r.cookies[0] = write_cookie(in, in->cookie, session, in->config.session_ms / 1000u, text);
  /* One that is known stays who it is, whoever logs in. */
  int known = http_device_who(&in->guesses, shown, &who);
  if (known) snprintf(proof, sizeof proof, "%.*s", YOI_ARG(shown));
  yoi_str principal = yoi_sdk_str(c->pass->caller->principal);
  if (known || http_device_new(&in->guesses, principal, proof))
    r.cookies[1] = write_cookie(in, in->device, proof, DEVICE_S, device);
  yoi_sdk_time_text(in->clock->wall_ns(in->host) + in->config.session_ms * 1000000u, until);
  int n = snprintf(json, sizeof json, "{\"login\":{\"principal\":\"%s\",\"expires_at\":\"%s\"}}",
                   c->pass->caller->principal, until);
  say(c, YOI_LOG_INFO, "login", c->pass->caller->principal);
  http_answer_made(c, &r, (yoi_str){json, (size_t)n});
  yoi_sdk_wipe(text, sizeof text);
}

void http_login(struct http_conn *c) {
  struct http_instance *in = c->loop->in;
  struct yoi_sdk_error e;
  yoi_sdk_json *tree = NULL;
  yoi_str token = {NULL, 0};
  char session[HTTP_SESSION_TEXT + 1];
  yoi_status st = read_token(c->x->codec.req.body, &tree, &token, yoi_sdk_error_init(&e));
  if (st == YOI_OK) {
    http_pass_unref(c->pass); /* that of who has not said who he is */
    c->pass = NULL;
    st = http_login_token(c, token, &e.e);
  }
  yoi_sdk_json_free(tree);
  if (st == YOI_OK && !http_session_new(&in->sessions, c->pass, c->loop->now_ms,
                                        in->config.session_ms, session))
    st = yoi_sdk_fail_memory(&e.e);
  /* The browser forgets the one that it had; so does everybody. */
  if (st == YOI_OK) http_session_end(&in->sessions, cookie_of(c, in->cookie));
  if (st == YOI_OK) answer_login(c, session);
  else http_answer_error(c, &e.e);
  yoi_sdk_wipe(session, sizeof session);
}

void http_logout(struct http_conn *c) {
  struct http_instance *in = c->loop->in;
  char text[COOKIE_MAX];
  struct http_pass *none = c->pass;
  c->pass = NULL;
  if (http_login_known(c)) {
    http_session_end(&in->sessions, cookie_of(c, in->cookie));
    say(c, YOI_LOG_INFO, "logout", c->pass->caller->principal);
    http_pass_unref(none);
  } else {
    c->pass = none;
  }
  struct http_reply r = http_answer_reply(c, 204, NULL);
  r.cookies[0] = write_cookie(in, in->cookie, "", 0, text);
  http_answer_made(c, &r, (yoi_str){NULL, 0});
}
