/* yoi/host_registry.h - "yoi.host.registry/1": for ingresses. */
#ifndef YOI_HOST_REGISTRY_H
#define YOI_HOST_REGISTRY_H

#include <yoi/host.h>
#include <yoi/request.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_REGISTRY_ID "yoi.host.registry/1"

typedef struct yoi_host_registry {
  uint32_t size;
  uint32_t reserved;
  /* [any] Routes an operation to a runtime, or, with an empty runtime_id, to
   * the host itself. The stream is the host's own: it holds the runtime,
   * enforces req->deadline_ns, and hands out public errors only. Errors:
   * runtime_not_found, runtime_unavailable, shutting_down, policy_denied,
   * unsupported_operation, and the runtime's. */
  yoi_status (*start)(const yoi_host *h, yoi_str runtime_id,
                      const yoi_request *req, yoi_stream **out,
                      yoi_error *err);
} yoi_host_registry;

#ifdef __cplusplus
}
#endif
#endif
