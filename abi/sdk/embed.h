/* sdk/embed.h - a file as a constant: bytes from `name` up to `name`_end. The
 * path is relative to the directory that the compiler runs in. */
#ifndef YOI_SDK_EMBED_H
#define YOI_SDK_EMBED_H

#define YOI_SDK_EMBED(name, path)                                        \
  __asm__(".pushsection .rodata\n\t.hidden " #name "\n\t.hidden " #name  \
          "_end\n\t.global " #name "\n\t.global " #name "_end\n" #name   \
          ":\n\t.incbin \"" path "\"\n" #name "_end:\n\t.byte 0\n\t.popsection\n"); \
  extern const char name[], name##_end[]

#endif
