/* yoi/host_loop.h - "yoi.host.loop/1": descriptors, timers and tasks.
 *
 * The host runs one loop per core, or the application drives a single one.
 * Nothing on a loop may block. Ids are unique in the process, never 0 and
 * never used twice; a stale one is ignored.
 *
 *  1. watch, rewatch, unwatch, timer and timer_cancel belong to the loop that
 *     they are called on; off a loop they fail with FAILED_PRECONDITION.
 *  2. After unwatch or timer_cancel returned, that callback does not run.
 *  3. Posts of one thread to one loop run in order.
 *  4. Before an instance's close is called the host takes away all that it
 *     has on every loop: no callback runs or comes later, and posts that did
 *     not run are dropped. Whatever a ctx owns is therefore to be found from
 *     the instance too. During close, unwatch and timer_cancel do nothing.
 */
#ifndef YOI_HOST_LOOP_H
#define YOI_HOST_LOOP_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_LOOP_ID "yoi.host.loop/1"

#define YOI_NO_LOOP UINT32_MAX

/* interest and ready */
#define YOI_FD_READ 1u
#define YOI_FD_WRITE 2u
#define YOI_FD_ERROR 4u /* ready only: error or hang-up */

typedef void (*yoi_loop_fn)(void *ctx);
typedef void (*yoi_loop_fd_fn)(void *ctx, int32_t fd, uint32_t ready);

typedef struct yoi_host_loop {
  uint32_t size;
  uint32_t reserved;
  /* [any] Number of loops, 1 to YOI_LOOPS_MAX; fixed for the host's life. */
  uint32_t (*count)(const yoi_host *h);
  /* [any] Index of the loop this thread is running, else YOI_NO_LOOP. */
  uint32_t (*current)(const yoi_host *h);
  /* [any] Runs fn(ctx) once, later, on that loop; also from the loop itself.
   * UNAVAILABLE once the instance's close began. */
  yoi_status (*post)(const yoi_host *h, uint32_t loop, yoi_loop_fn fn,
                     void *ctx);
  /* [loop] Level-triggered; one watch per descriptor and loop. */
  yoi_status (*watch)(const yoi_host *h, int32_t fd, uint32_t interest,
                      yoi_loop_fd_fn fn, void *ctx, uint64_t *out_id);
  /* [loop] Interest 0 keeps the watch and reports errors only. */
  yoi_status (*rewatch)(const yoi_host *h, uint64_t id, uint32_t interest);
  /* [loop] Before the descriptor is closed. */
  void (*unwatch)(const yoi_host *h, uint64_t id);
  /* [loop] Once, at or after at_ns of CLOCK_MONOTONIC. */
  yoi_status (*timer)(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn,
                      void *ctx, uint64_t *out_id);
  /* [loop] */
  void (*timer_cancel)(const yoi_host *h, uint64_t id);
} yoi_host_loop;

#ifdef __cplusplus
}
#endif
#endif
