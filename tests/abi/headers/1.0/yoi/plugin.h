/* yoi/plugin.h - how a shared object becomes a plugin.
 *
 * It exports yoi_plugin_entry_v1, which returns a static const table, and
 * carries its manifest in the ELF section .yoi.manifest, which the host reads
 * before any code of the plugin runs:
 *
 *   { "manifest": "yoi.plugin/1",         the format
 *     "id": "org.example.thing",          reverse DNS, at most 128 bytes
 *     "kind": "runtime",                  runtime | model | ingress
 *     "version": "1.0.0",                 major.minor.patch
 *     "abi": 1,                           YOI_ABI_MAJOR
 *     "interfaces": ["yoi.runtime/1"],
 *     "threads": "parallel",              parallel | serial
 *     "config": { ...JSON Schema... },    of the instance's config
 *     "grants": [],                       what it wants, by name
 *     "isolation": "none",                the default: none | process
 *     "display_name": "Thing",            optional, for people
 *     "runtime_id": "thing" }             runtimes: its id when dropped in
 *
 * A file NAME.yoi.json beside NAME.so may narrow it: fewer grants, isolation
 * none to process, another display_name. After the load, table and manifest
 * must agree.
 *
 * Entry has no side effects and may be called twice. The major version is in
 * its name, so that a wrong one is "symbol not found".
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

/* thread_model of the interface tables */
#define YOI_PARALLEL 1u /* callable from any thread, never blocks */
#define YOI_SERIAL 2u   /* one call at a time, may block */

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

/* [main] The one exported symbol. */
YOI_API const yoi_plugin *yoi_plugin_entry_v1(void);

/* Puts the bytes of a file into the manifest section; flags "aR", so that
 * neither stripping nor garbage collection of sections takes it away. Use it
 * once, at file scope; the path is searched like an assembler include. */
#define YOI_MANIFEST_FILE(path)                                    \
  __asm__(".pushsection .yoi.manifest,\"aR\",%progbits\n\t.incbin \"" path \
          "\"\n\t.popsection\n")

#ifdef __cplusplus
}
#endif
#endif
