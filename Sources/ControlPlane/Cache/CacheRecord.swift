import Glibc

/// What kind of content an object of the cache is; it fixes the form of the file.
package enum CacheKind: String, Sendable, Codable, CaseIterable {
    /// An ASF file: its head is the ASF header, its units are data packets of one size. When it is whole it can be played as it lies.
    case asf
    /// A recording of an RTSP source: its head is whatever its writer puts there (a description), its units are single bytes.
    case rtsp
    /// A playlist: a document that says what its entries are; its units are single bytes. What the entries play are objects of their own, which
    /// go when it goes (``CacheStore/entryPrefix(list:id:)``).
    case list

    /// What the name of the data file ends with.
    var fileExtension: String {
        switch self {
        case .asf: "asf"
        case .rtsp: "rec"
        case .list: "list"
        }
    }
}

/// What an origin said of the content, by which an object is judged and asked about again. All are kept as they came.
package struct CacheFacts: Sendable, Equatable, Codable {
    /// The entity tag with its quotes; nil when the origin gave none.
    package var etag: String?
    /// The text of `Last-Modified`.
    package var lastModified: String?
    /// The size of the content that the origin speaks of, in bytes.
    package var contentBytes: Int64?
    /// The text of `Cache-Control`, in the dialect of the protocol it came by.
    package var cacheControl: String?
    /// The dialect of that text, in the policy's words (`wmsp`, `rtsp`).
    package var dialect: String?
    /// When the origin said so last, in seconds since 1970: the age of the object counts from here.
    package var validatedAt: Int64

    package init(
        etag: String? = nil, lastModified: String? = nil, contentBytes: Int64? = nil, cacheControl: String? = nil, dialect: String? = nil,
        validatedAt: Int64 = CacheClock.now()
    ) {
        self.etag = etag
        self.lastModified = lastModified
        self.contentBytes = contentBytes
        self.cacheControl = cacheControl
        self.dialect = dialect
        self.validatedAt = validatedAt
    }
}

/// A new object, as ``CacheStore/create(_:)`` wants it.
package struct CacheDescription: Sendable, Equatable {
    /// The policy's key: text without control characters, at most ``CacheLimits/keyBytesMax`` bytes. Names of files never come from it.
    package var key: String
    package var kind: CacheKind
    /// Where the content came from, for people (`weir cache ls`); without credentials.
    package var url: String
    /// What stands before the units; at most ``CacheLimits/headBytesMax`` bytes.
    package var head: [UInt8]
    /// The size of a unit in bytes, 1 to ``CacheLimits/unitBytesMax``.
    package var unitBytes: Int
    /// How many units there will be; nil where that is not known yet (``CacheObject/finish(units:)`` says it).
    package var units: Int?
    package var facts: CacheFacts

    package init(key: String, kind: CacheKind, url: String, head: [UInt8], unitBytes: Int, units: Int?, facts: CacheFacts) {
        self.key = key
        self.kind = kind
        self.url = url
        self.head = head
        self.unitBytes = unitBytes
        self.units = units
        self.facts = facts
    }
}

/// What the index says of an object.
package struct CacheRecord: Sendable, Equatable {
    /// 32 hexadecimal digits, drawn when the object was made and never used again: one version of the content.
    package var id: String
    package var key: String
    package var kind: CacheKind
    package var url: String
    package var unitBytes: Int
    package var units: Int?
    package var headBytes: Int
    /// The units that lie on the disk, durable and with checksums: sorted, not touching each other.
    package var ranges: [Range<Int>]
    /// Bytes that it is charged with against ``CacheSettings/bytesMax``.
    package var bytes: Int64
    /// All units are there.
    package var isWhole: Bool
    package var facts: CacheFacts
    /// Times in seconds since 1970.
    package var createdAt: Int64
    package var usedAt: Int64
    /// When all its checksums were right last; 0 when they never were looked at.
    package var verifiedAt: Int64
    /// How often it was opened for a player.
    package var uses: Int
    package var isPinned: Bool
}

/// The time as the cache counts it.
package enum CacheClock {
    /// Seconds since 1970.
    package static func now() -> Int64 { Int64(time(nil)) }
}
