/* yoi/host_turn.h - "yoi.host.turn/1": for runtimes. Since 1.4.
 *
 *   begin --> model_start, tool_find, tool_decide, tool_start ... --> end
 *
 * A host may be given another config while turns run. What is begun here keeps
 * to the config it began with: its models, tools, policies and grants, until it
 * ends; the next turn has the new ones. The functions of yoi/host_model.h and
 * yoi/host_tool.h take, each time, what the host has then.
 *
 *  1. A turn that ends is ended here as well, however it ends: what it holds on
 *     to (code, connections, memory) goes with the last one that does.
 *  2. Streams that were started in it may outlive it.
 *  3. Turns that a runtime has not ended end with its close.
 */
#ifndef YOI_HOST_TURN_H
#define YOI_HOST_TURN_H

#include <yoi/host_model.h>
#include <yoi/host_tool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_TURN_ID "yoi.host.turn/1"

typedef struct yoi_host_turn {
  uint32_t size;
  uint32_t reserved;
  /* [any] *out_turn is never 0. RESOURCE_EXHAUSTED. */
  yoi_status (*begin)(const yoi_host *h, uint64_t *out_turn, yoi_error *err);
  /* [any] 0, and one that has ended, are accepted. */
  void (*end)(const yoi_host *h, uint64_t turn);
  /* [loop] As `start` of yoi/host_model.h. turn 0 is none, here and below:
   * what the host has now. NOT_FOUND also: no such turn of this runtime. */
  yoi_status (*model_start)(const yoi_host *h, uint64_t turn, yoi_str name,
                            const yoi_model_request *req, yoi_stream **out,
                            yoi_error *err);
  /* [any] As `find` of yoi/host_tool.h. */
  yoi_status (*tool_find)(const yoi_host *h, uint64_t turn, yoi_str plugin,
                          yoi_str name, yoi_tool_info *out, yoi_error *err);
  /* [any] As `decide` of it. */
  yoi_status (*tool_decide)(const yoi_host *h, uint64_t turn,
                            const yoi_tool_call *call, yoi_tool_decision *out,
                            yoi_error *err);
  /* [loop] As `start` of it. */
  yoi_status (*tool_start)(const yoi_host *h, uint64_t turn,
                           const yoi_tool_call *call, yoi_stream **out,
                           yoi_error *err);
} yoi_host_turn;

#ifdef __cplusplus
}
#endif
#endif
