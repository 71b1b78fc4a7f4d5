import Glibc

/// Why a backend cannot be used here, and what would help.
package enum BackendRefusal: Error, CustomStringConvertible {
    /// io_uring_setup failed with this error number.
    case ring(Int32)
    /// The buffer ring was refused with this error number.
    case buffers(Int32)
    /// The kernel is older than Linux 6.1.
    case tooOld
    /// No memory for the worker's tables.
    case memory
    /// epoll_create failed with this error number.
    case epoll(Int32)
    /// A limit has an impossible value.
    case setting(String)

    package var description: String {
        switch self {
        case .ring(let number) where number == EPERM:
            "io_uring is forbidden here (EPERM): a container's seccomp profile or the sysctl kernel.io_uring_disabled; allow "
                + "io_uring_setup, io_uring_enter and io_uring_register to use it"
        case .ring(let number) where number == ENOSYS: "this kernel has no io_uring (ENOSYS)"
        case .ring(let number) where number == ENOMEM:
            "no memory for the ring (ENOMEM): it needs about 1.5 MiB; raise the locked-memory limit (ulimit -l, LimitMEMLOCK=) or the memory limit"
        case .ring(let number) where number == EINVAL: "this kernel's io_uring is too old (EINVAL): Linux 6.1 or newer is needed"
        case .ring(let number): "io_uring_setup failed: \(errorText(number))"
        case .buffers(let number): "the receive buffers were refused: \(errorText(number))"
        case .tooOld: "this kernel's io_uring is too old: Linux 6.1 or newer is needed"
        case .memory: "no memory for the worker's tables; lower limits: sessions or sources"
        case .epoll(let number): "epoll_create1 failed: \(errorText(number))"
        case .setting(let text): text
        }
    }
}

/// The system's words for an error number.
package func errorText(_ number: Int32) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
}
