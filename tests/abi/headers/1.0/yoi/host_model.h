/* yoi/host_model.h - "yoi.host.model/1": for runtimes. Models are called by
 * the name they have in the host's config; provider, address and key stay
 * with the host. */
#ifndef YOI_HOST_MODEL_H
#define YOI_HOST_MODEL_H

#include <yoi/model.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_MODEL_ID "yoi.host.model/1"

typedef struct yoi_host_model {
  uint32_t size;
  uint32_t reserved;
  /* [any] Calls each(ctx, name) per model, in byte order, before it returns. */
  void (*list)(const yoi_host *h, void (*each)(void *ctx, yoi_str name),
               void *ctx);
  /* [loop] The stream stays on this loop. A model that is not open yet
   * answers AGAIN until it is. NOT_FOUND: no model of that name. */
  yoi_status (*start)(const yoi_host *h, yoi_str name,
                      const yoi_model_request *req, yoi_stream **out,
                      yoi_error *err);
} yoi_host_model;

#ifdef __cplusplus
}
#endif
#endif
