/* t_mem.c - memory that is lent, and tables that are shorter than today's.
 *
 * Texts are put where their page ends, so that one byte more is a crash, and are
 * taken away when the call that they were lent to has returned.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yoi/host_clock.h>
#include <yoi/host_metrics.h>
#include <yoi/host_secret.h>

#include "rig.h"

/* ---- the config ------------------------------------------------------------------ */

static void open_with(struct conform *c, struct paper *p, struct rig_instance *i) {
  struct yoi_sdk_error e;
  struct rig_instance warm = rig_open(c);
  rig_close(c, &warm);
  yoi_str config = paper_text(p, c->rig->entry->config);
  if (rig_try_open(c, NULL, &config, i, yoi_sdk_error_init(&e)) != YOI_OK)
    conform_skip(c, "see inst.open: %s", e.message);
}

static void config_view(struct conform *c) {
  struct paper p = {.how = PAPER_EDGE};
  struct rig_instance i = {.in = NULL};
  open_with(c, &p, &i);
  rig_close(c, &i);
}

static void use(struct conform *c, struct rig_instance *i) {
  struct call k = {.stream = NULL};
  if (rig_can_ask(c) && call_start(c, i, &k, NULL, NULL))
    (void)call_finish(c, &k, 10000);
  call_release(&k);
}

static void config_borrowed(struct conform *c) {
  struct paper p = {.how = PAPER_SLACK};
  struct rig_instance i = {.in = NULL};
  open_with(c, &p, &i);
  paper_revoke(&p);
  use(c, &i);
  rig_close(c, &i);
}

/* ---- requests -------------------------------------------------------------------------- */

static void ask_on(struct conform *c, struct rig_instance *i, struct paper *p, int revoke) {
  struct call k = {.status = YOI_OK};
  if (!rig_token_new(c, &k.token)) abort();
  union rig_request *req = rig_request(c, i, p, k.token.token);
  k.status = rig_ask(c, i, req, &k.stream, yoi_sdk_error_init(&k.error));
  if (k.status != YOI_OK) k.stream = NULL;
  if (revoke) paper_revoke(p);
  (void)call_finish(c, &k, 10000);
  call_release(&k);
}

static void request_view(struct conform *c) {
  struct paper p = {.how = PAPER_EDGE};
  struct rig_instance i = rig_open(c);
  ask_on(c, &i, &p, 0);
  rig_close(c, &i);
}

/* Each text with a byte behind it: reading that is another test's. */
static void request_borrowed(struct conform *c) {
  struct paper p = {.how = PAPER_SLACK};
  struct rig_instance i = rig_open(c);
  ask_on(c, &i, &p, 1);
  rig_close(c, &i);
}

static struct call ask_newer(struct conform *c, struct rig_instance *i, size_t odd) {
  struct call k = {.stream = NULL};
  struct paper p = {.how = PAPER_PLAIN};
  if (!rig_token_new(c, &k.token)) abort();
  union rig_request *newer = rig_request_newer(c, i, &p, k.token.token, odd);
  k.status = rig_ask(c, i, newer, &k.stream, yoi_sdk_error_init(&k.error));
  if (k.status != YOI_OK) k.stream = NULL;
  (void)call_finish(c, &k, 10000);
  call_release(&k);
  paper_release(&p);
  return k;
}

static void request_larger(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call usual;
  if (call_start(c, &i, &usual, NULL, NULL)) (void)call_finish(c, &usual, 10000);
  call_release(&usual);
  struct call k = ask_newer(c, &i, RIG_TAIL);
  if (k.status != usual.status)
    conform_fail(c, "the same answer as to a request of today's size", "status %d: %s", k.status,
                 k.error.message);
  rig_close(c, &i);
}

/* What it asks for more is behind the end that the plugin knows. */
static void request_unknown(struct conform *c) {
  static const size_t odd[] = {0, RIG_TAIL / 2, RIG_TAIL - 1};
  struct rig_instance i = rig_open(c);
  for (size_t n = 0; n < sizeof odd / sizeof *odd; n++) {
    struct call k = ask_newer(c, &i, odd[n]);
    if (k.status != YOI_UNIMPLEMENTED)
      conform_fail(c, "UNIMPLEMENTED: it does not know what that byte asks for",
                   "status %d with a byte set at offset %zu of %zu: %s", k.status,
                   rig_request_size(c->kind) + odd[n], rig_request_size(c->kind) + RIG_TAIL,
                   k.error.message);
  }
  rig_close(c, &i);
}

/* ---- events ---------------------------------------------------------------------------- */

/* A batch lives as long as nothing else is asked of that stream. */
static void batch_own(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call a, b;
  const yoi_event *const *events = NULL;
  char *before = NULL;
  size_t n = 0;
  call_start_or_skip(c, &i, &a);
  call_start_or_skip(c, &i, &b);
  for (int tries = 0; tries < 500; tries++) {
    yoi_status st = a.stream->ops->next(a.stream, &events, &n, NULL);
    if (st == YOI_OK) break;
    if (st != YOI_AGAIN) conform_skip(c, "the stream has no event");
    rig_pump(c, 20);
  }
  if (!n) conform_skip(c, "the stream has no event");
  yoi_event first = *events[0];
  before = malloc(first.text.len + 1);
  if (!before) abort();
  memcpy(before, first.text.ptr, first.text.len);
  (void)call_finish(c, &b, 5000);
  call_release(&b);
  if (memcmp(&first, events[0], sizeof first) != 0 ||
      memcmp(before, first.text.ptr, first.text.len) != 0)
    conform_fail(c, "a batch stays until the next next of its own stream",
                 "another stream's next has changed it");
  (void)call_finish(c, &a, 5000);
  call_release(&a);
  rig_close(c, &i);
}

/* ---- hosts of before -------------------------------------------------------------------- */

/* What an older host had: of these tables less, of others all or nothing. */
static const struct old {
  const char *id;
  uint32_t since; /* 1.N */
  struct {
    uint32_t minor;
    size_t size;
  } was[2];
} olds[] = {
    {YOI_HOST_METRICS_ID, 0, {{1, offsetof(yoi_host_metrics, make)}, {0, 0}}},
    {YOI_HOST_SECRET_ID, 0, {{1, offsetof(yoi_host_secret, refresh)}, {0, 0}}},
    {"yoi.host.grant/1", 4, {{0, 0}, {0, 0}}},
    {"yoi.host.mount/1", 4, {{0, 0}, {0, 0}}},
    {"yoi.host.net/1", 4, {{0, 0}, {0, 0}}},
    {"yoi.host.tool/1", 4, {{0, 0}, {0, 0}}},
    {"yoi.host.turn/1", 4, {{0, 0}, {0, 0}}},
};

static struct {
  const yoi_host *real;
  uint32_t minor;
  struct paper paper;
  const void *tables[sizeof olds / sizeof *olds];
} older;

static const void *old_interface(const yoi_host *h, yoi_str id) {
  const void *table = older.real->get_interface(older.real, id);
  (void)h;
  for (size_t i = 0; table && i < sizeof olds / sizeof *olds; i++) {
    if (!yoi_sdk_str_is(id, olds[i].id)) continue;
    if (older.minor < olds[i].since) return NULL;
    if (older.minor >= olds[i].was[0].minor) return table;
    if (!older.tables[i]) {
      uint32_t size = (uint32_t)olds[i].was[0].size;
      char *copy = paper_take(&older.paper, size);
      memcpy(copy, table, size);
      memcpy(copy, &size, sizeof size);
      older.tables[i] = copy;
    }
    return older.tables[i];
  }
  return table;
}

/* As it was: sizes of requests, of each minor. */
static uint32_t old_size(uint32_t kind, uint32_t minor) {
  if (minor >= 4) return (uint32_t)rig_request_size(kind);
  return kind == YOI_KIND_RUNTIME ? (uint32_t)offsetof(yoi_request, workspace)
         : kind == YOI_KIND_MODEL ? (uint32_t)offsetof(yoi_model_request, worker_id)
                                  : (uint32_t)offsetof(yoi_policy_request, tool);
}

static void ask_old(struct conform *c, struct rig_instance *i) {
  struct paper p = {.how = PAPER_PLAIN}, edge = {.how = PAPER_EDGE};
  struct call k = {.status = YOI_OK};
  if (!rig_token_new(c, &k.token)) abort();
  union rig_request *req = rig_request(c, i, &p, k.token.token);
  uint32_t size = old_size(c->kind, older.minor);
  union rig_request *cut = paper_take(&edge, size);
  memcpy(cut, req, size);
  memcpy(cut, &size, sizeof size);
  k.status = rig_ask(c, i, cut, &k.stream, yoi_sdk_error_init(&k.error));
  if (k.status != YOI_OK) k.stream = NULL;
  (void)call_finish(c, &k, 10000);
  call_release(&k);
}

static void old_host(struct conform *c, uint32_t minor) {
  struct rig_instance i = {.in = yoi__instance_new(c->rig->host, c->rig->config, c->rig->entry,
                                                   YOI_LIT("subject"))};
  struct paper p = {.how = PAPER_EDGE};
  struct yoi_sdk_error e;
  memset(&older, 0, sizeof older);
  older.minor = minor;
  older.paper.how = PAPER_EDGE;
  older.real = rig_host(&i);
  yoi_host *host = paper_take(&p, sizeof *host);
  *host = *older.real;
  host->get_interface = old_interface;
  yoi_status st = rig_try_open(c, host, NULL, &i, yoi_sdk_error_init(&e));
  if (st != YOI_OK && e.message[0] == 0)
    conform_fail(c, "what it misses is said", "open answers %d without a message", st);
  if (st != YOI_OK) return; /* it needs more than that host has, and says so */
  if (rig_can_ask(c)) ask_old(c, &i);
  rig_close(c, &i);
}

static void host_truncated(struct conform *c) {
  uint32_t first = c->kind == YOI_KIND_TOOL ? 4 : c->kind == YOI_KIND_POLICY ? 3 : 0;
  struct rig_instance warm = rig_open(c);
  rig_close(c, &warm);
  for (uint32_t minor = first; minor <= YOI_ABI_MINOR; minor++) old_host(c, minor);
}

#define MEM(name, kinds, fn, says, header, promise) \
  {"mem." name, kinds, NEEDS_NEAR, fn, says, header, promise}

extern const struct conform_test conform_mem[];
const struct conform_test conform_mem[] = {
    MEM("config-view", ON_ALL, config_view, "open reads no byte behind its config.", "yoi/base.h",
        "Borrowed UTF-8, not terminated;"),
    MEM("config-borrowed", ON_ALL, config_borrowed, "The config is not used when open is over.",
        "yoi/base.h", "Borrowed text lives until the call returns"),
    MEM("request-view", ON_STREAMS, request_view, "start reads no byte behind a text.",
        "yoi/base.h", "Borrowed UTF-8, not terminated;"),
    MEM("request-borrowed", ON_STREAMS, request_borrowed,
        "No part of a request is used when start is over.", "yoi/base.h",
        "Borrowed text lives until the call returns"),
    MEM("request-larger", ON_STREAMS, request_larger,
        "A request of a newer host, which asks for nothing new, is answered as any.", "yoi/base.h",
        "A reader copies min(sizes) into a zeroed struct of its own."),
    MEM("request-unknown", ON_STREAMS, request_unknown,
        "A request that asks for something unknown is refused.", "yoi/base.h",
        "a tail that is not all zero there is UNIMPLEMENTED"),
    MEM("batch-own", ON_STREAMS, batch_own, "Events stay while other streams are asked.",
        "yoi/stream.h", "A stream keeps its last batch alive until its next next or release."),
    MEM("host-truncated", ON_ALL, host_truncated,
        "It works with, or refuses by a message, a host of each earlier minor.", "yoi/base.h",
        "ask with YOI_HAS before using it"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
