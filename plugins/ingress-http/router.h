/* ingress-http/router.h - from a request to an operation and its parameters.
 * Driven by the tables of yoi/ops.h; no route is written down twice. */
#ifndef YOI_HTTP_ROUTER_H
#define YOI_HTTP_ROUTER_H

#include "codec.h"

#include <sdk/error.h>
#include <yoi/ops.h>

/* Bytes of `subject`: a digest is 71. */
#define HTTP_SUBJECT_MAX 80

/* http_match.kind */
enum {
  HTTP_KIND_OP,     /* an operation of ops.h */
  HTTP_KIND_HEALTH, /* GET /healthz: answered here, whatever the host does */
  HTTP_KIND_PAGE,   /* GET /: the page for people */
  HTTP_KIND_LOGIN,  /* POST /login and */
  HTTP_KIND_LOGOUT, /* POST /logout, where tokens are asked for */
};

struct http_match {
  uint8_t kind;
  uint8_t head;       /* HEAD: answer as GET, without the body */
  uint8_t host_scope; /* answered by the host, not by a runtime */
  uint8_t no_token;   /* /healthz and /readyz */
  uint8_t no_pass;    /* what may be had without having logged in */
  uint16_t status;    /* on success */
  uint32_t op;
  char runtime_id[YOI_ID_MAX + 1], worker_id[YOI_ID_MAX + 1];
  char subject[HTTP_SUBJECT_MAX + 1];
  char allow[48]; /* with method_not_allowed */
};

/* What the query says to the ingress itself. */
struct http_params {
  uint8_t has_wait, has_limit;
  uint32_t limit;
  uint64_t wait_ms;
  uint64_t timeout_ms; /* 0: not given */
};

/* surface: YOI_SURFACE_*; logins: it has /login and /logout. Errors: not_found,
 * method_not_allowed (m->allow is set), invalid_identifier, invalid_request.
 * m->no_token is right with any of them, so that a missing token hides what there
 * is. */
yoi_status http_route(uint32_t surface, int logins, const struct http_request *r,
                      struct http_match *m, yoi_error *err);

/* Reads the query. Members of the operation's body that stand in the query or
 * in the path are written to `body` as a JSON object (empty when there are
 * none). Unknown and repeated parameters are invalid_request. */
yoi_status http_route_query(const struct http_match *m, const struct http_request *r,
                            struct http_params *out, struct yoi_sdk_buf *body, yoi_error *err);

/* How many bytes of body it takes; 0: none. */
size_t http_route_body_max(const struct http_match *m);
/* 1 when it makes no sense without one; a cancel or stop may go without. */
int http_route_needs_body(uint32_t op);

#endif
