//! `run_async` on a minimal executor: futures that suspend, and two flows that take turns on one thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use pipewright::driver::{self, Clock as _, NoCredentials, Transport as _, ignore_notices};
use pipewright::error::FlowError;
use pipewright::flink::jobs::JobState;
use pipewright::flink::{AwaitJob, Flink, RunJar, TakeSavepoint};
use pipewright::flow::{Exchange, Goal as _, Notice};
use pipewright::{Seed, Timestamp};
use pipewright_mock::flink::{Config, Program};
use pipewright_mock::{FaultPlan, World};

/// Counts how often a task was woken.
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls all futures in turn until each has its output.
fn run<T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> (Vec<T>, usize) {
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    let waker = Waker::from(bell.clone());
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    while outputs.iter().any(Option::is_none) {
        let before = bell.0.load(Ordering::Relaxed);
        for (future, output) in futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *output = Some(value);
            }
        }
        assert!(outputs.iter().all(Option::is_some) || bell.0.load(Ordering::Relaxed) > before, "all tasks sleep");
    }
    (outputs.into_iter().flatten().collect(), bell.0.load(Ordering::Relaxed))
}

/// Suspends once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn flows_take_turns() {
    let world = World::new(5);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let job = flink.run(RunJar::upload("a.jar", Program::bounded("a", 500).jar())).expect("nothing goes wrong yet").job;
    world.set_faults(FaultPlan::flaky(5));

    let order = RefCell::new(Vec::new());
    let running = Cell::new(0);
    let (world, order, running) = (&world, &order, &running);
    let drive = |number: u32| {
        let flow = AwaitJob::ended(job).start(flink.config(), Seed::new(number.into()));
        async move {
            let send = |exchange: Exchange| async {
                running.set(running.get() + 1);
                yield_now().await;
                order.borrow_mut().push(number);
                running.set(running.get() - 1);
                let answer = world.send(&exchange);
                exchange.settle(answer)
            };
            let sleep = |at: Timestamp| async move {
                yield_now().await;
                world.sleep_until(at);
            };
            driver::run_async(flow, || world.now(), send, sleep, NoCredentials, ignore_notices).await
        }
    };
    let futures: Vec<Pin<Box<dyn Future<Output = _> + '_>>> = vec![Box::pin(drive(1)), Box::pin(drive(2))];
    let (reports, woken) = run(futures);
    for report in reports {
        assert_eq!(report.expect("it ends").state, JobState::Finished);
    }
    let order = order.borrow();
    assert!(order.windows(2).any(|pair| pair == [1, 2]) && order.windows(2).any(|pair| pair == [2, 1]), "{order:?}");
    assert!(woken >= order.len(), "each request suspended");
    assert_eq!(running.get(), 0);
}

/// Dropping the future is dropping the flow: nothing is sent afterwards, and what was saved resumes it.
#[test]
fn a_dropped_future_can_be_resumed() {
    let world = World::new(6);
    let cluster = world.flink("http://flink.test".parse().expect("a base"), Config::default());
    let flink = Flink::new(cluster.base(), world.clone());
    let job = flink.run(RunJar::upload("a.jar", Program::endless("a").jar())).expect("submitted").job;
    let _ = flink.run(AwaitJob::running(job)).expect("it runs");

    let saved = RefCell::new(None);
    let mut future = Box::pin(driver::run_async(
        TakeSavepoint::new(job).start(flink.config(), Seed::new(1)),
        || world.now(),
        |exchange: Exchange| async {
            let answer = world.send(&exchange);
            // The answer is there, and is never used.
            std::future::pending::<()>().await;
            exchange.settle(answer)
        },
        |_| async { unreachable!("it never gets that far") },
        NoCredentials,
        |notice| {
            if let Notice::Persist(state) = notice {
                saved.replace(Some(state));
            }
        },
    ));
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);

    let saved = saved.into_inner().expect("saved before it was sent");
    let goal = TakeSavepoint::resume(&saved).expect("its own state").timeout(Duration::from_secs(60));
    let savepoint = flink.run(goal).expect("it was under way");
    let taken = cluster.with(|cluster| cluster.savepoints());
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0].path, savepoint.location);
}

/// The error of a flow comes through.
#[test]
fn an_error_comes_through() {
    let world = World::new(7);
    let flink: Flink<World> = Flink::new("http://absent.test".parse().expect("a base"), world.clone());
    let goal = AwaitJob::ended(pipewright::flink::JobId::from_bits(1)).timeout(Duration::from_secs(10));
    let flow = goal.start(flink.config(), Seed::new(1));
    let future = driver::run_async(
        flow,
        || world.now(),
        |exchange: Exchange| async {
            let answer = world.send(&exchange);
            exchange.settle(answer)
        },
        |at| {
            world.sleep_until(at);
            std::future::ready(())
        },
        NoCredentials,
        ignore_notices,
    );
    let (results, _) = run(vec![Box::pin(future) as Pin<Box<dyn Future<Output = _>>>]);
    assert!(matches!(&results[0], Err(FlowError::Transport(_))), "{:?}", results[0]);
}
