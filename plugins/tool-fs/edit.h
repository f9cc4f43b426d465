/* edit.h - one text in place of another that stands in it once. */
#ifndef TOOL_FS_EDIT_H
#define TOOL_FS_EDIT_H

#include <sdk/str.h>

/* Puts `new` in place of `old` in text, once or, with all, wherever it stands;
 * adds what was done to `said`. Numbers lines as they are before it. When old
 * stands nowhere, or in several places without all, or changes nothing, text is
 * as it was: INVALID_ARGUMENT, and the message says what would be right; which:
 * the edit's number, for it. */
yoi_status fs_edit_text(struct yoi_sdk_buf *text, yoi_str old, yoi_str new, int all, size_t which,
                        struct yoi_sdk_buf *said, yoi_error *err);

#endif
