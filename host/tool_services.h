/* host/tool_services.h - what the host gives tools: "yoi.host.grant/1" (the
 * first function of it for runtimes too), "yoi.host.mount/1", "yoi.host.net/1". */
#ifndef YOI__TOOL_SERVICES_H
#define YOI__TOOL_SERVICES_H

#include <yoi/host_grant.h>
#include <yoi/host_mount.h>
#include <yoi/host_net.h>

extern const yoi_host_grant yoi__grant_table;
extern const yoi_host_mount yoi__mount_table;
extern const yoi_host_net yoi__net_table;

#endif
