import Glibc

/// Why a backend cannot be used here, and what would help.
package enum BackendRefusal: Error, CustomStringConvertible, Equatable {
    /// io_uring_setup failed with this error number.
    case ring(Int32)
    /// The buffer ring was refused with this error number.
    case buffers(Int32)
    /// No memory for the worker's tables.
    case memory
    /// epoll_create1 failed with this error number.
    case epoll(Int32)
    /// A system call or an operation of the ring that the backend needs failed with this error number.
    case call(String, Int32)
    /// Trains are not cut (UDP_SEGMENT): refused with this error number, or with 0 sent and not seen again.
    case trains(Int32)
    /// What was sent through it did not come back within a second.
    case silent(String)
    /// A limit has an impossible value.
    case setting(String)

    package var description: String {
        switch self {
        case .ring(let number) where number == EPERM || number == EACCES:
            "it is forbidden here (\(errorName(number))): \(Self.forbidder)"
        case .ring(let number) where number == ENOSYS:
            "this kernel has no io_uring (ENOSYS); use Linux 6.1 or newer, not a sandbox that stands in for it"
        case .ring(let number) where number == ENOMEM:
            "no memory for the ring (ENOMEM): it needs about 1.5 MiB; raise the locked-memory limit (ulimit -l, LimitMEMLOCK=) or the memory limit"
        case .ring(let number) where number == EMFILE || number == ENFILE:
            "no descriptor is left for the ring (\(errorName(number))); raise the limit (ulimit -n, LimitNOFILE=)"
        case .ring(let number) where number == EINVAL: "this kernel's io_uring is too old (EINVAL); use Linux 6.1 or newer"
        case .ring(let number): "io_uring_setup failed: \(errorText(number)); use another backend"
        case .buffers(let number) where number == ENOMEM:
            "no memory for the receive buffers (ENOMEM); raise the locked-memory limit (ulimit -l, LimitMEMLOCK=), or lower limits: "
                + "datagram-buffers"
        case .buffers(let number):
            "the ring of receive buffers was refused: \(errorText(number)); use Linux 6.1 or newer, or lower limits: datagram-buffers"
        case .memory: "no memory for the worker's tables; lower limits: sessions or sources"
        case .epoll(let number):
            "epoll_create1 failed: \(errorText(number)); allow epoll in the sandbox, and more descriptors (ulimit -n, LimitNOFILE=)"
        case .call(let name, let number) where number == EPERM || number == EACCES:
            "\(name) is forbidden here (\(errorName(number))); allow it in the sandbox's seccomp profile"
        case .call(let name, let number) where number == ENOSYS || number == EOPNOTSUPP || number == ENOPROTOOPT:
            "\(name) does not exist here (\(errorName(number))); use Linux 6.1 or newer, not a sandbox that stands in for it"
        case .call(let name, let number) where number == EINVAL:
            "\(name) is refused (EINVAL), as by a kernel that is too old; use Linux 6.1 or newer"
        case .call(let name, let number): "\(name) failed: \(errorText(number)); use another backend"
        case .trains(let number):
            "trains of datagrams do not work (UDP_SEGMENT: \(number == 0 ? "sent and not seen again" : errorText(number))); use Linux 4.18 "
                + "or newer, and allow setsockopt in the sandbox"
        case .silent(let what): "\(what) through it did not arrive within a second; use another backend, and please report this"
        case .setting(let text): text
        }
    }

    /// Who forbids rings, as far as the system tells, and what to do.
    private static var forbidder: String {
        switch Processors.text(of: "/proc/sys/kernel/io_uring_disabled").first {
        case "2": "the sysctl kernel.io_uring_disabled is 2; set it to 0"
        case "1": "the sysctl kernel.io_uring_disabled is 1; set it to 0, or give the process the group kernel.io_uring_group"
        default:
            "by a seccomp profile, as most containers have one; allow io_uring_setup, io_uring_enter and io_uring_register in it"
        }
    }
}

/// The system's words for an error number.
package func errorText(_ number: Int32) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
}

/// The name of an error number that a sandbox answers with; of others the system's words.
private func errorName(_ number: Int32) -> String {
    switch number {
    case EPERM: "EPERM"
    case EACCES: "EACCES"
    case ENOSYS: "ENOSYS"
    case EMFILE: "EMFILE"
    case ENFILE: "ENFILE"
    case EOPNOTSUPP: "EOPNOTSUPP"
    case ENOPROTOOPT: "ENOPROTOOPT"
    default: errorText(number)
    }
}
