/* sdk/scrub.h - known values taken out of text, also out of text in pieces.
 *
 * A set is made of values with names, and is immutable: any number of threads
 * read it. Where a value stands in a text, "[secret NAME]" stands afterwards.
 * Of occurrences that overlap the leftmost counts, and of those that begin at
 * one place the longest. A value is found
 *
 *   as it is                     when it is UTF-8 text
 *   inside JSON strings          escaped once or twice; with "\/" or "/", with
 *                                \uXXXX (lower case) or UTF-8 beyond ASCII
 *   percent-encoded              all but A-Z a-z 0-9 - . _ ~ , upper case hex
 *   in base64, also of URLs      anywhere in what was encoded: Basic
 *                                credentials too; but for the characters that
 *                                it shares with its neighbours
 *
 * and not in any other disguise: hex, reversed, spelt out. White space at both
 * ends of a value is no part of it here. A value that is shorter than
 * YOI_SECRET_SCRUB_MIN then is not looked for: words of that length stand
 * everywhere. Finding nothing costs a third of a nanosecond per byte, or less.
 *
 * A set may be NULL everywhere: then nothing is found.
 */
#ifndef YOI_SDK_SCRUB_H
#define YOI_SDK_SCRUB_H

#include <sdk/str.h>

#ifdef __cplusplus
extern "C" {
#endif

struct yoi_sdk_scrub;

struct yoi_sdk_scrub_value {
  yoi_str name; /* A-Z a-z 0-9 _ - . : it stands in text and in JSON */
  yoi_str value;
};

/* OK: *out is the set, NULL when no value is long enough. It has copies of
 * the values, which free wipes. RESOURCE_EXHAUSTED: memory is short.
 * OUT_OF_RANGE: a value of more than 128 MiB. */
yoi_status yoi_sdk_scrub_new(const struct yoi_sdk_scrub_value *values, size_t n,
                             struct yoi_sdk_scrub **out);
void yoi_sdk_scrub_free(struct yoi_sdk_scrub *s);
/* 1: long enough to be looked for. */
int yoi_sdk_scrub_fits(yoi_str value);

/* ---- whole texts --------------------------------------------------------- */

/* The text may have been cut at its end: when it ends in YOI_SECRET_SCRUB_MIN
 * or more bytes of the begin of a value, these are taken out too. */
#define YOI_SDK_SCRUB_CUT 1u

/* 0: nothing was found, out is untouched. 1: the text without it was appended
 * to out, or out->failed is set. */
int yoi_sdk_scrub_text(const struct yoi_sdk_scrub *s, yoi_str text, uint32_t flags,
                       struct yoi_sdk_buf *out);
/* The same for text that is JSON and stays JSON: keys, strings and numbers are
 * looked at as what they mean, however they are escaped; in a string that is
 * JSON again, likewise. What is no JSON is taken as text. */
int yoi_sdk_scrub_json(const struct yoi_sdk_scrub *s, yoi_str text, struct yoi_sdk_buf *out);

/* ---- text in pieces ------------------------------------------------------ */

/* What a stream of text keeps between two pieces: {0} at first. It is held
 * that much of its end as is the begin of a value, but not all of one. `given`
 * bytes of that were handed out early. It belongs to the set that filled it. */
struct yoi_sdk_scrub_hold {
  uint32_t pattern, len, given;
};

/* How many bytes at the begin of text are neither of a value nor the begin of
 * one that the next piece could complete. */
size_t yoi_sdk_scrub_clean(const struct yoi_sdk_scrub *s, yoi_str text);
/* Appends what may be handed out of what is held and this next piece. */
void yoi_sdk_scrub_add(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold, yoi_str text,
                       struct yoi_sdk_buf *out);
/* Appends what is held, because something else comes now; it is remembered, so
 * that the rest of a value that follows later is still taken out. */
void yoi_sdk_scrub_flush(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold,
                         struct yoi_sdk_buf *out);
/* Likewise, and the text is over. */
void yoi_sdk_scrub_end(const struct yoi_sdk_scrub *s, struct yoi_sdk_scrub_hold *hold,
                       struct yoi_sdk_buf *out);

#ifdef __cplusplus
}
#endif
#endif
