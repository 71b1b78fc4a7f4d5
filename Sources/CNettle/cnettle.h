#ifndef CNETTLE_H
#define CNETTLE_H

// Hash functions of Debian's nettle-dev (docs/decisions/0026-hash-functions-come-from-nettle.md).
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>

#endif
