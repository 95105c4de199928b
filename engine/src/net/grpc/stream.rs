//! Streams of messages that a task of their own writes.

use tokio::sync::mpsc::Sender;
use tonic::Status;

/// Runs what writes the messages of a stream. Whatever goes wrong in it, a panic included, is the status with which the
/// stream ends: nobody takes half of it for the whole.
pub(super) fn spawn<M: Send + 'static>(
    sender: Sender<Result<M, Status>>,
    write: impl Future<Output = Result<(), Status>> + Send + 'static,
) {
    tokio::spawn(async move {
        let written = match tokio::spawn(write).await {
            Ok(written) => written,
            Err(_) => Err(Status::internal("the node could not write on; see its log")),
        };
        if let Err(status) = written {
            // Nobody reads any more, or is told.
            let _ = sender.send(Err(status)).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_stream_whose_writer_panics_does_not_end_well() {
        let (sender, mut messages) = channel(1);
        let writer = sender.clone();
        spawn(sender, async move {
            let _ = writer.send(Ok(1)).await;
            panic!("as planned");
        });
        assert_eq!(messages.recv().await.expect("a message").expect("it is well"), 1);
        let status = messages.recv().await.expect("not the end").expect_err("it went wrong");
        assert_eq!(status.code(), Code::Internal);
        assert!(messages.recv().await.is_none());
    }
}
