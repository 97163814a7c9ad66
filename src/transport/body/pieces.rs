//! A body piece by piece, each where it lies: for who reads every byte once and moves none.

use std::time::Instant;

use super::{Body, Fail, Got, Limit, State};

impl Body {
    /// Waits as [`Body::read`] does for what comes next, and leaves it where it lies: see [`Body::piece`].
    pub fn next_piece(&mut self, until: Option<Instant>) -> Result<Got, Fail> {
        self.piece = 0..0;
        // What is allowed comes before the failure.
        let left = self.call.terms.limits.max_body.saturating_sub(self.received).max(1);
        // What nearly every piece is, where many small ones come.
        if let (State::Chunked(decoder), Some(connection)) = (&mut self.state, &mut self.connection)
            && let Some((skip, len)) = decoder.whole(connection.input(), left)
        {
            connection.take(skip);
            self.piece = connection.take(len);
            self.received += len as u64;
            return Ok(Got::Bytes(len));
        }
        match self.advance_up_to(usize::try_from(left).unwrap_or(usize::MAX), until) {
            Ok(piece) => {
                self.piece = piece.unwrap_or(0..0);
                Ok(Got::Bytes(self.piece.len()))
            }
            Err(Fail::Timeout(Limit::Wait)) => Ok(Got::Nothing),
            Err(fail) => Err(self.abandon(fail)),
        }
    }

    /// The piece that came last, until the next one does; empty where none came.
    pub fn piece(&self) -> &[u8] {
        match &self.connection {
            Some(connection) => connection.taken(self.piece.clone()),
            None => &[],
        }
    }

    /// The same, to be changed: nobody else looks at it.
    pub fn piece_mut(&mut self) -> &mut [u8] {
        match &mut self.connection {
            Some(connection) => connection.taken_mut(self.piece.clone()),
            None => &mut [],
        }
    }
}
