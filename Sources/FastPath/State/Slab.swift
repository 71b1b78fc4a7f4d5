import Glibc

/// Fixed room for plain values, zero at first, reached without reference counts or exclusivity checks. Pages that were never
/// touched take no memory.
@safe struct Slab<Element: BitwiseCopyable>: ~Copyable {
    private let base: UnsafeMutablePointer<Element>
    let count: Int

    /// Room for `count` elements whose all-zero bytes are a valid value. Nil when there is no memory.
    init?(count: Int) {
        guard let memory = unsafe calloc(max(count, 1), MemoryLayout<Element>.stride) else { return nil }
        unsafe base = memory.bindMemory(to: Element.self, capacity: max(count, 1))
        self.count = count
    }

    deinit { unsafe free(base) }

    /// Where an element lies, for a call that fills or reads several from there.
    @unsafe func pointer(to index: Int) -> UnsafeMutablePointer<Element> {
        precondition(index >= 0 && index < count)
        return unsafe base + index
    }

    subscript(index: Int) -> Element {
        @inline(__always) unsafeAddress {
            precondition(index >= 0 && index < count)
            return unsafe UnsafePointer(base + index)
        }
        @inline(__always) nonmutating unsafeMutableAddress {
            precondition(index >= 0 && index < count)
            return unsafe base + index
        }
    }
}
