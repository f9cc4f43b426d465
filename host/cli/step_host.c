/* step_host.c - a host of a config within a command: chat, bundle push and pull.
 *
 * It has no ingress, nobody else reaches it, and it moves only while this one
 * thread steps it, so that whoever uses it needs no lock.
 */
#include "cli.h"

int cli_step_host(const struct cli_config *c, struct yoi_embed **out) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  struct yoi_sdk_buf text;
  *out = NULL;
  yoi_sdk_buf_init(&text, 2 * YOI_CONFIG_BYTES_MAX);
  /* What is wrong with the part that is left out does not matter here; what
   * is wrong elsewhere is said with its place in the file. */
  yoi_status st = cli_config_for_steps(c, &text)
                      ? yoi_host_check(text.data, text.len, c->base_dir, NULL, NULL)
                      : YOI_INVALID_ARGUMENT;
  if (st != YOI_OK && cli_config_findings(c, 1) > 0) {
    yoi_sdk_buf_release(&text);
    return CLI_INVALID;
  }
  if (st != YOI_OK) yoi_sdk_fail_memory(err);
  if (st == YOI_OK) st = yoi_host_new(text.data, text.len, c->base_dir, out, err);
  if (st == YOI_OK) st = yoi_host_start(*out, err);
  yoi_sdk_buf_release(&text);
  if (st == YOI_OK) return CLI_OK;
  cli_say_error("cannot start", err);
  yoi_host_free(*out);
  *out = NULL;
  return CLI_FAILED;
}
