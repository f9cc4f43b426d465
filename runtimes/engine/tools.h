/* tools.h - the calls of a turn, run. All on the turn's loop, without the
 * worker's lock. */
#ifndef ENG_TOOLS_H
#define ENG_TOOLS_H

#include "turn.h"

/* Asks the host about each call of the answer that has just come. */
void eng_tools_judge(struct eng_turn *t);
/* Ends those that would run, since the turn does. */
void eng_tools_forgo(struct eng_turn *t, const char *why);
/* Locked: adds what became of each call that was judged: refused, asked for,
 * or started. At most 2 frames each. */
void eng_tools_stage(struct eng_stage *s, struct eng_turn *t);
/* Goes on with the calls; 0: there is nothing to do until the next kick. */
int eng_tools_look(struct eng_turn *t);
/* The turn is to end: cancels what runs. QUIET: nothing runs any more, or it had
 * its grace; AGAIN: there is more to take in; WAIT: until the next kick. */
enum eng_tools_stopped { ENG_TOOLS_QUIET, ENG_TOOLS_AGAIN, ENG_TOOLS_WAIT };
enum eng_tools_stopped eng_tools_stop(struct eng_turn *t);
/* 1: one of them runs. */
int eng_tools_run(const struct eng_turn *t);
/* Writes down what is known and is not in the history; 1: there was something.
 * Also when a drain has cut the turn. */
int eng_tools_write(struct eng_turn *t);
/* Gives back streams and the timer. */
void eng_tools_release(struct eng_turn *t);

#endif
