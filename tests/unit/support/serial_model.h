/* serial_model.h - a model that may block, for the tests of strands.
 *
 * What a call does is the first digit of its one message, a mode. HOLD stands
 * at a gate inside the plugin until the test opens it.
 */
#ifndef SERIAL_MODEL_H
#define SERIAL_MODEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <yoi/model.h>
#include <yoi/plugin.h>

enum {
  ANSWER,
  HOLD,
  HOLD_START,
  FAIL_START,
  FAIL_NEXT,
  ENDLESS,
  WAITS,
  HUGE_BATCH,
  NOTHING,
  START_AGAIN
};

struct serial_model {
  pthread_mutex_t lock;
  pthread_cond_t moved;
  int gate;              /* HOLD passes when it is open */
  _Atomic int holding;   /* calls that stand at the gate */
  _Atomic int inside[8]; /* calls that are in the instance */
  _Atomic int two;       /* there were two at once */
  _Atomic int starts, nexts, cancels, releases, opens, closes;
  _Atomic int cancel_beside; /* cancels while a next of that stream stood at the gate */
  int cancel_opens;          /* cancel lets the stream through the gate */
  int no_loop, no_token;
  uint64_t news;
  const yoi_host *host;
  pthread_t thread;
};

extern struct serial_model serial; /* process-wide: tables have no argument for it */
extern yoi_model serial_table;

#endif
