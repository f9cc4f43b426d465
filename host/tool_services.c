/* host/tool_services.c - what the host gives tools, each time they ask.
 *
 * Invariants:
 *  1. Nothing is handed out that was not asked for here: that the call has the
 *     grant, and that it is in force now (given.c, grant.c).
 *  2. Who asks is the instance behind the yoi_host, and a call is one of its own
 *     or none; so a handle that another plugin guessed is worth nothing.
 *  3. No lock is held while a disk or a callback takes its time.
 */
#include "tool_services.h"

#include <string.h>

#include "given.h"
#include "host.h"
#include "mount.h"
#include "net.h"

static struct yoi__instance *of(const yoi_host *h) {
  return h->ctx;
}

/* ---- grants ------------------------------------------------------------------ */

static yoi_status grant_check(const yoi_host *h, yoi_str grant, yoi_error *err) {
  struct yoi__setup *s = yoi__setup_of(of(h));
  yoi_status st = yoi__grant_check(s->config, grant, err);
  yoi__setup_give(s);
  return st;
}

static yoi_status grant_list(const yoi_host *h, uint64_t call,
                             void (*each)(void *ctx, yoi_str grant), void *ctx) {
  struct yoi__given_list list;
  yoi_status st = yoi__given_get(of(h)->top, of(h), call, &list, NULL);
  for (size_t i = 0; i < list.n; i++) each(ctx, list.texts[i]);
  yoi__setup_give(list.setup);
  return st;
}

static yoi_status grant_value(const yoi_host *h, uint64_t call, yoi_str text, char *buf, size_t cap,
                              size_t *out_len, yoi_error *err) {
  struct yoi_embed *top = of(h)->top;
  struct yoi_sdk_grant grant;
  *out_len = 0;
  const char *expected = yoi_sdk_grant_parse(text, &grant);
  if (expected == NULL && grant.kind != YOI_SDK_GRANT_SHELL && grant.kind != YOI_SDK_GRANT_GIT)
    expected = "'shell:NAME' or 'git:NAME', which have a value";
  if (expected != NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "value of a grant: expected %s", expected);
  struct yoi__setup *s = NULL;
  yoi_status st = yoi__given_has(top, of(h), call, &grant, &s, err);
  if (st != YOI_OK) return st;
  yoi_str value =
      yoi__local_commands(&s->config->local, grant.kind == YOI_SDK_GRANT_GIT, grant.name)->value;
  *out_len = value.len;
  if (value.len > cap)
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE,
                      "the value of a grant has %zu bytes, the buffer %zu", value.len, cap);
  else
    memcpy(buf, value.ptr, value.len);
  yoi__setup_give(s);
  return st;
}

const yoi_host_grant yoi__grant_table = {.size = sizeof yoi__grant_table,
                                         .check = grant_check,
                                         .list = grant_list,
                                         .value = grant_value};

/* ---- mounts ------------------------------------------------------------------- */

static yoi_status mount_open(const yoi_host *h, uint64_t call, yoi_str mount, yoi_str path,
                             uint32_t flags, int32_t *out_fd, yoi_error *err) {
  struct yoi_sdk_grant grant = {
      .kind = YOI_SDK_GRANT_MOUNT, .writable = (flags & YOI_MOUNT_WRITE) != 0, .name = mount};
  *out_fd = -1;
  yoi_status st = yoi__mount_flags(flags, err);
  if (st == YOI_OK && !yoi_sdk_name_valid(mount))
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "expected the name of a mount");
  struct yoi__setup *s = NULL;
  if (st == YOI_OK) st = yoi__given_has(of(h)->top, of(h), call, &grant, &s, err);
  if (st == YOI_OK)
    st = yoi__mount_open(yoi__local_mount(&s->config->local, mount)->fd, mount, path, flags, out_fd,
                         err);
  yoi__setup_give(s);
  return st;
}

const yoi_host_mount yoi__mount_table = {.size = sizeof yoi__mount_table, .open = mount_open};

/* ---- hosts and ports ------------------------------------------------------------ */

/* What a call may speak with: its grants of the kind that are in force. */
struct lists {
  struct yoi__setup *setup; /* a reference: the lists are in its config */
  const struct yoi__network *all[YOI_TOOL_GRANTS_MAX];
  size_t n;
};

static yoi_status find_lists(const struct yoi__instance *in, uint64_t call, struct lists *out,
                             yoi_error *err) {
  struct yoi__given_list list;
  out->n = 0;
  yoi_status st = yoi__given_get(in->top, in, call, &list, err);
  out->setup = list.setup;
  if (st != YOI_OK) return st;
  const struct yoi__config *c = list.setup->config;
  for (size_t i = 0; i < list.n; i++)
    if (list.grants[i].kind == YOI_SDK_GRANT_NET &&
        yoi__grant_for(c, in->plugin, &list.grants[i], NULL) == YOI_OK)
      out->all[out->n++] = yoi__local_network(&c->local, list.grants[i].name);
  return st;
}

static yoi_status done(struct lists *l, yoi_status st) {
  yoi__setup_give(l->setup);
  return st;
}

static int listed(const struct lists *l, const struct yoi__net_host *host, uint32_t port) {
  for (size_t i = 0; i < l->n; i++)
    if (yoi__net_listed(l->all[i]->hosts, l->all[i]->n, host, port)) return 1;
  return 0;
}

/* Both functions begin so: the question is one, and the host is listed. *l is to be
 * done with in any case. */
static yoi_status begin(const yoi_host *h, uint64_t call, yoi_str text, uint32_t port,
                        struct lists *l, struct yoi__net_host *host, yoi_error *err) {
  l->setup = NULL;
  const char *expected = yoi__net_host(text, host);
  if (expected == NULL && (port < 1 || port > UINT16_MAX)) expected = "a port of 1 to 65535";
  if (expected != NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "cannot connect: expected %s", expected);
  yoi_status st = find_lists(of(h), call, l, err);
  if (st != YOI_OK || listed(l, host, port)) return st;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "no grant of this call names host '%.*s' with port %u", YOI_ARG(text), port);
}

static yoi_status net_check(const yoi_host *h, uint64_t call, yoi_str host, uint32_t port,
                            yoi_error *err) {
  struct yoi__net_host parsed;
  struct lists l;
  return done(&l, begin(h, call, host, port, &l, &parsed, err));
}

/* What the name stands for may be spoken with. */
static yoi_status check_address(const struct lists *l, const struct yoi__net_host *host,
                                yoi_str text, uint32_t port, yoi_str address, yoi_error *err) {
  struct yoi__net_host to;
  if (!yoi__net_address(address, &to))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "cannot connect: expected an address");
  if (host->is_address) {
    if (memcmp(host->address, to.address, sizeof to.address) == 0) return YOI_OK;
    return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING, "'%.*s' is an address, and not this one",
                        YOI_ARG(text));
  }
  if (!yoi__net_special(to.address) || listed(l, &to, port)) return YOI_OK;
  if (yoi_sdk_str_is(host->name, "localhost") && yoi__net_loopback(to.address)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_GRANT_MISSING,
                      "host '%.*s' has a private or otherwise special address, which no grant of "
                      "this call names",
                      YOI_ARG(text));
}

static yoi_status net_check_address(const yoi_host *h, uint64_t call, yoi_str text, uint32_t port,
                                    yoi_str address, yoi_error *err) {
  struct yoi__net_host host;
  struct lists l;
  yoi_status st = begin(h, call, text, port, &l, &host, err);
  if (st == YOI_OK) st = check_address(&l, &host, text, port, address, err);
  return done(&l, st);
}

const yoi_host_net yoi__net_table = {
    .size = sizeof yoi__net_table, .check = net_check, .check_address = net_check_address};
