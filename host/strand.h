/* host/strand.h - calls of SERIAL plugins: one at a time, off the loops.
 *
 * A SERIAL plugin may block and needs no mutex. Its functions are therefore
 * called on a strand, a queue of an instance, by a thread of the plugin's pool;
 * whoever asks holds a stream of the host's that never blocks. strand.c has
 * the errands (one per call), pool.c the threads and the clock.
 *
 * What is asked is a yoi__work: a copy of a request with a start. So the same
 * mechanism serves every kind whose calls are "copy, start, next, release".
 */
#ifndef YOI__STRAND_H
#define YOI__STRAND_H

#include <yoi/stream.h>

struct yoi_embed;
struct yoi__instance;
struct yoi__pool;   /* of a plugin's code */
struct yoi__strand; /* of an instance */

struct yoi__work {
  /* On the strand, once: calls the plugin's start. token is the host's, for
   * the plugin to wake when its stream has news after AGAIN. */
  yoi_status (*start)(struct yoi__work *w, struct yoi__instance *in, uint64_t token,
                      yoi_stream **out, yoi_error *err);
  /* [any] Once, whether it was started or not. */
  void (*free)(struct yoi__work *w);
};

/* [main] The strand of an instance, and the pool of its code if there is none yet;
 * no thread is made before the first call. NULL: memory is short. */
struct yoi__strand *yoi__strand_new(struct yoi__instance *in);
/* [main] No call of it is left. The last one of a pool ends its threads, too.
 * NULL is accepted. */
void yoi__strand_free(struct yoi__strand *s);

/* [any] Queues the work, which is taken over, also when this fails. *out is
 * the holder's stream: next, cancel and release of it never block, and an
 * error of the plugin's start comes from the first next. deadline_ns 0 is
 * YOI_DEADLINE_MS_MAX from now. Errors: LIMIT_REACHED (the plugin is refused,
 * or too much is waiting), SHUTTING_DOWN, memory. */
yoi_status yoi__strand_start(struct yoi__strand *s, struct yoi__work *w, uint64_t token,
                             uint64_t deadline_ns, yoi_stream **out, yoi_error *err);

/* [any] How many references to the instance are held by calls that were
 * written off and did not come back; 0 for NULL. */
uint32_t yoi__strand_lost(struct yoi__strand *s);

/* [main] At the host's end: ends the threads of all pools and joins them, but for
 * those that are inside a plugin: they are left to themselves, with all that they
 * may touch. */
void yoi__pools_stop(struct yoi_embed *host);
/* [main] After the loops ended, when every thread was joined and every strand
 * freed. */
void yoi__pools_free(struct yoi_embed *host);

#endif
