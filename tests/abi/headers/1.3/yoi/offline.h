/* yoi/offline.h - "yoi.offline/1": a runtime's storage while no host runs it.
 *
 * Since 1.2, and optional: a runtime that keeps its workers on a disk may name
 * this interface in its manifest beside yoi.runtime/1. The host knows no
 * format of storage; it hands over what the runtime would be opened with, one
 * of these verbs, and a sink (yoi_offline of yoi.h, `yoi-host store`):
 *
 *   check    look at everything, change nothing
 *   repair   make it open again; loses what is damaged, nothing else
 *   compact  make it small and quick to open
 *   export   every worker, or one, in a form that other programs read
 *   cat      the records of one worker, in order
 *   stat     how much there is
 *
 * Options are a JSON object. Those with these names mean this everywhere; an
 * option that a verb does not have is INVALID_ARGUMENT, naming it:
 *
 *   "worker"   string: that worker only
 *   "private"  true: also what no caller of the runtime ever sees
 *   "to"       string: a folder to write into, which is made
 *   "apply"    true: change something. Without it repair and compact only say,
 *              as findings, what they would do.
 *
 *  1. A run changes nothing before it has kept, beside it, what it is about to
 *     change; its summary says where. One that is interrupted, by a kill too,
 *     and then run again comes to the same end.
 *  2. Storage that a host holds is refused: FAILED_PRECONDITION, and the
 *     message says who holds it. While a verb runs no host can open it.
 *  3. Everything said is for the operator at the terminal: paths are allowed.
 *  4. A run is one call, on the caller's thread, for as long as it takes. No
 *     instance is opened for it, and there are no services of a host.
 */
#ifndef YOI_OFFLINE_H
#define YOI_OFFLINE_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_OFFLINE_ID "yoi.offline/1"

/* Kinds of what is said, each one JSON object in one line. A reader ignores
 * members that it does not know. */

/* What was asked for (export, cat, stat); the verb and the plugin's documents
 * say its members. */
#define YOI_OFFLINE_OUTPUT 1u
/* Something worth knowing: {"severity": "info" | "warning" | "error",
 * "message": a plain sentence, "code"?: one word for programs, "file"?,
 * "line"? from 1, "offset"? in bytes, "worker"?}. */
#define YOI_OFFLINE_FINDING 2u
/* How it ended, the last line: {"message": a plain sentence, ...}. */
#define YOI_OFFLINE_SUMMARY 3u

/* Where a run says things. All text is borrowed for the call. An answer other
 * than YOI_OK asks the run to stop: it leaves all as rule 1 says and returns
 * YOI_CANCELLED. A run that says little asks by way of progress. */
typedef struct yoi_offline_sink {
  uint32_t size;
  uint32_t reserved;
  void *ctx;
  /* [one] kind: YOI_OFFLINE_*. */
  yoi_status (*say)(void *ctx, uint32_t kind, yoi_str json);
  /* [one] How far it is, as often as the run likes; what is a few words for
   * people; total 0: not known. */
  yoi_status (*progress)(void *ctx, yoi_str what, uint64_t done,
                         uint64_t total);
} yoi_offline_sink;

typedef struct yoi_offline {
  uint32_t size;
  uint32_t reserved;
  /* [one] config: what yoi_runtime.open would get. options: a JSON object.
   * The sink has every member of this version. OK: done, and for check: all
   * is as it should be. DATA_LOSS (store_corrupt): what is there is damaged;
   * check has told all of it as findings, others what stopped them. NOT_FOUND:
   * there is nothing, or no such worker. UNIMPLEMENTED: not this verb.
   * Others as the rules say. */
  yoi_status (*run)(yoi_str config, yoi_str verb, yoi_str options,
                    const yoi_offline_sink *sink, yoi_error *err);
} yoi_offline;

#ifdef __cplusplus
}
#endif
#endif
