/* stage.h - what the plugin plays on in these tests: a host that is driven
 * step by step, a runtime, and clients on real sockets.
 *
 * The runtime is `play`: the worker's id is a list of letters, one per call of
 * next. e: an event, m: three, b: a big one, a: AGAIN (until `wake`), k: the
 * ack, i: the assistant's message, t: the end of the turn, n: the event `end`,
 * c: that it has caught up, x: an error; the end of the letters is END. Unary
 * operations answer with one result.
 */
#ifndef TEST_INGRESS_HTTP_STAGE_H
#define TEST_INGRESS_HTTP_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <yoi/ingress.h>

#define STAGE_LOOPS 2
#define BIG 70000 /* bytes of a big event, or of what the worker `big` answers */
#define ANSWER_MAX 400000

struct stage {
  uint64_t now_ms, tokens_live;
  size_t streams_live;
  uint32_t loops;
  uint32_t busy;        /* a bit per loop that does not come to its turn */
  uint32_t unreachable; /* a bit per loop that no post reaches */
  uint32_t small_sends; /* sockets have the kernel's smallest buffers */
};
extern struct stage H;
extern const yoi_ingress *ingress;
extern void *self;

/* Of cmocka: with one loop, with two that have a listener each, or with TLS. */
int set_up(void **state);
int set_up_two(void **state);
int set_up_tls(void **state);
int tear_down(void **state);

/* ---- driving ---- */
void settle(void);         /* until nothing is left to do */
void advance(uint64_t ms); /* and settles every 10 ms */
int turn_timers(void);     /* those that are due, before anybody looks at a socket */
void wake_all(void);       /* everything that waits goes on */

/* ---- clients: what one of them has heard last is in `answer` ---- */
extern char answer[ANSWER_MAX + 1];
extern size_t answer_len;

int dial(void); /* the listener of loop 0 */
int dial_loop(uint32_t loop);
void say(int fd, const char *text);
void ask(int fd, const char *line, const char *fields);
/* Settles and reads what is there, at most `step` bytes at a time; 0 at the end. */
int hear(int fd, size_t step);
int hear_all(int fd, size_t step); /* until the connection ends; 1: it did not */
void get(int fd, const char *path, const char *headers); /* asks, and hears */
void later(int fd, unsigned ms); /* advances, wakes all, and hears */
const char *body(void);          /* of `answer`, out of its chunks */
size_t occurrences(const char *text, const char *what);

#endif
