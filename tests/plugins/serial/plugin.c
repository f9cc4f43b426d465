/* plugin.c - the model that blocks, whose cancel may come beside a call. */
#define SERIAL_THREADS YOI_SERIAL_CANCEL
#define SERIAL_NAME "dev.yoi.test.serial"
#include "serial.h"
