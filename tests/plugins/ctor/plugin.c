/* ctor - tells when its code first ran: its constructor makes the file that
 * YOI_TEST_CTOR names. A refusal before dlopen leaves none. It answers no
 * operation. */
#include <sdk/plugin.h>

#include <fcntl.h>
#include <unistd.h>

#include <sdk/error.h>
#include <yoi/runtime.h>

__attribute__((constructor)) static void ctor_ran(void) {
  const char *path = getenv("YOI_TEST_CTOR");
  int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (fd >= 0) close(fd);
}

static yoi_status ctor_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  static const char instance = 0;
  (void)host, (void)config, (void)err;
  *out_self = (void *)(uintptr_t)&instance;
  return YOI_OK;
}

static void ctor_close(void *self) {
  (void)self;
}

static yoi_status ctor_start(void *self, const yoi_request *req, yoi_stream **out, yoi_error *err) {
  (void)self, (void)req;
  *out = NULL;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the plugin 'ctor' answers nothing");
}

static const yoi_runtime ctor_runtime = {
    .size = sizeof(yoi_runtime),
    .thread_model = YOI_PARALLEL,
    .open = ctor_open,
    .close = ctor_close,
    .start = ctor_start,
};

YOI_SDK_PLUGIN("dev.yoi.test.ctor", "1.0.0", YOI_KIND_RUNTIME, YOI_RUNTIME_ID, ctor_runtime);
YOI_MANIFEST_FILE(MANIFEST);
