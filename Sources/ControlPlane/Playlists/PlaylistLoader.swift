import Glibc
import Signalling
import WireFormats

/// Reads a playlist with everything that it names: playlists within it, directories, files beside it. Blocks: not on the event loop.
struct PlaylistLoader {
    /// A playlist that cannot be used, in words that begin with its file and line.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
        /// The limit that was met, where it was one.
        var limit: String?
        /// The files and directories that were read until then, as they were before that.
        var marks: [FileMark] = []
    }

    /// What was read.
    struct Loaded: Sendable {
        var root: PlaylistNode
        /// Every file and directory that a change of which changes it.
        var marks: [FileMark]
        /// What was passed over, with file and line.
        var warnings: [String]
        /// The limits that parts of it met; these parts are not played.
        var limitsMet: [String]
    }

    /// A file as it was when it was read.
    struct FileMark: Sendable, Equatable {
        var name: String
        var inode: UInt64
        var byteCount: Int64
        var seconds: Int
        var nanoseconds: Int

        /// As it is now; zeros for one that is not there.
        init(_ name: String) {
            self.name = name
            var facts = stat()
            let isThere = unsafe stat(name, &facts) == 0
            inode = isThere ? UInt64(facts.st_ino) : 0
            byteCount = isThere ? Int64(facts.st_size) : 0
            seconds = isThere ? Int(facts.st_mtim.tv_sec) : 0
            nanoseconds = isThere ? Int(facts.st_mtim.tv_nsec) : 0
        }

        var isCurrent: Bool { self == FileMark(name) }
    }

    private let limits: PlaylistLimits
    private var marks: [FileMark] = []
    private var warnings: [String] = []
    private var limitsMet: [String] = []
    private var elements = 0

    private init(limits: PlaylistLimits) { self.limits = limits }

    /// Reads a file. What is wrong with it itself throws; what is wrong with what it names becomes an entry that cannot be opened.
    static func load(_ name: String, limits: PlaylistLimits) throws(Trouble) -> Loaded {
        var loader = PlaylistLoader(limits: limits)
        let root: PlaylistNode
        do throws(Trouble) { root = try loader.playlist(name, within: []) } catch {
            var trouble = error
            trouble.marks = loader.marks
            throw trouble
        }
        return Loaded(root: root, marks: loader.marks, warnings: loader.warnings, limitsMet: loader.limitsMet)
    }

    private static let listEndings = [".wsx", ".asx", ".wax", ".wvx", ".wmx", ".smil"]
    private static let mediaEndings = [".asf", ".wmv", ".wma", ".wm"]

    /// Whether a file is meant as a playlist, by its name.
    static func isPlaylist(named name: String) -> Bool {
        let name = name.lowercased()
        return listEndings.contains { name.hasSuffix($0) }
    }

    /// Whether a file that is there begins as a playlist does.
    static func isPlaylist(content name: String) -> Bool { (try? FileBytes.prefix(name, count: 512)).map(Playlist.isOne) ?? false }

    /// Where one more entry of a list in that file is found: playlists and directories are not taken apart.
    static func location(of source: String, beside file: String) -> PlaylistMedia.Location {
        switch place(source, beside: file) {
        case .location(let location): return location
        case .file(let name):
            guard !isDirectory(name), !isPlaylist(named: name) else {
                return .broken("\(name) is a list itself; write it into the file \(file), which is read anew at once")
            }
            return .file(name)
        }
    }

    // MARK: Inside

    private mutating func playlist(_ name: String, within outer: [String]) throws(Trouble) -> PlaylistNode {
        guard outer.count < limits.depthMax else {
            throw Trouble(description: "\(name): playlists are nested deeper than \(limits.depthMax)", limit: "depthMax")
        }
        let real = Self.real(name)
        guard !outer.contains(real) else { throw Trouble(description: "\(name) contains itself") }
        // The mark first: a change while it is read is a change.
        marks.append(FileMark(name))
        let bytes: [UInt8]
        do throws(FileBytes.Trouble) { bytes = try FileBytes.prefix(name, count: limits.bytesMax + 1) } catch {
            throw Trouble(description: error.description)
        }
        let list: Playlist
        do throws(PlaylistError) { list = try Playlist(bytes, limits: limits) } catch {
            throw Trouble(description: error.line == nil ? "\(name): \(error)" : "\(name):\(error)", limit: error.limit)
        }
        warnings += list.ignored.map { "\(name):\($0)" }
        var root = list.root
        try resolve(&root, file: name, within: outer + [real])
        return root
    }

    private mutating func resolve(_ node: inout PlaylistNode, file: String, within outer: [String]) throws(Trouble) {
        elements += 1
        guard elements <= limits.entriesMax else {
            throw Trouble(
                description: "\(file):\(node.line): with it there are more than \(limits.entriesMax) elements in all", limit: "entriesMax")
        }
        guard case .media(var media) = node.kind else {
            var children = node.children
            for index in children.indices { try resolve(&children[index], file: file, within: outer) }
            node.children = children
            return
        }
        switch Self.place(media.source, beside: file) {
        case .location(let location): media.location = location
        case .file(let name):
            if Self.isDirectory(name) || Self.isPlaylist(named: name) {
                if media.clipBegin != nil || media.clipEnd != nil {
                    warnings.append("\(file):\(node.line): clipBegin and clipEnd have no effect on a list")
                }
                do throws(Trouble) {
                    node.kind = .sequence(try nested(name, media, within: outer))
                    return
                } catch {
                    // The whole cannot be held: that is no matter of one entry.
                    if error.limit == "entriesMax" { throw error }
                    if let limit = error.limit { limitsMet.append(limit) }
                    media.location = .broken(error.description)
                }
            } else {
                media.location = .file(name)
            }
        }
        node.kind = .media(media)
    }

    /// What stands in a playlist or a directory, with what is said about it here.
    private mutating func nested(_ name: String, _ media: PlaylistMedia, within outer: [String]) throws(Trouble) -> [PlaylistNode] {
        var nodes = Self.isDirectory(name) ? try directory(name, within: outer) : [try playlist(name, within: outer)]
        func inherit(_ node: inout PlaylistNode) {
            if case .media(var inner) = node.kind {
                inner.role = inner.role ?? media.role
                inner.forbidsSkipping = inner.forbidsSkipping || media.forbidsSkipping
                inner.forbidsReceding = inner.forbidsReceding || media.forbidsReceding
                node.kind = .media(inner)
            }
            var children = node.children
            for index in children.indices { inherit(&children[index]) }
            node.children = children
        }
        for index in nodes.indices { inherit(&nodes[index]) }
        return nodes
    }

    /// The ASF files, playlists and directories of a directory, by name.
    private mutating func directory(_ name: String, within outer: [String]) throws(Trouble) -> [PlaylistNode] {
        let real = Self.real(name)
        guard outer.count < limits.depthMax else {
            throw Trouble(description: "\(name): directories are nested deeper than \(limits.depthMax)", limit: "depthMax")
        }
        guard !outer.contains(real) else { throw Trouble(description: "\(name) contains itself") }
        marks.append(FileMark(name))
        var nodes: [PlaylistNode] = []
        for entry in try Self.names(in: name, max: limits.entriesMax) {
            let path = name.hasSuffix("/") ? name + entry : "\(name)/\(entry)"
            let lowered = entry.lowercased()
            guard Self.isDirectory(path) || (Self.mediaEndings + Self.listEndings).contains(where: { lowered.hasSuffix($0) }) else {
                continue
            }
            // A slash keeps it from being taken for a file beside the directory.
            var node = PlaylistNode(line: 0, kind: .media(PlaylistMedia(source: path)))
            try resolve(&node, file: path, within: outer + [real])
            nodes.append(node)
        }
        return nodes
    }

    // MARK: Names

    private enum Place {
        case location(PlaylistMedia.Location)
        case file(String)
    }

    /// What a `src` means to a list in that file.
    private static func place(_ source: String, beside file: String) -> Place {
        if let range = source.firstRange(of: "://") {
            let rest = String(source[range.upperBound...])
            switch source[..<range.lowerBound].lowercased() {
            case "file": return .file(local(rest.hasPrefix("localhost/") ? String(rest.dropFirst(9)) : rest, beside: file))
            case "lpp":
                let name = PathSettings.trimmed(rest)
                return .location(name.isEmpty ? .broken("\(source) names no path of this relay: lpp://NAME") : .path(name))
            case _ where WMSPSourceURL.isOne(source):
                do throws(WMSPSourceURL.Trouble) {
                    let url = try WMSPSourceURL(source)
                    let path = url.target.prefix { $0 != "?" }
                    guard !isPlaylist(named: String(path)) || source.lowercased().hasPrefix("mms") else {
                        return .location(.broken("\(url) is a playlist elsewhere; only those in files here are read"))
                    }
                    return .location(.url(source))
                } catch { return .location(.broken(error.description)) }
            case let scheme:
                return .location(
                    .broken(
                        "`\(PeerWords.printable(String(scheme.prefix(32))))://` cannot stand in a playlist; files and lpp://PATH can"
                    ))
            }
        }
        return .file(local(source, beside: file))
    }

    /// A name as it is here: beside the list unless it says otherwise, with either slash.
    private static func local(_ source: String, beside file: String) -> String {
        let isFromWindows = source.contains("\\") && FileMark(source).inode == 0
        let name = isFromWindows ? String(source.map { $0 == "\\" ? "/" : $0 }) : source
        if name.hasPrefix("/") { return name }
        guard let slash = file.lastIndex(of: "/") else { return name }
        return String(file[...slash]) + name
    }

    private static func isDirectory(_ name: String) -> Bool {
        var facts = stat()
        return unsafe stat(name, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
    }

    private static func real(_ name: String) -> String {
        guard let path = unsafe realpath(name, nil) else { return name }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }

    private static func names(in directory: String, max: Int) throws(Trouble) -> [String] {
        guard let handle = unsafe opendir(directory) else {
            throw Trouble(description: "cannot read the directory \(directory): \(ControlPlace.words(errno))")
        }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard !name.hasPrefix(".") else { continue }
            names.append(name)
            guard names.count <= max else {
                throw Trouble(description: "\(directory) has more than \(max) entries", limit: "entriesMax")
            }
        }
        return names.sorted()
    }
}
