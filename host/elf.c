/* host/elf.c - finds one section of a shared object by its name.
 *
 * Why not dlopen: a manifest is read to decide whether a file may run at all,
 * so nothing of the file may run for it. Why not mmap: a file that shrinks
 * under a map is SIGBUS; under pread it is a short read.
 *
 * The file is hostile until shown otherwise. Invariants:
 *  1. Every offset and size of the file is checked against file_size before
 *     it is used, with subtractions that cannot wrap.
 *  2. What is held in memory is bounded: one section header table of at most
 *     SECTIONS_MAX entries, and the section itself, at most out->max; symbols
 *     are read one by one.
 *  3. Names are compared inside the bounds of the name table, with their NUL.
 *  4. A second section of that name is refused: two readers could otherwise
 *     disagree about which of the two counts.
 *
 * Format: System V ABI, "Object Files"; extended section numbering (e_shnum
 * 0) is for objects of more than 65279 sections and refused.
 */
#include "elf.h"

#include <elf.h>
#include <errno.h>
#include <sdk/hard.h>
#include <string.h>
#include <unistd.h>

#include <sdk/mem.h>

#define SECTIONS_MAX 4096 /* a shared object has some forty */
#define NAME_MAX_BYTES 64 /* of the section that is asked for */
#define SYMBOLS_MAX 65536 /* exported or imported by a plugin; some hundred */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#elif defined(__riscv)
#define MACHINE EM_RISCV
#else
#error "say which e_machine this processor's shared objects have"
#endif

/* Exactly n bytes from `at`; 0 when the file does not have them. */
static int read_at(int fd, void *to, size_t n, uint64_t at) {
  char *p = to;
  while (n > 0) {
    ssize_t got = pread(fd, p, yoi_sdk_short(n), (off_t)at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    p += got;
    at += (uint64_t)got;
    n -= (size_t)got;
  }
  return 1;
}

/* 1: [at, at + n) lies inside a file of this size. */
static int inside(uint64_t at, uint64_t n, uint64_t file_size) {
  return at <= file_size && n <= file_size - at;
}

static const char *check_header(const Elf64_Ehdr *h, uint64_t file_size) {
  if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) return "not an ELF file";
  if (h->e_ident[EI_CLASS] != ELFCLASS64) return "wrong ELF class: expected 64-bit";
  if (h->e_ident[EI_DATA] != ELFDATA2LSB) return "wrong byte order: expected little-endian";
  if (h->e_ident[EI_VERSION] != EV_CURRENT || h->e_version != EV_CURRENT)
    return "wrong ELF version: expected 1";
  if (h->e_type != ET_DYN) return "wrong ELF type: expected a shared object";
  if (h->e_machine != MACHINE) return "wrong machine: built for another processor";
  if (h->e_ehsize != sizeof *h || h->e_shentsize != sizeof(Elf64_Shdr))
    return "malformed ELF header: unexpected entry size";
  if (h->e_shnum == 0) return "no section headers";
  if (h->e_shnum > SECTIONS_MAX) return "too many sections";
  if (h->e_shstrndx >= h->e_shnum) return "malformed ELF header: no section names";
  if (!inside(h->e_shoff, (uint64_t)h->e_shnum * sizeof(Elf64_Shdr), file_size))
    return "truncated: section headers lie outside the file";
  return NULL;
}

/* 1: the section's name is `name`; n counts its NUL. */
static int named(int fd, const Elf64_Shdr *names, const Elf64_Shdr *s, const char *name, size_t n) {
  char have[NAME_MAX_BYTES];
  if (!inside(s->sh_name, n, names->sh_size)) return 0;
  return read_at(fd, have, n, names->sh_offset + s->sh_name) && memcmp(have, name, n) == 0;
}

static const char *read_section(int fd, const Elf64_Shdr *s, uint64_t file_size,
                                struct yoi_sdk_buf *out) {
  char *to;
  if (s->sh_type != SHT_PROGBITS) return "the manifest section holds no data";
  if ((s->sh_flags & SHF_COMPRESSED) != 0) return "the manifest section is compressed";
  if (s->sh_size == 0) return "the manifest section is empty";
  if (s->sh_size > out->max) return "the manifest section is too large";
  if (!inside(s->sh_offset, s->sh_size, file_size))
    return "truncated: the manifest section lies outside the file";
  yoi_sdk_buf_clear(out);
  to = yoi_sdk_buf_reserve(out, s->sh_size);
  if (to == NULL) return "memory is short";
  if (!read_at(fd, to, s->sh_size, s->sh_offset)) return "cannot read the manifest section";
  out->len += s->sh_size;
  to[s->sh_size] = '\0';
  return NULL;
}

/* The header and all section headers, to be freed when it is OK. */
static const char *read_headers(int fd, uint64_t file_size, Elf64_Ehdr *h, Elf64_Shdr **out) {
  const char *why;
  size_t bytes;
  if (file_size < sizeof *h || !read_at(fd, h, sizeof *h, 0))
    return "truncated: shorter than an ELF header";
  why = check_header(h, file_size);
  if (why != NULL) return why;
  bytes = (size_t)h->e_shnum * sizeof **out;
  *out = yoi_sdk_malloc(bytes);
  if (*out == NULL) return "memory is short";
  if (read_at(fd, *out, bytes, h->e_shoff)) return NULL;
  yoi_sdk_free(*out);
  return "cannot read the section headers";
}

const char *yoi__elf_section(int fd, uint64_t file_size, const char *name,
                             struct yoi_sdk_buf *out) {
  Elf64_Ehdr h;
  Elf64_Shdr *table, *names, *found = NULL;
  size_t name_bytes = strlen(name) + 1;
  const char *why;
  if (name_bytes > NAME_MAX_BYTES) return "section name too long";
  why = read_headers(fd, file_size, &h, &table);
  if (why != NULL) return why;
  names = &table[h.e_shstrndx];
  if (names->sh_type != SHT_STRTAB || !inside(names->sh_offset, names->sh_size, file_size)) {
    why = "malformed ELF file: section names lie outside the file";
  } else {
    for (size_t i = 1; why == NULL && i < h.e_shnum; i++) {
      if (!named(fd, names, &table[i], name, name_bytes)) continue;
      if (found != NULL) why = "two manifest sections";
      found = &table[i];
    }
    if (why == NULL) {
      why = found == NULL ? "no manifest section" : read_section(fd, found, file_size, out);
    }
  }
  yoi_sdk_free(table);
  return why;
}

/* ---- exports --------------------------------------------------------------- */

/* The text at `at` of a string table, cut where it is too long. */
static int read_name(int fd, const Elf64_Shdr *strings, uint64_t at, char out[YOI__ELF_NAME_MAX]) {
  size_t n;
  if (at >= strings->sh_size) return 0;
  n = strings->sh_size - at < YOI__ELF_NAME_MAX ? (size_t)(strings->sh_size - at)
                                                : YOI__ELF_NAME_MAX;
  if (!read_at(fd, out, n, strings->sh_offset + at)) return 0;
  out[n - 1] = '\0';
  return 1;
}

static const char *find_export(int fd, const Elf64_Shdr *symbols, const Elf64_Shdr *strings,
                               const char *name, const char *prefix, char out[YOI__ELF_NAME_MAX]) {
  uint64_t n = symbols->sh_size / sizeof(Elf64_Sym);
  if (n > SYMBOLS_MAX) return "too many symbols";
  out[0] = '\0';
  for (uint64_t i = 1; i < n; i++) {
    char have[YOI__ELF_NAME_MAX];
    Elf64_Sym s;
    if (!read_at(fd, &s, sizeof s, symbols->sh_offset + i * sizeof s))
      return "cannot read the symbols";
    if (s.st_shndx == SHN_UNDEF || ELF64_ST_BIND(s.st_info) == STB_LOCAL) continue;
    if (!read_name(fd, strings, s.st_name, have)) return "malformed ELF file: a symbol's name";
    if (strcmp(have, name) == 0) {
      memcpy(out, have, sizeof have);
      return NULL;
    }
    if (out[0] == '\0' && strncmp(have, prefix, strlen(prefix)) == 0)
      memcpy(out, have, sizeof have);
  }
  return NULL;
}

const char *yoi__elf_export(int fd, uint64_t file_size, const char *name, const char *prefix,
                            char out[YOI__ELF_NAME_MAX]) {
  Elf64_Ehdr h;
  Elf64_Shdr *table;
  const char *why = read_headers(fd, file_size, &h, &table);
  size_t i = 1;
  if (why != NULL) return why;
  while (i < h.e_shnum && table[i].sh_type != SHT_DYNSYM) i++;
  if (i == h.e_shnum || table[i].sh_link >= h.e_shnum) {
    why = "no dynamic symbols";
  } else {
    const Elf64_Shdr *symbols = &table[i], *strings = &table[symbols->sh_link];
    if (!inside(symbols->sh_offset, symbols->sh_size, file_size) ||
        !inside(strings->sh_offset, strings->sh_size, file_size)) {
      why = "truncated: the symbols lie outside the file";
    } else {
      why = find_export(fd, symbols, strings, name, prefix, out);
    }
  }
  yoi_sdk_free(table);
  return why;
}
