/* plugin.c - the model that blocks, and is told of a cancel between two calls. */
#define SERIAL_THREADS YOI_SERIAL
#define SERIAL_NAME "dev.yoi.test.serial-plain"
#include "../serial/serial.h"
