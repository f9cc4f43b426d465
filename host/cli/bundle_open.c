/* bundle_open.c - a bundle from a file or a folder, and what is wrong with it. */
#include <errno.h>
#include <fcntl.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"

#define FINDING_MAX 8192   /* bytes of one as a line */
#define MESSAGE_MAX 1024   /* bytes of its message that are shown */
#define NAME_BYTES_MAX 512 /* of a pointer or the name of a file */

/* ---- findings --------------------------------------------------------------- */

static void put_text(struct yoi_sdk_buf *out, const struct cli_bundle_finding *f) {
  cli_safe(out, yoi_sdk_str(f->file), NAME_BYTES_MAX);
  yoi_sdk_buf_addf(out, ":%u:%u: ", f->line, f->column);
  cli_safe(out, yoi_sdk_str(f->message), MESSAGE_MAX);
  yoi_sdk_buf_addf(out, " (%s", f->rule);
  if (f->pointer[0]) yoi_sdk_buf_adds(out, YOI_LIT(", "));
  cli_safe(out, yoi_sdk_str(f->pointer), NAME_BYTES_MAX);
  yoi_sdk_buf_addc(out, ')');
}

static void put_json(struct yoi_sdk_buf *out, const struct cli_bundle_finding *f) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "file", yoi_sdk_str(f->file));
  yoi_sdk_jsonw_kint(&w, "line", f->line);
  yoi_sdk_jsonw_kint(&w, "column", f->column);
  yoi_sdk_jsonw_kstr(&w, "code", yoi_sdk_str(yoi_sdk_code_name(f->code)));
  yoi_sdk_jsonw_kstr(&w, "rule", yoi_sdk_str(f->rule));
  yoi_sdk_jsonw_kstr(&w, "pointer", yoi_sdk_str(f->pointer));
  yoi_sdk_jsonw_kstr(&w, "message", yoi_sdk_str(f->message));
  yoi_sdk_jsonw_close(&w, '}');
}

void cli_bundle_print(FILE *to, const struct cli_bundle_finding *f, int json) {
  struct yoi_sdk_buf line;
  yoi_sdk_buf_init(&line, FINDING_MAX);
  if (json) {
    put_json(&line, f);
  } else {
    put_text(&line, f);
  }
  fprintf(to, "%s\n", line.failed ? f->rule : line.data);
  yoi_sdk_buf_release(&line);
}

static void to_stderr(void *ctx, const struct cli_bundle_finding *f) {
  (void)ctx;
  cli_bundle_print(stderr, f, 0);
}

/* ---- opening ---------------------------------------------------------------- */

struct opening {
  const char *path;
  struct cli_bundle_source *source; /* NULL: the file is the bundle */
  yoi_str bytes;
  cli_bundle_report_fn report;
  void *ctx;
  int findings;
};

static void on_finding(void *ctx, const struct yoi_sdk_bundle_finding *f) {
  struct opening *o = ctx;
  o->findings++;
  if (o->source) {
    cli_bundle_source_place(o->source, o->bytes, f);
    return;
  }
  struct cli_bundle_finding g = {.file = o->path,
                                 .line = f->line ? f->line : 1,
                                 .column = f->column ? f->column : 1,
                                 .code = (int32_t)f->code,
                                 .rule = f->rule,
                                 .pointer = f->pointer,
                                 .message = f->message};
  o->report(o->ctx, &g);
}

static int no_memory(const char *path) {
  cli_say("cannot read bundle '%s': no memory", path);
  return CLI_INTERNAL;
}

/* What was read is a bundle. */
static int check(struct opening *o, struct cli_bundle *out) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  o->bytes = (yoi_str){out->bytes, out->len};
  yoi_status st = yoi_sdk_bundle_new(o->bytes, on_finding, o, &out->is, err);
  if (st == YOI_OK) return CLI_OK;
  if (o->findings) return CLI_INVALID;
  cli_say_error("cannot read bundle", err);
  return CLI_INTERNAL;
}

/* What stands there cannot be a bundle, whatever is in it. */
static int refuse(struct opening *o, const char *rule, const char *why) {
  struct cli_bundle_finding f = {.file = o->path,
                                 .line = 1,
                                 .column = 1,
                                 .code = YOI_CODE_BUNDLE_INVALID,
                                 .rule = rule,
                                 .pointer = "",
                                 .message = why};
  o->report(o->ctx, &f);
  return CLI_INVALID;
}

static int unreadable(struct opening *o, int why) {
  char message[MESSAGE_MAX];
  snprintf(message, sizeof message, "cannot be read: %s", strerror(why));
  return refuse(o, "unreadable", message);
}

static int open_file(struct opening *o, int fd, struct cli_bundle *out) {
  out->bytes = cli_file_read(fd, YOI_BUNDLE_BYTES_MAX, &out->len);
  int why = errno;
  close(fd);
  if (out->bytes) return check(o, out);
  if (why == ENOMEM) return no_memory(o->path);
  if (why != EFBIG) return unreadable(o, why);
  char message[MESSAGE_MAX];
  snprintf(message, sizeof message, "is larger than %d bytes", YOI_BUNDLE_BYTES_MAX);
  return refuse(o, "too-large", message);
}

static int open_folder(struct opening *o, int fd, struct cli_bundle *out) {
  struct cli_bundle_source s = {.path = o->path, .report = o->report, .ctx = o->ctx};
  struct yoi_sdk_buf bytes;
  int code = CLI_INVALID;
  yoi_sdk_buf_init(&bytes, YOI_BUNDLE_BYTES_MAX);
  cli_bundle_source_read(&s, fd);
  cli_bundle_source_build(&s, &bytes);
  if (!s.failed && !s.findings) {
    o->source = &s;
    out->built = 1;
    out->bytes = yoi_sdk_buf_take(&bytes, &out->len);
    code = out->bytes ? check(o, out) : CLI_INTERNAL;
    o->source = NULL;
  }
  if (s.failed) code = no_memory(o->path);
  yoi_sdk_buf_release(&bytes);
  cli_bundle_source_release(&s);
  return code;
}

int cli_bundle_open(const char *path, cli_bundle_report_fn report, void *ctx,
                    struct cli_bundle *out) {
  struct opening o = {.path = path, .report = report, .ctx = ctx};
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat sb;
  *out = (struct cli_bundle){0};
  if (fd >= 0 && fstat(fd, &sb) == 0) {
    if (S_ISDIR(sb.st_mode)) return open_folder(&o, fd, out);
    /* A pipe that nobody writes to has its end at once; of another all is waited for. */
    (void)fcntl(fd, F_SETFL, 0);
    return open_file(&o, fd, out);
  }
  int why = errno;
  if (fd >= 0) close(fd);
  return unreadable(&o, why);
}

void cli_bundle_close(struct cli_bundle *b) {
  yoi_sdk_bundle_free(b->is);
  yoi_sdk_free(b->bytes);
  *b = (struct cli_bundle){0};
}

int cli_bundle_need(const char *path, struct cli_bundle *out) {
  return cli_bundle_open(path, to_stderr, NULL, out);
}
