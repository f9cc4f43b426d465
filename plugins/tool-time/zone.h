/* zone.h - how far the clocks of a place are from UTC at a time, as the zone
 * files of the system say. */
#ifndef TOOL_TIME_ZONE_H
#define TOOL_TIME_ZONE_H

#include <yoi/base.h>

/* The offset at a time, in seconds east of UTC, of "UTC", of "+02:00", or of a
 * zone of the IANA's that this machine knows, "Europe/Berlin". INVALID_ARGUMENT:
 * it is none; the message says what would be. [any] */
yoi_status zone_offset(yoi_str zone, int64_t unix_s, int32_t *out_s, yoi_error *err);

/* The same from the bytes of a file of RFC 8536; 0 when they are damaged. */
int zone_of_file(yoi_str file, int64_t unix_s, int32_t *out_s);

#endif
