// malloc and friends over glibc's own, counted for the engine's threads. Linking this target replaces the process's allocator.
#define _GNU_SOURCE
#include "allocationcount.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_SANITIZED 1
#endif
#endif

static _Atomic uint64_t allocations;

uint64_t allocationcount_of_workers(void) { return atomic_load(&allocations); }

#ifdef WEIR_SANITIZED
int allocationcount_is_active(void) { return 0; }
#else
int allocationcount_is_active(void) { return 1; }

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

// 0: not looked at yet; 1: a worker; 2: another thread. The name is looked at once in a while until it is a worker's, because
// a thread gets its name after its first allocations.
static _Thread_local int kind __attribute__((tls_model("initial-exec")));
static _Thread_local int looks __attribute__((tls_model("initial-exec")));

static inline void count(void) {
    if (kind == 0) {
        if (looks++ > 1000) {
            kind = 2;
        } else {
            char name[16] = "";
            if (pthread_getname_np(pthread_self(), name, sizeof name) == 0 && strncmp(name, "weir-worker", 11) == 0) kind = 1;
        }
    }
    if (kind == 1) atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
}

void *malloc(size_t bytes) {
    count();
    return __libc_malloc(bytes);
}
void *calloc(size_t number, size_t bytes) {
    count();
    return __libc_calloc(number, bytes);
}
void *realloc(void *memory, size_t bytes) {
    count();
    return __libc_realloc(memory, bytes);
}
int posix_memalign(void **memory, size_t alignment, size_t bytes) {
    count();
    *memory = __libc_memalign(alignment, bytes);
    return *memory ? 0 : 12;
}
void *aligned_alloc(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}
void *memalign(size_t alignment, size_t bytes) {
    count();
    return __libc_memalign(alignment, bytes);
}
void free(void *memory) { __libc_free(memory); }
#endif
