/* chat.h - the two sides of a conversation in a terminal: lines that a person
 * types, and events shown to them (chat_lines.c, chat_view.c). chat.c stands
 * between. All of it belongs to one thread. */
#ifndef YOI_CLI_CHAT_H
#define YOI_CLI_CHAT_H

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

/* ---- view: what is shown ---------------------------------------------- */
struct cli_view {
  int json;     /* one event a line, for scripts */
  int terminal; /* standard output is one */
  int mid_line; /* the last character shown was no line feed */
  int shown;    /* this step's text was shown as it came */
  int ended;    /* turn.ended was seen, and */
  int ok;       /* ... the turn completed */
  int broken;   /* standard output takes nothing more */
  struct yoi_sdk_buf buf;
};
void cli_view_init(struct cli_view *v, int json);
void cli_view_release(struct cli_view *v);
/* A new turn begins. */
void cli_view_begin(struct cli_view *v);
void cli_view_event(struct cli_view *v, const yoi_event *ev);
/* Something was refused or broke. */
void cli_view_error(struct cli_view *v, const char *what, const yoi_error *err);
/* A remark of the program; to nobody when scripts read. */
void cli_view_note(struct cli_view *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_view_prompt(struct cli_view *v);
/* Ends a line that was begun. */
void cli_view_fresh_line(struct cli_view *v);

#endif
