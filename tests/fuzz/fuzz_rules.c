/* sources: abi/sdk/core abi/sdk/schema abi/sdk/rules; libs: -lcjson -lcrypto
 *
 * Any pattern, and what stands behind its first NUL, without a line feed at its
 * end, as the arguments of a call (as they are when they are JSON, else as a text
 * in them). What must hold:
 *
 *  1. What fits a rule that allows fits the same rule when it denies: being
 *     unclear is never of use.
 *  2. Paths and hosts have one form: it is its own, and no segment of a path in
 *     it is "." or "..".
 *  3. Of many patterns the index finds what each finds alone.
 *  4. "**" fits every path, and "*" every host.
 *  5. The text as the rules of a bundle is taken, or refused as invalid or as
 *     unsupported. What is taken abstains from what is no call of a tool.
 */
#include <sdk/glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/sdk/rules/hostname.h"
#include "abi/sdk/rules/internal.h"
#include "abi/sdk/rules/path.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* {"path":T,"url":T,"x":T}, or what is JSON itself in x. 0: no UTF-8. */
static int write_arguments(yoi_str text, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  int is_json = yoi_sdk_json_check(text, 0, NULL) == YOI_OK;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  static const char *const names[] = {"path", "url", "x"};
  for (int i = 0; i < 3; i++) {
    yoi_sdk_jsonw_key(&w, names[i]);
    if (is_json)
      yoi_sdk_jsonw_raw(&w, text);
    else
      yoi_sdk_jsonw_str(&w, text);
  }
  yoi_sdk_jsonw_close(&w, '}');
  return yoi_sdk_json_check(yoi_sdk_buf_str(out), 0, NULL) == YOI_OK;
}

/* 1: fits; 0: does not; -1: the rule is refused. */
static int fits(const char *member, const char *decision, yoi_str pattern, yoi_str arguments) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  struct yoi_sdk_rules *r = NULL;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_buf_addf(&b, "{\"rules\":[{\"name\":\"r\",\"decision\":\"%s\",\"%s\":{\"%s\":", decision,
                   member,
                   *member == 'p'   ? "path"
                   : *member == 'h' ? "url"
                                    : "/x");
  yoi_sdk_jsonw_str(&w, pattern);
  yoi_sdk_buf_adds(&b, YOI_LIT("}}]}"));
  yoi_status st = yoi_sdk_rules_new(yoi_sdk_buf_str(&b), &r, yoi_sdk_error_init(&e));
  yoi_sdk_buf_release(&b);
  if (st != YOI_OK) return -1;
  yoi_policy_request q = {.size = sizeof q,
                          .operation = YOI_LIT("tool.start"),
                          .principal = YOI_LIT("p"),
                          .tool = YOI_LIT("t"),
                          .arguments = arguments};
  int answer = yoi_sdk_rules_decide(r, &q, 1)->verdict != YOI_VERDICT_ABSTAIN;
  yoi_sdk_rules_free(r);
  return answer;
}

static void strict(yoi_str pattern, yoi_str arguments) {
  static const char *const members[] = {"arguments", "paths", "hosts"};
  for (int i = 0; i < 3; i++) {
    int allow = fits(members[i], "allow", pattern, arguments);
    int deny = fits(members[i], "deny", pattern, arguments);
    int ask = fits(members[i], "ask", pattern, arguments);
    MUST((allow < 0) == (deny < 0) && deny == ask && allow <= deny);
  }
}

static void paths(yoi_str pattern, yoi_str text) {
  char path[VALUE_MAX], again[VALUE_MAX], p[VALUE_MAX];
  size_t n, m, len = 0;
  if (!yoi__sdk_rules_path_normal(text, path, sizeof path, &n)) return;
  yoi_str normal = {path, n};
  MUST(yoi__sdk_rules_path_normal(normal, again, sizeof again, &m) && n == m &&
       memcmp(path, again, n) == 0);
  MUST(n == 0 || (path[0] != '/' && path[n - 1] != '/'));
  MUST(yoi__sdk_rules_path_glob(YOI_LIT("**"), normal));
  MUST(!yoi__sdk_rules_path_glob(YOI_LIT("**/.."), normal) &&
       !yoi__sdk_rules_path_glob(YOI_LIT("../**"), normal));
  if (yoi__sdk_rules_path_pattern(pattern, p, sizeof p, &len) != NULL) return;
  struct index x = {.kind = INDEX_PATH};
  struct bits found = {{0}};
  MUST(yoi__sdk_rules_index_add(&x, (yoi_str){p, len}, 0) &&
       yoi__sdk_rules_index_add(&x, YOI_LIT("a/*"), 1));
  MUST(yoi__sdk_rules_index_build(&x));
  yoi__sdk_rules_index_find(&x, normal, &found);
  MUST(bits_has(&found, 0) == yoi__sdk_rules_path_glob((yoi_str){p, len}, normal));
  MUST(bits_has(&found, 1) == yoi__sdk_rules_path_glob(YOI_LIT("a/*"), normal));
  yoi__sdk_rules_index_free(&x);
}

static void hosts(yoi_str pattern, yoi_str text) {
  char host[HOSTNAME_MAX + 1], again[HOSTNAME_MAX + 1], url[HOSTNAME_MAX + 16];
  size_t n, m;
  if (yoi__sdk_rules_hostname_pattern(pattern, host, &n) == NULL) {
    MUST(n > 0 && n <= HOSTNAME_MAX && strlen(host) == n);
    MUST(yoi__sdk_rules_hostname_pattern((yoi_str){host, n}, again, &m) == NULL && n == m);
    MUST(memcmp(host, again, n) == 0);
  }
  if (!yoi__sdk_rules_hostname_of_url(text, host, &n)) return;
  int len = snprintf(url, sizeof url, "http://%.*s/", (int)n, host);
  MUST(n > 0 && n <= HOSTNAME_MAX);
  MUST(yoi__sdk_rules_hostname_of_url((yoi_str){url, (size_t)len}, again, &m) && n == m);
  MUST(memcmp(host, again, n) == 0 && yoi_sdk_glob(YOI_LIT("*"), (yoi_str){host, n}));
}

static void texts(yoi_str pattern, yoi_str text) {
  struct index x = {.kind = INDEX_TEXT};
  struct bits found = {{0}};
  MUST(yoi__sdk_rules_index_add(&x, pattern, 3) && yoi__sdk_rules_index_add(&x, text, 64));
  MUST(yoi__sdk_rules_index_build(&x));
  yoi__sdk_rules_index_find(&x, text, &found);
  MUST(bits_has(&found, 3) == yoi_sdk_glob(pattern, text));
  MUST(bits_has(&found, 64) == yoi_sdk_glob(text, text));
  yoi__sdk_rules_index_free(&x);
}

static void bundle(yoi_str text) {
  struct yoi_sdk_rules *r = NULL;
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  yoi_policy_request q = {
      .size = sizeof q, .operation = YOI_LIT("worker.stop"), .principal = YOI_LIT("p")};
  if (yoi_sdk_rules_of_bundle(text, &r, err) != YOI_OK) {
    MUST(r == NULL);
    MUST(err->code == YOI_CODE_BUNDLE_INVALID || err->code == YOI_CODE_UNSUPPORTED_DECLARATION);
    MUST(yoi_sdk_json_check(yoi_sdk_str(e.details), 0, NULL) == YOI_OK);
    return;
  }
  MUST(yoi_sdk_rules_decide(r, &q, 1)->verdict == YOI_VERDICT_ABSTAIN);
  yoi_sdk_rules_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *all = (const char *)data, *nul = size > 0 ? memchr(data, 0, size) : NULL;
  struct yoi_sdk_buf arguments;
  if (nul == NULL || size > 2 * VALUE_MAX) return 0;
  yoi_str pattern = {all, (size_t)(nul - all)}, text = {nul + 1, size - pattern.len - 1};
  if (text.len > 0 && text.ptr[text.len - 1] == '\n') text.len--;
  yoi_sdk_buf_init(&arguments, YOI_JSON_BYTES_MAX);
  if (write_arguments(text, &arguments)) strict(pattern, yoi_sdk_buf_str(&arguments));
  yoi_sdk_buf_release(&arguments);
  paths(pattern, text);
  hosts(pattern, text);
  texts(pattern, text);
  bundle(text);
  return 0;
}
