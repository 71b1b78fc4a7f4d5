import NIOCore
import Signalling
import WireFormats

/// One question to an origin: GetContentInfo; where it does not know that, Describe. Redirections and the ways of the route are followed.
///
/// An encoder that bears one connection (`ffmpeg -listen 1`) is not to be asked: the question ends it.
final class OriginQuestion {
    /// So long a connection, and each answer, may take.
    static let silenceMilliseconds = 3_000

    private var run: OriginErrandRun?

    /// Asks at once; `done` is called once, never before this returns. The caller makes it single-flight. `means: .describe` skips GetContentInfo.
    @discardableResult
    static func ask(
        _ route: OriginRoute, _ call: OriginCall, _ tools: OriginTools, means: OriginStatement.Means = .contentInfo,
        _ done: @escaping (OriginReply) -> Void
    ) -> OriginQuestion {
        let question = OriginQuestion()
        let errand: OriginOrder.Errand = means == .contentInfo ? .contentInfo : .media
        question.run = OriginErrandRun(route, errand, call, tools) { outcome in
            question.run = nil
            done(reply(outcome))
        }
        return question
    }

    /// `done` is not called any more.
    func cancel() {
        run?.cancel()
        run = nil
    }

    private static func reply(_ outcome: OriginErrandRun.Outcome) -> OriginReply {
        switch outcome {
        case .answered(let link, let course):
            .says(course.statement(of: link, means: .contentInfo, header: nil, metadata: nil))
        case .described(let link, let course, let header, let metadata):
            // What cannot be read is no reason not to know what was said of it.
            .says(course.statement(of: link, means: .describe, header: try? ASFHeader(header.span), metadata: metadata))
        case .failed(let failure):
            switch failure {
            case .unreachable(let words), .broken(let words): .unreachable(words)
            case .challenged(let challenge): .challenged(challenge)
            case .redirection(let words): .redirected(words)
            case .refused(let status, let words): .refused(status: status, words)
            case .unsuitable(let words), .plain(let words), .lying(let words): .plain(words)
            }
        }
    }
}

/// What is told an origin without a session.
enum OriginErrand {
    /// Tells an origin of an event, made when it is known under which address of this relay the origin sees it. `done` is called once, never before
    /// this returns, within ``OriginQuestion/silenceMilliseconds`` for each connection and answer.
    static func deliver(
        to route: OriginRoute, _ call: OriginCall, _ tools: OriginTools, _ event: @escaping (_ localAddress: String?) -> RemoteEvent,
        _ done: @escaping (OriginDelivery) -> Void
    ) {
        _ = OriginErrandRun(route, .event(event), call, tools) { outcome in done(delivery(outcome)) }
    }

    private static func delivery(_ outcome: OriginErrandRun.Outcome) -> OriginDelivery {
        switch outcome {
        case .answered, .described: .delivered
        case .failed(let failure):
            switch failure {
            case .refused(let status, let words):
                // 454 of RTSP and the like are the same the next time.
                [408, 429].contains(status) || (500...599).contains(status) && status != 501 && status != 505 && status != 551
                    ? .unreachable(words) : .refused(words)
            case .unreachable(let words), .broken(let words): .unreachable(words)
            case .challenged(let challenge): .refused("the origin wants to know who tells it (\(challenge.status))")
            case .redirection(let words), .unsuitable(let words), .plain(let words), .lying(let words): .refused(words)
            }
        }
    }
}

/// One thing that is asked or told, wherever that leads. Keeps itself until it is done.
final class OriginErrandRun {
    enum Outcome {
        case answered(any OriginLink, OriginCourse)
        case described(any OriginLink, OriginCourse, header: [UInt8], WMSPMetadata?)
        case failed(OriginLinkFailure)
    }

    private let order: OriginOrder
    private var course: OriginCourse
    private var link: (any OriginLink)?
    private var done: ((Outcome) -> Void)?
    /// What somebody answered, should the other ways lead nowhere.
    private var answer: OriginLinkFailure?
    private var keeper: OriginErrandRun?

    init(
        _ route: OriginRoute, _ errand: OriginOrder.Errand, _ call: OriginCall, _ tools: OriginTools, _ done: @escaping (Outcome) -> Void
    ) {
        order = OriginOrder(
            errand: errand, call: call, tools: tools, answerMilliseconds: UInt64(OriginQuestion.silenceMilliseconds),
            connectMilliseconds: Int64(OriginQuestion.silenceMilliseconds))
        course = OriginCourse(route, permits: call.permits)
        self.done = done
        keeper = self
        tools.eventLoop.assumeIsolated().execute { [self] in dial() }
    }

    func cancel() {
        done = nil
        over()
    }

    private func over() {
        link?.drop()
        link = nil
        keeper = nil
    }

    private func dial() {
        guard done != nil else { return }
        let link = order.link(to: course.target, passes: course.isSameHost)
        self.link = link
        link.onEvent = { [weak self] event in self?.heard(event) }
        link.dial()
    }

    private func heard(_ event: OriginLinkEvent) {
        guard let link else { return }
        switch event {
        case .answered:
            course.succeeded()
            finish(.answered(link, course))
        case .described(let header, let metadata):
            course.succeeded()
            finish(.described(link, course, header: header, metadata))
        case .redirectedHTTP(let url): follow(course.follow(http: url))
        case .redirectedRTSP(let url): follow(course.follow(rtsp: url, order.tools.dialler.refusal))
        case .failed(let failure): failed(failure)
        case .playing, .packet, .flushed, .entered, .finished: break
        }
    }

    private func follow(_ refusal: String?) {
        if let refusal { return finish(.failed(.redirection(refusal))) }
        link?.drop()
        dial()
    }

    private func failed(_ failure: OriginLinkFailure) {
        switch failure {
        case .challenged, .redirection: return finish(.failed(failure))
        case .unreachable, .broken: break
        // Any answer is more than none.
        case .refused, .unsuitable, .plain, .lying: if answer == nil { answer = failure }
        }
        link?.drop()
        guard course.nextWay() else { return finish(.failed(answer ?? failure)) }
        dial()
    }

    private func finish(_ outcome: Outcome) {
        let done = done
        self.done = nil
        done?(outcome)
        over()
    }
}

extension OriginCourse {
    /// What a server said, so far.
    func statement(
        of link: any OriginLink, means: OriginStatement.Means, header: ASFHeader?, metadata: WMSPMetadata?
    ) -> OriginStatement {
        var features = link.features
        if let told = metadata?.features { features = told }
        var isHTTP = false
        if case .http = target { isHTTP = true }
        var statement = OriginStatement(
            dialect: isHTTP ? .wmsp : .rtsp, means: means, terms: link.terms, features: features, header: header)
        statement.openedBy = link.openedBy
        statement.server = link.server
        if isDetour { statement.movedTo = target.text }
        return statement
    }
}
