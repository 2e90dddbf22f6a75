//! Standard output of the commands that print.

use std::io::{self, ErrorKind, StdoutLock, Write};

/// Standard output, to which a reader that went away (`llmplane crds | head`) is no error: what
/// nobody reads is dropped.
#[derive(Debug)]
pub struct Output(StdoutLock<'static>);

/// Standard output, locked.
pub fn stdout() -> Output {
    Output(io::stdout().lock())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}
