//! The body of a reply as hyper streams it: whole, or breaking off in the middle.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;

/// The connection is to be cut here. hyper closes it on any error of a service or a body.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("cut on purpose")]
pub(super) struct Cut;

/// The bytes of a reply and what follows them.
pub(super) struct ReplyBody {
    /// What the head promises.
    length: u64,
    bytes: Option<Bytes>,
    then: Then,
}

enum Then {
    /// The end.
    End,
    /// The end, and word to the connection's task to close it.
    Close(Arc<Notify>),
    /// One more turn, in which hyper flushes what it has, and then a cut.
    FlushAndCut,
    /// A cut.
    Cut,
}

impl ReplyBody {
    /// All bytes.
    pub(super) fn whole(bytes: Vec<u8>) -> ReplyBody {
        ReplyBody { length: bytes.len() as u64, bytes: Some(bytes.into()), then: Then::End }
    }

    /// All bytes; then `closing` is told. By that time the head is out, so that it cannot announce the close.
    pub(super) fn then_close(bytes: Vec<u8>, closing: Arc<Notify>) -> ReplyBody {
        ReplyBody { then: Then::Close(closing), ..ReplyBody::whole(bytes) }
    }

    /// The first half of the bytes, under a head that promises all of them.
    pub(super) fn half(mut bytes: Vec<u8>) -> ReplyBody {
        let length = bytes.len() as u64;
        bytes.truncate(bytes.len() / 2);
        ReplyBody { length, bytes: Some(bytes.into()), then: Then::FlushAndCut }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(bytes) = self.bytes.take() {
            if let Then::Close(closing) = &self.then {
                closing.notify_one();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.then {
            Then::End | Then::Close(_) => Poll::Ready(None),
            Then::Cut => Poll::Ready(Some(Err(Cut))),
            Then::FlushAndCut => {
                self.then = Then::Cut;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
