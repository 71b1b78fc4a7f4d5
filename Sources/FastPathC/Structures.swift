import CFastPath

/// A structure that begins with its size and may grow.
@unsafe protocol Sized {
    /// The size it had when it was first published; smaller ones were never made.
    static var sizeFirst: Int { get }
    static var name: String { get }
    init()
}

extension fp_options: @unsafe Sized {
    static var sizeFirst: Int { 32 }
    static var name: String { "fp_options" }
}

extension fp_limits: @unsafe Sized {
    static var sizeFirst: Int { 72 }
    static var name: String { "fp_limits" }
}

extension fp_stream_config: @unsafe Sized {
    static var sizeFirst: Int { 216 }
    static var name: String { "fp_stream_config" }
}

extension fp_event: @unsafe Sized {
    static var sizeFirst: Int { 144 }
    static var name: String { "fp_event" }
}

/// No structure will ever be larger; a size above this is a size that was never set.
private let sizeMax = 4_096

/// Reads a structure of a program that was built with this header, an older or a newer one. What an older program does not know is zero;
/// what this library does not know must be.
@unsafe func read<Structure: Sized>(_ pointer: UnsafePointer<Structure>) throws(Failure) -> Structure {
    let known = unsafe MemoryLayout<Structure>.size
    let size = try unsafe size(of: pointer)
    let bytes = unsafe UnsafeRawBufferPointer(start: pointer, count: size)
    for place in known..<max(size, known) where unsafe bytes[place] != 0 {
        throw Failure(
            FP_ERROR_SIZE,
            "\(unsafe Structure.name) was made for a newer library (\(size) bytes, not \(known)) and sets something that this one does not know"
        )
    }
    var structure = unsafe Structure()
    unsafe withUnsafeMutableBytes(of: &structure) { place in
        unsafe place.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.prefix(min(size, known))))
    }
    return structure
}

/// Writes as much of a structure as the program knows, but not its size, which stays the program's; what a newer program knows beyond
/// that becomes zero.
@unsafe func write<Structure: Sized>(_ structure: Structure, to pointer: UnsafeMutablePointer<Structure>) throws(Failure) {
    let known = unsafe MemoryLayout<Structure>.size
    let size = try unsafe size(of: UnsafePointer(pointer))
    let place = unsafe UnsafeMutableRawBufferPointer(start: pointer, count: size)
    let first = MemoryLayout<UInt32>.size
    unsafe withUnsafeBytes(of: structure) { bytes in
        unsafe UnsafeMutableRawBufferPointer(rebasing: place[first...]).copyMemory(
            from: UnsafeRawBufferPointer(rebasing: bytes[first..<min(size, known)]))
    }
    for place in known..<max(size, known) { unsafe pointer.withMemoryRebound(to: UInt8.self, capacity: size) { unsafe $0[place] = 0 } }
}

@unsafe func size<Structure: Sized>(of pointer: UnsafePointer<Structure>) throws(Failure) -> Int {
    let size = Int(unsafe UnsafeRawPointer(pointer).load(as: UInt32.self))
    guard (unsafe Structure.sizeFirst...sizeMax).contains(size) else {
        throw Failure(
            FP_ERROR_SIZE,
            "\(unsafe Structure.name).size is \(size), and cannot be; make the structure with \(unsafe Structure.name)_default()")
    }
    return size
}
