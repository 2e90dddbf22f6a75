//! Which objects are reconciled when: one at a time each, a bounded number at once, parents before
//! children, failed ones again after an exponential backoff with jitter.
//!
//! kube-runtime's controller ties one queue to one kind; here a wake-up crosses kinds, so all kinds
//! share this one.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::{
    sync::CancellationToken,
    time::{DelayQueue, delay_queue},
};

use super::object_key::{ObjectKey, Wake};
use crate::crd::Kind;

/// First wait after a failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait after a failure: a backstop for what no watch event announces.
const BACKOFF_LONGEST: Duration = Duration::from_secs(60);

/// Longest wait after a failure during which the object was woken.
const WOKEN_AGAIN: Duration = Duration::from_secs(1);

/// Every so many starts, whoever has waited longest goes before its elders.
const OLDEST_EVERY: u64 = 8;

/// Longest wait that is handed to the timer, which panics beyond two years: who asked for more is
/// reconciled meanwhile, finds nothing to do, and asks again.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// What one reconcile asks of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: a wake-up will come when there is something to do.
    Done,
    /// Again after this time, for something that only time changes.
    After(Duration),
    /// Again after this object's backoff: it failed for a reason that will pass.
    Retry,
}

impl Next {
    /// Whichever of the two comes first.
    pub fn or_sooner(self, other: Self) -> Self {
        match (self, other) {
            (Self::Retry, _) | (_, Self::Retry) => Self::Retry,
            (Self::After(one), Self::After(other)) => Self::After(one.min(other)),
            (Self::After(wait), Self::Done) | (Self::Done, Self::After(wait)) => Self::After(wait),
            (Self::Done, Self::Done) => Self::Done,
        }
    }
}

/// Where wake-ups are sent. A clone feeds the same queue.
#[derive(Clone, Debug)]
pub struct Waker(mpsc::UnboundedSender<Wake>);

impl Waker {
    /// A sender and its receiving end. Unbounded, for the queue holds each key once, however often
    /// it is woken, and drains the channel at once.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Wake>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Wakes one object. After shutdown nobody listens, which is no error.
    pub fn wake(&self, wake: Wake) {
        let _ = self.0.send(wake);
    }

    /// Wakes several.
    pub fn wake_all(&self, wakes: impl IntoIterator<Item = Wake>) {
        for wake in wakes {
            self.wake(wake);
        }
    }
}

/// Runs reconciles until `shutdown`, then waits for those under way.
///
/// # Errors
/// The first error of `reconcile`, which is meant for what must end the process, or a panic in it.
pub async fn run<F, E>(
    mut wakes: mpsc::UnboundedReceiver<Wake>,
    at_once: usize,
    shutdown: CancellationToken,
    reconcile: impl Fn(ObjectKey) -> F,
) -> Result<(), E>
where
    F: Future<Output = Result<Next, E>> + Send + 'static,
    E: From<tokio::task::JoinError> + Send + 'static,
{
    let mut queue = Queue::default();
    let mut running = JoinSet::new();
    let mut keys: HashMap<Id, ObjectKey> = HashMap::new();
    loop {
        while running.len() < at_once {
            let Some(key) = queue.start() else { break };
            let handle = running.spawn(reconcile(key.clone()));
            keys.insert(handle.id(), key);
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(wake) = wakes.recv() => queue.wake(wake),
            Some(due) = queue.delays.next(), if !queue.delays.is_empty() => queue.due(due.into_inner(), true),
            Some(ended) = running.join_next_with_id() => {
                let (id, next) = ended?;
                if let Some(key) = keys.remove(&id) {
                    queue.finish(key, next?);
                }
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

#[derive(Default)]
struct Queue {
    ready: Ready,
    /// With whether something changed, as far as is known.
    waiting: HashMap<ObjectKey, bool>,
    running: HashMap<ObjectKey, bool>,
    delayed: HashMap<ObjectKey, (delay_queue::Key, Instant)>,
    delays: DelayQueue<ObjectKey>,
    failures: HashMap<ObjectKey, u32>,
}

impl Queue {
    fn wake(&mut self, wake: Wake) {
        if wake.after.is_zero() {
            self.due(wake.key, wake.is_news);
        } else {
            self.delay(wake.key, wake.after);
        }
    }

    /// The key is to run as soon as there is room; once, however often this is said.
    fn due(&mut self, key: ObjectKey, is_news: bool) {
        if let Some((delay, _)) = self.delayed.remove(&key) {
            self.delays.try_remove(&delay);
        }
        if let Some(again) = self.running.get_mut(&key) {
            *again = true;
            return;
        }
        match self.waiting.entry(key) {
            Entry::Vacant(place) => {
                self.ready.push(place.key().clone(), is_news);
                place.insert(is_news);
            }
            // Its first place is passed over when its turn comes.
            Entry::Occupied(mut known) if is_news && !known.get() => {
                known.insert(true);
                self.ready.push(known.key().clone(), true);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// The key is to run after `wait`, or earlier if it already is.
    fn delay(&mut self, key: ObjectKey, wait: Duration) {
        if self.waiting.contains_key(&key) {
            return;
        }
        let at = Instant::now() + wait.min(LONGEST);
        match self.delayed.get(&key) {
            Some((_, earlier)) if *earlier <= at => {}
            Some((delay, _)) => {
                let delay = *delay;
                self.delays.reset_at(&delay, at);
                self.delayed.insert(key, (delay, at));
            }
            None => {
                let delay = self.delays.insert_at(key.clone(), at);
                self.delayed.insert(key, (delay, at));
            }
        }
    }

    fn start(&mut self) -> Option<ObjectKey> {
        let key = loop {
            let (key, is_news) = self.ready.pop()?;
            if self.waiting.get(&key) == Some(&is_news) {
                break key;
            }
        };
        self.waiting.remove(&key);
        self.running.insert(key.clone(), false);
        Some(key)
    }

    fn finish(&mut self, key: ObjectKey, next: Next) {
        let again = self.running.remove(&key).unwrap_or(false);
        let failures = match next {
            Next::Retry => {
                let failures = self.failures.entry(key.clone()).or_default();
                *failures += 1;
                *failures
            }
            Next::Done | Next::After(_) => {
                self.failures.remove(&key);
                0
            }
        };
        match next {
            // What woke a failing object meanwhile may be what it failed for; but it may fail as
            // fast as it is woken.
            Next::Retry => {
                let wait = backoff(failures, rand::random());
                let longest = if again { WOKEN_AGAIN } else { BACKOFF_LONGEST };
                self.delay(key, wait.min(longest));
            }
            _ if again => self.due(key, true),
            Next::After(wait) => self.delay(key, wait),
            Next::Done => {}
        }
    }
}

/// The keys that are to run, first come, first served, in a lane for each kind, and behind these in another for what is
/// no news. Parents go first: a child finds its parent stored, and what is checked at the parent is known sooner, so that
/// the child need not run again. But no lane waits for ever.
#[derive(Default)]
struct Ready {
    /// With the number of its arrival.
    news: Lanes,
    others: Lanes,
    arrived: u64,
    left: u64,
}

type Lanes = [VecDeque<(u64, ObjectKey)>; Kind::ALL.len()];

impl Ready {
    fn push(&mut self, key: ObjectKey, is_news: bool) {
        self.arrived += 1;
        let lanes = if is_news {
            &mut self.news
        } else {
            &mut self.others
        };
        lanes[key.kind as usize].push_back((self.arrived, key));
    }

    /// The next, and whether it stood where news stands.
    fn pop(&mut self) -> Option<(ObjectKey, bool)> {
        self.left += 1;
        let news = self.news.iter_mut().map(|lane| (lane, true));
        let all = news.chain(self.others.iter_mut().map(|lane| (lane, false)));
        let mut waiting = all.filter(|(lane, _)| !lane.is_empty());
        let next = match self.left % OLDEST_EVERY {
            0 => waiting.min_by_key(|(lane, _)| lane.front().map(|(number, _)| *number)),
            _ => waiting.next(),
        };
        let (lane, is_news) = next?;
        lane.pop_front().map(|(_, key)| (key, is_news))
    }
}

/// Doubles from half a second to a minute; `jitter` in 0..1 spreads it over its upper half.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(BACKOFF_LONGEST).mul_f64(0.5 + jitter / 2.0)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tokio::sync::Notify;
    use uuid::Uuid;

    use super::*;
    use crate::{controller::runtime::index::Index, crd::LlmProvider};

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::Provider, "team", name)
    }

    #[test]
    fn the_backoff_doubles_and_ends_at_a_minute() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(500));
        assert_eq!(backoff(1, 0.0), Duration::from_millis(250));
        assert_eq!(backoff(3, 1.0), Duration::from_secs(2));
        assert_eq!(backoff(1000, 1.0), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_key_woken_while_it_runs_runs_once_more() {
        let mut queue = Queue::default();
        queue.wake(Wake::now(key("a")));
        queue.wake(Wake::now(key("a")));
        assert_eq!(queue.start(), Some(key("a")));
        assert_eq!(queue.start(), None);
        queue.wake(Wake::now(key("a")));
        queue.wake(Wake::now(key("a")));
        assert_eq!(queue.start(), None);
        queue.finish(key("a"), Next::Done);
        assert_eq!(queue.start(), Some(key("a")));
        queue.finish(key("a"), Next::Done);
        assert_eq!(queue.start(), None);
    }

    #[tokio::test]
    async fn a_name_that_is_deleted_and_made_anew_while_it_waits_runs_once_for_the_new_object() {
        let object = |uid: Uuid| -> LlmProvider {
            serde_json::from_value(json!({
                "metadata": { "namespace": "team", "name": "a", "uid": uid, "generation": 1 },
                "spec": { "type": "OpenAI" },
            }))
            .unwrap()
        };
        let (old, new) = (Uuid::new_v4(), Uuid::new_v4());
        // The watch may tell of both, or, where it was interrupted, of the new one alone.
        for told_of_the_deletion in [true, false] {
            let (mut index, mut queue) = (Index::default(), Queue::default());
            let mut wakes = index.apply(object(old));
            if told_of_the_deletion {
                wakes.extend(index.delete::<LlmProvider>("team", "a"));
            }
            let of_the_new = index.apply(object(new));
            assert_eq!(of_the_new, [Wake::now(key("a"))]);
            for wake in wakes.into_iter().chain(of_the_new) {
                queue.wake(wake);
            }
            assert_eq!(queue.start(), Some(key("a")));
            assert_eq!(index.uid(&key("a")), Some(new));
            assert_eq!(queue.start(), None);
            queue.finish(key("a"), Next::Done);
            assert_eq!(queue.start(), None, "once is enough");
            // One that comes while the old one's reconcile is under way runs after it.
            for wake in index.apply(object(old)) {
                queue.wake(wake);
            }
            assert_eq!(queue.start(), Some(key("a")));
            for wake in index.apply(object(new)) {
                queue.wake(wake);
            }
            assert_eq!(queue.start(), None, "one at a time of a name");
            queue.finish(key("a"), Next::Done);
            assert_eq!(queue.start(), Some(key("a")));
        }
    }

    #[tokio::test]
    async fn parents_go_first_and_children_do_not_wait_for_ever() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.wake(Wake::now(ObjectKey::new(
                Kind::Model,
                "team",
                format!("m{n}"),
            )));
        }
        for n in 0..100 {
            queue.wake(Wake::now(key(&format!("p{n}"))));
        }
        let started: Vec<ObjectKey> = std::iter::from_fn(|| queue.start()).collect();
        assert_eq!(started.len(), 200);
        let parents = started[..16].iter().filter(|k| k.kind == Kind::Provider);
        assert_eq!(parents.count(), 14, "{started:?}");
        let of = |kind| {
            started
                .iter()
                .filter(move |k| k.kind == kind)
                .map(|k| k.name.clone())
        };
        assert!(
            of(Kind::Model).eq((0..100).map(|n| format!("m{n}"))),
            "first come, first served"
        );
        assert!(of(Kind::Provider).eq((0..100).map(|n| format!("p{n}"))));
    }

    #[tokio::test]
    async fn what_changed_goes_before_what_a_list_told_of() {
        let mut queue = Queue::default();
        let model = |name: &str| ObjectKey::new(Kind::Model, "team", name);
        for n in 0..100 {
            queue.wake(Wake::now(model(&format!("m{n}"))).behind_news());
            queue.wake(Wake::now(key(&format!("p{n}"))).behind_news());
        }
        queue.wake(Wake::now(model("m70")));
        // What was news stays it.
        queue.wake(Wake::now(model("m70")).behind_news());
        queue.wake(Wake::now(model("new")));
        let started: Vec<ObjectKey> = std::iter::from_fn(|| queue.start()).collect();
        assert_eq!(started[..2], [model("m70"), model("new")]);
        let once: std::collections::HashSet<&ObjectKey> = started.iter().collect();
        assert_eq!((started.len(), once.len()), (201, 201), "each once");
        assert!(queue.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_failing_key_that_was_woken_while_it_ran_does_not_wait_out_its_backoff() {
        let mut queue = Queue::default();
        queue.failures.insert(key("a"), 100);
        for (woken, longest) in [(false, BACKOFF_LONGEST), (true, WOKEN_AGAIN)] {
            queue.wake(Wake::now(key("a")));
            assert_eq!(queue.start(), Some(key("a")));
            if woken {
                queue.wake(Wake::now(key("a")));
            }
            queue.finish(key("a"), Next::Retry);
            let (_, at) = queue.delayed[&key("a")];
            assert!(at <= Instant::now() + longest);
        }
    }

    #[tokio::test]
    async fn gathered_wake_ups_become_one() {
        let mut queue = Queue::default();
        queue.wake(Wake::soon(key("a")));
        queue.wake(Wake::soon(key("a")));
        assert_eq!(queue.start(), None);
        let due = queue.delays.next().await.unwrap().into_inner();
        queue.due(due, true);
        assert_eq!(queue.start(), Some(key("a")));
        assert!(queue.delays.is_empty());
    }

    #[tokio::test]
    async fn a_wait_of_many_years_is_cut_short_and_no_panic() {
        let mut queue = Queue::default();
        queue.wake(Wake::now(key("a")));
        assert_eq!(queue.start(), Some(key("a")));
        queue.finish(
            key("a"),
            Next::After(Duration::from_secs(8000 * 365 * 24 * 3600)),
        );
        let (_, at) = queue.delayed[&key("a")];
        assert!(at <= Instant::now() + LONGEST);
        queue.wake(Wake::now(key("a")));
        assert_eq!(queue.start(), Some(key("a")));
    }

    #[tokio::test]
    async fn a_failed_key_is_tried_again_and_delays_nobody_else() {
        let (waker, wakes) = Waker::channel();
        let shutdown = CancellationToken::new();
        let tried = Arc::new(Mutex::new(Vec::new()));
        let enough = Arc::new(Notify::new());
        waker.wake(Wake::now(key("bad")));
        waker.wake(Wake::now(key("good")));
        let (log, notify) = (tried.clone(), enough.clone());
        let queue = run(wakes, 2, shutdown.clone(), move |key| {
            let (log, notify) = (log.clone(), notify.clone());
            async move {
                let mut log = log.lock().unwrap();
                log.push(key.name.clone());
                if log.iter().filter(|n| *n == "bad").count() == 3 {
                    notify.notify_one();
                }
                Ok::<_, tokio::task::JoinError>(match key.name.as_str() {
                    "bad" => Next::Retry,
                    _ => Next::Done,
                })
            }
        });
        let stop = async {
            enough.notified().await;
            shutdown.cancel();
        };
        let (ended, ()) = tokio::join!(queue, stop);
        ended.unwrap();
        let tried = tried.lock().unwrap();
        assert_eq!(tried.iter().filter(|n| *n == "good").count(), 1);
        assert_eq!(tried.iter().filter(|n| *n == "bad").count(), 3);
    }
}
