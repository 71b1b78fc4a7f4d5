import WireFormats

/// From one entry of a playlist to the next ([MS-WMSP] 3.2.4.2 and 4.5), and from one header of a live source to the next.
extension WMSPSessions {
    /// How long to wait, after the last `$D` of an entry, before ``contentChanged(_:to:now:)``: as long as the client said it lags, and eight
    /// seconds after it last selected streams ([MS-WMSP] 3.2.4.2).
    package func changeDelayMilliseconds(of id: UInt32, now: UInt64) -> UInt64 {
        guard let session = sessions[id], session.dialect.takesStreamChanges else { return 0 }
        let guardEnd = session.selectedAt.map { $0 &+ 8_000 } ?? 0
        return max(min(session.lagMilliseconds, 15_000), guardEnd > now ? guardEnd - now : 0)
    }

    /// Another entry, or another header of a live source, follows. Clients before version 9 bear no other header than the one they have: for
    /// them content that does not simply go on has ended. `entryEnded` says that the one before was sent to its end, which is told (`$E` of
    /// reason 1) to those who bear it.
    package mutating func contentChanged(
        _ id: UInt32, to content: WMSPContent, entryEnded: Bool = false, now: UInt64
    ) -> [WMSPServerAction] {
        guard var session = sessions[id], let connection = session.connection, let old = session.content else { return [] }
        guard session.dialect.takesStreamChanges else {
            if content.header.continues(old.header) {
                sessions[id]?.content = content
                return []
            }
            return mediaEnded(id, now: now) + [.finish(session: id)]
        }
        let end = entryEnded && session.dialect.takesEntryEnds ? WMSPFraming.endOfStream(.entryDone) : []
        let change = change(&session, to: content, now: now)
        sessions[id] = session
        actions.append(.send(connection: connection, session.coded(end + change)))
        actions.append(session.state == .streaming ? .select(session: id, session.selection) : .hold(session: id))
        return take()
    }

    /// The entry was rewound to its beginning, and this one stands before it: its client is told of both, expects nothing more, and asks for it
    /// by a Play ([MS-WMSP] 2.2.3.2, 3.1.5.14).
    package mutating func contentReceded(_ id: UInt32, to content: WMSPContent, now: UInt64) -> [WMSPServerAction] {
        guard var session = sessions[id], let connection = session.connection else { return [] }
        guard session.dialect.takesStreamChanges else { return mediaEnded(id, reason: .rewound, now: now) }
        session.content = content
        session.isConfirmed = false
        session.selectedAt = nil
        sessions[id] = session
        actions.append(
            .send(connection: connection, session.coded(WMSPFraming.endOfStream(.rewound) + WMSPFraming.streamChange(.previousEntry))))
        if session.isChunked { endBody(of: id) } else { close(connection) }
        becomeIdle(id, now: now)
        return take()
    }

    /// Makes `content` the session's entry, its streams chosen as the client would, and gives `$C [$M] $H`. Without prediction the session
    /// waits for its client's word.
    private func change(_ session: inout WMSPServerSession, to content: WMSPContent, now: UInt64) -> [UInt8] {
        if let old = session.content {
            session.selection = session.selection.predicted(
                from: old.header, to: content.header, linkBitsPerSecond: session.linkBitsPerSecond)
        }
        session.content = content
        session.state = session.isPredicted ? .streaming : .waiting
        session.isConfirmed = false
        session.lagMilliseconds = 0
        session.selectedAt = nil
        session.idleSince = now
        return WMSPFraming.streamChange() + content.opening(for: session.dialect, incarnation: session.incarnation)
    }

    /// The second half of a Play with `pl-offset`: the header of the entry from which it goes is followed by the change to the other.
    func goOnAtOnce(_ session: inout WMSPServerSession, from content: WMSPContent, _ tokens: inout [String]) -> [UInt8] {
        guard let target = content.skipsTo.first, session.dialect.takesStreamChanges else { return [] }
        tokens.append("expect-new-header=1")
        return change(&session, to: target, now: session.idleSince)
    }
}
