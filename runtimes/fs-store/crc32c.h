/* crc32c.h - CRC32C (Castagnoli), the sum at the end of each line. */
#ifndef FS_CRC32C_H
#define FS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The sum of n bytes behind those whose sum is `crc`; 0 to begin with. [any] */
uint32_t fs_crc32c(uint32_t crc, const void *bytes, size_t n);
/* The same without help of the processor. */
uint32_t fs_crc32c_plain(uint32_t crc, const void *bytes, size_t n);

#endif
