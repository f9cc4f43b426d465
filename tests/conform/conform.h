/* conform.h - the conformance kit: what its files share.
 *
 * A test is a row of a table: what it checks, whose promise that is, and a
 * function. It runs in a process of its own (run.c) and ends by returning, or
 * inside conform_fail or conform_skip, which do not return. Around it there is
 * a rig (rig.h): a real host in step mode that holds the plugin's instance, so
 * that loop, clock, tokens, mounts and models are those of libyoi, while the
 * plugin's own tables are called directly and a breach stays visible.
 *
 *   main.c     the command line
 *   tests.c    the table, and the header line of a promise
 *   run.c      one process per test: limits, output, time; after.c what it leaves
 *   report.c   what came of them, as text or as JSON
 *   linked.c   plugins that are part of the program
 *   quirks.c   what an author declares of his plugin
 *   rig.c      the host around the plugin; request.c what it is asked
 *   call.c     a stream and what it said; life.c a worker
 *   companion.c companion_tool.c   the model and the tool that runtimes are given
 *   heap.c     allocations of the plugin that fail
 *   t_*.c      the groups of tests
 *
 * Invariants
 *  1. A test fails for its own promise only: whatever else is wrong is met with
 *     patience, or is a skip that names the test that says so.
 *  2. Nothing random but from conform_random, which follows from the seed.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/str.h>
#include <signal.h>
#include <yoi.h>
#include <yoi/plugin.h>

#define CONFORM_OUTPUT_MAX 4096 /* of what a test printed, the beginning */
#define CONFORM_TEXT_MAX 1024   /* of what a failure says */

/* How long the usual call may take, of the time of a test: the rest is for what else
 * the test does. */
#define CONFORM_CALL_MS(c) ((c)->options->timeout_ms / 3 * 2)

/* Kinds as a set. */
#define ON_RUNTIME (1u << YOI_KIND_RUNTIME)
#define ON_MODEL (1u << YOI_KIND_MODEL)
#define ON_INGRESS (1u << YOI_KIND_INGRESS)
#define ON_POLICY (1u << YOI_KIND_POLICY)
#define ON_TOOL (1u << YOI_KIND_TOOL)
#define ON_STREAMS (ON_RUNTIME | ON_MODEL | ON_POLICY | ON_TOOL)
#define ON_ALL (ON_STREAMS | ON_INGRESS)

/* conform_test.needs */
#define NEEDS_FILE 1u /* a shared object: not for what is linked in */
#define NEEDS_NEAR 2u /* its code runs in this process: not isolated */

struct conform;
struct conform_rig;

struct conform_test {
  const char *id; /* "group.what-holds"; stable */
  uint32_t kinds, needs;
  void (*run)(struct conform *c);
  const char *says;    /* one sentence */
  const char *header;  /* "yoi/stream.h" */
  const char *promise; /* words of that header */
};

/* conform_result.is */
#define CONFORM_PASS 0u
#define CONFORM_FAIL 1u
#define CONFORM_SKIP 2u
#define CONFORM_CRASH 3u
#define CONFORM_TIMEOUT 4u
#define CONFORM_KNOWN 5u      /* it failed, and the quirks file says so */
#define CONFORM_UNEXPECTED 6u /* it passed, and the quirks file says that it fails */

struct conform_result {
  const struct conform_test *test;
  uint32_t is;
  uint64_t seed, ms;
  int signal;
  char seen[CONFORM_TEXT_MAX];     /* or why it was skipped */
  char expected[CONFORM_TEXT_MAX];
  char reason[CONFORM_TEXT_MAX];   /* of the quirks file */
  char output[CONFORM_OUTPUT_MAX];
};

struct conform_known {
  const char *test; /* a pattern */
  const char *reason;
};

/* What is tested, and how. */
struct conform_options {
  const char *file;    /* the shared object; with --builtin the plugin's id */
  const yoi_linked_plugin *builtin; /* that one, or NULL */
  const char *url;     /* of a runtime surface; file is then http-remote's */
  const char *token;   /* a file with its token, or NULL */
  const char *config;  /* the instance's config, JSON; NULL: none */
  const char *reproduce;
  const char *include[64], *exclude[64];
  size_t n_include, n_exclude;
  uint64_t seed;
  uint32_t timeout_ms;
  int isolated, in_process, json, list;
  yoi_sdk_json *quirks;
  struct conform_known known[64];
  size_t n_known;
  uint64_t buffer_bytes; /* of an unread stream, as the plugin's page says */
};

struct conform {
  const struct conform_options *options;
  const struct conform_test *test;
  const char *folder; /* of this test's own */
  char *copies;       /* the folder with the copy of the plugin */
  uint32_t kind;
  char id[YOI_PLUGIN_ID_MAX + 1], version[64];
  uint64_t seed, state;
  struct conform_rig *rig;
  struct conform_result *result; /* with --in-process; else NULL */
  int pipe;
  int signals;     /* a descriptor: one is held back that ends the run; -1: none is held */
  sigset_t before; /* the mask before that, which the tests have */
};

/* tests.c */
extern const struct conform_test *const conform_groups[];
const struct conform_test *conform_test_at(size_t i); /* NULL: past the end */
/* The line of the promise, from 1; 0: the header does not say it. */
unsigned conform_line(const struct conform_test *t);

/* linked.c: what is part of this program. */
struct yoi__plugin;
int conform_link(void); /* from here on hosts know them */
const yoi_linked_plugin *conform_linked(const char *id); /* NULL: there is none */
void conform_linked_say(void); /* their ids, to standard error */
/* Reads its manifest; NULL, or what is wrong with it. */
const char *conform_linked_examine(const yoi_linked_plugin *row, struct yoi__plugin *out,
                                   struct yoi_sdk_error *e);

/* run.c */
void conform_fail(struct conform *c, const char *expected, const char *seen, ...)
    __attribute__((noreturn, format(printf, 3, 4)));
void conform_skip(struct conform *c, const char *why, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
uint64_t conform_random(struct conform *c, uint64_t below);
uint64_t conform_now_ns(void);
/* For free; there is memory, or this ends. */
char *conform_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void conform_run(struct conform *c, struct conform_result *out);
void conform_remove(const char *folder); /* with what is in it */

/* after.c: from here on what the tests leave behind is a child of this process. */
void conform_adopt(void);
void conform_end_rest(void); /* all of that is ended */
/* From here on signals that end the run wait; a descriptor that shows them, or -1. */
int conform_hold_signals(sigset_t *before);
int conform_is_stopped(const struct conform *c); /* 1: one waits */

/* report.c */
const char *conform_result_name(uint32_t is);
void conform_say(const struct conform *c, const struct conform_result *r);
void conform_json(const struct conform *c, const struct conform_result *all, size_t n, int ok);

/* quirks.c: 1, or 0 and said on standard error. */
int conform_quirks(struct conform_options *o, const char *path);
/* The reason why it is known to fail, of the first row that names it; or NULL. */
const char *conform_known(const struct conform_options *o, const char *id);
int conform_names(const struct conform_known *row, const char *id);

/* heap.c: from now on the n-th allocation by code in [from, to) fails, once; 0:
 * none. off says how many there were. 0 of can: another allocator is in use. */
int conform_heap_can(void);
void conform_heap_fail(uint64_t n, uintptr_t from, uintptr_t to);
uint64_t conform_heap_off(void);

#endif
