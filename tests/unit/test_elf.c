/* The section reader against files that lie: each byte of the headers is
 * flipped, each length is cut, and what it reads stays inside the file. */
#include "host/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/files.h"

#define NAME ".yoi.manifest"
#define MANIFEST "{\"manifest\": \"bytes\"}"
#define OUT_MAX 4096
#define N_SECTIONS 4 /* null, names, manifest, one more */

/* The smallest shared object with a manifest. */
struct image {
  Elf64_Ehdr h;
  char names[32];
  char manifest[sizeof MANIFEST - 1];
  char pad[8 - (sizeof MANIFEST - 1) % 8];
  Elf64_Shdr s[N_SECTIONS];
};

static void build(struct image *m) {
  memset(m, 0, sizeof *m);
  memcpy(m->h.e_ident, ELFMAG, SELFMAG);
  m->h.e_ident[EI_CLASS] = ELFCLASS64;
  m->h.e_ident[EI_DATA] = ELFDATA2LSB;
  m->h.e_ident[EI_VERSION] = EV_CURRENT;
  m->h.e_type = ET_DYN;
#if defined(__x86_64__)
  m->h.e_machine = EM_X86_64;
#elif defined(__aarch64__)
  m->h.e_machine = EM_AARCH64;
#else
  m->h.e_machine = EM_RISCV;
#endif
  m->h.e_version = EV_CURRENT;
  m->h.e_ehsize = sizeof m->h;
  m->h.e_shentsize = sizeof *m->s;
  m->h.e_shnum = N_SECTIONS;
  m->h.e_shstrndx = 1;
  m->h.e_shoff = offsetof(struct image, s);
  memcpy(m->names + 1, NAME, sizeof NAME);
  memcpy(m->names + 20, ".other", 7);
  memcpy(m->manifest, MANIFEST, sizeof MANIFEST - 1);
  m->s[1].sh_type = SHT_STRTAB;
  m->s[1].sh_offset = offsetof(struct image, names);
  m->s[1].sh_size = sizeof m->names;
  m->s[2].sh_name = 1;
  m->s[2].sh_type = SHT_PROGBITS;
  m->s[2].sh_offset = offsetof(struct image, manifest);
  m->s[2].sh_size = sizeof m->manifest;
  m->s[3].sh_name = 20;
  m->s[3].sh_type = SHT_PROGBITS;
}

/* What the reader says about these bytes; *out is released by the caller. */
static const char *read_bytes(const void *bytes, size_t n, struct yoi_sdk_buf *out) {
  int fd = memfd_create("elf", MFD_CLOEXEC);
  const char *why;
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, n), n);
  yoi_sdk_buf_init(out, OUT_MAX);
  why = yoi__elf_section(fd, n, NAME, out);
  close(fd);
  return why;
}

static void expect(const struct image *m, const char *part) {
  struct yoi_sdk_buf out;
  const char *why = read_bytes(m, sizeof *m, &out);
  if (why == NULL || strstr(why, part) == NULL)
    fail_msg("expected '%s', found '%s'", part, why == NULL ? "success" : why);
  yoi_sdk_buf_release(&out);
}

static void the_bytes_of_the_section(void **state) {
  (void)state;
  struct image m;
  struct yoi_sdk_buf out;
  build(&m);
  assert_null(read_bytes(&m, sizeof m, &out));
  assert_int_equal(out.len, sizeof MANIFEST - 1);
  assert_string_equal(out.data, MANIFEST);
  yoi_sdk_buf_release(&out);
}

static void a_built_plugin(void **state) {
  (void)state;
  struct yoi_sdk_buf out;
  size_t n = 0;
  char *bytes;
  files_plugin("ctor", "ctor.so");
  bytes = files_read("ctor.so", &n);
  assert_null(read_bytes(bytes, n, &out));
  assert_non_null(strstr(out.data, "dev.yoi.test.ctor"));
  yoi_sdk_buf_release(&out);
  test_free(bytes);
}

static void wrong_kinds_of_file(void **state) {
  (void)state;
  struct image m;
  build(&m), m.h.e_ident[EI_MAG0] = 'E', expect(&m, "not an ELF file");
  build(&m), m.h.e_ident[EI_CLASS] = ELFCLASS32, expect(&m, "class");
  build(&m), m.h.e_ident[EI_DATA] = ELFDATA2MSB, expect(&m, "byte order");
  build(&m), m.h.e_ident[EI_VERSION] = 2, expect(&m, "version");
  build(&m), m.h.e_version = 0, expect(&m, "version");
  build(&m), m.h.e_type = ET_REL, expect(&m, "type");
  build(&m), m.h.e_type = ET_EXEC, expect(&m, "type");
  build(&m), m.h.e_machine = EM_S390, expect(&m, "machine");
  build(&m), m.h.e_ehsize = 52, expect(&m, "entry size");
  build(&m), m.h.e_shentsize = 40, expect(&m, "entry size");
}

static void lying_headers(void **state) {
  (void)state;
  struct image m;
  build(&m), m.h.e_shnum = 0, expect(&m, "no section headers");
  build(&m), m.h.e_shnum = UINT16_MAX, expect(&m, "too many");
  build(&m), m.h.e_shnum = N_SECTIONS + 1, expect(&m, "outside");
  build(&m), m.h.e_shstrndx = N_SECTIONS, expect(&m, "no section names");
  build(&m), m.h.e_shoff = UINT64_MAX, expect(&m, "outside");
  build(&m), m.h.e_shoff = UINT64_MAX - 100, expect(&m, "outside");
  build(&m), m.h.e_shoff = sizeof m - 1, expect(&m, "outside");
  build(&m), m.s[1].sh_offset = UINT64_MAX, expect(&m, "outside");
  build(&m), m.s[1].sh_size = UINT64_MAX - 8, expect(&m, "outside");
  build(&m), m.s[1].sh_type = SHT_PROGBITS, expect(&m, "section names");
  build(&m), m.h.e_shstrndx = 0, expect(&m, "section names");
}

static void lying_sections(void **state) {
  (void)state;
  struct image m;
  build(&m), m.s[2].sh_offset = UINT64_MAX, expect(&m, "outside");
  build(&m), m.s[2].sh_offset = sizeof m, expect(&m, "outside");
  build(&m), m.s[2].sh_size = OUT_MAX, expect(&m, "outside");
  build(&m), m.s[2].sh_size = OUT_MAX + 1, expect(&m, "too large");
  build(&m), m.s[2].sh_size = UINT64_MAX, expect(&m, "too large");
  build(&m), m.s[2].sh_size = 0, expect(&m, "empty");
  build(&m), m.s[2].sh_type = SHT_NOBITS, expect(&m, "no data");
  build(&m), m.s[2].sh_flags = SHF_COMPRESSED, expect(&m, "compressed");
  build(&m), m.s[2].sh_name = 20, expect(&m, "no manifest section");
  build(&m), m.s[2].sh_name = UINT32_MAX, expect(&m, "no manifest section");
  build(&m), m.s[1].sh_size = 5, expect(&m, "no manifest section");
  build(&m), m.names[1 + sizeof NAME - 1] = 'x', expect(&m, "no manifest section");
  build(&m), m.s[3] = m.s[2], expect(&m, "two manifest sections");
}

static void cut_at_every_byte(void **state) {
  (void)state;
  struct image m;
  build(&m);
  for (size_t n = 0; n < sizeof m; n++) {
    struct yoi_sdk_buf out;
    assert_non_null(read_bytes(&m, n, &out));
    yoi_sdk_buf_release(&out);
  }
}

static void every_byte_flipped(void **state) {
  (void)state;
  static const unsigned char masks[] = {0xff, 0x01, 0x80};
  struct image m;
  for (size_t i = 0; i < sizeof m; i++) {
    for (size_t k = 0; k < sizeof masks; k++) {
      struct yoi_sdk_buf out;
      build(&m);
      ((unsigned char *)&m)[i] ^= masks[k];
      if (read_bytes(&m, sizeof m, &out) == NULL) assert_true(out.len <= OUT_MAX);
      yoi_sdk_buf_release(&out);
    }
  }
}

/* The headers of a real plugin: a flip may be harmless, never a crash. */
static void every_header_byte_of_a_plugin_flipped(void **state) {
  (void)state;
  size_t n = 0, from, to;
  unsigned char *bytes;
  Elf64_Ehdr h;
  files_plugin("ctor", "ctor.so");
  bytes = (unsigned char *)files_read("ctor.so", &n);
  memcpy(&h, bytes, sizeof h);
  from = h.e_shoff;
  to = from + (size_t)h.e_shnum * sizeof(Elf64_Shdr);
  assert_true(to <= n);
  for (size_t i = 0; i < to; i = i + 1 == sizeof h ? from : i + 1) {
    struct yoi_sdk_buf out;
    bytes[i] ^= 0xff;
    (void)read_bytes(bytes, n, &out);
    yoi_sdk_buf_release(&out);
    bytes[i] ^= 0xff;
  }
  test_free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_bytes_of_the_section),
      cmocka_unit_test(a_built_plugin),
      cmocka_unit_test(wrong_kinds_of_file),
      cmocka_unit_test(lying_headers),
      cmocka_unit_test(lying_sections),
      cmocka_unit_test(cut_at_every_byte),
      cmocka_unit_test(every_byte_flipped),
      cmocka_unit_test(every_header_byte_of_a_plugin_flipped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
