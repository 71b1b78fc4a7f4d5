import Glibc

/// Does something whose threads leave the program's signals alone: a thread has the mask of the one that made it. What a thread does to
/// itself (a fault, a trap) stays unmasked, so that crash handlers and sanitizers hear of it.
func withSignalsBlocked<Result>(_ body: () throws -> Result) rethrows -> Result {
    var wanted = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&wanted)
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { unsafe sigdelset(&wanted, signal) }
    let isBlocked = unsafe pthread_sigmask(SIG_BLOCK, &wanted, &before) == 0
    defer { if isBlocked { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) } }
    return try body()
}
