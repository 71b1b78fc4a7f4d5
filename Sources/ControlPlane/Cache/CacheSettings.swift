/// Where a cache lies and how much it may hold. Each bound has a key in the configuration and a counter (``CacheCounters``).
package struct CacheSettings: Sendable, Equatable {
    /// `cache-dir`. Made when it is not there; its parent has to be. Empty: there is no cache.
    package var directory: String
    /// `cache-size`: bytes that all objects may take together. Default 10 GiB.
    package var bytesMax: Int64 = 10 << 30
    /// `cache-object-max`: bytes of the largest object. Default 4 GiB.
    package var objectBytesMax: Int64 = 4 << 30
    /// `cache-objects-max`: objects. Default 100,000.
    package var objectsMax = 100_000
    /// `cache-age-max`: seconds after its last use in which an object that is not pinned goes. Default 30 days; 0: never for that.
    package var idleSecondsMax: Int64 = 30 * 86_400
    /// `cache-free-min`: bytes that stay free on the file system, whoever fills it. Default 512 MiB.
    package var freeBytesMin: Int64 = 512 << 20
    /// `cache-verify-rate`: bytes a second that are read to look at checksums in the background. Default 4 MiB; 0: never.
    package var verifyBytesPerSecond = 4 << 20
    /// `cache-open-max`: objects that are in use at a time; each holds a descriptor, two while it is written. Default 512.
    package var openMax = 512

    package init(directory: String = "") { self.directory = directory }

    /// As whoever does not know the limits of a cache's relay opens it: nothing goes to make room, or because of its age.
    package static func withoutLimits(_ directory: String) -> CacheSettings {
        var settings = CacheSettings(directory: directory)
        settings.bytesMax = .max
        settings.objectsMax = .max
        settings.idleSecondsMax = 0
        return settings
    }
}

/// Bounds that are not configured.
package enum CacheLimits {
    /// Seconds since 1970 that a time in the index may be: some 35 000 years.
    package static let secondsMax: Int64 = 1 << 40
    /// Bytes of a key.
    package static let keyBytesMax = 8_192
    /// Bytes of each thing that an origin says of its content.
    package static let factBytesMax = 4_096
    /// Units of an object, and bytes of all of them: no number that stands on a disk leads beyond.
    package static let unitsMax = 1 << 42
    package static let contentBytesMax: Int64 = 1 << 50
    /// Uses of an object; no more are counted.
    package static let usesMax: Int64 = 1 << 40
    /// Bytes of an object's head.
    package static let headBytesMax = 4 << 20
    /// Bytes of a unit: what an ASF data packet can be.
    package static let unitBytesMax = 1 << 20
    /// Bytes that one checksum covers at most, a unit at least.
    package static let extentBytesMax = 256 << 10
    /// Checksums of one object.
    package static let extentsMax = 1 << 18
    /// Ranges of one object; a write that would make more is refused until holes are filled.
    package static let rangesMax = 4_096
    /// Bytes by which an object's room grows at a time: room is reserved before it is written to.
    package static let reserveBytes: Int64 = 8 << 20
    /// Bytes of one record of the side file.
    package static let sideRecordBytesMax = 64 << 10

    /// Whether an object may have so many units of so many bytes.
    static func canHave(units: Int, of unitBytes: Int) -> Bool {
        (0...unitsMax).contains(units) && Int64(units).times(Int64(unitBytes)) <= contentBytesMax
    }
}
