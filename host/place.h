/* host/place.h - the folder that this build belongs into once it is installed. */
#ifndef YOI__PLACE_H
#define YOI__PLACE_H

/* LIBDIR/yoi of the Makefile: runtimes, plugins and yoi-worker are below it. */
extern const char yoi__place[];

#endif
