import WireFormats

/// What a proxy may do with content, and how long without asking: the origin's words in their own language, and the operator's.
extension OriginFacts {
    /// Where content may be kept.
    package enum Permission: Sendable, Hashable {
        /// On a disk.
        case disk
        /// In memory alone.
        case memory
        /// Nowhere.
        case nowhere(ProxyReason)
    }

    /// Whether and where it may be kept. It says nothing about whether there is room.
    package func permission(_ policy: ProxyPolicy) -> Permission {
        if policy.keeping == .nothing { return .nowhere(.cacheOff) }
        switch credentials {
        case .players: return .nowhere(.challenged)
        case .operators where !policy.sharesOperators: return .nowhere(.operatorsCredentials)
        case .operators, .none: break
        }
        if varies { return .nowhere(.varies) }
        if kind == .playlist, !policy.keepsPlaylists { return .nowhere(.playlist) }
        if let reason = refusal(policy) { return .nowhere(reason) }
        // How much a recording of RTSP comes to shows at its end.
        if contentBytes == nil, dialect != .rtsp, kind != .playlist { return .nowhere(.sizeUnknown) }
        if cacheControl?.flags.contains(.noStore) == true {
            return contentBytes.map { $0 <= policy.memoryBytesMax } == true ? .memory : .nowhere(.noStore)
        }
        if let contentBytes, contentBytes > policy.diskBytesMax { return .nowhere(.tooLarge) }
        return .disk
    }

    /// Why proxies may not keep it, by the words of the origin; nil: they may.
    private func refusal(_ policy: ProxyPolicy) -> ProxyReason? {
        let isForced = policy.keeping == .forced
        // Whoever caches an RTSP source said so for its path.
        guard let control = cacheControl else { return isForced || dialect == .rtsp ? nil : .noPermission }
        if Self.isPrivate(control, dialect) { return .private }
        if isForced || Self.permitsProxies(control, dialect) { return nil }
        return dialect != .wmsp && control.flags.contains(.noCache) ? .noCache : .noPermission
    }

    /// `private` is overridden by `proxy-public`, in the language that has it.
    private static func isPrivate(_ control: MSRTSPCacheControl, _ dialect: Dialect) -> Bool {
        control.flags.contains(.private) && !(dialect == .wmsp && control.flags.contains(.proxyPublic))
    }

    /// Whether proxies may keep it, by its words alone ([MS-WMSP] 3.1.5.3, [MS-RTSP] 2.2.6.3, RFC 2326 section 12.8).
    static func permitsProxies(_ control: MSRTSPCacheControl, _ dialect: Dialect) -> Bool {
        let flags = control.flags
        guard !isPrivate(control, dialect) else { return false }
        switch dialect {
        // The `no-cache` in front keeps caches of plain HTTP away; it is not meant for those of Windows Media.
        case .wmsp: return !flags.isDisjoint(with: [.public, .proxyPublic])
        case .msRTSP:
            // `must-revalidate` is void where players may not keep it.
            let permissions: MSRTSPCacheControl.Flags =
                flags.contains(.noUserCache) ? [.public, .proxyRevalidate] : [.public, .proxyRevalidate, .mustRevalidate]
            return !flags.contains(.noCache) && !flags.isDisjoint(with: permissions)
        case .rtsp: return !flags.contains(.noCache)
        }
    }

    /// Whether players may keep it, by its words alone.
    static func permitsPlayers(_ control: MSRTSPCacheControl, _ dialect: Dialect) -> Bool {
        let flags = control.flags
        switch dialect {
        case .wmsp: return flags.contains(.userPublic) || flags.contains(.public) && !flags.contains(.private)
        case .msRTSP:
            return flags.isDisjoint(with: [.noCache, .noUserCache])
                && !flags.isDisjoint(with: [.public, .proxyRevalidate, .mustRevalidate])
        case .rtsp: return flags.isDisjoint(with: [.noCache, .noUserCache])
        }
    }

    /// Whether the origin has to be asked before each use, however young it is.
    package var isAskedEachTime: Bool {
        guard let flags = cacheControl?.flags else { return false }
        switch dialect {
        case .wmsp: return !flags.isDisjoint(with: [.mustRevalidate, .proxyRevalidate])
        // `must-revalidate` is for players there.
        case .msRTSP: return flags.contains(.proxyRevalidate)
        // RFC 2068 section 14.9.4: only once it is beyond its age.
        case .rtsp: return false
        }
    }

    /// Whether it is within its age. A clock that was set back makes it old: the origin is asked then.
    package func isWithinAge(_ policy: ProxyPolicy, now: Int64) -> Bool {
        let (age, overflows) = now.subtractingReportingOverflow(saidAt)
        guard !overflows, age >= 0 else { return false }
        return age < Int64(cacheControl?.maxAgeSeconds ?? policy.ageDefaultSeconds)
    }

    /// Whether another statement is about the same version: by the entity tag; where one of both has none, by `Last-Modified`; and the sizes
    /// that they tell must agree. What cannot be told is another version.
    package func isSameVersion(as other: OriginFacts) -> Bool {
        // Only what the origin itself tells is compared: what is counted from the header (``contentBytes``) leaves out indexes behind the packets.
        let size = cacheControl?.contentBytes, otherSize = other.cacheControl?.contentBytes
        if let size, let otherSize, size != otherSize { return false }
        if let tag = etag.map(Self.opaque), let otherTag = other.etag.map(Self.opaque) {
            if tag == otherTag { return true }
            // The two languages may make their tags in different ways; then the date tells.
            if (dialect == .wmsp) == (other.dialect == .wmsp) { return false }
        }
        guard let lastModified, let otherModified = other.lastModified else { return false }
        return lastModified == otherModified && size == otherSize
    }

    /// It told something by which one version is told from another.
    package var hasValidator: Bool { etag != nil || lastModified != nil }

    /// A tag without what says that it is weak, and without its quotes: RTSP's descriptions have it without.
    package static func opaque(_ tag: String) -> String {
        var tag = Substring(tag)
        if tag.hasPrefix("W/") { tag = tag.dropFirst(2) }
        if tag.utf8.count > 1, tag.utf8.first == UInt8(ascii: "\""), tag.utf8.last == UInt8(ascii: "\"") {
            tag = tag.dropFirst().dropLast()
        }
        return String(tag)
    }

    /// Whether players may share one connection to the origin of a broadcast, and why or why not.
    package func splitting(_ policy: ProxyPolicy) -> (isPermitted: Bool, reason: ProxyReason) {
        if policy.splitting == .never { return (false, .splitOff) }
        if credentials == .players { return (false, .challenged) }
        if policy.splitting == .always { return (true, .operatorShares) }
        guard let control = cacheControl else { return policy.isConfigured ? (true, .originSilent) : (false, .noSplitPermission) }
        if control.flags.contains(.proxySplit) { return (true, .proxySplit) }
        // Every answer of WMSP begins with `no-cache`: one that is nothing else (encoders) says nothing.
        if dialect == .wmsp, policy.isConfigured, control == MSRTSPCacheControl(.noCache) { return (true, .originSilent) }
        return (false, .noSplitPermission)
    }

    // MARK: The next hop

    /// What is told to the next hop in `Cache-Control`: what the origin said, in the language of that hop. Without the `no-cache` that each
    /// answer of WMSP begins with: empty where there is nothing else. RTSP: `no-cache` then. Of `max-age` the hop is told what is left of it at
    /// `now`, in seconds since 1970: what it keeps is no younger than what is kept here (RFC 9111 section 4.2.3).
    package func cacheControl(for hop: Dialect, now: Int64) -> String {
        var control = directives(for: hop)
        if let age = control.maxAgeSeconds { control.maxAgeSeconds = secondsLeft(of: age, now: now) }
        guard hop == .wmsp else { return control.text }
        var rest = control
        rest.flags.remove(.noCache)
        return rest == MSRTSPCacheControl() ? "" : rest.text
    }

    /// After a clock was set back nobody knows how old it is.
    private func secondsLeft(of age: UInt32, now: Int64) -> UInt32 {
        let (elapsed, overflows) = now.subtractingReportingOverflow(saidAt)
        guard !overflows, elapsed >= 0, elapsed < Int64(age) else { return 0 }
        return UInt32(clamping: Int64(age) - elapsed)
    }

    private func directives(for hop: Dialect) -> MSRTSPCacheControl {
        guard var control = cacheControl else { return MSRTSPCacheControl(.noCache) }
        guard (hop == .wmsp) != (dialect == .wmsp) else { return control }
        let proxies = Self.permitsProxies(control, dialect), players = Self.permitsPlayers(control, dialect)
        if hop == .wmsp {
            // Words of HTTP that stood in an answer of RTSP meant nothing there.
            control.flags.subtract([.noCache, .public, .noUserCache, .userPublic, .proxyPublic])
            if proxies { control.flags.insert(.proxyPublic) }
            if players { control.flags.insert(.userPublic) }
            return control
        }
        control.flags.subtract([.noCache, .userPublic, .proxyPublic])
        // Nothing is kept of a broadcast whatever stands there.
        if control.isBroadcast || kind == .broadcast { return control }
        switch (proxies, players) {
        case (true, _):
            control.flags.remove(.private)
            if !players { control.flags.insert(.noUserCache) }
            // Revalidation permits it there, too; where that does not, it is said.
            if !Self.permitsProxies(control, hop) { control.flags.insert(.public) }
        case (false, true):
            control.flags.remove(.public)
            control.flags.formUnion([.private, .mustRevalidate])
        // Words that permit nothing there would permit something here.
        case (false, false): control.flags.insert(.noCache)
        }
        return control
    }
}
