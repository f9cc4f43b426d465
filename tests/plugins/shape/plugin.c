/* shape - a plugin whose tables are wrong in the way that YOI_TEST_SHAPE says
 * (read at every entry, which no real plugin may do):
 *
 *   null      the entry returns NULL        short     a table too short
 *   reserved  a reserved member is set      noget     no get_interface
 *   id, version, kind                       another one than the manifest's
 *   nointerface  the interface is missing   tiny      its table has no size
 *   nostart   a required member is NULL     serial    thread model serial
 *   threads   an unknown thread model
 *   older     a table that ends before `drain`
 *   newer     tables longer than this version's, with more behind them
 *
 * Without the variable all is well.
 */
#include <sdk/plugin.h>

#include <sdk/error.h>
#include <yoi/runtime.h>

static yoi_status shape_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  static const char instance = 0;
  (void)host, (void)config, (void)err;
  *out_self = (void *)(uintptr_t)&instance;
  return YOI_OK;
}

static void shape_close(void *self) {
  (void)self;
}

static yoi_status shape_start(void *self, const yoi_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self, (void)req;
  *out = NULL;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the plugin 'shape' answers nothing");
}

static yoi_status shape_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                              yoi_error *err) {
  (void)self, (void)deadline_ns, (void)token, (void)err;
  *out = NULL;
  return YOI_OK;
}

#define SHAPE_ID "dev.yoi.test.shape"
#define RUNTIME .thread_model = YOI_PARALLEL, .open = shape_open, .close = shape_close

static const struct newer_runtime {
  yoi_runtime base;
  void (*more[4])(void);
} runtime_newer = {
    {.size = sizeof(struct newer_runtime), RUNTIME, .start = shape_start, .drain = shape_drain},
    {NULL}};
static const yoi_runtime runtime_good = {
    .size = sizeof(yoi_runtime), RUNTIME, .start = shape_start, .drain = shape_drain};
static const yoi_runtime runtime_older = {
    .size = offsetof(yoi_runtime, drain), RUNTIME, .start = shape_start, .drain = shape_drain};
static const yoi_runtime runtime_tiny = {.size = sizeof(uint32_t), RUNTIME, .start = shape_start};
static const yoi_runtime runtime_nostart = {.size = sizeof(yoi_runtime), RUNTIME};
static const yoi_runtime runtime_serial = {.size = sizeof(yoi_runtime),
                                           .thread_model = YOI_SERIAL,
                                           .open = shape_open,
                                           .close = shape_close,
                                           .start = shape_start};
static const yoi_runtime runtime_threads = {.size = sizeof(yoi_runtime),
                                            .thread_model = 7,
                                            .open = shape_open,
                                            .close = shape_close,
                                            .start = shape_start};

static int shape_is(const char *name) {
  const char *now = getenv("YOI_TEST_SHAPE");
  return now != NULL && strcmp(now, name) == 0;
}

static const void *shape_get(yoi_str id) {
  if (shape_is("nointerface") || !yoi_sdk_str_is(id, YOI_RUNTIME_ID)) return NULL;
  if (shape_is("older")) return &runtime_older;
  if (shape_is("newer")) return &runtime_newer;
  if (shape_is("tiny")) return &runtime_tiny;
  if (shape_is("nostart")) return &runtime_nostart;
  if (shape_is("serial")) return &runtime_serial;
  if (shape_is("threads")) return &runtime_threads;
  return &runtime_good;
}

#define PLUGIN(sz, kd, rs, i, v, get)                                                   \
  {                                                                                     \
    .size = (uint32_t)(sz), .abi_minor = YOI_ABI_MINOR, .kind = (kd), .reserved = (rs), \
    .id = {i, sizeof(i) - 1}, .version = {v, sizeof(v) - 1}, .get_interface = (get)     \
  }
#define GOOD(get) PLUGIN(sizeof(yoi_plugin), YOI_KIND_RUNTIME, 0, SHAPE_ID, "1.0.0", get)

static const struct newer_plugin {
  yoi_plugin base;
  uint64_t more[8];
} plugin_newer = {
    PLUGIN(sizeof(struct newer_plugin), YOI_KIND_RUNTIME, 0, SHAPE_ID, "1.0.0", shape_get),
    {1, 2, 3, 4, 5, 6, 7, 8}};
static const struct shape_row {
  const char *shape;
  yoi_plugin plugin;
} shape_rows[] = {
    {"short", PLUGIN(offsetof(yoi_plugin, get_interface), YOI_KIND_RUNTIME, 0, SHAPE_ID, "1.0.0",
                     shape_get)},
    {"reserved", PLUGIN(sizeof(yoi_plugin), YOI_KIND_RUNTIME, 1, SHAPE_ID, "1.0.0", shape_get)},
    {"noget", GOOD(NULL)},
    {"id",
     PLUGIN(sizeof(yoi_plugin), YOI_KIND_RUNTIME, 0, "dev.yoi.test.other", "1.0.0", shape_get)},
    {"version", PLUGIN(sizeof(yoi_plugin), YOI_KIND_RUNTIME, 0, SHAPE_ID, "1.0.1", shape_get)},
    {"kind", PLUGIN(sizeof(yoi_plugin), YOI_KIND_MODEL, 0, SHAPE_ID, "1.0.0", shape_get)},
    {"", GOOD(shape_get)},
};

YOI_API const yoi_plugin *yoi_plugin_entry_v1(void) {
  const size_t n = sizeof shape_rows / sizeof *shape_rows;
  if (shape_is("null")) return NULL;
  if (shape_is("newer")) return &plugin_newer.base;
  for (size_t i = 0; i < n; i++) {
    if (shape_is(shape_rows[i].shape)) return &shape_rows[i].plugin;
  }
  return &shape_rows[n - 1].plugin;
}

YOI_MANIFEST_FILE(MANIFEST);
