/* provider_answer.h - what the mock provider says: the options of a request
 * and the events that they ask for. Part of provider.c, whose head tells the
 * options; every function writes text and knows nothing of sockets. */
#ifndef TESTS_MOCK_PROVIDER_ANSWER_H
#define TESTS_MOCK_PROVIDER_ANSWER_H

#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX 134217728
#define EVENTS_MAX 4096
#define SPEC_MAX 512

/* ---- options ----------------------------------------------------------- */

struct spec {
  char text[SPEC_MAX];
};

/* The value of `name=` in the options; def when it is not there. */
static yoi_str opt(const struct spec *s, const char *name, const char *def) {
  size_t n = strlen(name);
  for (const char *p = s->text; (p = strstr(p, name)) != NULL; p++) {
    if ((p != s->text && p[-1] != ' ') || p[n] != '=') continue;
    const char *v = p + n + 1;
    return (yoi_str){v, strcspn(v, " ")};
  }
  return yoi_sdk_str(def);
}

static int64_t num(const struct spec *s, const char *name, int64_t def) {
  yoi_str v = opt(s, name, "");
  uint64_t out;
  return yoi_sdk_parse_u64(v, INT32_MAX, &out) ? (int64_t)out : def;
}

static int is(const struct spec *s, const char *name, const char *def, const char *value) {
  return yoi_sdk_str_is(opt(s, name, def), value);
}

static const char *find_last(yoi_str text, const char *word) {
  size_t n = strlen(word);
  for (size_t i = text.len; i >= n && i > 0; i--)
    if (text.ptr[i - n] == word[0] && memcmp(text.ptr + i - n, word, n) == 0)
      return text.ptr + i - n;
  return NULL;
}

static void spec_of(yoi_str body, struct spec *out) {
  const char *at = memmem(body.ptr, body.len, "mode=", 5);
  out->text[0] = '\0';
  if (!at) return;
  at = find_last(body, "mode=");
  size_t left = (size_t)(body.ptr + body.len - at), n = 0;
  while (n < left && n + 1 < SPEC_MAX && at[n] != '"' && at[n] != '\\') n++;
  memcpy(out->text, at, n);
  out->text[n] = '\0';
  yoi_str rest = {at, left};
  /* A turn whose tool answered goes on in words. */
  if (is(out, "mode", "", "tool") && memmem(rest.ptr, rest.len, "\"tool_call_id\"", 14))
    memcpy(out->text, "mode=text", sizeof "mode=text");
}

/* ---- making an answer --------------------------------------------------- */

struct answer {
  const struct spec *s;
  struct yoi_sdk_buf *out;
  uint32_t *ends;
  uint32_t n;
  const char *eol;
  int each_usage;
};

static void end_event(struct answer *a) {
  if (a->n < EVENTS_MAX) a->ends[a->n++] = (uint32_t)a->out->len;
}

static void data(struct answer *a, yoi_str json) {
  if (num(a->s, "comments", 0)) yoi_sdk_buf_addf(a->out, ": processing%s%s", a->eol, a->eol);
  yoi_sdk_buf_adds(a->out, YOI_LIT("data: "));
  yoi_sdk_buf_adds(a->out, json);
  yoi_sdk_buf_addf(a->out, "%s%s", a->eol, a->eol);
  end_event(a);
}

#define HEAD                                                                               \
  "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion.chunk\",\"created\":1700000000," \
  "\"model\":\"mock\""
#define USAGE                                                          \
  "{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18," \
  "\"prompt_tokens_details\":{\"cached_tokens\":3},"                   \
  "\"completion_tokens_details\":{\"reasoning_tokens\":2}}"

/* One chunk whose delta is `delta` (JSON), finish "" = null. */
static void chunk(struct answer *a, const char *delta, const char *finish) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, ANSWER_MAX);
  yoi_sdk_buf_addf(&b, HEAD ",\"choices\":[{\"index\":0,\"delta\":");
  yoi_sdk_buf_adds(&b, yoi_sdk_str(delta));
  if (*finish)
    yoi_sdk_buf_addf(&b, ",\"finish_reason\":\"%s\"}]", finish);
  else
    yoi_sdk_buf_addf(&b, ",\"finish_reason\":null}]");
  if (is(a->s, "usage", "full", "null")) yoi_sdk_buf_addf(&b, ",\"usage\":null");
  if (is(a->s, "usage", "full", "each")) yoi_sdk_buf_addf(&b, ",\"usage\":" USAGE);
  yoi_sdk_buf_addf(&b, "}");
  data(a, yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

/* A delta with one member. */
static void delta_text(struct answer *a, const char *field, yoi_str text) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, ANSWER_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, field, text);
  yoi_sdk_jsonw_close(&w, '}');
  chunk(a, b.data, "");
  yoi_sdk_buf_release(&b);
}

/* What stands for the time until an event is sent: an at sign, 19 digits. The
 * delta is 32 bytes: merged ones, cut at a power of two, cut no stamp. */
#define STAMP "@0000000000000000000"
#define STAMP_DELTA STAMP " and so on. "

static void words(struct answer *a, const char *field, const char *prefix) {
  int64_t n = num(a->s, "chunks", 8), size = num(a->s, "size", 0);
  int64_t stamped = num(a->s, "stamp", 0);
  char word[4096];
  for (int64_t i = 0; i < n; i++) {
    int len = snprintf(word, sizeof word, "%s%lld ", prefix, (long long)i);
    if (stamped) len = snprintf(word, sizeof word, STAMP_DELTA);
    for (; len < size && len < (int)sizeof word; len++) word[len] = 'x';
    delta_text(a, field, (yoi_str){word, (size_t)len});
  }
}

static void echo(struct answer *a) {
  yoi_str all = yoi_sdk_str(a->s->text);
  const char *at = strstr(a->s->text, " -- ");
  yoi_str text = at ? (yoi_str){at + 4, all.len - (size_t)(at + 4 - all.ptr)} : all;
  while (text.len) {
    size_t n = yoi_sdk_utf8_cut(text, 5);
    delta_text(a, "content", (yoi_str){text.ptr, n});
    text.ptr += n, text.len -= n;
  }
}

static void unicode(struct answer *a) {
  if (num(a->s, "raw", 0)) {
    chunk(a, "{\"content\":\"a\xc3\"}", "");
    chunk(a, "{\"content\":\"\xa9 \xf0\x9f\"}", "");
    chunk(a, "{\"content\":\"\x98\"}", "");
    chunk(a, "{\"content\":\"\x80 \xe6\xbc\xa2\"}", "");
  } else {
    chunk(a, "{\"content\":\"a\\u00e9 \\ud83d\"}", "");
    chunk(a, "{\"content\":\"\\ude00 \xe6\xbc\xa2\"}", "");
  }
}

/* A call that is whole; arguments as they stand inside a JSON string. */
static void whole_call(struct answer *a, int index, const char *name, const char *arguments) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, ANSWER_MAX);
  yoi_sdk_buf_addf(&b,
                   "{\"tool_calls\":[{\"index\":%d,\"id\":\"call_%s\",\"type\":\"function\","
                   "\"function\":{\"name\":\"%s\",\"arguments\":\"%s\"}}]}",
                   index, name, name, arguments);
  if (!b.failed) chunk(a, b.data, "");
  yoi_sdk_buf_release(&b);
}

/* What a coder can do: read, change, run, fetch, at once. */
static void work(struct answer *a) {
  char fetch[128];
  yoi_str port = opt(a->s, "port", "80");
  (void)snprintf(fetch, sizeof fetch, "{\\\"url\\\":\\\"http://127.0.0.1:%.*s/v1/models\\\"}",
                 YOI_ARG(port));
  whole_call(a, 0, "fs_read", "{\\\"path\\\":\\\"a.txt\\\"}");
  whole_call(a, 1, "fs_write", "{\\\"path\\\":\\\"b.txt\\\",\\\"content\\\":\\\"bee\\\"}");
  whole_call(a, 2, "shell_run", "{\\\"command\\\":\\\"cat a.txt\\\"}");
  whole_call(a, 3, "http_fetch", fetch);
}

static void tool(struct answer *a) {
  yoi_str shape = opt(a->s, "shape", "fragments");
#define CALL(id, index, name, args)                                                    \
  "{\"tool_calls\":[{" index id "\"type\":\"function\",\"function\":{\"name\":\"" name \
  "\",\"arguments\":" args "}}]}"
#define MORE(index, args) "{\"tool_calls\":[{" index "\"function\":{\"arguments\":\"" args "\"}}]}"
  if (yoi_sdk_str_is(shape, "whole") || yoi_sdk_str_is(shape, "zero")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"{\\\"q\\\":\\\"x\\\"}\""), "");
    if (yoi_sdk_str_is(shape, "zero"))
      chunk(a, CALL("\"id\":\"call_b\",", "\"index\":0,", "other", "\"{}\""), "");
  } else if (yoi_sdk_str_is(shape, "file")) { /* of a tool that there is */
    whole_call(a, 0, "fs_read", "{\\\"path\\\":\\\"a.txt\\\"}");
  } else if (yoi_sdk_str_is(shape, "work")) {
    work(a);
  } else if (yoi_sdk_str_is(shape, "object")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "{\"q\":\"x\",\"n\":1}"), "");
  } else if (yoi_sdk_str_is(shape, "noindex")) {
    chunk(a, CALL("\"id\":\"call_a\",", "", "lookup", "\"\""), "");
    chunk(a, MORE("", "{\\\"q\\\":"), "");
    chunk(a, MORE("", "\\\"x\\\"}"), "");
    chunk(a, CALL("\"id\":\"call_b\",", "", "other", "\"{}\""), "");
  } else if (yoi_sdk_str_is(shape, "newid")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"{\\\"q\\\":\""), "");
    chunk(a, MORE("\"index\":0,", "\\\"x\\\"}"), "");
    chunk(a, CALL("\"id\":\"call_b\",", "\"index\":0,", "other", "\"{\""), "");
    chunk(a, MORE("\"index\":0,", "}"), "");
  } else if (yoi_sdk_str_is(shape, "legacy")) {
    chunk(a, "{\"function_call\":{\"name\":\"lookup\",\"arguments\":\"{\\\"q\\\":\"}}", "");
    chunk(a, "{\"function_call\":{\"arguments\":\"\\\"x\\\"}\"}}", "");
  } else if (yoi_sdk_str_is(shape, "two")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"\""), "");
    chunk(a, CALL("\"id\":\"call_b\",", "\"index\":1,", "other", "\"\""), "");
    chunk(a, MORE("\"index\":1,", "{\\\"b\\\":"), "");
    chunk(a, MORE("\"index\":0,", "{\\\"a\\\":"), "");
    chunk(a, MORE("\"index\":1,", "2}"), "");
    chunk(a, MORE("\"index\":0,", "1}"), "");
  } else if (yoi_sdk_str_is(shape, "cut") || yoi_sdk_str_is(shape, "bad")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"{\\\"q\\\":\""), "");
  } else if (yoi_sdk_str_is(shape, "noid")) {
    chunk(a, CALL("", "\"index\":0,", "lookup", "\"{}\""), "");
    chunk(a, CALL("", "\"index\":1,", "other", "\"{}\""), "");
  } else if (yoi_sdk_str_is(shape, "long")) {
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"{\\\"q\\\":\\\"\""), "");
    char piece[2048];
    memset(piece, 'y', sizeof piece);
    memcpy(piece, "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"", 51);
    memcpy(piece + sizeof piece - 6, "\"}}]}", 6);
    for (int i = 0; i < 200; i++) chunk(a, piece, "");
  } else {
    chunk(a, "{\"role\":\"assistant\",\"content\":null}", "");
    chunk(a, CALL("\"id\":\"call_a\",", "\"index\":0,", "lookup", "\"\""), "");
    chunk(a, MORE("\"index\":0,", "{\\\"q\\\":"), "");
    chunk(a, MORE("\"index\":0,", "\\\"x\\\"}"), "");
  }
}

static void error_json(struct yoi_sdk_buf *b, const struct spec *s) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, b);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "error");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "message", YOI_LIT("the provider's own words"));
  yoi_sdk_jsonw_kstr(&w, "type", opt(s, "type", "server_error"));
  yoi_sdk_jsonw_key(&w, "param");
  yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_key(&w, "code");
  yoi_str code = opt(s, "code_text", "");
  if (code.len)
    yoi_sdk_jsonw_str(&w, code);
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
}

static void error_event(struct answer *a) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, ANSWER_MAX);
  error_json(&b, a->s);
  if (!is(a->s, "form", "event", "data")) yoi_sdk_buf_addf(a->out, "event: error%s", a->eol);
  data(a, is(a->s, "form", "event", "text") ? YOI_LIT("upstream broke") : yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
}

/* The events of a stream. */
static void stream(struct answer *a) {
  yoi_str mode = opt(a->s, "mode", "text");
  const char *finish = "stop";
  char named[64];
  a->eol = is(a->s, "eol", "lf", "crlf") ? "\r\n" : is(a->s, "eol", "lf", "cr") ? "\r" : "\n";
  if (num(a->s, "bom", 0)) yoi_sdk_buf_addf(a->out, "\xef\xbb\xbf");
  if (num(a->s, "empty", 0)) data(a, YOI_LIT(HEAD ",\"choices\":[]}"));
  if (!yoi_sdk_str_is(mode, "tool") && !yoi_sdk_str_is(mode, "garbage"))
    chunk(a, "{\"role\":\"assistant\",\"content\":\"\"}", "");
  if (yoi_sdk_str_is(mode, "echo")) {
    echo(a);
  } else if (yoi_sdk_str_is(mode, "unicode")) {
    unicode(a);
  } else if (yoi_sdk_str_is(mode, "reasoning")) {
    char field[32];
    snprintf(field, sizeof field, "%.*s", YOI_ARG(opt(a->s, "field", "reasoning_content")));
    words(a, field, "r");
    words(a, "content", "w");
  } else if (yoi_sdk_str_is(mode, "refusal")) {
    words(a, "refusal", "no");
  } else if (yoi_sdk_str_is(mode, "tool")) {
    tool(a);
    finish = is(a->s, "shape", "", "cut")      ? "length"
             : is(a->s, "shape", "", "legacy") ? "function_call"
                                               : "tool_calls";
  } else if (yoi_sdk_str_is(mode, "garbage")) {
    data(a, YOI_LIT("{\"choices\":[{\"delta\":{\"content\":"));
  } else if (yoi_sdk_str_is(mode, "huge")) {
    size_t n = (size_t)num(a->s, "size", 2097152);
    char *text = yoi_sdk_malloc(n);
    if (text) memset(text, 'h', n);
    delta_text(a, "content", (yoi_str){text, text ? n : 0});
    yoi_sdk_free(text);
  } else {
    words(a, "content", "w");
  }
  if (yoi_sdk_str_is(mode, "error")) {
    error_event(a);
    return;
  }
  yoi_str f = opt(a->s, "finish", finish);
  snprintf(named, sizeof named, "%.*s", YOI_ARG(f));
  if (strcmp(named, "none") != 0) chunk(a, "{}", named);
  if (is(a->s, "usage", "full", "full"))
    data(a, YOI_LIT(HEAD ",\"choices\":[],\"usage\":" USAGE "}"));
  if (is(a->s, "usage", "full", "part"))
    data(a, YOI_LIT(HEAD ",\"choices\":[],"
                         "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":null}}"));
  if (num(a->s, "done", 1)) data(a, YOI_LIT("[DONE]"));
  if (!num(a->s, "blank", 1) && a->n) {
    a->out->len -= strlen(a->eol);
    a->ends[a->n - 1] = (uint32_t)a->out->len;
  }
}

static void not_a_stream(struct yoi_sdk_buf *b, const struct spec *s) {
  yoi_sdk_buf_addf(b,
                   "{\"id\":\"chatcmpl-mock\",\"object\":\"chat.completion\","
                   "\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,"
                   "\"message\":{\"role\":\"assistant\",\"content\":");
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, b);
  char text[1024];
  int n = 0;
  for (int64_t i = 0; i < num(s, "chunks", 8) && n < 900; i++)
    n += snprintf(text + n, sizeof text - (size_t)n, "w%lld ", (long long)i);
  yoi_sdk_jsonw_str(&w, (yoi_str){text, (size_t)n});
  yoi_sdk_buf_addf(b, "},\"finish_reason\":\"stop\"}],\"usage\":" USAGE "}");
}

#endif
