import WireFormats

/// A playlist with all that it names found and numbered: what cursors walk through. Edits give another version; numbers of what stays stay.
package struct PlaylistDocument: Sendable, Equatable {
    /// A sequence of everything. Its number is 0.
    package private(set) var root: PlaylistNode
    /// One more with each edit.
    package private(set) var version = 1
    /// Elements in all, the root not counted.
    package private(set) var nodeCount = 0
    /// Of these, how many are something to play.
    package private(set) var mediaCount = 0
    /// Where edits end.
    package let entriesMax: Int

    private var nextNumber: UInt32 = 1

    /// A document of a tree, whose nodes it numbers in the order of the file. More than `entriesMax` are for whoever loads it to refuse.
    package init(_ root: PlaylistNode, entriesMax: Int = PlaylistLimits().entriesMax) {
        self.root = root
        self.entriesMax = entriesMax
        self.root.number = 0
        var none = KnownNumbers([:])
        var root = self.root
        number(&root, known: &none)
        self.root = root
        count()
    }

    /// What became of the file: what is as it was keeps its number, wherever it stands now. What was inserted by hand is gone.
    package func reloaded(as root: PlaylistNode) -> PlaylistDocument {
        var known: [Key: [UInt32]] = [:]
        Self.walk(self.root) { node, _, _ in if node.number > 0 { known[Key(node), default: []].append(node.number) } }
        // The first of several equal ones is the first again.
        var numbers = KnownNumbers(known.mapValues { Array($0.reversed()) })
        var document = self
        var root = root
        root.number = 0
        document.number(&root, known: &numbers)
        document.root = root
        document.version &+= 1
        document.count()
        return document
    }

    // MARK: Edits

    /// Puts something behind the element of that number (or at the end), and says its number.
    package mutating func insert(_ media: PlaylistMedia, after number: UInt32?) throws(PlaylistRefusal) -> UInt32 {
        guard nodeCount < entriesMax else { throw .full(entriesMax: entriesMax) }
        var node = PlaylistNode(line: 0, kind: .media(media))
        node.number = take()
        let isDone: Bool
        if let number {
            isDone = Self.edit(&root) { children in
                guard let place = children.firstIndex(where: { $0.number == number }) else { return false }
                children.insert(node, at: place + 1)
                return true
            }
        } else {
            root.children.append(node)
            isDone = true
        }
        guard isDone else { throw .unknown(number.map(String.init) ?? "") }
        version &+= 1
        count()
        return node.number
    }

    /// Takes an element out, with all that is in it.
    package mutating func remove(_ number: UInt32) throws(PlaylistRefusal) {
        let isDone = Self.edit(&root) { children in
            guard let place = children.firstIndex(where: { $0.number == number }) else { return false }
            children.remove(at: place)
            return true
        }
        guard isDone else { throw .unknown(String(number)) }
        version &+= 1
        count()
    }

    // MARK: Looking

    /// One line of a listing.
    package struct Row: Sendable, Hashable {
        package var node: PlaylistNode
        /// How many groups it stands in, the whole not counted.
        package var depth: Int
        /// The numbers of these groups, the outermost first, the whole not counted.
        package var groups: [UInt32]
    }

    /// Every element but the root, in the order of the file.
    package var rows: [Row] {
        var rows: [Row] = []
        rows.reserveCapacity(nodeCount)
        Self.walk(root) { node, depth, groups in if depth > 0 { rows.append(Row(node: node, depth: depth - 1, groups: groups)) } }
        return rows
    }

    /// The element that a person means: by number, `id`, `mediaName`, source, or the last part of the source.
    package func find(_ name: String) throws(PlaylistRefusal) -> UInt32 {
        var found: [[UInt32]] = Array(repeating: [], count: 5)
        Self.walk(root) { node, depth, _ in
            guard depth > 0 else { return }
            if String(node.number) == name { found[0].append(node.number) }
            if node.id == name { found[1].append(node.number) }
            guard let media = node.media else { return }
            if media.name == name { found[2].append(node.number) }
            if media.source == name { found[3].append(node.number) }
            if media.source.split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init) == name {
                found[4].append(node.number)
            }
        }
        for numbers in found {
            if let first = numbers.first {
                guard numbers.count == 1 else { throw .ambiguous(name, Array(numbers.prefix(16))) }
                return first
            }
        }
        throw .unknown(name)
    }

    /// The elements from the root's child to the element of that number; nil without such an element.
    package func trail(to number: UInt32) -> [PlaylistNode]? {
        func search(_ node: PlaylistNode) -> [PlaylistNode]? {
            for child in node.children {
                if child.number == number { return [child] }
                if let rest = search(child) { return [child] + rest }
            }
            return nil
        }
        return search(root)
    }

    // MARK: Numbers

    /// What makes two elements the same to a person who edits a file.
    private struct Key: Hashable {
        var kind: Int
        var id: String?
        var media: PlaylistMedia?

        init(_ node: PlaylistNode) {
            id = node.id
            media = node.media
            // Where it is found may change without another word in the file.
            media?.location = .unresolved
            kind =
                switch node.kind {
                case .media: 0
                case .sequence: 1
                case .alternatives: 2
                case .exclusive: 3
                }
        }
    }

    private struct KnownNumbers {
        var numbers: [Key: [UInt32]]

        init(_ numbers: [Key: [UInt32]]) { self.numbers = numbers }

        mutating func take(_ key: Key) -> UInt32? { numbers[key]?.popLast() }
    }

    private mutating func take() -> UInt32 {
        defer { nextNumber = nextNumber == .max ? 1 : nextNumber + 1 }
        return nextNumber
    }

    private mutating func number(_ node: inout PlaylistNode, known: inout KnownNumbers) {
        var children = node.children
        for index in children.indices {
            children[index].number = known.take(Key(children[index])) ?? take()
            number(&children[index], known: &known)
        }
        node.children = children
    }

    private mutating func count() {
        nodeCount = 0
        mediaCount = 0
        Self.walk(root) { node, depth, _ in
            if depth > 0 { nodeCount += 1 }
            if node.media != nil { mediaCount += 1 }
        }
    }

    private static func walk(_ node: PlaylistNode, _ visit: (PlaylistNode, _ depth: Int, _ groups: [UInt32]) -> Void) {
        func step(_ node: PlaylistNode, _ depth: Int, _ groups: [UInt32]) {
            visit(node, depth, groups)
            for child in node.children { step(child, depth + 1, depth == 0 ? [] : groups + [node.number]) }
        }
        step(node, 0, [])
    }

    /// Offers the children of every element to `change`, until it says that it has changed them.
    private static func edit(_ node: inout PlaylistNode, _ change: (inout [PlaylistNode]) -> Bool) -> Bool {
        var children = node.children
        if change(&children) {
            node.children = children
            return true
        }
        for index in children.indices where edit(&children[index], change) {
            node.children = children
            return true
        }
        return false
    }
}
