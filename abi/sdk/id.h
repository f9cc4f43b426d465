/* sdk/id.h - identifiers, hex, digests, random bytes, times as text. */
#ifndef YOI_SDK_ID_H
#define YOI_SDK_ID_H

#include <yoi/base.h>
#include <yoi/limits.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runtime and worker ids: 1 to 64 of a-z 0-9 . _ -, alphanumeric first. */
int yoi_sdk_id_valid(yoi_str s);
/* Names of models, secrets, tools: 1 to 64 of A-Z a-z 0-9 _ - and '.'. */
int yoi_sdk_name_valid(yoi_str s);
/* Plugin ids: reverse DNS, two or more labels of a-z 0-9 -, at most 128. */
int yoi_sdk_plugin_id_valid(yoi_str s);
/* Token characters of RFC 9110 and / : = within 1 to max bytes: request ids
 * and idempotency keys. */
int yoi_sdk_token_valid(yoi_str s, size_t max);
/* W3C trace context: 00-32hex-16hex-2hex, nothing all zero, not version ff;
 * later versions by their first 55 characters. */
int yoi_sdk_traceparent_valid(yoi_str s);

/* Lower-case hex of n bytes into out[2 * n], no NUL. */
void yoi_sdk_hex(const uint8_t *p, size_t n, char *out);
/* The inverse, lower case only; 0 when s is not 2 * n such digits. */
int yoi_sdk_unhex(yoi_str s, uint8_t *out, size_t n);

/* n bytes of the kernel's randomness; 0 when there are none. */
int yoi_sdk_random(void *out, size_t n);
/* UUIDv7 (RFC 9562), 36 characters and NUL, increasing within the process. */
#define YOI_SDK_UUID_SIZE 37
int yoi_sdk_uuid7(uint64_t wall_ns, char out[YOI_SDK_UUID_SIZE]);

#define YOI_SDK_SHA256_SIZE 32
int yoi_sdk_sha256(const void *p, size_t n, uint8_t out[YOI_SDK_SHA256_SIZE]);
/* In parts, and length-prefixed fields, which no other list of fields can
 * imitate. NULL when memory is short; final also frees. */
struct yoi_sdk_sha256;
struct yoi_sdk_sha256 *yoi_sdk_sha256_new(void);
void yoi_sdk_sha256_add(struct yoi_sdk_sha256 *h, const void *p, size_t n);
void yoi_sdk_sha256_field(struct yoi_sdk_sha256 *h, yoi_str s);
int yoi_sdk_sha256_final(struct yoi_sdk_sha256 *h,
                         uint8_t out[YOI_SDK_SHA256_SIZE]);
/* "sha256:" and 64 hex digits, and NUL. */
#define YOI_SDK_DIGEST_SIZE 72
void yoi_sdk_digest_text(const uint8_t sha[YOI_SDK_SHA256_SIZE],
                         char out[YOI_SDK_DIGEST_SIZE]);
/* The inverse, of exactly that form; 0 when s is not. */
int yoi_sdk_digest_bytes(yoi_str s, uint8_t out[YOI_SDK_SHA256_SIZE]);
/* Equal, in time that depends on given's length only. An empty secret is no
 * secret and equals nothing. */
int yoi_sdk_secret_eq(yoi_str secret, yoi_str given);

/* 2026-06-26T00:00:00.000Z and NUL (RFC 3339, UTC, milliseconds). */
#define YOI_SDK_TIME_SIZE 25
void yoi_sdk_time_text(uint64_t wall_ns, char out[YOI_SDK_TIME_SIZE]);
/* The inverse, of exactly that form, from 1970 to 2553; 0 when s is not. */
int yoi_sdk_time_parse(yoi_str s, uint64_t *out_wall_ns);

#ifdef __cplusplus
}
#endif
#endif
