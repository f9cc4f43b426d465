/* yoi/host_grant.h - "yoi.host.grant/1": for runtimes and tools. Since 1.4.
 *
 * A grant is a permission by name: "mount:workspace:ro", "net:docs",
 * "shell:workspace", "git:workspace". Who asks for it names it; what it is,
 * the operator says in the section `local` of the config. "mount:NAME:rw" is
 * there when the operator gave NAME for writing, ":ro" in both cases.
 */
#ifndef YOI_HOST_GRANT_H
#define YOI_HOST_GRANT_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_GRANT_ID "yoi.host.grant/1"

typedef struct yoi_host_grant {
  uint32_t size;
  uint32_t reserved;
  /* [any] Whether this host has it now. INVALID_ARGUMENT: it is no grant.
   * PERMISSION_DENIED with grant_missing: it has not. */
  yoi_status (*check)(const yoi_host *h, yoi_str grant, yoi_error *err);
  /* [any] Tools: calls each(ctx, grant) per grant of a call, before it
   * returns. NOT_FOUND: no such call of this plugin. */
  yoi_status (*list)(const yoi_host *h, uint64_t call,
                     void (*each)(void *ctx, yoi_str grant), void *ctx);
  /* [any] Tools: what the operator wrote below local.shell or local.git, a JSON
   * object with the defaults of what he left out: *out_len bytes, at most
   * YOI_GRANT_VALUE_MAX, in buf. Checked like check, and the call must have the
   * grant. OUT_OF_RANGE: cap is less than *out_len. NOT_FOUND: as of list. */
  yoi_status (*value)(const yoi_host *h, uint64_t call, yoi_str grant,
                      char *buf, size_t cap, size_t *out_len, yoi_error *err);
} yoi_host_grant;

#ifdef __cplusplus
}
#endif
#endif
