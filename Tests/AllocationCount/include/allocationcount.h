/// Counts heap allocations per thread, so that a test can prove that the packet path makes none.
#ifndef WEIR_ALLOCATIONCOUNT_H
#define WEIR_ALLOCATIONCOUNT_H

#include <stdint.h>

/// Allocations that threads whose name begins with `weir-worker` have made so far, in this process.
uint64_t allocationcount_of_workers(void);
/// Whether the counting allocator is in place (it is not under a sanitizer, which brings its own).
int allocationcount_is_active(void);

#endif
