/* host/application.c - what an application gives: options of a host, its own
 * plugins, sockets and log among them, and the heap of the process.
 *
 *  1. Rows of plugins are the application's and stay; the config, and each later
 *     one of that host, has the array of them.
 *  2. The heap is chosen once, before the first allocation (sdk/mem.h).
 */
#include <sdk/mem.h>
#include <sdk/take.h>

#include "host.h"
#include "sockets.h"

yoi_status yoi_host_new_with(const char *json, size_t len, const yoi_host_options *options,
                             struct yoi_embed **out, yoi_error *err) {
  yoi_host_options o = {.size = sizeof o};
  struct yoi__config *config = NULL;
  struct yoi__sockets *sockets = NULL;
  yoi_status st = YOI_OK;
  if (out != NULL) *out = NULL;
  if (options != NULL) st = yoi_sdk_take(&o, sizeof o, options, "options", err);
  if (st == YOI_OK && o.reserved != 0)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "options: field 'reserved': expected 0");
  if (st == YOI_OK) st = yoi__linked_check(o.plugins, o.n_plugins, err);
  if (st == YOI_OK && (out != NULL || o.sockets != NULL))
    st = yoi__sockets_take(o.sockets, o.n_sockets, &sockets, err);
  if (st == YOI_OK)
    st = yoi__config_load_own((yoi_str){json, len}, o.base_dir,
                              (struct yoi__own){o.plugins, o.n_plugins, sockets}, o.report,
                              o.report_ctx, out != NULL ? &config : NULL, err);
  if (st == YOI_OK && out != NULL) st = yoi__host_of(config, out, err);
  yoi__config_free(config); /* the host has its own reference */
  if (st != YOI_OK || out == NULL) {
    yoi__sockets_free(sockets);
    return st;
  }
  (*out)->sockets = sockets;
  if (o.log != NULL) yoi__log_to((*out)->log, o.log, o.log_ctx);
  return st;
}

yoi_status yoi_host_new(const char *json, size_t len, const char *base_dir, struct yoi_embed **out,
                        yoi_error *err) {
  const yoi_host_options o = {.size = sizeof o, .base_dir = base_dir};
  return yoi_host_new_with(json, len, &o, out, err);
}

yoi_status yoi_use_allocator(const yoi_allocator *given, yoi_error *err) {
  yoi_allocator a;
  if (given == NULL) return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "allocator: is NULL");
  yoi_status st = yoi_sdk_take(&a, sizeof a, given, "allocator", err);
  if (st != YOI_OK) return st;
  if (a.allocate == NULL || a.resize == NULL || a.release == NULL)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "allocator: a function is missing");
  if (a.reserved != 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "allocator: field 'reserved': expected 0");
  if (yoi_sdk_mem_source(a.ctx, a.allocate, a.resize, a.release)) return YOI_OK;
  (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                     "the allocator is chosen once, before the library has allocated anything");
  return YOI_FAILED_PRECONDITION;
}
