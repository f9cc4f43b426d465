/* credential.c - the well-known forms of credentials, found in any text.
 *
 * A form is a head of fixed letters and a body: so many characters of an
 * alphabet, with digits among them, as keys have them and prose has not.
 *
 *   text --> masks of three bytes --> head --> body --> rule
 *            (one step per byte)
 *
 *  1. A byte costs three loads: bit i of `first`, `second` and `third` is set for
 *     the bytes that the head of form i begins with.
 *  2. A head inside of a word is none: "task-force" has no "sk-".
 *  3. A head alone, with dots, stars or words behind it, is prose.
 *  4. Of a body no more is looked at than makes it one, RUN_MAX at most, so that
 *     a text of nothing but heads costs its length and not its square.
 */
#include "reader.h"

#include <string.h>

/* Alphabets */
#define DIGIT 1u
#define UPPER 2u
#define LOWER 4u
#define DASH 8u    /* - */
#define LINE 16u   /* _ */
#define DOT 32u
#define BASE64 64u /* + / */
#define HEX 128u   /* 0-9 a-f A-F only */
#define ALNUM (DIGIT | UPPER | LOWER)
#define WORD (ALNUM | DASH | LINE)

enum special { PLAIN, EXACT, JWT, PEM, URL, AZURE_AD, TELEGRAM, SLACK_HOOK, AWS_SECRET };

struct form {
  const char *head, *rule;
  uint32_t alphabet, least; /* of the body */
  enum special special;
};

/* What stands here are prefixes that their providers have published, so that
 * scanners find them. No value fits unless a body follows. */
static const struct form forms[] = {
    {"sk-ant-", "credential.anthropic", WORD, 20, PLAIN},
    {"sk-or-v1-", "credential.openrouter", WORD, 32, PLAIN},
    {"sk-", "credential.openai", WORD, 20, PLAIN},
    {"sk_live_", "credential.stripe", ALNUM, 16, PLAIN},
    {"sk_test_", "credential.stripe", ALNUM, 16, PLAIN},
    {"rk_live_", "credential.stripe", ALNUM, 16, PLAIN},
    {"rk_test_", "credential.stripe", ALNUM, 16, PLAIN},
    {"whsec_", "credential.stripe", ALNUM | BASE64, 24, PLAIN},
    {"AIza", "credential.google", WORD, 35, PLAIN},
    {"ya29.", "credential.google", WORD, 20, PLAIN},
    {"GOCSPX-", "credential.google", WORD, 20, PLAIN},
    {"AKIA", "credential.aws", UPPER | DIGIT, 16, EXACT},
    {"ASIA", "credential.aws", UPPER | DIGIT, 16, EXACT},
    {"ABIA", "credential.aws", UPPER | DIGIT, 16, EXACT},
    {"ACCA", "credential.aws", UPPER | DIGIT, 16, EXACT},
    {"aws_secret_access_key", "credential.aws", ALNUM | BASE64, 40, AWS_SECRET},
    {"AWS_SECRET_ACCESS_KEY", "credential.aws", ALNUM | BASE64, 40, AWS_SECRET},
    {"AccountKey=", "credential.azure", ALNUM | BASE64, 40, PLAIN},
    {"SharedAccessKey=", "credential.azure", ALNUM | BASE64, 40, PLAIN},
    {"7Q~", "credential.azure", WORD | DOT, 31, AZURE_AD},
    {"8Q~", "credential.azure", WORD | DOT, 31, AZURE_AD},
    {"ghp_", "credential.github", ALNUM, 30, PLAIN},
    {"gho_", "credential.github", ALNUM, 30, PLAIN},
    {"ghu_", "credential.github", ALNUM, 30, PLAIN},
    {"ghs_", "credential.github", ALNUM, 30, PLAIN},
    {"ghr_", "credential.github", ALNUM, 30, PLAIN},
    {"github_pat_", "credential.github", ALNUM | LINE, 22, PLAIN},
    {"glpat-", "credential.gitlab", WORD | DOT, 20, PLAIN},
    {"glptt-", "credential.gitlab", WORD, 20, PLAIN},
    {"gldt-", "credential.gitlab", WORD, 20, PLAIN},
    {"glrt-", "credential.gitlab", WORD | DOT, 20, PLAIN},
    {"glcbt-", "credential.gitlab", WORD, 20, PLAIN},
    {"xoxb-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"xoxp-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"xoxa-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"xoxr-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"xoxs-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"xoxe", "credential.slack", ALNUM | DASH | DOT, 20, PLAIN},
    {"xapp-", "credential.slack", ALNUM | DASH, 20, PLAIN},
    {"hooks.slack.com/services/", "credential.slack", ALNUM | BASE64, 30, SLACK_HOOK},
    {"hf_", "credential.huggingface", ALNUM, 30, PLAIN},
    {"npm_", "credential.npm", ALNUM, 36, PLAIN},
    {"pypi-", "credential.pypi", WORD, 40, PLAIN},
    {"dop_v1_", "credential.digitalocean", HEX, 64, PLAIN},
    {"SG.", "credential.sendgrid", WORD | DOT, 60, PLAIN},
    {"shpat_", "credential.shopify", HEX, 32, PLAIN},
    {"shpss_", "credential.shopify", HEX, 32, PLAIN},
    {"gsk_", "credential.groq", ALNUM, 40, PLAIN},
    {"xai-", "credential.xai", ALNUM, 40, PLAIN},
    {"r8_", "credential.replicate", ALNUM, 30, PLAIN},
    {"pplx-", "credential.perplexity", ALNUM, 40, PLAIN},
    {"nvapi-", "credential.nvidia", WORD, 40, PLAIN},
    {"dckr_pat_", "credential.docker", WORD, 20, PLAIN},
    {"hvs.", "credential.vault", WORD, 24, PLAIN},
    {"glsa_", "credential.grafana", ALNUM | LINE, 32, PLAIN},
    {"dapi", "credential.databricks", HEX, 32, PLAIN},
    {"AGE-SECRET-KEY-1", "credential.age", UPPER | DIGIT, 50, PLAIN},
    {":AA", "credential.telegram", WORD, 33, TELEGRAM},
    {"eyJ", "credential.jwt", WORD, 8, JWT},
    {"-----BEGIN ", "credential.private-key", ALNUM | BASE64, 32, PEM},
    {"://", "credential.url", 0, 0, URL},
    {"lin_api_", "credential.linear", ALNUM, 32, PLAIN},
    {"ATATT3", "credential.atlassian", WORD, 40, PLAIN},
};
#define N_FORMS (sizeof forms / sizeof *forms)
_Static_assert(N_FORMS <= 64, "a bit for each form");

void yoi_sdk__bundle_forms(struct bundle_forms *f) {
  memset(f, 0, sizeof *f);
  for (size_t i = 0; i < N_FORMS; i++) {
    const unsigned char *h = (const unsigned char *)forms[i].head;
    f->first[h[0]] |= UINT64_C(1) << i;
    f->second[h[1]] |= UINT64_C(1) << i;
    f->third[h[2]] |= UINT64_C(1) << i;
  }
}

/* ---- bodies ------------------------------------------------------------------------------ */

static uint32_t kind(char c) {
  if (c >= '0' && c <= '9') return DIGIT | HEX;
  if (c >= 'A' && c <= 'Z') return UPPER | (c <= 'F' ? HEX : 0);
  if (c >= 'a' && c <= 'z') return LOWER | (c <= 'f' ? HEX : 0);
  return c == '-'               ? DASH
         : c == '_'             ? LINE
         : c == '.'             ? DOT
         : c == '+' || c == '/' ? BASE64
                                : 0;
}

static int word(char c) {
  return (kind(c) & ALNUM) != 0;
}

#define RUN_MAX 256

/* The last run of WORD that was looked at: whoever stands in it knows its end. */
struct runs {
  size_t from, to;
};

/* How many characters of the alphabet follow from i, at most so many; *digits of
 * them are such. */
static size_t run(yoi_str s, size_t i, uint32_t alphabet, size_t most, size_t *digits) {
  size_t begin = i;
  *digits = 0;
  for (; i < s.len && i - begin < most && (kind(s.ptr[i]) & alphabet) != 0; i++)
    *digits += (kind(s.ptr[i]) & DIGIT) != 0;
  return i - begin;
}

/* Long enough, with digits as random letters have them. */
static int body(yoi_str s, size_t i, const struct form *f) {
  size_t digits, n = run(s, i, f->alphabet, RUN_MAX, &digits);
  if (f->special == EXACT)
    return n == f->least && digits > 0 && (i + n == s.len || !word(s.ptr[i + n]));
  return n >= f->least && digits >= 2;
}

static size_t end_of_run(yoi_str s, size_t i, struct runs *last) {
  size_t digits;
  if (i < last->from || i >= last->to)
    *last = (struct runs){i, i + run(s, i, WORD, SIZE_MAX, &digits)};
  return last->to;
}

/* Three parts with dots between: both of the first are JSON objects. A part may
 * be long, and have heads in it. */
static int jwt(yoi_str s, size_t begin, struct runs last[2]) {
  size_t digits, i = end_of_run(s, begin, &last[0]);
  if (i - begin < 8 || i + 4 > s.len || memcmp(s.ptr + i, ".eyJ", 4) != 0) return 0;
  begin = i + 4;
  i = begin < s.len ? end_of_run(s, begin, &last[1]) : begin;
  return i >= begin + 4 && i < s.len && s.ptr[i] == '.' &&
         run(s, i + 1, WORD, RUN_MAX, &digits) >= 16;
}

/* The head of a private key and, not far behind it, a line of base64. */
static int pem(yoi_str s, size_t i, const struct form *f) {
  static const char key[] = "PRIVATE KEY";
  size_t line = i, digits;
  while (line < s.len && s.ptr[line] != '\n' && line - i < 64 &&
         (s.len - line < 5 || memcmp(s.ptr + line, "-----", 5) != 0))
    line++;
  int named = 0;
  for (size_t k = i; k + sizeof key - 1 <= line; k++)
    named |= memcmp(s.ptr + k, key, sizeof key - 1) == 0;
  for (size_t end = line + 512; named && line < s.len && line < end; line++) {
    size_t n = run(s, line, f->alphabet, RUN_MAX, &digits);
    if (n >= f->least) return 1;
    line += n;
  }
  return 0;
}

/* A user and a password before the host; "<password>", "$PASSWORD", "***" and
 * the like stand for one and are none. */
static int url(yoi_str s, size_t i) {
  size_t colon = 0, begin = i;
  int letters = 0;
  for (; i < s.len && i - begin < RUN_MAX; i++) {
    char c = s.ptr[i];
    if (c == '@') return letters && i + 1 < s.len && (word(s.ptr[i + 1]) || s.ptr[i + 1] == '[');
    if ((unsigned char)c <= ' ' || strchr("/?#\"'<>{}$`|\\", c) != NULL) return 0;
    if (c == ':' && colon == 0) colon = i;
    else if (colon != 0 && c != '*' && c != '.' && c != 'x' && c != 'X') letters = 1;
  }
  return 0;
}

/* The key, and behind a few of  = : " and space  what only a secret looks like. */
static int aws_secret(yoi_str s, size_t i, const struct form *f) {
  size_t end = i + 8, digits;
  while (i < s.len && i < end && strchr(" =:\"'\t", s.ptr[i]) != NULL && s.ptr[i] != '\0') i++;
  return run(s, i, f->alphabet, RUN_MAX, &digits) == f->least && digits > 0;
}

/* Whether the form, whose head is at i, is there. */
static int fits(yoi_str s, size_t i, const struct form *f, struct runs last[2]) {
  size_t n = strlen(f->head), digits;
  if (s.len - i < n || memcmp(s.ptr + i, f->head, n) != 0) return 0;
  size_t behind = i + n;
  switch (f->special) {
    case URL:
      return i > 0 && word(s.ptr[i - 1]) && url(s, behind);
    case PEM:
      return pem(s, behind, f);
    case AZURE_AD: /* three letters stand before its head */
      return i >= 3 && word(s.ptr[i - 1]) && body(s, behind, f);
    case TELEGRAM: /* the number of a bot, then the head */
      for (digits = 0; digits < i && digits < 8 && kind(s.ptr[i - 1 - digits]) & DIGIT;) digits++;
      return digits >= 8 && body(s, behind, f);
    case SLACK_HOOK:
      return body(s, behind, f);
    default:
      break;
  }
  if (i > 0 && word(s.ptr[i - 1])) return 0;
  if (f->special == JWT) return behind < s.len && jwt(s, behind, last);
  if (f->special == AWS_SECRET) return aws_secret(s, behind, f);
  return body(s, behind, f);
}

const char *yoi_sdk__bundle_credential(const struct bundle_forms *f, yoi_str s) {
  const unsigned char *p = (const unsigned char *)s.ptr;
  struct runs last[2] = {{0, 0}, {0, 0}};
  for (size_t i = 0; i + 3 <= s.len; i++) {
    uint64_t may = f->first[p[i]] & f->second[p[i + 1]] & f->third[p[i + 2]];
    for (; may != 0; may &= may - 1) {
      const struct form *form = &forms[__builtin_ctzll(may)];
      if (fits(s, i, form, last)) return form->rule;
    }
  }
  return NULL;
}

/* ---- whole bundles ------------------------------------------------------------------------- */

static void look(struct bundle_reader *r, yoi_str s, int in_key) {
  const char *rule = yoi_sdk__bundle_credential(&r->forms, s);
  if (rule != NULL)
    yoi_sdk__bundle_say(r, in_key, YOI_CODE_BUNDLE_FORBIDDEN_CONTENT, rule,
                        "this text has the form of a credential; secrets stay on their host");
}

/* As deep as sdk/json.h reads: YOI_JSON_DEPTH_MAX. */
void yoi_sdk__bundle_scan(struct bundle_reader *r, const yoi_sdk_json *v) {
  yoi_str s;
  size_t i = 0;
  if (yoi_sdk_json_str(v, &s)) look(r, s, 0);
  int object = yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT;
  for (const yoi_sdk_json *e = yoi_sdk_json_first(v); e != NULL; e = yoi_sdk_json_next(e), i++) {
    struct bundle_place place;
    yoi_sdk__bundle_enter(r, &place, object ? yoi_sdk_json_key(e) : (yoi_str){NULL, 0}, i);
    if (object) look(r, yoi_sdk_json_key(e), 1);
    yoi_sdk__bundle_scan(r, e);
    yoi_sdk__bundle_leave(r);
  }
}
