/* replay.h - a worker from its records. It is asleep and its load's alone: no
 * lock is needed. */
#ifndef ENG_REPLAY_H
#define ENG_REPLAY_H

#include "worker.h"

struct eng_replay;
/* For a worker that is asleep. NULL: memory is short. */
struct eng_replay *eng_replay_new(struct eng_worker *w);
void eng_replay_free(struct eng_replay *r);
/* The next record. DATA_LOSS: it makes no sense, and nothing of it was taken;
 * RESOURCE_EXHAUSTED: memory is short. Behind either nothing may be added. */
yoi_status eng_replay_add(struct eng_replay *r, struct eng_frame *f);
/* Why the last one made no sense, for the log; a literal. */
const char *eng_replay_why(const struct eng_replay *r);
/* Those were all: what waits is queued, and a turn that runs is owed its end,
 * as one that ended in memory. 0: memory is short. */
int eng_replay_end(struct eng_replay *r, struct eng_after *after);
/* What comes behind cannot be read: the worker is corrupt. */
void eng_replay_corrupt(struct eng_replay *r);

#endif
