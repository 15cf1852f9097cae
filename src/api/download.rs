//! Packages going out: what `Code.Location` of GetFunction leads to.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use http_body::{Frame, SizeHint};
use model::Digest;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

use crate::errors;
use crate::presign::PREFIX;
use crate::respond::Answer;
use crate::server::{Api, now_ms};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A file on its way out.
struct Sending {
    file: File,
    left: u64,
}

/// Whether a request is for a package.
pub(crate) fn is_for(parts: &Parts) -> bool {
    parts.method == Method::GET && parts.uri.path().starts_with(PREFIX)
}

/// Sends a package to whoever has an address of it.
pub(crate) async fn serve(api: &Arc<Api>, parts: &Parts) -> Answer {
    api.presigner.verify(parts, now_ms() / 1000)?;
    let none = || errors::not_found("The package is no longer there.");
    let digest = parts.uri.path().rsplit('/').next().and_then(Digest::from_hex).ok_or_else(none)?;
    let path = api.code.zip_path(&digest);
    // Opened, it can be read to its end whatever becomes of its name.
    let file = File::open(&path).await.map_err(|err| {
        tracing::info!(%err, path = %path.display(), "a package was asked for and is not there");
        none()
    })?;
    let left = file.metadata().await.map(|found| found.len()).map_err(|err| {
        tracing::error!(%err, path = %path.display(), "a package could not be looked at");
        errors::internal()
    })?;
    let mut response = Response::new(Body::new(Sending { file, left }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(left));
    Ok(response)
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut chunk = BytesMut::zeroed(CHUNK);
        let mut buffer = ReadBuf::new(&mut chunk);
        match Pin::new(&mut self.file).poll_read(cx, &mut buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(err)) => return Poll::Ready(Some(Err(err))),
            Poll::Ready(Ok(())) => {}
        }
        let read = buffer.filled().len();
        if read == 0 {
            let cut = std::io::ErrorKind::UnexpectedEof;
            return Poll::Ready(Some(Err(cut.into())));
        }
        chunk.truncate(read);
        self.left = self.left.saturating_sub(read as u64);
        Poll::Ready(Some(Ok(Frame::data(chunk.freeze()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
