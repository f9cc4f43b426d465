/* plugin.c - dev.yoi.tool-time: the smallest tool that is of use.
 *
 * docs/write-a-tool.md goes through it. zone.c knows about time zones; what
 * makes a tool of that is here.
 */
#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/plugin.h>
#include <sdk/stream.h>
#include <sdk/take.h>
#include <stdio.h>
#include <stdlib.h>
#include <yoi/host_clock.h>
#include <yoi/tool.h>

#include "zone.h"

static yoi_status time_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  (void)config; /* fits the manifest's schema: there is nothing in it */
  if (!yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof(yoi_host_clock)))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no clock");
  *out_self = (void *)(uintptr_t)host;
  return YOI_OK;
}

static yoi_status time_now(uint64_t wall_ns, yoi_str zone, yoi_stream **out, yoi_error *err) {
  char text[YOI_SDK_TIME_SIZE + sizeof "+00:00"];
  int32_t offset_s;
  yoi_status st = zone_offset(zone, (int64_t)(wall_ns / 1000000000u), &offset_s, err);
  if (st != YOI_OK) return st;
  yoi_sdk_time_text(wall_ns + (uint64_t)(offset_s * INT64_C(1000000000)), text);
  int minutes = abs(offset_s) / 60;
  if (minutes > 0) /* in place of the Z */
    snprintf(text + YOI_SDK_TIME_SIZE - 2, sizeof "+00:00", "%c%02d:%02d",
             offset_s < 0 ? '-' : '+', minutes / 60 % 24, minutes % 60);
  *out = yoi_sdk_stream_output(yoi_sdk_str(text));
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status time_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  const yoi_host *host = self;
  const yoi_host_clock *clock = host->get_interface(host, YOI_LIT(YOI_HOST_CLOCK_ID));
  yoi_sdk_json *arguments; /* they fit the schema: an object, and zone is text */
  yoi_str zone = YOI_LIT("UTC");
  yoi_tool_request whole; /* be the host an older one or a newer */
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  st = yoi_sdk_json_parse(whole.arguments, 0, &arguments, NULL);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the arguments are no JSON");
  (void)yoi_sdk_json_str(yoi_sdk_json_get(arguments, "zone"), &zone);
  st = time_now(clock->wall_ns(host), zone, out, err);
  yoi_sdk_json_free(arguments);
  return st;
}

static void time_close(void *self) {
  (void)self; /* nothing was made */
}

static const yoi_tool time_tool = {
    .size = sizeof(yoi_tool),
    .thread_model = YOI_PARALLEL,
    .open = time_open,
    .close = time_close,
    .start = time_start,
};

YOI_SDK_PLUGIN("dev.yoi.tool-time", "1.0.0", YOI_KIND_TOOL, YOI_TOOL_ID, time_tool);
YOI_MANIFEST_FILE(MANIFEST);
