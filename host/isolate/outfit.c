/* host/isolate/outfit.c - what the process of an isolated plugin goes out with.
 *
 * A process gives up all that no call of its plugin may need, and cannot have
 * any of it back. So what it keeps is what the plugin's grants and the section
 * `local` of one config say together; another config that says something else
 * needs another process (yoi__isolate_same, which setup.c asks).
 */
#include <sys/stat.h>

#include "../grant.h"
#include "isolate.h"
#include "protocol.h"
#include "table.h"

static int granted(const struct yoi__config *c, const struct yoi__plugin *p, uint32_t kind,
                   int writable, yoi_str name) {
  const struct yoi_sdk_grant grant = {.kind = kind, .writable = writable, .name = name};
  return yoi__grant_for(c, p, &grant, NULL) == YOI_OK;
}

uint32_t yoi__isolate_uses(const struct yoi__config *c, const struct yoi__plugin *p) {
  const struct yoi__local *l = &c->local;
  uint32_t uses = p->manifest.kind == YOI_KIND_MODEL ? YOI__OPEN_NET : 0;
  for (size_t i = 0; i < l->n_networks; i++)
    if (granted(c, p, YOI_SDK_GRANT_NET, 0, l->networks[i].name)) uses |= YOI__OPEN_NET;
  for (size_t i = 0; i < l->n_shell; i++)
    if (granted(c, p, YOI_SDK_GRANT_SHELL, 0, l->shell[i].name)) uses |= YOI__OPEN_SHELL;
  for (size_t i = 0; i < l->n_git; i++)
    if (granted(c, p, YOI_SDK_GRANT_GIT, 0, l->git[i].name)) uses |= YOI__OPEN_SHELL;
  return uses;
}

int yoi__isolate_mount(const struct yoi__config *c, const struct yoi__plugin *p,
                       const struct yoi__mount *m, int *out_writable) {
  *out_writable = m->writable && granted(c, p, YOI_SDK_GRANT_MOUNT, 1, m->name);
  return *out_writable || granted(c, p, YOI_SDK_GRANT_MOUNT, 0, m->name);
}

/* 1: b's plugin is given this folder, in the same way. */
static int has_folder(const struct yoi__config *b, const struct yoi__plugin *y,
                      const struct yoi__mount *m, int writable) {
  struct stat sought, found;
  int also = 0;
  if (fstat(m->fd, &sought) != 0) return 0;
  for (size_t i = 0; i < b->local.n_mounts; i++) {
    const struct yoi__mount *n = &b->local.mounts[i];
    if (yoi__isolate_mount(b, y, n, &also) && also == writable && fstat(n->fd, &found) == 0 &&
        found.st_dev == sought.st_dev && found.st_ino == sought.st_ino)
      return 1;
  }
  return 0;
}

static int has_folders(const struct yoi__config *a, const struct yoi__plugin *x,
                       const struct yoi__config *b, const struct yoi__plugin *y) {
  int writable = 0;
  for (size_t i = 0; i < a->local.n_mounts; i++)
    if (yoi__isolate_mount(a, x, &a->local.mounts[i], &writable) &&
        !has_folder(b, y, &a->local.mounts[i], writable))
      return 0;
  return 1;
}

int yoi__isolate_same(const struct yoi__config *a, const struct yoi__plugin *x,
                      const struct yoi__config *b, const struct yoi__plugin *y) {
  if (x->manifest.isolated != y->manifest.isolated) return 0;
  return !x->manifest.isolated ||
         (yoi_sdk_str_eq(a->worker, b->worker) &&
          yoi__config_confined(a, x) == yoi__config_confined(b, y) &&
          yoi__isolate_uses(a, x) == yoi__isolate_uses(b, y) && has_folders(a, x, b, y) &&
          has_folders(b, y, a, x));
}
