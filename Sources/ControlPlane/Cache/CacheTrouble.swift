/// What the cache could not do. The text names the file and says what to do; the kind is for programs.
package struct CacheTrouble: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable {
        /// The directory cannot be used: not there, no rights, not a directory.
        case directory
        /// Another relay writes this directory.
        case inUse
        /// The index is not a database, is broken, is missing beside objects, or is of another program.
        case indexDamaged
        /// The index is of a newer Weir.
        case indexNewer
        /// The object is larger than `cache-object-max` (or than a bound of ``CacheLimits``): nothing was written.
        case tooLarge
        /// No room could be made: `cache-size`, `cache-objects-max`, `cache-free-min`, all the rest pinned or in use. What is there stays.
        case full
        /// More objects in use than `cache-open-max`.
        case tooManyOpen
        /// The disk refused (no space left, an I/O error): the object was let go of. The player goes on from the origin.
        case failed
        /// Checksums are wrong: the object was let go of.
        case damaged
        /// The units asked for are not there.
        case absent
        /// The object was let go of earlier (it failed, was purged or found damaged).
        case gone
        /// The call cannot be: a bug of the caller, or input beyond a bound.
        case refused
    }

    package let kind: Kind
    package let description: String

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}
