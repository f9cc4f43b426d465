/* ingress-http/door.c - who is let in: the tokens of the config, and their values
 * while they change.
 *
 *   control thread (host)        loop 0                     each loop
 *   reads the files    <-------- refresh, every token_reload_ms
 *   a value changes              generation differs:
 *                                makes a ring, revokes
 *                                what is not in it --------> ring_next
 *                                                            the next request
 *                                                            takes it
 *
 *  1. Tokens are secrets of this instance, as certificates are: names and values,
 *     no path, nothing blocks a loop.
 *  2. An old value is refused within token_reload_ms and LOOK_MS of the change of
 *     its file, on all loops at once, and streams that it opened end before their
 *     next event. Whoever needs both for a while gives the entry two secrets.
 *  3. What does not work changes nothing, and is said once per change: a value
 *     that no header field can carry, one that two entries share.
 *  4. All that tells who is let in hangs on one ring: to replace it is to replace
 *     everybody at once.
 */
#include "http.h"

#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <string.h>
#include <yoi/ingress.h>

#define LOOK_MS 1000 /* how long after a refresh its result is looked at */

const yoi_host_secret *http_secrets(const struct http_instance *in) {
  return yoi_sdk_host_get(in->host, YOI_HOST_SECRET_ID, offsetof(yoi_host_secret, refresh));
}

/* ---- the config --------------------------------------------------------------- */

static struct http_rate read_rate(const yoi_sdk_json *v, struct http_rate otherwise) {
  int64_t count = 0, per_ms = 0;
  if (!yoi_sdk_json_int(yoi_sdk_json_get(v, "count"), &count) ||
      !yoi_sdk_json_int(yoi_sdk_json_get(v, "per_ms"), &per_ms))
    return otherwise;
  return (struct http_rate){(uint64_t)count, (uint64_t)per_ms};
}

static yoi_status add_secret(struct http_entry *e, yoi_str name) {
  e->secrets[e->n] = yoi_sdk_str_dup(name);
  return e->secrets[e->n++].ptr ? YOI_OK : YOI_RESOURCE_EXHAUSTED;
}

static yoi_status read_secrets(struct http_entry *e, const yoi_sdk_json *list, yoi_error *err) {
  yoi_str prefix = YOI_LIT("secret:");
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v; v = yoi_sdk_json_next(v)) {
    yoi_str text = {NULL, 0};
    (void)yoi_sdk_json_str(v, &text);
    if (!yoi_sdk_str_starts(text, prefix) || e->n == YOI_HTTP_TOKEN_SECRETS_MAX)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "'secrets' of a token must be 'secret:NAME', at most %d of them",
                          YOI_HTTP_TOKEN_SECRETS_MAX);
    text = (yoi_str){text.ptr + prefix.len, text.len - prefix.len};
    if (add_secret(e, text) != YOI_OK) return yoi_sdk_fail_memory(err);
  }
  return YOI_OK;
}

static int is_taken(const struct http_door *d, const char *principal) {
  for (size_t i = 0; i < d->n; i++)
    if (d->entries[i].caller && strcmp(d->entries[i].caller->principal, principal) == 0) return 1;
  return 0;
}

static yoi_status add_caller(struct http_door *d, yoi_str name, uint64_t ops, yoi_str workspace,
                             struct http_rate rate, yoi_error *err) {
  char principal[YOI_PRINCIPAL_MAX + 1];
  int n = snprintf(principal, sizeof principal, "token:%.*s", YOI_ARG(name));
  if (is_taken(d, principal))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "two tokens have the name '%.*s'",
                        YOI_ARG(name));
  struct http_entry *e = &d->entries[d->n++];
  e->caller = http_caller_new((yoi_str){principal, (size_t)n}, ops, workspace, rate);
  return e->caller ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status read_entry(struct http_door *d, const yoi_sdk_json *v, yoi_error *err) {
  yoi_str name = {NULL, 0}, workspace = {NULL, 0};
  uint64_t ops = 0;
  struct http_rate rate = read_rate(yoi_sdk_json_get(v, "rate"), d->rate);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &name);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "workspace"), &workspace);
  if (!yoi_sdk_name_valid(name))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                        "the name of a token is not 1 to 64 of A-Z a-z 0-9 _ - .");
  if (workspace.len > 0 && !yoi_sdk_id_valid(workspace))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                        "the workspace of token '%.*s' is not an identifier", YOI_ARG(name));
  yoi_status st =
      http_permissions(yoi_sdk_json_get(v, "permissions"), workspace.len > 0, &ops, err);
  if (st == YOI_OK) st = add_caller(d, name, ops, workspace, rate, err);
  if (st != YOI_OK) return st;
  d->entries[d->n - 1].min = YOI_HTTP_TOKEN_BYTES_MIN;
  return read_secrets(&d->entries[d->n - 1], yoi_sdk_json_get(v, "secrets"), err);
}

yoi_status http_door_read(struct http_instance *in, const yoi_sdk_json *config, yoi_error *err) {
  struct http_door *d = &in->door;
  const yoi_sdk_json *list = yoi_sdk_json_get(config, "tokens");
  size_t n = yoi_sdk_json_count(list);
  int64_t reload_ms = YOI_HTTP_TOKEN_RELOAD_MS;
  yoi_status st = YOI_OK;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(config, "token_reload_ms"), &reload_ms);
  d->reload_ms = (uint64_t)reload_ms;
  d->rate = read_rate(yoi_sdk_json_get(config, "rate"), (struct http_rate){0, 0});
  d->entries = yoi_sdk_calloc(n + 1, sizeof *d->entries); /* and the listener's own */
  d->seen = yoi_sdk_calloc(n + 1, sizeof *d->seen);
  d->said = yoi_sdk_calloc(n + 1, sizeof *d->said);
  if (!d->entries || !d->seen || !d->said) return yoi_sdk_fail_memory(err);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v && st == YOI_OK;
       v = yoi_sdk_json_next(v))
    st = read_entry(d, v, err);
  return st;
}

void http_door_close(struct http_instance *in) {
  struct http_door *d = &in->door;
  for (size_t i = 0; i < d->n; i++) {
    http_caller_unref(d->entries[i].caller);
    for (size_t k = 0; k < d->entries[i].n; k++) yoi_sdk_str_free(&d->entries[i].secrets[k]);
  }
  http_ring_unref(d->ring);
  http_pass_unref(d->open);
  yoi_sdk_free(d->entries);
  yoi_sdk_free(d->seen);
  yoi_sdk_free(d->said);
}

/* ---- a ring ---------------------------------------------------------------------- */

static yoi_status check_value(const struct http_entry *e, yoi_str token, yoi_error *err) {
  const char *name = strchr(e->caller->principal, ':') + 1;
  if (token.len < e->min || token.len == 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "token '%s' has less than %zu characters",
                        name, e->min > 0 ? e->min : 1);
  for (size_t i = 0; i < token.len; i++)
    if ((unsigned char)token.ptr[i] <= 0x20 || (unsigned char)token.ptr[i] >= 0x7f)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "token '%s' has a character that no header field can carry", name);
  return YOI_OK;
}

struct making {
  struct http_pass **passes;
  size_t n;
  const struct http_ring *old; /* NULL: none */
};

/* The pass of that value: the one that there was, or a new one. */
static yoi_status add_pass(struct making *m, struct http_entry *e, yoi_str token, yoi_error *err) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_sha256(token.ptr, token.len, sha)) return yoi_sdk_fail_memory(err);
  for (size_t i = 0; i < m->n; i++) {
    if (memcmp(m->passes[i]->sha, sha, sizeof sha) != 0) continue;
    if (m->passes[i]->caller == e->caller) return YOI_OK; /* both its secrets are the same */
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'%s' and '%s' have the same value",
                        m->passes[i]->caller->principal, e->caller->principal);
  }
  struct http_pass *p = NULL;
  for (size_t i = 0; m->old && i < m->old->n && !p; i++)
    if (m->old->passes[i]->caller == e->caller &&
        memcmp(m->old->passes[i]->sha, sha, sizeof sha) == 0)
      p = http_pass_ref(m->old->passes[i]);
  if (!p) p = http_pass_new(e->caller, NULL, sha, 0);
  if (!p) return yoi_sdk_fail_memory(err);
  m->passes[m->n++] = p;
  return YOI_OK;
}

/* All secrets of an entry; one from the environment may have no value. */
static yoi_status add_entry(struct http_instance *in, struct making *m, struct http_entry *e,
                            yoi_error *err) {
  const yoi_host_secret *secrets = http_secrets(in);
  char value[YOI_SECRET_BYTES_MAX];
  size_t before = m->n;
  if (!secrets)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no '%s'", YOI_HOST_SECRET_ID);
  for (size_t i = 0; i < e->n; i++) {
    size_t len = 0;
    yoi_status st = secrets->get(in->host, e->secrets[i], value, sizeof value, &len, err);
    if (st == YOI_NOT_FOUND && e->n > 1) continue;
    if (st == YOI_OK) st = check_value(e, (yoi_str){value, len}, err);
    if (st == YOI_OK) st = add_pass(m, e, (yoi_str){value, len}, err);
    yoi_sdk_wipe(value, sizeof value);
    if (st != YOI_OK) return st;
  }
  if (m->n > before) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "no secret of '%s' has a value",
                      e->caller->principal);
}

static yoi_status make_ring(struct http_instance *in, struct http_ring **out, yoi_error *err) {
  struct http_door *d = &in->door;
  struct making m = {.old = d->ring};
  yoi_status st = YOI_OK;
  m.passes = yoi_sdk_calloc(d->n * YOI_HTTP_TOKEN_SECRETS_MAX + 1, sizeof *m.passes);
  if (!m.passes) return yoi_sdk_fail_memory(err);
  for (size_t i = 0; i < d->n && st == YOI_OK; i++) st = add_entry(in, &m, &d->entries[i], err);
  if (st == YOI_OK) {
    *out = http_ring_new(m.passes, m.n);
    if (!*out) st = yoi_sdk_fail_memory(err);
  } else {
    for (size_t i = 0; i < m.n; i++) http_pass_unref(m.passes[i]);
  }
  yoi_sdk_free(m.passes);
  return st;
}

/* The sum of generations, which only grow. */
static void note_generations(const struct http_instance *in, uint64_t *out) {
  const yoi_host_secret *s = http_secrets(in);
  const struct http_door *d = &in->door;
  for (size_t i = 0; i < d->n; i++) {
    out[i] = 0;
    for (size_t k = 0; k < d->entries[i].n && s && YOI_HAS(yoi_host_secret, s, generation); k++)
      out[i] += s->generation(in->host, d->entries[i].secrets[k]);
  }
}

/* ---- serving ------------------------------------------------------------------------ */

yoi_status http_door_serve(struct http_instance *in, const yoi_listener *on, yoi_error *err) {
  struct http_door *d = &in->door;
  int browser = on->surface == YOI_SURFACE_BROWSER;
  yoi_str all = {NULL, 0};
  yoi_status st = YOI_OK;
  if (on->token_secret.len > 0) {
    st = add_caller(d, on->token_secret, HTTP_OPS_ALL, all, d->rate, err);
    if (st == YOI_OK && add_secret(&d->entries[d->n - 1], on->token_secret) != YOI_OK)
      st = yoi_sdk_fail_memory(err);
  }
  if (st != YOI_OK) return st;
  note_generations(in, d->seen);
  if ((st = make_ring(in, &d->ring, err)) != YOI_OK) return st;
  /* Where tokens are asked for it is everybody's, for probes and to log in: with a
   * rate one could keep the others out. */
  d->closed = d->n > 0;
  struct http_caller *anyone =
      http_caller_new(browser ? YOI_LIT("surface:browser") : YOI_LIT("surface:runtime"),
                      HTTP_OPS_ALL, all, d->closed ? (struct http_rate){0, 0} : d->rate);
  d->open = anyone ? http_pass_new(anyone, NULL, NULL, 0) : NULL;
  http_caller_unref(anyone);
  return d->open ? YOI_OK : yoi_sdk_fail_memory(err);
}

const struct http_ring *http_door_ring(struct http_loop *l) {
  struct http_ring *next = atomic_load(&l->ring_next) ? atomic_exchange(&l->ring_next, NULL) : NULL;
  if (next) {
    http_ring_unref(l->ring);
    l->ring = next;
  }
  return l->ring;
}

/* Those of the old ring that are not in the new one let nobody in from here on,
 * whichever ring a loop has. */
static void hand_out(struct http_instance *in, struct http_ring *fresh) {
  struct http_door *d = &in->door;
  for (size_t i = 0; i < d->ring->n; i++) {
    int stays = 0;
    for (size_t k = 0; k < fresh->n; k++) stays |= fresh->passes[k] == d->ring->passes[i];
    if (!stays) http_pass_revoke(d->ring->passes[i]);
  }
  for (uint32_t i = 0; i < in->n_loops; i++)
    http_ring_unref(atomic_exchange(&in->loops[i].ring_next, http_ring_ref(fresh)));
  http_ring_unref(d->ring);
  d->ring = fresh;
}

static void look(struct http_instance *in) {
  struct http_door *d = &in->door;
  struct http_ring *fresh = NULL;
  struct yoi_sdk_error e;
  uint64_t now[YOI_HTTP_TOKENS_MAX + 1];
  size_t bytes = d->n * sizeof *now;
  note_generations(in, now);
  if (memcmp(now, d->seen, bytes) == 0) return;
  if (make_ring(in, &fresh, yoi_sdk_error_init(&e)) != YOI_OK) {
    if (memcmp(now, d->said, bytes) != 0)
      http_log(in, YOI_LOG_WARN, "tokens stay as they were", (yoi_str){NULL, 0}, "reason",
               yoi_sdk_str(e.message));
    memcpy(d->said, now, bytes);
    return;
  }
  memcpy(d->seen, now, bytes);
  hand_out(in, fresh);
  http_log(in, YOI_LOG_INFO, "tokens reloaded", (yoi_str){NULL, 0}, NULL, (yoi_str){NULL, 0});
}

static void in_ms(struct http_loop *l, uint64_t ms, yoi_loop_fn fn) {
  const struct http_instance *in = l->in;
  uint64_t at = in->clock->monotonic_ns(in->host) + ms * 1000000u, unused;
  if (in->loops_of->timer(in->host, at, fn, l, &unused) != YOI_OK)
    http_log(l->in, YOI_LOG_ERROR, "tokens are not looked at any more", (yoi_str){NULL, 0}, NULL,
             (yoi_str){NULL, 0});
}

static void on_reload(void *ctx);

static void on_look(void *ctx) {
  struct http_loop *l = ctx;
  uint64_t ms = l->in->door.reload_ms;
  look(l->in);
  in_ms(l, ms > LOOK_MS ? ms - LOOK_MS : 1, on_reload);
}

static void on_reload(void *ctx) {
  struct http_loop *l = ctx;
  uint64_t ms = l->in->door.reload_ms;
  http_secrets(l->in)->refresh(l->in->host);
  in_ms(l, ms > LOOK_MS ? LOOK_MS : ms, on_look);
}

void http_door_watch(struct http_loop *l) {
  const yoi_host_secret *s = http_secrets(l->in);
  if (l->in->door.n == 0) return;
  if (s && YOI_HAS(yoi_host_secret, s, generation)) in_ms(l, l->in->door.reload_ms, on_reload);
  else
    http_log(l->in, YOI_LOG_WARN, "tokens are read once", (yoi_str){NULL, 0}, "reason",
             YOI_LIT("the host cannot read them again"));
}
