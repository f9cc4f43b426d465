/* pair.c - see pair.h. By the library's own means: no file and no program is
 * needed, and what fails here fails the test that asked.
 */
#include "pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

void pair_issue(struct pair *p) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  BIO *out[2] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
  assert_non_null(key);
  assert_non_null(cert);
  assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
  assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 86400));
  assert_int_equal(X509_set_pubkey(cert, key), 1);
  assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
  assert_int_equal(PEM_write_bio_X509(out[0], cert), 1);
  assert_int_equal(PEM_write_bio_PrivateKey(out[1], key, NULL, NULL, 0, NULL, NULL), 1);
  int n = BIO_read(out[0], p->certificate, PAIR_MAX - 1);
  int k = BIO_read(out[1], p->key, PAIR_MAX - 1);
  assert_true(n > 0 && k > 0);
  p->certificate[n] = p->key[k] = 0;
  for (int i = 0; i < 2; i++) BIO_free(out[i]);
  X509_free(cert);
  EVP_PKEY_free(key);
}
