import WireFormats

/// The successful answers of the server, built in one place.
package enum ServerAnswers {
    /// OPTIONS. Lists every method whatever the resource: players choose their keep-alive by it.
    package static func options(registering: Bool = false) -> RTSPResponse {
        RTSPResponse(
            status: .ok, headers: ["Public": registering ? MethodListHeader.text(ServerMethods.known) : ServerMethods.list])
    }

    /// DESCRIBE with the description's bytes. `Content-Base` ends with a slash, so that relative controls are appended.
    package static func describe(uri: String, description: [UInt8]) -> RTSPResponse {
        RTSPResponse(
            status: .ok, headers: ["Content-Base": uri.hasSuffix("/") ? uri : uri + "/", "Content-Type": "application/sdp"],
            body: description)
    }

    /// PLAY. Without beginnings (a PLAY that changes nothing) there is no RTP-Info. In a beginning what is not known is left out:
    /// a wrong number is worse than none.
    ///
    /// Live begins at 0 of the session's own time (LIVE555 answers so, and every player takes it); of stored media `range` says what is played.
    package static func play(beginnings: [RTPInfo], range: RangeHeader = .fromStart) -> RTSPResponse {
        var response = RTSPResponse(status: .ok, headers: ["Range": range.text])
        if !beginnings.isEmpty { response.headers.add("RTP-Info", RTPInfoHeader.text(beginnings)) }
        return response
    }

    /// SETUP with the chosen transport.
    package static func setUp(_ transport: TransportSpec) -> RTSPResponse {
        RTSPResponse(status: .ok, headers: ["Transport": TransportHeader.text([transport])])
    }

    /// 200 without more.
    package static func ok() -> RTSPResponse { RTSPResponse(status: .ok) }

    /// Puts in what every answer carries: `CSeq` first (naive clients look there), then `Date` and `Server`, and the session.
    package static func finish(
        _ response: RTSPResponse, sequence: String?, date: String, server: String, session: SessionHeader?
    ) -> RTSPResponse {
        var headers = RTSPHeaders()
        if let sequence { headers.add("CSeq", sequence) }
        headers.add("Date", date)
        headers.add("Server", server)
        if let session { headers.add("Session", session.text) }
        for field in response.headers.fields { headers.add(field.name, field.value) }
        return RTSPResponse(status: response.status, headers: headers, body: response.body)
    }
}
