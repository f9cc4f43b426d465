/* bundle.c - yoi-host bundle VERB ...: bundles as files, and in runtimes.
 *
 * A verb is a row of `verbs`. Whatever it works with has passed all checks of
 * sdk/bundle.h before; what is wrong goes to standard error, a line each, but
 * for `lint`, which was asked for it.
 */
#include "bundle.h"

#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

struct arguments {
  const char **words; /* behind the verb */
  size_t n;
  const char *url, *to;
  int json;
};

int cli_bundle_write(const char *to, yoi_str bytes) {
  if (to && strcmp(to, "-") != 0) return cli_file_write(to, bytes) ? CLI_OK : CLI_FAILED;
  /* What cannot be written is lost, and a flush behind it has nothing to say. */
  size_t put = fwrite(bytes.ptr, 1, bytes.len, stdout);
  return put == bytes.len && fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
}

static int build(const struct arguments *a) {
  struct cli_bundle b;
  int code = cli_bundle_need(a->words[0], &b);
  if (code == CLI_OK && !b.built)
    code = cli_usage_error("'bundle build' takes a folder, '%s' is a bundle", a->words[0]);
  if (code == CLI_OK) code = cli_bundle_write(a->to, (yoi_str){b.bytes, b.len});
  cli_bundle_close(&b);
  return code;
}

static void to_stdout(void *ctx, const struct cli_bundle_finding *f) {
  cli_bundle_print(stdout, f, *(const int *)ctx);
}

static int lint(const struct arguments *a) {
  int code = CLI_OK, json = a->json;
  for (size_t i = 0; i < a->n && code != CLI_INTERNAL; i++) {
    struct cli_bundle b;
    int one = cli_bundle_open(a->words[i], to_stdout, &json, &b);
    if (one != CLI_OK) code = one;
    if (one == CLI_OK && !a->json) printf("%s: ok\n", a->words[i]);
    cli_bundle_close(&b);
  }
  return fflush(stdout) == 0 ? code : CLI_INTERNAL;
}

static int digest(const struct arguments *a) {
  struct cli_bundle b;
  int code = cli_bundle_need(a->words[0], &b);
  if (code == CLI_OK) puts(b.is->digest);
  cli_bundle_close(&b);
  return fflush(stdout) == 0 ? code : CLI_INTERNAL;
}

static int show(const struct arguments *a) {
  struct cli_bundle b;
  int code = cli_bundle_need(a->words[0], &b);
  if (code == CLI_OK) code = cli_bundle_show(&b, a->json);
  cli_bundle_close(&b);
  return code;
}

/* Opens all of them, so that nothing begins when one is wrong. Owned. */
static struct cli_bundle *need_all(const char **paths, size_t n, int *out_code) {
  struct cli_bundle *all = yoi_sdk_calloc(n, sizeof *all);
  *out_code = all ? CLI_OK : CLI_INTERNAL;
  for (size_t i = 0; all && i < n; i++) {
    int one = cli_bundle_need(paths[i], &all[i]);
    if (one != CLI_OK) *out_code = one;
  }
  return all;
}

static void close_all(struct cli_bundle *all, size_t n) {
  for (size_t i = 0; all && i < n; i++) cli_bundle_close(&all[i]);
  yoi_sdk_free(all);
}

/* 1 is an answer here: what cannot be compared at all is not that. */
static int diff(const struct arguments *a) {
  int code;
  struct cli_bundle *two = need_all(a->words, 2, &code);
  code = code == CLI_OK        ? cli_bundle_diff(&two[0], &two[1])
         : code == CLI_INVALID ? CLI_FAILED
                               : code;
  close_all(two, 2);
  return code;
}

/* With --url there is no config and no id among the words. */
static int push(const struct arguments *a) {
  int code;
  size_t before = a->url ? 0 : 2, n = a->n - before;
  const char *config = a->url ? a->url : a->words[0];
  struct cli_bundle *all = need_all(a->words + before, n, &code);
  if (code == CLI_OK)
    code = cli_bundle_push(config, a->url ? CLI_REMOTE : a->words[1], all, n, a->json);
  close_all(all, n);
  return code;
}

static int pull(const struct arguments *a) {
  if (a->url) return cli_bundle_pull(a->url, CLI_REMOTE, a->words[0], a->to);
  return cli_bundle_pull(a->words[0], a->words[1], a->words[2], a->to);
}

static const struct verb {
  const char *name;
  int (*run)(const struct arguments *a);
  size_t least, most; /* words */
  int writes, json;   /* takes -o, --json */
  size_t placed;      /* words that --url stands for; 0: it is not taken */
  const char *takes;
} verbs[] = {
    {"build", build, 1, 1, 1, 0, 0, "a folder"},
    {"lint", lint, 1, SIZE_MAX, 0, 1, 0, "files or folders"},
    {"digest", digest, 1, 1, 0, 0, 0, "a file or a folder"},
    {"show", show, 1, 1, 0, 1, 0, "a file or a folder"},
    {"diff", diff, 2, 2, 0, 0, 0, "two files or folders"},
    {"push", push, 3, SIZE_MAX, 0, 1, 2,
     "a config and the id of a runtime in it, or --url; and bundles"},
    {"pull", pull, 3, 3, 1, 0, 2, "a config and the id of a runtime in it, or --url; and a digest"},
};
#define N_VERBS (sizeof verbs / sizeof *verbs)

static int run(const char *name, struct arguments *a) {
  const struct verb *v = verbs;
  while (v < verbs + N_VERBS && strcmp(name, v->name) != 0) v++;
  if (v == verbs + N_VERBS)
    return cli_usage_error("'bundle' takes build, lint, digest, show, diff, push or pull");
  size_t placed = a->url ? v->placed : 0;
  if (a->url && !v->placed) return cli_usage_error("'bundle %s' has no option '--url'", name);
  if (a->url && !cli_remote_is(a->url))
    return cli_usage_error("'%s' is no URL: it is http://HOST, https://HOST or unix:PATH", a->url);
  if (a->n < v->least - placed) return cli_usage_error("'bundle %s' takes %s", name, v->takes);
  if (v->most != SIZE_MAX && a->n > v->most - placed)
    return cli_usage_error("'%s' is one argument too many", a->words[v->most - placed]);
  if (a->to && !v->writes) return cli_usage_error("'bundle %s' has no option '-o'", name);
  if (a->json && !v->json) return cli_usage_error("'bundle %s' has no option '--json'", name);
  return v->run(a);
}

int cli_bundle(int argc, char **argv) {
  struct arguments a = {0};
  size_t most = (size_t)argc;
  const struct cli_option options[] = {
      {"-o", &a.to, NULL}, {"--url", &a.url, NULL}, {"--json", NULL, &a.json}};
  const char **words = yoi_sdk_calloc(most, sizeof *words);
  const char ***places = yoi_sdk_calloc(most, sizeof *places);
  int code = CLI_INTERNAL;
  if (!words || !places) goto out;
  for (size_t i = 0; i < most; i++) places[i] = &words[i];
  code = cli_arguments(argc, argv, options, sizeof options / sizeof *options, places, most);
  if (code != CLI_OK) goto out;
  a.words = words + 1;
  while (a.n + 1 < most && a.words[a.n]) a.n++;
  code = run(words[0] ? words[0] : "", &a);
out:
  yoi_sdk_free(places);
  yoi_sdk_free(words);
  return code;
}
