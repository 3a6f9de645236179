//! A PSRP client on any [`Connection`]: opens the pool, runs pipelines side by side. The console,
//! `exec` and tests are its callers.

use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Connection, Error};
use crate::psrp::client::{Event, PipelineEvent};
use crate::psrp::clixml::Value;
use crate::psrp::host::{HostInfo, HostResponse};
use crate::psrp::pipeline::{MetadataQuery, Pipeline};

/// A runspace pool that is open. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct Session {}

/// A pipeline that runs. Dropped before its end, it is stopped.
pub struct Running {
    pub id: Uuid,
}

impl Session {
    /// Opens a pool on `connection`. What is the pool's own, and not a pipeline's, comes from the
    /// second value: host calls of the pool, state changes, user events.
    pub async fn open(
        connection: Connection,
        host: HostInfo,
    ) -> Result<(Self, mpsc::Receiver<Event>), Error> {
        let _ = (connection, host);
        todo!()
    }
    pub async fn invoke(&self, pipeline: &Pipeline) -> Result<Running, Error> {
        let _ = pipeline;
        todo!()
    }
    pub async fn command_metadata(&self, query: &MetadataQuery) -> Result<Running, Error> {
        let _ = query;
        todo!()
    }
    pub async fn respond_pool(&self, response: &HostResponse) -> Result<(), Error> {
        let _ = response;
        todo!()
    }
    /// Closes the pool and waits until the other side confirmed.
    pub async fn close(&self) -> Result<(), Error> {
        todo!()
    }
}

impl Running {
    /// The next thing the pipeline says; `None` after its final state.
    pub async fn next(&mut self) -> Option<Result<PipelineEvent, Error>> {
        todo!()
    }
    pub async fn input(&self, value: &Value) -> Result<(), Error> {
        let _ = value;
        todo!()
    }
    pub async fn end_input(&self) -> Result<(), Error> {
        todo!()
    }
    pub async fn respond(&self, response: &HostResponse) -> Result<(), Error> {
        let _ = response;
        todo!()
    }
    /// Asks the server to stop it; [`Running::next`] goes on until the state says so.
    pub async fn stop(&self) -> Result<(), Error> {
        todo!()
    }
}
