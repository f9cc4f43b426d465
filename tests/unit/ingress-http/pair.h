/* pair.h - a certificate that signs itself, and its key, each as PEM. */
#ifndef TEST_INGRESS_HTTP_PAIR_H
#define TEST_INGRESS_HTTP_PAIR_H

#define PAIR_MAX 4096

struct pair {
  char certificate[PAIR_MAX], key[PAIR_MAX];
};

void pair_issue(struct pair *p); /* another one each time */

#endif
