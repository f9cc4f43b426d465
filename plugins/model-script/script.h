/* script.h - the compiled form of a config: scripts of steps, and which of
 * them answers a request. See README.md for the meaning. */
#ifndef MODEL_SCRIPT_H
#define MODEL_SCRIPT_H

#include <sdk/json.h>
#include <yoi/model.h>

#define SCRIPT_STEPS_MAX 4096
#define SCRIPT_ANSWERS_MAX 1024
#define SCRIPT_TIMES_MAX 1000000
#define SCRIPT_WAIT_MS_MAX 3600000
#define SCRIPT_CHUNK_MAX 65536

enum script_verb {
  SCRIPT_SAY,
  SCRIPT_REASON,
  SCRIPT_ECHO,
  SCRIPT_CHUNK,
  SCRIPT_WAIT,
  SCRIPT_CALL,
  SCRIPT_USAGE,
  SCRIPT_FINISH,
  SCRIPT_FAIL,
  SCRIPT_STALL,
};

/* n: times, milliseconds, bytes or retryable. text: what is said, a tool's
 * arguments, a ready event or a kind; name and id: of a call. Owned. */
struct script_step {
  enum script_verb verb;
  uint32_t n;
  yoi_str text, name, id;
};

struct script {
  struct script_step *steps;
  size_t n;
};

struct script_answer {
  yoi_str match; /* empty: any */
  int64_t step;  /* -1: any */
  struct script script;
};

struct script_book {
  uint32_t chunk;
  struct script_answer *answers;
  size_t n_answers;
  struct script *turns;
  size_t n_turns;
  struct script steps;  /* n 0: none */
  struct script notice; /* one step */
};

/* What a request is recognised by. */
struct script_request {
  size_t assistants;       /* in the whole request */
  size_t since_user;       /* behind the last user message */
  struct yoi_sdk_buf user; /* the last user text; release it */
};

yoi_status script_book_init(struct script_book *book, yoi_str config, yoi_error *err);
void script_book_release(struct script_book *book);

yoi_status script_request_init(struct script_request *r, const yoi_model_request *req,
                               yoi_error *err);
const struct script *script_choose(const struct script_book *book, const struct script_request *r);

#endif
