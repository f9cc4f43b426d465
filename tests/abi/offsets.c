/* offsets.c - sizes and offsets of the ABI, asserted by the compiler.
 *
 * The same facts as the newest layout-*.txt, where no tool is needed to check them:
 * compiling this file is the test. A member that is appended adds a line here
 * and changes its struct's SIZE; a line that is here never changes. The flags
 * are those of a plugin, so that whoever suspects their compiler can compile
 * it too: cc -std=c11 -Iabi -c tests/abi/offsets.c
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
#include <yoi/model.h>
#include <yoi/offline.h>
#include <yoi/plugin.h>
#include <yoi/policy.h>
#include <yoi/runtime.h>
#include <yoi/tool.h>

#ifdef __cplusplus
#define _Static_assert static_assert
#endif
#define SIZE(type, size) \
  _Static_assert(sizeof(type) == (size), #type " has another size");
#define AT(type, member, offset)                    \
  _Static_assert(offsetof(type, member) == (offset), \
                 #type "." #member " has moved");

SIZE(yoi_error, 64)
AT(yoi_error, size, 0)
AT(yoi_error, code, 4)
AT(yoi_error, flags, 8)
AT(yoi_error, retry_after_ms, 12)
AT(yoi_error, message, 16)
AT(yoi_error, message_cap, 24)
AT(yoi_error, details, 32)
AT(yoi_error, details_cap, 40)
AT(yoi_error, private_detail, 48)
AT(yoi_error, private_cap, 56)

SIZE(yoi_event, 48)
AT(yoi_event, size, 0)
AT(yoi_event, kind, 4)
AT(yoi_event, flags, 8)
AT(yoi_event, reserved, 12)
AT(yoi_event, cursor, 16)
AT(yoi_event, text, 32)

SIZE(yoi_host, 48)
AT(yoi_host, size, 0)
AT(yoi_host, reserved, 4)
AT(yoi_host, ctx, 8)
AT(yoi_host, get_interface, 16)
AT(yoi_host, token_new, 24)
AT(yoi_host, token_free, 32)
AT(yoi_host, wake, 40)

SIZE(yoi_host_clock, 24)
AT(yoi_host_clock, size, 0)
AT(yoi_host_clock, reserved, 4)
AT(yoi_host_clock, monotonic_ns, 8)
AT(yoi_host_clock, wall_ns, 16)

SIZE(yoi_host_grant, 32)
AT(yoi_host_grant, size, 0)
AT(yoi_host_grant, reserved, 4)
AT(yoi_host_grant, check, 8)
AT(yoi_host_grant, list, 16)
AT(yoi_host_grant, value, 24)

SIZE(yoi_host_log, 24)
AT(yoi_host_log, size, 0)
AT(yoi_host_log, reserved, 4)
AT(yoi_host_log, enabled, 8)
AT(yoi_host_log, write, 16)

SIZE(yoi_host_loop, 72)
AT(yoi_host_loop, size, 0)
AT(yoi_host_loop, reserved, 4)
AT(yoi_host_loop, count, 8)
AT(yoi_host_loop, current, 16)
AT(yoi_host_loop, post, 24)
AT(yoi_host_loop, watch, 32)
AT(yoi_host_loop, rewatch, 40)
AT(yoi_host_loop, unwatch, 48)
AT(yoi_host_loop, timer, 56)
AT(yoi_host_loop, timer_cancel, 64)

SIZE(yoi_host_metrics, 56)
AT(yoi_host_metrics, size, 0)
AT(yoi_host_metrics, reserved, 4)
AT(yoi_host_metrics, counter, 8)
AT(yoi_host_metrics, add, 16)
AT(yoi_host_metrics, make, 24)
AT(yoi_host_metrics, sub, 32)
AT(yoi_host_metrics, set, 40)
AT(yoi_host_metrics, observe, 48)

SIZE(yoi_host_model, 24)
AT(yoi_host_model, size, 0)
AT(yoi_host_model, reserved, 4)
AT(yoi_host_model, list, 8)
AT(yoi_host_model, start, 16)

SIZE(yoi_host_mount, 16)
AT(yoi_host_mount, size, 0)
AT(yoi_host_mount, reserved, 4)
AT(yoi_host_mount, open, 8)

SIZE(yoi_host_net, 24)
AT(yoi_host_net, size, 0)
AT(yoi_host_net, reserved, 4)
AT(yoi_host_net, check, 8)
AT(yoi_host_net, check_address, 16)

SIZE(yoi_host_plugin, 16)
AT(yoi_host_plugin, size, 0)
AT(yoi_host_plugin, reserved, 4)
AT(yoi_host_plugin, list, 8)

SIZE(yoi_host_registry, 16)
AT(yoi_host_registry, size, 0)
AT(yoi_host_registry, reserved, 4)
AT(yoi_host_registry, start, 8)

SIZE(yoi_host_secret, 32)
AT(yoi_host_secret, size, 0)
AT(yoi_host_secret, reserved, 4)
AT(yoi_host_secret, get, 8)
AT(yoi_host_secret, refresh, 16)
AT(yoi_host_secret, generation, 24)

SIZE(yoi_host_tool, 32)
AT(yoi_host_tool, size, 0)
AT(yoi_host_tool, reserved, 4)
AT(yoi_host_tool, find, 8)
AT(yoi_host_tool, decide, 16)
AT(yoi_host_tool, start, 24)

SIZE(yoi_host_turn, 56)
AT(yoi_host_turn, size, 0)
AT(yoi_host_turn, reserved, 4)
AT(yoi_host_turn, begin, 8)
AT(yoi_host_turn, end, 16)
AT(yoi_host_turn, model_start, 24)
AT(yoi_host_turn, tool_find, 32)
AT(yoi_host_turn, tool_decide, 40)
AT(yoi_host_turn, tool_start, 48)

SIZE(yoi_ingress, 56)
AT(yoi_ingress, size, 0)
AT(yoi_ingress, thread_model, 4)
AT(yoi_ingress, open, 8)
AT(yoi_ingress, close, 16)
AT(yoi_ingress, start, 24)
AT(yoi_ingress, stop_accepting, 32)
AT(yoi_ingress, drain, 40)
AT(yoi_ingress, wake, 48)

SIZE(yoi_linked_plugin, 32)
AT(yoi_linked_plugin, size, 0)
AT(yoi_linked_plugin, reserved, 4)
AT(yoi_linked_plugin, entry, 8)
AT(yoi_linked_plugin, manifest, 16)
AT(yoi_linked_plugin, manifest_end, 24)

SIZE(yoi_listener, 88)
AT(yoi_listener, size, 0)
AT(yoi_listener, surface, 4)
AT(yoi_listener, flags, 8)
AT(yoi_listener, n_fds, 12)
AT(yoi_listener, fds, 16)
AT(yoi_listener, address, 24)
AT(yoi_listener, runtime_id, 40)
AT(yoi_listener, token_secret, 56)
AT(yoi_listener, hosts, 72)

SIZE(yoi_log_field, 32)
AT(yoi_log_field, key, 0)
AT(yoi_log_field, value, 16)

SIZE(yoi_metric, 56)
AT(yoi_metric, size, 0)
AT(yoi_metric, type, 4)
AT(yoi_metric, name, 8)
AT(yoi_metric, help, 24)
AT(yoi_metric, labels, 40)
AT(yoi_metric, n_labels, 48)

SIZE(yoi_metric_label, 32)
AT(yoi_metric_label, name, 0)
AT(yoi_metric_label, value, 16)

SIZE(yoi_model, 40)
AT(yoi_model, size, 0)
AT(yoi_model, thread_model, 4)
AT(yoi_model, open, 8)
AT(yoi_model, close, 16)
AT(yoi_model, start, 24)
AT(yoi_model, wake, 32)

SIZE(yoi_model_request, 152)
AT(yoi_model_request, size, 0)
AT(yoi_model_request, max_output_tokens, 4)
AT(yoi_model_request, deadline_ns, 8)
AT(yoi_model_request, token, 16)
AT(yoi_model_request, request_id, 24)
AT(yoi_model_request, trace, 40)
AT(yoi_model_request, messages, 56)
AT(yoi_model_request, n_messages, 64)
AT(yoi_model_request, tools, 72)
AT(yoi_model_request, parameters, 88)
AT(yoi_model_request, worker_id, 104)
AT(yoi_model_request, principal, 120)
AT(yoi_model_request, turn_tokens, 136)
AT(yoi_model_request, counted, 144)
AT(yoi_model_request, reserved, 148)

SIZE(yoi_offline, 16)
AT(yoi_offline, size, 0)
AT(yoi_offline, reserved, 4)
AT(yoi_offline, run, 8)

SIZE(yoi_offline_sink, 32)
AT(yoi_offline_sink, size, 0)
AT(yoi_offline_sink, reserved, 4)
AT(yoi_offline_sink, ctx, 8)
AT(yoi_offline_sink, say, 16)
AT(yoi_offline_sink, progress, 24)

SIZE(yoi_plugin, 56)
AT(yoi_plugin, size, 0)
AT(yoi_plugin, abi_minor, 4)
AT(yoi_plugin, kind, 8)
AT(yoi_plugin, reserved, 12)
AT(yoi_plugin, id, 16)
AT(yoi_plugin, version, 32)
AT(yoi_plugin, get_interface, 48)

SIZE(yoi_plugin_info, 56)
AT(yoi_plugin_info, size, 0)
AT(yoi_plugin_info, kind, 4)
AT(yoi_plugin_info, id, 8)
AT(yoi_plugin_info, version, 24)
AT(yoi_plugin_info, digest, 40)

SIZE(yoi_policy, 40)
AT(yoi_policy, size, 0)
AT(yoi_policy, thread_model, 4)
AT(yoi_policy, open, 8)
AT(yoi_policy, close, 16)
AT(yoi_policy, start, 24)
AT(yoi_policy, wake, 32)

SIZE(yoi_policy_request, 216)
AT(yoi_policy_request, size, 0)
AT(yoi_policy_request, origin, 4)
AT(yoi_policy_request, deadline_ns, 8)
AT(yoi_policy_request, token, 16)
AT(yoi_policy_request, operation, 24)
AT(yoi_policy_request, principal, 40)
AT(yoi_policy_request, runtime_id, 56)
AT(yoi_policy_request, worker_id, 72)
AT(yoi_policy_request, subject, 88)
AT(yoi_policy_request, body, 104)
AT(yoi_policy_request, request_id, 120)
AT(yoi_policy_request, tool, 136)
AT(yoi_policy_request, plugin, 152)
AT(yoi_policy_request, arguments, 168)
AT(yoi_policy_request, grants, 184)
AT(yoi_policy_request, tool_flags, 200)
AT(yoi_policy_request, asked_again, 204)
AT(yoi_policy_request, tokens, 208)

SIZE(yoi_request, 168)
AT(yoi_request, size, 0)
AT(yoi_request, op, 4)
AT(yoi_request, origin, 8)
AT(yoi_request, hops, 12)
AT(yoi_request, flags, 16)
AT(yoi_request, reserved, 20)
AT(yoi_request, deadline_ns, 24)
AT(yoi_request, token, 32)
AT(yoi_request, worker_id, 40)
AT(yoi_request, subject, 56)
AT(yoi_request, principal, 72)
AT(yoi_request, request_id, 88)
AT(yoi_request, trace, 104)
AT(yoi_request, idempotency_key, 120)
AT(yoi_request, body, 136)
AT(yoi_request, workspace, 152)

SIZE(yoi_runtime, 48)
AT(yoi_runtime, size, 0)
AT(yoi_runtime, thread_model, 4)
AT(yoi_runtime, open, 8)
AT(yoi_runtime, close, 16)
AT(yoi_runtime, start, 24)
AT(yoi_runtime, wake, 32)
AT(yoi_runtime, drain, 40)

SIZE(yoi_str, 16)
AT(yoi_str, ptr, 0)
AT(yoi_str, len, 8)

SIZE(yoi_stream, 8)
AT(yoi_stream, ops, 0)

SIZE(yoi_stream_ops, 32)
AT(yoi_stream_ops, size, 0)
AT(yoi_stream_ops, reserved, 4)
AT(yoi_stream_ops, next, 8)
AT(yoi_stream_ops, cancel, 16)
AT(yoi_stream_ops, release, 24)

SIZE(yoi_tool, 40)
AT(yoi_tool, size, 0)
AT(yoi_tool, thread_model, 4)
AT(yoi_tool, open, 8)
AT(yoi_tool, close, 16)
AT(yoi_tool, start, 24)
AT(yoi_tool, wake, 32)

SIZE(yoi_tool_call, 224)
AT(yoi_tool_call, size, 0)
AT(yoi_tool_call, flags, 4)
AT(yoi_tool_call, deadline_ns, 8)
AT(yoi_tool_call, token, 16)
AT(yoi_tool_call, plugin, 24)
AT(yoi_tool_call, name, 40)
AT(yoi_tool_call, arguments, 56)
AT(yoi_tool_call, worker_id, 72)
AT(yoi_tool_call, call_id, 88)
AT(yoi_tool_call, idempotency_key, 104)
AT(yoi_tool_call, principal, 120)
AT(yoi_tool_call, grants, 136)
AT(yoi_tool_call, approval, 152)
AT(yoi_tool_call, approved_by, 168)
AT(yoi_tool_call, request_id, 184)
AT(yoi_tool_call, trace, 200)
AT(yoi_tool_call, bundle_verdict, 216)
AT(yoi_tool_call, profile_verdict, 220)

SIZE(yoi_tool_decision, 480)
AT(yoi_tool_decision, size, 0)
AT(yoi_tool_decision, verdict, 4)
AT(yoi_tool_decision, plugin, 8)
AT(yoi_tool_decision, rule, 144)
AT(yoi_tool_decision, reason, 216)

SIZE(yoi_tool_info, 128)
AT(yoi_tool_info, size, 0)
AT(yoi_tool_info, flags, 4)
AT(yoi_tool_info, max_ms, 8)
AT(yoi_tool_info, reserved, 12)
AT(yoi_tool_info, name, 16)
AT(yoi_tool_info, plugin, 32)
AT(yoi_tool_info, version, 48)
AT(yoi_tool_info, digest, 64)
AT(yoi_tool_info, description, 80)
AT(yoi_tool_info, parameters, 96)
AT(yoi_tool_info, grants, 112)

SIZE(yoi_tool_request, 128)
AT(yoi_tool_request, size, 0)
AT(yoi_tool_request, reserved, 4)
AT(yoi_tool_request, deadline_ns, 8)
AT(yoi_tool_request, token, 16)
AT(yoi_tool_request, call, 24)
AT(yoi_tool_request, name, 32)
AT(yoi_tool_request, arguments, 48)
AT(yoi_tool_request, worker_id, 64)
AT(yoi_tool_request, idempotency_key, 80)
AT(yoi_tool_request, request_id, 96)
AT(yoi_tool_request, trace, 112)
