/* host/findings.h - everything that is wrong with a config, gathered. */
#ifndef YOI__FINDINGS_H
#define YOI__FINDINGS_H

#include <sdk/json.h>
#include <yoi.h>

struct yoi__finding {
  uint32_t line, column;
  size_t order;  /* as added: what breaks ties */
  char *pointer; /* JSON pointer */
  char *message; /* public */
  char *detail;  /* private: names paths; NULL: none */
};

struct yoi__findings {
  yoi_str text; /* of the config: where pointers are looked up */
  struct yoi__finding *all;
  size_t n;
  size_t dropped; /* beyond YOI_CONFIG_FINDINGS_MAX */
  int failed;     /* memory was short */
};

void yoi__findings_init(struct yoi__findings *f, yoi_str text);
void yoi__findings_release(struct yoi__findings *f);
/* At the value of a pointer, or at its key; at the nearest parent that is in
 * the text when it is not. */
void yoi__findings_add(struct yoi__findings *f, const char *pointer, int is_key, const char *fmt,
                       ...) __attribute__((format(printf, 4, 5)));
/* At a position that is known already. */
void yoi__findings_add_at(struct yoi__findings *f, uint32_t line, uint32_t column,
                          const char *pointer, const char *message);
/* Private text that belongs to the finding added last. */
void yoi__findings_detail(struct yoi__findings *f, yoi_str detail);
/* Sorts, reports each (message and detail), puts the first into err.
 * OK: there is none. */
yoi_status yoi__findings_end(struct yoi__findings *f, yoi_report_fn report, void *ctx,
                             yoi_error *err);

#endif
