/* yoi/ingress.h - "yoi.ingress/1": lets callers in.
 *
 * The host binds and listens, so that a failing plugin never holds a port,
 * and hands over one SO_REUSEPORT socket per loop, or one Unix socket. The
 * ingress watches them, accepts, owns the connections, and calls
 * yoi.host.registry/1.
 *
 *   open -> start -> (serving) -> stop_accepting -> drain -> close
 */
#ifndef YOI_INGRESS_H
#define YOI_INGRESS_H

#include <yoi/host.h>
#include <yoi/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_INGRESS_ID "yoi.ingress/1"

/* yoi_listener.surface */
#define YOI_SURFACE_RUNTIME 1u
#define YOI_SURFACE_BROWSER 2u

/* yoi_listener.flags */
#define YOI_LISTEN_INSECURE 1u /* a runtime surface without a token */
#define YOI_LISTEN_UNIX 2u

/* Borrowed until start returns; the descriptors are the ingress' from then
 * on, also when start fails. */
typedef struct yoi_listener {
  uint32_t size;
  uint32_t surface; /* YOI_SURFACE_* */
  uint32_t flags;   /* YOI_LISTEN_* */
  uint32_t n_fds;
  const int32_t *fds;   /* listening, non-blocking; fds[i] is for loop i */
  yoi_str address;      /* as bound: 127.0.0.1:38800, [::1]:80, unix:/p */
  yoi_str runtime_id;   /* of a runtime surface: the one it shows */
  yoi_str token_secret; /* name for yoi.host.secret/1; empty: no token */
  yoi_str hosts;        /* JSON array of further Host values, or empty */
} yoi_listener;

typedef struct yoi_ingress {
  uint32_t size;
  uint32_t thread_model; /* YOI_PARALLEL */
  /* [main] */
  yoi_status (*open)(const yoi_host *host, yoi_str config, void **out_self,
                     yoi_error *err);
  /* [main] As of a runtime: closes what is still open. */
  void (*close)(void *self);
  /* [main & open] Once. */
  yoi_status (*start)(void *self, const yoi_listener *on, yoi_error *err);
  /* [main & open] Closes the listeners; connections go on. */
  void (*stop_accepting)(void *self);
  /* [main & open] Ends idle connections, lets answers finish until
   * deadline_ns, then closes. END of *out: none is left. */
  yoi_status (*drain)(void *self, uint64_t deadline_ns, uint64_t token,
                      yoi_stream **out, yoi_error *err);
  /* [any & open] */
  void (*wake)(void *self, uint64_t cookie);
} yoi_ingress;

#ifdef __cplusplus
}
#endif
#endif
