/* host/told.c - the list behind told.h: one row per wording, found by comparing. */
#include "told.h"

#include <pthread.h>
#include <string.h>

#include <sdk/mem.h>
#include <sdk/str.h>

#define TEXTS 7

struct row {
  struct row *next;
  yoi_str texts[TEXTS]; /* they lie behind it, each with a NUL */
};

struct yoi__told {
  pthread_mutex_t lock;
  struct row *rows;
};

struct yoi__told *yoi__told_new(void) {
  struct yoi__told *t = yoi_sdk_calloc(1, sizeof *t);
  if (t != NULL) pthread_mutex_init(&t->lock, NULL);
  return t;
}

void yoi__told_free(struct yoi__told *t) {
  if (t == NULL) return;
  while (t->rows != NULL) {
    struct row *next = t->rows->next;
    yoi_sdk_free(t->rows);
    t->rows = next;
  }
  pthread_mutex_destroy(&t->lock);
  yoi_sdk_free(t);
}

static int is_it(const struct row *r, yoi_str *const texts[TEXTS]) {
  for (size_t i = 0; i < TEXTS; i++)
    if (!yoi_sdk_str_eq(r->texts[i], *texts[i])) return 0;
  return 1;
}

static struct row *add(struct yoi__told *t, yoi_str *const texts[TEXTS]) {
  size_t bytes = 0;
  for (size_t i = 0; i < TEXTS; i++) bytes += texts[i]->len + 1;
  struct row *r = yoi_sdk_malloc(sizeof *r + bytes);
  if (r == NULL) return NULL;
  char *at = (char *)(r + 1);
  for (size_t i = 0; i < TEXTS; i++) {
    r->texts[i] = (yoi_str){at, texts[i]->len};
    if (texts[i]->len > 0) memcpy(at, texts[i]->ptr, texts[i]->len);
    at[texts[i]->len] = '\0';
    at += texts[i]->len + 1;
  }
  r->next = t->rows;
  t->rows = r;
  return r;
}

int yoi__told_keep(struct yoi__told *t, yoi_tool_info *info) {
  yoi_str *const texts[TEXTS] = {&info->name,   &info->plugin,      &info->version,
                                 &info->digest, &info->description, &info->parameters,
                                 &info->grants};
  pthread_mutex_lock(&t->lock);
  struct row *r = t->rows;
  while (r != NULL && !is_it(r, texts)) r = r->next;
  if (r == NULL) r = add(t, texts);
  pthread_mutex_unlock(&t->lock);
  for (size_t i = 0; r != NULL && i < TEXTS; i++) *texts[i] = r->texts[i];
  return r != NULL;
}
