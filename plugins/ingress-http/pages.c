/* ingress-http/pages.c - the two pages for people: what this is, and the login.
 *
 * Each is one document without any other file, made at the start. Its policy lets
 * run and look what stands in it, by their hashes, and nothing else: a text of a
 * worker that got into a page could not run.
 */
#include "http.h"

#include <openssl/evp.h>
#include <sdk/embed.h>
#include <sdk/mem.h>
#include <string.h>

YOI_SDK_EMBED(http_index_html, "plugins/ingress-http/index.html");
YOI_SDK_EMBED(http_login_html, "plugins/ingress-http/login.html");

static const char closed_html[] =
    "<p>Each curl also needs <code>-H \"Authorization: Bearer $TOKEN\"</code>.</p>\n"
    "<p><button>Log out</button></p>\n"
    "<script>\n"
    "document.querySelector('button').addEventListener('click', async () => {\n"
    "  await fetch('logout', {method: 'POST'});\n"
    "  location.reload();\n"
    "});\n"
    "</script>\n";

/* Appends text up to the mark, and moves behind it; all, when there is none. */
static void up_to(struct yoi_sdk_buf *b, yoi_str *text, const char *mark) {
  size_t n = strlen(mark);
  const char *at = memmem(text->ptr, text->len, mark, n);
  size_t before = at ? (size_t)(at - text->ptr) : text->len;
  yoi_sdk_buf_add(b, text->ptr, before);
  size_t used = at ? before + n : before;
  *text = (yoi_str){text->ptr + used, text->len - used};
}

/* " 'sha256-...'" of what stands in an element, when there is one. */
static void add_hash(struct yoi_sdk_buf *policy, yoi_str page, const char *open,
                     const char *close) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  unsigned char base64[4 * ((sizeof sha + 2) / 3) + 1];
  const char *from = memmem(page.ptr, page.len, open, strlen(open));
  if (!from) return;
  from += strlen(open);
  const char *to = memmem(from, page.len - (size_t)(from - page.ptr), close, strlen(close));
  if (!to || !yoi_sdk_sha256(from, (size_t)(to - from), sha)) return;
  int n = EVP_EncodeBlock(base64, sha, sizeof sha);
  yoi_sdk_buf_addf(policy, " 'sha256-%.*s'", n, (const char *)base64);
}

static yoi_status finish(struct http_page *page, struct yoi_sdk_buf *text, yoi_error *err) {
  struct yoi_sdk_buf policy;
  yoi_str all = yoi_sdk_buf_str(text);
  yoi_sdk_buf_init(&policy, sizeof page->policy - 1);
  yoi_sdk_buf_adds(&policy, YOI_LIT("default-src 'none'; connect-src 'self'; base-uri 'none'; "
                                    "form-action 'none'; frame-ancestors 'none'; style-src"));
  add_hash(&policy, all, "<style>", "</style>");
  yoi_sdk_buf_adds(&policy, YOI_LIT("; script-src"));
  add_hash(&policy, all, "<script>", "</script>");
  int failed = policy.failed | text->failed;
  if (!failed) {
    snprintf(page->policy, sizeof page->policy, "%.*s", YOI_ARG(yoi_sdk_buf_str(&policy)));
    page->text = yoi_sdk_buf_take(text, &page->len);
  }
  yoi_sdk_buf_release(&policy);
  yoi_sdk_buf_release(text);
  return failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}

yoi_status http_pages_make(struct http_instance *in, yoi_error *err) {
  yoi_str index = {http_index_html, (size_t)(http_index_html_end - http_index_html)};
  yoi_str login = {http_login_html, (size_t)(http_login_html_end - http_login_html)};
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, index.len + sizeof in->guard.address + sizeof closed_html + 16);
  up_to(&b, &index, "{{address}}");
  yoi_sdk_buf_addf(&b, "%s://%s", in->tls.ctx ? "https" : "http",
                   in->guard.is_unix ? "localhost" : in->guard.address);
  up_to(&b, &index, "{{closed}}\n");
  if (in->door.closed) yoi_sdk_buf_add(&b, closed_html, sizeof closed_html - 1);
  yoi_sdk_buf_adds(&b, index);
  yoi_status st = finish(&in->page, &b, err);
  if (st != YOI_OK) return st;
  yoi_sdk_buf_init(&b, login.len);
  yoi_sdk_buf_adds(&b, login);
  return finish(&in->login_page, &b, err);
}

void http_pages_free(struct http_instance *in) {
  yoi_sdk_free(in->page.text);
  yoi_sdk_free(in->login_page.text);
}
