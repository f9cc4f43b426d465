/* host/elf.h - one section of an ELF64 file, without running anything. */
#ifndef YOI__ELF_H
#define YOI__ELF_H

#include <sdk/str.h>

/* Reads the section `name` of the shared object that is open as fd (with
 * pread; the offset stays) into `out`, whose `max` bounds it. The file is not
 * trusted. Returns NULL, or why not: a constant text, lower case. */
const char *yoi__elf_section(int fd, uint64_t file_size, const char *name, struct yoi_sdk_buf *out);

#define YOI__ELF_NAME_MAX 64
/* The function `name`, which the shared object exports; else another export
 * that begins with `prefix`; else "". NULL, or why it cannot be told. */
const char *yoi__elf_export(int fd, uint64_t file_size, const char *name, const char *prefix,
                            char out[YOI__ELF_NAME_MAX]);

#endif
