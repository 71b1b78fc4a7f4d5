import Glibc

/// What the kernel is told of how a file will be read.
enum FileAdvice {
    /// These bytes will be wanted soon. May wait for the disk: not on the event loop.
    static func willNeed(_ descriptor: CInt, offset: Int, count: Int) {
        _ = posix_fadvise(descriptor, off_t(offset), off_t(count), CInt(POSIX_FADV_WILLNEED))
    }
}
