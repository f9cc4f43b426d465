/* sources: libyoi; libs: -lcjson -lcrypto; flags: '-DYOI_LIBDIR="/none"'
 *
 * Any bytes as a shared object: the manifest section is found inside the file
 * or refused, and what it holds is parsed as a manifest. Input that does not
 * begin as ELF is taken as a manifest itself.
 */
#include "host/elf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(yoi_str text) {
  struct yoi__manifest m;
  if (yoi__manifest_parse(text, &m, NULL) != YOI_OK) return;
  if (m.id.len == 0 || m.kind == 0 || m.n_interfaces == 0 || m.config == NULL) abort();
  (void)yoi__manifest_narrow(&m, text, NULL);
  yoi__manifest_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct yoi_sdk_buf out;
  int fd;
  if (size < 4 || memcmp(data, "\177ELF", 4) != 0) {
    parse((yoi_str){(const char *)data, size});
    return 0;
  }
  fd = memfd_create("fuzz", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  yoi_sdk_buf_init(&out, YOI_MANIFEST_BYTES_MAX);
  if (yoi__elf_section(fd, size, ".yoi.manifest", &out) == NULL) parse(yoi_sdk_buf_str(&out));
  yoi_sdk_buf_release(&out);
  close(fd);
  return 0;
}
