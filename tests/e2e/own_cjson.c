/* own_cjson.c - an application that exports functions of cJSON's names, as
 * programs do that carry a copy of it: the dynamic loader takes them for
 * everything in the process. Its argument is the folder with plugins. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <yoi.h>

struct cJSON;
const char *cJSON_Version(void);
void cJSON_Delete(struct cJSON *item);

const char *cJSON_Version(void) {
  return "1.0.9";
}

void cJSON_Delete(struct cJSON *item) {
  void (*next)(struct cJSON *) = NULL;
  *(void **)&next = dlsym(RTLD_NEXT, "cJSON_Delete");
  next(item);
}

int main(int argc, char **argv) {
  static const char config[] =
      "{ \"step\": true, \"plugin_path\": [\"runtimes\", \"plugins\"],\n"
      "  \"models\": [{ \"name\": \"main\", \"plugin\": \"dev.yoi.model-script\" }],\n"
      "  \"runtimes\": [{ \"id\": \"r\", \"plugin\": \"dev.yoi.embedded\" }] }";
  char message[256] = "";
  yoi_error err = {.size = sizeof err, .message = message, .message_cap = sizeof message};
  static const char create[] = "{\"worker_id\": \"ada\", \"display_name\": \"Ada\"}";
  yoi_request req = {.size = sizeof req, .op = YOI_OP_WORKER_CREATE,
                     .body = {create, sizeof create - 1}};
  struct yoi_embed *host = NULL;
  char *worker = NULL;
  int ok = yoi_host_new(config, strlen(config), argc > 1 ? argv[1] : NULL, &host, &err) == YOI_OK &&
           yoi_host_start(host, &err) == YOI_OK &&
           yoi_call_sync(host, (yoi_str){"r", 1}, &req, &worker, NULL, &err) == YOI_OK &&
           strstr(worker, "\"display_name\":\"Ada\"") != NULL;
  if (!ok) fprintf(stderr, "failed: %s\n", message);
  yoi_free(worker);
  yoi_host_free(host);
  return ok ? 0 : 1;
}
