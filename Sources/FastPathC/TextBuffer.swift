/// A text for C at a place of its own, ended by a zero; cut if it is too long.
@safe final class TextBuffer {
    @unsafe let pointer: UnsafePointer<CChar>
    private let memory: UnsafeMutablePointer<CChar>
    private let room: Int

    init(room: Int, _ text: String = "") {
        self.room = max(room, 1)
        unsafe memory = UnsafeMutablePointer<CChar>.allocate(capacity: self.room)
        unsafe pointer = unsafe UnsafePointer(memory)
        set(text)
    }

    deinit { unsafe memory.deallocate() }

    func set(_ text: String) { unsafe Self.copy(text, to: memory, room: room) }

    /// Writes as much of a text as fits, never half a character, and a zero. `room` is at least 1.
    @unsafe static func copy(_ text: String, to memory: UnsafeMutablePointer<CChar>, room: Int) {
        var length = 0
        for character in text.unicodeScalars {
            let bytes = UTF8.encode(character)
            guard let bytes, length + bytes.count < room else { break }
            for byte in bytes where byte != 0 {
                unsafe memory[length] = CChar(bitPattern: byte)
                length += 1
            }
        }
        unsafe memory[length] = 0
    }
}
