/* sources: host/isolate/frame.c host/isolate/wire.c abi/sdk/core;
 * libs: -lcjson -lcrypto -ldl
 *
 * What a worker process may send, which the host does not trust. The first byte
 * says as what the rest is read:
 *   0   packets over a socket, each behind two bytes of its length
 *   1   the body of EVENTS
 *   2-4 the body of a request, and of what a question is made of
 * A request that is read whole is written again: it is the same bytes, but for
 * its size and token, which each side makes anew.
 */
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/mem.h>
#include <yoi/plugin.h>

#include "host/isolate/wire.h"
#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX 200000

static void packets(const uint8_t *data, size_t size) {
  struct yoi__channel c;
  struct yoi__message m;
  const char *why = NULL;
  int fds[2], got = 0;
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  MUST(yoi__channel_init(&c, fds[0], 0, MAX) == YOI_OK);
  while (size >= 2 && got >= 0) {
    size_t n = (size_t)data[0] << 8 | data[1];
    if (n > size - 2) n = size - 2;
    (void)!send(fds[1], data + 2, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    data += 2 + n;
    size -= 2 + n;
    got = yoi__channel_recv(&c, &m, &why);
    if (got == 1) {
      MUST(m.body.len <= MAX && m.kind != YOI__MSG_MORE && m.kind <= YOI__MSG_LAST);
      if (m.fd >= 0) close(m.fd);
    }
  }
  yoi__channel_release(&c);
  close(fds[1]);
}

static void events(yoi_str body) {
  struct yoi__reader in = yoi__reader_of(body);
  struct yoi_sdk_error e;
  yoi_status st;
  uint32_t n = 0;
  yoi__get_events(&in, &st, yoi_sdk_error_init(&e), &n);
  for (uint32_t i = 0; i < n && !in.bad; i++) {
    yoi_event ev;
    yoi__get_event(&in, &ev);
    MUST(ev.text.len <= body.len && ev.cursor.len <= YOI_CURSOR_MAX);
    (void)yoi__event_fits(YOI_KIND_MODEL, &ev);
  }
  if (!in.bad) MUST(st >= YOI_END && st <= YOI_UNAUTHENTICATED);
}

/* The same again, but for what each side makes itself. */
static void same(yoi_str body, struct yoi_sdk_buf *b, size_t token_at) {
  MUST(b->failed == 0 && b->len == body.len);
  for (size_t i = sizeof(uint32_t); i < body.len; i++)
    if (i < token_at || i >= token_at + sizeof(uint64_t)) MUST(b->data[i] == body.ptr[i]);
}

static void request(int kind, yoi_str body) {
  struct yoi__reader in = yoi__reader_of(body);
  struct yoi_sdk_buf b;
  size_t token_at = 2 * sizeof(uint32_t) + sizeof(uint64_t);
  yoi_sdk_buf_init(&b, MAX);
  if (kind == 2) {
    yoi_tool_request r;
    yoi__get_tool_request(&in, &r);
    if (yoi__reader_done(&in)) yoi__put_tool_request(&b, &r);
  } else if (kind == 3) {
    yoi_policy_request r;
    yoi__get_policy_request(&in, &r);
    if (yoi__reader_done(&in)) yoi__put_policy_request(&b, &r);
  } else {
    yoi_model_request r;
    yoi__get_model_request(&in, &r);
    if (yoi__reader_done(&in)) yoi__put_model_request(&b, &r);
    yoi_sdk_free((void *)(uintptr_t)r.messages);
  }
  if (yoi__reader_done(&in)) same(body, &b, token_at);
  yoi_sdk_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0 || size > MAX / 2) return 0;
  yoi_str body = {(const char *)data + 1, size - 1};
  switch (data[0]) {
    case 0:
      packets(data + 1, size - 1);
      break;
    case 1:
      events(body);
      break;
    case 2:
    case 3:
    case 4:
      request(data[0], body);
      break;
    default:
      break;
  }
  return 0;
}
