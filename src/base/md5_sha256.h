/*
 * md5_sha256.h: MD5 (RFC 1321) and SHA-256 (FIPS 180-4) of the same blocks in one loop. Each of the two waits for
 * itself most of the time, so together they take as long as MD5 alone. [any]
 */
#ifndef BASE_MD5_SHA256_H
#define BASE_MD5_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Can this processor? (x86-64 with the SHA extensions) */
bool md5_sha256_is_fast(void);
/* Brings both states forward by `count` blocks of 64 bytes. Only where it is fast. */
void md5_sha256_blocks(uint32_t md5[4], uint32_t sha256[8], const uint8_t *data, size_t count);

#endif
