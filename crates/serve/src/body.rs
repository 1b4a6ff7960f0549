//! Bodies of requests, read whole within limits of size, memory and time, before anything else is done with them.

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;

use crate::app::App;
use crate::budget::HeldBody;
use crate::error::ServeError;

/// The bytes of a body of at most `most`, and the memory that they hold.
pub(crate) async fn read(app: &App, body: &mut Body, most: usize) -> Result<(Bytes, HeldBody), ServeError> {
    tokio::time::timeout(app.deadline, collect(app, body, most)).await.map_err(|_| ServeError::SlowBody)?
}

async fn collect(app: &App, body: &mut Body, most: usize) -> Result<(Bytes, HeldBody), ServeError> {
    let too_large = || ServeError::TooLarge(format!("the body is larger than the {} MB allowed", most >> 20));
    // What the client announces can be refused before it is sent.
    let announced = body.size_hint().lower();
    if announced > most as u64 {
        return Err(too_large());
    }
    // The system gives the room page by page, as it is filled.
    let (mut bytes, mut held) = (Vec::with_capacity(announced as usize), app.budget.begin());
    loop {
        let frame = tokio::select! {
            frame = next_frame(body) => frame,
            () = held.gives_way() => return Err(ServeError::Busy),
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| ServeError::Malformed(format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(too_large());
        }
        app.budget.body(&mut held, data.len()).await?;
        bytes.extend_from_slice(&data);
    }
    held.arrived();
    Ok((bytes.into(), held))
}

pub(crate) async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await
}
