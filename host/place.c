/* host/place.c - the one object that knows where it will be installed.
 *
 * The same build can so be installed in two places, one of them a package's,
 * with nothing compiled twice but this.
 */
#include "place.h"

const char yoi__place[] = YOI_LIBDIR;
