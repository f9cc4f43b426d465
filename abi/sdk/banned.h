/* sdk/banned.h - functions that no file of ours may call; included by force
 * from the command line, so that nobody forgets it. */
#ifndef YOI_SDK_BANNED_H
#define YOI_SDK_BANNED_H

#ifndef __cplusplus
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Some are macros as well; a macro cannot be poisoned. */
#undef alloca
#undef sprintf

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof
#pragma GCC poison gmtime localtime asctime ctime alloca gets system mktemp
#pragma GCC poison cJSON_Print cJSON_PrintUnformatted cJSON_GetObjectItem
#endif

#endif
