/* witness.c - one exported function per type of the ABI.
 *
 * Built with -g into a shared object, so that the compiler writes every type
 * into the debug information, from which tests/abi/check.py reads today's
 * layout. A type that is reached through `void *` only, as interface tables
 * are, would not be seen otherwise. check.py fails when a type of abi/ is not
 * named here.
 */
#include <yoi.h>
#include <yoi/host_clock.h>
#include <yoi/host_grant.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_model.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>
#include <yoi/host_plugin.h>
#include <yoi/host_registry.h>
#include <yoi/host_secret.h>
#include <yoi/host_tool.h>
#include <yoi/host_turn.h>
#include <yoi/ingress.h>
#include <yoi/limits.h>
#include <yoi/model.h>
#include <yoi/offline.h>
#include <yoi/policy.h>
#include <yoi/plugin.h>
#include <yoi/runtime.h>
#include <yoi/tool.h>

#define WITNESS(type)                              \
  YOI_API type *witness_##type(type *p);           \
  YOI_API type *witness_##type(type *p) {          \
    return p;                                      \
  }

WITNESS(yoi_str)
WITNESS(yoi_error)
WITNESS(yoi_request)
WITNESS(yoi_event)
WITNESS(yoi_stream)
WITNESS(yoi_stream_ops)

WITNESS(yoi_plugin)
WITNESS(yoi_linked_plugin)
WITNESS(yoi_allocator)
WITNESS(yoi_socket)
WITNESS(yoi_host_options)
WITNESS(yoi_runtime)
WITNESS(yoi_offline)
WITNESS(yoi_offline_sink)
WITNESS(yoi_model_request)
WITNESS(yoi_model)
WITNESS(yoi_policy_request)
WITNESS(yoi_policy)
WITNESS(yoi_tool_request)
WITNESS(yoi_tool)
WITNESS(yoi_listener)
WITNESS(yoi_ingress)

WITNESS(yoi_host)
WITNESS(yoi_host_clock)
WITNESS(yoi_log_field)
WITNESS(yoi_host_log)
WITNESS(yoi_host_grant)
WITNESS(yoi_host_loop)
WITNESS(yoi_metric_label)
WITNESS(yoi_metric)
WITNESS(yoi_host_metrics)
WITNESS(yoi_host_model)
WITNESS(yoi_host_mount)
WITNESS(yoi_host_net)
WITNESS(yoi_plugin_info)
WITNESS(yoi_host_plugin)
WITNESS(yoi_host_registry)
WITNESS(yoi_host_secret)
WITNESS(yoi_tool_info)
WITNESS(yoi_tool_call)
WITNESS(yoi_tool_decision)
WITNESS(yoi_host_tool)
WITNESS(yoi_host_turn)

WITNESS(yoi_loop_fn)
WITNESS(yoi_loop_fd_fn)
WITNESS(yoi_report_fn)
WITNESS(yoi_event_fn)
WITNESS(yoi_log_fn)
