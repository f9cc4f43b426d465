/* artefact.h - the whole of an output that was too long, for callers
 * (artefact.c) and for the model itself (artefact_tool.c). */
#ifndef ENG_ARTEFACT_H
#define ENG_ARTEFACT_H

#include "call.h"
#include "read.h"

/* The text of the artefact of that sequence, from the record that was read. 0:
 * there is none, or memory is short (out->failed). */
int eng_artefact_text(const struct eng_read *r, uint64_t sequence, struct yoi_sdk_buf *out);
/* At most limit bytes from *start, which moves behind a character that it is
 * inside of; whole characters, and at least one where there is one. */
yoi_str eng_artefact_part(yoi_str text, uint64_t *start, size_t limit);

/* The tool that the engine itself has: offered with any other. */
extern const struct eng_spec_tool eng_artefact_tool;
/* Its declaration, {name, description, parameters}. */
extern const char eng_artefact_offer[];
/* Reads the arguments of a call of it; 0: the call has ended with an error. */
int eng_artefact_judge(struct eng_call *c);
/* Starts it, on the turn's loop; the stream is polled, cancelled and released
 * there. NULL: memory is short. */
yoi_stream *eng_artefact_start(struct eng_turn *t, const struct eng_call *c);
/* Behind its END: where the part stands in the whole. */
const char *eng_artefact_note(const yoi_stream *s);

#endif
