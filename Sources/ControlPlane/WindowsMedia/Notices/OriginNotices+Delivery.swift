import Logging
import NIOCore
import Signalling
import WireFormats

extension OriginNotices {
    /// Tells origins what they asked for: as the path does whose source they are, with the name and password of its URL, else as anybody. What
    /// waits is kept in the cache's index, where there is a cache.
    func begin(_ paths: PathTable, _ desk: CacheDesk?, _ forwarding: ForwardProxy? = nil, eventLoop: any EventLoop, logger: Logger) {
        deliver = { [weak paths] notice, done in
            let path = paths?.all.first { $0.windowsMediaProxy?.parts.route.origin == notice.url }
            guard let route = path?.windowsMediaProxy?.origin ?? Self.route(notice.url) else {
                return done(.refused("\(notice.url.prefix(256)) is no URL of Windows Media"))
            }
            let isHTTP = !notice.url.hasPrefix("rtsp")
            let settings = path?.settings
            let call = OriginCall(
                isCache: true, asker: SourceAsker(agent: notice.agent, verb: isHTTP ? "POST" : "SET_PARAMETER"), via: path?.via,
                maxForwards: Int(RelayTrail.forwardsDefault), permits: { settings?.permits($0) ?? true })
            // What a player named leads where players may lead it, also when its path is gone.
            let dialler = path?.windowsMediaProxy?.parts.dialler ?? forwarding?.dialler(for: notice.url) ?? .tcp
            let tools = OriginTools(eventLoop: eventLoop, dialler: dialler, logger: logger)
            OriginErrand.deliver(to: route, call, tools, { notice.event(from: $0) }) { delivery in
                switch delivery {
                case .delivered: done(.taken)
                case .refused(let words): done(.refused(words))
                case .unreachable(let words): done(.away(words))
                }
            }
        }
        guard let desk else { return }
        keep(
            in: NoticeTable(logger: logger) { transaction in
                desk.writing { store in try store.index.write(transaction) }
            })
    }

    /// How content of that URL is reached that is no path's source.
    private static func route(_ url: String) -> OriginRoute? {
        if WMSPSourceURL.isOne(url) { return (try? WMSPSourceURL(url)).map { OriginRoute(WindowsMediaRoute($0)) } }
        return (try? SourceURL(url)).map { OriginRoute(WindowsMediaRoute($0, transport: .tcp)) }
    }
}
