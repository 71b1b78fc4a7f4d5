import Glibc

/// The terminal as a whole: what is shown replaces what was there, and everything is as before at the end.
final class TerminalScreen {
    private var before = termios()

    /// Columns where nobody says how many there are (a pipe, a file).
    private static let columnsWithoutTerminal = 160

    /// Nil when standard input or output is no terminal.
    init?() {
        guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, unsafe tcgetattr(STDIN_FILENO, &before) == 0 else { return nil }
    }

    /// How wide a line of standard output may be.
    static var width: Int {
        var window = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0 else { return columnsWithoutTerminal }
        return Int(window.ws_col)
    }

    /// How large it is just now.
    var size: (rows: Int, columns: Int) {
        var window = winsize()
        guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0, window.ws_row > 0 else { return (24, 80) }
        return (Int(window.ws_row), Int(window.ws_col))
    }

    /// Takes the terminal: keys come one by one and are not echoed (Ctrl-C is a signal still), a screen of its own without a cursor.
    func enter() {
        var raw = before
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        raw.c_cc.10 = 0  // VSUSP: a shell that got the terminal back as it is now would be of no use.
        unsafe tcsetattr(STDIN_FILENO, TCSANOW, &raw)
        write("\u{1B}[?1049h\u{1B}[?25l\u{1B}[H\u{1B}[2J")
    }

    /// Gives it back.
    func leave() {
        write("\u{1B}[?25h\u{1B}[?1049l")
        unsafe tcsetattr(STDIN_FILENO, TCSANOW, &before)
    }

    /// Shows lines from the top, as many as fit; names of columns stand out. Drawn over what was there, so that nothing flickers.
    func show(_ lines: [String]) {
        let rows = size.rows
        var text = "\u{1B}[H"
        for (number, line) in lines.prefix(rows).enumerated() {
            if number > 0 { text += "\n" }
            text += line.prefix(5).allSatisfy { $0.isUppercase } && !line.isEmpty ? "\u{1B}[7m\(line)\u{1B}[0m" : line
            text += "\u{1B}[K"
        }
        write(text + "\u{1B}[J")
    }

    /// Waits so long for a key; true for q, and when the terminal is gone. Returns early for a signal or a new size.
    func waitForQuit(milliseconds: Int32) -> Bool {
        var poll = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard unsafe Glibc.poll(&poll, 1, milliseconds) > 0 else { return false }
        var key: UInt8 = 0
        let count = unsafe read(STDIN_FILENO, &key, 1)
        return count == 0 || count == 1 && (key == UInt8(ascii: "q") || key == UInt8(ascii: "Q") || key == 4)
    }

    private func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
