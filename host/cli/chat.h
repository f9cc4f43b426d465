/* chat.h - the two sides of a conversation in a terminal: lines that a person
 * types, and events shown to them (chat_lines.c, chat_view.c). chat.c stands
 * between, and chat_ask.c where the worker asks. All of it belongs to one
 * thread. */
#ifndef YOI_CLI_CHAT_H
#define YOI_CLI_CHAT_H

#include <yoi/limits.h>

#include "cli.h"

/* ---- lines: what is typed or piped in --------------------------------- */
struct cli_lines {
  int fd;
  int ended;    /* nothing more will come */
  int skipping; /* the rest of a line that was too long */
  struct yoi_sdk_buf in;
};
void cli_lines_init(struct cli_lines *l, int fd);
void cli_lines_release(struct cli_lines *l);
/* Reads what is there, once. 0: no room, take a line first. */
int cli_lines_read(struct cli_lines *l);
/* 1: there may be room for more. */
int cli_lines_open(const struct cli_lines *l);
/* The next whole input; 0 when there is none yet. A line that ends in a
 * backslash goes on in the next one. Empty inputs are passed over. The text
 * is the caller's, to be given to yoi_sdk_free. */
int cli_lines_take(struct cli_lines *l, char **out, size_t *out_len);
/* Throws away what was typed so far; 1: some of it had been read already. */
int cli_lines_forget(struct cli_lines *l);

/* ---- calls: what the worker does, and what it asks for ----------------- */
struct cli_rows {
  yoi_str *row; /* JSON objects, owned */
  size_t n;
};
struct cli_calls {
  struct cli_rows made; /* calls of the last answer */
  struct cli_rows open; /* approvals */
  int failed;           /* memory was short, so it is not all that there is */
};
void cli_calls_release(struct cli_calls *c);
void cli_calls_event(struct cli_calls *c, const yoi_event *ev);
/* Takes an approval as it stands in an event or a list. */
void cli_calls_ask(struct cli_calls *c, yoi_str approval);
/* The name of the tool of a call; both are raw JSON. Empty: not known. */
yoi_str cli_calls_name(const struct cli_calls *c, yoi_str call_id);
/* Of the open approvals: the id of one, and the one of an id, open.n when there
 * is none. */
yoi_str cli_calls_id(const struct cli_calls *c, size_t i);
size_t cli_calls_find(const struct cli_calls *c, yoi_str id);
void cli_calls_drop(struct cli_calls *c, yoi_str id);
/* Adds lines on an open approval, with at most so many bytes of arguments. */
void cli_calls_describe(const struct cli_calls *c, size_t i, size_t most, struct yoi_sdk_buf *out);
/* Adds a string member of a JSON object, safely. */
void cli_calls_add(struct yoi_sdk_buf *out, yoi_str object, const char *member, size_t most);

/* ---- view: what is shown ---------------------------------------------- */
struct cli_view {
  int json;     /* one event a line, for scripts */
  int terminal; /* standard output is one */
  int mid_line; /* the last character shown was no line feed */
  int shown;    /* this step's text was shown as it came */
  int ended;    /* turn.ended was seen, and */
  int ok;       /* ... the turn completed */
  int broken;   /* standard output takes nothing more */
  int asking;   /* a question is on the screen */
  int telling;  /* the last thing shown is what a tool says: 2 in a line */
  const struct cli_calls *calls;
  struct yoi_sdk_buf buf;
};
void cli_view_init(struct cli_view *v, int json, const struct cli_calls *calls);
void cli_view_release(struct cli_view *v);
/* A new turn begins. */
void cli_view_begin(struct cli_view *v);
void cli_view_event(struct cli_view *v, const yoi_event *ev);
/* Something was refused or broke. */
void cli_view_error(struct cli_view *v, const char *what, const yoi_error *err);
/* A remark of the program; to nobody when scripts read. */
void cli_view_note(struct cli_view *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_view_prompt(struct cli_view *v);
/* Lines that are safe already; likewise. */
void cli_view_remark(struct cli_view *v, yoi_str text);
/* Wants an answer to what was remarked; once there is one: answered. */
void cli_view_ask(struct cli_view *v);
void cli_view_answered(struct cli_view *v);
/* For scripts: the open approvals as an answer of worker.approvals. */
void cli_view_approvals(struct cli_view *v, const struct cli_calls *calls);
/* Ends a line that was begun. */
void cli_view_fresh_line(struct cli_view *v);

/* ---- the conversation -------------------------------------------------- */
enum cli_chat_state { CLI_IDLE, CLI_RUNNING, CLI_CANCELLING, CLI_LEAVING };

struct cli_chat {
  struct yoi_embed *host;
  enum cli_chat_state state;
  int signals;                   /* descriptor */
  int signalled;                 /* the signal that ends it */
  int failed;                    /* a turn did not complete */
  int terminal;                  /* standard input is one */
  uint64_t watch;                /* call that watches a turn which was there before; 0: none */
  char approval[YOI_ID_MAX + 1]; /* that is asked about, or being decided */
  int deciding;                  /* worker.approve is on its way */
  yoi_str runtime, worker;
  struct cli_calls calls;
  struct cli_lines lines;
  struct cli_view view;
  struct yoi_sdk_buf ids, body;
};
yoi_request cli_chat_request(const struct cli_chat *c, uint32_t op, yoi_str body);
/* Asks about what is open, and takes answers. */
void cli_chat_ask(struct cli_chat *c);
/* 1: the line was a command, and is done. */
int cli_chat_command(struct cli_chat *c, yoi_str line);

#endif
