/* yoi/limits.h - every maximum of the system, in one place, with its reason.
 *
 * A config may lower what is marked (config), never raise it past the value
 * here. Units are bytes unless the name says otherwise; _MS are milliseconds.
 */
#ifndef YOI_LIMITS_H
#define YOI_LIMITS_H

/* ---- identifiers and text ------------------------------------------- */
#define YOI_ID_MAX 64           /* runtime and worker ids: fits a file name */
#define YOI_PLUGIN_ID_MAX 128   /* reverse DNS */
#define YOI_NAME_MAX 64         /* models, secrets, tools: valid on each wire */
#define YOI_DISPLAY_NAME_MAX 256
#define YOI_PRINCIPAL_MAX 128
#define YOI_REQUEST_ID_MAX 128  /* callers bring their own, UUIDs and spans */
#define YOI_TRACE_MAX 128       /* traceparent is 55; later versions add */
#define YOI_IDEMPOTENCY_KEY_MAX 255 /* the draft's examples stay far below */
#define YOI_CURSOR_MAX 160      /* epoch, worker, sequence and frame as text */
#define YOI_REASON_MAX 1024     /* of cancel and stop: a sentence or three */
#define YOI_INTENT_MAX 4096     /* one paragraph of the context */
#define YOI_SECRET_BYTES_MAX 16384 /* a PEM chain; keys are below 4 KiB */
#define YOI_ERROR_MESSAGE_MAX 512
#define YOI_ERROR_DETAILS_MAX 2048
#define YOI_ERROR_PRIVATE_MAX 2048

/* ---- JSON ----------------------------------------------------------- */
#define YOI_JSON_DEPTH_MAX 64      /* recursion in readers stays below 16 KiB */
#define YOI_JSON_BYTES_MAX 8388608 /* any text that the reader is given */
#define YOI_JSON_NODES_MAX 65536   /* a node costs 64 bytes of heap */
#define YOI_JSON_INT_MAX 9007199254740991 /* 2^53-1: exact in every reader */
#define YOI_JSON_NUMBER_MAX 63     /* characters: twice what a double needs */

/* ---- operations ----------------------------------------------------- */
#define YOI_CREATE_BYTES_MAX 65536 /* body of worker.create */
#define YOI_INPUT_BYTES_MAX 262144 /* content of one input (config) */
#define YOI_BODY_BYTES_MAX 1048576 /* any body: a bundle is the largest */
#define YOI_LIST_LIMIT_MAX 256     /* rows of a page */
#define YOI_LIST_LIMIT_DEFAULT 100
#define YOI_DIAGNOSTICS_MAX 32     /* kept per runtime and worker */
#define YOI_CAPABILITIES_MAX 64    /* requested in one create */
#define YOI_HOPS_MAX 8             /* hosts that a request may cross */
#define YOI_DEADLINE_MS_DEFAULT 30000 /* unary operations (config) */
#define YOI_DEADLINE_MS_MAX 600000
#define YOI_LIST_ALL_MS 2000 /* each, when all are asked: a person waits */

/* ---- workers and turns ---------------------------------------------- */
#define YOI_WORKERS_MAX 1000000        /* per runtime (config) */
#define YOI_HISTORY_BYTES_MAX 67108864 /* per worker in memory (config) */
#define YOI_TRANSCRIPT_ITEMS_MAX 256   /* of one page (config) */
#define YOI_WATCHERS_MAX 65536         /* streams per runtime (config) */
#define YOI_MESSAGE_BYTES_MAX 1048576  /* text and calls of one answer */
#define YOI_TOOL_ARGUMENTS_MAX 262144  /* of one call */
#define YOI_TOOL_CALLS_MAX 64          /* in one model answer */
#define YOI_TURN_BUFFER_BYTES 2097152  /* frames of one turn with overhead */
#define YOI_TURN_BUFFER_KEEP_MS 10000  /* after the turn, for late resumes */
#define YOI_DELTA_BYTES_MAX 4096       /* merged deltas: one socket buffer */
#define YOI_EVENT_BATCH_MAX 32         /* events that one next hands out */
#define YOI_REPLAY_BATCH_MAX 64        /* records of one store read */
#define YOI_IDEMPOTENCY_KEEP_INPUTS 64 /* always kept per worker */
#define YOI_IDEMPOTENCY_KEEP_MS 86400000
#define YOI_PENDING_OPS_MAX 64 /* operations that wait for a staged append */
#define YOI_STEPS_MAX 256              /* model calls of one turn (profile) */
#define YOI_STEPS_DEFAULT 16
#define YOI_WALL_MS_MAX 86400000       /* of one turn (profile) */
#define YOI_WALL_MS_DEFAULT 600000
#define YOI_TOKENS_MAX_PER_TURN 100000000
#define YOI_TOKENS_DEFAULT 1000000
#define YOI_TOOL_OUTPUT_BYTES_MAX 16777216 /* of one turn (profile) */
#define YOI_TOOL_OUTPUT_BYTES_DEFAULT 1048576
#define YOI_CONTEXT_TOKENS_MAX 2000000 /* (profile) */
#define YOI_CONTEXT_TOKENS_DEFAULT 8192
#define YOI_CONTEXT_BYTES_PER_TOKEN 3  /* the estimate; errs to the safe side */

/* ---- streams and tokens --------------------------------------------- */
#define YOI_TOKENS_MAX 1048576     /* live wake tokens of one host */
#define YOI_LOOPS_MAX 256
#define YOI_LOOP_OBJECTS_MAX 1048576 /* watches and timers of one loop */
#define YOI_LOOP_POSTS_MAX 1048576   /* tasks that wait on one loop */
#define YOI_CANCEL_GRACE_MS 2000   /* until a cancelled stream must end */
#define YOI_METRICS_MAX 1024       /* counters: names times label values */

/* ---- host ----------------------------------------------------------- */
#define YOI_CONFIG_BYTES_MAX 1048576
#define YOI_CONFIG_FINDINGS_MAX 256 /* of one check: nobody reads more */
#define YOI_PATH_BYTES_MAX 4096    /* PATH_MAX of the kernel */
#define YOI_MANIFEST_BYTES_MAX 65536
#define YOI_PLUGIN_BYTES_MAX 268435456 /* of one file: it is hashed whole */
#define YOI_PLUGINS_MAX 256        /* found on all search paths */
#define YOI_RUNTIMES_MAX 256
#define YOI_MODELS_MAX 64
#define YOI_INGRESS_MAX 16
#define YOI_DRAIN_MS_DEFAULT 10000 /* SIGTERM: a turn may still end (config) */
#define YOI_DRAIN_MS_MAX 600000
#define YOI_LOG_LINE_MAX 4096      /* PIPE_BUF: one write is one line */
#define YOI_SCHEMA_DEPTH_MAX 16    /* of a config schema */

/* ---- HTTP server ---------------------------------------------------- */
#define YOI_HTTP_TARGET_MAX 8192      /* what proxies in front allow */
#define YOI_HTTP_HEADER_BYTES_MAX 16384 /* request line and fields */
#define YOI_HTTP_HEADERS_MAX 64
#define YOI_HTTP_CONNECTIONS_MAX 65536 /* per listener (config) */
#define YOI_HTTP_CONNECTIONS_DEFAULT 16384
#define YOI_HTTP_STREAMS_MAX 65536    /* event streams per listener (config) */
#define YOI_HTTP_STREAMS_DEFAULT 16384
#define YOI_HTTP_REQUESTS_PER_TURN 16 /* pipelined on one wake-up: fairness */
#define YOI_HTTP_HEADER_MS 10000      /* whole header, from its first byte */
#define YOI_HTTP_BODY_MS 30000        /* whole body */
#define YOI_HTTP_IDLE_MS 60000        /* keep-alive without a request */
#define YOI_HTTP_WRITE_MS 30000       /* a socket that takes nothing */
#define YOI_HTTP_WRITE_BYTES_S 4096   /* the slowest reader of an answer */
#define YOI_HTTP_HEARTBEAT_MS 10000   /* proxies give up after 30 to 60 s */
#define YOI_HTTP_MS_MAX 3600000       /* any of the five above (config) */
#define YOI_HTTP_NOTSENT_BYTES 16384  /* kernel buffer of an event stream */
#define YOI_HTTP_RETRY_MS 1000        /* the `retry:` of event streams */
#define YOI_WAIT_MS_MAX 600000        /* ?wait= */
#define YOI_HTTP_BATCH_MAX 256        /* events of a JSON batch */

/* ---- HTTP client and models ----------------------------------------- */
#define YOI_SSE_LINE_MAX 1048576     /* one line of a provider's stream */
#define YOI_SSE_EVENT_MAX 2097152    /* one event */
#define YOI_MODEL_RESPONSE_MAX 67108864 /* all bytes of one generation */
#define YOI_MODEL_ERROR_BODY_MAX 65536
#define YOI_MODEL_CONNECT_MS 10000
#define YOI_MODEL_FIRST_BYTE_MS 120000 /* local models load for minutes */
#define YOI_MODEL_GAP_MS 60000
#define YOI_MODEL_RETRIES_MAX 5
#define YOI_MODEL_RETRIES_DEFAULT 2
#define YOI_MODEL_RETRY_AFTER_MAX_MS 60000
#define YOI_MODEL_BACKOFF_MS 500     /* first wait when none was named */
#define YOI_MODEL_BACKOFF_MAX_MS 8000
#define YOI_MODEL_MS_MAX 3600000     /* connect, first byte, gap (config) */
#define YOI_MODEL_BUFFER_BYTES 262144 /* waiting unpolled: then not read */
#define YOI_MODEL_LIST_BYTES_MAX 4194304 /* brokers list thousands */
#define YOI_MODEL_NAME_MAX 256       /* a provider's name of a model */
#define YOI_MODEL_LINGER_MS 1000     /* for the end of an answer after [DONE] */
#define YOI_URL_MAX 2048             /* a base_url */
#define YOI_HTTP_CLIENT_HEADERS_MAX 32
#define YOI_HTTP_CLIENT_HEADER_BYTES_MAX 32768 /* of one answer */
#define YOI_HTTP_CLIENT_IDLE_MAX 256 /* connections kept, per loop */
#define YOI_HTTP_CLIENT_POOL_MAX 64  /* easy handles kept, per loop */

/* ---- records of runtimes/local-compat ------------------------------- */
#define YOI_RECORDS_MAX 65536         /* of one folder: names take 5 MB */
#define YOI_RECORD_BYTES_MAX 8388608  /* one file: what the reader takes */
#define YOI_RECORDS_BYTES_MAX 67108864 /* all files: they stay in memory */

#endif
