import WireFormats

extension WMSPClient {
    // MARK: The feedback link

    /// Feedback goes one after the other; what would wait for too many is left out. Events of players' logs come last: an origin that waits
    /// for a choice of streams sends nothing more until it has it.
    mutating func ask(_ what: Feedback) {
        guard phase != .over else { return }
        guard feedback != nil else {
            feedback = what
            feedbackIncoming = Incoming()
            feedbackIncoming.deadline = now &+ settings.answerMilliseconds
            actions.append(.connect(.feedback))
            return
        }
        let firstEvent = waiting.firstIndex { $0.isEvent } ?? waiting.count
        if what.isEvent {
            guard waiting.last != what else { return }
            if waiting.count < Self.feedbackMax { waiting.append(what) } else { feedbackDropped += 1 }
        } else {
            guard firstEvent == 0 || waiting[firstEvent - 1] != what else { return }
            if firstEvent < Self.feedbackMax { waiting.insert(what, at: firstEvent) } else { feedbackDropped += 1 }
            if waiting.count > Self.feedbackMax {
                waiting.removeLast()
                feedbackDropped += 1
            }
        }
    }

    mutating func endFeedback(closing: Bool = false) {
        if closing { actions.append(.close(.feedback)) }
        feedback = nil
        if waiting.isEmpty { leaveIfAllIsSaid() } else { ask(waiting.removeFirst()) }
    }

    mutating func drainFeedback() {
        while feedback != nil {
            guard let event = try? feedbackIncoming.reader.next() else {
                // What cannot be read is as good as no answer; the deadline or the server's closing ends it.
                return
            }
            guard case .head(let response) = event else { continue }
            if [401, 407].contains(response.status.code), case .retry = challenged(by: response), let again = feedback {
                actions.append(.close(.feedback))
                feedback = nil
                return ask(again)
            }
            if response.status.isSuccess { accepted() }
            endFeedback(closing: true)
        }
    }

    // MARK: Logs

    /// Tells the server how the media came that ended just now: as XML from 9.0 on, else in a line.
    mutating func report() {
        guard let received else { return }
        self.received = nil
        guard clientID != nil, let server else { return }
        var log = WMSPStreamingLog(
            url: settings.url.whole, guid: settings.guid, userAgent: userAgent, unixSeconds: settings.unixSeconds())
        log.startSeconds = received.start / 1_000
        log.milliseconds = now &- received.since
        log.packets = received.packets
        log.bytes = received.bytes
        log.isReconnected = settings.isReconnecting
        if let file = header?.file {
            log.bitsPerSecond = file.bitrateMax
            log.contentSeconds = (file.contentMilliseconds ?? 0) / 1_000
            if !file.isBroadcast { log.contentBytes = file.fileBytes }
        }
        let items = received.metadata?.descriptions.first?.items ?? []
        log.entry = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL" }?.value
        log.role = items.first { $0.name == "WMS_CONTENT_DESCRIPTION_ROLE" }?.value
        let isModern = server.product == .cougar && server.version.major >= 9
        let form: WMSPLog.Form = isModern ? .xml : .line
        let text = isModern ? log.xml : log.line
        if isMediaOpen, media.isPipelined { say(.log(form, text)) } else { ask(.log(form, text)) }
    }
}
