//! The simulator's tenant behind a stream: the remote end that recordings and peers are given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use lyncsh::psrp::clixml::Value;
use lyncsh::psrp::host::{HostInfo, HostResponse};
use lyncsh::psrp::pipeline::Pipeline;
use lyncsh::psrp::record::{PipelineState, PoolState};
use lyncsh::psrp::server::{Event, ServerPool};
use lyncsh::simulator::Options;
use lyncsh::simulator::engine::{Context, Outcome, Said, World, stopped_record};
use lyncsh::transport::stream::{Incoming, Sender, Server, connect, serve};
use lyncsh::transport::{Connection, Limits};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A connection to a tenant that has the commands of the recordings' endpoint too.
pub fn endpoint() -> Connection {
    let world = World::new(&Options { fixtures: true, ..Options::default() });
    let (here, there) = tokio::io::duplex(64 * 1024);
    let Server { mut incoming, sender } = serve(here);
    let pool = Arc::new(Mutex::new(ServerPool::new(Value::primitive_dictionary([]))));
    let mut work = Work { world, end: End { pool, sender }, running: HashMap::new(), host: None };
    tokio::spawn(async move {
        while let Some(next) = incoming.recv().await {
            work.take(next);
            work.end.flush();
        }
    });
    connect(there, Limits::default())
}

/// The way back.
#[derive(Clone)]
struct End {
    pool: Arc<Mutex<ServerPool>>,
    sender: Sender,
}

struct Run {
    input: Option<mpsc::Sender<Value>>,
    stop: CancellationToken,
    ended: CancellationToken,
    answers: Arc<Mutex<HashMap<i64, oneshot::Sender<HostResponse>>>>,
}

struct Work {
    world: Arc<World>,
    end: End,
    running: HashMap<Uuid, Run>,
    host: Option<HostInfo>,
}

impl End {
    fn pool(&self) -> MutexGuard<'_, ServerPool> {
        self.pool.lock().unwrap()
    }

    fn flush(&self) {
        for message in self.pool().take_outgoing() {
            self.sender.push(message);
        }
    }

    async fn flush_slowly(&self) {
        let messages = self.pool().take_outgoing();
        for message in messages {
            self.sender.send(message).await;
        }
    }
}

impl Work {
    fn take(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message { message, ack, .. } => {
                let events = self.end.pool().receive(&message).unwrap();
                events.into_iter().for_each(|event| self.event(event));
                self.end.flush();
                drop(ack);
            }
            Incoming::Signal(id) => {
                let Some(run) = self.running.get(&id) else { return self.end.sender.signal_ack(id) };
                run.stop.cancel();
                let (ended, sender) = (run.ended.clone(), self.end.sender.clone());
                tokio::spawn(async move {
                    ended.cancelled().await;
                    sender.signal_ack(id);
                });
            }
            Incoming::Close(id) => {
                if id.is_nil() {
                    self.end.pool().pool_state(PoolState::Closed, None);
                    self.end.flush();
                }
                if let Some(run) = self.running.remove(&id) {
                    run.stop.cancel();
                }
                self.end.sender.close_ack(id);
            }
            Incoming::Command(_) | Incoming::End(_) => {}
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Open { host, .. } => {
                self.host = Some(host);
                self.end.pool().opened();
            }
            Event::CreatePipeline(id, pipeline) => self.create(id, pipeline),
            Event::CommandMetadata(id, query) => {
                for value in self.world.metadata(&query) {
                    self.end.pool().output(id, &value);
                }
                self.end.pool().pipeline_state(id, PipelineState::Completed, None);
            }
            Event::Input(id, value) => {
                if let Some(input) = self.running.get(&id).and_then(|run| run.input.as_ref()) {
                    input.try_send(value).unwrap();
                }
            }
            Event::EndInput(id) => {
                if let Some(run) = self.running.get_mut(&id) {
                    run.input = None;
                }
            }
            Event::HostResponse(Some(id), response) => {
                let run = &self.running[&id];
                let answer = run.answers.lock().unwrap().remove(&response.call_id).unwrap();
                let _ = answer.send(response);
            }
            other => panic!("{other:?}"),
        }
    }

    fn create(&mut self, id: Uuid, pipeline: Pipeline) {
        let (input_given, input) = mpsc::channel(1000);
        let (said, mut says) = mpsc::channel(16);
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let host = pipeline.host.clone().or(self.host.clone()).unwrap();
        let run = Run {
            input: (!pipeline.no_input).then_some(input_given),
            stop: stop.clone(),
            ended: ended.clone(),
            answers: answers.clone(),
        };
        self.running.insert(id, run);
        let user = "kenmyer@litwareinc.com".to_owned();
        let context = Context { user, host, input, said, stop };
        let world = self.world.clone();
        let outcome = tokio::spawn(async move { world.run(pipeline, context).await });
        let end = self.end.clone();
        tokio::spawn(async move {
            while let Some(said) = says.recv().await {
                say(&mut end.pool(), id, said, &answers);
                end.flush_slowly().await;
            }
            let outcome = outcome.await.unwrap();
            match outcome {
                Outcome::Completed => end.pool().pipeline_state(id, PipelineState::Completed, None),
                Outcome::Stopped => {
                    end.pool().pipeline_state(id, PipelineState::Stopped, Some(&stopped_record()));
                }
                Outcome::Failed(record) => {
                    end.pool().pipeline_state(id, PipelineState::Failed, Some(&record));
                }
            }
            end.flush();
            ended.cancel();
        });
    }
}

fn say(
    pool: &mut ServerPool,
    id: Uuid,
    said: Said,
    answers: &Mutex<HashMap<i64, oneshot::Sender<HostResponse>>>,
) {
    match said {
        Said::Output(value) => pool.output(id, &value),
        Said::Error(record) => pool.error(id, &record),
        Said::Text(kind, text) => pool.text(id, kind, &text),
        Said::Progress(record) => pool.progress(id, &record),
        Said::Information(record) => pool.information(id, &record),
        Said::HostCall { method, parameters, answer } => {
            let call = pool.host_call(Some(id), method, parameters);
            if let Some(answer) = answer {
                answers.lock().unwrap().insert(call, answer);
            }
        }
    }
}
