/* process.c - limits, capabilities and descriptors; see sdk/confine.h.
 *
 *  1. A limit is only ever lowered: what stood around the process stays.
 *  2. Descriptors are closed in ranges: how many could be open does not matter.
 */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sdk/confine.h>

int yoi_sdk_confine_limit(unsigned which, uint64_t soft, uint64_t hard) {
  struct rlimit now, l = {.rlim_cur = soft, .rlim_max = hard};
  if (syscall(SYS_prlimit64, 0, which, NULL, &now) != 0) return errno;
  if (now.rlim_max < l.rlim_max) l.rlim_max = now.rlim_max;
  if (l.rlim_max < l.rlim_cur) l.rlim_cur = l.rlim_max;
  return syscall(SYS_prlimit64, 0, which, &l, NULL) == 0 ? 0 : errno;
}

int yoi_sdk_confine_capabilities(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (unsigned long c = 0; c < 64; c++) prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  memset(data, 0, sizeof data);
  return syscall(SYS_capset, &head, data) == 0 ? 0 : errno;
}

/* The least of keep that is at or above `from`; -1: none. */
static int next_kept(int from, const int *keep, size_t n) {
  int least = -1;
  for (size_t i = 0; i < n; i++)
    if (keep[i] >= from && (least < 0 || keep[i] < least)) least = keep[i];
  return least;
}

int yoi_sdk_confine_close(int from, const int *keep, size_t n) {
  for (;;) {
    int kept = next_kept(from, keep, n);
    unsigned last = kept < 0 ? ~0u : (unsigned)kept - 1;
    if (kept != from && syscall(SYS_close_range, (unsigned)from, last, 0u) != 0) return errno;
    if (kept < 0) return 0;
    from = kept + 1;
  }
}
