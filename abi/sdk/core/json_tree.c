/* json_tree.c - trees for reading; the one place that knows cJSON.
 *
 * cJSON sees only text that passed the strict pass (json_scan.c), which takes
 * away what it reads differently from others: it is never asked to judge. It
 * allocates with its own functions, since its hooks are global to a process
 * whose application may use the same library; a tree is therefore the one
 * thing that sdk/mem.h does not count. cJSON also stores where its last error
 * was in a global, which nobody reads.
 *
 *  1. A tree is at most YOI_JSON_DEPTH_MAX deep, so that recursion over it is
 *     bounded, cJSON's own deletion included.
 *  2. No string of a tree holds a NUL: strlen gives its length.
 *  3. cJSON reads numbers with strtod, which follows the application's locale:
 *     it runs under the C locale of this thread.
 *  4. Numbers are doubles. A getter for integers takes whole ones within
 *     +-(2^53-1); beyond, two texts may mean the same double.
 */
#include <cjson/cJSON.h>
#include <sdk/json.h>

#include "json_text.h"

#include <dlfcn.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>

/* process-wide: made once, never freed; 0 leaves a thread's locale alone */
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;
static locale_t c_locale;

static void c_locale_make(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

#define TEXT_OF(x) #x
#define VERSION_OF(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

int yoi_sdk_json_library(const char **out_found, const char **out_built) {
  *out_found = cJSON_Version();
  *out_built = VERSION_OF(CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH);
  return strcmp(*out_found, *out_built) == 0;
}

static cJSON *build(const char *text, size_t len) {
  (void)pthread_once(&c_locale_once, c_locale_make);
  locale_t before = uselocale(c_locale);
  cJSON *tree = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
  (void)uselocale(before);
  return tree;
}

static yoi_status no_memory(struct yoi_sdk_json_error *err) {
  if (err) {
    *err = (struct yoi_sdk_json_error){.line = 1, .column = 1};
    (void)snprintf(err->message, sizeof err->message, "out of memory");
  }
  return YOI_RESOURCE_EXHAUSTED;
}

yoi_status yoi_sdk_json_parse(yoi_str text, uint32_t flags, yoi_sdk_json **out,
                              struct yoi_sdk_json_error *err) {
  int comments;
  *out = NULL;
  yoi_status st = yoi_sdk__json_scan(text, flags, &comments, err);
  if (st != YOI_OK) return st;
  char *plain = NULL;
  if (comments) {
    plain = yoi_sdk_strndup(text.ptr, text.len);
    if (!plain) return no_memory(err);
    yoi_sdk__json_blank(plain, text.len);
  }
  *out = build(plain ? plain : text.ptr, text.len);
  yoi_sdk_free(plain);
  return *out ? YOI_OK : no_memory(err);
}

void yoi_sdk_json_free(yoi_sdk_json *v) {
  cJSON_Delete(v);
}

uint32_t yoi_sdk_json_type(const yoi_sdk_json *v) {
  switch (v ? v->type & 0xFF : cJSON_Invalid) {
    case cJSON_NULL:
      return YOI_SDK_JSON_NULL;
    case cJSON_False:
    case cJSON_True:
      return YOI_SDK_JSON_BOOL;
    case cJSON_Number:
      return YOI_SDK_JSON_NUMBER;
    case cJSON_String:
      return YOI_SDK_JSON_STRING;
    case cJSON_Array:
      return YOI_SDK_JSON_ARRAY;
    case cJSON_Object:
      return YOI_SDK_JSON_OBJECT;
    default:
      return YOI_SDK_JSON_NONE;
  }
}

const char *yoi_sdk_json_type_name(uint32_t type) {
  static const char *const names[] = {"nothing",  "null",     "a boolean", "a number",
                                      "a string", "an array", "an object"};
  return type < sizeof names / sizeof names[0] ? names[type] : names[0];
}

const yoi_sdk_json *yoi_sdk_json_getn(const yoi_sdk_json *v, yoi_str name) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) return NULL;
  for (const cJSON *c = v->child; c; c = c->next) {
    if (strnlen(c->string, name.len + 1) != name.len) continue;
    if (name.len == 0 || memcmp(c->string, name.ptr, name.len) == 0) return c;
  }
  return NULL;
}

const yoi_sdk_json *yoi_sdk_json_get(const yoi_sdk_json *v, const char *name) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_OBJECT) return NULL;
  for (const cJSON *c = v->child; c; c = c->next)
    if (strcmp(c->string, name) == 0) return c;
  return NULL;
}

const yoi_sdk_json *yoi_sdk_json_first(const yoi_sdk_json *v) {
  uint32_t type = yoi_sdk_json_type(v);
  return type == YOI_SDK_JSON_OBJECT || type == YOI_SDK_JSON_ARRAY ? v->child : NULL;
}

const yoi_sdk_json *yoi_sdk_json_next(const yoi_sdk_json *v) {
  return v ? v->next : NULL;
}

size_t yoi_sdk_json_count(const yoi_sdk_json *v) {
  size_t n = 0;
  for (const cJSON *c = yoi_sdk_json_first(v); c; c = c->next) n++;
  return n;
}

yoi_str yoi_sdk_json_key(const yoi_sdk_json *v) {
  return v ? yoi_sdk_str(v->string) : (yoi_str){NULL, 0};
}

int yoi_sdk_json_str(const yoi_sdk_json *v, yoi_str *out) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_STRING) return 0;
  *out = yoi_sdk_str(v->valuestring);
  return 1;
}

int yoi_sdk_json_bool(const yoi_sdk_json *v, int *out) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_BOOL) return 0;
  *out = (v->type & 0xFF) == cJSON_True;
  return 1;
}

int yoi_sdk_json_number(const yoi_sdk_json *v, double *out) {
  if (yoi_sdk_json_type(v) != YOI_SDK_JSON_NUMBER) return 0;
  *out = v->valuedouble;
  return 1;
}

int yoi_sdk_json_int(const yoi_sdk_json *v, int64_t *out) {
  double n;
  if (!yoi_sdk_json_number(v, &n) || fabs(n) > (double)YOI_JSON_INT_MAX) return 0;
  int64_t whole = (int64_t)n;
  if ((double)whole != n) return 0;
  *out = whole;
  return 1;
}

void yoi_sdk_json_write(const yoi_sdk_json *v, struct yoi_sdk_jsonw *w) {
  switch (yoi_sdk_json_type(v)) {
    case YOI_SDK_JSON_BOOL:
      yoi_sdk_jsonw_bool(w, (v->type & 0xFF) == cJSON_True);
      break;
    case YOI_SDK_JSON_NUMBER:
      yoi_sdk_jsonw_double(w, v->valuedouble);
      break;
    case YOI_SDK_JSON_STRING:
      yoi_sdk_jsonw_str(w, yoi_sdk_str(v->valuestring));
      break;
    case YOI_SDK_JSON_ARRAY:
      yoi_sdk_jsonw_open(w, '[');
      for (const cJSON *c = v->child; c; c = c->next) yoi_sdk_json_write(c, w);
      yoi_sdk_jsonw_close(w, ']');
      break;
    case YOI_SDK_JSON_OBJECT:
      yoi_sdk_jsonw_open(w, '{');
      for (const cJSON *c = v->child; c; c = c->next) {
        yoi_sdk_jsonw_keyn(w, yoi_sdk_str(c->string));
        yoi_sdk_json_write(c, w);
      }
      yoi_sdk_jsonw_close(w, '}');
      break;
    default:
      yoi_sdk_jsonw_null(w);
  }
}

/* ---- whose cJSON ---------------------------------------------------------- */

/* The file that a function lies in, without its path. */
static const char *object_of(void (*fn)(void)) {
  Dl_info info;
  void *address;
  memcpy(&address, &fn, sizeof address); /* ISO C has no such conversion */
  if (!dladdr(address, &info) || !info.dli_fname) return "?";
  const char *slash = strrchr(info.dli_fname, '/');
  return slash ? slash + 1 : info.dli_fname;
}

const char *yoi_sdk_json_object(void) {
  /* All of it that is used here: a mixture would be the worst. */
  void (*const used[])(void) = {
      (void (*)(void))cJSON_ParseWithLengthOpts,
      (void (*)(void))cJSON_Delete,
      (void (*)(void))cJSON_Version,
  };
  for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
    const char *object = object_of(used[i]);
    if (strncmp(object, "libcjson.so", strlen("libcjson.so")) != 0) return object;
  }
  return "";
}
