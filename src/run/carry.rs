//! Carrying a planned run out: sends, files, the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::begin::Begun;
use super::context::Job;
use super::detail::RunDetail;
use super::done::{Done, Durations};
use super::endpoint::Endpoint;
use super::manifest::{Calls, Manifest};
use super::members::Members;
use super::page::Ground;
use super::progress::{Phase, Standing};
use super::recover::Recovery;
use super::store::RunFolder;
use super::timings::Stage;
use super::{Fault, apply, close, inputs, io_thread, keep, trail, words};
use crate::core::dispatcher::Config;
use crate::core::halt::ErrorLimit;
use crate::core::limits;
use crate::core::quota::{Predecessor, Quota};
use crate::core::retry::Policy;
use crate::io::boot;
use crate::io::job::dates;
use crate::io::job::settings::Share;
use crate::io::job::{self, show_duration};
use crate::io::ledger::{Ledger, QuotaStamp, RunState};
use crate::io::source::{Input, ReadRules};
use crate::model::Tick;

/// Surveys of closed runs that stay on disk.
const SURVEYS_KEPT: u32 = 7;

impl Job {
    /// Sends what the plan says, writes the files, closes the run.
    pub(super) fn carry_out(
        &self,
        mut begun: Begun,
        files: Option<&[Input]>,
        endpoint: &Endpoint,
        ledger: &mut Ledger,
    ) -> Result<Manifest, Fault> {
        let _span = tracing::info_span!("run", job = begun.run.job, run = begun.run.id).entered();
        let began = Instant::now();
        self.progress.note(Standing::of(ledger, &self.settings.name));
        self.progress.begin_apply(&begun.run.id);
        let done = self.apply(&mut begun, endpoint, ledger)?;
        let ms = |time: Duration| time.as_millis() as u64;
        let durations = Durations { survey: ms(begun.took), apply: ms(began.elapsed()), finish: 0 };
        self.close(&begun, files, done, durations, ledger)
    }

    fn apply(&self, begun: &mut Begun, endpoint: &Endpoint, ledger: &mut Ledger) -> Result<Done, Fault> {
        let _counting = self.progress.timings.count(Stage::Exchange);
        let settings = &self.settings;
        let folder = RunFolder::new(&settings.ledger, &begun.run.id);
        let (left, alone_since) = begun.left.take().unzip();
        let in_doubt = left.as_ref().and_then(Recovery::left_under_way);
        let recovery = left.map_or_else(|| Recovery::fold(ledger, begun.run.ordinal, folder.path()), Ok)?;
        let window = settings.limits.quota_window;
        let timeout = settings.gateway.request_timeout;
        let rest = Quota::rest(window, settings.limits.quota_strict);
        let mut others = ledger.quota_stamps()?;
        let own = others.remove(&endpoint.quota_scope);
        let wait_of_own = own.map(|stamp| predecessor(&stamp).wait(rest, timeout, in_doubt));
        let waits = others.values().map(|stamp| predecessor(stamp).wait_of_another(timeout));
        let wait = waits.chain(wait_of_own).max().unwrap_or_default();
        // What was cut off was under way when the ledger became ours, at the latest.
        let doubt_wait = match alone_since {
            Some(since) if in_doubt > Some(0) => timeout.saturating_sub(since.elapsed()),
            _ => Duration::ZERO,
        };
        let (others_until, all_until) = (boot_ns_in(wait), boot_ns_in(wait.max(doubt_wait)));
        stamp(ledger, &endpoint.quota_scope, true, others_until)?;
        // Who died calling for another client is waited for once: the next to do so finds until when.
        for (other, _) in others.iter().filter(|(_, stamp)| stamp.busy) {
            stamp(ledger, other, false, others_until)?;
        }
        let order = apply::Order {
            ledger,
            run: begun.run.ordinal,
            folder: &folder,
            members: &Members(begun.detail.members.clone()),
            tools: endpoint.tools.clone(),
            gateway: endpoint.gateway.clone(),
            config: self.config(&begun.detail, recovery.cut_off(), Tick::ZERO + doubt_wait),
            canary: begun.detail.flags.canary.map(|canary| canary.cards),
            quota: Quota::new(settings.limits.quota, window, settings.limits.quota_strict, Tick::ZERO + wait),
            quota_window: window,
            max_skew_ms: settings.gateway.max_skew.map(|skew| skew.as_millis() as i64),
            recovery,
            began_ns: boot::clock_ns(),
            clock: self.clock,
            progress: &self.progress,
            signals: &self.signals,
        };
        let runtime = io_thread::runtime(Arc::clone(&self.progress.in_flight))
            .map_err(|error| Fault::storage(format!("no IO runtime: {error}")))?;
        let done = runtime.block_on(apply::apply(order))?;
        stamp(ledger, &endpoint.quota_scope, false, all_until.max(boot::clock_ns()))?;
        Ok(done)
    }

    fn config(&self, detail: &RunDetail, cut_off: usize, doubt_not_before: Tick) -> Config {
        let (retry, run) = (&self.settings.retry, &self.settings.run);
        Config {
            concurrency: self.settings.limits.concurrency as usize,
            policy: Policy {
                attempts_max: retry.attempts_max,
                backoff_base: retry.backoff_base,
                backoff_max: retry.backoff_max,
                schedule: retry.schedule.clone(),
            },
            budget: retry.budget.of(detail.planned, limits::BUDGET_LEAST),
            hold: run.hold_on_doubt,
            error_limit: match run.halt_after_errors {
                None => ErrorLimit::Off,
                Some(Share::Percent(percent)) => ErrorLimit::Percent(percent),
                Some(Share::Count(count)) => ErrorLimit::Count(count),
            },
            held_max: limits::HELD_CARDS,
            cut_off,
            doubt_not_before,
            // Where nothing is sent, nothing is too late.
            deadline: if detail.planned > 0 { self.deadline() } else { Tick::NEVER },
            canary_continues: detail.flags.canary.is_some_and(|canary| canary.continues),
        }
    }

    /// No attempt starts later than `finish_by` less a request timeout: the next such instant in the input's zone behind the
    /// start of the command. It may pass while inputs are awaited, or an earlier run is finished: then none starts.
    fn deadline(&self) -> Tick {
        let left = self.time_left();
        let until_ms = left.map_or(0, |left| self.clock.now_ms() + left.as_millis() as i64);
        self.progress.deadline_ms.store(until_ms, Ordering::Relaxed);
        left.map_or(Tick::NEVER, |left| Tick::ZERO + left)
    }

    /// How long attempts may still start; `None`: for ever.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let zone = &self.settings.input.timezone;
        let until_ms = dates::next_ms(self.settings.run.finish_by?, self.clock.began_ms(), zone);
        let left = Duration::from_millis((until_ms - self.clock.now_ms()).max(0) as u64);
        Some(left.saturating_sub(self.settings.gateway.request_timeout))
    }

    pub(super) fn close(
        &self,
        begun: &Begun,
        files: Option<&[Input]>,
        done: Done,
        durations: Durations,
        ledger: &mut Ledger,
    ) -> Result<Manifest, Fault> {
        let _counting = self.progress.timings.count(Stage::Finish);
        self.progress.enter(Phase::Finish);
        // From here on nothing is sent any more, whatever becomes of the files. (An import is planned again until it is booked.)
        if !begun.run.is_import() {
            let detail = RunDetail { ended: Some((done.clone(), durations)), ..begun.detail.clone() };
            ledger.note_run(begun.run.ordinal, &detail.json())?;
        }
        // An abandoned run is closed by a command whose own settings may be others.
        let recorded = job::recorded(&begun.detail.settings, &self.settings.base).ok();
        let settings = recorded.as_ref().unwrap_or(&self.settings);
        let limits = &settings.limits;
        let folder = RunFolder::new(&self.settings.ledger, &begun.run.id);
        let rules = ReadRules::new(&self.settings.input).map_err(Fault::usage)?;
        let order = close::Order {
            run: &begun.run,
            detail: &begun.detail,
            folder: &folder,
            inputs: files.map(|files| (files, &rules)),
            parquet: self.settings.output.parquet,
            stop: done.stop,
            calls: Calls {
                quota: format!("{}/{}", limits.quota, show_duration(limits.quota_window)),
                quota_peak: done.quota_peak.max(begun.detail.quota_peak),
                unlisted_codes: done.unlisted,
                ..Calls::default()
            },
            durations,
            warnings: done.clock_off_ms.map(words::clock_is_off).into_iter().collect(),
            ground: Ground::of(settings, &begun.detail),
            now_ms: self.clock.now_ms(),
        };
        let manifest = close::close(&order, ledger)?;
        self.progress.close(&manifest, &begun.detail.counted);
        if let Some(sink) = self.progress.spans.get() {
            sink.tell(trail::run(&manifest, begun.run.started_ms, self.clock.now_ms()));
        }
        self.progress.note(Standing::of(ledger, &self.settings.name));
        // The run is closed, and what cannot be removed now is no fault of it.
        let spools = files.map_or(Ok(()), |files| inputs::forget_standard_input(files, ledger));
        for fault in [self.forget_old_surveys(ledger), spools].into_iter().filter_map(Result::err) {
            tracing::warn!("what is not needed any more stays: {fault}");
        }
        self.forget_old_files(ledger);
        Ok(manifest)
    }

    /// `[output] keep`. What cannot be removed tonight is no fault of tonight's run.
    fn forget_old_files(&self, ledger: &Ledger) {
        let Some(keep) = self.settings.output.keep else { return };
        if let Err(fault) = keep::remove_old(ledger, &self.settings.name, keep, self.clock.now_ms()) {
            tracing::warn!("[output] keep: {fault}");
        }
    }

    /// The surveys of the newest closed runs are kept, so that `report` can rebuild their files. Older ones go, and
    /// those of runs that were cut off before they were booked.
    fn forget_old_surveys(&self, ledger: &Ledger) -> Result<(), Fault> {
        let kept = ledger.closed_runs(&self.settings.name, SURVEYS_KEPT)?;
        for folder in RunFolder::all(&self.settings.ledger)? {
            let is_kept = match ledger.run_by_id(&folder.name())? {
                Some(run) if run.job == self.settings.name && run.state == RunState::Closed => {
                    kept.iter().any(|kept| kept.id == run.id)
                }
                other => other.is_some(),
            };
            if !is_kept {
                folder.remove()?;
            }
        }
        Ok(())
    }
}

/// Whoever sent last for a client, as its stamp has it.
fn predecessor(stamp: &QuotaStamp) -> Predecessor {
    // Where the boot is not told, it may be another.
    let is_this_boot = !stamp.boot.is_empty() && stamp.boot == boot::id();
    Predecessor { busy: stamp.busy, ended_ns: is_this_boot.then(|| boot::clock_ns() - stamp.ended_ns) }
}

/// The machine's clock so much later.
fn boot_ns_in(wait: Duration) -> i64 {
    boot::clock_ns() + wait.as_nanos() as i64
}

fn stamp(ledger: &mut Ledger, scope: &str, busy: bool, ended_ns: i64) -> Result<(), Fault> {
    Ok(ledger.stamp_quota(scope, &QuotaStamp { busy, boot: boot::id(), ended_ns })?)
}
