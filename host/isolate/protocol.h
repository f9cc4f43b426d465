/* host/isolate/protocol.h - what a host and a worker program say to each other.
 *
 * A plugin that is isolated runs in a process of its own, build/yoi-worker: one
 * per instance. Two SEQPACKET pairs lead to it:
 *
 *   calm    one question at a time, whose answer somebody waits for: OPEN,
 *           a decision of a policy, CLOSE
 *   busy    all else, in both directions at once
 *
 * so that who waits for a decision reads it himself, without a hop over the
 * thread that reads the rest.
 *
 *   host                                worker
 *    MOUNT, a folder of the operator's, each -->  calm
 *    OPEN, with the plugin's file -->            calm
 *                                 <-- OPENED     calm
 *    START call                   -->            busy; of a policy: calm
 *                                 <-- EVENTS     until one has a final status
 *    CREDIT, CANCEL, RELEASE      -->
 *                                 <-- ASK        what the plugin asks its host
 *    ANSWER, maybe a descriptor   -->
 *                                 <-- TELL       a line of the log, a metric
 *    CLOSE                        -->            calm
 *                                 <-- CLOSED     calm; then it ends
 *
 * Rules, of which a breach by the worker ends it:
 *  1. Numbers are the machine's own: both programs come from one build, and run
 *     on one machine. OPEN carries a number that changes with this page.
 *  2. Each START is answered by EVENTS of which exactly one, the last, has a
 *     final status; RELEASE is answered by it too. Until then the call's id is
 *     taken.
 *  3. Bytes of EVENTS that were sent and not given back by CREDIT are fewer
 *     than YOI_ISOLATED_WINDOW when another is sent.
 *  4. It reads its answers: beside what the socket holds, at most
 *     YOI_ISOLATED_ASKS_MAX wait to be sent. As many of its opens wait for a disk;
 *     what is more is refused, and no breach.
 */
#ifndef YOI__PROTOCOL_H
#define YOI__PROTOCOL_H

#include <yoi/base.h>
#include <yoi/limits.h>

#define YOI__PROTOCOL_VERSION 1u

/* Descriptors of the worker program, in the order of its start. */
#define YOI__WORKER_BUSY_FD 3
#define YOI__WORKER_CALM_FD 4

/* yoi__frame_head.kind */
#define YOI__MSG_MORE 0u /* the next piece of a message */
#define YOI__MSG_OPEN 1u
#define YOI__MSG_OPENED 2u
#define YOI__MSG_CLOSE 3u
#define YOI__MSG_CLOSED 4u
#define YOI__MSG_START 5u
#define YOI__MSG_EVENTS 6u
#define YOI__MSG_CANCEL 7u
#define YOI__MSG_RELEASE 8u
#define YOI__MSG_CREDIT 9u
#define YOI__MSG_ASK 10u
#define YOI__MSG_ANSWER 11u
#define YOI__MSG_TELL 12u
#define YOI__MSG_MOUNT 13u
#define YOI__MSG_LAST YOI__MSG_MOUNT

/* What the plugin is granted, of any name; in OPEN. */
#define YOI__OPEN_NET 1u
#define YOI__OPEN_SHELL 2u

/* In front of each packet. */
struct yoi__frame_head {
  uint32_t kind;
  uint32_t total; /* bytes of the whole message; of MORE: where this piece begins */
  uint64_t id;    /* of the call or the question; 0: of none */
};

#define YOI__CONFINED_MAX 256 /* bytes of what OPENED says of the confinement */

/* A message of a worker is at most so large: events, of which it gathers those of
 * several calls of next. */
#define YOI__GATHER_BYTES 65536u                    /* and then no more */
#define YOI__EVENTS_BYTES (2u * YOI_JSON_BYTES_MAX) /* of one next, with heads */
#define YOI__FROM_WORKER_BYTES (YOI__GATHER_BYTES + YOI__EVENTS_BYTES)

#define YOI__PACKET_BYTES (sizeof(struct yoi__frame_head) + YOI_ISOLATED_PIECE_BYTES)

#endif
