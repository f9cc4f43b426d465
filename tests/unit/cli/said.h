/* The last line that cli_say was given; said.c stands in for main.c in tests. */
#ifndef YOI_TEST_SAID_H
#define YOI_TEST_SAID_H

extern char said[];

#endif
