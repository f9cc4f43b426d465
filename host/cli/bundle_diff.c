/* bundle_diff.c - yoi-host bundle diff: what another bundle changes, and whether
 * workers may do more.
 *
 * Entries are compared by their names, so that the order of the files says
 * nothing. Each change is a line, "+", "-" or "~"; prompts are compared line by
 * line. What a worker may do is told apart, before all else:
 *
 *   more          a tool, a grant or a profile's tool that was not there, a
 *                 milder policy, a higher limit, a rule or a pin that is gone
 *   less          the reverse
 *   more or less  what only a person can weigh: a rule or a range of versions
 *                 that was rewritten, a tool of another plugin
 */
#include <sdk/json.h>
#include <stdio.h>
#include <string.h>
#include <yoi/limits.h>

#include "bundle.h"

#define VALUE_MAX 200 /* bytes of a value that are shown */

enum section { MODELS, TOOLS, PLUGINS, POLICIES, WORKFLOWS, PROFILES, PROMPTS, N_SECTIONS };
enum effect { MORE, LESS, EITHER, N_EFFECTS };
static const char *const nouns[N_SECTIONS] = {"model",    "tool",    "plugin", "policy",
                                              "workflow", "profile", "prompt"};

struct diff {
  const struct yoi_sdk_bundle *a, *b;
  struct yoi_sdk_buf changes, effects[N_EFFECTS], texts;
};

static uint32_t count(const struct yoi_sdk_bundle *b, enum section s) {
  const uint32_t n[N_SECTIONS] = {b->n_models,    b->n_tools,    b->n_plugins, b->n_policies,
                                  b->n_workflows, b->n_profiles, b->n_prompts};
  return n[s];
}

static yoi_str name_at(const struct yoi_sdk_bundle *b, enum section s, uint32_t i) {
  switch (s) {
    case MODELS:
      return b->models[i].name;
    case TOOLS:
      return b->tools[i].name;
    case PLUGINS:
      return b->plugins[i].id;
    case POLICIES:
      return b->policies[i].name;
    case WORKFLOWS:
      return b->workflows[i].name;
    case PROFILES:
      return b->profiles[i].name;
    default:
      return b->prompts[i].name;
  }
}

/* count(): there is none. */
static uint32_t find(const struct yoi_sdk_bundle *b, enum section s, yoi_str name) {
  uint32_t i = 0, n = count(b, s);
  while (i < n && !yoi_sdk_str_eq(name_at(b, s, i), name)) i++;
  return i;
}

/* ---- words ------------------------------------------------------------------- */

static void say(struct yoi_sdk_buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* One line, of texts that have passed the grammars of a bundle. */
static void say(struct yoi_sdk_buf *out, const char *fmt, ...) {
  char line[CLI_LINE_MAX];
  va_list args;
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  yoi_sdk_buf_adds(out, YOI_LIT("  "));
  yoi_sdk_buf_adds(out, yoi_sdk_str(cli_plain(line)));
  yoi_sdk_buf_addc(out, '\n');
}

/* "~ NOUN 'NAME': MEMBER 'a' -> 'b'"; without a noun, of the bundle itself. */
static void changed(struct diff *d, const char *noun, yoi_str name, const char *member, yoi_str a,
                    yoi_str b) {
  struct yoi_sdk_buf *out = &d->changes;
  if (yoi_sdk_str_eq(a, b)) return;
  yoi_sdk_buf_adds(out, YOI_LIT("  ~ "));
  if (noun) yoi_sdk_buf_addf(out, "%s '%.*s': ", noun, YOI_ARG(name));
  yoi_sdk_buf_addf(out, "%s ", member);
  yoi_sdk_buf_adds(out, a.len ? YOI_LIT("'") : YOI_LIT("none"));
  cli_safe(out, a, VALUE_MAX);
  yoi_sdk_buf_addf(out, "%s -> %s", a.len ? "'" : "", b.len ? "'" : "none");
  cli_safe(out, b, VALUE_MAX);
  yoi_sdk_buf_addf(out, "%s\n", b.len ? "'" : "");
}

/* The same of JSON; 1: it changed. */
static int changed_json(struct diff *d, const char *noun, yoi_str name, const char *member,
                        const yoi_sdk_json *a, const yoi_sdk_json *b) {
  struct yoi_sdk_buf text[2];
  const yoi_sdk_json *value[2] = {a, b};
  for (size_t i = 0; i < 2; i++) {
    struct yoi_sdk_jsonw w;
    yoi_sdk_buf_init(&text[i], YOI_JSON_BYTES_MAX);
    yoi_sdk_jsonw_init(&w, &text[i]);
    if (value[i]) yoi_sdk_json_write(value[i], &w);
    if (text[i].failed) d->changes.failed = text[i].failed;
  }
  int is = !yoi_sdk_str_eq(yoi_sdk_buf_str(&text[0]), yoi_sdk_buf_str(&text[1]));
  changed(d, noun, name, member, yoi_sdk_buf_str(&text[0]), yoi_sdk_buf_str(&text[1]));
  yoi_sdk_buf_release(&text[0]);
  yoi_sdk_buf_release(&text[1]);
  return is;
}

static int has(const yoi_sdk_json *list, yoi_str word) {
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v; v = yoi_sdk_json_next(v)) {
    yoi_str s = {"", 0};
    if (yoi_sdk_json_str(v, &s) && yoi_sdk_str_eq(s, word)) return 1;
  }
  return 0;
}

/* Each word of `list` that `other` has not. */
static void each_new(struct yoi_sdk_buf *out, const yoi_sdk_json *list, const yoi_sdk_json *other,
                     const char *noun, yoi_str name, const char *what) {
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v; v = yoi_sdk_json_next(v)) {
    yoi_str s = {"", 0};
    yoi_sdk_json_str(v, &s);
    if (!has(other, s)) say(out, "%s '%.*s' %s '%.*s'", noun, YOI_ARG(name), what, YOI_ARG(s));
  }
}

/* ---- sections ------------------------------------------------------------------ */

static void compare_tools(struct diff *d, uint32_t i, uint32_t j) {
  const struct yoi_sdk_bundle_tool *a = &d->a->tools[i], *b = &d->b->tools[j];
  changed(d, "tool", a->name, "plugin", a->plugin, b->plugin);
  if (!yoi_sdk_str_eq(a->plugin, b->plugin))
    say(&d->effects[EITHER], "tool '%.*s' is one of another plugin, '%.*s'", YOI_ARG(a->name),
        YOI_ARG(b->plugin));
  changed(d, "tool", a->name, "policy", yoi_sdk_str(cli_bundle_verdict(a->verdict)),
          yoi_sdk_str(cli_bundle_verdict(b->verdict)));
  if (a->verdict != b->verdict)
    say(&d->effects[a->verdict > b->verdict ? MORE : LESS], "tool '%.*s' is '%s', was '%s'",
        YOI_ARG(a->name), cli_bundle_verdict(b->verdict), cli_bundle_verdict(a->verdict));
  if (a->optional != b->optional)
    changed(d, "tool", a->name, "optional", a->optional ? YOI_LIT("true") : YOI_LIT("false"),
            b->optional ? YOI_LIT("true") : YOI_LIT("false"));
  changed_json(d, "tool", a->name, "grants", a->grants, b->grants);
  each_new(&d->effects[MORE], b->grants, a->grants, "tool", a->name, "asks for");
  each_new(&d->effects[LESS], a->grants, b->grants, "tool", a->name, "no longer asks for");
}

static void compare_plugins(struct diff *d, uint32_t i, uint32_t j) {
  const struct yoi_sdk_bundle_plugin *a = &d->a->plugins[i], *b = &d->b->plugins[j];
  changed(d, "plugin", a->id, "version", a->version, b->version);
  if (!yoi_sdk_str_eq(a->version, b->version))
    say(&d->effects[!a->version.len   ? LESS
                    : !b->version.len ? MORE
                                      : EITHER],
        "plugin '%.*s' may be of version '%.*s', was '%.*s'", YOI_ARG(a->id),
        YOI_ARG(b->version.len ? b->version : YOI_LIT("any")),
        YOI_ARG(a->version.len ? a->version : YOI_LIT("any")));
  changed_json(d, "plugin", a->id, "digests", a->digests, b->digests);
  if (!a->digests != !b->digests) {
    say(&d->effects[a->digests ? MORE : LESS], "plugin '%.*s' may be %s build", YOI_ARG(a->id),
        a->digests ? "any" : "no longer any");
  } else {
    each_new(&d->effects[MORE], b->digests, a->digests, "plugin", a->id, "may be the build");
    each_new(&d->effects[LESS], a->digests, b->digests, "plugin", a->id, "may not be the build");
  }
}

static const yoi_sdk_json *find_rule(const yoi_sdk_json *rules, yoi_str name) {
  const yoi_sdk_json *v = yoi_sdk_json_first(rules);
  for (; v; v = yoi_sdk_json_next(v)) {
    yoi_str s = {"", 0};
    if (yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &s) && yoi_sdk_str_eq(s, name)) break;
  }
  return v;
}

/* One that allows and has no rate only has a word where another asks or denies,
 * and then the other counts. */
static int restricts(const yoi_sdk_json *rule) {
  yoi_str decision = {"", 0};
  yoi_sdk_json_str(yoi_sdk_json_get(rule, "decision"), &decision);
  return !yoi_sdk_str_is(decision, "allow") || yoi_sdk_json_get(rule, "rate") != NULL;
}

/* Rules that only `a` has. */
static void only_rules(struct diff *d, yoi_str policy, const yoi_sdk_json *a, const yoi_sdk_json *b,
                       char sign) {
  for (const yoi_sdk_json *v = yoi_sdk_json_first(a); v; v = yoi_sdk_json_next(v)) {
    yoi_str name = {"", 0};
    yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &name);
    if (find_rule(b, name)) continue;
    say(&d->changes, "%c rule '%.*s' of policy '%.*s'", sign, YOI_ARG(name), YOI_ARG(policy));
    if (restricts(v))
      say(&d->effects[sign == '-' ? MORE : LESS], "rule '%.*s' of policy '%.*s' is %s",
          YOI_ARG(name), YOI_ARG(policy), sign == '-' ? "gone" : "new");
  }
}

static void compare_rules(struct diff *d, yoi_str policy, const yoi_sdk_json *a,
                          const yoi_sdk_json *b) {
  only_rules(d, policy, a, b, '-');
  only_rules(d, policy, b, a, '+');
  for (const yoi_sdk_json *v = yoi_sdk_json_first(a); v; v = yoi_sdk_json_next(v)) {
    yoi_str name = {"", 0};
    yoi_sdk_json_str(yoi_sdk_json_get(v, "name"), &name);
    const yoi_sdk_json *other = find_rule(b, name);
    if (other && changed_json(d, "policy", policy, "rule", v, other))
      say(&d->effects[EITHER], "rule '%.*s' of policy '%.*s' is another", YOI_ARG(name),
          YOI_ARG(policy));
  }
}

static void compare_limits(struct diff *d, const struct yoi_sdk_bundle_profile *a,
                           const struct yoi_sdk_bundle_profile *b) {
  const char *name = "";
  uint64_t was, is;
  for (size_t i = 0; (was = cli_bundle_limit(a, i, &name)) != 0; i++) {
    is = cli_bundle_limit(b, i, &name);
    if (was == is) continue;
    say(&d->changes, "~ profile '%.*s': limit %s %llu -> %llu", YOI_ARG(a->name), name,
        (unsigned long long)was, (unsigned long long)is);
    say(&d->effects[is > was ? MORE : LESS], "profile '%.*s' has %s %llu, had %llu",
        YOI_ARG(a->name), name, (unsigned long long)is, (unsigned long long)was);
  }
}

static int has_tool(const struct yoi_sdk_bundle *b, const struct yoi_sdk_bundle_profile *p,
                    yoi_str name) {
  uint32_t i = 0;
  while (i < p->n_tools && !yoi_sdk_str_eq(b->tools[p->tools[i]].name, name)) i++;
  return i < p->n_tools;
}

/* Tools of p that `other`, a profile of c or none, has not. */
static void only_tools(struct diff *d, const struct yoi_sdk_bundle *b,
                       const struct yoi_sdk_bundle_profile *p, const struct yoi_sdk_bundle *c,
                       const struct yoi_sdk_bundle_profile *other, char sign) {
  for (uint32_t i = 0; i < p->n_tools; i++) {
    const struct yoi_sdk_bundle_tool *t = &b->tools[p->tools[i]];
    if (other && has_tool(c, other, t->name)) continue;
    say(&d->changes, "%c profile '%.*s': tool '%.*s'", sign, YOI_ARG(p->name), YOI_ARG(t->name));
    if (sign == '+')
      say(&d->effects[MORE], "profile '%.*s' has tool '%.*s' (%s)", YOI_ARG(p->name),
          YOI_ARG(t->name), cli_bundle_verdict(t->verdict));
    else
      say(&d->effects[LESS], "profile '%.*s' has no tool '%.*s'", YOI_ARG(p->name),
          YOI_ARG(t->name));
  }
}

static int has_workflow(const struct yoi_sdk_bundle *b, const struct yoi_sdk_bundle_profile *p,
                        yoi_str name) {
  uint32_t i = 0;
  while (i < p->n_workflows && !yoi_sdk_str_eq(b->workflows[p->workflows[i]].name, name)) i++;
  return i < p->n_workflows;
}

static void only_workflows(struct diff *d, const struct yoi_sdk_bundle *b,
                           const struct yoi_sdk_bundle_profile *p, const struct yoi_sdk_bundle *c,
                           const struct yoi_sdk_bundle_profile *other, char sign) {
  for (uint32_t i = 0; i < p->n_workflows; i++) {
    yoi_str name = b->workflows[p->workflows[i]].name;
    if (!has_workflow(c, other, name))
      say(&d->changes, "%c profile '%.*s': workflow '%.*s'", sign, YOI_ARG(p->name), YOI_ARG(name));
  }
}

static void compare_profiles(struct diff *d, uint32_t i, uint32_t j) {
  const struct yoi_sdk_bundle_profile *a = &d->a->profiles[i], *b = &d->b->profiles[j];
  changed(d, "profile", a->name, "prompt", d->a->prompts[a->prompt].name,
          d->b->prompts[b->prompt].name);
  changed(d, "profile", a->name, "model", d->a->models[a->model].name, d->b->models[b->model].name);
  only_tools(d, d->a, a, d->b, b, '-');
  only_tools(d, d->b, b, d->a, a, '+');
  only_workflows(d, d->a, a, d->b, b, '-');
  only_workflows(d, d->b, b, d->a, a, '+');
  compare_limits(d, a, b);
}

static void compare_prompts(struct diff *d, uint32_t i, uint32_t j) {
  const struct yoi_sdk_bundle_prompt *a = &d->a->prompts[i], *b = &d->b->prompts[j];
  changed(d, "prompt", a->name, "media type", a->media_type, b->media_type);
  if (yoi_sdk_str_eq(a->text, b->text)) return;
  say(&d->changes, "~ prompt '%.*s': %zu -> %zu bytes, see below", YOI_ARG(a->name), a->text.len,
      b->text.len);
  yoi_sdk_buf_addf(&d->texts, "\nprompt '%.*s'\n", YOI_ARG(a->name));
  cli_text_diff(&d->texts, a->text, b->text);
}

static void compare(struct diff *d, enum section s, uint32_t i, uint32_t j) {
  yoi_str name = name_at(d->a, s, i);
  switch (s) {
    case MODELS:
      changed(d, "model", name, "the host's", d->a->models[i].host_model,
              d->b->models[j].host_model);
      if (!yoi_sdk_str_eq(d->a->models[i].host_model, d->b->models[j].host_model))
        say(&d->effects[EITHER], "model '%.*s' is the host's '%.*s', was '%.*s'", YOI_ARG(name),
            YOI_ARG(d->b->models[j].host_model), YOI_ARG(d->a->models[i].host_model));
      changed_json(d, "model", name, "parameters", d->a->models[i].parameters,
                   d->b->models[j].parameters);
      break;
    case TOOLS:
      compare_tools(d, i, j);
      break;
    case PLUGINS:
      compare_plugins(d, i, j);
      break;
    case POLICIES:
      changed(d, "policy", name, "plugin", d->a->policies[i].plugin, d->b->policies[j].plugin);
      compare_rules(d, name, d->a->policies[i].rules, d->b->policies[j].rules);
      break;
    case WORKFLOWS:
      changed(d, "workflow", name, "prompt", d->a->prompts[d->a->workflows[i].prompt].name,
              d->b->prompts[d->b->workflows[j].prompt].name);
      break;
    case PROFILES:
      compare_profiles(d, i, j);
      break;
    default:
      compare_prompts(d, i, j);
  }
}

/* An entry that only one has: `b` when it is new. */
static void only(struct diff *d, const struct yoi_sdk_bundle *b, enum section s, uint32_t i,
                 int is_new) {
  yoi_str name = name_at(b, s, i);
  struct yoi_sdk_buf *more = &d->effects[is_new ? MORE : LESS];
  say(&d->changes, "%c %s '%.*s'", is_new ? '+' : '-', nouns[s], YOI_ARG(name));
  switch (s) {
    case TOOLS:
      say(more, "tool '%.*s' of plugin '%.*s' %s (%s)", YOI_ARG(name), YOI_ARG(b->tools[i].plugin),
          is_new ? "is new" : "is gone", cli_bundle_verdict(b->tools[i].verdict));
      each_new(more, b->tools[i].grants, NULL, "tool", name,
               is_new ? "asks for" : "no longer asks for");
      break;
    case MODELS:
      say(more, "model '%.*s' is %s: the host's '%.*s'", YOI_ARG(name), is_new ? "new" : "gone",
          YOI_ARG(b->models[i].host_model));
      break;
    case PLUGINS:
      say(&d->effects[is_new ? LESS : MORE], "plugin '%.*s' is %s", YOI_ARG(name),
          is_new ? "pinned" : "no longer pinned");
      break;
    case POLICIES:
      only_rules(d, name, b->policies[i].rules, NULL, is_new ? '+' : '-');
      break;
    case PROFILES:
      only_tools(d, b, &b->profiles[i], NULL, NULL, is_new ? '+' : '-');
      break;
    case PROMPTS:
      yoi_sdk_buf_addf(&d->texts, "\nprompt '%.*s'\n", YOI_ARG(name));
      if (is_new)
        cli_text_diff(&d->texts, (yoi_str){"", 0}, b->prompts[i].text);
      else
        cli_text_diff(&d->texts, b->prompts[i].text, (yoi_str){"", 0});
      break;
    default:
      break;
  }
}

static void compare_all(struct diff *d) {
  const struct yoi_sdk_bundle *a = d->a, *b = d->b;
  const yoi_str none = {"", 0};
  changed(d, NULL, none, "id", a->id, b->id);
  changed(d, NULL, none, "revision", a->revision, b->revision);
  changed(d, NULL, none, "workspace_id", a->workspace_id, b->workspace_id);
  changed(d, NULL, none, "created_at", a->created_at, b->created_at);
  changed(d, NULL, none, "source", a->source, b->source);
  changed(d, NULL, none, "detail", a->detail, b->detail);
  changed(d, NULL, none, "language", a->language, b->language);
  changed(d, NULL, none, "workspace", a->workspace, b->workspace);
  changed(d, NULL, none, "project", a->project, b->project);
  for (enum section s = 0; s < N_SECTIONS; s++) {
    for (uint32_t i = 0; i < count(a, s); i++) {
      uint32_t j = find(b, s, name_at(a, s, i));
      if (j < count(b, s)) {
        compare(d, s, i, j);
      } else {
        only(d, a, s, i, 0);
      }
    }
    for (uint32_t j = 0; j < count(b, s); j++)
      if (find(a, s, name_at(b, s, j)) == count(a, s)) only(d, b, s, j, 1);
  }
}

/* ---- the command ----------------------------------------------------------------- */

static void put(struct yoi_sdk_buf *out, const char *title, const struct yoi_sdk_buf *lines) {
  if (lines->failed) out->failed = lines->failed;
  if (!lines->len) return;
  yoi_sdk_buf_addf(out, "%s:\n", title);
  yoi_sdk_buf_adds(out, yoi_sdk_buf_str(lines));
}

int cli_bundle_diff(const struct cli_bundle *a, const struct cli_bundle *b) {
  static const char *const titles[N_EFFECTS] = {"may do more", "may do less",
                                                "may do more or less"};
  struct diff d = {.a = a->is, .b = b->is};
  struct yoi_sdk_buf out;
  if (!strcmp(d.a->digest, d.b->digest)) {
    printf("the same: %s\n", d.a->digest);
    return fflush(stdout) == 0 ? CLI_OK : CLI_INTERNAL;
  }
  yoi_sdk_buf_init(&out, 2 * YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&d.changes, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&d.texts, YOI_JSON_BYTES_MAX);
  for (size_t i = 0; i < N_EFFECTS; i++) yoi_sdk_buf_init(&d.effects[i], YOI_JSON_BYTES_MAX);
  compare_all(&d);
  yoi_sdk_buf_addf(&out, "- %s %.*s %.*s\n+ %s %.*s %.*s\n", d.a->digest, YOI_ARG(d.a->id),
                   YOI_ARG(d.a->revision), d.b->digest, YOI_ARG(d.b->id), YOI_ARG(d.b->revision));
  for (size_t i = 0; i < N_EFFECTS; i++) put(&out, titles[i], &d.effects[i]);
  put(&out, "changes", &d.changes);
  if (!d.changes.len && !d.changes.failed)
    yoi_sdk_buf_adds(&out, YOI_LIT("the same is said in other bytes, or in another order\n"));
  if (d.texts.failed) out.failed = d.texts.failed;
  yoi_sdk_buf_adds(&out, yoi_sdk_buf_str(&d.texts));
  int code = out.failed ? CLI_INTERNAL : cli_bundle_write(NULL, yoi_sdk_buf_str(&out));
  if (out.failed) cli_say("cannot compare them: no memory");
  for (size_t i = 0; i < N_EFFECTS; i++) yoi_sdk_buf_release(&d.effects[i]);
  yoi_sdk_buf_release(&d.texts);
  yoi_sdk_buf_release(&d.changes);
  yoi_sdk_buf_release(&out);
  return code == CLI_OK ? CLI_INVALID : code;
}
