/* linked.c - the plugins that are part of this program: the kit's own model and tool,
 * and in yoi-conform-static, for which `make static` compiles this file again with
 * their names as CONFORM_LINKED, all of the tree's. Those can be tested with
 * --builtin.
 */
#include <stdio.h>

#include "companion.h"
#include "conform.h"
#include "host/loader.h"

#ifdef CONFORM_LINKED
#define DECLARE(name) YOI_LINKED_PLUGIN(name);
#define ROW(name) &yoi_linked_##name,
CONFORM_LINKED(DECLARE)
#else
#define CONFORM_LINKED(X)
#define ROW(name)
#endif

#define OURS 2
static const yoi_linked_plugin *const rows[] = {&companion_model, &companion_tool,
                                                CONFORM_LINKED(ROW)};
#define N (sizeof rows / sizeof *rows)

int conform_link(void) {
  return yoi_link_plugins(rows, N, NULL) == YOI_OK;
}

const char *conform_linked_examine(const yoi_linked_plugin *row, struct yoi__plugin *out,
                                   struct yoi_sdk_error *e) {
  yoi_str text = {row->manifest, (size_t)(row->manifest_end - row->manifest)};
  *out = (struct yoi__plugin){.linked = row};
  return yoi__manifest_parse(text, &out->manifest, yoi_sdk_error_init(e)) == YOI_OK ? NULL
                                                                                     : e->message;
}

const yoi_linked_plugin *conform_linked(const char *id) {
  for (size_t i = OURS; i < N; i++) {
    struct yoi__plugin p;
    struct yoi_sdk_error e;
    int is = !conform_linked_examine(rows[i], &p, &e) && yoi_sdk_str_is(p.manifest.id, id);
    yoi__manifest_release(&p.manifest);
    if (is) return rows[i];
  }
  return NULL;
}

void conform_linked_say(void) {
  if (N == OURS) (void)fputs("  nothing; yoi-conform-static has the tree's plugins\n", stderr);
  for (size_t i = OURS; i < N; i++) {
    struct yoi__plugin p;
    struct yoi_sdk_error e;
    if (!conform_linked_examine(rows[i], &p, &e))
      (void)fprintf(stderr, "  %.*s\n", YOI_ARG(p.manifest.id));
    yoi__manifest_release(&p.manifest);
  }
}
