/* page.c - HTML to text, by the HTML parser of libxml2.
 *
 * The parser is fed as bytes arrive and calls back per tag; there is no tree.
 * So nothing here or in the library recurses, and an element costs its name on
 * the parser's stack. Text goes out at once:
 *
 *   start tag ---> block? ask for line feeds ---> list item, link, ... begin
 *   text --------> runs of white space are one blank, asked for
 *   end tag -----> link, heading, ... end ------> block? ask for line feeds
 *
 * What is asked for (`lines`, `space`) is written in front of the next word,
 * so that there is none at the beginning, at the end or twice.
 *
 * Two things in the parser are quadratic, and we count in front of them: each
 * end tag looks through the open elements (YOI_FETCH_DEPTH_MAX), and each
 * attribute of a tag is compared with those before it. A tag is parsed when
 * its end is there; until then it waits in the parser's buffer, where the
 * places are counted at which an attribute can begin
 * (YOI_FETCH_ATTRIBUTES_MAX). Pieces are small, so that no tag can come whole
 * that was never counted.
 *
 * The parser holds text back until a tag follows, so a page of text only would
 * be read at once at its end. An empty comment makes it go on.
 *
 * Invariants:
 *  1. `hidden` is the depth at which what is not shown begins, 0 = all is
 *     shown; below it nothing but depth changes.
 *  2. "[" is written in front of the first word of a link, never for a link
 *     without a word; `link` is its end then.
 */
#include "fetch.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <pthread.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LISTS_MAX 8 /* levels that are indented */

struct fetch_page {
  htmlParserCtxtPtr parser;
  const struct yoi_sdk_url *base;
  struct fetch_window *to;
  uint32_t why;
  uint32_t depth, hidden;
  uint32_t pre; /* depth of the outermost, 0 = in none */
  uint32_t lines; /* line feeds that are asked for */
  uint8_t space, any, cell;
  uint32_t lists;
  uint32_t item[LISTS_MAX]; /* the next number; 0 = of a list without */
  char *href;               /* of a link that has no word yet */
  char *link;               /* of one that has */
  size_t marks; /* places for attributes in the tag that waits */
  size_t run;   /* bytes since the last '<' */
};

/* ---- text ------------------------------------------------------------------ */

static void put(struct fetch_page *p, yoi_str text) {
  fetch_window_add(p->to, text);
}

/* At least n line feeds before the next word. */
static void ask_lines(struct fetch_page *p, uint32_t n) {
  if (p->lines < n) p->lines = n;
  p->space = 0;
}

static void put_asked(struct fetch_page *p) {
  static const char feeds[] = "\n\n";
  if (p->any && p->lines)
    put(p, (yoi_str){feeds, p->lines});
  else if (p->any && p->space)
    put(p, YOI_LIT(" "));
  p->lines = 0;
  p->space = 0;
  p->any = 1;
}

static void put_word(struct fetch_page *p, yoi_str word) {
  put_asked(p);
  if (p->href) {
    char *url = yoi_sdk_url_link(p->base, yoi_sdk_str(p->href));
    if (url) put(p, YOI_LIT("["));
    yoi_sdk_free(p->href);
    p->href = NULL;
    p->link = url;
  }
  put(p, word);
}

static int is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void put_text(struct fetch_page *p, yoi_str s) {
  for (size_t i = 0, n; i < s.len; i += n) {
    int space = is_space(s.ptr[i]);
    for (n = 1; i + n < s.len && is_space(s.ptr[i + n]) == space; n++) continue;
    if (!space)
      put_word(p, (yoi_str){s.ptr + i, n});
    else if (!p->lines)
      p->space = 1;
  }
}

static void put_pre(struct fetch_page *p, yoi_str s) {
  if (p->lines && s.len && s.ptr[0] == '\n') s.ptr++, s.len--; /* behind <pre> */
  if (s.len) put_word(p, s);
}

/* ---- elements ---------------------------------------------------------------- */

#define BLOCK 1u   /* on lines of its own */
#define PARTED 2u  /* and with an empty line around */
#define DROPPED 4u /* and what is in it */
#define HEADING 8u
#define LIST 16u
#define NUMBERED 32u

static const struct element {
  const char *name;
  uint32_t is;
} elements[] = {
    {"address", BLOCK},   {"article", PARTED},  {"aside", PARTED},     {"audio", DROPPED},
    {"blockquote", PARTED}, {"body", BLOCK},    {"button", BLOCK},     {"canvas", DROPPED},
    {"caption", BLOCK},   {"center", BLOCK},    {"datalist", DROPPED}, {"dd", BLOCK},
    {"details", BLOCK},   {"dialog", BLOCK},    {"div", BLOCK},        {"dl", PARTED},
    {"dt", BLOCK},        {"embed", DROPPED},   {"fieldset", BLOCK},   {"figcaption", BLOCK},
    {"figure", PARTED},   {"footer", PARTED},   {"form", BLOCK},       {"h1", PARTED | HEADING},
    {"h2", PARTED | HEADING}, {"h3", PARTED | HEADING}, {"h4", PARTED | HEADING},
    {"h5", PARTED | HEADING}, {"h6", PARTED | HEADING}, {"head", BLOCK}, {"header", PARTED},
    {"hr", PARTED},       {"iframe", DROPPED},  {"legend", BLOCK},     {"li", BLOCK},
    {"main", PARTED},     {"math", DROPPED},    {"menu", PARTED | LIST}, {"nav", PARTED},
    {"noembed", DROPPED}, {"noframes", DROPPED}, {"noscript", DROPPED}, {"object", DROPPED},
    {"ol", PARTED | LIST | NUMBERED}, {"option", DROPPED}, {"p", PARTED}, {"pre", PARTED},
    {"script", DROPPED},  {"section", PARTED},  {"select", DROPPED},   {"style", DROPPED},
    {"summary", BLOCK},   {"svg", DROPPED},     {"table", PARTED},     {"template", DROPPED},
    {"textarea", DROPPED}, {"title", PARTED},   {"tr", BLOCK},         {"ul", PARTED | LIST},
    {"video", DROPPED},
};

static int compare(const void *name, const void *e) {
  return strcasecmp(name, ((const struct element *)e)->name);
}

static uint32_t element_is(const char *name) {
  const struct element *e =
      bsearch(name, elements, sizeof elements / sizeof *elements, sizeof *elements, compare);
  return e ? e->is : 0;
}

static int is(const char *name, const char *word) {
  return strcasecmp(name, word) == 0;
}

static const char *attribute(const xmlChar **attributes, const char *name) {
  for (; attributes && attributes[0]; attributes += 2)
    if (is((const char *)attributes[0], name))
      return attributes[1] ? (const char *)attributes[1] : "";
  return NULL;
}

/* style without its white space begins or goes on with `rule`. */
static int style_says(const char *style, const char *rule) {
  for (; *style; style++) {
    const char *s = style, *r = rule;
    while (*r && *s) {
      if (is_space(*s)) s++;
      else if ((*s | 0x20) == *r || *s == *r) s++, r++;
      else break;
    }
    if (!*r) return 1;
  }
  return 0;
}

/* A page that hides its body until a program has run is shown all the same. */
static int is_hidden(const char *name, const xmlChar **attributes) {
  const char *value;
  if (!attributes || is(name, "body") || is(name, "html")) return 0;
  if (attribute(attributes, "hidden")) return 1;
  if ((value = attribute(attributes, "aria-hidden")) && is(value, "true")) return 1;
  if (!(value = attribute(attributes, "style"))) return 0;
  return style_says(value, "display:none") || style_says(value, "visibility:hidden");
}

static void begin_item(struct fetch_page *p) {
  static const char blanks[2 * LISTS_MAX + 1] = "                ";
  uint32_t level = p->lists < LISTS_MAX ? p->lists : LISTS_MAX;
  char number[16] = "- ";
  ask_lines(p, 1);
  if (level && p->item[level - 1])
    snprintf(number, sizeof number, "%u. ", p->item[level - 1]++ % 1000000);
  put_asked(p);
  if (level > 1) put(p, (yoi_str){blanks, 2 * (level - 1)});
  put(p, yoi_sdk_str(number));
}

static void end_link(struct fetch_page *p) {
  if (p->link) {
    put(p, YOI_LIT("]("));
    put(p, yoi_sdk_str(p->link));
    put(p, YOI_LIT(")"));
  }
  yoi_sdk_free(p->href);
  yoi_sdk_free(p->link);
  p->href = p->link = NULL;
}

static void begin_link(struct fetch_page *p, const char *href) {
  end_link(p);
  if (!href || href[0] == '#' || href[0] == '\0') return;
  p->href = yoi_sdk_strndup(href, strlen(href));
  if (!p->href) p->why = FETCH_WHY_MEMORY;
}

static void begin_list(struct fetch_page *p, uint32_t what) {
  if (p->lists++ < LISTS_MAX) p->item[p->lists - 1] = what & NUMBERED ? 1 : 0;
  if (p->lists > 1) p->lines = 1; /* inside of another one */
}

static void begin_element(struct fetch_page *p, const char *name, uint32_t what,
                          const xmlChar **attributes) {
  if (what) ask_lines(p, what & PARTED && !(what & LIST && p->lists) ? 2 : 1);
  if (what & LIST) begin_list(p, what);
  if (what & HEADING) {
    static const char marks[] = "###### ";
    put_asked(p);
    put(p, yoi_sdk_str(marks + ('6' - name[1])));
  }
  if (is(name, "li")) begin_item(p);
  if (is(name, "a")) begin_link(p, attribute(attributes, "href"));
  if (is(name, "br")) ask_lines(p, p->lines < 2 ? p->lines + 1 : 2);
  if (is(name, "hr")) put_word(p, YOI_LIT("---"));
  if (is(name, "tr")) p->cell = 0;
  if (is(name, "td") || is(name, "th")) {
    if (p->cell) put_text(p, YOI_LIT(" | "));
    p->cell = 1;
  }
  if (is(name, "pre") && !p->pre) p->pre = p->depth;
  const char *alt = is(name, "img") ? attribute(attributes, "alt") : NULL;
  if (alt && alt[strspn(alt, " \t\r\n")]) {
    put_text(p, YOI_LIT("[image: "));
    put_text(p, yoi_sdk_str(alt));
    put(p, YOI_LIT("]"));
  }
}

static void end_element(struct fetch_page *p, const char *name) {
  uint32_t what = element_is(name);
  if (is(name, "a")) end_link(p);
  if (what & LIST && p->lists) p->lists--;
  if (p->pre == p->depth) p->pre = 0;
  if (what) ask_lines(p, what & PARTED && !(what & LIST && p->lists) ? 2 : 1);
}

/* ---- what the parser calls ----------------------------------------------------- */

static void stop(struct fetch_page *p, uint32_t why) {
  if (!p->why) p->why = why;
  xmlStopParser(p->parser);
}

static void on_start(void *ctx, const xmlChar *tag, const xmlChar **attributes) {
  struct fetch_page *p = ctx;
  const char *name = (const char *)tag;
  if (p->why) return;
  if (++p->depth > YOI_FETCH_DEPTH_MAX) {
    stop(p, FETCH_WHY_DEEP);
    return;
  }
  if (p->hidden) return;
  uint32_t what = element_is(name);
  if (what & DROPPED || is_hidden(name, attributes))
    p->hidden = p->depth;
  else
    begin_element(p, name, what, attributes);
}

static void on_end(void *ctx, const xmlChar *tag) {
  struct fetch_page *p = ctx;
  if (p->why) return;
  if (!p->hidden) end_element(p, (const char *)tag);
  if (p->hidden == p->depth) p->hidden = 0;
  if (p->depth) p->depth--;
}

static void on_text(void *ctx, const xmlChar *text, int n) {
  struct fetch_page *p = ctx;
  yoi_str s = {(const char *)text, (size_t)n};
  if (p->why || p->hidden) return;
  if (p->pre)
    put_pre(p, s);
  else
    put_text(p, s);
  if (fetch_window_full(p->to)) stop(p, FETCH_WHY_FULL);
}

/* ---- feeding ------------------------------------------------------------------- */

/* process-wide: libxml2's own state. */
static pthread_once_t library_once = PTHREAD_ONCE_INIT;

struct fetch_page *fetch_page_new(const struct yoi_sdk_url *base, struct fetch_window *to) {
  htmlSAXHandler sax = {
      .startElement = on_start,
      .endElement = on_end,
      .characters = on_text,
      .ignorableWhitespace = on_text,
  };
  pthread_once(&library_once, xmlInitParser);
  struct fetch_page *p = yoi_sdk_calloc(1, sizeof *p);
  if (!p) return NULL;
  p->base = base;
  p->to = to;
  p->parser = htmlCreatePushParserCtxt(&sax, p, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
  if (!p->parser) {
    yoi_sdk_free(p);
    return NULL;
  }
  htmlCtxtUseOptions(p->parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                    HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
  (void)xmlSwitchEncoding(p->parser, XML_CHAR_ENCODING_UTF8);
  return p;
}

/* Looks at what waits in the parser behind a piece. */
static void count_marks(struct fetch_page *p, yoi_str piece) {
  const xmlParserInput *in = p->parser->input;
  size_t waits = in ? (size_t)(in->end - in->cur) : 0;
  if (p->parser->instate != XML_PARSER_START_TAG || waits == 0) {
    p->marks = 0;
    return;
  }
  if (waits < piece.len) {
    piece.ptr += piece.len - waits;
    piece.len = waits;
    p->marks = 0;
  }
  for (size_t i = 0; i < piece.len; i++)
    p->marks += is_space(piece.ptr[i]) || piece.ptr[i] == '"' || piece.ptr[i] == '\'';
  if (p->marks > YOI_FETCH_ATTRIBUTES_MAX) stop(p, FETCH_WHY_ATTRIBUTES);
}

/* Never inside of a tag or a comment: what waits is text. */
static void push_text(struct fetch_page *p, yoi_str piece) {
  const char *last = memrchr(piece.ptr, '<', piece.len);
  p->run = last ? (size_t)(piece.ptr + piece.len - last) : p->run + piece.len;
  const xmlParserInput *in = p->parser->input;
  if (p->run < YOI_FETCH_RUN_MAX || p->parser->instate != XML_PARSER_CONTENT || !in ||
      in->cur == in->end || *in->cur == '<')
    return;
  static const char comment[] = "<!---->";
  (void)htmlParseChunk(p->parser, comment, (int)strlen(comment), 0);
  p->run = 0;
}

uint32_t fetch_page_feed(struct fetch_page *p, yoi_str utf8) {
  for (size_t at = 0, n; at < utf8.len && !p->why; at += n) {
    n = utf8.len - at < YOI_FETCH_PIECE_BYTES ? utf8.len - at : YOI_FETCH_PIECE_BYTES;
    yoi_str piece = {utf8.ptr + at, n};
    (void)htmlParseChunk(p->parser, piece.ptr, (int)piece.len, 0);
    if (p->parser->errNo == XML_ERR_NO_MEMORY) stop(p, FETCH_WHY_MEMORY);
    if (!p->why) count_marks(p, piece);
    if (!p->why) push_text(p, piece);
  }
  return p->why;
}

uint32_t fetch_page_end(struct fetch_page *p) {
  if (!p->why) {
    (void)htmlParseChunk(p->parser, NULL, 0, 1);
    if (p->parser->errNo == XML_ERR_NO_MEMORY) p->why = FETCH_WHY_MEMORY;
  }
  if (!p->why) end_link(p);
  return p->why;
}

void fetch_page_free(struct fetch_page *p) {
  if (!p) return;
  htmlFreeParserCtxt(p->parser);
  yoi_sdk_free(p->href);
  yoi_sdk_free(p->link);
  yoi_sdk_free(p);
}
