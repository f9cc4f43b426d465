/* policy.c - yoi-host policy explain CONFIG OPERATION, or --tool NAME: would it
 * be allowed?
 *
 * A dry run: the config's policies are opened and asked, nothing else is. What
 * each of them says is shown, a line each, then what the layers of the worker
 * say, and what comes of it; so that a rule can be tried before anybody meets it,
 * by hand or by a test of the config.
 */
#include <sdk/json.h>
#include <sdk/schema.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

struct arguments {
  const char *config, *operation, *runtime, *worker, *principal, *origin, *subject, *body;
  const char *tool, *plugin, *arguments, *grants, *bundle, *profile;
  int json;
};

static yoi_str word(const char *s) {
  return s != NULL ? yoi_sdk_str(s) : (yoi_str){"", 0};
}

static yoi_str text(const yoi_sdk_json *v, const char *name) {
  yoi_str s = {"", 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, name), &s);
  return s;
}

/* PLUGIN: DECISION, rule 'NAME': REASON. What no policy says has its layer in
 * front. */
static void put_decision(const yoi_sdk_json *v) {
  yoi_str plugin = text(v, "plugin"), rule = text(v, "rule"), reason = text(v, "reason");
  char line[CLI_LINE_MAX];
  if (plugin.len == 0) {
    plugin = rule.len > 0 ? rule : YOI_LIT("the config");
    rule.len = 0;
  }
  snprintf(line, sizeof line, "%.*s: %.*s%s%.*s%s%s%.*s", YOI_ARG(plugin),
           YOI_ARG(text(v, "decision")), rule.len ? ", rule '" : "", YOI_ARG(rule),
           rule.len ? "'" : "", reason.len ? ": " : "", YOI_ARG(reason));
  puts(cli_plain(line));
}

static int show(const struct arguments *a, yoi_str answer) {
  yoi_sdk_json *tree = NULL;
  if (yoi_sdk_json_parse(answer, 0, &tree, NULL) != YOI_OK) return CLI_INTERNAL;
  if (a->json) {
    printf("%.*s\n", YOI_ARG(answer));
  } else {
    const yoi_sdk_json *v = yoi_sdk_json_first(yoi_sdk_json_get(tree, "asked"));
    for (; v != NULL; v = yoi_sdk_json_next(v)) put_decision(v);
    printf("%s: ", a->tool != NULL ? a->tool : a->operation);
    put_decision(tree);
  }
  int allowed = yoi_sdk_str_is(text(tree, "decision"), "allow");
  yoi_sdk_json_free(tree);
  if (fflush(stdout) != 0) return CLI_INTERNAL;
  return allowed ? CLI_OK : CLI_DENIED;
}

/* 0: there is none of that name, which was said. */
static uint32_t find_operation(const char *name) {
  yoi_str names[YOI_OP__END];
  uint32_t op = yoi_sdk_op_find(yoi_sdk_str(name));
  if (op != 0) return op;
  for (uint32_t i = 0; i < YOI_OP__END; i++) names[i] = word(i > 0 ? yoi_sdk_op_name(i) : "");
  yoi_str near = yoi_sdk_nearest(yoi_sdk_str(name), names, YOI_OP__END);
  (void)cli_usage_error("no operation is called '%s'%s%.*s%s", name,
                        near.len ? ", did you mean '" : "", YOI_ARG(near), near.len ? "'" : "");
  return 0;
}

static uint32_t find_origin(const char *name) {
  static const char *const names[] = {"", "embed", "runtime", "browser"};
  for (uint32_t i = YOI_ORIGIN_EMBED; i <= YOI_ORIGIN_BROWSER; i++)
    if (strcmp(name, names[i]) == 0) return i;
  (void)cli_usage_error("'--origin' is embed, runtime or browser, not '%s'", name);
  return 0;
}

/* 0: it is none, which was said. */
static int find_verdict(const char *option, const char *name, uint32_t *out) {
  static const char *const names[] = {
      [YOI_VERDICT_ALLOW] = "allow", [YOI_VERDICT_ASK] = "ask", [YOI_VERDICT_DENY] = "deny"};
  *out = YOI_VERDICT_ABSTAIN;
  if (name == NULL) return 1;
  for (*out = YOI_VERDICT_ALLOW; *out <= YOI_VERDICT_DENY; ++*out)
    if (strcmp(name, names[*out]) == 0) return 1;
  (void)cli_usage_error("'%s' is allow, ask or deny, not '%s'", option, name);
  return 0;
}

static int finish(const struct arguments *a, yoi_status st, char *answer, size_t len,
                  const yoi_error *err) {
  if (st != YOI_OK) {
    cli_say_error("cannot explain it", err);
    return st == YOI_RESOURCE_EXHAUSTED ? CLI_INTERNAL : CLI_FAILED;
  }
  int code = show(a, (yoi_str){answer, len});
  yoi_free(answer);
  return code;
}

static int explain_tool(const struct arguments *a, const struct cli_config *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_tool_call call = {.size = sizeof call,
                        .name = word(a->tool),
                        .plugin = word(a->plugin),
                        .arguments = word(a->arguments != NULL ? a->arguments : "{}"),
                        .grants = word(a->grants),
                        .worker_id = word(a->worker),
                        .principal = word(a->principal)};
  char *answer = NULL;
  size_t len = 0;
  if (!find_verdict("--bundle", a->bundle, &call.bundle_verdict) ||
      !find_verdict("--profile", a->profile, &call.profile_verdict))
    return CLI_USAGE;
  yoi_status st = yoi_policy_explain_tool(c->text, c->len, c->base_dir, word(a->runtime), &call,
                                          &answer, &len, err);
  return finish(a, st, answer, len, err);
}

static int explain(const struct arguments *a, const struct cli_config *c) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_request req = {.size = sizeof req,
                     .op = find_operation(a->operation),
                     .origin = find_origin(a->origin != NULL ? a->origin : "embed"),
                     .worker_id = word(a->worker),
                     .subject = word(a->subject),
                     .principal = word(a->principal),
                     .body = word(a->body)};
  char *answer = NULL;
  size_t len = 0;
  if (req.op == 0 || req.origin == 0) return CLI_USAGE;
  yoi_status st =
      yoi_policy_explain(c->text, c->len, c->base_dir, word(a->runtime), &req, &answer, &len, err);
  return finish(a, st, answer, len, err);
}

/* An option that would be without effect is a mistake. */
static int check_use(const struct arguments *a) {
  const char *only_tools[][2] = {{"--plugin", a->plugin},
                                 {"--arguments", a->arguments},
                                 {"--grants", a->grants},
                                 {"--bundle", a->bundle},
                                 {"--profile", a->profile}};
  const char *only_operations[][2] = {
      {"--origin", a->origin}, {"--subject", a->subject}, {"--body", a->body}};
  if ((a->operation == NULL) == (a->tool == NULL))
    return cli_usage_error("'policy explain' takes a config and an operation, such as worker.stop, "
                           "or --tool");
  for (size_t i = 0; a->tool == NULL && i < sizeof only_tools / sizeof *only_tools; i++)
    if (only_tools[i][1] != NULL) return cli_usage_error("'%s' is for --tool", only_tools[i][0]);
  for (size_t i = 0; a->tool != NULL && i < sizeof only_operations / sizeof *only_operations; i++)
    if (only_operations[i][1] != NULL)
      return cli_usage_error("'%s' is for an operation", only_operations[i][0]);
  return CLI_OK;
}

int cli_policy(int argc, char **argv) {
  struct arguments a = {.principal = "embed"};
  const char *verb = NULL, **const places[] = {&verb, &a.config, &a.operation};
  const struct cli_option options[] = {{"--runtime", &a.runtime, NULL},
                                       {"--worker", &a.worker, NULL},
                                       {"--origin", &a.origin, NULL},
                                       {"--principal", &a.principal, NULL},
                                       {"--subject", &a.subject, NULL},
                                       {"--body", &a.body, NULL},
                                       {"--tool", &a.tool, NULL},
                                       {"--plugin", &a.plugin, NULL},
                                       {"--arguments", &a.arguments, NULL},
                                       {"--grants", &a.grants, NULL},
                                       {"--bundle", &a.bundle, NULL},
                                       {"--profile", &a.profile, NULL},
                                       {"--json", NULL, &a.json}};
  int code = cli_arguments(argc, argv, options, sizeof options / sizeof *options, places,
                           sizeof places / sizeof *places);
  if (code != CLI_OK) return code;
  if (!verb || strcmp(verb, "explain") != 0) return cli_usage_error("'policy' takes explain");
  code = check_use(&a);
  if (code != CLI_OK) return code;
  struct cli_config c = {0};
  code = cli_config_read(a.config, &c, NULL);
  if (code != CLI_OK) return code;
  int findings = cli_config_findings(&c, 1);
  code = findings > 0     ? CLI_INVALID
         : findings < 0   ? CLI_INTERNAL
         : a.tool != NULL ? explain_tool(&a, &c)
                          : explain(&a, &c);
  cli_config_release(&c);
  return code;
}
