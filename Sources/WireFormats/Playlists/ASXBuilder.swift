/// Makes a playlist of `<asx>` markup, whose names come in small letters.
struct ASXBuilder {
    private var passed = PassedOver()
    private var base = ""

    var ignored: [String] { passed.words }

    /// What describes, and under which name players know it.
    private static let told = ["title": "title", "author": "author", "copyright": "copyright", "abstract": "description"]
    private static let without: Set<String> = [
        "banner", "moreinfo", "logo", "param", "event", "startmarker", "endmarker", "previewduration", "language", "description", "skin",
    ]

    mutating func root(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        base = element.children.first { $0.name == "base" }?.value("href") ?? ""
        return try sequence(element, isRoot: true)
    }

    private mutating func sequence(_ element: MarkupElement, isRoot: Bool = false) throws(PlaylistError) -> PlaylistNode {
        var children: [PlaylistNode] = []
        var descriptions: [PlaylistDescription] = []
        for child in element.children {
            switch child.name {
            case "entry": children.append(try entry(child))
            case "entryref": children.append(PlaylistNode(line: child.line, kind: .media(try media(child))))
            case "repeat": children.append(try repetition(child))
            case "base": break
            case let name: try describe(child, name, within: element.name, &descriptions)
            }
        }
        var node = PlaylistNode(line: element.line, kind: .sequence(children))
        node.descriptions = descriptions
        return node
    }

    /// `count` times, or for ever.
    private mutating func repetition(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        var node = try sequence(element)
        guard let text = element.value("count") else {
            node.timing.repeatCount = .indefinite
            return node
        }
        guard let count = ASCII.decimal(Array(text.utf8)[...].trimmed, max: UInt64(UInt32.max)) else {
            throw PlaylistError(
                line: element.line, element: "repeat", attribute: "count",
                "`\(PlaylistError.shown(text))` is no number; leave it out to repeat for ever")
        }
        node.timing.repeatCount = .times(UInt32(max(count, 1)))
        return node
    }

    /// Its `ref`s say where the same can be found: the first that opens plays.
    private mutating func entry(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        var refs: [PlaylistNode] = []
        var descriptions: [PlaylistDescription] = []
        var duration: UInt64?, start: UInt64?
        let outer = base
        defer { base = outer }
        if let own = element.children.first(where: { $0.name == "base" })?.value("href") { base = own }
        for child in element.children {
            switch child.name {
            case "ref": refs.append(try ref(child))
            case "duration": duration = try clock(child)
            case "starttime": start = try clock(child)
            case "base": break
            case let name: try describe(child, name, within: "entry", &descriptions)
            }
        }
        guard !refs.isEmpty else {
            throw PlaylistError(line: element.line, element: "entry", "it has no <ref href=\"…\"/>, so there is nothing to play")
        }
        let isFixed = element.value("clientskip")?.lowercased() == "no"
        for index in refs.indices {
            guard case .media(var media) = refs[index].kind else { continue }
            media.clipBegin = media.clipBegin ?? start
            media.forbidsSkipping = isFixed
            media.name = descriptions.first { $0.name == "title" }?.value
            refs[index].kind = .media(media)
            refs[index].timing.duration = refs[index].timing.duration ?? duration
        }
        var node = refs[0]
        if refs.count > 1 { node = PlaylistNode(line: element.line, kind: .alternatives(refs)) }
        node.descriptions = descriptions
        return node
    }

    private mutating func ref(_ element: MarkupElement) throws(PlaylistError) -> PlaylistNode {
        var media = try media(element)
        var duration: UInt64?
        for child in element.children {
            switch child.name {
            case "duration": duration = try clock(child)
            case "starttime": media.clipBegin = try clock(child)
            case let name:
                var none: [PlaylistDescription] = []
                try describe(child, name, within: "ref", &none)
            }
        }
        var node = PlaylistNode(line: element.line, kind: .media(media))
        node.timing.duration = duration
        return node
    }

    private func media(_ element: MarkupElement) throws(PlaylistError) -> PlaylistMedia {
        guard let source = element.value("href"), !source.isEmpty else {
            throw PlaylistError(line: element.line, element: element.name, attribute: "href", "it is missing; name what to play")
        }
        return PlaylistMedia(source: source.utf8.end(ofFirst: "://") != nil ? source : base + source)
    }

    private func clock(_ element: MarkupElement) throws(PlaylistError) -> UInt64 {
        guard let text = element.value("value") else {
            throw PlaylistError(line: element.line, element: element.name, attribute: "value", "it is missing; write hh:mm:ss.fff")
        }
        if let value = ClockValue.asx(text) { return value }
        throw PlaylistError(
            line: element.line, element: element.name, attribute: "value", "`\(PlaylistError.shown(text))` is no time; write hh:mm:ss.fff")
    }

    private mutating func describe(
        _ element: MarkupElement, _ name: String, within: String, _ descriptions: inout [PlaylistDescription]
    ) throws(PlaylistError) {
        if let told = Self.told[name], element.value("value") == nil {
            // `description` beside `abstract` says the same.
            descriptions.append(PlaylistDescription(name: told, value: element.text))
        } else if Self.without.contains(name) {
            passed.note("<\(name)> has no effect", line: element.line)
            if name == "event" { return }
        } else {
            throw PlaylistError(
                line: element.line, element: PlaylistError.shown(name),
                "there is no such element in <\(within)>; ASX has entry, ref, entryref, repeat, base, title, author, abstract, copyright, "
                    + "starttime, duration, event, param and a few that have no effect here")
        }
    }
}
