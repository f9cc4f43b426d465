/* engine.h - what a worker does. A runtime is this engine with a store.
 *
 *   static yoi_status open(host, config, out, err) {
 *     struct eng_options o = { .kind = ..., .store = eng_store_mem_new() };
 *     return eng_open(host, config, &o, out, err);
 *   }
 *
 * The other functions are those of yoi.runtime/1.
 */
#ifndef ENG_ENGINE_H
#define ENG_ENGINE_H

#include <yoi/runtime.h>

#include "store.h"

struct eng_options {
  yoi_str kind;         /* "embedded", as describe shows it */
  yoi_str display_name; /* for people */
  yoi_str version;
  yoi_str state_kind;      /* memory | durable */
  struct eng_store *store; /* taken over, also when open fails */
  yoi_str builtin;         /* a bundle in the place of the builtin one, or empty */
  uint64_t history_max;    /* of limits.history_bytes; 0: YOI_HISTORY_BYTES_MAX */
};

/* config: {"limits": {...}}, as the runtime's manifest has it. */
yoi_status eng_open(const yoi_host *host, yoi_str config, const struct eng_options *options,
                    void **out_self, yoi_error *err);
void eng_close(void *self);
yoi_status eng_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err);
void eng_wake(void *self, uint64_t cookie);
yoi_status eng_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                     yoi_error *err);

#endif
