//! lyncsh's own questions, such as the list of commands: they run while no shell wants the runspace, give
//! way to a shell's pipeline at once, and are asked again by whoever asked.

use tokio::time::Instant;

use super::core::Core;
use super::remote::stopped;
use crate::psrp::record::PipelineState;
use crate::transport::Request;

impl Core {
    /// A shell's pipeline has come or ended.
    pub fn used(&mut self) {
        self.used = Some(Instant::now());
    }

    /// Starts the background pipeline that has waited longest, where nothing else runs or waits.
    pub fn start_background(&mut self, now: Instant) {
        if self.background_due().is_some_and(|due| due <= now)
            && let Some(id) = self.background.pop_front()
        {
            self.start(id);
        }
    }

    /// When the next background pipeline may start.
    pub fn background_due(&self) -> Option<Instant> {
        let free = !self.background.is_empty() && self.queue.is_empty() && self.free_runspaces() > 0;
        let idle = self.running().all(|(_, pipeline)| pipeline.background);
        (self.is_open() && free && idle)
            .then(|| self.used.map_or(self.opened, |used| used + self.options.quiet))
    }

    /// Stops what runs in the background: a shell's pipeline waits for its runspace. Whoever asked for it
    /// is told at once.
    pub fn give_way(&mut self) {
        let running = self.running().filter(|(_, pipeline)| pipeline.background);
        let running: Vec<_> = running.filter_map(|(id, pipeline)| Some((*id, pipeline.client?))).collect();
        for (id, client) in running {
            tracing::debug!(%id, "a background pipeline gives way");
            self.say(client, |client| {
                client.server.pipeline_state(id, PipelineState::Stopped, Some(&stopped()));
            });
            self.abandon(id);
        }
    }

    /// A background pipeline has been told to stop: what it has written already is not waited for, since
    /// an endpoint that answers object by object takes seconds for it.
    pub fn drop_background(&mut self, id: uuid::Uuid) {
        if self.pipelines.get(&id).is_some_and(|pipeline| pipeline.background && pipeline.client.is_none()) {
            self.outbox.push_back(Request::ClosePipeline(id));
        }
    }
}
