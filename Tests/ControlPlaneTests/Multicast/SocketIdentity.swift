import Glibc

/// One socket, whatever else gets its descriptor's number later: tests run beside one another.
struct SocketIdentity: Equatable {
    private let descriptor: CInt
    private let inode: UInt

    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        inode = Self.inode(descriptor)
    }

    var isOpen: Bool { inode != 0 && Self.inode(descriptor) == inode }

    private static func inode(_ descriptor: CInt) -> UInt {
        var about = stat()
        return unsafe fstat(descriptor, &about) == 0 ? UInt(about.st_ino) : 0
    }
}
