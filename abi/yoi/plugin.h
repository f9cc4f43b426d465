/* yoi/plugin.h - how a shared object becomes a plugin.
 *
 * It exports yoi_plugin_entry_v1, which returns a static const table, and
 * carries its manifest in the ELF section .yoi.manifest, which the host reads
 * before any code of the plugin runs:
 *
 *   { "manifest": "yoi.plugin/1",         the format
 *     "id": "org.example.thing",          reverse DNS, at most 128 bytes
 *     "kind": "runtime",        runtime | model | ingress; since 1.3: policy;
 *                                         since 1.4: tool
 *     "version": "1.0.0",                 major.minor.patch
 *     "abi": 1,                           YOI_ABI_MAJOR
 *     "interfaces": ["yoi.runtime/1"],
 *     "threads": "parallel",              parallel | serial
 *     "config": { ...JSON Schema... },    of the instance's config; strings of
 *                                         the format "path" arrive absolute
 *     "grants": [],                       what it wants, by name
 *     "isolation": "none",                the default: none | process;
 *                                         process, since 1.4: tools, policies
 *                                         and models run in a program of their
 *                                         own, yoi-worker
 *     "display_name": "Thing",            optional, for people
 *     "runtime_id": "thing",              runtimes: its id when dropped in
 *     "operations": ["worker.*"],         since 1.3, policies: policy.h
 *     "tools": [ ... ] }                  since 1.4, tools:
 *
 *   { "name": "fs_read",                  1 to 64 letters, digits, _ and -
 *     "description": "...",               for the model, at most 4,096 bytes
 *     "parameters": { ...JSON Schema... } of the arguments, an object
 *     "grants": ["mount"],                the kinds that it needs: mount, net,
 *                                         shell, git; default none
 *     "read_only": true,                  default false: see tool.h
 *     "idempotent": true,                 default what read_only is
 *     "max_ms": 30000 }                   of a call; default 120,000
 *
 * A file NAME.yoi.json beside NAME.so may narrow it: fewer grants, isolation
 * none to process, another display_name. The manifest itself, as it was built
 * in, may lie there too. After the load, table and manifest must agree.
 *
 * Entry has no side effects and may be called twice. The major version is in
 * its name, so that a wrong one is "symbol not found".
 *
 * It shares the process with others: signal dispositions and masks, umask,
 * locale, environment and working directory stay as they are. A call that finds
 * no memory fails with RESOURCE_EXHAUSTED; it does not end the process.
 */
#ifndef YOI_PLUGIN_H
#define YOI_PLUGIN_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_PLUGIN_ENTRY "yoi_plugin_entry_v1"
#define YOI_MANIFEST_SECTION ".yoi.manifest"

/* yoi_plugin.kind */
#define YOI_KIND_RUNTIME 1u
#define YOI_KIND_MODEL 2u
#define YOI_KIND_INGRESS 3u
#define YOI_KIND_POLICY 4u /* since 1.3 */
#define YOI_KIND_TOOL 5u   /* since 1.4 */

/* thread_model of the interface tables */
#define YOI_PARALLEL 1u /* callable from any thread, never blocks */
#define YOI_SERIAL 2u   /* one call at a time, may block */
#define YOI_SERIAL_CANCEL 3u /* since 1.1: SERIAL, but for cancel */

/* SERIAL is for models, since 1.1, and for tools, since 1.4; runtimes,
 * ingresses and policies are PARALLEL.
 *
 *  1. start and the next, cancel and release of all its streams are called
 *     one at a time per instance, by threads of the host's that may change
 *     between two calls. They may block: nothing else of the host waits.
 *     They take turns among the instance's streams, one next each.
 *  2. A request is the host's copy, valid until start returned. Results are
 *     copied; next is not called again while YOI_STRAND_BUFFER_BYTES of them
 *     are unread. A next that says AGAIN is called again after a wake of the
 *     request's token.
 *  3. cancel is called between two calls, so that it needs no lock either: a
 *     next that blocks is not interrupted. With YOI_SERIAL_CANCEL in the table
 *     (the manifest says serial) cancel may also be called from any thread
 *     while another call of the instance runs, also that stream's next; it
 *     must then be safe there, say by an atomic flag. Never during or after
 *     that stream's release, and never before its start has returned.
 *  4. At its deadline (YOI_DEADLINE_MS_MAX when it has none) a stream is
 *     cancelled, YOI_CANCEL_GRACE_MS later its caller is answered. A call that
 *     is inside the plugin then is written off: the instance's other streams
 *     go on beside it, so until it returns it may touch only what is its own
 *     stream's; its stream is released once it came back. While
 *     YOI_STRAND_LOST_MAX calls are not back the plugin is refused.
 *  5. open and close are [main], before the first and after the last call. An
 *     instance that a call did not come back from is never closed.
 *  6. It does not get yoi.host.loop/1, since its threads are on no loop, and
 *     holds no tokens: wake of its table is not called.
 */

typedef struct yoi_plugin {
  uint32_t size;
  uint32_t abi_minor; /* YOI_ABI_MINOR it was built with; for messages */
  uint32_t kind;      /* YOI_KIND_* */
  uint32_t reserved;
  yoi_str id;
  yoi_str version;
  /* [any] The table of an interface that the manifest names, or NULL. */
  const void *(*get_interface)(yoi_str id);
} yoi_plugin;

/* Since 1.1: in a static build several plugins are linked into one program.
 * Compiled with -DYOI_STATIC=NAME, NAME an identifier, the entry is called
 * YOI_PLUGIN(NAME), and the manifest's bytes are between two symbols of that
 * name instead of in a section; YOI_LINKED_PLUGIN(NAME) of yoi.h finds both. */
#define YOI_PLUGIN_NAMED(name) yoi_plugin_entry_v1_##name
#define YOI_PLUGIN(name) YOI_PLUGIN_NAMED(name)
#ifdef YOI_STATIC
#define yoi_plugin_entry_v1 YOI_PLUGIN(YOI_STATIC)
#endif

/* [main] The one exported symbol. */
YOI_API const yoi_plugin *yoi_plugin_entry_v1(void);

/* Puts the bytes of a file into the manifest section; flags "aR", so that
 * neither stripping nor garbage collection of sections takes it away. Use it
 * once, at file scope; the path is searched like an assembler include. */
#ifndef YOI_STATIC
#define YOI_MANIFEST_FILE(path)                                    \
  __asm__(".pushsection .yoi.manifest,\"aR\",%progbits\n\t.incbin \"" path \
          "\"\n\t.popsection\n")
#else
#define YOI_MANIFEST_NAMED(name) "yoi_manifest_v1_" #name
#define YOI_MANIFEST_NAME(name) YOI_MANIFEST_NAMED(name)
#define YOI_MANIFEST_SYMBOL(end)                                 \
  "\n\t.globl " YOI_MANIFEST_NAME(YOI_STATIC) end "\n\t.hidden " \
  YOI_MANIFEST_NAME(YOI_STATIC) end "\n" YOI_MANIFEST_NAME(YOI_STATIC) end ":"
#define YOI_MANIFEST_FILE(path)                                           \
  __asm__(".pushsection .rodata\n\t" YOI_MANIFEST_SYMBOL("")              \
          "\n\t.incbin \"" path "\"" YOI_MANIFEST_SYMBOL("_end") \
          "\n\t.byte 0\n\t.popsection\n")
#endif

#ifdef __cplusplus
}
#endif
#endif
