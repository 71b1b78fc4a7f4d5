#ifndef CNETTLE_H
#define CNETTLE_H

// Hash functions of nettle, 3 or 4 (docs/decisions/0026-hash-functions-come-from-nettle.md).
#if !__has_include(<nettle/sha2.h>)
#error "nettle's headers are missing: install nettle-dev (Debian), nettle-devel (Fedora) or nettle (Arch), or let tools/run do it"
#endif

#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>
#include <nettle/version.h>

// Nettle 4 writes the whole digest and takes no length.
#if NETTLE_VERSION_MAJOR >= 4
#define CNETTLE_DIGEST(function, context, digest, bytes) function(context, digest)
#else
#define CNETTLE_DIGEST(function, context, digest, bytes) function(context, bytes, digest)
#endif

// Each writes all bytes of its digest and makes the context ready for something new.
static inline void cnettle_sha256_digest(struct sha256_ctx *context, uint8_t *digest) {
    CNETTLE_DIGEST(nettle_sha256_digest, context, digest, SHA256_DIGEST_SIZE);
}

static inline void cnettle_hmac_sha256_digest(struct hmac_sha256_ctx *context, uint8_t *digest) {
    CNETTLE_DIGEST(nettle_hmac_sha256_digest, context, digest, SHA256_DIGEST_SIZE);
}

static inline void cnettle_md5_digest(struct md5_ctx *context, uint8_t *digest) {
    CNETTLE_DIGEST(nettle_md5_digest, context, digest, MD5_DIGEST_SIZE);
}

#endif
