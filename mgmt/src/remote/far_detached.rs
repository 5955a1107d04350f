//! The tasks of a far end that are about a run that stays.

use crate::gapi::Gapi;
use crate::remote::detached::{Manner, Place, relay, start};
use crate::remote::far::{Base, Failed, gone};
use crate::remote::far_link::{Inbound, Inbox, Outbox};
use crate::remote::message::{Begin, End, HowEnded, JobSettings, Task, ToFar, ToNear};
use crate::sys::task::blocking;

/// What becomes of a task that is about a run that stays. `None`: it is about none.
pub(super) async fn of_detached<G: Gapi>(
    begin: &Begin,
    base: &Base<G>,
    inbox: &mut Inbox,
    out: &Outbox,
) -> Option<Result<End, Failed>> {
    let place = base.prefix.as_deref().filter(|_| !base.is_temporary).map(Place::of);
    let none = "a run can only stay, and be found, in a working directory that lasts: give one with --prefix";
    let none = || Failed::Other(none.to_owned());
    match &begin.task {
        Task::Plan | Task::Pack { .. } | Task::Confirm { .. } => None,
        Task::Run => {
            let refusal = blocking(move || place.and_then(|place| place.refusal())).await?;
            Some(Err(Failed::Other(refusal)))
        }
        Task::Detach { variables } => Some(match place {
            Some(place) => leave(&place, begin, variables, inbox, out).await,
            None => Err(none()),
        }),
        Task::Attach | Task::Stop => Some(match place {
            Some(place) => {
                let manner = if begin.task == Task::Stop { Manner::Stop } else { Manner::Attach };
                relay(&place, manner, inbox, out).await
            }
            None => Err(none()),
        }),
        Task::Find => {
            let found = blocking(move || place.and_then(|place| place.read())).await;
            let sent = out.send(&ToNear::Found(found.map(Box::new))).await.map_err(gone);
            Some(sent.map(|()| End { code: 0, error: None, how: HowEnded::Found }))
        }
    }
}

/// Starts the process that stays, and passes on to it what the near end sends, until it stays.
async fn leave(
    place: &Place,
    begin: &Begin,
    variables: &[String],
    inbox: &mut Inbox,
    out: &Outbox,
) -> Result<End, Failed> {
    let (version, graph, world) = (begin.version, begin.graph.clone(), begin.world.clone());
    let settings = JobSettings { prefix: Some(place.prefix().to_owned()), ..begin.settings.clone() };
    let first = ToFar::Begin(Box::new(Begin { version, task: Task::Run, settings, graph, world }));
    // What comes meanwhile is for it, too.
    let mut messages = vec![first];
    let starting = async { start(place, variables, begin.settings.is_here).await.map_err(Failed::Other) };
    let mut starting = std::pin::pin!(starting);
    let stream = loop {
        tokio::select! {
            stream = &mut starting => break stream?,
            inbound = inbox.next() => match inbound {
                Inbound::Message(ToFar::Stop(_)) => return Err(Failed::Stopped(HowEnded::Stopped)),
                Inbound::Message(message) => messages.push(message),
                Inbound::Lost(_) => return Err(Failed::Stopped(HowEnded::StoppedThere)),
            },
        }
    };
    relay(place, Manner::Leave(stream, messages), inbox, out).await
}
