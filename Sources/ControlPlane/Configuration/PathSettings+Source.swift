import Signalling
import WireFormats

extension PathSettings.Source {
    private static let windowsMediaEndings = [".asf", ".wmv", ".wma", ".wm"]

    /// The host that is dialled; nil for a source that dials none, or by no URL of ours.
    var host: String? {
        switch self {
        case .pull(let url): url.host
        case .windowsMedia(let url): url.host
        default: nil
        }
    }

    /// The place that is dialled, without user information, and whether that has any; nil as ``host``.
    var place: (url: String, isGuarded: Bool)? {
        switch self {
        case .pull(let url): (url.request, url.credentials != nil)
        case .windowsMedia(let url): (url.whole, url.credentials != nil)
        default: nil
        }
    }

    /// Reads what names that match an expression are served from: `publish`, or a URL of RTSP or Windows Media with places for what groups matched.
    init(_ text: String, for expression: NameExpression) throws(ValueProblem) {
        guard text != "publish" else {
            self = .publish
            return
        }
        let scheme = text.firstRange(of: "://").map { text[..<$0.lowerBound].lowercased() }
        guard let scheme, ["rtsp", "rtspt", "rtspu", "rtsph"].contains(scheme) || WMSPSourceURL.isOne(text) else {
            throw ValueProblem(
                "the source of an expression is publish or an rtsp:// or mmsh:// URL, with $1 where the first group's text goes")
        }
        self = .template(try URLTemplate(text, for: expression))
    }

    /// Reads `publish`, an `rtsp://` or `rtp://` URL or the name of an SDP or rtpdump file. The words of the error hold no password.
    ///
    /// With `takesCustom` a URL of an unknown scheme is one for code of the program that embeds Weir; whether there is such code is asked later.
    package init(_ text: String, takesCustom: Bool = false) throws(ValueProblem) {
        if text.isEmpty { throw ValueProblem("it is empty; write an rtsp:// URL, a file (.rtpdump) or publish") }
        if text == "publish" {
            self = .publish
            return
        }
        if RTPSource.isMeant(by: text) {
            self = .rtp(try RTPSource(text))
            return
        }
        if WMSPSourceURL.isOne(text) {
            do throws(WMSPSourceURL.Trouble) { self = .windowsMedia(try WMSPSourceURL(text)) } catch {
                throw ValueProblem(error.description)
            }
            return
        }
        guard let colon = text.firstRange(of: "://") else {
            if Self.windowsMediaEndings.contains(where: { text.lowercased().hasSuffix($0) }) {
                self = .windowsMediaFile(text)
                return
            }
            if PlaylistLoader.isPlaylist(named: text) || !text.hasSuffix(".rtpdump") && PlaylistLoader.isPlaylist(content: text) {
                self = .playlist(text)
                return
            }
            guard text.hasSuffix(".rtpdump") else {
                throw ValueProblem(
                    "`\(text)` is neither a URL nor a file that can be played; write an rtsp:// URL, a file that ends in .asf, .wmv, .wma, "
                        + ".wsx, .asx, .sdp or .rtpdump, or publish")
            }
            self = .file(text)
            return
        }
        let scheme = text[..<colon.lowerBound].lowercased()
        guard ["rtsp", "rtspt", "rtspu", "rtsph"].contains(scheme) else {
            if takesCustom, let url = CustomURL(text) {
                self = .custom(url)
                return
            }
            throw ValueProblem(
                "a source of the kind `\(scheme)://` is not built; write an rtsp:// or mmsh:// URL, a file (.asf, .wmv, .rtpdump) or publish"
            )
        }
        do throws(SourceURL.Trouble) { self = .pull(try SourceURL(text)) } catch { throw ValueProblem(error.description) }
    }
}

extension PathSettings {
    /// Opens a file source to see whether it can be played; says what is wrong with it. Other sources are not looked at: Weir
    /// listens even if a server is down.
    package func checkFile() throws(ValueProblem) {
        if case .clip(let name) = slate { _ = try SlateClip(file: name) }
        for source in [source] + redundancy.backups { try checkFile(source) }
    }

    private func checkFile(_ source: Source) throws(ValueProblem) {
        switch source {
        case .file(let name): do throws(Clip.Trouble) { _ = try Clip.read(name) } catch { throw ValueProblem(error.description) }
        case .rtp(let source): _ = try ReceptionPlan.read(source)
        case .windowsMediaFile(let name):
            do { _ = try WindowsMediaFile.open(name) } catch { throw ValueProblem("\(error)") }
        case .playlist(let name):
            do throws(PlaylistLoader.Trouble) { _ = try PlaylistLoader.load(name, limits: playlist.limits) } catch {
                throw ValueProblem(error.description)
            }
        case .publish, .pull, .demonstration, .template, .redirect, .custom, .windowsMedia: break
        }
    }

    /// A path from the words of the command line; nil keeps a default.
    package init(name: String, source: String, transport: String?, dial: String?) throws(ValueProblem) {
        if let problem = ConfigurationReader.problem(ofName: name) { throw ValueProblem("the name `\(name)`: \(problem)") }
        self.init(name: name, source: try Source(source))
        if let transport { self.transport = try SettingValue.word(transport, of: Transport.self) }
        if let dial { self.dial = try SettingValue.word(dial, of: Dial.self) }
    }
}
