/* gitcfg.c - what may stand in the config of a repository.
 *
 * More than fifty settings of git name a program, and each release brings some
 * more: a list of those is a list with gaps. So the list is of what is harmless;
 * a repository that says anything else is not worked with, and the message says
 * what it was. To add a setting: it runs nothing, reads and writes no file that
 * it names, and leads to no other address.
 *
 * Of a command with a remote the address is looked up here too: the one address
 * that its name stands for, or the word itself. It has to be in the operator's
 * list; `url.*.insteadOf` and helpers are not among the harmless settings, so it
 * is also the one that git takes.
 */
#include <sdk/glob.h>
#include <string.h>

#include "shell.h"

static const char *const harmless[] = {
    "core.repositoryformatversion", "core.filemode", "core.bare", "core.logallrefupdates",
    "core.ignorecase", "core.precomposeunicode", "core.symlinks", "core.autocrlf", "core.eol",
    "core.safecrlf", "core.abbrev", "core.quotepath", "core.compression", "core.loosecompression",
    "core.bigfilethreshold", "core.sharedrepository", "core.untrackedcache", "core.preloadindex",
    "core.whitespace", "core.commentchar", "core.longpaths", "core.protecthfs", "core.protectntfs",
    "core.multipackindex", "core.commitgraph", "core.trustctime", "core.checkstat", "core.fsync",
    "user.name", "user.email", "user.signingkey", "author.name", "author.email", "committer.name",
    "committer.email", "branch.*.remote", "branch.*.merge", "branch.*.rebase",
    "branch.*.pushremote", "branch.*.description", "branch.autosetupmerge",
    "branch.autosetuprebase", "branch.sort", "tag.sort", "remote.*.url", "remote.*.pushurl",
    "remote.*.fetch", "remote.*.push", "remote.*.tagopt", "remote.*.prune", "remote.*.prunetags",
    "remote.*.mirror", "remote.pushdefault", "advice.*", "color.*", "column.*", "diff.renames",
    "diff.renamelimit", "diff.algorithm", "diff.context", "diff.interhunkcontext",
    "diff.mnemonicprefix", "diff.noprefix", "diff.colormoved", "diff.indentheuristic",
    "merge.conflictstyle", "merge.ff", "merge.renames", "merge.log", "merge.stat", "pull.rebase",
    "pull.ff", "push.default", "push.autosetupremote", "push.followtags", "fetch.prune",
    "fetch.prunetags", "init.defaultbranch", "extensions.objectformat", "extensions.refstorage",
    "extensions.noop", "extensions.preciousobjects", "extensions.worktreeconfig", "gc.auto",
    "gc.autodetach", "gc.pruneexpire", "gc.reflogexpire", "gc.reflogexpireunreachable", "index.*",
    "pack.*", "feature.*", "status.short", "status.branch", "status.showuntrackedfiles",
    "status.relativepaths", "log.date", "log.decorate", "log.abbrevcommit", "log.follow",
    "rebase.autosquash", "rebase.autostash", "rebase.updaterefs", "rebase.stat", "rerere.enabled",
    "commit.verbose", "commit.status", "submodule.*.url", "submodule.*.active",
    "submodule.*.branch", "submodule.active", "safe.directory", "http.postbuffer", "http.version",
};

/* Sections and names come in lower case, what is between them as written. */
static int is_harmless(yoi_str key) {
  for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
    if (yoi_sdk_glob(yoi_sdk_str(harmless[i]), key)) return 1;
  return 0;
}

/* The next of "key LF value NUL"; 0 at the end. */
static int next_entry(yoi_str *rest, yoi_str *key, yoi_str *value) {
  const char *nul = rest->len > 0 ? memchr(rest->ptr, 0, rest->len) : NULL;
  if (nul == NULL) return 0;
  *key = (yoi_str){rest->ptr, (size_t)(nul - rest->ptr)};
  const char *lf = memchr(key->ptr, '\n', key->len);
  *value = (yoi_str){NULL, 0};
  if (lf != NULL) {
    *value = (yoi_str){lf + 1, (size_t)(nul - lf) - 1};
    key->len = (size_t)(lf - key->ptr);
  }
  rest->ptr = nul + 1;
  rest->len -= (size_t)(rest->ptr - key->ptr);
  return 1;
}

/* Behind a star nothing may stand that leads elsewhere again. */
static int is_plain(yoi_str url) {
  for (size_t i = 0; i < url.len; i++)
    if (strchr("%@\\?#", url.ptr[i]) != NULL) return 0;
  return memmem(url.ptr, url.len, "..", 2) == NULL;
}

static int is_listed_address(const struct sh_ask *a, yoi_str url) {
  const yoi_sdk_json *list = yoi_sdk_json_get(a->value, "remotes");
  yoi_str item;
  if (memmem(url.ptr, url.len, "://", 3) == NULL) return 0;
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v != NULL; v = yoi_sdk_json_next(v))
    if (yoi_sdk_json_str(v, &item) &&
        (yoi_sdk_str_eq(item, url) || (is_plain(url) && yoi_sdk_glob(item, url))))
      return 1;
  return 0;
}

static yoi_status check_address(const struct sh_ask *a, yoi_str url, yoi_error *err) {
  if (is_listed_address(a, url)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "'%.*s' is not among the remotes that this "
                      "host allows (the value of an option stands behind its '=')",
                      (int)yoi_sdk_utf8_cut(url, 200), url.ptr);
}

/* 1: key is remote.NAME.url or .pushurl. */
static int is_address_of(yoi_str key, yoi_str name, const char *what) {
  size_t n = strlen(what);
  return key.len == 7 + name.len + n && memcmp(key.ptr, "remote.", 7) == 0 &&
         memcmp(key.ptr + 7, name.ptr, name.len) == 0 &&
         memcmp(key.ptr + 7 + name.len, what, n) == 0;
}

yoi_status sh_gitcfg_check(const struct sh_ask *a, const struct sh_git *g, yoi_str listing,
                           yoi_error *err) {
  yoi_str rest = listing, key, value, name = yoi_sdk_str(g->remote);
  unsigned urls = 0, push_urls = 0;
  while (next_entry(&rest, &key, &value)) {
    if (!is_harmless(key))
      return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                          "the repository's config has '%.*s': git_run "
                          "works only where no setting may run a program or lead elsewhere",
                          (int)yoi_sdk_utf8_cut(key, 128), key.ptr);
    if (!g->network) continue;
    int url = is_address_of(key, name, ".url"), push = is_address_of(key, name, ".pushurl");
    if (!url && !push) continue;
    yoi_status st = check_address(a, value, err);
    if (st != YOI_OK) return st;
    urls += (unsigned)url;
    push_urls += (unsigned)push;
  }
  if (rest.len > 0)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "the repository's config cannot be read");
  if (urls > 1 || push_urls > 1)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "remote '%s' has several addresses",
                        g->remote);
  yoi_status st = g->network && urls == 0 ? check_address(a, name, err) : YOI_OK;
  if (st == YOI_OK && g->network && !a->start.job.network)
    st = yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "this host gives git no network");
  return st;
}
