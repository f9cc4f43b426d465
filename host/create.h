/* host/create.h - what a runtime's entry makes of a worker.create. */
#ifndef YOI__CREATE_H
#define YOI__CREATE_H

#include <yoi/request.h>

#include "config.h"

/* Holds the create `req` to what the entry and the bundles of the config say, and
 * fills in what the entry has for those who name none. *out stays empty when the
 * body is to be passed on as it is. *out_bundle: the bundle of the config that
 * the worker is to be made from; NULL: none, or one that only the runtime knows.
 * What is not of the request's workspace is not there. */
yoi_status yoi__create_prepare(const struct yoi__config *c, const struct yoi__config_runtime *r,
                               const yoi_request *req, struct yoi_sdk_buf *out,
                               const struct yoi__config_bundle **out_bundle, yoi_error *err);

/* 1: there is a built-in profile of that name, and it has no tools. */
int yoi__builtin_is_plain(yoi_str profile);

#endif
