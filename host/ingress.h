/* host/ingress.h - listeners: bound by the host, served by a plugin. */
#ifndef YOI__INGRESS_H
#define YOI__INGRESS_H

#include "bind.h"
#include "config.h"
#include "instance.h"

/* [main] Binds, or takes the sockets of another one that it is to replace (else
 * NULL), and opens; nothing is accepted yet. When it fails what was bound is in
 * *on. */
yoi_status yoi__ingress_open(struct yoi__instance *in, const struct yoi__config_ingress *c,
                             const struct yoi__bound *replaced, struct yoi__bound *on,
                             yoi_error *err);
/* [main] Gives the sockets to the plugin, which accepts from here on. */
yoi_status yoi__ingress_start(struct yoi__instance *in, const struct yoi__config_ingress *c,
                              struct yoi__bound *on, yoi_error *err);

#endif
