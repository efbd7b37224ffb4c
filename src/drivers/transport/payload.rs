//! A local file on its way to a script's standard input.

use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Payload, TransportError};

/// How much is read and written at once. Smaller pieces cost throughput: 8 KiB halves it.
const PIECE: usize = 256 * 1024;

/// A payload that was found as it was when it was hashed.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: File,
    size: u64,
}

/// How feeding ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fed {
    /// All of it was written.
    Whole,
    /// The other side takes no more; what it answered tells why.
    Stopped,
}

impl Source {
    /// Opens the payload's file before anything is started on the host.
    ///
    /// # Errors
    /// [`TransportError::Payload`] when it cannot be opened or has another size than expected.
    pub(super) async fn open(payload: &Payload) -> Result<Option<Self>, TransportError> {
        let Payload::File { path, size } = payload else {
            return Ok(None);
        };
        let refuse = |reason: String| TransportError::Payload {
            path: path.clone(),
            reason,
        };
        let file = File::open(path)
            .await
            .map_err(|error| refuse(error.to_string()))?;
        let found = file
            .metadata()
            .await
            .map_err(|error| refuse(error.to_string()))?
            .len();
        if found != *size {
            return Err(refuse(format!(
                "it has {found} bytes now and had {size} when it was hashed"
            )));
        }
        Ok(Some(Self {
            path: path.clone(),
            file,
            size: *size,
        }))
    }

    fn changed(&self) -> TransportError {
        TransportError::Payload {
            path: self.path.clone(),
            reason: "it changed while it was sent".to_owned(),
        }
    }

    async fn pour(&mut self, into: &mut (impl AsyncWrite + Unpin)) -> Result<Fed, TransportError> {
        let mut piece = vec![0; PIECE];
        let mut left = self.size;
        loop {
            let count =
                self.file
                    .read(&mut piece)
                    .await
                    .map_err(|error| TransportError::Payload {
                        path: self.path.clone(),
                        reason: error.to_string(),
                    })?;
            let bytes = piece.get(..count).unwrap_or_default();
            if bytes.is_empty() {
                return if left == 0 {
                    Ok(Fed::Whole)
                } else {
                    Err(self.changed())
                };
            }
            left = left
                .checked_sub(count as u64)
                .ok_or_else(|| self.changed())?;
            if into.write_all(bytes).await.is_err() {
                return Ok(Fed::Stopped);
            }
        }
    }
}

/// Writes the script and what follows it, as fast as the other side takes it.
///
/// # Errors
/// [`TransportError::Payload`] when the file changed or could not be read on. The caller must then not end the input as if it were whole.
pub(super) async fn feed(
    into: &mut (impl AsyncWrite + Unpin),
    text: &[u8],
    source: Option<&mut Source>,
) -> Result<Fed, TransportError> {
    if into.write_all(text).await.is_err() {
        return Ok(Fed::Stopped);
    }
    let fed = match source {
        None => Fed::Whole,
        Some(source) => source.pour(into).await?,
    };
    if into.flush().await.is_err() {
        return Ok(Fed::Stopped);
    }
    Ok(fed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(content: &[u8], size: u64) -> (tempfile::NamedTempFile, Payload) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let path = file.path().to_owned();
        (file, Payload::File { path, size })
    }

    #[tokio::test]
    async fn script_and_file_arrive_in_order() {
        let content: Vec<u8> = (0..=250).cycle().take(PIECE + 17).collect();
        let (_keep, payload) = payload(&content, content.len() as u64);
        let mut source = Source::open(&payload).await.unwrap();
        let mut sent = Vec::new();
        let fed = feed(&mut sent, b"script\n", source.as_mut()).await.unwrap();
        assert_eq!(fed, Fed::Whole);
        assert_eq!(sent.split_at(7), (&b"script\n"[..], &content[..]));
    }

    #[tokio::test]
    async fn file_of_another_size_is_refused_before_anything_is_sent() {
        let (_keep, payload) = payload(b"four", 5);
        let error = Source::open(&payload).await.unwrap_err();
        assert!(error.to_string().contains("has 4 bytes now"), "{error}");
    }

    #[tokio::test]
    async fn file_that_grows_or_shrinks_while_sent_is_an_error() {
        for after in [&b"more than before"[..], b"ab"] {
            let (keep, payload) = payload(b"four", 4);
            let mut source = Source::open(&payload).await.unwrap();
            std::fs::write(keep.path(), after).unwrap();
            let error = feed(&mut Vec::new(), b"x", source.as_mut())
                .await
                .unwrap_err();
            assert!(error.to_string().contains("changed while"), "{error}");
        }
    }
}
