/* history.h - a worker with a queue, and its history looked through: for the
 * tests of inputs that wait. The worker is "a". */
#ifndef HISTORY_H
#define HISTORY_H

#include "rig.h"

#define QUEUE(text) "{\"content\":\"" text "\",\"on_busy\":\"queue\"}"
#define INTERRUPT(text) "{\"content\":\"" text "\",\"on_busy\":\"interrupt\"}"

void queue_make(struct rig *r);
/* A turn of the input "hi" that waits for fake_model_open. */
void queue_begin(struct rig *r);
/* Its turn id, raw. */
const char *queue_say(struct rig *r, const char *body, char id[64]);
/* Opens all models and settles, until none is left. */
void queue_let_go(struct rig *r);
/* The whole history, heard by e and checked: a turn starts at most once, one
 * runs at a time, none ends twice, one that never started says so; with
 * all_ended, each that was accepted ended. */
void queue_history(struct rig *r, struct ear *e, int all_ended);
/* Asserts the order in which turns began, by the text of their inputs, and
 * that all have ended. */
void queue_began(struct rig *r, const char *want);

#endif
