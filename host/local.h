/* host/local.h - the section `local` of the config beside its secrets: what
 * tools can be granted on this machine. Made by config_local.c; immutable. */
#ifndef YOI__LOCAL_H
#define YOI__LOCAL_H

#include <yoi/base.h>

#include "net.h"

struct yoi__mount {
  yoi_str name;
  int fd; /* of the folder (O_PATH), open as long as the config is there */
  int writable;
};

struct yoi__network {
  yoi_str name;
  const struct yoi__endpoint *hosts;
  size_t n;
};

/* An entry of shell or git. */
struct yoi__commands {
  yoi_str name;
  yoi_str value; /* JSON object, one line, what was not written filled in */
};

struct yoi__local {
  struct yoi__mount *mounts;
  struct yoi__network *networks;
  struct yoi__commands *shell, *git;
  size_t n_mounts, n_networks, n_shell, n_git;
};

/* NULL: there is none of that name. */
const struct yoi__mount *yoi__local_mount(const struct yoi__local *l, yoi_str name);
const struct yoi__network *yoi__local_network(const struct yoi__local *l, yoi_str name);
const struct yoi__commands *yoi__local_commands(const struct yoi__local *l, int git, yoi_str name);
/* Closes the folders; the memory is the config's. */
void yoi__local_release(struct yoi__local *l);

#endif
