/* t_bundle.c - bundles of a runtime that takes some: they are named by the sha256 of
 * their bytes, and are kept as they came.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "life.h"

struct shelf {
  struct life l;
  char *bytes, digest[YOI_SDK_DIGEST_SIZE];
};

static void name(struct shelf *s) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  if (!yoi_sdk_sha256(s->bytes, strlen(s->bytes), sha)) abort();
  yoi_sdk_digest_text(sha, s->digest);
}

static struct call on(struct conform *c, struct shelf *s, uint32_t op, const char *bytes) {
  struct call k;
  call_op_on(c, &s->l.i, op, "", s->digest, bytes, &k);
  return k;
}

/* A runtime that offers all of them, and a bundle that nobody has. */
static struct shelf begin(struct conform *c) {
  struct shelf s = {
      .l = life_begin_with(c, "bundle.put bundle.have bundle.get bundle.list bundle.delete")};
  s.bytes = conform_text(
      "{\"schema\":\"yoi.bundle/1\",\"id\":\"conform\",\"revision\":\"%s\","
      "\"workspace_id\":\"conform\",\"created_at\":\"2026-01-01T00:00:00Z\","
      "\"provenance\":{\"source\":\"conform\"},\"grants\":[\"model:main\"],"
      "\"prompts\":[{\"name\":\"main\",\"media_type\":\"text/plain\",\"text\":\"Be brief.\"}],"
      "\"models\":[{\"name\":\"main\",\"ref\":\"model:main\"}],"
      "\"profiles\":[{\"name\":\"main\",\"prompt\":\"main\",\"model\":\"main\"}]}",
      s.l.id);
  name(&s);
  (void)on(c, &s, YOI_OP_BUNDLE_DELETE, ""); /* that the same test has left behind */
  return s;
}

static struct shelf begin_with_bundle(struct conform *c) {
  struct shelf s = begin(c);
  struct call k = on(c, &s, YOI_OP_BUNDLE_PUT, s.bytes);
  if (!call_event(&k, YOI_EVENT_RESULT))
    conform_skip(c, "see bundle.put: status %d: %s", k.status, k.error.message);
  return s;
}

static void end(struct conform *c, struct shelf *s) {
  (void)on(c, s, YOI_OP_BUNDLE_DELETE, "");
  free(s->bytes);
  rig_close(c, &s->l.i);
}

static void put(struct conform *c) {
  struct shelf s = begin(c);
  struct call k = on(c, &s, YOI_OP_BUNDLE_PUT, s.bytes);
  const struct call_event *e = call_event(&k, YOI_EVENT_RESULT);
  if (!e) conform_fail(c, "the bundle", "status %d: %s", k.status, k.error.message);
  if (!life_is(e->text, "bundle.digest", s.digest))
    conform_fail(c, "{\"bundle\": {...}} with its digest", "%.400s", e->text);
  if ((e->flags & YOI_EV_CREATED) == 0)
    conform_fail(c, "YOI_EV_CREATED, since it is new", "flags %u", e->flags);
  k = on(c, &s, YOI_OP_BUNDLE_PUT, s.bytes);
  e = call_event(&k, YOI_EVENT_RESULT);
  if (!e || (e->flags & YOI_EV_CREATED) != 0)
    conform_fail(c, "the same again is no other bundle", "status %d, flags %u", k.status,
                 e ? e->flags : 0);
  end(c, &s);
}

static void digest(struct conform *c) {
  struct shelf s = begin(c);
  char last = s.digest[YOI_SDK_DIGEST_SIZE - 2];
  s.digest[YOI_SDK_DIGEST_SIZE - 2] = last == '0' ? '1' : '0';
  struct call k = on(c, &s, YOI_OP_BUNDLE_PUT, s.bytes);
  life_must_fail(c, &k, YOI_CODE_BUNDLE_DIGEST_MISMATCH, "bytes of another digest");
  k = on(c, &s, YOI_OP_BUNDLE_GET, "");
  if (k.status <= YOI_OK) conform_fail(c, "what was refused is not there", "it is");
  end(c, &s);
}

static void get(struct conform *c) {
  struct shelf s = begin_with_bundle(c);
  struct call k = on(c, &s, YOI_OP_BUNDLE_GET, "");
  if (strcmp(life_result(&k), s.bytes) != 0)
    conform_fail(c, "the bytes that were put", "status %d: %.400s", k.status, life_result(&k));
  k = on(c, &s, YOI_OP_BUNDLE_HAVE, "");
  if (!life_is(life_result(&k), "bundle.digest", s.digest))
    conform_fail(c, "bundle.have tells of it", "status %d: %.400s", k.status, life_result(&k));
  end(c, &s);
}

static void list(struct conform *c) {
  struct shelf s = begin_with_bundle(c);
  struct call k;
  char *body = conform_text("{\"limit\":256}");
  call_op(c, &s.l.i, YOI_OP_BUNDLE_LIST, "", body, "", 0, &k);
  free(body);
  yoi_str all = yoi_sdk_json_raw_get(yoi_sdk_str(life_result(&k)), "bundles"), one, last = {"", 0};
  char *mine = conform_text("\"%s\"", s.digest);
  size_t pos = 0, seen = 0;
  if (!all.len || !yoi_sdk_json_raw_get(yoi_sdk_str(life_result(&k)), "next").len)
    conform_fail(c, "{\"bundles\": [...], \"next\"}", "status %d: %.300s", k.status,
                 life_result(&k));
  while (yoi_sdk_json_raw_each(all, &pos, &one)) {
    yoi_str found = yoi_sdk_json_raw_get(one, "digest");
    if (!found.len || yoi_sdk_str_cmp(last, found) >= 0)
      conform_fail(c, "bundles in byte order of their digests", "%.*s behind %.*s",
                   YOI_ARG(found), YOI_ARG(last));
    if (yoi_sdk_str_is(found, mine)) seen++;
    last = found;
  }
  if (seen != 1 && yoi_sdk_json_raw_get(yoi_sdk_str(life_result(&k)), "next").ptr[0] == 'n')
    conform_fail(c, "the bundle that was put, once", "%zu times", seen);
  free(mine);
  end(c, &s);
}

static void delete(struct conform *c) {
  static const uint32_t ops[] = {YOI_OP_BUNDLE_GET, YOI_OP_BUNDLE_HAVE, YOI_OP_BUNDLE_DELETE};
  struct shelf s = begin_with_bundle(c);
  struct call k = on(c, &s, YOI_OP_BUNDLE_DELETE, "");
  if (k.status != YOI_END)
    conform_fail(c, "it is deleted", "status %d: %s", k.status, k.error.message);
  for (size_t n = 0; n < sizeof ops / sizeof *ops; n++) {
    k = on(c, &s, ops[n], "");
    life_must_fail(c, &k, YOI_CODE_BUNDLE_NOT_FOUND, yoi_sdk_op_name(ops[n]));
  }
  end(c, &s);
}

#define BUNDLE(name, fn, says, promise) \
  {"bundle." name, ON_RUNTIME, 0, fn, says, "yoi/ops.h", promise}

extern const struct conform_test conform_bundle[];
const struct conform_test conform_bundle[] = {
    BUNDLE("put", put, "A bundle that was put is there, and is put once.",
           "X(BUNDLE_PUT, 13, \"bundle.put\""),
    BUNDLE("digest", digest, "Bytes that are not those of the digest are refused.",
           "\"bundle_digest_mismatch\", 422"),
    BUNDLE("get", get, "A bundle is given as it came, byte by byte.",
           "X(BUNDLE_GET, 15, \"bundle.get\""),
    BUNDLE("list", list, "The list of bundles has its form, in byte order.",
           "X(BUNDLE_LIST, 16, \"bundle.list\""),
    BUNDLE("delete", delete, "A bundle that was deleted is bundle_not_found.",
           "\"bundle_not_found\", 404"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
