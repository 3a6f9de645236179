//! Out-Host -Paging and `more`: output page by page. The pipeline waits until the user asks for the next page.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::execute::{Ended, Executor, Run, Sink};
use super::pager::{Pager, PagerExit, rows_of};
use crate::keys::{self, Answer};
use crate::line::Statement;
use crate::screen;

const QUESTION: &str = "<SPACE> next page; <CR> next line; Q quit";

impl Executor {
    /// Runs a pipeline whose output is paged. `None`: there is no input.
    pub(super) async fn run_paged(&mut self, before: Option<Statement>) -> Run {
        let Some(before) = before else { return Run::Begun(Ended::Succeeded) };
        let mut sink = Sink::Pages(Pager::new(&self.terminal));
        let run = Box::pin(self.pipeline(&before, &mut sink, false)).await;
        if matches!(run.ended(), Ended::Interrupted) {
            return run;
        }
        if let Sink::Pages(pager) = &mut sink
            && pager.turned.is_none()
        {
            let rest = pager.printer.finish();
            pager.ready.extend(rest);
        }
        match self.turn_pages(&mut sink).await {
            Some(PagerExit::Interrupted) => Run::Begun(Ended::Interrupted),
            _ => run,
        }
    }

    /// Shows the lines of a paged output, and asks after each page. Returns the user action that ended the output,
    /// which also ends the pipeline; `None` if the output continues or is not paged.
    pub(super) async fn turn_pages(&self, sink: &mut Sink) -> Option<PagerExit> {
        let Sink::Pages(pager) = sink else { return None };
        while pager.turned.is_none()
            && let Some(line) = pager.ready.front()
        {
            if self.interrupts.was_pressed() {
                pager.turned = Some(PagerExit::Interrupted);
                break;
            }
            if let Some(left) = &mut pager.left {
                let (columns, _) = self.terminal.size();
                let rows = screen::width(line).div_ceil(usize::from(columns).max(1)).max(1);
                let page = rows_of(&self.terminal);
                if *left == 0 || (rows > *left && *left < page) {
                    match self.ask_for_page().await {
                        Answer::Given(' ') => *left = page,
                        Answer::Given('q' | 'Q') | Answer::End => pager.turned = Some(PagerExit::Quit),
                        Answer::Interrupted => pager.turned = Some(PagerExit::Interrupted),
                        Answer::Given(_) => *left = rows,
                    }
                    if pager.turned.is_some() {
                        break;
                    }
                }
                *left = left.saturating_sub(rows);
            }
            if let Some(line) = pager.ready.pop_front() {
                self.terminal.line(&line);
            }
        }
        if pager.turned.is_some() {
            pager.ready.clear();
        }
        pager.turned
    }

    /// Asks for the next page. A signal or the loss of the terminal also interrupts the question.
    async fn ask_for_page(&self) -> Answer<char> {
        let stop = Arc::new(AtomicBool::new(false));
        let question = screen::cut(QUESTION, usize::from(self.terminal.size().0).saturating_sub(1)).0;
        self.terminal.ask_key(question);
        let stops = stop.clone();
        let mut reading = tokio::task::spawn_blocking(move || keys::read_key(&stops));
        let answer = tokio::select! {
            key = &mut reading => key.map_or(Answer::End, |key| key.unwrap_or(Answer::End)),
            () = self.interrupts.next() => {
                stop.store(true, Ordering::SeqCst);
                let _ = reading.await;
                Answer::Interrupted
            }
        };
        self.terminal.forget_question(question);
        answer
    }
}
