/// Makes a playlist of `<smil>` markup, as server-side playlists of Windows Media are written. Names are taken in either case, as the schema has
/// them in small ones and people do not.
struct WSXBuilder {
    private let limits: PlaylistLimits
    private var passed = PassedOver()

    init(limits: PlaylistLimits) { self.limits = limits }

    var ignored: [String] { passed.words }

    private static let mediaNames: Set<String> = ["media", "ref", "animation", "audio", "img", "video", "text", "textstream"]

    /// `smil`, `seq`, `switch` or `excl`, with what is in it.
    mutating func container(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        let name = element.name.lowercased()
        var descriptions: [PlaylistDescription] = []
        var children: [PlaylistNode] = []
        var rank = 0
        for child in element.children {
            switch child.name.lowercased() {
            case "clientdata": descriptions += Self.descriptions(child)
            case "priorityclass" where name == "excl":
                children += try self.priorityClass(child, rank: rank)
                rank += 1
            case "priorityclass":
                throw PlaylistError(line: child.line, element: child.name, "it stands in <excl> only; put <excl> around it")
            case "head", "metadata", "meta", "title": passed.note("<\(child.name)> has no effect", line: child.line)
            case "body" where name == "smil": children.append(try container(child))
            default: if let node = try self.node(child) { children.append(node) }
            }
        }
        let kind: PlaylistNode.Kind =
            switch name {
            case "switch": .alternatives(children)
            case "excl": .exclusive(children)
            default: .sequence(children)
            }
        var node = PlaylistNode(line: element.line, kind: kind)
        node.descriptions = descriptions
        try common(element, &node)
        return node
    }

    private mutating func node(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode? {
        let name = element.name.lowercased()
        switch name {
        case "seq", "switch", "excl": return try container(element)
        case "par":
            throw PlaylistError(
                line: element.line, element: element.name, "one stream cannot show several things at a time; use <seq> or <excl>")
        case "smil":
            throw PlaylistError(line: element.line, element: element.name, "it is the outermost element, and there is one; use <seq>")
        case _ where Self.mediaNames.contains(name): return try media(element)
        default:
            throw PlaylistError(
                line: element.line, element: element.name,
                "there is no such element; a playlist has seq, media, switch, excl, priorityClass and clientData")
        }
    }

    private mutating func media(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        guard let source = element.value("src"), !source.isEmpty else {
            throw PlaylistError(
                line: element.line, element: element.name, attribute: "src",
                "it is missing; name a file, a directory or a URL: src=\"a.wmv\"")
        }
        var media = PlaylistMedia(source: source)
        media.name = element.value("mediaName")
        media.role = element.value("role")
        media.forbidsSkipping = try flag(element, "noSkip")
        media.forbidsReceding = try flag(element, "noRecede")
        media.clipBegin = try clip(element, "clipBegin")
        media.clipEnd = try clip(element, "clipEnd")
        if let end = media.clipEnd, end <= media.clipBegin ?? 0 {
            throw PlaylistError(line: element.line, element: element.name, attribute: "clipEnd", "it is not behind clipBegin")
        }
        var node = PlaylistNode(line: element.line, kind: .media(media))
        for child in element.children {
            guard child.name.lowercased() == "clientdata" else {
                throw PlaylistError(
                    line: child.line, element: child.name,
                    "in <\(element.name)> there is <clientData> only; close <\(element.name) …/> before it")
            }
            node.descriptions += Self.descriptions(child)
        }
        try common(element, &node)
        return node
    }

    private mutating func priorityClass(_ element: MarkupElement, rank: Int) throws(PlaylistError) -> [PlaylistNode] {
        var priority = PlaylistPriority()
        priority.rank = rank
        priority.peers = try rule(element, "peers", [.stop, .pause, .defer, .never]) ?? priority.peers
        priority.higher = try rule(element, "higher", [.stop, .pause]) ?? priority.higher
        priority.lower = try rule(element, "lower", [.defer, .never]) ?? priority.lower
        var nodes: [PlaylistNode] = []
        for child in element.children {
            guard var node = try node(child) else { continue }
            node.priority = priority
            nodes.append(node)
        }
        return nodes
    }

    // MARK: Attributes

    private static let known: Set<String> = [
        "id", "begin", "end", "dur", "repeatCount", "repeatDur", "src", "mediaName", "role", "noSkip", "noRecede", "clipBegin", "clipEnd",
    ]
    private static let without: Set<String> = ["syncEvent", "endSync", "fill", "title", "xmlns", "CacheID"]

    private mutating func common(_ element: MarkupElement, _ node: inout PlaylistNode) throws(PlaylistError) {
        let isMedia = node.media != nil
        for attribute in element.attributes where !Self.known.contains(attribute.name) {
            if Self.without.contains(attribute.name) || attribute.name.contains(":") {
                passed.note("\(attribute.name) of <\(element.name)> has no effect", line: element.line)
                continue
            }
            let meant = Self.known.first { ASCII.equalIgnoringCase($0, attribute.name) }
            throw PlaylistError(
                line: element.line, element: element.name, attribute: PlaylistError.shown(attribute.name),
                meant.map { "write it \($0): letters count" } ?? "there is no such attribute; take it out")
        }
        if !isMedia {
            for name in ["src", "mediaName", "role", "noSkip", "noRecede", "clipBegin", "clipEnd"] where element.value(name) != nil {
                throw PlaylistError(line: element.line, element: element.name, attribute: name, "it belongs to <media>")
            }
        }
        node.id = element.value("id")
        node.timing.begin = try instants(element, "begin")
        node.timing.end = try instants(element, "end")
        if let text = element.value("dur"), text != "indefinite", text != "media" {
            node.timing.duration = try clock(element, "dur", text)
        }
        if let text = element.value("repeatCount") {
            (node.timing.repeatCount, node.timing.repeatThousandths) = try count(element, text)
            if node.timing.repeatThousandths > 0, !isMedia, node.timing.duration == nil {
                throw PlaylistError(
                    line: element.line, element: element.name, attribute: "repeatCount",
                    "`\(PlaylistError.shown(text))`: what a part of a round is depends on all that is in it; write a whole number, or say by dur "
                        + "how long a round is")
            }
        }
        if let text = element.value("repeatDur") {
            node.timing.repeatDuration = text == "indefinite" ? .max : try clock(element, "repeatDur", text)
        }
    }

    private func clock(_ element: MarkupElement, _ name: String, _ text: String) throws(PlaylistError) -> UInt64 {
        if let value = ClockValue.smil(text) { return value }
        throw PlaylistError(
            line: element.line, element: element.name, attribute: name,
            "`\(PlaylistError.shown(text))` is no time; write 90s, 1.5min, 250ms, 02:30 or 01:02:30.5")
    }

    private func clip(_ element: MarkupElement, _ name: String) throws(PlaylistError) -> UInt64? {
        guard let text = element.value(name) else { return nil }
        return try clock(element, name, text.hasPrefix("npt=") ? String(text.dropFirst(4)) : text)
    }

    /// One instant, or several with semicolons between them.
    private func instants(_ element: MarkupElement, _ name: String) throws(PlaylistError) -> [PlaylistTiming.Instant] {
        guard let text = element.value(name) else { return [] }
        let parts = text.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)
        guard parts.count <= limits.instantsMax else {
            throw PlaylistError(
                line: element.line, element: element.name, attribute: name,
                "it has \(parts.count) instants; up to \(limits.instantsMax) are kept",
                limit: "instantsMax")
        }
        var instants: [PlaylistTiming.Instant] = []
        for part in parts { instants.append(try instant(element, name, String(decoding: Array(part)[...].trimmed, as: UTF8.self))) }
        return instants
    }

    private func instant(_ element: MarkupElement, _ name: String, _ text: String) throws(PlaylistError) -> PlaylistTiming.Instant {
        func problem(_ words: String) -> PlaylistError {
            PlaylistError(
                line: element.line, element: element.name, attribute: name, "`\(PlaylistError.shown(text))` \(words)")
        }
        if text == "indefinite" { return .indefinite }
        let bytes = Array(text.utf8)
        // `+5s` is `5s`.
        if let value = ClockValue.smil(bytes.first == UInt8(ascii: "+") ? String(decoding: bytes.dropFirst(), as: UTF8.self) : text) {
            return .offset(value)
        }
        if bytes.starts(with: "wallclock".utf8) {
            throw problem(
                "is a time of day, and playlists keep none: write an event (\(name)=\"Evening\") and say `weir playlist jump PATH Evening` at "
                    + "that time, by cron or a timer of systemd")
        }
        if bytes.first == UInt8(ascii: "-") { throw problem("would be before its turn; write a time from 0s on") }
        guard ASCII.lowercased(bytes.first ?? 0) &- 0x61 < 26, !bytes.contains(where: { "( )".utf8.contains($0) }), bytes.count <= 128
        else {
            throw problem(
                "is neither a time (90s, 02:30), nor `indefinite`, nor an event (Name, ID.begin, ID.end, ID.end+5s); several have `;` between "
                    + "them")
        }
        if let plus = bytes.lastIndex(of: UInt8(ascii: "+")) {
            guard let after = ClockValue.smil(String(decoding: bytes[(plus + 1)...], as: UTF8.self)) else {
                throw problem("has no time behind its `+`; write such as ID.end+5s")
            }
            return .event(String(decoding: bytes[..<plus], as: UTF8.self), after: after)
        }
        // A name may have a hyphen; an instant before another is known when it is over.
        if let minus = bytes.lastIndex(of: UInt8(ascii: "-")),
            ClockValue.smil(String(decoding: bytes[(minus + 1)...], as: UTF8.self)) != nil,
            bytes[..<minus].reversed().starts(with: ".end".utf8.reversed())
                || bytes[..<minus].reversed().starts(with: ".begin".utf8.reversed())
        {
            throw problem("is before what it refers to; only times behind that can be kept (ID.end+5s)")
        }
        return .event(text, after: 0)
    }

    /// `2`, `2.5` or `indefinite`: whole rounds, and thousandths of another.
    private func count(_ element: MarkupElement, _ text: String) throws(PlaylistError) -> (PlaylistTiming.Count, UInt32) {
        if text == "indefinite" { return (.indefinite, 0) }
        let parts = text.utf8.split(separator: ASCII.dot, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
        let digits = parts.count > 1 ? parts[1] : []
        guard let first = parts.first, let whole = ASCII.decimal(first[...], max: UInt64(UInt32.max)), parts.count == 1 || !digits.isEmpty,
            digits.allSatisfy(ASCII.isDigit),
            let part = ASCII.decimal(Array((digits + [0x30, 0x30, 0x30]).prefix(3))[...], max: 999), whole > 0 || part > 0
        else {
            throw PlaylistError(
                line: element.line, element: element.name, attribute: "repeatCount",
                "`\(PlaylistError.shown(text))` is no number of times; write a number above 0, such as 2 or 2.5, or indefinite")
        }
        return (.times(UInt32(whole)), UInt32(part))
    }

    private func flag(_ element: MarkupElement, _ name: String) throws(PlaylistError) -> Bool {
        switch element.value(name)?.lowercased() {
        case nil, "false", "0": return false
        case "true", "1": return true
        case let other?:
            throw PlaylistError(
                line: element.line, element: element.name, attribute: name, "`\(PlaylistError.shown(other))`: write true or false")
        }
    }

    private func rule(
        _ element: MarkupElement, _ name: String, _ allowed: [PlaylistPriority.Rule]
    ) throws(PlaylistError) -> PlaylistPriority.Rule? {
        guard let text = element.value(name) else { return nil }
        if let rule = PlaylistPriority.Rule(rawValue: text.lowercased()), allowed.contains(rule) { return rule }
        throw PlaylistError(
            line: element.line, element: element.name, attribute: name,
            "`\(PlaylistError.shown(text))`: write one of \(allowed.map(\.rawValue).joined(separator: ", "))")
    }

    private static func descriptions(_ element: MarkupElement) -> [PlaylistDescription] {
        element.attributes.map { PlaylistDescription(name: $0.name, value: $0.value) }
    }
}
