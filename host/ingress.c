/* host/ingress.c - an ingress from its address to its first connection.
 *
 *   entry --bind--> sockets --open--> an instance --start--> it accepts
 *
 * The steps are apart, so that a config that takes the place of another one has
 * all its addresses before anything of it is in force.
 */
#include "ingress.h"

#include "host.h"

yoi_status yoi__ingress_open(struct yoi__instance *in, const struct yoi__config_ingress *c,
                             const struct yoi__bound *replaced, struct yoi__bound *on,
                             yoi_error *err) {
  struct yoi_sdk_error e;
  yoi_status st = replaced != NULL ? yoi__bound_take(replaced, on, err)
                                   : yoi__bind(c, yoi__loops_count(in->top->loops), on, err);
  if (st != YOI_OK) return st;
  st = yoi__instance_open(in, yoi_sdk_error_init(&e));
  return st == YOI_OK ? st : yoi__cannot(in, "open", st, &e, err);
}

static yoi_status start(struct yoi__instance *in, const struct yoi__config_ingress *c,
                        struct yoi__bound *on, struct yoi_sdk_error *e) {
  yoi_listener listener = {.size = sizeof listener,
                           .surface = c->surface,
                           .flags = (c->insecure ? YOI_LISTEN_INSECURE : 0) |
                                    (c->address.ss_family == AF_UNIX ? YOI_LISTEN_UNIX : 0),
                           .n_fds = on->n,
                           .fds = on->fds,
                           .address = yoi_sdk_str(on->address),
                           .runtime_id = c->runtime_id,
                           .token_secret = c->token,
                           .hosts = c->hosts};
  on->n = 0; /* the ingress' from here on, also when it fails */
  return in->plugin->table.ingress.start(in->self, &listener, &e->e);
}

yoi_status yoi__ingress_start(struct yoi__instance *in, const struct yoi__config_ingress *c,
                              struct yoi__bound *on, yoi_error *err) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_status st = yoi__bound_keep(on, err);
  if (st != YOI_OK) return st;
  st = start(in, c, on, &e);
  if (st != YOI_OK) return yoi__cannot(in, "start", st, &e, err);
  const char *surface = c->surface == YOI_SURFACE_BROWSER ? "browser" : "runtime";
  yoi__log_host(in->top->log, YOI_LOG_INFO, "listening",
                (yoi_log_field[]){{YOI_LIT("surface"), yoi_sdk_str(surface)},
                                  {YOI_LIT("address"), yoi_sdk_str(on->address)}},
                2);
  return YOI_OK;
}
