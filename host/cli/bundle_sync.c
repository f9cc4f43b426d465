/* bundle_sync.c - yoi-host bundle push and pull: bundles of a runtime.
 *
 * The runtime is opened as its config says, by a host of this process without
 * ingress; one that another host holds refuses that, and is asked over HTTP:
 * with --url (remote.c). The digest is never taken from what the runtime says: a
 * pushed one is that of the bytes, and pulled bytes are hashed here.
 */
#include <sdk/json.h>
#include <stdio.h>
#include <string.h>

#include "bundle.h"

static int open_runtime(const char *config, struct cli_config *c, struct yoi_embed **out) {
  int code =
      cli_remote_is(config) ? cli_remote_config(config, c) : cli_config_read(config, c, NULL);
  return code == CLI_OK ? cli_step_host(c, out) : code;
}

static yoi_status call(struct yoi_embed *host, const char *runtime, uint32_t op, yoi_str digest,
                       yoi_str body, char **out, size_t *out_len, yoi_error *err) {
  yoi_request req = {.size = sizeof req, .op = op, .subject = digest, .body = body};
  return yoi_call_sync(host, yoi_sdk_str(runtime), &req, out, out_len, err);
}

static int refused(const char *what, const char *digest, const yoi_error *err) {
  char line[CLI_LINE_MAX];
  snprintf(line, sizeof line, "cannot %s '%s'", what, digest);
  cli_say_error(line, err);
  return CLI_FAILED;
}

static int push(struct yoi_embed *host, const char *runtime, const struct cli_bundle *b, int json) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  char *answer = NULL;
  size_t len = 0;
  if (call(host, runtime, YOI_OP_BUNDLE_PUT, yoi_sdk_str(b->is->digest),
           (yoi_str){b->bytes, b->len}, &answer, &len, err) != YOI_OK)
    return refused("push", b->is->digest, err);
  if (json) {
    printf("%.*s\n", YOI_ARG(((yoi_str){answer, len})));
  } else {
    printf("%s %.*s %.*s\n", b->is->digest, YOI_ARG(b->is->id), YOI_ARG(b->is->revision));
  }
  yoi_free(answer);
  return CLI_OK;
}

int cli_bundle_push(const char *config, const char *runtime, const struct cli_bundle *bundles,
                    size_t n, int json) {
  struct cli_config c = {0};
  struct yoi_embed *host = NULL;
  int code = open_runtime(config, &c, &host);
  for (size_t i = 0; i < n && code == CLI_OK; i++) code = push(host, runtime, &bundles[i], json);
  yoi_host_free(host);
  cli_config_release(&c);
  return fflush(stdout) == 0 ? code : CLI_INTERNAL;
}

/* 1: bytes have that digest; 0: they have not, or cannot be hashed. */
static int is_digest_of(const char *digest, yoi_str bytes) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char text[YOI_SDK_DIGEST_SIZE];
  if (!yoi_sdk_sha256(bytes.ptr, bytes.len, sha)) return 0;
  yoi_sdk_digest_text(sha, text);
  return !strcmp(text, digest);
}

int cli_bundle_pull(const char *config, const char *runtime, const char *digest, const char *to) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct cli_config c = {0};
  struct yoi_embed *host = NULL;
  char *bytes = NULL;
  size_t len = 0;
  if (!yoi_sdk_digest_valid(yoi_sdk_str(digest)))
    return cli_usage_error("'%s' is no digest: it is sha256: and 64 hex digits", digest);
  int code = open_runtime(config, &c, &host);
  if (code == CLI_OK && call(host, runtime, YOI_OP_BUNDLE_GET, yoi_sdk_str(digest),
                             (yoi_str){"", 0}, &bytes, &len, err) != YOI_OK)
    code = refused("pull", digest, err);
  if (code == CLI_OK && !is_digest_of(digest, (yoi_str){bytes, len})) {
    cli_say("runtime '%s' gave other bytes than those of '%s'", runtime, digest);
    code = CLI_FAILED;
  }
  if (code == CLI_OK) code = cli_bundle_write(to, (yoi_str){bytes, len});
  yoi_free(bytes);
  yoi_host_free(host);
  cli_config_release(&c);
  return code;
}
