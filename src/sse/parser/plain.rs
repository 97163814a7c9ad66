//! What nearly every event is, in one go: the same as line by line, and short.

use super::{Found, Parser, Place, line_end, value};

impl Parser {
    /// Takes what nearly every event is, all of it in the piece: its data, or its id and its data, in a line each, and the
    /// empty line. False: what comes is not that, or too large, and none of it was taken.
    pub(super) fn plain_event(&mut self, piece: &mut [u8]) -> bool {
        let begin = self.at;
        let (mut from, mut id) = (begin, None);
        if piece[begin..].starts_with(b"id:") {
            let (end, ascii) = line_end(self.width, piece, begin);
            let Some(next) = behind(piece, end) else { return false };
            id = Some((value(piece, begin + b"id:".len(), end), ascii));
            from = next;
        }
        if !piece[from..].starts_with(b"data:") {
            return false;
        }
        let (end, ascii) = line_end(self.width, piece, from);
        let next = behind(piece, end);
        let Some(next) = next.and_then(|empty| behind(piece, empty)) else { return false };
        if next - begin > self.max {
            return false;
        }
        if let Some((id, ascii)) = id {
            self.set_id(&piece[id], ascii);
        }
        self.commit_id();
        let data = value(piece, from + b"data:".len(), end);
        self.hand_out(piece, (Place::Piece, data), ascii);
        (self.at, self.found) = (next, Found::Event);
        true
    }
}

/// The place behind the end of a line that lies there. None: there is none, or it may go on in the next piece.
fn behind(piece: &[u8], end: usize) -> Option<usize> {
    match (piece.get(end)?, piece.get(end + 1)) {
        (b'\n', _) => Some(end + 1),
        (b'\r', Some(b'\n')) => Some(end + 2),
        (b'\r', Some(_)) => Some(end + 1),
        _ => None,
    }
}
